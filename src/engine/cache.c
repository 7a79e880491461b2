/* Keys and values of a sequence: for each layer an array of rows, that doubles when it is full. */
#include <string.h>

#include "engine/internal.h"

struct smelt_cache {
    smelt_arena own; /* this struct and its tables */
    smelt_arena rows;
    size_t n_layers, width, length, capacity;
    float **k, **v; /* [n_layers] */
};

smelt_status cache_new(const smelt_engine *e, smelt_cache **out, smelt_err *err)
{
    smelt_arena arena = {0};
    smelt_cache *c = arena_calloc(&arena, 1, sizeof *c);
    float **k = arena_calloc(&arena, e->n_layers, sizeof *k), **v = arena_calloc(&arena, e->n_layers, sizeof *v);
    if (!c || !k || !v) {
        arena_free(&arena);
        return smelt_oom(err);
    }
    *c = (smelt_cache){.own = arena, .n_layers = e->n_layers, .width = e->kv_heads * e->dim, .k = k, .v = v};
    *out = c;
    return SMELT_OK;
}

void cache_free(smelt_cache *c)
{
    if (!c) return;
    arena_free(&c->rows);
    /* The struct lies in the arena that goes. */
    smelt_arena own = c->own;
    arena_free(&own);
}

size_t cache_length(const smelt_cache *c) { return c->length; }
void cache_truncate(smelt_cache *c, size_t length)
{
    if (length < c->length) c->length = length;
}
float *cache_keys(const smelt_cache *c, int layer) { return c->k[layer]; }
float *cache_values(const smelt_cache *c, int layer) { return c->v[layer]; }
void cache_advance(smelt_cache *c, size_t n) { c->length += n; }

smelt_status cache_room(smelt_cache *c, size_t n, smelt_err *err)
{
    enum { LEAST = 256 };
    if (n <= c->capacity - c->length) return SMELT_OK;
    size_t want = c->capacity * 2 > c->length + n ? c->capacity * 2 : c->length + n;
    if (want < LEAST) want = LEAST;
    uint64_t floats;
    if (!mul_u64(want, c->width, &floats)) return smelt_oom(err);
    /* All memory is there before anything changes. */
    smelt_arena rows = {0};
    float **fresh = arena_calloc(&rows, 2 * c->n_layers, sizeof *fresh);
    bool ok = fresh != NULL;
    for (size_t i = 0; i < 2 * c->n_layers && ok; i++)
        ok = (fresh[i] = arena_calloc(&rows, floats, sizeof **fresh)) != NULL;
    if (!ok) {
        arena_free(&rows);
        return smelt_oom(err);
    }
    for (size_t i = 0; i < 2 * c->n_layers; i++) {
        float **at = i < c->n_layers ? &c->k[i] : &c->v[i - c->n_layers];
        if (c->length) memcpy(fresh[i], *at, c->length * c->width * sizeof(float));
        *at = fresh[i];
    }
    arena_free(&c->rows);
    c->rows = rows;
    c->capacity = want;
    return SMELT_OK;
}
