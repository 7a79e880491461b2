/* smull and smlal multiply bytes into 16 bits: two products of |w| <= 128 with |x| <= 127 fit (32512), then sadalp adds pairs to
 * 32 bits. Rows come 4 codes each, so lanes (2r, 2r + 1) of a sum are row r. */
#include <arm_neon.h>
#include <string.h>

#include "engine/int8.h"

enum { MOST = 4, HALF = 8, FOUR = 4 };

/* The same four codes for every row. */
static inline int8x8_t codes(const int8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return vreinterpret_s8_s32(vdup_n_s32(four));
}

/* `n` tokens at once against 8 rows of the panel. */
static inline __attribute__((always_inline)) void block(const int8_tokens *x, size_t t, size_t n, const int8_panel *w, size_t half,
                                                        float *y, size_t ldy)
{
    const size_t groups = x->cols / w->group, quads = w->group / FOUR;
    float32x4_t out[MOST][2];
    for (size_t i = 0; i < n; i++)
        out[i][0] = out[i][1] = vdupq_n_f32(0);
    const int8_t *code = w->code + half * FOUR * HALF;
    for (size_t g = 0; g < groups; g++) {
        int32x4_t dot[MOST][4];
        for (size_t i = 0; i < n; i++)
            dot[i][0] = dot[i][1] = dot[i][2] = dot[i][3] = vdupq_n_s32(0);
        const int8_t *a = x->code + t * x->cols + g * w->group;
        for (size_t q = 0; q < quads; q += 2, code += 2 * FOUR * INT8_ROWS) {
            int8x8_t w0[4], w1[4];
            for (size_t r = 0; r < 4; r++) {
                w0[r] = vld1_s8(code + 8 * r);
                w1[r] = vld1_s8(code + FOUR * INT8_ROWS + 8 * r);
            }
            for (size_t i = 0; i < n; i++) {
                const int8x8_t a0 = codes(a + i * x->cols + FOUR * q), a1 = codes(a + i * x->cols + FOUR * (q + 1));
                for (size_t r = 0; r < 4; r++)
                    dot[i][r] = vpadalq_s16(dot[i][r], vmlal_s8(vmull_s8(w0[r], a0), w1[r], a1));
            }
        }
        for (size_t i = 0; i < n; i++) {
            const size_t at = (t + i) * groups + g;
            const float scale = x->scale[at], sum = scale * (float)x->sum[at];
            for (size_t r = 0; r < 2; r++) {
                const size_t row = g * INT8_ROWS + half * HALF + r * FOUR;
                const float32x4_t whole = vcvtq_f32_s32(vpaddq_s32(dot[i][2 * r], dot[i][2 * r + 1]));
                out[i][r] = vaddq_f32(out[i][r], vmulq_f32(whole, vmulq_n_f32(vld1q_f32(w->scale + row), scale)));
                if (w->shift) out[i][r] = vaddq_f32(out[i][r], vmulq_n_f32(vld1q_f32(w->shift + row), sum));
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < 2; r++)
            vst1q_f32(y + (t + i) * ldy + half * HALF + r * FOUR, out[i][r]);
}

void int8_product_neon(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy)
{
    for (size_t half = 0; half < 2; half++) {
        size_t t = 0;
        for (; t + MOST <= x->tokens; t += MOST)
            block(x, t, MOST, w, half, y, ldy);
        for (; t < x->tokens; t++)
            block(x, t, 1, w, half, y, ldy);
    }
}
