/* Qwen 3 MoE. Hugging Face: modeling_qwen3_moe.py; GGUF: llama.cpp's "qwen3moe". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    SMELT_LLAMA_NAMES(GGUF_SAME, GGUF_SAME, H(ATTN_BIAS), H(ATTN_BIAS)),
    SMELT_EXPERTS,
    SMELT_QK_NORMS,
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(24, 32768, 6144, 32),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 4},
    {H(EXPERTS), "num_experts|num_local_experts", HP_DEFAULT, 128},
    {H(EXPERTS_USED), "num_experts_per_tok", HP_DEFAULT, 8},
    {H(FF_EXP), "moe_intermediate_size", HP_DEFAULT, 768},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 151936},
    SMELT_LLAMA_COMMON,
    {H(LOCAL), "sliding_window", HP_NULLABLE, 4096},
    {H(LOCAL_ON), "use_sliding_window", HP_NULLABLE, 0},
    {H(NORM_TOPK), "norm_topk_prob", HP_NULLABLE, 0},
    {0},
};

static const smelt_hp keys[] = {
    H(LAYERS),         H(CTX),         H(EMBD),          H(FF),       H(HEADS),        H(KV_HEADS),
    H(ROPE_SCALING),   H(ROPE_FACTOR), H(ROPE_ORIG_CTX), H(YARN_EXT), H(YARN_ATTN),    H(YARN_BETA_FAST),
    H(YARN_BETA_SLOW), H(ROPE_BASE),   H(RMS_EPS),       H(EXPERTS),  H(EXPERTS_USED), H(KEY_DIM),
    H(VALUE_DIM),      H(FILE_TYPE),   H(FF_EXP),        H(COUNT)};

const smelt_arch smelt_arch_qwen3moe = {
    .name = "qwen3moe",
    .stands_for = "Qwen 3 MoE",
    .hf_classes = "Qwen3MoeForCausalLM|Qwen3MoeModel",
    .model_type = "qwen3_moe",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.norm_topk = true, .window = H(LOCAL)},
    .config_extra = "\"hidden_act\": \"silu\", \"norm_topk_prob\": true, \"attention_dropout\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
};
