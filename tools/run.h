/* What convert and quantize share: opening, laying out, running, telling. */
#ifndef SMELT_TOOLS_RUN_H
#define SMELT_TOOLS_RUN_H

#include "convert/plan.h"
#include "quant/recipe.h"
#include "tools/opts.h"
#include "tools/report.h"

/* What all conversions have; the first member of their option structs. */
typedef struct run_opts {
    const char *pre, *on_fallback, *manifest, *replace_nonfinite;
    uint64_t split_bytes, split_tensors, threads;
    bool resume, dry_run, quiet, no_provenance;
    struct derivation *against; /* not an option: compare with files that are there, and write nothing */
} run_opts;

/* The rows of the options above, for a struct that has `run_opts run`. */
#define RUN_OPTS(type) \
    {"--split-max-size", OPT_SIZE, "N[K|M|G]", "start a new file when one would grow beyond N bytes", \
     offsetof(type, run.split_bytes)}, \
        {"--split-max-tensors", OPT_COUNT, "N", "start a new file after N tensors", offsetof(type, run.split_tensors)}, \
        {"--pre", OPT_TEXT, "NAME", "take the pre-tokenizer to be this one (GGUF's tokenizer.ggml.pre)", offsetof(type, run.pre)}, \
        {"--on-fallback", \
         OPT_TEXT, \
         "ACTION", \
         "where rows do not fit a type: substitute (as llama-quantize does; the default) or error", \
         offsetof(type, run.on_fallback), \
         OPT_ASIDE}, \
        {"--replace-nonfinite", OPT_TEXT, "VALUE", "put VALUE, such as 0, in the place of NaN and infinity", \
         offsetof(type, run.replace_nonfinite)}, \
        {"--manifest", \
         OPT_TEXT, \
         "FILE", \
         "write JSON about every tensor: source, type asked and given, XXH3-128", \
         offsetof(type, run.manifest), \
         OPT_ASIDE}, \
        {"--no-provenance", OPT_FLAG, NULL, "leave out the keys that say how the file was made", offsetof(type, run.no_provenance), \
         OPT_ASIDE}, \
        {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(type, run.threads), OPT_ASIDE}, \
        {"--resume", OPT_FLAG, NULL, "go on with what an interrupted run left", offsetof(type, run.resume), OPT_ASIDE}, \
        {"--dry-run", OPT_FLAG, NULL, "show what would be written, with sizes, and stop", offsetof(type, run.dry_run), OPT_ASIDE}, \
    { \
        "--quiet", OPT_FLAG, NULL, "print nothing but errors", offsetof(type, run.quiet), OPT_ASIDE \
    }

/* Chooses the types of a planned conversion. */
typedef smelt_status choose_fn(const smelt_ctx *ctx, const void *opts, smelt_plan *plan, smelt_choice *choices,
                               smelt_write_opts *write, smelt_err *err);

/* A conversion as a command asks for it. */
typedef struct conversion {
    const command *command;
    const char *src, *dst;
    const char *type;    /* "Q4_K_M"; NULL: the command's default */
    bool blocks;         /* the target must be able to hold block types */
    const void *opts;    /* the command's options */
    const run_opts *run; /* those of them that all conversions have */
    choose_fn *choose;
    /* Says what was chosen, and that is all; NULL: the conversion takes place. */
    smelt_status (*show)(const void *opts, const smelt_plan *plan, const smelt_choice *choices, smelt_err *err);
} conversion;

/* Opens, chooses, lays out, and writes or shows. */
smelt_status run_conversion(const conversion *c, smelt_err *err);

#endif
