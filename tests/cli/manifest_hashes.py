#!/usr/bin/env python3
"""The manifest's hashes are those of the bytes in the output files, whatever the threads, the files and the order of the work.

    manifest_hashes.py SMELT
"""

import array
import ctypes
import ctypes.util
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

import run

SMELT = os.path.abspath(sys.argv[1])
ENV = run.environment(SMELT)
TINY = os.path.join(ENV["DATA"], "tiny-llama")
checks = failures = 0


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
xxhash.XXH3_128bits.restype = Hash128


def xxh3_128(data):
    h = xxhash.XXH3_128bits(data, len(data))
    return f"{h.high:016x}{h.low:016x}"


def check(ok, what):
    global checks, failures
    checks += 1
    if not ok:
        failures += 1
        print("FAILED: " + what)


def smelt(*args, **options):
    return subprocess.run([SMELT, *args], env=ENV, capture_output=True, text=True, timeout=120, **options)


def make_source(path, shapes):
    """A GGUF file of float32 matrices with these shapes."""
    random.seed(1)
    base = array.array("f", (random.uniform(-1, 1) for _ in range(9973))).tobytes()

    def text(t):
        return struct.pack("<Q", len(t)) + t.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("synthetic")
    offset = 0
    for i, (rows, cols) in enumerate(shapes):
        head += text(f"blk.{i}.ffn_up.weight") + struct.pack("<IQQIQ", 2, cols, rows, 0, offset)
        offset += 4 * rows * cols
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as f:
        f.write(head)
        for i, (rows, cols) in enumerate(shapes):
            size = 4 * rows * cols
            f.write((base[4 * i :] * (size // len(base) + 2))[:size])


def look(what, folder, *command):
    """Runs with a manifest and checks it against the files."""
    path = os.path.join(folder, "manifest.json")
    done = smelt(*command, "--manifest", path)
    check(done.returncode == 0, f"{what}: {done.returncode} {done.stderr}")
    if done.returncode:
        return {}
    with open(path, encoding="utf-8") as f:
        manifest = json.load(f)
    target = manifest["target"]["path"]
    place = target if os.path.isdir(target) else os.path.dirname(target)
    for file in manifest["target"]["files"]:
        size = os.path.getsize(os.path.join(place, file["name"]))
        check(size == file["bytes"], f"{what}: {file['name']} has {size} bytes, not {file['bytes']}")
    for t in manifest["tensors"]:
        with open(os.path.join(place, t["file"]), "rb") as f:
            f.seek(t["offset"])
            seen = xxh3_128(f.read(t["bytes"]))
        check(seen == t["xxh3_128"], f"{what}: {t['name']}: the file's hash is {seen}, the manifest's {t['xxh3_128']}")
    check(manifest["totals"]["tensors"] == len(manifest["tensors"]), f"{what}: tensors are missing")
    check(manifest["totals"]["bytes_out"] == sum(t["bytes"] for t in manifest["tensors"]), f"{what}: bytes_out")
    return manifest


def main():
    with tempfile.TemporaryDirectory(prefix="smelt-manifest-") as tmp:
        source = os.path.join(tmp, "source.gguf")
        # Tensors of many units, which several threads work on, and of one.
        make_source(source, [(4000, 1024), (3, 32), (1024, 1024), (1, 4096), (2048, 1000)])
        seen = []
        for threads in ("1", "2", "7"):
            target = os.path.join(tmp, "out.gguf")
            seen.append(look(f"Q4_0, {threads} threads", tmp, "quantize", source, target, "Q4_0", "--threads", threads))
            look(f"F32, {threads} threads", tmp, "quantize", source, target, "F32", "--threads", threads)
        check(seen[0] == seen[1] == seen[2], "the manifest depends on the number of threads")
        parts = look("split", tmp, "quantize", source, os.path.join(tmp, "part.gguf"), "Q4_0", "--split-max-tensors", "2")
        check(len({t["file"] for t in parts["tensors"]}) == 3, "split: not in three files")
        hashes = [{t["name"]: t["xxh3_128"] for t in m["tensors"]} for m in (seen[0], parts)]
        check(hashes[0] == hashes[1], "split: other hashes than in one file")
        for target in ("tiny.gguf", "tiny.safetensors", "tiny.pt", "tiny"):
            look(target, tmp, "convert", TINY, os.path.join(tmp, target))
        dry = smelt("quantize", TINY, "none.gguf", "Q4_0", "--dry-run", "--manifest", "dry.json", cwd=tmp)
        with open(os.path.join(tmp, "dry.json"), encoding="utf-8") as f:
            tensors = json.load(f)["tensors"]
        check(dry.returncode == 0 and tensors and not any("xxh3_128" in t for t in tensors), "a dry run has hashes")
        strange = os.path.join(tmp.encode(), b"not-utf8-\xff.gguf")
        os.rename(source, strange)
        look("a name that is no UTF-8", tmp, "quantize", strange, os.path.join(tmp, "out.gguf"), "Q4_0")
        left = [n for n in os.listdir(tmp) if "smelt-" in n]
        check(not left, f"left behind: {left}")
    print(f"{checks} checks, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
