/* Phi-1 to Phi-2 as they were first published, with their own code: one matrix of queries, keys and values, other names. It is read
 * only: the model goes on as phi2, which is how it was published since. Source: microsoft/phi-2, modeling_phi.py and
 * configuration_phi.py before transformers had the model. */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.embd.wte", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.ln", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "transformer.h.%L.mixer.Wqkv", 0, GGUF_SAME, "QKV,EMBD", H(ATTN_BIAS), X_QKV_ROWS},
    {SMELT_R_ATTN_OUT, "transformer.h.%L.mixer.out_proj", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(ATTN_BIAS)},
    {SMELT_R_FFN_UP, "transformer.h.%L.mlp.fc1", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "transformer.h.%L.mlp.fc2", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "lm_head.ln", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head.linear", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(HEAD_BIAS)},
    {SMELT_R_NONE, "transformer.h.%L.mixer.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "n_layer", HP_DEFAULT, 20},
    {H(CTX), "n_positions", HP_DEFAULT, 2048},
    {H(EMBD), "n_embd", HP_REQUIRED},
    {H(FF), "n_inner", HP_TIMES, 4, H(EMBD)},
    {H(HEADS), "n_head", HP_DEFAULT, 16},
    {H(KV_HEADS), "n_head_kv", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(ROPE_DIM), "rotary_dim", HP_DEFAULT, 32},
    {H(ROPE_BASE), "", HP_DEFAULT, 10000},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 50304},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 0},
    {H(ADD_BOS), "", HP_DEFAULT, 0},
    {H(ATTN_BIAS), "", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(HEAD_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "activation_function", HP_DEFAULT, ACT_GELU_TANH},
    {0},
};

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    (void)config;
    /* As the published code has it: no more than a head has. */
    if (h->v[H(ROPE_DIM)] > h->v[H(HEAD_DIM)]) h->v[H(ROPE_DIM)] = h->v[H(HEAD_DIM)];
    return derive_rotary(h, 1, err);
}

extern const smelt_arch smelt_arch_phi2;

const smelt_arch smelt_arch_phi_msft = {
    .name = "phi2",
    .stands_for = "Phi-1, Phi-1.5, Phi-2 in their first layout",
    .hf_classes = "PhiForCausalLM",
    .model_type = "phi-msft",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .becomes = &smelt_arch_phi2,
    .derive = derive,
};
