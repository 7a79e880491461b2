/* What LLaMA's relatives share with it. */
#ifndef SMELT_ARCH_LLAMA_H
#define SMELT_ARCH_LLAMA_H

#include "arch/arch.h"

extern const smelt_name_rule smelt_llama_names[];

/* Rules that are the same for all of them. Old files spell RoPE as rope_theta and rope_scaling, new ones as rope_parameters. */
#define SMELT_LLAMA_COMMON \
    {SMELT_HP_HEAD_DIM, "head_dim", HP_RATIO, 0, SMELT_HP_EMBD, SMELT_HP_HEADS}, \
        {SMELT_HP_KEY_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, {SMELT_HP_VALUE_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, \
        {SMELT_HP_ROPE_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, \
        {SMELT_HP_ROPE_BASE, "rope_theta|rope_parameters.rope_theta", HP_DEFAULT, 10000}, \
        {SMELT_HP_ROPE_SCALING, "rope_scaling.rope_type|rope_scaling.type|rope_parameters.rope_type|rope_parameters.type", \
         HP_OPTIONAL}, \
        {SMELT_HP_ROPE_FACTOR, "rope_scaling.factor|rope_parameters.factor", HP_OPTIONAL}, \
        {SMELT_HP_ROPE_ORIG_CTX, \
         "rope_scaling.original_max_position_embeddings|rope_parameters.original_max_position_embeddings|original_max_position_embeddings", \
         HP_OPTIONAL}, \
        {SMELT_HP_ROPE_LOW_FREQ, "rope_scaling.low_freq_factor|rope_parameters.low_freq_factor", HP_OPTIONAL}, \
        {SMELT_HP_ROPE_HIGH_FREQ, "rope_scaling.high_freq_factor|rope_parameters.high_freq_factor", HP_OPTIONAL}, \
        {SMELT_HP_YARN_EXT, "rope_scaling.extrapolation_factor|rope_parameters.extrapolation_factor", HP_OPTIONAL}, \
        {SMELT_HP_YARN_ATTN, \
         "rope_scaling.attention_factor|rope_scaling.attn_factor|rope_parameters.attention_factor|rope_parameters.attn_factor", \
         HP_OPTIONAL}, \
        {SMELT_HP_YARN_BETA_FAST, "rope_scaling.beta_fast|rope_parameters.beta_fast", HP_OPTIONAL}, \
        {SMELT_HP_YARN_BETA_SLOW, "rope_scaling.beta_slow|rope_parameters.beta_slow", HP_OPTIONAL}, \
        {SMELT_HP_RMS_EPS, "rms_norm_eps|norm_eps", HP_DEFAULT, 1e-6}, {SMELT_HP_VOCAB, "vocab_size", HP_DEFAULT, 32000}, \
        {SMELT_HP_TIED, "tie_word_embeddings", HP_DEFAULT, 0}, {SMELT_HP_ATTN_BIAS, "attention_bias", HP_DEFAULT, 0}, \
    { \
        SMELT_HP_MLP_BIAS, "mlp_bias", HP_DEFAULT, 0 \
    }

#endif
