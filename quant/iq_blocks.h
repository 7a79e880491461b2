/* Blocks of the types whose codes name points of a grid: 256 elements in eight groups of 32. */
#ifndef SMELT_QUANT_IQ_BLOCKS_H
#define SMELT_QUANT_IQ_BLOCKS_H

#include "base/bytes.h"
#include "quant/blocks.h"

typedef struct blk_iq2_xxs {
    uint8_t d[2], qs[64]; /* a group: four point numbers, then four times 7 bits of signs and 4 bits of scale */
} blk_iq2_xxs;
typedef struct blk_iq2_xs {
    uint8_t d[2], qs[64], scales[8]; /* qs: 16 bits, 9 of point and 7 of signs */
} blk_iq2_xs;
typedef struct blk_iq2_s {
    uint8_t d[2], qs[32], signs[32], qh[8], scales[8]; /* qh: two upper bits of each point number */
} blk_iq2_s;
typedef struct blk_iq3_xxs {
    uint8_t d[2], qs[64], gas[32]; /* gas: signs and scale as in iq2_xxs */
} blk_iq3_xxs;
typedef struct blk_iq3_s {
    uint8_t d[2], qs[64], qh[8], signs[32], scales[4];
} blk_iq3_s;
typedef struct blk_iq1_s {
    uint8_t d[2], qs[32], qh[16]; /* qh: 16 bits a group, four times 3 upper bits, 3 bits of scale, sign of the shift */
} blk_iq1_s;
typedef struct blk_iq1_m {
    uint8_t qs[32], qh[16], scales[8]; /* scales: four times 16 bits, the upper 4 of each a quarter of a float16 */
} blk_iq1_m;
BLOCK_SIZE_IS(blk_iq2_xxs, IQ2_XXS);
BLOCK_SIZE_IS(blk_iq2_xs, IQ2_XS);
BLOCK_SIZE_IS(blk_iq2_s, IQ2_S);
BLOCK_SIZE_IS(blk_iq3_xxs, IQ3_XXS);
BLOCK_SIZE_IS(blk_iq3_s, IQ3_S);
BLOCK_SIZE_IS(blk_iq1_s, IQ1_S);
BLOCK_SIZE_IS(blk_iq1_m, IQ1_M);

/* The float16 whose quarters lie in the scales. */
static inline uint16_t iq1_m_scale(const blk_iq1_m *b)
{
    unsigned d = 0;
    for (int k = 0; k < 4; k++)
        d |= (unsigned)(load_le16(b->scales + 2 * k) >> 12) << (4 * k);
    return (uint16_t)d;
}

#endif
