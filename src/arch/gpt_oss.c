/* gpt-oss. Hugging Face: modeling_gpt_oss.py; published with MXFP4 experts (NAME_blocks, NAME_scales), re-exported in bfloat16
 * with experts transposed. GGUF: llama.cpp's "gpt-oss". */
#include "arch/internal.h"
#include "arch/llama.h"

#define H(id) SMELT_HP_##id
#define EXPERT(name) "model.layers.%L.mlp.experts." name

static const smelt_name_rule names[] = {
    SMELT_LLAMA_NAMES(GGUF_SAME, GGUF_SAME, H(ATTN_BIAS), H(ATTN_BIAS)),
    {SMELT_R_ATTN_SINKS, "model.layers.%L.self_attn.sinks", NAME_BARE, GGUF_SAME, "HEADS", H(COUNT)},
    {SMELT_R_ATTN_POST_NORM, "model.layers.%L.post_attention_layernorm", 0, GGUF_SAME, "EMBD", H(COUNT)},
    {SMELT_R_FFN_GATE_INP, "model.layers.%L.mlp.router", 0, GGUF_SAME, "EXPERTS,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_GATE_EXPS, EXPERT("gate_up_proj"), NAME_ALT | NAME_FIRST, GGUF_SAME, "EXPERTS,FF_EXP*2,EMBD/32,16", H(COUNT),
     X_MXFP4_PAIR},
    {SMELT_R_FFN_DOWN_EXPS, EXPERT("down_proj"), NAME_ALT | NAME_FIRST, GGUF_SAME, "EXPERTS,EMBD,FF_EXP/32,16", H(COUNT), X_MXFP4},
    {SMELT_R_FFN_GATE_EXPS, EXPERT("gate_up_proj"), NAME_ALT | NAME_BARE, GGUF_SAME, "EXPERTS,EMBD,FF_EXP*2", H(COUNT),
     X_TRANSPOSE_PAIR},
    {SMELT_R_FFN_DOWN_EXPS, EXPERT("down_proj"), NAME_ALT | NAME_BARE, GGUF_SAME, "EXPERTS,FF_EXP,EMBD", H(COUNT), X_TRANSPOSE},
    {SMELT_R_FFN_GATE_EXPS, EXPERT("gate_up_proj_bias"), NAME_BARE | NAME_BIAS, GGUF_SAME, "EXPERTS,FF_EXP*2", H(COUNT),
     X_PAIR_COLS},
    {SMELT_R_FFN_DOWN_EXPS, EXPERT("down_proj_bias"), NAME_BARE | NAME_BIAS, GGUF_SAME, "EXPERTS,EMBD", H(COUNT), X_NONE},
    {0},
};

static const smelt_hp_rule hp[] = {
    SMELT_LLAMA_SIZES(36, 131072, 2880, 64),
    {H(KV_HEADS), "num_key_value_heads", HP_DEFAULT, 8},
    {H(HEAD_DIM), "head_dim", HP_DEFAULT, 64},
    {H(EXPERTS), "num_local_experts|num_experts", HP_DEFAULT, 128},
    {H(EXPERTS_USED), "num_experts_per_tok|experts_per_token", HP_DEFAULT, 4},
    {H(FF_EXP), "", HP_SAME_AS, 0, H(FF)},
    {H(WINDOW), "sliding_window", HP_DEFAULT, 128},
    {H(ATTN_BIAS), "attention_bias", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 201088},
    {H(RMS_EPS), "rms_norm_eps", HP_DEFAULT, 1e-5},
    {H(ROPE_BASE), "rope_theta", HP_DEFAULT, 150000},
    SMELT_LLAMA_COMMON,
    {H(SWIGLU_LIMIT), "swiglu_limit", HP_DEFAULT, 7},
    {H(SWIGLU_ALPHA), "swiglu_alpha", HP_OPTIONAL},
    {0},
};

static const smelt_hp keys[] = {
    H(LAYERS),      H(CTX),           H(EMBD),         H(FF),        H(HEADS),          H(KV_HEADS),       H(ROPE_SCALING),
    H(ROPE_FACTOR), H(ROPE_ORIG_CTX), H(YARN_EXT),     H(YARN_ATTN), H(YARN_BETA_FAST), H(YARN_BETA_SLOW), H(ROPE_BASE),
    H(RMS_EPS),     H(EXPERTS),       H(EXPERTS_USED), H(KEY_DIM),   H(VALUE_DIM),      H(FILE_TYPE),      H(WINDOW),
    H(FF_EXP),      H(SWIGLU_LIMIT),  H(SWIGLU_ALPHA), H(COUNT)};

extern const smelt_arch smelt_arch_gpt_oss;

/* What GptOssConfig takes where the file says nothing: YaRN, and for a YaRN of the file's own a range in whole dimensions. The
 * numbers of the activation count as unsaid where they are those that every reader takes for granted. */
static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    (void)err;
    static const struct {
        smelt_hp id;
        double value;
    } yarn[] = {{H(ROPE_SCALING), ROPE_YARN}, {H(ROPE_FACTOR), 32},   {H(ROPE_ORIG_CTX), 4096},
                {H(YARN_BETA_FAST), 32},      {H(YARN_BETA_SLOW), 1}, {H(YARN_TRUNCATE), 0}};
    const bool said =
        json_object_size(json_object_get(config, "rope_scaling")) || json_is_object(json_object_get(config, "rope_parameters"));
    for (size_t i = 0; config && !said && i < sizeof yarn / sizeof *yarn; i++) {
        h->v[yarn[i].id] = yarn[i].value;
        h->set[yarn[i].id] = true;
    }
    if (config && !h->set[H(YARN_TRUNCATE)]) h->v[H(YARN_TRUNCATE)] = h->set[H(YARN_TRUNCATE)] = true;
    const smelt_block *usual = &smelt_arch_gpt_oss.block;
    h->set[H(SWIGLU_LIMIT)] = (float)h->v[H(SWIGLU_LIMIT)] != (float)usual->swiglu_limit;
    h->set[H(SWIGLU_ALPHA)] = h->set[H(SWIGLU_ALPHA)] && (float)h->v[H(SWIGLU_ALPHA)] != (float)usual->swiglu_alpha;
    return SMELT_OK;
}

static int to_config(const smelt_hparams *h, json_t *config)
{
    (void)h;
    json_t *scaling = json_object_get(config, "rope_scaling");
    return scaling ? json_object_set_new(scaling, "truncate", json_false()) : 0;
}

const smelt_arch smelt_arch_gpt_oss = {
    .name = "gpt-oss",
    .stands_for = "gpt-oss-20b, gpt-oss-120b",
    .hf_classes = "GptOssForCausalLM|GptOssModel",
    .model_type = "gpt_oss",
    .prefix = "model.",
    .hp = hp,
    .names = names,
    .block = {.route_last = true,
              .swiglu_alpha = 1.702,
              .swiglu_limit = 7,
              .yarn_exact = true,
              .window = H(WINDOW),
              .windows = WINDOWS_EVEN},
    .config_extra =
        "\"hidden_act\": \"silu\", \"attention_dropout\": 0.0, \"swiglu_limit\": 7.0, \"router_aux_loss_coef\": 0.001, \"use_cache\": true",
    .bf16 = true,
    .gguf_keys = keys,
    .derive = derive,
    .to_config = to_config,
};
