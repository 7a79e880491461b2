/* One scale and one or two bits an element: -1, 0, 1 (tq1_0, tq2_0), a sign (q1_0), -1 … 2 (q2_0). */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/fp.h"

static float largest(const float *x, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++) {
        float v = fp_abs(x[i]);
        top = top > v ? top : v;
    }
    return top;
}

/* Nearest of -1, 0, 1 as 0, 1, 2; rounds half away from zero. */
static uint8_t trit(float x) { return (uint8_t)((uint32_t)fp_trunc(roundf(x)) + 1); }

/* tq1_0 stores 5 trits a byte as a fraction of 256, so that multiplying by 3 shifts the next trit out. Element
 * first + n*bytes + m is trit n of byte m of its run; the last four bytes hold only 4. */
static const struct {
    uint8_t byte, bytes, trits, first;
} runs[3] = {{0, 32, 5, 0}, {32, 16, 5, 160}, {48, 4, 4, 240}};

void tq1_0_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_tq1_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 256; i++, b++, x += 256) {
        const float d = largest(x, 256), inverse = d != 0 ? 1.0f / d : 0.0f;
        uint8_t out[52];
        for (int r = 0; r < 3; r++)
            for (int m = 0; m < runs[r].bytes; m++) {
                uint8_t q = 0;
                for (int n = 0; n < 5; n++)
                    q = (uint8_t)(q * 3 + (n < runs[r].trits ? trit(x[runs[r].first + n * runs[r].bytes + m] * inverse) : 0));
                out[runs[r].byte + m] = (uint8_t)((q * 256 + 242) / 243); /* rounded up, so that no trit is lost */
            }
        memcpy(b->qs, out, 48);
        memcpy(b->qh, out + 48, 4);
        fp_put16(b->d, d);
    }
}

/* Byte m of each 32: elements m, m + 32, m + 64, m + 96 of 128. */
void tq2_0_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_tq2_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 256; i++, b++, x += 256) {
        const float d = largest(x, 256), inverse = d != 0 ? 1.0f / d : 0.0f;
        memset(b->qs, 0, sizeof b->qs);
        for (int e = 0; e < 256; e++) {
            uint8_t *q = &b->qs[e / 128 * 32 + e % 32];
            *q = (uint8_t)(*q | (trit(x[e] * inverse) & 3) << (e % 128 / 32 * 2));
        }
        fp_put16(b->d, d);
    }
}

/* q1_0: the sign, times the mean magnitude. */
void q1_0_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_q1_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 128; i++, b++, x += 128) {
        float sum = 0;
        memset(b->qs, 0, sizeof b->qs);
        for (int e = 0; e < 128; e++) {
            sum += fp_abs(x[e]);
            b->qs[e / 8] = (uint8_t)(b->qs[e / 8] | (x[e] >= 0) << (e % 8));
        }
        fp_put16(b->d, sum / 128);
    }
}

void q2_0_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_q2_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / 64; i++, b++, x += 64) {
        float d = 0;
        for (int e = 0; e < 64; e++)
            if (fp_abs(x[e]) > d) d = fp_abs(x[e]);
        const float inverse = d > 0 ? 1.0f / d : 0.0f;
        memset(b->qs, 0, sizeof b->qs);
        for (int e = 0; e < 64; e++) {
            int q = fp_clamp(fp_trunc(roundf(x[e] * inverse)), -1, 2) + 1;
            b->qs[e / 4] = (uint8_t)(b->qs[e / 4] | q << (e % 4 * 2));
        }
        fp_put16(b->d, d);
    }
}

BLOCK_VALIDATE(tq1_0_validate, blk_tq1_0, fp_finite16(b->d))
BLOCK_VALIDATE(tq2_0_validate, blk_tq2_0, fp_finite16(b->d))
BLOCK_VALIDATE(q1_0_validate, blk_q1_0, fp_finite16(b->d))
BLOCK_VALIDATE(q2_0_validate, blk_q2_0, fp_finite16(b->d))

#define CODEC(name, id) \
    const smelt_codec smelt_codec_##name = { \
        .dtype = SMELT_DT_##id, \
        .validate = name##_validate, \
        .variants = {LANE_VARIANTS(name) UNPACK_VARIANT(name){SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}
CODEC(tq1_0, TQ1_0);
CODEC(tq2_0, TQ2_0);
CODEC(q1_0, Q1_0);
CODEC(q2_0, Q2_0);
