"""Types of tensors against llama.cpp's snapshots of its own choice (tests/snapshots/*.schema of its source)."""
import re
import subprocess

import pytest

MIXES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0".split()
# Files of models that are nothing but LLaMA's tensors, by what we call the family; untied where the name says so.
SNAPSHOTS = {"meta-llama-3.1-70b-instruct": ("llama", False), "qwen3-14b": ("qwen3", False), "qwen3-0.6b": ("qwen3", None)}


def read_snapshot(path):
    lines = path.read_text().splitlines()
    shape = {k: int(v) for line in lines if line.startswith("#") for k, v in re.findall(r"(n_\w+)=(\d+)", line)}
    sections, current = {}, None
    for line in lines:
        if m := re.fullmatch(r"\[(\S+)\] (\S+)", line):
            current = sections.setdefault(m[1], (m[2].lower(), {}))
        elif line and not line.startswith("#"):
            name, kind = line.split()
            current[1][name] = kind.lower()
    return shape, sections


def tensors(shape, tied):
    embd, ff, heads, kv = shape["n_embd"], shape["n_ff"], shape["n_head"], shape["n_head_kv"]
    head = shape.get("n_embd_head_k", embd // heads)
    yield "token_embd.weight", (shape["n_vocab"], embd)
    if not tied:
        yield "output.weight", (shape["n_vocab"], embd)
    yield "output_norm.weight", (embd,)
    for i in range(shape["n_layer"]):
        block = {"attn_norm": (embd,), "attn_q": (heads * head, embd), "attn_k": (kv * head, embd), "attn_v": (kv * head, embd),
                 "attn_output": (embd, heads * head), "ffn_norm": (embd,), "ffn_gate": (ff, embd), "ffn_up": (ff, embd), "ffn_down": (embd, ff)}
        for part, dims in block.items():
            yield f"blk.{i}.{part}.weight", dims


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("model", SNAPSHOTS)
def test_types_are_those_of_the_snapshot(peers, build, model, mix):
    family, tied = SNAPSHOTS[model]
    shape, sections = read_snapshot(peers / f"llama.cpp/tests/snapshots/{model}.schema")
    default, special = sections[mix]
    if tied is None:
        tied = "output.weight" not in sections["Q4_0"][1]
    rows = dict(tensors(shape, tied))
    assert set(special) <= set(rows)
    text = "".join(f"{name} {'f32' if len(d) == 1 else 'bf16'} {' '.join(map(str, d))}\n" for name, d in rows.items())
    done = subprocess.run([build / "tests/recipe_cli", "quantize", family, mix], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    chosen = dict(line.split() for line in done.stdout.splitlines())
    assert chosen == {name: "f32" if len(d) == 1 else special.get(name, default) for name, d in rows.items()}
