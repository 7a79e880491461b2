#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "formats/safetensors_write.h"
#include "scratch.h"

extern const smelt_format smelt_format_safetensors;
static const smelt_ctx ctx;

static int setup(void **state)
{
    static scratch s;
    *state = &s;
    return scratch_open(&s) ? 0 : -1;
}

static int teardown(void **state)
{
    scratch_close(*state);
    return 0;
}

/* A file of this header and `data_bytes` bytes counting up. */
static smelt_buf make_file(const char *header, size_t data_bytes)
{
    smelt_buf b = {0};
    buf_u64(&b, strlen(header));
    buf_put(&b, header, strlen(header));
    for (size_t i = 0; i < data_bytes; i++)
        buf_u8(&b, (uint8_t)i);
    return b;
}

static smelt_status read_bytes(scratch *s, const void *data, size_t n, smelt_model *model, smelt_err *err)
{
    *err = (smelt_err){0};
    model_init(model);
    const char *path = scratch_write(s, "x.safetensors", data, n);
    assert_non_null(path);
    return smelt_format_safetensors.read(&ctx, path, model, err);
}

static smelt_status status_of(scratch *s, const char *header, size_t data_bytes, smelt_err *err)
{
    smelt_buf b = make_file(header, data_bytes);
    smelt_model m;
    smelt_status st = read_bytes(s, b.data, b.size, &m, err);
    model_free(&m);
    buf_free(&b);
    return st;
}

/* Two tensors, the first one in the file being the second by name, and a scalar. */
static const char two[] = "{\"b\":{\"dtype\":\"I16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                          "\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[12,17]},"
                          "\"c\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[17,18]}}";

static void tensors_come_sorted_by_name_with_absolute_offsets(void **state)
{
    smelt_buf b = make_file(two, 18);
    smelt_model m;
    smelt_err err;
    assert_int_equal(read_bytes(*state, b.data, b.size, &m, &err), SMELT_OK);
    assert_int_equal(m.n_tensors, 3);
    const uint64_t data = 8 + strlen(two);
    static const struct {
        const char *name;
        smelt_dtype dtype;
        int dims;
        uint64_t at;
    } want[] = {{"a", SMELT_DT_U8, 1, 12}, {"b", SMELT_DT_I16, 2, 0}, {"c", SMELT_DT_F8_E4M3, 0, 17}};
    for (size_t i = 0; i < 3; i++) {
        const smelt_tensor *t = &m.tensors[i];
        assert_string_equal(t->name, want[i].name);
        assert_string_equal(t->file, "x.safetensors");
        assert_int_equal(t->dtype, want[i].dtype);
        assert_int_equal(t->shape.n, want[i].dims);
        assert_int_equal(t->offset, data + want[i].at);
        uint8_t first[2] = {0xEE, 0xEE};
        view_read(t->view, 0, 0, 1, first);
        assert_int_equal(first[0], want[i].at);
    }
    model_free(&m);
    buf_free(&b);
}

static void every_proper_prefix_of_a_file_is_refused(void **state)
{
    smelt_buf b = make_file(two, 18);
    for (size_t n = 0; n < b.size; n++) {
        smelt_model m;
        smelt_err err;
        assert_int_equal(read_bytes(*state, b.data, n, &m, &err), SMELT_E_TRUNCATED);
        assert_int_equal(err.code, SMELT_E_TRUNCATED);
        assert_true(err.has_offset);
        model_free(&m);
    }
    buf_free(&b);
}

static void a_byte_behind_the_last_tensor_is_refused(void **state)
{
    smelt_err err;
    assert_int_equal(status_of(*state, two, 19, &err), SMELT_E_CORRUPT);
    assert_int_equal(err.offset, 8 + strlen(two) + 18);
}

static void a_header_cut_at_any_byte_is_refused(void **state)
{
    char cut[sizeof two];
    for (size_t n = 0; n < sizeof two - 1; n++) {
        memcpy(cut, two, n);
        cut[n] = 0;
        smelt_err err;
        assert_int_equal(status_of(*state, cut, 18, &err), SMELT_E_CORRUPT);
    }
}

/* CVE-2026-7482: a tensor larger than its file made a quantizer copy what lay behind the file in memory. */
static void cve_2026_7482_a_tensor_beyond_the_end_of_the_file_is_refused(void **state)
{
    smelt_err err;
    assert_int_equal(status_of(*state, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1024],\"data_offsets\":[0,4096]}}", 16, &err),
                     SMELT_E_TRUNCATED);
    assert_non_null(strstr(err.where, "tensor 'a'"));
    assert_non_null(strstr(err.text, "the file ends at"));
}

/* CVE-2025-53630: sizes summed up with an overflow made a small total of large tensors. */
static void cve_2025_53630_offsets_that_would_overflow_are_refused(void **state)
{
    smelt_err err;
    assert_int_equal(
        status_of(*state,
                  "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[9223372036854775807,18446744073709551631]}}",
                  16, &err),
        SMELT_E_CORRUPT);
    assert_int_equal(
        status_of(*state, "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}}", 16,
                  &err),
        SMELT_E_TRUNCATED);
}

/* CVE-2026-27940: the same overflow through the product of dimensions and the size of an element. */
static void cve_2026_27940_shapes_whose_product_overflows_are_refused(void **state)
{
    static const char *const shapes[] = {"4294967296,4294967296", "4611686018427387904,4", "4611686018427387904",
                                         "9223372036854775807,9223372036854775807", "4611686018427387904,4611686018427387904,0"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char header[256];
        snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,0]}}", shapes[i]);
        smelt_err err;
        assert_int_equal(status_of(*state, header, 0, &err), SMELT_E_CORRUPT);
        assert_non_null(strstr(err.text, "64 bits"));
    }
}

static void an_entry_and_the_metadata_have_limits(void **state)
{
    smelt_err err;
    smelt_buf b = {0};
    buf_printf(&b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],%*s\"data_offsets\":[0,0]}}", 65536, "");
    buf_u8(&b, 0);
    assert_int_equal(status_of(*state, (const char *)b.data, 0, &err), SMELT_E_LIMIT);
    for (int keys = 64 * 1024; keys < 64 * 1024 + 2; keys++) {
        b.size = 0;
        buf_printf(&b, "{\"__metadata__\":{\"0\":\"\"");
        for (int i = 1; i < keys; i++)
            buf_printf(&b, ",\"%d\":\"\"", i);
        buf_printf(&b, "}}");
        buf_u8(&b, 0);
        assert_int_equal(status_of(*state, (const char *)b.data, 0, &err), keys > 64 * 1024 ? SMELT_E_LIMIT : SMELT_OK);
    }
    buf_free(&b);
}

static void the_probe_takes_content_before_names(void **state)
{
    (void)state;
    static const struct {
        const char *path, *head;
        size_t n;
        bool want;
    } rows[] = {
        {"x", "\2\0\0\0\0\0\0\0{}", 10, true},
        {"x", "\2\0\0\0\0\0\0\0[]", 10, false},
        {"x", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, false},
        {"x.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, true},
        {"x.safetensors", "\2\0", 2, true},
        {"x.safetensors", "version https://git-lfs", 23, false},
        {"x.safetensors", "<!DOCTYPE html>", 15, false},
        {"x.safetensors", "PK\3\4\0\0\0\0\0\0", 10, false},
        {"x.safetensors", "", 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        smelt_probe p = {
            .path = rows[i].path, .head = (const uint8_t *)rows[i].head, .head_size = rows[i].n, .file_size = rows[i].n};
        assert_int_equal(smelt_format_safetensors.probe(&p), rows[i].want);
    }
}

/* Names, types and shapes of a model without bytes that matter. */
typedef struct spec {
    const char *name;
    smelt_dtype dtype;
    uint64_t rows, cols;
} spec;

static const uint8_t zeros[1 << 16];

static void make_model(smelt_model *m, const spec *specs, size_t n, smelt_dtype *types)
{
    model_init(m);
    for (size_t i = 0; i < n; i++) {
        smelt_shape shape = {specs[i].cols ? 2 : 1, {specs[i].rows, specs[i].cols}};
        uint64_t elems, bytes = 0;
        const smelt_view *view;
        assert_true(shape_elems(&shape, &elems) && smelt_dtype_bytes(specs[i].dtype, elems, &bytes) && bytes <= sizeof zeros);
        assert_int_equal(view_bytes(&m->arena, specs[i].dtype, &shape, zeros, bytes, &view, NULL), SMELT_OK);
        assert_int_equal(model_add(m, specs[i].name, strlen(specs[i].name), view, NULL, 0, NULL), SMELT_OK);
        types[i] = specs[i].dtype;
    }
}

static void the_header_is_the_one_the_safetensors_package_writes(void **state)
{
    (void)state;
    /* safetensors 0.8.0, save_file(…, metadata={"format": "pt"}) of these tensors. */
    static const char expected[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"n12\":{\"dtype\":\"U64\",\"shape\":[3],\"data_offsets\":[0,24]},"
        "\"n05\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[24,48]},"
        "\"n17\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[48,72]},"
        "\"n10\":{\"dtype\":\"C64\",\"shape\":[3],\"data_offsets\":[72,96]},"
        "\"n03\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[96,108]},"
        "\"n15\":{\"dtype\":\"U32\",\"shape\":[3],\"data_offsets\":[108,120]},"
        "\"n08\":{\"dtype\":\"I32\",\"shape\":[3],\"data_offsets\":[120,132]},"
        "\"n01\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[132,138]},"
        "\"n13\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[138,144]},"
        "\"n06\":{\"dtype\":\"U16\",\"shape\":[3],\"data_offsets\":[144,150]},"
        "\"n18\":{\"dtype\":\"I16\",\"shape\":[3],\"data_offsets\":[150,156]},"
        "\"n11\":{\"dtype\":\"F8_E5M2FNUZ\",\"shape\":[3],\"data_offsets\":[156,159]},"
        "\"n04\":{\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[3],\"data_offsets\":[159,162]},"
        "\"n16\":{\"dtype\":\"F8_E8M0\",\"shape\":[3],\"data_offsets\":[162,165]},"
        "\"n09\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[165,168]},"
        "\"n02\":{\"dtype\":\"F8_E5M2\",\"shape\":[3],\"data_offsets\":[168,171]},"
        "\"n14\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[171,174]},"
        "\"n07\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[174,177]},"
        "\"n00\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[177,180]}}     ";
    static const spec specs[] = {
        {"n00", SMELT_DT_BOOL, 3, 0},    {"n01", SMELT_DT_BF16, 3, 0},        {"n02", SMELT_DT_F8_E5M2, 3, 0},
        {"n03", SMELT_DT_F32, 3, 0},     {"n04", SMELT_DT_F8_E4M3FNUZ, 3, 0}, {"n05", SMELT_DT_I64, 3, 0},
        {"n06", SMELT_DT_U16, 3, 0},     {"n07", SMELT_DT_U8, 3, 0},          {"n08", SMELT_DT_I32, 3, 0},
        {"n09", SMELT_DT_F8_E4M3, 3, 0}, {"n10", SMELT_DT_C64, 3, 0},         {"n11", SMELT_DT_F8_E5M2FNUZ, 3, 0},
        {"n12", SMELT_DT_U64, 3, 0},     {"n13", SMELT_DT_F16, 3, 0},         {"n14", SMELT_DT_I8, 3, 0},
        {"n15", SMELT_DT_U32, 3, 0},     {"n16", SMELT_DT_F8_E8M0, 3, 0},     {"n17", SMELT_DT_F64, 3, 0},
        {"n18", SMELT_DT_I16, 3, 0},
    };
    enum { N = sizeof specs / sizeof *specs };
    smelt_dtype types[N];
    smelt_model m, out;
    smelt_layout layout = {0};
    make_model(&m, specs, N, types);
    model_init(&out);
    assert_int_equal(smelt_format_safetensors.project(&ctx, &m, &out, NULL), SMELT_OK);
    assert_int_equal(
        smelt_format_safetensors.layout(&ctx, &m, &out, types, "some/out.safetensors", &(smelt_write_opts){0}, &layout, NULL),
        SMELT_OK);
    assert_int_equal(layout.n_files, 1);
    assert_false(layout.dir);
    assert_string_equal(layout.files[0].name, "out.safetensors");
    assert_int_equal(layout.files[0].header_size, 8 + sizeof expected - 1);
    assert_int_equal(load_le64(layout.files[0].header), sizeof expected - 1);
    assert_memory_equal((const char *)layout.files[0].header + 8, expected, sizeof expected - 1);
    assert_int_equal(layout.files[0].size, 8 + sizeof expected - 1 + 180);
    uint64_t at = layout.files[0].header_size;
    for (size_t i = 0; i < layout.n_tensors; i++) {
        assert_int_equal(layout.tensors[i].offset, at);
        at += layout.tensors[i].bytes;
    }
    assert_int_equal(at, layout.files[0].size);
    assert_int_equal(layout.n_tensors, N);
    arena_free(&layout.arena);
    model_free(&out);
    model_free(&m);
}

static void every_type_with_a_name_is_written_and_read_and_no_other(void **state)
{
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
        assert_int_equal(smelt_format_safetensors.can_store((smelt_dtype)d), row->st_name != NULL);
        smelt_dtype type;
        smelt_model m, back;
        smelt_layout layout = {0};
        make_model(&m, &(spec){"x", (smelt_dtype)d, 3, 256}, 1, &type);
        smelt_status st = safetensors_layout_file(&m, &m, &type, "x", &(smelt_write_opts){0}, &layout, NULL);
        assert_int_equal(st, row->st_name ? SMELT_OK : SMELT_E_UNSUPPORTED);
        if (st == SMELT_OK) {
            smelt_buf b = {0};
            smelt_err err;
            buf_put(&b, layout.files[0].header, layout.files[0].header_size);
            buf_zeros(&b, layout.files[0].size - b.size);
            assert_int_equal(read_bytes(*state, b.data, b.size, &back, &err), SMELT_OK);
            assert_int_equal(back.tensors[0].dtype, d);
            model_free(&back);
            buf_free(&b);
        }
        arena_free(&layout.arena);
        model_free(&m);
    }
}

/* A type that the list of the writing order lacks would be placed behind all others. */
static void the_writing_order_knows_every_type(void **state)
{
    (void)state;
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        if (!smelt_dtype_get((smelt_dtype)d)->st_name || d == SMELT_DT_BOOL) continue;
        const spec specs[] = {{"a", SMELT_DT_BOOL, 4, 0}, {"b", (smelt_dtype)d, 4, 0}};
        smelt_dtype types[2];
        smelt_model m;
        smelt_layout layout = {0};
        make_model(&m, specs, 2, types);
        assert_int_equal(safetensors_layout_file(&m, &m, types, "x", &(smelt_write_opts){0}, &layout, NULL), SMELT_OK);
        assert_string_equal(layout.tensors[0].src->name, "b");
        arena_free(&layout.arena);
        model_free(&m);
    }
}

static void metadata_survives_a_round_trip_with_every_kind_of_character(void **state)
{
    smelt_model m, back;
    smelt_layout layout = {0};
    static const char value[] = "q\" b\\ / \b\f\n\r\t \x01\x1f \x7f \xc3\xa9 \xf0\x9f\x98\x80 nul\0end";
    model_init(&m);
    assert_true(meta_str(&m.meta, "safetensors.note \"x\"", value, sizeof value - 1));
    assert_true(meta_str(&m.meta, "safetensors.format", "np", 2));
    assert_true(meta_str(&m.meta, "general.name", "not for here", 12));
    assert_int_equal(safetensors_layout_file(&m, &m, NULL, "x", &(smelt_write_opts){0}, &layout, NULL), SMELT_OK);
    static const char expected[] =
        "{\"__metadata__\":{\"note \\\"x\\\"\":\"q\\\" b\\\\ / \\b\\f\\n\\r\\t \\u0001\\u001f \x7f \xc3\xa9 "
        "\xf0\x9f\x98\x80 nul\\u0000end\",\"format\":\"np\"}}";
    assert_memory_equal((const char *)layout.files[0].header + 8, expected, sizeof expected - 1);
    smelt_err err;
    assert_int_equal(read_bytes(*state, layout.files[0].header, layout.files[0].size, &back, &err), SMELT_OK);
    smelt_str s;
    assert_int_equal(back.meta.count, 2);
    assert_true(meta_get_str(&back.meta, "safetensors.note \"x\"", &s));
    assert_int_equal(s.n, sizeof value - 1);
    assert_memory_equal(s.p, value, sizeof value - 1);
    assert_true(meta_get_str(&back.meta, "safetensors.format", &s) && str_eq(s, "np"));
    model_free(&back);
    arena_free(&layout.arena);
    model_free(&m);
}

static void shards_are_those_of_huggingface_hub(void **state)
{
    (void)state;
    /* huggingface_hub's split_torch_state_dict_into_shards of these sizes with max_shard_size=100, in this order: a tensor
     * above the limit is closed into a shard of its own before the one that is being filled. */
    static const spec specs[] = {
        {"a", SMELT_DT_U8, 60, 0}, {"big", SMELT_DT_U8, 101, 0}, {"b", SMELT_DT_F32, 10, 0},
        {"c", SMELT_DT_U8, 1, 0},  {"d", SMELT_DT_U8, 99, 0},    {"\xc3\xa9\xf0\x9f\x98\x80", SMELT_DT_U8, 1, 0},
    };
    enum { N = sizeof specs / sizeof *specs };
    static const int shard[N] = {1, 0, 1, 2, 2, 3};
    smelt_dtype types[N];
    smelt_model m;
    smelt_layout layout = {0};
    make_model(&m, specs, N, types);
    assert_int_equal(safetensors_layout_dir(&m, &m, types, &(smelt_write_opts){.split_bytes = 100}, &layout, NULL), SMELT_OK);
    assert_int_equal(layout.n_files, 5);
    assert_int_equal(layout.n_tensors, N);
    for (size_t i = 0; i < N; i++) {
        const smelt_out_tensor *t = &layout.tensors[i];
        assert_int_equal(t->file, shard[t->src - m.tensors]);
        assert_true(t->offset + t->bytes <= layout.files[t->file].size);
    }
    assert_string_equal(layout.files[0].name, "model-00001-of-00004.safetensors");
    assert_string_equal(layout.files[4].name, "model.safetensors.index.json");
    /* json.dumps({"metadata": {"total_parameters": …, "total_size": …}, "weight_map": …}, indent=2, sort_keys=True) + "\n" */
    static const char index[] = "{\n  \"metadata\": {\n    \"total_parameters\": 272,\n    \"total_size\": 302\n  },\n"
                                "  \"weight_map\": {\n    \"a\": \"model-00002-of-00004.safetensors\",\n"
                                "    \"b\": \"model-00002-of-00004.safetensors\",\n"
                                "    \"big\": \"model-00001-of-00004.safetensors\",\n"
                                "    \"c\": \"model-00003-of-00004.safetensors\",\n"
                                "    \"d\": \"model-00003-of-00004.safetensors\",\n"
                                "    \"\\u00e9\\ud83d\\ude00\": \"model-00004-of-00004.safetensors\"\n  }\n}\n";
    assert_int_equal(layout.files[4].size, sizeof index - 1);
    assert_memory_equal(layout.files[4].header, index, sizeof index - 1);
    arena_free(&layout.arena);
    model_free(&m);
}

static void one_shard_has_the_plain_name_and_no_index(void **state)
{
    (void)state;
    static const spec specs[] = {{"a", SMELT_DT_U8, 60, 0}, {"b", SMELT_DT_U8, 40, 0}};
    smelt_dtype types[2];
    smelt_model m;
    make_model(&m, specs, 2, types);
    for (uint64_t max = 99; max < 102; max++) {
        smelt_layout layout = {0};
        assert_int_equal(safetensors_layout_dir(&m, &m, types, &(smelt_write_opts){.split_bytes = max}, &layout, NULL), SMELT_OK);
        assert_int_equal(layout.n_files, max < 100 ? 3 : 1);
        if (max >= 100) assert_string_equal(layout.files[0].name, "model.safetensors");
        arena_free(&layout.arena);
    }
    smelt_layout layout = {0};
    assert_int_equal(safetensors_layout_dir(&m, &m, types, &(smelt_write_opts){.split_tensors = 1}, &layout, NULL), SMELT_OK);
    assert_int_equal(layout.n_files, 3);
    arena_free(&layout.arena);
    model_free(&m);
}

static void a_single_file_cannot_be_split(void **state)
{
    (void)state;
    smelt_model m;
    smelt_layout layout = {0};
    model_init(&m);
    assert_int_equal(
        smelt_format_safetensors.layout(&ctx, &m, &m, NULL, "x.safetensors", &(smelt_write_opts){.split_bytes = 1}, &layout, NULL),
        SMELT_E_USAGE);
    arena_free(&layout.arena);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_sorted_by_name_with_absolute_offsets),
        cmocka_unit_test(every_proper_prefix_of_a_file_is_refused),
        cmocka_unit_test(a_byte_behind_the_last_tensor_is_refused),
        cmocka_unit_test(a_header_cut_at_any_byte_is_refused),
        cmocka_unit_test(cve_2026_7482_a_tensor_beyond_the_end_of_the_file_is_refused),
        cmocka_unit_test(cve_2025_53630_offsets_that_would_overflow_are_refused),
        cmocka_unit_test(cve_2026_27940_shapes_whose_product_overflows_are_refused),
        cmocka_unit_test(an_entry_and_the_metadata_have_limits),
        cmocka_unit_test(the_probe_takes_content_before_names),
        cmocka_unit_test(the_header_is_the_one_the_safetensors_package_writes),
        cmocka_unit_test(every_type_with_a_name_is_written_and_read_and_no_other),
        cmocka_unit_test(the_writing_order_knows_every_type),
        cmocka_unit_test(metadata_survives_a_round_trip_with_every_kind_of_character),
        cmocka_unit_test(shards_are_those_of_huggingface_hub),
        cmocka_unit_test(one_shard_has_the_plain_name_and_no_index),
        cmocka_unit_test(a_single_file_cannot_be_split),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
