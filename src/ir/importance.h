/* How much each column of a tensor's matrices matters, from calibration: the mean square of what a model multiplied it with. */
#ifndef SMELT_IR_IMPORTANCE_H
#define SMELT_IR_IMPORTANCE_H

#include "ir/tensor.h"

typedef struct smelt_importance {
    const smelt_view *sums; /* float32, the columns of one matrix after those of another */
    const float *counts;    /* what the sums of a matrix are divided by; 0: it was never used, and all its columns count alike */
    uint64_t n_counts;      /* as many as matrices, or 1 for all of them together */
    uint64_t matrices, cols;
} smelt_importance;

/* Writes the importance of the `cols` columns of one matrix. Thread-safe. */
void importance_row(const smelt_importance *importance, uint64_t matrix, float *out);

#endif
