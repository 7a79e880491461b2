/* Writing safetensors: shared by the single-file format and by the directories that hold shards of it. */
#ifndef SMELT_FORMATS_SAFETENSORS_WRITE_H
#define SMELT_FORMATS_SAFETENSORS_WRITE_H

#include "ir/format.h"

/* True for the types that have a name in the format. */
bool safetensors_can_store(smelt_dtype dtype);
/* Adds the model's tensors to `out` in the model's order: under Hugging Face's names if the family is known (what exists in
 * GGUF only is left out), else under their own. */
smelt_status safetensors_project(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err);
/* One file `name` with all of out's tensors, types[i] being the stored type of out->tensors[i]: byte for byte what the
 * safetensors package writes for the same tensors and metadata. Metadata is the model's keys "safetensors.KEY" as KEY,
 * "format": "pt" unless they say otherwise, and then those of opts->keys that are text and opts->provenance. E_LIMIT if the header would be longer than readers accept. */
smelt_status safetensors_layout_file(const smelt_model *model, const smelt_model *out, const smelt_dtype *types, const char *name,
                                     const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err);
/* model.safetensors, or as many shards as it takes to keep each below opts->split_bytes of tensor data (0: 50 GB, as
 * transformers 5 does) and opts->split_tensors tensors, with model.safetensors.index.json. Shards are filled in the order of
 * `out`; a tensor larger than the limit gets a shard to itself. */
smelt_status safetensors_layout_dir(const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                                    const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err);

/* What a header may not exceed, in bytes, by the reference implementation (tensor.rs, MAX_HEADER_SIZE). */
enum { SAFETENSORS_HEADER_MAX = 100000000 };
/* Prefix of safetensors metadata among the model's keys. */
#define SAFETENSORS_META "safetensors."
/* The one member of a header that is no tensor. */
#define SAFETENSORS_META_MEMBER "__metadata__"

#endif
