/* From an opened source and chosen types to a finished layout. */
#ifndef SMELT_CONVERT_PLAN_H
#define SMELT_CONVERT_PLAN_H

#include "ir/format.h"

/* A conversion in its stages: `out` is the target format's projection of `src`; the caller chooses types[i] for
 * out.tensors[i] (initially the source's) and may set importance[i], then plan_layout fixes every size and offset. */
typedef struct smelt_plan {
    const smelt_format *format;
    const char *target;
    smelt_model *src; /* BORROWED */
    smelt_model out;
    smelt_dtype *types;
    const smelt_importance **importance; /* NULL where there is none */
    smelt_layout layout;
} smelt_plan;

smelt_status plan_open(const smelt_ctx *ctx, smelt_model *src, const smelt_format *format, const char *target, smelt_plan *plan,
                       smelt_err *err);
/* Orders the tensors by layer and name, those outside layers first: the order of llama-quantize's output. Resets the types. */
smelt_status plan_sort(smelt_plan *plan, smelt_err *err);
/* Orders them as they lie in the source's files. */
smelt_status plan_sort_by_file(smelt_plan *plan, smelt_err *err);
/* Leaves out the layers with these numbers, in any order, and renumbers the others: before plan_sort. *left is the number of layers
 * that remain. E_USAGE for a layer that is not there, or if none would remain. */
smelt_status plan_prune(smelt_plan *plan, const uint64_t *layers, size_t n, uint64_t *left, smelt_err *err);
/* E_UNSUPPORTED, naming all of them, if a type cannot be stored by the format or cannot be made from the source's. */
smelt_status plan_layout(const smelt_ctx *ctx, smelt_plan *plan, const smelt_write_opts *opts, smelt_err *err);
void plan_free(smelt_plan *plan);

#endif
