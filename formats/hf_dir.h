/* What a Hugging Face directory says beside its weights. */
#ifndef SMELT_FORMATS_HF_DIR_H
#define SMELT_FORMATS_HF_DIR_H

#include "base/json.h"
#include "ir/format.h"

/* Reads config.json and the tokenizer files of `dir` and maps the model, whose tensors have Hugging Face names, to its family. */
smelt_status hf_config_read(const smelt_ctx *ctx, const char *dir, smelt_model *model, smelt_err *err);

#endif
