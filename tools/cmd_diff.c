#include <stddef.h>
#include <stdio.h>

#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/verifier.h"

typedef struct diff_opts {
    uint64_t threads;
    bool quick, json, quiet;
} diff_opts;

static const opt options[] = {
    {"--quick", OPT_FLAG, NULL, "look at one of 16 stretches of each tensor", offsetof(diff_opts, quick)},
    {"--json", OPT_FLAG, NULL, "print JSON", offsetof(diff_opts, json)},
    {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(diff_opts, threads)},
    {"--quiet", OPT_FLAG, NULL, "no progress on standard error", offsetof(diff_opts, quiet)},
    {0},
};

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const diff_opts *o = opts;
    if (o->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %llu: at most 1024", (unsigned long long)o->threads);
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (o->threads) ctx.threads = (int)o->threads;
    verify_result r = {0};
    reporter progress;
    reporter_start(&progress, &ctx, o->quiet);
    const verifier_opts v = {.candidate = operand[1], .against = operand[0], .weights_only = true, .quick = o->quick};
    smelt_status st = verifier_run(&ctx, &v, &r, err);
    reporter_end(&progress);
    if (st == SMELT_OK) st = print_report(&r, o->json ? report_json : report_text, err);
    size_t other = 0;
    for (size_t i = 0; i < r.weights.n; i++)
        other += !r.weights.list[i].equal;
    if (st == SMELT_OK && (r.structure.differences || other))
        st = smelt_fail(err, SMELT_E_FAILED, "they differ: %zu differences of structure, %zu of %zu tensors have other values",
                        r.structure.differences, other, r.weights.n);
    verify_free(&r);
    return st;
}

const command cmd_diff = {
    .name = "diff",
    .summary = "Lists the differences between two models: structure, and the values of each tensor.",
    .operands = "A B",
    .min = 2,
    .max = 2,
    .opts = options,
    .opts_size = sizeof(diff_opts),
    .run = run,
    .more = "A and B may be of different formats; storage types alone are no difference. Exit code 0 if everything that both can\n"
            "say is the same and every value equal, 1 otherwise.\n",
};
