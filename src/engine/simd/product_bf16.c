/* vdpbf16ps adds two products of bfloat16 to a float32. Tokens are the lanes: weights are broadcast from where they lie, so that only
 * activations are laid out anew. */
#include <immintrin.h>
#include <string.h>

#include "engine/bf16.h"

#define ALWAYS static inline __attribute__((always_inline))

static void round_bf16(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = n - i < 16 ? (__mmask16)((1U << (n - i)) - 1) : (__mmask16)0xFFFF;
        const __m256i b = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(m, x + i));
        _mm256_mask_storeu_epi16(out + i, m, b);
    }
}

/* Four rows of 16 tokens to 16 tokens of four rows. */
ALWAYS void store4(const __m512 *a, float *y, size_t ldy)
{
    const __m512 lo = _mm512_unpacklo_ps(a[0], a[1]), hi = _mm512_unpackhi_ps(a[0], a[1]);
    const __m512 lo2 = _mm512_unpacklo_ps(a[2], a[3]), hi2 = _mm512_unpackhi_ps(a[2], a[3]);
    __m512 quad[4];
    quad[0] = _mm512_shuffle_ps(lo, lo2, 0x44);
    quad[1] = _mm512_shuffle_ps(lo, lo2, 0xEE);
    quad[2] = _mm512_shuffle_ps(hi, hi2, 0x44);
    quad[3] = _mm512_shuffle_ps(hi, hi2, 0xEE);
    for (size_t i = 0; i < 4; i++) {
        _mm_storeu_ps(y + i * ldy, _mm512_castps512_ps128(quad[i]));
        _mm_storeu_ps(y + (4 + i) * ldy, _mm512_extractf32x4_ps(quad[i], 1));
        _mm_storeu_ps(y + (8 + i) * ldy, _mm512_extractf32x4_ps(quad[i], 2));
        _mm_storeu_ps(y + (12 + i) * ldy, _mm512_extractf32x4_ps(quad[i], 3));
    }
}

ALWAYS void block(const uint32_t *x, size_t panels, const void *const *row, size_t n, size_t cols, float *y, size_t ldy)
{
    enum { MOST = 12 };
    const size_t pairs = cols / 2;
    __m512 sum[2][MOST];
    for (size_t p = 0; p < panels; p++)
        for (size_t r = 0; r < n; r++)
            sum[p][r] = _mm512_setzero_ps();
    for (size_t k = 0; k < pairs; k++) {
        __m512bh a[2];
        for (size_t p = 0; p < panels; p++)
            a[p] = (__m512bh)_mm512_loadu_si512(x + (p * pairs + k) * BF16_TOKENS);
        for (size_t r = 0; r < n; r++) {
            int32_t two;
            memcpy(&two, (const uint8_t *)row[r] + 4 * k, sizeof two);
            const __m512bh w = (__m512bh)_mm512_set1_epi32(two);
            for (size_t p = 0; p < panels; p++)
                sum[p][r] = _mm512_dpbf16_ps(sum[p][r], a[p], w);
        }
    }
    for (size_t p = 0; p < panels; p++) {
        float *to = y + p * BF16_TOKENS * ldy;
        size_t r = 0;
        for (; r + 4 <= n; r += 4)
            store4(sum[p] + r, to + r, ldy);
        for (; r < n; r++) {
            float lane[BF16_TOKENS];
            _mm512_storeu_ps(lane, sum[p][r]);
            for (size_t t = 0; t < BF16_TOKENS; t++)
                to[t * ldy + r] = lane[t];
        }
    }
}

ALWAYS void rows_of(const uint32_t *x, size_t panels, const void *const *row, size_t n, size_t cols, float *y, size_t ldy)
{
    size_t r = 0;
    for (; r + 12 <= n; r += 12)
        block(x, panels, row + r, 12, cols, y + r, ldy);
    for (; r + 4 <= n; r += 4)
        block(x, panels, row + r, 4, cols, y + r, ldy);
    for (; r < n; r++)
        block(x, panels, row + r, 1, cols, y + r, ldy);
}

static void panels_bf16(const uint32_t *x, size_t panels, const void *const *row, size_t n, size_t cols, float *y, size_t ldy)
{
    const size_t each = BF16_TOKENS * cols / 2;
    for (; panels >= 2; panels -= 2, x += 2 * each, y += 2 * BF16_TOKENS * ldy)
        rows_of(x, 2, row, n, cols, y, ldy);
    if (panels) rows_of(x, 1, row, n, cols, y, ldy);
}

static void one_bf16(const uint16_t *x, const void *const *row, size_t n, size_t cols, float *y)
{
    for (size_t r = 0; r < n; r++) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t k = 0; k < cols; k += 32)
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(x + k),
                                   (__m512bh)_mm512_loadu_si512((const uint8_t *)row[r] + 2 * k));
        y[r] = _mm512_reduce_add_ps(sum);
    }
}

const bf16_ops bf16_ops_x86 = {.round = round_bf16, .panels = panels_bf16, .one = one_bf16};
