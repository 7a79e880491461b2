/* GPT-J. Hugging Face: modeling_gptj.py and configuration_gptj.py. llama.cpp names the architecture "gptj" and its tensors but
 * has no converter and no graph for it; the keys here are those that its loaders read for the others. */
#include "arch/arch.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.wte", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.ln_1", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "transformer.h.%L.attn.q_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_K, "transformer.h.%L.attn.k_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_V, "transformer.h.%L.attn.v_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_OUT, "transformer.h.%L.attn.out_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_FFN_UP, "transformer.h.%L.mlp.fc_in", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "transformer.h.%L.mlp.fc_out", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "transformer.ln_f", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(HEAD_BIAS)},
    {SMELT_R_NONE, "transformer.h.%L.attn.bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.attn.masked_bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.attn.embed_positions", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "n_layer|num_hidden_layers", HP_DEFAULT, 28},
    {H(CTX), "n_positions|max_position_embeddings", HP_DEFAULT, 2048},
    {H(EMBD), "n_embd|hidden_size", HP_REQUIRED},
    {H(FF), "n_inner", HP_TIMES, 4, H(EMBD)},
    {H(HEADS), "n_head|num_attention_heads", HP_DEFAULT, 16},
    {H(KV_HEADS), "", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(ROPE_DIM), "rotary_dim", HP_DEFAULT, 64},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 50400},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 0},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(HEAD_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "activation_function", HP_DEFAULT, ACT_GELU_TANH},
    {0},
};

static const smelt_hp keys[] = {H(LAYERS), H(CTX),       H(EMBD),  H(FF),       H(HEADS), H(KV_HEADS),
                                H(LN_EPS), H(FILE_TYPE), H(VOCAB), H(ROPE_DIM), H(COUNT)};

const smelt_arch smelt_arch_gptj = {
    .name = "gptj",
    .stands_for = "GPT-J 6B",
    .hf_classes = "GPTJForCausalLM|GPTJModel",
    .model_type = "gptj",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER, .turn = TURN_PAIRS, .parallel = true},
    .config_extra =
        "\"activation_function\": \"gelu_new\", \"attn_pdrop\": 0.0, \"embd_pdrop\": 0.0, \"resid_pdrop\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
};
