/* Importance matrices: the two formats, which entry is for which tensor, and what is refused. The values are those of llama.cpp's
 * tools/quantize (load_imatrix): sums divided by the matrix's count, ones where the count is zero, and in the older files the
 * values divided by the calls, or as they are where there were none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "quant/imatrix.h"
#include "scratch.h"
#include "tools/compose.h"

typedef struct fixture {
    scratch work;
    smelt_ctx ctx;
    smelt_imatrix im;
    smelt_imatrix_opts opts;
    smelt_err err;
    smelt_arena found; /* what the last match found */
    char warned[2048];
} fixture;

static void remember(void *user, const char *text)
{
    fixture *f = user;
    const size_t n = strlen(f->warned);
    snprintf(f->warned + n, sizeof f->warned - n, "%s\n", text);
}

static int setup(void **state)
{
    static fixture f;
    f = (fixture){0};
    assert_true(scratch_open(&f.work));
    assert_int_equal(ctx_init(&f.ctx, &f.err), SMELT_OK);
    f.ctx.warn = remember;
    f.ctx.user = &f;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    arena_free(&f->found);
    imatrix_free(&f->im);
    scratch_close(&f->work);
    return 0;
}

static void put_entry(smelt_buf *b, const char *name, uint32_t calls, const float *values, uint32_t n)
{
    buf_u32(b, (uint32_t)strlen(name));
    buf_put(b, name, strlen(name));
    buf_u32(b, calls);
    buf_u32(b, n);
    for (uint32_t i = 0; i < n; i++)
        buf_u32(b, f32_bits(values[i]));
}

static smelt_status open_bytes(fixture *f, smelt_buf *b, const char *name)
{
    assert_false(b->failed);
    f->opts.path = scratch_write(&f->work, name, b->data, b->size);
    buf_free(b);
    return imatrix_open(&f->ctx, &f->opts, &f->im, &f->err);
}

/* A GGUF file of float32 tensors, and of nothing else. */
typedef struct gguf_tensor {
    const char *name;
    uint32_t rows, cols;
    float values[8];
} gguf_tensor;

static smelt_status open_gguf(fixture *f, const gguf_tensor *t, size_t n)
{
    smelt_buf b = {0};
    uint64_t at = 0;
    buf_put(&b, "GGUF", 4);
    buf_u32(&b, 3);
    buf_u64(&b, n);
    buf_u64(&b, 0);
    for (size_t i = 0; i < n; i++, at += 32) {
        buf_u64(&b, strlen(t[i].name));
        buf_put(&b, t[i].name, strlen(t[i].name));
        buf_u32(&b, 2);
        buf_u64(&b, t[i].cols);
        buf_u64(&b, t[i].rows);
        buf_u32(&b, 0);
        buf_u64(&b, at);
    }
    for (size_t i = 0; i < n; i++) {
        buf_zeros(&b, (32 - b.size % 32) % 32);
        for (size_t k = 0; k < 8; k++)
            buf_u32(&b, f32_bits(t[i].values[k]));
    }
    return open_bytes(f, &b, "imatrix.gguf");
}

static const gguf_tensor experts[] = {
    {"blk.0.ffn_up_exps.weight.in_sum2", 2, 4, {2, 4, 6, 8, 9, 9, 9, 9}},
    {"blk.0.ffn_up_exps.weight.counts", 2, 1, {2, 0}},
    {"blk.0.attn_q.weight.in_sum2", 1, 4, {1, 2, 3, 4}},
    {"blk.0.attn_q.weight.counts", 1, 1, {4}},
};

static smelt_tensor tensor(const char *name, uint64_t matrices, uint64_t cols)
{
    smelt_tensor t = {.name = name, .layer = -1, .dtype = SMELT_DT_F32, .shape = {3, {matrices, 5, cols}}};
    smelt_role role;
    smelt_part part;
    assert_true(role_parse(name, &role, &part, &t.layer));
    t.role = (int)role;
    t.part = (int)part;
    return t;
}

/* What `n` tensors get that all become Q4_0. */
static smelt_status match(fixture *f, smelt_tensor *t, size_t n, const smelt_importance **found)
{
    static const smelt_choice q4_0 = {.asked = SMELT_DT_Q4_0, .given = SMELT_DT_Q4_0, .why = "mix"};
    smelt_choice choices[4];
    smelt_model out = {.tensors = t, .n_tensors = n};
    for (size_t i = 0; i < n; i++)
        choices[i] = q4_0;
    arena_free(&f->found);
    smelt_status st = imatrix_match(&f->ctx, &f->im, &out, choices, found, &f->err);
    f->found = out.arena;
    return st;
}

static void assert_row(const smelt_importance *im, uint64_t matrix, const float *expected)
{
    float row[4];
    assert_non_null(im);
    assert_int_equal(im->cols, 4);
    importance_row(im, matrix, row);
    assert_memory_equal(row, expected, sizeof row);
}

static void sums_are_divided_by_the_count_of_their_matrix(void **state)
{
    fixture *f = *state;
    const smelt_importance *found[2];
    smelt_tensor t[] = {tensor("blk.0.ffn_up_exps.weight", 2, 4), tensor("blk.0.attn_q.weight", 1, 4)};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_int_equal(f->im.n, 2);
    assert_int_equal(match(f, t, 2, found), SMELT_OK);
    assert_row(found[0], 0, (const float[]){1, 2, 3, 4});
    assert_row(found[0], 1, (const float[]){1, 1, 1, 1});
    assert_row(found[1], 0, (const float[]){0.25f, 0.5f, 0.75f, 1});
    assert_non_null(strstr(f->warned, "1 of the 2 matrices of 'blk.0.ffn_up_exps.weight' (1)"));
}

static void values_of_the_older_files_are_divided_by_the_calls(void **state)
{
    fixture *f = *state;
    smelt_buf b = {0};
    const smelt_importance *found[2];
    smelt_tensor t[] = {tensor("blk.0.attn_q.weight", 1, 4), tensor("blk.0.attn_k.weight", 1, 4)};
    buf_u32(&b, 2);
    put_entry(&b, t[0].name, 4, (const float[]){1, 2, 3, 4}, 4);
    put_entry(&b, t[1].name, 0, (const float[]){1, 2, 3, 4}, 4);
    assert_int_equal(open_bytes(f, &b, "imatrix.dat"), SMELT_OK);
    assert_int_equal(match(f, t, 2, found), SMELT_OK);
    assert_row(found[0], 0, (const float[]){0.25f, 0.5f, 0.75f, 1});
    assert_row(found[1], 0, (const float[]){1, 2, 3, 4});
}

static void older_files_hide_unused_experts_behind_ones(void **state)
{
    fixture *f = *state;
    smelt_buf b = {0};
    const smelt_importance *found[1];
    smelt_tensor t = tensor("blk.0.ffn_up_exps.weight", 2, 4);
    buf_u32(&b, 1);
    put_entry(&b, t.name, 3, (const float[]){3, 3, 3, 3, 3, 6, 9, 3}, 8);
    assert_int_equal(open_bytes(f, &b, "imatrix.dat"), SMELT_OK);
    assert_int_equal(match(f, &t, 1, found), SMELT_OK);
    assert_row(found[0], 1, (const float[]){1, 2, 3, 1});
    assert_non_null(strstr(f->warned, "(0)"));
}

static void keys_tell_the_file_the_text_and_the_numbers(void **state)
{
    fixture *f = *state;
    smelt_buf b = {0};
    buf_u32(&b, 1);
    put_entry(&b, "output.weight", 1, (const float[]){1}, 1);
    buf_u32(&b, 7);
    char text[140];
    memset(text, 'x', sizeof text);
    memcpy(text + 126, "\xC3\xA9", 2); /* é, which the limit of 127 bytes would cut in two */
    buf_u32(&b, sizeof text);
    buf_put(&b, text, sizeof text);
    assert_int_equal(open_bytes(f, &b, "imatrix.dat"), SMELT_OK);
    assert_int_equal(f->im.n_keys, 4);
    assert_string_equal(f->im.keys[0].key, "quantize.imatrix.file");
    assert_string_equal(f->im.keys[1].key, "quantize.imatrix.dataset");
    assert_int_equal(f->im.keys[1].v.s.n, 126);
    assert_string_equal(f->im.keys[2].key, "quantize.imatrix.entries_count");
    assert_int_equal(f->im.keys[2].v.u, 1);
    assert_string_equal(f->im.keys[3].key, "quantize.imatrix.chunks_count");
    assert_int_equal(f->im.keys[3].v.u, 7);
}

static void parts_of_names_say_which_entries_count(void **state)
{
    fixture *f = *state;
    const char *const attn[] = {"attn"}, *const none[] = {"norm"};
    f->opts = (smelt_imatrix_opts){.include = attn, .n_include = 1};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_int_equal(f->im.n, 1);
    assert_string_equal(f->im.entries[0].name, "blk.0.attn_q.weight");
    imatrix_free(&f->im);
    f->opts = (smelt_imatrix_opts){.exclude = attn, .n_exclude = 1};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_string_equal(f->im.entries[0].name, "blk.0.ffn_up_exps.weight");
    imatrix_free(&f->im);
    f->opts = (smelt_imatrix_opts){.include = none, .n_include = 1};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_int_equal(f->im.n, 0); /* as if there were none */
    assert_int_equal(f->im.n_keys, 0);
    assert_non_null(strstr(f->warned, "--include-weights norm"));
    imatrix_free(&f->im);
    f->opts = (smelt_imatrix_opts){.include = none, .n_include = 1, .exclude = attn, .n_exclude = 1};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_E_USAGE);
}

static void a_matrix_for_another_model_is_refused(void **state)
{
    fixture *f = *state;
    const smelt_importance *found[2];
    smelt_tensor wide[] = {tensor("blk.0.ffn_up_exps.weight", 2, 4), tensor("blk.0.attn_q.weight", 1, 8)};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_int_equal(match(f, wide, 2, found), SMELT_E_MISMATCH);
    assert_non_null(strstr(f->err.text, "blk.0.attn_q.weight: 4 values for 1 x 8 columns"));
    assert_null(strstr(f->err.text, "ffn_up"));
    f->err = (smelt_err){0};
    smelt_tensor other = tensor("blk.7.attn_k.weight", 1, 4);
    assert_int_equal(match(f, &other, 1, found), SMELT_E_MISMATCH);
    assert_non_null(strstr(f->err.text, "blk.7.attn_k.weight"));
}

static void tensors_without_an_entry_are_named(void **state)
{
    fixture *f = *state;
    const smelt_importance *found[3];
    smelt_tensor t[] = {tensor("token_embd.weight", 1, 4), tensor("blk.0.attn_q.weight", 1, 4),
                        tensor("blk.0.attn_k.weight", 1, 4)};
    assert_int_equal(open_gguf(f, experts, 4), SMELT_OK);
    assert_int_equal(match(f, t, 3, found), SMELT_OK);
    assert_null(found[0]);
    assert_non_null(found[1]);
    assert_null(found[2]);
    assert_non_null(strstr(f->warned, "no entries for 1 tensors"));
    assert_non_null(strstr(f->warned, "blk.0.attn_k.weight"));
    assert_null(strstr(f->warned, "token_embd")); /* which calibration never looks at */
}

static void values_that_are_no_sums_of_squares_are_refused(void **state)
{
    fixture *f = *state;
    static const float wrong[] = {-1, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        gguf_tensor t[] = {experts[2], experts[3]};
        t[0].values[2] = wrong[i];
        assert_int_equal(open_gguf(f, t, 2), SMELT_E_CORRUPT);
        assert_non_null(strstr(f->err.text, "the value 2 of 'blk.0.attn_q.weight'"));
        imatrix_free(&f->im);
        f->err = (smelt_err){0};
        t[0].values[2] = 1;
        t[1].values[0] = i ? wrong[i] : 1;
        assert_int_equal(open_gguf(f, t, 2), i ? SMELT_E_CORRUPT : SMELT_OK);
        imatrix_free(&f->im);
        f->err = (smelt_err){0};
    }
}

static void sums_and_counts_come_together(void **state)
{
    fixture *f = *state;
    assert_int_equal(open_gguf(f, experts, 1), SMELT_E_CORRUPT);
    assert_non_null(strstr(f->err.text, "has no 'blk.0.ffn_up_exps.weight.counts' beside it"));
    imatrix_free(&f->im);
    f->err = (smelt_err){0};
    assert_int_equal(open_gguf(f, experts + 1, 1), SMELT_E_CORRUPT);
    imatrix_free(&f->im);
    f->err = (smelt_err){0};
    gguf_tensor odd[] = {experts[0], {"blk.0.ffn_up_exps.weight.counts", 3, 1, {1, 1, 1}}};
    assert_int_equal(open_gguf(f, odd, 2), SMELT_E_CORRUPT);
    assert_non_null(strstr(f->err.text, "8 sums, which 3 counts do not divide"));
    imatrix_free(&f->im);
    f->err = (smelt_err){0};
    const gguf_tensor model = {"blk.0.attn_q.weight", 1, 4, {0}};
    assert_int_equal(open_gguf(f, &model, 1), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(f->err.text, "no importance matrix"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sums_are_divided_by_the_count_of_their_matrix),
        TEST(values_of_the_older_files_are_divided_by_the_calls),
        TEST(older_files_hide_unused_experts_behind_ones),
        TEST(keys_tell_the_file_the_text_and_the_numbers),
        TEST(parts_of_names_say_which_entries_count),
        TEST(a_matrix_for_another_model_is_refused),
        TEST(tensors_without_an_entry_are_named),
        TEST(values_that_are_no_sums_of_squares_are_refused),
        TEST(sums_and_counts_come_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
