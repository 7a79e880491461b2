/* Recorded logits: files of the safetensors package read as references, and files of ours beside the logits they are of. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "ir/format.h"
#include "scratch.h"
#include "tools/compose.h"
#include "verify/record.h"
#include "verify/recorded.h"

static smelt_ctx ctx;
static scratch work;

static smelt_reference *open_record(const char *path, size_t chunks, smelt_model *m)
{
    smelt_reference *r;
    assert_int_equal(source_open(&ctx, path, m, NULL), SMELT_OK);
    assert_true(recorded_is(m));
    assert_int_equal(recorded_open(m, chunks, &r, NULL), SMELT_OK);
    return r;
}

/* Two chunks of four tokens; every row has the probabilities 1/2, 1/4, 1/8 and 1/8. tests/fuzz/seeds.py wrote them. */
static void files_of_the_safetensors_package(void **state)
{
    (void)state;
    static const int32_t ids[2][4] = {{3, 0, 1, 2}, {0, 0, 0, 0}};
    for (int top = 0; top < 2; top++) {
        smelt_model m;
        reference_chunk chunk[5];
        reference_row row;
        size_t n;
        smelt_reference *r = open_record(
            top ? SMELT_SOURCE_DIR "/tests/fuzz/corpus/recorded/top" : SMELT_SOURCE_DIR "/tests/fuzz/corpus/recorded/all", 0, &m);
        assert_int_equal(r->vocab, 4);
        assert_int_equal(r->context, 4);
        assert_int_equal(r->chunks, 2);
        assert_int_equal(r->ops->next(r, 1, chunk, &n, NULL), SMELT_OK);
        assert_int_equal(n, 1);
        assert_memory_equal(chunk[0].ids, ids[0], sizeof ids[0]);
        assert_int_equal(chunk[0].n, 4);
        assert_int_equal(chunk[0].first, top ? 1 : 2); /* as its metadata say, and half of the tokens */
        r->ops->row(r, 0, 2, &row);
        if (top) {
            assert_null(row.logits);
            assert_int_equal(row.k, 2);
            assert_int_equal(row.top_ids[0], 0);
            assert_int_equal(row.top_ids[1], 1);
            assert_float_equal(row.top[0], log(4), 1e-6);
            assert_float_equal(row.top[1], log(2), 1e-6);
            assert_float_equal(row.log_sum_exp, log(8), 1e-12);
            assert_float_equal(row.mass, 0.75, 0);
            assert_float_equal(row.target, 0, 0); /* of token 2 */
        } else {
            assert_float_equal(row.logits[1], log(2), 1e-6);
            assert_float_equal(row.logits[3], 0, 0);
        }
        assert_int_equal(r->ops->next(r, 5, chunk, &n, NULL), SMELT_OK);
        assert_int_equal(n, 1);
        assert_memory_equal(chunk[0].ids, ids[1], sizeof ids[1]);
        r->ops->row(r, 0, 2, &row);
        if (top) assert_float_equal(row.target, log(4), 1e-6); /* of token 0 */
        assert_int_equal(r->ops->next(r, 5, chunk, &n, NULL), SMELT_OK);
        assert_int_equal(n, 0);
        reference_close(r);
        r = NULL;
        assert_int_equal(recorded_open(&m, 1, &r, NULL), SMELT_OK);
        assert_int_equal(r->chunks, 1);
        reference_close(r);
        model_free(&m);
    }
}

enum { CONTEXT = 6, CHUNKS = 3, COLUMNS = 64, TOP = 7, BOS = 1 };

/* A model's logits for all chunks. */
typedef struct all_logits {
    float x[CHUNKS][CONTEXT][COLUMNS];
} all_logits;

static smelt_status keep(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)err;
    all_logits *all = user;
    memcpy(all->x[seq][first], logits, n * COLUMNS * sizeof(float));
    return SMELT_OK;
}

typedef struct tiny {
    smelt_model model;
    smelt_engine *engine;
    int32_t ids[CHUNKS * CONTEXT + 2], as_read[CHUNKS * CONTEXT]; /* as_read: each chunk begins with BOS */
} tiny;

static void tiny_open(tiny *t)
{
    assert_int_equal(source_open(&ctx, SMELT_SOURCE_DIR "/tests/data/families/llama", &t->model, NULL), SMELT_OK);
    assert_int_equal(engine_open(&ctx, &t->model, NULL, &t->engine, NULL), SMELT_OK);
    assert_int_equal(engine_vocab(t->engine), COLUMNS);
    for (int i = 0; i < CHUNKS * CONTEXT + 2; i++)
        t->ids[i] = (i * 37 + 11) % COLUMNS;
    for (int i = 0; i < CHUNKS * CONTEXT; i++)
        t->as_read[i] = i % CONTEXT ? t->ids[i] : BOS;
}

static void tiny_close(tiny *t)
{
    engine_close(t->engine);
    model_free(&t->model);
}

static const char *write_record(tiny *t, const char *name, const record_opts *o, int threads)
{
    const char *path = scratch_path(&work, name);
    smelt_ctx c = ctx;
    c.threads = threads;
    assert_int_equal(record_run(&c, t->engine, t->ids, CHUNKS * CONTEXT + 2, o, path, NULL), SMELT_OK);
    return path;
}

/* The logits that a model gives are the ones in the file; the smaller one has the largest of them and what the others add up to. */
static void files_of_ours(void **state)
{
    (void)state;
    tiny t;
    static all_logits want;
    tiny_open(&t);
    smelt_seq seqs[CHUNKS];
    for (size_t i = 0; i < CHUNKS; i++)
        seqs[i] = (smelt_seq){.ids = t.as_read + i * CONTEXT, .n = CONTEXT};
    assert_int_equal(engine_run(t.engine, seqs, CHUNKS, keep, &want, NULL), SMELT_OK);
    for (size_t k = 0; k <= TOP; k += TOP) {
        smelt_model m;
        reference_chunk chunk[CHUNKS];
        size_t n;
        const char *path =
            write_record(&t, "r.safetensors", &(record_opts){.context = CONTEXT, .top = k, .bos = BOS, .vocab = t.model.vocab}, 2);
        smelt_reference *r = open_record(path, 0, &m);
        assert_int_equal(r->ops->next(r, CHUNKS, chunk, &n, NULL), SMELT_OK);
        assert_int_equal(n, CHUNKS);
        for (size_t c = 0; c < CHUNKS; c++) {
            assert_memory_equal(chunk[c].ids, t.as_read + c * CONTEXT, CONTEXT * sizeof(int32_t));
            assert_int_equal(chunk[c].first, CONTEXT / 2);
            for (size_t i = CONTEXT / 2; i + 1 < CONTEXT; i++) {
                const float *x = want.x[c][i];
                reference_row row;
                r->ops->row(r, c, i, &row);
                if (!k) {
                    for (size_t j = 0; j < COLUMNS; j++)
                        assert_float_equal(row.logits[j], x[j], 1e-5);
                    continue;
                }
                double sum = 0, mass = 0;
                for (size_t j = 0; j < COLUMNS; j++)
                    sum += exp((double)x[j]);
                for (size_t j = 0; j < TOP; j++) {
                    size_t larger = 0;
                    for (size_t l = 0; l < COLUMNS; l++)
                        larger += x[l] > x[row.top_ids[j]];
                    assert_int_equal(larger, j);
                    assert_float_equal(row.top[j], x[row.top_ids[j]], 1e-5);
                    mass += exp((double)x[row.top_ids[j]]) / sum;
                }
                assert_float_equal(row.log_sum_exp, log(sum), 1e-5);
                assert_float_equal(row.mass, mass, 1e-5);
                assert_float_equal(row.target, x[t.as_read[c * CONTEXT + i + 1]], 1e-5);
            }
        }
        reference_close(r);
        model_free(&m);
    }
    tiny_close(&t);
}

static void load(const char *path, smelt_buf *out)
{
    smelt_map *map;
    assert_int_equal(map_open(path, &map, NULL), SMELT_OK);
    buf_put(out, map->data, (size_t)map->size);
    map_close(map);
}

static void threads_make_no_difference(void **state)
{
    (void)state;
    tiny t;
    tiny_open(&t);
    smelt_buf a = {0}, b = {0};
    const record_opts o = {.context = CONTEXT, .top = TOP, .bos = -1};
    load(write_record(&t, "one.safetensors", &o, 1), &a);
    load(write_record(&t, "four.safetensors", &o, 4), &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    buf_free(&a);
    buf_free(&b);
    tiny_close(&t);
}

static void what_cannot_be_recorded(void **state)
{
    (void)state;
    tiny t;
    tiny_open(&t);
    const char *path = scratch_path(&work, "none.safetensors");
    static const record_opts wrong[] = {{.context = 3, .bos = -1}, {.context = CONTEXT, .top = COLUMNS, .bos = -1}, {.bos = -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(record_run(&ctx, t.engine, t.ids, CHUNKS * CONTEXT, &wrong[i], path, NULL), SMELT_E_USAGE);
    /* An id that the model does not have ends the run; nothing is left. */
    t.ids[CONTEXT + 1] = COLUMNS;
    assert_int_equal(record_run(&ctx, t.engine, t.ids, CHUNKS * CONTEXT, &(record_opts){.context = CONTEXT, .bos = -1}, path, NULL),
                     SMELT_E_USAGE);
    assert_false(path_exists(path));
    tiny_close(&t);
}

static smelt_vocab words(const smelt_str *text, const int32_t *type, size_t n)
{
    smelt_vocab v;
    vocab_init(&v);
    v.text = text;
    v.type = type;
    v.n = n;
    return v;
}

static void other_vocabularies_are_refused(void **state)
{
    (void)state;
    tiny t;
    smelt_model m;
    tiny_open(&t);
    const smelt_str text[] = {{"a", 1}, {"bc", 2}, {"", 0}, {"[PAD3]", 6}}, other[] = {{"ab", 2}, {"c", 1}};
    const int32_t type[] = {SMELT_TOKEN_NORMAL, SMELT_TOKEN_NORMAL, SMELT_TOKEN_UNUSED, SMELT_TOKEN_UNUSED};
    const smelt_vocab own = words(text, type, 2), padded = words(text, type, 4), cut_elsewhere = words(other, type, 2);
    smelt_reference *r = open_record(
        write_record(&t, "v.safetensors", &(record_opts){.context = CONTEXT, .top = TOP, .bos = -1, .vocab = &own}, 2), 0, &m);
    assert_int_equal(recorded_fits(&m, &own, COLUMNS, NULL), SMELT_OK);
    assert_int_equal(recorded_fits(&m, &padded, COLUMNS, NULL), SMELT_OK);
    assert_int_equal(recorded_fits(&m, NULL, COLUMNS, NULL), SMELT_OK);
    assert_int_equal(recorded_fits(&m, &cut_elsewhere, COLUMNS, NULL), SMELT_E_MISMATCH);
    assert_int_equal(recorded_fits(&m, &own, COLUMNS + 1, NULL), SMELT_E_MISMATCH);
    reference_close(r);
    model_free(&m);
    /* The definition: lengths in 8 bytes, then the texts. */
    char hex[HASH_HEX + 1], want[HASH_HEX + 1];
    uint8_t hash[HASH_BYTES];
    hash_bytes("\1\0\0\0\0\0\0\0a\2\0\0\0\0\0\0\0bc", 19, hash);
    assert_int_equal(vocabulary_hash(&padded, hex, NULL), SMELT_OK);
    assert_string_equal(hex, hash_hex(hash, want));
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_safetensors_package), cmocka_unit_test(files_of_ours),
        cmocka_unit_test(threads_make_no_difference),       cmocka_unit_test(what_cannot_be_recorded),
        cmocka_unit_test(other_vocabularies_are_refused),
    };
    if (ctx_init(&ctx, NULL) != SMELT_OK || !scratch_open(&work)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&work);
    return failed;
}
