/* The families besides LLaMA: what each configuration class means, where the fused and stacked tensors land, and what a wrong or
 * hostile configuration gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"

/* A tiny model of two layers: hidden 8, 4 heads of 2, feed-forward 32, vocabulary 5, context 6. A tensor with %d is in each layer.
 * Experts: 3, of 4 rows; gpt-oss has 2, of 32 rows, hidden 32, because MXFP4 has blocks of 32. */
typedef struct family {
    const char *cls, *gguf, *config, *tensors;
} family;

enum { GPTJ, GPTNEO, GPTNEOX, MPT, FALCON, QWEN, QWEN2, QWEN3, QWEN2MOE, QWEN3MOE, PHI2, GPTOSS, FAMILIES };

#define LLAMA_SIZES \
    "\"hidden_size\": 8, \"intermediate_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 5, " \
    "\"num_key_value_heads\": 2, \"max_position_embeddings\": 6"
#define LLAMA_LAYER \
    "model.embed_tokens.weight 5 8;model.norm.weight 8;lm_head.weight 5 8;model.layers.%d.input_layernorm.weight 8;" \
    "model.layers.%d.post_attention_layernorm.weight 8;model.layers.%d.self_attn.q_proj.weight 8 8;" \
    "model.layers.%d.self_attn.k_proj.weight 4 8;model.layers.%d.self_attn.v_proj.weight 4 8;" \
    "model.layers.%d.self_attn.o_proj.weight 8 8;"
#define QKV_BIAS \
    "model.layers.%d.self_attn.q_proj.bias 8;model.layers.%d.self_attn.k_proj.bias 4;model.layers.%d.self_attn.v_proj.bias 4;"
#define QK_NORMS "model.layers.%d.self_attn.q_norm.weight 2;model.layers.%d.self_attn.k_norm.weight 2;"
#define GATED \
    "model.layers.%d.mlp.gate_proj.weight 32 8;model.layers.%d.mlp.up_proj.weight 32 8;model.layers.%d.mlp.down_proj.weight 8 32;"
#define EXPERT(e) \
    "model.layers.%d.mlp.experts." e ".gate_proj.weight 4 8;model.layers.%d.mlp.experts." e ".up_proj.weight 4 8;" \
    "model.layers.%d.mlp.experts." e ".down_proj.weight 8 4;"
#define EXPERTS "model.layers.%d.mlp.gate.weight 3 8;" EXPERT("0") EXPERT("1") EXPERT("2")

static const family families[FAMILIES] = {
    [GPTJ] =
        {"GPTJForCausalLM", "gptj",
         "\"n_embd\": 8, \"n_layer\": 2, \"n_head\": 4, \"rotary_dim\": 2, \"vocab_size\": 5, \"n_positions\": 6",
         "transformer.wte.weight 5 8;transformer.ln_f.weight 8;transformer.ln_f.bias 8;lm_head.weight 5 8;lm_head.bias 5;"
         "transformer.h.%d.ln_1.weight 8;transformer.h.%d.ln_1.bias 8;transformer.h.%d.attn.q_proj.weight 8 8;"
         "transformer.h.%d.attn.k_proj.weight 8 8;transformer.h.%d.attn.v_proj.weight 8 8;transformer.h.%d.attn.out_proj.weight 8 8;"
         "transformer.h.%d.mlp.fc_in.weight 32 8;transformer.h.%d.mlp.fc_in.bias 32;transformer.h.%d.mlp.fc_out.weight 8 32;"
         "transformer.h.%d.mlp.fc_out.bias 8;transformer.h.%d.attn.bias 6 6;transformer.h.%d.attn.masked_bias 1;"},
    [GPTNEO] =
        {"GPTNeoForCausalLM", "gptneo",
         "\"hidden_size\": 8, \"num_layers\": 2, \"num_heads\": 4, \"vocab_size\": 5, \"max_position_embeddings\": 6",
         "transformer.wte.weight 5 8;transformer.wpe.weight 6 8;transformer.ln_f.weight 8;transformer.ln_f.bias 8;"
         "transformer.h.%d.ln_1.weight 8;transformer.h.%d.ln_1.bias 8;transformer.h.%d.ln_2.weight 8;transformer.h.%d.ln_2.bias 8;"
         "transformer.h.%d.attn.attention.q_proj.weight 8 8;transformer.h.%d.attn.attention.k_proj.weight 8 8;"
         "transformer.h.%d.attn.attention.v_proj.weight 8 8;transformer.h.%d.attn.attention.out_proj.weight 8 8;"
         "transformer.h.%d.attn.attention.out_proj.bias 8;transformer.h.%d.attn.attention.bias 6 6;"
         "transformer.h.%d.mlp.c_fc.weight 32 8;transformer.h.%d.mlp.c_fc.bias 32;transformer.h.%d.mlp.c_proj.weight 8 32;"
         "transformer.h.%d.mlp.c_proj.bias 8;"},
    [GPTNEOX] =
        {"GPTNeoXForCausalLM", "gptneox",
         "\"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 32, \"vocab_size\": 5, "
         "\"max_position_embeddings\": 6, \"rotary_pct\": 1.0",
         "gpt_neox.embed_in.weight 5 8;gpt_neox.final_layer_norm.weight 8;gpt_neox.final_layer_norm.bias 8;embed_out.weight 5 8;"
         "gpt_neox.layers.%d.input_layernorm.weight 8;gpt_neox.layers.%d.input_layernorm.bias 8;"
         "gpt_neox.layers.%d.post_attention_layernorm.weight 8;gpt_neox.layers.%d.post_attention_layernorm.bias 8;"
         "gpt_neox.layers.%d.attention.query_key_value.weight 24 8;gpt_neox.layers.%d.attention.query_key_value.bias 24;"
         "gpt_neox.layers.%d.attention.dense.weight 8 8;gpt_neox.layers.%d.attention.dense.bias 8;"
         "gpt_neox.layers.%d.mlp.dense_h_to_4h.weight 32 8;gpt_neox.layers.%d.mlp.dense_h_to_4h.bias 32;"
         "gpt_neox.layers.%d.mlp.dense_4h_to_h.weight 8 32;gpt_neox.layers.%d.mlp.dense_4h_to_h.bias 8;"
         "gpt_neox.layers.%d.attention.rotary_emb.inv_freq 1;"},
    [MPT] =
        {"MptForCausalLM", "mpt", "\"d_model\": 8, \"n_layers\": 2, \"n_heads\": 4, \"vocab_size\": 5, \"max_seq_len\": 6",
         "transformer.wte.weight 5 8;transformer.norm_f.weight 8;transformer.blocks.%d.norm_1.weight 8;"
         "transformer.blocks.%d.norm_2.weight 8;transformer.blocks.%d.attn.Wqkv.weight 24 8;transformer.blocks.%d.attn.out_proj.weight 8 8;"
         "transformer.blocks.%d.ffn.up_proj.weight 32 8;transformer.blocks.%d.ffn.down_proj.weight 8 32;"},
    [FALCON] = {"FalconForCausalLM", "falcon",
                "\"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 5",
                "transformer.word_embeddings.weight 5 8;transformer.ln_f.weight 8;transformer.ln_f.bias 8;"
                "transformer.h.%d.input_layernorm.weight 8;transformer.h.%d.input_layernorm.bias 8;"
                "transformer.h.%d.self_attention.query_key_value.weight 12 8;transformer.h.%d.self_attention.dense.weight 8 8;"
                "transformer.h.%d.mlp.dense_h_to_4h.weight 32 8;transformer.h.%d.mlp.dense_4h_to_h.weight 8 32;"},
    [QWEN] =
        {"QWenLMHeadModel", "qwen",
         "\"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 32, \"vocab_size\": 5, "
         "\"seq_length\": 6",
         "transformer.wte.weight 5 8;transformer.ln_f.weight 8;lm_head.weight 5 8;transformer.h.%d.ln_1.weight 8;"
         "transformer.h.%d.ln_2.weight 8;transformer.h.%d.attn.c_attn.weight 24 8;transformer.h.%d.attn.c_attn.bias 24;"
         "transformer.h.%d.attn.c_proj.weight 8 8;transformer.h.%d.mlp.w1.weight 16 8;transformer.h.%d.mlp.w2.weight 16 8;"
         "transformer.h.%d.mlp.c_proj.weight 8 16;"},
    [QWEN2] = {"Qwen2ForCausalLM", "qwen2", LLAMA_SIZES, LLAMA_LAYER QKV_BIAS GATED},
    [QWEN3] = {"Qwen3ForCausalLM", "qwen3", LLAMA_SIZES ", \"head_dim\": 2", LLAMA_LAYER QK_NORMS GATED},
    [QWEN2MOE] = {"Qwen2MoeForCausalLM", "qwen2moe",
                  LLAMA_SIZES ", \"num_experts\": 3, \"moe_intermediate_size\": 4, \"shared_expert_intermediate_size\": 6",
                  LLAMA_LAYER QKV_BIAS EXPERTS
                  "model.layers.%d.mlp.shared_expert_gate.weight 1 8;model.layers.%d.mlp.shared_expert.gate_proj.weight 6 8;"
                  "model.layers.%d.mlp.shared_expert.up_proj.weight 6 8;model.layers.%d.mlp.shared_expert.down_proj.weight 8 6;"},
    [QWEN3MOE] = {"Qwen3MoeForCausalLM", "qwen3moe",
                  LLAMA_SIZES ", \"head_dim\": 2, \"num_experts\": 3, \"moe_intermediate_size\": 4, \"norm_topk_prob\": true",
                  LLAMA_LAYER QK_NORMS EXPERTS},
    [PHI2] =
        {"PhiForCausalLM", "phi2",
         "\"hidden_size\": 8, \"intermediate_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 5, "
         "\"max_position_embeddings\": 6",
         "model.embed_tokens.weight 5 8;model.final_layernorm.weight 8;model.final_layernorm.bias 8;lm_head.weight 5 8;lm_head.bias 5;"
         "model.layers.%d.input_layernorm.weight 8;model.layers.%d.input_layernorm.bias 8;model.layers.%d.self_attn.q_proj.weight 8 8;"
         "model.layers.%d.self_attn.q_proj.bias 8;model.layers.%d.self_attn.k_proj.weight 8 8;model.layers.%d.self_attn.k_proj.bias 8;"
         "model.layers.%d.self_attn.v_proj.weight 8 8;model.layers.%d.self_attn.v_proj.bias 8;model.layers.%d.self_attn.dense.weight 8 8;"
         "model.layers.%d.self_attn.dense.bias 8;model.layers.%d.mlp.fc1.weight 32 8;model.layers.%d.mlp.fc1.bias 32;"
         "model.layers.%d.mlp.fc2.weight 8 32;model.layers.%d.mlp.fc2.bias 8;"},
    [GPTOSS] =
        {"GptOssForCausalLM", "gpt-oss",
         "\"hidden_size\": 32, \"intermediate_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 5, "
         "\"num_key_value_heads\": 2, \"head_dim\": 2, \"num_local_experts\": 2, \"max_position_embeddings\": 6",
         "model.embed_tokens.weight 5 32;model.norm.weight 32;lm_head.weight 5 32;model.layers.%d.input_layernorm.weight 32;"
         "model.layers.%d.post_attention_layernorm.weight 32;model.layers.%d.self_attn.q_proj.weight 8 32;"
         "model.layers.%d.self_attn.q_proj.bias 8;model.layers.%d.self_attn.k_proj.weight 4 32;"
         "model.layers.%d.self_attn.k_proj.bias 4;model.layers.%d.self_attn.v_proj.weight 4 32;"
         "model.layers.%d.self_attn.v_proj.bias 4;model.layers.%d.self_attn.o_proj.weight 32 8;"
         "model.layers.%d.self_attn.o_proj.bias 32;model.layers.%d.self_attn.sinks 4;model.layers.%d.mlp.router.weight 2 32;"
         "model.layers.%d.mlp.router.bias 2;model.layers.%d.mlp.experts.gate_up_proj 2 32 64;"
         "model.layers.%d.mlp.experts.gate_up_proj_bias 2 64;model.layers.%d.mlp.experts.down_proj 2 32 32;"
         "model.layers.%d.mlp.experts.down_proj_bias 2 32;"},
};

/* Every element of every tensor has a number of its own: 8192 times the tensor's place, plus the element's. */
enum { APART = 8192 };

static void add(smelt_model *m, const char *name, smelt_dtype dtype, const smelt_shape *shape)
{
    uint64_t n = 0, bytes = 0;
    assert_true(shape_elems(shape, &n) && n <= APART && smelt_dtype_bytes(dtype, n, &bytes));
    uint8_t *data = arena_calloc(&m->arena, bytes + 4, 1);
    assert_non_null(data);
    for (uint64_t i = 0; dtype == SMELT_DT_F32 && i < n; i++)
        store_le32(data + 4 * i, f32_bits((float)(m->n_tensors * APART + i)));
    for (uint64_t i = 0; dtype != SMELT_DT_F32 && i < bytes; i++)
        data[i] = (uint8_t)(i * 7 + m->n_tensors);
    const smelt_view *v;
    assert_int_equal(view_bytes(&m->arena, dtype, shape, data, bytes, &v, NULL), SMELT_OK);
    assert_int_equal(model_add(m, name, strlen(name), v, "file", 0, NULL), SMELT_OK);
}

/* Adds tensors of a text such as "a.%d.b 4 8;c 3"; a name that starts with '-' goes instead, one after '!' gets U8. */
static void add_all(smelt_model *m, const char *text)
{
    for (const char *p = text; *p;) {
        const size_t len = strcspn(p, ";");
        char spec[160], name[160];
        snprintf(spec, sizeof spec, "%.*s", (int)len, p);
        p += len + (p[len] == ';');
        const bool gone = spec[0] == '-', bytes = spec[0] == '!';
        char *at = strchr(spec, ' ');
        smelt_shape shape = {0};
        if (at) *at++ = 0;
        while (at && *at)
            shape.dim[shape.n++] = strtoull(at, &at, 10);
        char *hole = strstr(spec, "%d");
        for (int l = 0; l < (hole ? 2 : 1); l++) {
            const char *stem = spec + (gone || bytes);
            if (hole)
                snprintf(name, sizeof name, "%.*s%d%s", (int)(hole - stem), stem, l, hole + 2);
            else
                snprintf(name, sizeof name, "%s", stem);
            if (!gone) {
                add(m, name, bytes ? SMELT_DT_U8 : SMELT_DT_F32, &shape);
                continue;
            }
            const smelt_tensor *t = model_find(m, name);
            assert_non_null(t);
            const size_t i = (size_t)(t - m->tensors);
            memmove(&m->tensors[i], &m->tensors[i + 1], (--m->n_tensors - i) * sizeof *t);
            assert_int_equal(model_reindex(m, NULL), SMELT_OK);
        }
    }
}

/* The family's tiny model; `extra` is JSON members that replace or add, a null takes away. */
static void make(smelt_model *m, int id, const char *extra, const char *tensors)
{
    const family *f = &families[id];
    model_init(m);
    add_all(m, f->tensors);
    add_all(m, tensors);
    smelt_buf b = {0};
    buf_printf(&b, "{\"architectures\": [\"%s\"], %s}", f->cls, f->config);
    json_t *base = NULL, *patch = NULL;
    assert_int_equal(smelt_json_parse((const char *)b.data, b.size, "test", &base, NULL), SMELT_OK);
    buf_free(&b);
    buf_printf(&b, "{%s}", extra);
    assert_int_equal(smelt_json_parse((const char *)b.data, b.size, "test", &patch, NULL), SMELT_OK);
    buf_free(&b);
    assert_int_equal(json_object_update(base, patch), 0);
    json_decref(patch);
    m->config = base;
}

static const smelt_ctx ctx;

static void mapped(smelt_model *m, int id, const char *extra, const char *tensors)
{
    smelt_err err = {0};
    make(m, id, extra, tensors);
    if (arch_from_hf(&ctx, m, &err) != SMELT_OK) fail_msg("%s: %s", families[id].cls, err.text);
    assert_non_null(m->arch);
}

static smelt_status refused(int id, const char *extra, const char *tensors, const char *text)
{
    smelt_model m;
    smelt_err err = {0};
    make(&m, id, extra, tensors);
    const smelt_status st = arch_from_hf(&ctx, &m, &err);
    if (st == SMELT_OK) fail_msg("%s with %s is accepted", families[id].cls, extra);
    if (!strstr(err.text, text)) fail_msg("%s with %s: '%s' is not in '%s'", families[id].cls, extra, text, err.text);
    if (err.code != st || smelt_status_exit_code(st) != 3) fail_msg("%s with %s: %s", families[id].cls, extra, err.text);
    model_free(&m);
    return st;
}

/* First number of a tensor of the checkpoint. */
static float base_of(const smelt_model *m, const char *origin)
{
    for (size_t i = 0; i < m->n_stored; i++)
        if (strcmp(m->stored[i].name, origin) == 0) {
            uint8_t raw[4];
            view_read(m->stored[i].view, 0, 0, 1, raw);
            return f32_from_bits(load_le32(raw));
        }
    fail_msg("the checkpoint has no %s", origin);
    return 0;
}

/* That the canonical tensor consists of these rows of the checkpoint's ("0-7,12" and so on), `cols` wide. */
static void has_rows(const smelt_model *m, const char *name, const char *origin, uint64_t cols, const char *rows)
{
    const smelt_tensor *t = model_find(m, name);
    if (!t) fail_msg("there is no %s", name);
    const float base = base_of(m, origin);
    uint64_t row = 0;
    for (const char *p = rows; *p;) {
        char *end;
        uint64_t a = strtoull(p, &end, 10), b = *end == '-' ? strtoull(end + 1, &end, 10) : a;
        p = end + (*end == ',');
        for (; a <= b; a++, row++) {
            uint8_t raw[64 * 4];
            assert_true(cols <= 64 && row * cols < view_rows(t->view) * view_cols(t->view));
            const uint64_t at = row * cols;
            view_read(t->view, at / view_cols(t->view), at % view_cols(t->view), cols, raw);
            for (uint64_t c = 0; c < cols; c++) {
                const float is = f32_from_bits(load_le32(raw + 4 * c)), want = base + (float)(a * cols + c);
                if (is != want) fail_msg("%s: row %d is %g, not %g of %s", name, (int)row, (double)is, (double)want, origin);
            }
        }
    }
    assert_int_equal(row * cols, view_rows(t->view) * view_cols(t->view));
}

static bool same_bytes(const smelt_view *a, const smelt_view *b)
{
    static uint8_t x[APART * 4], y[APART * 4];
    if (view_dtype(a) != view_dtype(b) || !shape_equal(view_shape(a), view_shape(b))) return false;
    view_read(a, 0, 0, view_rows(a) * view_cols(a), x);
    view_read(b, 0, 0, view_rows(b) * view_cols(b), y);
    return memcmp(x, y, view_bytes_total(a)) == 0;
}

/* A file as it would be read back: the GGUF side of a mapped model, with its keys. */
static void as_gguf(smelt_model *g, const smelt_model *m)
{
    smelt_model side;
    smelt_err err = {0};
    model_init(&side);
    model_init(g);
    if (arch_project_gguf(m, &side, &err) != SMELT_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < side.n_tensors; i++) {
        const smelt_view *in = side.tensors[i].view, *v;
        uint8_t *data = arena_calloc(&g->arena, view_bytes_total(in) + 1, 1);
        assert_non_null(data);
        view_read(in, 0, 0, view_rows(in) * view_cols(in), data);
        assert_int_equal(view_bytes(&g->arena, view_dtype(in), view_shape(in), data, view_bytes_total(in), &v, NULL), SMELT_OK);
        assert_int_equal(model_add(g, side.tensors[i].name, strlen(side.tensors[i].name), v, "file", 0, NULL), SMELT_OK);
    }
    model_free(&side);
    assert_true(meta_str(&g->meta, "general.architecture", m->arch->name, strlen(m->arch->name)));
    assert_int_equal(arch_gguf_keys(m, 0, &g->meta, NULL), SMELT_OK);
    if (!meta_find(&g->meta, "tokenizer.ggml.tokens")) {
        static const smelt_str tokens[5] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
        const smelt_kv kv = {.key = "tokenizer.ggml.tokens", .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_STR, 5, tokens}};
        assert_true(meta_set(&g->meta, &kv));
    }
}

static void checkpoints_come_back_from_gguf_unchanged(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m, g, back;
        mapped(&m, id, "", "");
        assert_string_equal(m.arch->name, families[id].gguf);
        as_gguf(&g, &m);
        assert_int_equal(arch_from_gguf(&ctx, &g, NULL), SMELT_OK);
        if (!g.arch) fail_msg("%s: %s", families[id].cls, g.unmapped);
        model_init(&back);
        assert_int_equal(arch_project_hf(&ctx, &g, &back, NULL), SMELT_OK);
        size_t kept = 0;
        for (size_t i = 0; i < m.n_stored; i++) {
            const char *name = m.stored[i].name;
            if (strstr(name, "masked_bias") || strstr(name, "inv_freq") || strstr(name, ".attn.bias") ||
                strstr(name, "attention.bias"))
                continue;
            kept++;
            const smelt_tensor *t = model_find(&back, name);
            if (!t || !same_bytes(t->view, m.stored[i].view)) fail_msg("%s: %s differs or is lost", families[id].cls, name);
        }
        assert_int_equal(back.n_tensors, kept);
        /* And its configuration means the same tensors. */
        json_t *made = NULL;
        assert_int_equal(arch_config(&g, "float32", &made, NULL), SMELT_OK);
        model_free(&back);
        model_free(&g);
        make(&back, id, "", "");
        json_decref(back.config);
        back.config = made;
        smelt_err err = {0};
        if (arch_from_hf(&ctx, &back, &err) != SMELT_OK) fail_msg("%s: %s", families[id].cls, err.text);
        for (int i = 0; i < SMELT_HP_COUNT; i++)
            if (m.hp.v[i] != back.hp.v[i] && (float)m.hp.v[i] != (float)back.hp.v[i] && i != SMELT_HP_WINDOW)
                fail_msg("%s: hyperparameter %d is %g, was %g", families[id].cls, i, back.hp.v[i], m.hp.v[i]);
        model_free(&back);
        model_free(&m);
    }
}

static void fused_queries_keys_and_values_land_where_they_belong(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *extra, *tensors, *fused, *rows[3];
    } cases[] = {
        {FALCON, "\"num_kv_heads\": 4", "", "transformer.h.1.self_attention.query_key_value.weight", {"0-7", "8-9", "10-11"}},
        {FALCON,
         "\"multi_query\": false",
         "-transformer.h.%d.self_attention.query_key_value.weight;transformer.h.%d.self_attention.query_key_value.weight 24 8",
         "transformer.h.1.self_attention.query_key_value.weight",
         {"0-1,6-7,12-13,18-19", "2-3,8-9,14-15,20-21", "4-5,10-11,16-17,22-23"}},
        {FALCON,
         "\"new_decoder_architecture\": true, \"num_kv_heads\": 2, \"num_ln_in_parallel_attn\": 1",
         "-transformer.h.%d.self_attention.query_key_value.weight;transformer.h.%d.self_attention.query_key_value.weight 16 8",
         "transformer.h.1.self_attention.query_key_value.weight",
         {"0-3,8-11", "4-5,12-13", "6-7,14-15"}},
        {GPTNEOX,
         "",
         "",
         "gpt_neox.layers.1.attention.query_key_value.weight",
         {"0-1,6-7,12-13,18-19", "2-3,8-9,14-15,20-21", "4-5,10-11,16-17,22-23"}},
        {MPT, "", "", "transformer.blocks.1.attn.Wqkv.weight", {"0-7", "8-15", "16-23"}},
        {MPT,
         "\"attn_config\": {\"attn_type\": \"multiquery_attention\"}",
         "-transformer.blocks.%d.attn.Wqkv.weight;transformer.blocks.%d.attn.Wqkv.weight 12 8",
         "transformer.blocks.1.attn.Wqkv.weight",
         {"0-7", "8-9", "10-11"}},
        {MPT,
         "\"attn_config\": {\"attn_type\": \"grouped_query_attention\", \"kv_n_heads\": 2}",
         "-transformer.blocks.%d.attn.Wqkv.weight;transformer.blocks.%d.attn.Wqkv.weight 16 8",
         "transformer.blocks.1.attn.Wqkv.weight",
         {"0-7", "8-11", "12-15"}},
        {QWEN, "", "", "transformer.h.1.attn.c_attn.weight", {"0-7", "8-15", "16-23"}},
    };
    static const char *const parts[] = {"blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_model m;
        mapped(&m, cases[i].id, cases[i].extra, cases[i].tensors);
        for (int p = 0; p < 3; p++)
            has_rows(&m, parts[p], cases[i].fused, 8, cases[i].rows[p]);
        model_free(&m);
    }
    /* Biases go the same way. */
    smelt_model m;
    mapped(&m, GPTNEOX, "", "");
    has_rows(&m, "blk.0.attn_k.bias", "gpt_neox.layers.0.attention.query_key_value.bias", 1, "2-3,8-9,14-15,20-21");
    model_free(&m);
    mapped(&m, QWEN, "", "");
    has_rows(&m, "blk.0.attn_v.bias", "transformer.h.0.attn.c_attn.bias", 1, "16-23");
    model_free(&m);
}

#define OLD_EXPERTS \
    "-model.layers.%d.mlp.experts.0.gate_proj.weight;-model.layers.%d.mlp.experts.0.up_proj.weight;" \
    "-model.layers.%d.mlp.experts.0.down_proj.weight;-model.layers.%d.mlp.experts.1.gate_proj.weight;" \
    "-model.layers.%d.mlp.experts.1.up_proj.weight;-model.layers.%d.mlp.experts.1.down_proj.weight;" \
    "-model.layers.%d.mlp.experts.2.gate_proj.weight;-model.layers.%d.mlp.experts.2.up_proj.weight;" \
    "-model.layers.%d.mlp.experts.2.down_proj.weight;"
#define STACKED "model.layers.%d.mlp.experts.gate_up_proj 3 8 8;model.layers.%d.mlp.experts.down_proj 3 8 4;"

static void experts_are_stacked_from_either_layout(void **state)
{
    (void)state;
    static const int both[] = {QWEN2MOE, QWEN3MOE};
    for (size_t i = 0; i < 2; i++) {
        smelt_model m;
        mapped(&m, both[i], "", "");
        const smelt_tensor *up = model_find(&m, "blk.1.ffn_up_exps.weight");
        assert_true(up && up->shape.n == 3 && up->shape.dim[0] == 3 && up->shape.dim[1] == 4 && up->shape.dim[2] == 8);
        for (uint64_t e = 0; e < 3; e++) {
            char name[80];
            uint8_t raw[32 * 4];
            snprintf(name, sizeof name, "model.layers.1.mlp.experts.%d.up_proj.weight", (int)e);
            view_read(up->view, 4 * e, 0, 32, raw);
            for (uint64_t k = 0; k < 32; k++)
                assert_true(f32_from_bits(load_le32(raw + 4 * k)) == base_of(&m, name) + (float)k);
        }
        model_free(&m);
        /* An expert's matrix of both is the gate's rows, then the up projection's. */
        mapped(&m, both[i], "", OLD_EXPERTS STACKED);
        has_rows(&m, "blk.1.ffn_gate_exps.weight", "model.layers.1.mlp.experts.gate_up_proj", 8, "0-3,8-11,16-19");
        has_rows(&m, "blk.1.ffn_up_exps.weight", "model.layers.1.mlp.experts.gate_up_proj", 8, "4-7,12-15,20-23");
        has_rows(&m, "blk.1.ffn_down_exps.weight", "model.layers.1.mlp.experts.down_proj", 4, "0-23");
        model_free(&m);
        refused(both[i], "", STACKED, "in a second layout: model.layers.1.mlp.experts.gate_up_proj");
        refused(both[i], "", "-model.layers.0.mlp.experts.1.up_proj.weight",
                "missing: model.layers.0.mlp.experts.1.up_proj.weight");
        refused(both[i], "", OLD_EXPERTS, "missing: model.layers.0.mlp.experts.0.up_proj.weight");
        refused(both[i], "", OLD_EXPERTS "model.layers.%d.mlp.experts.gate_up_proj 3 8 8", "experts.0.down_proj.weight");
        refused(both[i], "", "model.layers.0.mlp.experts.3.up_proj.weight 4 8", "unexpected: model.layers.0.mlp.experts.3.up_proj");
    }
}

#define OSS "model.layers.%d.mlp.experts."
#define OSS_FLOAT "-" OSS "gate_up_proj;-" OSS "down_proj;"
#define OSS_MX \
    "!" OSS "gate_up_proj_blocks 2 64 1 16;!" OSS "gate_up_proj_scales 2 64 1;!" OSS "down_proj_blocks 2 32 1 16;!" OSS \
    "down_proj_scales 2 32 1;"

static void gpt_oss_has_its_pairs_in_turn_in_both_layouts(void **state)
{
    (void)state;
    smelt_model m;
    mapped(&m, GPTOSS, "", "");
    /* In bfloat16 exports expert matrices are [in, out]; the even outputs are the gate's. */
    const smelt_tensor *gate = model_find(&m, "blk.1.ffn_gate_exps.weight"), *up = model_find(&m, "blk.1.ffn_up_exps.weight"),
                       *down = model_find(&m, "blk.1.ffn_down_exps.weight");
    assert_true(gate && up && down);
    const float both = base_of(&m, "model.layers.1.mlp.experts.gate_up_proj"),
                out = base_of(&m, "model.layers.1.mlp.experts.down_proj");
    for (uint64_t e = 0; e < 2; e++)
        for (uint64_t r = 0; r < 32; r++)
            for (uint64_t c = 0; c < 32; c++) {
                uint8_t raw[3][4];
                view_read(gate->view, e * 32 + r, c, 1, raw[0]);
                view_read(up->view, e * 32 + r, c, 1, raw[1]);
                view_read(down->view, e * 32 + r, c, 1, raw[2]);
                assert_true(f32_from_bits(load_le32(raw[0])) == both + (float)((e * 32 + c) * 64 + 2 * r));
                assert_true(f32_from_bits(load_le32(raw[1])) == both + (float)((e * 32 + c) * 64 + 2 * r + 1));
                assert_true(f32_from_bits(load_le32(raw[2])) == out + (float)((e * 32 + c) * 32 + r));
            }
    const smelt_tensor *bias = model_find(&m, "blk.0.ffn_up_exps.bias");
    assert_true(bias && bias->shape.n == 2 && bias->shape.dim[1] == 32);
    for (uint64_t i = 0; i < 64; i++) {
        uint8_t raw[4];
        view_read(bias->view, i / 32, i % 32, 1, raw);
        assert_true(f32_from_bits(load_le32(raw)) ==
                    base_of(&m, "model.layers.0.mlp.experts.gate_up_proj_bias") + (float)(2 * i + 1));
    }
    model_free(&m);
    mapped(&m, GPTOSS, "", OSS_FLOAT OSS_MX);
    up = model_find(&m, "blk.0.ffn_up_exps.weight");
    assert_true(up && up->dtype == SMELT_DT_MXFP4 && up->shape.n == 3 && up->shape.dim[0] == 2 && up->shape.dim[1] == 32 &&
                up->shape.dim[2] == 32);
    size_t scales = 0;
    while (strcmp(m.stored[scales].name, "model.layers.0.mlp.experts.gate_up_proj_scales") != 0)
        scales++;
    for (uint64_t r = 0; r < 64; r++) { /* row r is row 2r+1 of the pair */
        uint8_t block[17], scale;
        view_read(up->view, r, 0, 32, block);
        view_read(m.stored[scales].view, 2 * r + 1, 0, 1, &scale);
        assert_int_equal(block[0], scale);
    }
    model_free(&m);
    refused(GPTOSS, "", OSS_MX, "in a second layout: model.layers.0.mlp.experts.");
    refused(GPTOSS, "", OSS_FLOAT OSS_MX "-" OSS "gate_up_proj_scales", "missing: model.layers.0.mlp.experts.gate_up_proj_scales");
    refused(GPTOSS, "", OSS_FLOAT, "8 missing");
    refused(GPTOSS, "", OSS_FLOAT OSS_MX "-" OSS "down_proj_scales;!" OSS "down_proj_scales 2 32 2", "wrong shape");
}

/* OpenAI's own layout of the same tiny model. */
#define ORIGINAL_CONFIG \
    "\"architectures\": null, \"num_experts\": 2, \"num_local_experts\": null, \"experts_per_token\": 1, " \
    "\"initial_context_length\": 8, \"rope_theta\": 5000, \"rope_scaling_factor\": 3.0, \"rope_ntk_alpha\": 2.0, " \
    "\"rope_ntk_beta\": 16.0, \"swiglu_limit\": 7.0, \"sliding_window\": 4, \"max_position_embeddings\": null"
#define ORIGINAL \
    "embedding.weight 5 32;norm.scale 32;unembedding.weight 5 32;block.%d.attn.norm.scale 32;block.%d.attn.qkv.weight 16 32;" \
    "block.%d.attn.qkv.bias 16;block.%d.attn.sinks 4;block.%d.attn.out.weight 32 8;block.%d.attn.out.bias 32;" \
    "block.%d.mlp.norm.scale 32;block.%d.mlp.gate.weight 2 32;block.%d.mlp.gate.bias 2;block.%d.mlp.mlp1_bias 2 64;" \
    "!block.%d.mlp.mlp1_weight.blocks 2 64 1 16;!block.%d.mlp.mlp1_weight.scales 2 64 1;block.%d.mlp.mlp2_bias 2 32;" \
    "!block.%d.mlp.mlp2_weight.blocks 2 32 1 16;!block.%d.mlp.mlp2_weight.scales 2 32 1;"

static void make_original(smelt_model *m, const char *extra, const char *tensors)
{
    json_t *patch = NULL;
    make(m, GPTOSS, ORIGINAL_CONFIG, "");
    char text[64];
    snprintf(text, sizeof text, "{%s}", extra);
    assert_int_equal(smelt_json_parse(text, strlen(text), "test", &patch, NULL), SMELT_OK);
    assert_int_equal(json_object_update(m->config, patch), 0);
    json_decref(patch);
    m->n_tensors = 0;
    assert_int_equal(model_reindex(m, NULL), SMELT_OK);
    add_all(m, ORIGINAL);
    add_all(m, tensors);
}

static void original_refused(const char *extra, const char *tensors, const char *text)
{
    smelt_model m;
    smelt_err err = {0};
    make_original(&m, extra, tensors);
    const smelt_status st = arch_from_hf(&ctx, &m, &err);
    if (st == SMELT_OK || !strstr(err.text, text)) fail_msg("with %s %s: '%s' is not in '%s'", extra, tensors, text, err.text);
    model_free(&m);
}

/* What readers of GGUF take for granted is a key only where it is something else. */
static void gpt_oss_keeps_the_numbers_of_its_activation(void **state)
{
    (void)state;
    static const struct {
        const char *extra;
        double limit, alpha; /* 0: there is no key */
    } cases[] = {
        {"", 0, 0},
        {"\"swiglu_limit\": 7, \"swiglu_alpha\": 1.702", 0, 0},
        {"\"swiglu_limit\": 5.5", 5.5, 0},
        {"\"swiglu_alpha\": 1.5", 0, 1.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_model m, g;
        json_t *made;
        double v = 0;
        mapped(&m, GPTOSS, cases[i].extra, "");
        as_gguf(&g, &m);
        assert_true(meta_get_f64(&g.meta, "gpt-oss.swiglu_limit", &v) == (cases[i].limit != 0));
        if (cases[i].limit != 0) assert_true(v == cases[i].limit);
        assert_true(meta_get_f64(&g.meta, "gpt-oss.swiglu_alpha", &v) == (cases[i].alpha != 0));
        if (cases[i].alpha != 0) assert_true(v == cases[i].alpha);
        assert_int_equal(arch_from_gguf(&ctx, &g, NULL), SMELT_OK);
        assert_true(g.hp.set[SMELT_HP_SWIGLU_LIMIT] == (cases[i].limit != 0));
        assert_int_equal(arch_config(&g, "float32", &made, NULL), SMELT_OK);
        assert_true(json_number_value(json_object_get(made, "swiglu_limit")) == (cases[i].limit != 0 ? cases[i].limit : 7));
        assert_true(json_number_value(json_object_get(made, "swiglu_alpha")) == cases[i].alpha);
        json_decref(made);
        model_free(&g);
        model_free(&m);
    }
}

/* The first layout of Phi-2: 4 heads of 2. */
#define PHI_MSFT \
    "transformer.embd.wte.weight 5 8;lm_head.ln.weight 8;lm_head.ln.bias 8;lm_head.linear.weight 5 8;lm_head.linear.bias 5;" \
    "transformer.h.%d.ln.weight 8;transformer.h.%d.ln.bias 8;transformer.h.%d.mixer.Wqkv.weight 24 8;" \
    "transformer.h.%d.mixer.Wqkv.bias 24;transformer.h.%d.mixer.out_proj.weight 8 8;transformer.h.%d.mixer.out_proj.bias 8;" \
    "transformer.h.%d.mlp.fc1.weight 32 8;transformer.h.%d.mlp.fc1.bias 32;transformer.h.%d.mlp.fc2.weight 8 32;" \
    "transformer.h.%d.mlp.fc2.bias 8"

static void the_first_layout_of_phi_becomes_phi2(void **state)
{
    (void)state;
    smelt_model m;
    smelt_err err = {0};
    make(&m, PHI2, "", "");
    m.n_tensors = 0;
    assert_int_equal(model_reindex(&m, NULL), SMELT_OK);
    add_all(&m, PHI_MSFT);
    json_decref(m.config);
    m.config = json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:n, s:n, s:i, s:i, s:f}", "architectures", "PhiForCausalLM",
                         "model_type", "phi-msft", "n_embd", 8, "n_head", 4, "n_layer", 2, "n_positions", 6, "n_inner", "n_head_kv",
                         "rotary_dim", 1, "vocab_size", 5, "layer_norm_epsilon", 1e-5);
    if (arch_from_hf(&ctx, &m, &err) != SMELT_OK) fail_msg("%s", err.text);
    assert_string_equal(m.arch->model_type, "phi");
    assert_true(json_real_value(json_object_get(m.config, "partial_rotary_factor")) == 0.5);
    has_rows(&m, "blk.1.attn_k.weight", "transformer.h.1.mixer.Wqkv.weight", 8, "8-15");
    has_rows(&m, "blk.0.attn_v.bias", "transformer.h.0.mixer.Wqkv.bias", 1, "16-23");
    has_rows(&m, "output_norm.bias", "lm_head.ln.bias", 1, "0-7");
    has_rows(&m, "output.weight", "lm_head.linear.weight", 8, "0-4");
    model_free(&m);
}

/* As checkpoints of the decoder alone have them, and older ones. */
static void every_family_reads_without_its_prefix(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m, bare;
        smelt_err err = {0};
        mapped(&m, id, "", "");
        make(&bare, id, "", "");
        const size_t n = strlen(m.arch->prefix);
        size_t cut = 0;
        for (size_t i = 0; i < bare.n_tensors; i++)
            if (strncmp(bare.tensors[i].name, m.arch->prefix, n) == 0) bare.tensors[i].name += n, cut++;
        assert_true(cut > 0);
        assert_int_equal(model_reindex(&bare, NULL), SMELT_OK);
        if (arch_from_hf(&ctx, &bare, &err) != SMELT_OK) fail_msg("%s: %s", families[id].cls, err.text);
        assert_int_equal(bare.n_tensors, m.n_tensors);
        for (size_t i = 0; i < m.n_tensors; i++)
            assert_true(same_bytes(m.tensors[i].view, model_find(&bare, m.tensors[i].name)->view));
        model_free(&bare);
        model_free(&m);
    }
}

/* As AutoModel saves them. */
static void decoders_alone_use_their_embedding_as_the_head(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m;
        smelt_err err = {0};
        char extra[120];
        const char *cls = families[id].cls, *tail = strstr(cls, "ForCausalLM") ? "ForCausalLM" : "LMHeadModel";
        snprintf(extra, sizeof extra, "\"architectures\": [\"%.*sModel\"]", (int)(strlen(cls) - strlen(tail)), cls);
        make(&m, id, extra, "");
        for (size_t i = 0; i < m.n_tensors;) {
            if (!strstr(m.tensors[i].name, "lm_head") && !strstr(m.tensors[i].name, "embed_out")) {
                i++;
                continue;
            }
            memmove(&m.tensors[i], &m.tensors[i + 1], (--m.n_tensors - i) * sizeof *m.tensors);
        }
        assert_int_equal(model_reindex(&m, NULL), SMELT_OK);
        if (arch_from_hf(&ctx, &m, &err) != SMELT_OK) fail_msg("%s: %s", extra, err.text);
        assert_non_null(m.arch);
        assert_true(m.hp.v[SMELT_HP_TIED] == 1 && !model_find(&m, "output.weight"));
        model_free(&m);
    }
}

static void all_misfits_stand_in_one_error(void **state)
{
    (void)state;
    /* All that a decoder of 2 layers can lack, with as many strange tensors and a wrong shape. */
    smelt_model m;
    smelt_err err = {0};
    make(&m, QWEN2MOE, "", "");
    char names[24][96];
    size_t n = 0;
    while (m.n_tensors > 4 && n < 24) {
        snprintf(names[n], sizeof *names, "missing: %s", m.tensors[m.n_tensors - 1].name);
        m.n_tensors--;
        n++;
    }
    m.tensors[0].shape.dim[0]++;
    assert_int_equal(model_reindex(&m, NULL), SMELT_OK);
    add_all(&m, "model.layers.0.self_attn.rotary_emb.strange.buffer.with.a.long.name 2;model.layers.1.second.strange.tensor 3");
    assert_int_equal(arch_from_hf(&ctx, &m, &err), SMELT_E_MISMATCH);
    for (size_t i = 0; i < n; i++)
        if (!strstr(err.text, names[i])) fail_msg("no '%s' in %s", names[i], err.text);
    assert_non_null(strstr(err.text, "24 missing, 2 unexpected, 1 of the wrong shape"));
    assert_non_null(strstr(err.text, "unexpected: model.layers.0.self_attn.rotary_emb.strange.buffer.with.a.long.name"));
    assert_non_null(strstr(err.text, "unexpected: model.layers.1.second.strange.tensor"));
    assert_non_null(strstr(err.text, "wrong shape: "));
    model_free(&m);
}

static void values_that_nothing_computes_are_refused(void **state)
{
    (void)state;
    refused(MPT, "\"logit_scale\": \"inv_sqrt_d_model\"", "", "logit_scale");
    refused(MPT, "\"norm_type\": \"rmsnorm\"", "", "norm_type");
    refused(MPT, "\"attn_config\": {\"rope\": true}", "", "rope");
    refused(MPT, "\"attn_config\": {\"prefix_lm\": true}", "", "prefix_lm");
    refused(PHI2, "\"qk_layernorm\": true", "", "qk_layernorm");
}

/* Their type says it, as it does to transformers. */
static void configurations_without_a_class_have_a_family(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m, typed;
        char extra[80];
        mapped(&m, id, "", "");
        snprintf(extra, sizeof extra, "\"architectures\": null, \"model_type\": \"%s\"", m.arch->model_type);
        mapped(&typed, id, extra, "");
        assert_true(typed.arch == m.arch);
        model_free(&typed);
        model_free(&m);
    }
}

#define YI \
    "-model.layers.%d.input_layernorm.weight;-model.layers.%d.post_attention_layernorm.weight;model.layers.%d.ln1.weight 8;" \
    "model.layers.%d.ln2.weight 8;-model.layers.%d.self_attn.q_proj.bias;-model.layers.%d.self_attn.k_proj.bias;" \
    "-model.layers.%d.self_attn.v_proj.bias"

static void the_first_layout_of_yi_becomes_llama(void **state)
{
    (void)state;
    smelt_model m;
    mapped(&m, QWEN2, "\"architectures\": [\"YiForCausalLM\"], \"model_type\": \"Yi\"", YI);
    assert_string_equal(m.arch->hf_classes, "LlamaForCausalLM|LLaMAForCausalLM|LlamaModel");
    assert_string_equal(json_string_value(json_array_get(json_object_get(m.config, "architectures"), 0)), "LlamaForCausalLM");
    assert_true(json_real_value(json_object_get(m.config, "rope_theta")) == 5e6);
    has_rows(&m, "blk.1.attn_norm.weight", "model.layers.1.ln1.weight", 1, "0-7");
    has_rows(&m, "blk.1.ffn_norm.weight", "model.layers.1.ln2.weight", 1, "0-7");
    model_free(&m);
}

static void the_original_layout_of_gpt_oss_becomes_the_published_one(void **state)
{
    (void)state;
    smelt_model m, hf;
    smelt_err err = {0};
    make_original(&m, "", "");
    if (arch_from_hf(&ctx, &m, &err) != SMELT_OK) fail_msg("%s", err.text);
    assert_true(m.arch == arch_by_class("GptOssForCausalLM"));
    has_rows(&m, "blk.1.attn_q.weight", "block.1.attn.qkv.weight", 32, "0-7");
    has_rows(&m, "blk.1.attn_k.weight", "block.1.attn.qkv.weight", 32, "8-11");
    has_rows(&m, "blk.1.attn_v.bias", "block.1.attn.qkv.bias", 1, "12-15");
    has_rows(&m, "blk.0.ffn_up_exps.bias", "block.0.mlp.mlp1_bias", 1,
             "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,45,47,49,51,53,55,57,59,61,63,"
             "65,67,69,71,73,75,77,79,81,83,85,87,89,91,93,95,97,99,101,103,105,107,109,111,113,115,117,119,121,123,125,127");
    has_rows(&m, "blk.0.post_attention_norm.weight", "block.0.mlp.norm.scale", 1, "0-31");
    /* The configuration is one that transformers reads, and means the same. */
    model_init(&hf);
    assert_int_equal(arch_project_hf(&ctx, &m, &hf, &err), SMELT_OK);
    hf.config = json_incref(m.config);
    if (arch_from_hf(&ctx, &hf, &err) != SMELT_OK) fail_msg("%s", err.text);
    assert_non_null(model_find(&hf, "blk.1.ffn_down_exps.weight"));
    for (int i = 0; i < SMELT_HP_COUNT; i++)
        if (m.hp.v[i] != hf.hp.v[i] && i != SMELT_HP_ROPE_LOW_FREQ)
            fail_msg("hyperparameter %d is %g, was %g", i, hf.hp.v[i], m.hp.v[i]);
    static const struct {
        smelt_hp id;
        double want;
    } want[] = {{SMELT_HP_CTX, 24},           {SMELT_HP_ROPE_ORIG_CTX, 8}, {SMELT_HP_ROPE_FACTOR, 3}, {SMELT_HP_YARN_BETA_FAST, 16},
                {SMELT_HP_YARN_BETA_SLOW, 2}, {SMELT_HP_ROPE_BASE, 5000},  {SMELT_HP_EXPERTS, 2},     {SMELT_HP_EXPERTS_USED, 1},
                {SMELT_HP_WINDOW, 4},         {SMELT_HP_FF_EXP, 32}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(hf.hp.v[want[i].id] == want[i].want);
    model_free(&hf);
    model_free(&m);
    original_refused("", "-block.1.attn.qkv.bias", "missing: block.1.attn.qkv.bias");
    original_refused("", "-block.0.mlp.mlp2_weight.scales", "missing: block.0.mlp.mlp2_weight.scales");
    original_refused("", "model.layers.0.self_attn.sinks 4", "unexpected: model.layers.0.self_attn.sinks");
    original_refused("", "-block.0.attn.qkv.weight;block.0.attn.qkv.weight 15 32", "block.0.attn.qkv.weight is [15, 32]");
    original_refused("", "block.2.attn.sinks 4", "unexpected: block.2.attn.sinks");
    original_refused("\"rope_scaling_factor\": 1e9", "", "32 bits");
    original_refused("\"num_experts\": 3", "", "the configuration says [3, 64, 1, 16]");
    /* A member that tells the layout is not there. */
    make_original(&m, "\"rope_ntk_alpha\": 1", "");
    json_object_del(m.config, "rope_ntk_alpha");
    assert_int_equal(arch_from_hf(&ctx, &m, &err), SMELT_OK);
    assert_null(m.arch);
    model_free(&m);
}

typedef struct expectation {
    int id;
    const char *extra, *tensors;
    smelt_hp hp;
    double want;
} expectation;

static void expect_all(const expectation *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        smelt_model m;
        mapped(&m, e[i].id, e[i].extra, e[i].tensors);
        if (!m.hp.set[e[i].hp] || (float)m.hp.v[e[i].hp] != (float)e[i].want)
            fail_msg("%s with {%s}: hyperparameter %d is %g, not %g", families[e[i].id].cls, e[i].extra, (int)e[i].hp,
                     m.hp.v[e[i].hp], e[i].want);
        model_free(&m);
    }
}

#define H(id) SMELT_HP_##id
#define FALCON_40B \
    "-transformer.h.%d.self_attention.query_key_value.weight;transformer.h.%d.self_attention.query_key_value.weight 16 8;" \
    "-transformer.h.%d.input_layernorm.weight;-transformer.h.%d.input_layernorm.bias;transformer.h.%d.ln_attn.weight 8;" \
    "transformer.h.%d.ln_attn.bias 8;transformer.h.%d.ln_mlp.weight 8;transformer.h.%d.ln_mlp.bias 8"
#define FALCON_RW \
    "-transformer.h.%d.self_attention.query_key_value.weight;transformer.h.%d.self_attention.query_key_value.weight 24 8;" \
    "transformer.h.%d.self_attention.query_key_value.bias 24;transformer.h.%d.self_attention.dense.bias 8;" \
    "transformer.h.%d.mlp.dense_h_to_4h.bias 32;transformer.h.%d.mlp.dense_4h_to_h.bias 8;" \
    "transformer.h.%d.post_attention_layernorm.weight 8;transformer.h.%d.post_attention_layernorm.bias 8"
#define MPT_BIASED \
    "transformer.blocks.%d.norm_1.bias 8;transformer.blocks.%d.norm_2.bias 8;transformer.norm_f.bias 8;" \
    "transformer.blocks.%d.attn.Wqkv.bias 24;transformer.blocks.%d.attn.out_proj.bias 8;transformer.blocks.%d.ffn.up_proj.bias 32;" \
    "transformer.blocks.%d.ffn.down_proj.bias 8"

static void what_configurations_say_and_what_follows(void **state)
{
    (void)state;
    static const expectation all[] = {
        /* Falcon 7B ignores num_kv_heads; 40B has groups and two norms; RW has biases, ALiBi and the norms one after the other. */
        {FALCON, "\"num_kv_heads\": 4", "", H(KV_HEADS), 1},
        {FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 2", FALCON_40B, H(KV_HEADS), 2},
        {FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 2", FALCON_40B, H(SECOND_NORM), 1},
        {FALCON, "\"architectures\": [\"RWForCausalLM\"], \"n_head_kv\": 2", FALCON_40B, H(GROUPED), 1},
        {FALCON, "\"multi_query\": false, \"bias\": true, \"alibi\": true, \"parallel_attn\": false", FALCON_RW, H(KV_HEADS), 4},
        {FALCON, "\"multi_query\": false, \"bias\": true, \"alibi\": true, \"parallel_attn\": false", FALCON_RW, H(TWO_NORMS), 1},
        {FALCON, "\"multi_query\": false, \"bias\": true, \"alibi\": true, \"parallel_attn\": false", FALCON_RW, H(ALIBI_MAX), 8},
        {FALCON, "\"num_hidden_layers\": null, \"n_layer\": 2, \"num_attention_heads\": null, \"n_head\": 4", "", H(HEADS), 4},
        {FALCON, "\"ffn_hidden_size\": 32", "", H(FF), 32},
        /* Without num_kv_heads the new architecture has as many as heads. */
        {FALCON, "\"new_decoder_architecture\": true, \"num_ln_in_parallel_attn\": 1",
         "-transformer.h.%d.self_attention.query_key_value.weight;transformer.h.%d.self_attention.query_key_value.weight 24 8",
         H(KV_HEADS), 4},
        {MPT, "\"attn_config\": {\"clip_qkv\": 6.5}", "", H(CLAMP_KQV), 6.5},
        {MPT, "\"attn_config\": {\"alibi_bias_max\": 16}", "", H(ALIBI_MAX), 16},
        {MPT, "\"attn_config\": {\"alibi\": false}", "transformer.wpe.weight 6 8", H(ALIBI_MAX), 0},
        {MPT, "\"no_bias\": true", "", H(ATTN_BIAS), 0},
        {MPT, "\"no_bias\": false", MPT_BIASED, H(ATTN_BIAS), 1},
        {MPT, "\"expansion_ratio\": 4.0", "", H(FF), 32},
        {GPTNEOX, "\"rotary_pct\": 0.5", "", H(ROPE_DIM), 1},
        {GPTNEOX, "\"rotary_pct\": 1.0", "", H(ROPE_DIM), 2},
        {GPTNEOX, "\"rotary_pct\": null, \"rope_parameters\": {\"partial_rotary_factor\": 1.0}", "", H(ROPE_DIM), 2},
        {GPTNEOX, "\"rotary_emb_base\": 500", "", H(ROPE_BASE), 500},
        {GPTNEOX, "\"rope_parameters\": {\"rope_theta\": 500}", "", H(ROPE_BASE), 500},
        {GPTNEOX, "\"use_parallel_residual\": false", "", H(PARALLEL), 0},
        /* RoPE in two spellings that contradict each other: rope_scaling before rope_parameters, what is inside before what is beside. */
        {GPTNEOX, "\"rotary_pct\": 0.5, \"rope_parameters\": {\"partial_rotary_factor\": 1.0}", "", H(ROPE_DIM), 2},
        {GPTNEOX, "\"rotary_emb_base\": 300, \"rope_parameters\": {\"rope_theta\": 500}", "", H(ROPE_BASE), 500},
        {QWEN2, "\"rope_theta\": 300, \"rope_parameters\": {\"rope_theta\": 500}", "", H(ROPE_BASE), 500},
        {QWEN2, "\"rope_theta\": 300, \"rope_parameters\": {\"rope_theta\": null}", "", H(ROPE_BASE), 300},
        {QWEN2,
         "\"rope_theta\": 300, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_parameters\": {\"rope_theta\": 500}",
         "", H(ROPE_BASE), 300},
        {QWEN2, "\"rope_scaling\": {}, \"rope_parameters\": {\"rope_theta\": 500}", "", H(ROPE_BASE), 500},
        {QWEN2,
         "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4}",
         "", H(ROPE_FACTOR), 2},
        {QWEN2, "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", "", H(ROPE_ORIG_CTX), 6},
        /* Scaling in the families where nobody published any. */
        {GPTNEOX, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}", "", H(ROPE_FACTOR), 2.5},
        {PHI2, "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2.5}", "", H(ROPE_FACTOR), 2.5},
        {FALCON, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}", "", H(ROPE_FACTOR), 2.5},
        {PHI2, "\"partial_rotary_factor\": 1", "", H(ROPE_DIM), 2},
        {PHI2, "\"rope_parameters\": {\"partial_rotary_factor\": 1.0, \"rope_theta\": 77}", "", H(ROPE_DIM), 2},
        {GPTJ, "\"n_embd\": null, \"hidden_size\": 8, \"n_inner\": null", "", H(FF), 32},
        {GPTNEO, "\"attention_types\": [[[\"global\", \"local\"], 1]]", "", H(WINDOW_PERIOD), 2},
        {GPTNEO, "\"attention_types\": [[[\"global\"], 1], [[\"local\"], 1]]", "", H(WINDOW_PERIOD), 2},
        {GPTNEO, "\"attention_types\": [[[\"global\"], 2]]", "", H(WINDOW_PERIOD), 0},
        {GPTNEO, "\"attention_types\": null", "", H(WINDOW_PERIOD), 2},
        {GPTNEO, "\"num_layers\": null, \"num_hidden_layers\": 2", "", H(LAYERS), 2},
        /* Qwen 1 counts both halves of its feed-forward. */
        {QWEN, "", "", H(FF), 32},
        {QWEN2, "\"rope_parameters\": {\"rope_theta\": 1e6, \"rope_type\": \"default\"}", "", H(ROPE_BASE), 1e6},
        {QWEN2MOE, "\"num_experts\": null, \"num_local_experts\": 3", "", H(EXPERTS), 3},
        {QWEN2MOE, "\"num_experts_per_tok\": 2", "", H(EXPERTS_USED), 2},
        {GPTOSS, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 32.0}", "", H(ROPE_FACTOR), 32},
        {GPTOSS, "\"experts_per_token\": 1", "", H(EXPERTS_USED), 1},
    };
    expect_all(all, sizeof all / sizeof *all);
    /* (Read from the tensors, since the rows above are all of one size.) */
    smelt_model m;
    mapped(&m, QWEN, "", "");
    assert_int_equal(model_find(&m, "blk.0.ffn_gate.weight")->shape.dim[0], 16);
    has_rows(&m, "blk.0.ffn_up.weight", "transformer.h.0.mlp.w1.weight", 8, "0-15");
    has_rows(&m, "blk.0.ffn_gate.weight", "transformer.h.0.mlp.w2.weight", 8, "0-15");
    model_free(&m);
    mapped(&m, FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 2", FALCON_40B);
    has_rows(&m, "blk.1.attn_norm_2.weight", "transformer.h.1.ln_attn.weight", 1, "0-7");
    has_rows(&m, "blk.1.attn_norm.weight", "transformer.h.1.ln_mlp.weight", 1, "0-7");
    model_free(&m);
}

/* transformers turns int(head_dim * factor) dimensions, in doubles. */
static void the_rotary_share_of_a_gguf_gives_its_dimensions_again(void **state)
{
    (void)state;
    for (unsigned head = 1; head <= 512; head++)
        for (unsigned dim = 0; dim <= head; dim++) {
            smelt_hparams hp = {0}, back = {0};
            hp.set[H(HEAD_DIM)] = hp.set[H(ROPE_DIM)] = back.set[H(HEAD_DIM)] = back.set[H(ROTARY_PCT)] = true;
            hp.v[H(HEAD_DIM)] = back.v[H(HEAD_DIM)] = head;
            hp.v[H(ROPE_DIM)] = dim;
            assert_int_equal(derive_rotary(&hp, 1, NULL), SMELT_OK);
            char text[40];
            snprintf(text, sizeof text, "%.16g", hp.v[H(ROTARY_PCT)]); /* as config.json gets it */
            back.v[H(ROTARY_PCT)] = strtod(text, NULL);
            assert_int_equal(derive_rotary(&back, 1, NULL), SMELT_OK);
            if ((unsigned)(head * back.v[H(ROTARY_PCT)]) != dim || back.v[H(ROPE_DIM)] != dim)
                fail_msg("%u of %u become %s", dim, head, text);
        }
}

static void absent_members_mean_what_the_configuration_class_says(void **state)
{
    (void)state;
    static const expectation all[] = {
        {GPTJ, "", "", H(LN_EPS), 1e-5},
        {GPTJ, "", "", H(TIED), 0},
        {GPTNEO, "", "", H(TIED), 1},
        {GPTNEO, "", "", H(WINDOW), 256},
        {GPTNEO, "", "", H(FF), 32},
        {GPTNEOX, "", "", H(LN_EPS), 1e-5},
        {GPTNEOX, "\"rotary_pct\": null", "", H(ROTARY_PCT), 0.25},
        {GPTNEOX, "", "", H(PARALLEL), 1},
        {GPTNEOX, "", "", H(TIED), 0},
        {MPT, "", "", H(ALIBI_MAX), 8},
        {MPT, "", "", H(LN_EPS), 1e-5},
        {MPT, "", "", H(TIED), 1},
        {FALCON, "", "", H(KV_HEADS), 1},
        {FALCON, "", "", H(PARALLEL), 1},
        {FALCON, "", "", H(FF), 32},
        {FALCON, "", "", H(CTX), 2048},
        {PHI2, "", "", H(ROTARY_PCT), 0.5},
        {PHI2, "", "", H(KV_HEADS), 4},
        {QWEN, "", "", H(RMS_EPS), 1e-6},
        {QWEN2, "", "", H(RMS_EPS), 1e-6},
        {QWEN2, "", "", H(ROPE_BASE), 10000},
        {QWEN2MOE, "", "", H(EXPERTS_USED), 4},
        {QWEN3MOE, "", "", H(EXPERTS_USED), 8},
        {GPTOSS, "", "", H(EXPERTS_USED), 4},
        {GPTOSS, "", "", H(WINDOW), 128},
        {GPTOSS, "", "", H(RMS_EPS), 1e-5},
        {GPTOSS, "", "", H(ROPE_BASE), 150000},
        /* Its class takes YaRN for granted, and a YaRN in the file to be one of whole dimensions. */
        {GPTOSS, "", "", H(ROPE_FACTOR), 32},
        {GPTOSS, "\"rope_scaling\": null, \"rope_theta\": 5000", "", H(ROPE_ORIG_CTX), 4096},
        {GPTOSS, "\"rope_scaling\": null", "", H(YARN_TRUNCATE), 0},
        {GPTOSS, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}", "", H(ROPE_FACTOR), 4},
        {GPTOSS, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}", "", H(YARN_TRUNCATE), 1},
        {GPTOSS, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"truncate\": false}", "", H(YARN_TRUNCATE), 0},
        {GPTOSS, "\"rope_parameters\": {\"rope_theta\": 5000}", "", H(ROPE_BASE), 5000},
    };
    expect_all(all, sizeof all / sizeof *all);
    /* The sizes of the large models are no use on the tiny one, but the message says what they were taken for. */
    static const struct {
        int id;
        const char *gone, *text;
    } sizes[] = {
        {GPTJ, "\"vocab_size\": null", "[50400, 8]"},
        {GPTNEO, "\"vocab_size\": null", "[50257, 8]"},
        {GPTNEO, "\"max_position_embeddings\": null", "[2048"},
        {GPTNEOX, "\"vocab_size\": null", "[50432, 8]"},
        {GPTNEOX, "\"intermediate_size\": null", "[24576, 8]"},
        {MPT, "\"vocab_size\": null", "[50368, 8]"},
        {FALCON, "\"vocab_size\": null", "[65024, 8]"},
        {PHI2, "\"vocab_size\": null", "[51200, 8]"},
        {PHI2, "\"intermediate_size\": null", "[8192, 8]"},
        {QWEN, "\"vocab_size\": null", "[151936, 8]"},
        {QWEN2, "\"vocab_size\": null", "[151936, 8]"},
        {QWEN2, "\"intermediate_size\": null", "[22016, 8]"},
        {QWEN3, "\"vocab_size\": null", "[151936, 8]"},
        {QWEN3, "\"head_dim\": null", "[512, 8]"},
        {QWEN2MOE, "\"vocab_size\": null", "[151936, 8]"},
        {QWEN2MOE, "\"moe_intermediate_size\": null", "[1408, 8]"},
        {QWEN3MOE, "\"moe_intermediate_size\": null", "[768"},
        {QWEN2MOE, "\"shared_expert_intermediate_size\": null", "[5632, 8]"},
        {QWEN3MOE, "\"vocab_size\": null", "[151936, 8]"},
        {GPTOSS, "\"vocab_size\": null", "[201088, 32]"},
        {GPTOSS, "\"num_local_experts\": null", "[128, 32]"},
        {QWEN2MOE, "\"num_experts\": null", "60 experts"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        refused(sizes[i].id, sizes[i].gone, "", sizes[i].text);
    for (int id = 0; id < FAMILIES; id++)
        refused(id, "\"hidden_size\": null, \"n_embd\": null, \"d_model\": null", "", "config.json has no '");
}

static void misfits_are_listed_for_every_family(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m;
        make(&m, id, "", "");
        const size_t n = m.n_tensors;
        model_free(&m);
        /* Any one tensor away, strange or of another shape. */
        for (size_t i = 0; i < n; i++) {
            smelt_err err = {0};
            make(&m, id, "", "");
            char name[160], text[200];
            snprintf(name, sizeof name, "%s", m.tensors[i].name);
            const bool dropped = strstr(name, "masked_bias") || strstr(name, "inv_freq") || strstr(name, ".attn.bias") ||
                                 strstr(name, "attention.bias");
            memmove(&m.tensors[i], &m.tensors[i + 1], (--m.n_tensors - i) * sizeof *m.tensors);
            assert_int_equal(model_reindex(&m, NULL), SMELT_OK);
            smelt_status st = arch_from_hf(&ctx, &m, &err);
            snprintf(text, sizeof text, "missing: %s", name);
            if (st != (dropped ? SMELT_OK : SMELT_E_MISMATCH)) fail_msg("%s of %s: %s", name, families[id].cls, err.text);
            if (!dropped && !strstr(err.text, text)) fail_msg("no '%s' in %s", text, err.text);
            model_free(&m);

            err = (smelt_err){0};
            make(&m, id, "", "");
            smelt_shape *s = &m.tensors[i].shape;
            s->dim[s->n - 1]++;
            st = arch_from_hf(&ctx, &m, &err);
            snprintf(text, sizeof text, "wrong shape: %s is ", name);
            if (st != (dropped ? SMELT_OK : SMELT_E_MISMATCH)) fail_msg("%s of %s: %s", name, families[id].cls, err.text);
            if (!dropped && !strstr(err.text, text)) fail_msg("no '%s' in %s", text, err.text);
            model_free(&m);
        }
        assert_int_equal(refused(id, "", "model.layers.0.strange.weight 2 2", "unexpected: model.layers.0.strange.weight"),
                         SMELT_E_MISMATCH);
    }
    refused(FALCON, "", "transformer.h.0.mlp.dense_h_to_4h.bias 32", "unexpected: transformer.h.0.mlp.dense_h_to_4h.bias");
    refused(QWEN2, "", "model.layers.0.self_attn.o_proj.bias 8", "unexpected: model.layers.0.self_attn.o_proj.bias");
    refused(QWEN2, "", "layers.0.self_attn.o_proj.weight 8 8", "under a second name: layers.0.self_attn.o_proj.weight");
    refused(QWEN2, "", "model.layers.2.self_attn.o_proj.weight 8 8", "unexpected: model.layers.2.self_attn.o_proj.weight");
}

#define KV_ROWS(n) \
    "-model.layers.%d.self_attn.k_proj.weight;-model.layers.%d.self_attn.v_proj.weight;-model.layers.%d.self_attn.k_proj.bias;" \
    "-model.layers.%d.self_attn.v_proj.bias;model.layers.%d.self_attn.k_proj.weight " n \
    " 8;model.layers.%d.self_attn.v_proj.weight " n " 8;model.layers.%d.self_attn.k_proj.bias " n \
    ";model.layers.%d.self_attn.v_proj.bias " n

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void hostile_numbers_are_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *extra;
    } bad[] = {
        {QWEN2MOE, "\"num_experts\": 4000000000"},
        {QWEN2MOE, "\"num_experts\": 2000000000"},
        {QWEN2MOE, "\"num_experts\": 2147483648"},
        {QWEN3MOE, "\"num_experts\": 4294967295"},
        {QWEN2MOE, "\"num_experts\": 0"},
        {QWEN2MOE, "\"num_experts\": -1"},
        {QWEN2MOE, "\"num_experts\": 1e300"},
        {QWEN2MOE, "\"moe_intermediate_size\": 0"},
        {GPTOSS, "\"num_local_experts\": 2000000000"},
        {GPTOSS, "\"intermediate_size\": 33"},
        {GPTOSS, "\"head_dim\": 0"},
        {QWEN3, "\"head_dim\": 0"},
        {QWEN3, "\"head_dim\": 4294967295, \"num_attention_heads\": 4294967292"},
        {QWEN, "\"kv_channels\": 0"},
        {QWEN, "\"intermediate_size\": 31"},
        {QWEN2, "\"num_key_value_heads\": 3"},
        {QWEN2, "\"num_key_value_heads\": 8"},
        {QWEN2, "\"num_key_value_heads\": 0"},
        {FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 3"},
        {FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 8"},
        {FALCON, "\"new_decoder_architecture\": true, \"num_kv_heads\": 0"},
        {FALCON, "\"num_attention_heads\": 3"},
        {FALCON, "\"num_attention_heads\": 0"},
        {FALCON, "\"hidden_size\": 4294967295, \"num_attention_heads\": 1"},
        {MPT, "\"expansion_ratio\": 1e300"},
        {MPT, "\"expansion_ratio\": -4"},
        {MPT, "\"expansion_ratio\": 0"},
        {MPT, "\"expansion_ratio\": 1e-300"},
        {MPT, "\"expansion_ratio\": \"4\""},
        {MPT, "\"attn_config\": {\"kv_n_heads\": 3}"},
        {MPT, "\"attn_config\": {\"kv_n_heads\": 8}"},
        {MPT, "\"attn_config\": {\"clip_qkv\": \"much\"}"},
        {MPT, "\"attn_config\": {\"clip_qkv\": 1e300}"},
        {GPTNEOX, "\"rotary_pct\": -0.5"},
        {GPTNEOX, "\"rotary_pct\": 1e30"},
        {GPTNEOX, "\"rotary_pct\": 1.5"},
        {PHI2, "\"partial_rotary_factor\": 2"},
        {GPTNEO, "\"attention_types\": [[[\"global\"], 1000000000000000000]]"},
        {GPTNEO, "\"num_layers\": 4294967295, \"attention_types\": [[[\"global\"], 1000000000000000000]]"},
        {GPTNEO, "\"attention_types\": [[[\"global\", \"local\"], -1]]"},
        {GPTNEO, "\"attention_types\": [[[], 1000000000000000000]]"},
        {GPTNEO, "\"attention_types\": [[[\"local\"], 2]]"},
        {GPTNEO, "\"attention_types\": [[[\"sparse\"], 2]]"},
        {GPTNEO, "\"attention_types\": [[[7], 2]]"},
        {GPTNEO, "\"attention_types\": \"global\""},
        {GPTNEO, "\"attention_types\": [[\"global\", \"local\"]]"},
        {GPTJ, "\"n_layer\": 4294967295"},
        {GPTJ, "\"n_layer\": 0"},
        {GPTJ, "\"n_head\": 3"},
        {GPTJ, "\"rotary_dim\": -2"},
    };
    const double start = seconds();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i].id, bad[i].extra, "", "");
    /* Where no tensor contradicts the number. */
    refused(QWEN2MOE, "\"num_experts\": 2000000000", OLD_EXPERTS, "missing: model.layers.0.mlp.experts.0.gate_proj.weight");
    refused(QWEN3MOE, "\"num_experts\": 4294967295", OLD_EXPERTS, "25769803770 missing");
    refused(QWEN2, "\"num_key_value_heads\": 3", KV_ROWS("6"), "4 attention heads cannot share 3 key/value heads");
    refused(QWEN2, "\"num_key_value_heads\": 8", KV_ROWS("16"), "4 attention heads cannot share 8 key/value heads");
    /* Far below what one walk through 4e9 experts or layers takes, far above what these need. */
    assert_true(seconds() - start < 20);
}

/* A GGUF file that does not fit its family is not mapped, says why, and goes through as it is. */
static void assert_unmapped(smelt_model *g, const char *what, const char *text)
{
    const size_t n = g->n_tensors;
    smelt_model out;
    assert_int_equal(arch_from_gguf(&ctx, g, NULL), SMELT_OK);
    if (g->arch) fail_msg("%s is mapped with %s", g->arch->name, what);
    assert_non_null(g->unmapped);
    if (!strstr(g->unmapped, text)) fail_msg("'%s' is not in '%s'", text, g->unmapped);
    assert_int_equal(g->n_tensors, n);
    model_init(&out);
    assert_int_equal(arch_project_gguf(g, &out, NULL), SMELT_OK);
    assert_int_equal(out.n_tensors, n);
    for (size_t i = 0; i < n; i++)
        assert_true(same_bytes(out.tensors[i].view, model_find(g, out.tensors[i].name)->view));
    model_free(&out);
}

static void gguf_files_that_do_not_fit_go_through_unmapped(void **state)
{
    (void)state;
    for (int id = 0; id < FAMILIES; id++) {
        smelt_model m, g;
        mapped(&m, id, "", "");
        as_gguf(&g, &m);
        const size_t n = g.n_tensors;
        model_free(&g);
        for (size_t i = 0; i < n; i++) {
            char name[160];
            as_gguf(&g, &m);
            snprintf(name, sizeof name, "%s", g.tensors[i].name);
            memmove(&g.tensors[i], &g.tensors[i + 1], (--g.n_tensors - i) * sizeof *g.tensors);
            assert_int_equal(model_reindex(&g, NULL), SMELT_OK);
            /* A file without a head uses its embedding, and its bias stands for itself: such a file is whole. */
            if (strcmp(name, "output.weight") != 0 && strcmp(name, "output.bias") != 0) assert_unmapped(&g, name, "");
            model_free(&g);

            as_gguf(&g, &m);
            smelt_shape shape = g.tensors[i].shape;
            shape.dim[shape.n - 1] += shape.n > 1 || smelt_dtype_get(g.tensors[i].dtype)->elems > 1 ? 32 : 1;
            uint64_t elems, bytes = 0;
            assert_true(shape_elems(&shape, &elems) && smelt_dtype_bytes(g.tensors[i].dtype, elems, &bytes));
            uint8_t *data = arena_calloc(&g.arena, bytes, 1);
            assert_int_equal(view_bytes(&g.arena, g.tensors[i].dtype, &shape, data, bytes, &g.tensors[i].view, NULL), SMELT_OK);
            g.tensors[i].shape = shape;
            if (g.tensors[i].view) assert_unmapped(&g, name, "");
            model_free(&g);
        }
        as_gguf(&g, &m);
        add_all(&g, "blk.0.strange.weight 2 2");
        assert_unmapped(&g, "a strange tensor", "blk.0.strange.weight");
        model_free(&g);
        model_free(&m);
    }
}

static void gguf_keys_that_make_no_sense_leave_the_file_unmapped(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *key;
        uint32_t value;
    } bad[] = {
        {QWEN2MOE, "qwen2moe.expert_count", 4294967295U},
        {QWEN2MOE, "qwen2moe.expert_count", 2000000000U},
        {QWEN2MOE, "qwen2moe.expert_count", 0},
        {QWEN2MOE, "qwen2moe.expert_count", 2},
        {GPTOSS, "gpt-oss.expert_count", 4294967295U},
        {GPTOSS, "gpt-oss.attention.key_length", 0},
        {FALCON, "falcon.attention.head_count", 0},
        {FALCON, "falcon.attention.head_count_kv", 3},
        {FALCON, "falcon.attention.head_count_kv", 8},
        {FALCON, "falcon.block_count", 4294967295U},
        {FALCON, "falcon.block_count", 1},
        {GPTNEOX, "gptneox.embedding_length", 4294967295U},
        {GPTNEOX, "gptneox.rope.dimension_count", 3},
        {GPTNEO, "gptneo.attention.sliding_window_pattern", 7},
        {QWEN, "qwen.feed_forward_length", 31},
        {QWEN2, "qwen2.attention.head_count_kv", 0},
    };
    const double start = seconds();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        smelt_model m, g;
        mapped(&m, bad[i].id, "", "");
        as_gguf(&g, &m);
        assert_true(meta_u32(&g.meta, bad[i].key, bad[i].value));
        assert_unmapped(&g, bad[i].key, "");
        model_free(&g);
        as_gguf(&g, &m);
        assert_true(meta_str(&g.meta, bad[i].key, "many", 4));
        assert_unmapped(&g, bad[i].key, bad[i].key);
        model_free(&g);
        model_free(&m);
    }
    assert_true(seconds() - start < 20);
    smelt_model m, g;
    mapped(&m, QWEN2, "", "");
    as_gguf(&g, &m);
    meta_remove(&g.meta, "qwen2.embedding_length");
    assert_unmapped(&g, "no hidden size", "qwen2.embedding_length");
    model_free(&g);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_come_back_from_gguf_unchanged),
        cmocka_unit_test(fused_queries_keys_and_values_land_where_they_belong),
        cmocka_unit_test(experts_are_stacked_from_either_layout),
        cmocka_unit_test(gpt_oss_has_its_pairs_in_turn_in_both_layouts),
        cmocka_unit_test(the_first_layout_of_yi_becomes_llama),
        cmocka_unit_test(the_first_layout_of_phi_becomes_phi2),
        cmocka_unit_test(gpt_oss_keeps_the_numbers_of_its_activation),
        cmocka_unit_test(every_family_reads_without_its_prefix),
        cmocka_unit_test(configurations_without_a_class_have_a_family),
        cmocka_unit_test(decoders_alone_use_their_embedding_as_the_head),
        cmocka_unit_test(all_misfits_stand_in_one_error),
        cmocka_unit_test(values_that_nothing_computes_are_refused),
        cmocka_unit_test(the_original_layout_of_gpt_oss_becomes_the_published_one),
        cmocka_unit_test(what_configurations_say_and_what_follows),
        cmocka_unit_test(the_rotary_share_of_a_gguf_gives_its_dimensions_again),
        cmocka_unit_test(absent_members_mean_what_the_configuration_class_says),
        cmocka_unit_test(misfits_are_listed_for_every_family),
        cmocka_unit_test(hostile_numbers_are_refused_at_once),
        cmocka_unit_test(gguf_files_that_do_not_fit_go_through_unmapped),
        cmocka_unit_test(gguf_keys_that_make_no_sense_leave_the_file_unmapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
