/* The largest magnitude of a block whose elements lie in the lanes. */
#ifndef SMELT_QUANT_SIMD_LARGEST_H
#define SMELT_QUANT_SIMD_LARGEST_H

#include "quant/simd/lanes.h"

/* Bits of the largest magnitude; NaN counts as larger than infinity. */
static inline uint32_t largest(const float *x, int n)
{
    vi top = vi_set(0);
    for (int i = 0; i < n; i += LANES)
        top = vi_max(top, vi_bits(vf_abs(vf_load(x + i))));
    return (uint32_t)vi_reduce_max(top);
}

/* Index of the first element of this magnitude, which there is. */
static inline int first_of(const float *x, uint32_t magnitude)
{
    for (int i = 0;; i += LANES) {
        const uint32_t at = vm_bits(vi_eq(vi_bits(vf_abs(vf_load(x + i))), vi_set((int32_t)magnitude)));
        if (at) return i + __builtin_ctz(at);
    }
}

#endif
