/* The one decoder block. What differs between families is in the engine's numbers and in which tensors there are. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/internal.h"

/* A batch in work: rows of all its tokens, one sequence after the other. */
typedef struct run {
    smelt_engine *e;
    const smelt_seq *seqs;
    size_t n_seqs, tokens;
    const float **trig;  /* [n_seqs] turns from position 0 on */
    attend_seq *attends; /* [n_seqs] */
    float *x, *in, *out; /* [tokens][embd]: residual stream, an operator's input, its result */
    float *q, *att;      /* [tokens][heads * dim] */
    float *k, *v;        /* [tokens][kv_heads * dim] */
    float *gate, *up;    /* [tokens][ff] */
    float *vec;          /* two vectors of the widest row */
    float *route;        /* [tokens][experts] */
    float *some, *made;  /* [tokens][embd]: rows that one expert gets, what it makes of them */
    uint32_t *rows;      /* [tokens] which rows these are */
    uint32_t *chosen;    /* [tokens][experts used] */
    float *weights;      /* the same */
    int layer;
    smelt_err *err;
} run;

static void see(const run *r, const char *what, const float *x, size_t rows, size_t cols)
{
    const smelt_engine *e = r->e;
    if (!e->opts.observe) return;
    const smelt_seen seen = {.what = what, .layer = r->layer, .expert = -1, .x = x, .rows = rows, .cols = cols};
    e->opts.observe(e->opts.user, &seen);
}

/* y = W x for `rows` rows, W being one expert's part of a stack, or a matrix (expert -1). */
static smelt_status product(const run *r, const engine_layer *l, smelt_role role, int expert, const float *x, size_t rows,
                            size_t cols, float *y, size_t out)
{
    smelt_engine *e = r->e;
    const smelt_tensor *w = layer_weight(l, role);
    if (e->opts.observe) {
        const smelt_seen seen = {"input", r->layer, w, expert, x, rows, cols};
        e->opts.observe(e->opts.user, &seen);
    }
    const linear_args a = {.w = w,
                           .bias = layer_bias(l, role),
                           .first_row = expert > 0 ? (uint64_t)expert * out : 0,
                           .rows = out,
                           .cols = cols,
                           .x = x,
                           .tokens = rows,
                           .ldx = cols,
                           .ldy = out};
    return linear(e, &a, y, r->err);
}

/* Norm of rows of n elements by a tensor's weight and bias. */
static void norm(const run *r, const engine_layer *l, smelt_role role, const float *x, size_t rows, size_t n, float *y)
{
    const smelt_engine *e = r->e;
    const smelt_tensor *bias = layer_bias(l, role);
    float *w = r->vec, *b = r->vec + n;
    tensor_decode(e, layer_weight(l, role), 0, n, w);
    if (bias) tensor_decode(e, bias, 0, n, b);
    const int threads = e->ctx.threads;
#pragma omp parallel for num_threads(threads) if (rows * n > 65536)
    for (size_t i = 0; i < rows; i++)
        if (e->layer_norm)
            e->vec->norm_layer(x + i * n, w, bias ? b : NULL, e->eps, n, y + i * n);
        else
            e->vec->norm_rms(x + i * n, w, e->eps, n, y + i * n);
}

/* Norms of queries or keys: of each head, or of the whole row, as long as the tensor is. */
static void qk_norm(const run *r, const engine_layer *l, smelt_role role, float *x, size_t width)
{
    const smelt_tensor *t = layer_weight(l, role);
    if (!t) return;
    const size_t n = (size_t)(view_rows(t->view) * view_cols(t->view));
    norm(r, l, role, x, r->tokens * (width / n), n, x);
}

static void turn(const run *r, float *x, size_t heads)
{
    const smelt_engine *e = r->e;
    const size_t half = e->rope_dim / 2, dim = e->dim;
    if (!half) return;
    void (*op)(float *, const float *, const float *, size_t) =
        e->model->arch->block.turn == TURN_PAIRS ? e->vec->turn_pairs : e->vec->turn_halves;
    for (size_t s = 0; s < r->n_seqs; s++) {
        const size_t n = r->seqs[s].n, past = r->attends[s].past;
        const float *trig = r->trig[s];
        const int threads = e->ctx.threads;
#pragma omp parallel for num_threads(threads) if (n * heads > 1024)
        for (size_t i = 0; i < n; i++)
            for (size_t h = 0; h < heads; h++)
                op(x + (i * heads + h) * dim, trig + (past + i) * 2 * half, trig + (past + i) * 2 * half + half, half);
        x += n * heads * dim;
    }
}

static smelt_status attention(run *r, const engine_layer *l)
{
    smelt_engine *e = r->e;
    const size_t q_row = e->heads * e->dim, kv_row = e->kv_heads * e->dim, T = r->tokens;
    SMELT_TRY(product(r, l, SMELT_R_ATTN_Q, -1, r->in, T, e->embd, r->q, q_row));
    SMELT_TRY(product(r, l, SMELT_R_ATTN_K, -1, r->in, T, e->embd, r->k, kv_row));
    SMELT_TRY(product(r, l, SMELT_R_ATTN_V, -1, r->in, T, e->embd, r->v, kv_row));
    if (e->clamp > 0) {
        e->vec->clamp(r->q, e->clamp, T * q_row);
        e->vec->clamp(r->k, e->clamp, T * kv_row);
        e->vec->clamp(r->v, e->clamp, T * kv_row);
    }
    qk_norm(r, l, SMELT_R_ATTN_Q_NORM, r->q, q_row);
    qk_norm(r, l, SMELT_R_ATTN_K_NORM, r->k, kv_row);
    turn(r, r->q, e->heads);
    turn(r, r->k, e->kv_heads);
    see(r, "queries", r->q, T, q_row);
    see(r, "keys", r->k, T, kv_row);
    see(r, "values", r->v, T, kv_row);
    size_t at = 0;
    for (size_t s = 0; s < r->n_seqs; s++) {
        const smelt_seq *seq = &r->seqs[s];
        attend_seq *a = &r->attends[s];
        a->q = r->q + at * q_row;
        a->out = r->att + at * q_row;
        a->k = r->k + at * kv_row;
        a->v = r->v + at * kv_row;
        if (seq->cache) {
            float *k = cache_keys(seq->cache, r->layer), *v = cache_values(seq->cache, r->layer);
            memcpy(k + a->past * kv_row, a->k, seq->n * kv_row * sizeof *k);
            memcpy(v + a->past * kv_row, a->v, seq->n * kv_row * sizeof *v);
            a->k = k;
            a->v = v;
        }
        at += seq->n;
    }
    const smelt_tensor *sinks = layer_weight(l, SMELT_R_ATTN_SINKS);
    if (sinks) tensor_decode(e, sinks, 0, e->heads, r->vec);
    const attend_args a = {.seqs = r->attends,
                           .n_seqs = r->n_seqs,
                           .heads = e->heads,
                           .kv_heads = e->kv_heads,
                           .dim = e->dim,
                           .scale = e->scale,
                           .window = l->window,
                           .sinks = sinks ? r->vec : NULL,
                           .alibi = e->alibi,
                           .coarse_alibi = e->model->arch->block.coarse_alibi};
    SMELT_TRY(attend(e, &a, r->err));
    see(r, "attention", r->att, T, q_row);
    SMELT_TRY(product(r, l, SMELT_R_ATTN_OUT, -1, r->att, T, q_row, r->out, e->embd));
    see(r, "attention output", r->out, T, e->embd);
    return SMELT_OK;
}

/* act(gate) * up, or what gpt-oss has in its place; act(up) without a gate. The result is returned: one of the two. */
static float *activate(const run *r, float *gate, float *up, size_t rows, size_t n)
{
    const smelt_engine *e = r->e;
    const smelt_block *b = &e->model->arch->block;
    const smelt_hparams *hp = &e->model->hp;
    const float alpha = (float)(hp->set[SMELT_HP_SWIGLU_ALPHA] ? hp->v[SMELT_HP_SWIGLU_ALPHA] : b->swiglu_alpha);
    const float limit = (float)(hp->set[SMELT_HP_SWIGLU_LIMIT] ? hp->v[SMELT_HP_SWIGLU_LIMIT] : b->swiglu_limit);
    const int threads = e->ctx.threads;
#pragma omp parallel for num_threads(threads) if (rows * n > 16384)
    for (size_t i = 0; i < rows; i++) {
        float *g = gate ? gate + i * n : NULL, *u = up + i * n;
        if (!g)
            e->vec->act[e->act](u, n);
        else if (b->swiglu_alpha > 0)
            e->vec->clamped_swiglu(g, u, alpha, limit, n);
        else {
            e->vec->act[e->act](g, n);
            e->vec->mul(g, u, n);
        }
    }
    return gate ? gate : up;
}

/* One feed-forward of the roles gate, up, down, into y. */
static smelt_status dense(const run *r, const engine_layer *l, smelt_role gate, smelt_role up, smelt_role down, int expert,
                          const float *x, size_t rows, float *y)
{
    const size_t embd = r->e->embd;
    const smelt_shape *s = &layer_weight(l, up)->shape;
    const size_t ff = (size_t)s->dim[s->n - 2];
    const bool gated = layer_weight(l, gate) != NULL;
    if (gated) SMELT_TRY(product(r, l, gate, expert, x, rows, embd, r->gate, ff));
    SMELT_TRY(product(r, l, up, expert, x, rows, embd, r->up, ff));
    const float *h = activate(r, gated ? r->gate : NULL, r->up, rows, ff);
    return product(r, l, down, expert, h, rows, ff, y, embd);
}

/* Chooses the k best experts of one token and their weights. */
static void choose(const smelt_engine *e, float *score, size_t n, size_t k, uint32_t *expert, float *weight)
{
    const smelt_block *b = &e->model->arch->block;
    const smelt_hparams *hp = &e->model->hp;
    const bool normal = hp->set[SMELT_HP_NORM_TOPK] ? hp->v[SMELT_HP_NORM_TOPK] != 0 : b->norm_topk;
    if (!b->route_last) {
        const float sum = e->vec->exp_sum(score, e->vec->max(score, n), n);
        e->vec->scale(score, 1 / sum, n);
    }
    for (size_t i = 0; i < k; i++) {
        size_t best = n;
        for (size_t j = 0; j < n; j++) {
            bool taken = false;
            for (size_t p = 0; p < i; p++)
                taken = taken || expert[p] == j;
            if (!taken && (best == n || score[j] > score[best])) best = j;
        }
        expert[i] = (uint32_t)best;
        weight[i] = score[best];
    }
    float sum = 0;
    if (b->route_last)
        sum = e->vec->exp_sum(weight, e->vec->max(weight, k), k);
    else if (normal)
        for (size_t i = 0; i < k; i++)
            sum += weight[i];
    if (sum > 0) e->vec->scale(weight, 1 / sum, k);
}

static smelt_status experts(run *r, const engine_layer *l, const float *x, float *y)
{
    smelt_engine *e = r->e;
    const size_t n = (size_t)hp_u64(&e->model->hp, SMELT_HP_EXPERTS), k = (size_t)hp_u64(&e->model->hp, SMELT_HP_EXPERTS_USED);
    const size_t embd = e->embd;
    SMELT_TRY(product(r, l, SMELT_R_FFN_GATE_INP, -1, x, r->tokens, embd, r->route, n));
    for (size_t t = 0; t < r->tokens; t++)
        choose(e, r->route + t * n, n, k, r->chosen + t * k, r->weights + t * k);
    memset(y, 0, r->tokens * embd * sizeof *y);
    for (size_t x_of = 0; x_of < n; x_of++) {
        size_t rows = 0;
        for (size_t t = 0; t < r->tokens * k; t++) {
            if (r->chosen[t] != x_of) continue;
            memcpy(r->some + rows * embd, x + t / k * embd, embd * sizeof *x);
            r->rows[rows++] = (uint32_t)t;
        }
        if (!rows) continue;
        SMELT_TRY(
            dense(r, l, SMELT_R_FFN_GATE_EXPS, SMELT_R_FFN_UP_EXPS, SMELT_R_FFN_DOWN_EXPS, (int)x_of, r->some, rows, r->made));
        for (size_t i = 0; i < rows; i++)
            e->vec->add_scaled(y + r->rows[i] / k * embd, r->made + i * embd, r->weights[r->rows[i]], embd);
    }
    if (!layer_weight(l, SMELT_R_FFN_UP_SHEXP)) return SMELT_OK;
    SMELT_TRY(dense(r, l, SMELT_R_FFN_GATE_SHEXP, SMELT_R_FFN_UP_SHEXP, SMELT_R_FFN_DOWN_SHEXP, -1, x, r->tokens, r->made));
    const bool shared_gate = layer_weight(l, SMELT_R_FFN_GATE_INP_SHEXP) != NULL;
    if (shared_gate) SMELT_TRY(product(r, l, SMELT_R_FFN_GATE_INP_SHEXP, -1, x, r->tokens, embd, r->route, 1));
    for (size_t t = 0; t < r->tokens; t++)
        e->vec->add_scaled(y + t * embd, r->made + t * embd, shared_gate ? 1 / (1 + expf(-r->route[t])) : 1, embd);
    return SMELT_OK;
}

static smelt_status feed_forward(run *r, const engine_layer *l, const float *x, float *y)
{
    const bool routed = layer_weight(l, SMELT_R_FFN_GATE_INP) != NULL;
    SMELT_TRY(routed ? experts(r, l, x, y) : dense(r, l, SMELT_R_FFN_GATE, SMELT_R_FFN_UP, SMELT_R_FFN_DOWN, -1, x, r->tokens, y));
    see(r, "feed-forward", y, r->tokens, r->e->embd);
    return SMELT_OK;
}

static smelt_status block(run *r, const engine_layer *l)
{
    smelt_engine *e = r->e;
    const size_t n = r->tokens * e->embd;
    /* Falcon 40B norms the attention's input by itself; its first norm is then the feed-forward's. */
    const bool second = layer_weight(l, SMELT_R_ATTN_NORM_2) != NULL;
    smelt_role before_ffn = layer_weight(l, SMELT_R_FFN_NORM)         ? SMELT_R_FFN_NORM
                            : layer_weight(l, SMELT_R_ATTN_POST_NORM) ? SMELT_R_ATTN_POST_NORM
                            : second                                  ? SMELT_R_ATTN_NORM
                                                                      : SMELT_R_NONE;
    norm(r, l, second ? SMELT_R_ATTN_NORM_2 : SMELT_R_ATTN_NORM, r->x, r->tokens, e->embd, r->in);
    see(r, "norm before attention", r->in, r->tokens, e->embd);
    SMELT_TRY(attention(r, l));
    if (!e->parallel) e->vec->add(r->x, r->out, n);
    if (before_ffn != SMELT_R_NONE) norm(r, l, before_ffn, r->x, r->tokens, e->embd, r->in);
    see(r, "norm before feed-forward", r->in, r->tokens, e->embd);
    if (e->parallel) e->vec->add(r->x, r->out, n);
    SMELT_TRY(feed_forward(r, l, r->in, r->out));
    e->vec->add(r->x, r->out, n);
    return SMELT_OK;
}

/* Rows of token and position vectors. */
static smelt_status embed(run *r)
{
    smelt_engine *e = r->e;
    const smelt_tensor *tokens = layer_weight(&e->top, SMELT_R_TOKEN_EMBD), *places = layer_weight(&e->top, SMELT_R_POS_EMBD);
    size_t row = 0;
    for (size_t s = 0; s < r->n_seqs; s++)
        for (size_t i = 0; i < r->seqs[s].n; i++, row++) {
            float *x = r->x + row * e->embd;
            tensor_decode(e, tokens, (uint64_t)r->seqs[s].ids[i] * e->embd, e->embd, x);
            if (!places) continue;
            tensor_decode(e, places, (r->attends[s].past + i) * e->embd, e->embd, r->vec);
            e->vec->add(x, r->vec, e->embd);
        }
    see(r, "embedding", r->x, r->tokens, e->embd);
    return SMELT_OK;
}

/* A row whose logits are wanted. */
typedef struct wanted {
    uint32_t seq;
    size_t token, row;
} wanted;

static smelt_status logits(run *r, smelt_logits_fn *fn, void *user, smelt_arena *arena)
{
    enum { FLOATS = 1 << 24, MOST = 512 };
    smelt_engine *e = r->e;
    size_t n = 0, row = 0;
    wanted *list = arena_calloc(arena, r->tokens, sizeof *list);
    if (!list) return smelt_oom(r->err);
    for (size_t s = 0; s < r->n_seqs; row += r->seqs[s++].n)
        for (size_t i = r->seqs[s].first; i < r->seqs[s].n; i++)
            list[n++] = (wanted){(uint32_t)s, i, row + i};
    if (!n || !fn) return SMELT_OK;
    size_t chunk = FLOATS / e->vocab < MOST ? FLOATS / e->vocab : MOST;
    chunk = chunk < 1 ? 1 : chunk > n ? n : chunk;
    float *out = arena_calloc(arena, chunk, e->vocab * sizeof *out);
    if (!out) return smelt_oom(r->err);
    const smelt_role head = layer_weight(&e->top, SMELT_R_OUTPUT) ? SMELT_R_OUTPUT : SMELT_R_TOKEN_EMBD;
    for (size_t at = 0; at < n; at += chunk) {
        const size_t rows = n - at < chunk ? n - at : chunk;
        for (size_t i = 0; i < rows; i++)
            memcpy(r->in + i * e->embd, r->x + list[at + i].row * e->embd, e->embd * sizeof *r->in);
        if (layer_weight(&e->top, SMELT_R_OUTPUT_NORM)) norm(r, &e->top, SMELT_R_OUTPUT_NORM, r->in, rows, e->embd, r->in);
        see(r, "last norm", r->in, rows, e->embd);
        SMELT_TRY(product(r, &e->top, head, -1, r->in, rows, e->embd, out, e->vocab));
        see(r, "logits", out, rows, e->vocab);
        for (size_t i = 0, same; i < rows; i += same) {
            const wanted *w = &list[at + i];
            for (same = 1; i + same < rows && w[same].seq == w->seq;)
                same++;
            SMELT_TRY(fn(user, w->seq, w->token, same, out + i * e->vocab, r->err));
        }
    }
    return SMELT_OK;
}

static smelt_status check(const smelt_engine *e, const smelt_seq *seqs, size_t n, smelt_err *err)
{
    const uint64_t words = layer_weight(&e->top, SMELT_R_TOKEN_EMBD)->shape.dim[0];
    const smelt_tensor *places = layer_weight(&e->top, SMELT_R_POS_EMBD);
    for (size_t s = 0; s < n; s++) {
        const size_t past = seqs[s].cache ? cache_length(seqs[s].cache) : 0, length = past + seqs[s].n;
        for (size_t i = 0; i < seqs[s].n; i++)
            if (seqs[s].ids[i] < 0 || (uint64_t)seqs[s].ids[i] >= words)
                return smelt_fail(err, SMELT_E_USAGE, "token id %d is not one of the model's %llu", seqs[s].ids[i],
                                  (unsigned long long)words);
        if (places && length > places->shape.dim[0])
            return smelt_fail(err, SMELT_E_LIMIT, "%zu tokens are more than the %llu positions that the model has", length,
                              (unsigned long long)places->shape.dim[0]);
        if (past && arch_rope_grows(e->model, length))
            return smelt_fail(err, SMELT_E_UNSUPPORTED,
                              "dynamic RoPE scaling turns all positions anew beyond %llu tokens, which cached keys do not allow",
                              (unsigned long long)e->context);
    }
    return SMELT_OK;
}

/* Memory of a batch, in `arena`. */
static smelt_status make_room(run *r, smelt_arena *arena)
{
    const smelt_engine *e = r->e;
    const smelt_hparams *hp = &e->model->hp;
    size_t ff = 0, experts_all = 0, used = 0;
    for (size_t i = 0; i < e->n_layers; i++)
        for (smelt_role role = SMELT_R_NONE; role < SMELT_R_COUNT; role++) {
            const smelt_tensor *t = layer_weight(&e->layers[i], role);
            const bool wide = role == SMELT_R_FFN_UP || role == SMELT_R_FFN_UP_EXPS || role == SMELT_R_FFN_UP_SHEXP;
            if (t && wide && t->shape.n >= 2 && t->shape.dim[t->shape.n - 2] > ff) ff = (size_t)t->shape.dim[t->shape.n - 2];
            if (t && role == SMELT_R_FFN_GATE_INP) experts_all = (size_t)hp_u64(hp, SMELT_HP_EXPERTS);
        }
    if (experts_all) used = (size_t)hp_u64(hp, SMELT_HP_EXPERTS_USED);
    if (used > experts_all) return smelt_fail(r->err, SMELT_E_CORRUPT, "%zu of %zu experts are to be used", used, experts_all);
    const size_t T = r->tokens, q_row = e->heads * e->dim, kv_row = e->kv_heads * e->dim, moe = experts_all ? T : 0;
    const size_t widest = q_row > e->embd ? q_row : e->embd;
    const struct {
        float **at;
        size_t rows, cols;
    } list[] = {{&r->x, T, e->embd},
                {&r->in, T, e->embd},
                {&r->out, T, e->embd},
                {&r->q, T, q_row},
                {&r->att, T, q_row},
                {&r->k, T, kv_row},
                {&r->v, T, kv_row},
                {&r->gate, T, ff},
                {&r->up, T, ff},
                {&r->vec, 2, widest},
                {&r->some, moe, e->embd},
                {&r->made, moe, e->embd},
                {&r->route, moe, experts_all},
                {&r->weights, moe, used}};
    bool ok = true;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint64_t bytes;
        ok = ok && mul_u64(list[i].cols, sizeof(float), &bytes) && (*list[i].at = arena_calloc(arena, list[i].rows, bytes));
    }
    r->rows = arena_calloc(arena, moe, sizeof *r->rows);
    r->chosen = arena_calloc(arena, moe, used * sizeof *r->chosen);
    r->trig = arena_calloc(arena, r->n_seqs, sizeof *r->trig);
    r->attends = arena_calloc(arena, r->n_seqs, sizeof *r->attends);
    return ok && r->rows && r->chosen && r->trig && r->attends ? SMELT_OK : smelt_oom(r->err);
}

static smelt_status place(run *r, smelt_arena *arena)
{
    smelt_engine *e = r->e;
    size_t longest = 0;
    for (size_t s = 0; s < r->n_seqs; s++) {
        const smelt_seq *seq = &r->seqs[s];
        r->attends[s].n = seq->n;
        r->attends[s].past = seq->cache ? cache_length(seq->cache) : 0;
        if (seq->cache) SMELT_TRY(cache_room(seq->cache, seq->n, r->err));
        const size_t length = r->attends[s].past + seq->n;
        if (!arch_rope_grows(e->model, length)) {
            if (length > longest) longest = length;
            continue;
        }
        float *own = e->rope_dim ? arena_calloc(arena, length, e->rope_dim * sizeof *own) : NULL;
        if (!own) return smelt_oom(r->err);
        trig_fill(e, length, length, own);
        r->trig[s] = own;
    }
    SMELT_TRY(trig_room(e, longest, r->err));
    for (size_t s = 0; s < r->n_seqs; s++)
        if (!r->trig[s]) r->trig[s] = e->trig;
    return SMELT_OK;
}

static smelt_status compute(run *r, smelt_logits_fn *fn, void *user, smelt_arena *arena)
{
    SMELT_TRY(make_room(r, arena));
    SMELT_TRY(place(r, arena));
    r->layer = -1;
    SMELT_TRY(embed(r));
    for (r->layer = 0; r->layer < (int)r->e->n_layers; r->layer++)
        SMELT_TRY(block(r, &r->e->layers[r->layer]));
    r->layer = -1;
    return logits(r, fn, user, arena);
}

smelt_status engine_run(smelt_engine *e, const smelt_seq *seqs, size_t n_seqs, smelt_logits_fn *fn, void *user, smelt_err *err)
{
    SMELT_TRY(check(e, seqs, n_seqs, err));
    run r = {.e = e, .seqs = seqs, .n_seqs = n_seqs, .err = err};
    for (size_t s = 0; s < n_seqs; s++)
        r.tokens += seqs[s].n;
    if (!r.tokens) return SMELT_OK;
    smelt_arena arena = {0};
    smelt_status st = compute(&r, fn, user, &arena);
    for (size_t s = 0; s < n_seqs && st == SMELT_OK; s++)
        if (seqs[s].cache) cache_advance(seqs[s].cache, seqs[s].n);
    arena_free(&arena);
    return st;
}
