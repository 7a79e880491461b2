/* iq1 with AVX-512. */
#include "quant/simd/near_x86.h"

static unsigned nearest_eight(uint32_t entry, const float *x, const float *w, float scale, const float *v)
{
    const __m256 values = _mm256_setr_ps(v[0], v[1], v[2], 0, v[0], v[1], v[2], 0);
    return near_eight(&iq_near_iq1, entry, x, w, _mm256_mul_ps(_mm256_set1_ps(scale), values));
}

#include "quant/simd/iq1.inc"
