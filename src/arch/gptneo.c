/* GPT-Neo. Hugging Face: modeling_gpt_neo.py and configuration_gpt_neo.py. llama.cpp does not know it; in GGUF it is "gptneo"
 * here, with keys and tensor names as it uses them for others (docs/formats.md). */
#include <string.h>

#include "arch/arch.h"

#define H(id) SMELT_HP_##id

static const smelt_name_rule names[] = {
    {SMELT_R_TOKEN_EMBD, "transformer.wte", 0, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_POS_EMBD, "transformer.wpe", 0, GGUF_SAME, "CTX,EMBD", H(COUNT)},
    {SMELT_R_ATTN_NORM, "transformer.h.%L.ln_1", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_ATTN_Q, "transformer.h.%L.attn.attention.q_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_K, "transformer.h.%L.attn.attention.k_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_V, "transformer.h.%L.attn.attention.v_proj", 0, GGUF_SAME, "EMBD,EMBD", H(COUNT)},
    {SMELT_R_ATTN_OUT, "transformer.h.%L.attn.attention.out_proj", 0, GGUF_SAME, "EMBD,EMBD", H(OUT_BIAS)},
    {SMELT_R_FFN_NORM, "transformer.h.%L.ln_2", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_FFN_UP, "transformer.h.%L.mlp.c_fc", 0, GGUF_SAME, "FF,EMBD", H(MLP_BIAS)},
    {SMELT_R_FFN_DOWN, "transformer.h.%L.mlp.c_proj", 0, GGUF_SAME, "EMBD,FF", H(MLP_BIAS)},
    {SMELT_R_OUTPUT_NORM, "transformer.ln_f", 0, GGUF_SAME, "EMBD", H(NORM_BIAS)},
    {SMELT_R_OUTPUT, "lm_head", NAME_UNTIED, GGUF_SAME, "VOCAB,EMBD", H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.attn.attention.bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {SMELT_R_NONE, "transformer.h.%L.attn.attention.masked_bias", NAME_DROP, GGUF_SAME, NULL, H(COUNT)},
    {0},
};

static const smelt_hp_rule hp[] = {
    {H(LAYERS), "num_layers|num_hidden_layers", HP_DEFAULT, 24},
    {H(CTX), "max_position_embeddings", HP_DEFAULT, 2048},
    {H(EMBD), "hidden_size", HP_REQUIRED},
    {H(FF), "intermediate_size", HP_TIMES, 4, H(EMBD)},
    {H(HEADS), "num_heads|num_attention_heads", HP_DEFAULT, 16},
    {H(KV_HEADS), "", HP_SAME_AS, 0, H(HEADS)},
    {H(HEAD_DIM), "", HP_RATIO, 0, H(EMBD), H(HEADS)},
    {H(WINDOW), "window_size", HP_DEFAULT, 256},
    {H(WINDOW_PERIOD), "", HP_DEFAULT, 2},
    {H(LN_EPS), "layer_norm_epsilon", HP_DEFAULT, 1e-5},
    {H(VOCAB), "vocab_size", HP_DEFAULT, 50257},
    {H(TIED), "tie_word_embeddings", HP_DEFAULT, 1},
    {H(OUT_BIAS), "", HP_DEFAULT, 1},
    {H(MLP_BIAS), "", HP_DEFAULT, 1},
    {H(NORM_BIAS), "", HP_DEFAULT, 1},
    {H(ACT), "activation_function", HP_DEFAULT, ACT_GELU_TANH},
    {0},
};

static const smelt_hp keys[] = {H(LAYERS), H(CTX),    H(EMBD),          H(FF),        H(HEADS), H(KV_HEADS),
                                H(LN_EPS), H(WINDOW), H(WINDOW_PERIOD), H(FILE_TYPE), H(VOCAB), H(COUNT)};

/* attention_types: [[["global", "local"], 12]] is that list twelve times over; what is known is global and local in turn, and
 * global throughout. */
static smelt_status derive(const json_t *config, smelt_hparams *h, smelt_err *err)
{
    const json_t *types = json_object_get(config, "attention_types"), *item;
    const uint64_t layers = hp_u64(h, H(LAYERS));
    size_t i, layer = 0, alternating = 0, global = 0;
    json_array_foreach((json_t *)(uintptr_t)types, i, item)
    {
        const json_t *list = json_array_get(item, 0);
        json_int_t times = json_integer_value(json_array_get(item, 1));
        for (json_int_t t = 0; t < times && layer <= layers && json_array_size(list); t++)
            for (size_t k = 0; k < json_array_size(list) && layer <= layers; k++, layer++) {
                const char *name = json_string_value(json_array_get(list, k));
                bool local = name && strcmp(name, "local") == 0;
                if (!name || (!local && strcmp(name, "global") != 0))
                    return smelt_fail(err, SMELT_E_UNSUPPORTED,
                                      "config.json: attention_types has layers that are neither global nor local");
                alternating += local == (layer % 2 == 1);
                global += !local;
            }
    }
    if (!config && h->v[H(WINDOW_PERIOD)] != 0 && h->v[H(WINDOW_PERIOD)] != 2)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "attention is local in other layers than every second one");
    if (!types || json_is_null(types)) return SMELT_OK;
    if (layer != layers)
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json: attention_types counts %zu layers, there are %.0f", layer,
                          h->v[H(LAYERS)]);
    if (alternating != layer && global != layer)
        return smelt_fail(err, SMELT_E_UNSUPPORTED,
                          "config.json: attention_types is neither global and local in turn nor global throughout");
    h->v[H(WINDOW_PERIOD)] = alternating == layer ? 2 : 0;
    return SMELT_OK;
}

static int to_config(const smelt_hparams *h, json_t *config)
{
    int layers = (int)h->v[H(LAYERS)];
    if (h->v[H(WINDOW_PERIOD)] == 0) return json_object_set_new(config, "attention_types", json_pack("[[[s]i]]", "global", layers));
    json_t *types = layers / 2 ? json_pack("[[[ss]i]]", "global", "local", layers / 2) : json_array();
    int bad = layers % 2 ? json_array_append_new(types, json_pack("[[s]i]", "global", 1)) : 0;
    return bad | json_object_set_new(config, "attention_types", types);
}

const smelt_arch smelt_arch_gptneo = {
    .name = "gptneo",
    .stands_for = "GPT-Neo 125M to 2.7B",
    .hf_classes = "GPTNeoForCausalLM|GPTNeoModel",
    .model_type = "gpt_neo",
    .prefix = "transformer.",
    .hp = hp,
    .names = names,
    .block = {.norm = NORM_LAYER, .turn = TURN_NONE, .unscaled = true, .window = H(WINDOW), .windows = WINDOWS_ODD},
    .config_extra =
        "\"activation_function\": \"gelu_new\", \"attention_dropout\": 0.0, \"embed_dropout\": 0.0, \"resid_dropout\": 0.0, \"use_cache\": true",
    .gguf_keys = keys,
    .derive = derive,
    .to_config = to_config,
};
