/* What unpack.inc wants of an instruction set that has lanes. */
#ifndef SMELT_QUANT_SIMD_UNPACK_LANES_H
#define SMELT_QUANT_SIMD_UNPACK_LANES_H

#include "quant/simd/lanes.h"

static inline void put(const uint8_t *code, int n, int sub, float d, float m, float *y)
{
    for (int i = 0; i < n; i += LANES) {
        const vf v = vf_from_vi(vi_sub(vi_load8(code + i), vi_set(sub)));
        vf_store(y + i, vf_sub(vf_mul(vf_set(d), v), vf_set(m)));
    }
}

#endif
