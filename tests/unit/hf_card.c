/* The general.* keys of a Hugging Face directory: equal to those of llama.cpp's converter, and a hostile card costs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/json.h"
#include "formats/hf_card.h"
#include "scratch.h"

typedef struct card_case {
    const char *title;
    uint64_t total;
    const char *readme, *config, *generation, *want;
} card_case;

static const card_case cases[] = {
#include "hf_card_cases.inc"
};

static void put_text(smelt_buf *b, smelt_str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", (size_t)s.n);
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    assert_non_null(text);
    buf_printf(b, "%s", text);
    free(text);
    json_decref(v);
}

/* One line a key: strings and arrays of them as JSON, numbers with their type. */
static void print_meta(const smelt_meta *meta, smelt_buf *b)
{
    for (size_t i = 0; i < meta->count; i++) {
        const smelt_kv *kv = &meta->kv[i];
        buf_printf(b, "%s ", kv->key);
        if (kv->type == SMELT_KV_STR) {
            put_text(b, kv->v.s);
        } else if (kv->type == SMELT_KV_ARRAY) {
            assert_int_equal(kv->v.a.type, SMELT_KV_STR);
            const smelt_str *s = kv->v.a.data;
            for (uint64_t k = 0; k < kv->v.a.n; k++) {
                buf_u8(b, k ? ',' : '[');
                put_text(b, s[k]);
            }
            buf_u8(b, ']');
        } else if (kv->type == SMELT_KV_F32) {
            buf_printf(b, "F32 %.9g", kv->v.f);
        } else if (kv->type == SMELT_KV_I32) {
            buf_printf(b, "I32 %" PRId64, kv->v.i);
        } else {
            assert_int_equal(kv->type, SMELT_KV_U32);
            buf_printf(b, "U32 %" PRIu64, kv->v.u);
        }
        buf_u8(b, '\n');
    }
    buf_u8(b, 0);
    assert_false(b->failed);
}

static void remember(void *user, const char *text) { buf_printf(user, "%s\n", text); }

typedef struct card_result {
    smelt_buf keys, warnings;
    size_t used; /* bytes that the keys take */
} card_result;

static void derive_bytes(const card_case *c, size_t readme_size, card_result *out)
{
    smelt_model model;
    smelt_arena arena = {0};
    smelt_meta meta = {.arena = &arena};
    smelt_err err = {0};
    *out = (card_result){0};
    const smelt_ctx ctx = {.warn = remember, .user = &out->warnings};
    model_init(&model);
    model.path = "DIR";
    model.title = c->title;
    if (c->readme) assert_int_equal(model_side(&model, "README.md", c->readme, readme_size, &err), SMELT_OK);
    if (c->generation)
        assert_int_equal(model_side(&model, "generation_config.json", c->generation, strlen(c->generation), &err), SMELT_OK);
    if (c->config) {
        json_t *config;
        assert_int_equal(smelt_json_parse(c->config, strlen(c->config), "config.json", &config, &err), SMELT_OK);
        model.config = config;
    }
    assert_int_equal(hf_card_meta(&ctx, &model, c->total, &meta, &err), SMELT_OK);
    print_meta(&meta, &out->keys);
    buf_u8(&out->warnings, 0);
    out->used = arena.used;
    model_free(&model);
    arena_free(&arena);
}

static void derive(const card_case *c, card_result *out) { derive_bytes(c, c->readme ? strlen(c->readme) : 0, out); }

static void done(card_result *r)
{
    buf_free(&r->keys);
    buf_free(&r->warnings);
}

static void keys_equal_the_peers(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        card_result got;
        derive(&cases[i], &got);
        if (strcmp((const char *)got.keys.data, cases[i].want) != 0) {
            wrong++;
            print_error("'%s' %s %s\nexpected:\n%sgot:\n%s%s\n", cases[i].title, cases[i].config ? cases[i].config : "",
                        cases[i].readme ? cases[i].readme : "", cases[i].want, (const char *)got.keys.data,
                        (const char *)got.warnings.data);
        }
        done(&got);
    }
    assert_int_equal(wrong, 0);
}

#define NOTHING "general.type \"model\"\ngeneral.name \"M\"\n"

static void expect(const char *readme, const char *keys, const char *warning)
{
    card_result got;
    derive(&(card_case){.title = "m", .readme = readme}, &got);
    assert_string_equal((const char *)got.keys.data, keys);
    assert_string_equal((const char *)got.warnings.data, warning);
    done(&got);
}

#define IGNORED "DIR/README.md: the model card is ignored: "

static void an_unusable_card_is_ignored_with_a_warning(void **state)
{
    (void)state;
    expect("---\nname: [a\n---\n", NOTHING, IGNORED "line 3: did not find expected ',' or ']'\n");
    expect("---\nname: x\n bad: y\n---\n", NOTHING, IGNORED "line 3: mapping values are not allowed in this context\n");
    expect("---\nname: *a\n---\n", NOTHING, IGNORED "line 2: aliases are not supported\n");
    expect("---\nx: &a {name: b}\n<<: *a\n---\n", NOTHING, IGNORED "line 3: merge keys are not supported\n");
    expect("---\n? [a]\n: b\n---\n", NOTHING, IGNORED "line 2: a key is no plain text\n");
    expect("---\nname: !!python/object x\n---\n", NOTHING, IGNORED "line 2: a value has a tag that is not known\n");
    expect("---\nname: a\n...\nname: b\n---\n", NOTHING, IGNORED "line 4: did not find expected <document start>\n");
    expect("---\nname: a\n...\n--- b\n---\n", NOTHING, IGNORED "line 4: expected one document\n");
    expect("---\n- a\n---\n", NOTHING, IGNORED "line 2: expected keys with values\n");
    expect("---\nname: \xFF\n---\n", NOTHING, IGNORED "line 2: invalid leading UTF-8 octet\n");
    expect("---\nname: \"\\ud800\"\n---\n", NOTHING, IGNORED "line 2: found invalid Unicode character escape code\n");
}

/* The peer stops with an exception on these; what was spelled is the best that a reader of the file can get. */
static void scalars_that_are_no_text_count_as_spelled(void **state)
{
    (void)state;
    expect("---\nversion: 1.10\nauthor: 2024-01-31\ntags: [0x1F, yes, a, null, [b], {c: d}]\nlicense: [1, mit]\n---\n",
           "general.type \"model\"\ngeneral.name \"M\"\ngeneral.author \"2024-01-31\"\ngeneral.version \"1.10\"\n"
           "general.license \"1,mit\"\ngeneral.tags [\"0x1F\",\"yes\",\"a\"]\n",
           "");
    expect("---\nname: [a]\nbasename: {b: c}\n---\n", NOTHING, "");
}

static void aliases_where_nothing_is_used_do_no_harm(void **state)
{
    (void)state;
    expect("---\nmodel-index: &a [1]\nwidget: [*a, *a]\nlicense: mit\n---\n",
           "general.type \"model\"\ngeneral.name \"M\"\ngeneral.license \"mit\"\n", "");
}

static void text_of(smelt_buf *b, const char *head, const char *repeat, size_t times)
{
    buf_printf(b, "%s", head);
    for (size_t i = 0; i < times; i++)
        buf_put(b, repeat, strlen(repeat));
    buf_printf(b, "\n---\n");
    buf_u8(b, 0);
    assert_false(b->failed);
}

static void refused(const char *head, const char *repeat, size_t times, const char *keys, const char *warning)
{
    smelt_buf text = {0};
    text_of(&text, head, repeat, times);
    card_result got;
    derive(&(card_case){.title = "m", .readme = (const char *)text.data}, &got);
    assert_string_equal((const char *)got.keys.data, keys);
    assert_string_equal((const char *)got.warnings.data, warning);
    assert_true(got.used < 4096);
    done(&got);
    buf_free(&text);
}

static void hostile_cards_are_refused_and_cost_little(void **state)
{
    (void)state;
    refused("---\nx: ", "[", 65, NOTHING, IGNORED "line 2: nested too deep\n");
    refused("---\nx: ", "[\n", 100000, NOTHING, IGNORED "line 66: nested too deep\n");
    refused("---\nx: ", "{a: ", 100000, NOTHING, IGNORED "line 2: nested too deep\n");
    refused("---\ntags: ", "[", 100000, NOTHING, IGNORED "line 2: nested too deep\n");
    refused("---\ntags:\n", "- a\n", 65536, NOTHING, IGNORED "line 65537: too many values\n");
    refused("---\nname: ", "a", 2 << 20, NOTHING, IGNORED "it is longer than 2097152 bytes\n");
    refused("---\nname: a\n", "\n", 3 << 20, NOTHING, IGNORED "it is longer than 2097152 bytes\n");
    refused("---\nb: &b [x, x]\nc: &c [*b, *b]\ntags: ", "[*c, *c]", 1, NOTHING, IGNORED "line 4: aliases are not supported\n");
    refused("---\ndatasets:\n", "- a\n", 1025, NOTHING,
            "DIR/README.md: datasets has 1025 entries and is ignored, at most 1024 are taken\n");
    refused("a README without front matter ", "x", 5 << 20, NOTHING, "");
}

static void the_front_matter_ends_the_reading(void **state)
{
    (void)state;
    /* What lies behind may be anything, also beyond the limit. */
    smelt_buf text = {0};
    text_of(&text, "---\nlicense: mit\n---\n", "\xFF\x00: [", 1 << 20);
    card_result got;
    derive_bytes(&(card_case){.title = "m", .readme = (const char *)text.data}, text.size, &got);
    assert_string_equal((const char *)got.keys.data, "general.type \"model\"\ngeneral.name \"M\"\ngeneral.license \"mit\"\n");
    done(&got);
    buf_free(&text);
}

static void every_cut_of_a_card_is_survived(void **state)
{
    (void)state;
    static const char text[] =
        "---\nname: \"a\\u00e9\"\ntags:\n- x\n- 'y'\nbase_model: [org/b-7b, {name: q, url: &z r}]\nlicense: >\n f\n---\n";
    for (size_t n = 0; n < sizeof text; n++) {
        card_result got;
        derive_bytes(&(card_case){.title = "m", .readme = text}, n, &got);
        static const char start[] = "general.type \"model\"\ngeneral.name \"";
        assert_memory_equal(got.keys.data, start, sizeof start - 1);
        done(&got);
    }
}

static void an_unusable_generation_config_is_ignored_with_a_warning(void **state)
{
    (void)state;
    static const struct {
        const char *text, *warning;
    } bad[] = {
        {"{",
         "DIR/generation_config.json is ignored: the file is not valid JSON: string or '}' expected near end of file (line 1, column 1)\n"},
        {"[]", ""},
        {"{\"top_k\": 1.5}", "DIR/generation_config.json: the value of 'top_k' is ignored, it is no i32\n"},
        {"{\"top_k\": 2147483648}", "DIR/generation_config.json: the value of 'top_k' is ignored, it is no i32\n"},
        {"{\"temperature\": \"hot\"}", "DIR/generation_config.json: the value of 'temperature' is ignored, it is no f32\n"},
        {"{\"temperature\": 1e300}", "DIR/generation_config.json: the value of 'temperature' is ignored, it is no f32\n"},
        {"{\"sequence\": 5}", "DIR/generation_config.json: the value of 'sequence' is ignored, it is no str\n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        card_result got;
        derive(&(card_case){.title = "m", .generation = bad[i].text}, &got);
        assert_string_equal((const char *)got.keys.data, NOTHING);
        assert_string_equal((const char *)got.warnings.data, bad[i].warning);
        done(&got);
    }
}

static void a_directory_given_as_dot_has_its_real_name(void **state)
{
    (void)state;
    scratch s;
    smelt_model model;
    smelt_arena arena = {0};
    smelt_meta meta = {.arena = &arena};
    smelt_str name;
    assert_true(scratch_open(&s));
    model_init(&model);
    char dot[300];
    snprintf(dot, sizeof dot, "%s/.", s.dir);
    model.path = dot;
    model.title = ".";
    assert_int_equal(hf_card_meta(&(smelt_ctx){0}, &model, 0, &meta, NULL), SMELT_OK);
    assert_true(meta_get_str(&meta, "general.name", &name));
    assert_memory_equal(name.p, "Smelt Test", 10);
    model_free(&model);
    arena_free(&arena);
    scratch_close(&s);
}

static void a_name_that_is_no_utf8_gives_no_name(void **state)
{
    (void)state;
    card_result got;
    derive(&(card_case){.title = "x\xFF-7b"}, &got);
    assert_string_equal((const char *)got.keys.data, "general.type \"model\"\n");
    assert_string_equal((const char *)got.warnings.data, "the name of 'DIR' is no UTF-8 and gives the model no name\n");
    done(&got);
}

/* 8 experts of 3 x 2 x 5, twice, and 100 shared: the peer's size_label(580, 100, 60, 8) is 8x0.16K. */
static void experts_are_counted_once(void **state)
{
    (void)state;
    smelt_model model;
    smelt_arena arena = {0};
    smelt_meta meta = {.arena = &arena};
    smelt_str label;
    smelt_err err = {0};
    static const uint8_t zeros[8 * 3 * 2 * 5 * 4];
    static const struct {
        const char *name;
        smelt_shape shape;
    } tensors[] = {{"blk.0.ffn_up_exps.weight", {3, {8, 6, 5}}},
                   {"blk.0.ffn_down_exps.weight", {3, {8, 5, 6}}},
                   {"blk.0.ffn_down_exps.bias", {2, {8, 5}}},
                   {"blk.0.ffn_up.weight", {2, {6, 10}}}};
    model_init(&model);
    model.path = model.title = "plain";
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const smelt_view *view;
        uint64_t n;
        assert_true(shape_elems(&tensors[i].shape, &n));
        assert_int_equal(view_bytes(&model.arena, SMELT_DT_F32, &tensors[i].shape, zeros, n * 4, &view, &err), SMELT_OK);
        assert_int_equal(model_add(&model, tensors[i].name, strlen(tensors[i].name), view, NULL, 0, &err), SMELT_OK);
    }
    assert_int_equal(hf_card_meta(&(smelt_ctx){0}, &model, 580, &meta, &err), SMELT_OK);
    assert_true(meta_get_str(&meta, "general.size_label", &label));
    assert_true(str_eq(label, "8x0.16K"));
    model_free(&model);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_equal_the_peers),
        cmocka_unit_test(an_unusable_card_is_ignored_with_a_warning),
        cmocka_unit_test(scalars_that_are_no_text_count_as_spelled),
        cmocka_unit_test(aliases_where_nothing_is_used_do_no_harm),
        cmocka_unit_test(hostile_cards_are_refused_and_cost_little),
        cmocka_unit_test(the_front_matter_ends_the_reading),
        cmocka_unit_test(every_cut_of_a_card_is_survived),
        cmocka_unit_test(an_unusable_generation_config_is_ignored_with_a_warning),
        cmocka_unit_test(a_directory_given_as_dot_has_its_real_name),
        cmocka_unit_test(a_name_that_is_no_utf8_gives_no_name),
        cmocka_unit_test(experts_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
