/* The audit of files that are made here, byte by byte: what it finds, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "scratch.h"
#include "tools/compose.h"
#include "verify/audit.h"

static scratch work;
static smelt_ctx ctx;
static smelt_audit audit;

static size_t audit_path(const char *path)
{
    smelt_audit_scope scope = {0};
    smelt_err err = {0};
    audit_free(&audit);
    audit = (smelt_audit){0};
    const smelt_status st = audit_run(&ctx, path, &audit, &scope, &err);
    if (st != SMELT_OK) fail_msg("%s: %s", path, err.text);
    return audit.n;
}

static size_t audit_bytes(const char *name, const void *data, size_t n)
{
    const char *path = scratch_write(&work, name, data, n);
    assert_non_null(path);
    return audit_path(path);
}

/* That there is exactly one finding, of this kind, at this byte, with this in its text. */
static void only(const char *kind, uint64_t offset, const char *text)
{
    for (size_t i = 1; i < audit.n; i++)
        print_error("also: %s: %s\n", finding_kind(audit.list[i].id)->name, audit.list[i].text);
    assert_int_equal(audit.n, 1);
    assert_string_equal(finding_kind(audit.list[0].id)->name, kind);
    if (!strstr(audit.list[0].text, text)) fail_msg("'%s' is not in '%s'", text, audit.list[0].text);
    assert_int_equal(audit.list[0].offset, offset);
}

#define PICKLE(text) audit_bytes("x.bin", text, sizeof(text) - 1)

static void names_in_pickles_are_found_however_they_are_written(void **state)
{
    (void)state;
    PICKLE("\x80\2cos\nsystem\nX\2\0\0\0idq\1\x85R.");
    only("code-global", 2, "os.system");
    /* From the stack, through the memo, with something else in between. */
    PICKLE("\x80\4\x8c\2os\x94\x8c\6system\x94K\1\x30h\0h\1\x93\x8c\2id\x85R.");
    only("code-global", 23, "os.system");
    PICKLE("\x80\4(\x8c\5posix\x8c\6system0\x8c\5popen\x93.");
    only("code-global", 26, "posix.popen");
    /* A name that is put together is none that can be known. */
    PICKLE("\x80\4\x8c\2osK\1\x93.");
    only("code-global", 8, "computes");
    /* Protocol 0, as text. */
    PICKLE("cos\nsystem\n(S'id'\ntR.");
    only("code-global", 0, "os.system");
    PICKLE("(S'id'\nios\nsystem\n.");
    assert_int_equal(audit.n, 2);
    assert_string_equal(finding_kind(audit.list[0].id)->name, "code-opcode");
    assert_string_equal(finding_kind(audit.list[1].id)->name, "code-global");
    /* Behind the first pickle, and before a broken end. */
    PICKLE("\x80\2N.\x80\2cnt\nsystem\n.");
    only("code-global", 6, "nt.system");
    PICKLE("\x80\2cbuiltins\nexec\n\xff\xff");
    only("code-global", 2, "builtins.exec");
    /* By number, from a table that is somewhere else. */
    PICKLE("\x80\2\x82\1.");
    only("code-opcode", 2, "EXT1");
}

static void a_clean_checkpoint_is_clean(void **state)
{
    (void)state;
    static const char *const clean[] = {"tests/data/tiny-llama", "tests/data/torch_zip/small.pt",
                                        "tests/data/torch_zip/small-legacy.pt"};
    for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", SMELT_SOURCE_DIR, clean[i]);
        if (audit_path(path)) fail_msg("%s: %s: %s", path, finding_kind(audit.list[0].id)->name, audit.list[0].text);
    }
}

/* ---- safetensors ---- */

static size_t safetensors(const char *header, const char *data, size_t n)
{
    smelt_buf b = {0};
    buf_u64(&b, strlen(header));
    buf_put(&b, header, strlen(header));
    buf_put(&b, data, n);
    const size_t found = audit_bytes("x.safetensors", b.data, b.size);
    buf_free(&b);
    return found;
}

static void bytes_of_no_tensor_are_found(void **state)
{
    (void)state;
    static const char two[] =
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}";
    assert_int_equal(safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", "12", 2), 0);
    safetensors(two, "12xy34", 6);
    only("hidden-gap", 8 + sizeof two - 1 + 2, "2 bytes before tensor b");
    safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", "12evil", 6);
    only("hidden-trailing", 8 + 53 + 2, "4 bytes at the end");
}

static void values_that_are_not_finite_are_found(void **state)
{
    (void)state;
    safetensors("{\"a\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", "\0\0\0\x7c\0\x3c\0\x7e", 8);
    only("value-nonfinite", 8 + 56 + 2, "tensor 'a' (f16): 2 values are NaN or infinite, the first at element 1");
    safetensors("{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", "\x80\xff", 2);
    only("value-nonfinite", 8 + 55, "1 values");
}

/* ---- GGUF ---- */

static void put_string(smelt_buf *b, const char *s)
{
    buf_u64(b, strlen(s));
    buf_put(b, s, strlen(s));
}

static void put_key(smelt_buf *b, const char *key, const char *value)
{
    put_string(b, key);
    buf_u32(b, 8);
    put_string(b, value);
}

/* A file with one tensor of one q8_0 block whose scale is `scale`, and one key. */
static smelt_buf gguf(const char *key, const char *value, uint16_t scale)
{
    smelt_buf b = {0};
    buf_put(&b, "GGUF", 4);
    buf_u32(&b, 3);
    buf_u64(&b, 1);
    buf_u64(&b, 1);
    put_key(&b, key, value);
    put_string(&b, "w");
    buf_u32(&b, 1);
    buf_u64(&b, 32);
    buf_u32(&b, 8);
    buf_u64(&b, 0);
    buf_zeros(&b, (32 - b.size % 32) % 32);
    buf_u16(&b, scale);
    buf_zeros(&b, 32 + 30);
    return b;
}

static void a_gguf_is_looked_through(void **state)
{
    (void)state;
    smelt_buf b = gguf("tokenizer.chat_template", "{{ x.__class__ }}", 0x3C00);
    audit_bytes("x.gguf", b.data, b.size);
    only("template-escape", 24 + 8 + 23 + 4 + 8 + 5, "tokenizer.chat_template, line 1: reaches for '__class__'");
    buf_free(&b);

    b = gguf("general.name", "x", 0x3C00);
    assert_int_equal(audit_bytes("x.gguf", b.data, b.size), 0);
    const size_t end = b.size;
    b.data[end - 1] = 1; /* the padding of the last tensor */
    audit_bytes("x.gguf", b.data, b.size);
    only("hidden-trailing", end - 30, "1 of them are not zero");
    b.data[end - 1] = 0;
    buf_put(&b, "tail", 4);
    audit_bytes("x.gguf", b.data, b.size);
    only("hidden-trailing", end - 30, "34 bytes follow the last tensor, 4 of them are not zero");
    buf_free(&b);

    b = gguf("general.name", "x", 0x7C00);
    audit_bytes("x.gguf", b.data, b.size);
    only("scale-nonfinite", end - 64, "tensor 'w' (q8_0): 1 blocks");
    buf_free(&b);
    b = gguf("general.name", "x", 0xFBFF);
    audit_bytes("x.gguf", b.data, b.size);
    only("scale-saturated", end - 64, "tensor 'w' (q8_0): 1 scales");
    buf_free(&b);
}

static void what_is_no_model_is_no_finding(void **state)
{
    (void)state;
    smelt_audit_scope scope = {0};
    smelt_err err = {0};
    audit_free(&audit);
    audit = (smelt_audit){0};
    const char *path = scratch_write(&work, "page.gguf", "<html></html>", 13);
    assert_int_equal(audit_run(&ctx, path, &audit, &scope, &err), SMELT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "a web page"));
}

static void many_findings_are_counted_and_few_kept(void **state)
{
    (void)state;
    smelt_buf b = {0};
    buf_put(&b, "\x80\2", 2);
    for (int i = 0; i < 1000; i++)
        buf_put(&b, "ca\nb\n0", 6);
    buf_put(&b, "N.", 2);
    assert_int_equal(audit_bytes("x.bin", b.data, b.size), SMELT_FINDINGS_KEPT);
    assert_int_equal(audit.count[SMELT_FIND_CODE_GLOBAL], 1000);
    buf_free(&b);
}

static void every_kind_is_explained(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    const char *page;
    size_t n;
    smelt_err err = {0};
    assert_int_equal(file_read(&arena, SMELT_SOURCE_DIR "/docs/audit.md", 1 << 20, &page, &n, &err), SMELT_OK);
    for (int i = 0; i < SMELT_FIND_COUNT; i++) {
        const smelt_finding_kind *k = finding_kind((smelt_finding_id)i);
        char row[1024];
        snprintf(row, sizeof row, "| `%s` | %s | %s |", k->name, k->level == SMELT_LEVEL_ERROR ? "error" : "warning", k->text);
        if (!strstr(page, row)) fail_msg("docs/audit.md lacks the row %s", row);
    }
    arena_free(&arena);
}

int main(void)
{
    smelt_err err = {0};
    if (!scratch_open(&work) || ctx_init(&ctx, &err) != SMELT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_pickles_are_found_however_they_are_written),
        cmocka_unit_test(a_clean_checkpoint_is_clean),
        cmocka_unit_test(bytes_of_no_tensor_are_found),
        cmocka_unit_test(values_that_are_not_finite_are_found),
        cmocka_unit_test(a_gguf_is_looked_through),
        cmocka_unit_test(what_is_no_model_is_no_finding),
        cmocka_unit_test(many_findings_are_counted_and_few_kept),
        cmocka_unit_test(every_kind_is_explained),
    };
    const int failed = cmocka_run_group_tests_name("audit", tests, NULL, NULL);
    audit_free(&audit);
    scratch_close(&work);
    return failed;
}
