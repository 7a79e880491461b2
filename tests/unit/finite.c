/* Finding, replacing and naming values that are not finite. */
#include "convert/finite.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { N = 700 };
static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};

static void fill(float *x)
{
    static const float fine[] = {0, -0.0F, 1, -1, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45F, -1e-45F};
    for (int i = 0; i < N; i++)
        x[i] = fine[i % (int)(sizeof fine / sizeof *fine)];
}

static void extreme_values_are_finite(void **state)
{
    (void)state;
    float x[N];
    fill(x);
    for (uint64_t n = 0; n <= N; n++)
        assert_int_equal(finite_until(x, n), n);
    assert_int_equal(finite_replace(x, N, 5), 0);
}

static void the_first_one_is_found_wherever_it_is(void **state)
{
    (void)state;
    float x[N];
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
        for (uint64_t at = 0; at < N; at++) {
            fill(x);
            x[at] = odd[k];
            x[N - 1] = odd[k];
            assert_int_equal(finite_until(x, N), at);
            assert_int_equal(finite_until(x, at), at);
        }
}

static void every_one_is_replaced_and_nothing_else(void **state)
{
    (void)state;
    float x[N], y[N];
    fill(x);
    fill(y);
    static const int places[] = {0, 1, 255, 256, 300, 698, 699};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        x[places[i]] = odd[i % 4];
        y[places[i]] = 0.5F;
    }
    assert_int_equal(finite_replace(x, N, 0.5F), sizeof places / sizeof *places);
    assert_memory_equal(x, y, sizeof x);
}

static void messages_name_the_place(void **state)
{
    (void)state;
    smelt_err err = {0};
    smelt_tensor t = {.name = "t", .dtype = SMELT_DT_Q8_0, .shape = {.n = 2, .dim = {4, 32}}};
    assert_int_equal(finite_fail(&t, 3 * 32 + 17, -INFINITY, SMELT_DT_Q4_0, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.text, "tensor 't' has -infinity at row 3, column 17, which q4_0 cannot hold"));
    err = (smelt_err){0};
    t.shape = (smelt_shape){.n = 3, .dim = {2, 3, 4}};
    assert_int_equal(finite_fail_scale(&t, 12 + 2 * 4 + 1, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.text, "the q8_0 block at index [1, 2, 1] has a scale"));
    err = (smelt_err){0};
    t.shape = (smelt_shape){.n = 1, .dim = {32}};
    assert_int_equal(finite_fail_large(&t, 31, 1e30F, SMELT_DT_Q4_0, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.text, "has 1e+30 at element 31, too large for the scales of q4_0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extreme_values_are_finite),
        cmocka_unit_test(the_first_one_is_found_wherever_it_is),
        cmocka_unit_test(every_one_is_replaced_and_nothing_else),
        cmocka_unit_test(messages_name_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
