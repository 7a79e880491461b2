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
static inline void vf_transpose16(const float *rows, vf *columns)
{
    const __m512i stride =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(16));
    for (int i = 0; i < 16; i++)
        columns[i] = _mm512_i32gather_ps(stride, rows + i, 4);
}

#define NAME q6_k_pack_avx512
#include "quant/simd/q6_k_body.inc"
