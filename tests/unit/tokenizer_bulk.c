#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tokenizer_bulk.h"
#include "scratch.h"

/* A text read by tok_bulk_load. */
typedef struct loaded {
    scratch dir;
    smelt_arena arena;
    json_t *root;
    tok_bulk bulk;
    smelt_err err;
    smelt_status st;
} loaded;

static void load(loaded *l, const char *text)
{
    *l = (loaded){0};
    assert_true(scratch_open(&l->dir));
    const char *path = scratch_write(&l->dir, "tokenizer.json", text, strlen(text));
    l->st = tok_bulk_load(path, 1 << 20, &l->arena, &l->root, &l->bulk, &l->err);
}

static void drop(loaded *l)
{
    json_decref(l->root);
    arena_free(&l->arena);
    scratch_close(&l->dir);
}

static bool in_place(const loaded *l)
{
    const json_t *model = json_object_get(l->root, "model");
    return !json_object_size(json_object_get(model, "vocab")) && !json_array_size(json_object_get(model, "merges"));
}

static void assert_text(smelt_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void words_and_merges_are_read_in_place(void **state)
{
    (void)state;
    loaded l;
    load(&l, "{\"version\": \"{[\\\"\", \"model\":{\"type\":\"BPE\", \"vocab\" : { \"a\":0, \"\\\"\\u00e9\\\\\": 12 ,\"}\":3},\n"
             "\"merges\":[[\"a\", \"b\"],[\"]\",\",\"]], \"end\":[1]}, \"vocab\":{\"z\":1}}");
    assert_int_equal(l.st, SMELT_OK);
    assert_true(in_place(&l));
    assert_int_equal(l.bulk.n_words, 3);
    assert_text(l.bulk.words[1].text, "\"\xC3\xA9\\");
    assert_int_equal(l.bulk.words[1].id, 12);
    assert_text(l.bulk.words[2].text, "}");
    assert_true(l.bulk.pairs);
    assert_int_equal(l.bulk.n_merges, 2);
    assert_text(l.bulk.merges[1].left, "]");
    assert_text(l.bulk.merges[1].right, ",");
    /* Nothing else is touched. */
    assert_string_equal(json_string_value(json_object_get(l.root, "version")), "{[\"");
    assert_int_equal(json_array_size(json_object_get(json_object_get(l.root, "model"), "end")), 1);
    assert_int_equal(json_object_size(json_object_get(l.root, "vocab")), 1);
    drop(&l);
}

static void merges_may_be_texts(void **state)
{
    (void)state;
    loaded l;
    load(&l, "{\"model\":{\"merges\":[\"a b\",\"c d\"],\"vocab\":{}}}");
    assert_int_equal(l.st, SMELT_OK);
    assert_true(in_place(&l) && !l.bulk.pairs);
    assert_text(l.bulk.merges[1].left, "c d");
    drop(&l);
}

static void what_is_unusual_goes_through_the_library(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t id;
    } cases[] = {
        {"{\"model\":{\"vocab\":{\"a\":1.0}}}", -1},
        {"{\"model\":{\"vocab\":{\"a\":12345678901}}}", 12345678901},
        {"{\"model\":{\"vocab\":{\"a\":-4}}}", -4},
        {"{\"model\":{\"vocab\":{\"a\":null}}}", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        load(&l, cases[i].text);
        assert_int_equal(l.st, SMELT_OK);
        assert_false(in_place(&l));
        assert_int_equal(l.bulk.n_words, 1);
        assert_text(l.bulk.words[0].text, "a");
        assert_int_equal(l.bulk.words[0].id, cases[i].id);
        drop(&l);
    }
}

static void mistakes_have_their_line_in_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"model\":{\"vocab\":{\"a\":1,\n\"b\" 2}}}", "line 2"},
        {"{\"model\":{\"vocab\":{\"a\":1,\n\"b\":02}}}", "line 2"},
        {"{\"model\":{\"vocab\":{\"a\":1},\n\n\"merges\":[\"a b\",]}}", "line 3"},
        {"{\"model\":{\"vocab\":{\"a\":1},\n\"vocab\":{\"b\":1}}}", "duplicate"},
        {"{\"model\":{\"vocab\":{\"a\":1},\n\"vocab\":{}}}", "duplicate"},
        {"{\"model\":{\"vocab\":{\"a\":1}},\n\"model\":{\"merges\":[\"a b\"]}}", "duplicate"},
        {"{\"model\":{\"vocab\":{\"a\\u0000\":1}}}", "NUL byte"},
        {"{\"model\":{\"vocab\":{\"a\nb\":1}}}", "unexpected newline"},
        {"{\"model\":{\"vocab\":{\"\xFF\":1}}}", "unable to decode byte"},
        {"{\"model\":{\"vocab\":{\"a\":1}", "end of file"},
        {"{\"model\":{\"vocab\":{\"a\":1}}}}", "end of file"},
        {"{\"model\":{\"merges\":[[\"a\",\"b\"],\"c d\"]}}", "merge 1 is not a pair of strings"},
        {"{\"model\":{\"merges\":[\"a b\",[\"a\",\"b\"]]}}", "merge 1 is not a string as the first one is"},
        {"{\"model\":{\"merges\":[[\"a\",\"b\",\"c\"]]}}", "merge 0 is not a pair of strings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        load(&l, cases[i].text);
        assert_int_equal(l.st, SMELT_E_CORRUPT);
        if (!strstr(l.err.text, cases[i].message)) fail_msg("case %zu: %s", i, l.err.text);
        drop(&l);
    }
}

/* Every beginning of a file is either refused or, when it is whole, read. */
static void a_file_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    static const char whole[] = "{\"model\":{\"vocab\":{\"a\":0,\"\\u0041\":1},\"merges\":[[\"a\",\"b\"]]}}";
    char part[sizeof whole];
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        loaded l;
        memcpy(part, whole, n);
        part[n] = 0;
        load(&l, part);
        assert_int_equal(l.st, SMELT_E_CORRUPT);
        drop(&l);
    }
}

static void a_vocabulary_may_be_a_file_of_its_own(void **state)
{
    (void)state;
    static const char *const texts[] = {" {\"a\":0,\"b\":1}\n", "{\"a\":0,\"b\":1.5}"};
    static const int64_t last[] = {1, -1};
    for (size_t i = 0; i < 2; i++) {
        scratch dir;
        smelt_arena arena = {0};
        json_t *root = NULL;
        tok_bulk bulk;
        assert_true(scratch_open(&dir));
        const char *path = scratch_write(&dir, "vocab.json", texts[i], strlen(texts[i]));
        assert_int_equal(tok_words_load(path, 1 << 20, &arena, &root, &bulk, NULL), SMELT_OK);
        assert_int_equal(bulk.n_words, 2);
        assert_text(bulk.words[1].text, "b");
        assert_int_equal(bulk.words[1].id, last[i]);
        path = scratch_write(&dir, "vocab.json", "{\"a\":0} x", 9);
        json_decref(root);
        assert_int_equal(tok_words_load(path, 1 << 20, &arena, &root, &bulk, NULL), SMELT_E_CORRUPT);
        path = scratch_write(&dir, "vocab.json", "[]", 2);
        assert_int_equal(tok_words_load(path, 1 << 20, &arena, &root, &bulk, NULL), SMELT_E_CORRUPT);
        json_decref(root);
        arena_free(&arena);
        scratch_close(&dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_merges_are_read_in_place),       cmocka_unit_test(merges_may_be_texts),
        cmocka_unit_test(what_is_unusual_goes_through_the_library), cmocka_unit_test(mistakes_have_their_line_in_the_file),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error),          cmocka_unit_test(a_vocabulary_may_be_a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
