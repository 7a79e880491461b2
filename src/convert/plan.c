#include "convert/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"

smelt_status plan_open(const smelt_ctx *ctx, smelt_model *src, const smelt_format *format, const char *target, smelt_plan *plan,
                       smelt_err *err)
{
    *plan = (smelt_plan){.format = format, .target = target, .src = src};
    model_init(&plan->out);
    /* Types are chosen by the family's rules, unless a GGUF file has chosen before. */
    plan->out.arch = src->arch;
    plan->out.hp = src->hp;
    plan->out.meta_complete = src->meta_complete;
    plan->out.meta = src->meta;
    SMELT_TRY(format->project(ctx, src, &plan->out, err));
    plan->types = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *plan->types);
    plan->importance = arena_calloc(&plan->out.arena, plan->out.n_tensors, sizeof *plan->importance);
    if (!plan->types || !plan->importance) return smelt_oom(err);
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = plan->out.tensors[i].dtype;
    return SMELT_OK;
}

static int by_layer(const void *a, const void *b)
{
    const smelt_tensor *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_file(const void *a, const void *b)
{
    const smelt_tensor *x = a, *y = b;
    /* The parts of a split model are named in their order. */
    const int file = strcmp(x->file ? x->file : "", y->file ? y->file : "");
    if (file) return file;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static smelt_status sort(smelt_plan *plan, int (*compare)(const void *a, const void *b), smelt_err *err)
{
    if (plan->out.n_tensors) qsort(plan->out.tensors, plan->out.n_tensors, sizeof *plan->out.tensors, compare);
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = plan->out.tensors[i].dtype;
    return model_reindex(&plan->out, err);
}

smelt_status plan_sort(smelt_plan *plan, smelt_err *err) { return sort(plan, by_layer, err); }
smelt_status plan_sort_by_file(smelt_plan *plan, smelt_err *err) { return sort(plan, by_file, err); }

smelt_status plan_prune(smelt_plan *plan, const uint64_t *layers, size_t n, uint64_t *left, smelt_err *err)
{
    smelt_model *m = &plan->out;
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].layer >= 0 && (size_t)m->tensors[i].layer >= count) count = (size_t)m->tensors[i].layer + 1;
    bool *gone = arena_calloc(&m->arena, count, sizeof *gone);
    int *number = arena_calloc(&m->arena, count, sizeof *number);
    if (!gone || !number) return smelt_oom(err);
    for (size_t i = 0; i < n; i++) {
        if (layers[i] >= count)
            return smelt_fail(err, SMELT_E_USAGE, "there is no layer %" PRIu64 " to leave out: the model has %zu, counted from 0",
                              layers[i], count);
        gone[layers[i]] = true;
    }
    *left = 0;
    for (size_t i = 0; i < count; i++)
        if (!gone[i]) number[i] = (int)(*left)++;
    if (!*left) return smelt_fail(err, SMELT_E_USAGE, "no layer would remain of %zu", count);
    for (size_t i = 0; i < m->n_tensors; i++) {
        smelt_tensor t = m->tensors[i];
        if (t.layer >= 0 && gone[t.layer]) {
            m->left_out += view_rows(t.view) * view_cols(t.view);
            continue;
        }
        if (t.layer >= 0 && number[t.layer] != t.layer) {
            t.before = t.name;
            t.layer = number[t.layer];
            t.name = name_move(&m->arena, t.name, t.layer);
            if (!t.name) return smelt_oom(err);
        }
        m->tensors[kept] = t;
        plan->types[kept++] = t.dtype;
    }
    m->n_tensors = kept;
    return model_reindex(m, err);
}

/* Why a tensor cannot be stored as a type; NULL if it can. */
static const char *obstacle(const smelt_ctx *ctx, const smelt_format *format, smelt_dtype from, smelt_dtype to, bool weighted)
{
    if (!format->can_store(to)) return "the target format has no such type";
    if (from == to) return NULL;
    if (!ctx->codec[from].unpack) return "its type cannot be decoded";
    if (!ctx->codec[to].pack) return "its type cannot be encoded";
    if (ctx->codec[to].weights == SMELT_WEIGHTS_REQUIRED && !weighted) return "its type needs an importance matrix";
    return NULL;
}

smelt_status plan_layout(const smelt_ctx *ctx, smelt_plan *plan, const smelt_write_opts *opts, smelt_err *err)
{
    enum { SHOW = 20 };
    size_t bad = 0;
    smelt_err list = {0};
    for (size_t i = 0; i < plan->out.n_tensors; i++) {
        const smelt_tensor *t = &plan->out.tensors[i];
        const char *why = obstacle(ctx, plan->format, t->dtype, plan->types[i], plan->importance[i]);
        if (why && bad++ < SHOW)
            smelt_err_add(&list, "  %s: %s to %s: %s", t->name, smelt_dtype_get(t->dtype)->name,
                          smelt_dtype_get(plan->types[i])->name, why);
    }
    if (bad)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "%zu tensors cannot be stored as %s%s; choose another --type:\n%s", bad,
                          plan->format->title, bad > SHOW ? " (first ones shown)" : "", list.text);
    SMELT_TRY(plan->format->layout(ctx, plan->src, &plan->out, plan->types, plan->target, opts, &plan->layout, err));
    for (size_t i = 0; i < plan->layout.n_tensors; i++)
        plan->layout.tensors[i].importance = plan->importance[plan->layout.tensors[i].src - plan->out.tensors];
    return SMELT_OK;
}

void plan_free(smelt_plan *plan)
{
    arena_free(&plan->layout.arena);
    model_free(&plan->out);
    *plan = (smelt_plan){0};
}
