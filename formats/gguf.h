/* GGUF version 3, little-endian. Source: llama.cpp's ggml/include/gguf.h.
 *
 *   magic "GGUF", u32 version, u64 number of tensors, u64 number of keys
 *   keys:    string key, u32 type, value (arrays: u32 element type, u64 count, elements); string: u64 length, bytes, no NUL
 *   tensors: string name, u32 number of dimensions (at most 4), u64 dimensions (innermost first), u32 type, u64 offset
 *   padding to general.alignment (default 32), then the data; every tensor starts and ends at a multiple of the alignment,
 *   in the order of the list and without gaps
 *
 * A split model is several such files, NAME-00001-of-0000N.gguf, with the keys split.no, split.count and
 * split.tensors.count; the first one has all other keys. */
#ifndef SMELT_FORMATS_GGUF_H
#define SMELT_FORMATS_GGUF_H

#include "base/bytes.h"
#include "ir/format.h"

enum { GGUF_ALIGNMENT = 32, GGUF_MAX_DIMS = 4, GGUF_MAX_NAME = 63 };

typedef struct gguf_head {
    uint32_t version, alignment;
    uint64_t n_tensors, n_kv;
} gguf_head;

/* An entry of the list of tensors. */
typedef struct gguf_info {
    smelt_str name;
    smelt_dtype dtype;
    smelt_shape shape;
    uint64_t offset, bytes; /* of the data, from the start of all data */
    uint64_t at;            /* of the entry in the file */
} gguf_info;

/* The parts of the header in their order; `alignment` comes from the keys. Keys that were read before an error stay in `meta`. */
smelt_status gguf_read_head(smelt_cur *cur, gguf_head *head);
smelt_status gguf_read_keys(smelt_cur *cur, uint64_t n, smelt_arena *arena, smelt_meta *meta);
smelt_status gguf_read_alignment(const smelt_meta *meta, uint32_t *out, smelt_err *err);
smelt_status gguf_read_info(smelt_cur *c, gguf_info *t);

smelt_status gguf_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err);

#endif
