/* Which tensor gets which type. The expected choices are llama.cpp's: llama-quant.cpp for the mixes, its converter's
 * prepare_tensors for convert. tests/conformance/test_recipe.py has whole models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "quant/codecs.h"
#include "quant/recipe.h"

/* A model of one layer; a test changes what it is about. */
enum { EMBD, NORM, Q, K, V, DOWN, BIAS, OUTPUT, COUNT };

typedef struct fixture {
    smelt_model model;
    smelt_tensor tensor[COUNT];
    smelt_choice choice[COUNT];
    smelt_recipe_opts opts;
    smelt_ctx ctx;
    smelt_err err;
    int file_type;
} fixture;

static smelt_tensor matrix(const char *name, uint64_t rows, uint64_t cols)
{
    smelt_tensor t = {.name = name, .layer = -1, .dtype = SMELT_DT_BF16, .shape = {2, {rows, cols}}};
    smelt_role role;
    smelt_part part;
    assert_true(role_parse(name, &role, &part, &t.layer));
    t.role = (int)role;
    t.part = (int)part;
    return t;
}

static smelt_tensor vector(const char *name, uint64_t n)
{
    smelt_tensor t = matrix(name, n, 1);
    t.shape.n = 1;
    return t;
}

static void setup(fixture *f, const char *mix)
{
    *f = (fixture){.opts = {.mix = mix, .output_type = SMELT_DT_COUNT, .embedding_type = SMELT_DT_COUNT}};
    f->tensor[EMBD] = matrix("token_embd.weight", 1000, 512);
    f->tensor[NORM] = vector("blk.0.attn_norm.weight", 512);
    f->tensor[Q] = matrix("blk.0.attn_q.weight", 512, 512);
    f->tensor[K] = matrix("blk.0.attn_k.weight", 512, 512);
    f->tensor[V] = matrix("blk.0.attn_v.weight", 512, 512);
    f->tensor[DOWN] = matrix("blk.0.ffn_down.weight", 512, 1024);
    f->tensor[BIAS] = vector("blk.0.attn_q.bias", 512);
    f->tensor[OUTPUT] = matrix("output.weight", 1000, 512);
    f->model.tensors = f->tensor;
    f->model.n_tensors = COUNT;
    codecs_select(SMELT_CPU_BASELINE, f->ctx.codec);
}

static smelt_status quantize(fixture *f)
{
    return recipe_quantize(&f->ctx, &f->model, &f->opts, f->choice, &f->file_type, &f->err);
}

static bool any(smelt_dtype dtype)
{
    (void)dtype;
    return true;
}
static bool no_blocks(smelt_dtype dtype) { return smelt_dtype_get(dtype)->kind != SMELT_KIND_BLOCK; }
static const smelt_format gguf_like = {.can_store = any}, checkpoint_like = {.can_store = no_blocks};

static smelt_status convert(fixture *f, const smelt_format *target, const char *type)
{
    return recipe_convert(&f->ctx, target, &f->model, type, f->choice, &f->file_type, &f->err);
}

#define GIVEN(f, index, id) \
    assert_string_equal(smelt_dtype_get((f).choice[index].given)->name, smelt_dtype_get(SMELT_DT_##id)->name)

static void matrices_get_the_mix_and_the_output_more(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "q4_0");
    assert_int_equal(quantize(&f), SMELT_OK);
    assert_int_equal(f.file_type, 2);
    GIVEN(f, Q, Q4_0);
    GIVEN(f, EMBD, Q4_0);
    GIVEN(f, OUTPUT, Q6_K);
    GIVEN(f, NORM, F32);
    GIVEN(f, BIAS, F32);
}

static void a_tied_embedding_is_the_output(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    f.model.n_tensors = OUTPUT;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, EMBD, Q6_K);
}

static void numbers_of_the_file_types_are_those_of_llama_cpp(void **state)
{
    (void)state;
    static const struct {
        const char *mix;
        int number;
    } known[] = {{"F32", 0},  {"F16", 1},   {"Q4_0", 2},    {"Q4_1", 3},    {"Q8_0", 7},  {"Q5_0", 8},
                 {"Q5_1", 9}, {"Q2_K", 10}, {"Q4_K_M", 15}, {"Q5_K_M", 17}, {"Q6_K", 18}, {"BF16", 32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        fixture f;
        setup(&f, known[i].mix);
        assert_int_equal(quantize(&f), SMELT_OK);
        assert_int_equal(f.file_type, known[i].number);
    }
}

static void rows_that_no_block_divides_fall_back(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    f.tensor[OUTPUT].shape.dim[1] = f.tensor[EMBD].shape.dim[1] = 576; /* 32 divides it, 256 does not */
    f.tensor[V].shape.dim[1] = 500;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, OUTPUT, Q8_0);
    assert_int_equal(f.choice[OUTPUT].asked, SMELT_DT_Q6_K);
    assert_string_equal(f.choice[OUTPUT].why, "row size");
    GIVEN(f, EMBD, Q4_0);
    GIVEN(f, V, F16);
    f.tensor[OUTPUT].shape.dim[1] = 500;
    f.opts.mix = "Q4_K_M";
    f.tensor[V].shape.dim[1] = 96;
    f.tensor[Q].shape.dim[1] = 96;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, V, Q8_0); /* from Q6_K */
    GIVEN(f, Q, Q5_0); /* from Q4_K */
    GIVEN(f, OUTPUT, F16);
}

static void a_mix_of_a_plain_type_has_no_exceptions(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "F16");
    const smelt_override all = {".", SMELT_DT_Q8_0};
    f.opts.overrides = &all;
    f.opts.n_overrides = 1;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, OUTPUT, F16);
    GIVEN(f, Q, F16);
    GIVEN(f, NORM, F32);
}

static void the_first_pattern_that_matches_decides(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    const smelt_override overrides[] = {{"ATTN_[qv]", SMELT_DT_Q5_1}, {"attn_v", SMELT_DT_Q8_0}, {"^output", SMELT_DT_Q8_0}};
    f.opts.overrides = overrides;
    f.opts.n_overrides = 3;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, V, Q5_1);
    GIVEN(f, K, Q4_0);
    GIVEN(f, OUTPUT, Q8_0);
    GIVEN(f, BIAS, F32); /* patterns choose among what is quantised at all */
    assert_string_equal(f.choice[V].why, "--tensor-type");
}

static void a_pattern_that_is_none_is_a_usage_error(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    const smelt_override broken = {"attn_(q", SMELT_DT_Q8_0};
    f.opts.overrides = &broken;
    f.opts.n_overrides = 1;
    assert_int_equal(quantize(&f), SMELT_E_USAGE);
    assert_non_null(strstr(f.err.text, "attn_(q"));
    setup(&f, "Q4_0");
    const smelt_override endless = {"^(.+)+(.+)+[!?]", SMELT_DT_Q8_0};
    f.opts.overrides = &endless;
    f.opts.n_overrides = 1;
    assert_int_equal(quantize(&f), SMELT_E_USAGE);
}

static void options_for_output_and_embedding(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    f.opts.output_type = SMELT_DT_Q5_1;
    f.opts.embedding_type = SMELT_DT_F16;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, OUTPUT, Q5_1);
    GIVEN(f, EMBD, F16);
    f.opts.embedding_type = SMELT_DT_COUNT;
    f.model.n_tensors = OUTPUT; /* tied: the embedding is the output */
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, EMBD, Q5_1);
    setup(&f, "Q4_0");
    f.opts.leave_output = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, OUTPUT, BF16);
    setup(&f, "Q4_0");
    f.opts.pure = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, OUTPUT, Q4_0);
}

static void quantised_sources_are_refused_unless_asked_for(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    f.tensor[V].dtype = SMELT_DT_Q4_0; /* has the type already: copied */
    assert_int_equal(quantize(&f), SMELT_OK);
    f.tensor[K].dtype = SMELT_DT_Q8_0;
    assert_int_equal(quantize(&f), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(f.err.text, "blk.0.attn_k.weight"));
    assert_non_null(strstr(f.err.text, "--allow-requantize"));
    f.opts.allow_requantize = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, K, Q4_0);
}

static void an_unknown_mix_names_the_nearest(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "q4-0");
    assert_int_equal(quantize(&f), SMELT_E_USAGE);
    assert_non_null(strstr(f.err.text, "did you mean Q4_0?"));
    setup(&f, "Q4_K");
    assert_int_equal(quantize(&f), SMELT_OK); /* a short name of Q4_K_M */
    assert_int_equal(f.file_type, 15);
}

static void what_a_gguf_file_chose_is_kept(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q8_0");
    f.tensor[NORM].dtype = SMELT_DT_F16;
    f.model.meta_complete = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, NORM, F16);
    assert_int_equal(convert(&f, &gguf_like, "auto"), SMELT_OK);
    assert_int_equal(f.file_type, -1);
    GIVEN(f, NORM, F16);
    GIVEN(f, Q, BF16);
}

static void auto_is_the_type_of_the_first_matrix_of_16_bits(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "");
    f.tensor[EMBD].dtype = SMELT_DT_F32;
    f.tensor[NORM].dtype = SMELT_DT_F16; /* a vector says nothing */
    assert_int_equal(convert(&f, &gguf_like, "auto"), SMELT_OK);
    assert_int_equal(f.file_type, 32);
    GIVEN(f, EMBD, BF16);
    GIVEN(f, NORM, F32);
    GIVEN(f, BIAS, F32);
    for (int i = 0; i < COUNT; i++)
        f.tensor[i].dtype = SMELT_DT_F32;
    assert_int_equal(convert(&f, &gguf_like, "auto"), SMELT_OK);
    assert_int_equal(f.file_type, 1);
    GIVEN(f, EMBD, F16);
}

static void converting_to_q8_0_falls_back_to_f16(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "");
    f.tensor[V].shape.dim[1] = 500;
    assert_int_equal(convert(&f, &gguf_like, "Q8_0"), SMELT_OK);
    assert_int_equal(f.file_type, 7);
    GIVEN(f, Q, Q8_0);
    GIVEN(f, OUTPUT, Q8_0);
    GIVEN(f, V, F16);
    assert_int_equal(convert(&f, &gguf_like, "q4_0"), SMELT_E_USAGE);
}

static void checkpoints_keep_their_types(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "");
    f.tensor[NORM].dtype = SMELT_DT_F32;
    f.tensor[BIAS].dtype = SMELT_DT_I64;
    assert_int_equal(convert(&f, &checkpoint_like, "auto"), SMELT_OK);
    GIVEN(f, NORM, F32);
    GIVEN(f, BIAS, I64);
    GIVEN(f, Q, BF16);
    assert_int_equal(convert(&f, &checkpoint_like, "f16"), SMELT_OK);
    GIVEN(f, NORM, F16);
    GIVEN(f, BIAS, I64);
}

static void vectors_of_a_gguf_file_return_to_16_bits_where_that_is_exact(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "");
    static float exact[512], inexact[512];
    for (int i = 0; i < 512; i++)
        exact[i] = inexact[i] = 1.5f;
    inexact[300] = 1.00001f;
    smelt_arena arena = {0};
    const float *data[] = {exact, inexact};
    const int at[] = {NORM, BIAS};
    for (int i = 0; i < 2; i++) {
        f.tensor[at[i]].dtype = SMELT_DT_F32;
        assert_int_equal(
            view_bytes(&arena, SMELT_DT_F32, &f.tensor[at[i]].shape, data[i], sizeof exact, &f.tensor[at[i]].view, NULL), SMELT_OK);
    }
    f.tensor[V].dtype = SMELT_DT_Q8_0;
    f.model.meta_complete = true;
    assert_int_equal(convert(&f, &checkpoint_like, "auto"), SMELT_OK);
    GIVEN(f, NORM, BF16);
    GIVEN(f, BIAS, F32);
    GIVEN(f, V, BF16);
    arena_free(&arena);
}

static void names_of_no_known_role_are_left_alone(void **state)
{
    (void)state;
    fixture f;
    setup(&f, "Q4_0");
    f.tensor[V].name = "blk.0.something.strange";
    f.tensor[V].role = f.tensor[V].part = 0;
    f.model.meta_complete = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, V, BF16);
    f.tensor[V].dtype = SMELT_DT_F8_E4M3; /* GGUF has no such type */
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, V, F32);
}

static void a_recipe_comes_after_the_mix(void **state)
{
    (void)state;
    static const char text[] = "# comment\r\n"
                               "\tATTN_V  more  q8_0\n"
                               "\n"
                               "attn_k gqa4 q8_0\n"
                               "attn_k q5_0\n"
                               "/^blk.*down/ always all q5_1 # the last word is the type\n"
                               "output f16";
    fixture f;
    smelt_arena arena = {0};
    char words[64];
    setup(&f, "Q4_0");
    assert_int_equal(recipe_parse(&arena, text, sizeof text - 1, &f.opts.rules, &f.err), SMELT_OK);
    assert_int_equal(f.opts.rules.n, 5);
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, Q, Q4_0);
    GIVEN(f, V, Q8_0);
    GIVEN(f, K, Q5_0);
    GIVEN(f, DOWN, Q5_1);
    GIVEN(f, OUTPUT, F16);
    GIVEN(f, NORM, F32);
    assert_null(f.choice[Q].rule);
    assert_string_equal(f.choice[DOWN].why, "--recipe");
    assert_string_equal(recipe_rule_text(f.choice[DOWN].rule, words, sizeof words), "line 6: /^blk.*down/ always all");
    f.opts.pure = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, EMBD, Q4_0);
    GIVEN(f, V, Q8_0);
    f.opts.mix = "F16"; /* which has no rules of its own */
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, Q, F16);
    GIVEN(f, V, Q8_0);
    arena_free(&arena);
}

static void a_line_that_is_no_rule_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } wrong[] = {{"attn_v", "line 1: 'attn_v' alone"},
                 {"\n\nattn q4_0", "line 3: 'attn' is no class"},
                 {"attn_v where q4_0", "'where' says no layers"},
                 {"attn_v all more q4_0", "'more' says no layers"},
                 {"attn_v all", "'all' is no type"},
                 {"attn_v f8_e4m3", "'f8_e4m3' is no type"},
                 {"// q4_0", "'//' is no class"},
                 {"a b c d e", "more words"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        smelt_arena arena = {0};
        smelt_rules rules = {0};
        smelt_err err = {0};
        assert_int_equal(recipe_parse(&arena, wrong[i].text, strlen(wrong[i].text), &rules, &err), SMELT_E_USAGE);
        assert_non_null(strstr(err.text, wrong[i].said));
        arena_free(&arena);
    }
}

static void some_rules_ask_for_an_importance_matrix(void **state)
{
    (void)state;
    fixture f;
    char words[64];
    setup(&f, "IQ4_XS");
    f.model.hp.set[SMELT_HP_LAYERS] = true;
    f.model.hp.v[SMELT_HP_LAYERS] = 8;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, DOWN, Q5_K);
    assert_string_equal(recipe_rule_text(f.choice[DOWN].rule, words, sizeof words), "ffn_down eighth no_imatrix");
    f.opts.imatrix = true;
    assert_int_equal(quantize(&f), SMELT_OK);
    GIVEN(f, DOWN, IQ4_XS);
    assert_null(f.choice[DOWN].rule);
}

static void types_that_are_useless_without_importances_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *mix;
        bool refused;
    } mixes[] = {{"IQ2_XXS", true}, {"IQ1_M", true}, {"Q2_K_S", true}, {"Q2_K", false}, {"IQ3_S", false}, {"Q4_0", false}};
    const smelt_importance some = {0}, *importance[COUNT] = {0}, *all[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        all[i] = &some;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        fixture f;
        setup(&f, mixes[i].mix);
        assert_int_equal(quantize(&f), SMELT_OK);
        assert_int_equal(recipe_check_importance(&f.ctx, &f.model, &f.opts, f.choice, all, &f.err), SMELT_OK);
        assert_int_equal(recipe_check_importance(&f.ctx, &f.model, &f.opts, f.choice, importance, &f.err),
                         mixes[i].refused ? SMELT_E_UNSUPPORTED : SMELT_OK);
        assert_int_equal(strstr(f.err.text, "blk.0.attn_q.weight") != NULL, mixes[i].refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_get_the_mix_and_the_output_more),
        cmocka_unit_test(a_tied_embedding_is_the_output),
        cmocka_unit_test(numbers_of_the_file_types_are_those_of_llama_cpp),
        cmocka_unit_test(rows_that_no_block_divides_fall_back),
        cmocka_unit_test(a_mix_of_a_plain_type_has_no_exceptions),
        cmocka_unit_test(the_first_pattern_that_matches_decides),
        cmocka_unit_test(a_pattern_that_is_none_is_a_usage_error),
        cmocka_unit_test(options_for_output_and_embedding),
        cmocka_unit_test(quantised_sources_are_refused_unless_asked_for),
        cmocka_unit_test(an_unknown_mix_names_the_nearest),
        cmocka_unit_test(what_a_gguf_file_chose_is_kept),
        cmocka_unit_test(auto_is_the_type_of_the_first_matrix_of_16_bits),
        cmocka_unit_test(converting_to_q8_0_falls_back_to_f16),
        cmocka_unit_test(checkpoints_keep_their_types),
        cmocka_unit_test(vectors_of_a_gguf_file_return_to_16_bits_where_that_is_exact),
        cmocka_unit_test(names_of_no_known_role_are_left_alone),
        cmocka_unit_test(a_recipe_comes_after_the_mix),
        cmocka_unit_test(a_line_that_is_no_rule_is_named),
        cmocka_unit_test(some_rules_ask_for_an_importance_matrix),
        cmocka_unit_test(types_that_are_useless_without_importances_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
