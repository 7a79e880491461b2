/* lanes.h with AVX-512: sixteen lanes, truth values in mask registers. */
#ifndef SMELT_QUANT_SIMD_LANES_AVX512_H
#define SMELT_QUANT_SIMD_LANES_AVX512_H

#include <immintrin.h>

#include "quant/fp.h"

#define LANE_FN(name) name##_avx512
enum { LANES = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

static inline vf vf_set(float v) { return _mm512_set1_ps(v); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline vm vf_ne(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
static inline vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
static inline vf vf_gather(const float *p, vi index) { return _mm512_i32gather_ps(index, p, 4); }

static inline vf vf_pick(const float *p, vi index)
{
    return _mm512_permutexvar_ps(index, _mm512_broadcast_f32x8(_mm256_loadu_ps(p)));
}

static inline vi vi_set(int32_t v) { return _mm512_set1_epi32(v); }
static inline vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
static inline vi vi_load8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline void vi_store8(uint8_t *p, vi v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v)); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
#define vi_sll(a, n) _mm512_slli_epi32(a, n)
#define vi_srl(a, n) _mm512_srli_epi32(a, n)
#define vi_sra(a, n) _mm512_srai_epi32(a, n)
static inline vi vi_min(vi a, vi b) { return _mm512_min_epi32(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
static inline int32_t vi_reduce_max(vi a) { return _mm512_reduce_max_epi32(a); }
static inline vi vi_min_unsigned(vi a, vi b) { return _mm512_min_epu32(a, b); }
static inline vm vi_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }
static inline vm vi_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
static inline vi vi_select(vm m, vi a, vi b) { return _mm512_mask_blend_epi32(m, b, a); }
static inline vi vi_gather(const int32_t *p, vi index) { return _mm512_i32gather_epi32(index, p, 4); }

static inline vf vf_from_vi(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vi vf_trunc(vf a) { return _mm512_cvttps_epi32(a); }
static inline vf vf_bits(vi a) { return _mm512_castsi512_ps(a); }
static inline vi vi_bits(vf a) { return _mm512_castps_si512(a); }
static inline vi vf_nearest(vf a)
{
    const vi shifted = vi_bits(vf_add(a, vf_set(12582912.0f)));
    return vi_sub(vi_and(shifted, vi_set(0x7FFFFF)), vi_set(0x400000));
}

static inline vm vm_and(vm a, vm b) { return a & b; }
static inline vm vm_or(vm a, vm b) { return a | b; }
static inline vm vm_not(vm a) { return (vm)~a; }
static inline vm vm_andnot(vm a, vm b) { return (vm)(a & ~b); }
static inline bool vm_any(vm m) { return m != 0; }
static inline bool vm_all(vm m) { return m == 0xFFFF; }
static inline uint32_t vm_bits(vm m) { return m; }
static inline vm vm_from_bits(uint32_t bits) { return (vm)bits; }

/* columns[i] is element first + i of the rows. Four rounds of interleaving: single elements, pairs, and twice quarters of a
 * register. */
static inline void vf_transpose(const float *const *rows, int first, vf *columns)
{
    vf a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = vf_load(rows[i] + first);
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            const __m512d lo = _mm512_castps_pd(b[i + k]), hi = _mm512_castps_pd(b[i + k + 2]);
            a[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
            a[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
        }
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 16; i += 8) {
            b[i + k] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0x88);
            b[i + k + 4] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0xDD);
        }
    for (int k = 0; k < 8; k++) {
        columns[k] = _mm512_shuffle_f32x4(b[k], b[k + 8], 0x88);
        columns[k + 8] = _mm512_shuffle_f32x4(b[k], b[k + 8], 0xDD);
    }
}

#endif
