/* Falcon 7B (one key head), 40B and 180B (grouped, two norms), RW (ALiBi, biases, sequential). Hugging Face: modeling_falcon.py
 * and the older RWForCausalLM with its spellings; GGUF: llama.cpp's "falcon". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.word_embeddings", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.input_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS), X_NONE,
     SMELT_HP_NOT + H(SECOND_NORM)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.ln_mlp", 0, GGUF_SAME, "EMBD", H(NORM_BIAS), X_NONE, H(SECOND_NORM)},
    {SMELT_R_ATTN_NORM_2, "transformer.h.%L.ln_attn", 0, GGUF_SAME, "EMBD", H(NORM_BIAS), X_NONE, H(SECOND_NORM)},
    {SMELT_R_ATTN_Q, "transformer.h.%L.self_attention.query_key_value", 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_GROUPS},
    {SMELT_R_ATTN_OUT, "transformer.h.%L.self_attention.dense", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(ATTN_BIAS)},
    {SMELT_R_FFN_NORM, "transformer.h.%L.post_attention_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS), X_NONE, H(TWO_NORMS)},
    {SMELT_R_FFN_UP, "transformer.h.%L.mlp.dense_h_to_4h", 0, GGUF_SAME, "FF,EMBD", H(ATTN_BIAS)},
    {SMELT_R_FFN_DOWN, "transformer.h.%L.mlp.dense_4h_to_h", 0, GGUF_SAME, "EMBD,FF", H(ATTN_BIAS)},
    {SMELT_R_OUTPUT_NORM, "transformer.ln_f", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.self_attention.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.self_attention.maybe_rotary.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers|n_layer", HP_DEFAULT, 32},
    {H(CTX), "", HP_DEFAULT, 2048}, /* llama.cpp's converter writes this for all of them */
    {H(EMBD), "hidden_size", HP_REQUIRED},
    {H(FF), "ffn_hidden_size", HP_TIMES, 4, H(EMBD)},
    {H(HEADS), "num_attention_heads|n_head", HP_DEFAULT, 71},
    {H(KV_HEADS), "num_kv_heads|n_head_kv", HP_OPTIONAL},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(GROUPED), "new_decoder_architecture", HP_OPTIONAL},
    {H(MULTI_QUERY), "multi_query", HP_DEFAULT, 1},
    {H(PARALLEL), "parallel_attn", HP_DEFAULT, 1},
    {H(ALIBI), "alibi", HP_OPTIONAL},
    {H(ROPE_BASE), "rope_theta", HP_DEFAULT, 10000},
    SMELT_ROPE_SCALING,
    {H(VOCAB), "vocab_size", HP_DEFAULT, 65024},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 1},
    {H(ATTN_BIAS), "bias", HP_DEFAULT, 0},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(LAYOUT), "", HP_DEFAULT, 1},
    {H(SECOND_NORM), "", HP_DEFAULT, 0},
    {H(TWO_NORMS), "", HP_DEFAULT, 0},
    {H(ACT), "activation", HP_DEFAULT, ACT_GELU},
    {0},
};

static const smelt_hp keys[] = {H(CTX),      H(LAYOUT), H(EMBD),      H(FF),        H(LAYERS),    H(HEADS),
                                H(KV_HEADS), H(LN_EPS), H(FILE_TYPE), H(ALIBI_MAX), H(ROPE_BASE), SMELT_ROPE_SCALING_KEYS,
                                H(COUNT)};

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    enum { ALIBI_BIAS_MAX = 8 };
    (void)err;
    const double heads = h->v[H(HEADS)], kv = h->v[H(KV_HEADS)];
    if (config) {
        /* The first 40B checkpoints only say how many key heads there are. */
        if (!h->set[H(GROUPED)]) h->v[H(GROUPED)] = h->set[H(KV_HEADS)] && kv > 1 && kv < heads;
        if (h->v[H(GROUPED)] == 0)
            h->v[H(KV_HEADS)] = h->v[H(MULTI_QUERY)] != 0 ? 1 : heads;
        else if (!h->set[H(KV_HEADS)])
            h->v[H(KV_HEADS)] = heads;
        const json_t *norms = json_object_get(config, "num_ln_in_parallel_attn");
        const bool one = json_is_integer(norms) && json_integer_value(norms) == 1;
        h->v[H(SECOND_NORM)] = h->v[H(GROUPED)] != 0 && h->v[H(PARALLEL)] != 0 && !one;
        h->v[H(TWO_NORMS)] = h->v[H(PARALLEL)] == 0;
    } else {
        h->v[H(GROUPED)] = h->v[H(SECOND_NORM)] != 0 || (kv > 1 && kv < heads);
        h->v[H(MULTI_QUERY)] = h->v[H(GROUPED)] != 0 || kv == 1;
        h->v[H(PARALLEL)] = h->v[H(TWO_NORMS)] == 0;
        h->v[H(ALIBI)] = h->set[H(ALIBI_MAX)] && h->v[H(ALIBI_MAX)] != 0;
    }
    h->set[H(GROUPED)] = h->set[H(ALIBI)] = h->set[H(KV_HEADS)] = true;
    h->v[H(ALIBI_MAX)] = h->v[H(ALIBI)] != 0 ? ALIBI_BIAS_MAX : 0;
    h->set[H(ALIBI_MAX)] = h->v[H(ALIBI)] != 0;
    h->set[H(ROPE_BASE)] = h->v[H(ROPE_BASE)] != 10000;
    return SMELT_OK;
}

static int to_config(const smelt_hparams *h, json_t *config)
{
    if (h->v[H(GROUPED)] == 0) return 0;
    return json_object_set_new(config, "num_ln_in_parallel_attn", json_integer(h->v[H(SECOND_NORM)] != 0 ? 2 : 1));
}

const smelt_arch smelt_arch_falcon = {
    .name = "falcon",
    .stands_for = "Falcon 7B, 11B, 40B, 180B, RW",
    .hf_classes = "FalconForCausalLM|RWForCausalLM|FalconModel|RWModel",
    .model_type = "falcon",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER, .coarse_alibi = true},
    .config_extra = "\"activation\": \"gelu\", \"attention_dropout\": 0.0, \"hidden_dropout\": 0.0, \"use_cache\": true",
    .gguf_qkv = true,
    .layout = "jploski",
    .gguf_keys = keys,
    .derive = derive,
    .to_config = to_config,
};
