/* Four-bit floats (E2M1) with a shared scale. Source: OCP Microscaling Formats (MX) v1.0 for mxfp4; NVIDIA's NVFP4 as ggml
 * stores it. Blocks are ggml's: byte j holds elements j and j + half. */
#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/fp4.h"

/* First of the nearest values, in the order of their codes. */
static uint8_t nearest_e2m1(float x, float d)
{
    uint8_t best = 0;
    float best_error = fp_abs((float)e2m1_doubled[0] * d - x);
    for (uint8_t i = 1; i < 16; i++) {
        float error = fp_abs((float)e2m1_doubled[i] * d - x);
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

void mxfp4_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_mxfp4 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 32; i++, b++, x += 32) {
        b->e = mxfp4_exponent(largest(x, 32));
        put_half_blocks(x, 16, e8m0_half(b->e), b->qs);
    }
}

void nvfp4_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_nvfp4 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 64; i++, b++)
        for (int s = 0; s < 4; s++, x += 16) {
            b->d[s] = ue4m3_from(largest(x, 16) / 6.0f); /* 6 is E2M1's largest value */
            put_half_blocks(x, 8, ue4m3_half(b->d[s]), b->qs + 8 * s);
        }
}

BLOCK_VALIDATE(mxfp4_validate, blk_mxfp4, b->e != 0xFF)

const smelt_codec smelt_codec_mxfp4 = {
    .dtype = SMELT_DT_MXFP4,
    .validate = mxfp4_validate,
    .variants = {LANE_VARIANTS(mxfp4) UNPACK_VARIANT(mxfp4){SMELT_CPU_BASELINE, mxfp4_pack, mxfp4_unpack}}};
const smelt_codec smelt_codec_nvfp4 = {
    .dtype = SMELT_DT_NVFP4,
    .variants = {LANE_VARIANTS(nvfp4) UNPACK_VARIANT(nvfp4){SMELT_CPU_BASELINE, nvfp4_pack, nvfp4_unpack}}};
