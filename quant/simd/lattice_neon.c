/* iq2 and iq3 with NEON. The search among neighbours is the baseline's. */
#include "quant/iq_near.h"
#include "quant/simd/lanes.h"

typedef struct near_rows {
    float x[LANES][32], root[LANES][32];
} near_rows;

static inline void near_prepare(int elems, int n, const vf *x, const vf *root, near_rows *rows)
{
    (void)elems;
    for (int i = 0; i < n; i++)
        for (int l = 0; l < LANES; l++) {
            rows->x[l][i] = x[i][l];
            rows->root[l][i] = root[i][l];
        }
}

static inline unsigned near_point(int elems, const iq_near *near, uint32_t entry, const near_rows *rows, int k, int lane,
                                  float scale)
{
    float values[8];
    for (int l = 0; l < 8; l++)
        values[l] = scale * (float)(2 * l + 1);
    const iq_kind kind = elems == 8 ? iq_eights : iq_fours;
    return iq_nearest(kind, near, entry, rows->x[lane] + elems * k, rows->root[lane] + elems * k, values);
}

#include "quant/simd/lattice.inc"
