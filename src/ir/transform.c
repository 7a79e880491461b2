#include "ir/transform.h"

#include <inttypes.h>
#include <string.h>

#include "ir/view.h"

/* Rows that are moved one by one: a span never crosses a row, except where rows are single elements gathered to scratch. */
static const void *mapped_span(const smelt_view *v, uint64_t from, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    uint64_t left = v->cols - col;
    return view_span(v->in[0], from, col, want < left ? want : left, scratch, n);
}

static uint64_t pairs_row(uint64_t row, uint64_t d)
{
    uint64_t i = row % d;
    return row - i + i / 2 + i % 2 * (d / 2);
}

static uint64_t halves_row(uint64_t row, uint64_t d)
{
    uint64_t i = row % d, half = d / 2;
    return row - i + i % half * 2 + i / half;
}

static const void *pairs_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    return mapped_span(v, pairs_row(row, v->arg), col, want, scratch, n);
}

static const void *halves_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    return mapped_span(v, halves_row(row, v->arg), col, want, scratch, n);
}

static const void *slice_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    uint64_t left = (v->rows - row) * v->cols - col;
    return view_span(v->in[0], v->arg + row, col, want < left ? want : left, scratch, n);
}

static const void *concat_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    size_t lo = 0, hi = v->n_in;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (v->start[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return view_span(v->in[lo], row - v->start[lo], col, want, scratch, n);
}

static const void *reshape_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    uint64_t at = row * v->cols + col;
    return view_span(v->in[0], at / v->in[0]->cols, at % v->in[0]->cols, want, scratch, n);
}

static smelt_status node(smelt_arena *arena, const smelt_view *in, const smelt_shape *shape, smelt_view **out, smelt_err *err)
{
    SMELT_TRY(view_init(arena, in->dtype, shape, out, err));
    const smelt_view **list = arena_calloc(arena, 1, sizeof *list);
    if (!list) return smelt_oom(err);
    list[0] = in;
    (*out)->in = list;
    (*out)->n_in = 1;
    return SMELT_OK;
}

static smelt_status rope(smelt_arena *arena, const smelt_view *in, uint64_t n_head, bool pairs, const smelt_view **out,
                         smelt_err *err)
{
    if (!n_head || !in->shape.n || in->shape.n > 2 || in->rows % n_head || in->rows / n_head % 2)
        return smelt_fail(err, SMELT_E_MISMATCH, "%" PRIu64 " rows do not divide into %" PRIu64 " heads of an even number of rows",
                          in->rows, n_head);
    /* The inverse of the other direction is the input itself: a file that is only re-encoded is read where it lies. */
    if (in->span == (pairs ? halves_span : pairs_span) && in->arg == in->rows / n_head) {
        *out = in->in[0];
        return SMELT_OK;
    }
    smelt_view *v;
    SMELT_TRY(node(arena, in, &in->shape, &v, err));
    v->arg = in->rows / n_head;
    v->span = pairs ? pairs_span : halves_span;
    *out = v;
    return SMELT_OK;
}

smelt_status view_rope_pairs(smelt_arena *arena, const smelt_view *in, uint64_t n_head, const smelt_view **out, smelt_err *err)
{
    return rope(arena, in, n_head, true, out, err);
}

smelt_status view_rope_halves(smelt_arena *arena, const smelt_view *in, uint64_t n_head, const smelt_view **out, smelt_err *err)
{
    return rope(arena, in, n_head, false, out, err);
}

smelt_status view_slice(smelt_arena *arena, const smelt_view *in, uint64_t first, uint64_t count, const smelt_view **out,
                        smelt_err *err)
{
    if (!in->shape.n || first > in->shape.dim[0] || count > in->shape.dim[0] - first)
        return smelt_fail(err, SMELT_E_MISMATCH, "rows %" PRIu64 " to %" PRIu64 " of %" PRIu64 " are asked for", first,
                          first + count, in->shape.n ? in->shape.dim[0] : 0);
    smelt_shape shape = in->shape;
    shape.dim[0] = count;
    if (shape.n == 1 && in->block > 1 && first) return smelt_fail(err, SMELT_E_UNSUPPORTED, "a vector of blocks cannot be cut");
    smelt_view *v;
    SMELT_TRY(node(arena, in, &shape, &v, err));
    v->arg = in->shape.dim[0] ? first * (in->rows / in->shape.dim[0]) : 0;
    v->span = slice_span;
    *out = v;
    return SMELT_OK;
}

smelt_status view_concat(smelt_arena *arena, const smelt_view *const *in, size_t n, const smelt_view **out, smelt_err *err)
{
    if (!n) return smelt_fail(err, SMELT_E_MISMATCH, "nothing to join");
    smelt_shape shape = in[0]->shape;
    if (!shape.n) return smelt_fail(err, SMELT_E_MISMATCH, "scalars cannot be joined");
    if (shape.n == 1 && in[0]->block > 1 && n > 1)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "vectors of blocks cannot be joined");
    uint64_t *start = arena_calloc(arena, n + 1, sizeof *start);
    const smelt_view **list = arena_calloc(arena, n, sizeof *list);
    if (!start || !list) return smelt_oom(err);
    shape.dim[0] = 0;
    for (size_t i = 0; i < n; i++) {
        char a[256], b[256];
        const smelt_shape *s = &in[i]->shape;
        if (in[i]->dtype != in[0]->dtype || s->n != shape.n ||
            memcmp(s->dim + 1, shape.dim + 1, (size_t)(shape.n - 1) * sizeof *s->dim) != 0)
            return smelt_fail(err, SMELT_E_MISMATCH, "%s %s cannot be joined to %s %s", smelt_dtype_get(in[i]->dtype)->name,
                              shape_text(s, a, sizeof a), smelt_dtype_get(in[0]->dtype)->name,
                              shape_text(&in[0]->shape, b, sizeof b));
        if (!add_u64(shape.dim[0], s->dim[0], &shape.dim[0])) return smelt_fail(err, SMELT_E_LIMIT, "joined size overflows");
        list[i] = in[i];
        start[i + 1] = start[i] + in[i]->rows;
    }
    smelt_view *v;
    SMELT_TRY(view_init(arena, in[0]->dtype, &shape, &v, err));
    v->in = list;
    v->n_in = n;
    v->start = start;
    v->span = concat_span;
    *out = v;
    return SMELT_OK;
}

smelt_status view_reshape(smelt_arena *arena, const smelt_view *in, const smelt_shape *shape, const smelt_view **out,
                          smelt_err *err)
{
    smelt_view *v;
    SMELT_TRY(node(arena, in, shape, &v, err));
    if (v->rows * v->cols != in->rows * in->cols || (v->cols != in->cols && in->block > 1)) {
        char a[256], b[256];
        return smelt_fail(err, SMELT_E_MISMATCH, "%s cannot be seen as %s", shape_text(&in->shape, a, sizeof a),
                          shape_text(shape, b, sizeof b));
    }
    v->span = reshape_span;
    *out = v;
    return SMELT_OK;
}
