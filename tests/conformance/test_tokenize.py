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


@pytest.fixture(scope="session")
def strings():
    return cases.random_strings(100_000, 11)


def compare(name, texts, got, want, decode=None, decoded=4000):
    """Ids of all texts, what they decode to of the first ones."""
    wrong = []
    for i, (text, (ids, back), expected) in enumerate(zip(texts, got, want)):
        if ids != list(expected):
            at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
            wrong.append(f"{text[:80]!a}: at {at} {ids[at:at + 6]}, expected {list(expected)[at:at + 6]}")
        elif decode and i < decoded and decode(ids) != back.decode("utf-8", "replace"):
            wrong.append(f"{text[:80]!a}: decodes to {back[:80]!r}, expected {decode(ids)[:80]!a}")
    assert not wrong, f"{name}: {len(wrong)} of {len(texts)} differ\n" + "\n".join(wrong[:10])


def check_json(cli, path, tokenizer, texts):
    want = [e.ids for e in tokenizer.encode_batch(texts)]
    compare(path.name, texts, smelt_encode(cli, path, texts, ADD_SPECIAL), want, lambda ids: tokenizer.decode(ids, skip_special_tokens=False))


@pytest.mark.parametrize("family", sorted(families()))
def test_families_encode_as_tokenizers_does(cli, tmp_path, training, files, strings, family):
    path = tmp_path / "tokenizer.json"
    tokenizer = cases.train(family, training, path)
    some = strings if family in cases.PUBLISHED else strings[:4000]
    check_json(cli, path, tokenizer, cases.CORPUS + some + files[::8])


# GPT-Neo's first repositories name the class in config.json alone; without a name the model's type has one.
@pytest.mark.parametrize("kind, files_say, config_says", [
    ("gpt2", {"tokenizer_class": "GPT2Tokenizer"}, {}), ("gpt2", {"add_prefix_space": False}, {"tokenizer_class": "GPT2Tokenizer"}),
    ("gpt2", {}, {"model_type": "gptj"}), ("phi2", {"tokenizer_class": "CodeGenTokenizer"}, {"model_type": "phi"}),
    ("qwen2", {"tokenizer_class": "Qwen2Tokenizer"}, {"model_type": "qwen2"}), ("qwen2", {}, {"model_type": "qwen2"})])
def test_vocab_and_merges_encode_as_tokenizers_does(cli, tmp_path, training, files, strings, kind, files_say, config_says):
    from tokenizers import AddedToken, Tokenizer, models
    fast = cases.train(kind, training, tmp_path / "tokenizer.json")
    slow = tmp_path / "slow"
    cases.write_slow(slow, tmp_path / "tokenizer.json")
    special, usual = ["<|endoftext|>"], [" " * 4, "<|extratoken_1|>", "<|extratoken_2|>"]
    n = fast.get_vocab_size(with_added_tokens=False)
    (slow / "added_tokens.json").write_text(json.dumps({t: n + i for i, t in enumerate(special + usual)}))
    (slow / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
                                                            "model_max_length": 2048, **files_say}))
    (slow / "config.json").write_text(json.dumps(config_says))
    peer = Tokenizer(models.BPE.from_file(str(slow / "vocab.json"), str(slow / "merges.txt")))
    if fast.normalizer:
        peer.normalizer = fast.normalizer
    peer.pre_tokenizer, peer.decoder = fast.pre_tokenizer, fast.decoder
    peer.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    peer.add_tokens([AddedToken(t, normalized=False) for t in usual])
    texts = cases.CORPUS + strings[:20_000] + files[::8]
    compare(kind, texts, smelt_encode(cli, slow, texts), [e.ids for e in peer.encode_batch(texts, add_special_tokens=False)],
            lambda ids: peer.decode(ids, skip_special_tokens=False), 2000)


def test_text_comes_back_where_the_family_promises_it(cli, tmp_path, training, files, strings):
    """Byte-level vocabularies lose nothing but what NFC changes; invalid UTF-8 comes back too."""
    import unicodedata
    r = random.Random(6)
    raw = [bytes(r.randrange(256) for _ in range(r.randint(1, 40))) for _ in range(5000)]
    for family in cases.PUBLISHED:
        path = tmp_path / f"{family}.json"
        cases.train(family, training, path)
        said = json.loads(path.read_text())
        # Stripping loses spaces, and a byte-level decoder takes an added token's letters for bytes.
        said["added_tokens"] = [a | {"lstrip": False, "rstrip": False} for a in said["added_tokens"] if a["content"].isascii()]
        path.write_text(json.dumps(said))
        texts = [t.encode() for t in cases.CORPUS + strings[:20_000] + files[::8]] + raw
        nfc = said["normalizer"] is not None
        for text, (_, back) in zip(texts, smelt_encode(cli, path, texts)):
            if nfc and not unicodedata.is_normalized("NFC", text.decode("utf-8", "replace")):
                continue
            assert back == text, f"{family}: {text!r} comes back as {back!r}"


def test_a_real_vocabulary_encodes_a_hundred_thousand_strings_and_a_source_tree(cli, smollm2, files, strings):
    from tokenizers import Tokenizer
    path = smollm2 / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    texts = cases.CORPUS + strings + files
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
        "openllama": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True, split_digits=True),
        "yi": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
                   split_digits=True, allow_whitespace_only_pieces=True, user_defined_symbols=["<|im_start|>", "<|im_end|>", "<fim_prefix>"]),
        "bpe-nfkc": dict(model_type="bpe", normalization_rule_name="nmt_nfkc", user_defined_symbols=["<sep>", "foo bar", "▁▁x"]),
        "unigram": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nmt_nfkc_cf", user_defined_symbols=["<sep>", "foo"]),
        "unigram-plain": dict(model_type="unigram", normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False),
        "unigram-suffix": dict(model_type="unigram", normalization_rule_name="nfkc", treat_whitespace_as_suffix=True),
    }
    for name, options in kinds.items():
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / name), vocab_size=3500, character_coverage=0.99,
                                                 input_sentence_size=8000, minloglevel=2, num_threads=2, hard_vocab_limit=False, **options)
        yield name, folder / f"{name}.model"


def test_sentencepiece_models_encode_as_sentencepiece_does(cli, tmp_path, training, files, strings):
    import sentencepiece
    r = random.Random(5)
    for name, path in sentencepiece_models(tmp_path, training):
        sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
        texts = cases.CORPUS + (strings if name in ("llama", "openllama", "yi", "unigram") else strings[:8000]) + files
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


def test_llama2s_tokenizer_json_encodes_as_tokenizers_does(cli, tmp_path, training, files, strings):
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
        check_json(cli, path, Tokenizer.from_file(str(path)), cases.CORPUS + strings + files)


@pytest.mark.parametrize("file, pattern, specials, nfc", [
    ("qwen.tiktoken", cases.QWEN, dict(zip(["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)],
                                             range(208))), True),
    ("o200k_base.tiktoken", cases.O200K, {"<|endoftext|>": 1, "<|endofprompt|>": 20}, False)])
def test_tiktoken_files_encode_as_tiktoken_does(cli, tmp_path, training, files, strings, file, pattern, specials, nfc):
    import unicodedata

    import tiktoken
    ranks = train_ranks(training, pattern)
    path = tmp_path / file
    path.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks.items()))
    peer = tiktoken.Encoding("small", pat_str=pattern, mergeable_ranks=ranks, special_tokens={s: len(ranks) + i for s, i in specials.items()})
    # The peer's Unicode is another version: characters newer than Python's are left out.
    texts = [t for t in cases.CORPUS + strings + files + ["a<|im_start|>b<|extra_204|>"] if all(unicodedata.category(c) != "Cn" for c in t)]
    want = [peer.encode(unicodedata.normalize("NFC", t) if nfc else t, allowed_special="all", disallowed_special=()) for t in texts]
    compare(file, texts, smelt_encode(cli, path, texts), want)


def train_ranks(training, pattern=cases.QWEN):
    """Ranks of a byte-level vocabulary: the merges of the `tokenizers` package, as bytes in their order."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
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
