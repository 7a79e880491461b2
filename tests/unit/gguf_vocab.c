#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "formats/gguf_vocab.h"

static smelt_str text[] = {{"<s>", 3}, {"</s>", 4}, {"a", 1}};
static float score[] = {0.0f, -1000.0f, -1.5f};
static int32_t type[] = {3, 3, 1};
static smelt_template templates[] = {{NULL, {"D", 1}}, {"tool", {"T", 1}}};

static void fill(smelt_vocab *v)
{
    vocab_init(v);
    v->kind = SMELT_VOCAB_SPM;
    v->pre = "default";
    v->n = 3;
    v->text = text;
    v->score = score;
    v->type = type;
    v->add_space_prefix = 1;
    v->special[SMELT_SP_EOS] = 1;
    v->special[SMELT_SP_BOS] = 0;
    v->special[SMELT_SP_CLS] = 0;
    v->add_special[SMELT_SP_BOS] = 0;
    v->templates = templates;
    v->n_templates = 2;
    vocab_fact(v, SMELT_FACT_SPECIAL, SMELT_SP_EOS);
    vocab_fact(v, SMELT_FACT_SPECIAL, SMELT_SP_BOS);
    vocab_fact(v, SMELT_FACT_SPECIAL, SMELT_SP_CLS);
    vocab_fact(v, SMELT_FACT_TEMPLATES, SMELT_SP_BOS);
    vocab_fact(v, SMELT_FACT_ADD, SMELT_SP_BOS);
}

/* The order and the types are those of llama.cpp's converter for a directory that says the same. */
static void keys_are_in_the_converters_order(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        smelt_kv_type type, of;
    } want[] = {
        {"tokenizer.ggml.add_space_prefix", SMELT_KV_BOOL, 0},
        {"tokenizer.ggml.model", SMELT_KV_STR, 0},
        {"tokenizer.ggml.pre", SMELT_KV_STR, 0},
        {"tokenizer.ggml.tokens", SMELT_KV_ARRAY, SMELT_KV_STR},
        {"tokenizer.ggml.scores", SMELT_KV_ARRAY, SMELT_KV_F32},
        {"tokenizer.ggml.token_type", SMELT_KV_ARRAY, SMELT_KV_I32},
        {"tokenizer.ggml.eos_token_id", SMELT_KV_U32, 0},
        {"tokenizer.ggml.bos_token_id", SMELT_KV_U32, 0},
        {"tokenizer.chat_template.tool", SMELT_KV_STR, 0},
        {"tokenizer.chat_templates", SMELT_KV_ARRAY, SMELT_KV_STR},
        {"tokenizer.chat_template", SMELT_KV_STR, 0},
        {"tokenizer.ggml.add_bos_token", SMELT_KV_BOOL, 0},
    };
    smelt_vocab v;
    smelt_model m;
    fill(&v);
    model_init(&m);
    assert_int_equal(gguf_vocab_put(&m, &m.meta, NULL), SMELT_OK);
    assert_int_equal(m.meta.count, 0);
    m.vocab = &v;
    assert_int_equal(gguf_vocab_put(&m, &m.meta, NULL), SMELT_OK);
    assert_int_equal(m.meta.count, sizeof want / sizeof *want);
    for (size_t i = 0; i < m.meta.count; i++) {
        assert_string_equal(m.meta.kv[i].key, want[i].key);
        assert_int_equal(m.meta.kv[i].type, want[i].type);
        if (want[i].type == SMELT_KV_ARRAY) assert_int_equal(m.meta.kv[i].v.a.type, want[i].of);
    }
    smelt_str s;
    assert_true(meta_get_str(&m.meta, "tokenizer.ggml.model", &s) && str_eq(s, "llama"));
    assert_true(meta_get_str(&m.meta, "tokenizer.chat_template", &s) && str_eq(s, "D"));
    model_free(&m);
}

static void keys_read_back(void **state)
{
    (void)state;
    smelt_vocab v;
    smelt_model m;
    fill(&v);
    model_init(&m);
    m.vocab = &v;
    assert_int_equal(gguf_vocab_put(&m, &m.meta, NULL), SMELT_OK);
    /* Arrays in a file may start anywhere. */
    uint8_t odd[13];
    memcpy(odd + 1, score, 12);
    ((smelt_kv *)(uintptr_t)meta_find(&m.meta, "tokenizer.ggml.scores"))->v.a.data = odd + 1;
    assert_int_equal(gguf_vocab_get(&m, NULL), SMELT_OK);
    const smelt_vocab *b = m.vocab;
    assert_ptr_not_equal(b, &v);
    assert_int_equal(b->kind, SMELT_VOCAB_SPM);
    assert_int_equal(b->n, 3);
    assert_memory_equal(b->score, score, sizeof score);
    assert_memory_equal(b->type, type, sizeof type);
    assert_int_equal(b->special[SMELT_SP_EOS], 1);
    assert_int_equal(b->special[SMELT_SP_UNK], -1);
    assert_int_equal(b->add_special[SMELT_SP_BOS], 0);
    assert_int_equal(b->add_special[SMELT_SP_EOS], -1);
    assert_int_equal(b->n_templates, 2);
    assert_null(b->templates[0].name);
    assert_string_equal(b->templates[1].name, "tool");
    assert_int_equal(b->facts[0].special, SMELT_SP_EOS);
    model_free(&m);
}

static smelt_status get(const smelt_kv *kv, const smelt_vocab **out, smelt_err *err)
{
    static smelt_model m;
    static smelt_vocab v;
    model_free(&m);
    model_init(&m);
    fill(&v);
    m.vocab = &v;
    *err = (smelt_err){0};
    assert_int_equal(gguf_vocab_put(&m, &m.meta, NULL), SMELT_OK);
    assert_true(meta_set(&m.meta, kv));
    smelt_status st = gguf_vocab_get(&m, err);
    *out = m.vocab;
    return st;
}

static void other_kinds_stay_keys_and_contradictions_are_errors(void **state)
{
    (void)state;
    const smelt_vocab *v;
    smelt_err err;
    static int32_t two[] = {1, 1};
    static const smelt_kv wordpiece = {.key = "tokenizer.ggml.model", .type = SMELT_KV_STR, .v.s = {"bert", 4}};
    static const smelt_kv far = {.key = "tokenizer.ggml.bos_token_id", .type = SMELT_KV_U32, .v.u = 3};
    static const smelt_kv length = {.key = "tokenizer.ggml.token_type", .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_I32, 2, two}};
    static const smelt_kv kind = {.key = "tokenizer.ggml.scores", .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_I32, 2, two}};
    static const smelt_kv scalar = {.key = "tokenizer.ggml.tokens", .type = SMELT_KV_U32, .v.u = 3};
    static const smelt_kv none = {.key = "tokenizer.ggml.tokens", .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_STR, 0, NULL}};
    assert_int_equal(get(&wordpiece, &v, &err), SMELT_OK);
    assert_null(v);
    assert_int_equal(get(&none, &v, &err), SMELT_OK);
    assert_null(v);
    assert_int_equal(get(&far, &v, &err), SMELT_OK);
    assert_int_equal(v->special[SMELT_SP_BOS], -1);
    assert_int_equal(get(&length, &v, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.text, "2 entries for 3 tokens"));
    assert_int_equal(get(&kind, &v, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.text, "array of f32"));
    assert_int_equal(get(&scalar, &v, &err), SMELT_E_CORRUPT);
    assert_null(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_in_the_converters_order),
        cmocka_unit_test(keys_read_back),
        cmocka_unit_test(other_kinds_stay_keys_and_contradictions_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
