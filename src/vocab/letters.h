/* The byte-level alphabet: a printable letter for each byte, so that text in a BPE vocabulary has no spaces and control
 * characters. Source: GPT-2's encoder.py. */
#ifndef SMELT_VOCAB_LETTERS_H
#define SMELT_VOCAB_LETTERS_H

#include <stddef.h>
#include <stdint.h>

/* The byte that a letter stands for; -1 for other characters. */
static inline int byte_of_letter(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF)) return (int)c;
    if (c < 0x100 || c > 0x143) return -1;
    c -= 0x100; /* the rest, in order: 0..0x20, 0x7F..0xA0, 0xAD */
    return c <= 0x20 ? (int)c : c <= 0x42 ? (int)c - 0x21 + 0x7F : 0xAD;
}

/* The letter that stands for a byte. */
static inline uint32_t letter_of_byte(uint8_t b)
{
    if ((b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE) return b;
    return 0x100U + (b <= 0x20 ? b : b <= 0xA0 ? b - 0x7FU + 0x21 : 0x43);
}

/* The character at p, of valid UTF-8; *len is its length in bytes. */
static inline uint32_t utf8_next(const char *s, size_t *len)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80) {
        *len = 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *len = 2;
        return (p[0] & 0x1FU) << 6 | (p[1] & 0x3FU);
    }
    if (p[0] < 0xF0) {
        *len = 3;
        return (p[0] & 0x0FU) << 12 | (p[1] & 0x3FU) << 6 | (p[2] & 0x3FU);
    }
    *len = 4;
    return (p[0] & 0x07U) << 18 | (p[1] & 0x3FU) << 12 | (p[2] & 0x3FU) << 6 | (p[3] & 0x3FU);
}

#endif
