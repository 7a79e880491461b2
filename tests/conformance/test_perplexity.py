"""smelt perplexity beside llama-perplexity, on a real model.

llama.cpp rounds activations: to 16 bits for 16-bit weights, to 8 bits for quantised ones, 256 to a scale for k-quants. On so many tokens that
moves a perplexity by up to 1 %, up or down; --fast rounds in another way, and moves it too. In float32 the value is that of
transformers with the same weights (test_engine.py compares logits)."""
import json
import re

import pytest

from conftest import ROOT

BOUNDS = {"f32": 0.001, "f16": 0.005, "auto": 0.005}
MIXES = {"Q8_0": 0.005, "Q4_0": 0.005, "Q6_K": 0.01, "Q4_K_M": 0.01}
CHUNKS = "8"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    out = tmp_path_factory.mktemp("text") / "text"
    out.write_bytes((ROOT / "LICENSE").read_bytes() + (ROOT / "src/verify/sample.txt").read_bytes())
    return out


@pytest.fixture
def theirs(llama, text):
    def call(source, *more) -> float:
        out = llama("perplexity", "-m", source, "-f", text, "-t", "2", "--chunks", CHUNKS, *more)
        said = out.stdout + out.stderr
        # With strides it prints the values after each chunk alone.
        return float((re.findall(r"Final estimate: PPL = ([\d.]+)", said) or re.findall(r"\[\d+\]([\d.]+),", said))[-1])
    return call


@pytest.fixture
def perplexity(smelt, text):
    def call(source, *more) -> float:
        out = smelt("perplexity", source, "--text", text, "--json", "--quiet", "--threads", "2", "--chunks", CHUNKS, *more, check=True)
        return json.loads(out.stdout)["perplexity"]
    return call


@pytest.mark.parametrize("outtype", BOUNDS)
def test_perplexity_is_llama_perplexitys(perplexity, theirs, workshop, smollm2, outtype):
    source = workshop.big_gguf("smollm2", outtype)
    assert perplexity(source) == pytest.approx(theirs(source), rel=BOUNDS[outtype])


def test_contexts_of_another_size(perplexity, theirs, workshop, smollm2):
    source = workshop.big_gguf("smollm2", "f32")
    assert perplexity(source, "--context", "256") == pytest.approx(theirs(source, "-c", "256"), rel=BOUNDS["f32"])


# llama-perplexity adds half of the stride to the context that it is given.
@pytest.mark.parametrize("stride, context", [(128, 448), (300, 362)])
def test_strides(perplexity, theirs, workshop, smollm2, stride, context):
    source = workshop.big_gguf("smollm2", "f32")
    want = theirs(source, "-c", context, "-b", "512", "--ppl-stride", stride)
    assert perplexity(source, "--context", "512", "--stride", str(stride)) == pytest.approx(want, rel=BOUNDS["f32"])


@pytest.mark.parametrize("mix", MIXES)
def test_quantised_and_fast(perplexity, theirs, smelt, smollm2, tmp_path, mix):
    source = tmp_path / "small.gguf"
    smelt("quantize", smollm2, source, mix, "--quiet", check=True)
    want = theirs(source)
    assert perplexity(source) == pytest.approx(want, rel=MIXES[mix])
    assert perplexity(source, "--fast") == pytest.approx(want, rel=MIXES[mix])
