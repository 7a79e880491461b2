/* Four-bit floats (E2M1) and the eight-bit floats that scale them, all halved or doubled so that an E2M1 value is an integer. */
#ifndef SMELT_QUANT_FP4_H
#define SMELT_QUANT_FP4_H

#include <math.h>

#include "quant/fp.h"

/* Twice the values of E2M1 by code. Scales are halved to match. */
static const int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 2^(e - 128): half of what E8M0 means. The two smallest are subnormal. */
static inline float e8m0_half(uint8_t e) { return f32_from_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23); }

/* The exponent of a block's scale from its largest magnitude. */
static inline uint8_t mxfp4_exponent(float top)
{
    /* log2f and not the exponent's bits: it rounds up just below a power of two, and the peer's bytes have that. */
    return top > 0 ? (uint8_t)fp_trunc(floorf(log2f(top)) - 2 + 127) : 0;
}

/* Half of an unsigned E4M3 (bias 7), whatever its sign bit; 0x7F is not a number and stands for zero. */
static inline float ue4m3_half(uint8_t v)
{
    const uint32_t exponent = v >> 3 & 15, mant = v & 7;
    if (v == 0x7F) return 0;
    return exponent ? f32_from_bits((exponent + 119) << 23 | mant << 20) : (float)mant * 0x1p-10f;
}

static inline uint8_t ue4m3_from(float x)
{
    if (!(x > 0)) return 0;
    if (x > 448.0f) x = 448.0f;
    const uint32_t bits = f32_bits(x);
    int exponent = (int)(bits >> 23 & 0xFF) - 120;
    if (exponent <= 0) {
        int mant = (int)(x * 512.0f + 0.5f);
        return (uint8_t)(mant > 7 ? 7 : mant);
    }
    if (exponent >= 15) return 0x7E;
    /* Rounds half up by the one bit below the mantissa. */
    int mant = (int)(bits >> 20 & 7) + (int)(bits >> 19 & 1);
    if (mant > 7) {
        mant = 0;
        if (++exponent >= 15) return 0x7E;
    }
    return (uint8_t)(exponent << 3 | mant);
}

#endif
