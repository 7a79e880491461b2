#include "verify/trace.h"

#include <math.h>

#include "verify/internal.h"

typedef struct tracing {
    verify_nonfinite *found;
    bool seen;
} tracing;

static void look(void *user, const smelt_seen *seen)
{
    tracing *t = user;
    if (t->seen || seen->weight) return; /* what goes into a matrix came out of an operator */
    for (size_t i = 0; i < seen->rows * seen->cols; i++)
        if (!isfinite(seen->x[i])) {
            t->seen = true;
            t->found->layer = seen->layer;
            t->found->what = seen->what;
            t->found->value = (double)seen->x[i];
            return;
        }
}

static bool has_odd(const smelt_ctx *ctx, const smelt_tensor *t)
{
    enum { STEP = 4096 };
    float x[STEP];
    uint64_t n;
    if (!ctx->codec[t->dtype].unpack || !shape_elems(&t->shape, &n)) return false;
    for (uint64_t at = 0, step; at < n; at += step) {
        step = n - at < STEP ? n - at : STEP;
        tensor_floats(ctx, t, at, step, x);
        if (!score_select(ctx->cpu)->finite(x, step)) return true;
    }
    return false;
}

/* Without somebody who wants them there are no logits to look at. */
static smelt_status ignore(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)user, (void)seq, (void)first, (void)n, (void)logits, (void)err;
    return SMELT_OK;
}

smelt_status verify_trace(const smelt_ctx *ctx, const smelt_model *m, const int32_t *ids, size_t n, verify_result *r,
                          smelt_err *err)
{
    tracing t = {.found = &r->nonfinite};
    const smelt_engine_opts opts = {.fast = r->fast && !r->nonfinite.in_original, .observe = look, .user = &t};
    smelt_engine *engine;
    SMELT_TRY(engine_open(ctx, m, &opts, &engine, err));
    const smelt_seq seq = {.ids = ids, .n = n, .first = 0};
    const smelt_status st = engine_run(engine, &seq, 1, ignore, NULL, err);
    engine_close(engine);
    SMELT_TRY(st);
    if (!t.seen) r->nonfinite.what = "logits";
    for (size_t i = 0; i < m->n_tensors && !r->nonfinite.tensor; i++)
        if (m->tensors[i].layer == r->nonfinite.layer && has_odd(ctx, &m->tensors[i])) {
            r->nonfinite.tensor = arena_strdup(&r->arena, m->tensors[i].name);
            if (!r->nonfinite.tensor) return smelt_oom(err);
        }
    return SMELT_OK;
}
