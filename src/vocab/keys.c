#include <stdlib.h>

#include "vocab/tok_internal.h"

static int by_bytes(const void *a, const void *b)
{
    const tok_key *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

bool keys_build(smelt_arena *arena, tok_keys *keys, tok_key *key, size_t n)
{
    enum { LARGE = 4096, TWO = 65536 };
    *keys = (tok_keys){.key = key, .n = n};
    if (n) qsort(key, n, sizeof *key, by_bytes);
    size_t at = 0;
    for (size_t b = 0; b <= 256; b++) {
        while (at < n && (uint8_t)key[at].p[0] < b)
            at++;
        keys->first[b] = (uint32_t)at;
    }
    if (n < LARGE) return true;
    keys->second = arena_calloc(arena, TWO + 1, sizeof *keys->second);
    if (!keys->second) return false;
    at = 0;
    for (size_t b = 0; b <= TWO; b++) {
        /* A key of one byte stands before those that go on. */
        while (at < n && ((size_t)(uint8_t)key[at].p[0] << 8 | (key[at].n > 1 ? (uint8_t)key[at].p[1] : 0)) < b)
            at++;
        keys->second[b] = (uint32_t)at;
    }
    return true;
}

/* First of [lo, hi) whose byte at `depth` is at least c; keys that end there come first. */
static size_t lower(const tok_keys *keys, size_t lo, size_t hi, size_t depth, unsigned c)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (keys->key[mid].n <= depth || (uint8_t)keys->key[mid].p[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool keys_next(const tok_keys *keys, keys_walk *w, const char *text, size_t n, const tok_key **out)
{
    while (w->depth < n) {
        unsigned c = (uint8_t)text[w->depth];
        if (w->depth == 0) {
            w->lo = keys->first[c];
            w->hi = keys->first[c + 1];
        } else if (w->depth == 1 && keys->second && c) {
            size_t two = (size_t)(uint8_t)text[0] << 8 | c;
            w->lo = keys->second[two];
            w->hi = keys->second[two + 1];
        } else {
            w->lo = lower(keys, w->lo, w->hi, w->depth, c);
            w->hi = lower(keys, w->lo, w->hi, w->depth, c + 1);
        }
        if (w->lo >= w->hi) return false;
        w->depth++;
        if (keys->key[w->lo].n == w->depth) {
            *out = &keys->key[w->lo];
            return true;
        }
    }
    return false;
}

const tok_key *keys_longest(const tok_keys *keys, const char *text, size_t n)
{
    keys_walk w = {0};
    const tok_key *best = NULL, *k;
    while (keys_next(keys, &w, text, n, &k))
        best = k;
    return best;
}
