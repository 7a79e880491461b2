/* Values that are NaN or infinite: finding, replacing and reporting them. */
#ifndef SMELT_CONVERT_FINITE_H
#define SMELT_CONVERT_FINITE_H

#include "ir/tensor.h"

/* The index of the first of n values that is not finite; n if there is none. */
uint64_t finite_until(const float *x, uint64_t n);
/* Puts `value` in the place of each that is not finite; returns how many those were. */
uint64_t finite_replace(float *x, uint64_t n, float value);

/* E_CORRUPT: element `index` of the tensor (row-major) is `value`, which `type` cannot hold. */
smelt_status finite_fail(const smelt_tensor *t, uint64_t index, float value, smelt_dtype type, smelt_err *err);
/* E_CORRUPT: the block of its own type that starts at element `index` has a scale that is not finite. */
smelt_status finite_fail_scale(const smelt_tensor *t, uint64_t index, smelt_err *err);
/* E_CORRUPT: element `index`, `value`, is the largest of a block whose scale would not be finite. */
smelt_status finite_fail_large(const smelt_tensor *t, uint64_t index, float value, smelt_dtype type, smelt_err *err);

#endif
