/* iq1 with NEON. The search among neighbours is the baseline's. */
#include "quant/iq_near.h"
#include "quant/simd/lanes.h"

static unsigned nearest_eight(uint32_t entry, const float *x, const float *w, float scale, const float *v)
{
    const float values[3] = {scale * v[0], scale * v[1], scale * v[2]};
    return iq_nearest(iq_eights, &iq_near_iq1, entry, x, w, values);
}

#include "quant/simd/iq1.inc"
