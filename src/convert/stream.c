#include "convert/stream.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "arch/content.h"
#include "base/bytes.h"
#include "convert/digest.h"
#include "convert/finite.h"

/* A unit is a run of elements of one tensor, in row-major order, that starts at a multiple of every block size. CHUNK is what
 * is decoded and encoded at a time: its float32 values stay in the second-level cache. */
enum { UNIT_ELEMS = 1 << 20, CHUNK = 1 << 15, ALIGN_ELEMS = 256 };

typedef struct unit {
    uint32_t tensor;
    uint64_t first, count; /* elements */
    size_t pieces;         /* of the source's content: whoever makes the unit hashes those from the last unit's end to this one */
} unit;

/* Where rows have weights, encoders see whole rows. */
static bool weighted(const smelt_out_tensor *o) { return o->importance && o->dtype != o->src->dtype; }

typedef struct job {
    const smelt_ctx *ctx;
    const smelt_layout *layout;
    smelt_sink *sink;
    smelt_check *check; /* not NULL: there is no sink, everything is compared with what is there */
    const smelt_stream_opts *opts;
    unit *units;
    bool *done; /* [n_units] */
    size_t n_units;
    smelt_tensor_result *results; /* [layout->n_tensors] */
    digest *digests;              /* [layout->n_tensors], or NULL */
    smelt_content content;        /* of the source, where the output names it; otherwise without pieces */
    uint64_t total_in, done_in;
    uint64_t raw_max, out_max; /* bytes of the largest unit in the source and in the target */
    uint64_t cols_max;         /* of weighted rows */
    smelt_err *err;            /* written under the lock, first one wins */
    int failed;
} job;

/* What the journal says of a finished unit. A copied one has no hash: --resume compares it with its source. */
typedef struct record {
    uint64_t unit, hash, replaced;
} record;

static bool has_hash(const smelt_out_tensor *o, const record *r) { return o->dtype != o->src->dtype || r->replaced; }

/* Buffers of one worker. */
typedef struct worker {
    smelt_arena arena;
    uint8_t *raw; /* one unit as the source has it */
    uint8_t *out; /* one unit as the target has it */
    float *f32;   /* CHUNK, or a weighted row */
    float *weights;
    void *scratch;              /* for the source's content */
    const smelt_importance *of; /* whose weights those are, and of which matrix */
    uint64_t matrix;
} worker;

static uint64_t elems_of(const smelt_tensor *t) { return view_rows(t->view) * view_cols(t->view); }

static uint64_t out_bytes(const smelt_out_tensor *o, uint64_t elems)
{
    uint64_t bytes = 0;
    smelt_dtype_bytes(o->dtype, elems, &bytes);
    return bytes;
}

static uint64_t unit_elems(const smelt_out_tensor *o)
{
    const uint64_t cols = view_cols(o->src->view);
    if (!weighted(o)) return UNIT_ELEMS;
    return cols < UNIT_ELEMS ? UNIT_ELEMS / cols * cols : cols;
}

/* Spreads the pieces over the units, as near as the order of the tensors allows to where they are read anyway. */
static void share_pieces(job *j)
{
    const size_t all = j->content.n_pieces;
    uint64_t elems = 0, at = 0;
    for (size_t i = 0; i < j->n_units; i++)
        elems += j->units[i].count;
    for (size_t i = 0; i < j->n_units; i++) {
        at += j->units[i].count;
        j->units[i].pieces = i + 1 == j->n_units ? all : (size_t)((double)all * ((double)at / (double)elems));
    }
}

static smelt_status make_units(job *j, smelt_arena *arena, smelt_err *err)
{
    const smelt_layout *l = j->layout;
    size_t count = 0;
    for (size_t i = 0; i < l->n_tensors; i++)
        count += (size_t)(elems_of(l->tensors[i].src) / unit_elems(&l->tensors[i]) + 1);
    j->units = arena_calloc(arena, count, sizeof *j->units);
    j->done = arena_calloc(arena, count, sizeof *j->done);
    j->results = j->opts->results;
    if (!j->results) j->results = arena_calloc(arena, l->n_tensors, sizeof *j->results);
    if (!j->units || !j->done || !j->results) return smelt_oom(err);
    for (size_t i = 0; i < l->n_tensors; i++) {
        const smelt_tensor *t = l->tensors[i].src;
        uint64_t left = elems_of(t), most = unit_elems(&l->tensors[i]);
        if (weighted(&l->tensors[i]) && view_cols(t->view) > j->cols_max) j->cols_max = view_cols(t->view);
        j->total_in += view_bytes_total(t->view);
        for (uint64_t at = 0; left;) {
            uint64_t take = left < most ? left : most;
            uint64_t raw = view_col_bytes(t->view, take), out = out_bytes(&l->tensors[i], take);
            if (raw > j->raw_max) j->raw_max = raw;
            if (out > j->out_max) j->out_max = out;
            j->units[j->n_units++] = (unit){.tensor = (uint32_t)i, .first = at, .count = take};
            at += take;
            left -= take;
        }
    }
    share_pieces(j);
    return SMELT_OK;
}

/* What a worker never touches of its buffers costs nothing: large zeroed blocks come as untouched pages. */
static bool worker_start(const job *j, worker *w)
{
    *w = (worker){0};
    w->raw = arena_calloc(&w->arena, j->raw_max, 1);
    w->out = arena_calloc(&w->arena, j->out_max, 1);
    w->f32 = arena_calloc(&w->arena, j->cols_max > CHUNK ? j->cols_max : CHUNK, sizeof *w->f32);
    w->weights = arena_calloc(&w->arena, j->cols_max, sizeof *w->weights);
    w->scratch = arena_calloc(&w->arena, j->content.n_pieces ? content_scratch() : 0, 1);
    return w->raw && w->out && w->f32 && w->weights && w->scratch;
}

/* The unit's bytes as the source has them: in the mapping, or gathered into the worker's buffer. */
static const void *raw_unit(const smelt_tensor *t, uint64_t first, uint64_t count, worker *w)
{
    const void *p = view_elems(t->view, first, count, w->raw);
    if (p != w->raw) map_populate(p, view_col_bytes(t->view, count));
    return p;
}

/* Some value of the block that starts at element `first` is too large. */
static smelt_status too_large(const smelt_tensor *t, smelt_dtype type, const float *x, uint64_t first, smelt_err *err)
{
    uint64_t most = 0;
    for (uint64_t i = 1; i < smelt_dtype_get(type)->elems; i++)
        if (fabsf(x[i]) > fabsf(x[most])) most = i;
    return finite_fail_large(t, first + most, x[most], type, err);
}

/* Elements to encode at once from `first` on: of weighted tensors, whole rows of one matrix, whose weights are made ready. */
static uint64_t chunk_elems(const smelt_out_tensor *o, uint64_t first, uint64_t left, worker *w)
{
    if (!weighted(o)) return left < CHUNK ? left : CHUNK;
    const smelt_importance *im = o->importance;
    const uint64_t cols = im->cols, rows = view_rows(o->src->view) / im->matrices, row = first / cols;
    if (w->of != im || w->matrix != row / rows) importance_row(im, row / rows, w->weights);
    w->of = im;
    w->matrix = row / rows;
    uint64_t n = cols < CHUNK ? CHUNK / cols : 1, rest = rows - row % rows;
    if (n > rest) n = rest;
    return n * cols < left ? n * cols : left;
}

/* Elements [first, first + n) of a tensor, which lie at `src`, as float32: *x is there or in the worker's buffer. Values that are
 * not finite are replaced where that is asked for, an error where a block type is to hold them, and kept otherwise. */
static smelt_status decode(const job *j, const smelt_out_tensor *o, const uint8_t *src, uint64_t first, uint64_t n, worker *w,
                           const float **x, uint64_t *replaced, smelt_err *err)
{
    enum { STEP = 1 << 12 }; /* what is looked at is still in the first-level cache */
    const smelt_codec_fns *from = &j->ctx->codec[o->src->dtype];
    const bool check = j->opts->replace || smelt_dtype_get(o->dtype)->kind == SMELT_KIND_BLOCK;
    /* Mapped float32 may lie at any address. */
    const bool there = o->src->dtype == SMELT_DT_F32 && (uintptr_t)src % sizeof **x == 0;
    *x = there ? (const void *)src : w->f32;
    for (uint64_t at = 0; at < n; at += STEP) {
        const uint64_t m = n - at < STEP ? n - at : STEP;
        if (!there) from->unpack(src + view_col_bytes(o->src->view, at), w->f32 + at, m);
        const uint64_t bad = check ? finite_until(*x + at, m) : m;
        if (bad == m) continue;
        if (!j->opts->replace) return finite_fail(o->src, first + at + bad, (*x)[at + bad], o->dtype, err);
        if (*x != w->f32) memcpy(w->f32, src, n * sizeof **x);
        *x = w->f32;
        *replaced += finite_replace(w->f32 + at, m, j->opts->replacement);
    }
    return SMELT_OK;
}

static smelt_status encode(const job *j, const smelt_out_tensor *o, const unit *u, worker *w, uint64_t *replaced, smelt_err *err)
{
    const smelt_codec_fns *to = &j->ctx->codec[o->dtype];
    const uint8_t *raw = raw_unit(o->src, u->first, u->count, w);
    for (uint64_t at = 0, n; at < u->count; at += n) {
        n = chunk_elems(o, u->first + at, u->count - at, w);
        const float *x;
        SMELT_TRY(decode(j, o, raw + view_col_bytes(o->src->view, at), u->first + at, n, w, &x, replaced, err));
        void *dst = w->out + out_bytes(o, at);
        if (weighted(o))
            to->pack(x, dst, n / o->importance->cols, o->importance->cols, w->weights);
        else
            to->pack(x, dst, 1, n, NULL);
        if (to->validate) {
            const uint32_t elems = smelt_dtype_get(o->dtype)->elems;
            const uint64_t good = to->validate(dst, n / elems) * elems;
            if (good != n) return too_large(o->src, o->dtype, x + good, u->first + at + good, err);
        }
    }
    return SMELT_OK;
}

/* Blocks whose scales are not finite, in a unit that is stored as it is: an error, or re-encoded in the worker's buffer. */
static smelt_status copy_blocks(const job *j, const smelt_out_tensor *o, const unit *u, worker *w, const void **bytes,
                                uint64_t *replaced, smelt_err *err)
{
    const smelt_codec_fns *f = &j->ctx->codec[o->dtype];
    const smelt_dtype_row *row = smelt_dtype_get(o->dtype);
    const uint64_t n = u->count / row->elems;
    uint64_t at = f->validate ? f->validate(*bytes, n) : n;
    if (at == n) return SMELT_OK;
    if (!j->opts->replace || !f->pack) return finite_fail_scale(o->src, u->first + at * row->elems, err);
    if (*bytes != w->out) memcpy(w->out, *bytes, n * row->bytes);
    *bytes = w->out;
    /* Some types must be told how much each value counts: all alike. */
    float alike[ALIGN_ELEMS];
    for (int i = 0; i < ALIGN_ELEMS; i++)
        alike[i] = 1;
    const float *weights = f->weights == SMELT_WEIGHTS_REQUIRED ? alike : NULL;
    for (; at < n; at += 1 + f->validate(w->out + (at + 1) * row->bytes, n - at - 1)) {
        uint8_t *block = w->out + at * row->bytes;
        f->unpack(block, w->f32, row->elems);
        *replaced += finite_replace(w->f32, row->elems, j->opts->replacement);
        f->pack(w->f32, block, 1, row->elems, weights);
        if (f->validate(block, 1) != 1) return too_large(o->src, o->dtype, w->f32, u->first + at * row->elems, err);
    }
    return SMELT_OK;
}

/* Values of a plain type that are not finite, in a unit that is stored as it is, are replaced if that is asked for. */
static void copy_floats(const job *j, const smelt_out_tensor *o, const unit *u, worker *w, const void **bytes, uint64_t *replaced)
{
    const smelt_codec_fns *f = &j->ctx->codec[o->dtype];
    const size_t size = smelt_dtype_get(o->dtype)->bytes;
    /* Not every float64 is a float32; and what cannot be encoded cannot be replaced. */
    if (!j->opts->replace || !f->pack || size > sizeof(float)) return;
    for (uint64_t at = 0; at < u->count; at += CHUNK) {
        const uint64_t n = u->count - at < CHUNK ? u->count - at : CHUNK;
        f->unpack((const uint8_t *)*bytes + at * size, w->f32, n);
        for (uint64_t i = finite_until(w->f32, n); i < n; i += 1 + finite_until(w->f32 + i + 1, n - i - 1)) {
            if (*bytes != w->out) memcpy(w->out, *bytes, u->count * size);
            *bytes = w->out;
            f->pack(&j->opts->replacement, w->out + (at + i) * size, 1, 1, NULL);
            ++*replaced;
        }
    }
}

/* The bytes of a unit as the output has them: in the source's mapping or in one of the worker's buffers. */
static smelt_status make_unit(const job *j, const smelt_out_tensor *o, const unit *u, worker *w, const void **bytes,
                              uint64_t *replaced, smelt_err *err)
{
    if (o->dtype != o->src->dtype) {
        *bytes = w->out;
        return encode(j, o, u, w, replaced, err);
    }
    *bytes = raw_unit(o->src, u->first, u->count, w);
    const smelt_dtype_kind kind = smelt_dtype_get(o->dtype)->kind;
    if (kind == SMELT_KIND_BLOCK) return copy_blocks(j, o, u, w, bytes, replaced, err);
    if (kind == SMELT_KIND_FLOAT) copy_floats(j, o, u, w, bytes, replaced);
    return SMELT_OK;
}

static smelt_status read_back(const job *j, const unit *u, void *buf, uint64_t *bytes, smelt_err *err)
{
    const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
    *bytes = out_bytes(o, u->count);
    return sink_read(j->sink, o->file, buf, *bytes, o->offset + out_bytes(o, u->first), err);
}

typedef struct reader {
    const job *job;
    worker *worker;
} reader;

static smelt_status read_unit(void *user, size_t index, const void **bytes, size_t *n, smelt_err *err)
{
    const reader *r = user;
    uint64_t size;
    SMELT_TRY(read_back(r->job, &r->job->units[index], r->worker->out, &size, err));
    *bytes = r->worker->out;
    *n = (size_t)size;
    return SMELT_OK;
}

static smelt_status run_unit(job *j, size_t index, worker *w, smelt_err *err)
{
    const unit *u = &j->units[index];
    const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
    const uint64_t size = out_bytes(o, u->count), at = o->offset + out_bytes(o, u->first);
    const void *bytes;
    record r = {.unit = index};
    SMELT_TRY(make_unit(j, o, u, w, &bytes, &r.replaced, err));
    if (j->check) {
        check_tensor(j->check, u->tensor, bytes, size, at);
        return SMELT_OK;
    }
    SMELT_TRY(sink_write(j->sink, o->file, bytes, size, at, err));
    if (has_hash(o, &r)) r.hash = XXH3_64bits(bytes, size);
    SMELT_TRY(sink_journal_append(j->sink, &r, sizeof r, err));
    __atomic_add_fetch(&j->results[u->tensor].replaced, r.replaced, __ATOMIC_RELAXED);
    if (!j->digests) return SMELT_OK;
    return digest_advance(&j->digests[u->tensor], j->done, index, bytes, size, read_unit, &(reader){j, w}, err);
}

static void hash_pieces(const job *j, size_t index, worker *w)
{
    for (size_t i = index ? j->units[index - 1].pieces : 0; i < j->units[index].pieces; i++)
        content_hash_piece(&j->content, i, w->scratch);
}

/* The first failure is kept; call it under the lock. */
static void fail(job *j, smelt_status st, const smelt_err *err)
{
    if (st == SMELT_OK || j->failed != SMELT_OK) return;
    if (j->err) *j->err = *err;
    __atomic_store_n(&j->failed, (int)st, __ATOMIC_RELAXED);
}

static void finish_unit(job *j, size_t index, smelt_status st, smelt_err *err)
{
    const unit *u = &j->units[index];
    const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
    if (st == SMELT_OK) {
        j->done_in += view_col_bytes(o->src->view, u->count);
        smelt_progress p = {j->opts->stage ? j->opts->stage : "convert", o->src->name, j->done_in, j->total_in};
        if (j->ctx->progress && j->ctx->progress(j->ctx->user, &p))
            st = smelt_fail(err, SMELT_E_CANCELLED, "interrupted; run again with --resume to go on");
    }
    fail(j, st, err);
}

static bool stopped(const job *j) { return __atomic_load_n(&j->failed, __ATOMIC_RELAXED) != SMELT_OK; }

static smelt_status run_units(job *j)
{
    int threads = j->ctx->threads;
#pragma omp parallel num_threads(threads)
    {
        worker w;
        bool ready = worker_start(j, &w);
        /* What an earlier run finished is hashed up to the first gap; whoever fills that goes on. */
        if (j->digests) {
#pragma omp for schedule(dynamic, 1)
            for (size_t i = 0; i < j->layout->n_tensors; i++) {
                smelt_err err = {0};
                if (stopped(j)) continue;
                smelt_status st = ready ? digest_advance(&j->digests[i], j->done, 0, NULL, 0, read_unit, &(reader){j, &w}, &err)
                                        : smelt_oom(&err);
#pragma omp critical(smelt_stream)
                fail(j, st, &err);
            }
        }
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < j->n_units; i++) {
            if (stopped(j)) continue;
            smelt_err err = {0};
            const bool made = j->done[i]; /* by an earlier run, which left no record of what the source was */
            smelt_status st = !ready ? smelt_oom(&err) : made ? SMELT_OK : run_unit(j, i, &w, &err);
            if (st == SMELT_OK) hash_pieces(j, i, &w);
            if (st == SMELT_OK && made) continue;
#pragma omp critical(smelt_stream)
            finish_unit(j, i, st, &err);
        }
        arena_free(&w.arena);
    }
    return (smelt_status)j->failed;
}

/* Hashes of the tensors, of which nothing is known yet. */
static smelt_status start_digests(job *j, smelt_arena *arena, smelt_err *err)
{
    j->digests = arena_calloc(arena, j->layout->n_tensors, sizeof *j->digests);
    if (!j->digests) return smelt_oom(err);
    size_t at = 0;
    for (size_t i = 0; i < j->layout->n_tensors; i++) {
        const size_t first = at;
        while (at < j->n_units && j->units[at].tensor == i)
            at++;
        SMELT_TRY(digest_start(&j->digests[i], first, at, j->results[i].hash, err));
    }
    return SMELT_OK;
}

static void hash_u64(XXH3_state_t *h, uint64_t v)
{
    uint8_t le[8];
    store_le64(le, v);
    XXH3_128bits_update(h, le, sizeof le);
}

static void hash_text(XXH3_state_t *h, const char *s)
{
    hash_u64(h, s ? strlen(s) : 0);
    if (s) XXH3_128bits_update(h, s, strlen(s));
}

static void hash_importance(XXH3_state_t *h, const smelt_importance *im)
{
    enum { STEP = 1024 };
    float values[STEP];
    const uint64_t width = view_cols(im->sums), n = im->matrices * im->cols;
    for (uint64_t at = 0; at < n; at += STEP) {
        const uint64_t step = n - at < STEP ? n - at : STEP;
        view_read(im->sums, at / width, at % width, step, values);
        XXH3_128bits_update(h, values, step * sizeof *values);
    }
    XXH3_128bits_update(h, im->counts, im->n_counts * sizeof *im->counts);
}

/* Everything the output depends on: an interrupted run may only be continued by the same one. */
static smelt_status fingerprint(const smelt_plan *plan, const smelt_stream_opts *opts, XXH128_canonical_t *out, smelt_err *err)
{
    XXH3_state_t *h = XXH3_createState();
    if (!h) return smelt_oom(err);
    XXH3_128bits_reset(h);
    const smelt_layout *l = &plan->layout;
    hash_u64(h, opts->replace ? 1 + (uint64_t)f32_bits(opts->replacement) : 0);
    for (size_t i = 0; i < l->n_files; i++) {
        hash_text(h, l->files[i].name);
        hash_u64(h, l->files[i].size);
        if (l->files[i].header_size) XXH3_128bits_update(h, l->files[i].header, l->files[i].header_size);
    }
    for (size_t i = 0; i < l->n_tensors; i++) {
        const smelt_out_tensor *o = &l->tensors[i];
        hash_text(h, o->src->name);
        hash_text(h, smelt_dtype_get(o->src->dtype)->name);
        hash_text(h, smelt_dtype_get(o->dtype)->name);
        hash_u64(h, (uint64_t)o->file);
        hash_u64(h, o->offset);
        if (o->importance) hash_importance(h, o->importance);
    }
    for (const smelt_map *m = plan->src->maps; m; m = m->next) {
        hash_text(h, m->path);
        hash_u64(h, m->size);
        hash_u64(h, m->mtime_ns);
    }
    XXH128_canonicalFromHash(out, XXH3_128bits_digest(h));
    XXH3_freeState(h);
    return SMELT_OK;
}

/* Marks the units whose bytes are on disk as the journal says; a torn or stale record costs only its unit's work. */
static smelt_status take_up(job *j, const char *data, size_t n, uint64_t *resumed, smelt_err *err)
{
    smelt_arena arena = {0};
    uint8_t *buf = arena_calloc(&arena, j->out_max, 1);
    worker w = {.raw = arena_calloc(&arena, j->raw_max, 1)};
    smelt_status st = buf && w.raw ? SMELT_OK : smelt_oom(err);
    for (size_t at = 0; at + sizeof(record) <= n && st == SMELT_OK; at += sizeof(record)) {
        record r;
        memcpy(&r, data + at, sizeof r);
        if (r.unit >= j->n_units || j->done[r.unit]) continue;
        const unit *u = &j->units[r.unit];
        const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
        uint64_t bytes;
        st = read_back(j, u, buf, &bytes, err);
        if (st != SMELT_OK) continue;
        const bool same =
            has_hash(o, &r) ? XXH3_64bits(buf, bytes) == r.hash : memcmp(buf, raw_unit(o->src, u->first, u->count, &w), bytes) == 0;
        if (!same) continue;
        j->done[r.unit] = true;
        j->results[u->tensor].replaced += r.replaced;
        j->done_in += view_col_bytes(o->src->view, u->count);
        *resumed += bytes;
    }
    arena_free(&arena);
    return st;
}

/* Reads what an interrupted run left; *records stays empty if there is nothing. Comes before any file is touched, so that the
 * work of another run is safe. */
static smelt_status open_journal(job *j, const smelt_plan *plan, bool resume, smelt_arena *arena, const char **records, size_t *n,
                                 smelt_err *err)
{
    XXH128_canonical_t id;
    const char *data = NULL;
    size_t size = 0;
    *n = 0;
    SMELT_TRY(fingerprint(plan, j->opts, &id, err));
    if (resume) SMELT_TRY(sink_journal_read(j->sink, arena, &data, &size, err));
    if (size < sizeof id) {
        /* Nothing, or a beginning that was torn. */
        SMELT_TRY(sink_journal_restart(j->sink, err));
        return sink_journal_append(j->sink, &id, sizeof id, err);
    }
    if (memcmp(data, &id, sizeof id) != 0)
        return smelt_fail(
            err, SMELT_E_MISMATCH,
            "what an interrupted run left belongs to another source, another type or other options; run without --resume to start over");
    *records = data + sizeof id;
    *n = size - sizeof id;
    return SMELT_OK;
}

/* The hash of the source goes where the headers have room for it. */
static smelt_status write_patches(job *j, smelt_err *err)
{
    char hex[HASH_HEX + 1];
    if (!j->layout->n_patches) return SMELT_OK;
    SMELT_TRY(content_finish(&j->content, err));
    hash_hex(j->content.hash, hex);
    for (size_t i = 0; i < j->layout->n_patches; i++)
        SMELT_TRY(sink_write(j->sink, j->layout->patches[i].file, hex, HASH_HEX, j->layout->patches[i].offset, err));
    return SMELT_OK;
}

static smelt_status write_headers(job *j, smelt_err *err)
{
    const smelt_layout *l = j->layout;
    for (size_t i = 0; i < l->n_files; i++) {
        int index;
        SMELT_TRY(sink_add(j->sink, l->files[i].name, l->files[i].size, &index, err));
        SMELT_TRY(sink_write(j->sink, index, l->files[i].header, l->files[i].header_size, 0, err));
    }
    for (size_t i = 0; i < l->n_blobs; i++)
        SMELT_TRY(sink_write(j->sink, l->blobs[i].file, l->blobs[i].data, l->blobs[i].size, l->blobs[i].offset, err));
    return SMELT_OK;
}

smelt_status stream_run(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *opts, smelt_stream_stats *stats,
                        smelt_err *err)
{
    const smelt_layout *l = &plan->layout;
    smelt_arena arena = {0};
    smelt_err inner = {0};
    job j = {.ctx = ctx, .layout = l, .opts = opts, .err = &inner};
    *stats = (smelt_stream_stats){0};
    smelt_status st = sink_open(plan->target, l->dir, opts->resume, &j.sink, err);
    if (st != SMELT_OK) return st;
    const char *records = NULL;
    size_t n_records;
    st = open_journal(&j, plan, opts->resume, &arena, &records, &n_records, &inner);
    bool foreign = st == SMELT_E_MISMATCH, started = false;
    if (st == SMELT_OK && l->n_patches) st = content_start(ctx, plan->src, &arena, &j.content, &inner);
    if (st == SMELT_OK) st = make_units(&j, &arena, &inner);
    if (st == SMELT_OK) st = write_headers(&j, &inner);
    if (st == SMELT_OK && n_records) st = take_up(&j, records, n_records, &stats->bytes_resumed, &inner);
    if (st == SMELT_OK && opts->hash) st = start_digests(&j, &arena, &inner);
    if (st == SMELT_OK) {
        started = true;
        st = run_units(&j);
    }
    if (st == SMELT_OK) st = write_patches(&j, &inner);
    if (st == SMELT_OK) st = sink_commit(j.sink, &inner);
    stats->bytes_in = j.total_in;
    for (size_t i = 0; i < l->n_tensors; i++) {
        stats->bytes_out += l->tensors[i].bytes;
        if (j.results) stats->replaced += j.results[i].replaced;
        if (j.digests) digest_free(&j.digests[i]);
    }
    /* What can be gone on with stays: after a full disk, an interruption, a lack of memory. Another run's work always does. */
    bool keep = (started || n_records) && (st == SMELT_E_IO || st == SMELT_E_CANCELLED || st == SMELT_E_NOMEM);
    if (st != SMELT_OK && !keep && !foreign) sink_discard(j.sink);
    sink_close(j.sink);
    arena_free(&arena);
    if (st != SMELT_OK && err && err->code == SMELT_OK) *err = inner;
    return st;
}

smelt_status stream_check(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *opts, smelt_check *check,
                          uint8_t source[HASH_BYTES], smelt_err *err)
{
    smelt_arena arena = {0};
    smelt_err inner = {0};
    char hex[HASH_HEX + 1];
    job j = {.ctx = ctx, .layout = &plan->layout, .opts = opts, .check = check, .err = &inner};
    smelt_status st = content_start(ctx, plan->src, &arena, &j.content, &inner);
    if (st == SMELT_OK) st = make_units(&j, &arena, &inner);
    if (st == SMELT_OK) st = run_units(&j);
    if (st == SMELT_OK) st = content_finish(&j.content, &inner);
    if (st == SMELT_OK) st = check_rest(check, hash_hex(j.content.hash, hex), &inner);
    if (st == SMELT_OK) memcpy(source, j.content.hash, HASH_BYTES);
    arena_free(&arena);
    if (st != SMELT_OK && err && err->code == SMELT_OK) *err = inner;
    return st;
}
