/* Untrusted bytes: the bounded little-endian cursor that every binary reader uses, and unaligned loads and stores. */
#ifndef SMELT_BASE_BYTES_H
#define SMELT_BASE_BYTES_H

#include <inttypes.h>
#include <string.h>

#include "base/status.h"

static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap16(v);
#endif
    return v;
}
static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}
static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}
static inline void store_le16(void *p, uint16_t v)
{
    uint16_t le = load_le16(&v);
    memcpy(p, &le, 2);
}
static inline void store_le32(void *p, uint32_t v)
{
    uint32_t le = load_le32(&v);
    memcpy(p, &le, 4);
}
static inline void store_le64(void *p, uint64_t v)
{
    uint64_t le = load_le64(&v);
    memcpy(p, &le, 8);
}
static inline float f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* Position in a block of bytes; every read checks what is left first. `base` is the block's offset in its file. */
typedef struct smelt_cur {
    const uint8_t *data;
    uint64_t size, pos, base;
    smelt_err *err;
} smelt_cur;

static inline smelt_status cur_need(const smelt_cur *c, uint64_t n, const char *what)
{
    if (n <= c->size - c->pos) return SMELT_OK;
    return smelt_fail_at(c->err, SMELT_E_TRUNCATED, c->base + c->pos, "%s needs %" PRIu64 " bytes, %" PRIu64 " are left", what, n,
                         c->size - c->pos);
}
static inline smelt_status cur_bytes(smelt_cur *c, uint64_t n, const char *what, const uint8_t **out)
{
    SMELT_TRY(cur_need(c, n, what));
    *out = c->data + c->pos;
    c->pos += n;
    return SMELT_OK;
}
static inline smelt_status cur_u8(smelt_cur *c, const char *what, uint8_t *out)
{
    SMELT_TRY(cur_need(c, 1, what));
    *out = c->data[c->pos++];
    return SMELT_OK;
}
static inline smelt_status cur_u16(smelt_cur *c, const char *what, uint16_t *out)
{
    SMELT_TRY(cur_need(c, 2, what));
    *out = load_le16(c->data + c->pos);
    c->pos += 2;
    return SMELT_OK;
}
static inline smelt_status cur_u32(smelt_cur *c, const char *what, uint32_t *out)
{
    SMELT_TRY(cur_need(c, 4, what));
    *out = load_le32(c->data + c->pos);
    c->pos += 4;
    return SMELT_OK;
}
static inline smelt_status cur_u64(smelt_cur *c, const char *what, uint64_t *out)
{
    SMELT_TRY(cur_need(c, 8, what));
    *out = load_le64(c->data + c->pos);
    c->pos += 8;
    return SMELT_OK;
}

/* True if the bytes are well-formed UTF-8 without surrogates or overlong forms (RFC 3629). */
bool utf8_valid(const void *bytes, size_t n);

/* A growing byte buffer on the heap, for headers and text that a writer builds. A failed append sets `failed` and the
 * buffer stays as it was, so that a writer checks once, at its end. */
typedef struct smelt_buf {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} smelt_buf;

void buf_put(smelt_buf *b, const void *bytes, size_t n);
void buf_zeros(smelt_buf *b, size_t n);
void buf_u8(smelt_buf *b, uint8_t v);
void buf_u16(smelt_buf *b, uint16_t v);
void buf_u32(smelt_buf *b, uint32_t v);
void buf_u64(smelt_buf *b, uint64_t v);
void buf_printf(smelt_buf *b, const char *fmt, ...) SMELT_PRINTF(2, 3);
void buf_free(smelt_buf *b);

#endif
