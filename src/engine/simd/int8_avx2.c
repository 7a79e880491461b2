/* vpmaddubsw multiplies unsigned with signed bytes and adds pairs in 16 bits: |w| times x with w's sign, at most 2 * 128 * 127. */
#include <immintrin.h>
#include <string.h>

#include "engine/int8.h"

/* `n` tokens at once against 8 rows of the panel. */
static inline __attribute__((always_inline)) void block(const int8_tokens *x, size_t t, size_t n, const int8_panel *w, size_t quads,
                                                        size_t half, float *y, size_t ldy)
{
    enum { MOST = 4, HALF = 8 };
    const size_t groups = x->cols / w->group;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 out[MOST];
    for (size_t i = 0; i < n; i++)
        out[i] = _mm256_setzero_ps();
    const int8_t *code = w->code + half * 32;
    for (size_t g = 0; g < groups; g++) {
        __m256i dot[MOST];
        for (size_t i = 0; i < n; i++)
            dot[i] = _mm256_setzero_si256();
        const int8_t *a = x->code + t * x->cols + g * 4 * quads;
        for (size_t q = 0; q < quads; q++, code += 64) {
            const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)code), size = _mm256_abs_epi8(b);
            for (size_t i = 0; i < n; i++) {
                int32_t four;
                memcpy(&four, a + i * x->cols + 4 * q, sizeof four);
                const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(_mm256_set1_epi32(four), b));
                dot[i] = _mm256_add_epi32(dot[i], _mm256_madd_epi16(pairs, ones));
            }
        }
        const __m256 scale = _mm256_loadu_ps(w->scale + g * INT8_ROWS + half * HALF);
        for (size_t i = 0; i < n; i++) {
            const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(x->scale[(t + i) * groups + g]));
            out[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[i]), both, out[i]);
        }
        if (!w->shift) continue;
        const __m256 shift = _mm256_loadu_ps(w->shift + g * INT8_ROWS + half * HALF);
        for (size_t i = 0; i < n; i++) {
            const size_t at = (t + i) * groups + g;
            out[i] = _mm256_fmadd_ps(shift, _mm256_set1_ps(x->scale[at] * (float)x->sum[at]), out[i]);
        }
    }
    for (size_t i = 0; i < n; i++)
        _mm256_storeu_ps(y + (t + i) * ldy + half * HALF, out[i]);
}

void int8_product_avx2(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy)
{
    const size_t quads = w->group / 4;
    for (size_t half = 0; half < 2; half++) {
        size_t t = 0;
        for (; t + 4 <= x->tokens; t += 4)
            block(x, t, 4, w, quads, half, y, ldy);
        for (; t < x->tokens; t++)
            block(x, t, 1, w, quads, half, y, ldy);
    }
}
