"""Stock programs load what smelt writes and compute the same with it."""
import re

import pytest

import make_checkpoints as makers
from conftest import ROOT, assert_same_tensors, checkpoint_tensors, same_bytes

TEXTS = ["Hello world", " leading space", "3 33 333 1024", "tabs\tand\n\nlines  two  spaces", "Zwölf Boxkämpfer jagen Viktor",
         "Съешь ещё этих мягких", "我能吞下玻璃 いろは", "we're they've I'D don't", "🚀🦙", "", "<|im_start|>user\nhi<|im_end|>", "<s>x</s>",
         "for (int i = 0; i < n; i++) sum += x[i];"]
RUNNABLE = [s.name for s in makers.SPECS if s.runs]


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(makers.CORPUS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def logits(llama, text):
    """All token probabilities that llama.cpp computes over a short text, as the bytes of its own base file."""
    def call(model, out):
        llama("perplexity", "-m", model, "-f", text, "-c", "64", "-t", "1", "-ngl", "0", "--kl-divergence-base", out)
        return out
    return call


@pytest.mark.parametrize("name", ["llama-mha-spm", "Llama-GQA-Tied-2x64", "biases", "head-dim-32", "rope-llama3-v5", "rope-yarn-v4",
                                  "Mistral-7B-like-v0.3", "OpenLLaMA-3b-like", "bpe-smollm", "spm-in-tokenizer-json"])
def test_llama_cpp_computes_the_same_logits(smelt, workshop, logits, tmp_path, name):
    smelt("convert", workshop.checkpoint(name), tmp_path / "ours.gguf", "--quiet", check=True, provenance=True)
    ours, theirs = logits(tmp_path / "ours.gguf", tmp_path / "ours.kld"), logits(workshop.gguf(name), tmp_path / "theirs.kld")
    assert ours.stat().st_size > 1000
    assert same_bytes(ours, theirs)


@pytest.mark.parametrize("mix", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_llama_cpp_runs_quantized_files(smelt, workshop, logits, llama_quantize, tmp_path, mix):
    smelt("quantize", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", mix, "--quiet", check=True, provenance=True)
    llama_quantize(workshop.lossless("hidden-256"), tmp_path / "theirs.gguf", mix)
    assert same_bytes(logits(tmp_path / "ours.gguf", tmp_path / "ours.kld"), logits(tmp_path / "theirs.gguf", tmp_path / "theirs.kld"))


def test_llama_cpp_loads_split_files(smelt, workshop, logits, tmp_path):
    smelt("convert", workshop.checkpoint("hidden-256"), tmp_path / "ours.gguf", "--split-max-tensors", "6", "--quiet", check=True, provenance=True)
    first = sorted(tmp_path.glob("ours-*.gguf"))[0]
    assert same_bytes(logits(first, tmp_path / "ours.kld"), logits(workshop.gguf("hidden-256"), tmp_path / "theirs.kld"))


def transformers_logits(folder, ids):
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(ids).logits


def encodings(folder):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {t: tokenizer(t)["input_ids"] for t in TEXTS}, tokenizer


@pytest.mark.parametrize("name", RUNNABLE)
def test_transformers_loads_what_came_back_from_gguf(smelt, workshop, tmp_path, name):
    import torch
    from conftest import lossless_type
    spec = makers.BY_NAME[name]
    back, reference = tmp_path / name, workshop.logits(name)
    smelt("convert", workshop.gguf(name, lossless_type(spec)), back, "--quiet", check=True, provenance=True)
    # llama.cpp has no key for Mistral's window, so nothing beyond it can be the same.
    ids = reference["input_ids"][:, :spec.config.get("sliding_window")]
    expected = reference["logits"] if ids.shape == reference["input_ids"].shape else transformers_logits(workshop.checkpoint(name), ids)
    assert torch.equal(transformers_logits(back, ids), expected)


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n.startswith("rope-")])
def test_transformers_reads_the_source_as_its_reference_logits_say(workshop, name):
    import torch
    reference = workshop.logits(name)
    assert torch.equal(transformers_logits(workshop.checkpoint(name), reference["input_ids"]), reference["logits"])


@pytest.mark.parametrize("name", ["llama-mha-spm", "OpenLLaMA-3b-like", "bpe-gpt2", "bpe-smollm", "bpe-qwen2-padded", "rope-llama3-v5",
                                  "spm-in-tokenizer-json", "spm-both-files", "smollm2-vocabulary"])
def test_a_tokenizer_that_came_back_from_gguf_encodes_the_same(smelt, workshop, tmp_path, name):
    back = tmp_path / name
    smelt("convert", workshop.gguf(name), back, "--quiet", check=True, provenance=True)
    ours, a = encodings(back)
    theirs, b = encodings(workshop.checkpoint(name))
    assert ours == theirs
    assert {t: a.decode(i) for t, i in ours.items()} == {t: b.decode(i) for t, i in theirs.items()}


# Where a directory has both a file and a template in tokenizer_config.json, the converter and transformers choose differently.
@pytest.mark.parametrize("name", ["bpe-smollm", "template-in-config", "templates-named", "templates-folder"])
def test_chat_templates_come_back_from_gguf(smelt, workshop, tmp_path, name):
    from transformers import AutoTokenizer
    back = tmp_path / name
    smelt("convert", workshop.gguf(name), back, "--quiet", check=True, provenance=True)
    talk = [{"role": "user", "content": "hi"}]
    ours, theirs = AutoTokenizer.from_pretrained(back), AutoTokenizer.from_pretrained(workshop.checkpoint(name))
    expected = theirs.chat_template
    if isinstance(expected, dict):  # names become parts of keys, which the converter keeps to letters, digits and _
        expected = {re.sub(r"[^A-Za-z0-9_]", "_", name): text for name, text in expected.items()}
    assert ours.chat_template == expected
    assert ours.apply_chat_template(talk, tokenize=False) == theirs.apply_chat_template(talk, tokenize=False)


def test_a_real_model_comes_back_from_gguf(smelt, workshop, smollm2, tmp_path):
    import torch
    back = tmp_path / "smollm2"
    smelt("convert", workshop.big_gguf("smollm2", "bf16"), back, "--quiet", check=True, provenance=True)
    assert_same_tensors(checkpoint_tensors(back), checkpoint_tensors(smollm2))
    ours, a = encodings(back)
    theirs, b = encodings(smollm2)
    assert ours == theirs and a.chat_template == b.chat_template
    ids = torch.tensor([theirs["Zwölf Boxkämpfer jagen Viktor"]])
    assert torch.equal(transformers_logits(back, ids), transformers_logits(smollm2, ids))


def test_the_committed_checkpoint_is_what_its_maker_makes_and_loads_everywhere(smelt, logits, llama_convert, tmp_path):
    import torch
    committed = ROOT / "tests/data/tiny-llama"
    made = makers.make_one(makers.TINY, tmp_path)
    assert sorted(p.name for p in made.iterdir()) == sorted(p.name for p in committed.iterdir())
    assert all((made / p.name).read_bytes() == p.read_bytes() for p in committed.iterdir())
    llama_convert(committed, tmp_path / "theirs.gguf", "auto", makers.PRE[makers.TINY.vocab])
    smelt("convert", committed, tmp_path / "ours.gguf", "--quiet", check=True)
    assert same_bytes(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    assert logits(tmp_path / "ours.gguf", tmp_path / "ours.kld").stat().st_size > 1000
    smelt("convert", tmp_path / "ours.gguf", tmp_path / "back", "--quiet", check=True, provenance=True)
    ids = torch.arange(3, 40)[None]
    assert torch.equal(transformers_logits(tmp_path / "back", ids), transformers_logits(committed, ids))


def test_transformers_reads_a_directory_made_of_bin_files(smelt, workshop, tmp_path):
    import torch
    back = tmp_path / "bin-sharded"
    smelt("convert", workshop.checkpoint("bin-sharded"), back, "--quiet", check=True, provenance=True)
    ids = torch.arange(3, 40)[None]
    assert torch.equal(transformers_logits(back, ids), transformers_logits(workshop.checkpoint("bin-sharded"), ids))
