#!/usr/bin/env python3
"""Writes a Hugging Face checkpoint of any size whose weights are holes: make_sparse.py OUTDIR [LAYERS]

The shapes are those of an 8B LLaMA 3 (hidden 4096, feed-forward 14336, 32 heads, 8 for keys), bfloat16, 436 MB a layer; 20
layers make 9.2 GB that occupy a few kilobytes of disk. The tokenizer is that of tests/data/tiny-llama.
"""
import json
import os
import shutil
import struct
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data/tiny-llama"
HIDDEN, INTER, HEADS, KV_HEADS, VOCAB = 4096, 14336, 32, 8, 32000
HEAD_DIM = HIDDEN // HEADS
SHARD = 2_000_000_000


def tensors(layers: int):
    yield "model.embed_tokens.weight", [VOCAB, HIDDEN]
    for i in range(layers):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", [HIDDEN]
        yield p + "mlp.down_proj.weight", [HIDDEN, INTER]
        yield p + "mlp.gate_proj.weight", [INTER, HIDDEN]
        yield p + "mlp.up_proj.weight", [INTER, HIDDEN]
        yield p + "post_attention_layernorm.weight", [HIDDEN]
        yield p + "self_attn.k_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]
        yield p + "self_attn.o_proj.weight", [HIDDEN, HEADS * HEAD_DIM]
        yield p + "self_attn.q_proj.weight", [HEADS * HEAD_DIM, HIDDEN]
        yield p + "self_attn.v_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    yield "lm_head.weight", [VOCAB, HIDDEN]


def size_of(shape: list[int]) -> int:
    n = 2
    for d in shape:
        n *= d
    return n


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    out, layers = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 20
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shards: list[list] = [[]]
    for name, shape in tensors(layers):
        if sum(size_of(s) for _, s in shards[-1]) + size_of(shape) > SHARD:
            shards.append([])
        shards[-1].append((name, shape))
    where = {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for n, shape in shard:
            header[n] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size_of(shape)]}
            at += size_of(shape)
            where[n] = name
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(out / name, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)
    total = sum(size_of(s) for shard in shards for _, s in shard)
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}))
    config = json.loads((DATA / "config.json").read_text())
    config.update(hidden_size=HIDDEN, intermediate_size=INTER, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
                  head_dim=HEAD_DIM, num_hidden_layers=layers, vocab_size=VOCAB, tie_word_embeddings=False)
    (out / "config.json").write_text(json.dumps(config, indent=2))
    for f in DATA.glob("tokenizer*"):
        shutil.copy(f, out)
    used = sum(os.stat(p).st_blocks * 512 for p in out.iterdir())
    print(f"{out}: {total / 1e9:.1f} GB of weights in {len(shards)} shards, {used // 1000} kB of disk")


if __name__ == "__main__":
    main()
