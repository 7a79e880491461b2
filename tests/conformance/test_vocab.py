"""Tokenizers: the keys equal llama.cpp's for every kind of directory, and what a GGUF becomes encodes text as the original."""
import json

import numpy as np
import pytest
from conftest import run_peer_converter
from gguf import GGUFReader
from safetensors.numpy import save_file
from transformers import AutoTokenizer

import vocab_cases
from vocab_texts import texts

SIZES = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4,
             max_position_embeddings=128, rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False)
PRE = "llama-bpe"  # the peer recognises no freshly trained vocabulary


def weights(d, n):
    h, f = SIZES["hidden_size"], SIZES["intermediate_size"]
    shapes = {"model.embed_tokens": (n, h), "lm_head": (n, h), "model.norm": (h,)}
    layer = {"self_attn.q_proj": (h, h), "self_attn.k_proj": (h, h), "self_attn.v_proj": (h, h), "self_attn.o_proj": (h, h),
             "mlp.gate_proj": (f, h), "mlp.up_proj": (f, h), "mlp.down_proj": (h, f), "input_layernorm": (h,),
             "post_attention_layernorm": (h,)}
    shapes |= {f"model.layers.0.{k}": s for k, s in layer.items()}
    save_file({k + ".weight": np.zeros(s, np.float32) for k, s in shapes.items()}, d / "model.safetensors")


def tokenizer_keys(path):
    return [(k, [t.name for t in f.types], f.contents()) for k, f in GGUFReader(path).fields.items() if k.startswith("tokenizer.")]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Every case's directory with weights, and the peer's GGUF of it beside it."""
    root = tmp_path_factory.mktemp("vocab")
    jobs = []
    for name in vocab_cases.CASES:
        said = vocab_cases.make(name, root / name, **SIZES)
        weights(root / name, said["vocab_size"])
        jobs.append({"src": str(root / name), "dst": str(root / f"{name}.peer.gguf"), "outtype": "f32", "pre": vocab_cases.PUBLISHED.get(name, PRE) or PRE})
    done = run_peer_converter(jobs)
    bad = [f"{r['dst']}: {r['log'][-1500:]}" for r in done.values() if not r["ok"]]
    assert not bad, bad
    return root


@pytest.mark.parametrize("name", vocab_cases.CASES)
def test_keys_are_the_peers(name, cases, smelt, tmp_path):
    pre = [] if name in vocab_cases.PUBLISHED else ["--pre", PRE]
    smelt("convert", cases / name, tmp_path / "ours.gguf", "--type", "f32", *pre, "--quiet", check=True)
    ours, peers = tokenizer_keys(tmp_path / "ours.gguf"), tokenizer_keys(cases / f"{name}.peer.gguf")
    assert [k[:2] for k in ours] == [k[:2] for k in peers]
    for (key, _, a), (_, _, b) in zip(ours, peers):
        assert a == b, key


# Cases in which the peer's keys keep everything that encoding needs.
@pytest.mark.parametrize("name", ["bpe", "bpe_slow", "spm_llama", "llama_json", "llama_json_added", "pythia", "mpt", "gptj", "falcon", "phi2", "qwen3",
                                  "open_llama"])
def test_a_gguf_becomes_a_directory_that_encodes_as_the_original(name, cases, smelt, tmp_path):
    smelt("convert", cases / f"{name}.peer.gguf", f"{tmp_path}/hf/", "--quiet", *(["--pre", "gpt-2"] if name == "bpe_slow" else []),
          check=True)
    want, have = AutoTokenizer.from_pretrained(cases / name), AutoTokenizer.from_pretrained(tmp_path / "hf")
    for special in (True, False):
        for text in texts(list(want.get_added_vocab())[:20]):
            a, b = want.encode(text, add_special_tokens=special), have.encode(text, add_special_tokens=special)
            assert want.convert_ids_to_tokens(a) == have.convert_ids_to_tokens(b), text
            assert a == b and want.decode(a) == have.decode(b), text
    assert want.chat_template == have.chat_template
    # config.json names a BOS where the tokenizer's files name none.
    assert have.eos_token == want.eos_token and want.bos_token in (None, have.bos_token)


@pytest.mark.parametrize("name", ["bpe", "bpe_templates", "spm", "spm_llama"])
def test_the_directory_gives_the_same_keys_again(name, cases, smelt, tmp_path):
    smelt("convert", cases / f"{name}.peer.gguf", f"{tmp_path}/hf/", "--quiet", check=True)
    smelt("convert", tmp_path / "hf", tmp_path / "again.gguf", "--quiet", check=True)
    first, again = tokenizer_keys(cases / f"{name}.peer.gguf"), tokenizer_keys(tmp_path / "again.gguf")
    assert [k[:2] for k in first] == [k[:2] for k in again]
    for (key, _, a), (_, _, b) in zip(first, again):
        if key.endswith("token_type"):  # an added "<unk>" that only counts as control comes back as the unknown token
            a, b = ([t if t != 2 else 3 for t in x] for x in (a, b))
        assert a == b, key


def test_a_chat_template_keeps_its_bytes(cases, smelt, tmp_path):
    smelt("convert", cases / "bpe_jinja.peer.gguf", f"{tmp_path}/hf/", "--quiet", check=True)
    assert (tmp_path / "hf/chat_template.jinja").read_bytes() == vocab_cases.TEMPLATE.encode()
    assert (tmp_path / "hf/additional_chat_templates/rag.jinja").read_bytes() == b"R" + vocab_cases.TEMPLATE.encode()


def test_smollm2_keeps_its_encoding(workshop, smollm2, smelt, tmp_path):
    """The checkpoint was saved from a GGUF by a library that forgets how digits are cut; the authentic tokenizer cuts them."""
    smelt("convert", workshop.big_gguf("smollm2", "bf16"), f"{tmp_path}/hf/", "--quiet", check=True)
    authentic = tmp_path / "authentic"
    authentic.mkdir()
    for f in smollm2.iterdir():
        if f.suffix in (".json", ".jinja"):
            (authentic / f.name).write_bytes(f.read_bytes())
    tokenizer = json.loads((authentic / "tokenizer.json").read_text())
    assert tokenizer["pre_tokenizer"]["type"] == "ByteLevel"
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True},
                                                                        tokenizer["pre_tokenizer"]]}
    (authentic / "tokenizer.json").write_text(json.dumps(tokenizer))
    want, have = AutoTokenizer.from_pretrained(authentic), AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in texts(list(want.get_added_vocab())):
        assert want.encode(text) == have.encode(text), text
    assert want.chat_template == have.chat_template


def test_unknown_cutting_is_shown_and_can_be_overridden(smelt, tmp_path):
    said = vocab_cases.make("bpe", tmp_path / "m", **SIZES)
    weights(tmp_path / "m", said["vocab_size"])
    tokenizer = json.loads((tmp_path / "m/tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}{1,9}|."
    (tmp_path / "m/tokenizer.json").write_text(json.dumps(tokenizer))
    done = smelt("convert", tmp_path / "m", tmp_path / "x.gguf", "--quiet")
    assert done.returncode == 3 and r"split \p{L}{1,9}|." in done.stderr and "Nearest" in done.stderr
    assert not (tmp_path / "x.gguf").exists()
    smelt("convert", tmp_path / "m", tmp_path / "x.gguf", "--quiet", "--pre", "llama-bpe", check=True)
    done = smelt("convert", tmp_path / "m", tmp_path / "y.gguf", "--quiet", "--pre", "llama-4")
    assert done.returncode == 2 and "llama-bpe" in done.stderr
