/* A model as a reference: chunks are computed when they are asked for, and their rows kept until the next. */
#include <string.h>

#include "verify/internal.h"

enum { BATCH = 2048 /* tokens that go through the layers together */, MOST_BYTES = 1 << 28 };

typedef struct engine_reference {
    smelt_reference base;
    smelt_arena arena;
    smelt_engine *engine;
    const int32_t *ids;
    int32_t bos;
    size_t at, together; /* the next chunk; chunks that are computed together */
    size_t rows, first;  /* of a chunk */
    int32_t *copy;       /* [together][context] */
    smelt_seq *seqs;     /* [together] */
    float *logits;       /* [together][rows][vocab] */
} engine_reference;

static smelt_status keep(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)err;
    engine_reference *r = user;
    const size_t row = first - r->first, left = r->rows - row;
    if (n > left) n = left; /* the last one predicts what is not there */
    memcpy(r->logits + (seq * r->rows + row) * r->base.vocab, logits, n * r->base.vocab * sizeof *logits);
    return SMELT_OK;
}

static smelt_status next(smelt_reference *base, size_t most, reference_chunk *chunk, size_t *n, smelt_err *err)
{
    engine_reference *r = (engine_reference *)base;
    const size_t context = base->context, left = base->chunks - r->at;
    size_t count = most < r->together ? most : r->together;
    if (count > left) count = left;
    *n = count;
    for (size_t i = 0; i < count; i++) {
        int32_t *ids = r->copy + i * context;
        memcpy(ids, r->ids + (r->at + i) * context, context * sizeof *ids);
        if (r->bos >= 0) ids[0] = r->bos;
        r->seqs[i] = (smelt_seq){.ids = ids, .n = context, .first = r->first};
        chunk[i] = (reference_chunk){.ids = ids, .n = context, .first = r->first};
    }
    r->at += count;
    return count ? engine_run(r->engine, r->seqs, count, keep, r, err) : SMELT_OK;
}

static void row(const smelt_reference *base, size_t i, size_t token, reference_row *out)
{
    const engine_reference *r = (const engine_reference *)base;
    *out = (reference_row){.logits = r->logits + (i * r->rows + token - r->first) * base->vocab};
}

static void close(smelt_reference *base)
{
    /* The struct lies in the arena that goes. */
    smelt_arena arena = ((engine_reference *)base)->arena;
    arena_free(&arena);
}

smelt_status reference_from_engine(smelt_engine *engine, const int32_t *ids, size_t n, size_t context, size_t chunks, int32_t bos,
                                   smelt_reference **out, smelt_err *err)
{
    static const reference_ops ops = {.next = next, .row = row, .close = close};
    *out = NULL;
    if (context < 4 || context > INT32_MAX) return smelt_fail(err, SMELT_E_USAGE, "a context of %zu tokens", context);
    if (n / 2 < context)
        return smelt_fail(err, SMELT_E_USAGE,
                          "the text has %zu tokens; chunks of %zu need %zu: give a longer one, or a smaller --context", n, context,
                          2 * context);
    smelt_arena arena = {0};
    engine_reference *r = arena_calloc(&arena, 1, sizeof *r);
    if (!r) return smelt_oom(err);
    const size_t vocab = engine_vocab(engine), first = context / 2, rows = context - 1 - first, all = n / context;
    const size_t bytes = rows * vocab * sizeof(float);
    size_t together = BATCH / context, room = bytes ? MOST_BYTES / bytes : 1;
    together = together < room ? together : room;
    *r = (engine_reference){
        .base = {.ops = &ops, .vocab = vocab, .context = context, .chunks = chunks && chunks < all ? chunks : all, .text = ""},
        .engine = engine,
        .ids = ids,
        .bos = bos,
        .together = together ? together : 1,
        .rows = rows,
        .first = first};
    if (r->together > r->base.chunks) r->together = r->base.chunks;
    r->copy = arena_calloc(&arena, r->together * context, sizeof *r->copy);
    r->seqs = arena_calloc(&arena, r->together, sizeof *r->seqs);
    r->logits = arena_calloc(&arena, r->together * rows, vocab * sizeof *r->logits);
    r->arena = arena;
    if (!r->copy || !r->seqs || !r->logits) {
        close(&r->base);
        return smelt_oom(err);
    }
    *out = &r->base;
    return SMELT_OK;
}
