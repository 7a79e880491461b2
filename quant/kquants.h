/* The k-quants' super-blocks of 256 elements: how codes, scales and minima lie in them, and how a block is finished once the
 * search has a scale for each sub-block. Shared by the baseline (kquants.c) and the vector encoders (simd/kquants.inc).
 *
 * `code` holds the search's codes when a block is finished: they stay where a sub-block's stored scale is zero. */
#ifndef SMELT_QUANT_KQUANTS_H
#define SMELT_QUANT_KQUANTS_H

#include "quant/blocks.h"
#include "quant/search.h"

enum { N = 256 };

static const search_grid q2_k_grid = {.from = -0.5f, .step = 0.1f, .steps = 15, .absolute = true};
static const search_grid q4_k_grid = {.from = -1.0f, .step = 0.1f, .steps = 20};
static const search_grid q5_k_grid = {.from = -0.5f, .step = 0.1f, .steps = 15};
static const search_grid weighted_grid = {.from = -0.9f, .step = 0.05f, .steps = 36};

/* Two bits of each code: byte l of each half holds elements l, l + 32, l + 64, l + 96 of 128. */
static inline void put_pairs(const uint8_t *restrict code, uint8_t *restrict qs)
{
    for (int j = 0; j < N; j += 128, qs += 32)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)((code[j + l] & 3) | (code[j + l + 32] & 3) << 2 | (code[j + l + 64] & 3) << 4 |
                              (code[j + l + 96] & 3) << 6);
}

/* Four bits of each code: byte l of 32 holds elements l and l + 32 of 64. */
static inline void put_nibbles(const uint8_t *restrict code, uint8_t *restrict qs)
{
    for (int j = 0; j < N; j += 64, qs += 32)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)((code[j + l] & 15) | (code[j + l + 32] & 15) << 4);
}

/* Bit `bit` of each code: bit k of byte l is that of element 32k + l. */
static inline void put_bits(const uint8_t *restrict code, int bit, uint8_t *restrict high)
{
    for (int l = 0; l < 32; l++) {
        int bits = 0;
        for (int k = 0; k < 8; k++)
            bits |= (code[32 * k + l] >> bit & 1) << k;
        high[l] = (uint8_t)bits;
    }
}

/* The codes of n elements for a scale that is not zero, `bias` higher. */
#ifdef LANE_FN
LANE_INLINE void round_codes(int n, const float *x, float min, float scale, int low, int high, int bias, uint8_t *code)
{
    for (int i = 0; i < n; i += LANES) {
        const vi l = vf_nearest(vf_div(vf_add(vf_load(x + i), vf_set(min)), vf_set(scale)));
        vi_store8(code + i, vi_add(vi_max(vi_min(l, vi_set(high)), vi_set(low)), vi_set(bias)));
    }
}
#else
static inline void round_codes(int n, const float *x, float min, float scale, int low, int high, int bias, uint8_t *code)
{
    for (int i = 0; i < n; i++)
        code[i] = (uint8_t)(fp_clamp(fp_nearest((x[i] + min) / scale), low, high) + bias);
}
#endif

/* The first of n scales (a multiple of 16) of the largest magnitude above 0; 0 if there is none. */
#ifdef LANE_FN
static inline float steepest(const float *v, int n)
{
    vi most = vi_set(0);
    for (int i = 0; i < n; i += LANES) {
        const vf mag = vf_abs(vf_load(v + i));
        most = vi_max(most, vi_select(vf_eq(mag, mag), vi_bits(mag), vi_set(0)));
    }
    const int32_t top = vi_reduce_max(most);
    for (int i = 0; top && i < n; i += LANES) {
        const uint32_t at = vm_bits(vi_eq(vi_bits(vf_abs(vf_load(v + i))), vi_set(top)));
        if (at) return v[i + __builtin_ctz(at)];
    }
    return 0;
}
#else
static inline float steepest(const float *v, int n)
{
    float top = 0, top_abs = 0;
    for (int i = 0; i < n; i++)
        if (fp_abs(v[i]) > top_abs) {
            top_abs = fp_abs(v[i]);
            top = v[i];
        }
    return top;
}
#endif

/* Scales without a search: the largest becomes `top`. Returns what a code of one stands for. */
static inline float even_scales(int n, int top, const float *v, uint8_t *code)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        if (v[i] > max) max = v[i];
    const float inverse = max > 0 ? (float)top / max : 0;
    for (int i = 0; i < n; i++)
        code[i] = (uint8_t)fp_nearest(inverse * v[i]);
    return max / (float)top;
}

/* Of 16 codes: four sums of four, and those. */
static inline int sum16(const int8_t *code)
{
    const uint64_t sign = UINT64_C(0x8080808080808080), bytes = UINT64_C(0x00FF00FF00FF00FF);
    const uint64_t a = load_le64(code) ^ sign, b = load_le64(code + 8) ^ sign; /* each 128 more */
    const uint64_t sums = (a & bytes) + (a >> 8 & bytes) + (b & bytes) + (b >> 8 & bytes);
    return (int)(sums * UINT64_C(0x0001000100010001) >> 48) - 16 * 128;
}

/* ---- q2_k: 16 sub-blocks of 16, scale and minimum of 4 bits ---- */

static inline void q2_k_finish(blk_q2_k *b, const float *x, float d, float m, const uint8_t *ls, const uint8_t *lm, uint8_t *code)
{
    fp_put16(b->d, d);
    fp_put16(b->m, m);
    d = fp_get16(b->d);
    m = fp_get16(b->m);
    for (int j = 0; j < 16; j++) {
        b->scales[j] = (uint8_t)(ls[j] | lm[j] << 4);
        const float dj = d * (float)(b->scales[j] & 15), mj = m * (float)(b->scales[j] >> 4);
        if (dj != 0) round_codes(16, x + 16 * j, mj, dj, 0, 3, 0, code + 16 * j);
    }
    put_pairs(code, b->qs);
}

/* ---- q3_k: 16 sub-blocks of 16, signed scales of 6 bits, third bit of the codes apart ---- */

static inline int q3_k_scale(const uint8_t *scales, int j)
{
    int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4, high = scales[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
}

/* The scales of a block without weights, 32 higher, and what a code of one stands for. */
static inline float q3_k_even_scales(const float *scale, uint8_t *ls)
{
    const float top = steepest(scale, 16), inverse = -32.0f / top;
    if (top == 0) {
        memset(ls, 0, 16);
        return 0;
    }
    for (int j = 0; j < 16; j++)
        ls[j] = (uint8_t)(fp_clamp((int8_t)fp_nearest(inverse * scale[j]), -32, 31) + 32);
    return 1 / inverse;
}

static inline void q3_k_finish(blk_q3_k *b, const float *x, float d, const uint8_t *ls, uint8_t *code)
{
    /* Eight scales of six bits at a time: low nibbles, and the upper two bits of four times four. */
    const uint64_t first = load_le64(ls), last = load_le64(ls + 8), ones = UINT64_C(0x0101010101010101);
    const uint64_t upper = (first >> 4 & ones * 3) | (last >> 4 & ones * 3) << 4;
    store_le64(b->scales, (first & ones * 15) | (last & ones * 15) << 4);
    store_le32(b->scales + 8, (uint32_t)(upper | upper >> 30));
    fp_put16(b->d, d);
    d = fp_get16(b->d);
    for (int j = 0; j < 16; j++) {
        const float dj = d * (float)(ls[j] - 32);
        if (dj != 0) round_codes(16, x + 16 * j, 0, dj, -4, 3, 4, code + 16 * j);
    }
    put_bits(code, 2, b->hmask);
    put_pairs(code, b->qs);
}

/* ---- q4_k and q5_k: 8 sub-blocks of 32, scale and minimum of 6 bits ---- */

/* 12 bytes: four of scales, four of minima (6 bits each), four of nibbles, whose upper two bits are the first eight's top bits. */
static inline void k4_put(uint8_t *s, int j, int scale, int min)
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

static inline void k4_get(const uint8_t *s, int j, int *scale, int *min)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* The 16 bytes that both types begin with, and codes 0 … top. */
static inline void k4_finish(uint8_t *d16, uint8_t *m16, uint8_t *scales, const float *x, int top, float d, float m,
                             const uint8_t *ls, const uint8_t *lm, uint8_t *code)
{
    fp_put16(d16, d);
    fp_put16(m16, m);
    d = fp_get16(d16);
    m = fp_get16(m16);
    for (int j = 0; j < 8; j++)
        k4_put(scales, j, ls[j], lm[j]);
    for (int j = 0; j < 8; j++) {
        int s, min;
        k4_get(scales, j, &s, &min);
        const float dj = d * (float)s, mj = m * (float)min;
        if (dj != 0) round_codes(32, x + 32 * j, mj, dj, 0, top, 0, code + 32 * j);
    }
}

/* ---- q6_k: 16 sub-blocks of 16, signed scales of 8 bits ---- */

/* The scales and what a code of one stands for; 0 if the block is stored as zeros. */
static inline float q6_k_scales(const float *scale, int8_t *ls)
{
    const float top = steepest(scale, 16);
    if (fp_abs(top) < SEARCH_EPS) return 0;
    const float inverse = -128.0f / top;
    for (int j = 0; j < 16; j++) {
        const int s = fp_nearest(inverse * scale[j]);
        ls[j] = (int8_t)(s < 127 ? s : 127);
    }
    return 1 / inverse;
}

static inline void q6_k_finish(blk_q6_k *b, const float *x, float d, const int8_t *ls, uint8_t *code)
{
    if (d == 0) {
        memset(b, 0, sizeof *b);
        return;
    }
    fp_put16(b->d, d);
    d = fp_get16(b->d);
    for (int j = 0; j < 16; j++) {
        b->scales[j] = ls[j];
        const float dj = d * (float)ls[j];
        if (dj != 0) round_codes(16, x + 16 * j, 0, dj, -32, 31, 32, code + 16 * j);
    }
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = code + 128 * h + l;
            b->ql[64 * h + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            b->ql[64 * h + l + 32] = (uint8_t)((c[32] & 15) | (c[96] & 15) << 4);
            b->qh[32 * h + l] = (uint8_t)(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
        }
}

#endif
