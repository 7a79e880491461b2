"""Tokenizers and texts for test_tokenize.py: small vocabularies trained here, in the structure that each family's files have."""
import json
import random
import struct
import subprocess
from pathlib import Path

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"


def families():
    """name: (normaliser, pre-tokenizer steps)"""
    from tokenizers import Regex
    from tokenizers import normalizers as N
    from tokenizers import pre_tokenizers as P

    def split(pattern, behavior="isolated"):
        return P.Split(Regex(pattern), behavior)

    bare = P.ByteLevel(False, use_regex=False)
    return {
        "gpt2": (None, [P.ByteLevel(False)]),
        "gpt2-prefix": (None, [P.ByteLevel(True)]),
        "neox": (N.NFC(), [P.ByteLevel(False)]),
        "phi2": (None, [P.ByteLevel(False)]),
        "llama3": (None, [split(LLAMA3), bare]),
        "qwen2": (N.NFC(), [split(QWEN), bare]),
        "gpt-oss": (None, [split(O200K), bare]),
        "falcon": (None, [P.Punctuation("contiguous"), P.ByteLevel(False), P.Digits(False), split("[0-9][0-9][0-9]")]),
        "smollm": (None, [P.Digits(True), P.ByteLevel(False)]),
        "bloom": (None, [split(BLOOM), bare]),
        "tiny-aya": (None, [split(r"\d{1,3}(?=(?:\d{3})*\b)"), split(O200K), bare]),
        "behaviors": (None, [split(r"[\s,]", "merged_with_previous"), P.Split("a", "removed"), split(r"(?:\r?\n)+(?!\r?\n)", "merged_with_next"),
                             P.Split(Regex(r"\w+"), "contiguous", invert=True), bare]),
        "rewriting": (N.Sequence([N.NFD(), N.Lowercase(), N.Strip(), N.Replace("b", "ab"), N.Replace(Regex(r"\s+"), " ")]), [P.Whitespace()]),
        "metaspace": (None, [P.Metaspace()]),
        "metaspace-first": (None, [P.Metaspace("▁", "first", False)]),
    }


# Whose tokenizers the models of the mission have: all of them meet a hundred thousand strings.
PUBLISHED = ["gpt2", "neox", "phi2", "falcon", "llama3", "qwen2", "gpt-oss"]


def published_tokens(name):
    """Tokens that the published vocabularies add to their model's: texts and whether they are special; they are normalised."""
    spaces = [" " * n for n in range(31, 1, -1)]
    return {
        "gpt2": ([f"<|extratoken_{i}|>" for i in range(1, 144)], ["<|endoftext|>"]),
        "neox": (spaces[7:], ["<|endoftext|>", "<|padding|>"]),
        "phi2": (spaces + ["\t" * n for n in range(9, 1, -1)], ["<|endoftext|>"]),
        "falcon": ([], [">>TITLE<<", ">>ABSTRACT<<", ">>INTRODUCTION<<", ">>SUMMARY<<", ">>COMMENT<<", ">>ANSWER<<", ">>QUESTION<<", "<|endoftext|>"]),
        "qwen2": (["<tool_call>", "</tool_call>", "<think>", "</think>"], ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>"]),
        "llama3": ([], ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"]),
        "gpt-oss": ([], ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>"]),
    }.get(name, ([], []))


def train(name, texts, path: Path):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    normalizer, steps = families()[name]
    level = any(isinstance(s, pre_tokenizers.ByteLevel) for s in steps)
    t = Tokenizer(models.BPE(unk_token=None if level else "<unk>", fuse_unk=name == "metaspace"))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    t.decoder = decoders.ByteLevel() if level else decoders.Metaspace() if "metaspace" in name else decoders.Fuse()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if level else []
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1200, show_progress=False, initial_alphabet=alphabet,
                                                     special_tokens=[] if level else ["<unk>"]))
    t.add_tokens([AddedToken("<plain>"), AddedToken("word", single_word=True, normalized=False), AddedToken("Café", normalized=True),
                  AddedToken(" sp ", rstrip=True, normalized=True)])
    usual, special = published_tokens(name)
    t.add_tokens([AddedToken(s, normalized=True) for s in usual])
    t.add_special_tokens([AddedToken(s, normalized=name == "gpt2") for s in special])
    t.add_special_tokens([AddedToken("<|start|>"), AddedToken("<|x|>", lstrip=True, rstrip=True), AddedToken("<|s")])
    ids = [(s, t.token_to_id(s)) for s in ("<|start|>", "<|x|>")]
    template = processors.TemplateProcessing(single="<|start|> $A <|x|>", special_tokens=ids)
    level = processors.ByteLevel(trim_offsets=False)
    t.post_processor = {"gpt2": level, "qwen2": level, "llama3": processors.Sequence([level, template])}.get(name, template)
    t.save(str(path))
    if name == "llama3":
        said = json.loads(path.read_text())
        said["model"]["ignore_merges"] = True
        path.write_text(json.dumps(said))
    return Tokenizer.from_file(str(path))


ADDED = ["   ", "      ", "\t\t\t", "\n\n", "<|endoftext|>", ">>TITLE<<", "<think>", "<|extratoken_9|>", "<|im_end|>", "<|start|>", "<|x|>", " <|x|> ", "<plain>", "word", " word ", "Café", "Cafe\u0301", " sp ", "<|s", "▁", "<s>", "</s>", "<unk>", "<0x41>"]

CORPUS = [
    "", " ", "   ", "\t\t x\n\n\n  y\r\n", "Hello, world! It's 2024; I'LL we'Re don'T.", "안녕하세요 세계, 한국어 문장입니다.", "今天天气很好，我们去公园吧。",
    "東京都に住んでいます。カタカナも。", "مرحبا بالعالم، كيف حالك؟ ١٢٣", "नमस्ते दुनिया, क्या हाल है? १२३", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇰🇷", "e\u0301 a\u0308\u0323 ﬁ ｆｕｌｌ ½ ² Å ſ K",
    "for (int i = 0; i < n; ++i) {\n\tx[i] = 0x1F;\n}\n", "1 12 123 1234 12345 1234567 3.14159 1,000,000", "\x00\x01\x1f\x7f\u200b\ufeff\u2028\u0085\u00a0\u3000\u180e",
    "a" * 3000, " " * 3000, "ab" * 1500, "x\n" * 500, "ไม่มีช่องว่าง ភាសាខ្មែរ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U0010ffff \ue000",
]


def random_strings(n, seed):
    r = random.Random(seed)
    every = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    pools = [list(range(0x20, 0x7F))] * 6 + [
        list(range(0x20)), [0x20, 0x20, 9, 10, 13, 0xA0, 0x3000, 0x85, 0x2028, 0x200B, 0x180E], list(range(0xAC00, 0xD7A4)), list(range(0x4E00, 0x9FFF)),
        list(range(0x3040, 0x30FF)), list(range(0x600, 0x6FF)), list(range(0x900, 0x97F)), list(range(0x300, 0x36F)), list(range(0x400, 0x4FF)),
        list(range(0x1F300, 0x1FAFF)) + [0x200D, 0xFE0F] * 40, list(range(0xC0, 0x24F)), [ord(c) for c in "0123456789²³¼½٠١२३"],
        [ord(c) for c in "'sStTmMdDlLvVrReE’ſK"], every]
    out = []
    for _ in range(n):
        parts = []
        for _ in range(r.randint(1, 6)):
            pool = r.choice(pools)
            parts.append(r.choice(ADDED) if r.random() < 0.12 else "".join(chr(r.choice(pool)) for _ in range(r.randint(1, 10))))
        out.append("".join(parts))
    return out


def source_files(root: Path, limit):
    out, total = [], 0
    kinds = {".c", ".cpp", ".h", ".py", ".md", ".txt", ".sh", ".cu"}
    for path in sorted(p for p in root.rglob("*") if p.suffix in kinds and p.is_file() and "build" not in p.parts)[::5]:
        data = path.read_bytes()[:100_000]
        try:
            out.append(data.decode())
        except UnicodeDecodeError:
            continue
        total += len(data)
        if total > limit:
            break
    return out


def smelt_encode(cli, source, texts, flags=0):
    """[(ids, bytes that decoding them gives)] of tests/tools/tok_cli.c."""
    data = b"".join(struct.pack("<I", len(b)) + b for b in (t if isinstance(t, bytes) else t.encode() for t in texts))
    done = subprocess.run([str(cli), str(source), str(flags)], input=data, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    out, at = [], 0
    while at < len(done.stdout):
        (n,) = struct.unpack_from("<I", done.stdout, at)
        ids = list(struct.unpack_from(f"<{n}i", done.stdout, at + 4))
        at += 4 + 4 * n
        (n,) = struct.unpack_from("<I", done.stdout, at)
        out.append((ids, done.stdout[at + 4:at + 4 + n]))
        at += 4 + n
    assert len(out) == len(texts)
    return out


def write_slow(folder: Path, tokenizer_json: Path):
    """vocab.json and merges.txt of a byte-level tokenizer.json, as the tokenizers before it had them."""
    said = json.loads(tokenizer_json.read_text())
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(said["model"]["vocab"], ensure_ascii=False))
    merges = (m if isinstance(m, str) else " ".join(m) for m in said["model"]["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(m + "\n" for m in merges))
