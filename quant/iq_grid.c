/* Types whose codes name points of a fixed set: eight elements (iq2, iq1) or four (iq3) at a time, signs apart. Decoding;
 * iq_lattice.c and iq_ternary.c encode. */
#include "quant/codec_list.h"
#include "quant/fp.h"
#include "quant/iq_blocks.h"

#include "quant/iq_points.inc"

enum { N = 256, GROUPS = 8 };

/* Seven signs are stored; the eighth makes their number even. */
static unsigned signs_of(unsigned seven) { return seven | (unsigned)__builtin_parity(seven) << 7; }

/* Eight elements of a two-bit point: scale * level, negated where `signs` says so. */
static void put_eight(float scale, uint16_t point, unsigned signs, float *y)
{
    static const float levels[4] = {8, 25, 43, 0};
    for (int j = 0; j < 8; j++)
        y[j] = scale * levels[point >> 2 * j & 3] * (signs >> j & 1 ? -1.0f : 1.0f);
}

/* Four elements of a three-bit point. */
static void put_four(float scale, const float *levels, uint16_t point, unsigned signs, float *y)
{
    for (int j = 0; j < 4; j++)
        y[j] = scale * levels[point >> 3 * j & 7] * (signs >> j & 1 ? -1.0f : 1.0f);
}

static void iq2_xxs_unpack(const void *src, float *y, uint64_t n)
{
    const blk_iq2_xxs *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int g = 0; g < GROUPS; g++) {
            const uint8_t *q = b->qs + 8 * g;
            const uint32_t gas = load_le32(q + 4);
            const float scale = fp_get16(b->d) * (0.5f + (float)(gas >> 28)) * 0.25f;
            for (int l = 0; l < 4; l++, y += 8)
                put_eight(scale, iq2_xxs_points[q[l]], signs_of(gas >> 7 * l & 127), y);
        }
}

static void iq2_xs_unpack(const void *src, float *y, uint64_t n)
{
    const blk_iq2_xs *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int l = 0; l < 4 * GROUPS; l++, y += 8) {
            const unsigned q = load_le16(b->qs + 2 * l), s = b->scales[l / 4] >> (l % 4 < 2 ? 0 : 4) & 15;
            put_eight(fp_get16(b->d) * (0.5f + (float)s) * 0.25f, iq2_xs_points[q & 511], signs_of(q >> 9), y);
        }
}

static void iq2_s_unpack(const void *src, float *y, uint64_t n)
{
    const blk_iq2_s *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int l = 0; l < 4 * GROUPS; l++, y += 8) {
            const unsigned high = b->qh[l / 4] >> (2 * (l % 4)) & 3, s = b->scales[l / 4] >> (l % 4 < 2 ? 0 : 4) & 15;
            put_eight(fp_get16(b->d) * (0.5f + (float)s) * 0.25f, iq2_s_points[b->qs[l] | high << 8], b->signs[l], y);
        }
}

static void iq3_xxs_unpack(const void *src, float *y, uint64_t n)
{
    static const float levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const blk_iq3_xxs *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int g = 0; g < GROUPS; g++) {
            const uint32_t gas = load_le32(b->gas + 4 * g);
            const float scale = fp_get16(b->d) * (0.5f + (float)(gas >> 28)) * 0.5f;
            for (int l = 0; l < 8; l++, y += 4)
                put_four(scale, levels, iq3_xxs_points[b->qs[8 * g + l]], signs_of(gas >> 7 * (l / 2) & 127) >> (l % 2 * 4), y);
        }
}

static void iq3_s_unpack(const void *src, float *y, uint64_t n)
{
    static const float levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    const blk_iq3_s *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int g = 0; g < GROUPS; g++) {
            const int s = b->scales[g / 2] >> (4 * (g % 2)) & 15;
            const float scale = fp_get16(b->d) * (float)(1 + 2 * s);
            for (int l = 0; l < 8; l++, y += 4) {
                const unsigned point = b->qs[8 * g + l] | (b->qh[g] >> l & 1u) << 8;
                put_four(scale, levels, iq3_s_points[point], (unsigned)b->signs[4 * g + l / 2] >> (l % 2 * 4), y);
            }
        }
}

/* iq1: -1, 0 or 1, all shifted by an eighth up or down. */
static void put_shifted(float scale, uint16_t point, bool down, float *y)
{
    const float shift = down ? -0.125f : 0.125f;
    for (int j = 0; j < 8; j++)
        y[j] = scale * ((float)((point >> 2 * j & 3) - 1) + shift);
}

static void iq1_s_unpack(const void *src, float *y, uint64_t n)
{
    const blk_iq1_s *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int g = 0; g < GROUPS; g++) {
            const unsigned h = load_le16(b->qh + 2 * g);
            const float scale = fp_get16(b->d) * (float)(2 * (h >> 12 & 7) + 1);
            for (int l = 0; l < 4; l++, y += 8)
                put_shifted(scale, iq1_points[b->qs[4 * g + l] | (h >> 3 * l & 7) << 8], h >> 15, y);
        }
}

static uint16_t iq1_m_scale(const blk_iq1_m *b)
{
    unsigned d = 0;
    for (int k = 0; k < 4; k++)
        d |= (unsigned)(load_le16(b->scales + 2 * k) >> 12) << (4 * k);
    return (uint16_t)d;
}

static void iq1_m_unpack(const void *src, float *y, uint64_t n)
{
    const blk_iq1_m *b = src;
    for (uint64_t i = 0; i < n / N; i++, b++)
        for (int l = 0; l < 4 * GROUPS; l++, y += 8) {
            const int g = l / 4;
            const unsigned s = load_le16(b->scales + 2 * (g / 2)) >> (6 * (g % 2) + 3 * (l % 4 / 2)) & 7,
                           h = b->qh[l / 2] >> (l % 2 * 4);
            put_shifted(fp_from_f16(iq1_m_scale(b)) * (float)(2 * s + 1), iq1_points[b->qs[l] | (h & 7) << 8], h >> 3 & 1, y);
        }
}

BLOCK_VALIDATE(iq2_xxs_validate, blk_iq2_xxs, fp_finite16(b->d))
BLOCK_VALIDATE(iq2_xs_validate, blk_iq2_xs, fp_finite16(b->d))
BLOCK_VALIDATE(iq2_s_validate, blk_iq2_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq3_xxs_validate, blk_iq3_xxs, fp_finite16(b->d))
BLOCK_VALIDATE(iq3_s_validate, blk_iq3_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq1_s_validate, blk_iq1_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq1_m_validate, blk_iq1_m, (iq1_m_scale(b) & 0x7C00) != 0x7C00)

#define CODEC(name, id, need) \
    const smelt_codec smelt_codec_##name = {.dtype = SMELT_DT_##id, \
                                            .validate = name##_validate, \
                                            .weights = SMELT_WEIGHTS_##need, \
                                            .variants = {{SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}
/* Source: ggml_quantize_requires_imatrix for what is required, llama-quantize's tensor_requires_imatrix for what is advised. */
CODEC(iq2_xxs, IQ2_XXS, REQUIRED);
CODEC(iq2_xs, IQ2_XS, REQUIRED);
CODEC(iq2_s, IQ2_S, ADVISED);
CODEC(iq3_xxs, IQ3_XXS, ADVISED);
CODEC(iq3_s, IQ3_S, OPTIONAL);
CODEC(iq1_s, IQ1_S, REQUIRED);
CODEC(iq1_m, IQ1_M, ADVISED);
