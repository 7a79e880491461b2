/* iq_nearest with eight points of a list at a time, in registers of 256 bits: an element's shares, one a level, lie in a register,
 * and the points' codes choose among them. */
#ifndef SMELT_QUANT_SIMD_NEAR_X86_H
#define SMELT_QUANT_SIMD_NEAR_X86_H

#include <float.h>

#include "quant/iq_near.h"
#include "quant/simd/lanes.h"

/* Sums of eight points. In eights both halves of share[i] hold the levels' shares. */
static inline __m256 near_sum(int elems, const __m256 *share, const uint16_t *list)
{
    __m256i codes = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)list));
    __m256 sum = _mm256_setzero_ps();
    for (int i = 0; i < elems; i++) {
        const __m256 s = elems == 8 ? _mm256_permutevar_ps(share[i], codes) : _mm256_permutevar8x32_ps(share[i], codes);
        sum = i == 0 ? s : _mm256_add_ps(sum, s);
        codes = _mm256_srli_epi32(codes, elems == 8 ? 2 : 3);
    }
    return sum;
}

/* The code of the first point with the least sum. What is no number or not below FLT_MAX counts as FLT_MAX. */
static inline unsigned near_first(int elems, const __m256 *share, const uint16_t *list, unsigned count)
{
    __m256 best = _mm256_min_ps(near_sum(elems, share, list), _mm256_set1_ps(FLT_MAX));
    __m256i where = _mm256_setzero_si256();
    for (unsigned j = 8; j < count; j += 8) {
        const __m256 sum = near_sum(elems, share, list + j), less = _mm256_cmp_ps(sum, best, _CMP_LT_OQ);
        best = _mm256_blendv_ps(best, sum, less);
        where = _mm256_blendv_epi8(where, _mm256_set1_epi32((int)j), _mm256_castps_si256(less));
    }
    __m256 least = _mm256_min_ps(best, _mm256_permute2f128_ps(best, best, 1));
    least = _mm256_min_ps(least, _mm256_permute_ps(least, 0x4E));
    least = _mm256_min_ps(least, _mm256_permute_ps(least, 0xB1));
    unsigned lanes = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(best, least, _CMP_EQ_OQ));
    if (count <= 8) return list[__builtin_ctz(lanes)];
    int32_t from[8];
    _mm256_storeu_si256((__m256i *)from, where);
    int first = from[__builtin_ctz(lanes)] + __builtin_ctz(lanes);
    while (lanes &= lanes - 1) {
        const int other = from[__builtin_ctz(lanes)] + __builtin_ctz(lanes);
        first = other < first ? other : first;
    }
    return list[first];
}

/* Eight elements and three values. */
static inline unsigned near_eight(const iq_near *near, uint32_t entry, const float *x, const float *weights, __m256 values)
{
    float shares[32];
    __m256 share[8];
    for (int i = 0; i < 8; i += 2) {
        const __m256i twice = _mm256_setr_epi32(i, i, i, i, i + 1, i + 1, i + 1, i + 1);
        const __m256 diff = _mm256_sub_ps(values, _mm256_permutevar8x32_ps(_mm256_loadu_ps(x), twice));
        const __m256 w = _mm256_permutevar8x32_ps(_mm256_loadu_ps(weights), twice);
        _mm256_storeu_ps(shares + 4 * i, _mm256_mul_ps(_mm256_mul_ps(w, diff), diff));
    }
    for (int i = 0; i < 8; i++)
        share[i] = _mm256_broadcast_ps((const __m128 *)(shares + 4 * i));
    return near_first(8, share, near->lists + (size_t)8 * IQ_NEAR_AT(entry), IQ_NEAR_COUNT(entry));
}

/* What the searches of a group read: each element four times for eights, by lane; and for fours as it is, lane beside lane. */
typedef struct near_rows {
    float x[LANES * 32 * 4], root[LANES * 32 * 4];
} near_rows;

static inline void near_prepare(int elems, int n, const vf *x, const vf *root, near_rows *rows)
{
    if (elems == 4) {
        for (int i = 0; i < n; i++) {
            vf_store(rows->x + LANES * i, x[i]);
            vf_store(rows->root + LANES * i, root[i]);
        }
        return;
    }
    float column[2][LANES];
    for (int i = 0; i < n; i++) {
        vf_store(column[0], x[i]);
        vf_store(column[1], root[i]);
        for (int l = 0; l < LANES; l++) {
            _mm_storeu_ps(rows->x + 4 * (32 * l + i), _mm_set1_ps(column[0][l]));
            _mm_storeu_ps(rows->root + 4 * (32 * l + i), _mm_set1_ps(column[1][l]));
        }
    }
}

/* iq_nearest for point k of a lane, with levels of scale * (2 * level + 1). */
static inline unsigned near_point(int elems, const iq_near *near, uint32_t entry, const near_rows *rows, int k, int lane,
                                  float scale)
{
    const uint16_t *list = near->lists + (size_t)8 * IQ_NEAR_AT(entry);
    const unsigned count = IQ_NEAR_COUNT(entry);
    __m256 share[8];
    if (elems == 4) {
        const __m256 values = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_setr_ps(1, 3, 5, 7, 9, 11, 13, 15));
        for (int i = 0; i < 4; i++) {
            const int at = LANES * (4 * k + i) + lane;
            const __m256 diff = _mm256_sub_ps(values, _mm256_broadcast_ss(rows->x + at));
            share[i] = _mm256_mul_ps(_mm256_mul_ps(_mm256_broadcast_ss(rows->root + at), diff), diff);
        }
        return near_first(4, share, list, count);
    }
    const __m256 values = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_setr_ps(1, 3, 5, 0, 1, 3, 5, 0));
    const float *x = rows->x + 4 * (32 * lane + 8 * k), *root = rows->root + 4 * (32 * lane + 8 * k);
    float shares[32];
    for (int i = 0; i < 32; i += 8) {
        const __m256 diff = _mm256_sub_ps(values, _mm256_loadu_ps(x + i));
        _mm256_storeu_ps(shares + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(root + i), diff), diff));
    }
    for (int i = 0; i < 8; i++)
        share[i] = _mm256_broadcast_ps((const __m128 *)(shares + 4 * i));
    return near_first(8, share, list, count);
}

#endif
