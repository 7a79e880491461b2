#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    unsigned char *before = NULL;
    size_t before_size = 0;
    for (size_t n = 0; n < 300; n++) {
        const size_t size = n % 7 == 0 ? n * 997 : n;
        unsigned char *p = arena_calloc(&arena, size, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAA, size);
        for (size_t i = 0; i < before_size; i++)
            assert_int_equal(before[i], 0xAA);
        before = p;
        before_size = size;
    }
    arena_free(&arena);
    assert_null(arena.head);
}

static void sizes_that_overflow_give_nothing(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    assert_null(arena_calloc(&arena, SIZE_MAX, 2));
    assert_null(arena_calloc(&arena, SIZE_MAX, 1));
    assert_null(arena_calloc(&arena, SIZE_MAX / 16 + 1, 16));
    assert_null(arena_strndup(&arena, "x", SIZE_MAX));
    uint64_t out;
    assert_false(mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_false(add_u64(UINT64_MAX, 1, &out));
    assert_false(align_u64(UINT64_MAX, 32, &out));
    assert_true(align_u64(33, 32, &out) && out == 64);
    assert_true(align_u64(64, 32, &out) && out == 64);
    arena_free(&arena);
}

static void a_growing_array_keeps_its_content(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(arena_room(&arena, &items, (size_t)i, &capacity, sizeof *items));
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    arena_free(&arena);
}

static void strings_are_copied_with_a_nul(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(&arena, NULL, 0), "");
    assert_string_equal(arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(sizes_that_overflow_give_nothing),
        cmocka_unit_test(a_growing_array_keeps_its_content),
        cmocka_unit_test(strings_are_copied_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
