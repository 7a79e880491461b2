/* Which blocks the vector code takes: those whose scale can be inverted and whose codes cannot leave their range. The others
 * (zeros, subnormal scales, infinity, NaN) are rare and go to the baseline function one by one, which defines their bytes. */
#ifndef SMELT_QUANT_SIMD_USUAL_H
#define SMELT_QUANT_SIMD_USUAL_H

#include "quant/fp.h"

/* 2^-100 <= v <= FLT_MAX, on the bits of a magnitude. */
static inline bool usual(uint32_t magnitude_bits) { return magnitude_bits - 0x0D800000u <= 0x7F7FFFFFu - 0x0D800000u; }

#endif
