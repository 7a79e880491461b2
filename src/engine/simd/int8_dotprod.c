/* sdot adds four products of bytes to each 32-bit lane: 4 rows of the panel with the same 4 codes of a token. */
#include <arm_neon.h>
#include <string.h>

#include "engine/int8.h"

enum { MOST = 4, HALF = 8, FOUR = 4 };

/* `n` tokens at once against 8 rows of the panel. */
static inline __attribute__((always_inline)) void block(const int8_tokens *x, size_t t, size_t n, const int8_panel *w, size_t half,
                                                        float *y, size_t ldy)
{
    const size_t groups = x->cols / w->group, sixteens = w->group / 16;
    float32x4_t out[MOST][2];
    for (size_t i = 0; i < n; i++)
        out[i][0] = out[i][1] = vdupq_n_f32(0);
    const int8_t *code = w->code + half * FOUR * HALF;
    for (size_t g = 0; g < groups; g++) {
        int32x4_t dot[MOST][2];
        for (size_t i = 0; i < n; i++)
            dot[i][0] = dot[i][1] = vdupq_n_s32(0);
        const int8_t *a = x->code + t * x->cols + g * w->group;
        for (size_t s = 0; s < sixteens; s++, a += 16) {
            int8x16_t w0[4], w1[4];
            for (size_t q = 0; q < 4; q++, code += FOUR * INT8_ROWS) {
                w0[q] = vld1q_s8(code);
                w1[q] = vld1q_s8(code + 16);
            }
            for (size_t i = 0; i < n; i++) {
                const int8x16_t four = vld1q_s8(a + i * x->cols);
                dot[i][0] = vdotq_laneq_s32(dot[i][0], w0[0], four, 0);
                dot[i][1] = vdotq_laneq_s32(dot[i][1], w1[0], four, 0);
                dot[i][0] = vdotq_laneq_s32(dot[i][0], w0[1], four, 1);
                dot[i][1] = vdotq_laneq_s32(dot[i][1], w1[1], four, 1);
                dot[i][0] = vdotq_laneq_s32(dot[i][0], w0[2], four, 2);
                dot[i][1] = vdotq_laneq_s32(dot[i][1], w1[2], four, 2);
                dot[i][0] = vdotq_laneq_s32(dot[i][0], w0[3], four, 3);
                dot[i][1] = vdotq_laneq_s32(dot[i][1], w1[3], four, 3);
            }
        }
        for (size_t i = 0; i < n; i++) {
            const size_t at = (t + i) * groups + g;
            const float scale = x->scale[at], sum = scale * (float)x->sum[at];
            for (size_t r = 0; r < 2; r++) {
                const size_t row = g * INT8_ROWS + half * HALF + r * FOUR;
                out[i][r] =
                    vaddq_f32(out[i][r], vmulq_f32(vcvtq_f32_s32(dot[i][r]), vmulq_n_f32(vld1q_f32(w->scale + row), scale)));
                if (w->shift) out[i][r] = vaddq_f32(out[i][r], vmulq_n_f32(vld1q_f32(w->shift + row), sum));
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < 2; r++)
            vst1q_f32(y + (t + i) * ldy + half * HALF + r * FOUR, out[i][r]);
}

void int8_product_dotprod(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy)
{
    for (size_t half = 0; half < 2; half++) {
        size_t t = 0;
        for (; t + MOST <= x->tokens; t += MOST)
            block(x, t, MOST, w, half, y, ldy);
        for (; t < x->tokens; t++)
            block(x, t, 1, w, half, y, ldy);
    }
}
