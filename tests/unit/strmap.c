#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strmap.h"

static void keys_are_found_and_the_first_value_stays(void **state)
{
    (void)state;
    enum { N = 5000 };
    smelt_arena arena = {0};
    smelt_strmap map = {.arena = &arena};
    size_t value = 77;
    bool added;
    assert_false(strmap_get(&map, "x", 1, &value));
    for (size_t i = 0; i < N; i++) {
        const char *key = arena_printf(&arena, "key %zu", i);
        assert_true(strmap_add(&map, key, strlen(key), i, &added) && added);
    }
    for (size_t i = 0; i < N; i++) {
        const char *key = arena_printf(&arena, "key %zu", i);
        assert_true(strmap_add(&map, key, strlen(key), 99999, &added) && !added);
        assert_true(strmap_get(&map, key, strlen(key), &value) && value == i);
    }
    assert_int_equal(map.count, N);
    assert_false(strmap_get(&map, "key 5000", 8, &value));
    arena_free(&arena);
}

static void keys_are_bytes_with_a_length(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    smelt_strmap map = {.arena = &arena};
    size_t value;
    bool added;
    assert_true(strmap_add(&map, "a\0b", 3, 1, &added) && added);
    assert_true(strmap_add(&map, "a\0c", 3, 2, &added) && added);
    assert_true(strmap_add(&map, "a", 1, 3, &added) && added);
    assert_true(strmap_add(&map, "", 0, 4, &added) && added);
    assert_true(strmap_get(&map, "a\0c", 3, &value) && value == 2);
    assert_true(strmap_get(&map, "", 0, &value) && value == 4);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_and_the_first_value_stays),
        cmocka_unit_test(keys_are_bytes_with_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
