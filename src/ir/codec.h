/* How a block type packs and unpacks: the vtable that quant/ implements. */
#ifndef SMELT_IR_CODEC_H
#define SMELT_IR_CODEC_H

#include "base/cpu.h"
#include "ir/dtype.h"

/* How much a type depends on importances. */
typedef enum smelt_weights_need {
    SMELT_WEIGHTS_OPTIONAL = 0,
    SMELT_WEIGHTS_ADVISED,  /* encodes without, but so badly that only embeddings and the output head should */
    SMELT_WEIGHTS_REQUIRED, /* pack must not be called without */
} smelt_weights_need;

/* Encodes `rows` rows of `cols` float32 each (cols a multiple of the block's elements) to dst, rows one after another.
 * `weights`, if not NULL, holds the importance of each of the cols columns (see smelt_weights_need for NULL). Output bytes depend on the arguments alone: every
 * variant gives the same. */
typedef void smelt_pack_fn(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights);
/* Decodes n elements (whole blocks). Exact: the float32 that the format's definition gives. */
typedef void smelt_unpack_fn(const void *src, float *y, uint64_t n);
/* Looks at n blocks; returns the index of the first whose scales are not finite, or n. */
typedef uint64_t smelt_validate_fn(const void *src, uint64_t n);

typedef struct smelt_codec_variant {
    smelt_cpu cpu;
    smelt_pack_fn *pack;     /* NULL: use a lower level's */
    smelt_unpack_fn *unpack; /* NULL: use a lower level's */
} smelt_codec_variant;

enum { SMELT_CODEC_VARIANTS = 5 };

typedef struct smelt_codec {
    smelt_dtype dtype;
    smelt_validate_fn *validate; /* NULL: every bit pattern is fine */
    smelt_weights_need weights;
    /* Best first, the baseline last; unused entries are zero. */
    smelt_codec_variant variants[SMELT_CODEC_VARIANTS];
} smelt_codec;

/* A type as small integers: element i is code[i] * scale[i / group] + shift[i / group]. */
typedef struct smelt_int8 {
    smelt_dtype dtype;
    uint32_t group; /* 16 or 32 */
    bool shifted;   /* false: shifts are 0, and `shift` may be NULL */
    /* Splits n elements (whole blocks); code and scale (and shift) get n and n / group values. */
    void (*split)(const void *src, int8_t *code, float *scale, float *shift, uint64_t n);
} smelt_int8;

/* Where in a block its scales and minima lie, for whoever looks for damage. */
typedef enum smelt_scale_kind { SMELT_SCALE_F16, SMELT_SCALE_F32, SMELT_SCALE_E8M0 } smelt_scale_kind;
typedef struct smelt_scales {
    smelt_dtype dtype;
    smelt_scale_kind kind;
    uint8_t n;
    uint8_t offset[2]; /* in the block */
} smelt_scales;

/* The functions of one type chosen for one processor. pack or unpack is NULL where there is none. */
typedef struct smelt_codec_fns {
    smelt_pack_fn *pack;
    smelt_unpack_fn *unpack;
    smelt_validate_fn *validate;
    smelt_weights_need weights;
    const smelt_int8 *int8;     /* NULL: its values are no small integers */
    const smelt_scales *scales; /* NULL: none that stand alone */
} smelt_codec_fns;

#endif
