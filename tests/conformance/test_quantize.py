"""Quantised GGUF: our file is the one that llama-quantize makes of the converter's."""
import json

import pytest

import make_checkpoints as makers
from conftest import assert_same_gguf, lossless_type, read_gguf

MIXES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
SHAPES = ["hidden-256", "hidden-96-inter-224", "odd-hidden-72", "Llama-GQA-Tied-2x64", "biases", "twelve-layers", "mixed-dtypes",
          "rope-llama3-v5"]
OPTIONS = {
    "pure": ["--pure"],
    "leave-output": ["--leave-output-tensor"],
    "output-q4_0": ["--output-tensor-type", "q4_0"],
    "output-f16": ["--output-tensor-type", "f16"],
    "embedding-q8_0": ["--token-embedding-type", "q8_0"],
    "embedding-q5_1-pure": ["--pure", "--token-embedding-type", "q5_1"],
    "one-tensor-type": ["--tensor-type", "attn_v=q8_0"],
    "two-tensor-types": ["--tensor-type", "ffn_down=q5_1", "--tensor-type", "blk.0.*=f16"],
    "first-type-wins": ["--tensor-type", "attn_(q|k)=q4_1", "--tensor-type", "attn_q=q5_0"],
    "type-for-all": ["--tensor-type", "weight=q5_0", "--output-tensor-type", "q8_0"],
    "norms-named": ["--tensor-type", "norm=q8_0"],
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", SHAPES)
def test_from_a_checkpoint(smelt, workshop, llama_quantize, tmp_path, name, mix):
    llama_quantize(workshop.lossless(name), tmp_path / "theirs.gguf", mix)
    smelt("quantize", workshop.checkpoint(name), tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("mix", MIXES)
def test_from_the_converters_gguf(smelt, workshop, llama_quantize, tmp_path, mix):
    source = workshop.lossless("hidden-256")
    llama_quantize(source, tmp_path / "theirs.gguf", mix)
    smelt("quantize", source, tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("source_type", ["f32", "f16", "bf16"])
def test_from_our_own_gguf(smelt, workshop, llama_quantize, tmp_path, source_type):
    smelt("convert", workshop.checkpoint("biases"), tmp_path / "full.gguf", "--type", source_type, "--quiet", check=True)
    llama_quantize(workshop.gguf("biases", source_type), tmp_path / "theirs.gguf", "Q4_1")
    smelt("quantize", tmp_path / "full.gguf", tmp_path / "ours.gguf", "Q4_1", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("mix", MIXES)
def test_a_real_model(smelt, workshop, smollm2, llama_quantize, tmp_path, mix):
    llama_quantize(workshop.big_gguf("smollm2", "bf16"), tmp_path / "theirs.gguf", mix)
    smelt("quantize", smollm2, tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("mix", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("name", ["hidden-256", "twelve-layers", "Llama-GQA-Tied-2x64"])
def test_options(smelt, workshop, llama_quantize, tmp_path, name, options, mix):
    theirs = llama_quantize(workshop.lossless(name), tmp_path / "theirs.gguf", mix, *options, check=False)
    ours = smelt("quantize", workshop.checkpoint(name), tmp_path / "ours.gguf", mix, *options, "--quiet")
    assert (ours.returncode == 0) == (theirs.returncode == 0), f"{ours.stderr}\n{theirs.stderr[-1500:]}"
    if ours.returncode == 0:
        assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("source,mix", [("Q8_0", "Q4_0"), ("Q5_1", "Q4_1"), ("Q4_0", "Q8_0"), ("Q4_1", "F16"), ("Q5_0", "Q5_0"),
                                        ("Q4_K_M", "Q4_0"), ("Q6_K", "Q8_0")])
def test_requantize(smelt, workshop, llama_quantize, tmp_path, source, mix):
    llama_quantize(workshop.lossless("hidden-256"), tmp_path / "source.gguf", source)
    llama_quantize(tmp_path / "source.gguf", tmp_path / "theirs.gguf", mix, "--allow-requantize")
    smelt("quantize", tmp_path / "source.gguf", tmp_path / "ours.gguf", mix, "--allow-requantize", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


def test_requantizing_is_refused_without_the_option(smelt, workshop, llama_quantize, tmp_path):
    llama_quantize(workshop.lossless("hidden-256"), tmp_path / "source.gguf", "Q8_0")
    done = smelt("quantize", tmp_path / "source.gguf", tmp_path / "ours.gguf", "Q4_0")
    assert done.returncode == 3 and "--allow-requantize" in done.stderr
    assert not (tmp_path / "ours.gguf").exists()


@pytest.mark.parametrize("mix", ["Q4_0", "Q8_0"])
def test_sizes_of_a_dry_run_are_those_of_the_run(smelt, workshop, tmp_path, mix):
    smelt("quantize", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", mix, "--quiet", check=True)
    size = (tmp_path / "ours.gguf").stat().st_size
    (tmp_path / "ours.gguf").unlink()
    done = smelt("quantize", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", mix, "--dry-run", check=True)
    assert f"{size} bytes" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bytes_do_not_depend_on_threads(smelt, workshop, llama_quantize, tmp_path, threads):
    llama_quantize(workshop.lossless("hidden-256"), tmp_path / "theirs.gguf", "Q5_0")
    smelt("quantize", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", "Q5_0", "--threads", threads, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("mix", ["Q4_0", "Q8_0"])
def test_from_a_split_source(smelt, llama, workshop, llama_quantize, tmp_path, mix):
    whole = workshop.lossless("twelve-layers")
    llama("gguf-split", "--split", "--split-max-tensors", "30", whole, tmp_path / "part")
    first = sorted(tmp_path.glob("part-*.gguf"))[0]
    llama_quantize(whole, tmp_path / "theirs.gguf", mix)
    smelt("quantize", first, tmp_path / "ours.gguf", mix, "--quiet", check=True)
    ours, theirs = read_gguf(tmp_path / "ours.gguf"), read_gguf(tmp_path / "theirs.gguf")
    assert list(ours.tensors.items()) == list(theirs.tensors.items())
    assert dict(ours.kv) == dict(theirs.kv)


@pytest.mark.parametrize("name", ["hidden-96-inter-224", "odd-hidden-72"])
def test_inspect_tells_the_types_that_were_given(smelt, workshop, llama_quantize, tmp_path, name):
    assert lossless_type(makers.BY_NAME[name]) in ("f16", "bf16")
    llama_quantize(workshop.lossless(name), tmp_path / "theirs.gguf", "Q4_0")
    seen = json.loads(smelt("inspect", tmp_path / "theirs.gguf", "--json", check=True).stdout)
    expected = read_gguf(tmp_path / "theirs.gguf").tensors
    assert {t["name"]: (t["dtype"].upper(), tuple(reversed(t["shape"])), t["bytes"]) for t in seen["tensors"]} == {
        n: (t.type, t.shape, len(t.data)) for n, t in expected.items()}
