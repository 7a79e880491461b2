/* vpdpbusd multiplies unsigned with signed bytes: weights are made unsigned by adding 128, which the codes' sums take off again. */
#include <immintrin.h>
#include <string.h>

#include "engine/int8.h"

/* `n` tokens at once, so that each load of weights serves all of them. */
static inline __attribute__((always_inline)) void block(const int8_tokens *x, size_t t, size_t n, const int8_panel *w, size_t quads,
                                                        float *y, size_t ldy)
{
    enum { MOST = 8 };
    const size_t groups = x->cols / w->group;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512 out[MOST];
    for (size_t i = 0; i < n; i++)
        out[i] = _mm512_setzero_ps();
    const int8_t *code = w->code;
    for (size_t g = 0; g < groups; g++) {
        __m512i dot[MOST];
        for (size_t i = 0; i < n; i++)
            dot[i] = _mm512_set1_epi32(-128 * x->sum[(t + i) * groups + g]);
        const int8_t *a = x->code + t * x->cols + g * 4 * quads;
        for (size_t q = 0; q < quads; q++, code += 64) {
            const __m512i b = _mm512_xor_si512(_mm512_loadu_si512(code), flip);
            for (size_t i = 0; i < n; i++) {
                int32_t four;
                memcpy(&four, a + i * x->cols + 4 * q, sizeof four);
                dot[i] = _mm512_dpbusd_epi32(dot[i], b, _mm512_set1_epi32(four));
            }
        }
        const __m512 scale = _mm512_loadu_ps(w->scale + g * INT8_ROWS);
        for (size_t i = 0; i < n; i++) {
            const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[(t + i) * groups + g]));
            out[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), both, out[i]);
        }
        if (!w->shift) continue;
        const __m512 shift = _mm512_loadu_ps(w->shift + g * INT8_ROWS);
        for (size_t i = 0; i < n; i++) {
            const size_t at = (t + i) * groups + g;
            out[i] = _mm512_fmadd_ps(shift, _mm512_set1_ps(x->scale[at] * (float)x->sum[at]), out[i]);
        }
    }
    for (size_t i = 0; i < n; i++)
        _mm512_storeu_ps(y + (t + i) * ldy, out[i]);
}

void int8_product_vnni(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy)
{
    size_t t = 0;
    if (w->group == 32) {
        for (; t + 8 <= x->tokens; t += 8)
            block(x, t, 8, w, 8, y, ldy);
        for (; t < x->tokens; t++)
            block(x, t, 1, w, 8, y, ldy);
    } else {
        for (; t + 8 <= x->tokens; t += 8)
            block(x, t, 8, w, 4, y, ldy);
        for (; t < x->tokens; t++)
            block(x, t, 1, w, 4, y, ldy);
    }
}
