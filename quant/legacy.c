/* The first generation of block types: 32 elements with one float16 scale, and a minimum in the _1 types. These functions
 * are the specification that the variants in simd/ reproduce bit for bit: arithmetic in llama.cpp's order, no contraction. */
#include <float.h>
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/legacy.h"

enum { N = 32 };

/* What the weighted searches multiply a column's importance with: the root of the row's mean square plus the value's square. */
static float row_mean_square(const float *row, uint64_t cols)
{
    float sum = 0;
    for (uint64_t j = 0; j < cols; j++)
        sum += row[j] * row[j];
    return sum / (float)cols;
}

static void block_weights(const float *x, const float *weights, float mean_square, float *w)
{
    for (int j = 0; j < N; j++)
        w[j] = weights[j] * sqrtf(mean_square + x[j] * x[j]);
}

/* Codes around `half`: the scale maps the element of largest magnitude (the first one of several) to the lowest code, so the
 * scale is negative where that element is positive. */
static float symmetric_codes(const float *x, int half, uint8_t *code)
{
    float top = 0, top_abs = 0;
    for (int j = 0; j < N; j++)
        if (top_abs < fp_abs(x[j])) {
            top_abs = fp_abs(x[j]);
            top = x[j];
        }
    const float d = top / (float)-half, inverse = d != 0 ? 1.0f / d : 0.0f;
    for (int j = 0; j < N; j++) {
        uint8_t q = (uint8_t)fp_trunc(x[j] * inverse + ((float)half + 0.5f));
        code[j] = q < 2 * half ? q : (uint8_t)(2 * half - 1);
    }
    return d;
}

static float offset_codes(const float *x, int top, float *min_out, uint8_t *code)
{
    float min = FLT_MAX, max = -FLT_MAX;
    for (int j = 0; j < N; j++) {
        if (x[j] < min) min = x[j];
        if (x[j] > max) max = x[j];
    }
    const float d = (max - min) / (float)top, inverse = d != 0 ? 1.0f / d : 0.0f;
    for (int j = 0; j < N; j++) {
        uint8_t q = (uint8_t)fp_trunc((x[j] - min) * inverse + 0.5f);
        code[j] = q <= top ? q : (uint8_t)top;
    }
    *min_out = min;
    return d;
}

#define SYMMETRIC_PACK(name, type, half, qh) \
    void name(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        type *b = dst; \
        for (uint64_t r = 0; r < rows; r++) { \
            float mean_square = weights ? row_mean_square(x, cols) : 0; \
            for (uint64_t c = 0; c < cols; c += N, b++, x += N) { \
                uint8_t code[N]; \
                float w[N], d; \
                if (weights) { \
                    block_weights(x, weights + c, mean_square, w); \
                    d = search_symmetric(N, half, x, w, code); \
                } else { \
                    d = symmetric_codes(x, half, code); \
                } \
                fp_put16(b->d, d); \
                legacy_put_codes(code, b->qs, qh); \
            } \
        } \
    }
SYMMETRIC_PACK(q4_0_pack, blk_q4_0, 8, NULL)
SYMMETRIC_PACK(q5_0_pack, blk_q5_0, 16, b->qh)

#define OFFSET_PACK(name, type, top, qh) \
    void name(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        type *b = dst; \
        for (uint64_t r = 0; r < rows; r++) { \
            float mean_square = weights ? row_mean_square(x, cols) : 0; \
            for (uint64_t c = 0; c < cols; c += N, b++, x += N) { \
                uint8_t code[N]; \
                float w[N], d, min; \
                if (weights) { \
                    block_weights(x, weights + c, mean_square, w); \
                    d = search_offset(N, top, x, w, &legacy_grid, code, &min); \
                    min = -min; \
                } else { \
                    d = offset_codes(x, top, &min, code); \
                } \
                fp_put16(b->d, d); \
                fp_put16(b->m, min); \
                legacy_put_codes(code, b->qs, qh); \
            } \
        } \
    }
OFFSET_PACK(q4_1_pack, blk_q4_1, 15, NULL)
OFFSET_PACK(q5_1_pack, blk_q5_1, 31, b->qh)

/* Rounds half away from zero; the scale maps the largest magnitude to 127. */
static float byte_codes(const float *x, int8_t *code)
{
    float top = 0;
    for (int j = 0; j < N; j++) {
        float v = fp_abs(x[j]);
        top = top > v ? top : v;
    }
    const float d = top / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    for (int j = 0; j < N; j++)
        code[j] = (int8_t)(uint8_t)fp_trunc(roundf(x[j] * inverse));
    return d;
}

void q8_0_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights; /* every code is within half a step: there is nothing to weigh */
    blk_q8_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / N; i++, b++, x += N)
        fp_put16(b->d, byte_codes(x, b->qs));
}

void q8_1_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    blk_q8_1 *b = dst;
    for (uint64_t i = 0; i < rows * cols / N; i++, b++, x += N) {
        float d = byte_codes(x, b->qs);
        int sum = 0;
        for (int j = 0; j < N; j++)
            sum += b->qs[j];
        fp_put16(b->d, d);
        fp_put16(b->s, (float)sum * d);
    }
}

/* `finite` says of block b that its scales are. */
#define LEGACY_CODEC(name, id, finite, ...) \
    BLOCK_VALIDATE(name##_validate, blk_##name, finite) \
    const smelt_codec smelt_codec_##name = { \
        .dtype = SMELT_DT_##id, \
        .validate = name##_validate, \
        .variants = {__VA_ARGS__ UNPACK_VARIANT(name){SMELT_CPU_BASELINE, name##_pack, name##_unpack}}, \
    }
LEGACY_CODEC(q4_0, Q4_0, fp_finite16(b->d), LANE_VARIANTS(q4_0));
LEGACY_CODEC(q4_1, Q4_1, fp_finite16(b->d) && fp_finite16(b->m), LANE_VARIANTS(q4_1));
LEGACY_CODEC(q5_0, Q5_0, fp_finite16(b->d), LANE_VARIANTS(q5_0));
LEGACY_CODEC(q5_1, Q5_1, fp_finite16(b->d) && fp_finite16(b->m), LANE_VARIANTS(q5_1));
LEGACY_CODEC(q8_0, Q8_0, fp_finite16(b->d), LANE_VARIANTS(q8_0));
LEGACY_CODEC(q8_1, Q8_1, fp_finite16(b->d) && fp_finite16(b->s), LANE_VARIANTS(q8_1));
