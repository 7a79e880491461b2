/* LLaMA 1 to 3, OpenLLaMA, Yi, SmolLM. Hugging Face: modeling_llama.py and configuration_llama.py (defaults); GGUF: the names
 * and keys of llama.cpp's "llama", which stores q and k in RoPE pairs. */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

const smelt_name_rule smelt_llama_names[] = {
    {SMELT_R_ROPE_FREQS, "rope_freqs", NAME_NO_HF | NAME_OPTIONAL, GGUF_SAME, NULL, H(COUNT)},
    SMELT_LLAMA_NAMES(GGUF_ROPE_Q, GGUF_ROPE_K, H(ATTN_BIAS), H(ATTN_BIAS)),
    SMELT_LLAMA_FFN(H(MLP_BIAS)),
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(32, 2048, 11008, 32),
    {H(KV_HEADS), "num_key_value_heads|n_kv_heads", HP_SAME_AS, 0, H(HEADS)},
    SMELT_LLAMA_COMMON,
    {0},
};

const smelt_arch smelt_arch_llama = {
    .name = "llama",
    .stands_for = "LLaMA 1 to 3, OpenLLaMA, Yi, SmolLM2",
    .hf_classes = "LlamaForCausalLM|LLaMAForCausalLM|LlamaModel",
    .model_type = "llama",
    .prefix = "model.",
    .hp = hp,
    .names = smelt_llama_names,
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"pretraining_tp\": 1, \"use_cache\": true",
};
