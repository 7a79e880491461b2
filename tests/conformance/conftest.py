"""What the conformance tests share: the pinned peers, our command, checkpoints, and what the peers make of them.

Runs with the peers' Python: $SMELT_PEERS/venv/bin/python -m pytest tests/conformance (tests/run conformance does it all).
Nothing is skipped: without the peers or without a built smelt the run ends at once and says what to do.

What costs minutes is made once and kept in $SMELT_PEERS/conformance/KEY, where KEY is a hash of the makers' own text.
"""
import collections
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import make_checkpoints as makers  # noqa: E402

PEERS = Path(os.environ.get("SMELT_PEERS") or Path.home() / ".cache/smelt-peers")
LLAMA_CPP = PEERS / "llama.cpp"
LLAMA_TOOLS = ("llama-quantize", "llama-imatrix", "llama-perplexity", "llama-gguf-split", "llama-tokenize")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def smelt_path() -> Path:
    if os.environ.get("SMELT"):
        return Path(os.environ["SMELT"])
    return Path(os.environ.get("SMELT_BUILD") or ROOT / "build" / "release") / "smelt"


def missing() -> str | None:
    lacks = [t for t in LLAMA_TOOLS if not os.access(LLAMA_CPP / "build/bin" / t, os.X_OK)]
    if lacks or not (LLAMA_CPP / "convert_hf_to_gguf.py").exists():
        return f"the peers are not in {PEERS} ({', '.join(lacks) or 'no converter'}): run tests/peers"
    for package in ("torch", "transformers", "tokenizers", "safetensors", "gguf", "sentencepiece"):
        try:
            __import__(package)
        except ImportError as e:
            return f"{e}: run tests/peers, then these tests with {PEERS}/venv/bin/python"
    if not os.access(smelt_path(), os.X_OK):
        return f"there is no {smelt_path()}: build it (cmake --preset release && cmake --build --preset release), or set SMELT"
    return None


def pytest_sessionstart(session):
    why = missing()
    if why and not session.config.option.collectonly:
        pytest.exit(why, returncode=1)


# ------------------------------------------------------------------------------------------------------------------ programs

def run(*args, check=False, **kwargs) -> subprocess.CompletedProcess:
    kwargs.setdefault("capture_output", True)
    kwargs.setdefault("text", True)
    kwargs.setdefault("timeout", 600)
    done = subprocess.run([str(a) for a in args], **kwargs)
    if check and done.returncode != 0:
        words = " ".join(str(a) for a in args)
        pytest.fail(f"{words}\nended with {done.returncode}\n{str(done.stdout)[-2000:]}\n{str(done.stderr)[-4000:]}", pytrace=False)
    return done


@pytest.fixture(scope="session")
def peers() -> Path:
    return PEERS


@pytest.fixture(scope="session")
def build() -> Path:
    return smelt_path().parent


@pytest.fixture(scope="session")
def smelt():
    """smelt(*args, check=False) runs our command; with check a failure fails the test and shows what was printed. What it writes is
    compared with what peers write, so it leaves out the keys that say how a file was made unless provenance=True."""
    def call(*args, check=False, provenance=False, **kwargs):
        plain = ["--no-provenance"] if args and args[0] in ("convert", "quantize") and not provenance else []
        return run(smelt_path(), *args, *plain, check=check, **kwargs)
    return call


@pytest.fixture(scope="session")
def llama():
    """llama("quantize", *args, check=True): one of llama.cpp's own programs."""
    def call(tool, *args, check=True, **kwargs):
        return run(LLAMA_CPP / "build/bin" / f"llama-{tool}", *args, check=check, **kwargs)
    return call


@pytest.fixture(scope="session")
def llama_quantize(llama):
    """llama_quantize(src, dst, type, *options, check=True)."""
    def call(src, dst, kind, *options, check=True):
        return llama("quantize", *options, src, dst, kind, "2", check=check)
    return call


def run_peer_converter(jobs: list[dict]) -> dict[str, dict]:
    if not jobs:
        return {}
    for job in jobs:
        Path(job["dst"]).parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, str(HERE / "peer_convert.py"), str(LLAMA_CPP)], input=json.dumps(jobs), text=True,
                          capture_output=True, timeout=3000)
    if done.returncode != 0:
        pytest.exit(f"the peer's converter did not run:\n{done.stderr[-4000:]}", returncode=1)
    # Some of the libraries below print notes of their own.
    return {r["dst"]: r for r in (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))}


@pytest.fixture(scope="session")
def llama_convert():
    """llama_convert(src, dst, outtype="auto", pre=None, *more): llama.cpp's converter; fails the test if it fails."""
    def call(src, dst, outtype="auto", pre=None, *more):
        result = run_peer_converter([{"src": str(src), "dst": str(dst), "outtype": outtype, "pre": pre, "args": list(more)}])
        if not result[str(dst)]["ok"]:
            pytest.fail(f"llama.cpp's converter failed on {src}:\n{result[str(dst)]['log']}", pytrace=False)
        return Path(dst)
    return call


# --------------------------------------------------------------------------------------------------- checkpoints, kept outside

def cache_key() -> str:
    h = hashlib.sha256()
    for name in ("make_checkpoints.py", "peer_convert.py"):
        h.update((HERE / name).read_bytes())
    return h.hexdigest()[:16]


@contextlib.contextmanager
def locked(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def forget_old_caches(folder: Path, keep: str) -> None:
    for d in folder.iterdir():
        if d.is_dir() and d.name != keep and time.time() - d.stat().st_mtime > 14 * 86400:
            shutil.rmtree(d, ignore_errors=True)


class Workshop:
    """Checkpoints and the peer's conversions of them."""

    def __init__(self):
        self.top = PEERS / "conformance" / cache_key()
        self.models = PEERS / "models"

    def checkpoint(self, name: str) -> Path:
        return self.top / "checkpoints" / name

    def logits(self, name: str) -> dict:
        """Reference logits of transformers: input_ids, logits."""
        from safetensors.torch import load_file
        return load_file(self.top / "checkpoints" / f"{name}.logits.safetensors")

    def gguf(self, name: str, outtype: str = "auto") -> Path:
        """The peer's conversion; its log stands beside it where it failed."""
        return self.top / "gguf" / outtype / f"{name}.gguf"

    def lossless(self, name: str) -> Path:
        """The peer's conversion to the type that the checkpoint itself has."""
        return self.gguf(name, lossless_type(makers.BY_NAME[name]))

    def prepare(self) -> None:
        with locked(PEERS / "conformance"):
            forget_old_caches(PEERS / "conformance", self.top.name)
            self.top.mkdir(exist_ok=True)
            os.utime(self.top)
        # Versions of the makers do not wait for each other.
        with locked(self.top):
            for spec in makers.SPECS:
                if not self.checkpoint(spec.name).is_dir():
                    with contextlib.redirect_stdout(sys.stderr):
                        makers.make_one(spec, self.top / "checkpoints")
            jobs = [{"src": str(self.checkpoint(s.name)), "dst": str(self.gguf(s.name, t)), "outtype": t, "pre": makers.PRE.get(s.vocab)}
                    for s in makers.SPECS for t in outtypes(s) if not self.gguf(s.name, t).exists()]
            for dst, result in run_peer_converter(jobs).items():
                if not result["ok"]:
                    Path(dst).with_suffix(".log").write_text(result["log"])

    def big(self, name: str, make) -> Path:
        with locked(self.models):
            return makers.finished(self.models / name, make)

    def big_gguf(self, name: str, outtype: str) -> Path:
        dst = self.models / f"{name}.{outtype}.gguf"
        with locked(self.models):
            if not dst.exists():
                result = run_peer_converter([{"src": str(self.models / name), "dst": str(dst), "outtype": outtype}])
                assert result[str(dst)]["ok"], result[str(dst)]["log"]
        return dst


def lossless_type(spec) -> str:
    if callable(spec.dtype):
        return "f32"
    return {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[spec.dtype]


def outtypes(spec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*spec.types, lossless_type(spec))))


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    w = Workshop()
    w.prepare()
    return w


@pytest.fixture(scope="session")
def smollm2(workshop) -> Path:
    """A real checkpoint: SmolLM2-135M-Instruct, bfloat16, three shards."""
    return workshop.big("smollm2", makers.make_smollm2)


# --------------------------------------------------------------------------------------------------------- reading, comparing

Gguf = collections.namedtuple("Gguf", "kv tensors alignment version")
Tensor = collections.namedtuple("Tensor", "type shape data offset")


def read_gguf(path) -> Gguf:
    """kv: ordered {key: (type names, value)}; tensors: ordered {name: Tensor(type, shape, bytes, offset in the data)}."""
    from gguf import GGUFReader
    reader = GGUFReader(str(path))
    kv = collections.OrderedDict()
    version = None
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            version = int(field.parts[-1][0]) if name == "GGUF.version" else version
            continue
        kv[name] = (tuple(t.name for t in field.types), field.contents())
    tensors = collections.OrderedDict(
        (t.name, Tensor(t.tensor_type.name, tuple(int(n) for n in t.shape), t.data.tobytes(), int(t.data_offset) - reader.data_offset))
        for t in reader.tensors)
    return Gguf(kv, tensors, reader.alignment, version)


@pytest.fixture(scope="session")
def gguf_read():
    return read_gguf


def short(value) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + f"… ({len(text)} characters)"


# The converter takes these from a Python set, whose order changes from run to run; ours is the order of the checkpoint.
UNORDERED_KEYS = ("tokenizer.chat_templates",)


def gguf_differences(ours, theirs, ignore_keys=()) -> list[str]:
    a, b = read_gguf(ours), read_gguf(theirs)
    for k in UNORDERED_KEYS:
        for g in (a, b):
            if k in g.kv:
                g.kv[k] = (g.kv[k][0], sorted(g.kv[k][1]))
    out = []
    keys_a, keys_b = ([k for k in g.kv if k not in ignore_keys] for g in (a, b))
    if keys_a != keys_b:
        only_a, only_b = [k for k in keys_a if k not in b.kv], [k for k in keys_b if k not in a.kv]
        out.append(f"keys differ: only ours {only_a}, only theirs {only_b}" if only_a or only_b else
                   f"order of keys differs:\n  ours   {keys_a}\n  theirs {keys_b}")
    for k in keys_a:
        # Type and value through repr, so that NaN equals itself and 1 is not True.
        if k in b.kv and (a.kv[k][0] != b.kv[k][0] or repr(a.kv[k][1]) != repr(b.kv[k][1])):
            if isinstance(a.kv[k][1], list) and isinstance(b.kv[k][1], list):
                at = next((i for i, (x, y) in enumerate(zip(a.kv[k][1], b.kv[k][1])) if repr(x) != repr(y)), None)
                where = f"lengths {len(a.kv[k][1])}, {len(b.kv[k][1])}; first difference at {at}"
                if at is not None:
                    where += f": {short(a.kv[k][1][at])}, {short(b.kv[k][1][at])}"
                out.append(f"{k}: types {a.kv[k][0]}, {b.kv[k][0]}; {where}")
            else:
                out.append(f"{k}: ours {a.kv[k][0]} {short(a.kv[k][1])}, theirs {b.kv[k][0]} {short(b.kv[k][1])}")
    if list(a.tensors) != list(b.tensors):
        out.append(f"tensors: ours {short(list(a.tensors))}\n  theirs {short(list(b.tensors))}\n"
                   f"  only ours {sorted(set(a.tensors) - set(b.tensors))}, only theirs {sorted(set(b.tensors) - set(a.tensors))}")
    for n, x in a.tensors.items():
        y = b.tensors.get(n)
        if y is None:
            continue
        if x[:2] != y[:2]:
            out.append(f"{n}: ours {x.type} {x.shape}, theirs {y.type} {y.shape}")
        elif x.data != y.data:
            at = next(i for i, (p, q) in enumerate(zip(x.data, y.data)) if p != q)
            wrong = sum(p != q for p, q in zip(x.data[:1 << 20], y.data[:1 << 20]))
            out.append(f"{n} ({x.type} {x.shape}): {wrong} bytes differ in the first MiB, first at {at}: "
                       f"{x.data[at:at + 8].hex()}, theirs {y.data[at:at + 8].hex()}")
        elif x.offset != y.offset:
            out.append(f"{n}: offset {x.offset}, theirs {y.offset}")
    if a.alignment != b.alignment:
        out.append(f"alignment {a.alignment}, theirs {b.alignment}")
    return out


def same_bytes(a, b) -> bool:
    if os.path.getsize(a) != os.path.getsize(b):
        return False
    with open(a, "rb") as f, open(b, "rb") as g:
        while True:
            x, y = f.read(1 << 22), g.read(1 << 22)
            if x != y:
                return False
            if not x:
                return True


def assert_same_gguf(ours, theirs, ignore_keys=()):
    """Equal byte for byte, but for keys to ignore and for the order where theirs has none. A failure lists what differs."""
    if same_bytes(ours, theirs):
        return
    diff = gguf_differences(ours, theirs, ignore_keys)
    if diff or not (ignore_keys or any(k in read_gguf(theirs).kv for k in UNORDERED_KEYS)):
        pytest.fail("\n".join(diff[:30]) or "the files differ outside of keys and tensors (padding?)", pytrace=False)


def checkpoint_tensors(folder) -> dict:
    """Every tensor of a Hugging Face directory by name, through torch and the safetensors package."""
    import torch
    from safetensors.torch import load_file
    folder = Path(folder)
    out = {}
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    assert files, f"no weights in {folder}"
    for f in files:
        part = load_file(f) if f.suffix == ".safetensors" else torch.load(f, map_location="cpu", weights_only=True)
        assert not set(part) & set(out), f"{f} repeats tensors"
        out.update({n: t.detach() for n, t in part.items()})
    return out


def assert_same_tensors(ours: dict, theirs: dict):
    import torch
    assert sorted(ours) == sorted(theirs)
    for n, t in theirs.items():
        assert ours[n].dtype == t.dtype and ours[n].shape == t.shape, n
        assert torch.equal(ours[n].contiguous().view(torch.uint8), t.contiguous().view(torch.uint8)), n
