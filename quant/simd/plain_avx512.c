/* float16 and bfloat16 with AVX-512, sixteen at a time. */
#include <immintrin.h>

#include "quant/codec_list.h"

void f16_pack_avx512(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    uint8_t *out = dst;
    const uint64_t n = rows * cols;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        if (_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q))
            f16_pack(x + i, out + 2 * i, 1, 16, weights);
        else
            _mm256_storeu_si256((__m256i *)(out + 2 * i), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    f16_pack(x + i, out + 2 * i, 1, n - i, weights);
}

void f16_unpack_avx512(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(in + 2 * i))));
    f16_unpack(in + 2 * i, y + i, n - i);
}

void bf16_pack_avx512(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    uint8_t *out = dst;
    const uint64_t n = rows * cols;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i v = _mm512_loadu_si512(x + i);
        __m512i odd = _mm512_and_si512(_mm512_srli_epi32(v, 16), _mm512_set1_epi32(1));
        __m512i r = _mm512_add_epi32(v, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
        __mmask16 nan = _mm512_cmpgt_epi32_mask(_mm512_and_si512(v, _mm512_set1_epi32(0x7FFFFFFF)), _mm512_set1_epi32(0x7F800000));
        r = _mm512_mask_or_epi32(r, nan, v, _mm512_set1_epi32(0x400000));
        _mm256_storeu_si256((__m256i *)(out + 2 * i), _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
    }
    bf16_pack(x + i, out + 2 * i, 1, n - i, weights);
}

void bf16_unpack_avx512(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i v = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(in + 2 * i)));
        _mm512_storeu_si512(y + i, _mm512_slli_epi32(v, 16));
    }
    bf16_unpack(in + 2 * i, y + i, n - i);
}
