/* An engine is made: which tensor does what, and the numbers that every run needs. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/bf16.h"

static smelt_status bind_tensors(smelt_engine *e, smelt_err *err)
{
    const smelt_model *m = e->model;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (t->role == SMELT_R_NONE || t->part == SMELT_PART_NONE) continue;
        if (!e->ctx.codec[t->dtype].unpack)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s': %s cannot be decoded", t->name,
                              smelt_dtype_get(t->dtype)->name);
        engine_layer *l = t->layer < 0 ? &e->top : (size_t)t->layer < e->n_layers ? &e->layers[t->layer] : NULL;
        if (l) l->t[t->role][t->part - SMELT_PART_WEIGHT] = t;
    }
    return SMELT_OK;
}

static smelt_status need(const engine_layer *l, int layer, const smelt_role *roles, size_t n, smelt_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const smelt_tensor *t = layer_weight(l, roles[i]);
        if (!t || t->shape.n < 2)
            return smelt_fail(err, SMELT_E_MISMATCH, "layer %d has no matrix of the kind %s", layer, role_stem(roles[i]));
    }
    return SMELT_OK;
}

static smelt_status check_tensors(smelt_engine *e, smelt_err *err)
{
    static const smelt_role top[] = {SMELT_R_TOKEN_EMBD},
                            attention[] = {SMELT_R_ATTN_Q, SMELT_R_ATTN_K, SMELT_R_ATTN_V, SMELT_R_ATTN_OUT},
                            dense[] = {SMELT_R_FFN_UP, SMELT_R_FFN_DOWN},
                            experts[] = {SMELT_R_FFN_GATE_EXPS, SMELT_R_FFN_UP_EXPS, SMELT_R_FFN_DOWN_EXPS};
    SMELT_TRY(need(&e->top, -1, top, 1, err));
    for (size_t i = 0; i < e->n_layers; i++) {
        const engine_layer *l = &e->layers[i];
        const bool routed = layer_weight(l, SMELT_R_FFN_GATE_INP) != NULL;
        SMELT_TRY(need(l, (int)i, attention, 4, err));
        SMELT_TRY(routed ? need(l, (int)i, experts, 3, err) : need(l, (int)i, dense, 2, err));
    }
    return SMELT_OK;
}

static smelt_status read_numbers(smelt_engine *e, smelt_err *err)
{
    const smelt_hparams *hp = &e->model->hp;
    const smelt_block *b = &e->model->arch->block;
    e->embd = (size_t)hp_u64(hp, SMELT_HP_EMBD);
    e->heads = (size_t)hp_u64(hp, SMELT_HP_HEADS);
    e->kv_heads = (size_t)hp_u64(hp, SMELT_HP_KV_HEADS);
    e->dim = (size_t)hp_u64(hp, SMELT_HP_HEAD_DIM);
    e->context = hp_u64(hp, SMELT_HP_CTX);
    if (!e->embd || !e->heads || !e->kv_heads || !e->dim)
        return smelt_fail(err, SMELT_E_MISMATCH, "the model does not say its sizes");
    e->layer_norm = b->norm == NORM_LAYER;
    e->eps = (float)hp->v[e->layer_norm ? SMELT_HP_LN_EPS : SMELT_HP_RMS_EPS];
    e->parallel = hp->set[SMELT_HP_PARALLEL] ? hp->v[SMELT_HP_PARALLEL] != 0 : b->parallel;
    e->scale = b->unscaled                    ? 1
               : hp->set[SMELT_HP_ATTN_SCALE] ? (float)hp->v[SMELT_HP_ATTN_SCALE]
                                              : (float)(1 / sqrt((double)e->dim));
    e->clamp = hp->set[SMELT_HP_CLAMP_KQV] ? (float)hp->v[SMELT_HP_CLAMP_KQV] : 0;
    e->act = hp->set[SMELT_HP_ACT] ? (smelt_act)hp->v[SMELT_HP_ACT] : ACT_UNKNOWN;
    if (e->act == ACT_UNKNOWN)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "its activation is not known; known are those called %s, %s, %s, %s and %s",
                          act_name(ACT_SILU), act_name(ACT_GELU), act_name(ACT_GELU_TANH), act_name(ACT_GELU_SIGMOID),
                          act_name(ACT_RELU));
    if (hp->set[SMELT_HP_ALIBI] && hp->v[SMELT_HP_ALIBI] != 0) {
        e->alibi = arena_calloc(&e->arena, e->heads, sizeof *e->alibi);
        if (!e->alibi) return smelt_oom(err);
        alibi_slopes(e->heads, hp->v[SMELT_HP_ALIBI_MAX], e->alibi);
    } else if (b->turn != TURN_NONE)
        e->rope_dim = (size_t)(hp->set[SMELT_HP_ROPE_DIM] ? hp_u64(hp, SMELT_HP_ROPE_DIM) : e->dim);
    if (e->rope_dim > e->dim || e->rope_dim % 2)
        return smelt_fail(err, SMELT_E_CORRUPT, "RoPE on %zu of %zu dimensions of a head", e->rope_dim, e->dim);
    for (size_t i = 0; i < e->n_layers; i++)
        e->layers[i].window = arch_window(e->model, (int)i);
    const smelt_tensor *out = layer_weight(&e->top, SMELT_R_OUTPUT);
    if (!out) out = layer_weight(&e->top, SMELT_R_TOKEN_EMBD);
    e->vocab = (size_t)out->shape.dim[0];
    if (e->vocab > INT32_MAX || e->embd > INT32_MAX) return smelt_fail(err, SMELT_E_LIMIT, "the output matrix is too large");
    const smelt_tensor *freqs = layer_weight(&e->top, SMELT_R_ROPE_FREQS);
    if (freqs && e->rope_dim && view_rows(freqs->view) * view_cols(freqs->view) == e->rope_dim / 2) {
        float *f = arena_calloc(&e->arena, e->rope_dim / 2, sizeof *f);
        if (!f) return smelt_oom(err);
        tensor_decode(e, freqs, 0, e->rope_dim / 2, f);
        e->factors = f;
    }
    return SMELT_OK;
}

smelt_status engine_open(const smelt_ctx *ctx, const smelt_model *model, const smelt_engine_opts *opts, smelt_engine **out,
                         smelt_err *err)
{
    *out = NULL;
    if (!model->arch)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "a model that is to compute needs a known family: %s",
                          model->unmapped ? model->unmapped : "it has none");
    smelt_arena arena = {0};
    smelt_engine *e = arena_calloc(&arena, 1, sizeof *e);
    if (!e) return smelt_oom(err);
    *e = (smelt_engine){.arena = arena, .ctx = *ctx, .model = model, .vec = vec_select(ctx->cpu), .bf16 = bf16_select(ctx->cpu)};
    if (opts) e->opts = *opts;
    e->n_layers = (size_t)hp_u64(&model->hp, SMELT_HP_LAYERS);
    e->layers = e->n_layers <= model->n_tensors ? arena_calloc(&e->arena, e->n_layers, sizeof *e->layers) : NULL;
    smelt_status st = e->layers ? bind_tensors(e, err) : smelt_oom(err);
    if (st == SMELT_OK) st = check_tensors(e, err);
    if (st == SMELT_OK) st = read_numbers(e, err);
    if (st != SMELT_OK) {
        engine_close(e);
        return st;
    }
    openblas_set_num_threads(1);
    *out = e;
    return SMELT_OK;
}

void engine_close(smelt_engine *e)
{
    if (!e) return;
    arena_free(&e->trig_arena);
    arena_free(&e->scratch_arena);
    arena_free(&e->round_arena);
    /* The struct lies in the arena that goes. */
    smelt_arena arena = e->arena;
    arena_free(&arena);
}

size_t engine_vocab(const smelt_engine *e) { return e->vocab; }
uint64_t engine_context(const smelt_engine *e) { return e->context; }

void trig_fill(const smelt_engine *e, uint64_t length, size_t n, float *out)
{
    const size_t half = e->rope_dim / 2;
    /* The radians of a position lie in the last row until that is filled. */
    float scale, *turn = out + (n - 1) * e->rope_dim + half;
    arch_rope(e->model, length, turn, &scale);
    for (size_t i = 0; i < half && e->factors; i++)
        turn[i] /= e->factors[i];
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < half; i++) {
            const float angle = (float)p * turn[i];
            out[p * e->rope_dim + i] = cosf(angle) * scale;
            out[p * e->rope_dim + half + i] = sinf(angle) * scale;
        }
}

smelt_status trig_room(smelt_engine *e, size_t n, smelt_err *err)
{
    if (n <= e->n_trig || !e->rope_dim) return SMELT_OK;
    const size_t want = n > 2 * e->n_trig ? n : 2 * e->n_trig;
    arena_free(&e->trig_arena);
    e->n_trig = 0;
    e->trig = arena_calloc(&e->trig_arena, want, e->rope_dim * sizeof *e->trig);
    if (!e->trig) return smelt_oom(err);
    trig_fill(e, 0, want, e->trig);
    e->n_trig = want;
    return SMELT_OK;
}
