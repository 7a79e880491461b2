"""Hugging Face to GGUF: our file is the one that llama.cpp's converter writes."""
import pytest

import make_checkpoints as makers
from conftest import assert_same_gguf, checkpoint_tensors, outtypes, read_gguf

# {checkpoint: {key: why it differs from llama.cpp's}}; what stands here stands in docs/formats.md too.
EXCEPTIONS: dict[str, dict[str, str]] = {
    "Mistral-7B-like-v0.3": {"llama.attention.sliding_window": "llama.cpp's converter drops the window"},
}


# Which bits of a NaN outlive the way to float16 depends on the processor and the library that llama.cpp's tools run on.
NAN_BITS = {("extremes", "auto"), ("extremes", "f16")}


@pytest.mark.parametrize("name,outtype", [(s.name, t) for s in makers.SPECS for t in outtypes(s) if (s.name, t) not in NAN_BITS])
def test_gguf_is_the_converters(smelt, workshop, tmp_path, name, outtype):
    theirs, ours = workshop.gguf(name, outtype), tmp_path / "ours.gguf"
    assert theirs.exists(), f"llama.cpp's converter refused it: {theirs.with_suffix('.log').read_text()[-1500:]}"
    smelt("convert", workshop.checkpoint(name), ours, "--type", outtype, "--quiet", check=True)
    assert_same_gguf(ours, theirs, EXCEPTIONS.get(name, ()))


@pytest.mark.parametrize("outtype", ["auto", "f32", "f16", "bf16", "q8_0"])
def test_gguf_of_a_real_model_is_the_converters(smelt, workshop, smollm2, tmp_path, outtype):
    ours = tmp_path / "ours.gguf"
    smelt("convert", smollm2, ours, "--type", outtype, "--quiet", check=True)
    assert_same_gguf(ours, workshop.big_gguf("smollm2", outtype), EXCEPTIONS.get("smollm2", ()))


@pytest.mark.parametrize("name,outtype", sorted(NAN_BITS))
def test_gguf_is_the_converters_but_for_the_bits_of_nan(smelt, workshop, tmp_path, name, outtype):
    import numpy as np
    smelt("convert", workshop.checkpoint(name), tmp_path / "ours.gguf", "--type", outtype, "--quiet", check=True)
    ours, theirs = read_gguf(tmp_path / "ours.gguf"), read_gguf(workshop.gguf(name, outtype))
    assert list(ours.kv.items()) == list(theirs.kv.items()) and list(ours.tensors) == list(theirs.tensors)
    nans = 0
    for n, t in theirs.tensors.items():
        a, b = (np.frombuffer(x.data, {"F16": np.uint16, "F32": np.uint32}[x.type]) for x in (ours.tensors[n], t))
        is_nan = np.isnan(np.frombuffer(t.data, {"F16": np.float16, "F32": np.float32}[t.type])) & (t.type == "F16")
        assert (a[~is_nan] == b[~is_nan]).all(), n
        assert np.isnan(a[is_nan].view(np.float16)).all() and (a[is_nan] >> 15 == b[is_nan] >> 15).all(), n
        nans += int(is_nan.sum())
    assert nans > 0


def test_auto_is_the_default(smelt, workshop, tmp_path):
    smelt("convert", workshop.checkpoint("biases"), tmp_path / "ours.gguf", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", workshop.gguf("biases", "auto"))


@pytest.mark.parametrize("threads", [1, 3])
def test_bytes_do_not_depend_on_threads(smelt, workshop, tmp_path, threads):
    smelt("convert", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", "--type", "q8_0", "--threads", threads, "--quiet",
          check=True)
    assert_same_gguf(tmp_path / "ours.gguf", workshop.gguf("hidden-256", "q8_0"))


@pytest.mark.parametrize("options", [("--split-max-tensors", "5"), ("--split-max-size", "200K")])
def test_split_files_merge_to_the_whole(smelt, llama, workshop, tmp_path, options):
    smelt("convert", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", *options, "--quiet", check=True)
    parts = sorted(tmp_path.glob("ours-*-of-*.gguf"))
    assert len(parts) > 1 and not (tmp_path / "ours.gguf").exists()
    assert [p.name for p in parts] == [f"ours-{i + 1:05d}-of-{len(parts):05d}.gguf" for i in range(len(parts))]
    llama("gguf-split", "--merge", parts[0], tmp_path / "merged.gguf")
    merged, whole = read_gguf(tmp_path / "merged.gguf"), read_gguf(workshop.gguf("hidden-256", "auto"))
    assert merged.tensors.keys() == whole.tensors.keys()
    assert all(merged.tensors[n].data == t.data and merged.tensors[n].type == t.type for n, t in whole.tensors.items())
    assert [(k, v) for k, v in merged.kv.items() if not k.startswith("split.")] == list(whole.kv.items())


def test_split_by_size_keeps_its_limit(smelt, workshop, tmp_path):
    smelt("convert", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", "--split-max-size", "600K", "--quiet", check=True)
    largest = max(len(t.data) for t in read_gguf(workshop.gguf("hidden-256")).tensors.values())
    for p in tmp_path.glob("ours-*-of-*.gguf"):
        sizes = [len(t.data) for t in read_gguf(p).tensors.values()]
        assert sum(sizes) <= max(600_000, largest)


def test_split_files_convert_as_one(smelt, llama, workshop, tmp_path):
    whole = workshop.gguf("twelve-layers", "auto")
    llama("gguf-split", "--split", "--split-max-tensors", "20", whole, tmp_path / "part")
    first = sorted(tmp_path.glob("part-*.gguf"))[0]
    smelt("convert", first, tmp_path / "one.gguf", "--quiet", check=True)
    ours, theirs = read_gguf(tmp_path / "one.gguf"), read_gguf(whole)
    assert {n: (t.type, t.shape, t.data) for n, t in ours.tensors.items()} == {
        n: (t.type, t.shape, t.data) for n, t in theirs.tensors.items()}
    assert {k: v for k, v in ours.kv.items()} == {k: v for k, v in theirs.kv.items()}


def test_pre_overrides_the_tokenizers_name(smelt, workshop, tmp_path):
    smelt("convert", workshop.checkpoint("bpe-gpt2"), tmp_path / "ours.gguf", "--pre", "refact", "--quiet", check=True)
    assert read_gguf(tmp_path / "ours.gguf").kv["tokenizer.ggml.pre"][1] == "refact"


@pytest.mark.parametrize("name", ["llama-mha-spm", "bin-sharded", "bin-views", "shuffled-header", "mixed-dtypes", "extremes"])
def test_checkpoint_to_one_safetensors_file(smelt, workshop, tmp_path, name):
    from conftest import assert_same_tensors
    from safetensors.torch import load_file
    smelt("convert", workshop.checkpoint(name), tmp_path / "all.safetensors", "--quiet", check=True)
    assert_same_tensors(load_file(tmp_path / "all.safetensors"), checkpoint_tensors(workshop.checkpoint(name)))
