#!/usr/bin/env python3
"""Single faults, put into good files of every family: smelt verify must catch each of them, and pass the good files.

    verify_faults.py SMELT [FAMILY...]      prints the table of docs/verify-faults.md; ends with 1 if a fault passes or a good file does not

The checkpoints are those of tests/data/families. Each becomes a GGUF in 16 bits, in Q8_0 and in Q4_K_M; a fault is a change of the
bytes of one of these, and the checkpoint is what it is compared with, under the default policy.
"""

import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = os.path.join(HERE, "data", "families")
KINDS = {"16 bit": None, "Q8_0": "Q8_0", "Q4_K_M": "Q4_K_M"}
ALIGN = 32


def types():
    """{GGUF id: (name, elements, bytes)} from the table of types."""
    with open(os.path.join(HERE, "..", "src", "ir", "dtype.def"), encoding="utf-8") as f:
        rows = re.findall(r'SMELT_DTYPE\(\w+, "(\w+)", \w+, (\d+), (\d+), (\d+),', f.read())
    return {int(i): (name, int(elems), int(size)) for name, elems, size, i in rows}


TYPES = types()
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Tensor:
    def __init__(self, name, dims, kind, data):
        self.name, self.dims, self.kind, self.data = name, dims, kind, bytearray(data)

    @property
    def row(self):
        """Bytes of a row; a vector is a row for each element."""
        _, elems, size = TYPES[self.kind]
        return self.dims[0] // elems * size if len(self.dims) > 1 else size

    @property
    def rows(self):
        return len(self.data) // self.row

    def reorder(self, order):
        r = self.row
        old = bytes(self.data)
        self.data = bytearray(b"".join(old[i * r : (i + 1) * r] for i in order))


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as f:
            b = f.read()
        self.keys, at = [], 24  # [key, type, bytes of the value]
        n_tensors, n_keys = struct.unpack_from("<QQ", b, 8)

        def text(at):
            n = struct.unpack_from("<Q", b, at)[0]
            return b[at + 8 : at + 8 + n], at + 8 + n

        def end_of(kind, at):
            if kind == 8:
                return text(at)[1]
            if kind != 9:
                return at + SIZES[kind]
            inner, n = struct.unpack_from("<IQ", b, at)
            at += 12
            if inner != 8:
                return at + n * SIZES[inner]
            for _ in range(n):
                at = text(at)[1]
            return at

        for _ in range(n_keys):
            key, at = text(at)
            kind = struct.unpack_from("<I", b, at)[0]
            end = end_of(kind, at + 4)
            self.keys.append([key.decode(), kind, b[at + 4 : end]])
            at = end
        infos = []
        for _ in range(n_tensors):
            name, at = text(at)
            n = struct.unpack_from("<I", b, at)[0]
            dims = struct.unpack_from(f"<{n}Q", b, at + 4)
            kind, offset = struct.unpack_from("<IQ", b, at + 4 + 8 * n)
            at += 16 + 8 * n
            infos.append((name.decode(), list(dims), kind, offset))
        start = (at + ALIGN - 1) // ALIGN * ALIGN
        self.tensors = []
        for name, dims, kind, offset in infos:
            _, elems, size = TYPES[kind]
            count = 1
            for d in dims:
                count *= d
            self.tensors.append(Tensor(name, dims, kind, b[start + offset : start + offset + count // elems * size]))

    def write(self, path):
        def text(s):
            return struct.pack("<Q", len(s.encode())) + s.encode()

        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys))
        for key, kind, value in self.keys:
            head += text(key) + struct.pack("<I", kind) + value
        data = b""
        for t in self.tensors:
            head += text(t.name) + struct.pack("<I", len(t.dims)) + struct.pack(f"<{len(t.dims)}Q", *t.dims)
            head += struct.pack("<IQ", t.kind, len(data))
            data += bytes(t.data) + bytes(-len(t.data) % ALIGN)
        with open(path, "wb") as f:
            f.write(head + bytes(-len(head) % ALIGN) + data)

    def find(self, pattern):
        return [t for t in self.tensors if re.fullmatch(pattern, t.name)]

    def key(self, tail):
        return next((k for k in self.keys if k[0].endswith(tail)), None)

    @property
    def arch(self):
        return self.key("general.architecture")[2][8:].decode()

    def number(self, tail):
        key = self.key(tail)
        return struct.unpack("<I", key[2])[0] if key else None


# ---- faults: change a file, or say that it has nothing of the kind (False) ----


def scale_bit(g):
    """The top exponent bit of one block's scale."""
    for t in g.find(r"blk\.0\.(ffn_up|ffn_up_exps|attn_output)\.weight"):
        name, _, size = TYPES[t.kind]
        if name in ("q8_0", "q4_0", "q5_0", "q4_k", "q5_k", "q4_1", "q5_1"):
            at = 0
        elif name == "q6_k":
            at = 208
        else:
            continue
        block = len(t.data) // size // 2 * size
        t.data[block + at + 1] ^= 0x40
        return True
    return False


def rows_swapped(g):
    """Two rows of a matrix."""
    t = g.find(r"blk\.0\.(attn_output)\.weight")[0]
    order = list(range(t.rows))
    order[0], order[1] = order[1], order[0]
    t.reorder(order)
    return True


def turns(g):
    """Whether positions are turned (RoPE), which is what keys say or, in Falcon, do not say."""
    return not (g.find(r"position_embd\.weight") or g.key("alibi_bias")) and g.arch != "mpt"


def permutation(g):
    """Rows of the queries in the other order of rotation: halves for pairs or pairs for halves."""
    heads = g.number(".attention.head_count")
    if not turns(g):
        return False
    arch = g.arch
    t = g.find(r"blk\.0\.attn_(q|qkv)\.weight")[0]
    embd = g.number(".embedding_length")
    size = g.number(".attention.key_length") or embd // heads
    order = list(range(t.rows))
    for h in range(heads):
        if arch == "llama":  # the file has pairs
            for i in range(size):
                order[h * size + i] = h * size + (i % (size // 2)) * 2 + i // (size // 2)
        else:
            for i in range(size):
                order[h * size + i] = h * size + i // 2 + i % 2 * (size // 2)
    t.reorder(order)
    return True


def biases(g):
    return g.find(r"blk\.0\.(attn_q|attn_qkv|attn_output|ffn_up|ffn_up_exps|attn_norm)\.bias")


def bias_zeroed(g):
    """A bias of zeros."""
    if not biases(g):
        return False
    t = biases(g)[0]
    t.data = bytearray(len(t.data))
    return True


def bias_removed(g):
    """A bias that is not there."""
    if not biases(g):
        return False
    g.tensors.remove(biases(g)[0])
    return True


def rope_base(g):
    """Another base of the rotation."""
    if not turns(g) or g.number(".rope.dimension_count") == 2:  # one pair turns by one radian, whatever the base
        return False
    key = g.key(".rope.freq_base")
    if key:
        key[2] = struct.pack("<f", struct.unpack("<f", key[2])[0] * 2)
    else:
        g.keys.append([f"{g.arch}.rope.freq_base", 6, struct.pack("<f", 20000.0)])
    return True


def norm_epsilon(g):
    """Another epsilon of the norms."""
    key = g.key("norm_rms_epsilon") or g.key("norm_epsilon")
    key[2] = struct.pack("<f", struct.unpack("<f", key[2])[0] * 10)
    return True


def vocabulary(g):
    """Every embedding under the id of the next token."""
    t = g.find(r"token_embd\.weight")[0]
    t.reorder([t.rows - 1, *range(t.rows - 1)])
    return True


def expert(g):
    """An expert of zeros."""
    found = g.find(r"blk\.0\.ffn_down_exps\.weight")
    if not found:
        return False
    t = found[0]
    part = len(t.data) // t.dims[2]
    t.data[part : 2 * part] = bytes(part)
    return True


FAULTS = {
    "top exponent bit of a scale": scale_bit,
    "two rows swapped": rows_swapped,
    "q permutation": permutation,
    "bias zeroed": bias_zeroed,
    "bias removed": bias_removed,
    "RoPE base": rope_base,
    "norm epsilon": norm_epsilon,
    "vocabulary shifted": vocabulary,
    "expert missing": expert,
}


def verify(smelt, path, original, tokens, context):
    """(passed, what was breached: names of metrics)."""
    options = ["--tokens", tokens, "--context", str(context), "--json", "--quiet", "--threads", "1"]
    done = subprocess.run([smelt, "verify", path, "--against", original, *options], capture_output=True, text=True)
    if done.returncode in (0, 1) and done.stdout:
        return done.returncode == 0, breached(json.loads(done.stdout))
    if done.returncode == 3:  # it is not even a model of the family
        return False, ["refused"]
    raise SystemExit(f"{path}: exit code {done.returncode}: {done.stderr}")


def breached(report):
    return sorted({c["threshold"] for c in report["checks"] if c["verdict"] == "breached"})


AREAS = [("structure", ("differences",)), ("weights", ("snr", "block-snr", "cosine", "rmse", "error", "saturated", "zeroed", "nonfinite")),
         ("logits", ("kl", "top", "ppl", "dp", "greedy")), ("refused", ("refused",))]  # fmt: skip


def areas(names):
    """Which of verify's parts the breached limits belong to."""
    plain = [n.replace("max-", "").replace("min-", "") for n in names]
    return {area for area, of in AREAS if any(n.startswith(of) for n in plain)}


def main(argv):
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    smelt = argv[1]
    families = argv[2:] or sorted(d for d in os.listdir(FAMILIES) if os.path.isdir(os.path.join(FAMILIES, d)))
    bad = []
    print("| family | " + " | ".join(FAULTS) + " |")
    print("|---" * (len(FAULTS) + 1) + "|")
    with tempfile.TemporaryDirectory(prefix="smelt-faults-") as tmp:
        for family in families:
            original = os.path.join(FAMILIES, family)
            with open(os.path.join(original, "config.json"), encoding="utf-8") as f:
                config = json.load(f)
            context = min(64, config.get("max_position_embeddings") or config.get("n_positions") or config.get("max_seq_len") or 64)
            rng = random.Random(family)
            tokens, good, worse = (os.path.join(tmp, name) for name in ("tokens", "good.gguf", "bad.gguf"))
            with open(tokens, "w", encoding="utf-8") as f:
                f.write(" ".join(str(rng.randrange(config["vocab_size"])) for _ in range(256)))
            caught = {}  # by fault: what catches it in every kind of file
            for kind, mix in KINDS.items():
                if os.path.exists(good):
                    os.remove(good)
                make = ["quantize", original, good, mix, "--allow-requantize"] if mix else ["convert", original, good]
                subprocess.run([smelt, *make, "--quiet"], check=True, stderr=subprocess.DEVNULL)
                passed, names = verify(smelt, good, original, tokens, context)
                if not passed:
                    bad.append(f"{family}, {kind}: the good file: {', '.join(names)}")
                for name, fault in FAULTS.items():
                    g = Gguf(good)
                    if not fault(g):
                        continue
                    g.write(worse)
                    passed, names = verify(smelt, worse, original, tokens, context)
                    caught[name] = caught.get(name, areas(names)) & areas(names)
                    if passed:
                        bad.append(f"{family}, {kind}: {name}: not caught")
            cells = [", ".join(a for a, _ in AREAS if a in caught[f]) if f in caught else "–" for f in FAULTS]
            print(f"| {family} | " + " | ".join(cells) + " |", flush=True)
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
