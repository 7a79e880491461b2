#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static void the_cursor_never_passes_the_end(void **state)
{
    (void)state;
    static const uint8_t data[7] = {1, 2, 3, 4, 5, 6, 7};
    for (uint64_t size = 0; size <= sizeof data; size++)
        for (uint64_t want = 0; want < 12; want++) {
            smelt_err err = {0};
            smelt_cur c = {.data = data, .size = size, .base = 100, .err = &err};
            const uint8_t *p;
            assert_int_equal(cur_bytes(&c, want, "it", &p), want <= size ? SMELT_OK : SMELT_E_TRUNCATED);
            assert_int_equal(c.pos, want <= size ? want : 0);
            if (want > size) assert_int_equal(err.offset, 100);
        }
    smelt_cur c = {.data = data, .size = 7};
    const uint8_t *p;
    uint8_t a;
    uint16_t b;
    uint32_t d;
    uint64_t e;
    assert_int_equal(cur_u8(&c, "it", &a) | cur_u16(&c, "it", &b) | cur_u32(&c, "it", &d), SMELT_OK);
    assert_int_equal(a, 1);
    assert_int_equal(b, 0x0302);
    assert_int_equal(d, 0x07060504);
    assert_int_equal(cur_u8(&c, "it", &a), SMELT_E_TRUNCATED);
    assert_int_equal(cur_u16(&c, "it", &b), SMELT_E_TRUNCATED);
    assert_int_equal(cur_u32(&c, "it", &d), SMELT_E_TRUNCATED);
    assert_int_equal(cur_u64(&c, "it", &e), SMELT_E_TRUNCATED);
    assert_int_equal(cur_bytes(&c, UINT64_MAX, "it", &p), SMELT_E_TRUNCATED);
}

static void utf8_is_rfc_3629_s(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xe2\x82\xac!"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2?",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf0\x90\x80",
                                      "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    assert_true(utf8_valid("a\0b", 3));
}

static void a_buffer_holds_what_was_put(void **state)
{
    (void)state;
    smelt_buf b = {0};
    buf_put(&b, NULL, 0);
    assert_null(b.data);
    buf_u8(&b, 1);
    buf_u16(&b, 0x0302);
    buf_u32(&b, 0x07060504);
    buf_u64(&b, UINT64_C(0x0F0E0D0C0B0A0908));
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(b.data[i], i + 1);
    buf_zeros(&b, 1000);
    buf_printf(&b, "%s", "text");
    assert_int_equal(b.size, 15 + 1000 + 4);
    assert_memory_equal(b.data + 1015, "text", 4);
    assert_int_equal(b.data[1014], 0);
    buf_zeros(&b, SIZE_MAX / 2);
    assert_true(b.failed);
    assert_int_equal(b.size, 1019);
    buf_u8(&b, 1);
    assert_int_equal(b.size, 1019);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cursor_never_passes_the_end),
        cmocka_unit_test(utf8_is_rfc_3629_s),
        cmocka_unit_test(a_buffer_holds_what_was_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
