#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vocab/pretoken.h"

/* A vocabulary for the tests: tokens between bars. */
static bool listed(const void *user, const char *text, size_t n)
{
    const char *all = user;
    for (const char *p = all; (p = memmem(p, strlen(p), text, n)); p++)
        if (p > all && p[-1] == '|' && p[n] == '|') return true;
    return false;
}

static const char *match(const char *steps, const char *normalizer, bool ignore_merges, const char *tokens, smelt_err *err)
{
    const smelt_pretoken *row;
    smelt_pretoken_shape shape = {
        .steps = steps, .normalizer = normalizer, .ignore_merges = ignore_merges, .has_token = listed, .user = tokens};
    *err = (smelt_err){0};
    return pretoken_match(&shape, &row, err) == SMELT_OK ? row->name : NULL;
}

/* Patterns as they stand in tokenizer.json of the models, in the spelling of JSON's value. */
#define LLAMA3 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static void models_are_told_by_their_steps(void **state)
{
    (void)state;
    static const struct {
        const char *name, *steps, *normalizer;
        bool ignore_merges;
        const char *tokens;
    } cases[] = {
        {"gpt-2", "gpt2", "", false, ""},
        {"olmo", "gpt2", "nfc", false, ""},
        {"llama-bpe", "split " LLAMA3 "\nbytes", "", true, "|<|begin_of_text|>|<|start_header_id|>|"},
        {"smaug-bpe", "split " LLAMA3 "\nbytes", "", false, "|<|begin_of_text|>|<|start_header_id|>|"},
        {"falcon3", "split " LLAMA3 "\nbytes", "", true, "|>>TITLE<<|>>ABSTRACT<<|"},
        {"qwen2", "split " QWEN2 "\nbytes", "nfc", false, "|<|im_start|>|"},
        {"deepseek-r1-qwen", "split " QWEN2 "\nbytes", "", false, "|<｜begin▁of▁sentence｜>|<｜Assistant｜>|"},
        {"starcoder", "digits\ngpt2", "", false, "|<fim_prefix>|<repo_name>|<file_sep>|"},
        {"refact", "digits\ngpt2", "", false, "|<fim_prefix>|<reponame>|<gh_stars>|"},
        {"smollm", "digits\ngpt2", "", false, "|<|im_start|>|<repo_name>|<reponame>|<gh_stars>|"},
        {"command-r", "digits\ngpt2", "nfc", false, "|<BOS_TOKEN>|<|START_OF_TURN_TOKEN|>|"},
        {"falcon", "punctuation\ngpt2\ndigit-runs\nsplit [0-9][0-9][0-9]", "", false, ""},
        {"deepseek-coder", "split [\\r\\n]\nsplit \\s?\\p{L}+\nsplit \\s?\\p{P}+\nsplit [一-龥ࠀ-一가-퟿]+\ndigits\nbytes",
         "", false, ""},
        {"deepseek-v3",
         "split \\p{N}{1,3}\nsplit [一-龥぀-ゟ゠-ヿ]+\nsplit [!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
         "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\nbytes",
         "", false, ""},
    };
    smelt_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = match(cases[i].steps, cases[i].normalizer, cases[i].ignore_merges, cases[i].tokens, &err);
        if (!name) fail_msg("%s: %s", cases[i].name, err.text);
        assert_string_equal(name, cases[i].name);
    }
}

static void a_vocabulary_of_single_digits_tells_that_digits_were_cut(void **state)
{
    (void)state;
    const smelt_pretoken *row;
    smelt_pretoken_shape shape = {
        .steps = "gpt2", .normalizer = "", .has_token = listed, .user = "|<|im_start|>|<repo_name>|<reponame>|<gh_stars>|"};
    assert_int_equal(pretoken_match(&shape, &row, NULL), SMELT_OK);
    assert_string_equal(row->name, "gpt-2");
    shape.digits_alone = true;
    assert_int_equal(pretoken_match(&shape, &row, NULL), SMELT_OK);
    assert_string_equal(row->name, "smollm");
    shape.user = "||";
    assert_int_equal(pretoken_match(&shape, &row, NULL), SMELT_OK);
    assert_string_equal(row->name, "gpt-2");
}

static void an_unknown_one_is_shown_with_the_nearest_names(void **state)
{
    (void)state;
    smelt_err err;
    assert_null(match("split \\p{L}+|\\p{N}{1,2}|.\nbytes", "", false, "", &err));
    assert_int_equal(err.code, SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "split \\p{L}+|\\p{N}{1,2}|."));
    assert_non_null(strstr(err.text, "--pre NAME"));
    assert_null(match("split " LLAMA3 "x\nbytes", "", true, "", &err));
    const char *nearest = strstr(err.text, "Nearest are:\n  llama-bpe (1 edits away)");
    assert_non_null(nearest);
    assert_null(match("gpt2", "lowercase", false, "", &err));
    assert_non_null(strstr(err.text, "normalizer lowercase"));
    assert_null(match("", "", false, "", &err));
}

static void spellings_of_one_pattern_are_one(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"[\r\n]", "[\\r\\n]"},
        {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|x", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|x"},
        {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"},
        {" ?[^\\s\\p{L}\\p{N}]++[\r\n]*", " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"},
        {"\\s++(?!\\S)", "\\s++(?!\\S)"}, /* here possession changes what matches */
        {"\x01", "\\x01"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        smelt_buf b = {0};
        pretoken_regex(&b, same[i][0], strlen(same[i][0]));
        buf_u8(&b, 0);
        assert_false(b.failed);
        assert_string_equal(b.data, same[i][1]);
        buf_free(&b);
    }
}

static void an_override_that_names_none_gets_the_list(void **state)
{
    (void)state;
    smelt_err err = {0};
    assert_null(pretoken_find("llama-4"));
    assert_string_equal(pretoken_find("qwen2")->name, "qwen2");
    assert_int_equal(pretoken_unknown("llama-4", &err), SMELT_E_USAGE);
    static const char *const some[] = {"gpt-2", "llama-bpe", "smollm", "deepseek-v3", "whitespace"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_non_null(strstr(err.text, some[i]));
    assert_true(utf8_valid(err.text, strlen(err.text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_told_by_their_steps),
        cmocka_unit_test(a_vocabulary_of_single_digits_tells_that_digits_were_cut),
        cmocka_unit_test(an_unknown_one_is_shown_with_the_nearest_names),
        cmocka_unit_test(spellings_of_one_pattern_are_one),
        cmocka_unit_test(an_override_that_names_none_gets_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
