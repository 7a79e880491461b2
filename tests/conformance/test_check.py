"""smelt check says of llama.cpp and transformers what they do: every family, and files that are broken on purpose."""
import json
import shutil
from pathlib import Path

import pytest

import make_checkpoints as makers
from conftest import PEERS, ROOT
from test_families import ALL, made  # noqa: F401  (a fixture)


@pytest.fixture(scope="session")
def says(smelt):
    """says(path, target): whether the program would load it, and the ids of the rules that say no."""
    def call(path, target):
        done = smelt("check", path, "--target", target, "--json")
        assert done.returncode in (0, 1), done.stderr
        verdict = json.loads(done.stdout)["targets"][0]
        assert verdict["loads"] == (done.returncode == 0) == (not verdict["reasons"])
        return verdict["loads"], [r["rule"] for r in verdict["reasons"]]
    return call


@pytest.fixture(scope="session")
def llama_loads(llama, tmp_path_factory):
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text(makers.CORPUS, encoding="utf-8")

    def call(model):
        done = llama("perplexity", "-m", model, "-f", text, "-c", "16", "--chunks", "1", "-t", "1", "-ngl", "0", check=False)
        return done.returncode == 0
    return call


def transformers_loads(folder, **more):
    from transformers import AutoModelForCausalLM
    try:
        AutoModelForCausalLM.from_pretrained(folder, **more)
    except Exception as e:  # whatever it raises, it did not load
        print(e)
        return False
    return True


@pytest.mark.parametrize("name", ALL)
def test_llama_cpp_and_transformers_load_what_is_said_of_each_family(smelt, made, says, llama_loads, tmp_path, name):  # noqa: F811
    folder = made.checkpoint(name)
    gguf = tmp_path / f"{name}.gguf"
    smelt("convert", folder, gguf, "--quiet", check=True)
    assert says(gguf, "llama.cpp")[0] == llama_loads(gguf)
    assert says(folder, "transformers")[0] == transformers_loads(folder)
    assert says(gguf, "transformers")[0] == transformers_loads(tmp_path, gguf_file=gguf.name)


def replaced(old: bytes, new: bytes):
    """The same file with the first `old` as `new`, which is as long."""
    def edit(path: Path) -> Path:
        data = path.read_bytes()
        assert len(old) == len(new) and old in data
        path.write_bytes(data.replace(old, new, 1))
        return path
    return edit


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-64])
    return path


BROKEN = {
    "pre-tokenizer": (replaced(b"smollm", b"smelly"), "tokenizer-pre"),
    "vocabulary": (replaced(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0gpt9"), "tokenizer-model"),
    "tensor": (replaced(b"output_norm.weight", b"output_nerm.weight"), "tensors"),
    "key": (replaced(b"llama.block_count", b"llama.block_caunt"), "tensors"),
    "architecture": (replaced(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0loama"), "architecture"),
    "truncated": (cut, "structure"),
}


@pytest.mark.parametrize("fault", list(BROKEN))
def test_llama_cpp_refuses_what_is_broken(smelt, workshop, says, llama_loads, tmp_path, fault):
    edit, rule = BROKEN[fault]
    good = tmp_path / "good.gguf"
    smelt("convert", workshop.checkpoint("bpe-smollm"), good, "--quiet", check=True)
    assert says(good, "llama.cpp") == (True, []) and llama_loads(good)
    bad = edit(Path(shutil.copy(good, tmp_path / "bad.gguf")))
    assert says(bad, "llama.cpp")[0] is False and rule in says(bad, "llama.cpp")[1]
    assert not llama_loads(bad)


def test_llama_cpp_wants_a_tokenizer_and_the_first_part(smelt, workshop, says, llama_loads, tmp_path):
    bare = tmp_path / "bare.gguf"
    smelt("convert", ROOT / "tests/data/families/llama", bare, "--quiet", check=True)
    assert says(bare, "llama.cpp") == (False, ["tokenizer-model"]) and not llama_loads(bare)
    smelt("convert", workshop.checkpoint("hidden-256"), tmp_path / "split.gguf", "--split-max-tensors", "6", "--quiet", check=True)
    parts = sorted(tmp_path.glob("split-*.gguf"))
    assert says(parts[0], "llama.cpp") == (True, []) and llama_loads(parts[0])
    assert says(parts[1], "llama.cpp") == (False, ["first-part"]) and not llama_loads(parts[1])


def config(**change):
    def edit(folder):
        path = folder / "config.json"
        c = json.loads(path.read_text())
        for key, value in change.items():
            c.pop(key, None) if value is None else c.update({key: value})
        path.write_text(json.dumps(c))
    return edit


@pytest.mark.parametrize("fault, rule", [
    (config(model_type="nonesuch", architectures=["NonesuchForCausalLM"]), "architecture"),
    (lambda d: (d / "config.json").unlink(), "config"),
    (lambda d: cut(d / "model.safetensors"), "weights"),
    (lambda d: (d / "model.safetensors").unlink(), "weights"),
    (config(hidden_size=48), "tensors"),
], ids=["family", "no-config", "truncated", "no-weights", "shape"])
def test_transformers_refuses_what_is_broken(workshop, says, tmp_path, fault, rule):
    folder = Path(shutil.copytree(workshop.checkpoint("bpe-smollm"), tmp_path / "model"))
    assert says(folder, "transformers") == (True, []) and transformers_loads(folder)
    fault(folder)
    loads, rules = says(folder, "transformers")
    assert loads is False and rule in rules
    assert not transformers_loads(folder)


def test_the_lists_are_those_of_the_pinned_programs():
    """Names in tools/check_names.def that the pinned llama.cpp and transformers know, no more and no less."""
    import re

    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    text = (ROOT / "tools/check_names.def").read_text()
    listed = {m[1]: set("".join(re.findall(r'"([^"]*)"', m[2])).split())
              for m in re.finditer(r'SMELT_NAMES\((\w+),\s*"[^"]*",\s*((?:"[^"]*"\s*)+)\)', text)}
    src = PEERS / "llama.cpp/src"
    model = (src / "llama-model.cpp").read_text()
    built = set(re.findall(r"case (LLM_ARCH_\w+):", model[:model.index("unsupported model architecture")]))
    names = dict(re.findall(r'\{ (LLM_ARCH_\w+), +"([^"]+)" +\}', (src / "llama-arch.cpp").read_text()))
    assert listed["LLAMA_ARCHS"] == {names[b] for b in built if b in names}
    assert listed["LLAMA_PRES"] == set(re.findall(r'tokenizer_pre == "([^"]+)"', (src / "llama-vocab.cpp").read_text()))
    assert listed["TRANSFORMERS_TYPES"] == set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
