/* Blocks as they lie in GGUF files: byte arrays only, so that a block may start at any address. `d` and `m` are float16 scale
 * and minimum. Source: ggml's block definitions; sizes are asserted against dtype.def. */
#ifndef SMELT_QUANT_BLOCKS_H
#define SMELT_QUANT_BLOCKS_H

#include "ir/dtype.h"

/* 32 elements. Byte j of qs: element j in the low nibble, element j + 16 in the high one; bit j of qh: fifth bit of j. */
typedef struct blk_q4_0 {
    uint8_t d[2], qs[16];
} blk_q4_0;
typedef struct blk_q4_1 {
    uint8_t d[2], m[2], qs[16];
} blk_q4_1;
typedef struct blk_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} blk_q5_0;
typedef struct blk_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} blk_q5_1;
typedef struct blk_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
} blk_q8_0;
typedef struct blk_q8_1 {
    uint8_t d[2], s[2]; /* s: d times the sum of qs */
    int8_t qs[32];
} blk_q8_1;

/* 256 elements. Sub-blocks have 16 (q2_k, q3_k, q6_k) or 32 elements (q4_k, q5_k), each with a small integer scale. */
typedef struct blk_q2_k {
    uint8_t scales[16], qs[64], d[2], m[2]; /* scales: low nibble of d, high nibble of m */
} blk_q2_k;
typedef struct blk_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
} blk_q3_k;
typedef struct blk_q4_k {
    uint8_t d[2], m[2], scales[12], qs[128];
} blk_q4_k;
typedef struct blk_q5_k {
    uint8_t d[2], m[2], scales[12], qh[32], qs[128];
} blk_q5_k;
typedef struct blk_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint8_t d[2];
} blk_q6_k;
typedef struct blk_q8_k {
    uint8_t d[4]; /* float32 */
    int8_t qs[256];
    uint8_t bsums[32]; /* int16 sums of 16 codes each */
} blk_q8_k;

typedef struct blk_iq4_nl {
    uint8_t d[2], qs[16];
} blk_iq4_nl;
typedef struct blk_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128];
} blk_iq4_xs;
typedef struct blk_tq1_0 {
    uint8_t qs[48], qh[4], d[2];
} blk_tq1_0;
typedef struct blk_tq2_0 {
    uint8_t qs[64], d[2];
} blk_tq2_0;
typedef struct blk_mxfp4 {
    uint8_t e, qs[16]; /* e: E8M0 exponent */
} blk_mxfp4;
typedef struct blk_nvfp4 {
    uint8_t d[4], qs[32]; /* d: unsigned E4M3 scale of 16 elements each */
} blk_nvfp4;
typedef struct blk_q1_0 {
    uint8_t d[2], qs[16];
} blk_q1_0;
typedef struct blk_q2_0 {
    uint8_t d[2], qs[16];
} blk_q2_0;

#define BLOCK_SIZE_IS(type, id) _Static_assert(sizeof(type) == SMELT_DT_##id##_BYTES, #type " must match dtype.def")
BLOCK_SIZE_IS(blk_q4_0, Q4_0);
BLOCK_SIZE_IS(blk_q4_1, Q4_1);
BLOCK_SIZE_IS(blk_q5_0, Q5_0);
BLOCK_SIZE_IS(blk_q5_1, Q5_1);
BLOCK_SIZE_IS(blk_q8_0, Q8_0);
BLOCK_SIZE_IS(blk_q8_1, Q8_1);
BLOCK_SIZE_IS(blk_q2_k, Q2_K);
BLOCK_SIZE_IS(blk_q3_k, Q3_K);
BLOCK_SIZE_IS(blk_q4_k, Q4_K);
BLOCK_SIZE_IS(blk_q5_k, Q5_K);
BLOCK_SIZE_IS(blk_q6_k, Q6_K);
BLOCK_SIZE_IS(blk_q8_k, Q8_K);
BLOCK_SIZE_IS(blk_iq4_nl, IQ4_NL);
BLOCK_SIZE_IS(blk_iq4_xs, IQ4_XS);
BLOCK_SIZE_IS(blk_tq1_0, TQ1_0);
BLOCK_SIZE_IS(blk_tq2_0, TQ2_0);
BLOCK_SIZE_IS(blk_mxfp4, MXFP4);
BLOCK_SIZE_IS(blk_nvfp4, NVFP4);
BLOCK_SIZE_IS(blk_q1_0, Q1_0);
BLOCK_SIZE_IS(blk_q2_0, Q2_0);

/* Index of the first of n blocks whose float16 fields (given by a condition on block `b`) are not all finite. */
#define BLOCK_VALIDATE(name, type, finite) \
    static uint64_t name(const void *src, uint64_t n) \
    { \
        const type *blocks = src; \
        for (uint64_t i = 0; i < n; i++) { \
            const type *b = &blocks[i]; \
            if (!(finite)) return i; \
        } \
        return n; \
    }

#endif
