#include "convert/plan.h"

#include <stdlib.h>
#include <string.h>

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

smelt_status plan_sort(smelt_plan *plan, smelt_err *err)
{
    if (plan->out.n_tensors) qsort(plan->out.tensors, plan->out.n_tensors, sizeof *plan->out.tensors, by_layer);
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        plan->types[i] = plan->out.tensors[i].dtype;
    return model_reindex(&plan->out, err);
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
