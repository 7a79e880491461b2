/* The 32-element types with AVX2, a block at a time: four registers of eight elements. Every element sees the operations of
 * the baseline in their order (multiply, then add: never fused), so the bytes are equal. */
#include <float.h>
#include <immintrin.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/simd/usual.h"

typedef struct block8 {
    __m256 v[4];
} block8;

static inline block8 load_block(const float *x)
{
    return (block8){{_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16), _mm256_loadu_ps(x + 24)}};
}

static inline uint32_t reduce_max_u32(__m256i m)
{
    __m128i h = _mm_max_epu32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    h = _mm_max_epu32(h, _mm_shuffle_epi32(h, 0x4E));
    h = _mm_max_epu32(h, _mm_shuffle_epi32(h, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(h);
}
static inline float reduce_min_ps(__m256 m)
{
    __m128 h = _mm_min_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_min_ps(h, _mm_permute_ps(h, 0x4E));
    return _mm_cvtss_f32(_mm_min_ps(h, _mm_permute_ps(h, 0xB1)));
}
static inline float reduce_max_ps(__m256 m)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_permute_ps(h, 0x4E));
    return _mm_cvtss_f32(_mm_max_ps(h, _mm_permute_ps(h, 0xB1)));
}

static inline __m256i magnitude(__m256 v) { return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7FFFFFFF)); }

/* Bits of the largest magnitude; NaN counts as larger than infinity. */
static inline uint32_t largest(const block8 *b)
{
    __m256i lo = _mm256_max_epu32(magnitude(b->v[0]), magnitude(b->v[1]));
    __m256i hi = _mm256_max_epu32(magnitude(b->v[2]), magnitude(b->v[3]));
    return reduce_max_u32(_mm256_max_epu32(lo, hi));
}

/* One bit per element: where `m`'s lanes have their sign bit set. */
static inline uint32_t sign_bits(const __m256i *m)
{
    uint32_t bits = 0;
    for (int k = 0; k < 4; k++)
        bits |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m[k])) << (8 * k);
    return bits;
}

static inline void put16(uint8_t *p, float v) { store_le16(p, _cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT)); }

/* Codes of 4 or 5 bits in 32-bit lanes to the two halves' nibbles and the fifth bits. */
static inline void put_codes(const __m256i *q, uint8_t *qs, uint8_t *qh)
{
    const __m256i low = _mm256_set1_epi32(15);
    __m256i a = _mm256_or_si256(_mm256_and_si256(q[0], low), _mm256_slli_epi32(_mm256_and_si256(q[2], low), 4));
    __m256i b = _mm256_or_si256(_mm256_and_si256(q[1], low), _mm256_slli_epi32(_mm256_and_si256(q[3], low), 4));
    __m256i w = _mm256_packus_epi32(a, b);
    w = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(w, w), _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
    _mm_storeu_si128((__m128i *)qs, _mm256_castsi256_si128(w));
    if (!qh) return;
    __m256i top[4];
    for (int k = 0; k < 4; k++)
        top[k] = _mm256_slli_epi32(q[k], 27);
    store_le32(qh, sign_bits(top));
}

static inline bool symmetric(const float *x, int half, uint8_t *d16, uint8_t *qs, uint8_t *qh)
{
    const block8 b = load_block(x);
    const uint32_t top = largest(&b);
    if (!usual(top)) return false;
    __m256i q[4];
    for (int k = 0; k < 4; k++)
        q[k] = _mm256_cmpeq_epi32(magnitude(b.v[k]), _mm256_set1_epi32((int)top));
    const float d = x[__builtin_ctz(sign_bits(q))] / (float)-half;
    const __m256 inverse = _mm256_set1_ps(1.0f / d), shift = _mm256_set1_ps((float)half + 0.5f);
    for (int k = 0; k < 4; k++) {
        q[k] = _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(b.v[k], inverse), shift));
        q[k] = _mm256_min_epi32(q[k], _mm256_set1_epi32(2 * half - 1));
    }
    put16(d16, d);
    put_codes(q, qs, qh);
    return true;
}

static inline bool offset(const float *x, int top, uint8_t *d16, uint8_t *m16, uint8_t *qs, uint8_t *qh)
{
    const block8 b = load_block(x);
    __m256 lo = _mm256_set1_ps(FLT_MAX), hi = _mm256_set1_ps(-FLT_MAX);
    for (int k = 0; k < 4; k++) {
        lo = _mm256_min_ps(b.v[k], lo); /* a NaN leaves the second operand, as the baseline's comparison does */
        hi = _mm256_max_ps(b.v[k], hi);
    }
    const float min = reduce_min_ps(lo), range = reduce_max_ps(hi) - min;
    /* A minimum of zero may be of either sign, and the first one counts. */
    if (!usual(f32_bits(range)) || min == 0) return false;
    const float d = range / (float)top;
    const __m256 inverse = _mm256_set1_ps(1.0f / d), base = _mm256_set1_ps(min), half = _mm256_set1_ps(0.5f);
    __m256i q[4];
    for (int k = 0; k < 4; k++) {
        q[k] = _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(b.v[k], base), inverse), half));
        /* A NaN became INT32_MIN, whose low byte is zero. */
        q[k] = _mm256_max_epi32(_mm256_min_epi32(q[k], _mm256_set1_epi32(top)), _mm256_setzero_si256());
    }
    put16(d16, d);
    put16(m16, min);
    put_codes(q, qs, qh);
    return true;
}

#define PACK(name, type, call) \
    void name##_pack_avx2(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        if (weights) { \
            name##_weighted_avx2(x, dst, rows, cols, weights); \
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

void q8_0_pack_avx2(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    /* Adding the float below one half, with the value's sign, and truncating rounds half away from zero. */
    const __m256 sign = _mm256_set1_ps(-0.0f), below_half = _mm256_set1_ps(0x1.fffffep-2f);
    blk_q8_0 *out = dst;
    for (uint64_t i = 0; i < rows * cols / 32; i++, out++, x += 32) {
        const block8 b = load_block(x);
        const uint32_t top = largest(&b);
        if (!usual(top)) {
            q8_0_pack(x, out, 1, 32, weights);
            continue;
        }
        const float d = f32_from_bits(top) / 127.0f;
        const __m256 inverse = _mm256_set1_ps(1.0f / d);
        __m256i q[4];
        for (int k = 0; k < 4; k++) {
            __m256 v = _mm256_mul_ps(b.v[k], inverse);
            q[k] = _mm256_cvttps_epi32(_mm256_add_ps(v, _mm256_or_ps(_mm256_and_ps(v, sign), below_half)));
        }
        __m256i w = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        put16(out->d, d);
        _mm256_storeu_si256((__m256i *)out->qs, _mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    }
}
