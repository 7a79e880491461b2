"""safetensors against the package of that name: equal bytes for what we write, equal verdicts on what we read."""
import json
import random
import struct

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e8m0fnu,
          torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.int16, torch.uint16, torch.float16, torch.bfloat16, torch.int32,
          torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64]
SHAPES = [(), (0,), (1,), (7,), (3, 0), (5, 3), (2, 3, 4), (1, 1, 1, 1, 1, 1, 2, 3)]


def random_tensor(rng, dtype, shape):
    n = 1
    for d in shape:
        n *= d
    if not n:
        return torch.empty(shape, dtype=dtype)
    data = bytes(rng.randrange(2) for _ in range(n)) if dtype == torch.bool else rng.randbytes(n * dtype.itemsize)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_has_the_bytes_that_the_package_writes(smelt, tmp_path, seed):
    rng = random.Random(seed)
    letters = ["a", "B", "_", ".", "0", "é", "\U0001F600", '"', "\\", "/", " "]
    tensors = {}
    for dtype in DTYPES:
        for shape in rng.sample(SHAPES, 4):
            name = "".join(rng.choice(letters) for _ in range(rng.randrange(1, 12))) + f".{len(tensors)}"
            tensors[name] = random_tensor(rng, dtype, shape)
    source, target = tmp_path / "source.safetensors", tmp_path / "target.safetensors"
    save_file(tensors, source, metadata={"format": "pt"})
    done = smelt("convert", source, target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == source.read_bytes()


def test_any_order_of_the_file_becomes_the_package_s(smelt, tmp_path):
    source, target, expected = (tmp_path / f"{n}.safetensors" for n in ("source", "target", "expected"))
    tensors = {"z": torch.arange(3, dtype=torch.uint8), "a": torch.arange(4, dtype=torch.float32),
               "m": torch.arange(5, dtype=torch.float32)}
    header, data = {}, b""
    for name, t in tensors.items():
        raw = t.numpy().tobytes()
        header[name] = {"dtype": "U8" if t.dtype == torch.uint8 else "F32", "shape": list(t.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    source.write_bytes(build(json.dumps(header), data))
    save_file(tensors, expected, metadata={"format": "pt"})
    done = smelt("convert", source, target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == expected.read_bytes()


def test_metadata_goes_along(smelt, tmp_path):
    source, target = tmp_path / "source.safetensors", tmp_path / "target.safetensors"
    metadata = {"format": "np", "é\n\"": "\x00\x1f\x7f \U0001F600", "empty": ""}
    save_file({"a": torch.zeros(3)}, source, metadata=metadata)
    done = smelt("convert", source, target)
    assert done.returncode == 0, done.stderr
    with safe_open(target, "pt") as f:
        assert f.metadata() == metadata


def build(header, data=b""):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header)) + header + data


def entry(dtype="F32", shape="[2]", offsets="[0,8]", extra="", name="a"):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{extra}}}'


def one(data=b"\0" * 8, **fields):
    return build("{" + entry(**fields) + "}", data)


def two(second, data):
    return build("{" + entry() + "," + second + "}", data)


# Both sides must agree on these.
AGREED = {
    "plain": one(),
    "empty": build("{}"),
    "trailing space": build("{" + entry() + "}  \n\t", b"\0" * 8),
    "trailing nul": build("{" + entry() + "}\0", b"\0" * 8),
    "trailing text": build("{" + entry() + "}{}", b"\0" * 8),
    "no header": build(""), "array": build("[]"), "bom": build(b"\xef\xbb\xbf{}"), "comment": build("{/**/}"),
    "single quotes": build("{'a':1}"), "trailing comma": build('{"__metadata__":{},}'), "data but no tensor": build("{}", b"x"),
    "seven bytes": b"1234567", "nothing": b"", "zeros": b"\0" * 8,
    "length all ones": b"\xff" * 8 + b"{}", "length above limit": struct.pack("<Q", 100000001) + b"{}",
    "length beyond file": struct.pack("<Q", 3) + b"{}",
    "member twice": build('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "metadata twice": build('{"__metadata__":{},"__metadata__":{}}'), "metadata null": build('{"__metadata__":null}'),
    "metadata number": build('{"__metadata__":{"x":1}}'), "metadata list": build('{"__metadata__":[]}'),
    "metadata nested": build('{"__metadata__":{"x":{}}}'), "metadata is a tensor": one(name="__metadata__"),
    "metadata escaped": build('{"\\u005f_metadata__":{"x":"y"}}'),
    "surrogate pair": one(name="\\ud83d\\ude00"), "lone surrogate": one(name="\\ud83d"),
    "invalid utf-8": build(b'{"\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "overlong utf-8": build(b'{"\xc0\xaf":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "raw control character": one(name="a\x01"), "noncharacter": one(name="\uffff"),
    "shape fraction": one(shape="[2.0]"), "shape exponent": one(shape="[2e0]"), "shape negative": one(shape="[-2]"),
    "shape true": one(shape="[true,2]"), "shape text": one(shape='"2"'), "shape null": one(shape="null"),
    "shape leading zero": one(shape="[02]"), "shape nan": one(shape="[NaN]"),
    "shape 2^64": one(b"", shape="[18446744073709551616,0]", offsets="[0,0]"),
    "shape 2^63-1 and zero": one(b"", shape="[9223372036854775807,0]", offsets="[0,0]"),
    "overflow, then zero": one(b"", shape="[4611686018427387904,4611686018427387904,0]", offsets="[0,0]"),
    "overflow": one(b"", shape="[4611686018427387904,4]", offsets="[0,0]"),
    "bytes overflow": one(b"", shape="[4611686018427387904]", offsets="[0,0]"),
    "bits overflow": one(b"", shape="[576460752303423488]", offsets="[0,2305843009213693952]"),
    "scalar": one(b"\0" * 4, shape="[]", offsets="[0,4]"),
    "eight dimensions": one(shape="[1,1,1,1,1,1,1,2]"), "zero size": one(b"", shape="[0,5]", offsets="[0,0]"),
    "zero size between": two(entry(name="z", shape="[0]", offsets="[4,4]"), b"\0" * 8),
    "zero size behind": two(entry(name="z", shape="[0]", offsets="[8,8]"), b"\0" * 8),
    "zero size before": two(entry(name="z", shape="[0]", offsets="[0,0]"), b"\0" * 8),
    "offsets three": one(offsets="[0,8,8]"), "offsets one": one(offsets="[8]"), "offsets reversed": one(offsets="[8,0]"),
    "offsets negative": one(offsets="[-8,0]"), "offsets fraction": one(offsets="[0,8.0]"),
    "offsets not from zero": one(b"\0" * 12, offsets="[4,12]"),
    "hole": two(entry(name="b", offsets="[12,20]"), b"\0" * 20), "overlap": two(entry(name="b", offsets="[4,12]"), b"\0" * 12),
    "same place": two(entry(name="b"), b"\0" * 8), "too long": one(b"\0" * 9), "too short": one(b"\0" * 7),
    "size too small": one(shape="[3]"), "size too large": one(shape="[1]"),
    "dtype unknown": one(dtype="Q4_0"), "dtype lower case": one(dtype="f32"),
    "dtype number": build('{"a":{"dtype":0,"shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "no dtype": build('{"a":{"shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "no shape": build('{"a":{"dtype":"F32","data_offsets":[0,8]}}', b"\0" * 8),
    "no offsets": build('{"a":{"dtype":"F32","shape":[2]}}', b"\0" * 8), "entry null": build('{"a":null}'),
    "entry text": build('{"a":"x"}'),
    "f4": one(b"\0", dtype="F4", shape="[2]", offsets="[0,1]"), "f4 odd": one(b"\0" * 2, dtype="F4", shape="[3]", offsets="[0,2]"),
    "f6": one(b"\0" * 3, dtype="F6_E2M3", shape="[4]", offsets="[0,3]"),
    "f6 odd": one(b"\0" * 2, dtype="F6_E3M2", shape="[2]", offsets="[0,2]"),
    "misaligned": build("{" + entry(name="b", dtype="U8", shape="[1]", offsets="[0,1]") + "," + entry(offsets="[1,9]") + "}",
                        b"\0" * 9),
    "deep": build('{"a":' + "[" * 5000 + "]" * 5000 + "}"),
}

# What smelt refuses and the package takes, each for a reason that docs/formats.md gives.
STRICTER = {
    "leading space": build(" {}"),
    "name twice": two(entry(), b"\0" * 8),
    "name twice, escaped": two(entry(name="\\u0061"), b"\0" * 8),
    "metadata key twice": build('{"__metadata__":{"x":"1","x":"2"}}'),
    "unknown member": one(extra=',"strides":[1]'),
    "entry as a list": build('{"a":["F32",[2],[0,8]]}', b"\0" * 8),
    "dtype as an object": build('{"a":{"dtype":{"F32":null},"shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "empty name": one(name=""), "control character in a name": one(name="a\\n"), "nul in a name": one(name="a\\u0000b"),
    "nine dimensions": one(shape="[1,1,1,1,1,1,1,1,2]"),
    "shape 2^63 and zero": one(b"", shape="[9223372036854775808,0]", offsets="[0,0]"),
    "rows that share a byte": one(b"\0" * 3, dtype="F4", shape="[2,3]", offsets="[0,3]"),
}


def package_takes(path):
    try:
        with safe_open(path, "np"):
            return True
    except SafetensorError:
        return False


def smelt_takes(smelt, path):
    done = smelt("inspect", path)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("case", AGREED)
def test_both_give_the_same_verdict(smelt, tmp_path, case):
    path = tmp_path / "x.safetensors"
    path.write_bytes(AGREED[case])
    assert smelt_takes(smelt, path) == package_takes(path)


@pytest.mark.parametrize("case", STRICTER)
def test_smelt_is_stricter_only_where_it_says_so(smelt, tmp_path, case):
    path = tmp_path / "x.safetensors"
    path.write_bytes(STRICTER[case])
    assert package_takes(path)
    assert not smelt_takes(smelt, path)
