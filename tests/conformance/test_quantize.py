"""Quantised GGUF: our file is the one that llama-quantize makes of the converter's."""
import json
import math
import struct

import numpy as np
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


BLOCKS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ3_XXS",
          "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4", "Q1_0", "Q2_0"]
NEED_IMATRIX = ("IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M")


def write_imatrix(path, model, values):
    """The legacy form: entries of name, calls, values; then the chunks and the data set's name."""
    entries = [(n, t.shape[0]) for n, t in read_gguf(model).tensors.items() if len(t.shape) == 2]
    with open(path, "wb") as f:
        f.write(struct.pack("<i", len(entries)))
        for i, (name, cols) in enumerate(entries):
            f.write(struct.pack("<i", len(name)) + name.encode() + struct.pack(f"<ii{cols}f", 1, cols, *values(i, cols)))
        f.write(struct.pack("<ii", 1, 4) + b"ones")


@pytest.fixture(scope="module")
def quantised(workshop, llama, llama_quantize, tmp_path_factory):
    """quantised(type): hidden-256 with every matrix of that type. Types that need an importance matrix get one of ones."""
    folder = tmp_path_factory.mktemp("quantised")
    plain = workshop.lossless("hidden-256")

    def call(kind):
        out = folder / f"{kind}.gguf"
        if not out.exists():
            write_imatrix(folder / "ones.dat", plain, lambda _, cols: [1.0] * cols)
            llama_quantize(plain, out, "Q4_0", "--pure", "--tensor-type", f"weight={kind}", "--token-embedding-type", kind,
                           "--output-tensor-type", kind, *(["--imatrix", folder / "ones.dat"] if kind in NEED_IMATRIX else []))
        return out
    return call


@pytest.mark.parametrize("mix", ["Q4_K_M", "Q8_0", "F32"])
@pytest.mark.parametrize("source", BLOCKS)
def test_requantize_any_type(smelt, quantised, llama_quantize, tmp_path, source, mix):
    seen = json.loads(smelt("inspect", quantised(source), "--json", check=True).stdout)
    assert source.lower() in {t["dtype"] for t in seen["tensors"]}
    llama_quantize(quantised(source), tmp_path / "theirs.gguf", mix, "--allow-requantize")
    smelt("quantize", quantised(source), tmp_path / "ours.gguf", mix, "--allow-requantize", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("kind", [k for k in BLOCKS if k not in NEED_IMATRIX])
def test_tensors_of_the_same_type_are_copied(smelt, quantised, llama_quantize, tmp_path, kind):
    """Without --allow-requantize."""
    options = ["--pure", "--tensor-type", f"weight={kind}", "--token-embedding-type", kind, "--output-tensor-type", kind]
    llama_quantize(quantised(kind), tmp_path / "theirs.gguf", "Q4_0", *options)
    smelt("quantize", quantised(kind), tmp_path / "ours.gguf", "Q4_0", *options, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_that_are_not_finite(smelt, quantised, llama_quantize, tmp_path, kind):
    """Blocks of ones, whose scales are NaN: found where they are copied and where they are decoded, replaced on demand."""
    options = ["--pure", "--tensor-type", f"weight={kind}", "--token-embedding-type", kind, "--output-tensor-type", kind]
    name, bad, good = "blk.0.attn_v.weight", tmp_path / "bad.gguf", tmp_path / "good.gguf"
    data = bytearray(quantised(kind).read_bytes())
    seen = json.loads(smelt("inspect", quantised(kind), "--json", check=True).stdout)
    (t,) = (t for t in seen["tensors"] if t["name"] == name)
    n = t["bytes"] * 256 // math.prod(t["shape"])  # of 256 elements
    start, end = t["offset"], t["offset"] + t["bytes"]
    data[end - n:end] = b"\xff" * n
    bad.write_bytes(data)

    assert llama_quantize(bad, tmp_path / "theirs.gguf", "Q4_0", *options, check=False).returncode != 0
    done = smelt("quantize", bad, good, "Q4_0", *options)
    assert done.returncode == 3 and f"'{name}': the {kind.lower()} block at row {t['shape'][0] - 1}, column 0" in done.stderr
    done = smelt("quantize", bad, good, "Q8_0" if kind != "Q8_0" else "Q4_0", "--allow-requantize")
    assert done.returncode == 3 and f"'{name}'" in done.stderr

    done = smelt("quantize", bad, good, "Q4_0", *options, "--replace-nonfinite", "0", check=True)
    assert f"{name}: 256\n" in done.stdout
    smelt("quantize", good, tmp_path / "f32.gguf", "F32", "--allow-requantize", "--quiet", check=True)
    values = np.frombuffer(read_gguf(tmp_path / "f32.gguf").tensors[name].data, "<f4")
    assert not values[-256:].any() and values[:-256].any()
    seen = json.loads(smelt("inspect", good, "--json", check=True).stdout)
    (t,) = (t for t in seen["tensors"] if t["name"] == name)
    assert good.read_bytes()[t["offset"]:t["offset"] + t["bytes"] - n] == data[start:end - n]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("mix", ["Q4_0", "Q8_0", "Q4_K_M", "IQ4_XS", "TQ2_0", "MXFP4_MOE"])
def test_weights_that_are_not_finite(smelt, workshop, llama_quantize, tmp_path, mix, value):
    source, bad, name = workshop.lossless("hidden-256"), tmp_path / "bad.gguf", "blk.0.ffn_up.weight"
    tensor = read_gguf(source).tensors[name]
    size = {"F32": 4, "F16": 2, "BF16": 2}[tensor.type]
    seen = json.loads(smelt("inspect", source, "--json", check=True).stdout)
    (t,) = (t for t in seen["tensors"] if t["name"] == name)
    data = bytearray(source.read_bytes())
    at = t["offset"] + size * (5 * t["shape"][1] + 77)
    bits = struct.pack("<e", value) if tensor.type == "F16" else struct.pack("<f", value)[-size:]
    data[at:at + size] = bits
    bad.write_bytes(data)
    assert llama_quantize(bad, tmp_path / "theirs.gguf", mix, check=False).returncode != 0
    done = smelt("quantize", bad, tmp_path / "ours.gguf", mix)
    word = "NaN" if value != value else "infinity" if value > 0 else "-infinity"
    assert done.returncode == 3 and f"'{name}' has {word} at row 5, column 77" in done.stderr
    assert not (tmp_path / "ours.gguf").exists()
    data[at:at + size] = bytes(size)
    bad.with_name("zero.gguf").write_bytes(data)
    smelt("quantize", bad, tmp_path / "ours.gguf", mix, "--replace-nonfinite", "0", "--quiet", check=True)
    llama_quantize(bad.with_name("zero.gguf"), tmp_path / "theirs.gguf", mix)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("options", [["--prune-layers", "1,4"], ["--keep-split"], ["--keep-split", "--prune-layers", "0"]],
                         ids=["pruned", "split", "both"])
@pytest.mark.parametrize("mix", ["IQ2_XXS", "Q4_K_M"])
def test_an_importance_matrix_of_all_layers(smelt, llama, workshop, llama_quantize, tmp_path, mix, options):
    """Its entries have the numbers that the layers had before."""
    source = workshop.lossless("twelve-layers")
    write_imatrix(tmp_path / "im.dat", source, lambda i, cols: [1.0 + (i * 7 + k * 13) % 31 for k in range(cols)])
    llama("gguf-split", "--split", "--split-max-tensors", "30", source, tmp_path / "part")
    first = sorted(tmp_path.glob("part-*.gguf"))[0]
    options = [*options, "--imatrix", "im.dat"]
    llama("quantize", *options, first, "theirs.gguf", mix, "2", cwd=tmp_path)
    smelt("quantize", first, "ours.gguf", mix, *options, "--quiet", check=True, cwd=tmp_path)
    theirs, ours = (sorted(tmp_path.glob(f"{who}*.gguf")) for who in ("theirs", "ours"))
    assert [p.name[6:] for p in theirs] == [p.name[4:] for p in ours]
    for a, b in zip(ours, theirs):
        assert_same_gguf(a, b)


LAYERS = {"one": "3", "first": "0", "last": "11", "several": "1,2,10", "a-range": "4-7", "backwards": "9,8,0", "twice": "5,5,5-6",
          "all-but-one": "0-10"}


@pytest.mark.parametrize("mix", ["Q4_0", "Q4_K_M", "Q3_K_M"])
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
def test_prune_layers(smelt, workshop, llama_quantize, tmp_path, layers, mix):
    every = [str(n) for part in layers.split(",") for a, _, b in [part.partition("-")] for n in range(int(a), int(b or a) + 1)]
    source = workshop.lossless("twelve-layers")
    llama_quantize(source, tmp_path / "theirs.gguf", mix, "--prune-layers", ",".join(every))
    for ours in source, workshop.checkpoint("twelve-layers"):
        smelt("quantize", ours, tmp_path / "ours.gguf", mix, "--prune-layers", layers, "--quiet", check=True)
        assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("mix", ["Q4_0", "F16"])
def test_a_pruned_model_can_be_read(smelt, workshop, llama, tmp_path, mix):
    smelt("quantize", workshop.checkpoint("twelve-layers"), tmp_path / "ours.gguf", mix, "--prune-layers", "2-9", "--quiet", check=True)
    (tmp_path / "text").write_text("one two three four " * 200)
    llama("perplexity", "-m", tmp_path / "ours.gguf", "-f", tmp_path / "text", "-c", "64", "--chunks", "1")


KEYS = {
    "a-new-one": ["my.key=int:7"],
    "all-types": ["a.int=int:0", "a.float=float:-1.5e-3", "a.bool=bool:true", "b.bool=bool:false", "a.str=str:a=b:c, d"],
    "one-that-is-there": ["general.name=str:Another name", "llama.context_length=int:4294967295"],
    "another-type": ["llama.rope.freq_base=int:10000", "llama.context_length=str:"],
    "twice": ["my.key=int:7", "your.key=int:1", "my.key=str:seven"],
    "of-the-file": ["general.file_type=int:99", "general.quantization_version=int:5"],
    "not-ascii": ["general.name=str:Größe \U0001f600"],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_override_kv(smelt, workshop, llama_quantize, tmp_path, keys):
    options = [word for key in keys for word in ("--override-kv", key)]
    source = workshop.lossless("hidden-256")
    llama_quantize(source, tmp_path / "theirs.gguf", "Q4_0", *options)
    for ours in source, workshop.checkpoint("hidden-256"):
        smelt("quantize", ours, tmp_path / "ours.gguf", "Q4_0", *options, "--quiet", check=True)
        assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("key", ["block_count=int:20", "block_count=int:8", "attention.head_count_kv=int:1", "attention.head_count=int:32"])
@pytest.mark.parametrize("mix", ["Q4_K_M", "Q2_K", "Q3_K_M"])
def test_keys_that_the_mixes_ask(smelt, workshop, llama_quantize, tmp_path, mix, key):
    options = ["--override-kv", f"llama.{key}"]
    source = workshop.lossless("twelve-layers")
    llama_quantize(source, tmp_path / "theirs.gguf", mix, *options)
    for ours in source, workshop.checkpoint("twelve-layers"):
        smelt("quantize", ours, tmp_path / "ours.gguf", mix, *options, "--quiet", check=True)
        assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("options", [[], ["--prune-layers", "3"], ["--override-kv", "my.key=int:7"], ["--keep-split"]],
                         ids=["plain", "pruned", "key", "split"])
@pytest.mark.parametrize("source", ["Q4_K_M", "BF16", "Q8_0"])
def test_copy(smelt, llama, workshop, llama_quantize, tmp_path, source, options):
    """All tensors as they are, whatever their types."""
    llama_quantize(workshop.lossless("twelve-layers"), tmp_path / "source.gguf", source)
    llama("gguf-split", "--split", "--split-max-tensors", "40", tmp_path / "source.gguf", tmp_path / "part")
    first = sorted(tmp_path.glob("part-*.gguf"))[0]
    llama_quantize(first, tmp_path / "theirs.gguf", "COPY", *options)
    smelt("quantize", first, tmp_path / "ours.gguf", "copy", *options, "--quiet", check=True)
    theirs, ours = (sorted(tmp_path.glob(f"{who}*.gguf")) for who in ("theirs", "ours"))
    assert [p.name[6:] for p in theirs] == [p.name[4:] for p in ours]
    for a, b in zip(ours, theirs):
        assert_same_gguf(a, b)


def test_keys_and_layers_together(smelt, workshop, llama_quantize, tmp_path):
    options = ["--prune-layers", "1,2", "--override-kv", "llama.embedding_length=int:1", "--override-kv", "my.key=bool:true"]
    llama_quantize(workshop.lossless("twelve-layers"), tmp_path / "theirs.gguf", "Q5_0", *options)
    smelt("quantize", workshop.checkpoint("twelve-layers"), tmp_path / "ours.gguf", "Q5_0", *options, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("options", [[], ["--prune-layers", "0,7"]], ids=["all-layers", "two-pruned"])
@pytest.mark.parametrize("mix", ["Q4_0", "Q4_K_M", "Q2_K"])
@pytest.mark.parametrize("split", [["--split-max-tensors", "30"], ["--split-max-tensors", "7", "--no-tensor-first-split"]],
                         ids=["few-parts", "many-parts"])
def test_keep_split(smelt, llama, workshop, llama_quantize, tmp_path, split, mix, options):
    llama("gguf-split", "--split", *split, workshop.lossless("twelve-layers"), tmp_path / "part")
    first = sorted(tmp_path.glob("part-*.gguf"))[0]
    llama_quantize(first, tmp_path / "theirs.gguf", mix, "--keep-split", *options)
    smelt("quantize", first, tmp_path / "ours.gguf", mix, "--keep-split", *options, "--quiet", check=True)
    theirs, ours = (sorted(tmp_path.glob(f"{who}-*.gguf")) for who in ("theirs", "ours"))
    assert len(theirs) > 2 and [p.name[6:] for p in theirs] == [p.name[4:] for p in ours]
    for a, b in zip(ours, theirs):
        assert_same_gguf(a, b)


def test_keep_split_of_one_file_is_one_file(smelt, workshop, tmp_path):
    source = workshop.lossless("hidden-256")
    smelt("quantize", source, tmp_path / "kept.gguf", "Q4_0", "--keep-split", "--quiet", check=True)
    smelt("quantize", source, tmp_path / "plain.gguf", "Q4_0", "--quiet", check=True)
    kept, plain = read_gguf(tmp_path / "kept.gguf"), read_gguf(tmp_path / "plain.gguf")
    assert kept.kv == plain.kv and {n: t.data for n, t in kept.tensors.items()} == {n: t.data for n, t in plain.tensors.items()}


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


@pytest.mark.parametrize("kind", ["F16", "Q4_K_M"])
def test_copy(smelt, workshop, llama_quantize, tmp_path, kind):
    llama_quantize(workshop.lossless("hidden-256"), tmp_path / "source.gguf", kind)
    llama_quantize(tmp_path / "source.gguf", tmp_path / "theirs.gguf", "COPY")
    smelt("quantize", tmp_path / "source.gguf", tmp_path / "ours.gguf", "COPY", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


# Every mix that needs no importance matrix (tests/conformance/test_imatrix.py has those that do).
@pytest.mark.parametrize("mix", ["Q2_0", "MXFP4_MOE", "IQ3_S", "IQ3_M", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "Q2_K", "Q3_K_S",
                                 "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"])
@pytest.mark.parametrize("name", ["hidden-256", "twelve-layers"])
def test_larger_blocks(smelt, workshop, llama_quantize, tmp_path, name, mix):
    llama_quantize(workshop.lossless(name), tmp_path / "theirs.gguf", mix)
    smelt("quantize", workshop.checkpoint(name), tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
