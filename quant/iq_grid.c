/* Types whose codes name points of a fixed set: eight elements (iq2, iq1) or four (iq3) at a time, signs apart. iq_lattice.c and
 * iq1.c encode, unpack.inc decodes. */
#include "quant/codec_list.h"
#include "quant/fp.h"
#include "quant/iq_blocks.h"

BLOCK_VALIDATE(iq2_xxs_validate, blk_iq2_xxs, fp_finite16(b->d))
BLOCK_VALIDATE(iq2_xs_validate, blk_iq2_xs, fp_finite16(b->d))
BLOCK_VALIDATE(iq2_s_validate, blk_iq2_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq3_xxs_validate, blk_iq3_xxs, fp_finite16(b->d))
BLOCK_VALIDATE(iq3_s_validate, blk_iq3_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq1_s_validate, blk_iq1_s, fp_finite16(b->d))
BLOCK_VALIDATE(iq1_m_validate, blk_iq1_m, (iq1_m_scale(b) & 0x7C00) != 0x7C00)

#define CODEC(name, id, need) \
    const smelt_codec smelt_codec_##name = { \
        .dtype = SMELT_DT_##id, \
        .validate = name##_validate, \
        .weights = SMELT_WEIGHTS_##need, \
        .variants = {LANE_VARIANTS(name) UNPACK_VARIANT(name){SMELT_CPU_BASELINE, name##_pack, name##_unpack}}}
/* Source: ggml_quantize_requires_imatrix for what is required, llama-quantize's tensor_requires_imatrix for what is advised. */
CODEC(iq2_xxs, IQ2_XXS, REQUIRED);
CODEC(iq2_xs, IQ2_XS, REQUIRED);
CODEC(iq2_s, IQ2_S, ADVISED);
CODEC(iq3_xxs, IQ3_XXS, ADVISED);
CODEC(iq3_s, IQ3_S, OPTIONAL);
CODEC(iq1_s, IQ1_S, REQUIRED);
CODEC(iq1_m, IQ1_M, ADVISED);
