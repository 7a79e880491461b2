#include "engine/sample.h"

#include <math.h>
#include <stdlib.h>

struct sample_item {
    float logit;
    int32_t id;
};

/* splitmix64, as a number in [0, 1). */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int by_logit(const void *a, const void *b)
{
    const struct sample_item *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

smelt_status sampler_next(smelt_sampler *s, const float *logits, size_t n, int32_t *token, smelt_err *err)
{
    size_t count = 0, best = n;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0))
            return smelt_fail(err, SMELT_E_CORRUPT, "the logits are not finite");
        if (best == n || logits[i] > logits[best]) best = i;
    }
    if (best == n || !isfinite(logits[best])) return smelt_fail(err, SMELT_E_CORRUPT, "no token has a finite logit");
    *token = (int32_t)best;
    if (!(s->temperature > 0)) return SMELT_OK;
    if (!s->items) s->items = arena_calloc(&s->arena, n, sizeof *s->items);
    if (!s->items) return smelt_oom(err);
    for (size_t i = 0; i < n; i++)
        s->items[count++] = (struct sample_item){logits[i], (int32_t)i};
    qsort(s->items, count, sizeof *s->items, by_logit);
    if (s->top_k && s->top_k < count) count = s->top_k;
    double sum = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp(((double)s->items[i].logit - (double)s->items[0].logit) / s->temperature);
    size_t keep = 0;
    while (keep < count && (keep == 0 || kept < s->top_p * sum))
        kept += exp(((double)s->items[keep++].logit - (double)s->items[0].logit) / s->temperature);
    double at = uniform(&s->seed) * kept;
    for (size_t i = 0; i < keep; i++) {
        *token = s->items[i].id;
        at -= exp(((double)s->items[i].logit - (double)s->items[0].logit) / s->temperature);
        if (at < 0) break;
    }
    return SMELT_OK;
}

void sampler_free(smelt_sampler *s) { arena_free(&s->arena); }
