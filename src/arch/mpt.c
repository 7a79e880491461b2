/* MPT. Hugging Face: modeling_mpt.py (MptForCausalLM) and the repositories' own code (MPTForCausalLM), which has the same
 * tensors; GGUF: llama.cpp's "mpt". */
#include <string.h>

#include "arch/arch.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.wte", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_POS_EMBD, "transformer.wpe", 0, GGUF_SAME, "CTX,EMBD", H(COUNT), X_NONE, SMELT_HP_NOT + H(ALIBI)},
    {SMELT_R_ATTN_NORM, "transformer.blocks.%L.norm_1", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "transformer.blocks.%L.attn.Wqkv", 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_ROWS},
    {SMELT_R_ATTN_Q_NORM, "transformer.blocks.%L.attn.q_ln", 0, GGUF_SAME, "EMBD", H(NORM_BIAS), X_NONE, H(QK_NORM)},
    {SMELT_R_ATTN_K_NORM, "transformer.blocks.%L.attn.k_ln", 0, GGUF_SAME, "KV_HEADS*HEAD_DIM", H(NORM_BIAS), X_NONE, H(QK_NORM)},
    {SMELT_R_ATTN_OUT, "transformer.blocks.%L.attn.out_proj", 0, GGUF_SAME, "EMBD,EMBD", H(ATTN_BIAS)},
    {SMELT_R_FFN_NORM, "transformer.blocks.%L.norm_2", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_FFN_UP, "transformer.blocks.%L.ffn.up_proj", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "transformer.blocks.%L.ffn.down_proj", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "transformer.norm_f", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "n_layers|num_hidden_layers", HP_DEFAULT, 24},
    {H(CTX), "max_seq_len", HP_DEFAULT, 2048},
    {H(EMBD), "d_model|hidden_size", HP_REQUIRED},
    {H(FF), "", HP_TIMES, 4, H(EMBD)},
    {H(HEADS), "n_heads|num_attention_heads", HP_DEFAULT, 16},
    {H(KV_HEADS), "attn_config.kv_n_heads", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(CLAMP_KQV), "attn_config.clip_qkv", HP_OPTIONAL},
    {H(ALIBI), "attn_config.alibi", HP_DEFAULT, 1},
    {H(ALIBI_MAX), "attn_config.alibi_bias_max", HP_DEFAULT, 8},
    {H(QK_NORM), "attn_config.qk_ln", HP_DEFAULT, 0},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 50368},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 1},
    {H(ATTN_BIAS), "", HP_DEFAULT, 0},
    {H(MLP_BIAS), "", HP_DEFAULT, 0},
    {H(NORM_BIAS), "", HP_DEFAULT, 0},
    {H(ATTN_SCALE), "attn_config.softmax_scale", HP_OPTIONAL},
    {H(ACT), "", HP_DEFAULT, ACT_GELU},
    {0},
};

static const smelt_hp keys[] = {H(CTX),     H(EMBD),   H(LAYERS),    H(FF),        H(HEADS),
                                H(KV_SAID), H(LN_EPS), H(CLAMP_KQV), H(ALIBI_MAX), H(COUNT)};

/* Members of which the published models all have the same value, and that no reader knows another of. */
static smelt_status check_usual(const json_t *config, smelt_err *err)
{
    const json_t *attn = json_object_get(config, "attn_config"), *scale = json_object_get(config, "logit_scale");
    const char *norm = json_string_value(json_object_get(config, "norm_type")), *what = NULL;
    const size_t n = norm ? strlen(norm) : 0;
    if (n && (n < 9 || strcmp(norm + n - 9, "layernorm") != 0)) what = "norm_type";
    if (scale && !json_is_null(scale)) what = "logit_scale";
    if (json_is_true(json_object_get(attn, "rope"))) what = "attn_config.rope";
    if (json_is_true(json_object_get(attn, "prefix_lm"))) what = "attn_config.prefix_lm";
    return what ? smelt_fail(err, SMELT_E_UNSUPPORTED, "config.json: '%s' has a value that smelt knows no MPT model of", what)
                : SMELT_OK;
}

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    const json_t *attn = json_object_get(config, "attn_config"), *ratio = json_object_get(config, "expansion_ratio");
    const char *type = json_string_value(json_object_get(attn, "attn_type"));
    SMELT_TRY(check_usual(config, err));
    if (ratio && !json_is_null(ratio)) {
        double ff = json_is_number(ratio) ? json_number_value(ratio) * h->v[H(EMBD)] : 0;
        if (!(ff >= 1 && ff <= UINT32_MAX))
            return smelt_fail(err, SMELT_E_CORRUPT, "config.json: expansion_ratio gives a feed-forward of %g", ff);
        h->v[H(FF)] = (double)(uint64_t)ff;
    }
    if (config) {
        bool biased = json_is_false(json_object_get(config, "no_bias"));
        h->v[H(ATTN_BIAS)] = h->v[H(MLP_BIAS)] = h->v[H(NORM_BIAS)] = biased;
        if (type && strcmp(type, "multiquery_attention") == 0) h->v[H(KV_HEADS)] = 1;
        if (h->v[H(ALIBI)] == 0) h->v[H(ALIBI_MAX)] = 0;
    } else
        h->v[H(ALIBI)] = h->v[H(ALIBI_MAX)] != 0;
    /* A key of its own only where it says something. */
    h->v[H(KV_SAID)] = h->v[H(KV_HEADS)];
    h->set[H(KV_SAID)] = h->v[H(KV_HEADS)] != h->v[H(HEADS)];
    return SMELT_OK;
}

static int to_config(const smelt_hparams *h, json_t *config)
{
    int bad = json_object_set_new(config, "no_bias", json_boolean(h->v[H(ATTN_BIAS)] == 0));
    /* transformers wants a whole number there. */
    json_t *attn = json_object_get(config, "attn_config");
    if (attn && h->set[H(ALIBI_MAX)])
        bad |= json_object_set_new(attn, "alibi_bias_max", json_integer((json_int_t)h->v[H(ALIBI_MAX)]));
    const double ratio = h->v[H(FF)] / h->v[H(EMBD)];
    const bool whole = ratio == (double)(json_int_t)ratio;
    bad |= json_object_set_new(config, "expansion_ratio", whole ? json_integer((json_int_t)ratio) : json_real(ratio));
    return bad;
}

const smelt_arch smelt_arch_mpt = {
    .name = "mpt",
    .stands_for = "MPT 7B, 30B",
    .hf_classes = "MptForCausalLM|MPTForCausalLM|MptModel|MPTModel",
    .model_type = "mpt",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER, .turn = TURN_NONE},
    .config_extra = "\"emb_pdrop\": 0.0, \"resid_pdrop\": 0.0, \"use_cache\": true",
    .gguf_qkv = true,
    .gguf_keys = keys,
    .derive = derive,
    .to_config = to_config,
};
