/* What convert and quantize share: opening, laying out, running, telling. */
#ifndef SMELT_TOOLS_RUN_H
#define SMELT_TOOLS_RUN_H

#include "quant/recipe.h"
#include "tools/opts.h"
#include "tools/report.h"

typedef struct run_opts {
    const char *pre, *on_fallback;
    uint64_t split_bytes, split_tensors, threads;
    bool resume, dry_run, quiet;
} run_opts;

/* The rows of the options above, for a struct that has `run_opts run`. */
#define RUN_OPTS(type) \
    {"--split-max-size", OPT_SIZE, "N[K|M|G]", "start a new file when one would grow beyond N bytes", \
     offsetof(type, run.split_bytes)}, \
        {"--split-max-tensors", OPT_COUNT, "N", "start a new file after N tensors", offsetof(type, run.split_tensors)}, \
        {"--pre", OPT_TEXT, "NAME", "take the pre-tokenizer to be this one (GGUF's tokenizer.ggml.pre)", offsetof(type, run.pre)}, \
        {"--on-fallback", OPT_TEXT, "ACTION", \
         "where rows do not fit a type: substitute (as llama-quantize does; the default) or error", \
         offsetof(type, run.on_fallback)}, \
        {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(type, run.threads)}, \
        {"--resume", OPT_FLAG, NULL, "go on with what an interrupted run left", offsetof(type, run.resume)}, \
        {"--dry-run", OPT_FLAG, NULL, "show what would be written, with sizes, and stop", offsetof(type, run.dry_run)}, \
    { \
        "--quiet", OPT_FLAG, NULL, "print nothing but errors", offsetof(type, run.quiet) \
    }

/* Chooses the types of a planned conversion. */
typedef smelt_status choose_fn(const smelt_ctx *ctx, const void *opts, smelt_plan *plan, smelt_choice *choices,
                               smelt_write_opts *write, smelt_err *err);

/* Opens, chooses, lays out, and writes or shows. `blocks`: the target must be able to hold block types. */
smelt_status run_conversion(const char *stage, const char *src, const char *dst, const run_opts *run, bool blocks,
                            choose_fn *choose, const void *opts, smelt_err *err);

#endif
