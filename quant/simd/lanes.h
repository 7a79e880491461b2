/* Vectors of LANES float32 or int32 values, a sub-block in each lane: what the encoders in *.inc are written against. A file
 * NAME_ISA.c includes them, and its suffix makes the build compile it for that instruction set.
 *
 *   vf, vi, vm              floats, integers, truth values
 *   vX_set, _load, _store   the same value in every lane; from and to LANES values at any address
 *   vf_add sub mul div sqrt each rounded on its own: -ffp-contract=off keeps the compiler from fusing them
 *   vf_min(a, b)            a < b ? a : b, so b where one is NaN or both are zeros; vf_max likewise with >
 *   vf_round                to the nearest integer, ties to even; like fp_nearest if the magnitude is below 2^22
 *   vf_nearest              fp_nearest of any bits, as integers
 *   vf_trunc                integers towards zero; in range only
 *   vf_eq ne gt ge lt le    false where a value is NaN, except ne
 *   vX_select(m, a, b)      m ? a : b
 *   vf_from_vi, vf_bits, vi_bits   converts; vi_bits(vf) and vf_bits(vi) keep the bits
 *   vi_sll, srl, sra        shifts by a constant
 *   vi_store8               the low byte of each lane, LANES bytes
 *   vi_load8                LANES bytes, zero-extended
 *   vi_reduce_max           the largest lane
 *   vX_gather(p, index)     p[index of the lane]
 *   vf_pick(p, index)       the same of eight values, by the index's lowest three bits
 *   vm_and or andnot not    andnot(a, b) is a and not b
 *   vm_any, vm_all          of all lanes
 *   vm_bits, vm_from_bits   bit l is lane l
 *   vf_columns(rows, n, c)  c[i] holds element i of the rows that LANES pointers give, i < n; n is a multiple of 16
 *
 * LANE_FN(name) is name with the instruction set's suffix. */
#ifndef SMELT_QUANT_SIMD_LANES_H
#define SMELT_QUANT_SIMD_LANES_H

#if defined(__AVX512F__)
#include "quant/simd/lanes_avx512.h"
#elif defined(__AVX2__)
#include "quant/simd/lanes_avx2.h"
#elif defined(__aarch64__)
#include "quant/simd/lanes_neon.h"
#else
#error "lanes are for AVX2, AVX-512 and NEON"
#endif

/* For functions whose loops should be compiled for the constants that they are called with. */
#define LANE_INLINE static inline __attribute__((always_inline))

/* Bounds of values that are no NaN: floats of one sign are ordered like their bits, and integer instructions have more ports than
 * vf_min, which shares its with additions. `top` is positive, `bottom` is not; vf_not_below(v, 0) makes +0 of -0. */
static inline vf vf_not_above(vf v, float top) { return vf_bits(vi_min(vi_bits(v), vi_bits(vf_set(top)))); }
static inline vf vf_not_below(vf v, float bottom)
{
    if (bottom == 0) return vf_bits(vi_max(vi_bits(v), vi_set(0)));
    return vf_bits(vi_min_unsigned(vi_bits(v), vi_bits(vf_set(bottom))));
}

static inline void vf_columns(const float *const *rows, int n, vf *columns)
{
    for (int k = 0; k < n; k += LANES)
        vf_transpose(rows, k, columns + k);
}

#endif
