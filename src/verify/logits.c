/* Both models' predictions of the same text, row beside row; conventions of llama.cpp's tools/perplexity. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/internal.h"
#include "verify/trace.h"

enum { WORST = 20, WORDS = 12 /* tokens of text before a position */ };

/* One scored token. */
typedef struct score {
    double kl, above; /* at least, at most */
    double nll, original_nll;
    int32_t top, original_top;
    uint8_t common;         /* of the SCORE_TOP most likely */
    bool same;              /* the most likely */
    bool odd, original_odd; /* logits that are not finite */
} score;

typedef struct scoring {
    const verify_logits_args *a;
    const smelt_ctx *ctx;
    const score_ops *ops;
    verify_result *r;
    const reference_chunk *chunk; /* those in work */
    score **of;                   /* [chunks in work] */
    size_t vocab;
} scoring;

static double log_norm(const score_ops *ops, const float *x, size_t n)
{
    const double top = (double)ops->max(x, n);
    return top + log(ops->sum_exp(x, top, n));
}

static unsigned in_common(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    unsigned n = 0;
    for (size_t i = 0; i < n_a; i++)
        for (size_t k = 0; k < n_b; k++)
            n += a[i] >= 0 && a[i] == b[k];
    return n;
}

/* KL's bounds from a record of the most likely tokens; reference.h says why they hold. */
static void score_record(const scoring *s, const reference_row *p, const float *q, double q_norm, int32_t target, score *out)
{
    double known = 0, p_mass = 0, q_mass = 0;
    bool seen = false;
    double least = 1;
    for (size_t i = 0; i < p->k; i++) {
        const double log_p = (double)p->top[i] - p->log_sum_exp, log_q = (double)q[p->top_ids[i]] - q_norm, share = exp(log_p);
        known += share * (log_p - log_q);
        p_mass += share;
        q_mass += exp(log_q);
        seen = seen || p->top_ids[i] == target;
        least = log_p < least || i == 0 ? log_p : least;
    }
    if (!seen) {
        const double log_p = (double)p->target - p->log_sum_exp, log_q = (double)q[target] - q_norm, share = exp(log_p);
        known += share * (log_p - log_q);
        p_mass += share;
        q_mass += exp(log_q);
    }
    const double rest = 1 - p_mass > 0 ? 1 - p_mass : 0, q_rest = 1 - q_mass > 1e-300 ? 1 - q_mass : 1e-300;
    double lowest = INFINITY;
    for (size_t i = 0; i < s->vocab; i++)
        lowest = (double)q[i] < lowest ? (double)q[i] : lowest;
    out->kl = known + (rest > 0 ? rest * log(rest / q_rest) : 0);
    out->above = known + rest * (least - (lowest - q_norm));
    out->original_nll = p->log_sum_exp - (double)p->target;
    out->original_top = p->k ? p->top_ids[0] : -1;
}

static void score_row(const scoring *s, const reference_row *p, const float *q, int32_t target, score *out)
{
    const score_ops *ops = s->ops;
    *out = (score){.odd = !ops->finite(q, s->vocab), .original_odd = p->logits && !ops->finite(p->logits, s->vocab)};
    if (out->odd || out->original_odd) return;
    int32_t top[SCORE_TOP], theirs[SCORE_TOP];
    score_top(ops, q, s->vocab, top);
    const double q_norm = log_norm(ops, q, s->vocab);
    size_t n_theirs = SCORE_TOP;
    if (p->logits) {
        const double p_norm = log_norm(ops, p->logits, s->vocab);
        out->kl = out->above = ops->kl(p->logits, p_norm, q, q_norm, s->vocab);
        out->original_nll = p_norm - (double)p->logits[target];
        score_top(ops, p->logits, s->vocab, theirs);
        out->original_top = theirs[0];
    } else {
        score_record(s, p, q, q_norm, target, out);
        n_theirs = p->k < SCORE_TOP ? p->k : SCORE_TOP;
        for (size_t i = 0; i < n_theirs; i++)
            theirs[i] = p->top_ids[i];
    }
    /* Rounding of sums may leave a hair below zero. */
    out->kl = out->kl > 0 ? out->kl : 0;
    out->above = out->above > out->kl ? out->above : out->kl;
    out->nll = q_norm - (double)q[target];
    out->top = top[0];
    out->same = out->top == out->original_top;
    out->common = (uint8_t)in_common(top, SCORE_TOP, theirs, n_theirs);
}

static smelt_status on_rows(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)err;
    const scoring *s = user;
    const reference_chunk *c = &s->chunk[seq];
    const size_t rows = first + n == c->n ? n - 1 : n; /* the last one predicts what is not there */
    const smelt_reference *ref = s->a->reference;
    score *of = s->of[seq];
    const int threads = s->ctx->threads;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (size_t i = 0; i < rows; i++) {
        reference_row p;
        ref->ops->row(ref, seq, first + i, &p);
        score_row(s, &p, logits + i * s->vocab, c->ids[first + i + 1], &of[first + i - c->first]);
    }
    return SMELT_OK;
}

/* What is kept of the text: everything but the logits. */
typedef struct kept {
    smelt_arena arena;
    score *scores;
    size_t n, cap;
    struct kept_chunk {
        size_t first_score, scored, first;
        int32_t *ids; /* [first + scored + 1] */
    } * chunks;
    size_t n_chunks, cap_chunks;
} kept;

static smelt_status keep_chunk(kept *k, const reference_chunk *c, smelt_err *err)
{
    if (!arena_room(&k->arena, &k->chunks, k->n_chunks, &k->cap_chunks, sizeof *k->chunks)) return smelt_oom(err);
    struct kept_chunk *to = &k->chunks[k->n_chunks++];
    *to = (struct kept_chunk){.first_score = k->n, .scored = c->n - 1 - c->first, .first = c->first};
    to->ids = arena_calloc(&k->arena, c->n, sizeof *to->ids);
    if (!to->ids) return smelt_oom(err);
    memcpy(to->ids, c->ids, c->n * sizeof *to->ids);
    k->n += to->scored;
    return SMELT_OK;
}

typedef struct moments {
    double mean, error; /* of the mean */
} moments;

/* Of the n values that `value` gives; their standard error as llama-perplexity counts it. */
static moments moments_of(const score *s, size_t n, double (*value)(const score *s))
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += value(&s[i]);
    const double mean = n ? sum / (double)n : NAN;
    for (size_t i = 0; i < n; i++)
        square += (value(&s[i]) - mean) * (value(&s[i]) - mean);
    return (moments){mean, n > 1 ? sqrt(square / (double)n / (double)(n - 1)) : 0};
}

static double get_kl(const score *s) { return s->kl; }
static double get_above(const score *s) { return s->above; }
static double get_nll(const score *s) { return s->nll; }
static double get_original_nll(const score *s) { return s->original_nll; }
static double get_more(const score *s) { return s->nll - s->original_nll; }
static double get_same(const score *s) { return s->same; }
static double get_common(const score *s) { return (double)s->common / SCORE_TOP; }
static double get_dp2(const score *s)
{
    const double d = exp(-s->nll) - exp(-s->original_nll);
    return d * d;
}

static verify_value between(double value, double error)
{
    return (verify_value){.value = value, .low = value - 2 * error, .high = value + 2 * error, .error = error};
}

static verify_value of_exp(moments m)
{
    return (verify_value){
        .value = exp(m.mean), .low = exp(m.mean - 2 * m.error), .high = exp(m.mean + 2 * m.error), .error = exp(m.mean) * m.error};
}

static verify_value of_root(moments m)
{
    const double low = m.mean - 2 * m.error;
    return (verify_value){.value = sqrt(m.mean),
                          .low = low > 0 ? sqrt(low) : 0,
                          .high = sqrt(m.mean + 2 * m.error),
                          .error = m.mean > 0 ? m.error / (2 * sqrt(m.mean)) : 0};
}

static double at_rank(const double *sorted, size_t n, double rank)
{
    if (rank <= 0) return sorted[0];
    if (rank >= (double)(n - 1)) return sorted[n - 1];
    const size_t i = (size_t)rank;
    const double part = rank - (double)i;
    return (1 - part) * sorted[i] + part * sorted[i + 1];
}

/* A quantile with the order statistics that lie two deviations of the binomial distribution around it. Beyond the largest value nothing
 * is known. */
static verify_value quantile(const double *sorted, size_t n, double share)
{
    const double rank = share * (double)(n - 1), spread = 2 * sqrt((double)n * share * (1 - share));
    verify_value v = {.value = at_rank(sorted, n, rank), .low = at_rank(sorted, n, rank - spread)};
    v.high = rank + spread > (double)(n - 1) ? INFINITY : at_rank(sorted, n, rank + spread);
    return v;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int bin_of(double kl)
{
    const double bin = kl > 0 ? floor(log10(kl) * VERIFY_BINS_DECADE) + VERIFY_BINS_BELOW : 0;
    return bin < 0 ? 0 : bin >= VERIFY_BINS ? VERIFY_BINS - 1 : (int)bin;
}

static const char *spell(const scoring *s, const int32_t *ids, size_t n)
{
    return s->a->spell ? s->a->spell(s->a->user, &s->r->arena, ids, n) : NULL;
}

static smelt_status worst_positions(const scoring *s, const kept *k, verify_logits *l, smelt_err *err)
{
    verify_position *list = arena_calloc(&s->r->arena, WORST + 1, sizeof *list);
    if (!list) return smelt_oom(err);
    size_t n = 0;
    for (size_t c = 0; c < k->n_chunks; c++)
        for (size_t i = 0; i < k->chunks[c].scored; i++) {
            const score *x = &k->scores[k->chunks[c].first_score + i];
            size_t at = n;
            for (; at && x->kl > list[at - 1].kl; at--)
                list[at] = list[at - 1];
            if (at == WORST) continue;
            if (n < WORST) n++;
            list[at] = (verify_position){.chunk = c,
                                         .token = k->chunks[c].first + i,
                                         .kl = x->kl,
                                         .top = x->top,
                                         .original_top = x->original_top,
                                         .p = exp(-x->nll),
                                         .original_p = exp(-x->original_nll)};
        }
    for (size_t i = 0; i < n; i++) {
        verify_position *p = &list[i];
        const int32_t *ids = k->chunks[p->chunk].ids;
        const size_t before = p->token + 1 < WORDS ? p->token + 1 : WORDS;
        p->target = ids[p->token + 1];
        p->text = spell(s, ids + p->token + 1 - before, before);
        p->target_text = spell(s, &p->target, 1);
        p->top_text = spell(s, &p->top, 1);
        p->original_top_text = p->original_top < 0 ? NULL : spell(s, &p->original_top, 1);
    }
    l->worst = list;
    l->n_worst = n;
    return SMELT_OK;
}

static smelt_status by_chunk(const scoring *s, const kept *k, verify_logits *l, smelt_err *err)
{
    verify_chunk *list = arena_calloc(&s->r->arena, k->n_chunks, sizeof *list);
    size_t longest = 0, first = SIZE_MAX;
    for (size_t c = 0; c < k->n_chunks; c++) {
        const size_t end = k->chunks[c].first + k->chunks[c].scored;
        longest = end > longest ? end : longest;
        first = k->chunks[c].first < first ? k->chunks[c].first : first;
    }
    double *place = arena_calloc(&s->r->arena, longest, sizeof *place);
    size_t *count = arena_calloc(&s->r->arena, longest, sizeof *count);
    if (!list || !place || !count) return smelt_oom(err);
    for (size_t c = 0; c < k->n_chunks; c++) {
        const struct kept_chunk *at = &k->chunks[c];
        const score *x = k->scores + at->first_score;
        list[c] = (verify_chunk){.scored = at->scored,
                                 .kl = moments_of(x, at->scored, get_kl).mean,
                                 .top1 = moments_of(x, at->scored, get_same).mean,
                                 .ppl = exp(moments_of(x, at->scored, get_nll).mean),
                                 .original_ppl = exp(moments_of(x, at->scored, get_original_nll).mean)};
        for (size_t i = 0; i < at->scored; i++) {
            place[at->first + i - first] += x[i].kl;
            count[at->first + i - first]++;
        }
    }
    for (size_t i = 0; i < longest - first; i++)
        place[i] = count[i] ? place[i] / (double)count[i] : NAN;
    l->chunk = list;
    l->n_chunks = k->n_chunks;
    l->by_position = place;
    l->n_by_position = longest - first;
    l->first_position = first;
    return SMELT_OK;
}

static smelt_status conclude(const scoring *s, const kept *k, smelt_err *err)
{
    verify_logits *l = &s->r->logits;
    const size_t n = k->n;
    l->context = s->a->reference->context;
    l->chunks = k->n_chunks;
    l->scored = n;
    l->vocab = s->vocab;
    l->text = arena_strdup(&s->r->arena, s->a->reference->text);
    double *sorted = arena_calloc(&s->r->arena, n, sizeof *sorted);
    if (!sorted || !l->text) return smelt_oom(err);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = k->scores[i].kl;
        l->bins[bin_of(sorted[i])]++;
        l->bounded = l->bounded || k->scores[i].above > k->scores[i].kl;
    }
    qsort(sorted, n, sizeof *sorted, by_value);
    const moments kl = moments_of(k->scores, n, get_kl), same = moments_of(k->scores, n, get_same),
                  common = moments_of(k->scores, n, get_common);
    l->kl = between(kl.mean, kl.error);
    l->kl_above = moments_of(k->scores, n, get_above).mean;
    l->kl_median = quantile(sorted, n, 0.5);
    l->kl_p99 = quantile(sorted, n, 0.99);
    l->kl_p999 = quantile(sorted, n, 0.999);
    l->kl_max = between(sorted[n - 1], 0);
    l->top1 = between(same.mean, same.error);
    l->top5 = between(common.mean, common.error);
    l->dp_rms = of_root(moments_of(k->scores, n, get_dp2));
    l->ppl = of_exp(moments_of(k->scores, n, get_nll));
    l->original_ppl = of_exp(moments_of(k->scores, n, get_original_nll));
    l->ppl_ratio = of_exp(moments_of(k->scores, n, get_more));
    SMELT_TRY(by_chunk(s, k, l, err));
    SMELT_TRY(worst_positions(s, k, l, err));
    l->done = true;
    return SMELT_OK;
}

/* The first place where logits are not finite; true if there is one. */
static bool find_odd(const kept *k, size_t *chunk, size_t *token, bool *in_original)
{
    for (size_t c = 0; c < k->n_chunks; c++)
        for (size_t i = 0; i < k->chunks[c].scored; i++) {
            const score *x = &k->scores[k->chunks[c].first_score + i];
            if (!x->odd && !x->original_odd) continue;
            *chunk = c;
            *token = k->chunks[c].first + i;
            *in_original = x->original_odd;
            return true;
        }
    return false;
}

static smelt_status run_chunks(const scoring *all, kept *k, smelt_err *err)
{
    enum { TOGETHER = 64 };
    smelt_reference *ref = all->a->reference;
    reference_chunk chunk[TOGETHER];
    smelt_seq seqs[TOGETHER];
    score *of[TOGETHER];
    scoring s = *all;
    s.chunk = chunk;
    s.of = of;
    for (size_t n;;) {
        SMELT_TRY(ref->ops->next(ref, TOGETHER, chunk, &n, err));
        if (!n) return SMELT_OK;
        const size_t before = k->n, first = k->n_chunks;
        for (size_t i = 0; i < n; i++)
            SMELT_TRY(keep_chunk(k, &chunk[i], err));
        while (k->n > k->cap) {
            /* Old memory stays in the arena, so grow by doubling. */
            const size_t cap = k->cap ? 2 * k->cap : (size_t)1 << 14;
            score *more = arena_calloc(&k->arena, cap, sizeof *more);
            if (!more) return smelt_oom(err);
            if (before) memcpy(more, k->scores, before * sizeof *more);
            k->scores = more;
            k->cap = cap;
        }
        for (size_t i = 0; i < n; i++) {
            of[i] = k->scores + k->chunks[first + i].first_score;
            seqs[i] = (smelt_seq){.ids = chunk[i].ids, .n = chunk[i].n, .first = chunk[i].first};
        }
        SMELT_TRY(engine_run(s.a->candidate, seqs, n, on_rows, &s, err));
        size_t c, token;
        bool in_original;
        if (find_odd(k, &c, &token, &in_original)) return SMELT_OK;
        const smelt_progress progress = {.stage = "logits", .done = k->n_chunks, .total = ref->chunks};
        if (s.ctx->progress && s.ctx->progress(s.ctx->user, &progress)) return smelt_fail(err, SMELT_E_CANCELLED, "interrupted");
    }
}

smelt_status verify_logits_run(const smelt_ctx *ctx, const verify_logits_args *a, verify_result *r, smelt_err *err)
{
    scoring s = {.a = a, .ctx = ctx, .ops = score_select(ctx->cpu), .r = r, .vocab = engine_vocab(a->candidate)};
    if (s.vocab != a->reference->vocab)
        return smelt_fail(err, SMELT_E_MISMATCH, "the candidate gives %zu logits a token, the original %zu", s.vocab,
                          a->reference->vocab);
    kept k = {0};
    smelt_status st = run_chunks(&s, &k, err);
    size_t chunk, token;
    bool in_original;
    if (st == SMELT_OK && find_odd(&k, &chunk, &token, &in_original)) {
        const struct kept_chunk *c = &k.chunks[chunk];
        r->nonfinite = (verify_nonfinite){.found = true, .in_original = in_original, .chunk = chunk, .token = token, .layer = -1};
        const smelt_model *m = in_original ? a->original_model : a->candidate_model;
        if (m) st = verify_trace(ctx, m, c->ids, c->first + c->scored + 1, r, err);
    } else if (st == SMELT_OK && !k.n)
        st = smelt_fail(err, SMELT_E_USAGE, "there are no tokens to score");
    else if (st == SMELT_OK)
        st = conclude(&s, &k, err);
    arena_free(&k.arena);
    return st;
}
