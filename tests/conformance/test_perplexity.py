"""smelt perplexity beside llama-perplexity, on a real model."""
import json
import re

import pytest

from conftest import ROOT

TEXT = ROOT / "LICENSE"
# llama.cpp rounds activations: to 16 bits for 16-bit weights, to 8 bits for quantised ones.
BOUNDS = {"f32": 0.001, "auto": 0.005}
MIXES = {"Q8_0": 0.005, "Q4_0": 0.005}


def theirs(llama, source, *more) -> float:
    out = llama("perplexity", "-m", source, "-f", TEXT, "-t", "2", *more)
    return float(re.search(r"Final estimate: PPL = ([\d.]+)", out.stdout + out.stderr).group(1))


@pytest.fixture
def perplexity(smelt):
    def call(source, *more) -> float:
        out = smelt("perplexity", source, "--text", TEXT, "--json", "--quiet", "--threads", "2", *more, check=True)
        return json.loads(out.stdout)["perplexity"]
    return call


@pytest.mark.parametrize("outtype", BOUNDS)
def test_perplexity_is_llama_perplexitys(perplexity, llama, workshop, smollm2, outtype):
    source = workshop.big_gguf("smollm2", outtype)
    assert perplexity(source) == pytest.approx(theirs(llama, source), rel=BOUNDS[outtype])


def test_contexts_of_another_size(perplexity, llama, workshop, smollm2):
    source = workshop.big_gguf("smollm2", "f32")
    assert perplexity(source, "--context", "256") == pytest.approx(theirs(llama, source, "-c", "256"), rel=BOUNDS["f32"])


@pytest.mark.parametrize("mix", MIXES)
def test_quantised_and_fast(perplexity, llama, smelt, smollm2, tmp_path, mix):
    source = tmp_path / "small.gguf"
    smelt("quantize", smollm2, source, mix, "--quiet", check=True)
    want = theirs(llama, source)
    assert perplexity(source) == pytest.approx(want, rel=MIXES[mix])
    assert perplexity(source, "--fast") == pytest.approx(want, rel=2 * MIXES[mix])
