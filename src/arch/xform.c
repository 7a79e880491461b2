/* The transforms between a checkpoint's tensors and the IR's, and back, as a table. */
#include <string.h>

#include "arch/internal.h"

static uint64_t hp_n(const smelt_hparams *hp, smelt_hp id) { return hp_u64(hp, id); }

static smelt_status none(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    (void)a;
    (void)err;
    out[0] = in[0];
    return SMELT_OK;
}

static smelt_status qkv_rows(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const uint64_t d = hp_n(a->hp, SMELT_HP_HEAD_DIM), q = hp_n(a->hp, SMELT_HP_HEADS) * d, k = hp_n(a->hp, SMELT_HP_KV_HEADS) * d;
    if (view_rows(in[0]) != q + 2 * k)
        return smelt_fail(err, SMELT_E_MISMATCH, "fused queries, keys and values have %llu rows, the configuration says %llu",
                          (unsigned long long)view_rows(in[0]), (unsigned long long)(q + 2 * k));
    SMELT_TRY(view_slice(a->arena, in[0], 0, q, &out[0], err));
    SMELT_TRY(view_slice(a->arena, in[0], q, k, &out[1], err));
    return view_slice(a->arena, in[0], q + k, k, &out[2], err);
}

static smelt_status qkv_rows_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    return view_concat(a->arena, in, 3, &out[0], err);
}

static smelt_status qkv_groups(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const uint64_t groups = hp_n(a->hp, SMELT_HP_KV_HEADS), per = groups ? hp_n(a->hp, SMELT_HP_HEADS) / groups : 0;
    for (int part = 0; part < 3; part++)
        SMELT_TRY(view_qkv_take(a->arena, in[0], groups, per, hp_n(a->hp, SMELT_HP_HEAD_DIM), part, &out[part], err));
    return SMELT_OK;
}

static smelt_status qkv_groups_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const uint64_t groups = hp_n(a->hp, SMELT_HP_KV_HEADS), per = groups ? hp_n(a->hp, SMELT_HP_HEADS) / groups : 0;
    return view_qkv_join(a->arena, in, groups, per, hp_n(a->hp, SMELT_HP_HEAD_DIM), &out[0], err);
}

static smelt_status pair_rows(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    SMELT_TRY(view_every(a->arena, in[0], 2, 0, &out[0], err));
    return view_every(a->arena, in[0], 2, 1, &out[1], err);
}

static smelt_status pair_rows_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    return view_interleave(a->arena, in, 2, &out[0], err);
}

static uint64_t elems_of(const smelt_view *v) { return view_rows(v) * view_cols(v); }

static smelt_status flat(const xf_args *a, const smelt_view *in, const smelt_view **out, smelt_err *err)
{
    const smelt_shape shape = {.n = 1, .dim = {elems_of(in)}};
    return view_reshape(a->arena, in, &shape, out, err);
}

static smelt_status pair_cols(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *line, *half[2];
    smelt_shape shape = *view_shape(in[0]);
    if (!shape.n || shape.dim[shape.n - 1] % 2)
        return smelt_fail(err, SMELT_E_MISMATCH, "a row of pairs has an odd number of elements");
    shape.dim[shape.n - 1] /= 2;
    SMELT_TRY(flat(a, in[0], &line, err));
    SMELT_TRY(pair_rows(a, &line, half, err));
    SMELT_TRY(view_reshape(a->arena, half[0], &shape, &out[0], err));
    return view_reshape(a->arena, half[1], &shape, &out[1], err);
}

static smelt_status pair_cols_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *half[2], *line;
    smelt_shape shape = *view_shape(in[0]);
    if (!shape.n) return smelt_fail(err, SMELT_E_MISMATCH, "a scalar has no pairs");
    shape.dim[shape.n - 1] *= 2;
    SMELT_TRY(flat(a, in[0], &half[0], err));
    SMELT_TRY(flat(a, in[1], &half[1], err));
    SMELT_TRY(pair_rows_back(a, half, &line, err));
    return view_reshape(a->arena, line, &shape, &out[0], err);
}

/* [experts, 2 n, cols] seen as 2 experts groups of n rows: the even ones are the first tensor's. */
static smelt_status pair_halves(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_shape *s = view_shape(in[0]);
    if (s->n != 3 || s->dim[1] % 2) return smelt_fail(err, SMELT_E_MISMATCH, "a pair of expert matrices has an odd number of rows");
    const uint64_t half = s->dim[1] / 2;
    const smelt_view *rows, *part[2];
    const smelt_shape flat_shape = {.n = 2, .dim = {s->dim[0] * s->dim[1], s->dim[2]}},
                      shape = {.n = 3, .dim = {s->dim[0], half, s->dim[2]}};
    SMELT_TRY(view_reshape(a->arena, in[0], &flat_shape, &rows, err));
    for (int p = 0; p < 2; p++) {
        /* A group is one "query" run and one "key" run of `half` rows, without a value: taken by slices of a join. */
        SMELT_TRY(view_blocks_take(a->arena, rows, 2, half, (uint64_t)p, &part[p], err));
        SMELT_TRY(view_reshape(a->arena, part[p], &shape, &out[p], err));
    }
    return SMELT_OK;
}

static smelt_status pair_halves_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_shape *s = view_shape(in[0]);
    if (s->n != 3) return smelt_fail(err, SMELT_E_MISMATCH, "expert matrices have three dimensions");
    const smelt_shape flat_shape = {.n = 2, .dim = {s->dim[0] * s->dim[1], s->dim[2]}},
                      shape = {.n = 3, .dim = {s->dim[0], 2 * s->dim[1], s->dim[2]}};
    const smelt_view *part[2], *rows;
    for (int p = 0; p < 2; p++)
        SMELT_TRY(view_reshape(a->arena, in[p], &flat_shape, &part[p], err));
    SMELT_TRY(view_blocks_join(a->arena, part, 2, s->dim[1], &rows, err));
    return view_reshape(a->arena, rows, &shape, &out[0], err);
}

static smelt_status transpose(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    return view_transpose(a->arena, in[0], &out[0], err);
}

static smelt_status transpose_pair(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *t;
    SMELT_TRY(view_transpose(a->arena, in[0], &t, err));
    return pair_rows(a, &t, out, err);
}

static smelt_status transpose_pair_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *t;
    SMELT_TRY(pair_rows_back(a, in, &t, err));
    return view_transpose(a->arena, t, &out[0], err);
}

static smelt_status mxfp4(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    return view_mxfp4_join(a->arena, in[0], in[1], &out[0], err);
}

static smelt_status mxfp4_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    SMELT_TRY(view_mxfp4_blocks(a->arena, in[0], &out[0], err));
    return view_mxfp4_scales(a->arena, in[0], &out[1], err);
}

static smelt_status mxfp4_pair(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *both;
    SMELT_TRY(mxfp4(a, in, &both, err));
    return pair_rows(a, &both, out, err);
}

static smelt_status mxfp4_pair_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_view *both;
    SMELT_TRY(pair_rows_back(a, in, &both, err));
    return mxfp4_back(a, &both, out, err);
}

static smelt_status experts(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const uint64_t n = hp_n(a->hp, SMELT_HP_EXPERTS);
    const smelt_view **one = arena_calloc(a->arena, n, sizeof *one);
    if (!one) return smelt_oom(err);
    for (uint64_t e = 0; e < n; e++) {
        const smelt_shape *s = view_shape(in[e]);
        smelt_shape shape = {.n = s->n + 1, .dim = {1}};
        if (shape.n > SMELT_MAX_DIMS) return smelt_fail(err, SMELT_E_LIMIT, "an expert has too many dimensions");
        memcpy(shape.dim + 1, s->dim, (size_t)s->n * sizeof *s->dim);
        SMELT_TRY(view_reshape(a->arena, in[e], &shape, &one[e], err));
    }
    return view_concat(a->arena, one, n, &out[0], err);
}

static smelt_status experts_back(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err)
{
    const smelt_shape *s = view_shape(in[0]);
    const uint64_t n = hp_n(a->hp, SMELT_HP_EXPERTS);
    if (s->n < 2 || s->dim[0] != n)
        return smelt_fail(err, SMELT_E_MISMATCH, "the number of stacked experts is not that of the configuration");
    smelt_shape shape = {.n = s->n - 1};
    memcpy(shape.dim, s->dim + 1, (size_t)shape.n * sizeof *s->dim);
    for (uint64_t e = 0; e < n; e++) {
        const smelt_view *slice;
        SMELT_TRY(view_slice(a->arena, in[0], e, 1, &slice, err));
        SMELT_TRY(view_reshape(a->arena, slice, &shape, &out[e], err));
    }
    return SMELT_OK;
}

static bool always(smelt_dtype dtype)
{
    (void)dtype;
    return true;
}
static bool if_mxfp4(smelt_dtype dtype) { return dtype == SMELT_DT_MXFP4; }
static bool if_plain(smelt_dtype dtype) { return smelt_dtype_get(dtype)->elems == 1; }

const xf_row xf_rows[X_COUNT] = {
    [X_NONE] = {1, 1, none, none, always, {NULL}},
    [X_QKV_ROWS] = {1, 3, qkv_rows, qkv_rows_back, always, {NULL}},
    [X_QKV_GROUPS] = {1, 3, qkv_groups, qkv_groups_back, always, {NULL}},
    [X_PAIR_ROWS] = {1, 2, pair_rows, pair_rows_back, always, {NULL}},
    [X_PAIR_COLS] = {1, 2, pair_cols, pair_cols_back, if_plain, {NULL}},
    [X_PAIR_HALVES] = {1, 2, pair_halves, pair_halves_back, always, {NULL}},
    [X_TRANSPOSE] = {1, 1, transpose, transpose, if_plain, {NULL}},
    [X_TRANSPOSE_PAIR] = {1, 2, transpose_pair, transpose_pair_back, if_plain, {NULL}},
    [X_MXFP4] = {2, 1, mxfp4, mxfp4_back, if_mxfp4, {"_blocks", "_scales"}},
    [X_MXFP4_PAIR] = {2, 2, mxfp4_pair, mxfp4_pair_back, if_mxfp4, {"_blocks", "_scales"}},
    [X_MXFP4_PARTS] = {2, 1, mxfp4, mxfp4_back, if_mxfp4, {".blocks", ".scales"}},
    [X_MXFP4_PARTS_PAIR] = {2, 2, mxfp4_pair, mxfp4_pair_back, if_mxfp4, {".blocks", ".scales"}},
    [X_EXPERTS] = {0, 1, experts, experts_back, always, {NULL}},
};
