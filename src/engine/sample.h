/* Choosing a token by its logits. */
#ifndef SMELT_ENGINE_SAMPLE_H
#define SMELT_ENGINE_SAMPLE_H

#include "base/alloc.h"

typedef struct smelt_sampler {
    double temperature; /* 0: the most likely token, always */
    double top_p;       /* only the most likely tokens that make up this probability; 1: all */
    size_t top_k;       /* only so many of the most likely tokens; 0: all */
    uint64_t seed;      /* of the sequence of choices; moves on with each */
    smelt_arena arena;
    struct sample_item *items;
} smelt_sampler;

/* A token of n by its logits; ties go to the lower id. NULL logits or none finite: E_CORRUPT. */
smelt_status sampler_next(smelt_sampler *s, const float *logits, size_t n, int32_t *token, smelt_err *err);
void sampler_free(smelt_sampler *s);

#endif
