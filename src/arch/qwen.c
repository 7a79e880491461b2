/* Qwen 1: LLaMA's block under other names, with q, k and v in one biased matrix. The repositories' modeling_qwen.py; GGUF:
 * llama.cpp's "qwen". Its intermediate_size counts both halves of the gated feed-forward, and so does the GGUF key. */
#include "arch/arch.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.wte", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.ln_1", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_ATTN_Q, "transformer.h.%L.attn.c_attn", 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_ROWS},
    {SMELT_R_ATTN_OUT, "transformer.h.%L.attn.c_proj", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(COUNT)},
    {SMELT_R_FFN_NORM, "transformer.h.%L.ln_2", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_FFN_UP, "transformer.h.%L.mlp.w1", 0, GGUF_SAME, "FF/2,EMBD", H(COUNT)},
    {SMELT_R_FFN_GATE, "transformer.h.%L.mlp.w2", 0, GGUF_SAME, "FF/2,EMBD", H(COUNT)},
    {SMELT_R_FFN_DOWN, "transformer.h.%L.mlp.c_proj", 0, GGUF_SAME, "EMBD,FF/2", H(COUNT)},
    {SMELT_R_OUTPUT_NORM, "transformer.ln_f", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_NONE, "transformer.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.attn.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers|n_layer", HP_DEFAULT, 32},
    {H(CTX), "max_position_embeddings|seq_length", HP_DEFAULT, 8192},
    {H(EMBD), "hidden_size|n_embd", HP_REQUIRED},
    {H(FF), "intermediate_size", HP_REQUIRED},
    {H(HEADS), "num_attention_heads|n_head", HP_DEFAULT, 32},
    {H(KV_HEADS), "", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "kv_channels", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(ROPE_BASE), "rotary_emb_base|rope_theta", HP_DEFAULT, 10000},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-6},
    {H(RMS_EPS), "", HP_SAME_AS, 0, H(LN_EPS)},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 151936},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 0},
    {H(ATTN_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "", HP_DEFAULT, ACT_SILU},
    {0},
};

/* llama.cpp's converter writes layer_norm_epsilon, its loader wants layer_norm_rms_epsilon: both are here. */
static const smelt_hp keys[] = {H(LAYERS),    H(CTX),     H(EMBD),   H(FF),        H(HEADS),
                                H(ROPE_BASE), H(RMS_EPS), H(LN_EPS), H(FILE_TYPE), H(COUNT)};

const smelt_arch smelt_arch_qwen = {
    .name = "qwen",
    .stands_for = "Qwen 1",
    .hf_classes = "QWenLMHeadModel|QWenModel",
    .model_type = "qwen",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .config_extra = "\"no_bias\": true, \"use_cache\": true, \"attn_dropout_prob\": 0.0, \"emb_dropout_prob\": 0.0",
    .gguf_qkv = true,
    .gguf_keys = keys,
};
