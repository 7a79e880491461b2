/* The manifest of a conversion: what every tensor was, what it became and why, with hashes, as JSON. */
#ifndef SMELT_TOOLS_MANIFEST_H
#define SMELT_TOOLS_MANIFEST_H

#include "tools/run.h"

/* Starts the file, so that a place that cannot be written is known before any work. NEW: sink_close. */
smelt_status manifest_open(const conversion *c, smelt_sink **sink, smelt_err *err);
/* Writes it. `results` is NULL where nothing was converted: there are no hashes then. */
smelt_status manifest_write(smelt_sink *sink, const conversion *c, const smelt_plan *plan, const smelt_choice *choices,
                            const smelt_tensor_result *results, smelt_err *err);

#endif
