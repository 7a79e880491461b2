/* The k-quants: 256 elements in sub-blocks, whose scales (and minima) are small integers times one float16. As in legacy.c,
 * the order of the arithmetic is llama.cpp's. With importances, codes are searched on a finer grid and the sub-blocks' scales
 * are themselves searched for. */
#include <math.h>

#include "quant/codec_list.h"
#include "quant/kquants.h"

static float sum_squares(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

static void q2_k_block(const float *x, blk_q2_k *b, const float *weights)
{
    uint8_t code[N], ls[16], lm[16];
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
    const float d = weights ? search_positive(16, 15, scale, sum_w, ls) : even_scales(16, 15, scale, ls);
    const float m = weights ? search_positive(16, 15, min, sum_w, lm) : even_scales(16, 15, min, lm);
    q2_k_finish(b, x, d, m, ls, lm, code);
}

static void q3_k_block(const float *x, blk_q3_k *b, const float *weights)
{
    uint8_t code[N], ls[16];
    float scale[16], sum_w[16] = {0}, w[16];
    const float square = weights ? 2 * sum_squares(x, N) / (float)N : 0;
    for (int j = 0; j < 16; j++) {
        const float *xj = x + 16 * j;
        if (!weights) {
            scale[j] = search_descent(16, 4, xj, code + 16 * j);
            continue;
        }
        for (int l = 0; l < 16; l++) {
            w[l] = weights[16 * j + l] * sqrtf(square + xj[l] * xj[l]);
            sum_w[j] += w[l];
        }
        scale[j] = search_symmetric(16, 4, xj, w, code + 16 * j);
    }
    const float d = weights ? search_symmetric(16, 32, scale, sum_w, ls) : q3_k_even_scales(scale, ls);
    q3_k_finish(b, x, d, ls, code);
}

/* `weights` NULL: each element's is its magnitude above the sub-block's root mean square. */
static void k4_block(const float *x, int top, const search_grid *grid, uint8_t *d16, uint8_t *m16, uint8_t *scales, uint8_t *code,
                     const float *weights)
{
    float scale[8], min[8], sum_w[8] = {0}, w[32];
    uint8_t ls[8], lm[8];
    const float square = weights ? 2 * sum_squares(x, N) / (float)N : 0;
    /* The weighted q4_k reference does not bound its scales; a search can only exceed 63 there by a negative scale. */
    const int cap = weights && top == 15 ? 255 : 63;
    for (int j = 0; j < 8; j++) {
        const float *xj = x + 32 * j;
        const float mean = weights ? 0 : sqrtf(sum_squares(xj, 32) / 32);
        for (int l = 0; l < 32; l++) {
            w[l] = weights ? weights[32 * j + l] * sqrtf(square + xj[l] * xj[l]) : mean + fp_abs(xj[l]);
            sum_w[j] += w[l];
        }
        scale[j] = search_offset(32, top, xj, w, weights ? &weighted_grid : grid, code + 32 * j, &min[j]);
    }
    const float d = weights ? search_positive(8, 63, scale, sum_w, ls) : even_scales(8, 63, scale, ls);
    const float m = weights ? search_positive(8, 63, min, sum_w, lm) : even_scales(8, 63, min, lm);
    for (int j = 0; j < 8; j++) {
        ls[j] = (uint8_t)(ls[j] < cap ? ls[j] : cap);
        lm[j] = (uint8_t)(lm[j] < cap ? lm[j] : cap);
    }
    k4_finish(d16, m16, scales, x, top, d, m, ls, lm, code);
}

static void q4_k_block(const float *x, blk_q4_k *b, const float *weights)
{
    uint8_t code[N];
    k4_block(x, 15, &q4_k_grid, b->d, b->m, b->scales, code, weights);
    put_nibbles(code, b->qs);
}

static void q5_k_block(const float *x, blk_q5_k *b, const float *weights)
{
    uint8_t code[N];
    k4_block(x, 31, &q5_k_grid, b->d, b->m, b->scales, code, weights);
    put_nibbles(code, b->qs);
    put_bits(code, 4, b->qh);
}

static void q6_k_block(const float *x, blk_q6_k *b, const float *weights)
{
    uint8_t code[N];
    int8_t ls[16];
    float scale[16];
    for (int j = 0; j < 16; j++)
        scale[j] = search_symmetric(16, 32, x + 16 * j, weights ? weights + 16 * j : NULL, code + 16 * j);
    const float d = q6_k_scales(scale, ls);
    q6_k_finish(b, x, d, ls, code);
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
    for (int j = 0; j < 16; j++)
        store_le16(b->bsums + 2 * j, (uint16_t)sum16(b->qs + 16 * j));
    store_le32(b->d, f32_bits(1 / inverse));
}

/* A type's row in the table of codecs, with what it needs: `finite` says of block b that its scales are. */
#define K_CODEC(name, id, finite, ...) \
    void name##_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        blk_##name *b = dst; \
        for (uint64_t r = 0; r < rows; r++) \
            for (uint64_t c = 0; c < cols; c += N, b++, x += N) \
                name##_block(x, b, weights ? weights + c : NULL); \
    } \
    BLOCK_VALIDATE(name##_validate, blk_##name, finite) \
    const smelt_codec smelt_codec_##name = { \
        .dtype = SMELT_DT_##id, \
        .validate = name##_validate, \
        .variants = {__VA_ARGS__ UNPACK_VARIANT(name){SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}

K_CODEC(q2_k, Q2_K, fp_finite16(b->d) && fp_finite16(b->m), LANE_VARIANTS(q2_k));
K_CODEC(q3_k, Q3_K, fp_finite16(b->d), LANE_VARIANTS(q3_k));
K_CODEC(q4_k, Q4_K, fp_finite16(b->d) && fp_finite16(b->m), LANE_VARIANTS(q4_k));
K_CODEC(q5_k, Q5_K, fp_finite16(b->d) && fp_finite16(b->m), LANE_VARIANTS(q5_k));
K_CODEC(q6_k, Q6_K, fp_finite16(b->d), LANE_VARIANTS(q6_k));
K_CODEC(q8_k, Q8_K, (load_le32(b->d) & 0x7F800000) != 0x7F800000, LANE_VARIANTS(q8_k));
