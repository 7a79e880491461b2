"""What our GGUF reader accepts and llama.cpp's does not, and the other way round."""
import random
import re
import struct
from pathlib import Path

INVALID = Path(__file__).resolve().parents[1] / "invalid/gguf"

# What llama.cpp's reader lets pass and ours does not. Its model loader refuses some of these later on, and a tool that only
# reads the header never sees others.
STRICTER = {
    # There is data for every tensor, and a tensor has elements.
    "cve-2026-7482", "cve-2026-27940", "data-padding-only", "data-one-byte-short", "data-second-tensor-missing",
    "dim-zero", "dim-zero-first",
    # Names, keys and texts are UTF-8 (the specification says so), and names can be shown.
    "key-not-utf8", "key-with-nul", "key-too-long", "string-not-utf8", "token-not-utf8", "token-with-surrogate",
    "name-empty", "name-not-utf8", "name-with-nul", "name-with-newline",
    # A boolean is 0 or 1.
    "value-bool-2", "array-bool-2",
    # Keys that say what the rest means have their types.
    "architecture-number", "architecture-array", "tokens-numbers", "tokens-text", "token-types-too-few", "token-types-too-many",
    "token-types-bytes", "token-types-texts", "scores-f64", "scores-bytes", "scores-too-few", "scores-number", "merges-numbers",
    # Parts of split models are looked at together.
    "split-unnamed", "split-second", "split-no-beyond-count", "split-no-missing", "split-no-array", "split-no-negative",
    "split-count-max", "split-count-too-large", "split-count-text", "split-count-negative",
}  # fmt: skip


def from_hex(text):
    """The bytes of an input.hex; tests/unit/invalid.c says what may be in it."""
    out = bytearray()
    escapes = {"n": b"\n", "0": b"\0", '"': b'"', "\\": b"\\"}
    tokens = re.compile(r'#[^\n]*|\s+|le(16|32|64):(\S+)|(s?)"((?:[^"\\]|\\.)*)"|([0-9A-Fa-f]{2})(?:\*(\d+))?')
    pos = 0
    while pos < len(text):
        m = tokens.match(text, pos)
        assert m, text[pos : pos + 20]
        pos = m.end()
        if m[1]:
            out += (int(m[2], 0) % 2 ** int(m[1])).to_bytes(int(m[1]) // 8, "little")
        elif m[4] is not None:
            word = bytearray()
            for plain, hexed, name in re.findall(r"([^\\]+)|\\x([0-9A-Fa-f]{2})|\\(.)", m[4]):
                word += plain.encode() or (bytes([int(hexed, 16)]) if hexed else escapes[name])
            out += (struct.pack("<Q", len(word)) if m[3] else b"") + word
        elif m[5]:
            out += bytes([int(m[5], 16)]) * int(m[6] or 1)
    return bytes(out)


def peer_accepts(llama, path, tmp_path):
    done = llama("gguf-split", "--split", "--split-max-tensors", "100", "--dry-run", path, tmp_path / "parts", check=False)
    return done.returncode == 0


def test_every_hostile_file_that_the_peer_accepts_is_listed(llama, smelt, tmp_path):
    accepted = set()
    cases = sorted(p for p in INVALID.iterdir() if (p / "input.hex").exists())
    assert len(cases) > 100
    path = tmp_path / "x.gguf"
    for case in cases:
        path.unlink(missing_ok=True)
        path.write_bytes(from_hex((case / "input.hex").read_text(encoding="utf-8")))
        assert smelt("inspect", path).returncode == 3, case.name
        if peer_accepts(llama, path, tmp_path):
            accepted.add(case.name)
    assert accepted == STRICTER


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def sample():
    """A small file with keys of many types and tensors of several; the length of its header."""
    keys = [
        ("general.architecture", 8, text("other")), ("general.alignment", 4, struct.pack("<I", 32)), ("flag", 7, b"\1"),
        ("list", 9, struct.pack("<IQ", 4, 3) + struct.pack("<III", 1, 2, 3)), ("texts", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc")),
        ("big", 10, struct.pack("<Q", 1 << 60)),
    ]  # fmt: skip
    tensors = [("a", [32], 8, 34), ("b", [4, 3], 0, 48), ("c", [256, 2], 12, 288), ("d", [], 24, 1)]
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, kind, value in keys:
        out += text(name) + struct.pack("<I", kind) + value
    offset = 0
    for name, dims, kind, size in tensors:
        out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
        offset += -(-size // 32) * 32
    header = len(out)
    return out + b"\0" * (-len(out) % 32 + offset), header


def test_what_the_peer_refuses_we_refuse(llama, smelt, tmp_path):
    whole, header = sample()
    path = tmp_path / "x.gguf"
    path.write_bytes(whole)
    assert smelt("inspect", path).returncode == 0 and peer_accepts(llama, path, tmp_path)
    rng = random.Random(1)
    both = refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 2))):
            at = rng.randrange(4, header)
            data[at] = rng.choice((0, 1, 2, 8, 9, 12, 32, 64, 127, 128, 255, data[at] ^ 1 << rng.randrange(8)))
        path.unlink()
        path.write_bytes(data[: rng.choice((len(data), len(data), rng.randrange(len(data))))])
        code = smelt("inspect", path).returncode
        assert code in (0, 3), bytes(data)
        if code == 0:
            assert peer_accepts(llama, path, tmp_path), bytes(data)
            both += 1
        else:
            refused += 1
    assert both > 20 and refused > 100
