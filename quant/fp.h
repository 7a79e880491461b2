/* Conversions between float32 and the small float formats, one value at a time. */
#ifndef SMELT_QUANT_FP_H
#define SMELT_QUANT_FP_H

#include "base/bytes.h"

/* IEEE binary16 (IEEE 754-2008, 3.6), rounded to nearest even. Every NaN becomes the quiet NaN 0x7E00 with its sign. */
static inline uint16_t fp_to_f16(float x)
{
    uint32_t bits = f32_bits(x), sign = bits >> 16 & 0x8000, mag = bits & 0x7FFFFFFF;
    if (mag > 0x7F800000) return (uint16_t)(sign | 0x7E00);
    if (mag >= 0x47800000) return (uint16_t)(sign | 0x7C00); /* 65536 and more, infinity included */
    if (mag < 0x38800000) {
        /* Below 2^-14 a result's unit is 2^-24, and so is a float's unit just below 1: this addition rounds like the conversion. */
        float r = f32_from_bits(mag) + 0.5f;
        return (uint16_t)(sign | (f32_bits(r) - 0x3F000000));
    }
    mag += 0xFFF + (mag >> 13 & 1); /* half a unit of the result, one less on even, so that ties stay there */
    return (uint16_t)(sign | (mag - 0x38000000) >> 13);
}

static inline float fp_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7FFF;
    if (mag >= 0x7C00) return f32_from_bits(sign | 0x7F800000 | (mag & 0x3FF) << 13 | (mag > 0x7C00 ? 0x400000 : 0));
    if (mag < 0x400) return f32_from_bits(sign | f32_bits((float)mag * 0x1p-24f));
    return f32_from_bits(sign | ((mag << 13) + 0x38000000));
}

/* bfloat16: the upper half of a float32, rounded to nearest even; a NaN stays one by setting its quiet bit. */
static inline uint16_t fp_to_bf16(float x)
{
    uint32_t bits = f32_bits(x);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static inline float fp_from_bf16(uint16_t h) { return f32_from_bits((uint32_t)h << 16); }

/* Truncation towards zero; what is out of range, and NaN, gives INT32_MIN, as x86's conversion does. The reference quantizer
 * relies on that for blocks whose scale is too small to be inverted, and this says it in defined C. */
static inline int32_t fp_trunc(float x) { return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN; }

/* Nearest integer, ties to even, by way of adding 1.5 * 2^23. Defined by its bits, so also for values out of range. */
static inline int32_t fp_nearest(float x)
{
    float shifted = x + 12582912.0f;
    return (int32_t)(f32_bits(shifted) & 0x7FFFFF) - 0x400000;
}

static inline float fp_abs(float x) { return f32_from_bits(f32_bits(x) & 0x7FFFFFFF); }
static inline int32_t fp_clamp(int32_t v, int32_t lo, int32_t hi) { return v < lo ? lo : v > hi ? hi : v; }

static inline void fp_put16(uint8_t *p, float x) { store_le16(p, fp_to_f16(x)); }
static inline float fp_get16(const uint8_t *p) { return fp_from_f16(load_le16(p)); }
static inline bool fp_finite16(const uint8_t *p) { return (load_le16(p) & 0x7C00) != 0x7C00; }

#endif
