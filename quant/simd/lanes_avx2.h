/* lanes.h with AVX2: eight lanes, truth values as all-ones in a float register. */
#ifndef SMELT_QUANT_SIMD_LANES_AVX2_H
#define SMELT_QUANT_SIMD_LANES_AVX2_H

#include <immintrin.h>

#include "quant/fp.h"

#define LANE_FN(name) name##_avx2
enum { LANES = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

static inline vf vf_set(float v) { return _mm256_set1_ps(v); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline vm vf_ne(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
static inline vm vf_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline vm vf_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vm vf_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static inline vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
static inline vf vf_gather(const float *p, vi index) { return _mm256_i32gather_ps(p, index, 4); }

static inline vf vf_pick(const float *p, vi index) { return _mm256_permutevar8x32_ps(vf_load(p), index); }

static inline vi vi_set(int32_t v) { return _mm256_set1_epi32(v); }
static inline vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vi_store(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline vi vi_load8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
static inline void vi_store8(uint8_t *p, vi v)
{
    /* The low bytes of each half's four lanes, gathered in its first four bytes. */
    const __m256i low = _mm256_shuffle_epi8(v, _mm256_set1_epi32(0x0C080400));
    _mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
#define vi_sll(a, n) _mm256_slli_epi32(a, n)
#define vi_srl(a, n) _mm256_srli_epi32(a, n)
#define vi_sra(a, n) _mm256_srai_epi32(a, n)
static inline vi vi_min(vi a, vi b) { return _mm256_min_epi32(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
static inline int32_t vi_reduce_max(vi a)
{
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4E));
    return _mm_cvtsi128_si32(_mm_max_epi32(h, _mm_shuffle_epi32(h, 0xB1)));
}
static inline vi vi_min_unsigned(vi a, vi b) { return _mm256_min_epu32(a, b); }
static inline vm vi_eq(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
static inline vm vi_gt(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)); }
static inline vi vi_select(vm m, vi a, vi b) { return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m)); }
static inline vi vi_gather(const int32_t *p, vi index) { return _mm256_i32gather_epi32(p, index, 4); }

static inline vf vf_from_vi(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vi vf_trunc(vf a) { return _mm256_cvttps_epi32(a); }
static inline vf vf_bits(vi a) { return _mm256_castsi256_ps(a); }
static inline vi vi_bits(vf a) { return _mm256_castps_si256(a); }
static inline vi vf_nearest(vf a)
{
    const vi shifted = vi_bits(vf_add(a, vf_set(12582912.0f)));
    return vi_sub(vi_and(shifted, vi_set(0x7FFFFF)), vi_set(0x400000));
}

static inline vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
static inline vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
static inline vm vm_not(vm a) { return _mm256_xor_ps(a, vf_bits(vi_set(-1))); }
static inline vm vm_andnot(vm a, vm b) { return _mm256_andnot_ps(b, a); }
static inline bool vm_any(vm m) { return _mm256_movemask_ps(m) != 0; }
static inline bool vm_all(vm m) { return _mm256_movemask_ps(m) == 0xFF; }
static inline uint32_t vm_bits(vm m) { return (uint32_t)_mm256_movemask_ps(m); }
static inline vm vm_from_bits(uint32_t bits)
{
    const vi bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return vi_eq(vi_and(vi_set((int32_t)bits), bit), bit);
}

/* columns[i] is element first + i of the rows. Three rounds of interleaving: single elements, pairs, halves of a register. */
static inline void vf_transpose(const float *const *rows, int first, vf *columns)
{
    vf a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = vf_load(rows[i] + first);
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0x44);
            a[i + 2 * k + 1] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0xEE);
        }
    for (int k = 0; k < 4; k++) {
        columns[k] = _mm256_permute2f128_ps(a[k], a[k + 4], 0x20);
        columns[k + 4] = _mm256_permute2f128_ps(a[k], a[k + 4], 0x31);
    }
}

#endif
