/* The content hash: what a model's tensors are, whatever file holds them. docs/formats.md has the definition.
 *
 * The hash of a tensor is over its shape and values in the IR's order, as the narrowest of bfloat16, float32 and float64 that holds
 * the values of a piece, so that neither the format nor a wider type for the same values makes a difference. That of a model is over
 * the sorted names and hashes. Tensors that exist in GGUF only, and an output matrix that equals the embedding, do not count. */
#ifndef SMELT_ARCH_CONTENT_H
#define SMELT_ARCH_CONTENT_H

#include "base/hash.h"
#include "ir/ctx.h"

typedef struct content_tensor {
    const smelt_tensor *tensor;
    size_t first, end; /* of its pieces */
    bool counts;       /* in the model's hash; of the output matrix it is known at the end */
    uint8_t hash[HASH_BYTES];
} content_tensor;

/* Pieces may be hashed by any threads in any order. */
typedef struct smelt_content {
    const smelt_ctx *ctx;
    content_tensor *tensors; /* [n] */
    size_t n, n_pieces;
    struct content_piece *pieces;
    uint8_t hash[HASH_BYTES]; /* of the model */
} smelt_content;

/* Lists the pieces; memory comes from the arena, some 17 bytes for 65,536 values. the model is BORROWED. */
smelt_status content_start(const smelt_ctx *ctx, const smelt_model *m, smelt_arena *arena, smelt_content *c, smelt_err *err);
/* What a thread needs to hash pieces, in bytes; aligned for float64. */
size_t content_scratch(void);
/* Hashes one piece. Thread-safe. */
void content_hash_piece(const smelt_content *content, size_t piece, void *scratch);
/* The tensors' hashes and the model's, when all pieces are hashed. */
smelt_status content_finish(smelt_content *content, smelt_err *err);
/* All of it, on ctx->threads threads. */
smelt_status content_hash(const smelt_ctx *ctx, const smelt_model *m, smelt_arena *arena, smelt_content *c, smelt_err *err);

#endif
