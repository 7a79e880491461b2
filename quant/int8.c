/* Block types as small integers with a scale, and for some a shift, for each group of elements: what a product with integer
 * activations needs of them. Exact but for the last bit of scale times code. */
#include "quant/blocks.h"
#include "quant/codecs.h"
#include "quant/fp.h"
#include "quant/iq4.h"

/* The 32 elements of a legacy block: nibbles of elements j and j + 16, and fifth bits where there are some. */
static void nibbles(const uint8_t qs[16], uint32_t high, int less, int8_t *code)
{
    for (int j = 0; j < 16; j++) {
        code[j] = (int8_t)((qs[j] & 15) + (int)(high >> j & 1) * 16 - less);
        code[j + 16] = (int8_t)((qs[j] >> 4) + (int)(high >> (j + 16) & 1) * 16 - less);
    }
}

static void levels(const uint8_t qs[16], const int8_t level[16], int8_t *code)
{
    for (int j = 0; j < 16; j++) {
        code[j] = level[qs[j] & 15];
        code[j + 16] = level[qs[j] >> 4];
    }
}

#define NO_SHIFT \
    if (shift) shift[k] = 0
#define LEGACY(name, type, codes, scale_of, shift_of) \
    static void name(const void *src, int8_t *code, float *scale, float *shift, uint64_t n) \
    { \
        const type *b = src; \
        for (uint64_t k = 0; k < n / 32; k++, b++, code += 32) { \
            codes; \
            scale[k] = scale_of; \
            shift_of; \
        } \
    }

LEGACY(q4_0_split, blk_q4_0, nibbles(b->qs, 0, 8, code), fp_get16(b->d), NO_SHIFT)
LEGACY(q4_1_split, blk_q4_1, nibbles(b->qs, 0, 0, code), fp_get16(b->d), shift[k] = fp_get16(b->m))
LEGACY(q5_0_split, blk_q5_0, nibbles(b->qs, load_le32(b->qh), 16, code), fp_get16(b->d), NO_SHIFT)
LEGACY(q5_1_split, blk_q5_1, nibbles(b->qs, load_le32(b->qh), 0, code), fp_get16(b->d), shift[k] = fp_get16(b->m))
LEGACY(q8_0_split, blk_q8_0, memcpy(code, b->qs, 32), fp_get16(b->d), NO_SHIFT)
LEGACY(iq4_nl_split, blk_iq4_nl, levels(b->qs, iq4_levels, code), fp_get16(b->d), NO_SHIFT)

/* 8 groups of 32, scale and minimum of 6 bits each; byte l of a group of 64's 32 has elements l and l + 32. */
static void k4_split(const uint8_t *d, const uint8_t *m, const uint8_t *scales, const uint8_t *qs, const uint8_t *qh, int8_t *code,
                     float *scale, float *shift)
{
    for (int j = 0; j < 8; j++) {
        const int s = j < 4 ? scales[j] & 63 : (scales[j + 4] & 15) | scales[j - 4] >> 6 << 4;
        const int min = j < 4 ? scales[j + 4] & 63 : scales[j + 4] >> 4 | scales[j] >> 6 << 4;
        scale[j] = fp_get16(d) * (float)s;
        shift[j] = -(fp_get16(m) * (float)min);
        const uint8_t *q = qs + j / 2 * 32;
        for (int l = 0; l < 32; l++)
            code[32 * j + l] = (int8_t)((q[l] >> (j % 2 * 4) & 15) | (qh ? (qh[l] >> j & 1) << 4 : 0));
    }
}

static void q4_k_split(const void *src, int8_t *code, float *scale, float *shift, uint64_t n)
{
    const blk_q4_k *b = src;
    for (uint64_t k = 0; k < n / 256; k++, b++)
        k4_split(b->d, b->m, b->scales, b->qs, NULL, code + 256 * k, scale + 8 * k, shift + 8 * k);
}

static void q5_k_split(const void *src, int8_t *code, float *scale, float *shift, uint64_t n)
{
    const blk_q5_k *b = src;
    for (uint64_t k = 0; k < n / 256; k++, b++)
        k4_split(b->d, b->m, b->scales, b->qs, b->qh, code + 256 * k, scale + 8 * k, shift + 8 * k);
}

static void q6_k_split(const void *src, int8_t *code, float *scale, float *shift, uint64_t n)
{
    const blk_q6_k *b = src;
    for (uint64_t g = 0; g < n / 16 && shift; g++)
        shift[g] = 0;
    for (uint64_t k = 0; k < n / 256; k++, b++, code += 256, scale += 16) {
        for (int j = 0; j < 16; j++)
            scale[j] = fp_get16(b->d) * (float)b->scales[j];
        for (int h = 0; h < 2; h++)
            for (int q = 0; q < 4; q++)
                for (int l = 0; l < 32; l++) {
                    const int low = b->ql[64 * h + 32 * (q & 1) + l] >> (q < 2 ? 0 : 4) & 15,
                              high = b->qh[32 * h + l] >> (2 * q) & 3;
                    code[128 * h + 32 * q + l] = (int8_t)((low | high << 4) - 32);
                }
    }
}

static const smelt_int8 table[] = {
    {SMELT_DT_Q4_0, 32, false, q4_0_split}, {SMELT_DT_Q4_1, 32, true, q4_1_split},  {SMELT_DT_Q5_0, 32, false, q5_0_split},
    {SMELT_DT_Q5_1, 32, true, q5_1_split},  {SMELT_DT_Q8_0, 32, false, q8_0_split}, {SMELT_DT_IQ4_NL, 32, false, iq4_nl_split},
    {SMELT_DT_Q4_K, 32, true, q4_k_split},  {SMELT_DT_Q5_K, 32, true, q5_k_split},  {SMELT_DT_Q6_K, 16, false, q6_k_split},
};

const smelt_int8 *int8_find(smelt_dtype dtype)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].dtype == dtype) return &table[i];
    return NULL;
}
