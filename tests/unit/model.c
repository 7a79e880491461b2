#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/model.h"

static smelt_status add(smelt_model *m, const char *name, size_t len)
{
    static const uint8_t byte[1];
    const smelt_view *view;
    assert_int_equal(view_bytes(&m->arena, SMELT_DT_U8, &(smelt_shape){1, {1}}, byte, 1, &view, NULL), SMELT_OK);
    return model_add(m, name, len, view, NULL, 0, NULL);
}

static void names_are_plain_text_and_occur_once(void **state)
{
    (void)state;
    smelt_model m;
    char longest[4097];
    model_init(&m);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(add(&m, "a", 1), SMELT_OK);
    assert_int_equal(add(&m, "a", 1), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "", 0), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "a\nb", 3), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "a\0b", 3), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "\x7f", 1), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "\xff", 1), SMELT_E_CORRUPT);
    assert_int_equal(add(&m, "\xc3\xa9", 2), SMELT_OK);
    assert_int_equal(add(&m, longest, 4096), SMELT_OK);
    assert_int_equal(add(&m, longest, 4097), SMELT_E_LIMIT);
    assert_int_equal(m.n_tensors, 3);
    assert_ptr_equal(model_find(&m, "\xc3\xa9"), &m.tensors[1]);
    assert_null(model_find(&m, "b"));
    model_free(&m);
}

static void side_files_are_found_by_name(void **state)
{
    (void)state;
    smelt_model m;
    model_init(&m);
    assert_null(model_side_find(&m, "x"));
    for (int i = 0; i < 20; i++) {
        char name[16];
        name[0] = (char)('a' + i);
        name[1] = 0;
        assert_int_equal(model_side(&m, name, "data", 4, NULL), SMELT_OK);
    }
    assert_string_equal(model_side_find(&m, "t")->name, "t");
    assert_null(model_side_find(&m, "u"));
    model_free(&m);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_plain_text_and_occur_once),
        cmocka_unit_test(side_files_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
