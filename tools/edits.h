/* What quantize changes of a model besides its types: layers that are left out, keys, the cut into files. */
#ifndef SMELT_TOOLS_EDITS_H
#define SMELT_TOOLS_EDITS_H

#include "convert/plan.h"
#include "tools/opts.h"

typedef struct edit_opts {
    const char *prune_layers; /* "0,3-5" */
    opt_list override_kv;     /* "KEY=TYPE:VALUE" */
    bool keep_split;
} edit_opts;

/* Leaves out layers and puts the tensors in the order that they are written in. *left is the number of layers that remain, 0 if it
 * is as before. Before types are chosen. */
smelt_status edit_tensors(const smelt_ctx *ctx, const edit_opts *o, smelt_plan *plan, uint64_t *left, smelt_err *err);
/* Puts the user's keys before those that write->keys has already, and the number of layers behind them: llama-quantize's order. */
smelt_status edit_keys(const edit_opts *o, smelt_plan *plan, uint64_t layers, smelt_write_opts *write, smelt_err *err);

#endif
