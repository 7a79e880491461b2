/* Types whose codes index a table of values instead of counting steps. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_list.h"
#include "quant/iq4.h"
#include "quant/search.h"

enum { GROUP = 32, TRIALS = 7 };

static uint8_t nearest_level(float x)
{
    if (x <= (float)iq4_levels[0]) return 0;
    if (x >= (float)iq4_levels[15]) return 15;
    int low = 0, high = 15;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (x < (float)iq4_levels[mid])
            high = mid;
        else
            low = mid;
    }
    return (uint8_t)(x - (float)iq4_levels[high - 1] < (float)iq4_levels[high] - x ? high - 1 : high);
}

static void correlate(const float *x, const float *w, float inverse, float *xq, float *qq)
{
    *xq = *qq = 0;
    for (int j = 0; j < GROUP; j++) {
        float q = (float)iq4_levels[nearest_level(inverse * x[j])];
        *xq += w[j] * q * x[j];
        *qq += w[j] * q * q;
    }
}

/* Scale of one group: 15 trials that map the extreme element near the lowest level. */
static float group_scale(const float *x, const float *weights, float square)
{
    float w[GROUP], top = 0;
    for (int j = 0; j < GROUP; j++) {
        w[j] = weights ? weights[j] * sqrtf(square + x[j] * x[j]) : x[j] * x[j];
        if (fp_abs(x[j]) > fp_abs(top)) top = x[j];
    }
    if (fp_abs(top) < SEARCH_EPS) return 0;
    float xq, qq, d = -top / (float)iq4_levels[0];
    correlate(x, w, 1 / d, &xq, &qq);
    d = qq > 0 ? xq / qq : 0;
    float best = d * xq;
    for (int trial = -TRIALS; trial <= TRIALS; trial++) {
        correlate(x, w, (float)(trial + iq4_levels[0]) / top, &xq, &qq);
        if (qq > 0 && xq * xq > best * qq) {
            d = xq / qq;
            best = d * xq;
        }
    }
    return d;
}

static float spread(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum * (2.0f / (float)n);
}

static void put_group(const float *x, float inverse, uint8_t *qs)
{
    for (int j = 0; j < GROUP / 2; j++)
        qs[j] = (uint8_t)(nearest_level(inverse * x[j]) | nearest_level(inverse * x[j + GROUP / 2]) << 4);
}

void iq4_nl_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq4_nl *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += GROUP, b++, x += GROUP) {
            float d = group_scale(x, weights ? weights + c : NULL, spread(x, GROUP));
            fp_put16(b->d, d);
            put_group(x, d != 0 ? 1 / d : 0, b->qs);
        }
}

/* iq4_xs: eight groups; their scales are 6-bit integers (less 32), low nibbles in scales_l, upper two bits in scales_h. */
void iq4_xs_scales(const float scale[8], blk_iq4_xs *b, float inverse[8])
{
    float top = 0;
    for (int g = 0; g < 8; g++)
        if (fp_abs(scale[g]) > fp_abs(top)) top = scale[g];
    const float d = -top / 32, id = d != 0 ? 1 / d : 0;
    uint32_t high = 0;
    memset(b->scales_l, 0, sizeof b->scales_l);
    for (int g = 0; g < 8; g++) {
        int l = fp_clamp(fp_nearest(id * scale[g]), -32, 31);
        float dl = d * (float)l;
        inverse[g] = dl != 0 ? 1 / dl : 0;
        b->scales_l[g / 2] = (uint8_t)(b->scales_l[g / 2] | ((l + 32) & 15) << (4 * (g % 2)));
        high |= (uint32_t)(l + 32) >> 4 << (2 * g);
    }
    fp_put16(b->d, d);
    store_le16(b->scales_h, (uint16_t)high);
}

static void iq4_xs_block(const float *x, blk_iq4_xs *b, const float *weights)
{
    const float square = spread(x, 256);
    float scale[8], inverse[8];
    for (int g = 0; g < 8; g++)
        scale[g] = group_scale(x + GROUP * g, weights ? weights + GROUP * g : NULL, square);
    iq4_xs_scales(scale, b, inverse);
    for (int g = 0; g < 8; g++)
        put_group(x + GROUP * g, inverse[g], b->qs + 16 * g);
}

void iq4_xs_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    blk_iq4_xs *b = dst;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += 256, b++, x += 256)
            iq4_xs_block(x, b, weights ? weights + c : NULL);
}

BLOCK_VALIDATE(iq4_nl_validate, blk_iq4_nl, fp_finite16(b->d))
BLOCK_VALIDATE(iq4_xs_validate, blk_iq4_xs, fp_finite16(b->d))

#define CODEC(name, id) \
    const smelt_codec smelt_codec_##name = { \
        .dtype = SMELT_DT_##id, \
        .validate = name##_validate, \
        .variants = {LANE_VARIANTS(name) UNPACK_VARIANT(name){SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}
CODEC(iq4_nl, IQ4_NL);
CODEC(iq4_xs, IQ4_XS);
