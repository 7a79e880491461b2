/* A whole verification, for the command and the library's API. */
#ifndef SMELT_TOOLS_VERIFIER_H
#define SMELT_TOOLS_VERIFIER_H

#include "verify/policy.h"
#include "verify/run.h"

typedef struct verifier_opts {
    const char *candidate, *against; /* paths */
    const char *text, *tokens;       /* files; NULL: the built-in text */
    size_t context, chunks;          /* 0: 512, or as many positions as the original has; all */
    bool weights_only;               /* no logits: structure and weights */
    bool quick, fast;
    const smelt_policy *policy; /* NULL: judge nothing */
} verifier_opts;

/* Fills a zeroed result; verify_free after use, also after an error. E_USAGE, E_MISMATCH or E_UNSUPPORTED before anything is computed
 * if the two cannot be compared. That the candidate fails is no error: r->passed says it. */
smelt_status verifier_run(const smelt_ctx *ctx, const verifier_opts *o, verify_result *r, smelt_err *err);

/* Writes a report, which is under its name only when it is complete. */
smelt_status write_report(const verify_result *r, verify_report_fn *report, const char *path, smelt_err *err);
/* SMELT_OK if the candidate passed, otherwise E_FAILED with what there is to say. */
smelt_status verifier_verdict(const verify_result *r, smelt_err *err);

#endif
