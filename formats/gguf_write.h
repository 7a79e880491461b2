/* The writing half of GGUF: the tensor list and keys of a model, and the layout of the files. */
#ifndef SMELT_FORMATS_GGUF_WRITE_H
#define SMELT_FORMATS_GGUF_WRITE_H

#include "formats/gguf.h"

smelt_status gguf_project(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err);
smelt_status gguf_layout(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                         const char *target, const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err);

#endif
