#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/dtype.h"

static void every_row_is_found_under_each_of_its_names_and_only_there(void **state)
{
    (void)state;
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *r = smelt_dtype_get((smelt_dtype)d);
        smelt_dtype found;
        char upper[32] = "";
        for (size_t i = 0; r->name[i]; i++)
            upper[i] = (char)(r->name[i] >= 'a' && r->name[i] <= 'z' ? r->name[i] - 32 : r->name[i]);
        assert_true(smelt_dtype_by_name(r->name, &found) && (int)found == d);
        assert_true(smelt_dtype_by_name(upper, &found) && (int)found == d);
        if (r->gguf_id >= 0) assert_true(smelt_dtype_by_gguf((uint32_t)r->gguf_id, &found) && (int)found == d);
        if (r->st_name) assert_true(smelt_dtype_by_st(r->st_name, &found) && (int)found == d);
        assert_true(r->elems > 0 && r->bytes > 0);
        assert_true((r->kind == SMELT_KIND_BLOCK) == (r->elems > 1 && r->gguf_id >= 0));
    }
}

static void ids_that_left_the_format_are_no_types(void **state)
{
    (void)state;
    static const uint32_t gone[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, UINT32_MAX, 0x80000000U};
    smelt_dtype found;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_false(smelt_dtype_by_gguf(gone[i], &found));
    assert_false(smelt_dtype_by_name("", &found));
    assert_false(smelt_dtype_by_st("f32", &found));
}

static void bytes_are_those_of_whole_blocks_within_64_bits(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(smelt_dtype_bytes(SMELT_DT_Q4_0, 64, &bytes) && bytes == 36);
    assert_true(smelt_dtype_bytes(SMELT_DT_Q4_0, 0, &bytes) && bytes == 0);
    assert_false(smelt_dtype_bytes(SMELT_DT_Q4_0, 33, &bytes));
    assert_false(smelt_dtype_bytes(SMELT_DT_F32, UINT64_C(1) << 62, &bytes));
    assert_true(smelt_dtype_bytes(SMELT_DT_U8, UINT64_MAX, &bytes) && bytes == UINT64_MAX);
    assert_true(smelt_dtype_bpw(SMELT_DT_Q4_0) == 4.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_under_each_of_its_names_and_only_there),
        cmocka_unit_test(ids_that_left_the_format_are_no_types),
        cmocka_unit_test(bytes_are_those_of_whole_blocks_within_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
