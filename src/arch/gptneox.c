/* GPT-NeoX and Pythia. Hugging Face: modeling_gpt_neox.py and configuration_gpt_neox.py, in its old spelling (rotary_pct,
 * rotary_emb_base) and its new one (rope_parameters); GGUF: llama.cpp's "gptneox". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "gpt_neox.embed_in", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "gpt_neox.layers.%L.input_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "gpt_neox.layers.%L.attention.query_key_value", 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_GROUPS},
    {SMELT_R_ATTN_OUT, "gpt_neox.layers.%L.attention.dense", 0, GGUF_SAME, "EMBD,EMBD", H(ATTN_BIAS)},
    {SMELT_R_FFN_NORM, "gpt_neox.layers.%L.post_attention_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_FFN_UP, "gpt_neox.layers.%L.mlp.dense_h_to_4h", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "gpt_neox.layers.%L.mlp.dense_4h_to_h", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "gpt_neox.final_layer_norm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "embed_out", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_NONE, "gpt_neox.layers.%L.attention.bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "gpt_neox.layers.%L.attention.masked_bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "gpt_neox.layers.%L.attention.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers", HP_DEFAULT, 44},
    {H(CTX), "max_position_embeddings", HP_DEFAULT, 2048},
    {H(EMBD), "hidden_size", HP_REQUIRED},
    {H(FF), "intermediate_size", HP_DEFAULT, 24576},
    {H(HEADS), "num_attention_heads", HP_DEFAULT, 64},
    {H(KV_HEADS), "", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(ROTARY_PCT), "rotary_pct|partial_rotary_factor", HP_OPTIONAL},
    {H(ROPE_BASE), "rotary_emb_base|rope_theta", HP_DEFAULT, 10000},
    SMELT_ROPE_SCALING,
    {H(PARALLEL), "use_parallel_residual", HP_DEFAULT, 1},
    {H(LN_EPS), "layer_norm_eps", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 50432},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 0},
    {H(ATTN_BIAS), "attention_bias", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "hidden_act", HP_DEFAULT, ACT_GELU},
    {0},
};

/* ROPE_BASE is a key of its own only where it is not what every reader assumes. */
static const smelt_hp keys[] = {H(CTX),   H(EMBD),     H(LAYERS), H(FF),        H(ROPE_DIM),
                                H(HEADS), H(PARALLEL), H(LN_EPS), H(ROPE_BASE), SMELT_ROPE_SCALING_KEYS,
                                H(COUNT)};

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    (void)config;
    return derive_rotary(h, 0.25, err);
}

const smelt_arch smelt_arch_gptneox = {
    .name = "gptneox",
    .stands_for = "GPT-NeoX-20B, Pythia",
    .hf_classes = "GPTNeoXForCausalLM|GPTNeoXModel",
    .model_type = "gpt_neox",
    .prefix = "gpt_neox.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER},
    .config_extra = "\"hidden_act\": \"gelu\", \"attention_dropout\": 0.0, \"hidden_dropout\": 0.0, \"use_cache\": true",
    .gguf_qkv = true,
    .gguf_keys = keys,
    .derive = derive,
};
