"""The engine beside transformers in float32: every family and variant, from checkpoints and from GGUF files, in one batch, through
a cache, on one thread and on two."""
import numpy as np
import pytest

import make_checkpoints as makers
import make_families as families
from conftest import run
from test_families import FamilyWorkshop, made  # noqa: F401

BOUND = 2e-4  # of the largest logit
FAMILIES = [f.name for f in families.FAMILIES]
# The others differ from these in their vocabularies and files alone.
LLAMAS = ["llama-mha-spm", "Llama-GQA-Tied-2x64", "odd-hidden-72", "biases", "head-dim-32", "mixed-dtypes", "bin-sharded", "bin-views",
          "rope-llama3-v5", "rope-llama3-v4", "rope-linear-v5", "rope-linear-v4", "rope-yarn-v5", "rope-yarn-v4", "rope-theta-twice", "rope-dicts-twice", "rope-yarn-bare", "bare-LlamaModel",
          "Yi-6B-like-Chat", "Mistral-7B-like-v0.3", "Mistral-v4-no-window"]


@pytest.fixture
def logits(build, tmp_path):
    def call(source, rows, threads=2, fast=0, step=0):
        (tmp_path / "ids").write_text("".join(" ".join(map(str, r)) + "\n" for r in rows))
        run(build / "tests/logits_cli", source, tmp_path / "ids", tmp_path / "out", threads, fast, step, check=True)
        return np.fromfile(tmp_path / "out", np.float32).reshape(sum(map(len, rows)), -1)
    return call


def far(ours, theirs) -> float:
    assert ours.shape == theirs.shape and np.isfinite(ours).all()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def compare(logits, source, reference):
    ids, want = reference["input_ids"].tolist(), np.concatenate(list(reference["logits"].numpy()))
    ours = logits(source, ids)
    assert far(ours, want) <= BOUND
    assert far(logits(source, ids, threads=1, step=7), want) <= BOUND
    # Rows of unequal lengths.
    short = logits(source, [ids[0][:11], ids[1]])
    assert far(short, np.concatenate([ours[:11], ours[len(ids[0]):]])) <= BOUND


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_transformers(logits, made, name):  # noqa: F811
    compare(logits, made.checkpoint(name), made.logits(name))


@pytest.mark.parametrize("name", [f.name for f in families.FAMILIES if f.gguf_keeps])
def test_a_family_from_gguf_is_transformers(smelt, logits, made, tmp_path, name):  # noqa: F811
    smelt("convert", made.checkpoint(name), tmp_path / "there.gguf", "--type", families.BY_NAME[name].type, "--quiet", check=True)
    reference = made.logits(name)
    ids, want = reference["input_ids"].tolist(), np.concatenate(list(reference["logits"].numpy()))
    assert far(logits(tmp_path / "there.gguf", ids), want) <= BOUND


@pytest.mark.parametrize("name", LLAMAS)
def test_a_llama_is_transformers(logits, workshop, name):
    compare(logits, workshop.checkpoint(name), workshop.logits(name))


@pytest.mark.parametrize("outtype", ["f32", "auto"])
def test_smollm2_is_transformers(logits, workshop, smollm2, outtype):
    import torch
    import transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    ids = torch.randint(0, 49152, (2, 150), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = np.concatenate(list(model(ids).logits.numpy()))
    for source in (smollm2, workshop.big_gguf("smollm2", outtype)):
        assert far(logits(source, ids.tolist()), want) <= BOUND


@pytest.mark.parametrize("mix", ["Q8_0", "Q4_0", "Q6_K", "Q4_K_M"])
def test_a_quantised_file_is_transformers(smelt, logits, smollm2, tmp_path, mix):
    import torch
    import transformers
    smelt("quantize", smollm2, tmp_path / "small.gguf", mix, "--quiet", check=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="small.gguf", dtype=torch.float32).eval()
    ids = torch.randint(0, 49152, (2, 150), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        want = np.concatenate(list(model(ids).logits.numpy()))
    assert far(logits(tmp_path / "small.gguf", ids.tolist()), want) <= BOUND
