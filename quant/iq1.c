/* iq1, encoding: levels -1, 0, 1, all shifted by an eighth up or down. A group's values, sorted, fall into three runs of equal
 * levels; every pair of bounds is tried. The order of the arithmetic is llama.cpp's. */
#include <float.h>
#include <math.h>

#include "quant/codec_list.h"
#include "quant/fp.h"
#include "quant/iq_blocks.h"
#include "quant/iq_near.h"

enum { N = 256, MAX_GROUP = 32 };

static const float up[3] = {-0.875f, 0.125f, 1.125f}, down[3] = {-1.125f, -0.125f, 0.875f};

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

/* The best of all pairs of bounds so far: the sorted elements before `first` have the lowest level, those before `second` the
 * middle one. */
typedef struct split {
    float scale, best;
    int first, second, shift; /* shift: iq1_s 0 up, 1 down; iq1_m one such bit for each half, the first half's higher; -1: none */
} split;

static void try_split(split *s, float xq, float qq, int first, int second, int shift)
{
    if (!(qq > 0 && xq * xq > s->best * qq)) return;
    const float scale = xq / qq;
    *s = (split){scale, scale * xq, first, second, shift};
}

/* Levels (0, 1, 2) of the elements; a negative scale is turned, and with it levels and shifts. */
static void apply_split(split *s, int n, int shifts, const uint8_t *order, uint8_t *level)
{
    for (int j = 0; j < n; j++)
        level[order[j]] = j < s->first ? 0 : j < s->second ? 1 : 2;
    if (!(s->scale < 0)) return;
    s->scale = -s->scale;
    s->shift = shifts - 1 - s->shift;
    for (int j = 0; j < n; j++)
        level[j] = (uint8_t)(2 - level[j]);
}

/* Points' codes for the levels of n elements, eight k with the values values[k]; the scale is fitted again where a point has other
 * levels. */
static float choose_points(const float *x, const float *w, int n, const uint8_t *level, const float *const *values, float scale,
                           uint16_t *code)
{
    bool exact = true;
    for (int k = 0; k < n / 8; k++) {
        const uint32_t entry = iq_near_iq1.map[iq_key(iq_eights, level + 8 * k)];
        if (IQ_NEAR_COUNT(entry) == 0) {
            code[k] = IQ_NEAR_AT(entry);
            continue;
        }
        exact = false;
        const float scaled[3] = {scale * values[k][0], scale * values[k][1], scale * values[k][2]};
        code[k] = (uint16_t)iq_nearest(iq_eights, &iq_near_iq1, entry, x + 8 * k, w + 8 * k, scaled);
    }
    if (exact) return scale;
    float xq = 0, qq = 0;
    for (int i = 0; i < n; i++) {
        const float q = values[i / 8][iq_level(iq_eights, code[i / 8], i % 8)];
        xq += w[i] * q * x[i];
        qq += w[i] * q * q;
    }
    return xq > 0 && qq > 0 ? xq / qq : scale;
}

/* ---- iq1_s: groups of 32, each with one shift ---- */

static void split_32(const float *x, const float *w, const uint8_t *order, split *s)
{
    float sx[33] = {0}, sw[33] = {0};
    for (int j = 0; j < 32; j++) {
        sx[j + 1] = sx[j] + w[order[j]] * x[order[j]];
        sw[j + 1] = sw[j] + w[order[j]];
    }
    for (int i = 0; i <= 32; i++)
        for (int j = i; j <= 32; j++)
            for (int shift = 0; shift < 2; shift++) {
                const float *v = shift ? down : up;
                const float xq = sx[i] * v[0] + (sx[j] - sx[i]) * v[1] + (sx[32] - sx[j]) * v[2];
                const float qq = sw[i] * v[0] * v[0] + (sw[j] - sw[i]) * v[1] * v[1] + (sw[32] - sw[j]) * v[2] * v[2];
                try_split(s, xq, qq, i, j, shift);
            }
}

static void iq1_s_block(const float *x, const float *weights, blk_iq1_s *b)
{
    const float square = 2 * sum_squares(x) / N;
    float scale[8] = {0}, top = 0;
    uint16_t high[8] = {0};
    memset(b, 0, sizeof *b);
    for (int g = 0; g < 8; g++, x += 32, weights += 32) {
        float w[32];
        uint8_t order[32], level[32];
        uint16_t code[4];
        weigh(x, weights, 32, square, w);
        split s = {.scale = largest(x, 32), .best = -FLT_MAX, .shift = -1};
        if (s.scale < 1e-12f) continue;
        sort(x, 32, order);
        split_32(x, w, order, &s);
        if (s.shift < 0) continue;
        apply_split(&s, 32, 2, order, level);
        const float *v = s.shift ? down : up, *const values[4] = {v, v, v, v};
        scale[g] = choose_points(x, w, 32, level, values, s.scale, code);
        top = top > scale[g] ? top : scale[g];
        high[g] = (uint16_t)(s.shift << 15);
        for (int k = 0; k < 4; k++) {
            const unsigned point = iq_point(iq_eights, &iq_near_iq1, code[k]);
            b->qs[4 * g + k] = (uint8_t)point;
            high[g] = (uint16_t)(high[g] | point >> 8 << 3 * k);
        }
    }
    if (top != 0) fp_put16(b->d, top / 15 * 1.125f);
    for (int g = 0; g < 8; g++) {
        /* Where all scales are zero, so is the bit of the shift. */
        const int s = fp_clamp(fp_nearest(0.5f * (1 / (top / 15) * scale[g] - 1)), 0, 7);
        store_le16(b->qh + 2 * g, (uint16_t)(top != 0 ? high[g] | s << 12 : high[g] & 0x7FFF));
    }
}

void iq1_s_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq1_s *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += N, x += N)
            iq1_s_block(x, weights + c, b++);
}

/* ---- iq1_m: groups of 16, each half with a shift of its own; the block's scale is fitted once all points are known ---- */

static void split_16(const float *x, const float *w, const uint8_t *order, split *s)
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
                    const float *v = shift ? down : up;
                    xq[h][shift] = sx[h][16] * v[2] - (sx[h][i] + sx[h][j]);
                    qq[h][shift] =
                        sw[h][16] * v[2] * v[2] + sw[h][i] * (v[0] * v[0] - v[1] * v[1]) + sw[h][j] * (v[1] * v[1] - v[2] * v[2]);
                }
            for (int shift = 0; shift < 4; shift++)
                try_split(s, xq[0][shift / 2] + xq[1][shift % 2], qq[0][shift / 2] + qq[1][shift % 2], i, j, shift);
        }
}

static void iq1_m_block(const float *x, const float *weights, blk_iq1_m *b)
{
    const float square = 2 * sum_squares(x) / N;
    float w[N], scale[16] = {0}, top = 0;
    uint16_t code[32] = {0}; /* that of point 0 */
    int shift[16] = {0};
    memset(b, 0, sizeof *b);
    weigh(x, weights, N, square, w);
    for (int g = 0; g < 16; g++) {
        const float *xg = x + 16 * g, *wg = w + 16 * g;
        uint8_t order[16], level[16];
        split s = {.scale = largest(xg, 16), .best = -FLT_MAX, .shift = -1};
        if (s.scale < 1e-7f) continue;
        sort(xg, 16, order);
        split_16(xg, wg, order, &s);
        if (s.shift < 0) continue;
        apply_split(&s, 16, 4, order, level);
        shift[g] = s.shift;
        const float *const values[2] = {s.shift & 2 ? down : up, s.shift & 1 ? down : up};
        scale[g] = choose_points(xg, wg, 16, level, values, s.scale, code + 2 * g);
        top = top > scale[g] ? top : scale[g];
    }
    for (int k = 0; k < 32; k++) {
        const unsigned point = iq_point(iq_eights, &iq_near_iq1, code[k]);
        b->qs[k] = (uint8_t)point;
        b->qh[k / 2] = (uint8_t)(b->qh[k / 2] | point >> 8 << (k % 2 * 4));
    }
    if (top == 0) return;
    float d = top / 15, xq = 0, qq = 0;
    const float inverse = 1 / d;
    uint16_t small[4] = {0};
    for (int g = 0; g < 16; g++) {
        const int s = fp_clamp(fp_nearest(0.5f * (inverse * scale[g] - 1)), 0, 7);
        small[g / 4] = (uint16_t)(small[g / 4] | s << 3 * (g % 4));
        b->qh[g] = (uint8_t)(b->qh[g] | (shift[g] & 2) << 2 | (shift[g] & 1) << 7);
        for (int i = 16 * g; i < 16 * g + 16; i++) {
            const float *v = shift[g] >> (i / 8 % 2 == 0 ? 1 : 0) & 1 ? down : up;
            const float q = v[iq_level(iq_eights, code[i / 8], i % 8)] * (float)(2 * s + 1);
            xq += w[i] * q * x[i];
            qq += w[i] * q * q;
        }
    }
    if (qq > 0) d = xq / qq;
    const uint16_t half = fp_to_f16(d * 1.1125f);
    for (int k = 0; k < 4; k++)
        store_le16(b->scales + 2 * k, (uint16_t)(small[k] | (half >> 4 * k & 15) << 12));
}

void iq1_m_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq1_m *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += N, x += N)
            iq1_m_block(x, weights ? weights + c : NULL, b++);
}
