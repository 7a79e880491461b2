/* Whether a file is what its source and its own recipe give, bit for bit. */
#ifndef SMELT_TOOLS_DERIVES_H
#define SMELT_TOOLS_DERIVES_H

#include "convert/stream.h"

typedef struct derives_opts {
    const char *candidate, *source;
    const char *imatrix; /* the importance matrix, if one was used then; otherwise NULL */
    uint64_t threads;    /* 0: one a processor */
    bool quiet;
} derives_opts;

/* A conversion that is done again to be compared; run_opts.against. */
typedef struct derivation {
    const derives_opts *opts;
    const char *format;       /* of the candidate */
    const char *title;        /* what the source's directory was called; NULL: it did not matter */
    const char *imatrix_name; /* what the candidate's key says; NULL: none */
    smelt_provenance provenance;
    bool same; /* the result */
} derivation;

/* Regenerates each unit in memory, compares it with the file's bytes, and prints what was found. *same is the answer.
 * E_UNSUPPORTED without a recipe or for one of another version; the source's and the candidate's own errors. */
smelt_status derives(const derives_opts *opts, bool *same, smelt_err *err);
/* The comparison, for a plan that is laid out. */
smelt_status derives_compare(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *stream, derivation *d,
                             smelt_err *err);

#endif
