/* iq4 with NEON: a level by counting bounds. */
#include "quant/iq4.h"
#include "quant/simd/lanes.h"

static const float bounds[15] = {-115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79, 101};

static inline vi iq4_code(vf q)
{
    /* Truth values are -1. NaN is below no bound. */
    vi below = vi_set(15);
    for (int k = 0; k < 15; k++)
        below = vi_add(below, vreinterpretq_s32_u32(vf_lt(q, vf_set(bounds[k]))));
    return below;
}

static inline vf iq4_level(vi code)
{
    /* The code's byte looks up; the three zero bytes above it give level 0, and the shifts drop them. */
    const vi found = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(iq4_levels), vreinterpretq_u8_s32(code)));
    return vf_from_vi(vi_sra(vi_sll(found, 24), 24));
}

#include "quant/simd/iq4.inc"
