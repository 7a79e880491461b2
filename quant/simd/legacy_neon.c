/* The 32-element types with NEON: a block at a time, as in legacy_avx2.c with the baseline's operations in its order. */
#include <float.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/legacy.h"
#include "quant/simd/largest.h"
#include "quant/simd/usual.h"

enum { N = 32 };

static inline bool symmetric(const float *x, int half, uint8_t *d16, uint8_t *code)
{
    const uint32_t top = largest(x, N);
    if (!usual(top)) return false;
    const float d = x[first_of(x, top)] / (float)-half;
    const vf inverse = vf_set(1.0f / d), shift = vf_set((float)half + 0.5f);
    for (int i = 0; i < N; i += LANES) {
        const vi q = vf_trunc(vf_add(vf_mul(vf_load(x + i), inverse), shift));
        vi_store8(code + i, vi_min(q, vi_set(2 * half - 1)));
    }
    fp_put16(d16, d);
    return true;
}

static inline bool offset(const float *x, int top, uint8_t *d16, uint8_t *m16, uint8_t *code)
{
    float lows[LANES], highs[LANES], min = FLT_MAX, max = -FLT_MAX;
    vf low = vf_set(min), high = vf_set(max);
    for (int i = 0; i < N; i += LANES) {
        low = vf_min(vf_load(x + i), low);
        high = vf_max(vf_load(x + i), high);
    }
    vf_store(lows, low);
    vf_store(highs, high);
    for (int l = 0; l < LANES; l++) {
        min = lows[l] < min ? lows[l] : min;
        max = highs[l] > max ? highs[l] : max;
    }
    /* A minimum of zero may be of either sign, and the first one counts; a NaN is no element of a range. */
    if (!usual(f32_bits(max - min)) || min == 0 || largest(x, N) > f32_bits(FLT_MAX)) return false;
    const float d = (max - min) / (float)top;
    const vf inverse = vf_set(1.0f / d), base = vf_set(min);
    for (int i = 0; i < N; i += LANES) {
        const vi q = vf_trunc(vf_add(vf_mul(vf_sub(vf_load(x + i), base), inverse), vf_set(0.5f)));
        vi_store8(code + i, vi_max(vi_min(q, vi_set(top)), vi_set(0)));
    }
    fp_put16(d16, d);
    fp_put16(m16, min);
    return true;
}

#define PACK(name, call, qh) \
    void name##_pack_neon(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        if (weights) { \
            name##_weighted_neon(x, dst, rows, cols, weights); \
            return; \
        } \
        blk_##name *b = dst; \
        for (uint64_t i = 0; i < rows * cols / N; i++, b++, x += N) { \
            uint8_t code[N]; \
            if (call) \
                legacy_put_codes(code, b->qs, qh); \
            else \
                name##_pack(x, b, 1, N, NULL); \
        } \
    }
PACK(q4_0, symmetric(x, 8, b->d, code), NULL)
PACK(q5_0, symmetric(x, 16, b->d, code), b->qh)
PACK(q4_1, offset(x, 15, b->d, b->m, code), NULL)
PACK(q5_1, offset(x, 31, b->d, b->m, code), b->qh)

void q8_0_pack_neon(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_q8_0 *b = dst;
    for (uint64_t i = 0; i < rows * cols / N; i++, b++, x += N) {
        const uint32_t top = largest(x, N);
        if (!usual(top)) {
            q8_0_pack(x, b, 1, N, weights);
            continue;
        }
        const float d = f32_from_bits(top) / 127.0f;
        for (int k = 0; k < N; k += LANES)
            vi_store8((uint8_t *)b->qs + k, vcvtaq_s32_f32(vf_mul(vf_load(x + k), vf_set(1.0f / d)))); /* halves away from zero */
        fp_put16(b->d, d);
    }
}
