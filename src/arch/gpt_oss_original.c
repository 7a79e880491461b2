/* gpt-oss as OpenAI publishes it beside the Hugging Face checkpoint, in the folder original/: one matrix of queries, keys and
 * values, experts in MXFP4, a config.json with other keys. It is read only: the model goes on as gpt-oss. Source: openai/gpt-oss,
 * gpt_oss/torch (model.py, weights.py); transformers' convert_gpt_oss_weights_to_hf.py. */
#include <math.h>

#include "arch/internal.h"

#define H(id) SMELT_HP_##id
#define LAYER(name) "block.%L." name

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "embedding", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, LAYER("attn.norm.scale"), NAME_BARE, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_ATTN_Q, LAYER("attn.qkv"), 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_ROWS},
    {SMELT_R_ATTN_SINKS, LAYER("attn.sinks"), NAME_BARE, GGUF_SAME, "HEADS", H(COUNT)},
    {SMELT_R_ATTN_OUT, LAYER("attn.out"), 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(ATTN_BIAS)},
    {SMELT_R_ATTN_POST_NORM, LAYER("mlp.norm.scale"), NAME_BARE, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_FFN_GATE_INP, LAYER("mlp.gate"), 0, GGUF_SAME, "EXPERTS,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_GATE_EXPS, LAYER("mlp.mlp1_weight"), NAME_FIRST, GGUF_SAME, "EXPERTS,FF_EXP*2,EMBD/32,16", H(COUNT),
     X_MXFP4_PARTS_PAIR},
    {SMELT_R_FFN_GATE_EXPS, LAYER("mlp.mlp1_bias"), NAME_BARE | NAME_BIAS, GGUF_SAME, "EXPERTS,FF_EXP*2", H(COUNT), X_PAIR_COLS},
    {SMELT_R_FFN_DOWN_EXPS, LAYER("mlp.mlp2_weight"), NAME_FIRST, GGUF_SAME, "EXPERTS,EMBD,FF_EXP/32,16", H(COUNT), X_MXFP4_PARTS},
    {SMELT_R_FFN_DOWN_EXPS, LAYER("mlp.mlp2_bias"), NAME_BARE | NAME_BIAS, GGUF_SAME, "EXPERTS,EMBD", H(COUNT), X_NONE},
    {SMELT_R_OUTPUT_NORM, "norm.scale", NAME_BARE, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_OUTPUT, "unembedding", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers", HP_DEFAULT, 36},
    {H(EMBD), "hidden_size", HP_DEFAULT, 2880},
    {H(FF), "intermediate_size", HP_DEFAULT, 2880},
    {H(HEADS), "num_attention_heads", HP_DEFAULT, 64},
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 8},
    {H(HEAD_DIM), "head_dim", HP_DEFAULT, 64},
    {H(KEY_DIM), "", HP_SAME_AS, 0, H(HEAD_DIM)},
    {H(VALUE_DIM), "", HP_SAME_AS, 0, H(HEAD_DIM)},
    {H(ROPE_DIM), "", HP_SAME_AS, 0, H(HEAD_DIM)},
    {H(EXPERTS), "num_experts", HP_DEFAULT, 128},
    {H(EXPERTS_USED), "experts_per_token", HP_DEFAULT, 4},
    {H(FF_EXP), "", HP_SAME_AS, 0, H(FF)},
    {H(WINDOW), "sliding_window", HP_DEFAULT, 128},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 201088},
    {H(ROPE_BASE), "rope_theta", HP_DEFAULT, 150000},
    {H(ROPE_SCALING), "", HP_DEFAULT, ROPE_YARN},
    {H(ROPE_FACTOR), "rope_scaling_factor", HP_DEFAULT, 32},
    {H(ROPE_ORIG_CTX), "initial_context_length", HP_DEFAULT, 4096},
    {H(YARN_BETA_FAST), "rope_ntk_beta", HP_DEFAULT, 32},
    {H(YARN_BETA_SLOW), "rope_ntk_alpha", HP_DEFAULT, 1},
    {H(RMS_EPS), "", HP_DEFAULT, 1e-5},
    {H(ATTN_BIAS), "", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(TIED), "", HP_DEFAULT, 0},
    {H(SWIGLU_LIMIT), "swiglu_limit", HP_DEFAULT, 7},
    {H(ACT), "", HP_DEFAULT, ACT_SILU},
    {0},
};

extern const smelt_arch smelt_arch_gpt_oss;

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    (void)config;
    (void)err;
    h->set[H(SWIGLU_LIMIT)] = h->v[H(SWIGLU_LIMIT)] != smelt_arch_gpt_oss.block.swiglu_limit;
    h->v[H(CTX)] = floor(h->v[H(ROPE_ORIG_CTX)] * h->v[H(ROPE_FACTOR)]);
    h->set[H(CTX)] = true;
    return SMELT_OK;
}

const smelt_arch smelt_arch_gpt_oss_original = {
    .name = "gpt-oss",
    .stands_for = "gpt-oss-20b, gpt-oss-120b in OpenAI's layout",
    .hf_classes = "",
    .marks = "num_experts|experts_per_token|initial_context_length|rope_ntk_alpha",
    .model_type = "",
    .hp = hp,
    .names = names,
    .becomes = &smelt_arch_gpt_oss,
    .derive = derive,
};
