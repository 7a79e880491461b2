/* The pickle machine: turns what torch.save pickles into plain values, and runs nothing.
 *
 * A pickle is a program for a stack machine that names Python functions to call. This one knows a dozen names, all of which
 * only describe tensors; it calls no Python, and any other name is an error. Sources: CPython's pickletools (opcodes),
 * torch/serialization.py and torch/_utils.py (what is called with which arguments). */
#ifndef SMELT_FORMATS_PICKLE_H
#define SMELT_FORMATS_PICKLE_H

#include "base/bytes.h"
#include "base/strmap.h"
#include "ir/tensor.h"

typedef enum pk_tag {
    PK_NONE,
    PK_BOOL,
    PK_INT,
    PK_BIG, /* an integer beyond 64 bits: its little-endian two's complement in `s` */
    PK_FLOAT,
    PK_STR,
    PK_BYTES,
    PK_TUPLE,
    PK_LIST,
    PK_SET,
    PK_DICT,
    PK_DTYPE,   /* torch.float16 … */
    PK_CLASS,   /* torch.FloatStorage … */
    PK_GLOBAL,  /* a function or type that may be called */
    PK_STORAGE, /* a persistent id */
    PK_TENSOR,
    PK_OPAQUE, /* a device, a layout: accepted, of no use here */
} pk_tag;

/* One value. Strings point into the pickle; boxes and tensors live in the arena and may be shared, or contain themselves. */
typedef struct pk_value {
    uint8_t tag;
    uint32_t n; /* PK_STR, PK_BYTES, PK_BIG: bytes at s */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct pk_box *box;
        const struct pk_dtype *dtype; /* PK_DTYPE, PK_CLASS */
        const struct pk_global *global;
        const struct pk_storage_ref *storage;
        const struct pk_tensor *tensor;
    } v;
} pk_value;

/* Tuple, list, set, or dict: item holds n values, a dict's in pairs of key and value. A dict's later value of a key counts. */
typedef struct pk_box {
    pk_value *item;
    size_t n, cap;
    bool ordered; /* a dict that was made as OrderedDict */
    bool seen;    /* for walkers: values may contain themselves */
} pk_box;

/* A torch dtype and its storage class. */
typedef struct pk_dtype {
    const char *name;    /* "bfloat16" */
    const char *storage; /* "BFloat16Storage"; NULL: stored as bytes, with the dtype beside them (_rebuild_tensor_v3) */
    smelt_dtype dtype;   /* SMELT_DT_COUNT: known by name only */
} pk_dtype;

/* A block of tensor data outside the pickle. */
typedef struct pk_storage {
    const char *key; /* in the pickle, key_len bytes */
    uint32_t key_len;
    uint32_t elem_bytes; /* of the storage class; 1 for untyped ones */
    uint64_t bytes;      /* what the pickle says; a reader compares it with what is there */
    const uint8_t *data; /* set by the reader */
    uint64_t offset;     /* of the data in the file, set by the reader */
    bool placed;         /* set by the reader */
} pk_storage;

/* Every storage that a pickle names, once each. */
typedef struct pk_storages {
    smelt_arena *arena;
    smelt_strmap keys;
    pk_storage *item;
    size_t n, cap;
} pk_storages;

/* A part of a storage: all of it, except in files of before torch 0.4. */
typedef struct pk_storage_ref {
    size_t index;          /* in pk_storages */
    const pk_dtype *dtype; /* NULL: untyped */
    uint64_t base, bytes;  /* in bytes */
} pk_storage_ref;

typedef struct pk_tensor {
    const pk_storage_ref *storage;
    const pk_dtype *dtype;
    uint64_t offset; /* in elements */
    bool lazy;       /* the data still wait for a conjugation or a change of sign */
    int n;           /* dimensions */
    uint64_t *dim;   /* n sizes, then n strides in elements */
} pk_tensor;

/* A pickle of more bytes is E_LIMIT. What the machine allocates is bounded by a constant times the bytes it has read, since
 * every opcode makes at most one object; that holds for the memo too, whose numbers may not run ahead of the bytes. */
enum { PK_MAX_BYTES = 64 << 20 };

/* Runs one pickle from `cur` up to and including its STOP, leaving the cursor behind it. Values live in `arena` and borrow
 * from the cursor's bytes; storages are added to `storages`. Errors carry the byte offset of the opcode: E_FORBIDDEN for a
 * global that tensors do not need, E_UNSUPPORTED for an opcode that torch.save does not write, E_CORRUPT for an opcode whose
 * operands have the wrong type, E_TRUNCATED, E_LIMIT. */
smelt_status pickle_load(smelt_arena *arena, smelt_cur *cur, pk_storages *storages, pk_value *out);

/* Whether the machine knows a global: a function or class that only describes tensors. */
bool pk_global_known(const char *module, size_t module_len, const char *name, size_t name_len);

bool pk_str_eq(const pk_value *v, const char *text);
/* "a dict", "an integer" … for messages. */
const char *pk_type_name(const pk_value *v);
/* Printable ASCII of a string found in a file, cut to fit; returns `buf`. */
const char *pk_text(const char *s, size_t n, char *buf, size_t size);
/* The torch dtype that stores `dtype`, or NULL. BORROWED, static. */
const pk_dtype *pk_dtype_for(smelt_dtype dtype);

#endif
