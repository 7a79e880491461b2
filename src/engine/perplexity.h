/* Perplexity of a text, cut and counted as llama-perplexity does. */
#ifndef SMELT_ENGINE_PERPLEXITY_H
#define SMELT_ENGINE_PERPLEXITY_H

#include "engine/engine.h"

typedef struct perplexity_sum {
    double nll, nll2; /* of -log p, and of its square */
    size_t count;     /* tokens scored */
    size_t chunks, tokens;
} perplexity_sum;

typedef struct perplexity_opts {
    size_t context; /* tokens of a chunk; 0: 512 */
    /* 0: chunks follow one another and the tokens behind the first half, but one, are scored. Otherwise chunks begin this many
     * tokens apart, and as many at their end are scored. */
    size_t stride;
    size_t chunks; /* at most so many; 0: all that fit */
    int32_t bos;   /* takes the place of each chunk's first token, but not with a stride; -1: nothing does */
    /* Called after every few chunks; true stops with E_CANCELLED. May be NULL. */
    bool (*progress)(void *user, const perplexity_sum *sum, size_t chunks);
    void *user;
} perplexity_opts;

/* Sums over a text's tokens. E_USAGE for a text of less than two contexts, or a context or stride that makes no sense; E_CORRUPT for
 * logits that are not finite, with the place. Source: llama.cpp's tools/perplexity. */
smelt_status perplexity_run(smelt_engine *engine, const int32_t *ids, size_t n, const perplexity_opts *opts, perplexity_sum *sum,
                            smelt_err *err);
/* e to the mean, and the standard error of that. */
double perplexity_value(const perplexity_sum *sum, double *error);

/* The natural logarithm of a token's probability. */
double engine_log_prob(const smelt_engine *engine, const float *logits, int32_t token);

#endif
