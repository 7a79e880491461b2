#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <zlib.h>

#include "base/bytes.h"
#include "ir/format.h"
#include "scratch.h"

extern const smelt_format smelt_format_torch_zip;

static scratch work;
static smelt_ctx ctx = {.threads = 1};
static smelt_model model;
static smelt_err err;

/* Reads `bytes` as a file; the model is there until the next call. */
static smelt_status read_bytes(const void *bytes, size_t n)
{
    model_free(&model);
    model_init(&model);
    err = (smelt_err){0};
    /* In memory: some tests read thousands of files. */
    char path[64];
    const int fd = memfd_create("x.pt", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    smelt_status status = smelt_format_torch_zip.read(&ctx, path, &model, &err);
    close(fd);
    assert_int_equal(status, err.code);
    return status;
}

/* Everything a writer would read. */
static uint32_t touch_all(void)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < model.n_tensors; i++) {
        const smelt_view *v = model.tensors[i].view;
        uint8_t bytes[4096];
        assert_true(view_bytes_total(v) <= sizeof bytes);
        if (!view_bytes_total(v)) continue;
        view_read(v, 0, 0, view_rows(v) * view_cols(v), bytes);
        sum = (uint32_t)crc32_z(sum, bytes, view_bytes_total(v));
    }
    return sum;
}

static smelt_buf load_data(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SMELT_SOURCE_DIR "/tests/data/torch_zip/%s", name);
    smelt_buf b = {0};
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(&b, chunk, n);
    fclose(f);
    assert_true(!b.failed && b.size > 0);
    return b;
}

static const char *const real_files[] = {"small.pt", "small-legacy.pt"};

/* Both files were written by torch 2.15 from one dict:
 * w = Parameter(arange(6.).reshape(2, 3)); tied = w; columns = arange(8, int16).reshape(2, 4)[:, 1::2].t();
 * f8 = [1, -2, 0.5] as float8_e4m3fn; epoch = 3. */
static void files_of_torch_read_as_they_were_saved(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        smelt_buf b = load_data(real_files[k]);
        assert_int_equal(read_bytes(b.data, b.size), SMELT_OK);
        assert_int_equal(model.n_tensors, 4);
        const smelt_tensor *w = model_find(&model, "w"), *tied = model_find(&model, "tied"), *c = model_find(&model, "columns"),
                           *f8 = model_find(&model, "f8");
        assert_non_null(w);
        assert_int_equal(w->dtype, SMELT_DT_F32);
        assert_true(w->shape.n == 2 && w->shape.dim[0] == 2 && w->shape.dim[1] == 3);
        float f[6];
        view_read(w->view, 0, 0, 6, f);
        for (int i = 0; i < 6; i++)
            assert_true(f[i] == (float)i);
        assert_int_equal(memcmp(b.data + w->offset, f, sizeof f), 0);
        assert_int_equal(tied->offset, w->offset);
        int16_t columns[4];
        assert_true(c->shape.n == 2 && c->shape.dim[0] == 2 && c->shape.dim[1] == 2);
        view_read(c->view, 0, 0, 4, columns);
        assert_memory_equal(columns, ((int16_t[]){1, 5, 3, 7}), sizeof columns);
        uint8_t bits[3];
        view_read(f8->view, 0, 0, 3, bits);
        assert_memory_equal(bits, "\x38\xC0\x30", 3);
        assert_non_null(strstr(model.variant, "1 value that is no tensor"));
        buf_free(&b);
    }
}

static void stored_tensors_are_used_in_place(void **state)
{
    (void)state;
    smelt_buf b = load_data("small.pt");
    assert_int_equal(read_bytes(b.data, b.size), SMELT_OK);
    const smelt_tensor *w = model_find(&model, "w");
    uint64_t n;
    const uint8_t *p = view_span(w->view, 0, 0, 6, NULL, &n);
    assert_int_equal(n, 6);
    assert_ptr_equal(p, model.maps->data + w->offset);
    assert_int_equal(w->offset % 64, 0);
    buf_free(&b);
}

static void a_file_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        smelt_buf b = load_data(real_files[k]);
        for (size_t n = 0; n < b.size; n++) {
            smelt_status status = read_bytes(b.data, n);
            assert_true(status == SMELT_E_TRUNCATED || (n < 4 && status == SMELT_E_UNSUPPORTED));
        }
        buf_free(&b);
    }
}

static void a_changed_byte_is_an_error_or_another_value(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        smelt_buf b = load_data(real_files[k]);
        for (size_t i = 0; i < b.size; i++) {
            const uint8_t old = b.data[i], to[] = {0, 0xFF, old ^ 1, old ^ 0x80};
            for (size_t t = 0; t < sizeof to; t++) {
                b.data[i] = to[t];
                if (read_bytes(b.data, b.size) == SMELT_OK) touch_all();
            }
            b.data[i] = old;
        }
        buf_free(&b);
    }
}

/* ---- archives made here, one field wrong at a time ---- */

/* What an entry says of itself; NULL and 0 mean: the truth. */
typedef struct part {
    const char *name;
    const void *data;
    size_t n;
    bool deflate;
    const char *local_name;
    uint16_t method, local_method, flags, local_flags, disk;
    uint64_t size, local_size, header; /* `header`: of the local header, plus one */
    uint32_t crc;
    bool zip64;      /* sizes and offset in the extra field */
    bool descriptor; /* zeros in the local header, as torch writes them */
} part;

typedef struct archive_opts {
    uint64_t count; /* plus one */
    bool zip64;
    int shift; /* of the directory's offset */
} archive_opts;

static void build(smelt_buf *b, const part *parts, size_t n, archive_opts opts)
{
    smelt_buf dir = {0};
    for (size_t i = 0; i < n; i++) {
        const part *p = &parts[i];
        uint8_t packed[65536];
        const void *body = p->data;
        uint64_t body_n = p->n;
        if (p->deflate) {
            z_stream z = {0};
            assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
            z.next_in = (Bytef *)(uintptr_t)p->data;
            z.avail_in = (uInt)p->n;
            z.next_out = packed;
            z.avail_out = sizeof packed;
            assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
            body = packed;
            body_n = z.total_out;
            deflateEnd(&z);
        }
        const uint64_t at = b->size, header = p->header ? p->header - 1 : at, size = p->size ? p->size : p->n;
        const uint64_t packed_n = p->deflate ? body_n : size;
        const uint64_t local_size = p->local_size ? p->local_size : size;
        const uint16_t method = p->method ? p->method : p->deflate ? 8 : 0;
        const char *local_name = p->local_name ? p->local_name : p->name;
        buf_u32(b, 0x04034B50);
        buf_u16(b, 20);
        buf_u16(b, (uint16_t)(p->local_flags ? p->local_flags : p->descriptor ? 8 : 0));
        buf_u16(b, p->local_method ? p->local_method : method);
        buf_u32(b, 0);
        buf_u32(b, p->crc);
        buf_u32(b, p->descriptor ? 0 : (uint32_t)(p->local_size && !p->deflate ? local_size : packed_n));
        buf_u32(b, p->descriptor ? 0 : (uint32_t)local_size);
        buf_u16(b, (uint16_t)strlen(local_name));
        buf_u16(b, 0);
        buf_put(b, local_name, strlen(local_name));
        buf_put(b, body, body_n);

        buf_u32(&dir, 0x02014B50);
        buf_u16(&dir, 20);
        buf_u16(&dir, 20);
        buf_u16(&dir, p->flags);
        buf_u16(&dir, method);
        buf_u32(&dir, 0);
        buf_u32(&dir, p->crc);
        buf_u32(&dir, p->zip64 ? UINT32_MAX : (uint32_t)packed_n);
        buf_u32(&dir, p->zip64 ? UINT32_MAX : (uint32_t)size);
        buf_u16(&dir, (uint16_t)strlen(p->name));
        buf_u16(&dir, p->zip64 ? 28 : 0);
        buf_u16(&dir, 0);
        buf_u16(&dir, p->disk);
        buf_zeros(&dir, 6);
        buf_u32(&dir, p->zip64 ? UINT32_MAX : (uint32_t)header);
        buf_put(&dir, p->name, strlen(p->name));
        if (p->zip64) {
            buf_u16(&dir, 1);
            buf_u16(&dir, 24);
            buf_u64(&dir, size);
            buf_u64(&dir, packed_n);
            buf_u64(&dir, header);
        }
    }
    const uint64_t at = b->size + (uint64_t)(int64_t)opts.shift, count = opts.count ? opts.count - 1 : n, end = b->size + dir.size;
    buf_put(b, dir.data, dir.size);
    if (opts.zip64) {
        buf_u32(b, 0x06064B50);
        buf_u64(b, 44);
        buf_u32(b, 0);
        buf_u64(b, 0);
        buf_u64(b, count);
        buf_u64(b, count);
        buf_u64(b, dir.size);
        buf_u64(b, at);
        buf_u32(b, 0x07064B50);
        buf_u32(b, 0);
        buf_u64(b, end);
        buf_u32(b, 1);
    }
    buf_u32(b, 0x06054B50);
    buf_u32(b, 0);
    buf_u16(b, opts.zip64 ? UINT16_MAX : (uint16_t)count);
    buf_u16(b, opts.zip64 ? UINT16_MAX : (uint16_t)count);
    buf_u32(b, opts.zip64 ? UINT32_MAX : (uint32_t)dir.size);
    buf_u32(b, opts.zip64 ? UINT32_MAX : (uint32_t)at);
    buf_u16(b, 0);
    assert_false(b->failed || dir.failed);
    buf_free(&dir);
}

static smelt_status read_archive(const part *parts, size_t n, archive_opts opts)
{
    smelt_buf b = {0};
    build(&b, parts, n, opts);
    smelt_status status = read_bytes(b.data, b.size);
    buf_free(&b);
    return status;
}

/* {"w": a tensor of four floats}, its storage's size to be filled in. */
#define STORAGE(numel) \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" \
    "0X\3\0\0\0cpu" numel "tQ"
#define TENSOR(numel, size, stride) \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(numel) "K\0" size stride "\x89" \
                                                          "ccollections\nOrderedDict\n)RtR"
#define PICKLE(numel, size, stride) "\x80\2}X\1\0\0\0w" TENSOR(numel, size, stride) "s."
static const char good[] = PICKLE("K\4", "K\4\x85", "K\1\x85");
static const float four[4] = {1, 2, 3, 4};

#define PKL(bytes) \
    { \
        .name = "a/data.pkl", .data = (bytes), .n = sizeof(bytes) - 1 \
    }
#define DATA \
    { \
        .name = "a/data/0", .data = four, .n = sizeof four \
    }

static void archives_of_every_kind_read(void **state)
{
    (void)state;
    static const struct {
        part parts[3];
        size_t n;
        archive_opts opts;
    } cases[] = {
        {{PKL(good), DATA}, 2, {0}},
        {{DATA, PKL(good)}, 2, {.zip64 = true}},
        {{PKL(good), {.name = "a/data/0", .data = four, .n = 16, .zip64 = true}}, 2, {.zip64 = true}},
        {{{.name = "a/data.pkl", .data = good, .n = sizeof good - 1, .deflate = true}, DATA}, 2, {0}},
        {{PKL(good), {.name = "a/data/0", .data = four, .n = 16, .deflate = true}}, 2, {0}},
        {{PKL(good), {.name = "a/data/0", .data = four, .n = 16, .descriptor = true, .local_flags = 8, .flags = 8}}, 2, {0}},
        {{PKL(good), DATA, {.name = "a/byteorder", .data = "little", .n = 6}}, 3, {0}},
        {{{.name = "a/", .data = "", .n = 0}, PKL(good), DATA}, 3, {0}},
        {{PKL(good), DATA, {.name = "a/other", .data = "?", .n = 1, .method = 99}}, 3, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_status status = read_archive(cases[i].parts, cases[i].n, cases[i].opts);
        if (status) print_message("case %zu: %s\n", i, err.text);
        assert_int_equal(status, SMELT_OK);
        assert_int_equal(model.n_tensors, 1);
        float f[4];
        view_read(model.tensors[0].view, 0, 0, 4, f);
        assert_memory_equal(f, four, sizeof f);
    }
    static const part big[] = {PKL(good), DATA, {.name = "a/byteorder", .data = "big", .n = 3}};
    assert_int_equal(read_archive(big, 3, (archive_opts){0}), SMELT_OK);
    uint32_t f[4];
    view_read(model.tensors[0].view, 0, 0, 4, f);
    assert_int_equal(f[0], 0x0000803F);
}

typedef struct bad_archive {
    const char *what; /* in the message */
    smelt_status status;
    part parts[3];
    size_t n;
    archive_opts opts;
} bad_archive;

static void all_fail(const bad_archive *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        smelt_status status = read_archive(cases[i].parts, cases[i].n, cases[i].opts);
        if (status != cases[i].status || !strstr(err.text, cases[i].what))
            print_message("case %zu: %d '%s', expected '%s'\n", i, status, err.text, cases[i].what);
        assert_int_equal(status, cases[i].status);
        assert_non_null(strstr(err.text, cases[i].what));
    }
}
#define ALL_FAIL(cases) all_fail(cases, sizeof(cases) / sizeof *(cases))

static void cve_2026_24747_a_storage_has_the_size_of_its_record(void **state)
{
    (void)state;
    static const char more[] = PICKLE("K\5", "K\5\x85", "K\1\x85"), fewer[] = PICKLE("K\3", "K\3\x85", "K\1\x85"),
                      huge[] = PICKLE("\x8A\x07\0\0\0\0\0\0\x10", "\x8A\x07\0\0\0\0\0\0\x10\x85", "K\1\x85");
    static const bad_archive cases[] = {
        {"has 20 bytes by the pickle, its record data/0 has 16", SMELT_E_CORRUPT, {PKL(more), DATA}, 2},
        {"has 12 bytes by the pickle, its record data/0 has 16", SMELT_E_CORRUPT, {PKL(fewer), DATA}, 2},
        {"has 18014398509481984 bytes by the pickle", SMELT_E_CORRUPT, {PKL(huge), DATA}, 2},
        {"has no record data/0", SMELT_E_CORRUPT, {PKL(good)}, 1},
    };
    ALL_FAIL(cases);
}

static void tensors_stay_inside_their_storage(void **state)
{
    (void)state;
    static const char size[] = PICKLE("K\4", "K\5\x85", "K\1\x85"), stride[] = PICKLE("K\4", "K\2\x85", "K\4\x85"),
                      wide[] = PICKLE("K\4", "K\2\x85", "\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x85"),
                      product[] = PICKLE("K\4", "(\x8A\x05\0\0\0\0\1\x8A\x05\0\0\0\0\1t", "K\0K\0\x86"),
                      repeated[] = PICKLE("K\4", "\x8A\x06\0\0\0\0\0\1\x85", "K\0\x85");
    static const bad_archive cases[] = {
        {"element 4 of a storage of 4", SMELT_E_CORRUPT, {PKL(size), DATA}, 2},
        {"element 4 of a storage of 4", SMELT_E_CORRUPT, {PKL(stride), DATA}, 2},
        {"of a storage of 4", SMELT_E_CORRUPT, {PKL(wide), DATA}, 2},
        {"more elements than 64 bits count", SMELT_E_LIMIT, {PKL(product), DATA}, 2},
        {"more than 64 times the bytes that are there", SMELT_E_LIMIT, {PKL(repeated), DATA}, 2},
    };
    ALL_FAIL(cases);
}

static void both_headers_of_an_entry_must_agree(void **state)
{
    (void)state;
    static const bad_archive cases[] = {
        {"another name", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .local_name = "a/data/1"}}, 2},
        {"another name", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .local_name = "a/data/00"}}, 2},
        {"by method 0, by 8 in", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .local_method = 8}}, 2},
        {"in its local header 12", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .local_size = 12}}, 2},
        /* Zeros are no disagreement only where they are announced. */
        {"in its local header 0",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .descriptor = true, .local_flags = 0x800}},
         2},
        {"no local header", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .header = 2}}, 2},
        {"no local header", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .header = 0xFFFFFF}}, 2},
        {"overlaps",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data.pkl", .data = four, .n = 16, .size = sizeof good - 1, .header = 1}},
         2},
        {"runs into the directory", SMELT_E_CORRUPT, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .size = 17}}, 2},
        {"runs into the directory",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .size = 0xFFFFFFF0}},
         2},
        {"is encrypted", SMELT_E_UNSUPPORTED, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .flags = 1}}, 2},
        {"is encrypted", SMELT_E_UNSUPPORTED, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .local_flags = 1}}, 2},
        {"two zip entries", SMELT_E_CORRUPT, {PKL(good), DATA, DATA}, 3},
        {"method 12", SMELT_E_UNSUPPORTED, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .method = 12}}, 2},
        {"one part of several", SMELT_E_UNSUPPORTED, {PKL(good), {.name = "a/data/0", .data = four, .n = 16, .disk = 1}}, 2},
        {"does not have its CRC", SMELT_E_CORRUPT, {{.name = "a/data.pkl", .data = good, .n = sizeof good - 1, .crc = 1}, DATA}, 2},
    };
    ALL_FAIL(cases);
}

static void the_directory_must_be_consistent(void **state)
{
    (void)state;
    static const bad_archive cases[] = {
        {"bytes follow", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.count = 2}},
        {"cannot hold", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.count = 4}},
        {"entry needs",
         SMELT_E_TRUNCATED,
         {PKL(good), DATA, {.name = "a/a name that has as many bytes as another directory entry", .data = "", .n = 0}},
         3,
         {.count = 5}},
        {"cannot hold", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.count = 1000}},
        {"cannot hold", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.count = UINT64_MAX, .zip64 = true}},
        {"should take", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.shift = -1}},
        {"should take", SMELT_E_CORRUPT, {PKL(good), DATA}, 2, {.shift = 1, .zip64 = true}},
        {"without DIR/data.pkl", SMELT_E_UNSUPPORTED, {DATA}, 1},
        {"two directories", SMELT_E_CORRUPT, {PKL(good), {.name = "b/data.pkl", .data = good, .n = sizeof good - 1}, DATA}, 3},
        {"neither little nor big", SMELT_E_CORRUPT, {PKL(good), DATA, {.name = "a/byteorder", .data = "middle", .n = 6}}, 3},
        {"TorchScript", SMELT_E_UNSUPPORTED, {PKL(good), DATA, {.name = "a/constants.pkl", .data = "", .n = 0}}, 3},
    };
    ALL_FAIL(cases);
}

static void names_that_lead_outside_are_forbidden(void **state)
{
    (void)state;
    static const char *const names[] = {"/etc/passwd", "../x", "a/../x", "a/..", "..", "a//b", "a\\b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const part parts[] = {PKL(good), DATA, {.name = names[i], .data = "x", .n = 1}};
        assert_int_equal(read_archive(parts, 3, (archive_opts){0}), SMELT_E_FORBIDDEN);
    }
}

static void zip_bombs_stay_packed(void **state)
{
    (void)state;
    static uint8_t zeros[4 << 20];
    static const char many[] = PICKLE("J\0\0\x10\0", "J\0\0\x10\0\x85", "K\1\x85"); /* 4 MiB */
    static const bad_archive cases[] = {
        /* More packed inside than the size that pickle and directory agree on. */
        {"does not unpack to its 16 bytes",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = zeros, .n = 64, .deflate = true, .size = 16}},
         2},
        {"does not unpack to its 16 bytes",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = zeros, .n = sizeof zeros, .deflate = true, .size = 16}},
         2},
        /* Less. */
        {"does not unpack to its 16 bytes",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = zeros, .n = 8, .deflate = true, .size = 16}},
         2},
        /* A size that no deflate stream of so few bytes can have: refused before memory is taken. */
        {"cannot give 4194304",
         SMELT_E_CORRUPT,
         {PKL(many), {.name = "a/data/0", .data = zeros, .n = 16, .deflate = true, .size = sizeof zeros}},
         2},
        {"at most 67108864 are accepted",
         SMELT_E_LIMIT,
         {{.name = "a/data.pkl", .data = zeros, .n = 16, .deflate = true, .size = (64 << 20) + 1}, DATA},
         2},
        /* No deflate stream. */
        {"does not unpack",
         SMELT_E_CORRUPT,
         {PKL(good), {.name = "a/data/0", .data = "no deflate here!", .n = 16, .method = 8}},
         2},
    };
    ALL_FAIL(cases);
    static const part fine[] = {PKL(many), {.name = "a/data/0", .data = zeros, .n = sizeof zeros, .deflate = true}};
    assert_int_equal(read_archive(fine, 2, (archive_opts){0}), SMELT_OK);

    /* Six times 4 MiB of zeros: each allowed, together more than the file's size pays for. */
    smelt_buf pkl = {0};
    part parts[7] = {{0}};
    char names[6][16];
    buf_put(&pkl, "}(", 2);
    for (int i = 0; i < 6; i++) {
        char one[] = "X\1\0\0\0w" TENSOR("J\0\0\x10\0", "J\0\0\x10\0\x85", "K\1\x85");
        one[5] = (char)('a' + i);
        for (size_t k = 0; k + 6 < sizeof one; k++)
            if (memcmp(one + k,
                       "X\1\0\0\0"
                       "0",
                       6) == 0)
                one[k + 5] = (char)('0' + i);
        buf_put(&pkl, one, sizeof one - 1);
        snprintf(names[i], sizeof names[i], "a/data/%d", i);
        parts[i + 1] = (part){.name = names[i], .data = zeros, .n = sizeof zeros, .deflate = true};
    }
    buf_put(&pkl, "u.", 2);
    parts[0] = (part){.name = "a/data.pkl", .data = pkl.data, .n = pkl.size};
    assert_int_equal(read_archive(parts, 7, (archive_opts){0}), SMELT_E_LIMIT);
    assert_non_null(strstr(err.text, "8 times the file's size"));
    buf_free(&pkl);
}

static void bytes_behind_the_end_are_an_error(void **state)
{
    (void)state;
    static const char after[] = PICKLE("K\4", "K\4\x85", "K\1\x85") "cos\nsystem\n.";
    static const bad_archive cases[] = {{"bytes follow the pickle's end", SMELT_E_CORRUPT, {PKL(after), DATA}, 2}};
    ALL_FAIL(cases);
    for (size_t k = 0; k < 2; k++) {
        smelt_buf b = load_data(real_files[k]);
        buf_u8(&b, 'x');
        assert_true(read_bytes(b.data, b.size) != SMELT_OK);
        buf_free(&b);
    }
}

static void a_forbidden_global_is_named_with_its_offset_in_the_file(void **state)
{
    (void)state;
    static const char evil[] = "\x80\2}X\1\0\0\0wcposix\nsystem\nX\2\0\0\0id\x85Rs.";
    static const part parts[] = {PKL(evil), DATA};
    assert_int_equal(read_archive(parts, 2, (archive_opts){0}), SMELT_E_FORBIDDEN);
    assert_non_null(strstr(err.text, "posix.system"));
    assert_int_equal(err.offset, 30 + strlen("a/data.pkl") + 9);
    assert_non_null(strstr(err.where, "data.pkl"));
}

/* ---- which dict ---- */

static smelt_status read_object(const char *pickle, size_t n)
{
    const part parts[] = {{.name = "a/data.pkl", .data = pickle, .n = n}, DATA};
    return read_archive(parts, 2, (archive_opts){0});
}
#define READ_OBJECT(text) read_object(text, sizeof(text) - 1)
#define W TENSOR("K\4", "K\4\x85", "K\1\x85")
#define STATE(name) "}X\1\0\0\0" name W "s"

static void the_dict_with_tensors_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t n;
        smelt_status status;
        const char *name; /* of the one tensor, or a part of the message */
    } cases[] = {
#define CASE(text, status, name) {text ".", sizeof(text), SMELT_##status, name}
        CASE(STATE("w"), OK, "w"),
        CASE("}X\5\0\0\0model" STATE("m") "s", OK, "m"),
        CASE("}X\3\0\0\0any" STATE("m") "s", OK, "m"),
        CASE("}X\1\0\0\0a}X\1\0\0\0b" STATE("m") "ss", OK, "m"),
        CASE("}(X\3\0\0\0ema" STATE("e") "X\5\0\0\0model" STATE("m") "u", OK, "m"),
        CASE("}(X\3\0\0\0one" STATE("e") "X\3\0\0\0two" STATE("m") "u", E_UNSUPPORTED, "  one\n  two"),
        CASE("}(X\3\0\0\0rng" W "X\5\0\0\0model" STATE("m") "u", OK, "m"),
        CASE("}(X\1\0\0\0w" W "X\5\0\0\0other" STATE("m") "u", OK, "w"),
        CASE("}(X\1\0\0\0w" W "X\5\0\0\0model}X\1\0\0\0aK\1su", OK, "w"),
        CASE("}", E_UNSUPPORTED, "no dict of named tensors"),
        CASE("}q\0X\1\0\0\0ah\0s", E_UNSUPPORTED, "no dict of named tensors"),
        CASE("]" W "a", E_UNSUPPORTED, "holds a list"),
        CASE(W, E_UNSUPPORTED, "holds a tensor"),
        CASE("}(X\1\0\0\0w" W "K\1" W "u", E_UNSUPPORTED, "a tensor's name is an integer"),
        CASE("}(X\1\0\0\0w" W "X\1\0\0\0w" W "u", E_CORRUPT, "two tensors"),
        CASE("}X\1\0\0\0\n" W "s", E_CORRUPT, "control characters"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        smelt_status status = read_object(cases[i].pickle, cases[i].n);
        if (status != cases[i].status) print_message("case %zu: %s\n", i, err.text);
        assert_int_equal(status, cases[i].status);
        if (status == SMELT_OK) {
            assert_int_equal(model.n_tensors, 1);
            assert_string_equal(model.tensors[0].name, cases[i].name);
        } else
            assert_non_null(strstr(err.text, cases[i].name));
    }
}

/* Four dicts, each of which lies a thousand times in the next: a thousand million ways through them. */
static void dicts_within_dicts_are_walked_once(void **state)
{
    (void)state;
    smelt_buf p = {0};
    buf_put(&p, "}(K\0](}q\0", 9);
    for (char i = 1; i < 5; i++) {
        buf_put(&p, "}(", 2);
        for (int k = 0; k < 1000; k++) {
            const char again[] = {'K', 1, 'h', (char)(i - 1)};
            buf_put(&p, again, sizeof again);
        }
        const char end[] = {'u', 'q', i};
        buf_put(&p, end, sizeof end);
    }
    buf_put(&p, "eK\1h\4u.", 7);
    assert_int_equal(read_object((const char *)p.data, p.size), SMELT_E_UNSUPPORTED);
    assert_string_equal(err.text, "the file holds no dict of named tensors");
    buf_free(&p);
}

static void old_tars_and_other_pickles_are_told_how_to_convert(void **state)
{
    (void)state;
    static uint8_t tar[1024];
    memcpy(tar, "sys_info", 8);
    memcpy(tar + 257, "ustar", 5);
    assert_int_equal(read_bytes(tar, sizeof tar), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "torch.save(torch.load("));
    static const char pickle[] = "\x80\4\x95\5\0\0\0\0\0\0\0}\x94K\1."; /* pickle.dump(…) of something else */
    assert_int_equal(read_bytes(pickle, sizeof pickle - 1), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "torch.save its state dict"));
}

/* ---- writing ---- */

/* Sizes and offsets beyond 32 bits, without the bytes: the file is sparse, and libarchive reads its directory. */
static void large_files_have_zip64_entries(void **state)
{
    (void)state;
    static const uint64_t elems[] = {3, 5000000000, 7};
    static const char *const names[] = {"a", "large", "behind"};
    smelt_model m;
    model_init(&m);
    smelt_err e = {0};
    for (int i = 0; i < 3; i++) {
        const smelt_shape shape = {.n = 1, .dim = {elems[i]}};
        const smelt_view *v;
        assert_int_equal(view_bytes(&m.arena, SMELT_DT_U8, &shape, "", elems[i], &v, &e), SMELT_OK);
        assert_int_equal(model_add(&m, names[i], strlen(names[i]), v, NULL, 0, &e), SMELT_OK);
    }
    const smelt_dtype types[] = {SMELT_DT_U8, SMELT_DT_U8, SMELT_DT_U8};
    const char *path = scratch_path(&work, "large.pt");
    smelt_layout l = {0};
    assert_int_equal(smelt_format_torch_zip.layout(&ctx, &m, &m, types, path, &(smelt_write_opts){0}, &l, &e), SMELT_OK);
    assert_int_equal(l.n_files, 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)l.files[0].size), 0);
    for (size_t i = 0; i < l.n_blobs; i++)
        assert_int_equal(pwrite(fd, l.blobs[i].data, l.blobs[i].size, (off_t)l.blobs[i].offset), l.blobs[i].size);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(l.tensors[i].offset % 64, 0);
        assert_int_equal(l.tensors[i].bytes, elems[i]);
    }
    close(fd);

    struct archive *a = archive_read_new();
    assert_int_equal(archive_read_support_format_zip_seekable(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, path, 65536), ARCHIVE_OK);
    struct archive_entry *entry;
    int found = 0;
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK)
        if (strncmp(archive_entry_pathname(entry), "archive/data/", 13) == 0)
            assert_int_equal((uint64_t)archive_entry_size(entry), elems[found++]);
    assert_int_equal(found, 3);
    archive_read_free(a);

    model_free(&model);
    model_init(&model);
    err = (smelt_err){0};
    assert_int_equal(smelt_format_torch_zip.read(&ctx, path, &model, &err), SMELT_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(model.tensors[i].offset, l.tensors[i].offset);
    arena_free(&l.arena);
    model_free(&m);
    remove(path);
}

static int setup(void **state)
{
    (void)state;
    model_init(&model);
    return scratch_open(&work) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&model);
    scratch_close(&work);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_torch_read_as_they_were_saved),
        cmocka_unit_test(stored_tensors_are_used_in_place),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error),
        cmocka_unit_test(a_changed_byte_is_an_error_or_another_value),
        cmocka_unit_test(archives_of_every_kind_read),
        cmocka_unit_test(cve_2026_24747_a_storage_has_the_size_of_its_record),
        cmocka_unit_test(tensors_stay_inside_their_storage),
        cmocka_unit_test(both_headers_of_an_entry_must_agree),
        cmocka_unit_test(the_directory_must_be_consistent),
        cmocka_unit_test(names_that_lead_outside_are_forbidden),
        cmocka_unit_test(zip_bombs_stay_packed),
        cmocka_unit_test(bytes_behind_the_end_are_an_error),
        cmocka_unit_test(a_forbidden_global_is_named_with_its_offset_in_the_file),
        cmocka_unit_test(the_dict_with_tensors_is_found),
        cmocka_unit_test(dicts_within_dicts_are_walked_once),
        cmocka_unit_test(old_tars_and_other_pickles_are_told_how_to_convert),
        cmocka_unit_test(large_files_have_zip64_entries),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
