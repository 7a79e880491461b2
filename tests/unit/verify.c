/* The verifier's numbers against values calculated by hand, records of the most likely tokens against whole rows, and policies. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "ir/format.h"
#include "tools/compose.h"
#include "verify/policy.h"
#include "verify/run.h"
#include "verify/score.h"

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g instead of %.17g", got, want);
}

static const smelt_cpu levels[] = {SMELT_CPU_BASELINE, SMELT_CPU_AVX2, SMELT_CPU_AVX512};

/* Calls a check for every processor level that is here. */
static void each_level(void (*check)(const score_ops *ops))
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (smelt_cpu_covers(smelt_cpu_detect(), levels[i])) check(score_select(levels[i]));
}

/* P is (1/4, 1/4, 1/2), Q (1/2, 1/4, 1/4): 1/4 ln 1/2 + 1/2 ln 2 is ln 2 / 4. The other way around it is the same, and 0 with itself. The
 * three weights come again and again, 101 times, so that there is a rest behind every vector width. */
static void check_kl(const score_ops *ops)
{
    enum { TIMES = 101, N = 3 * TIMES };
    const double p[] = {1, 1, 2}, q[] = {2, 1, 1};
    float x[N], y[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)log(p[i % 3]) + 30;
        y[i] = (float)log(q[i % 3]) - 7;
    }
    const double x_norm = 30 + log(ops->sum_exp(x, 30, N)), y_norm = -7 + log(ops->sum_exp(y, -7, N));
    near(x_norm, 30 + log(4 * TIMES), 1e-6);
    near(ops->kl(x, x_norm, y, y_norm, N), log(2) / 4, 1e-6);
    near(ops->kl(y, y_norm, x, x_norm, N), log(2) / 4, 1e-6);
    near(ops->kl(x, x_norm, x, x_norm, N), 0, 1e-12);
    /* e^-900 is nothing, and no more than that. */
    const float far[] = {0, -900, -1};
    near(ops->sum_exp(far, 0, 3), 1 + exp(-1), 1e-15);
}
static void kl(void **state)
{
    (void)state;
    each_level(check_kl);
}

/* Errors of (3, 4) seen as (3, 2): 4; products 9 + 8. */
static void check_sums(const score_ops *ops)
{
    enum { N = 37 };
    float x[N] = {3, 4}, y[N] = {3, 2};
    x[N - 1] = y[N - 1] = -10;
    score_sums s;
    ops->sums(x, y, N, &s);
    near(s.xx, 125, 0);
    near(s.yy, 113, 0);
    near(s.xy, 117, 0);
    near(s.ee, 4, 0);
    near((double)s.x_max, 10, 0);
    near((double)s.y_max, 10, 0);
    near((double)s.e_max, 2, 0);
    assert_true(ops->finite(x, N));
    for (int i = 0; i < N; i++) {
        float odd[N] = {0};
        odd[i] = i % 2 ? INFINITY : NAN;
        assert_false(ops->finite(odd, N));
    }
}
static void sums(void **state)
{
    (void)state;
    each_level(check_sums);
}

static void check_top(const score_ops *ops)
{
    enum { N = 1000 };
    float x[N];
    int32_t top[SCORE_TOP];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 10);
    x[700] = 20;
    x[3] = 11;
    score_top(ops, x, N, top);
    const int32_t want[] = {700, 3, 9, 19, 29}; /* of equal ones the first */
    assert_memory_equal(top, want, sizeof want);
    score_top(ops, x, 2, top);
    const int32_t two[] = {1, 0, -1, -1, -1};
    assert_memory_equal(top, two, sizeof two);
}
static void top(void **state)
{
    (void)state;
    each_level(check_top);
}

/* ------------------------------------------------------------------------------------------------------ a model and its records */

enum { N_IDS = 96, CONTEXT = 32, VOCAB = 64 };

typedef struct models {
    smelt_ctx ctx;
    smelt_model original, candidate;
    smelt_engine *a, *b; /* candidate, original */
    int32_t ids[N_IDS];
} models;

static void open_models(models *m)
{
    smelt_err err = {0};
    assert_int_equal(ctx_init(&m->ctx, &err), SMELT_OK);
    m->ctx.threads = 2;
    /* Two models of one family and size that say different things. */
    if (source_open(&m->ctx, SMELT_SOURCE_DIR "/tests/data/families/llama", &m->original, &err) != SMELT_OK ||
        source_open(&m->ctx, SMELT_SOURCE_DIR "/tests/data/families/mistral", &m->candidate, &err) != SMELT_OK ||
        engine_open(&m->ctx, &m->candidate, NULL, &m->a, &err) != SMELT_OK ||
        engine_open(&m->ctx, &m->original, NULL, &m->b, &err) != SMELT_OK)
        fail_msg("%s: %s", err.where, err.text);
    for (int i = 0; i < N_IDS; i++)
        m->ids[i] = (i * i * 7 + i) % VOCAB;
}

static void close_models(models *m)
{
    engine_close(m->a);
    engine_close(m->b);
    model_free(&m->candidate);
    model_free(&m->original);
}

/* A reference that has all rows of another one, whole or the k most likely tokens of each. */
typedef struct records {
    smelt_reference base;
    size_t k, at, rows;
    int32_t ids[N_IDS / CONTEXT][CONTEXT];
    float logits[N_IDS / CONTEXT][CONTEXT][VOCAB];
    int32_t top_ids[N_IDS / CONTEXT][CONTEXT][VOCAB];
    float top[N_IDS / CONTEXT][CONTEXT][VOCAB];
    double norm[N_IDS / CONTEXT][CONTEXT];
} records;

static smelt_status records_next(smelt_reference *base, size_t most, reference_chunk *chunk, size_t *n, smelt_err *err)
{
    (void)most, (void)err;
    records *r = (records *)base;
    *n = r->at < base->chunks;
    if (*n) chunk[0] = (reference_chunk){.ids = r->ids[r->at], .n = CONTEXT, .first = CONTEXT / 2};
    r->at += *n;
    return SMELT_OK;
}

static void records_row(const smelt_reference *base, size_t i, size_t token, reference_row *out)
{
    (void)i;
    const records *r = (const records *)base;
    const size_t c = r->at - 1;
    *out = (reference_row){.logits = r->k ? NULL : r->logits[c][token],
                           .k = r->k,
                           .top_ids = r->top_ids[c][token],
                           .top = r->top[c][token],
                           .log_sum_exp = r->norm[c][token],
                           .target = r->logits[c][token][r->ids[c][token + 1]]};
}

static void records_close(smelt_reference *base) { (void)base; }
static const reference_ops records_ops = {records_next, records_row, records_close};

static int by_logit(const void *a, const void *b)
{
    const float *x = *(const float *const *)a, *y = *(const float *const *)b;
    return *x > *y ? -1 : *x < *y ? 1 : x < y ? -1 : 1;
}

static void record(models *m, records *r)
{
    smelt_err err = {0};
    smelt_reference *ref;
    reference_chunk chunk[64];
    assert_int_equal(reference_from_engine(m->b, m->ids, N_IDS, CONTEXT, 0, -1, &ref, &err), SMELT_OK);
    *r = (records){.base = {.ops = &records_ops, .vocab = VOCAB, .context = CONTEXT, .chunks = N_IDS / CONTEXT, .text = "records"}};
    for (size_t c = 0, n; assert_int_equal(ref->ops->next(ref, 1, chunk, &n, &err), SMELT_OK), n; c++) {
        memcpy(r->ids[c], chunk[0].ids, sizeof r->ids[c]);
        for (size_t t = chunk[0].first; t + 1 < CONTEXT; t++) {
            reference_row row;
            const float *order[VOCAB];
            double sum = 0;
            ref->ops->row(ref, 0, t, &row);
            memcpy(r->logits[c][t], row.logits, sizeof r->logits[c][t]);
            for (int i = 0; i < VOCAB; i++) {
                order[i] = &r->logits[c][t][i];
                sum += exp((double)row.logits[i]);
            }
            r->norm[c][t] = log(sum);
            qsort(order, VOCAB, sizeof *order, by_logit);
            for (int i = 0; i < VOCAB; i++) {
                r->top_ids[c][t][i] = (int32_t)(order[i] - r->logits[c][t]);
                r->top[c][t][i] = *order[i];
            }
        }
    }
    reference_close(ref);
}

static void compare(models *m, smelt_reference *ref, verify_result *r)
{
    smelt_err err = {0};
    const verify_logits_args args = {.candidate = m->a, .candidate_model = &m->candidate, .reference = ref};
    if (verify_logits_run(&m->ctx, &args, r, &err) != SMELT_OK) fail_msg("%s", err.text);
    assert_true(r->logits.done);
}

/* The sums once more, as their definitions say. */
static void whole_rows(void **state)
{
    (void)state;
    models m = {0};
    records *r = calloc(1, sizeof *r);
    verify_result result = {0};
    open_models(&m);
    record(&m, r);
    compare(&m, &r->base, &result);
    const verify_logits *l = &result.logits;
    assert_int_equal(l->scored, 3 * 15);
    assert_int_equal(l->chunks, 3);
    /* The candidate's rows, by the same way. */
    models other = m;
    other.b = m.a;
    records *q = calloc(1, sizeof *q);
    record(&other, q);
    double sum = 0, square = 0, dp2 = 0, more = 0, more2 = 0;
    size_t same = 0, common = 0;
    for (int c = 0; c < 3; c++)
        for (int t = 16; t < 31; t++) {
            double kl_row = 0;
            const int32_t target = m.ids[c * CONTEXT + t + 1];
            for (int i = 0; i < VOCAB; i++) {
                const double p = (double)r->logits[c][t][i] - r->norm[c][t], lq = (double)q->logits[c][t][i] - q->norm[c][t];
                kl_row += exp(p) * (p - lq);
            }
            sum += kl_row;
            square += kl_row * kl_row;
            const double p = (double)r->logits[c][t][target] - r->norm[c][t], lq = (double)q->logits[c][t][target] - q->norm[c][t];
            dp2 += (exp(lq) - exp(p)) * (exp(lq) - exp(p));
            more += p - lq;
            more2 += (p - lq) * (p - lq);
            same += r->top_ids[c][t][0] == q->top_ids[c][t][0];
            for (int i = 0; i < 5; i++)
                for (int k = 0; k < 5; k++)
                    common += r->top_ids[c][t][i] == q->top_ids[c][t][k];
        }
    const double n = 45;
    near(l->kl.value, sum / n, 1e-12);
    near(l->kl.error, sqrt((square / n - sum / n * sum / n) / (n - 1)), 1e-12);
    near(l->dp_rms.value, sqrt(dp2 / n), 1e-12);
    near(l->ppl_ratio.value, exp(more / n), 1e-12);
    near(l->ppl_ratio.error, exp(more / n) * sqrt((more2 / n - more / n * more / n) / (n - 1)), 1e-12);
    near(l->top1.value, (double)same / n, 1e-12);
    near(l->top5.value, (double)common / 5 / n, 1e-12);
    near(l->ppl.value / l->original_ppl.value, l->ppl_ratio.value, 1e-9);
    assert_false(l->bounded);
    size_t binned = 0;
    for (int i = 0; i < VERIFY_BINS; i++)
        binned += l->bins[i];
    assert_int_equal(binned, l->scored);
    assert_int_equal(l->first_position, 16);
    assert_int_equal(l->n_by_position, 15);
    near(l->worst[0].kl, l->kl_max.value, 0);
    verify_free(&result);
    free(q);
    free(r);
    close_models(&m);
}

/* What a record says exactly it says exactly, and KL lies between its bounds, which close in as k grows. */
static void records_bound(void **state)
{
    (void)state;
    models m = {0};
    records *r = calloc(1, sizeof *r);
    verify_result exact = {0};
    open_models(&m);
    record(&m, r);
    compare(&m, &r->base, &exact);
    double gap = INFINITY;
    for (size_t k = 5; k <= VOCAB; k = k * 2 < VOCAB ? k * 2 : k < VOCAB ? VOCAB : VOCAB + 1) {
        verify_result part = {0};
        r->k = k;
        r->at = 0;
        compare(&m, &r->base, &part);
        const verify_logits *l = &part.logits, *want = &exact.logits;
        near(l->ppl_ratio.value, want->ppl_ratio.value, 1e-6);
        near(l->top1.value, want->top1.value, 0);
        near(l->top5.value, want->top5.value, 0);
        near(l->dp_rms.value, want->dp_rms.value, 1e-6);
        assert_true(l->kl.value <= want->kl.value + 1e-6);
        assert_true(l->kl_above >= want->kl.value - 1e-6);
        assert_true(l->kl_above - l->kl.value < gap);
        gap = l->kl_above - l->kl.value;
        verify_free(&part);
    }
    near(gap, 0, 1e-6);
    verify_free(&exact);
    free(r);
    close_models(&m);
}

/* A model beside itself: nothing departs, and nothing depends on the threads. */
static void itself(void **state)
{
    (void)state;
    models m = {0};
    open_models(&m);
    for (int threads = 1; threads <= 3; threads++) {
        smelt_err err = {0};
        smelt_reference *ref;
        verify_result r = {0};
        m.ctx.threads = threads;
        const verify_logits_args args = {.candidate = m.b, .candidate_model = &m.original, .original = m.b};
        verify_logits_args with = args;
        assert_int_equal(reference_from_engine(m.b, m.ids, N_IDS, CONTEXT, 2, 1, &ref, &err), SMELT_OK);
        with.reference = ref;
        assert_int_equal(verify_logits_run(&m.ctx, &with, &r, &err), SMELT_OK);
        near(r.logits.kl_max.value, 0, 0);
        near(r.logits.top5.value, 1, 0);
        assert_int_equal(r.logits.chunks, 2);
        assert_int_equal(verify_greedy_run(&m.ctx, &with, m.ids, N_IDS, -1, 2, 6, &r, &err), SMELT_OK);
        assert_int_equal(r.greedy.token, -1);
        near(r.greedy.agreed.value, 6, 0);
        assert_int_equal(verify_weights_run(&m.ctx, &m.original, &m.original, false, &r, &err), SMELT_OK);
        assert_int_equal(r.weights.equal, r.weights.n);
        assert_int_equal(verify_structure_run(&m.ctx, &m.original, &m.original, &r, &err), SMELT_OK);
        assert_int_equal(r.structure.n, 0);
        reference_close(ref);
        verify_free(&r);
    }
    close_models(&m);
}

/* A weight of layer 1 is NaN: the place where that was first seen, and the tensor. In the head it is the logits themselves. */
static void not_finite(void **state)
{
    (void)state;
    static const struct {
        const char *tensor, *what;
        int layer;
    } cases[] = {{"blk.1.ffn_down.weight", "feed-forward", 1},
                 {"blk.0.attn_norm.weight", "norm before attention", 0},
                 {"blk.1.attn_q.weight", "queries", 1},
                 {"output.weight", "logits", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        models m = {0};
        smelt_err err = {0};
        smelt_arena arena = {0};
        verify_result r = {0};
        smelt_reference *ref;
        open_models(&m);
        /* A copy of the tensor in memory, with one element that is NaN. */
        smelt_tensor *t = &m.original.tensors[model_find(&m.original, cases[i].tensor) - m.original.tensors];
        uint8_t *bytes = arena_calloc(&arena, view_bytes_total(t->view), 1);
        view_read(t->view, 0, 0, view_rows(t->view) * view_cols(t->view), bytes);
        bytes[0] = 0xC0;
        bytes[1] = 0x7F; /* bfloat16 */
        assert_int_equal(t->dtype, SMELT_DT_BF16);
        assert_int_equal(view_bytes(&arena, t->dtype, &t->shape, bytes, view_bytes_total(t->view), &t->view, &err), SMELT_OK);
        assert_int_equal(reference_from_engine(m.a, m.ids, N_IDS, CONTEXT, 0, -1, &ref, &err), SMELT_OK);
        const verify_logits_args args = {.candidate = m.b, .candidate_model = &m.original, .reference = ref};
        if (verify_logits_run(&m.ctx, &args, &r, &err) != SMELT_OK) fail_msg("%s", err.text);
        assert_true(r.nonfinite.found);
        assert_false(r.nonfinite.in_original);
        assert_false(r.logits.done);
        assert_int_equal(r.nonfinite.chunk, 0);
        assert_int_equal(r.nonfinite.token, CONTEXT / 2);
        assert_int_equal(r.nonfinite.layer, cases[i].layer);
        assert_string_equal(r.nonfinite.what, cases[i].what);
        assert_string_equal(r.nonfinite.tensor, cases[i].tensor);
        assert_true(isnan(r.nonfinite.value));
        reference_close(ref);
        /* And among the weights it is one value that was finite. */
        models other = {0};
        open_models(&other);
        assert_int_equal(verify_weights_run(&m.ctx, &m.original, &other.original, false, &r, &err), SMELT_OK);
        assert_string_equal(r.weights.list[0].name, cases[i].tensor);
        assert_int_equal(r.weights.list[0].nonfinite, 1);
        assert_int_equal(r.weights.list[0].nonfinite_at, 0);
        close_models(&other);
        verify_free(&r);
        close_models(&m);
        arena_free(&arena);
    }
}

/* One block of a tensor, changed: its errors are found by hand. */
static void changed_block(void **state)
{
    (void)state;
    models m = {0};
    smelt_err err = {0};
    smelt_arena arena = {0};
    verify_result r = {0};
    open_models(&m);
    smelt_model other;
    assert_int_equal(source_open(&m.ctx, SMELT_SOURCE_DIR "/tests/data/families/llama", &other, &err), SMELT_OK);
    smelt_tensor *t = &other.tensors[model_find(&other, "blk.0.ffn_up.weight") - other.tensors];
    const uint64_t n = view_rows(t->view) * view_cols(t->view), cols = view_cols(t->view);
    float *x = arena_calloc(&arena, n, sizeof *x);
    tensor_floats(&m.ctx, t, 0, n, x);
    double xx = 0, ee = 0, row = 0;
    for (uint64_t i = 0; i < n; i++)
        xx += (double)x[i] * (double)x[i];
    for (uint64_t i = 3 * cols; i < 4 * cols; i++) {
        ee += (double)x[i] * (double)x[i] / 4;
        row += (double)x[i] * (double)x[i];
        x[i] /= 2;
    }
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &t->shape, x, n * sizeof *x, &t->view, &err), SMELT_OK);
    t->dtype = SMELT_DT_F32;
    assert_int_equal(verify_weights_run(&m.ctx, &other, &m.original, false, &r, &err), SMELT_OK);
    const verify_tensor *w = &r.weights.list[0];
    assert_string_equal(w->name, "blk.0.ffn_up.weight");
    near(w->snr, 10 * log10(xx / ee), 1e-9);
    near(w->rmse, sqrt(ee / (double)n), 1e-12);
    /* Half of a row: 1 / (1/2)^2 is 6.02 dB. All of its values are more than a quarter beyond its largest but those below 5/8 of it. */
    near(w->block_snr, 10 * log10(4), 1e-9);
    near(row / ee, 4, 1e-12);
    assert_int_equal(w->block_snr_at, 3 * cols);
    assert_int_equal(w->blocks, n / cols); /* rows are shorter than 256 */
    assert_int_equal(w->zeroed, 0);
    assert_int_equal(r.weights.equal, r.weights.n - 1);
    verify_free(&r);
    /* Nothing at all of the row is left. */
    for (uint64_t i = 3 * cols; i < 4 * cols; i++)
        x[i] = 0;
    assert_int_equal(verify_weights_run(&m.ctx, &other, &m.original, false, &r, &err), SMELT_OK);
    assert_int_equal(r.weights.list[0].zeroed, 1);
    near(r.weights.list[0].block_snr, 0, 1e-9);
    verify_free(&r);
    model_free(&other);
    close_models(&m);
    arena_free(&arena);
}

/* ----------------------------------------------------------------------------------------------------------------------- policies */

static smelt_status load(smelt_policy *p, const char *text, smelt_err *err)
{
    policy_init(p);
    *err = (smelt_err){0};
    return policy_parse(p, text, strlen(text), NULL, "p", err);
}

static void refused(const char *text, smelt_status status, const char *says)
{
    smelt_policy p;
    smelt_err err;
    assert_int_equal(load(&p, text, &err), status);
    if (!strstr(err.text, says)) fail_msg("'%s' is not in: %s", says, err.text);
    policy_free(&p);
}

static void bad_policies(void **state)
{
    (void)state;
    refused("{", SMELT_E_CORRUPT, "JSON");
    refused("[]", SMELT_E_USAGE, "a policy is a JSON object");
    refused("{\"treshold\": {}}", SMELT_E_USAGE, "a policy has description, extends, thresholds and tensors");
    refused("{\"thresholds\": {\"max-kk\": 1}}", SMELT_E_USAGE, "did you mean max-kl?");
    refused("{\"thresholds\": {\"max-kl\": \"1\"}}", SMELT_E_USAGE, "neither a number nor null");
    refused("{\"thresholds\": 3}", SMELT_E_USAGE, "no object");
    refused("{\"tensors\": {}}", SMELT_E_USAGE, "no list");
    refused("{\"tensors\": [{\"min-snr\": 3}]}", SMELT_E_USAGE, "no \"match\"");
    refused("{\"tensors\": [{\"match\": \"*\", \"max-kl\": 3}]}", SMELT_E_USAGE, "one value for the whole model");
    refused("{\"extends\": \"other.json\"}", SMELT_E_USAGE, "without a file");
    refused("{\"extends\": 1}", SMELT_E_USAGE, "no string");
    smelt_policy p;
    smelt_err err = {0};
    policy_init(&p);
    assert_int_equal(policy_set(&p, METRIC_KL, "0.1x", "option", &err), SMELT_E_USAGE);
    assert_int_equal(policy_set(&p, METRIC_KL, "nan", "option", &err), SMELT_E_USAGE);
    assert_int_equal(policy_set(&p, METRIC_TOP1, "97%", "option", &err), SMELT_OK);
    near(p.rules->limit[METRIC_TOP1].limit, 0.97, 1e-15);
    policy_free(&p);
}

/* Two tensors of 20 and 30 dB, and a KL of 0.1 +- 0.01. */
static void measured(verify_result *r)
{
    static const verify_tensor tensors[] = {{.name = "a.up", .type = SMELT_DT_Q4_0, .snr = 20, .block_snr = INFINITY},
                                            {.name = "a.down", .type = SMELT_DT_Q8_0, .snr = 30, .block_snr = INFINITY}};
    *r = (verify_result){.candidate = {.bits = 4.5}};
    r->weights = (verify_weights){.done = true, .n = 2, .list = tensors};
    r->logits = (verify_logits){.done = true, .kl = {0.1, 0.08, 0.12, 0.01}, .top1 = {1, 1, 1, 0}, .scored = 100};
}

static const verify_check *check_of(const verify_result *r, verify_metric metric)
{
    for (size_t i = 0; i < r->n_checks; i++)
        if (r->checks[i].metric == metric) return &r->checks[i];
    return NULL;
}

static void judged(const char *text, verify_result *r)
{
    smelt_policy p;
    smelt_err err;
    measured(r);
    if (load(&p, text, &err) != SMELT_OK || policy_judge(&p, r, &err) != SMELT_OK) fail_msg("%s", err.text);
    policy_free(&p);
}

static void judgement(void **state)
{
    (void)state;
    verify_result r;
    /* A limit within two standard errors is left open, with a warning. */
    const struct {
        const char *limit;
        verify_verdict verdict;
    } cases[] = {{"0.13", VERDICT_PASSED}, {"0.11", VERDICT_UNDECIDED}, {"0.09", VERDICT_UNDECIDED}, {"0.07", VERDICT_BREACHED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"extends\": \"none\", \"thresholds\": {\"max-kl\": %s}}", cases[i].limit);
        judged(text, &r);
        assert_int_equal(r.n_checks, 1);
        assert_int_equal(r.checks[0].verdict, cases[i].verdict);
        assert_int_equal(r.passed, cases[i].verdict != VERDICT_BREACHED);
        assert_int_equal(r.n_warnings, cases[i].verdict == VERDICT_UNDECIDED);
        verify_free(&r);
    }
    /* Each tensor that breaches is listed; where none does, the one that is nearest to its limit. */
    judged("{\"extends\": \"none\", \"thresholds\": {\"min-snr\": 35}}", &r);
    assert_int_equal(r.breached, 2);
    verify_free(&r);
    judged("{\"extends\": \"none\", \"thresholds\": {\"min-snr\": 35}, \"tensors\": [{\"match\": \"*.up\", \"min-snr\": 19},"
           "{\"match\": \"?.dow*\", \"min-snr\": null}]}",
           &r);
    assert_int_equal(r.breached, 0);
    assert_string_equal(check_of(&r, METRIC_SNR)->tensor, "a.up");
    near(check_of(&r, METRIC_SNR)->limit, 19, 0);
    verify_free(&r);
    /* The default asks more of a type with more bits. */
    judged("{}", &r);
    assert_non_null(check_of(&r, METRIC_KL));
    assert_non_null(check_of(&r, METRIC_NONFINITE));
    verify_free(&r);
    judged("{\"thresholds\": {\"max-kl\": null}}", &r);
    assert_null(check_of(&r, METRIC_KL));
    verify_free(&r);
    /* A limit that somebody asked for and nothing was measured for. */
    smelt_policy p;
    smelt_err err = {0};
    measured(&r);
    policy_init(&p);
    assert_int_equal(policy_set(&p, METRIC_GREEDY, "3", "option", &err), SMELT_OK);
    assert_int_equal(policy_judge(&p, &r, &err), SMELT_E_USAGE);
    policy_free(&p);
    verify_free(&r);
}

/* ------------------------------------------------------------------------------------------------------------------------ reports */

static void xml_is_escaped(void **state)
{
    (void)state;
    const verify_check checks[] = {{.metric = METRIC_SNR,
                                    .tensor = "<a>&\"'\x01\xFF",
                                    .from = "x",
                                    .value = {1, 1, 1, 0},
                                    .limit = 2,
                                    .verdict = VERDICT_BREACHED}};
    const verify_result r = {.candidate = {.path = "a\"b]]>\n"}, .n_checks = 1, .checks = checks, .breached = 1};
    smelt_buf out = {0};
    smelt_err err = {0};
    assert_int_equal(report_junit(&r, &out, &err), SMELT_OK);
    buf_u8(&out, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "value=\"a&#34;b]]&#62;&#10;\""));
    assert_non_null(strstr(text, "1 in &#60;a&#62;&#38;&#34;&#39;\xEF\xBF\xBD\xEF\xBF\xBD, at least 2"));
    assert_non_null(strstr(text, "tests=\"2\" failures=\"1\""));
    assert_true(utf8_valid(out.data, out.size - 1));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kl),           cmocka_unit_test(sums),          cmocka_unit_test(top),
        cmocka_unit_test(whole_rows),   cmocka_unit_test(itself),        cmocka_unit_test(records_bound),
        cmocka_unit_test(bad_policies), cmocka_unit_test(judgement),     cmocka_unit_test(xml_is_escaped),
        cmocka_unit_test(not_finite),   cmocka_unit_test(changed_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
