/* iq2 and iq3, encoding. The order of the arithmetic is llama.cpp's. */
#include "quant/iq_lattice.h"

#include <math.h>

#include "quant/codec_list.h"
#include "quant/iq_blocks.h"
#include "quant/search.h"

enum { N = 256, MAX_GROUP = 32, MAX_POINTS = 8 };

typedef struct group {
    const lattice *t;
    float x[MAX_GROUP], w[MAX_GROUP], root[MAX_GROUP]; /* magnitudes, weights and their square roots */
} group;

/* Signs of eight elements; x gets their magnitudes, but for one that keeps the wrong sign where their number must be even. */
static uint8_t take_signs(const lattice *t, const float *in, const float *w, float *x)
{
    unsigned signs = 0;
    for (int i = 0; i < 8; i++) {
        x[i] = in[i] >= 0 ? in[i] : -in[i];
        if (!(in[i] >= 0)) signs |= 1U << i;
    }
    if (!t->even) return (uint8_t)signs;
    if (__builtin_parity(signs)) {
        int cheapest = 0;
        for (int i = 1; i < 8; i++)
            if (w[i] * in[i] * in[i] < w[cheapest] * in[cheapest] * in[cheapest]) cheapest = i;
        x[cheapest] = -x[cheapest];
        signs ^= 1U << cheapest;
    }
    return signs & 127;
}

/* Point k for a scale and its inverse: the rounded levels, if they are one (*exact), or the nearest. */
static uint16_t choose(const group *g, int k, float inverse, float scale, bool *exact)
{
    const lattice *t = g->t;
    const float *x = g->x + k * t->kind.elems;
    uint8_t level[8] = {0};
    for (int i = 0; i < t->kind.elems; i++)
        level[i] = (uint8_t)fp_clamp(fp_nearest(0.5f * (inverse * x[i] - 1)), 0, t->kind.levels - 1);
    const uint32_t entry = t->near->map[iq_key(t->kind, level)];
    *exact = IQ_NEAR_COUNT(entry) == 0;
    if (*exact) return IQ_NEAR_AT(entry);
    float values[8];
    for (int l = 0; l < t->kind.levels; l++)
        values[l] = scale * (float)(2 * l + 1);
    return (uint16_t)iq_nearest(t->kind, t->near, entry, x, g->root + k * t->kind.elems, values);
}

static void correlate(const group *g, const uint16_t *code, float *xq, float *qq)
{
    const iq_kind kind = g->t->kind;
    *xq = *qq = 0;
    for (int i = 0; i < g->t->group; i++) {
        const float q = (float)(2 * iq_level(kind, code[i / kind.elems], i % kind.elems) + 1);
        *xq += g->w[i] * g->x[i] * q;
        *qq += g->w[i] * q * q;
    }
}

/* Scale (maybe negative) and points' codes of a group whose largest magnitude is `max`; false if it is to be stored as zero. */
static bool search_group(const group *g, float max, uint16_t *code, float *found_scale)
{
    const lattice *t = g->t;
    const int points = t->group / t->kind.elems;
    const float top = (float)(2 * t->kind.levels - 1);
    float scale = max / top, best = 0, xq, qq;
    if (t->positive) {
        uint8_t unused[MAX_GROUP];
        scale = search_positive(t->group, t->kind.levels + 1, g->x, g->w, unused);
        max = scale * (float)t->kind.levels;
        if (max <= 0) return false;
    }
    bool exact[MAX_POINTS], any = false;
    for (int k = 0; k < points; k++)
        exact[k] = t->refine == REFINE_OFF_GRID;
    for (int trial = -t->trials; trial <= t->trials; trial++) {
        uint16_t tried[MAX_POINTS] = {0};
        bool tried_exact[MAX_POINTS];
        const float inverse = (top + (float)trial * t->step) / max;
        for (int k = 0; k < points; k++)
            tried[k] = choose(g, k, inverse, 1 / inverse, &tried_exact[k]);
        correlate(g, tried, &xq, &qq);
        if (!(qq > 0 && xq * xq > best * qq)) continue;
        scale = xq / qq;
        best = scale * xq;
        memcpy(code, tried, sizeof tried);
        memcpy(exact, tried_exact, sizeof exact);
    }
    for (int k = 0; k < points; k++)
        any = any || !exact[k];
    *found_scale = scale;
    if (!(scale > 0 && (any || t->refine == REFINE_ALL))) return true;
    for (int k = 0; k < points; k++) {
        bool unused;
        if (t->refine != REFINE_OFF_GRID || !exact[k]) code[k] = choose(g, k, 1 / scale, scale, &unused);
    }
    correlate(g, code, &xq, &qq);
    if (qq > 0) *found_scale = xq / qq;
    return true;
}

void lattice_search(const lattice *t, const float *x, const float *weights, lattice_found *found)
{
    memset(found, 0, sizeof *found);
    float sum = 0;
    for (int i = 0; i < N; i++)
        sum += x[i] * x[i];
    const float square = t->square * sum / N;
    const int points = t->group / t->kind.elems;
    for (int j = 0; j < N / t->group; j++, x += t->group) {
        group g = {.t = t};
        float max = 0;
        for (int i = 0; i < t->group; i++) {
            if (weights)
                g.w[i] = weights[t->group * j + i] * sqrtf(square + x[i] * x[i]);
            else
                g.w[i] = t->floor > 0 ? t->floor * square + x[i] * x[i] : x[i] * x[i];
            g.root[i] = sqrtf(g.w[i]);
        }
        uint8_t signs[MAX_GROUP / 8];
        for (int k = 0; k < t->group / 8; k++)
            signs[k] = take_signs(t, x + 8 * k, g.w + 8 * k, g.x + 8 * k);
        for (int i = 0; i < t->group; i++)
            max = max > g.x[i] ? max : g.x[i];
        uint16_t code[MAX_POINTS] = {0};
        float scale = 0;
        found->skipped[j] = max < t->least || !search_group(&g, max, code, &scale);
        if (found->skipped[j]) continue;
        if (scale < 0) {
            scale = -scale;
            for (int k = 0; k < t->group / 8; k++)
                signs[k] = (uint8_t)~signs[k] & (t->even ? 127 : 255);
        }
        memcpy(found->signs + t->group / 8 * j, signs, (size_t)t->group / 8);
        for (int k = 0; k < points; k++)
            found->point[points * j + k] = (uint16_t)iq_point(t->kind, t->near, code[k]);
        found->scale[j] = scale;
        found->top = found->top > scale ? found->top : scale;
    }
}

/* Scales are stored as 2 * s + 1 sixteenths … of the largest one; s has four bits. */
static int small_scale(const lattice_found *f, int j)
{
    return fp_clamp(fp_nearest(0.5f * (1 / (f->top / 31) * f->scale[j] - 1)), 0, 15);
}

static void iq2_xxs_put(const lattice_found *f, void *block)
{
    blk_iq2_xxs *b = block;
    memset(b, 0, sizeof *b);
    if (f->top == 0) return;
    fp_put16(b->d, f->top / 31);
    for (int j = 0; j < 8; j++) {
        uint32_t gas = (uint32_t)small_scale(f, j) << 28;
        for (int k = 0; k < 4; k++) {
            b->qs[8 * j + k] = (uint8_t)f->point[4 * j + k];
            gas |= (uint32_t)f->signs[4 * j + k] << 7 * k;
        }
        store_le32(b->qs + 8 * j + 4, gas);
    }
}

static void iq3_xxs_put(const lattice_found *f, void *block)
{
    blk_iq3_xxs *b = block;
    memset(b, 0, sizeof *b);
    if (f->top == 0) return;
    fp_put16(b->d, f->top / 31 * 1.0125f);
    for (int k = 0; k < 64; k++)
        b->qs[k] = (uint8_t)f->point[k];
    for (int j = 0; j < 8; j++) {
        uint32_t gas = (uint32_t)small_scale(f, j) << 28;
        for (int k = 0; k < 4; k++)
            gas |= (uint32_t)f->signs[4 * j + k] << 7 * k;
        store_le32(b->gas + 4 * j, gas);
    }
}

static void put_nibbles(const lattice_found *f, int n, uint8_t *scales)
{
    for (int j = 0; j < n; j += 2)
        scales[j / 2] = (uint8_t)(small_scale(f, j) | small_scale(f, j + 1) << 4);
}

static void iq2_xs_put(const lattice_found *f, void *block)
{
    blk_iq2_xs *b = block;
    memset(b, 0, sizeof *b);
    if (f->top == 0) return;
    fp_put16(b->d, f->top / 31);
    for (int k = 0; k < 32; k++)
        store_le16(b->qs + 2 * k, (uint16_t)(f->point[k] | f->signs[k] << 9));
    put_nibbles(f, 16, b->scales);
}

/* In these two, points and signs stay where all scales are zero. */
static void iq2_s_put(const lattice_found *f, void *block)
{
    blk_iq2_s *b = block;
    memset(b, 0, sizeof *b);
    for (int k = 0; k < 32; k++) {
        b->qs[k] = (uint8_t)f->point[k];
        b->qh[k / 4] = (uint8_t)(b->qh[k / 4] | f->point[k] >> 8 << 2 * (k % 4));
    }
    memcpy(b->signs, f->signs, sizeof b->signs);
    if (f->top == 0) return;
    fp_put16(b->d, f->top / 31 * 0.9875f);
    put_nibbles(f, 16, b->scales);
}

/* The reference does not step over the points and signs of a group of zeros: later groups' come too early, and decode to other
 * values than theirs. What it writes is what files hold. */
static void iq3_s_put(const lattice_found *f, void *block)
{
    blk_iq3_s *b = block;
    memset(b, 0, sizeof *b);
    for (int j = 0, to = 0; j < 8; j++) {
        if (f->skipped[j]) continue;
        for (int k = 0; k < 8; k++) {
            b->qs[8 * to + k] = (uint8_t)f->point[8 * j + k];
            b->qh[j] = (uint8_t)(b->qh[j] | f->point[8 * j + k] >> 8 << k);
        }
        memcpy(b->signs + 4 * to++, f->signs + 4 * j, 4);
    }
    if (f->top == 0) return;
    fp_put16(b->d, f->top / 31 * 1.033f);
    put_nibbles(f, 8, b->scales);
}

const lattice lattice_iq2_xxs = {.near = &iq_near_iq2_xxs,
                                 .kind = {8, 2, 3},
                                 .group = 32,
                                 .trials = 6,
                                 .step = 0.1f,
                                 .least = SEARCH_EPS,
                                 .square = 1,
                                 .even = true,
                                 .positive = true,
                                 .refine = REFINE_ALL,
                                 .bytes = sizeof(blk_iq2_xxs),
                                 .put = iq2_xxs_put};
const lattice lattice_iq2_xs = {.near = &iq_near_iq2_xs,
                                .kind = {8, 2, 3},
                                .group = 16,
                                .trials = 9,
                                .step = 0.1f,
                                .least = SEARCH_EPS,
                                .square = 1,
                                .even = true,
                                .refine = REFINE_OFF_GRID,
                                .bytes = sizeof(blk_iq2_xs),
                                .put = iq2_xs_put};
const lattice lattice_iq2_s = {.near = &iq_near_iq2_s,
                               .kind = {8, 2, 3},
                               .group = 16,
                               .trials = 9,
                               .step = 0.1f,
                               .least = 1e-8f,
                               .square = 2,
                               .floor = 0.25f,
                               .refine = REFINE_OFF_GRID,
                               .bytes = sizeof(blk_iq2_s),
                               .put = iq2_s_put};
const lattice lattice_iq3_xxs = {.near = &iq_near_iq3_xxs,
                                 .kind = {4, 3, 8},
                                 .group = 32,
                                 .trials = 15,
                                 .step = 0.2f,
                                 .least = 1e-8f,
                                 .square = 2,
                                 .even = true,
                                 .refine = REFINE_OFF_GRID,
                                 .bytes = sizeof(blk_iq3_xxs),
                                 .put = iq3_xxs_put};
const lattice lattice_iq3_s = {.near = &iq_near_iq3_s,
                               .kind = {4, 3, 8},
                               .group = 32,
                               .trials = 9,
                               .step = 0.2f,
                               .least = 0x1p-149f,
                               .square = 2,
                               .refine = REFINE_ANY,
                               .bytes = sizeof(blk_iq3_s),
                               .put = iq3_s_put};

#define PACK(name) \
    void name##_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights) \
    { \
        lattice_pack(&lattice_##name, lattice_search, x, dst, rows, cols, weights); \
    }
PACK(iq2_xxs)
PACK(iq2_xs)
PACK(iq2_s)
PACK(iq3_xxs)
PACK(iq3_s)
