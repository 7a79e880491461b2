/* k-quants with AVX2: eight sub-blocks of a block in the eight lanes of a register. */
#include <immintrin.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/search.h"

enum { LANES = 8 };
typedef __m256 vf;
typedef __m256 vm;

static inline vf vf_set(float v) { return _mm256_set1_ps(v); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline vm vf_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
static inline vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
static inline bool vm_none(vm m) { return _mm256_movemask_ps(m) == 0; }
static inline void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
static inline void vf_transpose16(const float *rows, vf *columns)
{
    const __m256i stride = _mm256_setr_epi32(0, 16, 32, 48, 64, 80, 96, 112);
    for (int i = 0; i < 16; i++)
        columns[i] = _mm256_i32gather_ps(rows + i, stride, 4);
}

#define NAME q6_k_pack_avx2
#include "quant/simd/q6_k_body.inc"
