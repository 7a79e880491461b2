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

#include "ir/format.h"

enum { GGUF_ALIGNMENT = 32, GGUF_MAX_DIMS = 4, GGUF_MAX_NAME = 63 };

#endif
