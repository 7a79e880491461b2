"""The content hash by its definition in docs/formats.md, computed here from what the safetensors package reads."""

import ctypes
import ctypes.util
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


LIBRARY = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
LIBRARY.XXH3_128bits.restype = Hash128
LIBRARY.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data: bytes) -> bytes:
    h = LIBRARY.XXH3_128bits(data, len(data))
    return struct.pack(">QQ", h.high, h.low)


def piece(x: torch.Tensor) -> bytes:
    if not x.is_floating_point():
        return b"i" + xxh3(x.to(torch.int64).numpy().tobytes())
    bits = x.float().numpy()
    if x.dtype == torch.float64 and not (bits.astype(np.float64).view(np.uint64) == x.numpy().view(np.uint64)).all():
        return b"d" + xxh3(x.numpy().tobytes())
    words = bits.view(np.uint32)
    if (words & 0xFFFF).any():
        return b"f" + xxh3(words.tobytes())
    return b"b" + xxh3((words >> 16).astype(np.uint16).tobytes())


def tensor_hash(x: torch.Tensor) -> bytes:
    flat = x.contiguous().reshape(-1)
    text = struct.pack(f"<{x.dim() + 1}Q", x.dim(), *x.shape)
    for at in range(0, flat.numel(), 65536):
        text += piece(flat[at:at + 65536])
    return xxh3(text)


def model_hash(tensors: dict) -> str:
    text = b""
    for name in sorted(tensors, key=str.encode):
        text += struct.pack("<Q", len(name.encode())) + name.encode() + tensor_hash(tensors[name])
    return xxh3(text).hex()


def seen(smelt, path) -> dict:
    return json.loads(smelt("inspect", path, "--hash", "--json", check=True).stdout)["content"]


def test_every_type(tmp_path, smelt):
    torch.manual_seed(1)
    tensors = {f"t.{d}".replace("torch.", ""): torch.randn(3, 50000).to(d) for d in (torch.float32, torch.float64, torch.float16, torch.bfloat16)}
    tensors |= {f"i.{d}".replace("torch.", ""): torch.randint(-100, 100, (7, 11)).to(d) for d in (torch.int8, torch.int16, torch.int32, torch.int64)}
    tensors |= {"empty": torch.zeros(0, 4), "scalar": torch.tensor(1.5), "exact": torch.arange(100000.0, dtype=torch.float64)}
    tensors["late"] = torch.ones(200000)
    tensors["late"][150000] = 0.1
    save_file(tensors, tmp_path / "m.safetensors")
    content = seen(smelt, tmp_path / "m.safetensors")
    for name, x in tensors.items():
        assert content["tensors"][name] == tensor_hash(x).hex(), name
    assert content["xxh3_128"] == model_hash(tensors)


def test_real_model(tmp_path, smelt, smollm2):
    """The canonical names of a LLaMA are GGUF's; the order is Hugging Face's."""
    tensors = {}
    for shard in smollm2.glob("*.safetensors"):
        tensors |= load_file(shard)
    want = tensor_hash(tensors["model.layers.3.self_attn.q_proj.weight"]).hex()
    for source in (smollm2, tmp_path / "there.gguf"):
        if source != smollm2:
            smelt("convert", smollm2, source, "--quiet", check=True, provenance=True)
        content = seen(smelt, source)
        assert content["tensors"]["blk.3.attn_q.weight"] == want
        renamed = {}
        for name, x in tensors.items():
            parts = name.split(".")
            if parts[1] == "layers":
                role = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
                        "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
                        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}[".".join(parts[3:-1])]
                renamed[f"blk.{parts[2]}.{role}.weight"] = x
            elif name != "lm_head.weight":
                renamed[{"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]] = x
        assert content["xxh3_128"] == model_hash(renamed)


@pytest.mark.parametrize("target", ["q4.gguf", "bf16.gguf", "directory", "file.safetensors"])
def test_recorded_source(target, tmp_path, smelt, smollm2):
    """What a file says of its source is the source's hash."""
    command = ["quantize", smollm2, tmp_path / target, "Q4_0"] if target == "q4.gguf" else ["convert", smollm2, tmp_path / target]
    smelt(*command, "--quiet", check=True, provenance=True)
    meta = json.loads(smelt("inspect", tmp_path / target, "--json", "--metadata", check=True).stdout)["metadata"]
    recorded = [v for k, v in meta.items() if k.endswith("smelt.source.xxh3_128")]
    assert recorded == [seen(smelt, smollm2)["xxh3_128"]]
