/* Mistral: LLaMA's tensors with other defaults (configuration_mistral.py). GGUF files say "llama", as llama.cpp's converter does;
 * the key of the sliding window, which llama.cpp leaves out and does not look at, makes them a Mistral again. One without a window
 * computes what a LlamaForCausalLM does and comes back as that. */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(32, 131072, 14336, 32),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 8},
    SMELT_LLAMA_COMMON,
    {H(WINDOW), "sliding_window", HP_NULLABLE, 4096},
    {0},
};

const smelt_arch smelt_arch_mistral = {
    .name = "llama",
    .gguf_mark = "llama.attention.sliding_window",
    .stands_for = "Mistral 7B",
    .hf_classes = "MistralForCausalLM|MistralModel",
    .model_type = "mistral",
    .prefix = "model.",
    .hp = hp,
    .names = smelt_llama_names,
    .block = {.window = H(WINDOW)},
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"use_cache\": true",
};
