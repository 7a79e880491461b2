"""Makes tests/data/vocab: a byte-level BPE (tokenizer.json) and a SentencePiece model, trained on a little text.

Run with the peers' Python: make_vocab.py OUT. The results are committed; nothing depends on training giving the same again.
"""
import io
import json
import pydoc
import sys
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers, Regex

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")

MULTILINGUAL = """
Der schnelle braune Fuchs springt über den faulen Hund. Größe, Straße, Äpfel, Übung.
El veloz murciélago hindú comía feliz cardillo y kiwi. ¿Qué pasó mañana?
Съешь же ещё этих мягких французских булок, да выпей чаю.
いろはにほへと ちりぬるを 我が世誰ぞ常ならむ 今日の天気はとても良いです。
天地玄黃，宇宙洪荒。我想在苹果公司工作，今天是星期一。
مرحبا بالعالم، كيف حالك اليوم؟ שלום עולם
नमस्ते दुनिया, आप कैसे हैं? 안녕하세요 세계, 오늘 날씨가 좋네요.
Emoji: 😀 🚀 👩‍💻 🏳️‍🌈 ❤️  Math: ∑ ∫ √ ≤ ≥ ≠  1234567890 3.14159 0x1F 1e-5
def main():\n    print("Hello,   world!")\n\treturn {'a': [1, 2, 3]}
"""


def text() -> list[str]:
    out = MULTILINGUAL.strip().split("\n") * 6
    for thing in (str, dict, list, int, float, bytes, io, json, Path):
        out += pydoc.plain(pydoc.render_doc(thing)).split("\n")
    return out


def byte_level(out: Path) -> None:
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator(text(), trainer)
    tok.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    tok.add_tokens([AddedToken("<|tool|>", normalized=False), AddedToken("    ", normalized=False), AddedToken("é", normalized=False),
                    AddedToken("Ġthe", normalized=True), AddedToken("▁under", normalized=True)])
    tok.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False),
         processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                       special_tokens=[("<|begin_of_text|>", tok.token_to_id("<|begin_of_text|>"))])])
    tok.save(str(out / "bpe.json"), pretty=False)


def sentence_piece(out: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text()), model_writer=model, vocab_size=1000, model_type="bpe", byte_fallback=True,
        character_coverage=0.995, user_defined_symbols=["<tool>", "[INST]"], control_symbols=["<ctl>"], split_digits=True,
        allow_whitespace_only_pieces=True, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
    (out / "spm.model").write_bytes(model.getvalue())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    byte_level(target)
    sentence_piece(target)
