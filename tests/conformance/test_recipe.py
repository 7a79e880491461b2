"""Types of tensors against llama.cpp's snapshots of its own choice (tests/snapshots/*.schema of its source).

A snapshot lists, for every mix, the tensors that get another type than the mix's. All of a model's matrices are in one of the
lists, except the experts' of some layers, so the lists give the model; what they do not give, the widths of rows that are
neither the model's nor the feed-forward's, is here, from the published configurations."""
import collections
import json
import re
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/cli"))

import big_shapes  # noqa: E402

# The family as we call it ("-": not one of ours), and the columns of matrices whose input is not the embedding.
MODELS = {
    "deepseek-v3.1": ("-", {"attn_output": 16384, "attn_q_b": 1536, "attn_k_b": 128, "ffn_down": 18432, "ffn_down_exps": 2048,
                            "ffn_down_shexp": 2048}),
    "gemma-3-4b-it": ("-", {"attn_output": 2048, "ffn_down": 10240}),
    "glm-4.6v": ("-", {"attn_output": 12288, "ffn_down": 10944, "ffn_down_exps": 1408, "ffn_down_shexp": 1408}),
    "gpt-oss-120b": ("gpt-oss", {"attn_output": 4096, "ffn_down_exps": 2880}),
    "meta-llama-3.1-70b-instruct": ("llama", {"attn_output": 8192, "ffn_down": 28672}),
    "nvidia-nemotron-3-nano-30b-a3b": ("-", {"attn_output": 4096, "ffn_down_exps": 1856, "ffn_down_shexp": 3712, "ssm_out": 4096}),
    "qwen3-0.6b": ("qwen3", {"attn_output": 2048, "ffn_down": 3072}),
    "qwen3-14b": ("qwen3", {"attn_output": 5120, "ffn_down": 17408}),
    "qwen3-coder-next": ("-", {"attn_output": 4096, "ffn_down_exps": 512, "ffn_down_shexp": 512, "ssm_out": 4096}),
    "qwen3.5-397b-a17b": ("-", {"attn_output": 8192, "ffn_down_exps": 1024, "ffn_down_shexp": 1024, "ssm_out": 8192}),
    "qwen3.6-27b": ("-", {"attn_output": 6144, "ffn_down": 17408, "ssm_out": 6144}),
    "step-3.5-flash": ("-", {"attn_output": 8192, "ffn_down": 11264, "ffn_down_exps": 1280, "ffn_down_shexp": 1280}),
}
MIXES = """F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 MXFP4_MOE IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL
           IQ4_XS TQ1_0 TQ2_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K""".split()


def read_snapshot(path):
    """The sizes in its head; {mix: (its type, {tensor: type})}."""
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


def layer_first(name):
    """llama.cpp's order of tensors: by layer, then by name."""
    m = re.match(r"blk\.(\d+)\.", name)
    return int(m[1]) if m else -1, name


def matrices(shape, sections, cols):
    """{name: dimensions}, in llama.cpp's order."""
    names = {n for _, special in sections.values() for n in special}
    kinds = {n.split(".")[-2] for n in names}
    layers = collections.defaultdict(set)
    for n in names:
        if m := re.match(r"blk\.(\d+)\.(\w+)\.weight", n):
            layers[m[2]].add(m[1])
    for kind in ("ffn_gate_exps", "ffn_up_exps"):
        names |= {f"blk.{i}.{kind}.weight" for i in layers["ffn_down_exps"] if kind in kinds}
    out = {}
    for n in sorted(names, key=layer_first):
        kind = n.split(".")[-2]
        stacked = kind.endswith("_exps") or kind == "attn_k_b"
        out[n] = ((shape["n_expert"],) if stacked else ()) + (512, cols.get(kind, shape["n_embd"]))
    return out


def choose(build, family, mix, rows, *options):
    text = "".join(f"{name} bf16 {' '.join(map(str, d))}\n" for name, d in rows.items())
    done = subprocess.run([build / "tests/recipe_cli", "quantize", family, mix, *options], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("model", MODELS)
def test_types_are_those_of_the_snapshot(peers, build, model, mix):
    family, cols = MODELS[model]
    shape, sections = read_snapshot(peers / f"llama.cpp/tests/snapshots/{model}.schema")
    default, special = sections[mix]
    rows = matrices(shape, sections, cols)
    sizes = {"layers": "n_layer", "heads": "n_head", "kv_heads": "n_head_kv", "experts": "n_expert"}
    chosen = choose(build, family, mix, rows, *(f"{ours}={shape.get(theirs, 0)}" for ours, theirs in sizes.items()))
    assert chosen == {name: special.get(name, default) for name in rows}


def qwen3(layers, h, ff, heads, kv):
    yield "model.embed_tokens.weight", [151936, h]
    for i in range(layers):
        p = f"model.layers.{i}."
        for name, rows, cols in (("self_attn.q_proj", heads * 128, h), ("self_attn.k_proj", kv * 128, h), ("self_attn.v_proj", kv * 128, h),
                                 ("self_attn.o_proj", h, heads * 128), ("mlp.gate_proj", ff, h), ("mlp.up_proj", ff, h), ("mlp.down_proj", h, ff)):
            yield p + name + ".weight", [rows, cols]
        for name, n in ("input_layernorm", h), ("post_attention_layernorm", h), ("self_attn.q_norm", 128), ("self_attn.k_norm", 128):
            yield p + name + ".weight", [n]
    yield "model.norm.weight", [h]
    yield "lm_head.weight", [151936, h]


def config(family, layers, h, ff, heads, kv, vocab, head_dim):
    return {"architectures": [family + "ForCausalLM"], "model_type": family.lower(), "hidden_size": h, "intermediate_size": ff, "head_dim": head_dim,
            "num_attention_heads": heads, "num_key_value_heads": kv, "num_hidden_layers": layers, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
            "max_position_embeddings": 40960, "vocab_size": vocab, "tie_word_embeddings": False}


CHECKPOINTS = {
    "meta-llama-3.1-70b-instruct": (config("Llama", 80, 8192, 28672, 64, 8, 128256, 128), big_shapes.llama(80, 8192, 28672, 64, 8, 128256)),
    "qwen3-0.6b": (config("Qwen3", 28, 1024, 3072, 16, 8, 151936, 128), qwen3(28, 1024, 3072, 16, 8)),
    "qwen3-14b": (config("Qwen3", 40, 5120, 17408, 40, 8, 151936, 128), qwen3(40, 5120, 17408, 40, 8)),
}


@pytest.mark.parametrize("model", CHECKPOINTS)
def test_types_of_a_checkpoint_that_is_all_headers(smelt, peers, tmp_path, model):
    """The same through the command, which reads a checkpoint of the model's true shapes whose weights are holes in files."""
    big_shapes.make(str(tmp_path / "model"), *CHECKPOINTS[model], "BF16")
    _, sections = read_snapshot(peers / f"llama.cpp/tests/snapshots/{model}.schema")
    for mix in MIXES:
        default, special = sections[mix]
        shown = smelt("quantize", tmp_path / "model", tmp_path / "out.gguf", mix, "--print-recipe", "--json", check=True)
        given = {t["name"]: t["given"] for t in json.loads(shown.stdout)["tensors"] if "norm" not in t["name"]}
        assert set(special) <= set(given) and given == {name: special.get(name, default) for name in given}, mix


# What no snapshot has, as llama-quantize --dry-run says it of a file that is nothing but headers and zeros.
MADE = {
    "eight-experts": ("qwen3moe", 18, {"expert_count": 8}),
    "four-experts": ("qwen3moe", 17, {"expert_count": 4}),
    "llama-of-80-layers": ("llama", 80, {"heads": (8, 2)}),
    "llama-of-80-layers-without-shared-heads": ("llama", 80, {"heads": (8, 8)}),
    "qwen2-of-80-layers": ("qwen2", 80, {"heads": (8, 4)}),
    "falcon": ("falcon", 33, {"heads": (8, 1), "fused": True}),
    "gqa-of-4-and-tied": ("llama", 9, {"heads": (8, 2), "tied": True}),
    "rows-of-96": ("llama", 9, {"heads": (8, 2), "width": 96}),
}
ALL_MIXES = [*MIXES, "Q1_0", "Q2_0"]


def write_headers(path, arch, layers, heads=(8, 4), expert_count=0, fused=False, tied=False, width=256):
    import gguf
    import numpy as np
    w = gguf.GGUFWriter(str(path), arch)
    w.add_context_length(64)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(width)
    w.add_head_count(heads[0])
    w.add_head_count_kv(heads[1])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_layer_norm_eps(1e-5)
    if expert_count:
        w.add_expert_count(expert_count)
        w.add_expert_used_count(2)
        w.add_expert_feed_forward_length(width)
    rows = {"token_embd": (2, width)} | ({} if tied else {"output": (2, width)})
    attention = ("attn_qkv",) if fused else ("attn_q", "attn_k", "attn_v")
    for i in range(layers):
        for part in (*attention, "attn_output"):
            rows[f"blk.{i}.{part}"] = (2, width)
        for part in ("ffn_down", "ffn_up") if fused else ("ffn_down", "ffn_gate", "ffn_up"):
            rows[f"blk.{i}.{part}" + ("_exps" if expert_count else "")] = ((expert_count,) if expert_count else ()) + (2, width)
            if expert_count == 4:  # beside the others, and counted with them
                rows[f"blk.{i}.{part}_shexp"] = (2, width)
    for name, dims in rows.items():
        w.add_tensor(name + ".weight", np.zeros(dims, np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return {n + ".weight": d for n, d in sorted(rows.items(), key=lambda r: layer_first(r[0]))}


def write_imatrix(path):
    import gguf
    import numpy as np
    w = gguf.GGUFWriter(str(path), "none")
    w.add_array("imatrix.datasets", ["text"])
    w.add_uint32("imatrix.chunk_count", 1)
    w.add_uint32("imatrix.chunk_size", 64)
    w.add_tensor("something.weight.in_sum2", np.ones((1, 4), np.float32))
    w.add_tensor("something.weight.counts", np.ones((1, 1), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@pytest.mark.parametrize("imatrix", [False, True], ids=["", "imatrix"])
@pytest.mark.parametrize("model", MADE)
def test_types_are_those_of_a_dry_run(llama, build, tmp_path, model, imatrix):
    arch, layers, options = MADE[model]
    rows = write_headers(tmp_path / "model.gguf", arch, layers, **options)
    write_imatrix(tmp_path / "imatrix.gguf")
    heads = options.get("heads", (8, 4))
    sizes = [f"layers={layers}", f"heads={heads[0]}", f"kv_heads={heads[1]}", f"experts={options.get('expert_count', 0)}"]
    wrong = []
    for mix in ALL_MIXES:
        said = llama("quantize", "--dry-run", *(["--imatrix", tmp_path / "imatrix.gguf"] if imatrix else []), tmp_path / "model.gguf", mix,
                     check=False)
        if "no tensor type fallback is defined" in said.stdout + said.stderr:
            continue  # rows of 96 and blocks of 128: llama-quantize gives up
        theirs = dict(re.findall(r"^\[ *\d+/ *\d+\] +(\S+) .*?(?:type = +\w+, size = +\S+ MiB -> +\S+ MiB \((\w+)\))?$", said.stdout + said.stderr,
                                 re.M))
        theirs = {n: (t or "f16").lower() for n, t in theirs.items()}
        assert theirs.keys() == rows.keys(), said.stderr[-500:]
        ours = choose(build, arch, mix, {n: d for n, d in rows.items()}, *sizes, *(["--imatrix"] if imatrix else []))
        wrong += [(mix, n, ours[n], theirs[n]) for n in rows if ours[n] != theirs[n]]
    assert not wrong, wrong[:10]


# A mix says in recipe.def what anybody may say in a recipe: --pure with the mix's rules as a recipe chooses as the mix does.
@pytest.mark.parametrize("model", ["meta-llama-3.1-70b-instruct", "qwen3-14b", "qwen3-coder-next"])
def test_a_mix_as_a_recipe(peers, build, tmp_path, model):
    family, cols = MODELS[model]
    text = (ROOT / "quant/recipe.def").read_text()
    heads = dict(re.findall(r"SMELT_MIX\((\w+), \d+, \w+, (\w+)\)", text))
    rules = re.findall(r"SMELT_RULE\((\w+), (\w+), (\w+), (\w+), (\w+)\)", text)
    shape, sections = read_snapshot(peers / f"llama.cpp/tests/snapshots/{model}.schema")
    rows = matrices(shape, sections, cols)
    sizes = [f"layers={shape['n_layer']}", f"heads={shape['n_head']}", f"kv_heads={shape['n_head_kv']}", f"experts={shape.get('n_expert', 0)}"]
    raised = model.startswith("meta")  # by rules that look at what was chosen before, which recipes have none of
    for mix in MIXES[3:]:
        mine = [f"output {heads[mix]}"] + [" ".join(rule[1:]) for rule in rules if rule[0] in (mix, "ANY")]
        (tmp_path / "recipe").write_text("\n".join(mine))
        chosen = choose(build, family, mix, rows, *sizes, "--pure", f"recipe={tmp_path / 'recipe'}")
        expected = choose(build, family, mix, rows, *sizes)
        assert {n: t for n, t in chosen.items() if not (raised and "attn_v" in n)} == {
            n: t for n, t in expected.items() if not (raised and "attn_v" in n)}, mix
