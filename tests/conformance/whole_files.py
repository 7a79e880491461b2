#!/usr/bin/env python3
"""Quantizes whole models with every mix, with llama-quantize and with smelt, and compares the tensor data by their SHA-256.

    whole_files.py [--models smollm2,llama191m] [--mixes Q4_K_M,...] [--without-matrix] [--threads N] [MODEL.gguf ...]

Too long for every run (an hour and more on two cores): the tests beside this file do the same with small models. Each model, one
of bench/run's or a GGUF file, is quantized with an importance matrix of llama-imatrix (--without-matrix: with none, but for mixes
that require one, which are left out), with AVX-512 and AVX2 (or NEON). Runs with the peers' Python; exit code 1
if anything differs.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from conftest import LLAMA_CPP, PEERS, Workshop, read_gguf, smelt_path  # noqa: E402
from test_imatrix import MIXES  # noqa: E402
import make_checkpoints as makers  # noqa: E402

MAKERS = {"smollm2": makers.make_smollm2, "llama191m": makers.make_llama191m}
REQUIRE = {"Q2_K_S", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS"}
LEVELS = ("avx512", "avx2", "neon")


def call(*args, **env):
    return subprocess.run([str(a) for a in args], env={**os.environ, **env}, capture_output=True, text=True)


def must(*args):
    done = call(*args)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}\nended with {done.returncode}:\n{done.stderr[-2000:]}")


def digest(path):
    """SHA-256 of names, types and data of all tensors."""
    h = hashlib.sha256()
    for name, t in read_gguf(path).tensors.items():
        h.update(f"{name} {t.type} {t.shape}\n".encode())
        h.update(t.data)
    return h.hexdigest()


def gguf_of(name):
    if name.endswith(".gguf"):
        return Path(name)
    shop = Workshop()
    shop.big(name, MAKERS[name])
    return shop.big_gguf(name, "bf16")


def matrix_of(model, folder):
    dst = folder / f"{model.stem}.imatrix.gguf"
    must(LLAMA_CPP / "build/bin/llama-imatrix", "-m", model, "-f", HERE.parents[1] / "LICENSE", "-o", dst, "-c", "128", "--chunks", "2", "--no-ppl")
    return dst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="smollm2,llama191m")
    parser.add_argument("--mixes", default=",".join(MIXES))
    parser.add_argument("--without-matrix", action="store_true")
    parser.add_argument("--threads", default="2")
    parser.add_argument("files", nargs="*")
    a = parser.parse_args()
    different = compared = 0
    with tempfile.TemporaryDirectory(dir=PEERS) as tmp:
        folder = Path(tmp)
        theirs, ours = folder / "theirs.gguf", folder / "ours.gguf"
        for name in a.files or a.models.split(","):
            model = gguf_of(name)
            more = [] if a.without_matrix else ["--imatrix", matrix_of(model, folder)]
            for mix in a.mixes.split(","):
                if a.without_matrix and mix in REQUIRE:
                    continue
                must(LLAMA_CPP / "build/bin/llama-quantize", *more, model, theirs, mix, a.threads)
                expected = digest(theirs)
                said = []
                for level in LEVELS:
                    ours.unlink(missing_ok=True)
                    done = call(smelt_path(), "quantize", model, ours, mix, *more, "--threads", a.threads, "--quiet", SMELT_CPU=level)
                    if done.returncode == 2:  # not a level of this machine
                        continue
                    equal = done.returncode == 0 and digest(ours) == expected
                    said.append(f"{level} {'equal' if equal else 'DIFFERENT ' + done.stderr[-300:]}")
                    compared += 1
                    different += not equal
                print(f"{name} {mix}{'' if more else ' without matrix'}: {expected[:16]} {', '.join(said)}", flush=True)
    print(f"{compared} files compared, {different} different")
    sys.exit(different != 0 or compared == 0)


if __name__ == "__main__":
    main()
