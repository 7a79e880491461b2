"""What goes to GGUF and back, or from one Hugging Face layout to another, keeps every tensor."""
import json

import pytest

import make_checkpoints as makers
from conftest import assert_same_tensors, checkpoint_tensors, lossless_type

# Not the identity, for a reason: buffers are dropped, a bare model gets its prefix, a copy of tied embeddings is dropped,
# GGUF holds norms and biases in float32 and one type for all matrices.
CHANGED = {"inv-freq-buffers", "bare-LlamaModel", "llama-tied-with-head", "norms-in-f32", "mixed-dtypes"}


@pytest.mark.parametrize("name", [s.name for s in makers.SPECS if s.name not in CHANGED])
def test_to_gguf_and_back_is_the_identity(smelt, workshop, tmp_path, name):
    source = workshop.checkpoint(name)
    smelt("convert", source, tmp_path / "there.gguf", "--type", lossless_type(makers.BY_NAME[name]), "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    assert_same_tensors(checkpoint_tensors(tmp_path / "back"), checkpoint_tensors(source))


def test_a_float32_gguf_gives_float32_back(smelt, workshop, tmp_path):
    source = checkpoint_tensors(workshop.checkpoint("mixed-dtypes"))
    smelt("convert", workshop.gguf("mixed-dtypes", "f32"), tmp_path / "back", "--quiet", check=True)
    back = checkpoint_tensors(tmp_path / "back")
    assert_same_tensors(back, {n: t.float() for n, t in source.items()})


@pytest.mark.parametrize("name", ["llama-mha-spm", "Llama-GQA-Tied-2x64", "bin-single", "bin-sharded", "bin-views", "mixed-dtypes",
                                  "shuffled-header", "biases"])
def test_directory_to_directory(smelt, workshop, tmp_path, name):
    source = workshop.checkpoint(name)
    smelt("convert", source, tmp_path / name, "--quiet", check=True)
    assert_same_tensors(checkpoint_tensors(tmp_path / name), checkpoint_tensors(source))
    assert list((tmp_path / name).glob("*.safetensors"))


def test_directory_keeps_what_is_not_weights(smelt, workshop, tmp_path):
    source = workshop.checkpoint("generation")
    smelt("convert", source, tmp_path / "out", "--quiet", check=True)
    for f in ("config.json", "generation_config.json", "tokenizer_config.json"):
        ours, theirs = (json.loads((d / f).read_text()) for d in (tmp_path / "out", source))
        assert ours == theirs, f
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == (source / "tokenizer.model").read_bytes()


def test_directory_in_shards_has_a_complete_index(smelt, workshop, tmp_path):
    from safetensors import safe_open
    source = workshop.checkpoint("hidden-256")
    smelt("convert", source, tmp_path / "out", "--split-max-size", "1M", "--quiet", check=True)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    assert [f.name for f in files] == [f"model-{i + 1:05d}-of-{len(files):05d}.safetensors" for i in range(len(files))]
    assert len(files) > 1
    for f in files:
        with safe_open(f, "pt") as s:
            assert s.metadata() == {"format": "pt"}
            assert all(index["weight_map"][n] == f.name for n in s.keys())
    assert sorted(index["weight_map"]) == sorted(checkpoint_tensors(source))
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in checkpoint_tensors(source).values())


def test_bin_to_safetensors_and_back(smelt, workshop, tmp_path):
    import torch
    source = workshop.checkpoint("bin-single") / "pytorch_model.bin"
    smelt("convert", source, tmp_path / "a.safetensors", "--quiet", check=True)
    smelt("convert", tmp_path / "a.safetensors", tmp_path / "b.pt", "--quiet", check=True)
    assert_same_tensors(torch.load(tmp_path / "b.pt", weights_only=True), torch.load(source, weights_only=True))
