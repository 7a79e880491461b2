/* Shared by the files of this folder. */
#ifndef SMELT_VERIFY_INTERNAL_H
#define SMELT_VERIFY_INTERNAL_H

#include "engine/engine.h"
#include "verify/policy.h"
#include "verify/reference.h"
#include "verify/run.h"
#include "verify/score.h"

/* A text in quotes and escaped, long ones cut. In the arena; NULL when out of memory. */
char *verify_quote(smelt_arena *arena, smelt_str s);

/* Adds a warning; false when out of memory. */
bool verify_warn(verify_result *r, const char *fmt, ...) SMELT_PRINTF(2, 3);

/* Bits of a type as limits count them: floats of 8 bits keep no more than integers of 5. */
double verify_bits(smelt_dtype dtype);

/* The tensors that do the same in both: the head is the output matrix, or the embedding where there is none. */
const smelt_tensor *verify_counterpart(const smelt_model *model, const smelt_tensor *t);

#endif
