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
    /* The slices of one tensor, all of them in order, are that tensor. */
    uint64_t next = 0;
    size_t same = 0;
    while (same < n && in[same]->span == slice_span && in[same]->in[0] == in[0]->in[0] && in[same]->arg == next)
        next += in[same++]->rows;
    if (same == n && next == in[0]->in[0]->rows && shape_equal(&shape, &in[0]->in[0]->shape)) {
        *out = in[0]->in[0];
        return SMELT_OK;
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

/* Spans that may run over `rows` whole rows of an input before the next jump. */
static const void *run_span(const smelt_view *in, uint64_t from, uint64_t rows, uint64_t col, uint64_t want, void *scratch,
                            uint64_t *n)
{
    uint64_t left = rows * in->cols - col;
    return view_span(in, from, col, want < left ? want : left, scratch, n);
}

static smelt_status check_rows(const smelt_view *in, uint64_t groups, uint64_t each, uint64_t dim, smelt_err *err)
{
    uint64_t rows;
    if (mul_u64(groups, each, &rows) && mul_u64(rows, dim, &rows) && rows == in->rows && in->shape.n && in->shape.n <= 2)
        return SMELT_OK;
    return smelt_fail(err, SMELT_E_MISMATCH, "%" PRIu64 " rows are not %" PRIu64 " groups of %" PRIu64 " heads of %" PRIu64,
                      in->rows, groups, each, dim);
}

static const void *take_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    /* arg: rows a group in `in`; arg2: rows a group here; arg3: where they begin in the group */
    uint64_t i = row % v->arg2;
    return run_span(v->in[0], row / v->arg2 * v->arg + v->arg3 + i, v->arg2 - i, col, want, scratch, n);
}

smelt_status view_qkv_take(smelt_arena *arena, const smelt_view *in, uint64_t groups, uint64_t per, uint64_t dim, int part,
                           const smelt_view **out, smelt_err *err)
{
    SMELT_TRY(check_rows(in, groups, per + 2, dim, err));
    smelt_shape shape = in->shape;
    uint64_t width = (part == 0 ? per : 1) * dim;
    shape.dim[0] = groups * width;
    smelt_view *v;
    SMELT_TRY(node(arena, in, &shape, &v, err));
    v->arg = (per + 2) * dim;
    v->arg2 = width;
    v->arg3 = part == 0 ? 0 : (per + (uint64_t)part - 1) * dim;
    v->span = take_span;
    *out = v;
    return SMELT_OK;
}

static const void *join_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    /* arg: rows of queries a group; arg2: rows of keys a group, and of values */
    uint64_t q = v->arg, k = v->arg2, g = row / (q + 2 * k), i = row % (q + 2 * k);
    if (i < q) return run_span(v->in[0], g * q + i, q - i, col, want, scratch, n);
    i -= q;
    return run_span(v->in[1 + i / k], g * k + i % k, k - i % k, col, want, scratch, n);
}

/* A node over several inputs of one type. */
static smelt_status multi(smelt_arena *arena, const smelt_view *const *in, size_t n, const smelt_shape *shape, smelt_view **out,
                          smelt_err *err)
{
    const smelt_view **list = arena_calloc(arena, n, sizeof *list);
    if (!list) return smelt_oom(err);
    for (size_t i = 0; i < n; i++) {
        if (in[i]->dtype != in[0]->dtype || in[i]->cols != in[0]->cols)
            return smelt_fail(err, SMELT_E_MISMATCH, "parts of one tensor have different types or row sizes");
        list[i] = in[i];
    }
    SMELT_TRY(view_init(arena, in[0]->dtype, shape, out, err));
    (*out)->in = list;
    (*out)->n_in = n;
    return SMELT_OK;
}

smelt_status view_qkv_join(smelt_arena *arena, const smelt_view *const qkv[3], uint64_t groups, uint64_t per, uint64_t dim,
                           const smelt_view **out, smelt_err *err)
{
    SMELT_TRY(check_rows(qkv[0], groups, per, dim, err));
    SMELT_TRY(check_rows(qkv[1], groups, 1, dim, err));
    SMELT_TRY(check_rows(qkv[2], groups, 1, dim, err));
    smelt_shape shape = qkv[0]->shape;
    shape.dim[0] = groups * (per + 2) * dim;
    smelt_view *v;
    SMELT_TRY(multi(arena, qkv, 3, &shape, &v, err));
    v->arg = per * dim;
    v->arg2 = dim;
    v->span = join_span;
    *out = v;
    return SMELT_OK;
}

smelt_status view_blocks_take(smelt_arena *arena, const smelt_view *in, uint64_t n, uint64_t rows, uint64_t which,
                              const smelt_view **out, smelt_err *err)
{
    uint64_t group;
    if (in->shape.n != 2 || which >= n || !rows || !mul_u64(n, rows, &group) || in->shape.dim[0] % group)
        return smelt_fail(err, SMELT_E_MISMATCH, "%" PRIu64 " rows are not groups of %" PRIu64 " blocks of %" PRIu64, in->rows, n,
                          rows);
    smelt_shape shape = in->shape;
    shape.dim[0] /= n;
    smelt_view *v;
    SMELT_TRY(node(arena, in, &shape, &v, err));
    v->arg = group;
    v->arg2 = rows;
    v->arg3 = which * rows;
    v->span = take_span;
    *out = v;
    return SMELT_OK;
}

static const void *blocks_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    uint64_t k = v->arg, g = row / (k * v->n_in), i = row % (k * v->n_in);
    return run_span(v->in[i / k], g * k + i % k, k - i % k, col, want, scratch, n);
}

smelt_status view_blocks_join(smelt_arena *arena, const smelt_view *const *in, size_t n, uint64_t rows, const smelt_view **out,
                              smelt_err *err)
{
    if (!n) return smelt_fail(err, SMELT_E_MISMATCH, "nothing to join");
    for (size_t i = 0; i < n; i++)
        if (in[i]->shape.n != 2 || !shape_equal(&in[i]->shape, &in[0]->shape) || !rows || in[i]->rows % rows)
            return smelt_fail(err, SMELT_E_MISMATCH, "matrices cannot be joined by blocks of %" PRIu64 " rows", rows);
    smelt_shape shape = in[0]->shape;
    if (!mul_u64(shape.dim[0], n, &shape.dim[0])) return smelt_fail(err, SMELT_E_LIMIT, "joined size overflows");
    smelt_view *v;
    SMELT_TRY(multi(arena, in, n, &shape, &v, err));
    v->arg = rows;
    v->span = blocks_span;
    *out = v;
    return SMELT_OK;
}

/* What a transposition holds at a time, and of how many rows of its input: their elements lie beside one another in the output. */
enum { TILE_BYTES = 32768, TILE_ROWS = 16 };

/* Every `step`-th of the elements at `src`, n of them. */
static void gather(uint8_t *dst, const uint8_t *src, uint64_t step, uint64_t n, size_t size)
{
    if (size == 2)
        for (uint64_t i = 0; i < n; i++)
            memcpy(dst + i * 2, src + i * step * 2, 2);
    else if (size == 4)
        for (uint64_t i = 0; i < n; i++)
            memcpy(dst + i * 4, src + i * step * 4, 4);
    else
        for (uint64_t i = 0; i < n; i++)
            memcpy(dst + i * size, src + i * step * size, size);
}

/* Element (r, c) of a matrix is the input's (c, r * arg2 + arg3); arg: rows of one matrix here. Inputs are read in runs along their
 * rows, so that one that decodes blocks does so once, and all the rows that are wanted are filled at the same time. */
static const void *transpose_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    _Alignas(16) uint8_t tile[TILE_BYTES];
    const size_t size = v->block_bytes;
    const uint64_t high = v->arg, cols = v->cols, top = row % high, base = row / high * cols, left = (high - top) * cols - col;
    const uint64_t total = want < left ? want : left, last = top + (col + total - 1) / cols;
    const uint64_t wide = TILE_BYTES / TILE_ROWS / size, most = 1 + (wide - 1) / v->arg2;
    const uint64_t from = last > top ? 0 : col, to = last > top ? cols : col + total;
    uint8_t *dst = scratch;
    for (uint64_t c = from, next_c; c < to; c = next_c) {
        next_c = to - c < TILE_ROWS ? to : c + TILE_ROWS;
        for (uint64_t r = top, next_r; r <= last; r = next_r) {
            next_r = r - r % most + most;
            if (next_r > last) next_r = last + 1;
            for (uint64_t i = c; i < next_c; i++)
                view_read(v->in[0], base + i, r * v->arg2 + v->arg3, (next_r - r - 1) * v->arg2 + 1, tile + (i - c) * wide * size);
            for (uint64_t k = r; k < next_r; k++) {
                /* The first row begins at `col`, the last one ends with the last element. */
                const uint64_t done = (k - top) * cols, begin = k == top && c < col ? col : c,
                               end = col + total - done < next_c ? col + total - done : next_c;
                if (begin < end)
                    gather(dst + (done + begin - col) * size, tile + ((begin - c) * wide + (k - r) * v->arg2) * size, wide,
                           end - begin, size);
            }
        }
    }
    *n = total;
    return scratch;
}

smelt_status view_transpose(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err)
{
    if (in->shape.n < 2 || in->block > 1)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "only matrices of plain types can be transposed");
    smelt_shape shape = in->shape;
    shape.dim[shape.n - 1] = in->shape.dim[shape.n - 2];
    shape.dim[shape.n - 2] = in->shape.dim[shape.n - 1];
    if (in->span == transpose_span && in->arg2 == 1) {
        *out = in->in[0];
        return SMELT_OK;
    }
    smelt_view *v;
    SMELT_TRY(node(arena, in, &shape, &v, err));
    v->arg = shape.dim[shape.n - 2];
    v->arg2 = 1;
    v->span = transpose_span;
    *out = v;
    return SMELT_OK;
}

static const void *every_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    return run_span(v->in[0], row * v->arg + v->arg2, 1, col, want, scratch, n);
}

/* The dimension that counts rows: of a matrix the one before the last, of a vector its only one. */
static int row_dim(const smelt_view *v) { return v->shape.n > 1 ? v->shape.n - 2 : 0; }

smelt_status view_every(smelt_arena *arena, const smelt_view *in, uint64_t step, uint64_t first, const smelt_view **out,
                        smelt_err *err)
{
    int d = row_dim(in);
    if (!in->shape.n || !step || first >= step || in->shape.dim[d] % step || (in->shape.n == 1 && in->block > 1))
        return smelt_fail(err, SMELT_E_MISMATCH, "every %" PRIu64 ". row of %" PRIu64 " is asked for", step,
                          in->shape.n ? in->shape.dim[d] : 0);
    smelt_shape shape = in->shape;
    shape.dim[d] /= step;
    smelt_view *v;
    if (in->span == transpose_span && in->shape.n > 1) {
        /* Rows of a transposed matrix are columns, which are better left out before than after. */
        SMELT_TRY(node(arena, in->in[0], &shape, &v, err));
        v->span = transpose_span;
        v->arg = shape.dim[d];
        v->arg2 = in->arg2 * step;
        v->arg3 = in->arg3 + first * in->arg2;
        *out = v;
        return SMELT_OK;
    }
    SMELT_TRY(node(arena, in, &shape, &v, err));
    v->span = every_span;
    v->arg = step;
    v->arg2 = first;
    *out = v;
    return SMELT_OK;
}

static const void *interleave_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    return run_span(v->in[row % v->n_in], row / v->n_in, 1, col, want, scratch, n);
}

smelt_status view_interleave(smelt_arena *arena, const smelt_view *const *in, size_t n, const smelt_view **out, smelt_err *err)
{
    if (!n) return smelt_fail(err, SMELT_E_MISMATCH, "nothing to interleave");
    /* (The row of a vector of blocks is the vector.) */
    if (in[0]->shape.n == 1 && in[0]->block > 1 && n > 1)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "vectors of blocks cannot be interleaved");
    for (size_t i = 0; i < n; i++)
        if (!shape_equal(&in[i]->shape, &in[0]->shape) || !in[i]->shape.n)
            return smelt_fail(err, SMELT_E_MISMATCH, "tensors of different shapes cannot be interleaved");
    smelt_shape shape = in[0]->shape;
    if (!mul_u64(shape.dim[row_dim(in[0])], n, &shape.dim[row_dim(in[0])]))
        return smelt_fail(err, SMELT_E_LIMIT, "interleaved size overflows");
    smelt_view *v;
    SMELT_TRY(multi(arena, in, n, &shape, &v, err));
    v->span = interleave_span;
    *out = v;
    return SMELT_OK;
}

static const void *decode_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    enum { RAW_BYTES = 4096, MOST = 256 };
    const smelt_view *in = v->in[0];
    /* (A vector of blocks is one row of them.) */
    const uint64_t at = row * v->cols + col;
    row = at / in->cols;
    col = at % in->cols;
    const uint64_t left = in->cols - col, take = want < left ? want : left, skip = col % in->block;
    _Alignas(16) uint8_t raw[RAW_BYTES];
    if (skip || take < in->block) {
        /* A part of one block. */
        float whole[MOST];
        *n = in->block - skip < take ? in->block - skip : take;
        view_read(in, row, col - skip, in->block, raw);
        v->unpack(raw, whole, in->block);
        memcpy(scratch, whole + skip, *n * sizeof *whole);
        return scratch;
    }
    const uint64_t room = RAW_BYTES / in->block_bytes * in->block, whole = take - take % in->block;
    const void *from = view_span(in, row, col, whole < room ? whole : room, raw, n);
    v->unpack(from, scratch, *n);
    return scratch;
}

smelt_status view_decode(smelt_arena *arena, const smelt_view *in, smelt_unpack_fn *unpack, const smelt_view **out, smelt_err *err)
{
    smelt_view *v;
    if (!unpack) return smelt_fail(err, SMELT_E_UNSUPPORTED, "%s cannot be decoded", smelt_dtype_get(in->dtype)->name);
    SMELT_TRY(view_init(arena, SMELT_DT_F32, &in->shape, &v, err));
    const smelt_view **list = arena_calloc(arena, 1, sizeof *list);
    if (!list) return smelt_oom(err);
    list[0] = in;
    v->in = list;
    v->n_in = 1;
    v->unpack = unpack;
    v->span = decode_span;
    *out = v;
    return SMELT_OK;
}

enum { MX_ELEMS = 32, MX_BYTES = 17, MX_CODES = 16 };

/* Blocks that are moved at a time, through the stack. */
enum { MX_RUN = 64 };

static const void *mx_join_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    const uint64_t left = (v->rows - row) * v->cols - col;
    *n = want < left ? want : left;
    uint64_t at = (row * v->cols + col) / MX_ELEMS, per = v->in[1]->cols;
    uint8_t *dst = scratch, codes[MX_RUN * MX_CODES], scales[MX_RUN];
    for (uint64_t todo = *n / MX_ELEMS; todo;) {
        const uint64_t run = todo < MX_RUN ? todo : MX_RUN;
        view_read(v->in[0], at, 0, run * MX_CODES, codes);
        view_read(v->in[1], at / per, at % per, run, scales);
        for (uint64_t b = 0; b < run; b++, dst += MX_BYTES) {
            /* Elements 2k and 2k+1 lie in byte k there, i and i+16 in byte i here. */
            const uint8_t *c = codes + b * MX_CODES;
            dst[0] = scales[b];
            for (int k = 0; k < MX_CODES / 2; k++) {
                dst[1 + 2 * k] = (uint8_t)((c[k] & 0x0F) | (c[k + MX_CODES / 2] & 0x0F) << 4);
                dst[2 + 2 * k] = (uint8_t)(c[k] >> 4 | (c[k + MX_CODES / 2] & 0xF0));
            }
        }
        at += run;
        todo -= run;
    }
    return scratch;
}

smelt_status view_mxfp4_join(smelt_arena *arena, const smelt_view *blocks, const smelt_view *scales, const smelt_view **out,
                             smelt_err *err)
{
    const smelt_shape *b = &blocks->shape, *s = &scales->shape;
    bool fits = blocks->dtype == SMELT_DT_U8 && scales->dtype == SMELT_DT_U8 && b->n == s->n + 1 && s->n >= 1 &&
                b->dim[b->n - 1] == MX_CODES;
    for (int i = 0; fits && i < s->n; i++)
        fits = b->dim[i] == s->dim[i];
    smelt_shape shape = *s;
    if (!fits || !mul_u64(shape.dim[s->n - 1], MX_ELEMS, &shape.dim[s->n - 1])) {
        char x[256], y[256];
        return smelt_fail(err, SMELT_E_MISMATCH, "%s %s and %s %s are not MXFP4 blocks of 16 bytes and their scales",
                          smelt_dtype_get(blocks->dtype)->name, shape_text(b, x, sizeof x), smelt_dtype_get(scales->dtype)->name,
                          shape_text(s, y, sizeof y));
    }
    smelt_view *v;
    SMELT_TRY(view_init(arena, SMELT_DT_MXFP4, &shape, &v, err));
    const smelt_view **list = arena_calloc(arena, 2, sizeof *list);
    if (!list) return smelt_oom(err);
    list[0] = blocks;
    list[1] = scales;
    v->in = list;
    v->n_in = 2;
    v->span = mx_join_span;
    *out = v;
    return SMELT_OK;
}

static const void *mx_blocks_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    const uint64_t per = v->in[0]->cols / MX_ELEMS, left = (v->rows - row) * MX_CODES;
    uint8_t blocks[MX_RUN * MX_BYTES], codes[MX_RUN * MX_CODES];
    /* Whole blocks, except where the caller begins or ends inside of one. */
    uint64_t need = col + want < left ? col + want : left;
    if (need > sizeof codes) need = sizeof codes;
    const uint64_t run = (need + MX_CODES - 1) / MX_CODES;
    view_read(v->in[0], row / per, row % per * MX_ELEMS, run * MX_ELEMS, blocks);
    for (uint64_t b = 0; b < run; b++) {
        const uint8_t *from = blocks + b * MX_BYTES + 1;
        uint8_t *c = codes + b * MX_CODES;
        for (int k = 0; k < MX_CODES / 2; k++) {
            c[k] = (uint8_t)((from[2 * k] & 0x0F) | (from[2 * k + 1] & 0x0F) << 4);
            c[k + MX_CODES / 2] = (uint8_t)(from[2 * k] >> 4 | (from[2 * k + 1] & 0xF0));
        }
    }
    *n = need - col;
    memcpy(scratch, codes + col, *n);
    return scratch;
}

static const void *mx_scales_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    const uint64_t per = v->in[0]->cols / MX_ELEMS, at = row * v->cols + col, left = v->rows * v->cols - at;
    uint8_t blocks[MX_RUN * MX_BYTES], *dst = scratch;
    *n = want < left ? want : left;
    if (*n > MX_RUN) *n = MX_RUN;
    view_read(v->in[0], at / per, at % per * MX_ELEMS, *n * MX_ELEMS, blocks);
    for (uint64_t b = 0; b < *n; b++)
        dst[b] = blocks[b * MX_BYTES];
    return scratch;
}

static smelt_status mx_split(smelt_arena *arena, const smelt_view *in, bool blocks, const smelt_view **out, smelt_err *err)
{
    if (in->dtype != SMELT_DT_MXFP4 || !in->shape.n || in->shape.n >= SMELT_MAX_DIMS)
        return smelt_fail(err, SMELT_E_MISMATCH, "%s is not MXFP4", smelt_dtype_get(in->dtype)->name);
    smelt_shape shape = in->shape;
    shape.dim[shape.n - 1] /= MX_ELEMS;
    if (blocks) shape.dim[shape.n++] = MX_CODES;
    smelt_view *v;
    SMELT_TRY(view_init(arena, SMELT_DT_U8, &shape, &v, err));
    const smelt_view **list = arena_calloc(arena, 1, sizeof *list);
    if (!list) return smelt_oom(err);
    list[0] = in;
    v->in = list;
    v->n_in = 1;
    v->span = blocks ? mx_blocks_span : mx_scales_span;
    *out = v;
    return SMELT_OK;
}

smelt_status view_mxfp4_blocks(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err)
{
    return mx_split(arena, in, true, out, err);
}

smelt_status view_mxfp4_scales(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err)
{
    return mx_split(arena, in, false, out, err);
}
