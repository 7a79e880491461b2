/* The table of storage types. */
#ifndef SMELT_IR_DTYPE_H
#define SMELT_IR_DTYPE_H

#include "base/alloc.h"

typedef enum smelt_dtype {
#define SMELT_DTYPE(id, ...) SMELT_DT_##id,
#include "ir/dtype.def"
#undef SMELT_DTYPE
    SMELT_DT_COUNT
} smelt_dtype;

/* Bytes of one block as constants, for _Static_assert beside the block structs: SMELT_DT_Q4_0_BYTES and so on. */
enum {
#define SMELT_DTYPE(id, name, kind, elems, bytes, gguf, st, torch, storage) \
    SMELT_DT_##id##_BYTES = (bytes), SMELT_DT_##id##_ELEMS = (elems),
#include "ir/dtype.def"
#undef SMELT_DTYPE
};

typedef enum smelt_dtype_kind {
    SMELT_KIND_FLOAT, /* one value an element, converts to and from float32 */
    SMELT_KIND_INT,
    SMELT_KIND_BLOCK, /* a GGUF block type */
    SMELT_KIND_OTHER, /* stored and copied, never computed with */
} smelt_dtype_kind;

typedef struct smelt_dtype_row {
    const char *name;
    smelt_dtype_kind kind;
    uint32_t elems, bytes;     /* per block; 1 element for plain types */
    int gguf_id;               /* -1: GGUF has no such type */
    const char *st_name;       /* safetensors' name or NULL */
    const char *torch_name;    /* torch's name of the dtype ("bfloat16") or NULL */
    const char *torch_storage; /* storage class or NULL */
} smelt_dtype_row;

/* BORROWED, static. */
const smelt_dtype_row *smelt_dtype_get(smelt_dtype dtype);
/* By name in any letter case ("Q4_0", "bf16"), by GGUF id, by safetensors name. */
bool smelt_dtype_by_name(const char *name, smelt_dtype *out);
bool smelt_dtype_by_gguf(uint32_t id, smelt_dtype *out);
bool smelt_dtype_by_st(const char *name, smelt_dtype *out);
/* Bytes of `elems` elements; false if that is no whole number of blocks or overflows. */
bool smelt_dtype_bytes(smelt_dtype dtype, uint64_t elems, uint64_t *bytes);
double smelt_dtype_bpw(smelt_dtype dtype);

#endif
