/* Hugging Face directories: which files count, and what goes along. Refusals with their messages are in tests/invalid/hf_dir. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "scratch.h"
#include "tools/compose.h"

extern const smelt_format smelt_format_hf_dir;

static scratch work;
static smelt_ctx ctx;
static smelt_buf warnings;
static smelt_model model;
static smelt_err err;

static void remember(void *user, const char *text) { buf_printf(user, "%s\n", text); }

static int setup(void **state)
{
    (void)state;
    warnings = (smelt_buf){0};
    if (ctx_init(&ctx, NULL) != SMELT_OK) return -1;
    ctx.warn = remember;
    ctx.user = &warnings;
    model_init(&model);
    return scratch_open(&work) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&model);
    buf_free(&warnings);
    scratch_close(&work);
    return 0;
}

static const char config[] = "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 8, "
                             "\"intermediate_size\": 16, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
                             "\"num_key_value_heads\": 1, \"vocab_size\": 4, \"tie_word_embeddings\": true}";

static const struct weight {
    const char *name;
    int n, dim[2];
} weights[] = {
    {"model.embed_tokens.weight", 2, {4, 8}},
    {"model.layers.0.input_layernorm.weight", 1, {8}},
    {"model.layers.0.self_attn.q_proj.weight", 2, {8, 8}},
    {"model.layers.0.self_attn.k_proj.weight", 2, {4, 8}},
    {"model.layers.0.self_attn.v_proj.weight", 2, {4, 8}},
    {"model.layers.0.self_attn.o_proj.weight", 2, {8, 8}},
    {"model.layers.0.post_attention_layernorm.weight", 1, {8}},
    {"model.layers.0.mlp.gate_proj.weight", 2, {16, 8}},
    {"model.layers.0.mlp.up_proj.weight", 2, {16, 8}},
    {"model.layers.0.mlp.down_proj.weight", 2, {8, 16}},
    {"model.norm.weight", 1, {8}},
};
enum { N_WEIGHTS = sizeof weights / sizeof *weights };

static void put(const char *name, const char *text) { assert_non_null(scratch_write(&work, name, text, strlen(text))); }

/* A safetensors file of the weights [from, to), every element being the byte `fill`. */
static void put_weights(const char *name, size_t from, size_t to, uint8_t fill)
{
    smelt_buf head = {0}, file = {0};
    size_t at = 0;
    for (size_t i = from; i < to; i++) {
        const struct weight *w = &weights[i];
        const size_t bytes = 2U * (size_t)w->dim[0] * (w->n == 2 ? (size_t)w->dim[1] : 1);
        buf_printf(&head, "%c\"%s\":{\"dtype\":\"F16\",\"shape\":[%d", i > from ? ',' : '{', w->name, w->dim[0]);
        if (w->n == 2) buf_printf(&head, ",%d", w->dim[1]);
        buf_printf(&head, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    buf_u8(&head, '}');
    buf_u64(&file, head.size);
    buf_put(&file, head.data, head.size);
    for (size_t i = 0; i < at; i++)
        buf_u8(&file, fill);
    assert_false(file.failed);
    assert_non_null(scratch_write(&work, name, file.data, file.size));
    buf_free(&head);
    buf_free(&file);
}

static void put_index(const char *name, const char *first, size_t cut, const char *second)
{
    smelt_buf b = {0};
    for (size_t i = 0; i < N_WEIGHTS; i++)
        buf_printf(&b, "%s\"%s\": \"%s\"", i ? ", " : "{\"metadata\": {}, \"weight_map\": {", weights[i].name,
                   i < cut ? first : second);
    buf_printf(&b, "}}");
    buf_u8(&b, 0);
    put(name, (const char *)b.data);
    buf_free(&b);
}

static smelt_status read_dir_at(const char *dir)
{
    model_free(&model);
    model_init(&model);
    err = (smelt_err){0};
    return smelt_format_hf_dir.read(&ctx, dir, &model, &err);
}

static void must_read(const char *dir)
{
    if (read_dir_at(dir) != SMELT_OK) fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(model.n_tensors, N_WEIGHTS);
    assert_non_null(model.arch);
    assert_string_equal(model.arch->name, "llama");
}

static uint8_t first_byte(const char *name)
{
    const smelt_tensor *t = model_find(&model, name);
    uint8_t row[64];
    assert_non_null(t);
    view_read(t->view, 0, 0, view_cols(t->view), row);
    return row[0];
}

#define ST1 "model-00001-of-00002.safetensors"
#define ST2 "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static void one_file_and_its_configuration_are_a_model(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    must_read(work.dir);
    assert_int_equal(first_byte("token_embd.weight"), 7);
    assert_int_equal(hp_u64(&model.hp, SMELT_HP_HEAD_DIM), 4);
    assert_null(warnings.data);
}

static void shards_of_an_index_are_one_model(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights(ST1, 0, 5, 1);
    put_weights(ST2, 5, N_WEIGHTS, 2);
    put_index(INDEX, ST1, 5, ST2);
    must_read(work.dir);
    assert_int_equal(first_byte("token_embd.weight"), 1);
    assert_int_equal(first_byte("output_norm.weight"), 2);
}

static void shards_without_an_index_are_one_model_if_all_are_there(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights(ST1, 0, 5, 1);
    put_weights(ST2, 5, N_WEIGHTS, 2);
    must_read(work.dir);
    assert_int_equal(unlink(scratch_path(&work, ST2)), 0);
    assert_int_equal(read_dir_at(work.dir), SMELT_E_MISMATCH);
}

static void an_index_wins_over_a_whole_file_that_it_does_not_name(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights(ST1, 0, 5, 1);
    put_weights(ST2, 5, N_WEIGHTS, 1);
    put_weights("model.safetensors", 0, N_WEIGHTS, 9);
    put_index(INDEX, ST1, 5, ST2);
    must_read(work.dir);
    assert_int_equal(first_byte("token_embd.weight"), 1);
    assert_non_null(strstr((const char *)warnings.data, "model.safetensors is left alone: the index lists other files"));
}

static void an_index_may_name_a_whole_file(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights("model.safetensors", 0, N_WEIGHTS, 9);
    put_index(INDEX, "model.safetensors", 5, "model.safetensors");
    must_read(work.dir);
    assert_null(warnings.data);
}

static void a_whole_file_of_one_layer_does_not_hide_a_missing_shard(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights(ST1, 0, 5, 1);
    put_weights("model.safetensors", 5, N_WEIGHTS, 2);
    put_index(INDEX, ST1, 5, ST2);
    assert_int_equal(read_dir_at(work.dir), SMELT_E_MISMATCH);
    assert_non_null(strstr(err.text, ST2));
    /* Nor without an index: what the file lacks is listed. */
    assert_int_equal(unlink(scratch_path(&work, INDEX)), 0);
    assert_int_equal(unlink(scratch_path(&work, ST1)), 0);
    assert_int_equal(read_dir_at(work.dir), SMELT_E_MISMATCH);
    assert_non_null(strstr(err.text, "missing: model.embed_tokens.weight"));
}

static void safetensors_win_over_pytorch_files(void **state)
{
    (void)state;
    put("config.json", config);
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    put("pytorch_model.bin", "not even a zip");
    put("pytorch_model.bin.index.json", "{");
    put("pytorch_model-00001-of-00002.bin", "nothing");
    must_read(work.dir);
    /* And the .bin is what is read where there is nothing else. */
    assert_int_equal(unlink(scratch_path(&work, "model.safetensors")), 0);
    assert_int_equal(read_dir_at(work.dir), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.where, "pytorch_model.bin.index.json"));
}

static void without_a_configuration_the_tensors_are_there_under_their_own_names(void **state)
{
    (void)state;
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    assert_int_equal(read_dir_at(work.dir), SMELT_OK);
    assert_null(model.arch);
    assert_non_null(model_find(&model, "model.norm.weight"));
}

static void an_unknown_family_is_read_but_not_mapped(void **state)
{
    (void)state;
    put("config.json", "{\"architectures\": [\"UnheardOfModel\"], \"model_type\": \"unheard\"}");
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    assert_int_equal(read_dir_at(work.dir), SMELT_OK);
    assert_null(model.arch);
    assert_non_null(strstr(model.unmapped, "UnheardOfModel"));
}

static void a_broken_tokenizer_is_told_later(void **state)
{
    (void)state;
    put("config.json", config);
    put("tokenizer.json", "{\"model\": ");
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    must_read(work.dir);
    assert_null(model.vocab);
    assert_non_null(model.vocab_err);
    assert_int_equal(model.vocab_err->code, SMELT_E_CORRUPT);
}

static void small_files_go_along(void **state)
{
    (void)state;
    put("config.json", config);
    put("README.md", "---\nlicense: mit\n---\n");
    put("generation_config.json", "{}");
    put("chat_template.jinja", "{{ x }}");
    put("unknown.txt", "no");
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    must_read(work.dir);
    const smelt_side_file *f = model_side_find(&model, "README.md");
    assert_non_null(f);
    assert_int_equal(f->size, 21);
    assert_non_null(model_side_find(&model, "generation_config.json"));
    assert_non_null(model_side_find(&model, "chat_template.jinja"));
    assert_null(model_side_find(&model, "unknown.txt"));
    assert_null(model_side_find(&model, "config.json")); /* made anew */
}

static void links_inside_and_into_a_hubs_blobs_are_followed(void **state)
{
    (void)state;
    static const char *const folders[] = {"hub", "hub/blobs", "hub/snapshots", "hub/snapshots/rev"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mkdir(scratch_path(&work, folders[i]), 0700), 0);
    put("hub/blobs/c0ffee", config);
    put_weights("hub/blobs/beef", 0, N_WEIGHTS, 7);
    assert_int_equal(symlink("../../blobs/c0ffee", scratch_path(&work, "hub/snapshots/rev/config.json")), 0);
    assert_int_equal(symlink("../../blobs/beef", scratch_path(&work, "hub/snapshots/rev/weights")), 0);
    assert_int_equal(symlink("weights", scratch_path(&work, "hub/snapshots/rev/model.safetensors")), 0);
    must_read(scratch_path(&work, "hub/snapshots/rev"));
}

/* One case for each file that is opened by its name. */
static void links_that_lead_out_are_refused_for_every_file(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors",      "tokenizer.json", "tokenizer_config.json",
                                        "README.md",   "generation_config.json", "LICENSE",        "chat_template.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char moved[64];
        assert_int_equal(mkdir(scratch_path(&work, "model"), 0700), 0);
        put("model/config.json", config);
        put_weights("model/model.safetensors", 0, N_WEIGHTS, 7);
        snprintf(moved, sizeof moved, "model/%s", names[i]);
        unlink(scratch_path(&work, moved));
        if (i == 1)
            put_weights("outside", 0, N_WEIGHTS, 7);
        else
            put("outside", i == 0 ? config : "{}");
        assert_int_equal(symlink("../outside", scratch_path(&work, moved)), 0);
        assert_int_equal(read_dir_at(scratch_path(&work, "model")), SMELT_E_FORBIDDEN);
        assert_non_null(strstr(err.text, names[i]));
        model_free(&model);
        model_init(&model);
        scratch_close(&work);
        assert_int_equal(mkdir(work.dir, 0700), 0);
    }
}

/* The tokenizer is read through a path of its own, and its trouble is kept for whoever needs the vocabulary. */
static void a_tokenizer_that_lies_outside_is_not_read(void **state)
{
    (void)state;
    smelt_err before;
    assert_int_equal(mkdir(scratch_path(&work, "model"), 0700), 0);
    put("model/config.json", config);
    put_weights("model/model.safetensors", 0, N_WEIGHTS, 7);
    put("outside", "secret");
    assert_int_equal(symlink("../outside", scratch_path(&work, "model/vocab.json")), 0);
    assert_int_equal(read_dir_at(scratch_path(&work, "model")), SMELT_E_FORBIDDEN);
    before = err;
    assert_null(strstr(before.text, "secret"));
    if (model.vocab_err) assert_null(strstr(model.vocab_err->text, "secret"));
}

static void a_configuration_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    put_weights("model.safetensors", 0, N_WEIGHTS, 7);
    for (size_t n = 0; n < sizeof config - 1; n++) {
        unlink(scratch_path(&work, "config.json"));
        assert_non_null(scratch_write(&work, "config.json", config, n));
        assert_int_equal(read_dir_at(work.dir), SMELT_E_CORRUPT);
        assert_non_null(strstr(err.where, "config.json"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_file_and_its_configuration_are_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(shards_of_an_index_are_one_model, setup, teardown),
        cmocka_unit_test_setup_teardown(shards_without_an_index_are_one_model_if_all_are_there, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_wins_over_a_whole_file_that_it_does_not_name, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_may_name_a_whole_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_whole_file_of_one_layer_does_not_hide_a_missing_shard, setup, teardown),
        cmocka_unit_test_setup_teardown(safetensors_win_over_pytorch_files, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_configuration_the_tensors_are_there_under_their_own_names, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_family_is_read_but_not_mapped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_tokenizer_is_told_later, setup, teardown),
        cmocka_unit_test_setup_teardown(small_files_go_along, setup, teardown),
        cmocka_unit_test_setup_teardown(links_inside_and_into_a_hubs_blobs_are_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(links_that_lead_out_are_refused_for_every_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tokenizer_that_lies_outside_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_configuration_cut_at_any_byte_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
