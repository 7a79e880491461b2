/* iq4 with AVX-512: a level in three lookups of a register. */
#include "quant/simd/lanes.h"

#define NONE 256.0f /* no bound in this interval */

/* Intervals of width 8 around the multiples of 8 hold one bound at most. Interval i is that around 8 * i, or 8 * (i - 32) from
 * -136 on: the lookup takes the index modulo 32. */
static const float bound[32] = {NONE, 7,    19,   NONE, 31.5f, NONE, 45.5f,  NONE,    61,   NONE,   79,
                                NONE, NONE, 101,  NONE, NONE,  NONE, NONE,   -115.5f, NONE, -93.5f, NONE,
                                NONE, -74,  NONE, -57,  NONE,  -42,  -28.5f, NONE,    -16,  -4.5f};
static const int32_t below[32] = {8, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14, 15, 0,
                                  0, 0, 0, 1,  1,  2,  2,  2,  3,  3,  4,  4,  5,  6,  6,  7};
static const float levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static inline vi iq4_code(vf q)
{
    q = vf_min(q, vf_set(113)); /* and NaN becomes that */
    /* Adding 1.5 * 2^26 leaves the nearest multiple of 8 in the low bits. On a tie both intervals give the same. */
    const vi interval = vi_bits(vf_add(q, vf_set(0x1.8p26f)));
    const vf edge = _mm512_permutex2var_ps(vf_load(bound), interval, vf_load(bound + 16));
    const vi code = _mm512_permutex2var_epi32(vi_load(below), interval, vi_load(below + 16));
    return _mm512_mask_add_epi32(code, vf_ge(q, edge), code, vi_set(1));
}

static inline vf iq4_level(vi code) { return _mm512_permutexvar_ps(code, vf_load(levels)); }

#include "quant/simd/iq4.inc"
