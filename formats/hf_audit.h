/* What a Hugging Face directory says about itself, compared with its files. */
#ifndef SMELT_FORMATS_HF_AUDIT_H
#define SMELT_FORMATS_HF_AUDIT_H

#include "ir/format.h"

/* Looks at configuration, templates, indexes and programs of the directory. The weight files are audited one by one by the caller; here
 * only their lists of tensors are read. Sets audit->unread for quantized checkpoints that the reader does not take as a whole. */
smelt_status hf_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err);

#endif
