/* Searches for a group's scale: the loops behind the k-quants and the weighted legacy types. The order of every floating-point
 * operation is llama.cpp's, because its result decides bytes. */
#ifndef SMELT_QUANT_SEARCH_H
#define SMELT_QUANT_SEARCH_H

#include "quant/fp.h"

/* Groups whose largest magnitude is below this are stored as zero. */
#define SEARCH_EPS 1e-15f

/* Symmetric codes: x[i] ~ scale * (code[i] - half), code in [0, 2*half). Tries 19 scales and keeps the one with the best
 * weighted correlation; weights NULL means x². Returns the scale; a group of zeros gets scale 0 and codes 0. */
float search_symmetric(int n, int half, const float *x, const float *weights, uint8_t *code);
/* The same objective with coordinate descent over codes instead of trial scales. */
float search_descent(int n, int half, const float *x, uint8_t *code);

typedef struct search_grid {
    float from, step; /* trial k divides the range by top + from + step * k */
    int steps;        /* k is 0 … steps */
    bool absolute;    /* error is |difference|, not its square */
} search_grid;

/* Codes with an offset: x[i] ~ scale * code[i] - *min, code in [0, top], *min >= 0. n is at most 32. */
float search_offset(int n, int top, const float *x, const float *weights, const search_grid *grid, uint8_t *code, float *min);
/* Non-negative values without an offset: x[i] ~ scale * code[i]. For the scales and minima of a super-block. */
float search_positive(int n, int top, const float *x, const float *weights, uint8_t *code);

#endif
