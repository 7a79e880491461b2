/* The decoders with AVX2. */
#include "quant/simd/unpack_lanes.h"

#define UNPACK(name) name##_unpack_avx2

static inline void look_up(const int8_t *table, const uint8_t *qs, uint8_t *code)
{
    const __m128i nibble = _mm_set1_epi8(15), q = _mm_loadu_si128((const __m128i *)qs);
    const __m128i values = _mm_xor_si128(_mm_loadu_si128((const __m128i *)table), _mm_set1_epi8(-128));
    _mm_storeu_si128((__m128i *)code, _mm_shuffle_epi8(values, _mm_and_si128(q, nibble)));
    _mm_storeu_si128((__m128i *)(code + 16), _mm_shuffle_epi8(values, _mm_and_si128(_mm_srli_epi16(q, 4), nibble)));
}

#include "quant/unpack.inc"
