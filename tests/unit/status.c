#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static void the_first_error_wins(void **state)
{
    (void)state;
    smelt_err err = {0};
    assert_int_equal(smelt_fail_at(&err, SMELT_E_LIMIT, 7, "first %d", 1), SMELT_E_LIMIT);
    assert_int_equal(smelt_fail(&err, SMELT_E_CORRUPT, "second"), SMELT_E_CORRUPT);
    assert_int_equal(err.code, SMELT_E_LIMIT);
    assert_true(err.has_offset && err.offset == 7);
    assert_string_equal(err.text, "first 1");
}

static void an_error_may_be_nowhere(void **state)
{
    (void)state;
    assert_int_equal(smelt_fail(NULL, SMELT_E_IO, "x"), SMELT_E_IO);
    assert_int_equal(smelt_oom(NULL), SMELT_E_NOMEM);
    smelt_err_where(NULL, "x");
    smelt_err_add(NULL, "x");
}

static void the_systems_reason_is_said_in_words(void **state)
{
    (void)state;
    smelt_err err = {0};
    errno = ENOENT;
    assert_int_equal(smelt_fail_errno(&err, "cannot open"), SMELT_E_IO);
    assert_string_equal(err.text, "cannot open: No such file or directory");
}

static void places_nest_from_the_outside(void **state)
{
    (void)state;
    smelt_err err = {0};
    smelt_err_where(&err, "nothing has failed yet");
    assert_string_equal(err.where, "");
    smelt_fail(&err, SMELT_E_CORRUPT, "x");
    smelt_err_where(&err, "tensor '%s'", "a");
    smelt_err_where(&err, "file");
    assert_string_equal(err.where, "file: tensor 'a'");
}

static void control_characters_never_reach_a_terminal(void **state)
{
    (void)state;
    smelt_err err = {0};
    smelt_fail(&err, SMELT_E_CORRUPT, "name '%s'", "\x1b[2J\x7f\tx");
    smelt_err_where(&err, "%s", "\x1b]0;title\a");
    smelt_err_add(&err, "%s", "\x1b");
    assert_string_equal(err.text, "name '?[2J??x'\n?");
    assert_string_equal(err.where, "?]0;title?");
}

static void what_is_no_utf8_becomes_question_marks(void **state)
{
    (void)state;
    smelt_err err = {0};
    smelt_fail(&err, SMELT_E_CORRUPT, "'%s' '%.2s' '%s'", "caf\xC3\xA9 \xFF", "a\xC3\xA9",
               "\xC2\x9B"
               "2J");
    assert_string_equal(err.text, "'caf\xC3\xA9 ?' 'a?' '??2J'");
}

static void long_messages_are_cut_between_characters_and_marked(void **state)
{
    (void)state;
    static char longer[2 * sizeof((smelt_err *)0)->text];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(longer, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof longer; i += 3)
            memcpy(longer + i, "\xe2\x82\xac", 3);
        longer[sizeof longer - 1] = 0;
        longer[sizeof longer - 2] = longer[sizeof longer - 3] = 'x';
        smelt_err err = {0};
        smelt_fail(&err, SMELT_E_CORRUPT, "%s", longer);
        smelt_err_where(&err, "%s", longer);
        smelt_err_where(&err, "outside");
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_true(utf8_valid(err.where, strlen(err.where)));
        assert_string_equal(err.text + strlen(err.text) - 3, "…");
        assert_string_equal(err.where + strlen(err.where) - 3, "…");
    }
}

static void lines_are_added_until_the_text_is_full(void **state)
{
    (void)state;
    /* Every length of the first line, so that the cut falls on every place. */
    for (size_t first = 0; first < 40; first++) {
        char line[41] = {0};
        memset(line, 'x', first);
        smelt_err err = {0};
        smelt_fail(&err, SMELT_E_MISMATCH, "%s.", line);
        for (int i = 0; i < 400; i++)
            smelt_err_add(&err, "line of some length %d", i);
        assert_true(strlen(err.text) < sizeof err.text);
        assert_true(strlen(err.text) > sizeof err.text - 64);
        assert_string_equal(err.text + strlen(err.text) - 3, "…");
        assert_true(utf8_valid(err.text, strlen(err.text)));
    }
}

static void every_status_has_a_text_and_an_exit_code_of_the_contract(void **state)
{
    (void)state;
#define X(name, number, exit_code, text) \
    assert_string_equal(smelt_status_text(SMELT_##name), text); \
    assert_int_equal(smelt_status_exit_code(SMELT_##name), exit_code); \
    assert_in_range(exit_code, 0, 4);
    SMELT_STATUS_LIST(X)
#undef X
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(an_error_may_be_nowhere),
        cmocka_unit_test(the_systems_reason_is_said_in_words),
        cmocka_unit_test(places_nest_from_the_outside),
        cmocka_unit_test(control_characters_never_reach_a_terminal),
        cmocka_unit_test(what_is_no_utf8_becomes_question_marks),
        cmocka_unit_test(long_messages_are_cut_between_characters_and_marked),
        cmocka_unit_test(lines_are_added_until_the_text_is_full),
        cmocka_unit_test(every_status_has_a_text_and_an_exit_code_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
