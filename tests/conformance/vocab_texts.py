"""Texts on which two tokenizers are compared: languages, code, spaces, digits, emoji, special tokens."""
import random

HAND = """
Hello, world!|I've been told he's there, 'RE you sure? We'll see; it's 'M 'LL|don't CAN'T they'D|
The quick brown fox jumps over the lazy dog.|   leading and trailing   |tabs\tand\t\ttabs|  |    |\t|
naïve café résumé Ångström|Größe Straße Äpfel|¿Qué pasó mañana?|Съешь же ещё этих мягких булок|Ελληνικά γράμματα|
今日の天気はとても良いです。|我想在苹果公司工作，今天是星期一。|안녕하세요 세계|مرحبا بالعالم|שלום עולם|नमस्ते दुनिया|កាន់តែពិសេសអាច|
😀🚀👩‍💻🏳️‍🌈❤️|🦙🦙 3 33 333 3333 33333 333333 3.3 3..3 3...3|1234567890 0x1F 1e-5 -42 1,000,000|½ ² Ⅻ ٣٤٥|
def f(x):\n    return {'a': [1, 2, 3]}\n\n\nclass A: pass|<html><body>&nbsp;</body></html>|SELECT * FROM t WHERE a<>'b';|
\n|\n\n|\r\n\r\n|a\r\nb\rc|x \n \n y|------ ======= !!!! ???? ....|''''''```````\"\"\"\"|_under_score__ CamelCase snake_case|
http://example.com/a?b=c&d=e#f|C:\\path\\file.txt|$100 €50 £20 ¥10|e\u0301 o\u0308 (combining)|\u00a0nbsp\u3000wide\u2009thin|
\u200bzero\u200dwidth\ufeff|\U0001F1E9\U0001F1EA flags|a̐éö̲|﷽|𝔘𝔫𝔦𝔠𝔬𝔡𝔢|\x00\x01\x7f|ﬁ ﬂ ligatures|
""".replace("\n", "", 0)


def texts(specials: list[str], count: int = 220) -> list[str]:
    out = [t.strip("\n") if len(t) > 4 else t for t in HAND.split("|") if t]
    rng = random.Random(1)
    parts = [p for t in out for p in t.split(" ")] + [" ", "  ", "\n", "\t", "   ", "1", "23", "456"] + specials
    out += specials + [f"a {s} b" for s in specials] + [f"{s}{s}x" for s in specials]
    while len(out) < count:
        out.append("".join(rng.choice(parts) + rng.choice(["", " ", " ", "  "]) for _ in range(rng.randint(1, 12))))
    return out
