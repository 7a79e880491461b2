"""PyTorch checkpoints: what smelt reads equals what torch.load gives, and torch.load reads what smelt writes."""

import collections
import json
import zipfile

import pytest

import torch
from safetensors.torch import load_file, save_file  # noqa: E402

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.complex64, torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32,
    torch.uint64, torch.int64,
]  # fmt: skip

# Saved as bytes with the dtype beside them, since they have no storage class of their own.
UNTYPED = {d for d in DTYPES if str(d).startswith("torch.float8")} | {torch.uint16, torch.uint32, torch.uint64}


def bits(t):
    """The tensor's bytes, row-major: equality that NaNs and unusual dtypes do not disturb."""
    t = t.detach().resolve_conj().contiguous()
    return bytes(t.reshape(-1).view(torch.uint8).numpy()) if t.numel() else b""


def random_tensor(dtype, *shape):
    size = torch.empty((), dtype=dtype).element_size()
    n = size
    for d in shape:
        n *= d
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (n,), dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def sample():
    """Every dtype, and every way in which tensors share and skip over storage."""
    torch.manual_seed(1)
    state = collections.OrderedDict((f"dtype.{str(d)[6:]}", random_tensor(d, 3, 5)) for d in DTYPES)
    base = torch.arange(60.0).reshape(3, 4, 5)
    state["scalar"] = torch.tensor(3.5)
    state["empty"] = torch.zeros(0, 4)
    state["parameter"] = torch.nn.Parameter(random_tensor(torch.float32, 4, 4))
    state["tied"] = state["parameter"]
    state["transposed"] = torch.arange(12.0).reshape(3, 4).t()
    state["permuted"] = base.permute(2, 0, 1)
    state["part"] = base[1, 1:3]
    state["every_second"] = torch.arange(20.0)[3:15:2]
    state["expanded"] = torch.arange(3, dtype=torch.int64).reshape(1, 3).expand(5, 3)
    state["bf16_columns"] = random_tensor(torch.bfloat16, 6, 8)[:, 1:7:3]
    state["complex_t"] = random_tensor(torch.complex64, 3, 4).t()
    return state


def assert_same(got, want):
    assert sorted(got) == sorted(want)
    for name, t in want.items():
        assert got[name].dtype == t.dtype, name
        assert got[name].shape == t.shape, name
        assert bits(got[name]) == bits(t), name


def converted(smelt, path, tmp_path):
    target = tmp_path / "out.safetensors"
    smelt("convert", path, target, check=True)
    return load_file(target)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_torch_saves(smelt, tmp_path, protocol):
    path, state = tmp_path / "model.pt", sample()
    torch.save(state, path, pickle_protocol=protocol)
    # torch's own restricted reader stops at protocol 3.
    assert_same(converted(smelt, path, tmp_path), torch.load(path, weights_only=protocol < 4))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_torch_saved_before_1_6(smelt, tmp_path, protocol):
    path, state = tmp_path / "model.pt", sample()
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    # torch 2.15 writes dtypes without a storage class in this form but fails to load them: the reference is what was saved.
    assert_same(converted(smelt, path, tmp_path), state)
    known = {k: v for k, v in state.items() if v.dtype not in UNTYPED}
    torch.save(known, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    assert_same(converted(smelt, path, tmp_path), torch.load(path, weights_only=protocol < 4))


def test_complex128_goes_through_a_pytorch_file(smelt, tmp_path):
    state = {"z": random_tensor(torch.complex128, 2, 3).t()}
    torch.save(state, tmp_path / "a.pt")
    smelt("convert", tmp_path / "a.pt", tmp_path / "b.pt", check=True)
    assert_same(torch.load(tmp_path / "b.pt", weights_only=True), state)


@pytest.mark.parametrize("key", ["model", "state_dict", "module", "anything"])
def test_takes_the_state_dict_inside_a_training_checkpoint(smelt, tmp_path, key):
    state = sample()
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99), "params": [0]}]}
    torch.save({"epoch": 3, "loss": 0.5, "note": None, "big": 1 << 70, key: state, "optimizer": optimizer}, tmp_path / "m.pt")
    assert_same(converted(smelt, tmp_path / "m.pt", tmp_path), state)


def test_a_known_name_decides_between_several_state_dicts(smelt, tmp_path):
    torch.save({"ema": {"w": torch.zeros(2)}, "model": {"w": torch.ones(2)}}, tmp_path / "m.pt")
    assert_same(converted(smelt, tmp_path / "m.pt", tmp_path), {"w": torch.ones(2)})


def test_several_state_dicts_without_a_known_name_are_refused_with_their_names(smelt, tmp_path):
    torch.save({"gen": {"w": torch.zeros(2)}, "disc": {"w": torch.ones(2)}}, tmp_path / "m.pt")
    done = smelt("inspect", tmp_path / "m.pt", check=False)
    assert done.returncode == 3 and "gen" in done.stderr and "disc" in done.stderr


def test_values_beside_tensors_are_ignored(smelt, tmp_path):
    state = {"w": torch.ones(2), "n": 3, "none": None, "list": [1, 2], "d": {"x": 1}, "device": torch.device("cpu"), "dt": torch.float16,
             "size": torch.Size([2, 3]), "layout": torch.strided, "counts": collections.Counter({3: 1})}  # fmt: skip
    torch.save(state, tmp_path / "m.pt")
    assert_same(converted(smelt, tmp_path / "m.pt", tmp_path), {"w": torch.ones(2)})


def test_module_state_dict_with_versions_and_parameter_attributes(smelt, tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    module[0].weight.note = "an attribute"
    torch.save(collections.OrderedDict(module.state_dict(keep_vars=True)), tmp_path / "m.pt")
    assert_same(converted(smelt, tmp_path / "m.pt", tmp_path), module.state_dict())


def test_big_endian_files_are_swapped(smelt, tmp_path):
    """torch writes them on big-endian machines only; this one is made by hand, and torch reads it as meant, except that it
    forgets to swap storages without a class."""
    state, path = sample(), tmp_path / "big.pt"
    torch.save(state, tmp_path / "little.pt")
    sizes = {}
    with zipfile.ZipFile(tmp_path / "little.pt") as source:
        names = source.namelist()
        for t in torch.load(tmp_path / "little.pt", weights_only=True).values():
            part = t.element_size() // (2 if t.is_complex() else 1)
            sizes.setdefault(bytes(t.untyped_storage()), part)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
            for name in names:
                data = source.read(name)
                if name.endswith("byteorder"):
                    data = b"big"
                elif "/data/" in name:
                    k = sizes[data]
                    data = b"".join(data[i : i + k][::-1] for i in range(0, len(data), k))
                out.writestr(name, data)
    want = torch.load(path, weights_only=True)
    want.update((k, v) for k, v in state.items() if v.dtype in UNTYPED)
    assert_same(want, state)
    assert_same(converted(smelt, path, tmp_path), want)


def repacked(source, target, method):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_repacked_archives_read_the_same(smelt, tmp_path, method):
    torch.save(sample(), tmp_path / "m.pt")
    repacked(tmp_path / "m.pt", tmp_path / "r.pt", method)
    assert_same(converted(smelt, tmp_path / "r.pt", tmp_path), sample())


def test_other_compression_is_refused(smelt, tmp_path):
    torch.save(sample(), tmp_path / "m.pt")
    repacked(tmp_path / "m.pt", tmp_path / "r.pt", zipfile.ZIP_BZIP2)
    done = smelt("inspect", tmp_path / "r.pt", check=False)
    assert done.returncode == 3 and "method 12" in done.stderr


def test_no_crc_reads_the_same(smelt, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(sample(), tmp_path / "m.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(converted(smelt, tmp_path / "m.pt", tmp_path), sample())


class Exploit:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/smelt-was-here",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_checkpoint_is_refused_by_name(smelt, tmp_path, zipped):
    torch.save({"w": torch.ones(2), "x": Exploit()}, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    done = smelt("convert", tmp_path / "m.pt", tmp_path / "out.safetensors", check=False)
    assert done.returncode == 3
    assert "posix.system" in done.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_whole_modules_and_pending_conjugations_are_refused(smelt, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    done = smelt("inspect", tmp_path / "module.pt", check=False)
    assert done.returncode == 3 and "torch.nn.modules.linear.Linear" in done.stderr
    torch.save({"z": torch.ones(2, dtype=torch.complex64).conj()}, tmp_path / "conj.pt")
    done = smelt("inspect", tmp_path / "conj.pt", check=False)
    assert done.returncode == 3 and "resolve_conj" in done.stderr


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mmap"])
def test_torch_loads_what_smelt_writes(smelt, tmp_path, mmap):
    state = {k: v.contiguous() for k, v in sample().items()}
    torch.save(state, tmp_path / "a.pt")
    smelt("convert", tmp_path / "a.pt", tmp_path / "b.pth", check=True)
    assert_same(torch.load(tmp_path / "b.pth", weights_only=True, mmap=mmap), state)


def test_written_records_are_aligned_and_stored(smelt, tmp_path):
    save_file({k: v.contiguous().clone() for k, v in sample().items()}, tmp_path / "a.safetensors")
    smelt("convert", tmp_path / "a.safetensors", tmp_path / "pytorch_model.bin", check=True)
    got = torch.load(tmp_path / "pytorch_model.bin", weights_only=True, mmap=True)
    assert all(t.data_ptr() % 64 == 0 for t in got.values() if t.numel())
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin") as z:
        assert all(i.compress_type == zipfile.ZIP_STORED for i in z.infolist())
        # The small records carry their CRC, which zipfile checks.
        assert z.read("archive/byteorder") == b"little"
        assert z.read("archive/data.pkl")[-1:] == b"."


def test_writing_is_a_function_of_the_tensors(smelt, tmp_path):
    torch.save(sample(), tmp_path / "a.pt")
    smelt("convert", tmp_path / "a.pt", tmp_path / "b.pt", check=True)
    smelt("convert", tmp_path / "b.pt", tmp_path / "c.pt", check=True)
    assert (tmp_path / "b.pt").read_bytes() == (tmp_path / "c.pt").read_bytes()


def test_inspect_names_the_kind_of_file(smelt, tmp_path):
    torch.save({"w": torch.ones(2), "n": 1}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    about = json.loads(smelt("inspect", "--json", tmp_path / "a.pt", check=True).stdout)
    assert about["format"] == "torch_zip"
