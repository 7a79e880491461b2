/* LANES blocks of 256 elements at a time: where they lie, and what all encoders of the grid types want to know of them. */
#ifndef SMELT_QUANT_SIMD_IQ_ROWS_H
#define SMELT_QUANT_SIMD_IQ_ROWS_H

#include <stddef.h>

#include "quant/simd/lanes.h"

/* Where the blocks from `first` on begin, and their weights (NULL if there are none); how many there are. The first one stands in
 * for those that are missing. */
static inline int lanes_rows(const float *x, const float *weights, uint64_t first, uint64_t blocks, uint64_t cols,
                             const float **row, const float **row_weights)
{
    const int used = blocks - first < LANES ? (int)(blocks - first) : LANES;
    for (int l = 0; l < LANES; l++) {
        const uint64_t k = first + (uint64_t)(l < used ? l : 0);
        row[l] = x + 256 * k;
        row_weights[l] = weights ? weights + 256 * k % cols : NULL;
    }
    return used;
}

static inline void lanes_advance(int n, const float **row, const float **row_weights)
{
    for (int l = 0; l < LANES; l++) {
        row[l] += n;
        if (row_weights[l]) row_weights[l] += n;
    }
}

/* Sums of squares. */
static inline vf lanes_squares(const float *const *row)
{
    vf sum = vf_set(0), column[32];
    for (int i = 0; i < 256; i += 32) {
        const float *part[LANES];
        for (int l = 0; l < LANES; l++)
            part[l] = row[l] + i;
        vf_columns(part, 32, column);
        for (int c = 0; c < 32; c++)
            sum = vf_add(sum, vf_mul(column[c], column[c]));
    }
    return sum;
}

/* Blocks with infinities or NaN are the baseline's business. */
static inline bool lanes_finite(const float *x)
{
    uint32_t top = 0;
    for (int i = 0; i < 256; i++) {
        const uint32_t m = f32_bits(x[i]) & 0x7FFFFFFF;
        top = top > m ? top : m;
    }
    return top < 0x7F800000;
}

#endif
