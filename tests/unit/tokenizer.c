#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tiktoken.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_source.h"

/* Expected ids and texts are what the `tokenizers` package (0.23.3) gives for the same tokenizer.json. */

typedef struct fixture {
    smelt_arena arena;
    json_t *json;
    smelt_tok *tok;
    smelt_tok_state *state;
    smelt_err err;
} fixture;

static smelt_status make(fixture *f, const char *text)
{
    smelt_tok_desc desc;
    *f = (fixture){0};
    smelt_status st = smelt_json_parse(text, strlen(text), "tokenizer.json", &f->json, &f->err);
    tok_bulk bulk;
    if (st == SMELT_OK) st = tok_bulk_of(f->json, &f->arena, &bulk, &f->err);
    if (st == SMELT_OK) st = tokenizer_json_desc(&f->arena, f->json, &bulk, &desc, &f->err);
    if (st == SMELT_OK) st = tok_new(&desc, &f->tok, &f->err);
    if (st == SMELT_OK) st = tok_state_new(f->tok, &f->state, &f->err);
    return st;
}

static void drop(fixture *f)
{
    tok_state_free(f->state);
    tok_free(f->tok);
    json_decref(f->json);
    arena_free(&f->arena);
}

/* The ids as "1 2 3". */
static const char *encode(fixture *f, const char *text, size_t n, unsigned flags)
{
    static char out[4096];
    smelt_buf ids = {0};
    out[0] = 0;
    assert_int_equal(tok_encode(f->tok, f->state, text, n, flags, &ids, &f->err), SMELT_OK);
    for (size_t i = 0, at = 0; i < ids.size / 4 && at + 16 < sizeof out; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, i ? " %d" : "%d", ((const int32_t *)(const void *)ids.data)[i]);
    buf_free(&ids);
    return out;
}
#define IDS(f, text) encode((f), (text), sizeof(text) - 1, 0)

/* What decoding the encoded text gives. */
static void assert_back(fixture *f, const char *text, size_t n, const char *want, size_t want_n)
{
    smelt_buf ids = {0}, back = {0};
    assert_int_equal(tok_encode(f->tok, f->state, text, n, 0, &ids, &f->err), SMELT_OK);
    assert_int_equal(tok_decode(f->tok, (const int32_t *)(const void *)ids.data, ids.size / 4, 0, &back, &f->err), SMELT_OK);
    assert_int_equal(back.size, want_n);
    assert_memory_equal(back.data ? (const char *)back.data : "", want, want_n);
    buf_free(&ids);
    buf_free(&back);
}

#define TOKEN(id, text, flags) "{\"id\":" #id ",\"content\":\"" text "\"" flags "}"
#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"}"
#define ABC \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\\u0120\":3,\"ab\":4,\"bc\":5,\"\\u0120a\":6,\"abc\":7,\"\\u00c3\":8," \
    "\"\\u00a9\":9,\"\\u00c3\\u00a9\":10,\"\\u00ff\":11},\"merges\":[[\"b\",\"c\"],[\"a\",\"b\"],[\"\\u0120\",\"a\"],[\"a\",\"bc\"],[\"\\u00c3\"," \
    "\"\\u00a9\"]]}"

static void merges_go_by_rank_and_from_the_left(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(make(&f, "{" BYTES "," ABC "}"), SMELT_OK);
    assert_string_equal(IDS(&f, "ab"), "4");
    assert_string_equal(IDS(&f, "abc"), "7"); /* bc first, and then a */
    assert_string_equal(IDS(&f, "abab"), "4 4");
    assert_string_equal(IDS(&f, "aabc abc"), "0 7 6 5");
    assert_string_equal(IDS(&f, ""), "");
    drop(&f);
}

static void a_long_piece_is_merged_like_a_short_one(void **state)
{
    (void)state;
    fixture f;
    char text[600];
    assert_int_equal(make(&f, "{" BYTES "," ABC "}"), SMELT_OK);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abc"[i % 3];
    smelt_buf ids = {0};
    assert_int_equal(tok_encode(f.tok, f.state, text, sizeof text, 0, &ids, &f.err), SMELT_OK);
    assert_int_equal(ids.size / 4, 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(((const int32_t *)(const void *)ids.data)[i], 7);
    buf_free(&ids);
    drop(&f);
}

static void a_pair_that_has_changed_is_not_merged_by_its_old_rank(void **state)
{
    (void)state;
    fixture f;
    char text[404];
    assert_int_equal(
        make(&f, "{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"bc\":4,\"ab\":5,\"bcd\":6,"
                 "\"abc\":7,\"aa\":8},\"merges\":[[\"b\",\"c\"],[\"a\",\"b\"],[\"bc\",\"d\"],[\"a\",\"bc\"],[\"a\",\"a\"]]}}"),
        SMELT_OK);
    assert_string_equal(IDS(&f, "abcd"), "0 6");
    assert_string_equal(IDS(&f, "aaa"), "8 0"); /* the leftmost of equals */
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abcd"[i % 4];
    smelt_buf ids = {0};
    assert_int_equal(tok_encode(f.tok, f.state, text, sizeof text, 0, &ids, &f.err), SMELT_OK);
    assert_int_equal(ids.size / 4, 202);
    for (size_t i = 0; i < 202; i++)
        assert_int_equal(((const int32_t *)(const void *)ids.data)[i], i % 2 ? 6 : 0);
    ids.size = 0;
    memset(text, 'a', 101);
    assert_int_equal(tok_encode(f.tok, f.state, text, 101, 0, &ids, &f.err), SMELT_OK);
    assert_int_equal(ids.size / 4, 51);
    for (size_t i = 0; i < 51; i++)
        assert_int_equal(((const int32_t *)(const void *)ids.data)[i], i < 50 ? 8 : 0);
    buf_free(&ids);
    drop(&f);
}

static void bytes_that_are_no_utf8_come_back_from_a_byte_level_tokenizer(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(make(&f, "{" BYTES "," ABC "}"), SMELT_OK);
    assert_string_equal(IDS(&f, "a\xFF\xC3\xA9"), "0 11 10");
    assert_back(&f, "a\xFF\xC3\xA9\xC3", 5, "a\xFF\xC3\xA9\xC3", 5);
    drop(&f);
}

static void added_tokens_take_spaces_and_stand_alone_as_they_say(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(
        make(&f, "{\"added_tokens\":[" TOKEN(12, "<x>", ",\"special\":true,\"lstrip\":true,\"rstrip\":true") "," TOKEN(
                     13, "<x", ",\"special\":true") "," TOKEN(14, "bb", ",\"single_word\":true") "]," BYTES "," ABC "}"),
        SMELT_OK);
    assert_string_equal(IDS(&f, "a <x> \n b"), "0 12 1");
    assert_string_equal(IDS(&f, "a<x"), "0 13");
    assert_string_equal(IDS(&f, "<x>  <x>"), "12 12"); /* both want the spaces */
    assert_string_equal(IDS(&f, "bb abb bb"), "14 3 4 1 3 14");
    assert_string_equal(encode(&f, "<x>a", 4, SMELT_TOK_LITERAL), "0"); /* <, x and > have no tokens and no unk */
    drop(&f);
}

static void normalised_tokens_are_found_in_normalised_text(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(
        make(&f, "{\"added_tokens\":[" TOKEN(12, "\\u00e9\\u00e9",
                                             ",\"normalized\":true") "],\"normalizer\":{\"type\":\"NFC\"}," BYTES "," ABC "}"),
        SMELT_OK);
    assert_string_equal(IDS(&f, "e\xCC\x81"), "10");
    assert_string_equal(IDS(&f, "e\xCC\x81\xC3\xA9"
                                "a"),
                        "12 0");
    drop(&f);
}

static void a_template_stands_around_the_text(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(
        make(
            &f,
            "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"B\"}},{\"Sequence\":{\"id\":\"A\"}},"
            "{\"SpecialToken\":{\"id\":\"E\"}}],\"special_tokens\":{\"B\":{\"ids\":[1]},\"E\":{\"ids\":[2,2]}}}," BYTES "," ABC
            "}"),
        SMELT_OK);
    assert_string_equal(encode(&f, "a", 1, SMELT_TOK_ADD_SPECIAL), "1 0 2 2");
    assert_string_equal(encode(&f, "a", 1, 0), "0");
    drop(&f);
}

#define LLAMA2 \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{" \
    "\"String\":\" \"},\"content\":\"\\u2581\"}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":" \
    "\"\\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}," \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<0xC3>\":1,\"<0xA9>\":2," \
    "\"\\u2581\":3,\"a\":4,\"\\u2581a\":5},\"merges\":[\"\\u2581 a\"]}"

static void characters_without_a_token_fall_back_to_bytes_or_unk(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(make(&f, "{" LLAMA2 "}"), SMELT_OK);
    assert_string_equal(IDS(&f, "a a"), "5 5");
    assert_string_equal(IDS(&f, "a\xC3\xA9"), "5 1 2");
    assert_string_equal(IDS(&f, "zz a"), "3 0 5");
    assert_back(&f, "a \xC3\xA9  a", 7, "a \xC3\xA9  a", 7);
    drop(&f);
}

static void unigram_takes_the_best_path(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(
        make(
            &f,
            "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\"b\",-1],[\"ab\",-1.5],[\"abc\",-9]]},"
            "\"decoder\":{\"type\":\"Fuse\"}}"),
        SMELT_OK);
    assert_string_equal(IDS(&f, "ab"), "3");
    assert_string_equal(IDS(&f, "abc"), "4");
    assert_string_equal(IDS(&f, "bbxxa"), "2 2 0 1");
    drop(&f);
}

static void classes_are_those_of_unicode_16(void **state)
{
    (void)state;
    /* U+1C89 is a letter since Unicode 16; U+180E is no space; \s knows U+0085. */
    static const char head[] =
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"invert\":false,\"pattern\":{\"Regex\":\"";
    static const char tail[] =
        "\"}},\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"vocab\":{\"u\":0},\"merges\":[]}}";
    static const struct {
        const char *pattern, *text, *ids;
    } cases[] = {
        {"\\\\p{L}", "\xE1\xB2\x89", ""},
        {"[^\\\\p{L}]", "\xE1\xB2\x89", "0"},
        {"\\\\P{L}", "\xE1\xB2\x89", "0"},
        {"\\\\s", "\xE1\xA0\x8E", "0"},
        {"\\\\s", "\xC2\x85", ""},
        {"(?i:s)", "\xC5\xBF", ""}, /* long s */
        {"[a[bc]d]", "abcd", ""},   /* a class inside a class */
        {"x{1,2}+y", "xxxxy", ""},  /* {1,2}+ repeats; it is not possessive */
        {"a$", "a\nb", "0 0"},      /* $ is the end of a line */
        {".", "\r", ""},
        {"9\\\\b", "9\xCC\xB8", "0 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[2048];
        fixture f;
        snprintf(json, sizeof json, "%s%s%s", head, cases[i].pattern, tail);
        assert_int_equal(make(&f, json), SMELT_OK);
        assert_string_equal(encode(&f, cases[i].text, strlen(cases[i].text), 0), cases[i].ids);
        drop(&f);
    }
}

static void what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        smelt_status st;
    } cases[] = {
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", SMELT_E_UNSUPPORTED},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\"]]}}", SMELT_E_CORRUPT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", SMELT_E_CORRUPT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", SMELT_E_CORRUPT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}}", SMELT_E_CORRUPT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}", SMELT_E_CORRUPT},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":3,\"vocab\":[[\"a\",0]]}}", SMELT_E_CORRUPT},
        {"{\"normalizer\":{\"type\":\"BertNormalizer\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         SMELT_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(\"}},\"model\":{\"type\":\"BPE\",\"vocab\":{"
         "\"a\":0},\"merges\":[]}}",
         SMELT_E_UNSUPPORTED},
        {"{\"added_tokens\":[{\"id\":99999999,\"content\":\"x\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         SMELT_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        assert_int_equal(make(&f, cases[i].json), cases[i].st);
        assert_true(f.err.text[0]);
        drop(&f);
    }
}

/* Anything quadratic takes hours here, and ctest's limit ends it. */
static void a_megabyte_of_one_letter_takes_no_minutes(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    /* the last ones: marks that canonical order moves */
    static const char *const units[] = {
        "a", " ", "\n", "ab", "\xC3\xA9", "\xFF", "1", "<x", "\xCC\x81\xCC\xA7", "\xCC\xA7\xCC\x81\xCC\x9B"};
    fixture f;
    assert_int_equal(make(&f, "{\"added_tokens\":[" TOKEN(12, "<x>", "") "],\"normalizer\":{\"type\":\"NFC\"}," BYTES "," ABC "}"),
                     SMELT_OK);
    smelt_buf text = {0};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        smelt_buf ids = {0};
        for (text.size = 0; text.size < N;)
            buf_put(&text, units[i], strlen(units[i]));
        assert_int_equal(tok_encode(f.tok, f.state, (const char *)text.data, text.size, 0, &ids, &f.err), SMELT_OK);
        buf_free(&ids);
    }
    buf_free(&text);
    drop(&f);
}

static void a_text_cannot_be_made_to_grow_without_end(void **state)
{
    (void)state;
    char many[1001], step[1200], json[4096];
    memset(many, 'a', 1000);
    many[1000] = 0;
    snprintf(step, sizeof step, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%s\"}", many);
    snprintf(json, sizeof json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s,%s,%s]}," BYTES "," ABC "}", step, step,
             step);
    fixture f;
    smelt_buf ids = {0};
    assert_int_equal(make(&f, json), SMELT_OK);
    assert_int_equal(tok_encode(f.tok, f.state, "b", 1, 0, &ids, &f.err), SMELT_OK);
    assert_int_equal(tok_encode(f.tok, f.state, "a", 1, 0, &ids, &f.err), SMELT_E_LIMIT);
    f.err = (smelt_err){0};
    assert_int_equal(tok_encode(f.tok, f.state, "b", 1, 0, &ids, &f.err), SMELT_OK); /* and goes on working */
    assert_int_equal(ids.size, 8);
    buf_free(&ids);
    drop(&f);
}

static void a_tiktoken_file_is_read_by_its_name(void **state)
{
    (void)state;
    static const char file[] = "YQ== 0\nYg== 1\nYWI= 2\n4pyT 3\n"; /* a, b, ab, U+2713 */
    smelt_arena arena = {0};
    smelt_tok_desc desc;
    fixture f = {0};
    assert_int_equal(tiktoken_desc(&arena, "qwen.tiktoken", file, sizeof file - 1, &desc, &f.err), SMELT_OK);
    assert_int_equal(tok_new(&desc, &f.tok, &f.err), SMELT_OK);
    assert_int_equal(tok_state_new(f.tok, &f.state, &f.err), SMELT_OK);
    assert_string_equal(IDS(&f, "abb<|im_start|>\xE2\x9C\x93<|extra_204|>"), "2 1 5 3 211");
    drop(&f);
    arena_free(&arena);
    smelt_err err = {0};
    smelt_arena again = {0};
    assert_int_equal(tiktoken_desc(&again, "other.tiktoken", file, sizeof file - 1, &desc, &err), SMELT_E_UNSUPPORTED);
    assert_int_equal(tiktoken_desc(&again, "qwen.tiktoken", "YQ 9\n", 5, &desc, NULL), SMELT_E_CORRUPT);
    assert_int_equal(tiktoken_desc(&again, "qwen.tiktoken", "YQ==\n", 5, &desc, NULL), SMELT_E_CORRUPT);
    arena_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank_and_from_the_left),
        cmocka_unit_test(a_long_piece_is_merged_like_a_short_one),
        cmocka_unit_test(a_pair_that_has_changed_is_not_merged_by_its_old_rank),
        cmocka_unit_test(bytes_that_are_no_utf8_come_back_from_a_byte_level_tokenizer),
        cmocka_unit_test(added_tokens_take_spaces_and_stand_alone_as_they_say),
        cmocka_unit_test(normalised_tokens_are_found_in_normalised_text),
        cmocka_unit_test(a_template_stands_around_the_text),
        cmocka_unit_test(characters_without_a_token_fall_back_to_bytes_or_unk),
        cmocka_unit_test(unigram_takes_the_best_path),
        cmocka_unit_test(classes_are_those_of_unicode_16),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(a_megabyte_of_one_letter_takes_no_minutes),
        cmocka_unit_test(a_text_cannot_be_made_to_grow_without_end),
        cmocka_unit_test(a_tiktoken_file_is_read_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
