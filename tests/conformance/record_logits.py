#!/usr/bin/env python3
"""Records what transformers predicts, as `smelt record` does for smelt: tokens and logits of a text, in a safetensors file
(docs/record.md).

    record_logits.py CHECKPOINT TEXT OUTPUT [--tokens] [--context N] [--chunks N] [--top-k K]

With --tokens, TEXT holds ids instead.
"""

import argparse
import ctypes
import ctypes.util
import os
import struct

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3(data: bytes) -> str:
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    h = library.XXH3_128bits(data, len(data))
    return f"{h.high:016x}{h.low:016x}"


def vocabulary(tokenizer) -> str:
    by_id = {i: t for t, i in tokenizer.get_vocab().items()}
    texts = [by_id.get(i, "").encode() for i in range(max(by_id) + 1)]
    return xxh3(b"".join(struct.pack("<Q", len(t)) + t for t in texts))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("text")
    parser.add_argument("output")
    parser.add_argument("--tokens", action="store_true")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=0)
    parser.add_argument("--top-k", type=int, default=0)
    a = parser.parse_args()
    text = open(a.text, encoding="utf-8").read()
    meta = {"smelt.record.first": str(a.context // 2)}
    first = None
    if a.tokens:
        ids = [int(i) for i in text.replace(",", " ").split()]
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(a.checkpoint)
        meta["smelt.record.vocabulary"] = vocabulary(tokenizer)
        ids = tokenizer(text.removesuffix("\n"), add_special_tokens=True)["input_ids"]
        # The token that begins texts, where the tokenizer adds one, begins each chunk.
        begins = tokenizer("", add_special_tokens=True)["input_ids"]
        first = begins[0] if begins else None
    chunks = len(ids) // a.context
    chunks = min(chunks, a.chunks) if a.chunks else chunks
    ids = torch.tensor(ids[:chunks * a.context]).reshape(chunks, a.context)
    if first is not None:
        ids[:, 0] = first
    model = transformers.AutoModelForCausalLM.from_pretrained(a.checkpoint, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = torch.cat([model(row[None]).logits for row in ids]).float()
    meta["smelt.record.columns"] = str(logits.shape[-1])
    if not a.top_k:
        save_file({"input_ids": ids, "logits": logits.contiguous()}, a.output, meta)
        return
    top = logits.topk(a.top_k)
    total = logits.double().logsumexp(-1)
    target = logits.gather(-1, ids.roll(-1, 1)[..., None])[..., 0]
    target[:, -1] = 0
    save_file({"input_ids": ids, "top_ids": top.indices.int().contiguous(), "top_logits": top.values.contiguous(), "log_sum_exp": total,
               "mass": (top.values.double() - total[..., None]).exp().sum(-1), "target_logits": target.contiguous()}, a.output, meta)


main()
