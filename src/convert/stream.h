/* Carries out a layout: workers take (tensor, row range) units, read, decode, encode, write at the known offset. */
#ifndef SMELT_CONVERT_STREAM_H
#define SMELT_CONVERT_STREAM_H

#include "convert/check.h"
#include "convert/plan.h"

/* What is known of a tensor of the layout once it is written. */
typedef struct smelt_tensor_result {
    uint8_t hash[16];  /* XXH3-128 of its bytes in the output, in xxHash's canonical order */
    uint64_t replaced; /* values that were not finite */
} smelt_tensor_result;

typedef struct smelt_stream_opts {
    bool resume;       /* go on with what an interrupted run of the same plan left; E_MISMATCH if it was another plan's */
    bool replace;      /* put `replacement` in the place of values that are not finite */
    float replacement; /* finite */
    bool hash;         /* fill in the results' hashes */
    smelt_tensor_result *results; /* [layout.n_tensors], zeroed by the caller; NULL: nobody asks */
    const char *stage;            /* for progress: "convert" */
} smelt_stream_opts;

typedef struct smelt_stream_stats {
    uint64_t bytes_in, bytes_out; /* of tensor data */
    uint64_t bytes_resumed;       /* of output found finished */
    uint64_t replaced;            /* values that were not finite */
} smelt_stream_stats;

/* Memory: threads x (unit of 1 Mi elements decoded + encoded). The output is under its name only after SMELT_OK. Bytes do not
 * depend on threads, processor or resumption. Values that are not finite are E_CORRUPT with tensor and index where a block
 * type is to hold them or one has them; plain types keep them. */
smelt_status stream_run(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *opts, smelt_stream_stats *stats,
                        smelt_err *err);
/* The same work, but nothing is written: every byte is compared with what is there, in `check`, which check_start has prepared for
 * the plan's layout. opts->resume and hash do not apply. `source` gets the hash of the source's content. Memory as above. */
smelt_status stream_check(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *opts, smelt_check *check,
                          uint8_t source[HASH_BYTES], smelt_err *err);

#endif
