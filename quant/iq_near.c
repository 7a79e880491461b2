#include "quant/iq_near.h"

#include <float.h>

/* An element's share of the sum depends on its level alone, so it is computed once a level and not once a point. */
unsigned iq_nearest(iq_kind k, const iq_near *near, uint32_t entry, const float *x, const float *weights, const float *values)
{
    const uint16_t *list = near->lists + (uint64_t)8 * IQ_NEAR_AT(entry);
    float share[8][8], best = FLT_MAX;
    for (int i = 0; i < k.elems; i++)
        for (int l = 0; l < k.levels; l++) {
            const float diff = values[l] - x[i];
            share[i][l] = weights[i] * diff * diff;
        }
    unsigned found = list[0];
    for (unsigned j = 0; j < IQ_NEAR_COUNT(entry); j++) {
        float sum = 0;
        for (int i = 0; i < k.elems; i++)
            sum += share[i][iq_level(k, list[j], i)];
        if (sum < best) {
            best = sum;
            found = list[j];
        }
    }
    return found;
}
