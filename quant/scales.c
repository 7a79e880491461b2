#include <stddef.h>

#include "quant/blocks.h"
#include "quant/codecs.h"
#include "quant/iq_blocks.h"

#define ONE(id, type, kind, a) \
    { \
        SMELT_DT_##id, SMELT_SCALE_##kind, 1, { offsetof(type, a) } \
    }
#define TWO(id, type, kind, a, b) \
    { \
        SMELT_DT_##id, SMELT_SCALE_##kind, 2, { offsetof(type, a), offsetof(type, b) } \
    }

static const smelt_scales rows[] = {
    ONE(Q4_0, blk_q4_0, F16, d),       TWO(Q4_1, blk_q4_1, F16, d, m),  ONE(Q5_0, blk_q5_0, F16, d),
    TWO(Q5_1, blk_q5_1, F16, d, m),    ONE(Q8_0, blk_q8_0, F16, d),     ONE(Q8_1, blk_q8_1, F16, d),
    TWO(Q2_K, blk_q2_k, F16, d, m),    ONE(Q3_K, blk_q3_k, F16, d),     TWO(Q4_K, blk_q4_k, F16, d, m),
    TWO(Q5_K, blk_q5_k, F16, d, m),    ONE(Q6_K, blk_q6_k, F16, d),     ONE(Q8_K, blk_q8_k, F32, d),
    ONE(IQ2_XXS, blk_iq2_xxs, F16, d), ONE(IQ2_XS, blk_iq2_xs, F16, d), ONE(IQ2_S, blk_iq2_s, F16, d),
    ONE(IQ3_XXS, blk_iq3_xxs, F16, d), ONE(IQ3_S, blk_iq3_s, F16, d),   ONE(IQ1_S, blk_iq1_s, F16, d),
    ONE(IQ4_NL, blk_iq4_nl, F16, d),   ONE(IQ4_XS, blk_iq4_xs, F16, d), ONE(TQ1_0, blk_tq1_0, F16, d),
    ONE(TQ2_0, blk_tq2_0, F16, d),     ONE(MXFP4, blk_mxfp4, E8M0, e),  ONE(Q1_0, blk_q1_0, F16, d),
    ONE(Q2_0, blk_q2_0, F16, d),
};

const smelt_scales *scales_find(smelt_dtype dtype)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].dtype == dtype) return &rows[i];
    return NULL;
}
