/* The content hash says what the values are, not how they are stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/content.h"
#include "base/bytes.h"
#include "tools/compose.h"

static void add(smelt_model *m, const char *name, smelt_dtype dtype, const smelt_shape *shape, const void *data, uint64_t bytes)
{
    const smelt_view *v;
    assert_int_equal(view_bytes(&m->arena, dtype, shape, data, bytes, &v, NULL), SMELT_OK);
    assert_int_equal(model_add(m, name, strlen(name), v, "file", 0, NULL), SMELT_OK);
}

/* The hash of a model, and of its first tensor by name. */
typedef struct result {
    char model[HASH_HEX + 1], tensor[HASH_HEX + 1];
} result;

static result hash_model(const smelt_model *m, int threads)
{
    smelt_ctx ctx;
    smelt_content c;
    smelt_arena arena = {0};
    result r;
    assert_int_equal(ctx_init(&ctx, NULL), SMELT_OK);
    ctx.threads = threads;
    assert_int_equal(content_hash(&ctx, m, &arena, &c, NULL), SMELT_OK);
    hash_hex(c.hash, r.model);
    hash_hex(c.tensors[0].hash, r.tensor);
    arena_free(&arena);
    return r;
}

static result hash_one(smelt_dtype dtype, const smelt_shape *shape, const void *data, uint64_t bytes)
{
    smelt_model m;
    model_init(&m);
    add(&m, "w", dtype, shape, data, bytes);
    result r = hash_model(&m, 1);
    model_free(&m);
    return r;
}

#define SHAPE(...) (&(smelt_shape){sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), {__VA_ARGS__}})

/* 1, -2, 0.5 and -0 in every type that has them. */
static const uint16_t as_bf16[] = {0x3F80, 0xC000, 0x3F00, 0x8000};
static const uint16_t as_f16[] = {0x3C00, 0xC000, 0x3800, 0x8000};
static const float as_f32[] = {1, -2, 0.5F, -0.0F};
static const double as_f64[] = {1, -2, 0.5, -0.0};
static const uint8_t as_e5m2[] = {0x3C, 0xC0, 0x38, 0x80};

/* The definition, by hand: the hash of bfloat16 bytes is the only piece; before it come the number of dimensions and the dimensions. */
static void is_what_the_definition_says(void **state)
{
    (void)state;
    const result r = hash_one(SMELT_DT_F32, SHAPE(2, 2), as_f32, sizeof as_f32);
    uint8_t piece[16], tensor[16], model[16], text[64] = {2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2};
    char hex[HASH_HEX + 1];
    hash_bytes("\x80\x3F\x00\xC0\x00\x3F\x00\x80", 8, piece);
    text[24] = 'b';
    memcpy(text + 25, piece, 16);
    hash_bytes(text, 41, tensor);
    assert_string_equal(r.tensor, hash_hex(tensor, hex));
    memcpy(text, "\x01\0\0\0\0\0\0\0w", 9);
    memcpy(text + 9, tensor, 16);
    hash_bytes(text, 25, model);
    assert_string_equal(r.model, hash_hex(model, hex));
}

/* xxHash's own value for no bytes, and its order of bytes (doc/xxhash_spec.md: big-endian). */
static void hexadecimal_is_the_canonical_order(void **state)
{
    (void)state;
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX + 1];
    hash_bytes("", 0, hash);
    assert_string_equal(hash_hex(hash, hex), "99aa06d3014798d86001c324468d497f");
}

static void types_make_no_difference(void **state)
{
    (void)state;
    const result want = hash_one(SMELT_DT_BF16, SHAPE(2, 2), as_bf16, sizeof as_bf16);
    assert_string_equal(hash_one(SMELT_DT_F16, SHAPE(2, 2), as_f16, sizeof as_f16).model, want.model);
    assert_string_equal(hash_one(SMELT_DT_F32, SHAPE(2, 2), as_f32, sizeof as_f32).model, want.model);
    assert_string_equal(hash_one(SMELT_DT_F64, SHAPE(2, 2), as_f64, sizeof as_f64).model, want.model);
    assert_string_equal(hash_one(SMELT_DT_F8_E5M2, SHAPE(2, 2), as_e5m2, sizeof as_e5m2).model, want.model);
    static const int8_t i8[] = {1, -2, 3};
    static const int64_t i64[] = {1, -2, 3};
    static const uint8_t u8[] = {1, 254, 3};
    const result ints = hash_one(SMELT_DT_I64, SHAPE(3), i64, sizeof i64);
    assert_string_equal(hash_one(SMELT_DT_I8, SHAPE(3), i8, sizeof i8).model, ints.model);
    assert_string_not_equal(hash_one(SMELT_DT_U8, SHAPE(3), u8, sizeof u8).model, ints.model);
}

/* A block of Q8_0 is a float16 scale and 32 codes. */
static void blocks_are_their_values(void **state)
{
    (void)state;
    uint8_t block[34] = {0x00, 0x38}; /* 0.5 */
    float values[32];
    for (int i = 0; i < 32; i++) {
        block[2 + i] = (uint8_t)(i - 16);
        values[i] = 0.5F * (float)(i - 16);
    }
    assert_string_equal(hash_one(SMELT_DT_Q8_0, SHAPE(1, 32), block, sizeof block).model,
                        hash_one(SMELT_DT_F32, SHAPE(1, 32), values, sizeof values).model);
}

static void everything_else_makes_one(void **state)
{
    (void)state;
    const result want = hash_one(SMELT_DT_F32, SHAPE(2, 2), as_f32, sizeof as_f32);
    assert_string_not_equal(hash_one(SMELT_DT_F32, SHAPE(4), as_f32, sizeof as_f32).model, want.model);
    assert_string_not_equal(hash_one(SMELT_DT_F32, SHAPE(4, 1), as_f32, sizeof as_f32).model, want.model);
    uint8_t copy[sizeof as_f32], wide[sizeof as_f64];
    for (size_t bit = 0; bit < 8 * sizeof copy; bit++) {
        memcpy(copy, as_f32, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_string_not_equal(hash_one(SMELT_DT_F32, SHAPE(2, 2), copy, sizeof copy).model, want.model);
    }
    for (size_t bit = 0; bit < 8 * sizeof wide; bit++) {
        memcpy(wide, as_f64, sizeof wide);
        wide[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_string_not_equal(hash_one(SMELT_DT_F64, SHAPE(2, 2), wide, sizeof wide).model, want.model);
    }
}

/* Order in the file, threads and pieces: 65,536 values are one, and only the second of these is no bfloat16. */
static void order_and_threads_make_no_difference(void **state)
{
    (void)state;
    enum { N = 3 * 65536 + 17 };
    float *x = malloc(N * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 251);
    const result plain = hash_one(SMELT_DT_F32, SHAPE(N), x, N * sizeof *x);
    x[70000] = 0.1F;
    smelt_model m[2];
    for (int k = 0; k < 2; k++) {
        model_init(&m[k]);
        add(&m[k], k ? "b" : "a", SMELT_DT_F32, SHAPE(N), x, N * sizeof *x);
        add(&m[k], k ? "a" : "b", SMELT_DT_F32, SHAPE(N), x, N * sizeof *x);
    }
    const result want = hash_model(&m[0], 1);
    assert_string_not_equal(want.tensor, plain.tensor);
    for (int threads = 1; threads <= 4; threads++)
        assert_string_equal(hash_model(&m[1], threads).model, want.model);
    model_free(&m[0]);
    model_free(&m[1]);
    free(x);
}

/* Some files store the embedding a second time as the output matrix, and some leave it out. */
static void a_tied_output_does_not_count(void **state)
{
    (void)state;
    static const float other[] = {1, -2, 0.5F, 0.25F};
    result r[3];
    for (int k = 0; k < 3; k++) {
        smelt_model m;
        model_init(&m);
        add(&m, "token_embd.weight", SMELT_DT_F32, SHAPE(2, 2), as_f32, sizeof as_f32);
        if (k == 1) add(&m, "output.weight", SMELT_DT_BF16, SHAPE(2, 2), as_bf16, sizeof as_bf16);
        if (k == 2) add(&m, "output.weight", SMELT_DT_F32, SHAPE(2, 2), other, sizeof other);
        for (size_t i = 0; i < m.n_tensors; i++) {
            m.tensors[i].role = i ? SMELT_R_OUTPUT : SMELT_R_TOKEN_EMBD;
            m.tensors[i].part = SMELT_PART_WEIGHT;
        }
        r[k] = hash_model(&m, 1);
        model_free(&m);
    }
    assert_string_equal(r[0].model, r[1].model);
    assert_string_not_equal(r[0].model, r[2].model);
}

static void empty_models_have_a_hash(void **state)
{
    (void)state;
    smelt_model m;
    model_init(&m);
    add(&m, "none", SMELT_DT_F32, SHAPE(3, 0), as_f32, 0);
    hash_model(&m, 2);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_the_definition_says),  cmocka_unit_test(hexadecimal_is_the_canonical_order),
        cmocka_unit_test(types_make_no_difference),     cmocka_unit_test(blocks_are_their_values),
        cmocka_unit_test(everything_else_makes_one),    cmocka_unit_test(order_and_threads_make_no_difference),
        cmocka_unit_test(a_tied_output_does_not_count), cmocka_unit_test(empty_models_have_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
