/* The 32-element types with AVX-512: a block is two registers. As in legacy_avx2.c, the baseline's operations in its order. */
#include <float.h>
#include <immintrin.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/simd/usual.h"

static inline void put16(uint8_t *p, float v) { store_le16(p, _cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT)); }

static inline __m512i magnitude(__m512 v) { return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7FFFFFFF)); }

static inline void put_codes(__m512i a, __m512i b, uint8_t *qs, uint8_t *qh)
{
    if (qh) {
        const __m512i fifth = _mm512_set1_epi32(16), low = _mm512_set1_epi32(15);
        store_le32(qh, (uint32_t)_mm512_test_epi32_mask(a, fifth) | (uint32_t)_mm512_test_epi32_mask(b, fifth) << 16);
        a = _mm512_and_si512(a, low);
    }
    /* The narrowing keeps the low byte, so the second half's fifth bits fall away by themselves. */
    _mm_storeu_si128((__m128i *)qs, _mm512_cvtepi32_epi8(_mm512_or_si512(a, _mm512_slli_epi32(b, 4))));
}

static inline bool symmetric(const float *x, int half, uint8_t *d16, uint8_t *qs, uint8_t *qh)
{
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512i ma = magnitude(a), mb = magnitude(b);
    const uint32_t top = (uint32_t)_mm512_reduce_max_epu32(_mm512_max_epu32(ma, mb));
    if (!usual(top)) return false;
    const __m512i tops = _mm512_set1_epi32((int)top), last = _mm512_set1_epi32(2 * half - 1);
    const uint32_t at = (uint32_t)_mm512_cmpeq_epi32_mask(ma, tops) | (uint32_t)_mm512_cmpeq_epi32_mask(mb, tops) << 16;
    const float d = x[__builtin_ctz(at)] / (float)-half;
    const __m512 inverse = _mm512_set1_ps(1.0f / d), shift = _mm512_set1_ps((float)half + 0.5f);
    __m512i qa = _mm512_min_epi32(_mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(a, inverse), shift)), last);
    __m512i qb = _mm512_min_epi32(_mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(b, inverse), shift)), last);
    put16(d16, d);
    put_codes(qa, qb, qs, qh);
    return true;
}

static inline bool offset(const float *x, int top, uint8_t *d16, uint8_t *m16, uint8_t *qs, uint8_t *qh)
{
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512 lo = _mm512_min_ps(b, _mm512_min_ps(a, _mm512_set1_ps(FLT_MAX)));
    const __m512 hi = _mm512_max_ps(b, _mm512_max_ps(a, _mm512_set1_ps(-FLT_MAX)));
    const float min = _mm512_reduce_min_ps(lo), range = _mm512_reduce_max_ps(hi) - min;
    /* A minimum of zero may be of either sign, and the first one counts. */
    if (!usual(f32_bits(range)) || min == 0) return false;
    const float d = range / (float)top;
    const __m512 inverse = _mm512_set1_ps(1.0f / d), base = _mm512_set1_ps(min), half = _mm512_set1_ps(0.5f);
    const __m512i last = _mm512_set1_epi32(top), zero = _mm512_setzero_si512();
    /* A NaN becomes INT32_MIN, whose low byte is zero. */
    __m512i qa = _mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(a, base), inverse), half));
    __m512i qb = _mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(b, base), inverse), half));
    put16(d16, d);
    put16(m16, min);
    put_codes(_mm512_max_epi32(_mm512_min_epi32(qa, last), zero), _mm512_max_epi32(_mm512_min_epi32(qb, last), zero), qs, qh);
    return true;
}

#define PACK(name, type, call) \
    void name##_pack_avx512(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        if (weights) { \
            name##_weighted_avx512(x, dst, rows, cols, weights); \
            return; \
        } \
        type *b = dst; \
        for (uint64_t i = 0; i < rows * cols / 32; i++, b++, x += 32) \
            if (!call) name##_pack(x, b, 1, 32, NULL); \
    }
PACK(q4_0, blk_q4_0, symmetric(x, 8, b->d, b->qs, NULL))
PACK(q5_0, blk_q5_0, symmetric(x, 16, b->d, b->qs, b->qh))
PACK(q4_1, blk_q4_1, offset(x, 15, b->d, b->m, b->qs, NULL))
PACK(q5_1, blk_q5_1, offset(x, 31, b->d, b->m, b->qs, b->qh))

void q8_0_pack_avx512(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    /* Adding the float below one half, with the value's sign, and truncating rounds half away from zero. */
    const __m512 sign = _mm512_set1_ps(-0.0f), below_half = _mm512_set1_ps(0x1.fffffep-2f);
    blk_q8_0 *out = dst;
    for (uint64_t i = 0; i < rows * cols / 32; i++, out++, x += 32) {
        const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
        const uint32_t top = (uint32_t)_mm512_reduce_max_epu32(_mm512_max_epu32(magnitude(a), magnitude(b)));
        if (!usual(top)) {
            q8_0_pack(x, out, 1, 32, weights);
            continue;
        }
        const float d = f32_from_bits(top) / 127.0f;
        const __m512 inverse = _mm512_set1_ps(1.0f / d);
        const __m512 va = _mm512_mul_ps(a, inverse), vb = _mm512_mul_ps(b, inverse);
        const __m512 ra = _mm512_or_ps(_mm512_and_ps(va, sign), below_half), rb = _mm512_or_ps(_mm512_and_ps(vb, sign), below_half);
        put16(out->d, d);
        _mm_storeu_si128((__m128i *)out->qs, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(_mm512_add_ps(va, ra))));
        _mm_storeu_si128((__m128i *)(out->qs + 16), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(_mm512_add_ps(vb, rb))));
    }
}
