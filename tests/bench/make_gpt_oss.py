#!/usr/bin/env python3
"""Writes a checkpoint with the shapes of gpt-oss-20b and random contents, as it is published: make_gpt_oss.py OUTDIR [LAYERS]

24 layers of 32 experts in MXFP4, everything else in bfloat16: 13.8 GB in three shards. The vocabulary has as many tokens and merges
as o200k_harmony's, of random letters.
"""
import json
import os
import random
import shutil
import struct
import sys
from pathlib import Path

HIDDEN, INTER, HEADS, KV_HEADS, HEAD_DIM, EXPERTS, VOCAB = 2880, 2880, 64, 8, 64, 32, 201088
TOKENS, MERGES, SHARD, CHUNK = 199998, 446189, 4_800_000_000, 1 << 26
SIZES = {"BF16": 2, "U8": 1}
# Random bytes made into exponents of numbers around 0.01, and into scales.
SMALL = bytes(b & 0x80 | 0x3B + b % 3 for b in range(256))
SCALES = bytes(112 + b % 12 for b in range(256))


def tensors(layers: int):
    yield "model.embed_tokens.weight", "BF16", [VOCAB, HIDDEN]
    for i in range(layers):
        p, e = f"model.layers.{i}.", f"model.layers.{i}.mlp.experts."
        yield p + "input_layernorm.weight", "BF16", [HIDDEN]
        yield e + "down_proj_bias", "BF16", [EXPERTS, HIDDEN]
        yield e + "down_proj_blocks", "U8", [EXPERTS, HIDDEN, INTER // 32, 16]
        yield e + "down_proj_scales", "U8", [EXPERTS, HIDDEN, INTER // 32]
        yield e + "gate_up_proj_bias", "BF16", [EXPERTS, 2 * INTER]
        yield e + "gate_up_proj_blocks", "U8", [EXPERTS, 2 * INTER, HIDDEN // 32, 16]
        yield e + "gate_up_proj_scales", "U8", [EXPERTS, 2 * INTER, HIDDEN // 32]
        yield p + "mlp.router.bias", "BF16", [EXPERTS]
        yield p + "mlp.router.weight", "BF16", [EXPERTS, HIDDEN]
        yield p + "post_attention_layernorm.weight", "BF16", [HIDDEN]
        for k, rows in (("k", KV_HEADS), ("q", HEADS), ("v", KV_HEADS)):
            yield p + f"self_attn.{k}_proj.bias", "BF16", [rows * HEAD_DIM]
            yield p + f"self_attn.{k}_proj.weight", "BF16", [rows * HEAD_DIM, HIDDEN]
        yield p + "self_attn.o_proj.bias", "BF16", [HIDDEN]
        yield p + "self_attn.o_proj.weight", "BF16", [HIDDEN, HEADS * HEAD_DIM]
        yield p + "self_attn.sinks", "BF16", [HEADS]
    yield "model.norm.weight", "BF16", [HIDDEN]
    yield "lm_head.weight", "BF16", [VOCAB, HIDDEN]


def size_of(dtype: str, shape: list[int]) -> int:
    n = SIZES[dtype]
    for d in shape:
        n *= d
    return n


def fill(f, name: str, dtype: str, size: int) -> None:
    for at in range(0, size, CHUNK):
        data = bytearray(os.urandom(min(CHUNK, size - at)))
        if dtype == "BF16":
            data[1::2] = data[1::2].translate(SMALL)
        elif name.endswith("_scales"):
            data = data.translate(SCALES)
        f.write(data)


def vocabulary() -> dict:
    """Byte-level BPE: every token is two earlier ones, and some are also two others."""
    rng = random.Random(20)
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
    vocab, ranks, merges = list(letters), {t: i for i, t in enumerate(letters)}, []
    while len(vocab) < TOKENS:
        left, right = vocab[int(len(vocab) * rng.random() ** 2)], vocab[int(len(vocab) * rng.random() ** 3)]
        if left + right not in ranks and len(left + right) <= 16:
            merges.append([left, right])
            ranks[left + right] = len(vocab)
            vocab.append(left + right)
    for t in vocab:
        for k in range(1, len(t)):
            if len(merges) < MERGES and t[:k] in ranks and t[k:] in ranks:
                merges.append([t[:k], t[k:]])
    names = {199998: "<|startoftext|>", 199999: "<|endoftext|>", 200002: "<|return|>", 200003: "<|constrain|>", 200005: "<|channel|>",
             200006: "<|start|>", 200007: "<|end|>", 200008: "<|message|>", 200012: "<|call|>", 200018: "<|endofprompt|>"}
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    suffix = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    regex = "|".join((rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{suffix}", rf"[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{suffix}", r"\p{N}{1,3}",
                      r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
        {"id": i, "content": names.get(i, f"<|reserved_{i}|>"), "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for i in range(199998, 200019)],
        "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Removed", "invert": True}, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": ranks, "merges": merges}}


def configuration(layers: int) -> dict:
    return {"architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0, "eos_token_id": 200002,
            "experts_per_token": 4, "head_dim": HEAD_DIM, "hidden_act": "silu", "hidden_size": HIDDEN, "initial_context_length": 4096,
            "intermediate_size": INTER, "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": HEADS,
            "num_experts_per_tok": 4, "num_hidden_layers": layers, "num_key_value_heads": KV_HEADS, "num_local_experts": EXPERTS,
            "pad_token_id": 199999, "quantization_config": {"modules_to_not_convert": [
                "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"},
            "rms_norm_eps": 1e-05, "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
                                                    "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": False},
            "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
            "vocab_size": VOCAB}


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    out, layers = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 24
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shards: list[list] = [[]]
    for t in tensors(layers):
        if sum(size_of(*s[1:]) for s in shards[-1]) + size_of(*t[1:]) > SHARD:
            shards.append([])
        shards[-1].append(t)
    where, total = {}, 0
    for i, shard in enumerate(shards):
        file = f"model-{i:05d}-of-{len(shards) - 1:05d}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name, dtype, shape in shard:
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size_of(dtype, shape)]}
            at += size_of(dtype, shape)
            where[name] = file
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(out / file, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for name, dtype, shape in shard:
                fill(f, name, dtype, size_of(dtype, shape))
        total += at
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}))
    (out / "config.json").write_text(json.dumps(configuration(layers), indent=2))
    tokenizer = vocabulary()
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=2))
    (out / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokenizer["added_tokens"]}}))
    print(f"{out}: {total / 1e9:.1f} GB of weights in {len(shards)} shards, {len(tokenizer['model']['merges'])} merges, "
          f"tokenizer.json of {(out / 'tokenizer.json').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
