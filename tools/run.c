#include "tools/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/compose.h"
#include "tools/derives.h"
#include "tools/manifest.h"
#include "tools/recorded.h"
#include "tools/summary.h"

/* E_UNSUPPORTED, listing them, if tensors got other types than those asked for and that is not wanted. */
static smelt_status check_substitutes(const run_opts *run, const char *text, smelt_err *err)
{
    if (!*text || !run->on_fallback || strcmp(run->on_fallback, "substitute") == 0) return SMELT_OK;
    return smelt_fail(err, SMELT_E_UNSUPPORTED,
                      "%s--on-fallback=error refuses that; --tensor-type gives such tensors a type that fits", text);
}

/* What a conversion has worked out before it writes. */
typedef struct prepared {
    const smelt_choice *choices;
    smelt_write_opts write;
    smelt_stream_opts stream;
    const char *substitutes;
    smelt_sink *manifest; /* NULL: none */
} prepared;

static smelt_status show(const conversion *c, const smelt_plan *plan, const prepared *p, smelt_err *err)
{
    smelt_stream_stats stats = {0};
    for (size_t i = 0; i < plan->layout.n_tensors; i++) {
        stats.bytes_in += view_bytes_total(plan->layout.tensors[i].src->view);
        stats.bytes_out += plan->layout.tensors[i].bytes;
    }
    list_choices(plan, p->choices);
    SMELT_TRY(check_substitutes(c->run, p->substitutes, err));
    fputs(p->substitutes, stdout);
    print_forecast(plan, &stats);
    return p->manifest ? manifest_write(p->manifest, c, plan, p->choices, NULL, err) : SMELT_OK;
}

static smelt_status carry_out(const smelt_ctx *ctx, const conversion *c, smelt_plan *plan, prepared *p, smelt_err *err)
{
    const double start = seconds_now();
    smelt_stream_stats stats;
    if (!c->run->dry_run) SMELT_TRY(check_substitutes(c->run, p->substitutes, err));
    SMELT_TRY(plan_layout(ctx, plan, &p->write, err));
    if (c->run->against) return derives_compare(ctx, plan, &p->stream, c->run->against, err);
    if (c->run->dry_run) return show(c, plan, p, err);
    p->stream.results = arena_calloc(&plan->out.arena, plan->layout.n_tensors, sizeof *p->stream.results);
    if (!p->stream.results) return smelt_oom(err);
    SMELT_TRY(stream_run(ctx, plan, &p->stream, &stats, err));
    if (p->manifest) SMELT_TRY(manifest_write(p->manifest, c, plan, p->choices, p->stream.results, err));
    if (c->run->quiet) return SMELT_OK;
    reporter_end(ctx->user);
    fputs(p->substitutes, stdout);
    print_replaced(plan, p->stream.results, &stats);
    print_summary(plan, &stats, seconds_now() - start);
    return SMELT_OK;
}

static smelt_status execute(const smelt_ctx *ctx, const conversion *c, smelt_plan *plan, prepared *p, smelt_err *err)
{
    smelt_choice *choices = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *choices);
    if (!choices) return smelt_oom(err);
    p->write = (smelt_write_opts){.split_bytes = c->run->split_bytes, .split_tensors = c->run->split_tensors, .file_type = -1};
    SMELT_TRY(c->choose(ctx, c->opts, plan, choices, &p->write, err));
    if (c->show) return c->show(c->opts, plan, choices, err);
    if (!c->run->no_provenance) {
        json_t *options;
        SMELT_TRY(options_recorded(c->command, c->opts, &options, err));
        SMELT_TRY(record_recipe(c->command->name, c->blocks ? c->type : NULL, options, plan, &p->write, err));
    }
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = choices[i].given;
    char *substitutes = substitutes_text(plan, choices);
    p->choices = choices;
    p->substitutes = substitutes;
    smelt_status st = substitutes ? carry_out(ctx, c, plan, p, err) : smelt_oom(err);
    free(substitutes);
    return st;
}

static smelt_status parse_replacement(const char *text, smelt_stream_opts *out, smelt_err *err)
{
    char *end;
    out->replace = text != NULL;
    if (!text) return SMELT_OK;
    out->replacement = strtof(text, &end);
    if (end != text && !*end && isfinite(out->replacement)) return SMELT_OK;
    return smelt_fail(err, SMELT_E_USAGE, "--replace-nonfinite: '%s' is no finite number", text);
}

smelt_status run_conversion(const conversion *c, smelt_err *err)
{
    smelt_ctx ctx;
    const smelt_format *format;
    const run_opts *run = c->run;
    prepared p = {.stream = {.resume = run->resume, .hash = run->manifest != NULL, .stage = c->command->name}};
    SMELT_TRY(ctx_init(&ctx, err));
    if (run->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %" PRIu64 ": at most 1024", run->threads);
    if (run->threads) ctx.threads = (int)run->threads;
    ctx.pre_tokenizer = run->pre;
    if (run->on_fallback && strcmp(run->on_fallback, "substitute") != 0 && strcmp(run->on_fallback, "error") != 0)
        return smelt_fail(err, SMELT_E_USAGE, "--on-fallback '%s': there are substitute and error", run->on_fallback);
    SMELT_TRY(parse_replacement(run->replace_nonfinite, &p.stream, err));
    SMELT_TRY(format_for_target(&ctx, c->dst, run->against ? run->against->format : NULL, &format, err));
    if (c->blocks && !format->can_store(SMELT_DT_Q8_0))
        return smelt_fail(err, SMELT_E_USAGE, "%s cannot hold quantised types; give a target that ends in .gguf", format->title);
    if (run->manifest) SMELT_TRY(manifest_open(c, &p.manifest, err));
    reporter r;
    reporter_start(&r, &ctx, run->quiet);
    smelt_model model;
    smelt_plan plan = {0};
    smelt_status st = source_open(&ctx, c->src, &model, err);
    if (run->against && run->against->title) model.title = run->against->title;
    if (st == SMELT_OK) {
        st = plan_open(&ctx, &model, format, c->dst, &plan, err);
        if (st == SMELT_OK) st = execute(&ctx, c, &plan, &p, err);
        plan_free(&plan);
    }
    model_free(&model);
    reporter_end(&r);
    sink_discard(p.manifest);
    sink_close(p.manifest);
    return st;
}
