/* The public API: the same parts that the command uses, behind opaque types. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/content.h"
#include "convert/stream.h"
#include "engine/engine.h"
#include "quant/imatrix.h"
#include "tools/compose.h"
#include "tools/manifest.h"
#include "tools/recorded.h"
#include "tools/verifier.h"

smelt_status smelt_model_open(const char *path, smelt_model **out, smelt_err *err)
{
    smelt_ctx ctx;
    *out = NULL;
    SMELT_TRY(ctx_init(&ctx, err));
    smelt_model *m = malloc(sizeof *m);
    if (!m) return smelt_oom(err);
    smelt_status st = source_open(&ctx, path, m, err);
    if (st != SMELT_OK) {
        smelt_model_close(m);
        return st;
    }
    *out = m;
    return SMELT_OK;
}

void smelt_model_close(smelt_model *model)
{
    if (!model) return;
    model_free(model);
    free(model);
}

const char *smelt_model_format(const smelt_model *model) { return model->format; }
const char *smelt_model_family(const smelt_model *model) { return model->arch ? model->arch->name : NULL; }
size_t smelt_model_count(const smelt_model *model) { return model->n_tensors; }
const smelt_tensor *smelt_model_tensor(const smelt_model *model, size_t i)
{
    return i < model->n_tensors ? &model->tensors[i] : NULL;
}
const smelt_tensor *smelt_model_find(const smelt_model *model, const char *name) { return model_find(model, name); }

const char *smelt_tensor_name(const smelt_tensor *t) { return t->name; }
const char *smelt_tensor_type(const smelt_tensor *t) { return smelt_dtype_get(t->dtype)->name; }
int smelt_tensor_dims(const smelt_tensor *t) { return t->shape.n; }
uint64_t smelt_tensor_dim(const smelt_tensor *t, int d) { return d >= 0 && d < t->shape.n ? t->shape.dim[d] : 0; }
uint64_t smelt_tensor_elements(const smelt_tensor *t) { return view_rows(t->view) * view_cols(t->view); }
uint64_t smelt_tensor_bytes(const smelt_tensor *t) { return view_bytes_total(t->view); }

smelt_status smelt_tensor_read(const smelt_tensor *t, uint64_t first, uint64_t n, float *out, smelt_err *err)
{
    enum { STEP = 4096, WIDEST = 16 };
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    const smelt_dtype_row *row = smelt_dtype_get(t->dtype);
    uint64_t all = smelt_tensor_elements(t), cols = view_cols(t->view);
    smelt_unpack_fn *unpack = ctx.codec[t->dtype].unpack;
    if (!unpack) return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s': %s cannot be decoded", t->name, row->name);
    if (first > all || n > all - first || first % row->elems || n % row->elems)
        return smelt_fail(err, SMELT_E_USAGE, "tensor '%s': elements %llu to %llu of %llu in blocks of %u", t->name,
                          (unsigned long long)first, (unsigned long long)(first + n), (unsigned long long)all, row->elems);
    _Alignas(64) uint8_t raw[STEP * WIDEST];
    for (uint64_t at = 0, step; at < n; at += step) {
        step = n - at < STEP ? n - at : STEP;
        view_read(t->view, (first + at) / cols, (first + at) % cols, step, raw);
        unpack(raw, out + at, step);
    }
    return SMELT_OK;
}

smelt_status smelt_model_hash(const smelt_model *model, char hex[SMELT_HASH_SIZE], smelt_err *err)
{
    smelt_ctx ctx;
    smelt_content content;
    smelt_arena arena = {0};
    SMELT_TRY(ctx_init(&ctx, err));
    const smelt_status st = content_hash(&ctx, model, &arena, &content, err);
    if (st == SMELT_OK) hash_hex(content.hash, hex);
    arena_free(&arena);
    return st;
}

smelt_status smelt_engine_open(const smelt_model *model, const smelt_engine_config *config, smelt_engine **out, smelt_err *err)
{
    smelt_ctx ctx;
    *out = NULL;
    SMELT_TRY(ctx_init(&ctx, err));
    if (config && config->threads > 0) ctx.threads = config->threads;
    const smelt_engine_opts opts = {.fast = config && config->fast};
    return engine_open(&ctx, model, &opts, out, err);
}

void smelt_engine_close(smelt_engine *engine) { engine_close(engine); }
size_t smelt_engine_vocab(const smelt_engine *engine) { return engine_vocab(engine); }
smelt_status smelt_engine_run(smelt_engine *engine, const smelt_seq *seqs, size_t n_seqs, smelt_logits_fn *fn, void *user,
                              smelt_err *err)
{
    return engine_run(engine, seqs, n_seqs, fn, user, err);
}
smelt_status smelt_cache_new(const smelt_engine *engine, smelt_cache **out, smelt_err *err) { return cache_new(engine, out, err); }
void smelt_cache_free(smelt_cache *cache) { cache_free(cache); }

typedef struct user_progress {
    bool (*call)(void *user, uint64_t done, uint64_t total);
    void *user;
} user_progress;

static bool forward(void *user, const smelt_progress *p)
{
    const user_progress *u = user;
    return u->call(u->user, p->done, p->total);
}

/* The options as the commands have them, for what is recorded of them. */
typedef struct recorded {
    smelt_convert_opts given;
    const char *replacement; /* NULL: none */
} recorded;

#define AT(field) .offset = offsetof(recorded, field)
static const opt convert_opts[] = {
    {"--type", OPT_TEXT, AT(given.type)},
    {"--split-max-size", OPT_SIZE, AT(given.split_bytes)},
    {"--split-max-tensors", OPT_COUNT, AT(given.split_tensors)},
    {"--replace-nonfinite", OPT_TEXT, AT(replacement)},
    {0},
};
static const opt quantize_opts[] = {
    {"--imatrix", OPT_TEXT, AT(given.imatrix), .record = OPT_HASH},
    {"--allow-requantize", OPT_FLAG, AT(given.allow_requantize)},
    {"--split-max-size", OPT_SIZE, AT(given.split_bytes)},
    {"--split-max-tensors", OPT_COUNT, AT(given.split_tensors)},
    {"--replace-nonfinite", OPT_TEXT, AT(replacement)},
    {0},
};
static const command converting = {.name = "convert", .opts = convert_opts},
                     quantizing = {.name = "quantize", .opts = quantize_opts};

static smelt_status record(const conversion *c, smelt_plan *plan, smelt_write_opts *write, smelt_err *err)
{
    json_t *options;
    SMELT_TRY(options_recorded(c->command, c->opts, &options, err));
    return record_recipe(c->command->name, c->blocks ? c->type : NULL, options, plan, write, err);
}

static smelt_status choose(const smelt_ctx *ctx, smelt_plan *plan, bool quantize, const smelt_convert_opts *o, smelt_imatrix *im,
                           smelt_write_opts *write, smelt_choice **out, smelt_err *err)
{
    if (quantize) SMELT_TRY(plan_sort(plan, err));
    if (quantize && o->imatrix) SMELT_TRY(imatrix_open(ctx, &(smelt_imatrix_opts){.path = o->imatrix}, im, err));
    smelt_choice *choices = *out = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *choices);
    if (!choices) return smelt_oom(err);
    smelt_recipe_opts recipe = {.mix = o->type,
                                .output_type = SMELT_DT_COUNT,
                                .embedding_type = SMELT_DT_COUNT,
                                .allow_requantize = o->allow_requantize,
                                .imatrix = im->n};
    write->keys = im->keys;
    write->n_keys = im->n_keys;
    write->quantized = quantize;
    SMELT_TRY(quantize
                  ? recipe_quantize(ctx, &plan->out, &recipe, choices, &write->file_type, err)
                  : recipe_convert(ctx, plan->format, &plan->out, o->type ? o->type : "auto", choices, &write->file_type, err));
    if (quantize) {
        SMELT_TRY(imatrix_match(ctx, im, &plan->out, choices, plan->importance, err));
        SMELT_TRY(recipe_check_importance(ctx, &plan->out, &recipe, choices, plan->importance, err));
    }
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = choices[i].given;
    return SMELT_OK;
}

static smelt_status carry_out(const smelt_ctx *ctx, smelt_plan *plan, const conversion *c, const smelt_choice *choices,
                              const smelt_stream_opts *opts, smelt_err *err)
{
    smelt_stream_opts stream = *opts;
    smelt_stream_stats stats;
    smelt_sink *manifest = NULL;
    stream.results = arena_calloc(&plan->out.arena, plan->layout.n_tensors, sizeof *stream.results);
    if (!stream.results) return smelt_oom(err);
    smelt_status st = c->run->manifest ? manifest_open(c, &manifest, err) : SMELT_OK;
    if (st == SMELT_OK) st = stream_run(ctx, plan, &stream, &stats, err);
    if (st == SMELT_OK && manifest) st = manifest_write(manifest, c, plan, choices, stream.results, err);
    sink_discard(manifest);
    sink_close(manifest);
    return st;
}

static smelt_status run(const char *src, const char *dst, bool quantize, const smelt_convert_opts *opts, smelt_err *err)
{
    static const smelt_convert_opts defaults;
    const smelt_convert_opts *o = opts ? opts : &defaults;
    if (quantize && !o->type) return smelt_fail(err, SMELT_E_USAGE, "a type is needed to quantise");
    if (o->replace_nonfinite && !isfinite(o->replacement))
        return smelt_fail(err, SMELT_E_USAGE, "what NaN and infinity are replaced by must be finite");
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    user_progress progress = {o->progress, o->user};
    if (o->threads > 0) ctx.threads = o->threads;
    if (o->progress) {
        ctx.progress = forward;
        ctx.user = &progress;
    }
    const smelt_format *format;
    SMELT_TRY(format_for_target(&ctx, dst, NULL, &format, err));
    smelt_model model;
    smelt_plan plan = {0};
    smelt_imatrix imatrix = {0};
    smelt_write_opts write = {.split_bytes = o->split_bytes, .split_tensors = o->split_tensors, .file_type = -1};
    char number[32];
    snprintf(number, sizeof number, "%.9g", (double)o->replacement);
    const recorded as_commands = {.given = *o, .replacement = o->replace_nonfinite ? number : NULL};
    const run_opts kept = {.manifest = o->manifest};
    const conversion c = {.command = quantize ? &quantizing : &converting,
                          .src = src,
                          .dst = dst,
                          .type = o->type,
                          .blocks = quantize,
                          .opts = &as_commands,
                          .run = &kept};
    const smelt_stream_opts stream = {.resume = o->resume,
                                      .replace = o->replace_nonfinite,
                                      .replacement = o->replacement,
                                      .hash = o->manifest != NULL,
                                      .stage = c.command->name};
    smelt_choice *choices;
    smelt_status st = source_open(&ctx, src, &model, err);
    if (st == SMELT_OK) {
        st = plan_open(&ctx, &model, format, dst, &plan, err);
        if (st == SMELT_OK) st = choose(&ctx, &plan, quantize, o, &imatrix, &write, &choices, err);
        if (st == SMELT_OK && !o->no_provenance) st = record(&c, &plan, &write, err);
        if (st == SMELT_OK) st = plan_layout(&ctx, &plan, &write, err);
        if (st == SMELT_OK) st = carry_out(&ctx, &plan, &c, choices, &stream, err);
        plan_free(&plan);
    }
    model_free(&model);
    imatrix_free(&imatrix);
    return st;
}

smelt_status smelt_convert(const char *src, const char *dst, const smelt_convert_opts *opts, smelt_err *err)
{
    return run(src, dst, false, opts, err);
}
smelt_status smelt_quantize(const char *src, const char *dst, const smelt_convert_opts *opts, smelt_err *err)
{
    return run(src, dst, true, opts, err);
}

static smelt_status write_reports(const smelt_verify_opts *o, const verify_result *r, smelt_err *err)
{
    const struct {
        verify_report_fn *report;
        const char *path;
    } reports[] = {{report_json, o->json}, {report_junit, o->junit}, {report_html, o->html}};
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        if (reports[i].path) SMELT_TRY(write_report(r, reports[i].report, reports[i].path, err));
    return SMELT_OK;
}

smelt_status smelt_verify(const char *candidate, const char *original, const smelt_verify_opts *opts, smelt_err *err)
{
    static const smelt_verify_opts defaults;
    const smelt_verify_opts *o = opts ? opts : &defaults;
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (o->threads > 0) ctx.threads = o->threads;
    smelt_policy policy;
    verify_result r = {0};
    policy_init(&policy);
    const verifier_opts v = {.candidate = candidate,
                             .against = original,
                             .text = o->text,
                             .context = o->context,
                             .chunks = o->chunks,
                             .quick = o->quick,
                             .fast = o->fast,
                             .policy = &policy};
    smelt_status st = o->policy ? policy_load(&policy, o->policy, err) : SMELT_OK;
    if (st == SMELT_OK) st = verifier_run(&ctx, &v, &r, err);
    if (st == SMELT_OK) st = write_reports(o, &r, err);
    if (st == SMELT_OK) st = verifier_verdict(&r, err);
    verify_free(&r);
    policy_free(&policy);
    return st;
}
