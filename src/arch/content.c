#include "arch/content.h"

#include <stdlib.h>
#include <string.h>

#include "arch/internal.h"
#include "base/bytes.h"

/* PIECE is part of the hash's definition. */
enum { PIECE = 1 << 16, WIDEST = 16 };

/* How the values of a piece were written for the hash. */
typedef struct content_piece {
    uint8_t form; /* 'b', 'f', 'd': bfloat16, float32, float64; 'i': int64; 'r': the type's own bytes */
    uint8_t hash[HASH_BYTES];
} content_piece;

static bool belongs(const smelt_model *m, const smelt_tensor *t)
{
    const smelt_name_rule *rule = m->arch ? arch_rule(m->arch, (smelt_role)t->role) : NULL;
    return t->file && !(rule && rule->flags & NAME_NO_HF);
}

smelt_status content_start(const smelt_ctx *ctx, const smelt_model *m, smelt_arena *arena, smelt_content *c, smelt_err *err)
{
    *c = (smelt_content){.ctx = ctx};
    c->tensors = arena_calloc(arena, m->n_tensors, sizeof *c->tensors);
    if (!c->tensors) return smelt_oom(err);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (!belongs(m, t)) continue;
        content_tensor *to = &c->tensors[c->n++];
        *to = (content_tensor){.tensor = t, .first = c->n_pieces, .counts = true};
        c->n_pieces += (size_t)((view_rows(t->view) * view_cols(t->view) + PIECE - 1) / PIECE);
        to->end = c->n_pieces;
    }
    c->pieces = arena_calloc(arena, c->n_pieces, sizeof *c->pieces);
    return c->pieces ? SMELT_OK : smelt_oom(err);
}

size_t content_scratch(void) { return (size_t)PIECE * (WIDEST + sizeof(float)); }

static const content_tensor *tensor_of(const smelt_content *c, size_t piece)
{
    size_t low = 0, high = c->n;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (c->tensors[middle].first <= piece)
            low = middle;
        else
            high = middle;
    }
    return &c->tensors[low];
}

/* Whether the lower halves of n float32 are all zero. */
static bool is_bf16(const uint8_t *x, size_t n)
{
    enum { STEP = 4096 };
    for (size_t at = 0; at < n; at += STEP) {
        uint32_t low = 0;
        for (size_t i = at; i < n && i < at + STEP; i++)
            low |= load_le32(x + 4 * i);
        if (low & 0xFFFF) return false;
    }
    return true;
}

static void put_hash(content_piece *p, char form, const void *bytes, size_t n)
{
    p->form = (uint8_t)form;
    hash_bytes(bytes, n, p->hash);
}

static void hash_f32(content_piece *p, const uint8_t *x, size_t n, uint8_t *scratch)
{
    if (!is_bf16(x, n)) {
        put_hash(p, 'f', x, 4 * n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store_le16(scratch + 2 * i, (uint16_t)(load_le32(x + 4 * i) >> 16));
    put_hash(p, 'b', scratch, 2 * n);
}

/* As float32 if that keeps every bit of every value. */
static void hash_f64(content_piece *p, const uint8_t *x, size_t n, float *f32, uint8_t *scratch)
{
    bool same = true;
    for (size_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, x + 8 * i, sizeof d);
        f32[i] = (float)d;
        const double back = f32[i];
        uint64_t bits, back_bits;
        memcpy(&bits, &d, sizeof bits);
        memcpy(&back_bits, &back, sizeof back_bits);
        same = same && bits == back_bits;
    }
    if (same)
        hash_f32(p, (const uint8_t *)f32, n, scratch);
    else
        put_hash(p, 'd', x, 8 * n);
}

/* Sizes of 1, 2, 4 and 8 bytes as int64. */
static void hash_int(content_piece *p, const uint8_t *x, size_t n, smelt_dtype dtype, uint8_t *scratch)
{
    const size_t size = smelt_dtype_get(dtype)->bytes;
    const bool is_signed = smelt_dtype_get(dtype)->name[0] == 'i';
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 0;
        for (size_t k = size; k-- > 0;)
            v = v << 8 | x[size * i + k];
        const unsigned unused = (unsigned)(64 - 8 * size) & 63;
        if (is_signed) v = (uint64_t)((int64_t)(v << unused) >> unused);
        store_le64(scratch + 8 * i, v);
    }
    put_hash(p, 'i', scratch, 8 * n);
}

void content_hash_piece(const smelt_content *c, size_t piece, void *scratch)
{
    const content_tensor *of = tensor_of(c, piece);
    const smelt_tensor *t = of->tensor;
    const uint64_t first = (uint64_t)(piece - of->first) * PIECE, left = view_rows(t->view) * view_cols(t->view) - first;
    const size_t n = left < PIECE ? (size_t)left : PIECE;
    uint8_t *raw = scratch;
    float *f32 = (float *)(void *)(raw + (size_t)PIECE * WIDEST);
    const uint8_t *x = view_elems(t->view, first, n, raw);
    const smelt_dtype_row *row = smelt_dtype_get(t->dtype);
    smelt_unpack_fn *unpack = c->ctx->codec[t->dtype].unpack;
    content_piece *p = &c->pieces[piece];
    /* Where the values lie in the mapping, the buffer for them is free; otherwise they are read before it is written. */
    if (t->dtype == SMELT_DT_BF16)
        put_hash(p, 'b', x, 2 * n);
    else if (t->dtype == SMELT_DT_F32)
        hash_f32(p, x, n, (uint8_t *)f32);
    else if (t->dtype == SMELT_DT_F64)
        hash_f64(p, x, n, f32, raw);
    else if (row->kind == SMELT_KIND_INT)
        hash_int(p, x, n, t->dtype, raw + (size_t)PIECE * sizeof(uint64_t));
    else if (row->kind == SMELT_KIND_OTHER || !unpack)
        put_hash(p, 'r', x, (size_t)view_col_bytes(t->view, n));
    else {
        unpack(x, f32, n);
        hash_f32(p, (const uint8_t *)f32, n, raw);
    }
}

static void hash_u64(XXH3_state_t *h, uint64_t v)
{
    uint8_t le[8];
    store_le64(le, v);
    XXH3_128bits_update(h, le, sizeof le);
}

static void hash_tensor(const smelt_content *c, content_tensor *t, XXH3_state_t *h)
{
    const smelt_shape *shape = &t->tensor->shape;
    XXH3_128bits_reset(h);
    hash_u64(h, (uint64_t)shape->n);
    for (int d = 0; d < shape->n; d++)
        hash_u64(h, shape->dim[d]);
    for (size_t i = t->first; i < t->end; i++) {
        XXH3_128bits_update(h, &c->pieces[i].form, 1);
        if (c->pieces[i].form == 'r') {
            const char *type = smelt_dtype_get(t->tensor->dtype)->name;
            XXH3_128bits_update(h, type, strlen(type));
        }
        XXH3_128bits_update(h, c->pieces[i].hash, HASH_BYTES);
    }
    hash_state(h, t->hash);
}

static content_tensor *by_role(const smelt_content *c, smelt_role role)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->tensors[i].tensor->role == (int)role && c->tensors[i].tensor->part == SMELT_PART_WEIGHT) return &c->tensors[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const content_tensor *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

smelt_status content_finish(smelt_content *c, smelt_err *err)
{
    XXH3_state_t *h = XXH3_createState();
    if (!h) return smelt_oom(err);
    for (size_t i = 0; i < c->n; i++)
        hash_tensor(c, &c->tensors[i], h);
    const content_tensor *embedding = by_role(c, SMELT_R_TOKEN_EMBD);
    content_tensor *output = by_role(c, SMELT_R_OUTPUT);
    if (embedding && output) output->counts = memcmp(embedding->hash, output->hash, HASH_BYTES) != 0;
    if (c->n) qsort(c->tensors, c->n, sizeof *c->tensors, by_name);
    XXH3_128bits_reset(h);
    for (size_t i = 0; i < c->n; i++) {
        const content_tensor *t = &c->tensors[i];
        const size_t n = strlen(t->tensor->name);
        if (!t->counts) continue;
        hash_u64(h, n);
        XXH3_128bits_update(h, t->tensor->name, n);
        XXH3_128bits_update(h, t->hash, HASH_BYTES);
    }
    hash_state(h, c->hash);
    XXH3_freeState(h);
    return SMELT_OK;
}

smelt_status content_hash(const smelt_ctx *ctx, const smelt_model *m, smelt_arena *arena, smelt_content *c, smelt_err *err)
{
    SMELT_TRY(content_start(ctx, m, arena, c, err));
    const int threads = ctx->threads;
    bool failed = false;
#pragma omp parallel num_threads(threads)
    {
        smelt_arena own = {0};
        void *scratch = arena_calloc(&own, content_scratch(), 1);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < c->n_pieces; i++)
            if (scratch)
                content_hash_piece(c, i, scratch);
            else
                __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
        arena_free(&own);
    }
    return failed ? smelt_oom(err) : content_finish(c, err);
}
