"""smelt verify beside llama-perplexity --kl-divergence on a real model, and beside numpy on transformers' logits."""
import json
import re
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import ROOT

TEXT = ROOT / "LICENSE"
FAMILIES = ROOT / "tests/data/families"


@pytest.fixture
def verify(smelt):
    def call(candidate, original, *more) -> dict:
        out = smelt("verify", candidate, "--against", original, "--policy", "none", "--json", "--quiet", "--threads", "2", *more, check=True)
        return json.loads(out.stdout)
    return call


def number(name: str, text: str) -> float:
    return float(re.search(re.escape(name) + r"\s*:\s*([-\d.]+)", text).group(1))


# llama.cpp's base file keeps 16 bits of each log-probability and nothing below 16 nats. Its products round activations where weights are
# not float32, which is no part of the divergence: it gets the same values as float32.
def test_statistics_are_llama_perplexitys(verify, llama, smelt, workshop, smollm2, tmp_path):
    small, wide, base = tmp_path / "small.gguf", tmp_path / "wide.gguf", tmp_path / "base"
    big = workshop.big_gguf("smollm2", "f32")
    smelt("quantize", smollm2, small, "Q4_K_M", "--quiet", check=True)
    smelt("convert", small, wide, "--type", "f32", "--quiet", check=True)
    llama("perplexity", "-m", big, "-f", TEXT, "-t", "2", "--kl-divergence-base", base)
    out = llama("perplexity", "-m", wide, "-t", "2", "--kl-divergence-base", base, "--kl-divergence")
    text = out.stdout + out.stderr
    ours = verify(small, big, "--text", TEXT)["logits"]
    got = [(ours[key]["value"], number(name, text) / unit) for key, name, unit in (
        ("kl", "Mean    KLD", 1), ("kl_median", "Median  KLD", 1), ("kl_p99", "99.0%   KLD", 1), ("dp_rms", "RMS Δp", 100),
        ("top1", "Same top p", 100), ("perplexity", "Mean PPL(Q)", 1), ("original_perplexity", "Mean PPL(base)", 1),
        ("perplexity_ratio", "Mean PPL(Q)/PPL(base)", 1))]
    bound = 0.01, 0.01, 0.01, 0.01, 0.003, 0.001, 0.005, 0.005
    assert not [(*pair, b) for pair, b in zip(got, bound) if pair[0] != pytest.approx(pair[1], rel=b)]


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("name", ["llama", "gptneox", "qwen3-moe"])
def test_statistics_are_numpys(verify, smelt, build, tmp_path, name):
    """Whole rows of both models' logits, from a program that prints them, and the definitions in double precision."""
    context, original, small = 16, FAMILIES / name, tmp_path / "small.gguf"
    smelt("quantize", original, small, "Q4_0", "--quiet", check=True)
    ids = np.random.default_rng(1).integers(0, 60, (5, context))
    (tmp_path / "ids").write_text("\n".join(" ".join(map(str, row)) for row in ids))
    rows = []
    for source in (original, small):
        subprocess.run([build / "tests/logits_cli", source, tmp_path / "ids", tmp_path / "out"], check=True)
        logits = np.fromfile(tmp_path / "out", np.float32).reshape(5, context, -1)
        rows.append(log_softmax(logits[:, context // 2:-1]))
    p, q = rows
    kl = (np.exp(p) * (p - q)).sum(-1).ravel()
    target = ids[:, context // 2 + 1:, None]
    lp, lq = (np.take_along_axis(x, target, -1).ravel() for x in (p, q))
    top = [np.argsort(-x, -1, kind="stable")[..., :5] for x in (p, q)]
    common = [len(set(a) & set(b)) / 5 for a, b in zip(top[0].reshape(-1, 5), top[1].reshape(-1, 5))]
    ours = verify(small, original, "--tokens", tmp_path / "ids", "--context", context)["logits"]
    n = kl.size
    assert ours["scored"] == n
    want = {
        "kl": (kl.mean(), kl.std(ddof=1) / n ** 0.5),
        "kl_median": (np.median(kl), 0),
        "kl_p99": (np.quantile(kl, 0.99), 0),
        "kl_p99.9": (np.quantile(kl, 0.999), 0),
        "kl_max": (kl.max(), 0),
        "top1": ((top[0][..., 0] == top[1][..., 0]).mean(), None),
        "top5": (np.mean(common), None),
        "dp_rms": (((np.exp(lq) - np.exp(lp)) ** 2).mean() ** 0.5, None),
        "perplexity": (np.exp(-lq.mean()), None),
        "original_perplexity": (np.exp(-lp.mean()), None),
        "perplexity_ratio": (np.exp((lp - lq).mean()), np.exp((lp - lq).mean()) * (lp - lq).std(ddof=1) / n ** 0.5),
    }
    for key, (value, error) in want.items():
        assert ours[key]["value"] == pytest.approx(value, rel=2e-6, abs=1e-9), key
        if error is not None:
            assert ours[key]["error"] == pytest.approx(error, rel=1e-5, abs=1e-9), key


def test_weights_are_numpys(verify, smelt, tmp_path):
    """Errors of a 16-bit copy, whose values numpy can round by itself."""
    original = FAMILIES / "gptj"
    smelt("convert", original, tmp_path / "f32.safetensors", "--type", "f32", "--quiet", check=True)
    tensors = load_file(tmp_path / "f32.safetensors")
    smelt("quantize", original, tmp_path / "small.gguf", "Q8_0", "--quiet", check=True)
    smelt("convert", tmp_path / "small.gguf", tmp_path / "back", "--type", "f32", "--quiet", check=True)
    back = load_file(tmp_path / "back/model.safetensors")
    name, ours = "transformer.h.0.mlp.fc_in.weight", "blk.0.ffn_up.weight"
    x, y = tensors[name].astype(np.float64), back[name].astype(np.float64)
    row = next(t for t in verify(tmp_path / "small.gguf", original, "--tokens", write_ids(tmp_path), "--context", 8)["weights"]["tensors"]
               if t["name"] == ours)
    assert row["rmse"] == pytest.approx(((y - x) ** 2).mean() ** 0.5, rel=1e-6)
    assert row["snr"] == pytest.approx(10 * np.log10((x ** 2).sum() / ((y - x) ** 2).sum()), rel=1e-6)
    assert row["cosine"] == pytest.approx((x * y).sum() / np.sqrt((x ** 2).sum() * (y ** 2).sum()), rel=1e-9)
    assert row["max_error"] == pytest.approx(np.abs(y - x).max(), rel=1e-6)
    assert row["max_error_at"] == np.abs(y - x).argmax()
    blocks = [10 * np.log10((a ** 2).sum() / ((b - a) ** 2).sum()) for a, b in zip(x.reshape(-1, 32), y.reshape(-1, 32))]
    assert row["block_snr"] == pytest.approx(min(blocks), rel=1e-6)
    assert row["block_snr_at"] == int(np.argmin(blocks)) * 32


def write_ids(folder):
    (folder / "few").write_text(" ".join(map(str, range(40))))
    return folder / "few"
