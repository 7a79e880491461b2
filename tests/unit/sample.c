/* Sampling, and the prompts of chat formats. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/sample.h"
#include "vocab/chat.h"

static void no_temperature_is_the_first_of_the_best(void **state)
{
    (void)state;
    const float logits[] = {-1, 3, 2, 3};
    smelt_sampler s = {0};
    int32_t token;
    assert_int_equal(sampler_next(&s, logits, 4, &token, NULL), SMELT_OK);
    assert_int_equal(token, 1);
    sampler_free(&s);
}

/* Of many draws each token's share is its probability: logits ln 1, ln 2, ln 5 give 1/8, 2/8, 5/8. */
static void shares(smelt_sampler s, const double *want)
{
    enum { DRAWS = 20000 };
    const float logits[] = {0, logf(2), logf(5)};
    size_t count[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int32_t token;
        assert_int_equal(sampler_next(&s, logits, 3, &token, NULL), SMELT_OK);
        count[token]++;
    }
    for (int i = 0; i < 3; i++)
        if (fabs((double)count[i] / DRAWS - want[i]) > 0.02 || (want[i] == 0 && count[i]))
            fail_msg("token %d: %zu of %d", i, count[i], DRAWS);
    sampler_free(&s);
}

static void draws_have_their_probabilities(void **state)
{
    (void)state;
    const double all[] = {0.125, 0.25, 0.625}, two[] = {0, 2.0 / 7, 5.0 / 7}, one[] = {0, 0, 1},
                 warm[] = {1 / 30.0, 4 / 30.0, 25 / 30.0};
    shares((smelt_sampler){.temperature = 1, .top_p = 1}, all);
    shares((smelt_sampler){.temperature = 1, .top_p = 1, .top_k = 2, .seed = 5}, two);
    shares((smelt_sampler){.temperature = 1, .top_p = 0.7}, two);
    shares((smelt_sampler){.temperature = 1, .top_p = 0.6}, one);
    shares((smelt_sampler){.temperature = 0.5, .top_p = 1}, warm);
}

static void logits_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    smelt_sampler s = {0};
    int32_t token;
    const float nan[] = {0, NAN}, inf[] = {0, INFINITY}, none[] = {-INFINITY, -INFINITY}, some[] = {-INFINITY, -3};
    assert_int_equal(sampler_next(&s, nan, 2, &token, NULL), SMELT_E_CORRUPT);
    assert_int_equal(sampler_next(&s, inf, 2, &token, NULL), SMELT_E_CORRUPT);
    assert_int_equal(sampler_next(&s, none, 2, &token, NULL), SMELT_E_CORRUPT);
    assert_int_equal(sampler_next(&s, some, 2, &token, NULL), SMELT_OK);
    assert_int_equal(token, 1);
}

static smelt_status prompt(const char *template, const char *system, smelt_buf *out)
{
    static const smelt_str words[] = {{"<unk>", 5}, {"</s>", 4}};
    static const struct tm day = {.tm_year = 126, .tm_mon = 10, .tm_mday = 5};
    const smelt_template t = {NULL, {template, strlen(template)}};
    smelt_vocab v;
    vocab_init(&v);
    v.n = 2;
    v.text = words;
    v.special[SMELT_SP_EOS] = 1;
    v.templates = &t;
    v.n_templates = 1;
    return chat_prompt(&v, system, "Hi", &day, out, NULL);
}

/* Whole templates of models are compared with transformers in tests/conformance/test_chat.py; here is what is read out of one. */
static void chat_prompts(void **state)
{
    (void)state;
#define CHATML "'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' "
    static const struct {
        const char *template, *system, *prompt;
    } cases[] = {
        {CHATML "'<|im_start|>assistant\n'", NULL, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {CHATML "'<|im_start|>assistant\n'", "Be.",
         "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        /* A default system message, its line ends and quotes as escapes. */
        {"'<|im_start|>system\\nI\\'m a\\nmodel.<|im_end|>\\n' " CHATML "'<|im_start|>assistant\\n'", NULL,
         "<|im_start|>system\nI'm a\nmodel.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {"'<|im_start|>system\\nI am.<|im_end|>\\n' " CHATML "'<|im_start|>assistant\\n'", "Be.",
         "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        /* What begins every answer. */
        {CHATML "'<|im_start|>assistant\n<think>\\n'", NULL, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"},
        /* The date, in the two ways of writing it. */
        {"strftime_now '<|start_header_id|> Cutting Knowledge Date: December 2023\n Today Date: system'"
         "'<|start_header_id|>assistant<|end_header_id|>\n\n'",
         NULL,
         "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 05 Nov 2026\n\n<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_buf out = {0};
        assert_int_equal(prompt(cases[i].template, cases[i].system, &out), SMELT_OK);
        buf_u8(&out, 0);
        assert_string_equal((const char *)out.data, cases[i].prompt);
        buf_free(&out);
    }
    /* One that writes a date where its format has none, one whose answers begin in two ways, one without the turn of its format,
     * and a system message where there is no place for it. */
    smelt_buf out = {0};
    assert_int_equal(prompt(CHATML "strftime_now '<|im_start|>assistant\n'", NULL, &out), SMELT_E_UNSUPPORTED);
    assert_int_equal(prompt(CHATML "'<|im_start|>assistant\n' if x 'a' else 'b'", NULL, &out), SMELT_E_UNSUPPORTED);
    assert_int_equal(prompt(CHATML, NULL, &out), SMELT_E_UNSUPPORTED);
    assert_int_equal(prompt("'[INST] ' ' [/INST]'", NULL, &out), SMELT_OK);
    assert_int_equal(prompt("'[INST] ' ' [/INST]'", "Be.", &out), SMELT_E_USAGE);
    buf_free(&out);
}

static void unknown_chats_are_refused(void **state)
{
    (void)state;
    const struct tm today = {.tm_mday = 1};
    smelt_vocab v;
    vocab_init(&v);
    smelt_buf out = {0};
    assert_int_equal(chat_prompt(&v, NULL, "Hi", &today, &out, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(chat_prompt(NULL, NULL, "Hi", &today, &out, NULL), SMELT_E_UNSUPPORTED);
    const smelt_template t = {NULL, {"{{ messages }}", 14}};
    v.templates = &t;
    v.n_templates = 1;
    assert_int_equal(chat_prompt(&v, NULL, "Hi", &today, &out, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_temperature_is_the_first_of_the_best),
        cmocka_unit_test(draws_have_their_probabilities),
        cmocka_unit_test(logits_that_are_no_numbers_are_refused),
        cmocka_unit_test(chat_prompts),
        cmocka_unit_test(unknown_chats_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
