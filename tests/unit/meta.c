#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/meta.h"

static void keys_keep_their_order_and_the_last_value_counts(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    smelt_meta m = {.arena = &arena};
    uint64_t u;
    char text[] = "text";
    assert_true(meta_u32(&m, "a", 1) && meta_u32(&m, "b", 2) && meta_str(&m, "c", text, 4) && meta_u32(&m, "a", 3));
    text[0] = '!';
    assert_int_equal(m.count, 3);
    assert_string_equal(m.kv[0].key, "a");
    assert_true(meta_get_u64(&m, "a", &u) && u == 3);
    smelt_str s;
    assert_true(meta_get_str(&m, "c", &s) && str_eq(s, "text"));
    meta_remove(&m, "a");
    meta_remove(&m, "not there");
    assert_int_equal(m.count, 2);
    assert_string_equal(m.kv[0].key, "b");
    assert_string_equal(m.kv[1].key, "c");
    assert_null(meta_find(&m, "a"));
    assert_ptr_equal(meta_find(&m, "b"), &m.kv[0]);
    assert_ptr_equal(meta_find(&m, "c"), &m.kv[1]);
    meta_remove(&m, "c");
    meta_remove(&m, "b");
    assert_int_equal(m.count, 0);
    arena_free(&arena);
}

static void values_convert_where_nothing_is_lost(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    smelt_meta m = {.arena = &arena};
    static const struct {
        smelt_kv kv;
        bool as_u64, as_f64, as_bool;
    } rows[] = {
        {{.key = "u8", .type = SMELT_KV_U8, .v.u = 7}, true, true, false},
        {{.key = "u64", .type = SMELT_KV_U64, .v.u = 7}, true, true, false},
        {{.key = "i32", .type = SMELT_KV_I32, .v.i = 7}, true, true, false},
        {{.key = "negative", .type = SMELT_KV_I64, .v.i = -7}, false, true, false},
        {{.key = "f32", .type = SMELT_KV_F32, .v.f = 7}, false, true, false},
        {{.key = "f64", .type = SMELT_KV_F64, .v.f = 7}, false, true, false},
        {{.key = "bool", .type = SMELT_KV_BOOL, .v.u = 1}, true, false, true},
        {{.key = "str", .type = SMELT_KV_STR, .v.s = {"7", 1}}, false, false, false},
        {{.key = "array", .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_U8, 0, NULL}}, false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t u;
        double f;
        bool b;
        assert_true(meta_set(&m, &rows[i].kv));
        assert_int_equal(meta_get_u64(&m, rows[i].kv.key, &u), rows[i].as_u64);
        assert_int_equal(meta_get_f64(&m, rows[i].kv.key, &f), rows[i].as_f64);
        assert_int_equal(meta_get_bool(&m, rows[i].kv.key, &b), rows[i].as_bool);
    }
    double f = 0;
    assert_true(meta_get_f64(&m, "negative", &f) && f == -7);
    arena_free(&arena);
}

static void texts_may_be_empty_and_hold_nul(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    smelt_meta m = {.arena = &arena};
    smelt_str s;
    assert_true(meta_str(&m, "empty", NULL, 0) && meta_str(&m, "nul", "a\0b", 3));
    assert_true(meta_get_str(&m, "empty", &s) && str_eq(s, ""));
    assert_true(meta_get_str(&m, "nul", &s) && s.n == 3 && memcmp(s.p, "a\0b", 3) == 0);
    assert_false(str_eq(s, "a"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_their_order_and_the_last_value_counts),
        cmocka_unit_test(values_convert_where_nothing_is_lost),
        cmocka_unit_test(texts_may_be_empty_and_hold_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
