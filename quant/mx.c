/* Four-bit floats (E2M1) with a shared scale. Source: OCP Microscaling Formats (MX) v1.0 for mxfp4; NVIDIA's NVFP4 as ggml
 * stores it. Blocks are ggml's: byte j holds elements j and j + half. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/fp.h"

/* Twice the values of E2M1, so that they are integers; scales below are halved to match. */
static const int8_t doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* First of the nearest values, in the order of their codes. */
static uint8_t nearest_e2m1(float x, float d)
{
    uint8_t best = 0;
    float best_error = fp_abs((float)doubled[0] * d - x);
    for (uint8_t i = 1; i < 16; i++) {
        float error = fp_abs((float)doubled[i] * d - x);
        if (error < best_error) {
            best = i;
            best_error = error;
        }
    }
    return best;
}

static float largest(const float *x, int n)
{
    float top = 0;
    for (int j = 0; j < n; j++)
        if (top < fp_abs(x[j])) top = fp_abs(x[j]);
    return top;
}

static void put_half_blocks(const float *x, int half, float d, uint8_t *qs)
{
    for (int j = 0; j < half; j++)
        qs[j] = (uint8_t)(nearest_e2m1(x[j], d) | nearest_e2m1(x[j + half], d) << 4);
}

static void get_half_blocks(const uint8_t *qs, int half, float d, float *y)
{
    for (int j = 0; j < half; j++) {
        y[j] = (float)doubled[qs[j] & 15] * d;
        y[j + half] = (float)doubled[qs[j] >> 4] * d;
    }
}

/* 2^(e - 128): half of what E8M0 means. The two smallest are subnormal. */
static float e8m0_half(uint8_t e) { return e < 2 ? f32_from_bits(0x200000u << e) : f32_from_bits((uint32_t)(e - 1) << 23); }

static void mxfp4_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_mxfp4 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 32; i++, b++, x += 32) {
        const float top = largest(x, 32);
        /* log2f and not the exponent's bits: it rounds up just below a power of two, and the peer's bytes have that. */
        b->e = top > 0 ? (uint8_t)fp_trunc(floorf(log2f(top)) - 2 + 127) : 0;
        put_half_blocks(x, 16, e8m0_half(b->e), b->qs);
    }
}

static void mxfp4_unpack(const void *src, float *y, uint64_t n)
{
    const blk_mxfp4 *b = src;
    for (uint64_t i = 0; i < n / 32; i++, b++, y += 32)
        get_half_blocks(b->qs, 16, e8m0_half(b->e), y);
}

/* Half of an unsigned E4M3 (bias 7); 0x7F is not a number and stands for zero. */
static float ue4m3_half(uint8_t v)
{
    const int exponent = v >> 3 & 15, mant = v & 7;
    if (v == 0 || v == 0x7F) return 0;
    return 0.5f * (exponent ? ldexpf((float)(8 + mant), exponent - 10) : ldexpf((float)mant, -9));
}

static uint8_t ue4m3_from(float x)
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

static void nvfp4_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_nvfp4 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 64; i++, b++)
        for (int s = 0; s < 4; s++, x += 16) {
            b->d[s] = ue4m3_from(largest(x, 16) / 6.0f); /* 6 is E2M1's largest value */
            put_half_blocks(x, 8, ue4m3_half(b->d[s]), b->qs + 8 * s);
        }
}

static void nvfp4_unpack(const void *src, float *y, uint64_t n)
{
    const blk_nvfp4 *b = src;
    for (uint64_t i = 0; i < n / 64; i++, b++)
        for (int s = 0; s < 4; s++, y += 16)
            get_half_blocks(b->qs + 8 * s, 8, ue4m3_half(b->d[s]), y);
}

BLOCK_VALIDATE(mxfp4_validate, blk_mxfp4, b->e != 0xFF)

const smelt_codec smelt_codec_mxfp4 = {
    .dtype = SMELT_DT_MXFP4, .validate = mxfp4_validate, .variants = {{SMELT_CPU_BASELINE, mxfp4_pack, mxfp4_unpack}}};
const smelt_codec smelt_codec_nvfp4 = {.dtype = SMELT_DT_NVFP4, .variants = {{SMELT_CPU_BASELINE, nvfp4_pack, nvfp4_unpack}}};
