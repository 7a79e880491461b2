/* The composition root: which formats and codecs this program has. */
#ifndef SMELT_TOOLS_COMPOSE_H
#define SMELT_TOOLS_COMPOSE_H

#include "ir/format.h"

/* Fills a context with every format and codec, for the best processor level that is there (or the one that the environment
 * variable SMELT_CPU names, if it runs here; E_USAGE otherwise), and one thread a processor. */
smelt_status ctx_init(smelt_ctx *ctx, smelt_err *err);

#endif
