/* LLaMA 1 to 3, OpenLLaMA, Yi, SmolLM. Hugging Face: modeling_llama.py and configuration_llama.py (defaults); GGUF: the names
 * and keys of llama.cpp's "llama", which stores q and k in RoPE pairs. */
#include "arch/llama.h"

#define H(id) SMELT_HP_##id

const smelt_name_rule smelt_llama_names[] = {
    {SMELT_R_ROPE_FREQS, "rope_freqs", NAME_NO_HF | NAME_OPTIONAL, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_TOKEN_EMBD, "model.embed_tokens", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "model.layers.%L.input_layernorm", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_ATTN_Q, "model.layers.%L.self_attn.q_proj", 0, GGUF_ROPE_Q, "HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_K, "model.layers.%L.self_attn.k_proj", 0, GGUF_ROPE_K, "KV_HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_V, "model.layers.%L.self_attn.v_proj", 0, GGUF_SAME, "KV_HEADS*HEAD_DIM,EMBD", H(ATTN_BIAS)},
    {SMELT_R_ATTN_OUT, "model.layers.%L.self_attn.o_proj", 0, GGUF_SAME, "EMBD,HEADS*HEAD_DIM", H(ATTN_BIAS)},
    {SMELT_R_FFN_NORM, "model.layers.%L.post_attention_layernorm", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_FFN_GATE, "model.layers.%L.mlp.gate_proj", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_UP, "model.layers.%L.mlp.up_proj", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "model.layers.%L.mlp.down_proj", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "model.norm", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_NONE, "model.layers.%L.self_attn.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "model.rotary_emb.inv_freq", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_hidden_layers|n_layers|n_layer", HP_DEFAULT, 32},
    {H(CTX), "max_position_embeddings|max_sequence_length|n_ctx|n_positions", HP_DEFAULT, 2048},
    {H(EMBD), "hidden_size|n_embd|dim", HP_REQUIRED},
    {H(FF), "intermediate_size|n_inner|hidden_dim", HP_DEFAULT, 11008},
    {H(HEADS), "num_attention_heads|n_heads|n_head", HP_DEFAULT, 32},
    {H(KV_HEADS), "num_key_value_heads|n_kv_heads", HP_SAME_AS, 0, H(HEADS)},
    SMELT_LLAMA_COMMON,
    {0},
};

const smelt_arch smelt_arch_llama = {
    .name = "llama",
    .hf_classes = "LlamaForCausalLM|LLaMAForCausalLM|LlamaModel",
    .model_type = "llama",
    .hp = hp,
    .names = smelt_llama_names,
    .config_extra = "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"pretraining_tp\": 1, \"use_cache\": true",
};
