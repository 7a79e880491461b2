#include <utf8proc.h>

#include "vocab/tok_internal.h"

size_t utf8_char(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return len <= n && utf8_valid(p, len) ? len : 0;
}

size_t utf8_before(const char *p, size_t at)
{
    do {
        at--;
    } while (at && ((unsigned char)p[at] & 0xC0) == 0x80);
    return at;
}

void utf8_put(smelt_buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[n++] = (uint8_t)(0xC0 | c >> 6);
        b[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        b[n++] = (uint8_t)(0xE0 | c >> 12);
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        b[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        b[n++] = (uint8_t)(0xF0 | c >> 18);
        b[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        b[n++] = (uint8_t)(0x80 | (c & 0x3F));
    }
    buf_put(out, b, n);
}

bool uni_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static const struct {
    uint32_t first, last;
    char category[3];
} fresh[] = {
#define SMELT_UNICODE_NEW(first, last, category) {(first), (last), category},
#include "vocab/unicode.def"
};

void uni_new_ranges(smelt_buf *out, const char *category, size_t n)
{
    if (n < 1 || n > 2) return;
    for (size_t i = 0; i < sizeof fresh / sizeof *fresh; i++)
        if (memcmp(fresh[i].category, category, n) == 0) buf_printf(out, "\\x{%x}-\\x{%x}", fresh[i].first, fresh[i].last);
}

bool uni_young_mark(uint32_t c)
{
    static const uint32_t marks[][2] = {
#define SMELT_MARK_NEW(first, last) {(first), (last)},
#include "vocab/unicode.def"
    };
    for (size_t i = 0; c >= marks[0][0] && i < sizeof marks / sizeof *marks; i++)
        if (c >= marks[i][0] && c <= marks[i][1]) return true;
    return false;
}

bool uni_word(uint32_t c)
{
    if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
    if (c == 0x200C || c == 0x200D) return true;
    /* Letters in circles and squares are alphabetic. */
    if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
        (c >= 0x1F170 && c <= 0x1F189))
        return true;
    for (size_t i = 0; i < sizeof fresh / sizeof *fresh; i++)
        if (c >= fresh[i].first && c <= fresh[i].last)
            return fresh[i].category[0] == 'L' || fresh[i].category[0] == 'M' || fresh[i].category[1] == 'd';
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC;
}

void tok_put_byte(smelt_buf *out, uint8_t byte) { utf8_put(out, letter_of_byte(byte)); }
