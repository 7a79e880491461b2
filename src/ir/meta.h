/* Ordered, typed metadata. Keys are GGUF's ("general.name"), since that is the richest of the formats' metadata; other
 * formats carry what they can of it. */
#ifndef SMELT_IR_META_H
#define SMELT_IR_META_H

#include "base/strmap.h"

/* Numbers as in GGUF's specification (gguf.h, enum gguf_type). */
typedef enum smelt_kv_type {
    SMELT_KV_U8 = 0,
    SMELT_KV_I8 = 1,
    SMELT_KV_U16 = 2,
    SMELT_KV_I16 = 3,
    SMELT_KV_U32 = 4,
    SMELT_KV_I32 = 5,
    SMELT_KV_F32 = 6,
    SMELT_KV_BOOL = 7,
    SMELT_KV_STR = 8,
    SMELT_KV_ARRAY = 9,
    SMELT_KV_U64 = 10,
    SMELT_KV_I64 = 11,
    SMELT_KV_F64 = 12,
    SMELT_KV_TYPES = 13,
} smelt_kv_type;

typedef struct smelt_str {
    const char *p; /* not NUL-terminated in general */
    uint64_t n;
} smelt_str;

typedef struct smelt_kv {
    const char *key;
    smelt_kv_type type;
    union {
        uint64_t u; /* U8 U16 U32 U64 BOOL */
        int64_t i;  /* I8 I16 I32 I64 */
        double f;   /* F32 (exact) F64 */
        smelt_str s;
        struct {
            smelt_kv_type type; /* never ARRAY */
            uint64_t n;
            const void *data; /* STR: smelt_str[n]; BOOL: uint8_t[n]; others: little-endian packed, maybe unaligned */
        } a;
    } v;
} smelt_kv;

typedef struct smelt_meta {
    smelt_arena *arena;
    smelt_kv *kv;
    size_t count, capacity;
    smelt_strmap index; /* place of each key: files may have millions */
} smelt_meta;

/* Element size of a scalar type in a file; 0 for STR and ARRAY. */
size_t kv_type_size(smelt_kv_type type);
const char *kv_type_name(smelt_kv_type type);
/* BORROWED; NULL if there is none. */
const smelt_kv *meta_find(const smelt_meta *meta, const char *key);
/* Appends; a key that is there already keeps its place and gets the new value. Key and strings are copied (array data is
 * not). False when out of memory. */
bool meta_set(smelt_meta *meta, const smelt_kv *kv);
/* Makes `to`, which is empty, a copy of `from`; key and value memory is shared. False when out of memory. */
bool meta_copy(smelt_meta *to, const smelt_meta *from);
bool meta_u32(smelt_meta *meta, const char *key, uint32_t v);
bool meta_f32(smelt_meta *meta, const char *key, float v);
bool meta_bool(smelt_meta *meta, const char *key, bool v);
bool meta_str(smelt_meta *meta, const char *key, const char *s, size_t n);
void meta_remove(smelt_meta *meta, const char *key);
/* Values with the conversions that do not lose anything (any integer type to u64, any number to double). */
bool meta_get_u64(const smelt_meta *meta, const char *key, uint64_t *out);
bool meta_get_f64(const smelt_meta *meta, const char *key, double *out);
bool meta_get_bool(const smelt_meta *meta, const char *key, bool *out);
bool meta_get_str(const smelt_meta *meta, const char *key, smelt_str *out);
bool str_eq(smelt_str s, const char *text);

#endif
