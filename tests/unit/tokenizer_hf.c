#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tokenizer_hf.h"
#include "formats/tokenizer_write.h"
#include "scratch.h"

#define GPT2 "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
#define BPE(vocab, merges) "\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]}"
#define ADDED(id, text, flags) "{\"id\":" id ",\"content\":\"" text "\"" flags "}"

typedef struct loaded {
    scratch s;
    smelt_model model;
    smelt_ctx ctx;
    smelt_err err;
    char warned[512];
} loaded;

static void warn(void *user, const char *text)
{
    loaded *l = user;
    snprintf(l->warned, sizeof l->warned, "%s", text);
}

/* Reads a directory of the files named in pairs of name and content; NULL ends them. config.json goes to model.config. */
static smelt_status load(loaded *l, const char *const *files)
{
    *l = (loaded){.ctx = {.warn = warn, .user = l}};
    assert_true(scratch_open(&l->s));
    model_init(&l->model);
    for (; *files; files += 2) {
        assert_non_null(scratch_write(&l->s, files[0], files[1], strlen(files[1])));
        if (strcmp(files[0], "config.json") == 0) {
            json_t *config;
            assert_int_equal(smelt_json_parse(files[1], strlen(files[1]), "config.json", &config, &l->err), SMELT_OK);
            l->model.config = config;
        }
    }
    return hf_vocab_read(&l->ctx, l->s.dir, &l->model, &l->err);
}

static void unload(loaded *l)
{
    model_free(&l->model);
    scratch_close(&l->s);
}

static void added_tokens_get_their_type_and_text(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {
        "tokenizer.json",
        "{" GPT2 "\"added_tokens\":[" ADDED("1", "b", ",\"special\":true") "," ADDED("3", "<|x|>", "") "," ADDED(
            "4", "\\u0120y", ",\"normalized\":false") "," ADDED("5", "\\u2581z", "") "]," BPE("\"a\":0,\"b\":1,\"ab\":2",
                                                                                              "[\"a\",\"b\"]") "}",
        "config.json", "{\"vocab_size\":7}", NULL};
    if (load(&l, files) != SMELT_OK) fail_msg("%s", l.err.text);
    const smelt_vocab *v = l.model.vocab;
    static const char *const text[] = {"a", "b", "ab", "<|x|>", " y", " z", "[PAD6]"};
    static const int32_t type[] = {SMELT_TOKEN_NORMAL, SMELT_TOKEN_CONTROL, SMELT_TOKEN_NORMAL, SMELT_TOKEN_CONTROL,
                                   SMELT_TOKEN_USER,   SMELT_TOKEN_USER,    SMELT_TOKEN_UNUSED};
    assert_int_equal(v->n, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_true(str_eq(v->text[i], text[i]));
        assert_int_equal(v->type[i], type[i]);
    }
    assert_int_equal(v->kind, SMELT_VOCAB_BPE);
    assert_string_equal(v->pre, "gpt-2");
    assert_int_equal(v->n_merges, 1);
    assert_true(str_eq(v->merges[0], "a b"));
    unload(&l);
}

static void a_space_in_a_merge_becomes_its_letter(void **state)
{
    (void)state;
    loaded l;
    /* The vocabulary has the letter, the merge the space: as files of transformers 4.45 can have it. */
    const char *const files[] = {"tokenizer.json", "{" GPT2 BPE("\"\\u0120\":0,\"a\":1,\"\\u0120a\":2", "[\" \",\"a\"]") "}", NULL};
    if (load(&l, files) != SMELT_OK) fail_msg("%s", l.err.text);
    assert_true(str_eq(l.model.vocab->merges[0], "\xC4\xA0 a"));
    unload(&l);
}

static void special_tokens_come_from_the_configuration_then_config_json(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {
        "tokenizer.json",
        "{" GPT2 "\"added_tokens\":[" ADDED("2", "<e>", ",\"special\":true") "]," BPE("\"a\":0,\"b\":1", "") "}",
        "tokenizer_config.json",
        "{\"eos_token\":{\"content\":\"<e>\"},\"bos_token\":\"not added\",\"add_eos_token\":true,\"model_max_length\":"
        "1000000000000000019884624838656,\"chat_template\":[{\"name\":\"tool-use\",\"template\":\"T\"},{\"name\":\"default\","
        "\"template\":\"D\"}]}",
        "config.json",
        "{\"vocab_size\":9,\"bos_token_id\":1,\"eos_token_id\":0,\"pad_token_id\":77}",
        NULL};
    if (load(&l, files) != SMELT_OK) fail_msg("%s", l.err.text);
    const smelt_vocab *v = l.model.vocab;
    assert_int_equal(v->special[SMELT_SP_EOS], 2);
    assert_int_equal(v->special[SMELT_SP_BOS], 1);
    assert_int_equal(v->special[SMELT_SP_PAD], -1);
    assert_non_null(strstr(l.warned, "id 77 is outside"));
    assert_int_equal(v->add_special[SMELT_SP_EOS], 1);
    assert_int_equal(v->add_special[SMELT_SP_BOS], -1);
    /* eos was said first, in tokenizer_config.json */
    assert_int_equal(v->facts[0].special, SMELT_SP_EOS);
    assert_int_equal(v->facts[1].special, SMELT_SP_BOS);
    assert_true(str_eq(v->text[3], "not added")); /* as transformers adds a special token that is nowhere */
    assert_int_equal(v->type[3], SMELT_TOKEN_CONTROL);
    assert_int_equal(v->n_templates, 2);
    assert_null(v->templates[0].name);
    assert_true(str_eq(v->templates[0].text, "D"));
    assert_string_equal(v->templates[1].name, "tool_use");
    unload(&l);
}

static void no_tokenizer_is_no_error(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {"config.json", "{\"vocab_size\":9}", NULL};
    assert_int_equal(load(&l, files), SMELT_OK);
    assert_null(l.model.vocab);
    unload(&l);
}

/* "a" "b" "ab" "abab" "aba" "c" and a hole. */
#define RANKS "YQ== 0\nYg== 1\nYWI= 2\nYWJhYg== 3\r\nYWJh 4\n\nYw== 6\n"

static void a_tiktoken_file_gets_its_merges_back(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {"qwen.tiktoken", RANKS, "config.json", "{\"vocab_size\":218}", NULL};
    if (load(&l, files) != SMELT_OK) fail_msg("%s", l.err.text);
    const smelt_vocab *v = l.model.vocab;
    assert_int_equal(v->kind, SMELT_VOCAB_BPE);
    assert_string_equal(v->pre, "qwen2");
    assert_int_equal(v->n, 218);
    assert_true(str_eq(v->text[4], "aba") && v->type[4] == SMELT_TOKEN_NORMAL);
    assert_true(str_eq(v->text[5], "[PAD5]") && v->type[5] == SMELT_TOKEN_UNUSED);
    assert_true(str_eq(v->text[7], "<|endoftext|>") && v->type[7] == SMELT_TOKEN_CONTROL);
    assert_true(str_eq(v->text[214], "<|extra_204|>") && v->type[214] == SMELT_TOKEN_CONTROL);
    assert_true(str_eq(v->text[215], "[PAD215]"));
    static const char *const merges[] = {"a b", "ab ab", "ab a"};
    assert_int_equal(v->n_merges, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(str_eq(v->merges[i], merges[i]));
    static const smelt_special said[] = {SMELT_SP_BOS, SMELT_SP_EOS, SMELT_SP_UNK};
    assert_int_equal(v->n_facts, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(v->facts[i].special, said[i]);
        assert_int_equal(v->special[said[i]], 7);
    }
    unload(&l);
}

static void what_other_files_say_of_a_tiktoken_vocabulary_counts(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {"qwen.tiktoken",
                                 RANKS,
                                 "tokenizer_config.json",
                                 "{\"chat_template\":\"T\"}",
                                 "config.json",
                                 "{\"vocab_size\":218,\"eos_token_id\":9}",
                                 NULL};
    if (load(&l, files) != SMELT_OK) fail_msg("%s", l.err.text);
    const smelt_vocab *v = l.model.vocab;
    assert_int_equal(v->special[SMELT_SP_EOS], 9);
    assert_int_equal(v->special[SMELT_SP_BOS], -1);
    assert_int_equal(v->special[SMELT_SP_UNK], 7);
    assert_int_equal(v->n_facts, 3); /* special tokens before the template */
    assert_int_equal(v->facts[1].special, SMELT_SP_UNK);
    assert_int_equal(v->facts[2].kind, SMELT_FACT_TEMPLATES);
    unload(&l);
}

static void ranks_that_no_merges_mean_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *config, *says;
    } cases[] = {
        {"YQ== 0\nYWI= 1\n", "{}", "rank 1 is not made of two others"},  /* no "b" */
        {"YQ== 0\nYg== 1\nYWJi 2\n", "{}", "rank 2 is not made of two"}, /* three letters are left */
        {"YQ== 0\nYQ== 1\n", "{}", "rank 1 has another rank too"},
        {RANKS, "{\"vocab_size\":214}", "there are 215 tokens, but config.json has vocab_size 214"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        const char *const files[] = {"qwen.tiktoken", cases[i].file, "config.json", cases[i].config, NULL};
        assert_int_equal(load(&l, files), SMELT_E_CORRUPT);
        if (!strstr(l.err.text, cases[i].says)) fail_msg("%s", l.err.text);
        assert_non_null(strstr(l.err.where, "qwen.tiktoken"));
        unload(&l);
    }
}

static void an_override_wins_over_an_unknown_pattern(void **state)
{
    (void)state;
    loaded l;
    const char *const files[] = {
        "tokenizer.json",
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"q+\"},\"behavior\":\"Isolated\"}," BPE("\"a\":0", "") "}",
        NULL};
    assert_int_equal(load(&l, files), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(l.err.text, "split q+"));
    l.err = (smelt_err){0};
    l.ctx.pre_tokenizer = "qwen2";
    assert_int_equal(hf_vocab_read(&l.ctx, l.s.dir, &l.model, &l.err), SMELT_OK);
    assert_string_equal(l.model.vocab->pre, "qwen2");
    l.ctx.pre_tokenizer = "qwen22";
    assert_int_equal(hf_vocab_read(&l.ctx, l.s.dir, &l.model, &l.err), SMELT_E_USAGE);
    unload(&l);
}

static void contradictions_are_errors_that_say_what(void **state)
{
    (void)state;
#define TOK(rest) \
    { \
        "tokenizer.json", "{" GPT2 rest "}", NULL \
    }
    static const struct {
        const char *files[7];
        const char *says;
        smelt_status status;
    } cases[] = {
        {{"tokenizer.json", "[]", NULL}, "not a JSON object", SMELT_E_CORRUPT},
        {{"tokenizer.json", "{", NULL}, "not valid JSON", SMELT_E_CORRUPT},
        {TOK(BPE("", "")), "missing or not an object", SMELT_E_CORRUPT},
        {TOK("\"model\":{\"type\":\"BPE\",\"vocab\":[1],\"merges\":[]}"), "missing or not an object", SMELT_E_CORRUPT},
        {TOK("\"model\":{\"type\":\"Unigram\",\"vocab\":[]}"), "the model is Unigram", SMELT_E_UNSUPPORTED},
        {TOK("\"model\":7"), "supported is BPE", SMELT_E_UNSUPPORTED},
        {TOK(BPE("\"a\":\"0\"", "")), "'a' has no id", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":-1", "")), "'a' has no id", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":4000000000", "")), "one out of range", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"b\":0", "")), "have the same id 0", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"b\":1,\"a\":2", "")), "'a' is there twice", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"b\":2000000000", "")), "there are 2 tokens", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"b\":1", "\"a b\"")), "does not have", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"b\":1,\"ab\":2", "\"a b c\"")), "not two tokens", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0", "\"a\"")), "not two tokens", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0", "[\"a\",\"a\",\"a\"]")), "not a pair", SMELT_E_CORRUPT},
        {TOK(BPE("\"a\":0,\"aa\":1", "\"a a\",[\"a\",\"a\"]")), "not a string as the first", SMELT_E_CORRUPT},
        {TOK("\"added_tokens\":[" ADDED("4000000000", "x", "") "]," BPE("\"a\":0", "")), "the vocabulary gives it 1",
         SMELT_E_CORRUPT},
        {TOK("\"added_tokens\":[" ADDED("1", "a", "") "]," BPE("\"a\":0", "")), "the vocabulary gives it 0", SMELT_E_CORRUPT},
        {TOK("\"added_tokens\":[{\"content\":\"x\"}]," BPE("\"a\":0", "")), "added token 0 has no id", SMELT_E_CORRUPT},
        {TOK("\"added_tokens\":[{\"id\":1}]," BPE("\"a\":0", "")), "has no content", SMELT_E_CORRUPT},
        {{"tokenizer.json", "{" GPT2 BPE("\"a\":0", "") "}", "config.json", "{\"vocab_size\":0}", NULL},
         "vocab_size 0",
         SMELT_E_CORRUPT},
        {{"tokenizer.json", "{" GPT2 BPE("\"a\":0", "") "}", "config.json", "{\"vocab_size\":4000000000}", NULL},
         "only has 1 tokens",
         SMELT_E_CORRUPT},
        {{"tokenizer.json", "{" GPT2 BPE("\"a\":0,\"b\":1", "") "}", "config.json", "{\"vocab_size\":1}", NULL},
         "there are 1 tokens",
         SMELT_E_CORRUPT},
        {{"tokenizer.json", "{" GPT2 BPE("\"a\":0", "") "}", "tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{}}}",
          NULL},
         "'x' has no id",
         SMELT_E_CORRUPT},
        {{"tokenizer.model",
          "\x0a\x05\x0a\x01"
          "a",
          NULL},
         "tokenizer.model",
         SMELT_E_TRUNCATED},
        {{"vocab.json", "{\"a\":0}", NULL}, "--pre NAME", SMELT_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        smelt_status st = load(&l, cases[i].files);
        char all[4096];
        snprintf(all, sizeof all, "%s %s", l.err.where, l.err.text);
        if (st != cases[i].status || !strstr(all, cases[i].says))
            fail_msg("case %zu: status %d, '%s', expected %d and '%s'", i, (int)st, all, (int)cases[i].status, cases[i].says);
        assert_null(l.model.vocab);
        unload(&l);
    }
}

static const char *content(const smelt_side_file *files, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(files[i].name, name) == 0) return (const char *)files[i].data;
    return NULL;
}

static void a_pre_tokenizer_without_steps_is_not_written(void **state)
{
    (void)state;
    smelt_str text[] = {{"a", 1}};
    smelt_vocab v;
    vocab_init(&v);
    v.kind = SMELT_VOCAB_BPE;
    v.pre = "kimi-k2";
    v.n = 1;
    v.text = text;
    smelt_model m;
    model_init(&m);
    m.vocab = &v;
    smelt_ctx ctx = {0};
    smelt_side_file *files;
    size_t n;
    smelt_err err = {0};
    assert_int_equal(hf_vocab_write(&ctx, &m, &m.arena, &files, &n, &err), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "kimi-k2"));
    ctx.pre_tokenizer = "gpt-2";
    assert_int_equal(hf_vocab_write(&ctx, &m, &m.arena, &files, &n, &err), SMELT_OK);
    assert_non_null(content(files, n, "tokenizer.json"));
    text[0] = (smelt_str){"\xff", 1};
    err = (smelt_err){0};
    assert_int_equal(hf_vocab_write(&ctx, &m, &m.arena, &files, &n, &err), SMELT_E_CORRUPT);
    model_free(&m);
}

static void merges_follow_from_scores(void **state)
{
    (void)state;
    smelt_str text[] = {{"<unk>", 5}, {"a", 1}, {"b", 1}, {"ab", 2}, {"abb", 3}, {"<sym>", 5}, {"bb", 2}};
    float score[] = {0, -5, -6, -2, -1, 0, -3};
    int32_t type[] = {SMELT_TOKEN_UNKNOWN, 1, 1, 1, 1, 1, 1};
    smelt_vocab v;
    vocab_init(&v);
    v.kind = SMELT_VOCAB_SPM;
    v.n = 7;
    v.text = text;
    v.score = score;
    v.type = type;
    smelt_model m;
    model_init(&m);
    m.vocab = &v;
    smelt_ctx ctx = {0};
    smelt_side_file *files;
    size_t n;
    smelt_err err = {0};
    assert_int_equal(hf_vocab_write(&ctx, &m, &m.arena, &files, &n, &err), SMELT_OK);
    json_t *j;
    const smelt_side_file *f = NULL;
    for (size_t i = 0; i < n; i++)
        if (strcmp(files[i].name, "tokenizer.json") == 0) f = &files[i];
    assert_non_null(f);
    assert_int_equal(smelt_json_parse((const char *)f->data, f->size, "it", &j, &err), SMELT_OK);
    char *merges = json_dumps(json_object_get(json_object_get(j, "model"), "merges"), JSON_COMPACT);
    assert_string_equal(merges, "[[\"a\",\"bb\"],[\"ab\",\"b\"],[\"a\",\"b\"],[\"b\",\"b\"]]");
    smelt_json_free(merges);
    /* No two pieces make "<sym>": it is matched as it is. */
    const json_t *added = json_object_get(j, "added_tokens");
    assert_int_equal(json_array_size(added), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(added, 1), "content")), "<sym>");
    assert_true(json_is_false(json_object_get(json_array_get(added, 1), "special")));
    json_decref(j);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_tokens_get_their_type_and_text),
        cmocka_unit_test(a_space_in_a_merge_becomes_its_letter),
        cmocka_unit_test(special_tokens_come_from_the_configuration_then_config_json),
        cmocka_unit_test(no_tokenizer_is_no_error),
        cmocka_unit_test(a_tiktoken_file_gets_its_merges_back),
        cmocka_unit_test(what_other_files_say_of_a_tiktoken_vocabulary_counts),
        cmocka_unit_test(ranks_that_no_merges_mean_are_refused),
        cmocka_unit_test(an_override_wins_over_an_unknown_pattern),
        cmocka_unit_test(contradictions_are_errors_that_say_what),
        cmocka_unit_test(a_pre_tokenizer_without_steps_is_not_written),
        cmocka_unit_test(merges_follow_from_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
