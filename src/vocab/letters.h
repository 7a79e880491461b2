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

/* The first character of well-formed UTF-8 and its length in bytes. */
static inline uint32_t utf8_char(const char *p, size_t *len)
{
    unsigned char c = (unsigned char)*p;
    *len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint32_t v = *len == 1 ? c : c & (0x7FU >> *len);
    for (size_t i = 1; i < *len; i++)
        v = v << 6 | ((unsigned char)p[i] & 0x3F);
    return v;
}

#endif
