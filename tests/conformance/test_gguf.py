"""GGUF files that other programs wrote: versions, alignments, types, splits."""
import json
import struct

import numpy as np
import pytest

from conftest import read_gguf

def write_every_type(path, alignment=None):
    """One tensor of three rows in each type that GGUF has; block types hold zeros, which every type allows."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
    writer = GGUFWriter(str(path), "test-arch")
    if alignment:
        writer.add_custom_alignment(alignment)
    rng = np.random.default_rng(1)
    expected = {}
    for kind in GGMLQuantizationType:
        block, size = GGML_QUANT_SIZES[kind]
        cols = max(block, 7 if block == 1 else 0)
        raw = np.zeros((3, cols // block * size), np.uint8)
        if block == 1:
            raw[:] = rng.integers(0, 0x3F, raw.shape, np.uint8)
        writer.add_tensor(f"t.{kind.name}", raw, raw_dtype=kind)
        expected[f"t.{kind.name}"] = (kind.name, [3, cols], raw.tobytes())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


@pytest.mark.parametrize("alignment", [None, 8, 64, 128, 4096])
def test_every_type_and_alignment_is_read(smelt, tmp_path, monkeypatch, alignment):
    import gguf
    # The package says 40 bytes, from a time when the two scales were float32; ggml's block has had 36 since they became float16.
    monkeypatch.setitem(gguf.GGML_QUANT_SIZES, gguf.GGMLQuantizationType.Q8_1, (32, 36))
    path = tmp_path / "all.gguf"
    expected = write_every_type(path, alignment)
    assert len(expected) >= 30
    seen = json.loads(smelt("inspect", path, "--json", "--metadata", check=True).stdout)
    assert {t["name"]: (t["dtype"].upper(), t["shape"], t["bytes"]) for t in seen["tensors"]} == {
        n: (kind, shape, len(raw)) for n, (kind, shape, raw) in expected.items()}
    data = path.read_bytes()
    assert all(data[t["offset"]:t["offset"] + t["bytes"]] == expected[t["name"]][2] for t in seen["tensors"])
    if alignment:
        assert seen["metadata"]["general.alignment"] == alignment


def test_every_kind_of_key_is_shown(smelt, tmp_path):
    from gguf import GGUFValueType, GGUFWriter
    writer = GGUFWriter(str(tmp_path / "keys.gguf"), "test-arch")
    expected = {"general.architecture": "test-arch"}
    scalars = {"UINT8": 250, "INT8": -5, "UINT16": 65000, "INT16": -300, "UINT32": 4000000000, "INT32": -70000, "FLOAT32": 0.5,
               "UINT64": 1 << 60, "INT64": -(1 << 60), "FLOAT64": 0.1, "BOOL": True, "STRING": "héllo\n\"x\""}
    for kind, value in scalars.items():
        writer.add_key_value(f"k.{kind}", value, GGUFValueType[kind])
        writer.add_key_value(f"a.{kind}", [value, value, value], GGUFValueType.ARRAY, GGUFValueType[kind])
        expected[f"k.{kind}"], expected[f"a.{kind}"] = value, [value] * 3
    writer.add_tensor("t", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    seen = json.loads(smelt("inspect", tmp_path / "keys.gguf", "--json", "--metadata", check=True).stdout)["metadata"]
    assert {k: seen.get(k) for k in expected} == expected


def as_version(data: bytes, version: int) -> bytes:
    # Versions 2 and 3 differ in their number alone, as long as the file is little-endian.
    return data[:4] + struct.pack("<I", version) + data[8:]


def test_version_2_is_read_as_version_3_is(smelt, workshop, tmp_path):
    source = workshop.gguf("llama-mha-spm", "f32")
    (tmp_path / "v2.gguf").write_bytes(as_version(source.read_bytes(), 2))
    smelt("convert", tmp_path / "v2.gguf", tmp_path / "out.gguf", "--type", "f32", "--quiet", check=True)
    ours, theirs = read_gguf(tmp_path / "out.gguf"), read_gguf(source)
    assert ours.version == 3
    assert list(ours.kv.items()) == list(theirs.kv.items()) and list(ours.tensors.items()) == list(theirs.tensors.items())


@pytest.mark.parametrize("version", [0, 1, 4, 1 << 24])
def test_other_versions_are_refused(smelt, workshop, tmp_path, version):
    (tmp_path / "v.gguf").write_bytes(as_version(workshop.gguf("llama-mha-spm", "f32").read_bytes(), version))
    assert smelt("inspect", tmp_path / "v.gguf").returncode == 3


@pytest.mark.parametrize("outtype", ["auto", "f32", "f16", "bf16", "q8_0"])
def test_what_the_converter_wrote_is_copied_unchanged(smelt, workshop, tmp_path, outtype):
    source = workshop.gguf("biases", outtype)
    smelt("convert", source, tmp_path / "out.gguf", "--quiet", check=True)
    assert (tmp_path / "out.gguf").read_bytes() == source.read_bytes()


def test_a_missing_part_of_a_split_file_is_named(smelt, llama, workshop, tmp_path):
    llama("gguf-split", "--split", "--split-max-tensors", "8", workshop.gguf("hidden-256"), tmp_path / "part")
    parts = sorted(tmp_path.glob("part-*.gguf"))
    assert len(parts) >= 3
    parts[1].unlink()
    done = smelt("inspect", parts[0])
    assert done.returncode in (3, 4) and parts[1].name in done.stderr


def test_any_part_stands_for_a_split_file(smelt, llama, workshop, tmp_path):
    llama("gguf-split", "--split", "--split-max-tensors", "8", workshop.gguf("hidden-256"), tmp_path / "part")
    seen = [json.loads(smelt("inspect", p, "--json", check=True).stdout) for p in sorted(tmp_path.glob("part-*.gguf"))]
    assert len(seen) >= 3 and all(s["tensors"] == seen[0]["tensors"] for s in seen)


@pytest.mark.parametrize("name", ["llama-mha-spm", "Mistral-7B-like-v0.3", "rope-llama3-v5"])
def test_inspect_agrees_with_the_gguf_package(smelt, workshop, name):
    seen = json.loads(smelt("inspect", workshop.gguf(name), "--json", "--metadata", check=True).stdout)
    expected = read_gguf(workshop.gguf(name))
    assert seen["architecture"] == "llama"
    assert list(seen["metadata"]) == list(expected.kv)
    for k, (types, value) in expected.kv.items():
        assert seen["metadata"][k] == pytest.approx(value, rel=1e-6) if "FLOAT32" in types else seen["metadata"][k] == value, k
    assert {t["name"]: list(reversed(t["shape"])) for t in seen["tensors"]} == {n: list(t.shape) for n, t in expected.tensors.items()}
    assert seen["parameters"] == sum(int(np.prod(t.shape)) for t in expected.tensors.values())
