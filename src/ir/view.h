/* Inside of a view, for tensor.c (leaves) and transform.c (nodes). Everybody else uses the functions of tensor.h. */
#ifndef SMELT_IR_VIEW_H
#define SMELT_IR_VIEW_H

#include "ir/codec.h"
#include "ir/tensor.h"

struct smelt_view {
    const void *(*span)(const smelt_view *v, uint64_t row, uint64_t col, uint64_t want, void *scratch, uint64_t *n);
    smelt_dtype dtype;
    smelt_shape shape;
    uint64_t rows, cols, bytes;
    uint32_t block, block_bytes; /* of the dtype */
    /* Leaves. */
    const void *data;
    uint64_t offset, stride[SMELT_MAX_DIMS];
    bool swap;
    /* Nodes. */
    const smelt_view *const *in;
    size_t n_in;
    uint64_t arg, arg2, arg3; /* first row, rows a head …: what the transform says */
    smelt_unpack_fn *unpack;  /* decode */
    const uint64_t *start;    /* concat: first row of each input, n_in + 1 of them */
};

/* A node of this type and shape with sizes filled in and checked; `span` and the rest are the caller's. */
smelt_status view_init(smelt_arena *arena, smelt_dtype dtype, const smelt_shape *shape, smelt_view **out, smelt_err *err);

#endif
