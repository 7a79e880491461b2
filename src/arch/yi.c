/* Yi as it was first published, with its own code: LLaMA's model with other names for the norms. It is read only: the model goes on
 * as LLaMA, which is how it was published since. Source: 01-ai/Yi-34B, modeling_yi.py and configuration_yi.py. */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_ATTN_NORM, "model.layers.%L.ln1", NAME_ALT, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_FFN_NORM, "model.layers.%L.ln2", NAME_ALT, GGUF_SAME, "EMBD", H(COUNT)},
    SMELT_LLAMA_NAMES(GGUF_ROPE_Q, GGUF_ROPE_K, H(ATTN_BIAS), H(ATTN_BIAS)),
    SMELT_LLAMA_FFN(H(MLP_BIAS)),
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(32, 4096, 11008, 32),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 4},
    {H(ROPE_BASE), "rope_theta", HP_DEFAULT, 5000000},
    {H(RMS_EPS), "rms_norm_eps", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 64000},
    SMELT_LLAMA_COMMON,
    {0},
};

extern const smelt_arch smelt_arch_llama;

const smelt_arch smelt_arch_yi = {
    .name = "llama",
    .stands_for = "Yi 6B, 34B in their first layout",
    .hf_classes = "YiForCausalLM",
    .model_type = "Yi",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .becomes = &smelt_arch_llama,
};
