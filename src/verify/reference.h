/* Where the original's predictions come from: a model that computes them now, or logits that were recorded. logits.c sees this
 * interface alone.
 *
 * A source gives chunks of tokens, a few at a time, and then a row for each token from a chunk's `first` on: what the original
 * predicts behind that token. Row t predicts ids[t + 1]; the last token's row, if it is asked for, predicts what is not there. */
#ifndef SMELT_VERIFY_REFERENCE_H
#define SMELT_VERIFY_REFERENCE_H

#include "base/alloc.h"

typedef struct reference_chunk {
    const int32_t *ids; /* as the original read them: with the token that begins texts, where there is one */
    size_t n;
    size_t first; /* rows [first, n - 1) are there and scored */
} reference_chunk;

/* What is known of one row. With `logits` everything computed from it is exact. Without, it is the record of the most likely tokens:
 *   exact: log-probabilities of the k tokens and of the target (so perplexity, Δp, top-1, and top-5 for k of at least 5);
 *   bounded: KL. With r the probability of the tokens that are not in the record and s that which the candidate gives to these, the
 *   rest of the sum is at least r ln(r / s) (the log sum inequality), which is what is reported. It is at most
 *   r (ln m - ln q), m being the smallest recorded probability, which no other can exceed, and q the candidate's smallest among
 *   the others. A target outside of the k counts as one recorded token more, but says nothing about m. */
typedef struct reference_row {
    const float *logits; /* [vocab]; NULL: only the record below is there */
    size_t k;
    const int32_t *top_ids; /* [k] most likely first */
    const float *top;       /* [k] their logits */
    double log_sum_exp;     /* of all logits */
    double mass;            /* probability of the k tokens together */
    float target;           /* logit of the target */
} reference_row;

typedef struct smelt_reference smelt_reference;

typedef struct reference_ops {
    /* Moves on to the next chunks: at most `most` of them (at least 1) into chunk[], their number through *n; 0: there are no more.
     * What was given before becomes invalid. The source may give fewer than asked for. */
    smelt_status (*next)(smelt_reference *r, size_t most, reference_chunk *chunk, size_t *n, smelt_err *err);
    /* The row behind token `token` (within [first, n - 1)) of the i-th of these chunks. BORROWED until `next`. Thread-safe, cannot fail:
     * what can be wrong with a row was found by `next`. Engines' rows need not be finite; recorded ones are. */
    void (*row)(const smelt_reference *r, size_t i, size_t token, reference_row *out);
    void (*close)(smelt_reference *r);
} reference_ops;

/* Begins the struct of each kind of source. */
struct smelt_reference {
    const reference_ops *ops;
    size_t vocab;     /* columns of a row */
    size_t context;   /* tokens of a chunk, at most */
    size_t chunks;    /* in all */
    const char *text; /* what the tokens are of, for people; BORROWED */
};

static inline void reference_close(smelt_reference *r)
{
    if (r) r->ops->close(r);
}

#endif
