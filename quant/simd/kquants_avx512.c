/* k-quants with AVX-512: the sixteen sub-blocks of a block in the sixteen lanes of a register. */
#include <immintrin.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/search.h"

enum { LANES = 16 };
typedef __m512 vf;
typedef __mmask16 vm;

static inline vf vf_set(float v) { return _mm512_set1_ps(v); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
static inline vm vm_and(vm a, vm b) { return a & b; }
static inline bool vm_none(vm m) { return m == 0; }
static inline void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
/* Column k of the result holds element k of the sixteen rows. Four rounds of interleaving: single elements, pairs, and twice
 * quarters of a register. */
static inline void vf_transpose16(const float *rows, vf *columns)
{
    vf a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = _mm512_loadu_ps(rows + 16 * i);
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
        const int to = k % 4 + (k < 4 ? 0 : 4);
        columns[to] = _mm512_shuffle_f32x4(b[k], b[k + 8], 0x88);
        columns[to + 8] = _mm512_shuffle_f32x4(b[k], b[k + 8], 0xDD);
    }
}

#define NAME q6_k_pack_avx512
#include "quant/simd/q6_k_body.inc"
