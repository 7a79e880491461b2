#!/usr/bin/env python3
"""Times `smelt` and the `tokenizers` package side by side, on one thread.

    tokenize.py TOK_CLI TOKENIZER.json [MEGABYTES [ROUNDS]]

The text is sources and documentation of the peers' llama.cpp tree, repeated to the size wanted, as whole files and line by line.
Rounds alternate between the two; medians are printed. The ids are compared once.
"""
import os
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

ROOT = Path.home() / ".cache/smelt-peers/llama.cpp"
KINDS = {".c", ".cpp", ".h", ".py", ".md", ".txt", ".sh"}


def corpus(size):
    texts, total = [], 0
    files = sorted(p for p in ROOT.rglob("*") if p.suffix in KINDS and p.is_file() and "build" not in p.parts)
    for path in files[::3]:
        data = path.read_bytes()[:300_000]
        try:
            texts.append(data.decode())
        except UnicodeDecodeError:
            continue
        total += len(data)
        if total >= size:
            return texts
    return texts


def smelt(cli, source, texts):
    """Seconds for encoding alone (the program reports them), and the ids."""
    data = b"".join(struct.pack("<I", len(b)) + b for b in (t.encode() for t in texts))
    done = subprocess.run([cli, source, "time"], input=data, capture_output=True, check=True)
    ids, at = [], 0
    while at < len(done.stdout):
        (n,) = struct.unpack_from("<I", done.stdout, at)
        ids.append(list(struct.unpack_from(f"<{n}i", done.stdout, at + 4)))
        at += 4 + 4 * n
    return float(done.stderr), ids


def peer(tokenizer, texts):
    start = time.perf_counter()
    ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
    return time.perf_counter() - start, ids


def main(argv):
    cli, source = argv[1], argv[2]
    size = int(float(argv[3]) * 1e6) if len(argv) > 3 else 10_000_000
    rounds = int(argv[4]) if len(argv) > 4 else 3
    tokenizer = Tokenizer.from_file(source)
    whole = corpus(size)
    for name, texts in (("files", whole), ("lines", [l for t in whole for l in t.splitlines(keepends=True)])):
        total = sum(len(t.encode()) for t in texts)
        ours, theirs = [], []
        for i in range(rounds):
            a, got = smelt(cli, source, texts)
            b, want = peer(tokenizer, texts)
            if i == 0 and got != want:
                print(f"{name}: the ids differ")
                return 1
            ours.append(a)
            theirs.append(b)
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{name}: {total / 1e6:.1f} MB in {len(texts)} texts: smelt {total / a / 1e6:.1f} MB/s, "
              f"tokenizers {total / b / 1e6:.2f} MB/s, {b / a:.1f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
