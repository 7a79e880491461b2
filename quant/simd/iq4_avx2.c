/* iq4 with AVX2: a level by bisection, with bounds looked up in a register. */
#include "quant/simd/lanes.h"

static const float third[8] = {-93.5f, -28.5f, 19, 79};
static const float fourth[8] = {-115.5f, -74, -42, -16, 7, 31.5f, 61, 101};
static const float levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Twice `part`, and one more where q is not below the bound (NaN is not): a truth value is -1. */
static inline vi halve(vi part, vf q, vf bound)
{
    return vi_sub(vi_add(part, part), vi_bits(_mm256_cmp_ps(q, bound, _CMP_NLT_UQ)));
}

static inline vi iq4_code(vf q)
{
    const vf upper = _mm256_cmp_ps(q, vf_set(-4.5f), _CMP_NLT_UQ);
    vi part = halve(vi_srl(vi_bits(upper), 31), q, vf_select(upper, vf_set(45.5f), vf_set(-57)));
    part = halve(part, q, _mm256_permutevar8x32_ps(vf_load(third), part));
    return halve(part, q, _mm256_permutevar8x32_ps(vf_load(fourth), part));
}

static inline vf iq4_level(vi code)
{
    /* The lookups take the code modulo 8, and the selection bit 3. */
    const vf lower = _mm256_permutevar8x32_ps(vf_load(levels), code);
    const vf upper = _mm256_permutevar8x32_ps(vf_load(levels + 8), code);
    return vf_select(vf_bits(vi_sll(code, 28)), upper, lower);
}

#include "quant/simd/iq4.inc"
