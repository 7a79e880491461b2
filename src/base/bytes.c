#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool utf8_valid(const void *bytes, size_t n)
{
    const uint8_t *p = bytes, *end = p + n;
    while (p < end) {
        uint8_t c = *p;
        if (c < 0x80) {
            p++;
            continue;
        }
        size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        if (c < 0xC2 || c > 0xF4 || (size_t)(end - p) < len) return false;
        for (size_t i = 1; i < len; i++)
            if ((p[i] & 0xC0U) != 0x80) return false;
        if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F))
            return false;
        p += len;
    }
    return true;
}

static bool buf_room(smelt_buf *b, size_t n)
{
    if (b->failed) return false;
    if (n <= b->capacity - b->size) return true;
    size_t cap = b->capacity ? b->capacity : 256;
    while (cap - b->size < n) {
        if (cap > SIZE_MAX / 4) {
            b->failed = true;
            return false;
        }
        cap *= 2;
    }
    uint8_t *fresh = realloc(b->data, cap);
    if (!fresh) {
        b->failed = true;
        return false;
    }
    b->data = fresh;
    b->capacity = cap;
    return true;
}

void buf_put(smelt_buf *b, const void *bytes, size_t n)
{
    if (!n || !buf_room(b, n)) return;
    memcpy(b->data + b->size, bytes, n);
    b->size += n;
}

void buf_zeros(smelt_buf *b, size_t n)
{
    if (!n || !buf_room(b, n)) return;
    memset(b->data + b->size, 0, n);
    b->size += n;
}

void buf_u8(smelt_buf *b, uint8_t v) { buf_put(b, &v, 1); }

void buf_u16(smelt_buf *b, uint16_t v)
{
    uint8_t le[2];
    store_le16(le, v);
    buf_put(b, le, 2);
}

void buf_u32(smelt_buf *b, uint32_t v)
{
    uint8_t le[4];
    store_le32(le, v);
    buf_put(b, le, 4);
}

void buf_u64(smelt_buf *b, uint64_t v)
{
    uint8_t le[8];
    store_le64(le, v);
    buf_put(b, le, 8);
}

void buf_printf(smelt_buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else if (buf_room(b, (size_t)n + 1)) {
        vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

void buf_free(smelt_buf *b)
{
    free(b->data);
    *b = (smelt_buf){0};
}
