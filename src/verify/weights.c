/* Each tensor beside the original's: decoded a stretch at a time, by all threads, summed in the order of the elements. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "verify/internal.h"

enum {
    STRETCH = 1 << 16,
    SAMPLE_STRETCH = 1 << 12,
    SAMPLE = 16,
    PLAIN_BLOCK = 256 /* also a whole number of blocks of any type */
};

/* What one stretch of a tensor, or all of it, adds up to. */
typedef struct sums {
    double xx, yy, xy, ee;
    uint64_t compared, blocks, saturated, zeroed, odd, original_odd;
    double worst; /* block: least signal to noise, as a ratio; INFINITY: none */
    uint64_t worst_at, odd_at, e_at;
    float e_max;
} sums;

typedef struct pair {
    const smelt_tensor *a, *b; /* candidate, original */
    uint64_t n, row, block, stretch, stretches;
    double least; /* square of a value that is still worth something */
} pair;

/* Adds the elements that are finite in both, one by one. */
static void add_odd(const float *x, const float *y, uint64_t n, uint64_t at, sums *s, score_sums *e)
{
    for (uint64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            s->original_odd++;
        else if (!isfinite(y[i])) {
            if (!s->odd++) s->odd_at = at + i;
        } else {
            const double a = (double)x[i], b = (double)y[i];
            e->xx += a * a;
            e->yy += b * b;
            e->xy += a * b;
            e->ee += (b - a) * (b - a);
            e->e_max = fmaxf(e->e_max, fabsf(y[i] - x[i]));
            e->x_max = fmaxf(e->x_max, fabsf(x[i]));
            e->y_max = fmaxf(e->y_max, fabsf(y[i]));
        }
    }
}

/* Whether more than one of eight values is a quarter larger than what the block can say. */
static bool saturated(const float *x, uint64_t n, float most)
{
    uint64_t beyond = 0;
    for (uint64_t i = 0; i < n; i++)
        beyond += fabsf(x[i]) > 1.25F * most;
    return beyond * 8 > n;
}

static void add_block(const score_ops *ops, double least, const float *x, const float *y, uint64_t n, uint64_t at, sums *s)
{
    score_sums e = {0};
    if (ops->finite(x, n) && ops->finite(y, n))
        ops->sums(x, y, n, &e);
    else
        add_odd(x, y, n, at, s, &e);
    s->xx += e.xx;
    s->yy += e.yy;
    s->xy += e.xy;
    s->ee += e.ee;
    s->blocks++;
    s->compared += n;
    const double floor = least * (double)n, size = e.xx > floor ? e.xx : floor;
    if (e.xx > floor && !(e.y_max > 0))
        s->zeroed++;
    else if (e.xx > floor && e.x_max > e.y_max && saturated(x, n, e.y_max))
        s->saturated++;
    if (e.ee > 0 && size / e.ee < s->worst) {
        s->worst = size / e.ee;
        s->worst_at = at;
    }
    if (e.e_max > s->e_max) {
        s->e_max = e.e_max;
        s->e_at = at;
        for (uint64_t i = 0; i < n; i++)
            if (fabsf(y[i] - x[i]) == e.e_max) {
                s->e_at = at + i;
                break;
            }
    }
}

static void add_stretch(const smelt_ctx *ctx, const score_ops *ops, const pair *p, uint64_t i, float *x, float *y, sums *s)
{
    const uint64_t first = i * p->stretch, end = p->n - first < p->stretch ? p->n : first + p->stretch;
    *s = (sums){.worst = INFINITY};
    tensor_floats(ctx, p->b, first, end - first, x);
    tensor_floats(ctx, p->a, first, end - first, y);
    for (uint64_t at = first, n; at < end; at += n) {
        const uint64_t rest = p->row - at % p->row;
        n = p->block < rest ? p->block : rest;
        n = n < end - at ? n : end - at;
        add_block(ops, p->least, x + (at - first), y + (at - first), n, at, s);
    }
}

static void join(sums *all, const sums *s)
{
    all->xx += s->xx;
    all->yy += s->yy;
    all->xy += s->xy;
    all->ee += s->ee;
    all->compared += s->compared;
    all->blocks += s->blocks;
    all->saturated += s->saturated;
    all->zeroed += s->zeroed;
    all->original_odd += s->original_odd;
    if (s->odd && !all->odd) all->odd_at = s->odd_at;
    all->odd += s->odd;
    if (s->worst < all->worst) {
        all->worst = s->worst;
        all->worst_at = s->worst_at;
    }
    if (s->e_max > all->e_max) {
        all->e_max = s->e_max;
        all->e_at = s->e_at;
    }
}

static double decibels(double ratio) { return ratio > 0 ? 10 * log10(ratio) : -INFINITY; }

static verify_tensor describe(const pair *p, const char *name, const sums *s)
{
    const double n = (double)s->compared;
    return (verify_tensor){
        .name = name,
        .layer = p->b->layer,
        .shape = p->b->shape,
        .type = p->a->dtype,
        .original_type = p->b->dtype,
        .elements = p->n,
        .compared = s->compared,
        .equal = s->ee == 0 && !s->odd,
        .rmse = n > 0 ? sqrt(s->ee / n) : 0,
        .original_rms = n > 0 ? sqrt(s->xx / n) : 0,
        .snr = s->ee > 0 ? decibels(s->xx / s->ee) : INFINITY,
        .cosine = s->xx > 0 && s->yy > 0 ? s->xy / (sqrt(s->xx) * sqrt(s->yy)) : NAN,
        .max_error = (double)s->e_max,
        .max_error_at = s->e_at,
        .blocks = s->blocks,
        .saturated = s->saturated,
        .zeroed = s->zeroed,
        .block_snr = s->worst < INFINITY ? decibels(s->worst) : INFINITY,
        .block_snr_at = s->worst_at,
        .nonfinite = s->odd,
        .nonfinite_at = s->odd_at,
        .original_nonfinite = s->original_odd,
    };
}

static bool make_pair_of(const smelt_tensor *a, const smelt_tensor *b, bool quick, pair *p)
{
    *p = (pair){.a = a, .b = b};
    if (!a || !b || !shape_equal(&a->shape, &b->shape) || !shape_elems(&b->shape, &p->n) || !p->n) return false;
    const smelt_dtype_row *type = smelt_dtype_get(a->dtype);
    p->row = b->shape.n ? b->shape.dim[b->shape.n - 1] : 1;
    p->block = type->kind == SMELT_KIND_BLOCK ? type->elems : PLAIN_BLOCK;
    /* Whole rows, or whole blocks of one: decoding begins where a block does. */
    p->stretch = quick ? SAMPLE_STRETCH : STRETCH;
    p->stretch = p->row <= p->stretch ? p->stretch / p->row * p->row : p->row % p->stretch ? p->row : p->stretch;
    p->stretches = (p->n + p->stretch - 1) / p->stretch;
    return true;
}

typedef struct work {
    const smelt_ctx *ctx;
    const score_ops *ops;
    bool quick;
    smelt_arena arena; /* buffers */
    float **x;         /* [threads] of two stretches */
    uint64_t room;     /* floats of a stretch */
    sums *part;
    uint64_t parts;
    uint64_t done, total; /* bytes, for progress */
} work;

static smelt_status make_room(work *w, const pair *p, smelt_err *err)
{
    const uint64_t parts = w->quick ? (p->stretches + SAMPLE - 1) / SAMPLE : p->stretches;
    if (p->stretch <= w->room && parts <= w->parts) return SMELT_OK;
    if (p->stretch > w->room) w->room = p->stretch;
    if (parts > w->parts) w->parts = parts;
    arena_free(&w->arena);
    const size_t threads = (size_t)w->ctx->threads;
    w->x = arena_calloc(&w->arena, threads, sizeof *w->x);
    w->part = arena_calloc(&w->arena, w->parts, sizeof *w->part);
    bool ok = w->x && w->part;
    for (size_t i = 0; i < threads && ok; i++)
        ok = (w->x[i] = arena_calloc(&w->arena, 2 * w->room, sizeof **w->x)) != NULL;
    return ok ? SMELT_OK : smelt_oom(err);
}

/* The ten-thousandth part of the mean square of the original's values, from a few stretches. */
static double least_square(const smelt_ctx *ctx, const score_ops *ops, const pair *p, float *x)
{
    enum { LOOKS = 8 };
    const uint64_t step = p->stretches < LOOKS ? 1 : p->stretches / LOOKS;
    double sum = 0, count = 0;
    for (uint64_t i = 0; i < p->stretches; i += step) {
        const uint64_t first = i * p->stretch, n = p->n - first < p->stretch ? p->n - first : p->stretch;
        score_sums s;
        tensor_floats(ctx, p->b, first, n, x);
        if (!ops->finite(x, n)) continue;
        ops->sums(x, x, n, &s);
        sum += s.xx;
        count += (double)n;
    }
    return count > 0 ? 1e-4 * sum / count : 0;
}

static smelt_status compare(work *w, pair *p, const char *name, verify_tensor *out, smelt_err *err)
{
    for (int side = 0; side < 2; side++) {
        const smelt_tensor *t = side ? p->b : p->a;
        if (!w->ctx->codec[t->dtype].unpack)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s': %s cannot be decoded", t->name,
                              smelt_dtype_get(t->dtype)->name);
    }
    SMELT_TRY(make_room(w, p, err));
    p->least = least_square(w->ctx, w->ops, p, w->x[0]);
    const uint64_t step = w->quick ? SAMPLE : 1, parts = (p->stretches + step - 1) / step;
    const int threads = w->ctx->threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (uint64_t i = 0; i < parts; i++) {
        float *x = w->x[omp_get_thread_num()];
        add_stretch(w->ctx, w->ops, p, i * step, x, x + w->room, &w->part[i]);
    }
    sums all = {.worst = INFINITY};
    for (uint64_t i = 0; i < parts; i++)
        join(&all, &w->part[i]);
    *out = describe(p, name, &all);
    w->done += view_bytes_total(p->a->view) + view_bytes_total(p->b->view);
    const smelt_progress progress = {.stage = "weights", .tensor = name, .done = w->done, .total = w->total};
    if (w->ctx->progress && w->ctx->progress(w->ctx->user, &progress)) return smelt_fail(err, SMELT_E_CANCELLED, "interrupted");
    return SMELT_OK;
}

static int worst_first(const void *a, const void *b)
{
    const verify_tensor *x = a, *y = b;
    if ((x->nonfinite > 0) != (y->nonfinite > 0)) return x->nonfinite ? -1 : 1;
    if (x->snr != y->snr) return x->snr < y->snr ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The pair of tensors number i: the original's with what the candidate has for it, and behind them a head that only the candidate stores. */
static bool pair_at(const smelt_model *a, const smelt_model *b, size_t i, bool quick, pair *p)
{
    if (i < b->n_tensors)
        return b->tensors[i].role != SMELT_R_ROPE_FREQS &&
               make_pair_of(verify_counterpart(a, &b->tensors[i]), &b->tensors[i], quick, p);
    const smelt_tensor *t = &a->tensors[i - b->n_tensors];
    return t->role == SMELT_R_OUTPUT && !model_find(b, t->name) && make_pair_of(t, verify_counterpart(b, t), quick, p);
}

smelt_status verify_weights_run(const smelt_ctx *ctx, const smelt_model *candidate, const smelt_model *original, bool quick,
                                verify_result *r, smelt_err *err)
{
    work w = {.ctx = ctx, .ops = score_select(ctx->cpu), .quick = quick};
    const size_t all = candidate->n_tensors + original->n_tensors;
    verify_tensor *list = arena_calloc(&r->arena, all, sizeof *list);
    if (!list) return smelt_oom(err);
    pair p;
    for (size_t i = 0; i < all; i++)
        if (pair_at(candidate, original, i, quick, &p)) w.total += view_bytes_total(p.a->view) + view_bytes_total(p.b->view);
    verify_weights *out = &r->weights;
    smelt_status st = SMELT_OK;
    double signal = 0, noise = 0;
    for (size_t i = 0; i < all && st == SMELT_OK; i++) {
        if (!pair_at(candidate, original, i, quick, &p)) continue;
        const char *name = arena_strdup(&r->arena, i < original->n_tensors ? p.b->name : p.a->name);
        verify_tensor *t = &list[out->n++];
        st = name ? compare(&w, &p, name, t, err) : smelt_oom(err);
        const double n = (double)t->compared;
        signal += t->original_rms * t->original_rms * n;
        noise += t->rmse * t->rmse * n;
        out->equal += t->equal;
    }
    arena_free(&w.arena);
    SMELT_TRY(st);
    qsort(list, out->n, sizeof *list, worst_first);
    out->list = list;
    out->snr = noise > 0 ? decibels(signal / noise) : INFINITY;
    out->sampled = quick;
    out->done = true;
    return SMELT_OK;
}
