"""Codecs against ggml's own functions: equal bytes packed, equal floats unpacked, at every processor level this machine has."""
import ctypes
import os
import subprocess

import gguf
import numpy as np
import pytest

COLS = 1024
LEVELS = ["baseline", "avx2", "avx512", "neon"]
FLOATS = ["f16", "bf16"]
BLOCKS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0",
          "mxfp4", "nvfp4", "q1_0", "q2_0"]
GRIDS = ["iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq1_s", "iq1_m"]
NEED_WEIGHTS = ["iq2_xxs", "iq2_xs", "iq1_s"]
UNCHECKED = {"nvfp4"}  # ggml accepts every scale of it


class Traits(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("elems", ctypes.c_int64), ("interleave", ctypes.c_int64), ("bytes", ctypes.c_size_t),
                ("quantized", ctypes.c_bool), ("unpack", ctypes.c_void_p), ("pack", ctypes.c_void_p)]


class Ggml:
    def __init__(self, path):
        self.lib = ctypes.CDLL(str(path))
        self.lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        self.lib.ggml_validate_row_data.restype = ctypes.c_bool
        self.ids = {}
        for i in range(64):
            name = self.lib.ggml_get_type_traits(i).contents.name if i not in (4, 5, 31, 32, 33, 36, 37, 38) and i < 43 else None
            if name:
                self.ids[name.decode().lower()] = i

    def traits(self, kind):
        return self.lib.ggml_get_type_traits(self.ids[kind]).contents

    def pack(self, kind, x, weights=None):
        t = self.traits(kind)
        out = np.zeros(x.size // t.elems * t.bytes, np.uint8)
        w = None if weights is None else weights.ctypes.data
        assert self.lib.ggml_quantize_chunk(self.ids[kind], x.ctypes.data, out.ctypes.data, 0, *x.shape, w) == out.size
        return out

    def unpack(self, kind, data):
        t = self.traits(kind)
        y = np.zeros(data.size // t.bytes * t.elems, np.float32)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(t.unpack)(data.ctypes.data, y.ctypes.data, y.size)
        return y

    def valid(self, kind, data):
        return self.lib.ggml_validate_row_data(self.ids[kind], data.ctypes.data, data.size)


@pytest.fixture(scope="module")
def ggml(peers):
    return Ggml(peers / "llama.cpp/build/bin/libggml-base.so")


@pytest.fixture(scope="module")
def codec(build, tmp_path_factory):
    """codec("pack", kind, level, data, ...): output bytes, or None if this processor lacks the level."""
    def call(what, kind, level, data, *more):
        done = subprocess.run([build / "tests/codec_cli", what, kind, level, *map(str, more)], input=data, capture_output=True)
        assert done.returncode in (0, 77), done.stderr
        return done.stdout if done.returncode == 0 else None
    assert (build / "tests/codec_cli").exists(), "build the tests first: cmake --build"
    return call


def values(seed=1):
    """Rows that weights have, and rows that they should not have: [rows, COLS] float32 without NaN."""
    rng = np.random.default_rng(seed)

    def normal(rows):
        return rng.standard_normal((rows, COLS), dtype=np.float32)

    def scaled(rows, power):
        return np.ldexp(np.clip(normal(rows), -1.9, 1.9), power).astype(np.float32)
    rows = {
        "weights": normal(48) * np.float32(0.02),
        "bf16 weights": (normal(32).view(np.uint32) & 0xFFFF0000).view(np.float32),
        "heavy tails": rng.standard_t(1.5, (48, COLS)),
        "zeros": np.zeros((2, COLS)),
        "negative zeros": -np.zeros((2, COLS)),
        "zeros of both signs": np.where(rng.random((8, COLS)) < 0.5, -0.0, 0.0),
        "constant": np.repeat(np.array([0.37, -1.5, 3e38, 1e-40], np.float32), COLS).reshape(4, COLS),
        "subnormal": scaled(16, -140),
        "subnormal scales": scaled(16, -127),
        "on the edge of the usual": scaled(16, -99),
        "small": scaled(16, -30),
        "huge": scaled(16, 126),
        "large": scaled(16, 100),
        "ties": rng.integers(-8, 9, (32, COLS)) / 8,
        "more ties": rng.integers(-3, 4, (32, COLS)) * 0.5,
        "127 ties": (rng.integers(-254, 255, (32, COLS)) / 2),
        "outliers": np.where(rng.random((48, COLS)) < 0.01, 1e3, 1e-4) * normal(48),
        "positive": np.abs(normal(16)),
        "negative": -np.abs(normal(16)),
        "sparse": np.where(rng.random((32, COLS)) < 0.95, 0, normal(32)),
        "rectified": np.where(rng.random((32, COLS)) < 0.5, np.float32(-0.0), np.maximum(normal(32), 0)),
        "every scale": np.ldexp(normal(48), rng.integers(-40, 20, (48, COLS))),
        "groups of every scale": normal(48) * np.repeat(np.ldexp(1.0, rng.integers(-20, 1, (48, COLS // 16))), 16, axis=1),
    }
    return np.ascontiguousarray(np.vstack(list(rows.values())), np.float32)


def values_for(kind, seed):
    """values(), but for a grid type without rows whose squares overflow: ggml ends the process when no point is near."""
    x = values(seed)
    return x if kind not in GRIDS else np.ascontiguousarray(x[np.abs(x).max(axis=1) < 2.0**60])


def first_difference(ours, theirs, size):
    a, b = (np.frombuffer(v, np.uint8).reshape(-1, size) for v in (ours, theirs))
    assert a.shape == b.shape
    bad = np.nonzero((a != b).any(axis=1))[0]
    return None if not len(bad) else f"{len(bad)} of {len(a)} blocks differ, the first is {bad[0]}: {a[bad[0]]} for {b[bad[0]]}"


@pytest.mark.parametrize("kind", FLOATS + BLOCKS + [k for k in GRIDS if k not in NEED_WEIGHTS])
def test_packing_gives_the_bytes_of_ggml(ggml, codec, kind):
    x = values_for(kind, 1)
    expected = ggml.pack(kind, x)
    for level in LEVELS:
        ours = codec("pack", kind, level, x.tobytes(), COLS)
        assert ours is None or not first_difference(ours, expected.tobytes(), ggml.traits(kind).bytes), level


IMPORTANCES = {
    "usual": lambda rng: rng.standard_normal(COLS) ** 2,
    "far apart": lambda rng: rng.standard_normal(COLS) ** 8,
    "mostly zero": lambda rng: np.where(rng.random(COLS) < 0.75, 0, rng.random(COLS)),
    "small numbers": lambda rng: rng.integers(0, 3, COLS),
}


@pytest.mark.parametrize("importances", IMPORTANCES)
@pytest.mark.parametrize("kind", BLOCKS + GRIDS)
def test_packing_with_importances_gives_the_bytes_of_ggml(ggml, codec, kind, importances, tmp_path):
    x = values_for(kind, 2)
    weights = IMPORTANCES[importances](np.random.default_rng(3)).astype(np.float32)
    weights[:32] = 0
    (tmp_path / "weights").write_bytes(weights.tobytes())
    expected = ggml.pack(kind, x, weights)
    for level in LEVELS:
        ours = codec("pack", kind, level, x.tobytes(), COLS, tmp_path / "weights")
        assert ours is None or not first_difference(ours, expected.tobytes(), ggml.traits(kind).bytes), level


@pytest.mark.parametrize("kind", FLOATS + BLOCKS + GRIDS)
def test_unpacking_any_bits_gives_the_floats_of_ggml(ggml, codec, kind):
    t = ggml.traits(kind)
    data = np.random.default_rng(4).integers(0, 256, 4096 * t.bytes, np.uint8)
    if kind in FLOATS:
        data = np.arange(65536, dtype=np.uint16).view(np.uint8)
    expected = ggml.unpack(kind, data)
    for level in LEVELS:
        ours = codec("unpack", kind, level, data.tobytes())
        if ours is None:
            continue
        ours = np.frombuffer(ours, np.float32)
        nan = np.isnan(expected)
        assert np.array_equal(np.isnan(ours), nan), level
        assert np.array_equal(ours.view(np.uint32)[~nan], expected.view(np.uint32)[~nan]), level


@pytest.mark.parametrize("kind", [k for k in BLOCKS + GRIDS if k not in UNCHECKED])
def test_the_blocks_found_invalid_are_those_of_ggml(ggml, codec, kind):
    size = ggml.traits(kind).bytes
    rng = np.random.default_rng(5)
    verdicts = set()
    for byte in range(1, size):
        blocks = rng.integers(0, 0x3C, (16, size), np.uint8)  # no scale is infinite without its upper bits
        blocks[7, byte - 1:byte + 1] = rng.choice([0x7C, 0xFC, 0x7F, 0xFF], 1)
        said = codec("validate", kind, "best", blocks.tobytes()).decode().strip()
        assert (said == "ok") == ggml.valid(kind, blocks), (byte, said)
        assert said in ("ok", "7")
        verdicts.add(said)
    assert "ok" in verdicts  # the codes can be anything
    blocks[7] = 0xFF
    assert codec("validate", kind, "best", blocks.tobytes()).decode().strip() == "7" and not ggml.valid(kind, blocks)


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
def test_packing_gives_the_bytes_of_the_converter(codec, kind):
    """gguf-py, which llama.cpp's converter packs with, is another implementation than ggml."""
    x = values(6)[:700]
    with np.errstate(over="ignore", invalid="ignore"):
        x = x[np.abs(x).max(axis=1) < 1e30]
        x = x[np.abs(x).max(axis=1) > 1e-30]
        expected = gguf.quants.quantize(x, getattr(gguf.GGMLQuantizationType, kind.upper()))
    assert codec("pack", kind, "best", x.tobytes(), COLS) == expected.tobytes()


def test_every_level_packs_the_same_bytes_for_twenty_million_values(build):
    """The unit test of the variants with 300 rounds, each of 65,536 values of every type."""
    done = subprocess.run([build / "tests/unit_codecs"], env={**os.environ, "SMELT_TEST_ROUNDS": "300"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_float_rounds_to_16_bits_as_in_ggml(ggml, codec):
    """All upper halves of a float32 with lower halves around a tie, NaN included."""
    high = np.arange(65536, dtype=np.uint32) << 16
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    low13 = np.array([0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001], np.uint32)
    x = (high[:, None] | np.concatenate([low, low13, low[:4]])[None, :]).ravel().view(np.float32).reshape(-1, COLS)
    for kind in FLOATS:
        expected = ggml.pack(kind, np.ascontiguousarray(x))
        for level in LEVELS:
            ours = codec("pack", kind, level, x.tobytes(), COLS)
            assert ours is None or ours == expected.tobytes(), (kind, level)
