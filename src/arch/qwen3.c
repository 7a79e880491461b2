/* Qwen 3. Hugging Face: modeling_qwen3.py; GGUF: llama.cpp's "qwen3". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    SMELT_LLAMA_NAMES(GGUF_SAME, GGUF_SAME, H(ATTN_BIAS), H(ATTN_BIAS)),
    SMELT_LLAMA_FFN(H(COUNT)),
    SMELT_QK_NORMS,
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(32, 32768, 22016, 32),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 32},
    {H(HEAD_DIM), "head_dim", HP_DEFAULT, 128},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 151936},
    SMELT_LLAMA_COMMON,
    {H(LOCAL), "sliding_window", HP_NULLABLE, 4096},
    {H(LOCAL_ON), "use_sliding_window", HP_NULLABLE, 0},
    {H(LOCAL_LAYERS), "max_window_layers", HP_NULLABLE, 28},
    {0},
};

static const smelt_hp keys[] = {H(LAYERS),         H(CTX),         H(EMBD),          H(FF),       H(HEADS),     H(KV_HEADS),
                                H(ROPE_SCALING),   H(ROPE_FACTOR), H(ROPE_ORIG_CTX), H(YARN_EXT), H(YARN_ATTN), H(YARN_BETA_FAST),
                                H(YARN_BETA_SLOW), H(ROPE_BASE),   H(RMS_EPS),       H(KEY_DIM),  H(VALUE_DIM), H(FILE_TYPE),
                                H(COUNT)};

const smelt_arch smelt_arch_qwen3 = {
    .name = "qwen3",
    .stands_for = "Qwen 3",
    .hf_classes = "Qwen3ForCausalLM|Qwen3Model",
    .model_type = "qwen3",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.window = H(LOCAL), .windows = WINDOWS_FROM},
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
};
