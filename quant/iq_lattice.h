/* Encoding of iq2 and iq3: signs apart, magnitudes are scale * point with odd levels 1, 3, 5 …; what their pack functions share. */
#ifndef SMELT_QUANT_IQ_LATTICE_H
#define SMELT_QUANT_IQ_LATTICE_H

#include <stdbool.h>
#include <stddef.h>

#include "quant/iq_near.h"

/* What becomes of the points that the best trial found, once its scale is known. */
typedef enum lattice_refine {
    REFINE_OFF_GRID, /* those whose rounded levels were no point are looked for again */
    REFINE_ANY,      /* all, if there was one of those or no trial at all */
    REFINE_ALL,
} lattice_refine;

/* What a block's search finds, for put to store. */
typedef struct lattice_found {
    float scale[16], top; /* of each group, and the largest */
    uint16_t point[64];
    uint8_t signs[32]; /* of eight elements each */
    bool skipped[16];  /* groups that are stored as zero */
} lattice_found;

typedef struct lattice {
    const iq_near *near;
    iq_kind kind;
    int group;  /* elements with one scale: 16 or 32 */
    int trials; /* trial t of -trials … trials divides (top level + step * t) by the largest magnitude */
    float step;
    float least;   /* groups whose largest magnitude is below are stored as zero */
    float square;  /* weight of the block's mean square in the weights */
    float floor;   /* and where there are no importances */
    bool even;     /* the number of signs is even: the cheapest element is flipped where it is not */
    bool positive; /* the trials start at the scale that search_positive finds */
    lattice_refine refine;
    uint32_t bytes; /* of a block */
    void (*put)(const lattice_found *found, void *block);
} lattice;

extern const lattice lattice_iq2_xxs, lattice_iq2_xs, lattice_iq2_s, lattice_iq3_xxs, lattice_iq3_s;

/* Searches a block of 256 elements; weights NULL if there are none. */
typedef void lattice_search_fn(const lattice *t, const float *x, const float *weights, lattice_found *found);
lattice_search_fn lattice_search;

static inline void lattice_pack(const lattice *t, lattice_search_fn *search, const float *x, uint8_t *dst, uint64_t rows,
                                uint64_t cols, const float *weights)
{
    lattice_found found;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c += 256, x += 256, dst += t->bytes) {
            search(t, x, weights ? weights + c : NULL, &found);
            t->put(&found, dst);
        }
}

#endif
