#!/usr/bin/env python3
"""smelt verify --derives-from: files are what their source and recipe give, and no flipped bit goes unseen.

    derives.py SMELT
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SMELT = os.path.abspath(sys.argv[1])
DATA = Path(__file__).resolve().parent.parent / "data"
FLIPS = 60  # in each file, besides every byte of what it says of how it was made


def smelt(*args) -> subprocess.CompletedProcess:
    return subprocess.run([SMELT, *map(str, args)], capture_output=True, text=True, errors="replace", timeout=120)


def make(*args) -> None:
    done = smelt(*args, "--quiet")
    assert done.returncode == 0, (args, done.stderr)


def derives(candidate, source, *more) -> tuple[int, str]:
    done = smelt("verify", candidate, "--derives-from", source, "--quiet", *more)
    return done.returncode, done.stdout + done.stderr


def flip(path: Path, byte: int, bit: int) -> None:
    with open(path, "r+b") as f:
        f.seek(byte)
        old = f.read(1)[0]
        f.seek(byte)
        f.write(bytes([old ^ 1 << bit]))


def check_flips(path: Path, candidate: Path, source: Path, rng: random.Random, *more) -> None:
    data = path.read_bytes()
    said = {b for m in re.finditer(rb"smelt\.(version|recipe|source)", data) for b in range(m.start(), min(m.end() + 60, len(data)))}
    said = set(rng.sample(sorted(said), min(len(said), 80)))
    # The header, the data and the last byte; a file of text has no more than the first.
    places = said | {0, len(data) - 1} | {rng.randrange(min(len(data), 12000)) for _ in range(FLIPS)} | \
        {rng.randrange(len(data)) for _ in range(FLIPS // 2)}
    for byte in sorted(places):
        bit = rng.randrange(8)
        flip(path, byte, bit)
        code, text = derives(candidate, source, *more)
        flip(path, byte, bit)
        assert code in (1, 3, 4), f"{path.name}: bit {bit} of byte {byte} flipped, exit {code}:\n{text}"
    assert path.read_bytes() == data


def main() -> None:
    rng = random.Random(1)
    os.chdir(tempfile.mkdtemp())
    shutil.copytree(DATA / "tiny-llama", "model")
    shutil.copy(DATA / "imatrix/tiny-llama.gguf", "im.gguf")
    Path("rules").write_text("attn_v more q8_0\n")
    make("convert", "model", "plain.gguf")
    make("convert", "model", "q8.gguf", "--type", "q8_0")
    make("quantize", "model", "q4.gguf", "Q4_K_M", "--recipe", "rules", "--override-kv", "general.author=str:x", "--prune-layers", "1",
         "--tensor-type", "output=q6_k")
    make("quantize", "plain.gguf", "im.q4.gguf", "IQ4_NL", "--imatrix", "im.gguf")
    make("convert", "model", "split.gguf", "--split-max-tensors", "8")
    make("convert", "plain.gguf", "one.safetensors", "--type", "f32")
    make("convert", "plain.gguf", "directory", "--split-max-tensors", "8")
    im = ("--imatrix", "im.gguf")
    cases = [("plain.gguf", "model"), ("q8.gguf", "model"), ("q4.gguf", "model"), ("im.q4.gguf", "plain.gguf", *im),
             ("split-00002-of-00003.gguf", "model"), ("one.safetensors", "plain.gguf"), ("directory", "plain.gguf")]
    for case in cases:
        code, text = derives(*case)
        assert code == 0 and "same: all" in text, (case, text)
        for threads in ("1", "3"):
            assert derives(*case, "--threads", threads) == (code, text)

    # The source may be elsewhere, and may be its twin of another format.
    os.makedirs("elsewhere")
    shutil.copytree("model", "elsewhere/renamed")
    assert derives("q4.gguf", "elsewhere/renamed")[0] == 0
    os.makedirs("twin")
    make("convert", "model/model.safetensors", "twin/pytorch_model.bin")
    for name in os.listdir("model"):
        if name != "model.safetensors":
            shutil.copy(f"model/{name}", "twin")
    assert derives("q8.gguf", "twin")[0] == 0, derives("q8.gguf", "twin")
    shutil.copy("q8.gguf", "elsewhere/other-name.gguf")
    assert derives("elsewhere/other-name.gguf", "model")[0] == 0

    for name, candidate, source, *more in [
            ("plain.gguf", "plain.gguf", "model"), ("q4.gguf", "q4.gguf", "model"), ("im.q4.gguf", "im.q4.gguf", "plain.gguf", *im),
            ("split-00001-of-00003.gguf", "split-00001-of-00003.gguf", "model"),
            ("split-00003-of-00003.gguf", "split-00001-of-00003.gguf", "model"), ("one.safetensors", "one.safetensors", "plain.gguf"),
            ("directory/model-00002-of-00003.safetensors", "directory", "plain.gguf"), ("directory/config.json", "directory", "plain.gguf"),
            ("directory/model.safetensors.index.json", "directory", "plain.gguf")]:
        check_flips(Path(name), Path(candidate), Path(source), rng, *more)

    # Where it says that a byte is.
    size = os.path.getsize("plain.gguf")
    flip(Path("plain.gguf"), size - 5, 3)
    code, text = derives("plain.gguf", "model")
    assert code == 1 and f"byte {size - 5} is" in text and "tensor '" in text, text
    flip(Path("plain.gguf"), size - 5, 3)
    at = Path("plain.gguf").read_bytes().index(b"smollm")
    flip(Path("plain.gguf"), at, 0)
    code, text = derives("plain.gguf", "model")
    assert code == 1 and "key 'tokenizer.ggml.pre'" in text, text
    flip(Path("plain.gguf"), at, 0)

    # Bytes too many and too few.
    for cut in (-1, 1):
        data = Path("q8.gguf").read_bytes()
        Path("cut.gguf").write_bytes(data[:-1] if cut < 0 else data + b"\0")
        assert derives("cut.gguf", "model")[0] in (1, 3)

    # Another source.
    flip(Path("elsewhere/renamed/model.safetensors"), os.path.getsize("model/model.safetensors") - 1, 6)
    code, text = derives("q8.gguf", "elsewhere/renamed")
    assert code == 1 and "content hash" in text, text

    # No word of how it was made; another version; an importance matrix that is missing, or another.
    make("convert", "model", "none.gguf", "--no-provenance")
    assert derives("none.gguf", "model")[0] == 3
    data = Path("q8.gguf").read_bytes()
    at = data.index(b"smelt.version") + len("smelt.version") + 4 + 8
    Path("other.gguf").write_bytes(data[:at] + b"9" + data[at + 1:])
    code, text = derives("other.gguf", "model")
    assert code == 3 and "written by version 9" in text, text
    code, text = derives("im.q4.gguf", "plain.gguf")
    assert code == 2 and "--imatrix" in text, text
    code, text = derives("im.q4.gguf", "plain.gguf", "--imatrix", DATA / "imatrix/tiny-llama.dat")
    assert code == 3 and "is not the file" in text, text
    print("ok")


main()
