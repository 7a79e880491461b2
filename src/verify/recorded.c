#include "verify/recorded.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "verify/record.h"

typedef struct recorded {
    smelt_reference base;
    smelt_arena arena;
    const void *part[RECORD_PARTS];                /* NULL: not there */
    size_t chunks, context, k, first, next, given; /* next: the first of the chunks that were given last */
    int32_t *ids;
    uint8_t *taken; /* [vocab] of a row's ids */
    const char *path;
} recorded;

/* A metadata key, which a format may have put its own prefix before. */
static bool find_text(const smelt_model *m, const char *key, smelt_str *out)
{
    const size_t n = strlen(key);
    for (size_t i = 0; i < m->meta.count; i++) {
        const smelt_kv *kv = &m->meta.kv[i];
        const size_t len = strlen(kv->key);
        if (kv->type != SMELT_KV_STR || len < n || strcmp(kv->key + len - n, key) != 0) continue;
        if (len > n && kv->key[len - n - 1] != '.') continue;
        *out = kv->v.s;
        return true;
    }
    return false;
}

/* A number among the metadata; *out stays where there is none. */
static smelt_status find_number(const smelt_model *m, const char *key, size_t *out, smelt_err *err)
{
    smelt_str s;
    uint64_t v = 0;
    if (!find_text(m, key, &s)) return SMELT_OK;
    bool ok = s.n > 0 && s.n < 10;
    for (uint64_t i = 0; ok && i < s.n; i++) {
        ok = s.p[i] >= '0' && s.p[i] <= '9';
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (!ok) return smelt_fail(err, SMELT_E_CORRUPT, "the metadata key %s is no whole number of at most nine digits", key);
    *out = (size_t)v;
    return SMELT_OK;
}

bool recorded_is(const smelt_model *m)
{
    return model_find(m, record_rows[RECORD_IDS].name) &&
           (model_find(m, record_rows[RECORD_LOGITS].name) || model_find(m, record_rows[RECORD_TOP].name));
}

/* Finds one tensor and checks its type, its dimensions but the last, and that it can be read where it lies. */
static smelt_status take_part(recorded *r, const smelt_model *m, record_part p, smelt_err *err)
{
    const record_row *row = &record_rows[p];
    const smelt_tensor *t = model_find(m, row->name);
    char is[256];
    if (!t) return smelt_fail(err, SMELT_E_CORRUPT, "recorded logits have no tensor '%s'", row->name);
    const int dims = row->width == RECORD_ONE ? 2 : 3;
    if (t->dtype != row->dtype || t->shape.n != dims)
        return smelt_fail(err, SMELT_E_CORRUPT, "tensor '%s' is %s %s, %s in %d dimensions was expected", row->name,
                          smelt_dtype_get(t->dtype)->name, shape_text(&t->shape, is, sizeof is), smelt_dtype_get(row->dtype)->name,
                          dims);
    if (p == RECORD_IDS) {
        if (!t->shape.dim[0] || t->shape.dim[1] < 2 || t->shape.dim[1] > INT32_MAX)
            return smelt_fail(err, SMELT_E_CORRUPT, "tensor '%s' is %s: there are no chunks of tokens to predict", row->name,
                              shape_text(&t->shape, is, sizeof is));
        r->chunks = (size_t)t->shape.dim[0];
        r->context = (size_t)t->shape.dim[1];
    }
    if (t->shape.dim[0] != r->chunks || t->shape.dim[1] != r->context)
        return smelt_fail(err, SMELT_E_CORRUPT, "tensor '%s' is %s, but there are %zu chunks of %zu tokens", row->name,
                          shape_text(&t->shape, is, sizeof is), r->chunks, r->context);
    size_t *width = row->width == RECORD_K ? &r->k : &r->base.vocab;
    if (dims == 3 && p != RECORD_TOP) *width = t->shape.dim[2] <= INT32_MAX ? (size_t)t->shape.dim[2] : 0;
    if (dims == 3 && (t->shape.dim[2] != *width || !*width))
        return smelt_fail(err, SMELT_E_CORRUPT, "tensor '%s' is %s: its last dimension does not fit", row->name,
                          shape_text(&t->shape, is, sizeof is));
    const uint64_t elems = view_rows(t->view) * view_cols(t->view);
    uint64_t n = 0;
    /* Where one element lies in the file, the others follow it, or the tensor is not contiguous. */
    uint8_t copy[16];
    const void *data = t->file && elems ? view_span(t->view, 0, 0, 1, copy, &n) : NULL;
    if (data && data != copy) data = view_span(t->view, 0, 0, elems, NULL, &n);
    if (!data || data == copy || n != elems || (uintptr_t)data % smelt_dtype_get(row->dtype)->bytes)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "the data of tensor '%s' do not lie together at a multiple of their size",
                          row->name);
    r->part[p] = data;
    return SMELT_OK;
}

static smelt_status take_ids(recorded *r, smelt_err *err)
{
    const int64_t *wide = r->part[RECORD_IDS];
    const size_t n = r->chunks * r->context;
    r->ids = arena_calloc(&r->arena, n, sizeof *r->ids);
    r->taken = arena_calloc(&r->arena, r->base.vocab, sizeof *r->taken);
    if (!r->ids || !r->taken) return smelt_oom(err);
    for (size_t i = 0; i < n; i++) {
        if (wide[i] < 0 || (uint64_t)wide[i] >= r->base.vocab)
            return smelt_fail(err, SMELT_E_CORRUPT, "token %zu of chunk %zu has the id %" PRId64 ", the logits have %zu columns",
                              i % r->context, i / r->context, wide[i], r->base.vocab);
        r->ids[i] = (int32_t)wide[i];
    }
    return SMELT_OK;
}

static smelt_status open_parts(recorded *r, const smelt_model *m, smelt_err *err)
{
    const bool full = model_find(m, record_rows[RECORD_LOGITS].name) != NULL;
    for (int p = 0; p < RECORD_PARTS; p++)
        if (record_rows[p].when != (full ? RECORD_OF_TOP : RECORD_FULL)) SMELT_TRY(take_part(r, m, (record_part)p, err));
    r->first = r->context / 2;
    SMELT_TRY(find_number(m, RECORD_FIRST, &r->first, err));
    if (r->first + 1 >= r->context)
        return smelt_fail(err, SMELT_E_CORRUPT, "%s is %zu, but the chunks have %zu tokens", RECORD_FIRST, r->first, r->context);
    size_t columns = r->base.vocab;
    SMELT_TRY(find_number(m, RECORD_COLUMNS, &columns, err));
    if (full && columns != r->base.vocab)
        return smelt_fail(err, SMELT_E_CORRUPT, "%s is %zu, but the logits have %zu columns", RECORD_COLUMNS, columns,
                          r->base.vocab);
    /* Nothing in the file is as large as the vocabulary; this is more than any has. */
    if (!full && (columns <= r->k || columns > 1U << 22))
        return smelt_fail(err, SMELT_E_CORRUPT, "%s is %zu, which is no number of columns for the top %zu", RECORD_COLUMNS, columns,
                          r->k);
    r->base.vocab = columns;
    r->base.context = r->context;
    r->base.chunks = r->chunks;
    return take_ids(r, err);
}

static void row_of(const smelt_reference *base, size_t i, size_t token, reference_row *out)
{
    const recorded *r = (const recorded *)base;
    const size_t at = (r->next + i) * r->context + token;
    *out = (reference_row){0};
    if (r->part[RECORD_LOGITS]) {
        out->logits = (const float *)r->part[RECORD_LOGITS] + at * r->base.vocab;
        return;
    }
    out->k = r->k;
    out->top_ids = (const int32_t *)r->part[RECORD_TOP_IDS] + at * r->k;
    out->top = (const float *)r->part[RECORD_TOP] + at * r->k;
    out->log_sum_exp = ((const double *)r->part[RECORD_SUM])[at];
    out->mass = fmin(fmax(((const double *)r->part[RECORD_MASS])[at], 0), 1); /* rounding aside */
    out->target = ((const float *)r->part[RECORD_TARGET])[at];
}

/* What is wrong with the ids and logits of a row's top k, or NULL. */
static const char *check_top(recorded *r, const reference_row *row)
{
    const char *wrong = NULL;
    size_t i = 0;
    for (; i < row->k && !wrong; i++) {
        const int32_t id = row->top_ids[i];
        if (id < 0 || (size_t)id >= r->base.vocab)
            wrong = "an id of its top k is none of the vocabulary";
        else if (r->taken[id]++)
            wrong = "an id is twice in its top k";
        else if (!isfinite(row->top[i]))
            wrong = "a logit is not finite";
        else if (i && row->top[i] > row->top[i - 1])
            wrong = "its top k do not fall";
    }
    while (i-- > 0)
        if (row->top_ids[i] >= 0 && (size_t)row->top_ids[i] < r->base.vocab) r->taken[row->top_ids[i]] = 0;
    return wrong;
}

/* The sums that must follow from the top k, but for rounding. */
static const char *check_sums(const reference_row *row, int32_t target)
{
    enum { CLOSE = 100000 };
    double mass = 0;
    if (!isfinite(row->log_sum_exp) || !isfinite(row->mass) || !isfinite(row->target)) return "a value is not finite";
    for (size_t i = 0; i < row->k; i++)
        mass += exp((double)row->top[i] - row->log_sum_exp);
    if (fabs(mass - row->mass) > 1.0 / CLOSE || mass > 1 + 1.0 / CLOSE) return "log_sum_exp and mass do not fit its top k";
    for (size_t i = 0; i < row->k; i++)
        if (row->top_ids[i] == target) return row->top[i] == row->target ? NULL : "the target's logit is not that of its top k";
    return row->target <= row->top[row->k - 1] ? NULL : "the target's logit is above its top k";
}

static smelt_status check_chunk(recorded *r, size_t chunk, smelt_err *err)
{
    for (size_t t = r->first; t + 1 < r->context; t++) {
        reference_row row;
        const char *wrong = NULL;
        row_of(&r->base, chunk - r->next, t, &row);
        for (size_t i = 0; row.logits && i < r->base.vocab && !wrong; i++)
            if (!isfinite(row.logits[i])) wrong = "a logit is not finite";
        if (!row.logits) wrong = check_top(r, &row);
        if (!row.logits && !wrong) wrong = check_sums(&row, r->ids[chunk * r->context + t + 1]);
        if (!wrong) continue;
        smelt_fail(err, SMELT_E_CORRUPT, "chunk %zu, token %zu: %s", chunk, t, wrong);
        smelt_err_where(err, "%s", r->path);
        return SMELT_E_CORRUPT;
    }
    return SMELT_OK;
}

static smelt_status next_chunks(smelt_reference *base, size_t most, reference_chunk *chunk, size_t *n, smelt_err *err)
{
    recorded *r = (recorded *)base;
    r->next += r->given;
    *n = r->chunks - r->next < most ? r->chunks - r->next : most;
    r->given = *n;
    for (size_t i = 0; i < *n; i++) {
        SMELT_TRY(check_chunk(r, r->next + i, err));
        chunk[i] = (reference_chunk){r->ids + (r->next + i) * r->context, r->context, r->first};
    }
    return SMELT_OK;
}

static void close_recorded(smelt_reference *base)
{
    /* The struct itself lies in its arena. */
    smelt_arena arena = ((recorded *)base)->arena;
    arena_free(&arena);
}

smelt_status recorded_open(const smelt_model *m, size_t chunks, smelt_reference **out, smelt_err *err)
{
    static const reference_ops ops = {next_chunks, row_of, close_recorded};
    smelt_arena arena = {0};
    recorded *r = arena_calloc(&arena, 1, sizeof *r);
    if (!r) return smelt_oom(err);
    r->arena = arena;
    r->base.ops = &ops;
    r->base.text = m->title;
    r->path = m->path;
    const smelt_status st = open_parts(r, m, err);
    if (st != SMELT_OK) {
        smelt_err_where(err, "%s", r->path);
        close_recorded(&r->base);
        return st;
    }
    if (chunks && chunks < r->chunks) r->chunks = r->base.chunks = chunks;
    *out = &r->base;
    return SMELT_OK;
}

smelt_status recorded_fits(const smelt_model *m, const smelt_vocab *vocab, size_t columns, smelt_err *err)
{
    smelt_str recorded_hash;
    char hex[HASH_HEX + 1];
    size_t width = columns;
    const smelt_tensor *logits = model_find(m, record_rows[RECORD_LOGITS].name);
    SMELT_TRY(find_number(m, RECORD_COLUMNS, &width, err));
    if (logits && logits->shape.n == 3) width = (size_t)logits->shape.dim[2];
    if (width != columns)
        return smelt_fail(err, SMELT_E_MISMATCH, "%s was recorded from a model with %zu logits a token, this one has %zu",
                          m->path ? m->path : "it", width, columns);
    if (!vocab || !find_text(m, RECORD_VOCABULARY, &recorded_hash)) return SMELT_OK;
    SMELT_TRY(vocabulary_hash(vocab, hex, err));
    if (str_eq(recorded_hash, hex)) return SMELT_OK;
    return smelt_fail(err, SMELT_E_MISMATCH, "%s was recorded with another tokenizer: its vocabulary's hash is %.*s, this one's %s",
                      m->path ? m->path : "it", (int)(recorded_hash.n < 64 ? recorded_hash.n : 64), recorded_hash.p, hex);
}
