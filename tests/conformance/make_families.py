#!/usr/bin/env python3
"""Makes small random checkpoints of every model family, in the layouts and spellings of their time.

    make_families.py OUTDIR [NAME...]   OUTDIR/NAME for each, with two files beside it
    make_families.py list
    make_families.py data OUTDIR        what is committed as tests/data/families: one of a kind, as small as can be

NAME.tensors.safetensors holds what a way to GGUF and back must give: the tensors under transformers' own names, without buffers.
NAME.logits.safetensors holds reference logits as make_checkpoints.py describes them. Values are wide and distinct, sizes awkward: no
two dimensions of a model are equal unless the family wants it.
"""
import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

import make_checkpoints as makers

@dataclasses.dataclass
class Family:
    name: str
    about: str
    cls: str | None                                        # transformers' prefix: GPTNeoX, Falcon; None: built by hand
    config: dict
    vocab: str | None = "gpt2"
    vocab_size: int = 389
    dtype: str | Callable[[str], str] = "float32"
    layout: str = "st"
    spelling: Callable[[dict], None] | None = None         # edits config.json
    state: Callable[[dict, dict], dict] | None = None      # the tensors as this layout has them, of transformers' and the config
    hand: Callable[["Family"], tuple[dict, dict]] | None = None  # cls None: config.json and tensors
    peer: bool = True                                      # llama.cpp converts it
    raw: bool = False                                      # where it reads config.json as it is
    tokens: int | None = None                              # of the tokenizer, where the model has more
    quantise: bool = True                                  # and llama-quantize takes the result
    comes_back: bool = False                               # tensors as this layout has them, instead of as transformers has them
    logits: bool = True                                    # transformers runs what comes back
    positions: int = 24                                    # of the reference logits
    gguf_keeps: bool = True                                # GGUF says all that the model computes; a warning says what it does not
    run: Callable[["Family", dict, dict], Any] | None = None  # cls None: transformers' model with these weights, of config and tensors

    @property
    def type(self) -> str:
        return "f32" if callable(self.dtype) else {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[self.dtype]


# ------------------------------------------------------------------------------------------------------------------- spellings

def old_rope(c: dict, theta: str, part: str | None = None) -> None:
    rope = c.pop("rope_parameters", {})
    c[theta] = rope.get("rope_theta", 10000.0)
    if part:
        c[part] = rope.get("partial_rotary_factor", 1.0)
    c["torch_dtype"] = c.pop("dtype", "float32")
    c["transformers_version"] = "4.24.0"


def old_neox(c: dict) -> None:
    old_rope(c, "rotary_emb_base", "rotary_pct")
    c["rotary_emb_base"] = int(c["rotary_emb_base"])
    for k in ("attention_bias", "attention_dropout", "hidden_dropout", "classifier_dropout", "is_decoder", "pad_token_id"):
        c.pop(k, None)


def old_falcon(c: dict) -> None:
    """RWForCausalLM, as the repositories' own code named things."""
    old_rope(c, "unused_rope_theta")
    for k in ("unused_rope_theta", "activation", "ffn_hidden_size", "max_position_embeddings", "num_ln_in_parallel_attn",
              "new_decoder_architecture", "num_attention_heads", "num_hidden_layers", "num_kv_heads", "tie_word_embeddings"):
        c.setdefault("old", {})[k] = c.pop(k, None)
    old = c.pop("old")
    c.update(architectures=["RWForCausalLM"], model_type="RefinedWebModel", n_head=old["num_attention_heads"],
             n_layer=old["num_hidden_layers"], apply_residual_connection_post_layernorm=False)
    if old["new_decoder_architecture"]:
        c.update(model_type="RefinedWeb", n_head_kv=old["num_kv_heads"])
        c.pop("multi_query", None)


def falcon_rw(c: dict) -> None:
    old_falcon(c)
    c["n_head_kv"] = c["n_head"]


def old_mpt(c: dict) -> None:
    c["torch_dtype"] = c.pop("dtype")
    c.update(architectures=["MPTForCausalLM"], attn_config={
        "alibi": True, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0, "attn_type": "multihead_attention",
        "attn_uses_sequence_id": False, "clip_qkv": c["attn_config"]["clip_qkv"], "prefix_lm": False,
        "qk_ln": c["attn_config"]["qk_ln"], "softmax_scale": None}, norm_type="low_precision_layernorm", tokenizer_name="EleutherAI/gpt-neox-20b",
        init_config={"name": "kaiming_normal_"}, transformers_version="4.28.1")
    for k in ("layer_norm_epsilon", "tie_word_embeddings", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id"):
        c.pop(k, None)


def old_gptneo(c: dict) -> None:
    c["torch_dtype"] = c.pop("dtype")
    c.update(transformers_version="4.9.0", gradient_checkpointing=False)
    c.pop("tie_word_embeddings")


def old_gptj(c: dict) -> None:
    c["torch_dtype"] = c.pop("dtype")
    c.update(transformers_version="4.18.0", rotary=True, gradient_checkpointing=False)


def old_llama_like(c: dict) -> None:
    makers.old_config(c, 4)


def old_windows(c: dict) -> None:
    """Before there were layer_types."""
    old_llama_like(c)
    c.pop("layer_types")


def old_yi(c: dict) -> None:
    makers.old_config(c, 4)
    c.update(architectures=["YiForCausalLM"], model_type="Yi", auto_map={"AutoModelForCausalLM": "modeling_yi.YiForCausalLM"})


def yi_names(state: dict, _config: dict) -> dict:
    return {n.replace("input_layernorm", "ln1").replace("post_attention_layernorm", "ln2"): t for n, t in state.items()}


def old_phi(c: dict) -> None:
    rope = c.pop("rope_parameters")
    c.update(torch_dtype=c.pop("dtype"), rope_theta=rope["rope_theta"], partial_rotary_factor=rope["partial_rotary_factor"],
             rope_scaling=None, transformers_version="4.37.0")


def first_phi(c: dict) -> None:
    """Phi-2 with the repository's own code, before transformers had the model."""
    rope = c["rope_parameters"]
    made = {"_name_or_path": "microsoft/phi-2", "activation_function": "gelu_new", "architectures": ["PhiForCausalLM"], "attn_pdrop": 0.0,
            "auto_map": {"AutoConfig": "configuration_phi.PhiConfig", "AutoModelForCausalLM": "modeling_phi.PhiForCausalLM"}, "embd_pdrop": 0.0,
            "flash_attn": False, "flash_rotary": False, "fused_dense": False, "img_processor": None, "initializer_range": 0.02,
            "layer_norm_epsilon": c["layer_norm_eps"], "model_type": "phi-msft", "n_embd": c["hidden_size"], "n_head": c["num_attention_heads"],
            "n_head_kv": None, "n_inner": None, "n_layer": c["num_hidden_layers"], "n_positions": c["max_position_embeddings"], "resid_pdrop": 0.1,
            "rotary_dim": int(rope["partial_rotary_factor"] * c["hidden_size"] / c["num_attention_heads"]), "tie_word_embeddings": False,
            "torch_dtype": c["dtype"], "transformers_version": "4.35.2", "vocab_size": c["vocab_size"]}
    c.clear()
    c.update(made)


def first_phi_names(state: dict, config: dict) -> dict:
    import torch
    names = {"model.embed_tokens": "transformer.embd.wte", "model.final_layernorm": "lm_head.ln", "model.layers": "transformer.h",
             "input_layernorm": "ln", "self_attn.dense": "mixer.out_proj", "lm_head.weight": "lm_head.linear.weight", "lm_head.bias": "lm_head.linear.bias"}
    out = {}
    for n, t in state.items():
        if "k_proj" in n or "v_proj" in n:
            continue
        if "q_proj" in n:
            t, n = torch.cat([state[n.replace("q_proj", f"{k}_proj")] for k in "qkv"]), n.replace("self_attn.q_proj", "mixer.Wqkv")
        for new, old in names.items():
            n = n.replace(new, old) if n.startswith(new) or "." + new + "." in n else n
        out[n] = t
    return out


def without_rope(c: dict) -> None:
    for k in ("rope_parameters", "rope_scaling", "rope_theta"):
        c.pop(k, None)


def mxfp4_config(c: dict) -> None:
    c["quantization_config"] = {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                                           "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"}


# -------------------------------------------------------------------------------------------------------------------- layouts

def with_buffers(*suffixes: str) -> Callable[[dict, dict], dict]:
    """Adds after every layer's attention what old versions of the models kept in their state: masks and rotary frequencies."""
    def edit(state: dict, config: dict) -> dict:
        import torch
        out = {}
        ctx = 32
        values = {"masked_bias": torch.tensor(-1e9), "inv_freq": 1.0 / 10000 ** (torch.arange(0, 8, 2).float() / 8),
                  "bias": torch.tril(torch.ones(ctx, ctx, dtype=torch.uint8)).view(1, 1, ctx, ctx).bool()}
        for n, t in state.items():
            out[n] = t
            for s in suffixes:
                stem, _, name = s.rpartition(".")
                anchor, _, rest = stem.partition(":")
                if n.endswith(anchor + ".weight"):
                    out[n.removesuffix(anchor.rpartition(".")[2] + ".weight") + (rest + "." if rest else "") + name] = values[name].clone()
        assert len(out) > len(state)
        return out
    return edit


def without(prefix: str) -> Callable[[dict, dict], dict]:
    return lambda state, _config: {n.removeprefix(prefix): t for n, t in state.items()}


def with_head(embedding: str) -> Callable[[dict, dict], dict]:
    """Tied embeddings, and lm_head in the file all the same."""
    return lambda state, _config: {**state, "lm_head.weight": state[embedding].clone()}


def aggregated_experts(state: dict, config: dict) -> dict:
    """Experts stacked as transformers 5 keeps them in memory: gate and up one after the other."""
    import torch
    out = {n: t for n, t in state.items() if ".experts." not in n}
    experts = config.get("num_experts") or config["num_local_experts"]
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}.mlp.experts."
        kind = {k: [state[f"{p}{e}.{k}_proj.weight"] for e in range(experts)] for k in ("gate", "up", "down")}
        out[p + "gate_up_proj"] = torch.stack([torch.cat(pair) for pair in zip(kind["gate"], kind["up"])])
        out[p + "down_proj"] = torch.stack(kind["down"])
    return out


def mxfp4_experts(state: dict, config: dict) -> dict:
    """gpt-oss as published: four-bit codes [experts, rows, columns/32, 16] and a scale byte [experts, rows, columns/32]."""
    import torch
    out = {}
    for n, t in state.items():
        if not n.endswith(("experts.gate_up_proj", "experts.down_proj")):
            out[n] = t
            continue
        g = torch.Generator().manual_seed(makers.hash_name(n))
        e, cols, rows = t.shape
        out[n + "_blocks"] = torch.randint(0, 256, (e, rows, cols // 32, 16), generator=g, dtype=torch.uint8)
        out[n + "_scales"] = torch.randint(112, 124, (e, rows, cols // 32), generator=g, dtype=torch.uint8)
    return out


def mxfp4_values(state: dict) -> dict:
    """The experts that blocks and scales stand for, as transformers unpacks them; nothing without any."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    names = [n.removesuffix("_blocks") for n in state if n.endswith("_blocks")]
    return {n: convert_moe_packed_tensors(state[n + "_blocks"], state[n + "_scales"]).float() for n in names}


def qwen1(spec: Family) -> tuple[dict, dict]:
    """Qwen 1, for which transformers has no class. intermediate_size counts both halves; w1 is up, w2 is gate."""
    import torch
    c, v = spec.config, spec.vocab_size
    h, ff = c["hidden_size"], c["intermediate_size"]
    shapes = {"transformer.wte.weight": (v, h), "transformer.ln_f.weight": (h,), "lm_head.weight": (v, h)}
    for i in range(c["num_hidden_layers"]):
        p = f"transformer.h.{i}."
        shapes |= {p + "ln_1.weight": (h,), p + "attn.c_attn.weight": (3 * h, h), p + "attn.c_attn.bias": (3 * h,),
                   p + "attn.c_proj.weight": (h, h), p + "ln_2.weight": (h,), p + "mlp.w1.weight": (ff // 2, h),
                   p + "mlp.w2.weight": (ff // 2, h), p + "mlp.c_proj.weight": (h, ff // 2)}
    config = {"architectures": ["QWenLMHeadModel"], "attn_dropout_prob": 0.0, "bf16": True, "emb_dropout_prob": 0.0,
              "initializer_range": 0.02, "layer_norm_epsilon": 1e-6, "max_position_embeddings": 8192, "model_type": "qwen",
              "no_bias": True, "rotary_emb_base": 10000, "rotary_pct": 1.0, "scale_attn_weights": True, "seq_length": 2048,
              "tie_word_embeddings": False, "tokenizer_type": "QWenTokenizer", "use_cache": True, "use_dynamic_ntk": True,
              "use_logn_attn": True, "vocab_size": v, "transformers_version": "4.31.0", **c}
    return config, {n: torch.empty(s) for n, s in shapes.items()}


def mpt_with_norms(spec: Family) -> tuple[dict, dict]:
    """MPT with norms of whole queries and keys, which the repositories' code has and transformers has not."""
    import torch
    d, v = spec.config["d_model"], spec.vocab_size
    shapes = {"transformer.wte.weight": (v, d), "transformer.norm_f.weight": (d,)}
    for i in range(spec.config["n_layers"]):
        p = f"transformer.blocks.{i}."
        shapes |= {p + "norm_1.weight": (d,), p + "attn.Wqkv.weight": (3 * d, d), p + "attn.q_ln.weight": (d,), p + "attn.k_ln.weight": (d,),
                   p + "attn.out_proj.weight": (d, d), p + "norm_2.weight": (d,), p + "ffn.up_proj.weight": (4 * d, d),
                   p + "ffn.down_proj.weight": (d, 4 * d)}
    config = {"max_seq_len": 128, "vocab_size": v, "expansion_ratio": 4, "no_bias": True, "model_type": "mpt", "dtype": "float32",
              "attn_config": {"clip_qkv": 6.0, "qk_ln": True}, **spec.config}
    old_mpt(config)
    return config, {n: torch.empty(s) for n, s in shapes.items()}


def qwen1_as_qwen2(spec: Family, c: dict, state: dict) -> Any:
    """Within its training length Qwen 1 computes what Qwen 2 does, of c_attn in thirds, w1 as up and w2 as gate."""
    from transformers import Qwen2Config, Qwen2ForCausalLM
    model = Qwen2ForCausalLM(Qwen2Config(
        hidden_size=c["hidden_size"], intermediate_size=c["intermediate_size"] // 2, num_hidden_layers=c["num_hidden_layers"],
        num_attention_heads=c["num_attention_heads"], num_key_value_heads=c["num_attention_heads"], vocab_size=c["vocab_size"],
        rms_norm_eps=c["layer_norm_epsilon"], rope_parameters={"rope_type": "default", "rope_theta": float(c["rotary_emb_base"])},
        max_position_embeddings=c["seq_length"], tie_word_embeddings=False))
    names = {"transformer.wte": "model.embed_tokens", "transformer.ln_f": "model.norm", "transformer.h": "model.layers", "ln_1": "input_layernorm",
             "ln_2": "post_attention_layernorm", "attn.c_proj": "self_attn.o_proj", "mlp.w1": "mlp.up_proj", "mlp.w2": "mlp.gate_proj",
             "mlp.c_proj": "mlp.down_proj"}
    out = {}
    for n, t in state.items():
        for old, new in names.items():
            n = n.replace(old, new)
        if "c_attn" in n:
            out |= {n.replace("attn.c_attn", f"self_attn.{k}_proj"): part for k, part in zip("qkv", t.chunk(3))}
        else:
            out[n] = t
    model.load_state_dict(out)
    return model


def mpt_with_norms_in_place(spec: Family, c: dict, state: dict) -> Any:
    """transformers' MPT, whose projection clips, and norms queries and keys, by itself."""
    import torch
    from transformers import MptConfig, MptForCausalLM

    class Projection(torch.nn.Linear):
        def forward(self, x):
            q, k, v = super().forward(x).clamp(-c["attn_config"]["clip_qkv"], c["attn_config"]["clip_qkv"]).chunk(3, dim=-1)
            norm = lambda t, w: torch.nn.functional.layer_norm(t, t.shape[-1:], w, None, 1e-5)
            return torch.cat((norm(q, self.q_ln), norm(k, self.k_ln), v), dim=-1)

    model = MptForCausalLM(MptConfig(**spec.config, vocab_size=spec.vocab_size)).float()
    model.load_state_dict({n: t for n, t in state.items() if "_ln." not in n}, strict=False)
    for i, block in enumerate(model.transformer.blocks):
        block.attn.Wqkv.__class__ = Projection
        for k in ("q_ln", "k_ln"):
            setattr(block.attn.Wqkv, k, state[f"transformer.blocks.{i}.attn.{k}.weight"].float())
    return model


# ------------------------------------------------------------------------------------------------------------------- families

def mixed(name: str) -> str:
    return "float16" if "mlp" in name or "ffn" in name else "float32" if "norm" in name or "ln_" in name else "bfloat16"


NEOX = dict(hidden_size=96, num_hidden_layers=3, num_attention_heads=4, intermediate_size=160, max_position_embeddings=128)
NEOX256 = dict(hidden_size=256, num_hidden_layers=2, num_attention_heads=4, intermediate_size=768, max_position_embeddings=128)
GPTJ = dict(n_embd=96, n_layer=3, n_head=4, rotary_dim=8, n_positions=128)
GPTNEO = dict(hidden_size=96, num_layers=4, num_heads=4, attention_types=[[["global", "local"], 2]], max_position_embeddings=64,
              window_size=8)
MPT = dict(d_model=96, n_heads=6, n_layers=3, max_seq_len=128)
QWEN = dict(hidden_size=96, num_attention_heads=6, num_key_value_heads=2, num_hidden_layers=3, intermediate_size=160,
            max_position_embeddings=128)
MOE = dict(hidden_size=256, num_attention_heads=8, num_key_value_heads=2, num_hidden_layers=2, intermediate_size=512,
           moe_intermediate_size=256, num_experts=5, num_experts_per_tok=2, max_position_embeddings=128)
PHI = dict(hidden_size=96, num_attention_heads=4, num_hidden_layers=3, intermediate_size=384, max_position_embeddings=128)
OSS = dict(hidden_size=64, num_attention_heads=6, num_key_value_heads=2, num_hidden_layers=2, intermediate_size=96, num_local_experts=3,
           num_experts_per_tok=2, head_dim=32, sliding_window=8, max_position_embeddings=512, rope_parameters={
               "rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
               "original_max_position_embeddings": 16})

FAMILIES = [
    Family("neox-now", "GPT-NeoX as transformers 5 saves it", "GPTNeoX", NEOX, peer=False),
    Family("neox-sequential-now", "sequential residual, another base, RoPE on 40 of 96 dimensions", "GPTNeoX", dict(
        NEOX, hidden_size=192, num_attention_heads=2, use_parallel_residual=False, rope_parameters={
            "rope_type": "default", "rope_theta": 20000.0, "partial_rotary_factor": 0.42}), peer=False, dtype=mixed),
    Family("neox-scaled", "RoPE scaling where nobody published any", "GPTNeoX", dict(NEOX, rope_parameters={
        "rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0, "partial_rotary_factor": 0.25}), peer=False, positions=64),
    Family("phi2-yarn", "YaRN without its original context, which is then the context", "Phi", dict(PHI, rope_parameters={
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "partial_rotary_factor": 0.5}), peer=False, positions=160),
    Family("pythia-like", "GPT-NeoX of its time: rotary_pct, masks and frequencies in a sharded .bin", "GPTNeoX", NEOX256, dtype="float16",
           layout="bin-sharded", spelling=old_neox, raw=True, state=with_buffers("attention.dense:.bias", "attention.dense:.masked_bias",
                                                                                 "attention.dense:rotary_emb.inv_freq")),
    Family("neox-sequential-old", "sequential residual in the old spelling", "GPTNeoX", dict(NEOX, use_parallel_residual=False),
           spelling=old_neox, raw=True, dtype="bfloat16"),
    Family("gptj-now", "GPT-J as transformers 5 saves it", "GPTJ", GPTJ, peer=False),
    Family("gptj-6b-like", "GPT-J of its time: masks in the .bin", "GPTJ", GPTJ, peer=False, dtype="float16", layout="bin", spelling=old_gptj,
           state=with_buffers("attn.out_proj:.bias", "attn.out_proj:.masked_bias")),
    Family("gptneo-now", "GPT-Neo as transformers 5 saves it", "GPTNeo", GPTNEO, peer=False, positions=64),
    Family("gptneo-1.3b-like", "GPT-Neo of its time: masks in the .bin, in the older kind of file", "GPTNeo", GPTNEO, peer=False, layout="bin-legacy",
           spelling=old_gptneo, state=with_buffers("attn.attention.out_proj:.bias", "attn.attention.out_proj:.masked_bias")),
    Family("gptneo-bare", "GPT-Neo without its prefix, three types mixed", "GPTNeo", dict(GPTNEO, num_layers=3, attention_types=[
        [["global"], 3]]), peer=False, dtype=mixed, state=without("transformer.")),
    Family("mpt-now", "MptForCausalLM", "Mpt", MPT, peer=False, dtype="bfloat16"),
    Family("mpt-7b-like", "MPTForCausalLM: attn_config, sharded .bin", "Mpt", dict(d_model=256, n_heads=8, n_layers=2, max_seq_len=128),
           dtype="bfloat16", layout="bin-sharded", spelling=old_mpt),
    Family("mpt-clip-old", "clip_qkv, a number of heads that is no power of two", "Mpt", dict(MPT, attn_config=dict(clip_qkv=6.0)), spelling=old_mpt),
    Family("mpt-qk-ln-old", "norms of queries and keys", None, MPT, hand=mpt_with_norms, run=mpt_with_norms_in_place, logits=False),
    Family("falcon-7b-now", "one key head", "Falcon", dict(hidden_size=96, num_attention_heads=3, num_hidden_layers=3), dtype="bfloat16", peer=False),
    Family("falcon-40b-now", "grouped keys, two norms", "Falcon", dict(
        hidden_size=96, num_attention_heads=6, num_kv_heads=2, num_hidden_layers=3, new_decoder_architecture=True), dtype=mixed),
    Family("falcon-11b-now", "grouped keys, one norm", "Falcon", dict(
        hidden_size=96, num_attention_heads=6, num_kv_heads=3, num_hidden_layers=2, new_decoder_architecture=True,
        num_ln_in_parallel_attn=1, tie_word_embeddings=False), dtype="bfloat16"),
    Family("falcon-7b-like", "RWForCausalLM with lm_head beside tied embeddings", "Falcon", dict(
        hidden_size=256, num_attention_heads=8, num_hidden_layers=2), dtype="bfloat16", layout="bin-sharded", spelling=old_falcon,
        state=with_head("transformer.word_embeddings.weight"), comes_back=True),
    Family("falcon-40b-like", "RWForCausalLM with n_head_kv", "Falcon", dict(
        hidden_size=256, num_attention_heads=8, num_kv_heads=2, num_hidden_layers=2, new_decoder_architecture=True), dtype="bfloat16",
        layout="bin-sharded", spelling=old_falcon),
    Family("falcon-rw-like", "RWForCausalLM with ALiBi, biases, sequential blocks", "Falcon", dict(
        hidden_size=96, num_attention_heads=3, num_hidden_layers=3, alibi=True, bias=True, parallel_attn=False, multi_query=False),
        dtype="bfloat16", layout="bin", spelling=falcon_rw, peer=False),
    Family("falcon-rw-now", "the same as transformers 5 saves it", "Falcon", dict(
        hidden_size=96, num_attention_heads=3, num_hidden_layers=3, alibi=True, bias=True, parallel_attn=False, multi_query=False), peer=False),
    Family("falcon-bare", "no prefix", "Falcon", dict(hidden_size=96, num_attention_heads=3, num_hidden_layers=2), peer=False,
           state=without("transformer.")),
    Family("qwen1", "QWenLMHeadModel", None, dict(hidden_size=256, num_attention_heads=4, num_hidden_layers=2, intermediate_size=768,
                                                  kv_channels=64), dtype="bfloat16", hand=qwen1, run=qwen1_as_qwen2, vocab="qwen-tiktoken", vocab_size=600, tokens=588, logits=False, quantise=False),
    Family("qwen1.5-like", "biased queries, keys and values, the spelling of transformers 4", "Qwen2", dict(QWEN, num_key_value_heads=6), vocab="qwen2",
           vocab_size=401, dtype="bfloat16", spelling=old_llama_like),
    Family("qwen2.5-tied-now", "grouped keys, tied embeddings", "Qwen2", dict(QWEN, hidden_size=256, num_attention_heads=8, tie_word_embeddings=True,
                                                                              intermediate_size=512), vocab="qwen2", vocab_size=401, dtype="bfloat16"),
    Family("qwen3-now", "norms of queries and keys, head_dim of its own", "Qwen3", dict(QWEN, head_dim=32), vocab="qwen2", vocab_size=401, dtype="bfloat16"),
    Family("qwen3-old", "the spelling of transformers 4", "Qwen3", dict(QWEN, head_dim=32), vocab="qwen2", vocab_size=401, spelling=old_llama_like),
    Family("qwen2-moe-now", "an expert a tensor, a shared one", "Qwen2Moe", dict(MOE, shared_expert_intermediate_size=512), vocab="qwen2", vocab_size=401,
           dtype="bfloat16"),
    Family("qwen2-moe-aggregated", "experts stacked", "Qwen2Moe", dict(MOE, shared_expert_intermediate_size=160), vocab="qwen2", vocab_size=401,
           dtype="bfloat16", state=aggregated_experts),
    Family("qwen3-moe-now", "an expert a tensor", "Qwen3Moe", dict(MOE, norm_topk_prob=True, head_dim=64), vocab="qwen2", vocab_size=401, dtype="bfloat16"),
    Family("qwen3-moe-old", "the spelling of transformers 4, sharded", "Qwen3Moe", dict(MOE, norm_topk_prob=True, head_dim=32, moe_intermediate_size=96), vocab="qwen2",
           vocab_size=401, dtype="bfloat16", spelling=old_llama_like, layout="st-sharded"),
    Family("qwen3-moe-aggregated", "experts stacked", "Qwen3Moe", dict(MOE, norm_topk_prob=True, head_dim=64, moe_intermediate_size=96), vocab="qwen2", vocab_size=401,
           dtype="bfloat16", state=aggregated_experts),
    Family("phi2-now", "Phi-2 as transformers 5 saves it", "Phi", PHI, dtype="float16"),
    Family("phi-2-like", "the spelling of transformers 4", "Phi", dict(PHI, hidden_size=320, intermediate_size=1280, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}), dtype="float16", spelling=old_phi, layout="st-sharded"),
    Family("phi-2-first", "Phi-2 with the repository's own code: one matrix of queries, keys and values", "Phi", dict(PHI, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}), dtype="float16", spelling=first_phi, state=first_phi_names,
        layout="st-sharded", peer=False),
    Family("yi-34b-like", "Yi's first layout: names of its own for the norms", "Llama", dict(
        QWEN, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 5000000.0}), vocab="spm", vocab_size=449, dtype="bfloat16",
        layout="bin-sharded", spelling=old_yi, state=yi_names, peer=False),
    Family("gpt-oss-bf16", "experts in bfloat16, transposed", "GptOss", OSS, dtype="bfloat16"),
    Family("gpt-oss-wide", "sizes that blocks of 256 divide", "GptOss", dict(OSS, hidden_size=256, intermediate_size=512), dtype="bfloat16"),
    Family("gpt-oss-silent", "config.json says nothing about RoPE", "GptOss", {k: v for k, v in OSS.items() if k != "rope_parameters"}, dtype="bfloat16",
           spelling=without_rope, peer=False, positions=200),
    Family("gpt-oss-yarn-cut", "YaRN without truncate, which is then true", "GptOss", dict(OSS, rope_parameters={
        k: v for k, v in OSS["rope_parameters"].items() if k != "truncate"}), dtype="bfloat16", peer=False, positions=64, gguf_keeps=False),
    Family("gpt-oss-swiglu", "numbers of its own for the activation", "GptOss", dict(OSS, swiglu_limit=0.5, swiglu_alpha=1.25), dtype="bfloat16", peer=False),
    Family("qwen2-window", "windows in the upper layers", "Qwen2", dict(QWEN, use_sliding_window=True, sliding_window=7, max_window_layers=1),
           vocab="qwen2", vocab_size=401, spelling=old_windows, peer=False, positions=40, gguf_keeps=False),
    Family("qwen3-window", "windows in the layers that are named", "Qwen3", dict(QWEN, head_dim=32, use_sliding_window=True, sliding_window=6, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"]), vocab="qwen2", vocab_size=401, peer=False, positions=40, gguf_keeps=False),
    Family("qwen2-moe-window", "windows in every other layer up to one", "Qwen2Moe", dict(
        MOE, num_hidden_layers=4, shared_expert_intermediate_size=160, use_sliding_window=True, sliding_window=5, max_window_layers=2), vocab="qwen2",
        vocab_size=401, dtype="bfloat16", spelling=old_windows, peer=False, positions=40, gguf_keeps=False),
    Family("qwen3-moe-window", "windows in all layers", "Qwen3Moe", dict(MOE, head_dim=64, use_sliding_window=True, sliding_window=6), vocab="qwen2",
           vocab_size=401, dtype="bfloat16", peer=False, positions=40, gguf_keeps=False),
    Family("gpt-oss-mxfp4", "experts in MXFP4, as published", "GptOss", OSS, dtype="bfloat16", spelling=mxfp4_config, state=mxfp4_experts,
           logits=False, quantise=False, comes_back=True),
]
BY_NAME = {f.name: f for f in FAMILIES}


def committed(name: str, like: str, **config: Any) -> Family:
    """A family's checkpoint in safetensors for the quick tests, without a tokenizer: 2 layers, 64 tokens, rows of 32."""
    spec = BY_NAME[like]
    keep = {k: v for k, v in spec.config.items() if k in ("attention_types", "new_decoder_architecture", "alibi", "bias", "parallel_attn", "multi_query",
                                                          "attn_config", "rope_parameters", "num_experts_per_tok", "norm_topk_prob", "tie_word_embeddings")}
    return dataclasses.replace(spec, name=name, config={**keep, **config}, vocab=None, tokens=None, vocab_size=64, layout="st", positions=20, dtype="bfloat16")


SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)
GROUPED = dict(SMALL, num_key_value_heads=2)
EXPERTS = dict(GROUPED, intermediate_size=32, max_position_embeddings=512, head_dim=16, num_local_experts=3, sliding_window=8)
COMMITTED = [
    committed("falcon-7b", "falcon-7b-now", hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    committed("falcon-40b", "falcon-40b-now", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2),
    committed("falcon-rw", "falcon-rw-now", hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    committed("gpt-oss", "gpt-oss-bf16", **EXPERTS),
    committed("gpt-oss-mxfp4", "gpt-oss-mxfp4", **EXPERTS),
    committed("gptj", "gptj-now", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64),
    committed("gptneo", "gptneo-now", hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=32, window_size=8,
              attention_types=[[["global", "local"], 1]]),
    committed("gptneox", "neox-now", **SMALL),
    dataclasses.replace(committed("llama", "qwen3-now", **GROUPED), cls="Llama"),
    dataclasses.replace(committed("mistral", "qwen3-now", **GROUPED, sliding_window=8), cls="Mistral"),
    committed("mpt", "mpt-clip-old", d_model=32, n_heads=4, n_layers=2, max_seq_len=64),
    committed("phi2", "phi2-now", **SMALL),
    committed("qwen1", "qwen1", hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=96, kv_channels=8),
    committed("qwen2", "qwen2.5-tied-now", **GROUPED),
    committed("qwen2-moe", "qwen2-moe-now", **GROUPED, moe_intermediate_size=16, num_experts=4, shared_expert_intermediate_size=24),
    committed("qwen3", "qwen3-now", **GROUPED, head_dim=16),
    committed("qwen3-moe", "qwen3-moe-now", **GROUPED, head_dim=16, moe_intermediate_size=16, num_experts=4),
]


def random_values(state: dict, seed: int) -> dict:
    import torch
    out = {}
    for k, (n, p) in enumerate(state.items()):
        g = torch.Generator().manual_seed(seed * 10007 + k)
        w = torch.randn(p.shape, generator=g)
        if p.dim() >= 2:
            w *= torch.exp2(torch.randint(-3, 4, (*p.shape[:-1], 1), generator=g).float()) * (0.3 / p.shape[-1] ** 0.5)
        elif n.endswith("weight"):
            w = 1.0 + 0.25 * w
        else:
            w *= 0.1
        out[n] = w
    return out


def make_one(spec: Family, out: Path) -> Path:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
    d, part = out / spec.name, out / (spec.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    kind = spec.dtype if callable(spec.dtype) else lambda _name: spec.dtype
    seed = makers.hash_name(spec.name) % 100000
    if spec.cls:
        ids = {"bos_token_id": 0, "eos_token_id": 0} if spec.cls != "Mpt" else {}
        config = getattr(transformers, spec.cls + "Config")(vocab_size=spec.vocab_size, **{**ids, **spec.config})
        config.dtype = getattr(torch, kind("attn.weight"))
        model = getattr(transformers, spec.cls + "ForCausalLM")(config).float().eval()
        with torch.no_grad():
            named = dict(model.named_parameters())
            for n, w in random_values(named, seed).items():
                named[n].copy_(w.to(getattr(torch, kind(n))))
        model.save_pretrained(part)
        saved = load_file(part / "model.safetensors")
        state = {n: t.to(getattr(torch, kind(n))) for n, t in sorted(saved.items())}
        (part / "model.safetensors").unlink()
        (part / "generation_config.json").unlink(missing_ok=True)
        edit = lambda c: (c.update(dtype=kind("attn.weight")), spec.spelling and spec.spelling(c))
    else:
        config, state = spec.hand(spec)
        makers.write_json(part / "config.json", config)
        state = {n: t.to(getattr(torch, kind(n))) for n, t in random_values(state, seed).items()}
        edit = None
        model = spec.run(spec, config, state)
    if edit:
        # The configuration before its spelling changes says what the layouts ask for.
        plain = json.loads((part / "config.json").read_text())
        makers.edit_json(part / "config.json", edit)
    else:
        plain = config
    layout = spec.state(state, plain) if spec.state else state
    model.load_state_dict(mxfp4_values(layout), strict=False)
    makers.save_logits(out / f"{spec.name}.logits.safetensors", model, spec.positions, seed)
    if spec.vocab:
        makers.VOCABS[spec.vocab](part, spec.tokens or spec.vocab_size)
    makers.save_weights(part, layout, spec.layout)
    save_file(layout if spec.comes_back else state, str(out / f"{spec.name}.tensors.safetensors"))
    shutil.rmtree(d, ignore_errors=True)
    part.rename(d)
    return d


def main(argv: list[str]) -> None:
    if argv[:1] == ["list"]:
        for f in FAMILIES:
            print(f"{f.name:24} {f.about}")
    elif argv[:1] == ["data"] and len(argv) == 2:
        for f in COMMITTED:
            print(make_one(f, Path(argv[1])))
            (Path(argv[1]) / f"{f.name}.tensors.safetensors").unlink()  # those of the checkpoint
    elif argv:
        for name in argv[1:] or [f.name for f in FAMILIES]:
            print(make_one(BY_NAME[name], Path(argv[0])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
