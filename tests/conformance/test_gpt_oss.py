"""gpt-oss: OpenAI's own layout, which is the same model as the Hugging Face checkpoint that it was published with, and the way back
from GGUF files whose experts are in block types."""
import json
import shutil
from pathlib import Path

import pytest

import make_checkpoints as makers
from conftest import assert_same_gguf, assert_same_tensors, checkpoint_tensors, read_gguf
from test_families import made  # noqa: F401


def make_original(src: Path, repository: Path, shards: int = 1) -> Path:
    """OpenAI's layout of the gpt-oss checkpoint `src`, whose experts are in MXFP4: REPOSITORY/original, with the tokenizer in
    REPOSITORY. Names, order of rows and configuration are those of gpt_oss/torch (model.py, weights.py)."""
    import torch
    from safetensors.torch import load_file, save_file
    c, hf = json.loads((src / "config.json").read_text()), load_file(src / "model.safetensors")
    out = {"embedding.weight": hf.pop("model.embed_tokens.weight"), "norm.scale": hf.pop("model.norm.weight"),
           "unembedding.weight": hf.pop("lm_head.weight")}
    for i in range(c["num_hidden_layers"]):
        take, to = lambda name: hf.pop(f"model.layers.{i}." + name), f"block.{i}."
        out[to + "attn.norm.scale"] = take("input_layernorm.weight")
        out[to + "mlp.norm.scale"] = take("post_attention_layernorm.weight")
        out[to + "attn.sinks"] = take("self_attn.sinks")
        for part in ("weight", "bias"):
            out[to + f"attn.qkv.{part}"] = torch.cat([take(f"self_attn.{p}_proj.{part}") for p in "qkv"])
            out[to + f"attn.out.{part}"] = take(f"self_attn.o_proj.{part}")
            out[to + f"mlp.gate.{part}"] = take(f"mlp.router.{part}")
        for ours, theirs in (("mlp1", "gate_up"), ("mlp2", "down")):
            out[to + f"mlp.{ours}_bias"] = take(f"mlp.experts.{theirs}_proj_bias")
            for part in ("blocks", "scales"):
                out[to + f"mlp.{ours}_weight.{part}"] = take(f"mlp.experts.{theirs}_proj_{part}")
    assert not hf, hf.keys()
    rope = c.get("rope_parameters") or c["rope_scaling"]
    original = repository / "original"
    original.mkdir(parents=True)
    for f in src.iterdir():
        if f.name not in ("config.json", "model.safetensors"):
            shutil.copy(f, repository)
    same = ("num_hidden_layers", "vocab_size", "hidden_size", "intermediate_size", "swiglu_limit", "head_dim", "num_attention_heads",
            "num_key_value_heads", "sliding_window")
    makers.write_json(original / "config.json", {
        **{k: c[k] for k in same}, "num_experts": c["num_local_experts"], "experts_per_token": c["num_experts_per_tok"],
        "initial_context_length": rope["original_max_position_embeddings"], "rope_theta": rope["rope_theta"],
        "rope_scaling_factor": rope["factor"], "rope_ntk_alpha": rope["beta_slow"], "rope_ntk_beta": rope["beta_fast"]})
    kinds = {"blocks": "FP4", "scales": "UE8"}
    makers.write_json(original / "dtypes.json", {n: kinds.get(n.rpartition(".")[2], "BF16") for n in out})
    names = list(out)
    for s in range(shards):
        name = "model.safetensors" if shards == 1 else f"model--{s + 1:05d}-of-{shards:05d}.safetensors"
        save_file({n: out[n].contiguous() for n in names[s::shards]}, original / name)
    return original


@pytest.fixture(scope="module")
def published(made):
    return made.checkpoint("gpt-oss-mxfp4")


@pytest.fixture(params=[1, 3])
def original(published, tmp_path, request):
    """In one file, and in shards as they are named there."""
    return make_original(published, tmp_path / published.name, request.param)


def test_original_layout_gives_the_same_gguf(smelt, published, original, tmp_path):
    smelt("convert", published, tmp_path / "published.gguf", "--quiet", check=True)
    smelt("convert", original, tmp_path / "original.gguf", "--quiet", check=True)
    ours, theirs = read_gguf(tmp_path / "original.gguf"), read_gguf(tmp_path / "published.gguf")
    assert list(ours.kv.items()) == list(theirs.kv.items())
    assert {n: (t.type, t.shape, t.data) for n, t in ours.tensors.items()} == {n: (t.type, t.shape, t.data) for n, t in theirs.tensors.items()}


def assert_is_the_published(folder, published):
    import transformers
    assert_same_tensors(checkpoint_tensors(folder), checkpoint_tensors(published))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert json.loads((folder / name).read_text()) == json.loads((published / name).read_text())
    ours, theirs = (transformers.AutoConfig.from_pretrained(d).to_dict() for d in (folder, published))
    for k in ("transformers_version", "_name_or_path", "dtype"):
        ours.pop(k, None), theirs.pop(k, None)
    assert ours == theirs


def test_original_layout_becomes_the_published_one(smelt, published, original, tmp_path):
    """Straight to a directory, and by way of GGUF."""
    smelt("convert", original, tmp_path / "straight", "--quiet", check=True)
    assert_is_the_published(tmp_path / "straight", published)
    smelt("convert", original, tmp_path / "there.gguf", "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    assert_same_tensors(checkpoint_tensors(tmp_path / "back"), checkpoint_tensors(published))


def test_original_layout_is_tokenized_with_the_repositorys_tokenizer(smelt, published, original):
    for what in (["tokenize", "Hello, world 123"], ["detokenize", "5 6 7"]):
        ours, theirs = (smelt(what[0], d, what[1], check=True).stdout for d in (original, original.parent))
        assert ours == theirs and ours.strip()


def test_numbers_of_the_activation_go_along(smelt, published, tmp_path):
    original = make_original(published, tmp_path / "repository")
    makers.edit_json(original / "config.json", lambda c: c.update(swiglu_limit=5.0))
    smelt("convert", original, tmp_path / "straight", "--quiet", check=True)
    smelt("convert", original, tmp_path / "there.gguf", "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    for d in ("straight", "back"):
        assert json.loads((tmp_path / d / "config.json").read_text())["swiglu_limit"] == 5.0


def test_original_layout_without_a_tokenizer_says_so(smelt, published, tmp_path):
    original = make_original(published, tmp_path / "repository")
    done = smelt("convert", original, tmp_path / "there.gguf", check=True)
    assert "that of the directory above it is used" in done.stderr
    shutil.move(original, tmp_path / "alone")
    done = smelt("convert", tmp_path / "alone", tmp_path / "bare.gguf", check=True)
    assert "has no tokenizer" in done.stderr and "tokenizer.json" in done.stderr
    assert "tokenizer.ggml.tokens" not in read_gguf(tmp_path / "bare.gguf").kv
    assert read_gguf(tmp_path / "bare.gguf").tensors.keys() == read_gguf(tmp_path / "there.gguf").tensors.keys()


def dequantised(path) -> dict:
    """The checkpoint that a GGUF file says, by the gguf package's decoders: matrices in bfloat16, experts as transformers has them."""
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize
    have = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).reshape([int(n) for n in reversed(t.shape)]).bfloat16()
            for t in GGUFReader(str(path)).tensors}
    both = lambda p, part: torch.stack([have.pop(f"{p}ffn_{k}_exps.{part}") for k in ("gate", "up")], 2).flatten(1, 2)
    out = {"model.embed_tokens.weight": have.pop("token_embd.weight"), "model.norm.weight": have.pop("output_norm.weight"),
           "lm_head.weight": have.pop("output.weight")}
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm", "mlp.router": "ffn_gate_inp",
             "self_attn.o_proj": "attn_output", **{f"self_attn.{k}_proj": f"attn_{k}" for k in "qkv"}}
    for i in range(2):
        p, to = f"blk.{i}.", f"model.layers.{i}."
        for theirs, ours in names.items():
            out |= {f"{to}{theirs}.{part}": have.pop(f"{p}{ours}.{part}") for part in ("weight", "bias") if f"{p}{ours}.{part}" in have}
        out[to + "self_attn.sinks"] = have.pop(p + "attn_sinks.weight")
        experts = to + "mlp.experts."
        out[experts + "gate_up_proj"] = both(p, "weight").transpose(1, 2)
        out[experts + "gate_up_proj_bias"] = both(p, "bias")
        out[experts + "down_proj"] = have.pop(p + "ffn_down_exps.weight").transpose(1, 2)
        out[experts + "down_proj_bias"] = have.pop(p + "ffn_down_exps.bias")
    assert not have, have.keys()
    return out


@pytest.mark.parametrize("name, options", [
    ("gpt-oss-bf16", ["Q8_0"]), ("gpt-oss-bf16", ["Q4_0"]), ("gpt-oss-wide", ["Q4_K_M"]),
    ("gpt-oss-wide", ["Q2_K"]), ("gpt-oss-wide", ["IQ4_XS"]), ("gpt-oss-wide", ["--tensor-type", "ffn_up_exps=q6_k", "Q4_K_S"]),
    ("gpt-oss-mxfp4", ["--allow-requantize", "Q8_0"]), ("gpt-oss-mxfp4", ["--allow-requantize", "--tensor-type", "ffn_up_exps=q5_0", "Q8_0"]),
])
def test_experts_in_blocks_become_a_directory(smelt, made, llama_quantize, tmp_path, name, options):
    """As llama-quantize leaves them, also where gate, up and down differ: the values that the blocks say, where transformers wants them."""
    import torch
    import transformers
    *flags, mix = options
    llama_quantize(made.gguf(name), tmp_path / "there.gguf", mix, *flags)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    want, got = dequantised(tmp_path / "there.gguf"), checkpoint_tensors(tmp_path / "back")
    assert sorted(got) == sorted(want)
    config = json.loads((tmp_path / "back/config.json").read_text())
    assert "quantization_config" not in config and config["torch_dtype"] == "bfloat16"
    for n, t in want.items():
        assert torch.equal(got[n].bfloat16(), t), n
    model, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    other = type(model)(model.config)
    other.load_state_dict({n: t.float() for n, t in want.items()})
    ids = torch.randint(0, config["vocab_size"], (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, other.float().eval()(ids).logits)


# The published vocabulary's pattern (tiktoken's o200k) and special tokens, in their order.
O200K = "|".join((
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"))
HARMONY = ("<|startoftext|>", "<|endoftext|>", "<|reserved_200000|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
           "<|message|>", "<|call|>", "<|endofprompt|>")
TEMPLATE = "{%- for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}\n<|start|>assistant"


def make_harmony(src: Path, out: Path) -> Path:
    """The checkpoint with a vocabulary that is built as o200k_harmony is, its template and its generation_config.json."""
    shutil.copytree(src, out)
    t = json.loads((out / "tokenizer.json").read_text())
    vocab = {k: i for i, k in enumerate(k for k in t["model"]["vocab"] if k not in [a["content"] for a in t["added_tokens"]])}
    first = 389 - 4 - len(HARMONY)  # the embedding has four rows more than there are tokens
    vocab = {k: i for k, i in vocab.items() if i < first}
    ids = {k: first + i for i, k in enumerate(HARMONY)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    t["added_tokens"] = [{"id": i, "content": k, **flags} for k, i in ids.items()]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    t["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": O200K}, "behavior": "Isolated", "invert": False}, level]}
    t["model"] |= {"vocab": vocab, "merges": [m for m in t["model"]["merges"] if "".join(m) in vocab and all(p in vocab for p in m)]}
    makers.write_json(out / "tokenizer.json", t)
    makers.write_json(out / "tokenizer_config.json", {
        "added_tokens_decoder": {str(i): {"content": k, **flags} for k, i in ids.items()}, "bos_token": "<|startoftext|>",
        "clean_up_tokenization_spaces": False, "eos_token": "<|return|>", "extra_special_tokens": {}, "pad_token": "<|endoftext|>",
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "PreTrainedTokenizerFast"})
    makers.write_json(out / "special_tokens_map.json", {"bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>"})
    makers.write_json(out / "generation_config.json", {
        "bos_token_id": ids["<|startoftext|>"], "do_sample": True, "eos_token_id": [ids["<|return|>"], ids["<|endoftext|>"], ids["<|call|>"]],
        "pad_token_id": ids["<|endoftext|>"], "transformers_version": "4.55.0.dev0"})
    (out / "chat_template.jinja").write_text(TEMPLATE)
    makers.edit_json(out / "config.json", lambda c: c.update(eos_token_id=ids["<|return|>"], pad_token_id=ids["<|endoftext|>"], bos_token_id=None))
    return out


def test_harmony_vocabulary_is_the_converters_and_comes_back(smelt, published, llama_convert, tmp_path):
    import transformers
    src = make_harmony(published, tmp_path / "harmony")
    theirs = llama_convert(src, tmp_path / "theirs.gguf", "auto", "gpt-4o")
    smelt("convert", src, tmp_path / "ours.gguf", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", theirs)
    smelt("convert", tmp_path / "ours.gguf", tmp_path / "back", "--quiet", check=True)
    ours, want = (transformers.AutoTokenizer.from_pretrained(d) for d in (tmp_path / "back", src))
    text = "Hello, WORLD's HTTPServer 12345 naïve\n\n  tabs\there/and\n<|start|>user<|message|>don't<|end|>한국어 日本 ¿qué?\r\n"
    assert ours(text).input_ids == want(text).input_ids
    talk = [{"role": "user", "content": "x"}]
    assert ours.apply_chat_template(talk, tokenize=False) == want.apply_chat_template(talk, tokenize=False)
    assert (ours.bos_token, ours.eos_token, ours.pad_token) == (want.bos_token, want.eos_token, want.pad_token)
    ours, want = (transformers.AutoConfig.from_pretrained(d) for d in (tmp_path / "back", src))
    assert (ours.eos_token_id, ours.pad_token_id) == (want.eos_token_id, want.pad_token_id)
    ours = transformers.GenerationConfig.from_pretrained(tmp_path / "back")
    assert ours.eos_token_id and ours.pad_token_id == want.pad_token_id
