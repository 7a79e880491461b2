/* What PyTorch files hold beyond tensors. */
#ifndef SMELT_FORMATS_TORCH_AUDIT_H
#define SMELT_FORMATS_TORCH_AUDIT_H

#include "ir/format.h"

/* Walks every pickle of the file without running it and reports each function and class that tensors do not need and each opcode that
 * calls something by itself; then what lies between, before and behind the records of the archive, and records that nothing refers to. */
smelt_status torch_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err);

#endif
