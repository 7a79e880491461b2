#include "convert/stream.h"

#include <inttypes.h>
#include <omp.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"

/* A unit is a run of elements of one tensor, in row-major order, that starts at a multiple of every block size. CHUNK is what
 * is decoded and encoded at a time: its float32 values stay in the second-level cache. */
enum { UNIT_ELEMS = 1 << 20, CHUNK = 1 << 15, ALIGN_ELEMS = 256 };

typedef struct unit {
    uint32_t tensor;
    bool done;
    uint64_t first, count; /* elements */
} unit;

typedef struct job {
    const smelt_ctx *ctx;
    const smelt_layout *layout;
    smelt_sink *sink;
    const char *stage;
    unit *units;
    size_t n_units;
    uint64_t total_in, done_in;
    uint64_t raw_max, out_max; /* bytes of the largest unit in the source and in the target */
    smelt_err *err;            /* written under the lock, first one wins */
    int failed;
} job;

/* What the journal says of a finished unit. A copied one has no hash: --resume compares it with its source. */
typedef struct record {
    uint64_t unit, hash;
} record;

/* Buffers of one worker. */
typedef struct worker {
    smelt_arena arena;
    uint8_t *raw; /* one unit as the source has it */
    uint8_t *out; /* one unit as the target has it */
    float *f32;   /* CHUNK */
} worker;

static uint64_t elems_of(const smelt_tensor *t) { return view_rows(t->view) * view_cols(t->view); }

static uint64_t out_bytes(const smelt_out_tensor *o, uint64_t elems)
{
    uint64_t bytes = 0;
    smelt_dtype_bytes(o->dtype, elems, &bytes);
    return bytes;
}

static smelt_status make_units(job *j, smelt_arena *arena, smelt_err *err)
{
    const smelt_layout *l = j->layout;
    size_t count = 0;
    for (size_t i = 0; i < l->n_tensors; i++)
        count += (size_t)(elems_of(l->tensors[i].src) / UNIT_ELEMS + 1);
    j->units = arena_calloc(arena, count, sizeof *j->units);
    if (!j->units) return smelt_oom(err);
    for (size_t i = 0; i < l->n_tensors; i++) {
        const smelt_tensor *t = l->tensors[i].src;
        uint64_t left = elems_of(t);
        j->total_in += view_bytes_total(t->view);
        for (uint64_t at = 0; left;) {
            uint64_t take = left < UNIT_ELEMS ? left : UNIT_ELEMS;
            uint64_t raw = view_col_bytes(t->view, take), out = out_bytes(&l->tensors[i], take);
            if (raw > j->raw_max) j->raw_max = raw;
            if (out > j->out_max) j->out_max = out;
            j->units[j->n_units++] = (unit){.tensor = (uint32_t)i, .first = at, .count = take};
            at += take;
            left -= take;
        }
    }
    return SMELT_OK;
}

/* What a worker never touches of its buffers costs nothing: large zeroed blocks come as untouched pages. */
static bool worker_start(const job *j, worker *w)
{
    *w = (worker){0};
    w->raw = arena_calloc(&w->arena, j->raw_max, 1);
    w->out = arena_calloc(&w->arena, j->out_max, 1);
    w->f32 = arena_calloc(&w->arena, CHUNK, sizeof *w->f32);
    return w->raw && w->out && w->f32;
}

/* The unit's bytes as the source has them: in the mapping, or gathered into the worker's buffer. */
static const void *raw_unit(const smelt_tensor *t, uint64_t first, uint64_t count, worker *w)
{
    uint64_t cols = view_cols(t->view), n;
    const void *p = view_span(t->view, first / cols, first % cols, count, w->raw, &n);
    if (n >= count) {
        if (p != w->raw) map_populate(p, view_col_bytes(t->view, count));
        return p;
    }
    view_read(t->view, first / cols, first % cols, count, w->raw);
    return w->raw;
}

static smelt_status not_finite(const smelt_tensor *t, const float *x, uint64_t n, uint64_t first, smelt_err *err)
{
    uint64_t i = 0;
    while (i < n && (f32_bits(x[i]) & 0x7F800000U) != 0x7F800000U)
        i++;
    if (i < n)
        return smelt_fail(err, SMELT_E_CORRUPT, "tensor '%s': element %" PRIu64 " is not finite, which block types cannot hold",
                          t->name, first + i);
    return smelt_fail(err, SMELT_E_CORRUPT,
                      "tensor '%s': values near element %" PRIu64 " are too large for the block type's scales", t->name, first);
}

static smelt_status encode(const job *j, const smelt_out_tensor *o, const unit *u, worker *w, smelt_err *err)
{
    const smelt_codec_fns *from = &j->ctx->codec[o->src->dtype], *to = &j->ctx->codec[o->dtype];
    const uint8_t *raw = raw_unit(o->src, u->first, u->count, w);
    for (uint64_t at = 0; at < u->count; at += CHUNK) {
        uint64_t n = u->count - at < CHUNK ? u->count - at : CHUNK;
        const void *src = raw + view_col_bytes(o->src->view, at);
        const float *x = src;
        /* Mapped float32 may lie at any address. */
        if (o->src->dtype != SMELT_DT_F32 || (uintptr_t)src % sizeof *x) {
            from->unpack(src, w->f32, n);
            x = w->f32;
        }
        void *dst = w->out + out_bytes(o, at);
        to->pack(x, dst, 1, n, NULL);
        if (to->validate) {
            uint64_t blocks = n / smelt_dtype_get(o->dtype)->elems;
            if (to->validate(dst, blocks) != blocks) return not_finite(o->src, x, n, u->first + at, err);
        }
    }
    return SMELT_OK;
}

static smelt_status run_unit(job *j, size_t index, worker *w, smelt_err *err)
{
    const unit *u = &j->units[index];
    const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
    uint64_t bytes = out_bytes(o, u->count), at = o->offset + out_bytes(o, u->first);
    record r = {.unit = index};
    if (o->dtype == o->src->dtype)
        SMELT_TRY(sink_write(j->sink, o->file, raw_unit(o->src, u->first, u->count, w), bytes, at, err));
    else {
        SMELT_TRY(encode(j, o, u, w, err));
        SMELT_TRY(sink_write(j->sink, o->file, w->out, bytes, at, err));
        r.hash = XXH3_64bits(w->out, bytes);
    }
    return sink_journal_append(j->sink, &r, sizeof r, err);
}

static void finish_unit(job *j, size_t index, smelt_status st, smelt_err *err)
{
    const unit *u = &j->units[index];
    const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
    if (st == SMELT_OK) {
        j->done_in += view_col_bytes(o->src->view, u->count);
        smelt_progress p = {j->stage, o->src->name, j->done_in, j->total_in};
        if (j->ctx->progress && j->ctx->progress(j->ctx->user, &p))
            st = smelt_fail(err, SMELT_E_CANCELLED, "interrupted; run again with --resume to go on");
    }
    if (st == SMELT_OK || j->failed != SMELT_OK) return;
    if (j->err) *j->err = *err;
    __atomic_store_n(&j->failed, (int)st, __ATOMIC_RELAXED);
}

static smelt_status run_units(job *j)
{
    int threads = j->ctx->threads;
#pragma omp parallel num_threads(threads)
    {
        worker w;
        bool ready = worker_start(j, &w);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < j->n_units; i++) {
            if (__atomic_load_n(&j->failed, __ATOMIC_RELAXED) || j->units[i].done) continue;
            smelt_err err = {0};
            smelt_status st = ready ? run_unit(j, i, &w, &err) : smelt_oom(&err);
#pragma omp critical(smelt_stream)
            finish_unit(j, i, st, &err);
        }
        arena_free(&w.arena);
    }
    return (smelt_status)j->failed;
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

/* Everything the output depends on: an interrupted run may only be continued by the same one. */
static smelt_status fingerprint(const smelt_plan *plan, XXH128_canonical_t *out, smelt_err *err)
{
    XXH3_state_t *h = XXH3_createState();
    if (!h) return smelt_oom(err);
    XXH3_128bits_reset(h);
    const smelt_layout *l = &plan->layout;
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
        if (r.unit >= j->n_units || j->units[r.unit].done) continue;
        unit *u = &j->units[r.unit];
        const smelt_out_tensor *o = &j->layout->tensors[u->tensor];
        uint64_t bytes = out_bytes(o, u->count);
        st = sink_read(j->sink, o->file, buf, bytes, o->offset + out_bytes(o, u->first), err);
        if (st != SMELT_OK) continue;
        const bool same = o->dtype == o->src->dtype ? memcmp(buf, raw_unit(o->src, u->first, u->count, &w), bytes) == 0
                                                    : XXH3_64bits(buf, bytes) == r.hash;
        if (!same) continue;
        u->done = true;
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
    SMELT_TRY(fingerprint(plan, &id, err));
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
    job j = {.ctx = ctx, .layout = l, .stage = opts->stage ? opts->stage : "convert", .err = &inner};
    *stats = (smelt_stream_stats){0};
    smelt_status st = sink_open(plan->target, l->dir, opts->resume, &j.sink, err);
    if (st != SMELT_OK) return st;
    const char *records = NULL;
    size_t n_records;
    st = open_journal(&j, plan, opts->resume, &arena, &records, &n_records, &inner);
    bool foreign = st == SMELT_E_MISMATCH, started = false;
    if (st == SMELT_OK) st = make_units(&j, &arena, &inner);
    if (st == SMELT_OK) st = write_headers(&j, &inner);
    if (st == SMELT_OK && n_records) st = take_up(&j, records, n_records, &stats->bytes_resumed, &inner);
    if (st == SMELT_OK) {
        started = true;
        st = run_units(&j);
    }
    if (st == SMELT_OK) st = sink_commit(j.sink, &inner);
    stats->bytes_in = j.total_in;
    for (size_t i = 0; i < l->n_tensors; i++)
        stats->bytes_out += l->tensors[i].bytes;
    /* What can be gone on with stays: after a full disk, an interruption, a lack of memory. Another run's work always does. */
    bool keep = (started || n_records) && (st == SMELT_E_IO || st == SMELT_E_CANCELLED || st == SMELT_E_NOMEM);
    if (st != SMELT_OK && !keep && !foreign) sink_discard(j.sink);
    sink_close(j.sink);
    arena_free(&arena);
    if (st != SMELT_OK && err && err->code == SMELT_OK) *err = inner;
    return st;
}
