/* Products of bfloat16 weights with activations rounded to bfloat16, summed in float32. */
#ifndef SMELT_ENGINE_BF16_H
#define SMELT_ENGINE_BF16_H

#include "engine/internal.h"

/* Tokens go through a product in panels of this many. */
enum { BF16_TOKENS = 16 };

typedef struct bf16_ops {
    /* Rounds n floats to nearest, ties to even. */
    void (*round)(const float *x, size_t n, uint16_t *out);
    /* y[t * ldy + r] of 16 * panels tokens and n rows of weights: row[r] has `cols` weights (even, at any address), x their activations as
     * [panels][cols / 2][16] pairs. */
    void (*panels)(const uint32_t *x, size_t panels, const void *const *row, size_t n, size_t cols, float *y, size_t ldy);
    /* y[r] of one token x[cols]; cols is a multiple of 32. */
    void (*one)(const uint16_t *x, const void *const *row, size_t n, size_t cols, float *y);
} bf16_ops;

extern const bf16_ops bf16_ops_x86;
/* NULL for a processor without such instructions. */
const bf16_ops *bf16_select(smelt_cpu cpu);

#endif
