#include "engine/perplexity.h"

#include <math.h>
#include <string.h>

#include "engine/internal.h"

enum { CONTEXT = 512, BATCH = 2048 /* tokens that go through the layers together */ };

double engine_log_prob(const smelt_engine *e, const float *logits, int32_t token)
{
    const float top = e->vec->max(logits, e->vocab);
    return (double)logits[token] - (double)top - log(e->vec->sum_exp(logits, top, e->vocab));
}

double perplexity_value(const perplexity_sum *s, double *error)
{
    const double n = (double)s->count, mean = s->nll / n, value = exp(mean), variance = s->nll2 / n - mean * mean;
    if (error) *error = variance > 0 && n > 1 ? sqrt(variance / (n - 1)) * value : 0;
    return value;
}

/* Chunks that are computed together. */
typedef struct scoring {
    const smelt_engine *e;
    smelt_seq *seqs;
    size_t first; /* number of the first chunk, for messages */
    double *nll;  /* [seqs][context] of the next token; 0 where none is scored */
    size_t context;
} scoring;

static smelt_status score(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    const scoring *s = user;
    double *nll = s->nll + seq * s->context + first;
    const int32_t *next = s->seqs[seq].ids + first + 1;
    /* The last row has no token behind it in its chunk. */
    const size_t rows = first + n == s->seqs[seq].n ? n - 1 : n;
    const int threads = s->e->ctx.threads;
#pragma omp parallel for num_threads(threads)
    for (size_t i = 0; i < rows; i++)
        nll[i] = -engine_log_prob(s->e, logits + i * s->e->vocab, next[i]);
    for (size_t i = 0; i < rows; i++)
        if (!isfinite(nll[i]))
            return smelt_fail(err, SMELT_E_CORRUPT, "chunk %zu: the logits behind token %zu are not finite", s->first + seq,
                              first + i);
    return SMELT_OK;
}

static smelt_status run_chunks(smelt_engine *e, const int32_t *ids, size_t step, size_t from_token, size_t together, bool bos,
                               const perplexity_opts *o, scoring *s, int32_t *copy, perplexity_sum *sum, size_t all, smelt_err *err)
{
    for (size_t chunk = 0, n; chunk < all; chunk += n) {
        n = all - chunk < together ? all - chunk : together;
        for (size_t i = 0; i < n; i++) {
            memcpy(copy + i * s->context, ids + (chunk + i) * step, s->context * sizeof *copy);
            if (bos) copy[i * s->context] = o->bos;
            s->seqs[i] = (smelt_seq){.ids = copy + i * s->context, .n = s->context, .first = from_token};
        }
        s->first = chunk;
        SMELT_TRY(engine_run(e, s->seqs, n, score, s, err));
        for (size_t i = 0; i < n; i++)
            for (size_t t = from_token; t + 1 < s->context; t++) {
                const double nll = s->nll[i * s->context + t];
                sum->nll += nll;
                sum->nll2 += nll * nll;
                sum->count++;
            }
        sum->chunks += n;
        sum->tokens += n * s->context;
        if (o->progress && o->progress(o->user, sum, all)) return smelt_fail(err, SMELT_E_CANCELLED, "interrupted");
    }
    return SMELT_OK;
}

smelt_status perplexity_run(smelt_engine *e, const int32_t *ids, size_t n, const perplexity_opts *o, perplexity_sum *sum,
                            smelt_err *err)
{
    *sum = (perplexity_sum){0};
    const size_t context = o->context ? o->context : CONTEXT;
    if (context < 4 || context > INT32_MAX) return smelt_fail(err, SMELT_E_USAGE, "a context of %zu tokens", context);
    if (o->stride >= context) return smelt_fail(err, SMELT_E_USAGE, "a stride of %zu in a context of %zu", o->stride, context);
    if (n / 2 < context)
        return smelt_fail(err, SMELT_E_USAGE, "the text has %zu tokens; contexts of %zu need %zu", n, context, 2 * context);
    size_t all = o->stride ? (n - context + o->stride - 1) / o->stride : n / context;
    if (o->chunks && o->chunks < all) all = o->chunks;
    const size_t together = BATCH / context > all ? all : BATCH / context ? BATCH / context : 1;
    smelt_arena arena = {0};
    scoring s = {.e = e, .context = context};
    s.seqs = arena_calloc(&arena, together, sizeof *s.seqs);
    s.nll = arena_calloc(&arena, together * context, sizeof *s.nll);
    int32_t *copy = arena_calloc(&arena, together * context, sizeof *copy);
    smelt_status st = s.seqs && s.nll && copy ? SMELT_OK : smelt_oom(err);
    if (st == SMELT_OK)
        st = run_chunks(e, ids, o->stride ? o->stride : context, o->stride ? context - o->stride - 1 : context / 2, together,
                        o->bos >= 0 && !o->stride, o, &s, copy, sum, all, err);
    arena_free(&arena);
    return st;
}
