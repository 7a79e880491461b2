/* Recorded logits: tokens and what a model predicts behind each, in a safetensors file, so that a candidate can be compared with a
 * model that is not there. docs/record.md describes the file.
 *
 * With all logits:  input_ids I64 [chunks, tokens], logits F32 [chunks, tokens, columns].
 * With the top k:   input_ids, top_ids I32 and top_logits F32 [chunks, tokens, k], most likely first, log_sum_exp F64 (of all logits),
 *                   mass F64 (the probability of the k together) and target_logits F32 (of the next token; 0 behind the last)
 *                   [chunks, tokens]. */
#ifndef SMELT_VERIFY_RECORD_H
#define SMELT_VERIFY_RECORD_H

#include "base/hash.h"
#include "engine/engine.h"
#include "vocab/vocab.h"

/* Names of the metadata: the row from which on a chunk is scored (default: the middle one), columns of the logits (needed with the
 * top k), and the vocabulary's hash. */
#define RECORD_FIRST "smelt.record.first"
#define RECORD_COLUMNS "smelt.record.columns"
#define RECORD_VOCABULARY "smelt.record.vocabulary"

/* The tensors of a record. */
typedef enum record_part {
    RECORD_IDS,
    RECORD_LOGITS,
    RECORD_TOP_IDS,
    RECORD_TOP,
    RECORD_SUM,
    RECORD_MASS,
    RECORD_TARGET,
    RECORD_PARTS
} record_part;

typedef struct record_row {
    const char *name;
    smelt_dtype dtype;
    enum { RECORD_BOTH, RECORD_FULL, RECORD_OF_TOP } when;
    enum { RECORD_ONE, RECORD_K, RECORD_WIDE } width; /* last dimension: none, k, columns */
} record_row;

extern const record_row record_rows[RECORD_PARTS];

typedef struct record_opts {
    size_t context;           /* tokens of a chunk; 0: 512 */
    size_t chunks;            /* at most so many; 0: all that fit */
    size_t top;               /* how many logits of a row; 0: all */
    int32_t bos;              /* takes the place of each chunk's first token; -1: nothing does */
    const smelt_vocab *vocab; /* NULL: none */
    /* Called after every few chunks; true stops with E_CANCELLED. May be NULL. */
    bool (*progress)(void *user, size_t chunks, size_t all);
    void *user;
} record_opts;

/* Writes the file `target`, which appears under its name when it is complete. Memory: a few chunks' activations; logits go to the
 * file as they come. E_USAGE for a text of less than a chunk, or sizes that make no sense; E_CORRUPT for logits that are not
 * finite, with the place. */
smelt_status record_run(const smelt_ctx *ctx, smelt_engine *engine, const int32_t *ids, size_t n, const record_opts *opts,
                        const char *target, smelt_err *err);

/* XXH3-128 of the tokens' texts in the order of their ids, each behind its length in 8 bytes; unused tokens have none, and those at
 * the end do not count. In hexadecimal. E_NOMEM. */
smelt_status vocabulary_hash(const smelt_vocab *vocab, char hex[HASH_HEX + 1], smelt_err *err);

#endif
