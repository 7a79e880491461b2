#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/compose.h"
#include "tools/derives.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/verifier.h"

typedef struct verify_opts {
    const char *against, *derives_from, *imatrix, *text, *tokens, *policy, *junit, *html;
    uint64_t context, chunks, threads;
    bool quick, fast, json, quiet;
    const char *limit[METRIC_COUNT];
} verify_opts;

static const opt options[] = {
    {"--against", OPT_TEXT, "SRC", "the original: a checkpoint of any format", offsetof(verify_opts, against)},
    {"--derives-from", OPT_TEXT, "SRC", "instead: make the file again from SRC by its own recipe, and compare every bit",
     offsetof(verify_opts, derives_from)},
    {"--imatrix", OPT_TEXT, "FILE", "with --derives-from: the importance matrix that was used", offsetof(verify_opts, imatrix)},
    {"--text", OPT_TEXT, "FILE", "the text to predict (default: a built-in one)", offsetof(verify_opts, text)},
    {"--tokens", OPT_TEXT, "FILE", "the same as token ids, white space between them", offsetof(verify_opts, tokens)},
    {"--context", OPT_COUNT, "N", "tokens of a chunk (default: 512)", offsetof(verify_opts, context)},
    {"--chunks", OPT_COUNT, "N", "only the first N chunks", offsetof(verify_opts, chunks)},
    {"--quick", OPT_FLAG, NULL, "two chunks, and one of 16 stretches of each tensor", offsetof(verify_opts, quick)},
    {"--fast", OPT_FLAG, NULL, "multiply the candidate's block types with activations of 8 bits", offsetof(verify_opts, fast)},
    {"--policy", OPT_TEXT, "FILE", "limits from a JSON file, or: default, none", offsetof(verify_opts, policy)},
#define SMELT_METRIC(id, scope, bound, name, unit, meaning) \
    {"--" name, OPT_TEXT, unit, "limit: " meaning, offsetof(verify_opts, limit) + METRIC_##id * sizeof(char *)},
#include "verify/metrics.def"
#undef SMELT_METRIC
    {"--json", OPT_FLAG, NULL, "print JSON", offsetof(verify_opts, json)},
    {"--junit", OPT_TEXT, "FILE", "write a test report, one case for each threshold", offsetof(verify_opts, junit)},
    {"--html", OPT_TEXT, "FILE", "write a page for a browser", offsetof(verify_opts, html)},
    {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(verify_opts, threads)},
    {"--quiet", OPT_FLAG, NULL, "no progress and no times on standard error", offsetof(verify_opts, quiet)},
    {0},
};

static smelt_status read_limits(const verify_opts *o, smelt_policy *policy, smelt_err *err)
{
    if (o->policy) SMELT_TRY(policy_load(policy, o->policy, err));
    for (int i = 0; i < METRIC_COUNT; i++)
        if (o->limit[i]) SMELT_TRY(policy_set(policy, (verify_metric)i, o->limit[i], "option", err));
    return SMELT_OK;
}

static smelt_status conclude(const verify_opts *o, const verify_result *r, smelt_err *err)
{
    for (size_t i = 0; i < r->n_warnings; i++)
        fprintf(stderr, "smelt: warning: %s\n", r->warnings[i]);
    SMELT_TRY(print_report(r, o->json ? report_json : report_text, err));
    if (o->junit) SMELT_TRY(write_report(r, report_junit, o->junit, err));
    if (o->html) SMELT_TRY(write_report(r, report_html, o->html, err));
    return verifier_verdict(r, err);
}

static smelt_status check_derivation(const verify_opts *o, const char *candidate, smelt_err *err)
{
    const derives_opts d = {candidate, o->derives_from, o->imatrix, o->threads, o->quiet};
    bool same;
    if (o->against) return smelt_fail(err, SMELT_E_USAGE, "--against and --derives-from are two questions; ask one at a time");
    SMELT_TRY(derives(&d, &same, err));
    return same ? SMELT_OK : smelt_fail(err, SMELT_E_FAILED, "%s is not what %s and its recipe give", candidate, o->derives_from);
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const verify_opts *o = opts;
    if (o->derives_from) return check_derivation(o, operand[0], err);
    if (o->imatrix) return smelt_fail(err, SMELT_E_USAGE, "--imatrix is for --derives-from");
    if (!o->against) return smelt_fail(err, SMELT_E_USAGE, "compared with what? --against ORIGINAL, or --derives-from SRC");
    if (o->text && o->tokens) return smelt_fail(err, SMELT_E_USAGE, "--text and --tokens are two ways to give one text");
    if (o->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %llu: at most 1024", (unsigned long long)o->threads);
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (o->threads) ctx.threads = (int)o->threads;
    smelt_policy policy;
    policy_init(&policy);
    smelt_status st = read_limits(o, &policy, err);
    verify_result r = {0};
    if (st == SMELT_OK) {
        reporter progress;
        reporter_start(&progress, &ctx, o->quiet);
        const verifier_opts v = {.candidate = operand[0],
                                 .against = o->against,
                                 .text = o->text,
                                 .tokens = o->tokens,
                                 .context = (size_t)o->context,
                                 .chunks = (size_t)o->chunks,
                                 .quick = o->quick,
                                 .fast = o->fast,
                                 .policy = &policy};
        st = verifier_run(&ctx, &v, &r, err);
        reporter_end(&progress);
        if (st == SMELT_OK && !o->quiet) fprintf(stderr, "%.1f s\n", seconds_now() - progress.start);
    }
    if (st == SMELT_OK) st = conclude(o, &r, err);
    verify_free(&r);
    policy_free(&policy);
    return st;
}

const command cmd_verify = {
    .name = "verify",
    .summary = "Measures whether a converted or quantised model still computes what its original did.",
    .operands = "CANDIDATE",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(verify_opts),
    .run = run,
    .more =
        "Exit code 0 if every limit holds, 1 if one is breached or logits are not finite. Without --policy the limits depend on\n"
        "the bits that the candidate's weights have; options come on top of a policy.\n",
};
