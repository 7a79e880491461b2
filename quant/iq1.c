/* iq1, encoding. The order of the arithmetic is llama.cpp's. */
#include "quant/iq1.h"

#include <float.h>
#include <math.h>

#include "quant/codec_list.h"
#include "quant/fp.h"
#include "quant/iq_blocks.h"

enum { N = 256 };

static float sum_squares(const float *x)
{
    float sum = 0;
    for (int i = 0; i < N; i++)
        sum += x[i] * x[i];
    return sum;
}

static void weigh(const float *x, const float *weights, int n, float square, float *w)
{
    for (int i = 0; i < n; i++)
        w[i] = weights ? weights[i] * sqrtf(square + x[i] * x[i]) : x[i] * x[i];
}

static float largest(const float *x, int n)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        max = max > fp_abs(x[i]) ? max : fp_abs(x[i]);
    return max;
}

/* Indices of the elements by value; equal ones keep their order. */
static void sort(const float *x, int n, uint8_t *order)
{
    for (int i = 0; i < n; i++) {
        int j = i;
        for (; j > 0 && x[order[j - 1]] > x[i]; j--)
            order[j] = order[j - 1];
        order[j] = (uint8_t)i;
    }
}

static void try_split(iq1_split *s, float xq, float qq, int first, int second, int shift)
{
    if (!(qq > 0 && xq * xq > s->best * qq)) return;
    const float scale = xq / qq;
    *s = (iq1_split){scale, scale * xq, first, second, shift};
}

static unsigned nearest_eight(uint32_t entry, const float *x, const float *w, float scale, const float *values)
{
    const float scaled[3] = {scale * values[0], scale * values[1], scale * values[2]};
    return iq_nearest(iq_eights, &iq_near_iq1, entry, x, w, scaled);
}

/* ---- iq1_s: groups of 32, each with one shift ---- */

static void split_32(const float *x, const float *w, const uint8_t *order, iq1_split *s)
{
    float sx[33] = {0}, sw[33] = {0};
    for (int j = 0; j < 32; j++) {
        sx[j + 1] = sx[j] + w[order[j]] * x[order[j]];
        sw[j + 1] = sw[j] + w[order[j]];
    }
    for (int i = 0; i <= 32; i++)
        for (int j = i; j <= 32; j++)
            for (int shift = 0; shift < 2; shift++) {
                const float *v = iq1_values[shift];
                const float xq = sx[i] * v[0] + (sx[j] - sx[i]) * v[1] + (sx[32] - sx[j]) * v[2];
                const float qq = sw[i] * v[0] * v[0] + (sw[j] - sw[i]) * v[1] * v[1] + (sw[32] - sw[j]) * v[2] * v[2];
                try_split(s, xq, qq, i, j, shift);
            }
}

void iq1_s_block(const float *x, const float *weights, void *block)
{
    const float square = 2 * sum_squares(x) / N;
    iq1_found f = {.top = 0};
    for (int g = 0; g < 8; g++, x += 32, weights += 32) {
        float w[32];
        uint8_t order[32];
        iq1_split s = {.scale = largest(x, 32), .best = -FLT_MAX, .shift = -1};
        if (s.scale < IQ1_S_LEAST) continue;
        weigh(x, weights, 32, square, w);
        sort(x, 32, order);
        split_32(x, w, order, &s);
        if (s.shift >= 0) iq1_finish(32, g, x, w, order, s, nearest_eight, &f);
    }
    iq1_s_put(&f, block);
}

void iq1_s_put(const iq1_found *f, void *block)
{
    blk_iq1_s *b = block;
    memset(b, 0, sizeof *b);
    if (f->top != 0) fp_put16(b->d, f->top / 15 * 1.125f);
    const float inverse = 1 / (f->top / 15);
    for (int g = 0; g < 8; g++) {
        unsigned high = 0;
        for (int k = 0; k < 4; k++) {
            const unsigned point = iq_point(iq_eights, &iq_near_iq1, f->code[4 * g + k]);
            b->qs[4 * g + k] = (uint8_t)point;
            high |= point >> 8 << 3 * k;
        }
        /* Where all scales are zero, so is the shift. */
        if (f->top != 0)
            high |= (unsigned)fp_clamp(fp_nearest(0.5f * (inverse * f->scale[g] - 1)), 0, 7) << 12 | (unsigned)f->shift[g] << 15;
        store_le16(b->qh + 2 * g, (uint16_t)high);
    }
}

void iq1_s_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq1_s *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += N, x += N)
            iq1_s_block(x, weights + c, b++);
}

/* ---- iq1_m: groups of 16, each half with a shift of its own ---- */

static void split_16(const float *x, const float *w, const uint8_t *order, iq1_split *s)
{
    float sx[2][17] = {{0}}, sw[2][17] = {{0}};
    for (int j = 0; j < 16; j++) {
        const int i = order[j], h = i / 8;
        sx[h][j + 1] = sx[h][j] + w[i] * x[i];
        sx[1 - h][j + 1] = sx[1 - h][j];
        sw[h][j + 1] = sw[h][j] + w[i];
        sw[1 - h][j + 1] = sw[1 - h][j];
    }
    for (int i = 0; i <= 16; i++)
        for (int j = i; j <= 16; j++) {
            float xq[2][2], qq[2][2]; /* of the halves, shifted up or down */
            for (int h = 0; h < 2; h++)
                for (int shift = 0; shift < 2; shift++) {
                    const float *v = iq1_values[shift];
                    xq[h][shift] = sx[h][16] * v[2] - (sx[h][i] + sx[h][j]);
                    qq[h][shift] =
                        sw[h][16] * v[2] * v[2] + sw[h][i] * (v[0] * v[0] - v[1] * v[1]) + sw[h][j] * (v[1] * v[1] - v[2] * v[2]);
                }
            for (int shift = 0; shift < 4; shift++)
                try_split(s, xq[0][shift / 2] + xq[1][shift % 2], qq[0][shift / 2] + qq[1][shift % 2], i, j, shift);
        }
}

void iq1_m_block(const float *x, const float *weights, void *block)
{
    iq1_found f = {.top = 0, .square = 2 * sum_squares(x) / N};
    for (int g = 0; g < 16; g++) {
        const float *xg = x + 16 * g;
        float w[16];
        uint8_t order[16];
        iq1_split s = {.scale = largest(xg, 16), .best = -FLT_MAX, .shift = -1};
        if (s.scale < IQ1_M_LEAST) continue;
        weigh(xg, weights ? weights + 16 * g : NULL, 16, f.square, w);
        sort(xg, 16, order);
        split_16(xg, w, order, &s);
        if (s.shift >= 0) iq1_finish(16, g, xg, w, order, s, nearest_eight, &f);
    }
    iq1_m_put(x, weights, &f, block);
}

void iq1_m_put(const float *x, const float *weights, const iq1_found *f, void *block)
{
    blk_iq1_m *b = block;
    memset(b, 0, sizeof *b);
    for (int k = 0; k < 32; k++) {
        const unsigned point = iq_point(iq_eights, &iq_near_iq1, f->code[k]);
        b->qs[k] = (uint8_t)point;
        b->qh[k / 2] = (uint8_t)(b->qh[k / 2] | point >> 8 << (k % 2 * 4));
    }
    if (f->top == 0) return;
    float w[N], d = f->top / 15, xq = 0, qq = 0;
    weigh(x, weights, N, f->square, w);
    const float inverse = 1 / d;
    uint16_t scales[4] = {0};
    for (int g = 0; g < 16; g++) {
        const int s = fp_clamp(fp_nearest(0.5f * (inverse * f->scale[g] - 1)), 0, 7);
        scales[g / 4] = (uint16_t)(scales[g / 4] | s << 3 * (g % 4));
        b->qh[g] = (uint8_t)(b->qh[g] | (f->shift[g] & 2) << 2 | (f->shift[g] & 1) << 7);
        for (int i = 16 * g; i < 16 * g + 16; i++) {
            const float *v = iq1_values[f->shift[g] >> (i / 8 % 2 == 0 ? 1 : 0) & 1];
            const float q = v[iq_level(iq_eights, f->code[i / 8], i % 8)] * (float)(2 * s + 1);
            xq += w[i] * q * x[i];
            qq += w[i] * q * q;
        }
    }
    if (qq > 0) d = xq / qq;
    const uint16_t half = fp_to_f16(d * 1.1125f);
    for (int k = 0; k < 4; k++)
        store_le16(b->scales + 2 * k, (uint16_t)(scales[k] | (half >> 4 * k & 15) << 12));
}

void iq1_m_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq1_m *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += N, x += N)
            iq1_m_block(x, weights ? weights + c : NULL, b++);
}
