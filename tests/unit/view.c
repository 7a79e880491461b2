/* Views and transforms: every span stays inside its source and its scratch, and every inverse gives back what went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/transform.h"

/* Reproducible numbers (splitmix64). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *state, uint64_t n) { return next(state) % n; }

static const smelt_dtype types[] = {SMELT_DT_F32, SMELT_DT_BF16, SMELT_DT_U8, SMELT_DT_F64, SMELT_DT_Q8_0, SMELT_DT_Q4_K};
enum { N_TYPES = sizeof types / sizeof *types };

/* Bytes that all differ from their neighbours, in a block of exactly this size, so that a sanitizer sees any step outside. */
static uint8_t *make_data(uint64_t *rng, uint64_t bytes)
{
    uint8_t *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    for (uint64_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)next(rng);
    return p;
}

static const smelt_view *make_view(smelt_arena *arena, uint64_t *rng, smelt_dtype dtype, smelt_shape shape, uint8_t **data)
{
    uint64_t elems, bytes = 0;
    const smelt_view *view;
    assert_true(shape_elems(&shape, &elems) && smelt_dtype_bytes(dtype, elems, &bytes));
    *data = make_data(rng, bytes);
    assert_int_equal(view_bytes(arena, dtype, &shape, *data, bytes, &view, NULL), SMELT_OK);
    return view;
}

/* The whole view, read in spans of random length; each span's promises are checked. */
static uint8_t *read_all(uint64_t *rng, const smelt_view *v)
{
    const uint64_t rows = view_rows(v), cols = view_cols(v), total = rows * cols;
    const uint32_t block = smelt_dtype_get(view_dtype(v))->elems;
    uint8_t *out = malloc(view_bytes_total(v) + 1), *whole = malloc(view_bytes_total(v) + 1);
    assert_true(out && whole);
    for (uint64_t at = 0, n; at < total; at += n) {
        uint64_t want = (1 + below(rng, 2 * cols / block + 2)) * block;
        if (want > total - at) want = total - at;
        uint8_t *scratch = malloc(view_col_bytes(v, want));
        assert_non_null(scratch);
        const void *p = view_span(v, at / cols, at % cols, want, scratch, &n);
        assert_true(n >= block && n <= want && n % block == 0);
        memcpy(out + view_col_bytes(v, at), p, view_col_bytes(v, n));
        free(scratch);
    }
    if (total) view_read(v, 0, 0, total, whole);
    assert_memory_equal(out, whole, view_bytes_total(v));
    free(whole);
    return out;
}

static void assert_same(uint64_t *rng, const smelt_view *a, const smelt_view *b)
{
    assert_true(shape_equal(view_shape(a), view_shape(b)));
    assert_int_equal(view_dtype(a), view_dtype(b));
    uint8_t *x = read_all(rng, a), *y = read_all(rng, b);
    assert_memory_equal(x, y, view_bytes_total(a));
    free(x);
    free(y);
}

static smelt_shape matrix(uint64_t rows, uint64_t cols) { return (smelt_shape){2, {rows, cols}}; }

static void rope_orders_are_each_other_s_inverse(void **state)
{
    (void)state;
    uint64_t rng = 1;
    for (int round = 0; round < 200; round++) {
        smelt_arena arena = {0};
        uint8_t *data;
        const smelt_dtype dtype = types[below(&rng, N_TYPES)];
        const uint64_t heads = 1 + below(&rng, 5), d = 2 * (1 + below(&rng, 6));
        const bool bias = smelt_dtype_get(dtype)->elems == 1 && below(&rng, 3) == 0;
        const uint64_t cols = (1 + below(&rng, 3)) * smelt_dtype_get(dtype)->elems;
        const smelt_shape shape = bias ? (smelt_shape){1, {heads * d}} : matrix(heads * d, cols);
        const smelt_view *in = make_view(&arena, &rng, dtype, shape, &data), *pairs, *back, *same;
        assert_int_equal(view_rope_pairs(&arena, in, heads, &pairs, NULL), SMELT_OK);
        /* Through a reshape, so that the two do not simply cancel out. */
        assert_int_equal(view_reshape(&arena, pairs, &shape, &same, NULL), SMELT_OK);
        assert_int_equal(view_rope_halves(&arena, same, heads, &back, NULL), SMELT_OK);
        assert_same(&rng, in, back);
        assert_int_equal(view_rope_halves(&arena, pairs, heads, &back, NULL), SMELT_OK);
        assert_ptr_equal(in, back);
        /* The definition: row h*d + i is row h*d + i/2 + (i%2)*(d/2). */
        uint8_t *got = read_all(&rng, pairs);
        const uint64_t row_bytes = view_bytes_total(in) / (heads * d);
        for (uint64_t r = 0; r < heads * d; r++) {
            const uint64_t i = r % d, from = r - i + i / 2 + i % 2 * (d / 2);
            assert_memory_equal(got + r * row_bytes, data + from * row_bytes, row_bytes);
        }
        free(got);
        free(data);
        arena_free(&arena);
    }
}

static void slices_joined_again_are_the_whole(void **state)
{
    (void)state;
    uint64_t rng = 2;
    for (int round = 0; round < 200; round++) {
        smelt_arena arena = {0};
        uint8_t *data;
        const smelt_dtype dtype = types[below(&rng, N_TYPES)];
        const uint32_t block = smelt_dtype_get(dtype)->elems;
        smelt_shape shape = {1 + (int)below(&rng, 3), {1 + below(&rng, 9), 1 + below(&rng, 4), 1 + below(&rng, 4)}};
        if (shape.n == 1 && block > 1) shape.n = 2;
        shape.dim[shape.n - 1] *= block;
        const smelt_view *in = make_view(&arena, &rng, dtype, shape, &data), *parts[10], *joined;
        size_t n = 0;
        for (uint64_t at = 0; at < shape.dim[0] || n == 0;) {
            const uint64_t count = below(&rng, shape.dim[0] - at + 1);
            if (n == 9 || (!count && at == shape.dim[0])) break;
            const uint64_t take = n == 8 ? shape.dim[0] - at : count;
            assert_int_equal(view_slice(&arena, in, at, take, &parts[n++], NULL), SMELT_OK);
            at += take;
        }
        assert_int_equal(view_concat(&arena, parts, n, &joined, NULL), SMELT_OK);
        if (view_shape(joined)->dim[0] == shape.dim[0]) assert_same(&rng, in, joined);
        free(data);
        arena_free(&arena);
    }
}

static void strided_views_are_what_their_definition_says(void **state)
{
    (void)state;
    uint64_t rng = 3;
    static const smelt_dtype plain[] = {SMELT_DT_F32, SMELT_DT_U8, SMELT_DT_BF16, SMELT_DT_C64, SMELT_DT_C128};
    for (int round = 0; round < 400; round++) {
        smelt_arena arena = {0};
        const smelt_dtype dtype = plain[below(&rng, 5)];
        const uint64_t size = smelt_dtype_get(dtype)->bytes;
        const bool swap = below(&rng, 2);
        smelt_shape shape = {(int)below(&rng, 5), {0}};
        uint64_t stride[SMELT_MAX_DIMS], last = 0, total = 1;
        for (int i = 0; i < shape.n; i++) {
            shape.dim[i] = below(&rng, 12) == 0 ? 0 : 1 + below(&rng, 4);
            stride[i] = below(&rng, 7);
            total *= shape.dim[i];
            if (shape.dim[i]) last += (shape.dim[i] - 1) * stride[i];
        }
        const uint64_t offset = below(&rng, 3), elems = last + offset + 1;
        uint8_t *data = make_data(&rng, elems * size);
        const smelt_view *v;
        assert_int_equal(view_strided(&arena, dtype, &shape, stride, data, elems, offset, swap, &v, NULL), SMELT_OK);
        if (total)
            assert_int_equal(view_strided(&arena, dtype, &shape, stride, data, elems - 1, offset, swap, &v, NULL), SMELT_E_CORRUPT);
        assert_int_equal(view_strided(&arena, dtype, &shape, stride, data, elems, offset, swap, &v, NULL), SMELT_OK);
        uint8_t *got = read_all(&rng, v);
        const uint64_t part = dtype == SMELT_DT_C64 ? 4 : dtype == SMELT_DT_C128 ? 8 : size;
        for (uint64_t k = 0; k < total; k++) {
            uint64_t at = offset, rest = k;
            for (int i = shape.n - 1; i >= 0; i--) {
                at += rest % shape.dim[i] * stride[i];
                rest /= shape.dim[i];
            }
            for (uint64_t b = 0; b < size; b++) {
                const uint64_t from = swap ? b / part * part + part - 1 - b % part : b;
                assert_int_equal(got[k * size + b], data[at * size + from]);
            }
        }
        free(got);
        free(data);
        arena_free(&arena);
    }
}

static void chains_of_transforms_stay_inside(void **state)
{
    (void)state;
    uint64_t rng = 4;
    for (int round = 0; round < 300; round++) {
        smelt_arena arena = {0};
        uint8_t *data;
        const smelt_dtype dtype = types[below(&rng, N_TYPES)];
        const uint32_t block = smelt_dtype_get(dtype)->elems;
        const smelt_view *v = make_view(&arena, &rng, dtype, matrix(4 * (1 + below(&rng, 4)), block * (1 + below(&rng, 3))), &data);
        for (int step = 0; step < 6; step++) {
            const smelt_view *w = v;
            const smelt_shape *s = view_shape(v);
            const uint64_t first = below(&rng, s->dim[0]);
            switch (below(&rng, 5)) {
            case 0:
                view_rope_pairs(&arena, v, 1 + below(&rng, 3), &w, NULL);
                break;
            case 1:
                view_rope_halves(&arena, v, 1 + below(&rng, 3), &w, NULL);
                break;
            case 2:
                assert_int_equal(view_slice(&arena, v, first, 1 + below(&rng, s->dim[0] - first), &w, NULL), SMELT_OK);
                break;
            case 3:
                assert_int_equal(view_concat(&arena, (const smelt_view *[]){v, v}, 2, &w, NULL), SMELT_OK);
                break;
            default:
                if (s->n == 2)
                    assert_int_equal(view_reshape(&arena, v, &(smelt_shape){3, {1, s->dim[0], s->dim[1]}}, &w, NULL), SMELT_OK);
                else
                    assert_int_equal(view_reshape(&arena, v, &(smelt_shape){2, {s->dim[0] * s->dim[1], s->dim[2]}}, &w, NULL),
                                     SMELT_OK);
            }
            v = w;
        }
        free(read_all(&rng, v));
        free(data);
        arena_free(&arena);
    }
}

static void what_does_not_fit_is_refused_when_the_view_is_made(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    static const uint8_t data[34 * 8];
    const smelt_view *v, *vector, *f32;
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &(smelt_shape){2, {2, 3}}, data, 23, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_bytes(&arena, SMELT_DT_Q8_0, &(smelt_shape){2, {32, 2}}, data, 68, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &(smelt_shape){2, {UINT64_C(1) << 62, 4}}, data, 0, &v, NULL), SMELT_E_LIMIT);
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &(smelt_shape){1, {UINT64_C(1) << 62}}, data, 0, &v, NULL), SMELT_E_LIMIT);
    assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &(smelt_shape){2, {6, 4}}, data, 96, &f32, NULL), SMELT_OK);
    assert_int_equal(view_slice(&arena, f32, 7, 0, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_slice(&arena, f32, 3, UINT64_MAX, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_reshape(&arena, f32, &(smelt_shape){2, {5, 5}}, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_rope_pairs(&arena, f32, 4, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_rope_pairs(&arena, f32, 2, &v, NULL), SMELT_E_MISMATCH);
    assert_int_equal(view_rope_pairs(&arena, f32, 0, &v, NULL), SMELT_E_MISMATCH);
    /* The row of a vector of blocks is the vector: joined ones would be read beyond the first. */
    assert_int_equal(view_bytes(&arena, SMELT_DT_Q8_0, &(smelt_shape){1, {64}}, data, 68, &vector, NULL), SMELT_OK);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){vector, vector}, 2, &v, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(view_slice(&arena, vector, 32, 32, &v, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){f32, vector}, 2, &v, NULL), SMELT_E_MISMATCH);
    const uint64_t huge[] = {UINT64_MAX, 1};
    assert_int_equal(view_strided(&arena, SMELT_DT_F32, &(smelt_shape){2, {3, 1}}, huge, data, 8, 0, false, &v, NULL),
                     SMELT_E_CORRUPT);
    assert_int_equal(view_strided(&arena, SMELT_DT_F32, &(smelt_shape){2, {2, 1}}, huge, data, 8, 1, false, &v, NULL),
                     SMELT_E_CORRUPT);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_orders_are_each_other_s_inverse),
        cmocka_unit_test(slices_joined_again_are_the_whole),
        cmocka_unit_test(strided_views_are_what_their_definition_says),
        cmocka_unit_test(chains_of_transforms_stay_inside),
        cmocka_unit_test(what_does_not_fit_is_refused_when_the_view_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
