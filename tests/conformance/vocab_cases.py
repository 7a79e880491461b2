"""Tokenizer directories of every kind that the reader knows, made from tests/data/vocab. Each case writes the files of one
directory and returns what config.json says beside the sizes."""
import copy
import json
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data" / "vocab"
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}\n"


def write(path: Path, value) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def bpe_json() -> dict:
    return json.loads((DATA / "bpe.json").read_text(encoding="utf-8"))


def added(content, id, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special,
            "special": special} | flags


def plain(content, special=True):
    return {k: v for k, v in added(content, 0, special).items() if k != "id"}


BPE_CONFIG = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>",
              "model_max_length": 1000000000000000019884624838656, "chat_template": TEMPLATE}


def bpe(d: Path):
    """As LLaMA 3's directories are."""
    t = bpe_json()
    t["added_tokens"] = [a for a in t["added_tokens"] if a["content"] not in ("é", "▁under")]  # GGUF cannot hold them
    write(d / "tokenizer.json", t)
    write(d / "tokenizer_config.json", BPE_CONFIG)
    return {"vocab_size": 1511, "bos_token_id": 1500, "eos_token_id": [1501, 1502], "pad_token_id": 1503}


def bpe_no_config(d: Path):
    write(d / "tokenizer.json", bpe_json())
    write(d / "chat_template.jinja", TEMPLATE)
    return {"vocab_size": 1508, "bos_token_id": 1500, "eos_token_id": 1501, "unk_token_id": 0}


def bpe_objects(d: Path):
    """Special tokens as objects, as older versions of transformers save them; merges as text."""
    t = bpe_json()
    t["model"]["merges"] = [" ".join(m) for m in t["model"]["merges"]]
    write(d / "tokenizer.json", t)
    tokens = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in t["added_tokens"]}
    tokens["1503"]["special"] = True
    write(d / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": tokens,
        "bos_token": {"__type": "AddedToken", "content": "<|begin_of_text|>", "lstrip": False, "normalized": False, "rstrip": False,
                      "single_word": False},
        "eos_token": {"__type": "AddedToken", "content": "<|end_of_text|>", "lstrip": False, "normalized": False, "rstrip": False,
                      "single_word": False}, "add_prefix_space": False})
    return {"vocab_size": 1508}


def bpe_eos_template(d: Path):
    """The post-processor ends with another token than eos_token: that one becomes eot."""
    t = bpe_json()
    single = [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "<|eot_id|>", "type_id": 0}}]
    pair = single[:2] + [{"SpecialToken": {"id": "<|eot_id|>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    t["post_processor"] = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {
        k: {"id": k, "ids": [i], "tokens": [k]} for k, i in (("<|begin_of_text|>", 1500), ("<|eot_id|>", 1502))}}
    write(d / "tokenizer.json", t)
    write(d / "tokenizer_config.json", BPE_CONFIG)
    return {"vocab_size": 1600}


def bpe_templates(d: Path):
    write(d / "tokenizer.json", bpe_json())
    write(d / "tokenizer_config.json", BPE_CONFIG | {"pad_token": "<|new_pad|>", "unk_token": None, "chat_template": [
        {"name": "tool-use", "template": "T" + TEMPLATE}, {"name": "default", "template": TEMPLATE}]})
    return {"vocab_size": 1509}


def bpe_jinja(d: Path):
    write(d / "tokenizer.json", bpe_json())
    write(d / "tokenizer_config.json", {k: v for k, v in BPE_CONFIG.items() if k != "chat_template"})
    (d / "chat_template.jinja").write_bytes(TEMPLATE.replace("\n", "\r\n").encode())
    (d / "additional_chat_templates").mkdir()
    write(d / "additional_chat_templates" / "rag.jinja", "R" + TEMPLATE)
    return {"vocab_size": 1508}


def bpe_chat_json(d: Path):
    write(d / "tokenizer.json", bpe_json())
    write(d / "tokenizer_config.json", {k: v for k, v in BPE_CONFIG.items() if k != "chat_template"})
    write(d / "chat_template.json", {"chat_template": TEMPLATE})
    return {"vocab_size": 1508}


def bpe_named_special(d: Path):
    """Special tokens that tokenizer.json has only as ordinary entries, and roberta's way to frame text."""
    t = bpe_json()
    t["added_tokens"] = []
    t["model"]["vocab"] |= {"<s>": 1500, "</s>": 1501, "<mask>": 1502}
    t["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 1501], "cls": ["<s>", 1500], "trim_offsets": True,
                           "add_prefix_space": False}
    write(d / "tokenizer.json", t)
    write(d / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                                        "mask_token": "<mask>", "additional_special_tokens": ["<extra>", "the"]})
    write(d / "special_tokens_map.json", {"bos_token": "<s>", "unk_token": {"content": "<unk>", "lstrip": False, "rstrip": False,
                                                                           "normalized": False, "single_word": False}})
    return {"vocab_size": 1510, "mask_token_id": 1502, "sep_token_id": 1501, "cls_token_id": 1500}


def bpe_slow(d: Path):
    """vocab.json and merges.txt, without tokenizer.json."""
    t = bpe_json()
    write(d / "vocab.json", t["model"]["vocab"] | {"<|endoftext|>": 1500})
    write(d / "merges.txt", "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in t["model"]["merges"]))
    write(d / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>",
                                        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "add_bos_token": False})
    write(d / "added_tokens.json", {"<x>": 1501, "<|y|>": 1502})
    write(d / "special_tokens_map.json", {"additional_special_tokens": ["<x>", "<z>"], "sep_token": "<|y|>"})
    return {"vocab_size": 1504, "bos_token_id": 1500, "eos_token_id": 1500}


def granite(d: Path):
    bpe(d)
    return {"vocab_size": 49152}


def spm(d: Path):
    (d / "tokenizer.model").write_bytes((DATA / "spm.model").read_bytes())
    return {"vocab_size": 1000, "bos_token_id": 1, "eos_token_id": 2}


def spm_added(d: Path):
    spm(d)
    write(d / "added_tokens.json", {"<new>": 1000, "<pad>": 1001, "<far>": 99999})
    write(d / "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": {"__type": "AddedToken"} | plain("</s>"), "unk_token": "<unk>",
        "pad_token": None, "add_bos_token": True, "add_eos_token": False, "legacy": False, "add_prefix_space": True,
        "added_tokens_decoder": {"0": plain("<unk>"), "1": plain("<s>"), "2": plain("</s>"),
                                 "1001": plain("<|im|>", False), "1002": plain("▁two▁words", False)},
        "chat_template": TEMPLATE})
    return {"vocab_size": 1013, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5000}


def spm_llama(d: Path):
    """As LLaMA 2's directories are, with a few tokens behind the model's own."""
    spm(d)
    tokens = {0: plain("<unk>"), 1: plain("<s>"), 2: plain("</s>"), 1000: plain("<|im_start|>"), 1001: plain("<two  words>", False)}
    write(d / "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>",
        "add_bos_token": True, "add_eos_token": False, "legacy": False, "chat_template": TEMPLATE,
        "added_tokens_decoder": {str(k): v for k, v in tokens.items()}})
    return {"vocab_size": 1009, "bos_token_id": 1, "eos_token_id": 2}


def spm_cut(d: Path):
    spm(d)
    write(d / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False})
    return {"vocab_size": 997, "bos_token_id": 1, "eos_token_id": [2], "unk_token_id": 0}


def code_llama(d: Path):
    spm(d)
    return {"vocab_size": 32016}


def llama_json(d: Path):
    """tokenizer.json of LLaMA 2's kind, without tokenizer.model."""
    from transformers import LlamaTokenizer
    made = d / "made"
    made.mkdir()
    (made / "tokenizer.model").write_bytes((DATA / "spm.model").read_bytes())
    write(made / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"})
    LlamaTokenizer.from_pretrained(made).save_pretrained(d)
    for f in made.iterdir():
        f.unlink()
    made.rmdir()
    (d / "tokenizer.model").unlink(missing_ok=True)
    return {"vocab_size": 1000}


def llama_json_added(d: Path):
    llama_json(d)
    t = json.loads((d / "tokenizer.json").read_text())
    n = len(t["model"]["vocab"])
    t["added_tokens"] += [added("<|im_start|>", n), added("<word>", n + 1, special=False), added("<named>", n + 2)]
    write(d / "tokenizer.json", t)
    c = json.loads((d / "tokenizer_config.json").read_text())
    write(d / "tokenizer_config.json", c | {"pad_token": "<named>", "add_prefix_space": False})
    return {"vocab_size": 1024, "pad_token_id": n + 2}


# Directories as the published models of the families have them, with fewer tokens.

LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def published(d: Path, tokens, config: dict, specials: dict | None = None, first=(), listed=False, **parts):
    """tokenizer.json with `parts` in it; first: tokens that stand before all others in the vocabulary; tokens: added behind them, as (text,
    special, normalised); listed: added_tokens.json has them too."""
    t = bpe_json()
    vocab = {k: i for i, k in enumerate(first)} | {k: i + len(first) for k, i in t["model"]["vocab"].items()}
    t["model"] |= {"vocab": vocab, "merges": [" ".join(m) for m in t["model"]["merges"]], "unk_token": None, "dropout": None,
                   "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False}
    t["model"].pop("ignore_merges", None)
    t |= {"normalizer": None, "pre_tokenizer": LEVEL, "post_processor": LEVEL, "decoder": LEVEL, "truncation": None, "padding": None}
    t["model"] |= parts.pop("model", {})
    t |= parts
    behind = {text: len(vocab) + i for i, (text, _, _) in enumerate(tokens)}
    t["added_tokens"] = [added(k, vocab[k]) for k in first] + [added(k, behind[k], s, normalized=n) for k, s, n in tokens]
    write(d / "tokenizer.json", t)
    write(d / "tokenizer_config.json", config)
    if specials:
        write(d / "special_tokens_map.json", specials)
    if listed:
        write(d / "added_tokens.json", behind)
    return len(vocab) + len(tokens)


def runs(longest, letter=" "):
    return [(letter * n, False, True) for n in range(longest, 1, -1)]


END = {k: "<|endoftext|>" for k in ("bos_token", "eos_token", "unk_token")}


def pythia(d: Path):
    published(d, runs(24), END | {"add_prefix_space": False, "name_or_path": "EleutherAI/gpt-neox-20b", "tokenizer_class": "GPTNeoXTokenizer"}, END,
              first=("<|endoftext|>", "<|padding|>"), normalizer={"type": "NFC"})
    return {"vocab_size": 1664, "bos_token_id": 0, "eos_token_id": 0}


def mpt(d: Path):
    published(d, runs(24), END | {"add_prefix_space": False, "clean_up_tokenization_spaces": True, "model_max_length": 2048, "tokenizer_class": "GPTNeoXTokenizer"},
              END, first=("<|endoftext|>", "<|padding|>"), normalizer={"type": "NFC"})
    return {"vocab_size": 1536}


def gptj(d: Path):
    objects = {k: added(v, 0, normalized=True) | {"__type": "AddedToken"} for k, v in END.items()}
    for o in objects.values():
        o.pop("id"), o.pop("special")
    n = published(d, [("<|endoftext|>", True, True)] + [(f"<|extratoken_{i}|>", False, True) for i in range(1, 144)],
                  objects | {"errors": "replace", "add_prefix_space": False, "model_max_length": 2048, "special_tokens_map_file": None,
                             "name_or_path": "gpt2", "from_slow": True, "tokenizer_class": "GPT2Tokenizer"}, objects, listed=True,
                  model={"continuing_subword_prefix": "", "end_of_word_suffix": ""})
    return {"vocab_size": n, "bos_token_id": n - 144, "eos_token_id": n - 144, "tokenizer_class": "GPT2Tokenizer"}


def falcon(d: Path):
    names = [f">>{n}<<" for n in ("TITLE", "ABSTRACT", "INTRODUCTION", "SUMMARY", "COMMENT", "ANSWER", "QUESTION", "DOMAIN", "PREFIX", "SUFFIX", "MIDDLE")]
    steps = [{"type": "Punctuation", "behavior": "Contiguous"}, LEVEL, {"type": "Digits", "individual_digits": False},
             {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": False}]
    published(d, [], {"add_prefix_space": False, "eos_token": "<|endoftext|>", "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 2048,
                      "name_or_path": "tiiuae/falcon_tokenizer", "special_tokens_map_file": None, "tokenizer_class": "PreTrainedTokenizerFast"},
              {"additional_special_tokens": names, "eos_token": "<|endoftext|>"}, first=(*names, "<|endoftext|>"),
              pre_tokenizer={"type": "Sequence", "pretokenizers": steps}, post_processor=None)
    return {"vocab_size": 1600, "bos_token_id": 11, "eos_token_id": 11}


def phi2(d: Path):
    tokens = [("<|endoftext|>", True, False)] + runs(31) + runs(9, "\t")
    n = published(d, tokens, END | {
        "add_prefix_space": False, "added_tokens_decoder": {str(1500 + i): plain(t, s) | {"normalized": m} for i, (t, s, m) in enumerate(tokens)},
        "clean_up_tokenization_spaces": True, "model_max_length": 2048, "return_token_type_ids": False, "tokenizer_class": "CodeGenTokenizer"}, END, listed=True)
    return {"vocab_size": n + 900, "bos_token_id": 1500, "eos_token_id": 1500}


QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def qwen3(d: Path):
    tokens = [(f"<|{n}|>", True, False) for n in ("endoftext", "im_start", "im_end", "object_ref_start", "vision_pad")]
    tokens += [(t, False, False) for t in ("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<think>", "</think>")]
    level = LEVEL | {"trim_offsets": False, "use_regex": False}
    published(d, tokens, {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": {str(1500 + i): plain(t, s) | {"normalized": False} for i, (t, s, _) in enumerate(tokens)},
        "additional_special_tokens": [t for t, s, _ in tokens[1:] if s], "bos_token": None, "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 131072, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None}, normalizer={"type": "NFC"}, post_processor=level, decoder=level,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN}, "behavior": "Isolated", "invert": False}, level]},
        model={"continuing_subword_prefix": "", "end_of_word_suffix": "", "byte_fallback": False, "ignore_merges": False})
    return {"vocab_size": 1536, "bos_token_id": 1500, "eos_token_id": 1502}


def yi(d: Path):
    spm(d)
    tokens = {0: "<unk>", 1: "<|startoftext|>", 2: "<|endoftext|>"}
    write(d / "tokenizer_config.json", {
        "add_bos_token": False, "add_eos_token": False, "added_tokens_decoder": {str(i): plain(t) | {"normalized": True} for i, t in tokens.items()},
        "bos_token": "<|startoftext|>", "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>", "model_max_length": 4096, "pad_token": "<unk>",
        "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>"})
    write(d / "special_tokens_map.json", {"bos_token": plain("<|startoftext|>"), "eos_token": plain("<|endoftext|>"), "unk_token": plain("<unk>")})
    return {"vocab_size": 1024, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def open_llama(d: Path):
    spm(d)
    tokens = {k: plain(v) | {"__type": "AddedToken", "normalized": True} for k, v in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))}
    write(d / "tokenizer_config.json", tokens | {
        "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "model_max_length": 2048, "pad_token": None,
        "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer"})
    write(d / "special_tokens_map.json", {"bos_token": {"content": "<s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}})
    return {"vocab_size": 1000, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


# What llama.cpp's converter calls the pre-tokenizers of the published ones; here it is recognised.
PUBLISHED = {"pythia": "olmo", "mpt": "olmo", "gptj": "gpt-2", "falcon": "falcon", "phi2": "phi-2", "qwen3": "qwen2", "yi": None, "open_llama": None}

CASES = {f.__name__: f for f in (pythia, mpt, gptj, falcon, phi2, qwen3, yi, open_llama, bpe, bpe_no_config, bpe_objects, bpe_eos_template, bpe_templates, bpe_jinja, bpe_chat_json,
                                 bpe_named_special, bpe_slow, granite, spm, spm_added, spm_llama, spm_cut, code_llama, llama_json,
                                 llama_json_added)}


def make(name: str, d: Path, **config) -> dict:
    """Writes the case's directory with a config.json, and returns that."""
    d.mkdir(parents=True)
    said = CASES[name](d)
    full = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"} | copy.deepcopy(config) | said
    write(d / "config.json", full)
    return full
