/* Views that rearrange without reading: each is one enum value, one function here and one row in transform.c's table. Every
 * one has an inverse (named in its comment), and a test proves inverse(f(x)) == x. */
#ifndef SMELT_IR_TRANSFORM_H
#define SMELT_IR_TRANSFORM_H

#include "ir/codec.h"
#include "ir/tensor.h"

/* Rows of each of `n_head` heads from halves to pairs: row h*d + i of the result is row h*d + (i/2) + (i%2)*(d/2) of `in`, d
 * rows a head. What llama.cpp's converter does to LLaMA's q and k, whose RoPE it computes on neighbouring pairs. Inverse:
 * view_rope_halves. E_MISMATCH unless the rows divide into heads of even size. */
smelt_status view_rope_pairs(smelt_arena *arena, const smelt_view *in, uint64_t n_head, const smelt_view **out, smelt_err *err);
smelt_status view_rope_halves(smelt_arena *arena, const smelt_view *in, uint64_t n_head, const smelt_view **out, smelt_err *err);
/* Rows [first, first + count) of a matrix or elements of a vector. Inverse: view_concat of the pieces. */
smelt_status view_slice(smelt_arena *arena, const smelt_view *in, uint64_t first, uint64_t count, const smelt_view **out,
                        smelt_err *err);
/* Joins along the outermost dimension; types and the other dimensions must be equal. Inverse: view_slice. */
smelt_status view_concat(smelt_arena *arena, const smelt_view *const *in, size_t n, const smelt_view **out, smelt_err *err);
/* The same bytes under another shape with as many elements and the same innermost dimension (or all plain and contiguous). */
smelt_status view_reshape(smelt_arena *arena, const smelt_view *in, const smelt_shape *shape, const smelt_view **out,
                          smelt_err *err);

/* The queries (part 0), keys (1) or values (2) of a fused matrix whose rows are `groups` groups of `per` query heads, one key
 * head and one value head, `dim` rows each (GPT-NeoX, Falcon). Inverse: view_qkv_join of the three. */
smelt_status view_qkv_take(smelt_arena *arena, const smelt_view *in, uint64_t groups, uint64_t per, uint64_t dim, int part,
                           const smelt_view **out, smelt_err *err);
smelt_status view_qkv_join(smelt_arena *arena, const smelt_view *const qkv[3], uint64_t groups, uint64_t per, uint64_t dim,
                           const smelt_view **out, smelt_err *err);
/* Of a matrix whose rows are groups of `n` blocks of `rows` rows, the block `which` of each group. Inverse: view_blocks_join of
 * all n. */
smelt_status view_blocks_take(smelt_arena *arena, const smelt_view *in, uint64_t n, uint64_t rows, uint64_t which,
                              const smelt_view **out, smelt_err *err);
smelt_status view_blocks_join(smelt_arena *arena, const smelt_view *const *in, size_t n, uint64_t rows, const smelt_view **out,
                              smelt_err *err);
/* Every `step`-th row from row `first` on (of a vector: every step-th element). Inverse: view_interleave of all `step` of them. */
smelt_status view_every(smelt_arena *arena, const smelt_view *in, uint64_t step, uint64_t first, const smelt_view **out,
                        smelt_err *err);
smelt_status view_interleave(smelt_arena *arena, const smelt_view *const *in, size_t n, const smelt_view **out, smelt_err *err);
/* Swaps the last two dimensions of a plain type. Its own inverse. A span covers as many rows as are asked for, so that they are
 * gathered together. */
smelt_status view_transpose(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err);
/* The same values as float32, by the codec's `unpack`. For transforms that blocks do not allow. A vector of a block type is one row
 * of it and becomes rows of one column. E_UNSUPPORTED if unpack is NULL. */
smelt_status view_decode(smelt_arena *arena, const smelt_view *in, smelt_unpack_fn *unpack, const smelt_view **out, smelt_err *err);
/* MXFP4 blocks of GGUF from gpt-oss's two tensors: U8 blocks [..., n, 16] (byte k holds elements 2k and 2k+1, low nibble first)
 * and U8 scales [..., n] (E8M0). The result is MXFP4 [..., 32 n]: scale byte, then 16 bytes of which byte j holds elements j and
 * j+16. Only bits move. Inverse: view_mxfp4_blocks and view_mxfp4_scales. Source: ggml-common.h, block_mxfp4. */
smelt_status view_mxfp4_join(smelt_arena *arena, const smelt_view *blocks, const smelt_view *scales, const smelt_view **out,
                             smelt_err *err);
smelt_status view_mxfp4_blocks(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err);
smelt_status view_mxfp4_scales(smelt_arena *arena, const smelt_view *in, const smelt_view **out, smelt_err *err);

#endif
