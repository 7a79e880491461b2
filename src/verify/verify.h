/* What a comparison of a candidate with its original found. Plain data: structure.c, weights.c and logits.c fill it, policy.c judges
 * it, the reports only read it. All of it lies in the result's arena.
 *
 * A value that does not exist is NAN (a ratio of nothing), one beyond all bounds INFINITY (the signal to noise of equal tensors). */
#ifndef SMELT_VERIFY_VERIFY_H
#define SMELT_VERIFY_VERIFY_H

#include "base/bytes.h"
#include "ir/tensor.h"

typedef enum verify_metric {
#define SMELT_METRIC(id, ...) METRIC_##id,
#include "verify/metrics.def"
#undef SMELT_METRIC
    METRIC_COUNT
} verify_metric;

/* One storage type of a model. */
typedef struct verify_type {
    smelt_dtype dtype;
    uint64_t tensors, params, bytes;
} verify_type;

typedef struct verify_identity {
    const char *path;    /* as given; NULL: there is none (recorded logits without their model) */
    const char *format;  /* for people: "GGUF"; "recorded logits" */
    const char *variant; /* "v3, little-endian"; NULL: nothing to add */
    const char *family;  /* "llama"; NULL: not known */
    uint64_t params, bytes;
    double bpw;  /* of all parameters together */
    double bits; /* of a weight of the coarsest type that has at least a twentieth of the parameters */
    size_t n_types;
    const verify_type *types; /* [n_types], most bytes first */
    const char *hash;         /* of the content, in hexadecimal; NULL: not computed */
} verify_identity;

typedef enum verify_area {
    AREA_FAMILY,
    AREA_TENSOR, /* one is missing or not known to the original */
    AREA_SHAPE,
    AREA_HPARAM,
    AREA_VOCABULARY, /* tokens, their types and scores, merges, the way of cutting text */
    AREA_SPECIAL,    /* special tokens, and which of them encoding adds */
    AREA_TEMPLATE,
    AREA_COUNT
} verify_area;

typedef struct verify_difference {
    verify_area area;
    bool note;            /* no difference of the models: what a file's format cannot say, or what was not there to be compared */
    const char *name;     /* of the tensor, hyperparameter, token … */
    const char *found;    /* in the candidate; NULL: nothing */
    const char *expected; /* in the original; NULL: nothing */
} verify_difference;

typedef struct verify_structure {
    bool done;
    size_t differences; /* without notes */
    size_t n;
    const verify_difference *list; /* [n] differences, then notes */
} verify_structure;

/* A candidate's tensor beside the original's. A block is one of the candidate's type, or 256 elements of a row of a plain type. What a block
 * loses is seen against its own size, but not against less than a hundredth of what the tensor's values usually are. */
typedef struct verify_tensor {
    const char *name;
    int layer; /* -1: in none */
    smelt_shape shape;
    smelt_dtype type, original_type;
    uint64_t elements, compared; /* in all; looked at (fewer with `quick`) */
    bool equal;                  /* every compared value is the original's */
    double rmse, original_rms;
    double snr;    /* dB; INFINITY: no error */
    double cosine; /* NAN if one of them is all zero */
    double max_error;
    uint64_t max_error_at; /* element, row-major */
    uint64_t blocks;
    uint64_t saturated;    /* more than one of eight original values is a quarter beyond the block's largest */
    uint64_t zeroed;       /* all zero, and were not */
    double block_snr;      /* of the worst block; INFINITY: no error */
    uint64_t block_snr_at; /* its first element */
    uint64_t nonfinite;    /* values that are NaN or infinite where the original's are not */
    uint64_t nonfinite_at; /* the first of them */
    uint64_t original_nonfinite;
} verify_tensor;

typedef struct verify_weights {
    bool done, sampled;
    size_t n;
    const verify_tensor *list; /* [n] worst first: those with values that are not finite, then by rising snr */
    size_t equal;              /* how many have no error */
    double snr;                /* of all compared values together */
} verify_weights;

/* A value with the bounds within which it lies, with 95 % confidence, for text of this kind. low = high = value: it is exact. */
typedef struct verify_value {
    double value, low, high;
    double error; /* standard error; 0 where there is none */
} verify_value;

typedef struct verify_chunk {
    size_t scored;
    double kl, top1, ppl, original_ppl; /* means of the chunk */
} verify_chunk;

/* A position at which the two disagree most. */
typedef struct verify_position {
    size_t chunk, token; /* logits behind this token of the chunk */
    double kl;
    int32_t target, top, original_top;
    double p, original_p;                                          /* of the target */
    const char *text, *target_text, *top_text, *original_top_text; /* UTF-8; NULL without a tokenizer. text: the words before */
} verify_position;

/* Tokens by KL divergence: bin i has values from 10^((i - VERIFY_BINS_BELOW) / VERIFY_BINS_DECADE) nats to the next; the first also
 * has all below, the last all above. */
enum { VERIFY_BINS_DECADE = 4, VERIFY_BINS_BELOW = 32, VERIFY_BINS = 41 };

typedef struct verify_logits {
    bool done;
    size_t context, chunks, scored, vocab;
    const char *text; /* what was scored, for people: "built-in sample", a file's name */
    bool bounded;     /* the original's logits are records of the most likely tokens: `kl` is a lower bound, kl_above the upper */
    double kl_above;  /* mean; equals kl.value if not bounded */
    verify_value kl, kl_median, kl_p99, kl_p999, kl_max;
    verify_value top1, top5;
    verify_value dp_rms, ppl, original_ppl, ppl_ratio;
    size_t bins[VERIFY_BINS]; /* tokens in each */
    size_t n_chunks;
    const verify_chunk *chunk; /* [n_chunks] */
    size_t n_by_position, first_position;
    const double *by_position; /* [n_by_position] mean KL behind token first_position + i of all chunks */
    size_t n_worst;
    const verify_position *worst; /* [n_worst] largest KL first */
} verify_logits;

/* The two continue the same prompts, each step with its most likely token. */
typedef struct verify_greedy {
    bool done;
    size_t prompts, steps;         /* texts, tokens generated for each at most */
    verify_value agreed;           /* tokens before the first that differs, mean over the prompts; `steps` where none does */
    size_t least;                  /* the prompt that departs first: tokens before that */
    int32_t token, original_token; /* what each says there; -1: no prompt departs */
    const char *text, *token_text, *original_token_text; /* UTF-8; NULL without a tokenizer. text: what both said until then */
} verify_greedy;

/* Logits that are not finite, and where that began. */
typedef struct verify_nonfinite {
    bool found, in_original;
    size_t chunk, token;
    int layer;          /* -1: in none */
    const char *what;   /* the first operator whose result is not finite: "feed-forward" … */
    const char *tensor; /* the weight that it comes from, if it has values that are not finite; NULL otherwise */
    double value;
} verify_nonfinite;

typedef enum verify_verdict {
    VERDICT_PASSED,
    VERDICT_UNDECIDED, /* the limit lies within the value's bounds: more text would tell. Does not fail */
    VERDICT_BREACHED,
} verify_verdict;

/* One limit, beside what it limits. A limit of a TENSOR metric has one row for the worst tensor it holds for, and one for each tensor
 * that breaches it. */
typedef struct verify_check {
    verify_metric metric;
    const char *tensor; /* NULL: the whole file */
    const char *from;   /* where the limit is from: "option", "default", a policy's path */
    verify_value value;
    double limit;
    verify_verdict verdict;
} verify_check;

typedef struct verify_result {
    smelt_arena arena;
    verify_identity candidate, original;
    verify_structure structure;
    verify_weights weights;
    verify_logits logits;
    verify_greedy greedy;
    verify_nonfinite nonfinite;
    const char *policy; /* for people: "default for 4.9 bits a weight" … */
    size_t n_checks, breached, undecided;
    const verify_check *checks; /* [n_checks] breached ones first */
    size_t n_warnings;
    const char *const *warnings; /* [n_warnings] for people */
    bool passed;                 /* nothing is breached and all logits are finite */
    bool quick, fast;
} verify_result;

void verify_free(verify_result *r);

/* Rows of metrics.def. */
typedef struct verify_metric_row {
    const char *name, *unit, *meaning;
    bool tensor, max; /* scope, bound */
} verify_metric_row;
const verify_metric_row *verify_metric_get(verify_metric metric);
/* "tensor", "hyperparameter" … */
const char *verify_area_name(verify_area area);

/* A report in one format, appended; it has no times and no random parts. E_NOMEM. */
typedef smelt_status verify_report_fn(const verify_result *r, smelt_buf *out, smelt_err *err);
verify_report_fn report_text, report_json, report_junit, report_html;

#endif
