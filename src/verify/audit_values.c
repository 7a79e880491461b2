#include <inttypes.h>

#include "base/bytes.h"
#include "verify/audit.h"

enum { CHUNK = 64 * 1024 }; /* elements; a multiple of every block */

/* How many of something there are in a tensor, and the first element of them. */
typedef struct tally {
    uint64_t n, first;
} tally;

typedef struct values {
    tally bad, bad_scales, saturated;
    bool no_memory;
} values;

static void add(tally *t, uint64_t n, uint64_t first)
{
    if (!t->n && n) t->first = first;
    t->n += n;
}

static void plain(const float *x, uint64_t n, uint64_t at, tally *bad)
{
    static const uint32_t exponent = 0x7F800000;
    uint32_t found = 0;
    for (uint64_t i = 0; i < n; i++)
        found += (f32_bits(x[i]) & exponent) == exponent;
    uint64_t first = 0;
    while (found && first < n && (f32_bits(x[first]) & exponent) != exponent)
        first++;
    add(bad, found, at + first);
}

static bool is_largest(const smelt_scales *s, const uint8_t *p)
{
    if (s->kind == SMELT_SCALE_E8M0) return *p == 0xFE;
    if (s->kind == SMELT_SCALE_F32) return (load_le32(p) & 0x7FFFFFFF) == 0x7F7FFFFF;
    return (load_le16(p) & 0x7FFF) == 0x7BFF;
}

static void blocks(const smelt_codec_fns *f, const smelt_dtype_row *row, const uint8_t *p, uint64_t n, uint64_t at, values *v)
{
    for (uint64_t i = 0; f->validate && i < n; i++) {
        i += f->validate(p + i * row->bytes, n - i);
        add(&v->bad_scales, i < n, at + i * row->elems);
    }
    for (uint64_t i = 0; f->scales && i < n; i++)
        for (int k = 0; k < f->scales->n; k++)
            add(&v->saturated, is_largest(f->scales, p + i * row->bytes + f->scales->offset[k]), at + i * row->elems);
}

static void look(const smelt_ctx *ctx, const smelt_view *view, values *v)
{
    const smelt_dtype dtype = view_dtype(view);
    const smelt_dtype_row *row = smelt_dtype_get(dtype);
    const smelt_codec_fns *f = &ctx->codec[dtype];
    const uint64_t cols = view_cols(view), total = view_rows(view) * cols;
    const bool block = row->kind == SMELT_KIND_BLOCK;
    if (!total || (!block && (row->kind != SMELT_KIND_FLOAT || !f->unpack))) return;
    smelt_arena arena = {0};
    void *scratch = arena_calloc(&arena, (size_t)view_col_bytes(view, CHUNK), 1);
    float *x = block ? NULL : arena_calloc(&arena, CHUNK, sizeof *x);
    v->no_memory = !scratch || (!block && !x);
    for (uint64_t at = 0, n; at < total && !v->no_memory; at += n) {
        const uint64_t want = total - at < CHUNK ? total - at : CHUNK;
        const void *p = view_span(view, at / cols, at % cols, want, scratch, &n);
        if (block)
            blocks(f, row, p, n / row->elems, at, v);
        else {
            f->unpack(p, x, n);
            plain(x, n, at, &v->bad);
        }
    }
    arena_free(&arena);
}

static smelt_status report(const smelt_tensor *t, const values *v, smelt_audit *audit, smelt_err *err)
{
    const smelt_dtype_row *row = smelt_dtype_get(t->dtype);
    const struct {
        smelt_finding_id id;
        const tally *tally;
        const char *what;
    } rows[] = {{SMELT_FIND_VALUE_NONFINITE, &v->bad, "values are NaN or infinite"},
                {SMELT_FIND_SCALE_NONFINITE, &v->bad_scales, "blocks have a scale that is NaN or infinite"},
                {SMELT_FIND_SCALE_SATURATED, &v->saturated, "scales are the largest that the type holds"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint64_t n = rows[i].tally->n, first = rows[i].tally->first;
        if (!n) continue;
        SMELT_TRY(audit_add(audit, rows[i].id, t->offset + first / row->elems * row->bytes, err,
                            "tensor '%s' (%s): %" PRIu64 " %s, the first at element %" PRIu64, t->origin, row->name, n,
                            rows[i].what, first));
    }
    return SMELT_OK;
}

smelt_status audit_values(const smelt_ctx *ctx, const smelt_model *m, const char *file, smelt_audit *audit,
                          smelt_audit_scope *scope, smelt_err *err)
{
    const smelt_tensor *list = m->stored ? m->stored : m->tensors;
    const size_t n = m->stored ? m->n_stored : m->n_tensors;
    smelt_arena arena = {0};
    values *found = arena_calloc(&arena, n, sizeof *found);
    if (!found) return smelt_oom(err);
#pragma omp parallel for schedule(dynamic, 1) num_threads(ctx->threads)
    for (size_t i = 0; i < n; i++)
        if (list[i].file && strcmp(list[i].file, file) == 0) look(ctx, list[i].view, &found[i]);
    smelt_status st = SMELT_OK;
    for (size_t i = 0; i < n && st == SMELT_OK; i++) {
        if (!list[i].file || strcmp(list[i].file, file) != 0) continue;
        scope->tensors++;
        scope->bytes += view_bytes_total(list[i].view);
        st = found[i].no_memory ? smelt_oom(err) : report(&list[i], &found[i], audit, err);
    }
    arena_free(&arena);
    return st;
}
