#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, tests/fuzz/corpus/NAME/, with the packages that define the formats (numpy, safetensors,
torch, gguf; tests/peers has them). Run it when a format learns something new; the files are committed.

    seeds.py [FOLDER]
"""

import io
import json
import os
import struct
import sys
import zipfile

import gguf
import numpy as np
import torch
from safetensors.torch import save as safetensors_save

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
TMP = "/tmp/smelt-seed"


def put(target, name, data):
    folder = os.path.join(OUT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def tensor(dtype, *shape):
    n = int(np.prod(shape)) if shape else 1
    return (torch.arange(n, dtype=torch.float32) / 7 - 1).reshape(shape).to(dtype)


# Safetensors: one file of every type, odd shapes, none at all, with and without metadata.
ST_TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
            torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]  # fmt: skip
st = {
    "types": safetensors_save({f"t{i}": tensor(t, 2, 3) for i, t in enumerate(ST_TYPES)}),
    "shapes": safetensors_save({"scalar": tensor(torch.float32), "one": tensor(torch.float32, 1), "deep": tensor(torch.float16, 2, 1, 3, 2)}),
    "metadata": safetensors_save({"a": tensor(torch.float32, 4)}, {"format": "pt", "note": "caf\u00e9"}),
    "none": safetensors_save({}),
}
llama = {"model.embed_tokens.weight": tensor(torch.bfloat16, 4, 4), "model.norm.weight": tensor(torch.bfloat16, 4)}
st["names"] = safetensors_save(llama)
for name, data in st.items():
    put("safetensors", name, data)


# Recorded logits: all of them, and the two largest of four.
row = torch.tensor([4.0, 2.0, 1.0, 1.0]).log()
tokens = torch.tensor([[3, 0, 1, 2], [0, 0, 0, 0]])
put("recorded", "all", safetensors_save({"input_ids": tokens, "logits": row.repeat(2, 4, 1)}))
top = {"input_ids": tokens, "top_ids": torch.tensor([0, 1], dtype=torch.int32).repeat(2, 4, 1), "top_logits": row[:2].repeat(2, 4, 1),
       "log_sum_exp": torch.full((2, 4), 8.0, dtype=torch.float64).log(), "mass": torch.full((2, 4), 0.75, dtype=torch.float64),
       "target_logits": row[tokens.roll(-1, 1)]}  # fmt: skip
put("recorded", "top", safetensors_save(top, {"smelt.record.first": "1", "smelt.record.columns": "4"}))


# PyTorch: current zips, in which storages are shared, strided, tied, nested; parameters; and the two older containers.
def saved(obj, **options):
    f = io.BytesIO()
    torch.save(obj, f, **options)
    return f.getvalue()


base = tensor(torch.float32, 4, 4)
pt = {
    "plain": saved({"w": tensor(torch.float32, 2, 3), "b": tensor(torch.bfloat16, 3)}),
    "types": saved({str(t).split(".")[1]: tensor(t, 2) for t in ST_TYPES}),
    "strided": saved({"t": base.t(), "row": base[1], "column": base[:, 2], "tied": base}),
    "nested": saved({"model": {"w": base}, "step": 3, "args": {"lr": 0.1, "names": ["a", None, True]}}),
    "parameter": saved({"w": torch.nn.Parameter(tensor(torch.float16, 2, 2)), "buffer": tensor(torch.int64, 1)}),
    "module": saved(torch.nn.Linear(2, 2).state_dict()),
    "empty": saved({}),
    "protocol4": saved({"w": base}, pickle_protocol=4),
    "bare": saved({"w": base, "half": tensor(torch.float16, 2)}, _use_new_zipfile_serialization=False),
}
packed = io.BytesIO()
with zipfile.ZipFile(io.BytesIO(pt["strided"])) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
    for record in old.namelist():
        new.writestr(record, old.read(record))
pt["deflated"] = packed.getvalue()
for name, data in pt.items():
    put("torch_zip", name, data)
    if name not in ("bare", "deflated"):
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            put("pickle", name, z.read("archive/data.pkl"))


# GGUF: a small model, one key of every type, a tensor of every block type with one block.
def written(fill, arch="llama"):
    w = gguf.GGUFWriter(TMP, arch)
    fill(w)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    with open(TMP, "rb") as f:
        return f.read()


def keys(w):
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "uint64", "int64", "float64"):
        getattr(w, "add_" + kind)("k." + kind, 1)
    w.add_bool("k.bool", True)
    w.add_string("k.string", "caf\u00e9")
    w.add_array("k.strings", ["a", "", "bc"])
    w.add_array("k.numbers", [1, 2, 3])
    w.add_array("k.floats", [0.5, 1.5])


def model(w):
    w.add_context_length(64)
    w.add_embedding_length(4)
    w.add_block_count(1)
    w.add_feed_forward_length(8)
    w.add_head_count(2)
    w.add_head_count_kv(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(["a", "b", "ab", "</s>"])
    w.add_token_types([1, 1, 1, 3])
    w.add_token_merges(["a b"])
    w.add_eos_token_id(3)
    shapes = {
        "token_embd": (4, 4), "output_norm": (4,), "blk.0.attn_norm": (4,), "blk.0.ffn_norm": (4,),
        "blk.0.attn_q": (4, 4), "blk.0.attn_k": (2, 4), "blk.0.attn_v": (2, 4), "blk.0.attn_output": (4, 4),
        "blk.0.ffn_gate": (8, 4), "blk.0.ffn_up": (8, 4), "blk.0.ffn_down": (4, 8),
    }  # fmt: skip
    for name, shape in shapes.items():
        w.add_tensor(name + ".weight", np.ones(shape, np.float32))


def blocks(w):
    for kind, (_, size) in gguf.GGML_QUANT_SIZES.items():
        if kind.name.startswith(("F", "I8", "I16", "I32", "I64", "BF")):
            continue
        w.add_tensor(kind.name.lower(), np.zeros((1, size), np.uint8), raw_dtype=kind)


def aligned(w):
    w.add_custom_alignment(64)
    w.add_tensor("a", np.ones(3, np.float16))
    w.add_tensor("b", np.ones((2, 2), np.float32))


gg = {"keys": written(keys), "model": written(model), "blocks": written(blocks), "aligned": written(aligned)}
gg["version2"] = gg["keys"][:4] + struct.pack("<I", 2) + gg["keys"][8:]


# Importance matrices: GGUF with and without experts, and the older files.
def imatrix(w):
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["a.txt"])
    w.add_uint32("imatrix.chunk_count", 2)
    w.add_uint32("imatrix.chunk_size", 64)
    for name, matrices in {"blk.0.attn_q.weight": 1, "blk.0.ffn_up_exps.weight": 3}.items():
        w.add_tensor(name + ".in_sum2", np.arange(matrices * 8, dtype=np.float32).reshape(matrices, 8))
        w.add_tensor(name + ".counts", np.arange(matrices, dtype=np.float32).reshape(matrices, 1))


def imatrix_dat(entries, trailer=b""):
    out = struct.pack("<i", len(entries))
    for name, calls, values in entries:
        out += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, len(values)) + struct.pack(f"<{len(values)}f", *values)
    return out + trailer


im = {
    "gguf": written(imatrix),
    "dat": imatrix_dat([(b"blk.0.attn_q.weight", 4, [1, 2, 3, 4]), (b"output.weight", 0, [0.5] * 4)], struct.pack("<ii", 2, 5) + b"a.txt"),
    "dat-before-trailers": imatrix_dat([(b"blk.0.ffn_up_exps.weight", 1, [1, 1, 2, 3])]),
}
for name, data in im.items():
    put("imatrix", name, data)
os.remove(TMP)
for name, data in gg.items():
    put("gguf", name, data)


# Directories: a sequence of files, each behind "=== NAME".
def folder(files):
    out = b""
    for name, data in files.items():
        out += b"=== " + name.encode() + b"\n" + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n"
    return out


config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
    "rope_theta": 10000.0, "tie_word_embeddings": True, "torch_dtype": "float32", "bos_token_id": 3, "eos_token_id": 3,
}  # fmt: skip
hf = {"model.embed_tokens": (4, 4), "model.norm": (4,)}
for part, shape in {"input_layernorm": (4,), "post_attention_layernorm": (4,), "self_attn.q_proj": (4, 4), "self_attn.k_proj": (2, 4),
                    "self_attn.v_proj": (2, 4), "self_attn.o_proj": (4, 4), "mlp.gate_proj": (8, 4), "mlp.up_proj": (8, 4),
                    "mlp.down_proj": (4, 8)}.items():  # fmt: skip
    hf["model.layers.0." + part] = shape
weights = {name + ".weight": tensor(torch.float32, *shape) for name, shape in hf.items()}
tokenizer = {
    "version": "1.0",
    "added_tokens": [{"id": 3, "content": "</s>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}],
    "normalizer": None,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True},
                      {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "</s>": 3}, "merges": [["a", "b"]]},
}  # fmt: skip
half = sorted(weights)[:5]
first = safetensors_save({k: v for k, v in weights.items() if k in half})
second = safetensors_save({k: v for k, v in weights.items() if k not in half})
names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
index = {"metadata": {"total_size": 4}, "weight_map": {k: names[k not in half] for k in weights}}
common = {"config.json": config, "tokenizer.json": tokenizer, "tokenizer_config.json": {"chat_template": "{{ messages }}", "eos_token": "</s>"}}
dirs = {
    "one": {**common, "model.safetensors": safetensors_save(weights)},
    "sharded": {**common, "model.safetensors.index.json": index, names[0]: first, names[1]: second},
    "bin": {"config.json": config, "pytorch_model.bin": saved(weights)},
    "card": {**common, "model.safetensors": safetensors_save(weights), "generation_config.json": {"eos_token_id": [3]},
             "README.md": b"---\nlicense: mit\ntags: [a, b]\n---\n# x\n"},
    "config-only": {"config.json": config},
}  # fmt: skip
for name, files in dirs.items():
    put("hf_dir", name, folder(files))

# The other families. Their config.json in the sizes of the model that fuzz/config_json.c makes for each; and of those that fuse or
# stack tensors, in either layout, directories and GGUF files: (class, config, tensors of a checkpoint, keys and tensors of GGUF).
sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 4,
         "max_position_embeddings": 6}  # fmt: skip
few = {**sizes, "num_key_value_heads": 2}
yarn = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 4096}
families = {
    "gptj": ("GPTJForCausalLM", {"n_embd": 32, "n_layer": 1, "n_head": 4, "rotary_dim": 8, "n_inner": 32, "vocab_size": 4, "n_positions": 6}),
    "gptneo": ("GPTNeoForCausalLM", {"hidden_size": 32, "num_layers": 1, "num_heads": 4, "intermediate_size": 32, "vocab_size": 4,
               "max_position_embeddings": 6, "attention_types": [[["global"], 1]]}),
    "gptneox": ("GPTNeoXForCausalLM", {**sizes, "rotary_pct": 0.25, "rotary_emb_base": 500, "use_parallel_residual": True}),
    "mpt": ("MPTForCausalLM", {"d_model": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 4, "max_seq_len": 6, "expansion_ratio": 1, "no_bias": True,
            "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": 6, "attn_type": "multihead_attention", "kv_n_heads": 4, "qk_ln": False}}),
    "falcon": ("FalconForCausalLM", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "ffn_hidden_size": 32, "vocab_size": 4,
               "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False, "num_kv_heads": 4, "alibi": False, "bias": False,
               "num_ln_in_parallel_attn": None}),
    "qwen": ("QWenLMHeadModel", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32, "vocab_size": 4,
             "seq_length": 6, "kv_channels": 8, "rotary_emb_base": 10000}),
    "qwen2": ("Qwen2ForCausalLM", {**few, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}),
    "qwen3": ("Qwen3ForCausalLM", {**few, "head_dim": 8}),
    "qwen2moe": ("Qwen2MoeForCausalLM", {**few, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32,
                 "shared_expert_intermediate_size": 32}),
    "qwen3moe": ("Qwen3MoeForCausalLM", {**few, "head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32}),
    "phi2": ("PhiForCausalLM", {**sizes, "partial_rotary_factor": 0.5}),
    "gpt-oss": ("GptOssForCausalLM", {**few, "head_dim": 8, "num_local_experts": 2, "experts_per_token": 1, "sliding_window": 4,
                "rope_scaling": yarn}),
}  # fmt: skip
for name, (cls, fields) in families.items():
    put("config_json", name, json.dumps({"architectures": [cls], **fields}).encode())

original = {"num_hidden_layers": 1, "num_experts": 2, "experts_per_token": 1, "vocab_size": 4, "hidden_size": 32, "intermediate_size": 32,
            "swiglu_limit": 7.0, "head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 4,
            "initial_context_length": 8, "rope_theta": 150000.0, "rope_scaling_factor": 2.0, "rope_ntk_alpha": 1.0, "rope_ntk_beta": 32.0}
put("config_json", "gpt-oss-original", json.dumps(original).encode())

llama_block = {"input_layernorm.weight": (32,), "post_attention_layernorm.weight": (32,), "self_attn.q_proj.weight": (32, 32),
               "self_attn.k_proj.weight": (16, 32), "self_attn.v_proj.weight": (16, 32), "self_attn.o_proj.weight": (32, 32)}  # fmt: skip
llama_ends = {"model.embed_tokens.weight": (4, 32), "model.norm.weight": (32,), "lm_head.weight": (4, 32)}


def block(prefix, *parts):
    return {prefix + k: v for part in parts for k, v in part.items()}


qwen3moe = block("model.layers.0.", llama_block, {"self_attn.q_norm.weight": (8,), "self_attn.k_norm.weight": (8,), "mlp.gate.weight": (2, 32)})
one_each = {f"experts.{e}.{p}_proj.weight": (32, 32) for e in range(2) for p in ("gate", "up", "down")}
oss = {"self_attn.q_proj.bias": (32,), "self_attn.k_proj.bias": (16,), "self_attn.v_proj.bias": (16,), "self_attn.o_proj.bias": (32,),
       "self_attn.sinks": (4,), "mlp.router.weight": (2, 32), "mlp.router.bias": (2,), "mlp.experts.gate_up_proj_bias": (2, 64),
       "mlp.experts.down_proj_bias": (2, 32)}  # fmt: skip
mx = {"gate_up_proj_blocks": (2, 64, 1, 16), "gate_up_proj_scales": (2, 64, 1), "down_proj_blocks": (2, 32, 1, 16), "down_proj_scales": (2, 32, 1)}
checkpoints = {
    "falcon": {"transformer.word_embeddings.weight": (4, 32), "transformer.ln_f.weight": (32,), "transformer.ln_f.bias": (32,),
               **block("transformer.h.0.", {"input_layernorm.weight": (32,), "input_layernorm.bias": (32,),
                       "self_attention.query_key_value.weight": (48, 32), "self_attention.dense.weight": (32, 32),
                       "mlp.dense_h_to_4h.weight": (32, 32), "mlp.dense_4h_to_h.weight": (32, 32)})},
    "mpt": {"transformer.wte.weight": (4, 32), "transformer.norm_f.weight": (32,),
            **block("transformer.blocks.0.", {"norm_1.weight": (32,), "norm_2.weight": (32,), "attn.Wqkv.weight": (96, 32),
                    "attn.out_proj.weight": (32, 32), "ffn.up_proj.weight": (32, 32), "ffn.down_proj.weight": (32, 32)})},
    "qwen3moe": {**llama_ends, **qwen3moe, **block("model.layers.0.mlp.", one_each)},
    "qwen3moe-stacked": {**llama_ends, **qwen3moe, **block("model.layers.0.mlp.experts.", {"gate_up_proj": (2, 64, 32), "down_proj": (2, 32, 32)})},
    "gpt-oss": {**llama_ends, **block("model.layers.0.", llama_block, oss),
                **block("model.layers.0.mlp.experts.", {"gate_up_proj": (2, 32, 64), "down_proj": (2, 32, 32)})},
    "gpt-oss-mxfp4": {**llama_ends, **block("model.layers.0.", llama_block, oss), **block("model.layers.0.mlp.experts.", mx)},
}  # fmt: skip
for name, shapes in checkpoints.items():
    cls, fields = families[name.removesuffix("-stacked").removesuffix("-mxfp4")]
    kinds = {k: torch.uint8 if k.endswith(("_blocks", "_scales")) else torch.bfloat16 for k in shapes}
    weights = safetensors_save({k: torch.zeros(v, dtype=kinds[k]) for k, v in shapes.items()})
    put("hf_dir", name, folder({"config.json": {"architectures": [cls], **fields}, "model.safetensors": weights}))
original_block = {"attn.norm.scale": (32,), "attn.qkv.weight": (64, 32), "attn.qkv.bias": (64,), "attn.sinks": (4,),
                  "attn.out.weight": (32, 32), "attn.out.bias": (32,), "mlp.norm.scale": (32,), "mlp.gate.weight": (2, 32), "mlp.gate.bias": (2,),
                  "mlp.mlp1_weight.blocks": (2, 64, 1, 16), "mlp.mlp1_weight.scales": (2, 64, 1), "mlp.mlp1_bias": (2, 64),
                  "mlp.mlp2_weight.blocks": (2, 32, 1, 16), "mlp.mlp2_weight.scales": (2, 32, 1), "mlp.mlp2_bias": (2, 32)}  # fmt: skip
shapes = {"embedding.weight": (4, 32), "norm.scale": (32,), "unembedding.weight": (4, 32), **block("block.0.", original_block)}
weights = safetensors_save({k: torch.zeros(v, dtype=torch.uint8 if k.endswith(("blocks", "scales")) else torch.bfloat16)
                            for k, v in shapes.items()})
put("hf_dir", "gpt-oss-original", folder({"config.json": original, "model.safetensors": weights}))


def family_gguf(arch, ints, floats, shapes, mxfp4=()):
    def fill(w):
        for key, value in {"block_count": 1, "context_length": 6, "embedding_length": 32, "feed_forward_length": 32, "attention.head_count": 4,
                           **ints}.items():  # fmt: skip
            w.add_uint32(f"{arch}.{key}", value)
        for key, value in floats.items():
            w.add_float32(f"{arch}.{key}", value)
        w.add_token_list(["a", "b", "ab", "</s>"])
        for name, shape in shapes.items():
            w.add_tensor(name, np.zeros(shape, np.float16))
        for name in mxfp4:
            w.add_tensor(name, np.zeros((2, 32, 17), np.uint8), raw_dtype=gguf.GGMLQuantizationType.MXFP4)

    return written(fill, arch)


ends = {"token_embd.weight": (4, 32), "output_norm.weight": (32,), "output.weight": (4, 32)}
attention = {"attn_q.weight": (32, 32), "attn_k.weight": (16, 32), "attn_v.weight": (16, 32), "attn_output.weight": (32, 32)}
expert = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
files = {
    "falcon": family_gguf("falcon", {"attention.head_count_kv": 1}, {"attention.layer_norm_epsilon": 1e-5}, {
        "token_embd.weight": (4, 32), "output_norm.weight": (32,), "output_norm.bias": (32,),
        **block("blk.0.", {"attn_norm.weight": (32,), "attn_norm.bias": (32,), "attn_qkv.weight": (48, 32), "attn_output.weight": (32, 32),
                           "ffn_up.weight": (32, 32), "ffn_down.weight": (32, 32)})}),
    "qwen3moe": family_gguf("qwen3moe", {"attention.head_count_kv": 2, "expert_count": 2, "expert_used_count": 1, "attention.key_length": 8,
        "attention.value_length": 8, "expert_feed_forward_length": 32}, {"attention.layer_norm_rms_epsilon": 1e-6}, {**ends,
        **block("blk.0.", attention, {"attn_norm.weight": (32,), "ffn_norm.weight": (32,), "attn_q_norm.weight": (8,), "attn_k_norm.weight": (8,),
                "ffn_gate_inp.weight": (2, 32), **{e + ".weight": (2, 32, 32) for e in expert}})}),
    "gpt-oss": family_gguf("gpt-oss", {"attention.head_count_kv": 2, "expert_count": 2, "expert_used_count": 1, "attention.key_length": 8,
        "attention.value_length": 8, "expert_feed_forward_length": 32, "attention.sliding_window": 4}, {"attention.layer_norm_rms_epsilon": 1e-5},
        {**ends, **block("blk.0.", attention, {"attn_norm.weight": (32,), "post_attention_norm.weight": (32,), "attn_q.bias": (32,),
         "attn_k.bias": (16,), "attn_v.bias": (16,), "attn_output.bias": (32,), "attn_sinks.weight": (4,), "ffn_gate_inp.weight": (2, 32),
         "ffn_gate_inp.bias": (2,), **{e + ".bias": (2, 32) for e in expert}})}, [f"blk.0.{e}.weight" for e in expert]),
}  # fmt: skip
os.remove(TMP)
for name, data in files.items():
    put("gguf", name, data)

# Tokenizer directories: byte-level BPE in its spellings, SentencePiece as a model and as JSON, the older files.
DATA = os.path.join(HERE, "..", "data", "vocab")
with open(os.path.join(DATA, "spm.model"), "rb") as f:
    spm = f.read()


def spm_part(number, payload):
    return bytes([number << 3 | 2, len(payload)]) + payload


def spm_piece(text, score, kind):
    return spm_part(1, spm_part(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([3 << 3, kind]))


tiny_spm = spm_piece("<unk>", 0, 2) + spm_piece("<s>", 0, 3) + spm_piece("<0x41>", 0, 6) + spm_piece("a", -1, 1)
tiny_spm += spm_piece("b", -2, 1) + spm_piece("ab", -3, 1) + spm_piece("<u>", 0, 4) + spm_part(2, bytes([3 << 3, 2])) + spm_part(3, b"\x18\x00")
put("spm", "tiny", tiny_spm)
put("spm", "trained", spm)
post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}}  # fmt: skip
llama2 = {**tokenizer, "pre_tokenizer": None, "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}]},
          "model": {**tokenizer["model"], "byte_fallback": True}}  # fmt: skip
objects = {"bos_token": {"content": "</s>"}, "add_bos_token": True, "additional_special_tokens": ["<x>"], "model_max_length": 10**30,
           "chat_template": [{"name": "default", "template": "a"}, {"name": "tool", "template": "b"}],
           "added_tokens_decoder": {"3": {"content": "</s>", "special": True}, "4": {"content": "\u0120 \u2581", "normalized": False}}}  # fmt: skip
slow = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>"}
for name, files in {
    "bpe": {"config.json": {"vocab_size": 6, "eos_token_id": 3}, "tokenizer.json": {**tokenizer, "post_processor": post},
            "tokenizer_config.json": objects},
    "text-merges": {"tokenizer.json": {**tokenizer, "model": {**tokenizer["model"], "merges": ["a b"]}}},
    "llama2": {"config.json": {"vocab_size": 5, "architectures": ["LlamaForCausalLM"]}, "tokenizer.json": llama2,
               "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}},
    "spm": {"config.json": {"vocab_size": 9, "bos_token_id": 1}, "tokenizer.model": tiny_spm, "added_tokens.json": {"<new>": 7},
            "tokenizer_config.json": {"added_tokens_decoder": {"8": {"content": "<|y|>"}}}},
    "slow": {"vocab.json": tokenizer["model"]["vocab"], "merges.txt": b"#version\na b\n\nbad line here\n", "tokenizer_config.json": slow,
             "special_tokens_map.json": {"unk_token": "<unk>"}, "added_tokens.json": {"<z>": 4}},
    "tiktoken": {"qwen.tiktoken": b"YQ== 0\nYg== 1\nYWI= 2\nYWJhYg== 3\n", "config.json": {"vocab_size": 220, "eos_token_id": 5}},
}.items():  # fmt: skip
    put("tokenizer_json", name, folder(files))

# What encodes and decodes: every kind of model and step, with a text.
letters = {c: i for i, c in enumerate("abs\u0120\u2581\u00c3\u00a9\u010a.12")}
letters |= {"ab": 11, "<unk>": 12, "<0x41>": 13, "\u2581a": 14}
bpe = {"type": "BPE", "vocab": letters, "merges": [["a", "b"], ["\u2581", "a"]], "unk_token": "<unk>"}
marks = [{"id": 15, "content": "<x>", "special": True, "lstrip": True, "rstrip": True}, {"id": 16, "content": "s", "single_word": True, "normalized": True}]
split = [{"type": "Split", "pattern": {"Regex": "(?i:'s)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": False},
         {"type": "ByteLevel", "use_regex": False, "add_prefix_space": True}]  # fmt: skip
steps = [{"type": "Punctuation", "behavior": "Contiguous"}, {"type": "ByteLevel"}, {"type": "Digits", "individual_digits": False},
         {"type": "Split", "pattern": {"Regex": "[0-9][0-9]"}, "behavior": "MergedWithNext"}, {"type": "Split", "pattern": {"String": "a"}, "behavior": "MergedWithPrevious"}]  # fmt: skip
normalizer = [{"type": "NFC"}, {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "\u2581"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, {"type": "Replace", "pattern": {"Regex": "1*"}, "content": "2"}]  # fmt: skip
decoder = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
           {"type": "Strip", "content": " ", "start": 1, "stop": 0}]  # fmt: skip
unigram = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1], ["ab", -1.5], ["\u2581", -2]]}
text = "a b ab<x> s's 12 \u00e9 e\u0301 <x\n".encode() + b"\xff\xc3 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabab"
for name, files in {
    "bytes": {"tokenizer.json": {"model": bpe, "added_tokens": marks, "pre_tokenizer": {"type": "Sequence", "pretokenizers": split},
                                 "decoder": {"type": "ByteLevel"}, "post_processor": post}},
    "letters": {"tokenizer.json": {"model": bpe, "added_tokens": marks, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}},
    "pieces": {"tokenizer.json": {"model": {**bpe, "byte_fallback": True, "fuse_unk": True}, "added_tokens": marks,
                                  "normalizer": {"type": "Sequence", "normalizers": normalizer}, "decoder": {"type": "Sequence", "decoders": decoder}}},
    "unigram": {"tokenizer.json": {"model": unigram, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"},
                                   "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}}},
    "spm": {"tokenizer.model": tiny_spm, "tokenizer_config.json": {"legacy": False, "add_eos_token": True}},
    "tiktoken": {"qwen.tiktoken": b"YQ== 0\nYg== 1\nYWI= 2\n"},
}.items():  # fmt: skip
    put("tokenizer", name, folder({**files, "text": text}))

# What is converted: the first byte chooses the target.
for target in range(3):
    for kind, name, data in (("st", "types", st["types"]), ("pt", "strided", pt["strided"]), ("gguf", "model", gg["model"])):
        put("round_trip", f"{target}-{kind}-{name}", bytes([target]) + data)
