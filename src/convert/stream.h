/* Carries out a layout: workers take (tensor, row range) units, read, decode, encode, write at the known offset. */
#ifndef SMELT_CONVERT_STREAM_H
#define SMELT_CONVERT_STREAM_H

#include "convert/plan.h"

typedef struct smelt_stream_opts {
    bool resume;       /* go on with what an interrupted run of the same plan left; E_MISMATCH if it was another plan's */
    const char *stage; /* for progress: "convert" */
} smelt_stream_opts;

typedef struct smelt_stream_stats {
    uint64_t bytes_in, bytes_out; /* of tensor data */
    uint64_t bytes_resumed;       /* of output found finished */
} smelt_stream_stats;

/* Memory: threads x (unit of 1 Mi elements decoded + encoded). The output is under its name only after SMELT_OK. Bytes do not
 * depend on threads, processor or resumption. NaN or infinity that a block type cannot hold is E_CORRUPT with tensor and index. */
smelt_status stream_run(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *opts, smelt_stream_stats *stats,
                        smelt_err *err);

#endif
