/* Shared by the files of this folder. */
#ifndef SMELT_ENGINE_INTERNAL_H
#define SMELT_ENGINE_INTERNAL_H

#include "engine/engine.h"

/* Loops over floats, for one processor level each: vec.inc compiled with its flags. */
typedef struct vec_ops {
    smelt_cpu cpu;
    /* y = x / rms(x) * w; y may be x. */
    void (*norm_rms)(const float *x, const float *w, float eps, size_t n, float *y);
    /* y = (x - mean) / deviation * w + b; b may be NULL. */
    void (*norm_layer)(const float *x, const float *w, const float *b, float eps, size_t n, float *y);
    void (*act[ACT_COUNT])(float *x, size_t n);
    void (*add)(float *x, const float *y, size_t n);
    void (*mul)(float *x, const float *y, size_t n);
    void (*add_scaled)(float *x, const float *y, float s, size_t n);
    void (*scale)(float *x, float s, size_t n);
    void (*clamp)(float *x, float limit, size_t n);
    /* gate = (up + 1) * gate * sigmoid(alpha * gate), gate at most limit, up within it. */
    void (*clamped_swiglu)(float *gate, const float *up, float alpha, float limit, size_t n);
    /* RoPE of one head: pairs (i, i + n) by cosine c[i] and sine s[i], n of them; or pairs (2i, 2i + 1). */
    void (*turn_halves)(float *x, const float *c, const float *s, size_t n);
    void (*turn_pairs)(float *x, const float *c, const float *s, size_t n);
    float (*max)(const float *x, size_t n);
    /* x = exp(x - top); returns the sum. */
    float (*exp_sum)(float *x, float top, size_t n);
    /* The sum of exp(x - top). */
    double (*sum_exp)(const float *x, float top, size_t n);
    /* n activations (a multiple of 32) in 8 bits: code[i] * scale[i / group], sum has the codes' sums; group is 16 or 32. */
    void (*round8)(const float *x, size_t n, size_t group, int8_t *code, float *scale, int32_t *sum);
} vec_ops;

/* The best for a processor. */
const vec_ops *vec_select(smelt_cpu cpu);

/* Decodes n elements of a tensor, from element `first` of its row-major order on; first and n are whole blocks. */
void tensor_decode(const smelt_engine *e, const smelt_tensor *t, uint64_t first, uint64_t n, float *out);

/* y[t] = W x[t] + b for `tokens` rows; W is rows [first_row, first_row + rows) of a matrix of `cols` columns. x and y have these row
 * strides. */
typedef struct linear_args {
    const smelt_tensor *w, *bias; /* bias may be NULL; its elements from first_row on are used */
    uint64_t first_row, rows, cols;
    const float *x;
    size_t tokens, ldx, ldy;
} linear_args;
smelt_status linear(smelt_engine *e, const linear_args *a, float *y, smelt_err *err);

/* The same by integers, for a type that is small integers; cols is a multiple of 32. */
smelt_status linear_int8(smelt_engine *e, const linear_args *a, float *y, smelt_err *err);
/* The same for bfloat16 weights, where the processor has products of them; cols is even. */
smelt_status linear_bf16(smelt_engine *e, const linear_args *a, float *y, smelt_err *err);

/* Attention of one sequence's new tokens over all of its keys, for one layer. */
typedef struct attend_seq {
    const float *q, *k, *v; /* q: [n] rows of the batch; k, v: [past + n] rows */
    float *out;             /* [n] */
    size_t n, past;
} attend_seq;
typedef struct attend_args {
    const attend_seq *seqs;
    size_t n_seqs;
    size_t heads, kv_heads, dim; /* rows: q and out heads * dim, k and v kv_heads * dim */
    float scale;
    uint64_t window;    /* 0: none */
    const float *sinks; /* [heads] or NULL */
    const float *alibi; /* slopes [heads] or NULL */
    bool coarse_alibi;
} attend_args;
smelt_status attend(smelt_engine *e, const attend_args *a, smelt_err *err);
/* ALiBi's slopes: powers of 2^(-max/n) for the largest power of two n, then every second one of those for 2n. Source: the
 * build_alibi functions of transformers' MPT and Falcon, which agree. */
void alibi_slopes(size_t heads, double max, float *out);

/* Makes room for n more tokens. */
smelt_status cache_room(smelt_cache *c, size_t n, smelt_err *err);
float *cache_keys(const smelt_cache *c, int layer);
float *cache_values(const smelt_cache *c, int layer);
void cache_advance(smelt_cache *c, size_t n);

typedef struct engine_layer {
    const smelt_tensor *t[SMELT_R_COUNT][2]; /* weight, bias */
    uint64_t window;
} engine_layer;

struct smelt_engine {
    smelt_arena arena;
    smelt_ctx ctx;
    const smelt_model *model;
    smelt_engine_opts opts;
    const vec_ops *vec;
    const struct bf16_ops *bf16; /* NULL: the processor has none */
    engine_layer *layers;
    engine_layer top;                                                 /* what is in no layer */
    size_t n_layers, embd, heads, kv_heads, dim, rope_dim, vocab, ff; /* ff: the widest feed-forward */
    uint64_t context;
    float eps, scale, clamp;
    bool layer_norm, parallel;
    smelt_act act;
    float *alibi;         /* slopes, or NULL */
    const float *factors; /* of rope_freqs, or NULL */
    smelt_arena trig_arena;
    float *trig; /* [n_trig][rope_dim]: cosines, then sines */
    size_t n_trig;
    smelt_arena scratch_arena; /* of a run */
    float **scratch;           /* [threads] */
    size_t scratch_size;       /* floats each */
    smelt_arena round_arena;   /* of rounded activations */
    void *round;
    size_t round_size; /* bytes */
};

static inline const smelt_tensor *layer_weight(const engine_layer *l, smelt_role role) { return l->t[role][0]; }
static inline const smelt_tensor *layer_bias(const engine_layer *l, smelt_role role) { return l->t[role][1]; }

/* Turns for positions below n, in e->trig. */
smelt_status trig_room(smelt_engine *e, size_t n, smelt_err *err);
/* The same into out[n][rope_dim], for a text of that length. */
void trig_fill(const smelt_engine *e, uint64_t length, size_t n, float *out);

/* Gives every thread at least n floats of scratch. */
smelt_status scratch_room(smelt_engine *e, size_t n, smelt_err *err);
/* Room for a batch's rounded activations. */
smelt_status round_room(smelt_engine *e, size_t bytes, smelt_err *err);

#endif
