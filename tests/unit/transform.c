/* The transforms between checkpoint and IR, each against its definition written out here, then undone; all reads stay inside
 * buffers of exactly their size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/transform.h"

enum { ROUNDS = 300 };

/* Reproducible numbers (splitmix64). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *state, uint64_t n) { return next(state) % n; }
static uint64_t pick(uint64_t *state, uint64_t most) { return 1 + below(state, most); }

static const smelt_dtype plain[] = {SMELT_DT_F32, SMELT_DT_BF16, SMELT_DT_U8, SMELT_DT_F64};
static const smelt_dtype types[] = {SMELT_DT_F32,  SMELT_DT_BF16, SMELT_DT_U8,   SMELT_DT_F64,
                                    SMELT_DT_Q4_0, SMELT_DT_Q8_0, SMELT_DT_MXFP4};

/* A tensor of random bytes and what lies in it. */
typedef struct source {
    const smelt_view *view;
    uint8_t *data;
    uint64_t row_bytes; /* of a row of the view: for vectors of one element */
} source;

static source make(smelt_arena *arena, uint64_t *rng, smelt_dtype dtype, smelt_shape shape)
{
    source s;
    uint64_t elems, bytes = 0;
    assert_true(shape_elems(&shape, &elems) && smelt_dtype_bytes(dtype, elems, &bytes));
    s.data = malloc(bytes ? bytes : 1);
    assert_non_null(s.data);
    for (uint64_t i = 0; i < bytes; i++)
        s.data[i] = (uint8_t)next(rng);
    assert_int_equal(view_bytes(arena, dtype, &shape, s.data, bytes, &s.view, NULL), SMELT_OK);
    s.row_bytes = view_rows(s.view) ? bytes / view_rows(s.view) : 0;
    return s;
}

/* One span that starts at element `at` of the view and wants `want`, into scratch of exactly that size. */
static uint64_t one_span(const smelt_view *v, uint64_t at, uint64_t want, uint8_t *out)
{
    const uint64_t cols = view_cols(v);
    const uint32_t block = smelt_dtype_get(view_dtype(v))->elems;
    uint64_t n = 0;
    uint8_t *scratch = malloc(view_col_bytes(v, want));
    assert_non_null(scratch);
    const void *p = view_span(v, at / cols, at % cols, want, scratch, &n);
    assert_true(n >= block && n <= want && n % block == 0);
    memcpy(out, p, view_col_bytes(v, n));
    free(scratch);
    return n;
}

/* The first `n` elements of a view, each span as long as it comes. */
static uint8_t *one_read(const smelt_view *v, uint8_t *out, uint64_t n)
{
    for (uint64_t at = 0; at < n;)
        at += one_span(v, at, n - at, out + view_col_bytes(v, at));
    return out;
}

/* Reads all of a view in spans of random length; then from every block on with wants from one block to all the rest, which must
 * agree with the first reading. */
static uint8_t *read_all(uint64_t *rng, const smelt_view *v)
{
    const uint64_t total = view_rows(v) * view_cols(v);
    const uint32_t block = smelt_dtype_get(view_dtype(v))->elems;
    uint8_t *out = malloc(view_bytes_total(v) + 1), *again = malloc(view_bytes_total(v) + 1);
    assert_true(out && again);
    for (uint64_t at = 0, n; at < total; at += n) {
        uint64_t want = pick(rng, 2 * view_cols(v) / block + 2) * block;
        n = one_span(v, at, want < total - at ? want : total - at, out + view_col_bytes(v, at));
    }
    for (uint64_t at = 0; at < total; at += block) {
        const uint64_t left = (total - at) / block, wants[] = {block, pick(rng, left) * block, left * block};
        for (size_t w = 0; w < sizeof wants / sizeof *wants; w++) {
            const uint64_t n = one_span(v, at, wants[w], again);
            assert_memory_equal(again, out + view_col_bytes(v, at), view_col_bytes(v, n));
        }
    }
    if (total) view_read(v, 0, 0, total, again);
    assert_memory_equal(out, again, view_bytes_total(v));
    free(again);
    return out;
}

static void assert_is(uint64_t *rng, const smelt_view *v, smelt_dtype dtype, smelt_shape shape, const uint8_t *bytes)
{
    assert_int_equal(view_dtype(v), dtype);
    assert_true(shape_equal(view_shape(v), &shape));
    uint8_t *got = read_all(rng, v);
    assert_memory_equal(got, bytes, view_bytes_total(v));
    free(got);
}

static void assert_same(uint64_t *rng, const smelt_view *v, const source *s)
{
    assert_is(rng, v, view_dtype(s->view), *view_shape(s->view), s->data);
}

/* The view's rows are these rows of the source, in this order. */
static void assert_rows(uint64_t *rng, const smelt_view *v, const source *s, const uint64_t *rows, uint64_t n)
{
    assert_int_equal(view_rows(v), n);
    uint8_t *got = read_all(rng, v);
    for (uint64_t r = 0; r < n; r++)
        assert_memory_equal(got + r * s->row_bytes, s->data + rows[r] * s->row_bytes, s->row_bytes);
    free(got);
}

/* A matrix with this many rows, or a vector: of plain types only, since blocks run along rows. */
static source tall(smelt_arena *arena, uint64_t *rng, uint64_t rows)
{
    const smelt_dtype dtype = types[below(rng, sizeof types / sizeof *types)];
    const uint32_t block = smelt_dtype_get(dtype)->elems;
    smelt_shape shape = {2, {rows, block * pick(rng, 3)}};
    if (block == 1 && below(rng, 3) == 0) shape = (smelt_shape){1, {rows}};
    return make(arena, rng, dtype, shape);
}

static void groups_of_queries_keys_and_values_come_apart_and_together(void **state)
{
    (void)state;
    uint64_t rng = 11;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        const uint64_t groups = pick(&rng, 4), per = pick(&rng, 4), dim = pick(&rng, 4);
        source s = tall(&arena, &rng, groups * (per + 2) * dim);
        const smelt_view *part[3], *back;
        for (int p = 0; p < 3; p++) {
            assert_int_equal(view_qkv_take(&arena, s.view, groups, per, dim, p, &part[p], NULL), SMELT_OK);
            uint64_t rows[4 * 4 * 4], n = 0;
            for (uint64_t g = 0; g < groups; g++)
                for (uint64_t h = p == 0 ? 0 : per + (uint64_t)p - 1; h < (p == 0 ? per : per + (uint64_t)p); h++)
                    for (uint64_t d = 0; d < dim; d++)
                        rows[n++] = (g * (per + 2) + h) * dim + d;
            assert_rows(&rng, part[p], &s, rows, n);
        }
        assert_int_equal(view_qkv_join(&arena, part, groups, per, dim, &back, NULL), SMELT_OK);
        assert_same(&rng, back, &s);
        free(s.data);
        arena_free(&arena);
    }
}

static void blocks_of_rows_come_apart_and_together(void **state)
{
    (void)state;
    uint64_t rng = 12;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        const uint64_t n = pick(&rng, 4), high = pick(&rng, 4), groups = pick(&rng, 3);
        const smelt_dtype dtype = types[below(&rng, sizeof types / sizeof *types)];
        source s = make(&arena, &rng, dtype, (smelt_shape){2, {n * high * groups, smelt_dtype_get(dtype)->elems * pick(&rng, 3)}});
        const smelt_view *part[4], *back;
        for (uint64_t p = 0; p < n; p++) {
            assert_int_equal(view_blocks_take(&arena, s.view, n, high, p, &part[p], NULL), SMELT_OK);
            uint64_t rows[4 * 3], k = 0;
            for (uint64_t g = 0; g < groups; g++)
                for (uint64_t r = 0; r < high; r++)
                    rows[k++] = (g * n + p) * high + r;
            assert_rows(&rng, part[p], &s, rows, k);
        }
        assert_int_equal(view_blocks_join(&arena, part, n, high, &back, NULL), SMELT_OK);
        assert_same(&rng, back, &s);
        free(s.data);
        arena_free(&arena);
    }
}

static void rows_in_turn_come_apart_and_together(void **state)
{
    (void)state;
    uint64_t rng = 13;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        const uint64_t step = pick(&rng, 4), each = pick(&rng, 4);
        source s;
        if (below(&rng, 3) == 0) { /* three dimensions: the rows of all matrices, one after the other */
            const smelt_dtype dtype = types[below(&rng, sizeof types / sizeof *types)];
            s = make(&arena, &rng, dtype,
                     (smelt_shape){3, {pick(&rng, 3), step * each, smelt_dtype_get(dtype)->elems * pick(&rng, 3)}});
        } else
            s = tall(&arena, &rng, step * each);
        const smelt_view *part[4], *back;
        for (uint64_t p = 0; p < step; p++) {
            assert_int_equal(view_every(&arena, s.view, step, p, &part[p], NULL), SMELT_OK);
            uint64_t rows[3 * 4], k = 0;
            for (uint64_t r = p; r < view_rows(s.view); r += step)
                rows[k++] = r;
            assert_rows(&rng, part[p], &s, rows, k);
        }
        assert_int_equal(view_interleave(&arena, part, step, &back, NULL), SMELT_OK);
        assert_same(&rng, back, &s);
        free(s.data);
        arena_free(&arena);
    }
}

static void transposing_twice_is_nothing_and_once_swaps_the_last_two(void **state)
{
    (void)state;
    uint64_t rng = 14;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        const smelt_dtype dtype = plain[below(&rng, sizeof plain / sizeof *plain)];
        const uint64_t size = smelt_dtype_get(dtype)->bytes, e = pick(&rng, 3), a = pick(&rng, 5), b = pick(&rng, 5);
        const bool stack = below(&rng, 2);
        source s = make(&arena, &rng, dtype, stack ? (smelt_shape){3, {e, a, b}} : (smelt_shape){2, {e * a, b}});
        const uint64_t many = stack ? e : 1, high = stack ? a : e * a;
        const smelt_view *t, *copy, *back;
        assert_int_equal(view_transpose(&arena, s.view, &t, NULL), SMELT_OK);
        uint8_t *want = malloc(view_bytes_total(t));
        assert_non_null(want);
        for (uint64_t m = 0; m < many; m++)
            for (uint64_t i = 0; i < high; i++)
                for (uint64_t j = 0; j < b; j++)
                    memcpy(want + ((m * b + j) * high + i) * size, s.data + ((m * high + i) * b + j) * size, size);
        assert_is(&rng, t, dtype, stack ? (smelt_shape){3, {e, b, a}} : (smelt_shape){2, {b, e * a}}, want);
        assert_int_equal(view_transpose(&arena, t, &back, NULL), SMELT_OK);
        assert_ptr_equal(back, s.view);
        /* The same when it cannot see that it undoes itself. */
        assert_int_equal(view_reshape(&arena, t, view_shape(t), &copy, NULL), SMELT_OK);
        assert_int_equal(view_transpose(&arena, copy, &back, NULL), SMELT_OK);
        assert_same(&rng, back, &s);
        free(want);
        free(s.data);
        arena_free(&arena);
    }
}

/* Sizes beyond what a transposition holds at a time, and with every second or third row of the result alone, or some of those. */
static void large_matrices_are_transposed_in_parts(void **state)
{
    (void)state;
    uint64_t rng = 17;
    for (int round = 0; round < 24; round++) {
        smelt_arena arena = {0};
        const smelt_dtype dtype = plain[below(&rng, sizeof plain / sizeof *plain)];
        const uint64_t size = smelt_dtype_get(dtype)->bytes, outer = pick(&rng, 3), inner = pick(&rng, 2), step = outer * inner,
                       e = pick(&rng, 2), a = pick(&rng, 40), b = step * pick(&rng, 5000 / size), skip = below(&rng, outer),
                       skip_too = below(&rng, inner), first = skip + outer * skip_too;
        source s = make(&arena, &rng, dtype, (smelt_shape){3, {e, a, b}});
        const smelt_view *t, *some, *v;
        assert_int_equal(view_transpose(&arena, s.view, &t, NULL), SMELT_OK);
        assert_int_equal(view_every(&arena, t, outer, skip, &some, NULL), SMELT_OK);
        assert_int_equal(view_every(&arena, some, inner, skip_too, &v, NULL), SMELT_OK);
        assert_true(shape_equal(view_shape(v), &(smelt_shape){3, {e, b / step, a}}));
        const uint64_t total = e * a * (b / step);
        uint8_t *got = malloc(total * size), *want = malloc(total * size);
        assert_true(got && want);
        for (uint64_t i = 0; i < total; i++) {
            const uint64_t m = i / (a * (b / step)), r = i / a % (b / step) * step + first, c = i % a;
            memcpy(want + i * size, s.data + ((m * a + c) * b + r) * size, size);
        }
        /* From anywhere to anywhere, in spans as long as they come. */
        for (int k = 0; k < 20; k++) {
            const uint64_t from = below(&rng, total), n = pick(&rng, total - from);
            view_read(v, from / a, from % a, n, got);
            assert_memory_equal(got, want + from * size, n * size);
        }
        assert_memory_equal(one_read(v, got, total), want, total * size);
        free(got);
        free(want);
        free(s.data);
        arena_free(&arena);
    }
}

/* A decoder to recognise: element i of the block is its byte i (mod the block's bytes), plus a hundred times the type. */
static smelt_dtype mock_type;
static void mock_unpack(const void *src, float *y, uint64_t n)
{
    const smelt_dtype_row *row = smelt_dtype_get(mock_type);
    const uint8_t *p = src;
    for (uint64_t i = 0; i < n; i++)
        y[i] = (float)(p[i / row->elems * row->bytes + i % row->elems % row->bytes] + 1000 * (int)mock_type);
}

static void blocks_are_decoded_wherever_a_span_begins(void **state)
{
    (void)state;
    static const smelt_dtype all[] = {SMELT_DT_Q4_0, SMELT_DT_Q8_0, SMELT_DT_MXFP4, SMELT_DT_Q4_K, SMELT_DT_F32, SMELT_DT_BF16};
    uint64_t rng = 18;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        mock_type = all[below(&rng, sizeof all / sizeof *all)];
        const smelt_dtype_row *row = smelt_dtype_get(mock_type);
        const uint64_t rows = pick(&rng, 3), cols = row->elems * pick(&rng, 4);
        const bool vector = below(&rng, 4) == 0;
        source s = make(&arena, &rng, mock_type, vector ? (smelt_shape){1, {cols}} : (smelt_shape){2, {rows, cols}});
        const uint64_t n = view_rows(s.view) * view_cols(s.view);
        const smelt_view *v, *t;
        float *want = malloc(n * sizeof *want), *turned = malloc(n * sizeof *want);
        assert_true(want && turned);
        mock_unpack(s.data, want, n);
        assert_int_equal(view_decode(&arena, s.view, mock_unpack, &v, NULL), SMELT_OK);
        assert_is(&rng, v, SMELT_DT_F32, *view_shape(s.view), (const uint8_t *)want);
        if (!vector) {
            for (uint64_t i = 0; i < n; i++)
                turned[i % cols * rows + i / cols] = want[i];
            assert_int_equal(view_transpose(&arena, v, &t, NULL), SMELT_OK);
            assert_is(&rng, t, SMELT_DT_F32, (smelt_shape){2, {cols, rows}}, (const uint8_t *)turned);
        }
        assert_int_equal(view_decode(&arena, s.view, NULL, &v, NULL), SMELT_E_UNSUPPORTED);
        free(want);
        free(turned);
        free(s.data);
        arena_free(&arena);
    }
}

/* By the format's definition: byte k of gpt-oss holds elements 2k (low nibble) and 2k+1 (high); GGUF's byte j holds elements j
 * (low) and j+16 (high), behind the scale. With element i being i % 16 in the first block and 15 - i % 16 in the second. */
static void mxfp4_blocks_have_the_bytes_that_the_format_says(void **state)
{
    (void)state;
    static const uint8_t blocks[32] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE, 0x10, 0x32, 0x54,
                                       0x76, 0x98, 0xBA, 0xDC, 0xFE, 0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45,
                                       0x23, 0x01, 0x00, 0x00, 0x00, 0x00, 0x11, 0x11, 0x11, 0x11};
    static const uint8_t scales[2] = {0x7F, 0x80};
    static const uint8_t want[34] = {0x7F, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA,
                                     0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0x80, 0x0F, 0x0E, 0x0D, 0x0C, 0x0B, 0x0A,
                                     0x09, 0x08, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x10};
    uint64_t rng = 15;
    static const smelt_shape wide = {3, {1, 2, 16}}, wide_scales = {2, {1, 2}}, flat = {2, {2, 16}}, flat_scales = {1, {2}};
    for (int vector = 0; vector < 2; vector++) {
        smelt_arena arena = {0};
        const smelt_view *b, *s, *out;
        assert_int_equal(view_bytes(&arena, SMELT_DT_U8, vector ? &flat : &wide, blocks, 32, &b, NULL), SMELT_OK);
        assert_int_equal(view_bytes(&arena, SMELT_DT_U8, vector ? &flat_scales : &wide_scales, scales, 2, &s, NULL), SMELT_OK);
        assert_int_equal(view_mxfp4_join(&arena, b, s, &out, NULL), SMELT_OK);
        assert_is(&rng, out, SMELT_DT_MXFP4, vector ? (smelt_shape){1, {64}} : (smelt_shape){2, {1, 64}}, want);
        arena_free(&arena);
    }
}

static void mxfp4_comes_together_and_apart(void **state)
{
    (void)state;
    uint64_t rng = 16;
    for (int round = 0; round < ROUNDS; round++) {
        smelt_arena arena = {0};
        smelt_shape scales = {1 + (int)below(&rng, 3), {pick(&rng, 3), pick(&rng, 3), pick(&rng, 12)}}, blocks = scales,
                    whole = scales;
        blocks.dim[blocks.n++] = 16;
        whole.dim[whole.n - 1] *= 32;
        source b = make(&arena, &rng, SMELT_DT_U8, blocks), s = make(&arena, &rng, SMELT_DT_U8, scales),
               w = make(&arena, &rng, SMELT_DT_MXFP4, whole);
        const smelt_view *out, *ob, *os;
        assert_int_equal(view_mxfp4_join(&arena, b.view, s.view, &out, NULL), SMELT_OK);
        assert_int_equal(view_mxfp4_blocks(&arena, out, &ob, NULL), SMELT_OK);
        assert_int_equal(view_mxfp4_scales(&arena, out, &os, NULL), SMELT_OK);
        assert_same(&rng, ob, &b);
        assert_same(&rng, os, &s);
        assert_int_equal(view_mxfp4_blocks(&arena, w.view, &ob, NULL), SMELT_OK);
        assert_int_equal(view_mxfp4_scales(&arena, w.view, &os, NULL), SMELT_OK);
        assert_int_equal(view_mxfp4_join(&arena, ob, os, &out, NULL), SMELT_OK);
        assert_same(&rng, out, &w);
        free(b.data);
        free(s.data);
        free(w.data);
        arena_free(&arena);
    }
}

static void only_all_slices_in_order_are_the_tensor_itself(void **state)
{
    (void)state;
    uint64_t rng = 17;
    smelt_arena arena = {0};
    source s = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){3, {4, 2, 3}}),
           other = make(&arena, &rng, SMELT_DT_F32, *view_shape(s.view));
    const smelt_view *a, *b, *foreign, *line, *out;
    assert_int_equal(view_slice(&arena, s.view, 0, 1, &a, NULL), SMELT_OK);
    assert_int_equal(view_slice(&arena, s.view, 1, 3, &b, NULL), SMELT_OK);
    assert_int_equal(view_slice(&arena, other.view, 1, 3, &foreign, NULL), SMELT_OK);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){a, b}, 2, &out, NULL), SMELT_OK);
    assert_ptr_equal(out, s.view);
    static const uint64_t turned[] = {2, 3, 4, 5, 6, 7, 0, 1}, twice[] = {0, 1, 0, 1}, most[] = {2, 3, 4, 5, 6, 7};
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){b, a}, 2, &out, NULL), SMELT_OK);
    assert_rows(&rng, out, &s, turned, 8);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){a, a}, 2, &out, NULL), SMELT_OK);
    assert_rows(&rng, out, &s, twice, 4);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){b}, 1, &out, NULL), SMELT_OK);
    assert_rows(&rng, out, &s, most, 6);
    assert_int_equal(view_concat(&arena, (const smelt_view *[]){a, foreign}, 2, &out, NULL), SMELT_OK);
    uint8_t mixed[4 * 2 * 3 * 4];
    memcpy(mixed, s.data, 24);
    memcpy(mixed + 24, other.data + 24, 72);
    assert_is(&rng, out, SMELT_DT_F32, (smelt_shape){3, {4, 2, 3}}, mixed);
    /* Slices under another shape have that shape when they are joined, whatever they were cut from. */
    const smelt_view *pair[2];
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(view_slice(&arena, s.view, 2 * i, 2, &line, NULL), SMELT_OK);
        assert_int_equal(view_reshape(&arena, line, &(smelt_shape){2, {4, 3}}, &pair[i], NULL), SMELT_OK);
    }
    assert_int_equal(view_concat(&arena, pair, 2, &out, NULL), SMELT_OK);
    assert_is(&rng, out, SMELT_DT_F32, (smelt_shape){2, {8, 3}}, s.data);
    free(s.data);
    free(other.data);
    arena_free(&arena);
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    uint64_t rng = 18;
    smelt_arena arena = {0};
    const smelt_view *o;
    source m = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){2, {12, 4}}),
           v = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){1, {12}}),
           cube = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){3, {2, 6, 4}}),
           half = make(&arena, &rng, SMELT_DT_BF16, (smelt_shape){2, {12, 4}}),
           wide = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){2, {12, 5}}),
           none = make(&arena, &rng, SMELT_DT_F32, (smelt_shape){0}),
           q8 = make(&arena, &rng, SMELT_DT_Q8_0, (smelt_shape){2, {4, 32}}),
           line = make(&arena, &rng, SMELT_DT_Q8_0, (smelt_shape){1, {64}}),
           mx = make(&arena, &rng, SMELT_DT_MXFP4, (smelt_shape){2, {3, 32}}),
           u8 = make(&arena, &rng, SMELT_DT_U8, (smelt_shape){3, {3, 1, 16}}),
           few = make(&arena, &rng, SMELT_DT_U8, (smelt_shape){2, {2, 1}}),
           u15 = make(&arena, &rng, SMELT_DT_U8, (smelt_shape){3, {2, 1, 15}});
#define REFUSED(...) assert_int_not_equal(__VA_ARGS__, SMELT_OK)
#define LIST(...) ((const smelt_view *[]){__VA_ARGS__})
    REFUSED(view_qkv_take(&arena, m.view, 2, 2, 2, 0, &o, NULL));
    REFUSED(view_qkv_take(&arena, m.view, 0, 2, 2, 0, &o, NULL));
    REFUSED(view_qkv_take(&arena, m.view, UINT64_MAX, UINT64_MAX - 2, 3, 0, &o, NULL));
    REFUSED(view_qkv_take(&arena, cube.view, 3, 2, 1, 0, &o, NULL));
    REFUSED(view_qkv_take(&arena, none.view, 1, 0, 1, 0, &o, NULL));
    REFUSED(view_qkv_take(&arena, line.view, 2, 14, 2, 0, &o, NULL));
    REFUSED(view_qkv_join(&arena, LIST(m.view, m.view, m.view), 3, 4, 1, &o, NULL));
    REFUSED(view_qkv_join(&arena, LIST(m.view, half.view, m.view), 12, 1, 1, &o, NULL));
    REFUSED(view_qkv_join(&arena, LIST(m.view, m.view, wide.view), 12, 1, 1, &o, NULL));
    REFUSED(view_blocks_take(&arena, m.view, 5, 1, 0, &o, NULL));
    REFUSED(view_blocks_take(&arena, m.view, 2, 3, 2, &o, NULL));
    REFUSED(view_blocks_take(&arena, m.view, 2, 0, 0, &o, NULL));
    REFUSED(view_blocks_take(&arena, m.view, UINT64_C(1) << 63, 2, 0, &o, NULL));
    REFUSED(view_blocks_take(&arena, v.view, 2, 3, 0, &o, NULL));
    REFUSED(view_blocks_join(&arena, LIST(m.view, wide.view), 2, 3, &o, NULL));
    REFUSED(view_blocks_join(&arena, LIST(m.view, half.view), 2, 3, &o, NULL));
    REFUSED(view_blocks_join(&arena, LIST(m.view, m.view), 2, 5, &o, NULL));
    REFUSED(view_blocks_join(&arena, LIST(m.view, m.view), 2, 0, &o, NULL));
    REFUSED(view_blocks_join(&arena, NULL, 0, 1, &o, NULL));
    REFUSED(view_every(&arena, m.view, 5, 0, &o, NULL));
    REFUSED(view_every(&arena, m.view, 2, 2, &o, NULL));
    REFUSED(view_every(&arena, m.view, 0, 0, &o, NULL));
    REFUSED(view_every(&arena, none.view, 1, 0, &o, NULL));
    REFUSED(view_every(&arena, line.view, 2, 0, &o, NULL));
    REFUSED(view_interleave(&arena, LIST(m.view, wide.view), 2, &o, NULL));
    REFUSED(view_interleave(&arena, LIST(m.view, half.view), 2, &o, NULL));
    REFUSED(view_interleave(&arena, LIST(none.view, none.view), 2, &o, NULL));
    REFUSED(view_interleave(&arena, LIST(line.view, line.view), 2, &o, NULL));
    REFUSED(view_interleave(&arena, NULL, 0, &o, NULL));
    REFUSED(view_transpose(&arena, v.view, &o, NULL));
    REFUSED(view_transpose(&arena, none.view, &o, NULL));
    REFUSED(view_transpose(&arena, q8.view, &o, NULL));
    REFUSED(view_mxfp4_join(&arena, u8.view, few.view, &o, NULL));
    REFUSED(view_mxfp4_join(&arena, u15.view, few.view, &o, NULL));
    REFUSED(view_mxfp4_join(&arena, cube.view, few.view, &o, NULL));
    REFUSED(view_mxfp4_join(&arena, u8.view, u8.view, &o, NULL));
    REFUSED(view_mxfp4_blocks(&arena, q8.view, &o, NULL));
    REFUSED(view_mxfp4_scales(&arena, u8.view, &o, NULL));
    REFUSED(view_concat(&arena, NULL, 0, &o, NULL));
    REFUSED(view_concat(&arena, LIST(m.view, cube.view), 2, &o, NULL));
    REFUSED(view_concat(&arena, LIST(none.view), 1, &o, NULL));
    assert_int_equal(view_mxfp4_blocks(&arena, mx.view, &o, NULL), SMELT_OK);
    source *all[] = {&m, &v, &cube, &half, &wide, &none, &q8, &line, &mx, &u8, &few, &u15};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
    arena_free(&arena);
}

/* No rows, or rows of nothing: nothing is read, and what comes together again has the same shape. */
static void empty_tensors_go_through(void **state)
{
    (void)state;
    static const smelt_shape shapes[] = {{2, {0, 4}}, {2, {12, 0}}, {2, {0, 0}}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        smelt_arena arena = {0};
        const smelt_view *in, *part[2], *out;
        assert_int_equal(view_bytes(&arena, SMELT_DT_F32, &shapes[i], "", 0, &in, NULL), SMELT_OK);
        for (uint64_t p = 0; p < 2; p++)
            assert_int_equal(view_every(&arena, in, 2, p, &part[p], NULL), SMELT_OK);
        assert_int_equal(view_interleave(&arena, part, 2, &out, NULL), SMELT_OK);
        assert_true(shape_equal(view_shape(out), &shapes[i]) && view_bytes_total(out) == 0);
        for (uint64_t p = 0; p < 2; p++)
            assert_int_equal(view_blocks_take(&arena, in, 2, 3, p, &part[p], NULL), SMELT_OK);
        assert_int_equal(view_blocks_join(&arena, part, 2, 3, &out, NULL), SMELT_OK);
        assert_true(shape_equal(view_shape(out), &shapes[i]) && view_bytes_total(out) == 0);
        assert_int_equal(view_transpose(&arena, in, &out, NULL), SMELT_OK);
        assert_int_equal(view_bytes_total(out), 0);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_queries_keys_and_values_come_apart_and_together),
        cmocka_unit_test(blocks_of_rows_come_apart_and_together),
        cmocka_unit_test(rows_in_turn_come_apart_and_together),
        cmocka_unit_test(transposing_twice_is_nothing_and_once_swaps_the_last_two),
        cmocka_unit_test(large_matrices_are_transposed_in_parts),
        cmocka_unit_test(blocks_are_decoded_wherever_a_span_begins),
        cmocka_unit_test(mxfp4_blocks_have_the_bytes_that_the_format_says),
        cmocka_unit_test(mxfp4_comes_together_and_apart),
        cmocka_unit_test(only_all_slices_in_order_are_the_tensor_itself),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(empty_tensors_go_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
