/* The comparisons, each of which fills its part of a result. They need no policy and judge nothing. */
#ifndef SMELT_VERIFY_RUN_H
#define SMELT_VERIFY_RUN_H

#include "engine/engine.h"
#include "verify/reference.h"
#include "verify/verify.h"

/* A text for people: control characters, and bytes that are no UTF-8, as \xNN. In the arena; NULL when out of memory. */
char *verify_escape(smelt_arena *arena, smelt_str s);

/* The built-in text: prose in several languages, and code; UTF-8. */
extern const unsigned char verify_sample[];
extern const size_t verify_sample_size;

/* Fills in what a model is: sizes and types as its files have them. E_NOMEM. */
smelt_status verify_identify(const smelt_model *m, verify_result *r, verify_identity *id, smelt_err *err);

/* E_MISMATCH if candidate and original cannot be compared at all: other families, sizes of the vocabulary, or vocabularies. */
smelt_status verify_comparable(const smelt_model *a, const smelt_model *b, smelt_err *err);

/* Names every difference of tensors, shapes, hyperparameters, vocabulary, special tokens and chat templates. Storage types are none. */
smelt_status verify_structure_run(const smelt_ctx *ctx, const smelt_model *candidate, const smelt_model *original, verify_result *r,
                                  smelt_err *err);

/* Compares all tensors that both have with equal shapes; with `quick` one of 16 stretches of each. Memory: some buffers a thread. Values do
 * not depend on the threads. E_CANCELLED, E_UNSUPPORTED for a type without decoder. */
smelt_status verify_weights_run(const smelt_ctx *ctx, const smelt_model *candidate, const smelt_model *original, bool quick,
                                verify_result *r, smelt_err *err);

typedef struct verify_logits_args {
    smelt_engine *candidate;
    const smelt_model *candidate_model;
    smelt_reference *reference;
    smelt_engine *original; /* NULL where logits are recorded */
    const smelt_model *original_model;
    /* The text of tokens, escaped, in the arena; NULL: no tokenizer, or out of memory. May be NULL itself. */
    char *(*spell)(void *user, smelt_arena *arena, const int32_t *ids, size_t n);
    void *user;
} verify_logits_args;

/* Runs both on the reference's tokens, some chunks at a time. Where logits are not finite, r->nonfinite says where that began, and there
 * are no statistics. */
smelt_status verify_logits_run(const smelt_ctx *ctx, const verify_logits_args *a, verify_result *r, smelt_err *err);

/* The original continues `prompts` stretches of the text ids[n], each behind `bos` (-1: without), by its most likely token `steps`
 * times; finds where the candidate would have said something else. A text that is too short for as many gives fewer prompts. */
smelt_status verify_greedy_run(const smelt_ctx *ctx, const verify_logits_args *a, const int32_t *ids, size_t n, int32_t bos,
                               size_t prompts, size_t steps, verify_result *r, smelt_err *err);

/* The logits of a model as a reference: the text `ids` in chunks of `context` tokens that follow one another, each beginning with `bos`
 * instead of its own first token (-1: not), the tokens behind the first half, but one, scored: as llama-perplexity cuts and counts.
 * At most `chunks` of them (0: all). `ids` and `engine` are borrowed. NEW: reference_close. E_USAGE for a text of less than two chunks. */
smelt_status reference_from_engine(smelt_engine *engine, const int32_t *ids, size_t n, size_t context, size_t chunks, int32_t bos,
                                   smelt_reference **out, smelt_err *err);

#endif
