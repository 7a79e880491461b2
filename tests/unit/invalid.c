/* Walks tests/invalid/FORMAT/CASE: each case is an input that the reader of that format must refuse, and the refusal.
 *
 * The input is the file `input.hex` (bytes as text, see below), or `input` as it is, or the folder `dir/` (a copy is opened in
 * which every NAME.hex has become NAME). The format's `read` gets it.
 * `error` holds on its first line the status without SMELT_, and the byte offset if one must be said; the lines after it are
 * the message, "WHERE: TEXT", in which INPUT stands for the path that was opened and * for anything.
 *
 * input.hex: pairs of hex digits; XX*N repeats a byte N times; "text" is itself, with \" \\ \n \0 \xHH; s"text" is preceded
 * by its length as 8 bytes; le16:N le32:N le64:N are little-endian numbers; # begins a comment. */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "scratch.h"
#include "tools/compose.h"
#include "verify/recorded.h"

/* Opens an input and looks at all of it. */
typedef smelt_status read_fn(const smelt_ctx *c, const char *path, smelt_model *model, smelt_err *err);

typedef struct invalid_case {
    read_fn *read;
    char folder[512];
    char name[256];
} invalid_case;

static smelt_ctx ctx;
static scratch work;

static bool load(const char *path, smelt_buf *out)
{
    char chunk[4096];
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(out, chunk, n);
    fclose(f);
    return !out->failed;
}

static const char *text_token(const char *p, smelt_buf *out)
{
    static const char name[] = "\"\\n0", byte[] = "\"\\\n\0";
    for (; *p && *p != '"'; p++) {
        if (*p != '\\') {
            buf_u8(out, (uint8_t)*p);
            continue;
        }
        const char *at = *++p ? strchr(name, *p) : NULL;
        unsigned value;
        if (at)
            buf_u8(out, (uint8_t)byte[at - name]);
        else if (*p == 'x' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) && sscanf(p + 1, "%2x", &value) == 1) {
            buf_u8(out, (uint8_t)value);
            p += 2;
        } else
            return NULL;
    }
    return *p ? p + 1 : NULL;
}

/* Reads one token at `p` and returns what follows, or NULL. */
static const char *token(const char *p, smelt_buf *out)
{
    static const struct {
        const char *prefix;
        size_t bytes;
    } numbers[] = {{"le16:", 2}, {"le32:", 4}, {"le64:", 8}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strncmp(p, numbers[i].prefix, 5) == 0) {
            char *end;
            uint8_t le[8];
            store_le64(le, strtoull(p + 5, &end, 0));
            buf_put(out, le, numbers[i].bytes);
            return end;
        }
    if (*p == '"') return text_token(p + 1, out);
    if (p[0] == 's' && p[1] == '"') {
        const size_t at = out->size;
        buf_u64(out, 0);
        p = text_token(p + 2, out);
        if (p && !out->failed) store_le64(out->data + at, out->size - at - 8);
        return p;
    }
    unsigned value;
    if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || sscanf(p, "%2x", &value) != 1) return NULL;
    p += 2;
    unsigned long times = 1;
    if (*p == '*') {
        char *end;
        times = strtoul(p + 1, &end, 10);
        p = end;
    }
    while (times--)
        buf_u8(out, (uint8_t)value);
    return p;
}

static bool from_hex(const char *text, smelt_buf *out)
{
    for (const char *p = text; *p;) {
        if (*p == '#')
            p += strcspn(p, "\n");
        else if (isspace((unsigned char)*p))
            p++;
        else if (!(p = token(p, out)))
            return false;
    }
    return !out->failed;
}

/* Copies a file to `to`, turning NAME.hex into bytes. */
static void copy_file(const char *from, const char *to)
{
    smelt_buf raw = {0}, bytes = {0};
    char target[1024];
    snprintf(target, sizeof target, "%s", to);
    assert_true(load(from, &raw));
    const size_t n = strlen(target);
    if (n > 4 && strcmp(target + n - 4, ".hex") == 0) {
        target[n - 4] = 0;
        buf_u8(&raw, 0);
        if (!from_hex((const char *)raw.data, &bytes)) fail_msg("%s: not understood", from);
    } else
        buf_put(&bytes, raw.data, raw.size);
    FILE *f = fopen(target, "wb");
    assert_non_null(f);
    if (bytes.size) assert_int_equal(fwrite(bytes.data, 1, bytes.size, f), bytes.size);
    assert_int_equal(fclose(f), 0);
    buf_free(&raw);
    buf_free(&bytes);
}

static void copy_dir(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0777), 0);
    DIR *d = opendir(from);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char a[1024], b[1024], link[256];
        snprintf(a, sizeof a, "%s/%s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%s", to, e->d_name);
        struct stat st;
        assert_int_equal(lstat(a, &st), 0);
        if (S_ISDIR(st.st_mode))
            copy_dir(a, b);
        else if (S_ISLNK(st.st_mode)) {
            const ssize_t n = readlink(a, link, sizeof link - 1);
            assert_true(n > 0);
            link[n] = 0;
            assert_int_equal(symlink(link, b), 0);
        } else
            copy_file(a, b);
    }
    closedir(d);
}

static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = text;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            mark = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++mark;
        } else
            return false;
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static const char *status_name(smelt_status st)
{
#define X(name, number, exit_code, text) {#name, number},
    static const struct {
        const char *name;
        int number;
    } rows[] = {SMELT_STATUS_LIST(X)};
#undef X
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == (int)st) return rows[i].name;
    return "?";
}

/* "STATUS OFFSET\nWHERE: TEXT" with the path of the input as INPUT. */
static void describe(smelt_status st, const smelt_err *err, const char *path, smelt_buf *out)
{
    buf_printf(out, "%s", status_name(st));
    if (err->has_offset) buf_printf(out, " %" PRIu64, err->offset);
    buf_printf(out, "\n");
    const size_t n = strlen(path);
    const bool inside = strncmp(err->where, path, n) == 0;
    if (err->where[0]) buf_printf(out, "%s%s: ", inside ? "INPUT" : "", err->where + (inside ? n : 0));
    buf_printf(out, "%s", err->text);
    buf_u8(out, 0);
}

static smelt_status read_recorded(const smelt_ctx *c, const char *path, smelt_model *model, smelt_err *err)
{
    smelt_reference *r;
    reference_chunk chunk;
    size_t n;
    SMELT_TRY(source_open(c, path, model, err));
    assert_true(recorded_is(model));
    SMELT_TRY(recorded_open(model, 0, &r, err));
    smelt_status st;
    do
        st = r->ops->next(r, 1, &chunk, &n, err);
    while (st == SMELT_OK && n);
    reference_close(r);
    return st;
}

/* What reads more than a format does. */
static const struct {
    const char *name;
    read_fn *read;
} readers[] = {{"recorded", read_recorded}};

static void is_refused_as_it_says(void **state)
{
    const invalid_case *c = *state;
    char from[1024], to[1024];
    snprintf(to, sizeof to, "%s/input", work.dir);
    snprintf(from, sizeof from, "%s/dir", c->folder);
    struct stat st;
    if (stat(from, &st) == 0)
        copy_dir(from, to);
    else {
        char target[1040];
        snprintf(from, sizeof from, "%s/input.hex", c->folder);
        const bool hex = stat(from, &st) == 0;
        if (!hex) snprintf(from, sizeof from, "%s/input", c->folder);
        snprintf(target, sizeof target, "%s%s", to, hex ? ".hex" : "");
        copy_file(from, target);
    }
    smelt_model model;
    smelt_err err = {0};
    model_init(&model);
    const smelt_status status = c->read(&ctx, to, &model, &err);
    model_free(&model);
    scratch_close(&work);
    assert_int_equal(mkdir(work.dir, 0700), 0);

    smelt_buf got = {0}, want = {0};
    describe(status, &err, to, &got);
    snprintf(from, sizeof from, "%s/error", c->folder);
    if (!load(from, &want)) fail_msg("%s is missing; the reader says:\n%s", from, (const char *)got.data);
    while (want.size && want.data[want.size - 1] == '\n')
        want.size--;
    buf_u8(&want, 0);
    if (!matches((const char *)want.data, (const char *)got.data))
        fail_msg("\nexpected: %s\n     got: %s", (const char *)want.data, (const char *)got.data);
    assert_int_equal(smelt_status_exit_code(status), 3);
    assert_int_equal(status, err.code);
    buf_free(&got);
    buf_free(&want);
}

static int by_case_name(const void *a, const void *b)
{
    const struct CMUnitTest *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum { MAX_CASES = 4096 };

/* The cases of tests/invalid/NAME; returns how many there are now. */
static size_t add_cases(const char *name, read_fn *read, invalid_case *cases, struct CMUnitTest *tests, size_t n)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s/tests/invalid/%s", SMELT_SOURCE_DIR, name);
    DIR *d = opendir(folder);
    if (!d) return n;
    for (struct dirent *e; n < MAX_CASES && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        invalid_case *c = &cases[n];
        c->read = read;
        snprintf(c->folder, sizeof c->folder, "%s/%.200s", folder, e->d_name);
        snprintf(c->name, sizeof c->name, "%s/%.200s", name, e->d_name);
        tests[n++] = (struct CMUnitTest){.name = c->name, .test_func = is_refused_as_it_says, .initial_state = c};
    }
    closedir(d);
    return n;
}

int main(void)
{
    static invalid_case cases[MAX_CASES];
    static struct CMUnitTest tests[MAX_CASES];
    size_t n = 0;
    smelt_err err = {0};
    if (ctx_init(&ctx, &err) != SMELT_OK || !scratch_open(&work)) return 1;
    for (const smelt_format *const *f = ctx.formats; *f; f++)
        n = add_cases((*f)->name, (*f)->read, cases, tests, n);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        n = add_cases(readers[i].name, readers[i].read, cases, tests, n);
    qsort(tests, n, sizeof *tests, by_case_name);
    const int failed = _cmocka_run_group_tests("invalid", tests, n, NULL, NULL);
    scratch_close(&work);
    return failed || !n;
}
