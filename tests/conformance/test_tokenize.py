"""Ids and decoded text against the packages that define them: `tokenizers` for tokenizer.json, `sentencepiece` for tokenizer.model,
`tiktoken` for its files, and llama.cpp's own expectations for GGUF."""
import base64
import json
import random

import pytest
import tokenize_cases as cases
from conftest import LLAMA_CPP
from tokenize_cases import families, smelt_encode

ADD_SPECIAL = 1


@pytest.fixture(scope="session")
def cli(build):
    path = build / "tests/tok_cli"
    assert path.exists(), f"there is no {path}: build the tests"
    return path


@pytest.fixture(scope="session")
def files():
    return cases.source_files(LLAMA_CPP, 4_000_000)


@pytest.fixture(scope="session")
def training(files):
    lines = [line for text in files[:150] for line in text.splitlines()][:10_000] + cases.CORPUS + cases.random_strings(2000, 1)
    return [line.replace("\0", "") for line in lines]  # jansson reads no object key with a NUL


def compare(name, texts, got, want, decode=None):
    wrong = []
    for text, (ids, back), expected in zip(texts, got, want):
        if ids != list(expected):
            at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
            wrong.append(f"{text[:80]!a}: at {at} {ids[at:at + 6]}, expected {list(expected)[at:at + 6]}")
        elif decode and decode(ids) != back.decode("utf-8", "replace"):
            wrong.append(f"{text[:80]!a}: decodes to {back[:80]!r}, expected {decode(ids)[:80]!a}")
    assert not wrong, f"{name}: {len(wrong)} of {len(texts)} differ\n" + "\n".join(wrong[:10])


def check_json(cli, path, tokenizer, texts):
    want = [e.ids for e in tokenizer.encode_batch(texts)]
    compare(path.name, texts, smelt_encode(cli, path, texts, ADD_SPECIAL), want, lambda ids: tokenizer.decode(ids, skip_special_tokens=False))


@pytest.mark.parametrize("family", sorted(families()))
def test_families_encode_as_tokenizers_does(cli, tmp_path, training, files, family):
    path = tmp_path / "tokenizer.json"
    tokenizer = cases.train(family, training, path)
    check_json(cli, path, tokenizer, cases.CORPUS + cases.random_strings(4000, family) + files[::8])


def test_a_real_vocabulary_encodes_a_hundred_thousand_strings_and_a_source_tree(cli, smollm2, files):
    from tokenizers import Tokenizer
    path = smollm2 / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    texts = cases.CORPUS + cases.random_strings(100_000, 3) + files
    check_json(cli, path, tokenizer, texts)
    for text, (_, back) in zip(files, smelt_encode(cli, path, files)):
        assert back == text.encode()


def sentencepiece_models(folder, training):
    import sentencepiece
    corpus = folder / "corpus.txt"
    lines = (line.replace("\0", "").replace("\r", "") for text in training for line in text.split("\n"))
    corpus.write_text("\n".join(line for line in lines if line.strip()), encoding="utf-8")
    kinds = {
        "llama": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
                      allow_whitespace_only_pieces=True),
        "bpe-nfkc": dict(model_type="bpe", normalization_rule_name="nmt_nfkc", user_defined_symbols=["<sep>", "foo bar", "▁▁x"]),
        "unigram": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nmt_nfkc_cf", user_defined_symbols=["<sep>", "foo"]),
        "unigram-plain": dict(model_type="unigram", normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False),
        "unigram-suffix": dict(model_type="unigram", normalization_rule_name="nfkc", treat_whitespace_as_suffix=True),
    }
    for name, options in kinds.items():
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / name), vocab_size=3500, character_coverage=0.99,
                                                 input_sentence_size=8000, minloglevel=2, num_threads=2, hard_vocab_limit=False, **options)
        yield name, folder / f"{name}.model"


def test_sentencepiece_models_encode_as_sentencepiece_does(cli, tmp_path, training, files):
    import sentencepiece
    r = random.Random(5)
    for name, path in sentencepiece_models(tmp_path, training):
        sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
        texts = cases.CORPUS + cases.random_strings(100_000 if name in ("llama", "unigram") else 8000, name) + files
        compare(name, texts, smelt_encode(cli, path, texts), [sp.encode(t) for t in texts], sp.decode)
        raw = [bytes(r.randrange(256) for _ in range(r.randint(1, 12))) + b"hello \xff\xfe" for _ in range(1000)]
        compare(f"{name}, no UTF-8", raw, smelt_encode(cli, path, raw), [sp.encode(t) for t in raw])


@pytest.mark.parametrize("split", [False, True])
def test_a_unigram_tokenizer_json_encodes_as_tokenizers_does(cli, tmp_path, training, files, split):
    """Sums of float64, over whole files where nothing is cut before."""
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    sp = sentencepiece.SentencePieceProcessor(model_file=str(dict(sentencepiece_models(tmp_path, training))["unigram"]))
    pieces = [(sp.id_to_piece(i), sp.get_score(i)) for i in range(sp.vocab_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(split=split)])
    path = tmp_path / "unigram.json"
    tokenizer.save(str(path))
    check_json(cli, path, Tokenizer.from_file(str(path)), cases.CORPUS + cases.random_strings(20_000, 7) + files)


def test_llama2s_tokenizer_json_encodes_as_tokenizers_does(cli, tmp_path, training, files):
    """SentencePiece's merges with byte fallback, as LLaMA 2, Yi and transformers 5 write them."""
    import sentencepiece
    from tokenizers import Tokenizer
    sp = sentencepiece.SentencePieceProcessor(model_file=str(dict(sentencepiece_models(tmp_path, training))["llama"]))
    vocab = {sp.id_to_piece(i): i for i in range(sp.vocab_size())}
    merges = [(sp.get_score(i), vocab[p[:k]], p[:k], p[k:]) for p, i in vocab.items() if not (sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i))
              for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
    merges.sort(key=lambda m: (-m[0], m[1]))
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    said = {
        "version": "1.0", "truncation": None, "padding": None, "pre_tokenizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": n, "special": not n}
                         for i, c, n in ((0, "<unk>", False), (1, "<s>", False), (2, "</s>", False), (len(vocab), "<plain>", True))],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                     {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "vocab": vocab, "merges": [f"{a} {b}" for _, _, a, b in merges]},
    }
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    for name, change in (("llama2", {}), ("yi", {"normalizer": space}), ("transformers5", {"normalizer": None, "pre_tokenizer": metaspace})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(said | change))
        check_json(cli, path, Tokenizer.from_file(str(path)), cases.CORPUS + cases.random_strings(100_000, name) + files)


def test_tiktoken_files_encode_as_tiktoken_does(cli, tmp_path, training, files):
    import unicodedata

    import tiktoken
    ranks = train_ranks(training)
    path = tmp_path / "qwen.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks.items()))
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)]
    peer = tiktoken.Encoding("small", pat_str=cases.QWEN, mergeable_ranks=ranks, special_tokens={s: len(ranks) + i for i, s in enumerate(names)})
    texts = cases.CORPUS + cases.random_strings(100_000, 9) + files + ["a<|im_start|>b<|extra_204|>"]
    want = [peer.encode(unicodedata.normalize("NFC", t), allowed_special="all") for t in texts]
    # The peer's Unicode is another version: characters newer than Python's are left out.
    known = [i for i, t in enumerate(texts) if all(unicodedata.category(c) != "Cn" for c in t)]
    compare("qwen.tiktoken", [texts[i] for i in known], smelt_encode(cli, path, [texts[i] for i in known]), [want[i] for i in known])


def train_ranks(training):
    """Ranks of a byte-level vocabulary: the merges of the `tokenizers` package, as bytes in their order."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(cases.QWEN), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    t.train_from_iterator(training, trainers.BpeTrainer(vocab_size=1500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    letters = {}
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    for b in range(256):
        letters[chr(b) if b in printable else chr(0x100 + sum(c not in printable for c in range(b)))] = b
    return {bytes(letters[c] for c in s): i for s, i in sorted(t.get_vocab().items(), key=lambda x: x[1])}


# Vocabularies of kinds that smelt_vocab does not hold.
OTHER_KINDS = {"bert-bge", "gemma-4"}


@pytest.mark.parametrize("path", sorted((LLAMA_CPP / "models").glob("ggml-vocab-*.gguf.inp")), ids=lambda p: p.name)
def test_gguf_vocabularies_encode_as_llama_cpp_expects(cli, path):
    source = path.with_suffix("")
    if source.stem.removeprefix("ggml-vocab-") in OTHER_KINDS:
        return
    texts = path.read_bytes().decode().split("\n__ggml_vocab_test__\n")
    want = [[int(i) for i in line.split()] for line in source.with_suffix(".gguf.out").read_text().split("\n")]
    texts = texts[:-1] if texts[-1] == "" else texts
    compare(path.name, texts, smelt_encode(cli, source, texts), want)


@pytest.mark.parametrize("name", ["gpt-2", "llama-spm", "qwen2"])
def test_gguf_encodes_files_as_llama_tokenize_does(cli, llama, files, tmp_path, name):
    source = LLAMA_CPP / f"models/ggml-vocab-{name}.gguf"
    text = "\n".join(cases.CORPUS[1:]).replace("\0", "") + "".join(files[::40])[:200_000]
    (tmp_path / "text").write_bytes(text.encode())
    done = llama("tokenize", "-m", source, "-f", tmp_path / "text", "--ids", "--no-bos", "--no-escape", "--log-disable")
    want = json.loads(done.stdout.strip().splitlines()[-1])
    compare(name, [text], smelt_encode(cli, source, [text]), [want])
