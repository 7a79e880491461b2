/* Where logits that are not finite come from. */
#ifndef SMELT_VERIFY_TRACE_H
#define SMELT_VERIFY_TRACE_H

#include "verify/run.h"

/* Runs ids[n] once more and fills in r->nonfinite's layer, operator, value and tensor. */
smelt_status verify_trace(const smelt_ctx *ctx, const smelt_model *model, const int32_t *ids, size_t n, verify_result *r,
                          smelt_err *err);

#endif
