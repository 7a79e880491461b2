/* Encoding of iq1: what the pack functions of the instruction sets share. Levels 0, 1, 2 stand for -1, 0, 1, shifted by an eighth up
 * or down. A group's values, sorted, fall into three runs of equal levels, and every pair of bounds between them is tried. */
#ifndef SMELT_QUANT_IQ1_H
#define SMELT_QUANT_IQ1_H

#include <stdbool.h>

#include "quant/iq_near.h"

enum { IQ1_MAX_GROUP = 32 };
/* Groups whose largest magnitude is below are stored as zero. */
#define IQ1_S_LEAST 1e-12f
#define IQ1_M_LEAST 1e-7f

/* Values of the levels, shifted up and down. */
static const float iq1_values[2][3] = {{-0.875f, 0.125f, 1.125f}, {-1.125f, -0.125f, 0.875f}};

/* The best of all pairs of bounds so far: the sorted elements before `first` have the lowest level, those before `second` the
 * middle one. shift: 1 for down; iq1_m has two such bits, one a half of a group, the first half's the higher. -1: none found. */
typedef struct iq1_split {
    float scale, best;
    int first, second, shift;
} iq1_split;

/* A block's groups: their scales (the largest is `top`), shifts, and codes of points; what is stored as zero has code 0. */
typedef struct iq1_found {
    float scale[16], top, square; /* square: twice the mean square of the block */
    uint16_t code[32];
    uint8_t shift[16];
} iq1_found;

/* iq_nearest for eight elements and three values. */
typedef unsigned iq1_nearest_fn(uint32_t entry, const float *x, const float *w, float scale, const float *values);

/* Group g of n elements, 32 or 16 with two shifts, by its split (which has one) and the order of its values. */
static inline void iq1_finish(int n, int g, const float *x, const float *w, const uint8_t *order, iq1_split s,
                              iq1_nearest_fn *nearest, iq1_found *f)
{
    uint8_t level[IQ1_MAX_GROUP];
    for (int j = 0; j < n; j++)
        level[order[j]] = j < s.first ? 0 : j < s.second ? 1 : 2;
    if (s.scale < 0) { /* turned, and with it levels and shifts */
        s.scale = -s.scale;
        s.shift = (n == 32 ? 1 : 3) - s.shift;
        for (int j = 0; j < n; j++)
            level[j] = (uint8_t)(2 - level[j]);
    }
    const float *values[IQ1_MAX_GROUP / 8];
    uint16_t *code = f->code + n / 8 * g;
    bool exact = true;
    for (int k = 0; k < n / 8; k++) {
        values[k] = iq1_values[n == 32 || k == 1 ? s.shift & 1 : s.shift >> 1];
        const uint32_t entry = iq_near_iq1.map[iq_key(iq_eights, level + 8 * k)];
        code[k] = IQ_NEAR_AT(entry);
        if (IQ_NEAR_COUNT(entry) == 0) continue;
        exact = false;
        code[k] = (uint16_t)nearest(entry, x + 8 * k, w + 8 * k, s.scale, values[k]);
    }
    if (!exact) { /* the scale is fitted again */
        float xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            const float q = values[i / 8][iq_level(iq_eights, code[i / 8], i % 8)];
            xq += w[i] * q * x[i];
            qq += w[i] * q * q;
        }
        if (xq > 0 && qq > 0) s.scale = xq / qq;
    }
    f->scale[g] = s.scale;
    f->shift[g] = (uint8_t)s.shift;
    f->top = f->top > s.scale ? f->top : s.scale;
}

/* Encodes a block. `weights` as in smelt_pack_fn, for this block's columns. */
typedef void iq1_block_fn(const float *x, const float *weights, void *block);
iq1_block_fn iq1_s_block, iq1_m_block;

/* Stores what was found. For iq1_m a block's scale is fitted here, to all its elements. */
void iq1_s_put(const iq1_found *f, void *block);
void iq1_m_put(const float *x, const float *weights, const iq1_found *f, void *block);

#endif
