/* The k-quants: 256 elements in sub-blocks, whose scales (and minima) are small integers times one float16. As in legacy.c,
 * the order of the arithmetic is llama.cpp's. With importances, codes are searched on a finer grid and the sub-blocks' scales
 * are themselves searched for. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/search.h"

enum { N = 256 };

static float sum_squares(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

/* Two bits of each code: byte l of each half holds elements l, l + 32, l + 64, l + 96 of 128. */
static void put_pairs(const uint8_t *code, uint8_t *qs)
{
    for (int j = 0; j < N; j += 128, qs += 32)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)((code[j + l] & 3) | (code[j + l + 32] & 3) << 2 | (code[j + l + 64] & 3) << 4 |
                              (code[j + l + 96] & 3) << 6);
}

static int get_pair(const uint8_t *qs, int i) { return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

/* Four bits of each code: byte l of 32 holds elements l and l + 32 of 64. */
static void put_nibbles(const uint8_t *code, uint8_t *qs)
{
    for (int j = 0; j < N; j += 64, qs += 32)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)((code[j + l] & 15) | (code[j + l + 32] & 15) << 4);
}

static int get_nibble(const uint8_t *qs, int i) { return qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15; }

/* ---- q2_k: 16 sub-blocks of 16, scale and minimum of 4 bits ---- */

static const search_grid q2_k_grid = {.from = -0.5f, .step = 0.1f, .steps = 15, .absolute = true};
static const search_grid weighted_grid = {.from = -0.9f, .step = 0.05f, .steps = 36};

static float largest(const float *v, int n)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        if (v[i] > max) max = v[i];
    return max;
}

static void q2_k_block(const float *x, blk_q2_k *b, const float *weights)
{
    uint8_t code[N], ls[16] = {0}, lm[16] = {0};
    float scale[16], min[16], sum_w[16] = {0}, w[16];
    const float square = weights ? sum_squares(x, N) / (float)N : 0;
    for (int j = 0; j < 16; j++) {
        const float *xj = x + 16 * j;
        for (int l = 0; l < 16; l++) {
            w[l] = weights ? weights[16 * j + l] * sqrtf(square + xj[l] * xj[l]) : fp_abs(xj[l]);
            sum_w[j] += w[l];
        }
        scale[j] = search_offset(16, 3, xj, w, weights ? &weighted_grid : &q2_k_grid, code + 16 * j, &min[j]);
    }
    if (weights) {
        fp_put16(b->d, search_positive(16, 15, scale, sum_w, ls));
        fp_put16(b->m, search_positive(16, 15, min, sum_w, lm));
    } else {
        const float top_scale = largest(scale, 16), top_min = largest(min, 16);
        for (int j = 0; j < 16; j++) {
            if (top_scale > 0) ls[j] = (uint8_t)fp_nearest(15.0f / top_scale * scale[j]);
            if (top_min > 0) lm[j] = (uint8_t)fp_nearest(15.0f / top_min * min[j]);
        }
        fp_put16(b->d, top_scale > 0 ? top_scale / 15.0f : 0);
        fp_put16(b->m, top_min > 0 ? top_min / 15.0f : 0);
    }
    for (int j = 0; j < 16; j++) {
        b->scales[j] = (uint8_t)(ls[j] | lm[j] << 4);
        const float d = fp_get16(b->d) * (float)(b->scales[j] & 15), m = fp_get16(b->m) * (float)(b->scales[j] >> 4);
        if (d == 0) continue; /* the codes of the search stay: their scale is zero anyway */
        for (int i = 16 * j; i < 16 * j + 16; i++)
            code[i] = (uint8_t)fp_clamp(fp_nearest((x[i] + m) / d), 0, 3);
    }
    put_pairs(code, b->qs);
}

static void q2_k_unpack(const void *src, float *y, uint64_t n)
{
    const blk_q2_k *b = src;
    for (uint64_t k = 0; k < n / N; k++, b++, y += N) {
        const float d = fp_get16(b->d), m = fp_get16(b->m);
        for (int i = 0; i < N; i++) {
            const uint8_t s = b->scales[i / 16];
            y[i] = d * (float)(s & 15) * (float)get_pair(b->qs, i) - m * (float)(s >> 4);
        }
    }
}

/* ---- q3_k: 16 sub-blocks of 16, signed scales of 6 bits, third bit of the codes apart ---- */

static int q3_k_scale(const uint8_t *scales, int j)
{
    int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4, high = scales[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
}

static void q3_k_put_scale(uint8_t *scales, int j, int v)
{
    scales[j % 8] = (uint8_t)(scales[j % 8] | (v & 15) << (j < 8 ? 0 : 4));
    scales[8 + j % 4] = (uint8_t)(scales[8 + j % 4] | v >> 4 << (2 * (j / 4)));
}

/* The scale of largest magnitude (the first one of several). */
static float steepest(const float *v, int n)
{
    float top = 0, top_abs = 0;
    for (int i = 0; i < n; i++)
        if (fp_abs(v[i]) > top_abs) {
            top_abs = fp_abs(v[i]);
            top = v[i];
        }
    return top;
}

static void q3_k_block(const float *x, blk_q3_k *b, const float *weights)
{
    uint8_t code[N], ls[16];
    float scale[16], sum_w[16], w[16], d;
    const float square = weights ? 2 * sum_squares(x, N) / (float)N : 0;
    for (int j = 0; j < 16; j++) {
        const float *xj = x + 16 * j;
        if (!weights) {
            scale[j] = search_descent(16, 4, xj, code + 16 * j);
            continue;
        }
        sum_w[j] = 0;
        for (int l = 0; l < 16; l++)
            w[l] = weights[16 * j + l] * sqrtf(square + xj[l] * xj[l]);
        for (int l = 0; l < 16; l++)
            sum_w[j] += w[l];
        scale[j] = search_symmetric(16, 4, xj, w, code + 16 * j);
    }
    memset(b->scales, 0, sizeof b->scales);
    if (weights) {
        d = search_symmetric(16, 32, scale, sum_w, ls);
        for (int j = 0; j < 16; j++)
            q3_k_put_scale(b->scales, j, ls[j]);
    } else {
        const float top = steepest(scale, 16), inverse = -32.0f / top;
        d = top != 0 ? 1 / inverse : 0;
        for (int j = 0; j < 16 && top != 0; j++)
            q3_k_put_scale(b->scales, j, fp_clamp((int8_t)fp_nearest(inverse * scale[j]), -32, 31) + 32);
    }
    fp_put16(b->d, d);
    for (int j = 0; j < 16; j++) {
        const float dj = fp_get16(b->d) * (float)q3_k_scale(b->scales, j);
        if (dj == 0) continue;
        for (int i = 16 * j; i < 16 * j + 16; i++)
            code[i] = (uint8_t)(fp_clamp(fp_nearest(x[i] / dj), -4, 3) + 4);
    }
    memset(b->hmask, 0, sizeof b->hmask);
    for (int i = 0; i < N; i++)
        b->hmask[i % 32] = (uint8_t)(b->hmask[i % 32] | code[i] >> 2 << (i / 32));
    put_pairs(code, b->qs);
}

static void q3_k_unpack(const void *src, float *y, uint64_t n)
{
    const blk_q3_k *b = src;
    for (uint64_t k = 0; k < n / N; k++, b++, y += N) {
        const float d = fp_get16(b->d);
        for (int i = 0; i < N; i++) {
            int code = get_pair(b->qs, i) | (b->hmask[i % 32] >> (i / 32) & 1) << 2;
            y[i] = d * (float)q3_k_scale(b->scales, i / 16) * (float)(code - 4);
        }
    }
}

/* ---- q4_k and q5_k: 8 sub-blocks of 32, scale and minimum of 6 bits ---- */

/* 12 bytes: four of scales, four of minima (6 bits each), four of nibbles, whose upper two bits are the first eight's top bits. */
static void k4_put(uint8_t *s, int j, int scale, int min)
{
    if (j < 4) {
        s[j] = (uint8_t)scale;
        s[j + 4] = (uint8_t)min;
        return;
    }
    s[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
    s[j - 4] = (uint8_t)(s[j - 4] | scale >> 4 << 6);
    s[j] = (uint8_t)(s[j] | min >> 4 << 6);
}

static void k4_get(const uint8_t *s, int j, int *scale, int *min)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* Codes 0 … top and the 16 bytes before them, which q4_k and q5_k share. */
static void k4_block(const float *x, int top, const search_grid *grid, uint8_t *d16, uint8_t *m16, uint8_t *scales, uint8_t *code,
                     const float *weights)
{
    float scale[8], min[8], sum_w[8], w[32];
    uint8_t ls[8], lm[8];
    const float square = weights ? 2 * sum_squares(x, N) / (float)N : 0;
    /* The weighted q4_k reference does not bound its scales; a search can only exceed 63 there by a negative scale. */
    const int cap = weights && top == 15 ? 255 : 63;
    for (int j = 0; j < 8; j++) {
        const float *xj = x + 32 * j;
        const float mean = weights ? 0 : sqrtf(sum_squares(xj, 32) / 32);
        sum_w[j] = 0;
        for (int l = 0; l < 32; l++) {
            w[l] = weights ? weights[32 * j + l] * sqrtf(square + xj[l] * xj[l]) : mean + fp_abs(xj[l]);
            sum_w[j] += w[l];
        }
        scale[j] = search_offset(32, top, xj, w, grid, code + 32 * j, &min[j]);
    }
    if (weights) {
        fp_put16(d16, search_positive(8, 63, scale, sum_w, ls));
        fp_put16(m16, search_positive(8, 63, min, sum_w, lm));
    } else {
        const float top_scale = largest(scale, 8), top_min = largest(min, 8);
        const float inverse_scale = top_scale > 0 ? 63.0f / top_scale : 0, inverse_min = top_min > 0 ? 63.0f / top_min : 0;
        for (int j = 0; j < 8; j++) {
            ls[j] = (uint8_t)fp_nearest(inverse_scale * scale[j]);
            lm[j] = (uint8_t)fp_nearest(inverse_min * min[j]);
        }
        fp_put16(d16, top_scale / 63.0f);
        fp_put16(m16, top_min / 63.0f);
    }
    for (int j = 0; j < 8; j++)
        k4_put(scales, j, ls[j] < cap ? ls[j] : cap, lm[j] < cap ? lm[j] : cap);
    for (int j = 0; j < 8; j++) {
        int s, m;
        k4_get(scales, j, &s, &m);
        const float d = fp_get16(d16) * (float)s, dm = fp_get16(m16) * (float)m;
        if (d == 0) continue;
        for (int i = 32 * j; i < 32 * j + 32; i++)
            code[i] = (uint8_t)fp_clamp(fp_nearest((x[i] + dm) / d), 0, top);
    }
}

static void q4_k_block(const float *x, blk_q4_k *b, const float *weights)
{
    static const search_grid plain = {.from = -1.0f, .step = 0.1f, .steps = 20};
    uint8_t code[N];
    k4_block(x, 15, weights ? &weighted_grid : &plain, b->d, b->m, b->scales, code, weights);
    put_nibbles(code, b->qs);
}

static void q5_k_block(const float *x, blk_q5_k *b, const float *weights)
{
    static const search_grid plain = {.from = -0.5f, .step = 0.1f, .steps = 15};
    uint8_t code[N];
    k4_block(x, 31, weights ? &weighted_grid : &plain, b->d, b->m, b->scales, code, weights);
    put_nibbles(code, b->qs);
    memset(b->qh, 0, sizeof b->qh);
    for (int i = 0; i < N; i++)
        b->qh[i % 32] = (uint8_t)(b->qh[i % 32] | code[i] >> 4 << (i / 32));
}

#define K4_UNPACK(name, type, code) \
    static void name(const void *src, float *y, uint64_t n) \
    { \
        const type *b = src; \
        for (uint64_t k = 0; k < n / N; k++, b++) \
            for (int j = 0; j < 8; j++, y += 32) { \
                int s, m; \
                k4_get(b->scales, j, &s, &m); \
                const float d = fp_get16(b->d) * (float)s, min = fp_get16(b->m) * (float)m; \
                for (int l = 0; l < 32; l++) \
                    y[l] = d * (float)(code)-min; \
            } \
    }
K4_UNPACK(q4_k_unpack, blk_q4_k, get_nibble(b->qs, 32 * j + l))
K4_UNPACK(q5_k_unpack, blk_q5_k, get_nibble(b->qs, 32 * j + l) | (b->qh[l] >> j & 1) << 4)

/* ---- q6_k: 16 sub-blocks of 16, signed scales of 8 bits ---- */

static void q6_k_block(const float *x, blk_q6_k *b, const float *weights)
{
    uint8_t code[N];
    float scale[16];
    for (int j = 0; j < 16; j++)
        scale[j] = search_symmetric(16, 32, x + 16 * j, weights ? weights + 16 * j : NULL, code + 16 * j);
    const float top = steepest(scale, 16);
    if (fp_abs(top) < SEARCH_EPS) {
        memset(b, 0, sizeof *b);
        return;
    }
    const float inverse = -128.0f / top;
    fp_put16(b->d, 1 / inverse);
    for (int j = 0; j < 16; j++) {
        int s = fp_nearest(inverse * scale[j]);
        b->scales[j] = (int8_t)(s < 127 ? s : 127);
        const float d = fp_get16(b->d) * (float)b->scales[j];
        if (d == 0) continue;
        for (int i = 16 * j; i < 16 * j + 16; i++)
            code[i] = (uint8_t)(fp_clamp(fp_nearest(x[i] / d), -32, 31) + 32);
    }
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = code + 128 * h + l;
            b->ql[64 * h + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            b->ql[64 * h + l + 32] = (uint8_t)((c[32] & 15) | (c[96] & 15) << 4);
            b->qh[32 * h + l] = (uint8_t)(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
        }
}

static void q6_k_unpack(const void *src, float *y, uint64_t n)
{
    const blk_q6_k *b = src;
    for (uint64_t k = 0; k < n / N; k++, b++, y += N) {
        const float d = fp_get16(b->d);
        for (int i = 0; i < N; i++) {
            const int h = i / 128, q = i % 128 / 32, l = i % 32;
            const int low = b->ql[64 * h + 32 * (q & 1) + l] >> (q < 2 ? 0 : 4) & 15, high = b->qh[32 * h + l] >> (2 * q) & 3;
            y[i] = d * (float)b->scales[i / 16] * (float)((low | high << 4) - 32);
        }
    }
}

/* ---- q8_k: float32 scale; llama.cpp keeps activations in it ---- */

static void q8_k_block(const float *x, blk_q8_k *b, const float *weights)
{
    (void)weights;
    const float top = steepest(x, N);
    memset(b, 0, sizeof *b);
    if (top == 0) return;
    const float inverse = -127.0f / top;
    for (int i = 0; i < N; i++) {
        int v = fp_nearest(inverse * x[i]);
        b->qs[i] = (int8_t)(v < 127 ? v : 127);
    }
    for (int j = 0; j < 16; j++) {
        int sum = 0;
        for (int i = 16 * j; i < 16 * j + 16; i++)
            sum += b->qs[i];
        store_le16(b->bsums + 2 * j, (uint16_t)sum);
    }
    store_le32(b->d, f32_bits(1 / inverse));
}

static void q8_k_unpack(const void *src, float *y, uint64_t n)
{
    const blk_q8_k *b = src;
    for (uint64_t k = 0; k < n / N; k++, b++, y += N) {
        const float d = f32_from_bits(load_le32(b->d));
        for (int i = 0; i < N; i++)
            y[i] = d * (float)b->qs[i];
    }
}

#define ROWS_PACK(name, type, block) \
    void name(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        type *b = dst; \
        for (uint64_t r = 0; r < rows; r++) \
            for (uint64_t c = 0; c < cols; c += N, b++, x += N) \
                block(x, b, weights ? weights + c : NULL); \
    }
static ROWS_PACK(q2_k_pack, blk_q2_k, q2_k_block) static ROWS_PACK(q3_k_pack, blk_q3_k, q3_k_block) static ROWS_PACK(
    q4_k_pack, blk_q4_k, q4_k_block) static ROWS_PACK(q5_k_pack, blk_q5_k, q5_k_block)
    ROWS_PACK(q6_k_pack, blk_q6_k, q6_k_block) static ROWS_PACK(q8_k_pack, blk_q8_k, q8_k_block)

        BLOCK_VALIDATE(q2_k_validate, blk_q2_k, fp_finite16(b->d) && fp_finite16(b->m))
            BLOCK_VALIDATE(q3_k_validate, blk_q3_k, fp_finite16(b->d))
                BLOCK_VALIDATE(q4_k_validate, blk_q4_k, fp_finite16(b->d) && fp_finite16(b->m))
                    BLOCK_VALIDATE(q5_k_validate, blk_q5_k, fp_finite16(b->d) && fp_finite16(b->m))
                        BLOCK_VALIDATE(q6_k_validate, blk_q6_k, fp_finite16(b->d))
                            BLOCK_VALIDATE(q8_k_validate, blk_q8_k, (load_le32(b->d) & 0x7F800000) != 0x7F800000)

#define K_CODEC(name, id, ...) \
    const smelt_codec smelt_codec_##name = {.dtype = SMELT_DT_##id, \
                                            .validate = name##_validate, \
                                            .variants = {__VA_ARGS__{SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}
                                K_CODEC(q2_k, Q2_K, );
K_CODEC(q3_k, Q3_K, );
K_CODEC(q4_k, Q4_K, );
K_CODEC(q5_k, Q5_K, );
K_CODEC(q6_k, Q6_K, LANE_VARIANTS(q6_k));
K_CODEC(q8_k, Q8_K, );
