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

/* The prompts are what transformers' apply_chat_template gives for published templates: SmolLM2, Llama 3, Llama 2, Mistral 7B
 * v0.1, Zephyr. */
static void chat_prompts(void **state)
{
    (void)state;
    static const struct {
        const char *template, *system, *prompt;
    } cases[] = {
        {"…<|im_start|>…", NULL, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {"…<|im_start|>…", "Be.", "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {"…<|start_header_id|>…", "Be.",
         "<|start_header_id|>system<|end_header_id|>\n\nBe.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"[INST] <<SYS>>", "Be.", "[INST] <<SYS>>\nBe.\n<</SYS>>\n\nHi [/INST]"},
        {"[INST] <<SYS>>", NULL, "[INST] Hi [/INST]"},
        {"[INST]", "Be.", "[INST] Be.\n\nHi [/INST]"},
        {"<|user|> <|assistant|>", "Be.", "<|system|>\nBe.</s>\n<|user|>\nHi</s>\n<|assistant|>\n"},
    };
    const smelt_str words[] = {{"<unk>", 5}, {"</s>", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_vocab v;
        vocab_init(&v);
        const smelt_template t = {NULL, {cases[i].template, strlen(cases[i].template)}};
        v.n = 2;
        v.text = words;
        v.special[SMELT_SP_EOS] = 1;
        v.templates = &t;
        v.n_templates = 1;
        smelt_buf out = {0};
        assert_int_equal(chat_prompt(&v, cases[i].system, "Hi", &out, NULL), SMELT_OK);
        buf_u8(&out, 0);
        assert_string_equal((const char *)out.data, cases[i].prompt);
        buf_free(&out);
    }
}

static void unknown_chats_are_refused(void **state)
{
    (void)state;
    smelt_vocab v;
    vocab_init(&v);
    smelt_buf out = {0};
    assert_int_equal(chat_prompt(&v, NULL, "Hi", &out, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(chat_prompt(NULL, NULL, "Hi", &out, NULL), SMELT_E_UNSUPPORTED);
    const smelt_template t = {NULL, {"{{ messages }}", 14}};
    v.templates = &t;
    v.n_templates = 1;
    assert_int_equal(chat_prompt(&v, NULL, "Hi", &out, NULL), SMELT_E_UNSUPPORTED);
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
