/* The product of a panel with rounded activations, in plain C: what every kernel computes. */
#include <string.h>

#include "engine/int8.h"

void int8_place(const int8_t *code, const float *scale, const float *shift, size_t cols, uint32_t group, size_t r, int8_t *panel,
                float *panel_scale, float *panel_shift)
{
    for (size_t k = 0; k < cols / 4; k++)
        memcpy(panel + (k * INT8_ROWS + r) * 4, code + 4 * k, 4);
    for (size_t g = 0; g < cols / group; g++) {
        panel_scale[g * INT8_ROWS + r] = scale[g];
        if (panel_shift) panel_shift[g * INT8_ROWS + r] = shift[g];
    }
}

void int8_product(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy)
{
    const size_t groups = x->cols / w->group, quads = w->group / 4;
    for (size_t t = 0; t < x->tokens; t++) {
        float out[INT8_ROWS] = {0};
        for (size_t g = 0; g < groups; g++) {
            const float scale = x->scale[t * groups + g], sum = scale * (float)x->sum[t * groups + g];
            int32_t dot[INT8_ROWS] = {0};
            for (size_t q = 0; q < quads; q++) {
                const int8_t *a = x->code + t * x->cols + g * w->group + 4 * q, *b = w->code + (g * quads + q) * 4 * INT8_ROWS;
                for (size_t r = 0; r < INT8_ROWS; r++)
                    dot[r] += a[0] * b[4 * r] + a[1] * b[4 * r + 1] + a[2] * b[4 * r + 2] + a[3] * b[4 * r + 3];
            }
            for (size_t r = 0; r < INT8_ROWS; r++) {
                out[r] += (float)dot[r] * (scale * w->scale[g * INT8_ROWS + r]);
                if (w->shift) out[r] += sum * w->shift[g * INT8_ROWS + r];
            }
        }
        memcpy(y + t * ldy, out, sizeof out);
    }
}

int8_product_fn *int8_select(smelt_cpu cpu)
{
#if defined(__x86_64__)
    if (smelt_cpu_covers(cpu, SMELT_CPU_VNNI)) return int8_product_vnni;
    if (smelt_cpu_covers(cpu, SMELT_CPU_AVX2)) return int8_product_avx2;
#elif defined(__aarch64__)
    if (smelt_cpu_covers(cpu, SMELT_CPU_DOTPROD)) return int8_product_dotprod;
    if (smelt_cpu_covers(cpu, SMELT_CPU_NEON)) return int8_product_neon;
#endif
    (void)cpu;
    return int8_product;
}
