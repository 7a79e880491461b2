/* A tensor is a name, a type, a shape and a source: where its bytes lie and what is done to them on the way. */
#ifndef SMELT_IR_TENSOR_H
#define SMELT_IR_TENSOR_H

#include "base/io.h"
#include "ir/dtype.h"

enum { SMELT_MAX_DIMS = 8 };

typedef struct smelt_shape {
    int n;                        /* 0: a scalar of one element */
    uint64_t dim[SMELT_MAX_DIMS]; /* outermost first */
} smelt_shape;

/* Number of elements; false on overflow. */
bool shape_elems(const smelt_shape *shape, uint64_t *out);
bool shape_equal(const smelt_shape *a, const smelt_shape *b);
/* "[576, 49152]" in `buf`. */
const char *shape_text(const smelt_shape *shape, char *buf, size_t size);

/* Node of a source: a leaf that points at bytes, or a transform of other nodes. All nodes are immutable, live in an arena and
 * are seen as a matrix of `rows` x `cols`, cols being the innermost dimension. A scalar and a 1-D tensor of a plain type are
 * n rows of one column, so that row transforms act on biases as they do on matrices; a 1-D tensor of a block type is one row. */
typedef struct smelt_view smelt_view;

/* Leaf: contiguous little-endian bytes at `data`, which must stay valid. E_MISMATCH if `bytes` is not what dtype and shape
 * need, or a row is no whole number of blocks. */
smelt_status view_bytes(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, const void *data, uint64_t bytes,
                        const smelt_view **out, smelt_err *err);
/* Leaf: elements of a plain type at `data` (room for `elems` elements), the one at index (i,j,…) at offset + i*stride[0] +
 * j*stride[1] + …, in elements; `swap` for big-endian storage. Bounds are checked here (E_CORRUPT). A contiguous one without
 * swap becomes a view_bytes. */
smelt_status view_strided(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, const uint64_t *stride, const void *data,
                          uint64_t elems, uint64_t offset, bool swap, const smelt_view **out, smelt_err *err);

smelt_dtype view_dtype(const smelt_view *view);
const smelt_shape *view_shape(const smelt_view *view);
uint64_t view_rows(const smelt_view *view);
uint64_t view_cols(const smelt_view *view);
uint64_t view_bytes_total(const smelt_view *view);
/* Bytes of `n` columns (a whole number of blocks). */
uint64_t view_col_bytes(const smelt_view *view, uint64_t n);

/* Finds elements starting at (row, col), col a multiple of the block's elements. Sets *n to how many contiguous elements lie
 * at the address returned: at least 1 block and at most `want`; more than the rest of the row only if whole rows follow one
 * another in memory. The address is in the source's mapping where possible, otherwise in `scratch`, which has room for
 * `want` elements. Never fails: everything was checked when the view was made. Thread-safe. */
const void *view_span(const smelt_view *view, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n);
/* Copies exactly `n` elements starting at (row, col) to `dst`, across spans. */
void view_read(const smelt_view *view, uint64_t row, uint64_t col, uint64_t n, void *dst);
/* The bytes of n elements in row-major order from `first` (a multiple of the block's elements) on: in the mapping, or gathered in
 * `scratch`, which has room for them. Thread-safe. */
const void *view_elems(const smelt_view *view, uint64_t first, uint64_t n, void *scratch);

/* What a tensor is in its model. Roles are rows of arch/roles.def; the IR only carries the number. */
struct smelt_tensor {
    const char *name;   /* canonical once mapped (blk.3.attn_q.weight), otherwise as in the file */
    const char *origin; /* the name in the file it came from */
    const char *before; /* the canonical name before layers were left out; NULL: as now */
    int role;           /* 0: unknown */
    int part;           /* weight, bias …: see arch/arch.h */
    int layer;          /* -1: not in a layer */
    smelt_dtype dtype;  /* of the source */
    bool decoded;       /* float32 only because a transform cannot act on the source's blocks */
    smelt_shape shape;
    const smelt_view *view;
    const char *file; /* base name of the file it came from, BORROWED; NULL if computed */
    uint64_t offset;  /* of its bytes in that file; for inspect */
};

#endif
