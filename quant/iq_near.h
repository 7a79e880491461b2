/* Nearest points of the grids that the iq types take their points from. Elements are levels: 0, 1, 2 in eights, or 0 … 7 in fours. */
#ifndef SMELT_QUANT_IQ_NEAR_H
#define SMELT_QUANT_IQ_NEAR_H

#include <stdint.h>

/* A point's code has the levels of its elements, first lowest: two bits each in eights, three bits each in fours.
 *
 * Its key has them as digits of a number to the base 3 (eights) or 8 (fours), first lowest. By key, `point` is a point's number,
 * and `map` tells of any levels: IQ_NEAR_COUNT(entry) is 0 where they are a point, and IQ_NEAR_AT(entry) is its code; else so many
 * points are around, and 8 * IQ_NEAR_AT(entry) is where their codes begin in `lists`. Lists are filled up to a multiple of 8 with
 * their first point.
 *
 * The tables are made when the program is built, by tools/gen/iq_tables.c. */
typedef struct iq_near {
    const uint32_t *map;
    const uint16_t *lists, *point;
} iq_near;

#define IQ_NEAR_COUNT(entry) ((entry) >> 16)
#define IQ_NEAR_AT(entry) ((entry)&0xFFFF)

extern const iq_near iq_near_iq2_xxs, iq_near_iq2_xs, iq_near_iq2_s, iq_near_iq1, iq_near_iq3_xxs, iq_near_iq3_s;

/* How the two kinds of points are stored. */
typedef struct iq_kind {
    int elems, bits, levels;
} iq_kind;

static const iq_kind iq_eights = {8, 2, 3}, iq_fours = {4, 3, 8};

static inline unsigned iq_key(iq_kind k, const uint8_t *level)
{
    unsigned key = 0;
    for (int i = k.elems - 1; i >= 0; i--)
        key = key * (unsigned)k.levels + level[i];
    return key;
}

static inline unsigned iq_level(iq_kind k, unsigned code, int i) { return code >> (k.bits * i) & ((1U << k.bits) - 1); }

/* The number of a point by its code. */
static inline unsigned iq_point(iq_kind k, const iq_near *near, unsigned code)
{
    unsigned key = 0;
    for (int i = k.elems - 1; i >= 0; i--)
        key = key * (unsigned)k.levels + iq_level(k, code, i);
    return near->point[key];
}

/* The code of that point of an entry's list (IQ_NEAR_COUNT above 0) where the sum over elements of weight * (value - x)² is
 * least, the first one of several; values[l] is what level l stands for. Sums are rounded after each element, in order. The first
 * point if no sum is below FLT_MAX: the reference ends the program there. */
unsigned iq_nearest(iq_kind k, const iq_near *near, uint32_t entry, const float *x, const float *weights, const float *values);

#endif
