#include "tools/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/compose.h"

static double bpw(uint64_t bytes, uint64_t params) { return params ? 8.0 * (double)bytes / (double)params : 0; }

static uint64_t params_of(const smelt_model *m)
{
    uint64_t total = 0, n;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (shape_elems(&m->tensors[i].shape, &n)) total += n;
    return total;
}

static void list_choices(const smelt_plan *plan, const smelt_choice *choices)
{
    for (size_t i = 0; i < plan->out.n_tensors; i++) {
        const smelt_tensor *t = &plan->out.tensors[i];
        const smelt_out_tensor *o = NULL;
        for (size_t k = 0; k < plan->layout.n_tensors && !o; k++)
            if (plan->layout.tensors[(i + k) % plan->layout.n_tensors].src == t)
                o = &plan->layout.tensors[(i + k) % plan->layout.n_tensors];
        char shape[128], a[32], b[32];
        printf("%-40s %-20s %8s -> %-8s %10s -> %-10s %s\n", t->name, shape_text(&t->shape, shape, sizeof shape),
               smelt_dtype_get(t->dtype)->name, smelt_dtype_get(plan->types[i])->name,
               human_bytes(view_bytes_total(t->view), a, sizeof a), o ? human_bytes(o->bytes, b, sizeof b) : "-", choices[i].why);
    }
}

/* Tensors that got another type than the one asked for, and what that costs. */
static void list_substitutes(const smelt_plan *plan, const smelt_choice *choices, FILE *to)
{
    size_t n = 0;
    uint64_t elems, extra = 0, asked, given;
    for (size_t i = 0; i < plan->out.n_tensors; i++) {
        if (choices[i].asked == choices[i].given || !shape_elems(&plan->out.tensors[i].shape, &elems)) continue;
        n++;
        asked = (uint64_t)((double)elems * smelt_dtype_bpw(choices[i].asked) / 8);
        given = (uint64_t)((double)elems * smelt_dtype_bpw(choices[i].given) / 8);
        extra += given > asked ? given - asked : 0;
        if (n <= 10)
            fprintf(to, "  %s: %s instead of %s (%s)\n", plan->out.tensors[i].name, smelt_dtype_get(choices[i].given)->name,
                    smelt_dtype_get(choices[i].asked)->name, choices[i].why);
    }
    char text[32];
    if (n)
        fprintf(to, "%zu tensors do not fit the type asked for%s; that costs %s\n", n, n > 10 ? " (first ones shown)" : "",
                human_bytes(extra, text, sizeof text));
}

static void summary(const smelt_plan *plan, const smelt_stream_stats *stats, double spent, const char *dst)
{
    char in[32], out[32], p[32], resumed[48] = "";
    uint64_t params = params_of(&plan->out);
    if (stats->bytes_resumed)
        snprintf(resumed, sizeof resumed, ", %s of it found finished", human_bytes(stats->bytes_resumed, in, sizeof in));
    printf("%s: %zu tensors, %s parameters, %s -> %s (%.2f -> %.2f bits per weight) in %.1f s, %.0f MB/s%s\n", dst,
           plan->out.n_tensors, human_count(params, p, sizeof p), human_bytes(stats->bytes_in, in, sizeof in),
           human_bytes(stats->bytes_out, out, sizeof out), bpw(stats->bytes_in, params), bpw(stats->bytes_out, params), spent,
           spent > 0 ? (double)stats->bytes_in / spent / 1e6 : 0, resumed);
}

static smelt_status execute(const smelt_ctx *ctx, const char *stage, smelt_plan *plan, const run_opts *run, choose_fn *choose,
                            const void *opts, smelt_err *err)
{
    double start = seconds_now();
    smelt_write_opts write = {.split_bytes = run->split_bytes, .split_tensors = run->split_tensors, .file_type = -1};
    smelt_choice *choices = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *choices);
    if (!choices) return smelt_oom(err);
    SMELT_TRY(choose(ctx, opts, plan, choices, &write, err));
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = choices[i].given;
    SMELT_TRY(plan_layout(ctx, plan, &write, err));
    smelt_stream_stats stats = {0};
    for (size_t i = 0; i < plan->layout.n_tensors; i++) {
        stats.bytes_in += view_bytes_total(plan->layout.tensors[i].src->view);
        stats.bytes_out += plan->layout.tensors[i].bytes;
    }
    if (run->dry_run) {
        list_choices(plan, choices);
        list_substitutes(plan, choices, stdout);
        uint64_t total = 0, params = params_of(&plan->out);
        char a[32], b[32];
        for (size_t i = 0; i < plan->layout.n_files; i++)
            total += plan->layout.files[i].size;
        printf("would write %zu file%s with %" PRIu64 " bytes (%s of tensors -> %s, %.2f -> %.2f bits per weight)\n",
               plan->layout.n_files, plan->layout.n_files == 1 ? "" : "s", total, human_bytes(stats.bytes_in, a, sizeof a),
               human_bytes(stats.bytes_out, b, sizeof b), bpw(stats.bytes_in, params), bpw(stats.bytes_out, params));
        return SMELT_OK;
    }
    smelt_stream_opts sopts = {.resume = run->resume, .stage = stage};
    SMELT_TRY(stream_run(ctx, plan, &sopts, &stats, err));
    if (!run->quiet) {
        reporter *r = ctx->user;
        reporter_end(r);
        list_substitutes(plan, choices, stdout);
        summary(plan, &stats, seconds_now() - start, plan->target);
    }
    return SMELT_OK;
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
