#include "ir/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ir/view.h"

bool shape_elems(const smelt_shape *shape, uint64_t *out)
{
    *out = 1;
    for (int i = 0; i < shape->n; i++)
        if (shape->dim[i] == 0) {
            *out = 0;
            return true;
        }
    for (int i = 0; i < shape->n; i++)
        if (!mul_u64(*out, shape->dim[i], out)) return false;
    return true;
}

bool shape_equal(const smelt_shape *a, const smelt_shape *b)
{
    return a->n == b->n && memcmp(a->dim, b->dim, (size_t)a->n * sizeof *a->dim) == 0;
}

const char *shape_text(const smelt_shape *shape, char *buf, size_t size)
{
    size_t at = (size_t)snprintf(buf, size, "[");
    for (int i = 0; i < shape->n && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%" PRIu64, i ? ", " : "", shape->dim[i]);
    if (at < size) snprintf(buf + at, size - at, "]");
    return buf;
}

smelt_status view_init(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, smelt_view **out, smelt_err *err)
{
    char text[256];
    uint64_t elems, bytes;
    const smelt_dtype_row *row = smelt_dtype_get(dtype);
    if (!shape_elems(shape, &elems))
        return smelt_fail(err, SMELT_E_LIMIT, "the shape %s has more elements than 64 bits count",
                          shape_text(shape, text, sizeof text));
    uint64_t cols = shape->n ? shape->dim[shape->n - 1] : 1;
    bool vector = shape->n <= 1 && row->elems == 1;
    if (cols % row->elems && elems)
        return smelt_fail(err, SMELT_E_MISMATCH, "rows of %" PRIu64 " elements are no whole number of %s blocks of %" PRIu32, cols,
                          row->name, row->elems);
    if (!smelt_dtype_bytes(dtype, elems, &bytes))
        return smelt_fail(err, SMELT_E_LIMIT, "the shape %s needs more bytes than 64 bits count",
                          shape_text(shape, text, sizeof text));
    smelt_view *v = arena_calloc(arena, 1, sizeof *v);
    if (!v) return smelt_oom(err);
    v->dtype = dtype;
    v->shape = *shape;
    v->cols = vector ? 1 : cols;
    v->rows = v->cols ? elems / v->cols : 0;
    v->block = row->elems;
    v->block_bytes = row->bytes;
    v->bytes = bytes;
    *out = v;
    return SMELT_OK;
}

static const void *bytes_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    (void)scratch;
    uint64_t at = row * v->cols + col, left = v->rows * v->cols - at;
    *n = want < left ? want : left;
    return (const uint8_t *)v->data + at / v->block * v->block_bytes;
}

smelt_status view_bytes(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, const void *data, uint64_t bytes,
                        const smelt_view **out, smelt_err *err)
{
    smelt_view *v;
    SMELT_TRY(view_init(arena, dtype, shape, &v, err));
    if (v->bytes != bytes) {
        char text[256];
        return smelt_fail(err, SMELT_E_MISMATCH, "%s %s needs %" PRIu64 " bytes, there are %" PRIu64, smelt_dtype_get(dtype)->name,
                          shape_text(shape, text, sizeof text), v->bytes, bytes);
    }
    v->span = bytes_span;
    v->data = data;
    *out = v;
    return SMELT_OK;
}

/* Gathers one run along the innermost dimension, swapping bytes if asked. A vector's elements are rows of one column. */
static const void *strided_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    uint64_t at = v->offset, left = v->cols - col, step = 0;
    if (v->shape.n == 1) {
        at += row * v->stride[0];
        step = v->stride[0];
        left = v->rows - row;
    } else if (v->shape.n > 1) {
        for (int i = v->shape.n - 2; i >= 0; i--) {
            at += row % v->shape.dim[i] * v->stride[i];
            row /= v->shape.dim[i];
        }
        step = v->stride[v->shape.n - 1];
        at += col * step;
    }
    *n = want < left ? want : left;
    const size_t size = v->block_bytes;
    const uint8_t *base = v->data;
    if (step == 1 && !v->swap) return base + at * size;
    uint8_t *dst = scratch;
    /* A complex number is two parts, each swapped for itself. */
    const size_t part = size == 16 || v->dtype == SMELT_DT_C64 ? size / 2 : size;
    for (uint64_t i = 0; i < *n; i++, at += step, dst += size) {
        memcpy(dst, base + at * size, size);
        if (!v->swap) continue;
        for (size_t p = 0; p < size; p += part)
            for (size_t a = p, b = p + part - 1; a < b; a++, b--) {
                uint8_t t = dst[a];
                dst[a] = dst[b];
                dst[b] = t;
            }
    }
    return scratch;
}

smelt_status view_strided(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, const uint64_t *stride, const void *data,
                          uint64_t elems, uint64_t offset, bool swap, const smelt_view **out, smelt_err *err)
{
    smelt_view *v;
    SMELT_TRY(view_init(arena, dtype, shape, &v, err));
    if (v->block != 1) return smelt_fail(err, SMELT_E_UNSUPPORTED, "%s elements cannot have strides", smelt_dtype_get(dtype)->name);
    uint64_t last = offset, expect = 1;
    bool contiguous = true;
    for (int i = shape->n - 1; i >= 0; i--) {
        if (shape->dim[i] > 1) {
            uint64_t reach;
            if (!mul_u64(shape->dim[i] - 1, stride[i], &reach) || !add_u64(last, reach, &last))
                return smelt_fail(err, SMELT_E_CORRUPT, "stride %" PRIu64 " of dimension %d reaches beyond 64 bits", stride[i], i);
            contiguous = contiguous && stride[i] == expect;
            expect *= shape->dim[i];
        }
    }
    if (v->bytes && last >= elems)
        return smelt_fail(err, SMELT_E_CORRUPT, "element %" PRIu64 " of a storage of %" PRIu64 " is asked for", last, elems);
    v->data = data;
    if (contiguous && (!swap || v->block_bytes == 1)) {
        v->span = bytes_span;
        if (v->bytes) v->data = (const uint8_t *)data + offset * v->block_bytes;
    } else {
        v->span = strided_span;
        v->offset = offset;
        v->swap = swap && v->block_bytes > 1;
        for (int i = 0; i < shape->n; i++)
            v->stride[i] = shape->dim[i] > 1 ? stride[i] : i == shape->n - 1 ? 1 : 0;
    }
    *out = v;
    return SMELT_OK;
}

smelt_dtype view_dtype(const smelt_view *v) { return v->dtype; }
const smelt_shape *view_shape(const smelt_view *v) { return &v->shape; }
uint64_t view_rows(const smelt_view *v) { return v->rows; }
uint64_t view_cols(const smelt_view *v) { return v->cols; }
uint64_t view_bytes_total(const smelt_view *v) { return v->bytes; }
uint64_t view_col_bytes(const smelt_view *v, uint64_t n) { return n / v->block * v->block_bytes; }

const void *view_span(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n)
{
    return v->span(v, row, col, want, scratch, n);
}

void view_read(const smelt_view *v, uint64_t row, uint64_t col, uint64_t n, void *dst)
{
    uint8_t *to = dst;
    while (n) {
        uint64_t got;
        const void *from = v->span(v, row, col, n, to, &got);
        uint64_t bytes = view_col_bytes(v, got);
        if (from != to) memcpy(to, from, bytes);
        to += bytes;
        n -= got;
        uint64_t at = col + got;
        row += at / v->cols;
        col = at % v->cols;
    }
}

const void *view_elems(const smelt_view *v, uint64_t first, uint64_t n, void *scratch)
{
    uint64_t got;
    const void *p = v->span(v, first / v->cols, first % v->cols, n, scratch, &got);
    if (got >= n) return p;
    if (p != scratch) memcpy(scratch, p, view_col_bytes(v, got));
    view_read(v, (first + got) / v->cols, (first + got) % v->cols, n - got, (uint8_t *)scratch + view_col_bytes(v, got));
    return scratch;
}
