#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "formats/gptq_pack.h"

static void a_run_fills_as_many_words_as_a_code_has_bits(void **state)
{
    (void)state;
    assert_int_equal(gptq_words(32, 3), 3);
    assert_int_equal(gptq_words(33, 3), 4);
    assert_int_equal(gptq_words(43, 3), 5);
    assert_int_equal(gptq_words(0, 4), 0);
    assert_int_equal(gptq_words(9, 4), 2);
    assert_int_equal(gptq_words(5, 8), 2);
    assert_int_equal(gptq_words(17, 2), 2);
}

static void the_lowest_bits_come_first(void **state)
{
    (void)state;
    uint8_t words[8];
    gptq_pack((const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9}, 9, 4, 1, words);
    assert_int_equal(load_le32(words), 0x87654321);
    assert_int_equal(load_le32(words + 4), 9);
    gptq_pack((const uint8_t[]){0x12, 0x34, 0x56, 0x78}, 4, 8, 1, words);
    assert_int_equal(load_le32(words), 0x78563412);
    gptq_pack((const uint8_t[]){3, 2, 1, 0}, 4, 2, 1, words);
    assert_int_equal(load_le32(words), 0x1B);
}

static void codes_of_three_bits_lie_across_words(void **state)
{
    (void)state;
    uint8_t codes[32] = {0}, words[12], back[32];
    codes[10] = 5; /* bits 30, 31 and 32 */
    codes[21] = 3; /* bits 63, 64 and 65 */
    gptq_pack(codes, 32, 3, 1, words);
    assert_int_equal(load_le32(words), 0x40000000);
    assert_int_equal(load_le32(words + 4), 0x80000001);
    assert_int_equal(load_le32(words + 8), 1);
    gptq_unpack(words, 1, 3, 32, back);
    assert_memory_equal(codes, back, sizeof codes);
}

static void what_is_packed_is_unpacked_again(void **state)
{
    (void)state;
    static const unsigned widths[] = {2, 3, 4, 8};
    for (size_t w = 0; w < 4; w++)
        for (size_t n = 1; n < 100; n++) {
            uint8_t codes[100], back[100], words[3 * 4 * 100];
            for (size_t i = 0; i < n; i++)
                codes[i] = (uint8_t)((i * 37 + n) & ((1U << widths[w]) - 1));
            /* The second of three columns. */
            memset(words, 0xEE, sizeof words);
            gptq_pack(codes, n, widths[w], 3, words + 4);
            gptq_unpack(words + 4, 3, widths[w], n, back);
            assert_memory_equal(codes, back, n);
            assert_int_equal(words[0], 0xEE);
            assert_int_equal(words[8], 0xEE);
        }
}

static void version_1_stores_zeros_less_one(void **state)
{
    (void)state;
    const uint8_t eights[8] = {8, 8, 8, 8, 8, 8, 8, 8}, mixed[8] = {1, 15, 1, 15, 1, 15, 1, 15}, with_0[8] = {3, 0, 5};
    uint8_t words[4];
    assert_true(gptq_pack_zeros(eights, 8, 4, 1, words));
    assert_int_equal(load_le32(words), 0x77777777);
    assert_true(gptq_pack_zeros(eights, 8, 4, 2, words));
    assert_int_equal(load_le32(words), 0x88888888);
    assert_true(gptq_pack_zeros(mixed, 8, 4, 1, words));
    assert_int_equal(load_le32(words), 0xE0E0E0E0);
    assert_false(gptq_pack_zeros(with_0, 8, 4, 1, words));
    assert_true(gptq_pack_zeros(with_0, 8, 4, 2, words));
    assert_int_equal(load_le32(words), 0x503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_fills_as_many_words_as_a_code_has_bits),
        cmocka_unit_test(the_lowest_bits_come_first),
        cmocka_unit_test(codes_of_three_bits_lie_across_words),
        cmocka_unit_test(what_is_packed_is_unpacked_again),
        cmocka_unit_test(version_1_stores_zeros_less_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
