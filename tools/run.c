#include "tools/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/compose.h"
#include "tools/summary.h"

/* E_UNSUPPORTED, listing them, if tensors got other types than those asked for and that is not wanted. */
static smelt_status check_substitutes(const run_opts *run, const char *text, smelt_err *err)
{
    if (!*text || !run->on_fallback || strcmp(run->on_fallback, "substitute") == 0) return SMELT_OK;
    return smelt_fail(err, SMELT_E_UNSUPPORTED,
                      "%s--on-fallback=error refuses that; --tensor-type gives such tensors a type that fits", text);
}

static smelt_status carry_out(const smelt_ctx *ctx, const char *stage, smelt_plan *plan, const run_opts *run,
                              const smelt_choice *choices, const smelt_write_opts *write, const char *substitutes, smelt_err *err)
{
    const double start = seconds_now();
    smelt_stream_stats stats = {0};
    if (!run->dry_run) SMELT_TRY(check_substitutes(run, substitutes, err));
    SMELT_TRY(plan_layout(ctx, plan, write, err));
    if (run->dry_run) {
        for (size_t i = 0; i < plan->layout.n_tensors; i++) {
            stats.bytes_in += view_bytes_total(plan->layout.tensors[i].src->view);
            stats.bytes_out += plan->layout.tensors[i].bytes;
        }
        list_choices(plan, choices);
        SMELT_TRY(check_substitutes(run, substitutes, err));
        fputs(substitutes, stdout);
        print_forecast(plan, &stats);
        return SMELT_OK;
    }
    smelt_stream_opts sopts = {.resume = run->resume, .stage = stage};
    SMELT_TRY(stream_run(ctx, plan, &sopts, &stats, err));
    if (!run->quiet) {
        reporter_end(ctx->user);
        fputs(substitutes, stdout);
        print_summary(plan, &stats, seconds_now() - start);
    }
    return SMELT_OK;
}

static smelt_status execute(const smelt_ctx *ctx, const char *stage, smelt_plan *plan, const run_opts *run, choose_fn *choose,
                            const void *opts, smelt_err *err)
{
    smelt_write_opts write = {.split_bytes = run->split_bytes, .split_tensors = run->split_tensors, .file_type = -1};
    smelt_choice *choices = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *choices);
    if (!choices) return smelt_oom(err);
    SMELT_TRY(choose(ctx, opts, plan, choices, &write, err));
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = choices[i].given;
    char *substitutes = substitutes_text(plan, choices);
    smelt_status st = substitutes ? carry_out(ctx, stage, plan, run, choices, &write, substitutes, err) : smelt_oom(err);
    free(substitutes);
    return st;
}

smelt_status run_conversion(const char *stage, const char *src, const char *dst, const run_opts *run, bool blocks,
                            choose_fn *choose, const void *opts, smelt_err *err)
{
    smelt_ctx ctx;
    const smelt_format *format;
    SMELT_TRY(ctx_init(&ctx, err));
    if (run->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %" PRIu64 ": at most 1024", run->threads);
    if (run->threads) ctx.threads = (int)run->threads;
    ctx.pre_tokenizer = run->pre;
    if (run->on_fallback && strcmp(run->on_fallback, "substitute") != 0 && strcmp(run->on_fallback, "error") != 0)
        return smelt_fail(err, SMELT_E_USAGE, "--on-fallback '%s': there are substitute and error", run->on_fallback);
    SMELT_TRY(format_for_target(&ctx, dst, NULL, &format, err));
    if (blocks && !format->can_store(SMELT_DT_Q8_0))
        return smelt_fail(err, SMELT_E_USAGE, "%s cannot hold quantised types; give a target that ends in .gguf", format->title);
    reporter r;
    reporter_start(&r, &ctx, run->quiet);
    smelt_model model;
    smelt_plan plan = {0};
    smelt_status st = source_open(&ctx, src, &model, err);
    if (st == SMELT_OK) {
        st = plan_open(&ctx, &model, format, dst, &plan, err);
        if (st == SMELT_OK) st = execute(&ctx, stage, &plan, run, choose, opts, err);
        plan_free(&plan);
    }
    model_free(&model);
    reporter_end(&r);
    return st;
}
