/* What LLaMA's relatives share with it. */
#ifndef SMELT_ARCH_LLAMA_H
#define SMELT_ARCH_LLAMA_H

#include "arch/arch.h"

extern const smelt_name_rule smelt_llama_names[];

/* Rows of the tensors outside the feed-forward. `q` and `k`: what GGUF does to them; qkv_bias, out_bias: whether they have one. */
#define SMELT_LLAMA_NAMES(q, k, qkv_bias, out_bias) \
    {SMELT_R_TOKEN_EMBD, "model.embed_tokens", 0, GGUF_SAME, "VOCAB,EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_ATTN_NORM, "model.layers.%L.input_layernorm", NAME_ALT, GGUF_SAME, "EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_ATTN_Q, "model.layers.%L.self_attn.q_proj", 0, q, "HEADS*HEAD_DIM,EMBD", qkv_bias}, \
        {SMELT_R_ATTN_K, "model.layers.%L.self_attn.k_proj", 0, k, "KV_HEADS*HEAD_DIM,EMBD", qkv_bias}, \
        {SMELT_R_ATTN_V, "model.layers.%L.self_attn.v_proj", 0, GGUF_SAME, "KV_HEADS*HEAD_DIM,EMBD", qkv_bias}, \
        {SMELT_R_ATTN_OUT, "model.layers.%L.self_attn.o_proj", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", out_bias}, \
        {SMELT_R_OUTPUT_NORM, "model.norm", 0, GGUF_SAME, "EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_NONE, "model.layers.%L.self_attn.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, SMELT_HP_COUNT}, \
    { \
        SMELT_R_NONE, "model.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, SMELT_HP_COUNT \
    }
/* The norm before the feed-forward, and the gated feed-forward. */
#define SMELT_LLAMA_FFN(bias) \
    {SMELT_R_FFN_NORM, "model.layers.%L.post_attention_layernorm", NAME_ALT, GGUF_SAME, "EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_FFN_GATE, "model.layers.%L.mlp.gate_proj", 0, GGUF_SAME, "FF,EMBD", bias}, \
        {SMELT_R_FFN_UP, "model.layers.%L.mlp.up_proj", 0, GGUF_SAME, "FF,EMBD", bias}, \
    { \
        SMELT_R_FFN_DOWN, "model.layers.%L.mlp.down_proj", 0, GGUF_SAME, "EMBD,FF", bias \
    }
/* Norms of each head's queries and keys. */
#define SMELT_QK_NORMS \
    {SMELT_R_ATTN_Q_NORM, "model.layers.%L.self_attn.q_norm", 0, GGUF_SAME, "HEAD_DIM", SMELT_HP_COUNT}, \
    { \
        SMELT_R_ATTN_K_NORM, "model.layers.%L.self_attn.k_norm", 0, GGUF_SAME, "HEAD_DIM", SMELT_HP_COUNT \
    }
/* Experts as old and new checkpoints have them: one tensor each, or stacked with gate and up in one. */
#define SMELT_EXPERTS \
    {SMELT_R_FFN_GATE_INP, "model.layers.%L.mlp.gate", 0, GGUF_SAME, "EXPERTS,EMBD", SMELT_HP_COUNT}, \
        {SMELT_R_FFN_GATE_EXPS, \
         "model.layers.%L.mlp.experts.%E.gate_proj", \
         NAME_ALT, \
         GGUF_SAME, \
         "FF_EXP,EMBD", \
         SMELT_HP_COUNT, \
         X_EXPERTS}, \
        {SMELT_R_FFN_UP_EXPS, \
         "model.layers.%L.mlp.experts.%E.up_proj", \
         NAME_ALT, \
         GGUF_SAME, \
         "FF_EXP,EMBD", \
         SMELT_HP_COUNT, \
         X_EXPERTS}, \
        {SMELT_R_FFN_DOWN_EXPS, \
         "model.layers.%L.mlp.experts.%E.down_proj", \
         NAME_ALT, \
         GGUF_SAME, \
         "EMBD,FF_EXP", \
         SMELT_HP_COUNT, \
         X_EXPERTS}, \
        {SMELT_R_FFN_GATE_EXPS, \
         "model.layers.%L.mlp.experts.gate_up_proj", \
         NAME_ALT | NAME_BARE, \
         GGUF_SAME, \
         "EXPERTS,FF_EXP*2,EMBD", \
         SMELT_HP_COUNT, \
         X_PAIR_HALVES}, \
        {SMELT_R_FFN_DOWN_EXPS, \
         "model.layers.%L.mlp.experts.down_proj", \
         NAME_ALT | NAME_BARE, \
         GGUF_SAME, \
         "EXPERTS,EMBD,FF_EXP", \
         SMELT_HP_COUNT, \
         X_NONE}, \
    { \
        SMELT_R_FFN_NORM, "model.layers.%L.post_attention_layernorm", 0, GGUF_SAME, "EMBD", SMELT_HP_COUNT \
    }

/* Sizes, with a family's defaults. */
#define SMELT_LLAMA_SIZES(layers, ctx, ff, heads) \
    {SMELT_HP_LAYERS, "num_hidden_layers|n_layers|n_layer", HP_DEFAULT, layers}, \
        {SMELT_HP_CTX, "max_position_embeddings|max_sequence_length|n_ctx|n_positions", HP_DEFAULT, ctx}, \
        {SMELT_HP_EMBD, "hidden_size|n_embd|dim", HP_REQUIRED}, \
        {SMELT_HP_FF, "intermediate_size|n_inner|hidden_dim", HP_DEFAULT, ff}, \
    { \
        SMELT_HP_HEADS, "num_attention_heads|n_heads|n_head", HP_DEFAULT, heads \
    }

/* RoPE scaling, as rope_old_spelling leaves config.json. */
#define SMELT_ROPE_SCALING \
    {SMELT_HP_ROPE_SCALING, "rope_scaling.rope_type|rope_scaling.type", HP_OPTIONAL}, \
        {SMELT_HP_ROPE_FACTOR, "rope_scaling.factor", HP_OPTIONAL}, \
        {SMELT_HP_ROPE_ORIG_CTX, \
         "rope_scaling.original_max_position_embeddings|original_max_position_embeddings|max_position_embeddings", HP_SAME_AS, 0, \
         SMELT_HP_CTX}, \
        {SMELT_HP_ROPE_LOW_FREQ, "rope_scaling.low_freq_factor", HP_OPTIONAL}, \
        {SMELT_HP_ROPE_HIGH_FREQ, "rope_scaling.high_freq_factor", HP_OPTIONAL}, \
        {SMELT_HP_YARN_EXT, "rope_scaling.extrapolation_factor", HP_OPTIONAL}, \
        {SMELT_HP_YARN_ATTN, "rope_scaling.attention_factor|rope_scaling.attn_factor", HP_OPTIONAL}, \
        {SMELT_HP_YARN_BETA_FAST, "rope_scaling.beta_fast", HP_OPTIONAL}, \
        {SMELT_HP_YARN_TRUNCATE, "rope_scaling.truncate", HP_OPTIONAL}, \
    { \
        SMELT_HP_YARN_BETA_SLOW, "rope_scaling.beta_slow", HP_OPTIONAL \
    }

/* Its GGUF keys. */
#define SMELT_ROPE_SCALING_KEYS \
    SMELT_HP_ROPE_SCALING, SMELT_HP_ROPE_FACTOR, SMELT_HP_ROPE_ORIG_CTX, SMELT_HP_YARN_EXT, SMELT_HP_YARN_ATTN, \
        SMELT_HP_YARN_BETA_FAST, SMELT_HP_YARN_BETA_SLOW

/* Rules that are the same for all of them. */
#define SMELT_LLAMA_COMMON \
    {SMELT_HP_HEAD_DIM, "head_dim", HP_RATIO, 0, SMELT_HP_EMBD, SMELT_HP_HEADS}, \
        {SMELT_HP_KEY_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, {SMELT_HP_VALUE_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, \
        {SMELT_HP_ROPE_DIM, "", HP_SAME_AS, 0, SMELT_HP_HEAD_DIM}, {SMELT_HP_ROPE_BASE, "rope_theta", HP_DEFAULT, 10000}, \
        SMELT_ROPE_SCALING, {SMELT_HP_RMS_EPS, "rms_norm_eps|norm_eps", HP_DEFAULT, 1e-6}, \
        {SMELT_HP_VOCAB, "vocab_size", HP_DEFAULT, 32000}, {SMELT_HP_TIED, "tie_word_embeddings", HP_DEFAULT, 0}, \
        {SMELT_HP_ATTN_BIAS, "attention_bias", HP_DEFAULT, 0}, {SMELT_HP_MLP_BIAS, "mlp_bias", HP_DEFAULT, 0}, \
    { \
        SMELT_HP_ACT, "hidden_act", HP_DEFAULT, ACT_SILU \
    }

#endif
