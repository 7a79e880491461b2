"""Recorded logits: what transformers records and what we record are the same, and verify takes either."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from conftest import ROOT
from test_families import FamilyWorkshop, made  # noqa: F401

TEXT = ROOT / "LICENSE"
SCRIPT = Path(__file__).parent / "record_logits.py"


def theirs(*args) -> None:
    done = subprocess.run([sys.executable, "-B", SCRIPT, *map(str, args)], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]


def metadata(path) -> dict:
    with safe_open(path, "np") as f:
        return {k: v for k, v in f.metadata().items() if k.startswith("smelt.")}


def verified(smelt, candidate, reference) -> dict:
    done = smelt("verify", candidate, "--against", reference, "--policy", "none", "--json", "--quiet", check=True)
    return json.loads(done.stdout)["logits"]


def value(logits: dict, *names) -> float:
    """A value of the report, whatever object it stands in."""
    for name in names:
        if name in logits:
            v = logits[name]
            return v["value"] if isinstance(v, dict) else v
    raise KeyError(names)


@pytest.mark.parametrize("name", ["falcon-7b-now", "gptj-now", "gpt-oss-wide"])
def test_a_family(name, tmp_path, smelt, made):  # noqa: F811
    source = made.checkpoint(name)
    (tmp_path / "ids").write_text(" ".join(str(i * 37 % 64) for i in range(100)))
    for top in (0, 9):
        ours, other = tmp_path / f"ours{top}.safetensors", tmp_path / f"theirs{top}.safetensors"
        more = ["--context", 24, *(["--top-k", top] if top else [])]
        smelt("record", source, "--tokens", tmp_path / "ids", "-o", ours, *more, "--quiet", check=True)
        theirs(source, tmp_path / "ids", other, "--tokens", *more)
        a, b = load_file(ours), load_file(other)
        assert a.keys() == b.keys()
        for key in a:
            assert a[key].dtype == b[key].dtype and a[key].shape == b[key].shape, key
            if a[key].dtype.kind == "f":
                assert np.abs(a[key] - b[key]).max() <= 2e-4 * max(1, np.abs(b[key]).max()), key
        assert (a["input_ids"] == b["input_ids"]).all()
        for reference in (ours, other):
            assert abs(value(verified(smelt, source, reference), "kl")) < 1e-6


def test_smollm2(tmp_path, smelt, smollm2):
    """With its tokenizer, whose hash both write alike; and how much the largest logits say of a Q4_0's KL."""
    smelt("quantize", smollm2, tmp_path / "q4.gguf", "Q4_0", "--quiet", check=True)
    ours, other, top = (tmp_path / f"{n}.safetensors" for n in ("ours", "theirs", "top"))
    more = ["--context", 256, "--chunks", 2]
    smelt("record", smollm2, "--text", TEXT, "-o", ours, *more, "--quiet", check=True)
    theirs(smollm2, TEXT, other, *more)
    theirs(smollm2, TEXT, top, *more, "--top-k", 64)
    assert metadata(ours) == metadata(other) == metadata(top)
    assert (load_file(ours)["input_ids"] == load_file(other)["input_ids"]).all()
    kl = [value(verified(smelt, tmp_path / "q4.gguf", reference), "kl") for reference in (ours, other, top)]
    assert kl[0] > 0.01 and kl[1] == pytest.approx(kl[0], rel=1e-3)
    assert 0.8 * kl[0] < kl[2] <= kl[0] * 1.001
    assert top.stat().st_size < 512 * 600
