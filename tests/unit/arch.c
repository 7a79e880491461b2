/* The llama family: names, shapes and configuration, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"

/* A model of two layers: hidden 8, 4 heads on 2 key/value heads of size 2, feed-forward 12, vocabulary 5. */
static const char *const layer_names[] = {
    "input_layernorm.weight",  "self_attn.q_proj.weight", "self_attn.k_proj.weight",
    "self_attn.v_proj.weight", "self_attn.o_proj.weight", "mlp.gate_proj.weight",
    "mlp.up_proj.weight",      "mlp.down_proj.weight",    "post_attention_layernorm.weight",
};
static const uint64_t layer_shapes[][2] = {{8, 0}, {8, 8}, {4, 8}, {4, 8}, {8, 8}, {12, 8}, {12, 8}, {8, 12}, {8, 0}};
static float values[512];

static void add(smelt_model *m, const char *name, uint64_t rows, uint64_t cols)
{
    const smelt_view *v;
    smelt_shape s = {.n = cols ? 2 : 1, .dim = {rows, cols}};
    assert_int_equal(view_bytes(&m->arena, SMELT_DT_F32, &s, values, rows * (cols ? cols : 1) * 4, &v, NULL), SMELT_OK);
    assert_int_equal(model_add(m, name, strlen(name), v, "file", 0, NULL), SMELT_OK);
}

static void config(smelt_model *m, const char *extra)
{
    smelt_buf b = {0};
    buf_printf(
        &b,
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 8, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
        "\"num_hidden_layers\": 2, \"intermediate_size\": 12, \"vocab_size\": 5%s}",
        extra);
    json_t *c = NULL;
    assert_int_equal(smelt_json_parse((const char *)b.data, b.size, "test", &c, NULL), SMELT_OK);
    m->config = c;
    buf_free(&b);
}

static void make(smelt_model *m, const char *prefix, const char *extra)
{
    model_init(m);
    for (size_t i = 0; i < 512; i++)
        values[i] = (float)i;
    char name[128];
    snprintf(name, sizeof name, "%sembed_tokens.weight", prefix);
    add(m, name, 5, 8);
    for (int l = 0; l < 2; l++)
        for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
            snprintf(name, sizeof name, "%slayers.%d.%s", prefix, l, layer_names[i]);
            add(m, name, layer_shapes[i][0], layer_shapes[i][1]);
        }
    snprintf(name, sizeof name, "%snorm.weight", prefix);
    add(m, name, 8, 0);
    config(m, extra);
}

static const smelt_ctx ctx;

static void names_become_canonical_and_go_back(void **state)
{
    (void)state;
    smelt_model m;
    make(&m, "model.", ", \"tie_word_embeddings\": true");
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    const smelt_tensor *t = model_find(&m, "blk.1.ffn_down.weight");
    assert_non_null(t);
    assert_int_equal(t->role, SMELT_R_FFN_DOWN);
    assert_int_equal(t->layer, 1);
    assert_string_equal(t->origin, "model.layers.1.mlp.down_proj.weight");
    smelt_model out;
    model_init(&out);
    assert_int_equal(arch_project_hf(&ctx, &m, &out, NULL), SMELT_OK);
    assert_non_null(model_find(&out, "model.layers.1.mlp.down_proj.weight"));
    assert_int_equal(out.n_tensors, m.n_tensors);
    model_free(&out);
    model_free(&m);
}

static void the_prefix_of_a_bare_decoder_may_be_absent(void **state)
{
    (void)state;
    smelt_model m;
    make(&m, "", ", \"tie_word_embeddings\": true");
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    assert_non_null(model_find(&m, "token_embd.weight"));
    model_free(&m);
}

static void gguf_stores_q_in_rope_pairs(void **state)
{
    (void)state;
    smelt_model m;
    make(&m, "model.", ", \"tie_word_embeddings\": true, \"head_dim\": 2");
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    /* One head of the key has 2 rows, so pairs and halves are the same there; use a head of 4 rows. */
    m.hp.v[SMELT_HP_HEADS] = 2;
    smelt_model out;
    model_init(&out);
    m.hp.v[SMELT_HP_KV_HEADS] = 1;
    assert_int_equal(arch_project_gguf(&m, &out, NULL), SMELT_OK);
    const smelt_view *v = model_find(&out, "blk.0.attn_q.weight")->view;
    float row[8];
    static const float first[] = {0, 16, 8, 24, 32, 48, 40, 56}; /* first value of rows 0,2,1,3 | 4,6,5,7 of 8 columns */
    for (uint64_t r = 0; r < 8; r++) {
        view_read(v, r, 0, 8, row);
        assert_true(row[0] == first[r]);
    }
    model_free(&out);
    model_free(&m);
}

static void all_misfits_are_in_one_error(void **state)
{
    (void)state;
    smelt_model m;
    smelt_err err = {0};
    make(&m, "model.", ", \"tie_word_embeddings\": false, \"attention_bias\": true");
    add(&m, "model.layers.0.self_attn.sinks", 4, 0);
    add(&m, "model.layers.7.mlp.up_proj.weight", 12, 8);
    m.tensors[0].shape.dim[0] = 4;
    assert_int_equal(arch_from_hf(&ctx, &m, &err), SMELT_E_MISMATCH);
    assert_non_null(strstr(err.text, "9 missing, 2 unexpected, 1 of the wrong shape"));
    assert_non_null(strstr(err.text, "missing: lm_head.weight"));
    assert_non_null(strstr(err.text, "missing: model.layers.1.self_attn.k_proj.bias"));
    assert_non_null(strstr(err.text, "unexpected: model.layers.0.self_attn.sinks"));
    assert_non_null(strstr(err.text, "unexpected: model.layers.7.mlp.up_proj.weight"));
    assert_non_null(strstr(err.text, "model.embed_tokens.weight is [4, 8], the configuration says [5, 8]"));
    model_free(&m);
}

static void old_and_new_spellings_of_rope_mean_the_same(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        ", \"tie_word_embeddings\": true, \"rope_theta\": 500000.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}",
        ", \"tie_word_embeddings\": true, \"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"linear\", \"factor\": 4.0}",
    };
    for (size_t i = 0; i < 2; i++) {
        smelt_model m;
        smelt_meta meta = {0};
        make(&m, "model.", spellings[i]);
        meta.arena = &m.arena;
        assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
        assert_int_equal(arch_gguf_keys(&m, 1, &meta, NULL), SMELT_OK);
        double v;
        smelt_str s;
        assert_true(meta_get_f64(&meta, "llama.rope.freq_base", &v) && v == 500000.0);
        assert_true(meta_get_f64(&meta, "llama.rope.scaling.factor", &v) && v == 4.0);
        assert_true(meta_get_str(&meta, "llama.rope.scaling.type", &s) && str_eq(s, "linear"));
        assert_null(meta_find(&meta, "llama.rope.scaling.original_context_length"));
        model_free(&m);
    }
}

/* Values from torch in float32, by the formula of transformers: base 500000, 64 dimensions, factor 8. */
static void llama3_scaling_gives_the_peers_factors(void **state)
{
    (void)state;
    static const float middle[] = {0x1.8dac94p+0F, 0x1.58e65cp+1F, 0x1.50780cp+2F};
    static const uint64_t shapes[][2] = {{8, 0}, {64, 8}, {64, 8}, {64, 8}, {8, 64}, {12, 8}, {12, 8}, {8, 12}, {8, 0}};
    smelt_model m;
    model_init(&m);
    add(&m, "model.embed_tokens.weight", 5, 8);
    for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
        char name[128];
        snprintf(name, sizeof name, "model.layers.0.%s", layer_names[i]);
        add(&m, name, shapes[i][0], shapes[i][1]);
    }
    add(&m, "model.norm.weight", 8, 0);
    config(
        &m,
        ", \"tie_word_embeddings\": true, \"head_dim\": 64, \"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
        "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}");
    json_object_set_new(m.config, "num_hidden_layers", json_integer(1));
    json_object_set_new(m.config, "num_attention_heads", json_integer(1));
    json_object_set_new(m.config, "num_key_value_heads", json_integer(1));
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    assert_string_equal(m.tensors[0].name, "rope_freqs.weight");
    float f[32];
    view_read(m.tensors[0].view, 0, 0, 32, f);
    for (size_t i = 0; i < 32; i++)
        assert_true(f[i] == (i < 15 ? 1 : i < 18 ? middle[i - 15] : 8));
    model_free(&m);
}

static void numbers_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        ", \"num_hidden_layers\": 2000000000",
        ", \"num_attention_heads\": 0",
        ", \"num_key_value_heads\": -1",
        ", \"hidden_size\": 1e300",
        ", \"hidden_size\": \"8\"",
        ", \"rope_theta\": \"x\"",
        ", \"rope_scaling\": {\"type\": \"magic\"}",
        ", \"tie_word_embeddings\": 1",
        ", \"head_dim\": 0.5",
        ", \"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"tie_word_embeddings\": true",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        smelt_model m;
        smelt_err err = {0};
        model_init(&m);
        make(&m, "model.", "");
        json_t *patch = NULL, *root = m.config;
        char text[256];
        snprintf(text, sizeof text, "{%s}", bad[i] + 2);
        assert_int_equal(smelt_json_parse(text, strlen(text), "patch", &patch, NULL), SMELT_OK);
        json_object_update(root, patch);
        json_decref(patch);
        assert_int_not_equal(arch_from_hf(&ctx, &m, &err), SMELT_OK);
        assert_int_equal(smelt_status_exit_code(err.code), 3);
        model_free(&m);
    }
}

static void an_unknown_class_is_no_error_but_says_why(void **state)
{
    (void)state;
    smelt_model m;
    make(&m, "model.", "");
    json_object_set_new(m.config, "architectures", json_pack("[s]", "FancyForCausalLM"));
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    assert_null(m.arch);
    assert_non_null(strstr(m.unmapped, "FancyForCausalLM"));
    model_free(&m);
}

static void canonical_names_parse_back(void **state)
{
    (void)state;
    smelt_role role;
    smelt_part part;
    int layer;
    assert_true(role_parse("blk.12.attn_q.bias", &role, &part, &layer));
    assert_true(role == SMELT_R_ATTN_Q && part == SMELT_PART_BIAS && layer == 12);
    assert_true(role_parse("output.weight", &role, &part, &layer));
    assert_true(role == SMELT_R_OUTPUT && layer == -1);
    assert_false(role_parse("blk.01.attn_q.weight", &role, &part, &layer));
    assert_false(role_parse("blk.99999999.attn_q.weight", &role, &part, &layer));
    assert_false(role_parse("blk..attn_q.weight", &role, &part, &layer));
}

static void a_config_made_from_hyperparameters_reads_back(void **state)
{
    (void)state;
    smelt_model m, again;
    make(&m, "model.",
         ", \"tie_word_embeddings\": true, \"rms_norm_eps\": 1e-05, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}");
    assert_int_equal(arch_from_hf(&ctx, &m, NULL), SMELT_OK);
    json_decref(m.config);
    m.config = NULL;
    json_t *made = NULL;
    assert_int_equal(arch_config(&m, "bfloat16", &made, NULL), SMELT_OK);
    make(&again, "model.", "");
    json_decref(again.config);
    again.config = made;
    assert_int_equal(arch_from_hf(&ctx, &again, NULL), SMELT_OK);
    for (int i = 0; i < SMELT_HP_COUNT; i++) {
        assert_int_equal(m.hp.set[i], again.hp.set[i]);
        assert_true(m.hp.v[i] == again.hp.v[i]);
    }
    assert_string_equal(json_string_value(json_object_get(made, "model_type")), "llama");
    model_free(&m);
    model_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_canonical_and_go_back),
        cmocka_unit_test(the_prefix_of_a_bare_decoder_may_be_absent),
        cmocka_unit_test(gguf_stores_q_in_rope_pairs),
        cmocka_unit_test(all_misfits_are_in_one_error),
        cmocka_unit_test(old_and_new_spellings_of_rope_mean_the_same),
        cmocka_unit_test(llama3_scaling_gives_the_peers_factors),
        cmocka_unit_test(numbers_that_make_no_sense_are_refused),
        cmocka_unit_test(an_unknown_class_is_no_error_but_says_why),
        cmocka_unit_test(canonical_names_parse_back),
        cmocka_unit_test(a_config_made_from_hyperparameters_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
