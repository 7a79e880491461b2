/* The audit: everything that is wrong with a file or directory, whoever has to be told. */
#ifndef SMELT_VERIFY_AUDIT_H
#define SMELT_VERIFY_AUDIT_H

#include "ir/format.h"

/* How much was looked at. */
typedef struct smelt_audit_scope {
    size_t files;
    uint64_t tensors, bytes;
} smelt_audit_scope;

/* Audits a file with the format that its content has, and the other parts of a split one; or a directory: each file in it that is of a
 * format, and what the directory says of itself. Findings go to `audit`, which is zeroed but for what to ignore; audit_free after use,
 * also after an error. A file that its reader refuses is a finding; E_UNSUPPORTED only for what is of no known format at all. */
smelt_status audit_run(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_audit_scope *scope, smelt_err *err);

/* Values that are not finite and scales that are not, or are the largest possible, in the tensors that lie in the file of this base name. */
smelt_status audit_values(const smelt_ctx *ctx, const smelt_model *model, const char *file, smelt_audit *audit,
                          smelt_audit_scope *scope, smelt_err *err);

#endif
