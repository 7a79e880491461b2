#!/usr/bin/env python3
"""Checkpoints of the true shapes of big models, whose weights are holes: inspect and `convert --dry-run` say the right sizes from
the headers alone. The time that each takes is printed.

    big_shapes.py SMELT [NAME...]
"""
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

SHARD = 10_000_000_000
BYTES = {"BF16": 2, "F16": 2, "U8": 1, "F32": 4}


def linear(name, rows, cols, bias=False):
    yield name + ".weight", [rows, cols]
    if bias:
        yield name + ".bias", [rows]


def norm(name, n, bias=False):
    yield name + ".weight", [n]
    if bias:
        yield name + ".bias", [n]


def llama(layers, h, ff, heads, kv, vocab):
    d = h // heads
    yield "model.embed_tokens.weight", [vocab, h]
    for i in range(layers):
        p = f"model.layers.{i}."
        yield from norm(p + "input_layernorm", h)
        for name, rows, cols in (("self_attn.q_proj", h, h), ("self_attn.k_proj", kv * d, h), ("self_attn.v_proj", kv * d, h), ("self_attn.o_proj", h, h),
                                 ("mlp.gate_proj", ff, h), ("mlp.up_proj", ff, h), ("mlp.down_proj", h, ff)):
            yield from linear(p + name, rows, cols)
        yield from norm(p + "post_attention_layernorm", h)
    yield "model.norm.weight", [h]
    yield "lm_head.weight", [vocab, h]


def neox(layers, h, vocab):
    yield "gpt_neox.embed_in.weight", [vocab, h]
    for i in range(layers):
        p = f"gpt_neox.layers.{i}."
        yield from norm(p + "input_layernorm", h, True)
        yield from norm(p + "post_attention_layernorm", h, True)
        yield from linear(p + "attention.query_key_value", 3 * h, h, True)
        yield from linear(p + "attention.dense", h, h, True)
        yield from linear(p + "mlp.dense_h_to_4h", 4 * h, h, True)
        yield from linear(p + "mlp.dense_4h_to_h", h, 4 * h, True)
    yield from norm("gpt_neox.final_layer_norm", h, True)
    yield "embed_out.weight", [vocab, h]


def mpt(layers, h, vocab):
    yield "transformer.wte.weight", [vocab, h]
    for i in range(layers):
        p = f"transformer.blocks.{i}."
        yield from norm(p + "norm_1", h)
        yield from norm(p + "norm_2", h)
        yield from linear(p + "attn.Wqkv", 3 * h, h)
        yield from linear(p + "attn.out_proj", h, h)
        yield from linear(p + "ffn.up_proj", 4 * h, h)
        yield from linear(p + "ffn.down_proj", h, 4 * h)
    yield "transformer.norm_f.weight", [h]


def falcon(layers, h, heads, kv, vocab):
    yield "transformer.word_embeddings.weight", [vocab, h]
    for i in range(layers):
        p = f"transformer.h.{i}."
        yield from norm(p + "ln_attn", h, True)
        yield from norm(p + "ln_mlp", h, True)
        yield from linear(p + "self_attention.query_key_value", (heads + 2 * kv) * (h // heads), h)
        yield from linear(p + "self_attention.dense", h, h)
        yield from linear(p + "mlp.dense_h_to_4h", 4 * h, h)
        yield from linear(p + "mlp.dense_4h_to_h", h, 4 * h)
    yield from norm("transformer.ln_f", h, True)


def gpt_oss(layers, experts, h, ff, heads, kv, d, vocab):
    yield "model.embed_tokens.weight", [vocab, h]
    for i in range(layers):
        p = f"model.layers.{i}."
        yield from norm(p + "input_layernorm", h)
        yield from norm(p + "post_attention_layernorm", h)
        yield p + "self_attn.sinks", [heads]
        yield from linear(p + "self_attn.q_proj", heads * d, h, True)
        yield from linear(p + "self_attn.k_proj", kv * d, h, True)
        yield from linear(p + "self_attn.v_proj", kv * d, h, True)
        yield from linear(p + "self_attn.o_proj", h, heads * d, True)
        yield from linear(p + "mlp.router", experts, h, True)
        yield p + "mlp.experts.gate_up_proj_blocks", [experts, 2 * ff, h // 32, 16]
        yield p + "mlp.experts.gate_up_proj_scales", [experts, 2 * ff, h // 32]
        yield p + "mlp.experts.gate_up_proj_bias", [experts, 2 * ff]
        yield p + "mlp.experts.down_proj_blocks", [experts, h, ff // 32, 16]
        yield p + "mlp.experts.down_proj_scales", [experts, h, ff // 32]
        yield p + "mlp.experts.down_proj_bias", [experts, h]
    yield "model.norm.weight", [h]
    yield "lm_head.weight", [vocab, h]


# name: config.json, tensors, type, parameters
MODELS = {
    "gpt-oss-120b": ({
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64,
        "num_attention_heads": 64, "num_key_value_heads": 8, "num_hidden_layers": 36, "num_local_experts": 128, "num_experts_per_tok": 4,
        "sliding_window": 128, "attention_bias": True, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 150000,
        "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                         "original_max_position_embeddings": 4096}, "tie_word_embeddings": False, "vocab_size": 201088,
        "quantization_config": {"quant_method": "mxfp4"}},
        lambda: gpt_oss(36, 128, 2880, 2880, 64, 8, 64, 201088), "BF16", 116_829_156_672),
    "gpt-oss-20b": ({
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64,
        "num_attention_heads": 64, "num_key_value_heads": 8, "num_hidden_layers": 24, "num_local_experts": 32, "num_experts_per_tok": 4,
        "sliding_window": 128, "attention_bias": True, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 150000,
        "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                         "original_max_position_embeddings": 4096}, "tie_word_embeddings": False, "vocab_size": 201088,
        "quantization_config": {"quant_method": "mxfp4"}},
        lambda: gpt_oss(24, 32, 2880, 2880, 64, 8, 64, 201088), "BF16", 20_914_757_184),
    "gpt-neox-20b": ({
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24576,
        "num_attention_heads": 64, "num_hidden_layers": 44, "max_position_embeddings": 2048, "rotary_pct": 0.25, "rotary_emb_base": 10000,
        "layer_norm_eps": 1e-5, "use_parallel_residual": True, "tie_word_embeddings": False, "vocab_size": 50432},
        lambda: neox(44, 6144, 50432), "F16", 20_554_567_680),
    "mpt-30b": ({
        "architectures": ["MPTForCausalLM"], "model_type": "mpt", "d_model": 7168, "n_heads": 64, "n_layers": 48, "max_seq_len": 8192,
        "expansion_ratio": 4, "no_bias": True, "vocab_size": 50432,
        "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "qk_ln": False, "attn_type": "multihead_attention"}},
        lambda: mpt(48, 7168, 50432), "BF16", 29_957_200_896),
    "falcon-40b": ({
        "architectures": ["RWForCausalLM"], "model_type": "RefinedWeb", "hidden_size": 8192, "n_head": 128, "n_head_kv": 8, "n_layer": 60,
        "alibi": False, "bias": False, "parallel_attn": True, "layer_norm_epsilon": 1e-5, "vocab_size": 65024},
        lambda: falcon(60, 8192, 128, 8, 65024), "BF16", 41_303_293_952),
    "falcon-180b": ({
        "architectures": ["FalconForCausalLM"], "model_type": "falcon", "hidden_size": 14848, "num_attention_heads": 232, "num_kv_heads": 8,
        "num_hidden_layers": 80, "new_decoder_architecture": True, "alibi": False, "bias": False, "multi_query": True, "parallel_attn": True,
        "layer_norm_epsilon": 1e-5, "vocab_size": 65024},
        lambda: falcon(80, 14848, 232, 8, 65024), "BF16", 178_557_088_768),
    "llama-65b": ({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192, "intermediate_size": 22016,
        "num_attention_heads": 64, "num_hidden_layers": 80, "rms_norm_eps": 1e-5, "max_position_embeddings": 2048, "vocab_size": 32000,
        "tie_word_embeddings": False}, lambda: llama(80, 8192, 22016, 64, 64, 32000), "F16", 65_285_660_672),
    "yi-34b": ({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 7168, "intermediate_size": 20480,
        "num_attention_heads": 56, "num_key_value_heads": 8, "num_hidden_layers": 60, "rms_norm_eps": 1e-5, "rope_theta": 5000000.0,
        "max_position_embeddings": 4096, "vocab_size": 64000, "tie_word_embeddings": False},
        lambda: llama(60, 7168, 20480, 56, 8, 64000), "BF16", 34_388_917_248),
}


def make(folder, config, tensors, dtype):
    """A sharded checkpoint that occupies its headers only; returns [(name, type, shape)]."""
    os.mkdir(folder)
    shards, left = [[]], SHARD
    for name, shape in tensors:
        kind = "U8" if name.endswith(("_blocks", "_scales")) else dtype
        size = math.prod(shape) * BYTES[kind]
        if shards[-1] and size > left:
            shards.append([])
            left = SHARD
        shards[-1].append((name, kind, shape, size))
        left -= size
    where = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        at, header = 0, {}
        for name, kind, shape, size in shard:
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
            at += size
            where[name] = file
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, file), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": sum(s[3] for shard in shards for s in shard)}, "weight_map": where}, f)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({**config, "torch_dtype": {"F16": "float16", "BF16": "bfloat16"}[dtype]}, f)
    return [s for shard in shards for s in shard]


def padded(n):
    return (n + 31) // 32 * 32


def gguf_bytes(tensors):
    """Bytes of tensor data in GGUF: matrices in the checkpoint's type, the rest in float32, MXFP4 in blocks of 17; padded."""
    total = 0
    for name, kind, shape, size in tensors:
        n = math.prod(shape)
        if name.endswith("_scales"):
            # Scale and codes are one tensor; gate and up are two.
            parts = 2 if "gate_up" in name else 1
            total += parts * padded(n // parts * 17)
        elif kind != "U8":
            parts = 2 if name.endswith("gate_up_proj_bias") else 1
            f32 = len(shape) < 2 or name.endswith(("_bias", "router.weight"))
            total += parts * padded(n // parts * 4 if f32 else size)
    return total


def timed(*args):
    began = time.monotonic()
    done = subprocess.run(args, capture_output=True, text=True, timeout=120)
    return done, time.monotonic() - began


def main():
    smelt, failures = os.path.abspath(sys.argv[1]), 0
    for name in sys.argv[2:] or MODELS:
        config, tensors, dtype, params = MODELS[name]
        with tempfile.TemporaryDirectory() as top:
            folder = os.path.join(top, name)
            made = make(folder, config, tensors(), dtype)
            seen, inspected = timed(smelt, "inspect", folder, "--json")
            plan, planned = timed(smelt, "convert", folder, os.path.join(top, "out.gguf"), "--dry-run")
            problems = [f"ended with {p.returncode}: {p.stderr[-1500:]}" for p in (seen, plan) if p.returncode]
            if not problems:
                said = json.loads(seen.stdout)
                if said["parameters"] != params:
                    problems.append(f"inspect says {said['parameters']} parameters, there are {params}")
                if said["bytes"] != sum(s[3] for s in made):
                    problems.append(f"inspect says {said['bytes']} bytes, there are {sum(s[3] for s in made)}")
                size = int(re.search(r"would write 1 file with (\d+) bytes", plan.stdout)[1])
                # Before the data stand the keys, and for each tensor its name, shape, type and offset.
                head = size - gguf_bytes(made)
                if not 0 < head < 20_000 + 100 * len(made):
                    problems.append(f"the plan has {size} bytes, of which {gguf_bytes(made)} should be tensors")
            print(f"{name:14} {params / 1e9:6.1f} G parameters: inspect {inspected:.2f} s, convert --dry-run {planned:.2f} s")
            for p in problems:
                print("FAILED:", p)
            failures += len(problems)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
