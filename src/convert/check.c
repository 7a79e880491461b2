#include "convert/check.h"

#include <stdlib.h>
#include <string.h>

static smelt_status add(smelt_check *c, check_region r, smelt_err *err)
{
    if (!r.size) return SMELT_OK;
    if (!arena_room(&c->arena, &c->regions, c->n, &c->cap, sizeof *c->regions)) return smelt_oom(err);
    c->regions[c->n++] = r;
    return SMELT_OK;
}

static int by_place(const void *a, const void *b)
{
    const check_region *x = a, *y = b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Regions for what lies between the others and behind them. */
static smelt_status add_padding(smelt_check *c, smelt_err *err)
{
    const size_t n = c->n;
    size_t at = 0;
    for (int f = 0; f < (int)c->layout->n_files; f++) {
        uint64_t end = 0;
        for (; at < n && c->regions[at].file == f; at++) {
            const check_region r = c->regions[at];
            if (r.offset > end) SMELT_TRY(add(c, (check_region){.file = f, .offset = end, .size = r.offset - end}, err));
            end = r.offset + r.size;
        }
        const uint64_t size = c->layout->files[f].size;
        if (size > end) SMELT_TRY(add(c, (check_region){.file = f, .offset = end, .size = size - end}, err));
    }
    return SMELT_OK;
}

smelt_status check_start(smelt_check *c, const smelt_layout *l, const smelt_map *const *files, smelt_err *err)
{
    *c = (smelt_check){.layout = l, .files = files};
    c->of_tensor = arena_calloc(&c->arena, l->n_tensors, sizeof *c->of_tensor);
    if (!c->of_tensor) return smelt_oom(err);
    for (size_t i = 0; i < l->n_files; i++)
        SMELT_TRY(add(c, (check_region){.file = (int)i, .size = l->files[i].header_size, .expected = l->files[i].header}, err));
    for (size_t i = 0; i < l->n_blobs; i++)
        SMELT_TRY(
            add(c,
                (check_region){
                    .file = l->blobs[i].file, .offset = l->blobs[i].offset, .size = l->blobs[i].size, .expected = l->blobs[i].data},
                err));
    for (size_t i = 0; i < l->n_tensors; i++) {
        const smelt_out_tensor *o = &l->tensors[i];
        SMELT_TRY(add(c, (check_region){.file = o->file, .offset = o->offset, .size = o->bytes, .tensor = o->src->name}, err));
    }
    if (c->n) qsort(c->regions, c->n, sizeof *c->regions, by_place);
    SMELT_TRY(add_padding(c, err));
    if (c->n) qsort(c->regions, c->n, sizeof *c->regions, by_place);
    for (size_t i = 0; i < l->n_tensors; i++) {
        const check_region key = {.file = l->tensors[i].file, .offset = l->tensors[i].offset};
        const check_region *r = l->tensors[i].bytes ? bsearch(&key, c->regions, c->n, sizeof key, by_place) : NULL;
        c->of_tensor[i] = r ? (size_t)(r - c->regions) : 0;
    }
    return SMELT_OK;
}

/* Counts bytes of the file that are not those expected; NULL: zeros. */
static void compare(const smelt_check *c, check_region *r, const uint8_t *want, uint64_t n, uint64_t offset)
{
    static const uint8_t zeros[4096];
    enum { STEP = sizeof zeros };
    const smelt_map *map = c->files[r->file];
    for (uint64_t at = 0; at < n; at += STEP) {
        const uint64_t step = n - at < STEP ? n - at : STEP, from = offset + at;
        const uint64_t there = from >= map->size ? 0 : map->size - from < step ? map->size - from : step;
        const uint8_t *w = want ? want + at : zeros, *have = there ? map->data + from : zeros;
        if (there == step && memcmp(w, have, step) == 0) continue;
        for (uint64_t i = 0; i < step; i++) {
            if (i < there && have[i] == w[i]) continue;
#pragma omp critical(smelt_check)
            {
                if (!r->differ++ || from + i < r->first) {
                    r->first = from + i;
                    r->found = i < there ? have[i] : 0;
                    r->wanted = w[i];
                }
            }
        }
    }
}

void check_tensor(smelt_check *c, size_t tensor, const void *bytes, uint64_t n, uint64_t offset)
{
    if (n) compare(c, &c->regions[c->of_tensor[tensor]], bytes, n, offset);
}

static smelt_status with_patches(smelt_check *c, const check_region *r, const char *hash, const void **out, smelt_err *err)
{
    *out = r->expected;
    for (size_t i = 0; i < c->layout->n_patches; i++) {
        const smelt_out_patch *p = &c->layout->patches[i];
        if (p->file != r->file || p->offset < r->offset || p->offset >= r->offset + r->size) continue;
        char *copy = arena_strndup(&c->arena, *out, (size_t)r->size);
        if (!copy) return smelt_oom(err);
        memcpy(copy + (p->offset - r->offset), hash, HASH_HEX);
        *out = copy;
    }
    return SMELT_OK;
}

smelt_status check_rest(smelt_check *c, const char *hash, smelt_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        check_region *r = &c->regions[i];
        const void *want;
        if (r->tensor) continue;
        SMELT_TRY(with_patches(c, r, hash, &want, err));
        compare(c, r, want, r->size, r->offset);
    }
    return SMELT_OK;
}

void check_free(smelt_check *c)
{
    arena_free(&c->arena);
    *c = (smelt_check){0};
}

const smelt_out_mark *check_mark(const smelt_layout *l, int file, uint64_t offset)
{
    const smelt_out_mark *last = NULL;
    for (size_t i = 0; i < l->n_marks; i++)
        if (l->marks[i].file == file && l->marks[i].offset <= offset) last = &l->marks[i];
    return last;
}
