/* The forward pass: one decoder block for every family, driven by what src/arch says of it, in float32.
 *
 *     smelt_engine *e;
 *     engine_open(ctx, model, NULL, &e, err);             a model of any source whose family is known
 *     smelt_seq seq = {.ids = ids, .n = n};               tokens of one text; several sequences make a batch
 *     engine_run(e, &seq, 1, on_logits, user, err);       on_logits gets rows of logits, a chunk at a time
 *     engine_close(e);
 *
 * Weights stay in the mapped files: a tile is decoded, used for all tokens of the batch and forgotten, so that a run needs private
 * memory for its activations and not for the model. Work is spread over ctx->threads threads; logits do not depend on how many
 * they are. Products are BLAS's, on one thread each: opening an engine sets OpenBLAS's own number of threads to one for the process.
 *
 * smelt_seq and smelt_logits_fn are in smelt.h. An engine is used by one thread at a time. Caches belong to the engine that made them. */
#ifndef SMELT_ENGINE_ENGINE_H
#define SMELT_ENGINE_ENGINE_H

#include "arch/arch.h"

/* What an observer gets to see: the rows that an operator gave, or that a matrix is about to be multiplied with. Valid during the
 * call only. */
typedef struct smelt_seen {
    const char *what;           /* "attention", "feed-forward" … for people; "input" if there is a weight */
    int layer;                  /* -1: before or behind the layers */
    const smelt_tensor *weight; /* the matrix that the rows go into; NULL for an operator's result */
    int expert;                 /* of a weight that stacks experts; otherwise -1 */
    const float *x;             /* [rows][cols] */
    size_t rows, cols;
} smelt_seen;

typedef struct smelt_engine_opts {
    bool fast; /* multiply block types with activations rounded to 8 bits and BF16 with BF16, where there is a kernel */
    /* Called from the thread that runs the engine. May be NULL. */
    void (*observe)(void *user, const smelt_seen *seen);
    void *user;
} smelt_engine_opts;

/* `ctx` is copied, `model` borrowed; `opts` may be NULL. NEW: engine_close. E_UNSUPPORTED for a model without a known family (says
 * why), an activation that is not known, or a type without decoder; E_MISMATCH for a tensor that is missing. */
smelt_status engine_open(const smelt_ctx *ctx, const smelt_model *model, const smelt_engine_opts *opts, smelt_engine **out,
                         smelt_err *err);
void engine_close(smelt_engine *engine);
/* Columns of the logits: rows of the output matrix, which may be more than the tokenizer has tokens. */
size_t engine_vocab(const smelt_engine *engine);
/* Positions that the model was made for; 0: it does not say. More is allowed where positions are computed. */
uint64_t engine_context(const smelt_engine *engine);

/* Computes a batch. Memory: activations of all its tokens; split long batches. `fn` may be NULL if no logits are wanted. E_USAGE for
 * an id that the model does not have (nothing is computed then), E_LIMIT beyond a table of learned positions, E_NOMEM. After an
 * error the caches are as before. */
smelt_status engine_run(smelt_engine *engine, const smelt_seq *seqs, size_t n_seqs, smelt_logits_fn *fn, void *user,
                        smelt_err *err);

/* NEW: cache_free. Grows with its sequence. */
smelt_status cache_new(const smelt_engine *engine, smelt_cache **out, smelt_err *err);
void cache_free(smelt_cache *cache);
size_t cache_length(const smelt_cache *cache);
/* Forgets the tokens behind the first `length`. */
void cache_truncate(smelt_cache *cache, size_t length);

#endif
