#include "verify/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ir/format.h"

enum { CONTEXT = 512, BATCH = 1024 /* tokens that go through the layers together */ };

const record_row record_rows[RECORD_PARTS] = {
    [RECORD_IDS] = {"input_ids", SMELT_DT_I64, RECORD_BOTH, RECORD_ONE},
    [RECORD_LOGITS] = {"logits", SMELT_DT_F32, RECORD_FULL, RECORD_WIDE},
    [RECORD_TOP_IDS] = {"top_ids", SMELT_DT_I32, RECORD_OF_TOP, RECORD_K},
    [RECORD_TOP] = {"top_logits", SMELT_DT_F32, RECORD_OF_TOP, RECORD_K},
    [RECORD_SUM] = {"log_sum_exp", SMELT_DT_F64, RECORD_OF_TOP, RECORD_ONE},
    [RECORD_MASS] = {"mass", SMELT_DT_F64, RECORD_OF_TOP, RECORD_ONE},
    [RECORD_TARGET] = {"target_logits", SMELT_DT_F32, RECORD_OF_TOP, RECORD_ONE},
};

smelt_status vocabulary_hash(const smelt_vocab *v, char hex[HASH_HEX + 1], smelt_err *err)
{
    uint8_t hash[HASH_BYTES], length[8];
    XXH3_state_t *h = XXH3_createState();
    if (!h) return smelt_oom(err);
    XXH3_128bits_reset(h);
    size_t n = v->n;
    while (n && v->type && v->type[n - 1] == SMELT_TOKEN_UNUSED)
        n--;
    for (size_t i = 0; i < n; i++) {
        const bool unused = v->type && v->type[i] == SMELT_TOKEN_UNUSED;
        store_le64(length, unused ? 0 : v->text[i].n);
        XXH3_128bits_update(h, length, sizeof length);
        if (!unused) XXH3_128bits_update(h, v->text[i].p, (size_t)v->text[i].n);
    }
    hash_state(h, hash);
    XXH3_freeState(h);
    hash_hex(hash, hex);
    return SMELT_OK;
}

/* Where the tensors of a record lie in its file. */
typedef struct places {
    smelt_layout layout;
    uint64_t offset[RECORD_PARTS];
} places;

static smelt_status add_part(smelt_model *m, const record_row *row, size_t chunks, size_t context, size_t width, smelt_err *err)
{
    static const uint8_t nothing[16];
    smelt_shape shape = {.n = 2, .dim = {chunks, context}};
    if (row->width != RECORD_ONE) shape.dim[shape.n++] = width;
    uint64_t elems, bytes;
    const smelt_view *view;
    if (!shape_elems(&shape, &elems) || !smelt_dtype_bytes(row->dtype, elems, &bytes))
        return smelt_fail(err, SMELT_E_LIMIT, "the record would have more bytes than 64 bits count");
    /* Only its shape is asked for: rows go to the file as they come. */
    SMELT_TRY(view_bytes(&m->arena, row->dtype, &shape, nothing, bytes, &view, err));
    return model_add(m, row->name, strlen(row->name), view, NULL, 0, err);
}

static smelt_status lay_out_parts(const smelt_ctx *ctx, const char *target, const smelt_write_opts *write, size_t chunks,
                                  size_t context, size_t columns, size_t k, smelt_model *model, places *out, smelt_err *err)
{
    const smelt_format *format;
    smelt_dtype types[RECORD_PARTS];
    SMELT_TRY(format_for_target(ctx, target, "safetensors", &format, err));
    for (int p = 0; p < RECORD_PARTS; p++) {
        const record_row *row = &record_rows[p];
        if (row->when == (k ? RECORD_FULL : RECORD_OF_TOP)) continue;
        types[model->n_tensors] = row->dtype;
        SMELT_TRY(add_part(model, row, chunks, context, row->width == RECORD_K ? k : columns, err));
    }
    SMELT_TRY(format->layout(ctx, model, model, types, target, write, &out->layout, err));
    for (size_t i = 0; i < out->layout.n_tensors; i++)
        for (int p = 0; p < RECORD_PARTS; p++)
            if (strcmp(record_rows[p].name, out->layout.tensors[i].src->name) == 0) out->offset[p] = out->layout.tensors[i].offset;
    return SMELT_OK;
}

static smelt_status lay_out(const smelt_ctx *ctx, const char *target, size_t chunks, size_t context, size_t columns,
                            const record_opts *o, places *out, smelt_err *err)
{
    char first[32], width[32], hash[HASH_HEX + 1];
    smelt_kv keys[3] = {{.key = RECORD_FIRST, .type = SMELT_KV_STR}, {.key = RECORD_COLUMNS, .type = SMELT_KV_STR}};
    smelt_write_opts write = {.file_type = -1, .keys = keys, .n_keys = 2};
    keys[0].v.s = (smelt_str){first, (uint64_t)snprintf(first, sizeof first, "%zu", context / 2)};
    keys[1].v.s = (smelt_str){width, (uint64_t)snprintf(width, sizeof width, "%zu", columns)};
    if (o->vocab) {
        SMELT_TRY(vocabulary_hash(o->vocab, hash, err));
        keys[write.n_keys++] = (smelt_kv){.key = RECORD_VOCABULARY, .type = SMELT_KV_STR, .v.s = {hash, HASH_HEX}};
    }
    smelt_model model;
    model_init(&model);
    const smelt_status st = lay_out_parts(ctx, target, &write, chunks, context, columns, o->top, &model, out, err);
    model_free(&model);
    return st;
}

typedef struct ranked {
    float logit;
    int32_t id;
} ranked;

static bool before(ranked a, ranked b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

static int by_rank(const void *a, const void *b) { return before(*(const ranked *)a, *(const ranked *)b) ? -1 : 1; }

/* The k first of n in order, by a heap whose root is the last of them. */
static void take_top(const float *logits, size_t n, ranked *heap, size_t k)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        const ranked x = {logits[i], (int32_t)i};
        size_t at = 0;
        if (have < k) {
            for (at = have++; at && before(heap[(at - 1) / 2], x); at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        } else if (before(x, heap[0])) {
            for (size_t child; (child = 2 * at + 1) < k; at = child) {
                if (child + 1 < k && before(heap[child], heap[child + 1])) child++;
                if (!before(x, heap[child])) break;
                heap[at] = heap[child];
            }
        } else
            continue;
        heap[at] = x;
    }
    qsort(heap, k, sizeof *heap, by_rank);
}

static double log_sum_exp(const float *x, size_t n)
{
    float top = x[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)top);
    return (double)top + log(sum);
}

typedef struct recorder {
    const smelt_ctx *ctx;
    smelt_sink *sink;
    const places *at;
    int file;
    size_t context, columns, k, first; /* first: number of the first chunk of the batch */
    smelt_seq *seqs;
    int32_t *ids;  /* of the batch */
    int64_t *wide; /* the same */
    /* For ROOM rows. */
    ranked *heap;
    int32_t *top_ids;
    float *top, *target;
    double *sum, *mass;
} recorder;

enum { ROOM = 64 };

static smelt_status write_part(const recorder *r, record_part p, size_t row, size_t n, const void *data, smelt_err *err)
{
    const size_t width = record_rows[p].width == RECORD_K ? r->k : record_rows[p].width == RECORD_WIDE ? r->columns : 1;
    const uint64_t bytes = (uint64_t)width * smelt_dtype_get(record_rows[p].dtype)->bytes;
    return sink_write(r->sink, r->file, data, (size_t)(n * bytes), r->at->offset[p] + row * bytes, err);
}

/* `n` rows of the top k, of which the first is row `row` of the file; the first `ahead` of them have a target, next[i]. */
static smelt_status write_top(const recorder *r, size_t row, size_t n, const float *logits, const int32_t *next, size_t ahead,
                              smelt_err *err)
{
    const int threads = r->ctx->threads;
#pragma omp parallel for num_threads(threads)
    for (size_t i = 0; i < n; i++) {
        const float *x = logits + i * r->columns;
        ranked *heap = r->heap + i * r->k;
        take_top(x, r->columns, heap, r->k);
        r->sum[i] = log_sum_exp(x, r->columns);
        r->mass[i] = 0;
        for (size_t j = 0; j < r->k; j++) {
            r->top_ids[i * r->k + j] = heap[j].id;
            r->top[i * r->k + j] = heap[j].logit;
            r->mass[i] += exp((double)heap[j].logit - r->sum[i]);
        }
        r->target[i] = i < ahead ? x[next[i]] : 0;
    }
    SMELT_TRY(write_part(r, RECORD_TOP_IDS, row, n, r->top_ids, err));
    SMELT_TRY(write_part(r, RECORD_TOP, row, n, r->top, err));
    SMELT_TRY(write_part(r, RECORD_SUM, row, n, r->sum, err));
    SMELT_TRY(write_part(r, RECORD_MASS, row, n, r->mass, err));
    return write_part(r, RECORD_TARGET, row, n, r->target, err);
}

static smelt_status take_rows(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    const recorder *r = user;
    const size_t row = (r->first + seq) * r->context + first;
    for (size_t i = 0; i < n * r->columns; i++)
        if (!isfinite(logits[i]))
            return smelt_fail(err, SMELT_E_CORRUPT, "chunk %zu: the logits behind token %zu are not finite", r->first + seq,
                              first + i / r->columns);
    if (!r->k) return write_part(r, RECORD_LOGITS, row, n, logits, err);
    for (size_t at = 0, step; at < n; at += step) {
        step = n - at < ROOM ? n - at : ROOM;
        const size_t token = first + at;
        SMELT_TRY(
            write_top(r, row + at, step, logits + at * r->columns, r->seqs[seq].ids + token + 1, r->context - 1 - token, err));
    }
    return SMELT_OK;
}

static smelt_status record_chunks(smelt_engine *e, const int32_t *ids, size_t chunks, const record_opts *o, size_t together,
                                  recorder *r, smelt_err *err)
{
    for (size_t chunk = 0, n; chunk < chunks; chunk += n) {
        n = chunks - chunk < together ? chunks - chunk : together;
        memcpy(r->ids, ids + chunk * r->context, n * r->context * sizeof *ids);
        for (size_t i = 0; i < n; i++) {
            if (o->bos >= 0) r->ids[i * r->context] = o->bos;
            r->seqs[i] = (smelt_seq){.ids = r->ids + i * r->context, .n = r->context};
        }
        for (size_t i = 0; i < n * r->context; i++)
            r->wide[i] = r->ids[i];
        SMELT_TRY(write_part(r, RECORD_IDS, chunk * r->context, n * r->context, r->wide, err));
        r->first = chunk;
        SMELT_TRY(engine_run(e, r->seqs, n, take_rows, r, err));
        if (o->progress && o->progress(o->user, chunk + n, chunks)) return smelt_fail(err, SMELT_E_CANCELLED, "interrupted");
    }
    return SMELT_OK;
}

static smelt_status record(smelt_engine *e, const int32_t *ids, size_t chunks, const record_opts *o, recorder *r,
                           smelt_arena *arena, smelt_err *err)
{
    const size_t fit = r->context < BATCH ? BATCH / r->context : 1, together = fit < chunks ? fit : chunks;
    r->seqs = arena_calloc(arena, together, sizeof *r->seqs);
    r->ids = arena_calloc(arena, together * r->context, sizeof *r->ids);
    r->wide = arena_calloc(arena, together * r->context, sizeof *r->wide);
    r->heap = arena_calloc(arena, ROOM * r->k, sizeof *r->heap);
    r->top_ids = arena_calloc(arena, ROOM * r->k, sizeof *r->top_ids);
    r->top = arena_calloc(arena, ROOM * r->k, sizeof *r->top);
    r->target = arena_calloc(arena, ROOM, sizeof *r->target);
    r->sum = arena_calloc(arena, ROOM, sizeof *r->sum);
    r->mass = arena_calloc(arena, ROOM, sizeof *r->mass);
    if (!r->seqs || !r->ids || !r->wide || !r->heap || !r->top_ids || !r->top || !r->target || !r->sum || !r->mass)
        return smelt_oom(err);
    return record_chunks(e, ids, chunks, o, together, r, err);
}

smelt_status record_run(const smelt_ctx *ctx, smelt_engine *e, const int32_t *ids, size_t n, const record_opts *o,
                        const char *target, smelt_err *err)
{
    recorder r = {.ctx = ctx, .context = o->context ? o->context : CONTEXT, .columns = engine_vocab(e), .k = o->top};
    if (r.context < 4 || r.context > INT32_MAX) return smelt_fail(err, SMELT_E_USAGE, "a context of %zu tokens", r.context);
    if (r.k >= r.columns) return smelt_fail(err, SMELT_E_USAGE, "the top %zu of %zu logits are all of them", r.k, r.columns);
    size_t chunks = n / r.context;
    if (!chunks) return smelt_fail(err, SMELT_E_USAGE, "the text has %zu tokens, a chunk needs %zu", n, r.context);
    if (o->chunks && o->chunks < chunks) chunks = o->chunks;
    places at = {0};
    smelt_arena arena = {0};
    r.at = &at;
    smelt_status st = lay_out(ctx, target, chunks, r.context, r.columns, o, &at, err);
    const smelt_out_file *file = at.layout.files;
    if (st == SMELT_OK) st = sink_open(target, false, false, &r.sink, err);
    if (st == SMELT_OK) st = sink_add(r.sink, file->name, file->size, &r.file, err);
    if (st == SMELT_OK) st = sink_write(r.sink, r.file, file->header, (size_t)file->header_size, 0, err);
    if (st == SMELT_OK) st = record(e, ids, chunks, o, &r, &arena, err);
    if (st == SMELT_OK) st = sink_commit(r.sink, err);
    sink_discard(r.sink);
    sink_close(r.sink);
    arena_free(&arena);
    arena_free(&at.layout.arena);
    return st;
}
