"""Every model family, in the layout of its time and in today's: to GGUF and back, beside llama.cpp's converter, quantised."""
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

import make_checkpoints as makers
import make_families as families
from conftest import HERE, PEERS, ROOT, assert_same_gguf, assert_same_tensors, checkpoint_tensors, locked, read_gguf, run_peer_converter

ALL = [f.name for f in families.FAMILIES]
PEER = [f.name for f in families.FAMILIES if f.peer]

# {checkpoint: {key: why it differs from llama.cpp's}}; what stands here stands in docs/formats.md too.
EXCEPTIONS: dict[str, dict[str, str]] = {
    "qwen1": {"qwen.attention.layer_norm_rms_epsilon": "llama.cpp's loader wants it, its converter does not write it"},
}


class FamilyWorkshop:
    def __init__(self):
        h = hashlib.sha256()
        for name in ("make_checkpoints.py", "make_families.py", "peer_convert.py"):
            h.update((HERE / name).read_bytes())
        self.top = PEERS / "conformance" / ("families-" + h.hexdigest()[:16])

    def checkpoint(self, name: str) -> Path:
        return self.top / name

    def gguf(self, name: str, outtype: str = "auto") -> Path:
        return self.top / "gguf" / outtype / f"{name}.gguf"

    def tensors(self, name: str) -> dict:
        from safetensors.torch import load_file
        return load_file(self.top / f"{name}.tensors.safetensors")

    def logits(self, name: str) -> dict:
        from safetensors.torch import load_file
        return load_file(self.top / f"{name}.logits.safetensors")

    def prepare(self) -> None:
        with locked(PEERS / "conformance"):
            self.top.mkdir(exist_ok=True)
            os.utime(self.top)
            for f in families.FAMILIES:
                if not self.checkpoint(f.name).is_dir():
                    with contextlib.redirect_stdout(sys.stderr):
                        families.make_one(f, self.top)
            jobs = [{"src": str(self.checkpoint(f.name)), "dst": str(self.gguf(f.name, t)), "outtype": t, "pre": makers.PRE[f.vocab],
                     "raw": f.raw}
                    for f in families.FAMILIES if f.peer for t in ("auto", "q8_0") if not self.gguf(f.name, t).exists()]
            for dst, result in run_peer_converter(jobs).items():
                if not result["ok"]:
                    Path(dst).with_suffix(".log").write_text(result["log"])


@pytest.fixture(scope="session")
def made() -> FamilyWorkshop:
    w = FamilyWorkshop()
    w.prepare()
    return w


def test_the_committed_checkpoints_are_what_their_maker_makes(tmp_path):
    import torch
    from safetensors.torch import load_file
    data = ROOT / "tests/data/families"
    for f in families.COMMITTED:
        folder = families.make_one(f, tmp_path)
        for p in (data / f.name).iterdir():
            assert (folder / p.name).read_bytes() == p.read_bytes(), p
        ours, again = (load_file(d / f"{f.name}.logits.safetensors") for d in (data, tmp_path))
        assert torch.equal(ours["input_ids"], again["input_ids"])
        torch.testing.assert_close(ours["logits"], again["logits"])
    assert {p.name.split(".")[0] for p in data.iterdir()} == {f.name for f in families.COMMITTED}


def as_float32(tensors: dict) -> dict:
    import torch
    return {n: t if t.dtype == torch.uint8 else t.float() for n, t in tensors.items()}


@pytest.mark.parametrize("name", ALL)
def test_to_gguf_and_back_keeps_every_tensor(smelt, made, tmp_path, name):
    spec = families.BY_NAME[name]
    smelt("convert", made.checkpoint(name), tmp_path / "there.gguf", "--type", spec.type, "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    expected = made.tensors(name)
    assert_same_tensors(checkpoint_tensors(tmp_path / "back"), as_float32(expected) if callable(spec.dtype) else expected)


@pytest.mark.parametrize("name", [f.name for f in families.FAMILIES if not f.gguf_keeps])
def test_what_gguf_cannot_say_is_said(smelt, made, tmp_path, name):
    assert "GGUF has no key" in smelt("convert", made.checkpoint(name), tmp_path / "there.gguf", check=True).stderr


def test_a_key_that_only_smelt_reads_is_named(smelt, made, tmp_path):
    said = smelt("convert", made.checkpoint("gpt-oss-swiglu"), tmp_path / "there.gguf", check=True).stderr
    assert "gpt-oss.swiglu_limit" in said and "gpt-oss.swiglu_alpha" in said
    assert read_gguf(tmp_path / "there.gguf").kv["gpt-oss.swiglu_limit"]
    said = smelt("convert", made.checkpoint("gpt-oss-bf16"), tmp_path / "usual.gguf", check=True).stderr
    assert "swiglu" not in said and not any("swiglu" in k for k in read_gguf(tmp_path / "usual.gguf").kv)


@pytest.mark.parametrize("name", [f.name for f in families.FAMILIES if f.logits and f.gguf_keeps])
def test_transformers_computes_the_same_logits_of_what_comes_back(smelt, made, tmp_path, name):
    import torch
    import transformers
    smelt("convert", made.checkpoint(name), tmp_path / "there.gguf", "--type", "f32", "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    expected = made.logits(name)
    torch.set_num_threads(1)
    # By its configuration alone, as a user loads it.
    model, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype=torch.float32, output_loading_info=True)
    assert type(model).__name__ == families.BY_NAME[name].cls + "ForCausalLM"
    assert not any(info.values()), info
    with torch.no_grad():
        assert torch.equal(model.eval()(expected["input_ids"]).logits, expected["logits"])


@pytest.mark.parametrize("outtype", ["auto", "q8_0"])
@pytest.mark.parametrize("name", PEER)
def test_gguf_is_the_converters(smelt, made, tmp_path, name, outtype):
    theirs, ours = made.gguf(name, outtype), tmp_path / "ours.gguf"
    assert theirs.exists(), f"llama.cpp's converter refused it: {theirs.with_suffix('.log').read_text()[-1500:]}"
    smelt("convert", made.checkpoint(name), ours, "--type", outtype, "--quiet", check=True)
    assert_same_gguf(ours, theirs, EXCEPTIONS.get(name, ()))


def test_qwen1s_tokenizer_comes_back_for_transformers(smelt, made, tmp_path):
    import base64
    import unicodedata

    import tiktoken
    import tokenize_cases as cases
    from transformers import AutoTokenizer
    smelt("convert", made.gguf("qwen1"), tmp_path / "back", "--quiet", check=True)
    lines = (made.checkpoint("qwen1") / "qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    peer = tiktoken.Encoding("qwen", pat_str=cases.QWEN, mergeable_ranks=ranks,
                             special_tokens={s: len(ranks) + i for i, s in enumerate(makers.QWEN1_SPECIALS)})
    ours = AutoTokenizer.from_pretrained(tmp_path / "back")
    for text in cases.CORPUS + cases.random_strings(2000, 4) + ["a<|im_start|>b<|extra_204|>"]:
        if all(unicodedata.category(c) != "Cn" for c in text):  # the peers' Unicode versions differ
            assert ours(text)["input_ids"] == peer.encode(unicodedata.normalize("NFC", text), allowed_special="all"), text


def test_mxfp4_comes_back_under_its_configuration(smelt, made, tmp_path):
    smelt("convert", made.checkpoint("gpt-oss-mxfp4"), tmp_path / "there.gguf", "--quiet", check=True)
    smelt("convert", tmp_path / "there.gguf", tmp_path / "back", "--quiet", check=True)
    ours, theirs = (json.loads((d / "config.json").read_text()) for d in (tmp_path / "back", made.checkpoint("gpt-oss-mxfp4")))
    assert ours["quantization_config"] == theirs["quantization_config"]


@pytest.mark.parametrize("mix", ["Q8_0", "Q4_K_M"])
def test_mxfp4_is_requantised_only_where_asked_for(smelt, made, llama_quantize, tmp_path, mix):
    source = made.gguf("gpt-oss-mxfp4")
    assert llama_quantize(source, tmp_path / "theirs.gguf", mix, check=False).returncode != 0
    refused = smelt("quantize", source, tmp_path / "ours.gguf", mix, "--quiet")
    assert refused.returncode == 3 and "quantised already (mxfp4)" in refused.stderr
    llama_quantize(source, tmp_path / "theirs.gguf", mix, "--allow-requantize")
    smelt("quantize", source, tmp_path / "ours.gguf", mix, "--allow-requantize", "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@pytest.mark.parametrize("name", [f.name for f in families.FAMILIES if f.peer and f.quantise])
def test_llama_quantizes_files_become_directories(smelt, made, llama_quantize, tmp_path, name):
    llama_quantize(made.gguf(name), tmp_path / "theirs.gguf", "Q8_0")
    smelt("convert", tmp_path / "theirs.gguf", tmp_path / "back", "--quiet", check=True)
    expected = made.tensors(name)
    assert {n: t.shape for n, t in checkpoint_tensors(tmp_path / "back").items()} == {n: t.shape for n, t in expected.items()}


@pytest.mark.parametrize("mix", ["Q8_0", "Q4_K_M"])
@pytest.mark.parametrize("name", [f.name for f in families.FAMILIES if f.peer and f.quantise])
def test_quantised_is_llama_quantizes(smelt, made, llama_quantize, tmp_path, name, mix):
    llama_quantize(made.gguf(name), tmp_path / "theirs.gguf", mix)
    smelt("quantize", made.gguf(name), tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


# Falcon has rules of its own, and experts are a class of theirs only in some mixes.
@pytest.mark.parametrize("mix", ["Q4_0", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q5_K_M", "Q6_K", "IQ4_XS"])
@pytest.mark.parametrize("name", ["falcon-40b-like", "falcon-7b-like", "qwen3-moe-now", "pythia-like"])
def test_every_mix_is_llama_quantizes(smelt, made, llama_quantize, tmp_path, name, mix):
    llama_quantize(made.gguf(name), tmp_path / "theirs.gguf", mix)
    smelt("quantize", made.gguf(name), tmp_path / "ours.gguf", mix, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
