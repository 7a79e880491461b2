/* float16 and bfloat16 with AVX2 and F16C. Tails and NaN go to the baseline functions, whose NaN differs from the hardware's. */
#include <immintrin.h>

#include "quant/codec_list.h"

void f16_pack_avx2(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    uint8_t *out = dst;
    const uint64_t n = rows * cols;
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        if (_mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)))
            f16_pack(x + i, out + 2 * i, 1, 8, weights);
        else
            _mm_storeu_si128((__m128i *)(out + 2 * i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    f16_pack(x + i, out + 2 * i, 1, n - i, weights);
}

void f16_unpack_avx2(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + 2 * i))));
    f16_unpack(in + 2 * i, y + i, n - i);
}

/* Rounded bfloat16 in the upper halves of eight lanes. */
static inline __m256i bf16_round(__m256i v)
{
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(v, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(v, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0x7FFFFFFF)), _mm256_set1_epi32(0x7F800000));
    return _mm256_blendv_epi8(rounded, _mm256_or_si256(v, _mm256_set1_epi32(0x400000)), nan);
}

void bf16_pack_avx2(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    uint8_t *out = dst;
    const uint64_t n = rows * cols;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i a = _mm256_srli_epi32(bf16_round(_mm256_loadu_si256((const __m256i *)(x + i))), 16);
        __m256i b = _mm256_srli_epi32(bf16_round(_mm256_loadu_si256((const __m256i *)(x + i + 8))), 16);
        /* packus works within 128-bit halves: 0 2 1 3 puts the quarters back in order. */
        _mm256_storeu_si256((__m256i *)(out + 2 * i), _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8));
    }
    bf16_pack(x + i, out + 2 * i, 1, n - i, weights);
}

void bf16_unpack_avx2(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(in + 2 * i)));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_slli_epi32(v, 16));
    }
    bf16_unpack(in + 2 * i, y + i, n - i);
}
