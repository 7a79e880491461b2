/* The engine's operators against values calculated by hand, and a whole model against transformers' logits and against itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bf16.h"
#include "engine/int8.h"
#include "engine/perplexity.h"
#include "ir/format.h"
#include "tools/compose.h"

static void near(float got, double want, double tolerance)
{
    if (!(fabs((double)got - want) <= tolerance)) fail_msg("%.9g instead of %.9g", (double)got, want);
}

static const smelt_cpu levels[] = {SMELT_CPU_BASELINE, SMELT_CPU_NEON,   SMELT_CPU_DOTPROD,
                                   SMELT_CPU_AVX2,     SMELT_CPU_AVX512, SMELT_CPU_VNNI};

/* Calls a check for every processor level that is here. */
static void each_level(void (*check)(const vec_ops *v))
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (smelt_cpu_covers(smelt_cpu_detect(), levels[i])) check(vec_select(levels[i]));
}

/* rms of (3, 4) is sqrt(12.5); mean of (1, 3) is 2, deviation 1. */
static void check_norms(const vec_ops *v)
{
    const float x[] = {3, 4}, w[] = {2, 10}, b[] = {100, 200}, z[] = {1, 3};
    float y[2];
    v->norm_rms(x, w, 0, 2, y);
    near(y[0], 6 / sqrt(12.5), 1e-6);
    near(y[1], 40 / sqrt(12.5), 1e-5);
    v->norm_rms(x, w, 12.5F, 2, y);
    near(y[0], 6 / 5.0, 1e-6);
    v->norm_layer(z, w, b, 0, 2, y);
    near(y[0], 98, 1e-5);
    near(y[1], 210, 1e-5);
    v->norm_layer(z, w, NULL, 3, 2, y);
    near(y[0], -1, 1e-6);
    near(y[1], 5, 1e-6);
}
static void norms(void **state)
{
    (void)state;
    each_level(check_norms);
}

/* Formulas in double precision; 37 values leave a rest behind every vector width. */
static void check_activations(const vec_ops *v)
{
    enum { N = 37 };
    for (int k = 0; k < N; k++) {
        const double x = (k - 18) * 0.75;
        float f[ACT_COUNT][N];
        for (int a = 1; a < ACT_COUNT; a++) {
            for (int i = 0; i < N; i++)
                f[a][i] = (float)x;
            v->act[a](f[a], N);
        }
        near(f[ACT_SILU][k], x / (1 + exp(-x)), 1e-6 * fmax(1, fabs(x)));
        near(f[ACT_GELU][k], 0.5 * x * (1 + erf(x / sqrt(2))), 1e-6 * fmax(1, fabs(x)));
        near(f[ACT_GELU_TANH][k], 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))), 1e-6 * fmax(1, fabs(x)));
        near(f[ACT_GELU_SIGMOID][k], x / (1 + exp(-1.702 * x)), 1e-6 * fmax(1, fabs(x)));
        near(f[ACT_RELU][k], x > 0 ? x : 0, 0);
    }
    /* gate 10 is clamped to 7, up -9 to -7: (1 - 7) * 7 * sigmoid(1.702 * 7). */
    float gate[] = {10, -1}, up[] = {-9, 0.5F};
    v->clamped_swiglu(gate, up, 1.702F, 7, 2);
    near(gate[0], -42 / (1 + exp(-1.702 * 7)), 1e-5);
    near(gate[1], -1.5 / (1 + exp(1.702)), 1e-6);
}
static void activations(void **state)
{
    (void)state;
    each_level(check_activations);
}

static void check_sums(const vec_ops *v)
{
    enum { N = 1003 };
    float x[N];
    double want = 0;
    for (int i = 0; i < N; i++) {
        x[i] = (float)((i * 37) % 91) * 0.5F - 40;
        want += exp((double)x[i] - 5);
    }
    near(v->max(x, N), 5, 0);
    near((float)v->sum_exp(x, 5, N), want, 1e-6 * want);
    near(v->exp_sum(x, 5, N), want, 1e-6 * want);
    near(x[1], exp(-21.5 - 5), 1e-6 * exp(-26.5));
    float odd[] = {-200, NAN, 0};
    v->exp_sum(odd, 0, 3);
    near(odd[0], 0, 0);
    assert_true(isnan(odd[1]));
    near(odd[2], 1, 0);
}
static void sums(void **state)
{
    (void)state;
    each_level(check_sums);
}

/* A quarter turn of the first pair, none of the second. */
static void check_turns(const vec_ops *v)
{
    const float c[] = {0, 1}, s[] = {1, 0};
    float halves[] = {1, 2, 3, 4}, pairs[] = {1, 2, 3, 4};
    v->turn_halves(halves, c, s, 2);
    v->turn_pairs(pairs, c, s, 2);
    const float want_halves[] = {-3, 2, 1, 4}, want_pairs[] = {-2, 1, 3, 4};
    assert_memory_equal(halves, want_halves, sizeof halves);
    assert_memory_equal(pairs, want_pairs, sizeof pairs);
}
static void turns(void **state)
{
    (void)state;
    each_level(check_turns);
}

/* The paper's slopes for 8 heads are 1/2 … 1/256; 6 heads have 4 of them, and two from between. */
static void slopes(void **state)
{
    (void)state;
    float s[8];
    alibi_slopes(8, 8, s);
    for (int i = 0; i < 8; i++)
        near(s[i], pow(2, -(i + 1)), 0);
    alibi_slopes(6, 8, s);
    const double want[] = {0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125};
    for (int i = 0; i < 6; i++)
        near(s[i], want[i], 1e-9);
}

static void bare_engine(smelt_engine *e)
{
    smelt_err err = {0};
    *e = (smelt_engine){0};
    assert_int_equal(ctx_init(&e->ctx, &err), SMELT_OK);
    e->ctx.threads = 2;
    e->vec = vec_select(e->ctx.cpu);
}

/* Two query heads over one key head of one dimension; scores are ln 1, ln 2, ln 3 … so that weights are simple fractions. */
static void attention_by_hand(void **state)
{
    (void)state;
    smelt_engine e;
    bare_engine(&e);
    const float k[] = {0, logf(2), logf(3)}, v[] = {6, 12, 60}, q[] = {1, 0, 1, 0, 1, 0};
    float out[6];
    const attend_seq seq = {.q = q, .k = k, .v = v, .out = out, .n = 3};
    attend_args a = {.seqs = &seq, .n_seqs = 1, .heads = 2, .kv_heads = 1, .dim = 1, .scale = 1};
    assert_int_equal(attend(&e, &a, NULL), SMELT_OK);
    const double causal[] = {6, 6, (6 + 2 * 12) / 3.0, (6 + 12) / 2.0, (6 + 2 * 12 + 3 * 60) / 6.0, (6 + 12 + 60) / 3.0};
    for (int i = 0; i < 6; i++)
        near(out[i], causal[i], 1e-5);
    /* A window of two forgets the first key at the third position; a sink of ln 5 takes 5 parts. */
    const float sinks[] = {logf(5), 0};
    a.window = 2;
    a.sinks = sinks;
    assert_int_equal(attend(&e, &a, NULL), SMELT_OK);
    const double sunk[] = {6 / 6.0, 6 / 2.0, (6 + 2 * 12) / 8.0, (6 + 12) / 3.0, (2 * 12 + 3 * 60) / 10.0, (12 + 60) / 3.0};
    for (int i = 0; i < 6; i++)
        near(out[i], sunk[i], 1e-5);
    /* ALiBi takes slope times distance off: with ln 2, half of the weight a step. */
    const float alibi[] = {logf(2), 0};
    a = (attend_args){.seqs = &seq, .n_seqs = 1, .heads = 2, .kv_heads = 1, .dim = 1, .scale = 1, .alibi = alibi};
    assert_int_equal(attend(&e, &a, NULL), SMELT_OK);
    near(out[2], (0.5 * 6 + 2 * 12) / 2.5, 1e-5);
    near(out[4], (0.25 * 6 + 0.5 * 2 * 12 + 3 * 60) / 4.25, 1e-4);
    near(out[5], (6 + 12 + 60) / 3.0, 1e-5);
    arena_free(&e.scratch_arena);
}

/* Row r of the matrix is (r, r + 1, r + 2 …): products are sums that a formula gives. */
static void products(void **state)
{
    (void)state;
    enum { ROWS = 300, COLS = 33, TOKENS = 5 };
    smelt_engine e;
    bare_engine(&e);
    smelt_arena arena = {0};
    float *w = arena_calloc(&arena, ROWS * COLS, sizeof *w), *y = arena_calloc(&arena, TOKENS * ROWS, sizeof *y), bias[ROWS];
    float x[TOKENS * COLS];
    for (int r = 0; r < ROWS; r++) {
        bias[r] = (float)(1000 * r);
        for (int c = 0; c < COLS; c++)
            w[r * COLS + c] = (float)(r + c);
    }
    for (int i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)(i / COLS + 1);
    smelt_tensor wt = {.name = "w", .dtype = SMELT_DT_F32}, bt = {.name = "b", .dtype = SMELT_DT_F32};
    const smelt_shape ws = {2, {ROWS, COLS}}, bs = {1, {ROWS}};
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &ws, w, ROWS * COLS * sizeof *w, &wt.view, NULL), SMELT_OK);
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &bs, bias, sizeof bias, &bt.view, NULL), SMELT_OK);
    for (size_t tokens = 1; tokens <= TOKENS; tokens += TOKENS - 1)
        for (uint64_t first = 0; first <= 100; first += 100) {
            const linear_args a = {.w = &wt,
                                   .bias = &bt,
                                   .first_row = first,
                                   .rows = ROWS - first,
                                   .cols = COLS,
                                   .x = x,
                                   .tokens = tokens,
                                   .ldx = COLS,
                                   .ldy = ROWS};
            assert_int_equal(linear(&e, &a, y, NULL), SMELT_OK);
            for (size_t t = 0; t < tokens; t++)
                for (uint64_t r = 0; r < a.rows; r++) {
                    const double row = (double)(r + first);
                    near(y[t * ROWS + r], (double)(t + 1) * (COLS * row + COLS * (COLS - 1) / 2) + 1000 * row, 0.5);
                }
        }
    arena_free(&e.scratch_arena);
    arena_free(&arena);
}

/* Codes of 32 activations whose largest is 127 are the activations; the scale is then 1. */
static void check_rounding(const vec_ops *v)
{
    float x[64];
    int8_t code[64];
    float scale[4];
    int32_t sum[4];
    for (int i = 0; i < 32; i++) {
        x[i] = (float)(127 - 8 * i);
        x[i + 32] = 0;
    }
    x[0] = -127;
    x[5] = 3.4F;
    x[6] = -2.6F;
    v->round8(x, 64, 16, code, scale, sum);
    for (int i = 0; i < 32; i++)
        assert_int_equal(code[i], i == 5 ? 3 : i == 6 ? -3 : (int)x[i]);
    near(scale[0], 1, 0);
    near(scale[1], 1, 0);
    near(scale[2], 0, 0);
    int want[2] = {0};
    for (int i = 0; i < 32; i++)
        want[i / 16] += code[i];
    assert_int_equal(sum[0], want[0]);
    assert_int_equal(sum[1], want[1]);
    v->round8(x, 64, 32, code, scale, sum);
    assert_int_equal(sum[0], want[0] + want[1]);
    assert_int_equal(sum[1], 0);
    x[40] = NAN;
    v->round8(x, 64, 32, code, scale, sum);
    near(scale[0], 1, 0);
    assert_true(isnan(scale[1]));
}
static void activations_in_8_bits(void **state)
{
    (void)state;
    each_level(check_rounding);
}

/* Sums of integers that double precision holds exactly, for every kernel, with all extremes of the codes. */
static void integer_products(void **state)
{
    (void)state;
    enum { COLS = 96, TOKENS = 11 };
    int8_t x[TOKENS * COLS], w[COLS * INT8_ROWS];
    float xs[TOKENS * COLS / 16], ws[COLS], wm[COLS], y[TOKENS * 20];
    int32_t sum[TOKENS * COLS / 16];
    for (uint32_t group = 16; group <= 32; group *= 2) {
        const size_t groups = COLS / group;
        for (int i = 0; i < TOKENS * COLS; i++)
            x[i] = (int8_t)(i % 7 == 0 ? 127 : i % 11 == 0 ? -127 : i * 53 % 255 - 127);
        for (int i = 0; i < COLS * INT8_ROWS; i++)
            w[i] = (int8_t)(i % 5 == 0 ? -128 : i % 13 == 0 ? 127 : i * 29 % 256 - 128);
        for (size_t i = 0; i < INT8_ROWS * groups; i++) {
            ws[i] = (float)(i % 9) * 0.25F;
            wm[i] = (float)(i % 4) - 1.5F;
        }
        for (size_t i = 0; i < TOKENS * groups; i++) {
            xs[i] = (float)(i % 3 + 1) * 0.5F;
            sum[i] = 0;
            for (size_t k = 0; k < group; k++)
                sum[i] += x[i * group + k];
        }
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            if (!smelt_cpu_covers(smelt_cpu_detect(), levels[l])) continue;
            const int8_tokens tokens = {x, xs, sum, TOKENS, COLS};
            const int8_panel panel = {w, ws, wm, group}, plain = {w, ws, NULL, group};
            for (int shifted = 0; shifted < 2; shifted++) {
                int8_select(levels[l])(&tokens, shifted ? &panel : &plain, y, 20);
                for (size_t t = 0; t < TOKENS; t++)
                    for (size_t r = 0; r < INT8_ROWS; r++) {
                        double want = 0;
                        for (size_t k = 0; k < COLS; k++) {
                            const size_t g = k / group;
                            const double weight = (double)w[(k / 4 * INT8_ROWS + r) * 4 + k % 4] * (double)ws[g * INT8_ROWS + r] +
                                                  (shifted ? (double)wm[g * INT8_ROWS + r] : 0);
                            want += weight * x[t * COLS + k] * (double)xs[t * groups + g];
                        }
                        near(y[t * 20 + r], want, 1); /* sums reach 3 million */
                    }
            }
        }
    }
}

/* Integers below 256 are bfloat16 numbers, and their sums here float32 numbers: products are exact, with rows and tokens that fill no
 * block, weights at odd places of a matrix, and few tokens and many. 257 and 259 lie between two numbers: the even ones are
 * 256 and 260. On a processor without such products float32's are taken, and nothing is rounded. */
static void check_bf16(const bf16_ops *ops)
{
    enum { ROWS = 117, COLS = 64, TOKENS = 53, FIRST = 5 };
    smelt_engine e;
    bare_engine(&e);
    e.bf16 = ops;
    e.opts.fast = true;
    static uint16_t w[ROWS * COLS];
    static float x[TOKENS * COLS], y[TOKENS * (ROWS + 3)];
    float bias[ROWS];
    for (int i = 0; i < ROWS * COLS; i++) {
        const float f = (float)(i * 31 % 511 - 255);
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        w[i] = (uint16_t)(bits >> 16);
    }
    for (int i = 0; i < TOKENS * COLS; i++)
        x[i] = i % COLS == 3 ? 257 : i % COLS == 4 ? 259 : (float)(i * 17 % 101 - 50);
    for (int i = 0; i < ROWS; i++)
        bias[i] = (float)i;
    smelt_arena arena = {0};
    smelt_tensor bt = {.name = "b", .dtype = SMELT_DT_F32}, wt = {.name = "w", .dtype = SMELT_DT_BF16};
    const smelt_shape bs = {1, {ROWS}};
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &bs, bias, sizeof bias, &bt.view, NULL), SMELT_OK);
    const size_t cols[] = {COLS, 34}, tokens[] = {1, 3, 4, 16, 17, 37, TOKENS};
    for (size_t c = 0; c < 2; c++)
        for (size_t n = 0; n < sizeof tokens / sizeof *tokens; n++) {
            const smelt_shape ws = {2, {ROWS, cols[c]}};
            assert_int_equal(view_bytes(&arena, SMELT_DT_BF16, &ws, w, ROWS * cols[c] * sizeof *w, &wt.view, NULL), SMELT_OK);
            const linear_args a = {.w = &wt,
                                   .bias = &bt,
                                   .first_row = FIRST,
                                   .rows = ROWS - FIRST,
                                   .cols = cols[c],
                                   .x = x,
                                   .tokens = tokens[n],
                                   .ldx = COLS,
                                   .ldy = ROWS + 3};
            memset(y, 0xFF, sizeof y);
            assert_int_equal(linear(&e, &a, y, NULL), SMELT_OK);
            for (size_t t = 0; t < tokens[n]; t++) {
                for (size_t r = 0; r < a.rows; r++) {
                    double want = (double)(r + FIRST);
                    for (size_t k = 0; k < cols[c]; k++) {
                        const float f = x[t * COLS + k];
                        const double even = !e.bf16 || f < 257 ? (double)f : f > 258 ? 260 : 256;
                        want += even * (double)((int)((r + FIRST) * cols[c] + k) * 31 % 511 - 255);
                    }
                    near(y[t * (ROWS + 3) + r], want, 0);
                }
                assert_true(isnan(y[t * (ROWS + 3) + a.rows])); /* nothing behind the rows is written */
            }
        }
    arena_free(&e.scratch_arena);
    arena_free(&e.round_arena);
    arena_free(&arena);
}
static void bf16_products(void **state)
{
    (void)state;
    check_bf16(NULL);
    check_bf16(bf16_select(smelt_cpu_detect()));
}

/* What a block type says as small integers is what its decoder says. */
static void small_integers_are_the_decoders(void **state)
{
    (void)state;
    enum { N = 1024 };
    smelt_ctx ctx;
    assert_int_equal(ctx_init(&ctx, NULL), SMELT_OK);
    float x[N], y[N], scale[N / 16], shift[N / 16];
    int8_t code[N];
    static uint8_t raw[N * 8];
    size_t types = 0;
    for (int i = 0; i < N; i++)
        x[i] = (float)((i * 7919) % 2003 - 1000) * 0.001F * (float)(1 + i / 300) - (i / 32 % 3 ? 0.2F : 0);
    for (smelt_dtype d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_int8 *type = ctx.codec[d].int8;
        if (!type) continue;
        types++;
        ctx.codec[d].pack(x, raw, 1, N, NULL);
        ctx.codec[d].unpack(raw, y, N);
        type->split(raw, code, scale, type->shifted ? shift : NULL, N);
        for (size_t i = 0; i < N; i++) {
            const size_t g = i / type->group;
            const float product = (float)code[i] * scale[g], got = product + (type->shifted ? shift[g] : 0);
            if (fabsf(got - y[i]) > 1e-6F * (fabsf(product) + fabsf(y[i])))
                fail_msg("%s, element %zu: %g instead of %g", smelt_dtype_get(d)->name, i, (double)got, (double)y[i]);
        }
    }
    assert_true(types >= 9);
}

/* ---------------------------------------------------------------------------------------------------------- a whole model */

enum { IDS = 90 };

typedef struct model_state {
    smelt_ctx ctx;
    smelt_model model;
    int32_t ids[IDS];
    size_t vocab;
    float *logits; /* [IDS][vocab] in one go */
} model_state;

typedef struct collect {
    float *out;
    size_t vocab, base[4]; /* row of each sequence's first token */
    size_t rows;
} collect;

static smelt_status put(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)err;
    collect *c = user;
    memcpy(c->out + (c->base[seq] + first) * c->vocab, logits, n * c->vocab * sizeof *logits);
    c->rows += n;
    return SMELT_OK;
}

static int open_tiny(void **state)
{
    model_state *s = calloc(1, sizeof *s);
    smelt_err err = {0};
    if (!s || ctx_init(&s->ctx, &err) != SMELT_OK) return -1;
    if (source_open(&s->ctx, SMELT_SOURCE_DIR "/tests/data/tiny-llama", &s->model, &err) != SMELT_OK) return -1;
    for (int i = 0; i < IDS; i++)
        s->ids[i] = (i * 37 + 11) % 200;
    smelt_engine *e;
    if (engine_open(&s->ctx, &s->model, NULL, &e, &err) != SMELT_OK) return -1;
    s->vocab = engine_vocab(e);
    s->logits = calloc(IDS * s->vocab, sizeof *s->logits);
    collect c = {.out = s->logits, .vocab = s->vocab};
    const smelt_seq seq = {.ids = s->ids, .n = IDS};
    const smelt_status st = engine_run(e, &seq, 1, put, &c, &err);
    engine_close(e);
    *state = s;
    return st == SMELT_OK && c.rows == IDS ? 0 : -1;
}

static int close_tiny(void **state)
{
    model_state *s = *state;
    model_free(&s->model);
    free(s->logits);
    free(s);
    return 0;
}

static void same_rows(const model_state *s, const float *got, size_t rows)
{
    float top = 0, worst = 0;
    for (size_t i = 0; i < rows * s->vocab; i++) {
        top = fmaxf(top, fabsf(s->logits[i]));
        worst = fmaxf(worst, fabsf(s->logits[i] - got[i]));
    }
    assert_true(top > 0.1F);
    if (!(worst <= 2e-5F * top)) fail_msg("differs by %g of %g", (double)worst, (double)top);
}

/* transformers 5.23, float32, of the same ids. */
static void logits_are_transformers(void **state)
{
    const model_state *s = *state;
    static const struct {
        size_t row, token;
        double logit;
    } want[] = {
#include "engine_logits.inc"
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        near(s->logits[want[i].row * s->vocab + want[i].token], want[i].logit, 2e-5);
}

static void steps_through_a_cache_give_the_same(void **state)
{
    const model_state *s = *state;
    float *out = calloc(IDS * s->vocab, sizeof *out);
    smelt_engine *e;
    smelt_cache *cache;
    assert_int_equal(engine_open(&s->ctx, &s->model, NULL, &e, NULL), SMELT_OK);
    assert_int_equal(cache_new(e, &cache, NULL), SMELT_OK);
    const size_t steps[] = {1, 40, 1, 1, 47};
    for (size_t i = 0, at = 0; i < 5; at += steps[i++]) {
        collect c = {.out = out, .vocab = s->vocab, .base = {at}};
        const smelt_seq seq = {.ids = s->ids + at, .n = steps[i], .cache = cache};
        assert_int_equal(engine_run(e, &seq, 1, put, &c, NULL), SMELT_OK);
        assert_int_equal(cache_length(cache), at + steps[i]);
    }
    same_rows(s, out, IDS);
    /* What is cut off is computed again. */
    cache_truncate(cache, 60);
    collect c = {.out = out, .vocab = s->vocab, .base = {60}};
    memset(out + 60 * s->vocab, 0, 30 * s->vocab * sizeof *out);
    const smelt_seq rest = {.ids = s->ids + 60, .n = 30, .cache = cache};
    assert_int_equal(engine_run(e, &rest, 1, put, &c, NULL), SMELT_OK);
    same_rows(s, out, IDS);
    cache_free(cache);
    engine_close(e);
    free(out);
}

static void batches_of_unequal_texts_give_the_same(void **state)
{
    const model_state *s = *state;
    float *out = calloc(3 * IDS * s->vocab, sizeof *out);
    for (int threads = 1; threads <= 3; threads++) {
        smelt_ctx ctx = s->ctx;
        ctx.threads = threads;
        smelt_engine *e;
        assert_int_equal(engine_open(&ctx, &s->model, NULL, &e, NULL), SMELT_OK);
        const smelt_seq seqs[] = {{.ids = s->ids, .n = 17}, {.ids = s->ids, .n = IDS, .first = 80}, {.ids = s->ids, .n = 1}};
        collect c = {.out = out, .vocab = s->vocab, .base = {0, IDS, 2 * IDS}};
        assert_int_equal(engine_run(e, seqs, 3, put, &c, NULL), SMELT_OK);
        assert_int_equal(c.rows, 17 + 10 + 1);
        same_rows(s, out, 17);
        same_rows(s, out + 2 * IDS * s->vocab, 1);
        memcpy(out + IDS * s->vocab, s->logits, 80 * s->vocab * sizeof *out);
        same_rows(s, out + IDS * s->vocab, IDS);
        engine_close(e);
    }
    free(out);
}

static void count_inputs(void *user, const smelt_seen *seen)
{
    size_t *n = user;
    if (seen->weight) {
        assert_string_equal(seen->what, "input");
        assert_int_equal(seen->cols, view_cols(seen->weight->view));
        n[0]++;
    } else
        n[1]++;
}

static void an_observer_sees_every_matrix(void **state)
{
    const model_state *s = *state;
    size_t n[2] = {0};
    const smelt_engine_opts opts = {.observe = count_inputs, .user = n};
    smelt_engine *e;
    assert_int_equal(engine_open(&s->ctx, &s->model, &opts, &e, NULL), SMELT_OK);
    const smelt_seq seq = {.ids = s->ids, .n = 4, .first = 3};
    collect c = {.out = calloc(4 * s->vocab, sizeof(float)), .vocab = s->vocab};
    assert_int_equal(engine_run(e, &seq, 1, put, &c, NULL), SMELT_OK);
    assert_int_equal(n[0], 7 * (size_t)hp_u64(&s->model.hp, SMELT_HP_LAYERS) + 1);
    assert_true(n[1] > n[0]);
    free(c.out);
    engine_close(e);
}

static smelt_status refuse(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)user, (void)seq, (void)first, (void)n, (void)logits;
    return smelt_fail(err, SMELT_E_CANCELLED, "enough");
}

static void errors_leave_the_cache_as_it_was(void **state)
{
    const model_state *s = *state;
    smelt_engine *e;
    smelt_cache *cache;
    smelt_err err = {0};
    assert_int_equal(engine_open(&s->ctx, &s->model, NULL, &e, NULL), SMELT_OK);
    assert_int_equal(cache_new(e, &cache, NULL), SMELT_OK);
    const int32_t high[] = {1, (int32_t)s->vocab}, low[] = {-1};
    smelt_seq seq = {.ids = high, .n = 2, .cache = cache};
    assert_int_equal(engine_run(e, &seq, 1, NULL, NULL, &err), SMELT_E_USAGE);
    seq = (smelt_seq){.ids = low, .n = 1, .cache = cache};
    assert_int_equal(engine_run(e, &seq, 1, NULL, NULL, NULL), SMELT_E_USAGE);
    seq = (smelt_seq){.ids = s->ids, .n = 5, .cache = cache};
    assert_int_equal(engine_run(e, &seq, 1, refuse, NULL, NULL), SMELT_E_CANCELLED);
    assert_int_equal(cache_length(cache), 0);
    seq.n = 0;
    assert_int_equal(engine_run(e, &seq, 1, refuse, NULL, NULL), SMELT_OK);
    cache_free(cache);
    engine_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),
        cmocka_unit_test(activations),
        cmocka_unit_test(sums),
        cmocka_unit_test(turns),
        cmocka_unit_test(slopes),
        cmocka_unit_test(attention_by_hand),
        cmocka_unit_test(products),
        cmocka_unit_test(activations_in_8_bits),
        cmocka_unit_test(integer_products),
        cmocka_unit_test(bf16_products),
        cmocka_unit_test(small_integers_are_the_decoders),
        cmocka_unit_test_setup_teardown(logits_are_transformers, open_tiny, close_tiny),
        cmocka_unit_test_setup_teardown(steps_through_a_cache_give_the_same, open_tiny, close_tiny),
        cmocka_unit_test_setup_teardown(batches_of_unequal_texts_give_the_same, open_tiny, close_tiny),
        cmocka_unit_test_setup_teardown(an_observer_sees_every_matrix, open_tiny, close_tiny),
        cmocka_unit_test_setup_teardown(errors_leave_the_cache_as_it_was, open_tiny, close_tiny),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
