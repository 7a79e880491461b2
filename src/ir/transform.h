/* Views that rearrange without reading: each is one enum value, one function here and one row in transform.c's table. Every
 * one has an inverse (named in its comment), and a test proves inverse(f(x)) == x. */
#ifndef SMELT_IR_TRANSFORM_H
#define SMELT_IR_TRANSFORM_H

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

#endif
