/* Phi-2. Hugging Face: modeling_phi.py and configuration_phi.py; GGUF: llama.cpp's "phi2". */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "model.embed_tokens", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "model.layers.%L.input_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "model.layers.%L.self_attn.q_proj", 0, GGUF_SAME, "HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_K, "model.layers.%L.self_attn.k_proj", 0, GGUF_SAME, "KV_HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_V, "model.layers.%L.self_attn.v_proj", 0, GGUF_SAME, "KV_HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_OUT, "model.layers.%L.self_attn.dense", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(ATTN_BIAS)},
    {SMELT_R_FFN_UP, "model.layers.%L.mlp.fc1", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "model.layers.%L.mlp.fc2", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "model.final_layernorm", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(HEAD_BIAS)},
    {SMELT_R_NONE, "model.layers.%L.self_attn.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers|n_layer", HP_DEFAULT, 24},
    {H(CTX), "max_position_embeddings|n_positions", HP_DEFAULT, 2048},
    {H(EMBD), "hidden_size|n_embd", HP_REQUIRED},
    {H(FF), "intermediate_size|n_inner", HP_DEFAULT, 8192},
    {H(HEADS), "num_attention_heads|n_head", HP_DEFAULT, 32},
    {H(KV_HEADS), "num_key_value_heads", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(ROTARY_PCT), "partial_rotary_factor", HP_OPTIONAL},
    {H(ROPE_BASE), "rope_theta", HP_DEFAULT, 10000},
    SMELT_ROPE_SCALING,
    {H(LN_EPS), "layer_norm_eps|layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 51200},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 0},
    {H(ADD_BOS), "", HP_DEFAULT, 0},
    {H(ATTN_BIAS), "", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(HEAD_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "hidden_act", HP_DEFAULT, ACT_GELU_TANH},
    {0},
};

static const smelt_hp keys[] = {H(CTX),    H(EMBD),     H(FF),        H(LAYERS),  H(HEADS),     H(KV_HEADS),
                                H(LN_EPS), H(ROPE_DIM), H(FILE_TYPE), H(ADD_BOS), H(ROPE_BASE), SMELT_ROPE_SCALING_KEYS,
                                H(COUNT)};

static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    if (json_is_true(json_object_get(config, "qk_layernorm")))
        return smelt_fail(err, SMELT_E_UNSUPPORTED,
                          "config.json: 'qk_layernorm' is true; norms of queries and keys are not known here");
    return derive_rotary(h, 0.5, err);
}

const smelt_arch smelt_arch_phi2 = {
    .name = "phi2",
    .stands_for = "Phi-1, Phi-1.5, Phi-2",
    .hf_classes = "PhiForCausalLM|PhiModel",
    .model_type = "phi",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER, .parallel = true},
    .config_extra =
        "\"hidden_act\": \"gelu_new\", \"attention_dropout\": 0.0, \"embd_pdrop\": 0.0, \"resid_pdrop\": 0.0, \"qk_layernorm\": false, \"use_cache\": true",
    .gguf_keys = keys,
    .derive = derive,
};
