/* The GGUF reader: what it accepts, value by value, and that nothing short of a whole file is taken for one. Refusals with their
 * messages are in tests/invalid/gguf. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "scratch.h"
#include "tools/compose.h"

extern const smelt_format smelt_format_gguf;
static smelt_ctx ctx;

static int setup(void **state)
{
    static scratch s;
    *state = &s;
    return ctx_init(&ctx, NULL) == SMELT_OK && scratch_open(&s) ? 0 : -1;
}

static int teardown(void **state)
{
    scratch_close(*state);
    return 0;
}

/* --- files, byte by byte ----------------------------------------------------------------------------------------------- */

static void head(smelt_buf *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    buf_put(b, "GGUF", 4);
    buf_u32(b, version);
    buf_u64(b, tensors);
    buf_u64(b, keys);
}

static void text(smelt_buf *b, const char *s)
{
    buf_u64(b, strlen(s));
    buf_put(b, s, strlen(s));
}

static void key(smelt_buf *b, const char *name, smelt_kv_type type)
{
    text(b, name);
    buf_u32(b, type);
}

static void key_u16(smelt_buf *b, const char *name, uint16_t v)
{
    key(b, name, SMELT_KV_U16);
    buf_u16(b, v);
}

static void key_text(smelt_buf *b, const char *name, const char *v)
{
    key(b, name, SMELT_KV_STR);
    text(b, v);
}

/* A matrix of `rows` x `cols` of the GGUF type `id`. */
static void tensor(smelt_buf *b, const char *name, uint64_t rows, uint64_t cols, uint32_t id, uint64_t offset)
{
    text(b, name);
    buf_u32(b, 2);
    buf_u64(b, cols);
    buf_u64(b, rows);
    buf_u32(b, id);
    buf_u64(b, offset);
}

static void pad(smelt_buf *b, size_t align) { buf_zeros(b, (align - b->size % align) % align); }

static void counting(smelt_buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_u8(b, (uint8_t)(i * 7 + 1));
}

static smelt_status read_file(const char *path, smelt_model *m, smelt_err *err)
{
    *err = (smelt_err){0};
    model_init(m);
    return smelt_format_gguf.read(&ctx, path, m, err);
}

static smelt_status read_bytes(scratch *s, const void *data, size_t n, smelt_model *m, smelt_err *err)
{
    unlink(scratch_path(s, "x.gguf")); /* a file that is written anew waits for the disk on some file systems */
    const char *path = scratch_write(s, "x.gguf", data, n);
    assert_non_null(path);
    return read_file(path, m, err);
}

static void must_read(scratch *s, const smelt_buf *b, smelt_model *m)
{
    smelt_err err;
    assert_false(b->failed);
    if (read_bytes(s, b->data, b->size, m, &err) != SMELT_OK) fail_msg("%s: %s", err.where, err.text);
}

/* --- what is accepted -------------------------------------------------------------------------------------------------- */

static void every_type_of_value_is_read(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    head(&b, 3, 0, 13);
    key(&b, "u8", SMELT_KV_U8), buf_u8(&b, 0xFE);
    key(&b, "i8", SMELT_KV_I8), buf_u8(&b, 0xFE);
    key(&b, "u16", SMELT_KV_U16), buf_u16(&b, 0xFEDC);
    key(&b, "i16", SMELT_KV_I16), buf_u16(&b, 0xFEDC);
    key(&b, "u32", SMELT_KV_U32), buf_u32(&b, 0xFEDCBA98U);
    key(&b, "i32", SMELT_KV_I32), buf_u32(&b, 0xFEDCBA98U);
    key(&b, "f32", SMELT_KV_F32), buf_u32(&b, 0x3FC00000U);
    key(&b, "no", SMELT_KV_BOOL), buf_u8(&b, 0);
    key(&b, "yes", SMELT_KV_BOOL), buf_u8(&b, 1);
    key_text(&b, "str", "a\xC3\xA9");
    key(&b, "u64", SMELT_KV_U64), buf_u64(&b, 0xFEDCBA9876543210U);
    key(&b, "i64", SMELT_KV_I64), buf_u64(&b, 0xFEDCBA9876543210U);
    key(&b, "f64", SMELT_KV_F64), buf_u64(&b, 0xBFF8000000000000U);
    must_read(*state, &b, &m);
    assert_int_equal(m.meta.count, 13);
    const smelt_kv *kv = m.meta.kv;
    assert_int_equal(kv[0].v.u, 254);
    assert_int_equal(kv[1].v.i, -2);
    assert_int_equal(kv[2].v.u, 65244);
    assert_int_equal(kv[3].v.i, -292);
    assert_int_equal(kv[4].v.u, 4275878552U);
    assert_int_equal(kv[5].v.i, -19088744);
    assert_true(kv[6].v.f == 1.5);
    assert_int_equal(kv[7].v.u, 0);
    assert_int_equal(kv[8].v.u, 1);
    assert_true(str_eq(kv[9].v.s, "a\xC3\xA9"));
    assert_true(kv[10].v.u == 0xFEDCBA9876543210U);
    assert_true(kv[11].v.i == -81985529216486896);
    assert_true(kv[12].v.f == -1.5);
    for (size_t i = 0; i < m.meta.count; i++)
        assert_int_equal(kv[i].type, ((const smelt_kv_type[]){0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 10, 11, 12})[i]);
    model_free(&m);
    buf_free(&b);
}

static void arrays_of_every_type_are_read(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    head(&b, 3, 0, 12);
    for (int t = 0; t < SMELT_KV_TYPES; t++) {
        if (t == SMELT_KV_ARRAY) continue;
        key(&b, kv_type_name((smelt_kv_type)t), SMELT_KV_ARRAY);
        buf_u32(&b, (uint32_t)t);
        buf_u64(&b, 2);
        if (t == SMELT_KV_STR) text(&b, "one"), text(&b, "");
        for (size_t i = 0; i < 2 * kv_type_size((smelt_kv_type)t); i++)
            buf_u8(&b, (uint8_t)(i % 2));
    }
    must_read(*state, &b, &m);
    assert_int_equal(m.meta.count, 12);
    for (size_t i = 0; i < m.meta.count; i++) {
        const smelt_kv *kv = &m.meta.kv[i];
        assert_int_equal(kv->type, SMELT_KV_ARRAY);
        assert_string_equal(kv->key, kv_type_name(kv->v.a.type));
        assert_int_equal(kv->v.a.n, 2);
        const smelt_str *s = kv->v.a.data;
        if (kv->v.a.type == SMELT_KV_STR)
            assert_true(str_eq(s[0], "one") && str_eq(s[1], ""));
        else
            assert_memory_equal(kv->v.a.data, "\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1", 2 * kv_type_size(kv->v.a.type));
    }
    model_free(&m);
    buf_free(&b);
}

static void an_empty_array_is_read(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    head(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        key(&b, i ? "s" : "n", SMELT_KV_ARRAY);
        buf_u32(&b, i ? SMELT_KV_STR : SMELT_KV_F64);
        buf_u64(&b, 0);
    }
    must_read(*state, &b, &m);
    assert_int_equal(m.meta.kv[0].v.a.n, 0);
    assert_int_equal(m.meta.kv[1].v.a.n, 0);
    model_free(&m);
    buf_free(&b);
}

/* Ids and block sizes as ggml.h has them, and the bytes each tensor is given. */
static void every_type_of_tensor_is_read_where_it_lies(void **state)
{
    static const uint32_t ids[] = {0,  1,  2,  3,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                                   20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 34, 35, 39, 40, 41, 42};
    static const uint16_t bytes256[] = {1024, 512, 144, 160, 176, 192, 272,  288,  84,   110, 144, 176, 210, 292, 66,  74, 98, 50,
                                        144,  110, 82,  136, 256, 512, 1024, 2048, 2048, 56,  512, 54,  66,  136, 144, 36, 72};
    enum { N = sizeof ids / sizeof *ids };
    smelt_buf b = {0};
    smelt_model m;
    uint64_t offset = 0;
    head(&b, 3, N, 0);
    for (size_t i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", ids[i]);
        tensor(&b, name, 2, 256, ids[i], offset);
        offset = (offset + 2 * (uint64_t)bytes256[i] + 31) / 32 * 32;
    }
    pad(&b, 32);
    const size_t data = b.size;
    counting(&b, offset);
    must_read(*state, &b, &m);
    assert_int_equal(m.n_tensors, N);
    offset = data;
    for (size_t i = 0; i < N; i++) {
        const smelt_tensor *t = &m.tensors[i];
        assert_int_equal(smelt_dtype_get(t->dtype)->gguf_id, ids[i]);
        assert_int_equal(view_bytes_total(t->view), 2U * bytes256[i]);
        assert_int_equal(t->offset, offset);
        assert_int_equal(t->shape.n, 2);
        assert_int_equal(t->shape.dim[0], 2);
        assert_int_equal(t->shape.dim[1], 256);
        uint8_t row[2048];
        view_read(t->view, 1, 0, 256, row);
        assert_memory_equal(row, b.data + offset + bytes256[i], bytes256[i]);
        offset = (offset + 2 * (uint64_t)bytes256[i] + 31) / 32 * 32;
    }
    model_free(&m);
    buf_free(&b);
}

/* A file of all there is in small: keys of three kinds, two tensors, a padding that counts. */
static void sample(smelt_buf *b, uint32_t version, uint32_t align)
{
    head(b, version, 3, 4);
    key(b, "general.alignment", SMELT_KV_U32), buf_u32(b, align);
    key_text(b, "general.architecture", "unheard-of");
    key(b, "list", SMELT_KV_ARRAY), buf_u32(b, SMELT_KV_STR), buf_u64(b, 2), text(b, "x"), text(b, "yy");
    key(b, "n", SMELT_KV_U64), buf_u64(b, 5);
    const uint64_t step = align < 8 ? 8 : align;
    tensor(b, "a.weight", 1, 3, 1, 0); /* 6 bytes of f16 */
    tensor(b, "b", 2, 32, 8, align < 8 ? (6 + align - 1) / align * align : step);
    const uint64_t second = align < 8 ? (6 + align - 1) / align * align : step;
    text(b, "scalar"), buf_u32(b, 0), buf_u32(b, 0), buf_u64(b, (second + 68 + align - 1) / align * align);
    pad(b, align);
    counting(b, (size_t)((second + 68 + align - 1) / align * align + 4));
}

static void versions_2_and_3_and_every_alignment_are_read(void **state)
{
    for (uint32_t version = 2; version <= 3; version++)
        for (uint32_t align = 1; align <= 1 << 20; align *= 2) {
            smelt_buf b = {0};
            smelt_model m;
            uint16_t half[3];
            uint32_t scalar;
            sample(&b, version, align);
            must_read(*state, &b, &m);
            assert_int_equal(m.n_tensors, 3);
            for (size_t i = 0; i < 3; i++)
                assert_int_equal((m.tensors[i].offset - m.tensors[0].offset) % align, 0);
            assert_int_equal(m.tensors[0].offset % align, 0);
            view_read(m.tensors[0].view, 0, 0, 3, half);
            assert_memory_equal(half, b.data + m.tensors[0].offset, 6);
            assert_int_equal(m.tensors[2].shape.n, 0);
            view_read(m.tensors[2].view, 0, 0, 1, &scalar);
            assert_memory_equal(&scalar, b.data + b.size - 4, 4);
            assert_null(m.arch);
            assert_non_null(strstr(m.unmapped, "unheard-of"));
            model_free(&m);
            buf_free(&b);
        }
}

static void bytes_behind_the_last_tensor_do_no_harm(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    sample(&b, 3, 32);
    buf_zeros(&b, 100);
    must_read(*state, &b, &m);
    model_free(&m);
    buf_free(&b);
}

static void a_name_of_63_bytes_is_read(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    char name[64] = {0};
    memset(name, 'n', 63);
    head(&b, 3, 1, 0);
    tensor(&b, name, 1, 1, 24, 0);
    pad(&b, 32);
    buf_u8(&b, 9);
    must_read(*state, &b, &m);
    assert_string_equal(m.tensors[0].name, name);
    model_free(&m);
    buf_free(&b);
}

/* --- what is not ------------------------------------------------------------------------------------------------------- */

static void a_file_cut_at_any_byte_is_refused(void **state)
{
    smelt_buf b = {0};
    smelt_err err;
    sample(&b, 3, 32);
    for (size_t n = 0; n < b.size; n++) {
        smelt_model m;
        const smelt_status st = read_bytes(*state, b.data, n, &m, &err);
        if (st == SMELT_OK || smelt_status_exit_code(st) != 3) fail_msg("%zu of %zu bytes: status %d", n, b.size, (int)st);
        assert_int_equal(st, err.code);
        model_free(&m);
    }
    buf_free(&b);
}

/* Whatever a changed byte makes of it: an error of the file, or a model all of whose bytes can be read. */
static void any_byte_may_be_any_other(void **state)
{
    static const uint8_t values[] = {0, 1, 4, 0x7F, 0x80, 0xFF};
    smelt_buf b = {0};
    sample(&b, 3, 32);
    const size_t header = 320;
    assert_true(b.size > header);
    for (size_t at = 0; at < header; at++)
        for (size_t k = 0; k < sizeof values; k++) {
            const uint8_t old = b.data[at];
            smelt_model m;
            smelt_err err;
            b.data[at] = values[k];
            const smelt_status st = read_bytes(*state, b.data, b.size, &m, &err);
            assert_true(st == SMELT_OK || smelt_status_exit_code(st) == 3);
            assert_true(m.arena.used < 1 << 16);
            for (size_t i = 0; st == SMELT_OK && i < m.n_tensors; i++) {
                uint8_t out[4096];
                const smelt_view *v = m.tensors[i].view;
                assert_true(view_bytes_total(v) <= b.size);
                for (uint64_t r = 0; r < view_rows(v); r++)
                    view_read(v, r, 0, view_cols(v), out);
            }
            model_free(&m);
            b.data[at] = old;
        }
    buf_free(&b);
}

static void memory_is_bounded_by_the_file_not_by_its_claims(void **state)
{
    /* Counts that just pass the test against the file's size. */
    for (int tensors = 0; tensors < 2; tensors++) {
        smelt_buf b = {0};
        smelt_model m;
        smelt_err err;
        const uint64_t n = 1 << 20;
        head(&b, 3, tensors ? n / 24 : 0, tensors ? 0 : n / 13);
        buf_zeros(&b, n - b.size);
        assert_int_equal(read_bytes(*state, b.data, b.size, &m, &err), tensors ? SMELT_E_TRUNCATED : SMELT_E_CORRUPT);
        assert_true(m.arena.used < 16 * n);
        model_free(&m);
        buf_free(&b);
    }
}

static void many_keys_take_linear_time(void **state)
{
    smelt_buf b = {0};
    smelt_model m;
    enum { N = 200000 };
    head(&b, 3, 0, N);
    for (unsigned i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%u", i);
        key(&b, name, SMELT_KV_U8), buf_u8(&b, 1);
    }
    must_read(*state, &b, &m);
    assert_int_equal(m.meta.count, N);
    model_free(&m);
    buf_free(&b);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    scratch *s = *state;
    smelt_model m;
    smelt_err err;
    assert_int_equal(mkfifo(scratch_path(s, "fifo.gguf"), 0600), 0);
    assert_int_equal(read_file(scratch_path(s, "fifo.gguf"), &m, &err), SMELT_E_UNSUPPORTED);
    model_free(&m);
    assert_int_equal(read_file(s->dir, &m, &err), SMELT_E_UNSUPPORTED);
    model_free(&m);
    assert_int_equal(read_file(scratch_path(s, "none.gguf"), &m, &err), SMELT_E_IO);
    model_free(&m);
}

/* --- split files ------------------------------------------------------------------------------------------------------- */

typedef struct split_part {
    const char *file;
    int no, count, total; /* -1: the key is not there */
    const char *tensor;   /* NULL: none */
} split_part;

static void write_part(scratch *s, const split_part *p)
{
    smelt_buf b = {0};
    head(&b, 3, p->tensor != NULL, (uint64_t)((p->no >= 0) + (p->count >= 0) + (p->total >= 0)) + 1);
    key_text(&b, "general.name", p->file);
    if (p->no >= 0) key_u16(&b, "split.no", (uint16_t)p->no);
    if (p->count >= 0) key_u16(&b, "split.count", (uint16_t)p->count);
    if (p->total >= 0) key(&b, "split.tensors.count", SMELT_KV_I32), buf_u32(&b, (uint32_t)p->total);
    if (p->tensor) {
        tensor(&b, p->tensor, 1, 2, 24, 0);
        pad(&b, 32);
        counting(&b, 2);
    }
    assert_non_null(scratch_write(s, p->file, b.data, b.size));
    buf_free(&b);
}

static smelt_status read_parts(const split_part *parts, size_t n, const char *given, smelt_model *m, smelt_err *err)
{
    scratch s;
    assert_true(scratch_open(&s));
    for (size_t i = 0; i < n; i++)
        write_part(&s, &parts[i]);
    const smelt_status st = read_file(scratch_path(&s, given), m, err);
    scratch_close(&s); /* what is mapped stays */
    return st;
}

#define PART(i, n) "m-0000" #i "-of-0000" #n ".gguf"

static void every_part_of_a_split_model_stands_for_all(void **state)
{
    (void)state;
    /* The first part of those that llama.cpp's writer makes on request has keys alone. */
    const split_part parts[] = {{PART(1, 3), 0, 3, 2, NULL}, {PART(2, 3), 1, 3, 2, "a"}, {PART(3, 3), 2, 3, 2, "b"}};
    for (size_t i = 0; i < 3; i++) {
        smelt_model m;
        smelt_err err;
        if (read_parts(parts, 3, parts[i].file, &m, &err) != SMELT_OK) fail_msg("%s: %s", err.where, err.text);
        assert_int_equal(m.n_tensors, 2);
        assert_string_equal(m.tensors[0].name, "a");
        assert_string_equal(m.tensors[0].file, parts[1].file);
        assert_string_equal(m.tensors[1].file, parts[2].file);
        assert_int_equal(m.meta.count, 1); /* the keys of the split are gone */
        assert_true(str_eq(m.meta.kv[0].v.s, parts[0].file));
        model_free(&m);
    }
}

static void a_part_is_whole_when_it_says_so(void **state)
{
    (void)state;
    smelt_model m;
    smelt_err err;
    /* Merging leaves a count of 0; some tools leave the names. */
    for (int count = -1; count <= 1; count++) {
        const split_part part = {PART(1, 2), 0, count, 1, "a"};
        assert_int_equal(read_parts(&part, 1, part.file, &m, &err), SMELT_OK);
        assert_int_equal(m.n_tensors, 1);
        model_free(&m);
    }
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        split_part parts[3];
        const char *given;
        smelt_status status;
        const char *text;
    } bad[] = {
        {{{PART(1, 2), 0, 2, 2, "a"}}, PART(1, 2), SMELT_E_MISMATCH, "is missing"},
        {{{PART(2, 2), 1, 2, 2, "a"}}, PART(2, 2), SMELT_E_MISMATCH, "this is part 2 of 2; give the first"},
        {{{PART(1, 2), 0, 2, 2, "a"}, {PART(2, 2), 1, 2, 2, "a"}}, PART(1, 2), SMELT_E_CORRUPT, "two tensors with the name 'a'"},
        {{{PART(1, 2), 0, 2, 3, "a"}, {PART(2, 2), 1, 2, 3, "b"}},
         PART(1, 2),
         SMELT_E_MISMATCH,
         "the parts have 2 tensors, split.tensors.count says 3"},
        {{{PART(1, 2), 0, 2, 2, "a"}, {PART(2, 2), 0, 2, 2, "b"}},
         PART(1, 2),
         SMELT_E_MISMATCH,
         "does not say that it is part 2 of 2"},
        {{{PART(1, 2), 0, 2, 2, "a"}, {PART(2, 2), 1, 3, 2, "b"}},
         PART(1, 2),
         SMELT_E_MISMATCH,
         "does not say that it is part 2 of 2"},
        {{{PART(1, 2), 0, 2, 2, "a"}, {PART(2, 2), -1, -1, -1, "b"}},
         PART(2, 2),
         SMELT_E_MISMATCH,
         "does not say that it is part 2 of 2"},
        {{{PART(1, 2), 1, 2, 2, "a"}, {PART(2, 2), 0, 2, 2, "b"}}, PART(1, 2), SMELT_E_MISMATCH, "this is part 2 of 2"},
        /* The name is another model's, which is not split. */
        {{{PART(1, 2), -1, -1, -1, "a"}, {PART(2, 2), -1, -1, -1, "b"}}, PART(2, 2), SMELT_E_MISMATCH, "it is not split"},
        /* The number in the name is not the one in the file. */
        {{{PART(1, 2), 0, 3, 2, "a"}, {PART(2, 2), 1, 3, 2, "b"}}, PART(1, 2), SMELT_E_MISMATCH, PART(2, 3)},
        {{{PART(1, 2), 0, 65535, 2, "a"}, {PART(2, 2), 1, 65535, 2, "b"}},
         PART(1, 2),
         SMELT_E_MISMATCH,
         "m-00002-of-65535.gguf' of 65535 is missing"},
        {{{"m.gguf", 0, 2, 2, "a"}}, "m.gguf", SMELT_E_MISMATCH, "not named like NAME-00001-of-00002.gguf"},
        {{{"m-00001-of-00002.ggux", 0, 2, 2, "a"}}, "m-00001-of-00002.ggux", SMELT_E_MISMATCH, "not named like NAME"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        smelt_model m;
        smelt_err err;
        size_t n = 0;
        while (n < 3 && bad[i].parts[n].file)
            n++;
        const smelt_status st = read_parts(bad[i].parts, n, bad[i].given, &m, &err);
        model_free(&m);
        if (st != bad[i].status || !strstr(err.text, bad[i].text))
            fail_msg("case %zu: %d, %s: %s", i, (int)st, err.where, err.text);
    }
}

static void a_part_that_is_no_gguf_is_named(void **state)
{
    (void)state;
    scratch s;
    smelt_model m;
    smelt_err err;
    assert_true(scratch_open(&s));
    write_part(&s, &(split_part){PART(1, 2), 0, 2, 2, "a"});
    assert_non_null(scratch_write(&s, PART(2, 2), "no model at all", 15));
    assert_int_equal(read_file(scratch_path(&s, PART(1, 2)), &m, &err), SMELT_E_CORRUPT);
    assert_non_null(strstr(err.where, PART(2, 2)));
    model_free(&m);
    scratch_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_value_is_read),
        cmocka_unit_test(arrays_of_every_type_are_read),
        cmocka_unit_test(an_empty_array_is_read),
        cmocka_unit_test(every_type_of_tensor_is_read_where_it_lies),
        cmocka_unit_test(versions_2_and_3_and_every_alignment_are_read),
        cmocka_unit_test(bytes_behind_the_last_tensor_do_no_harm),
        cmocka_unit_test(a_name_of_63_bytes_is_read),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(any_byte_may_be_any_other),
        cmocka_unit_test(memory_is_bounded_by_the_file_not_by_its_claims),
        cmocka_unit_test(many_keys_take_linear_time),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(every_part_of_a_split_model_stands_for_all),
        cmocka_unit_test(a_part_is_whole_when_it_says_so),
        cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(a_part_that_is_no_gguf_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
