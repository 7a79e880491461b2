/* Qwen 1.5 MoE and Qwen 2 MoE. Hugging Face: modeling_qwen2_moe.py; GGUF: llama.cpp's "qwen2moe". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    SMELT_LLAMA_NAMES(GGUF_SAME, GGUF_SAME, H(QKV_BIAS), H(COUNT)),
    SMELT_EXPERTS,
    {SMELT_R_FFN_GATE_INP_SHEXP, "model.layers.%L.mlp.shared_expert_gate", 0, GGUF_SAME, "1,EMBD", H(COUNT)},
    {SMELT_R_FFN_GATE_SHEXP, "model.layers.%L.mlp.shared_expert.gate_proj", 0, GGUF_SAME, "FF_SHARED,EMBD", H(COUNT)},
    {SMELT_R_FFN_UP_SHEXP, "model.layers.%L.mlp.shared_expert.up_proj", 0, GGUF_SAME, "FF_SHARED,EMBD", H(COUNT)},
    {SMELT_R_FFN_DOWN_SHEXP, "model.layers.%L.mlp.shared_expert.down_proj", 0, GGUF_SAME, "EMBD,FF_SHARED", H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(24, 32768, 5632, 16),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 16},
    {H(EXPERTS), "num_experts|num_local_experts", HP_DEFAULT, 60},
    {H(EXPERTS_USED), "num_experts_per_tok", HP_DEFAULT, 4},
    {H(FF_EXP), "moe_intermediate_size", HP_DEFAULT, 1408},
    {H(FF_SHARED), "shared_expert_intermediate_size", HP_DEFAULT, 5632},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 151936},
    SMELT_LLAMA_COMMON,
    {H(QKV_BIAS), "qkv_bias", HP_DEFAULT, 1},
    {H(LOCAL), "sliding_window", HP_NULLABLE, 4096},
    {H(LOCAL_ON), "use_sliding_window", HP_NULLABLE, 0},
    {H(LOCAL_LAYERS), "max_window_layers", HP_NULLABLE, 28},
    {H(NORM_TOPK), "norm_topk_prob", HP_NULLABLE, 0},
    {0},
};

static const smelt_hp keys[] = {
    H(LAYERS),      H(CTX),           H(EMBD),         H(FF),        H(HEADS),          H(KV_HEADS),       H(ROPE_SCALING),
    H(ROPE_FACTOR), H(ROPE_ORIG_CTX), H(YARN_EXT),     H(YARN_ATTN), H(YARN_BETA_FAST), H(YARN_BETA_SLOW), H(ROPE_BASE),
    H(RMS_EPS),     H(EXPERTS),       H(EXPERTS_USED), H(FILE_TYPE), H(FF_EXP),         H(FF_SHARED),      H(COUNT)};

const smelt_arch smelt_arch_qwen2moe = {
    .name = "qwen2moe",
    .stands_for = "Qwen 1.5 MoE, Qwen 2 MoE",
    .hf_classes = "Qwen2MoeForCausalLM|Qwen2MoeModel",
    .model_type = "qwen2_moe",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.window = H(LOCAL), .windows = WINDOWS_EVEN_BELOW},
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
};
