/* Qwen 1.5, 2 and 2.5. Hugging Face: modeling_qwen2.py; GGUF: llama.cpp's "qwen2". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    SMELT_LLAMA_NAMES(GGUF_SAME, GGUF_SAME, H(QKV_BIAS), H(COUNT)),
    SMELT_LLAMA_FFN(H(COUNT)),
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(32, 32768, 22016, 32),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 32},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 151936},
    SMELT_LLAMA_COMMON,
    {H(QKV_BIAS), "", HP_DEFAULT, 1},
    {H(LOCAL), "sliding_window", HP_NULLABLE, 4096},
    {H(LOCAL_ON), "use_sliding_window", HP_NULLABLE, 0},
    {H(LOCAL_LAYERS), "max_window_layers", HP_NULLABLE, 28},
    {0},
};

static const smelt_hp keys[] = {H(LAYERS),         H(CTX),         H(EMBD),          H(FF),        H(HEADS),     H(KV_HEADS),
                                H(ROPE_SCALING),   H(ROPE_FACTOR), H(ROPE_ORIG_CTX), H(YARN_EXT),  H(YARN_ATTN), H(YARN_BETA_FAST),
                                H(YARN_BETA_SLOW), H(ROPE_BASE),   H(RMS_EPS),       H(FILE_TYPE), H(COUNT)};

const smelt_arch smelt_arch_qwen2 = {
    .name = "qwen2",
    .stands_for = "Qwen 1.5, 2, 2.5",
    .hf_classes = "Qwen2ForCausalLM|Qwen2Model",
    .model_type = "qwen2",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.window = H(LOCAL), .windows = WINDOWS_FROM},
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
};
