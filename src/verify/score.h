/* Loops over rows of logits and over blocks of weights, for one processor level each: score.inc compiled with its flags. Sums are in
 * double. */
#ifndef SMELT_VERIFY_SCORE_H
#define SMELT_VERIFY_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* Of n values x and what a candidate has for them, y; all finite. */
typedef struct score_sums {
    double xx, yy, xy, ee;     /* squares of x, y, products, squares of y - x */
    float x_max, y_max, e_max; /* largest magnitudes */
} score_sums;

typedef struct score_ops {
    smelt_cpu cpu;
    /* True if all are finite. */
    bool (*finite)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);
    /* The sum of e^(x - top), top being at least every x. */
    double (*sum_exp)(const float *x, double top, size_t n);
    /* The sum of p ln(p / q) over all i, ln p being x[i] - x_norm and ln q y[i] - y_norm. */
    double (*kl)(const float *x, double x_norm, const float *y, double y_norm, size_t n);
    void (*sums)(const float *x, const float *y, size_t n, score_sums *out);
} score_ops;

/* The best for a processor. */
const score_ops *score_select(smelt_cpu cpu);

enum { SCORE_TOP = 5 };
/* The indices of the SCORE_TOP largest, largest first and the lower index first where they are equal; n is at least SCORE_TOP, or the
 * rest of `out` is -1. */
void score_top(const score_ops *ops, const float *x, size_t n, int32_t out[SCORE_TOP]);

#endif
