#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "convert/stream.h"
#include "tools/compose.h"

enum { MAX_TENSORS = 256, MAX_ELEMS = 4096 };

/* This program fails loudly: a broken expectation is a finding. */
void fuzz_demand(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* Files are in memory where the system has /dev/shm; a runner may say where with SMELT_FUZZ_DIR and clean up there. */
static char folder[256];

static void empty(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        char sub[1024];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (unlink(sub) != 0 && (errno == EISDIR || errno == EPERM)) {
            empty(sub);
            rmdir(sub);
        }
    }
    closedir(d);
}

static void leave(void)
{
    empty(folder);
    rmdir(folder);
}

static void enter(void)
{
    if (folder[0]) return;
    const char *dir = getenv("SMELT_FUZZ_DIR");
    if (!dir) dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/smelt-fuzz-XXXXXX", dir);
    fuzz_demand(mkdtemp(folder) != NULL, "cannot make a folder for the inputs");
    atexit(leave);
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_demand(fd >= 0, "cannot write an input");
    while (size) {
        ssize_t n = write(fd, data, size);
        fuzz_demand(n > 0, "cannot write an input");
        data += n;
        size -= (size_t)n;
    }
    close(fd);
}

void fuzz_check_status(smelt_status st, const smelt_err *err)
{
    if (st == SMELT_OK) return;
    fuzz_demand(err->code == st, "a status without its message");
    fuzz_demand(err->text[0] != 0, "an error without a text");
    fuzz_demand(memchr(err->text, 0, sizeof err->text) != NULL, "an error text without an end");
    fuzz_demand(utf8_valid(err->text, strlen(err->text)), "an error text that is not UTF-8");
    fuzz_demand(utf8_valid(err->where, strlen(err->where)), "a place that is not UTF-8");
}

static volatile uint8_t sink; /* what is read has to go somewhere */

static void touch(const smelt_tensor *t)
{
    const smelt_view *v = t->view;
    fuzz_demand(v != NULL, "a tensor without a view");
    uint64_t rows = view_rows(v), cols = view_cols(v), block = smelt_dtype_get(view_dtype(v))->elems, elems;
    fuzz_demand(shape_elems(&t->shape, &elems) && elems == rows * cols, "a tensor's shape is not its view's");
    if (!rows || !cols) return;
    uint64_t n = cols < MAX_ELEMS ? cols : MAX_ELEMS - MAX_ELEMS % block;
    if (!n) n = block;
    uint8_t *dst = malloc(view_col_bytes(v, n) + 1);
    fuzz_demand(dst != NULL, "out of memory");
    const uint64_t at[] = {0, rows / 2, rows - 1};
    for (size_t i = 0; i < 3; i++) {
        view_read(v, at[i], 0, n, dst);
        sink = (uint8_t)(sink ^ dst[0]);
        uint64_t last = cols - n;
        last -= last % block;
        view_read(v, at[i], last, n, dst);
        sink = (uint8_t)(sink ^ dst[0]);
    }
    free(dst);
}

static void walk(const smelt_model *m)
{
    for (size_t i = 0; i < m->n_tensors && i < MAX_TENSORS; i++)
        touch(&m->tensors[i]);
}

/* A layout must hold what it says: every tensor inside its file and no two on the same bytes. */
static void check_layout(const smelt_layout *l)
{
    for (size_t i = 0; i < l->n_tensors; i++) {
        const smelt_out_tensor *a = &l->tensors[i];
        fuzz_demand(a->file >= 0 && (size_t)a->file < l->n_files, "a tensor in no file");
        const smelt_out_file *f = &l->files[a->file];
        fuzz_demand(a->bytes <= f->size && a->offset <= f->size - a->bytes, "a tensor beyond its file's end");
        fuzz_demand(a->offset >= f->header_size || !a->bytes, "a tensor inside the header");
        for (size_t k = i + 1; k < l->n_tensors && k < i + 64; k++) {
            const smelt_out_tensor *b = &l->tensors[k];
            fuzz_demand(a->file != b->file || !a->bytes || !b->bytes || a->offset + a->bytes <= b->offset ||
                            b->offset + b->bytes <= a->offset,
                        "two tensors on the same bytes");
        }
    }
}

static void lay_out(const smelt_ctx *ctx, smelt_model *model)
{
    for (const smelt_format *const *f = ctx->formats; *f; f++) {
        if (!(*f)->project || !(*f)->layout) continue;
        smelt_err err = {0};
        smelt_plan plan = {0};
        smelt_write_opts opts = {.file_type = -1};
        char target[300];
        snprintf(target, sizeof target, "%s/out", folder);
        smelt_status st = plan_open(ctx, model, *f, target, &plan, &err);
        if (st == SMELT_OK) st = plan_layout(ctx, &plan, &opts, &err);
        if (st == SMELT_OK) check_layout(&plan.layout);
        fuzz_check_status(st, &err);
        plan_free(&plan);
    }
}

static void start(smelt_ctx *ctx)
{
    smelt_err err = {0};
    enter();
    fuzz_demand(ctx_init(ctx, &err) == SMELT_OK, "no context");
    ctx->threads = 1;
}

static void look(const smelt_ctx *ctx, const smelt_format *format, const char *path)
{
    smelt_model model;
    smelt_err err = {0};
    smelt_status st;
    if (format) {
        model_init(&model);
        model.format = format->name;
        model.path = model.title = "input";
        st = format->read(ctx, path, &model, &err);
    } else
        st = source_open(ctx, path, &model, &err);
    fuzz_check_status(st, &err);
    if (st == SMELT_OK) {
        walk(&model);
        lay_out(ctx, &model);
    }
    model_free(&model);
}

const char *fuzz_file(smelt_ctx *ctx, const char *suffix, const uint8_t *data, size_t size)
{
    static char path[300];
    start(ctx);
    snprintf(path, sizeof path, "%s/input%s", folder, suffix);
    put(path, data, size);
    return path;
}

int fuzz_reader(const smelt_format *format, const char *suffix, const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    const char *path = fuzz_file(&ctx, suffix, data, size);
    look(&ctx, format, path);
    return 0;
}

static bool plain(const char *name, size_t n)
{
    if (!n || n > 64 || name[0] == '.') return false;
    for (size_t i = 0; i < n; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
        if (!letter && !(name[i] >= '0' && name[i] <= '9') && name[i] != '.' && name[i] != '_' && name[i] != '-') return false;
    }
    return true;
}

const char *fuzz_unpack(smelt_ctx *ctx, const uint8_t *data, size_t size)
{
    static const char mark[] = "=== ";
    static char dir[300];
    enum { MARK = sizeof mark - 1 };
    char path[400];
    start(ctx);
    snprintf(dir, sizeof dir, "%s/model", folder);
    mkdir(dir, 0700);
    empty(dir);
    for (size_t at = 0; size - at > MARK && memcmp(data + at, mark, MARK) == 0;) {
        const char *name = (const char *)data + at + MARK, *line = memchr(name, '\n', size - at - MARK);
        if (!line) break;
        size_t from = (size_t)((const uint8_t *)line - data) + 1;
        /* A file ends at the next mark that starts a line; the line break before it is the mark's. */
        const uint8_t *next = memmem(data + from, size - from, "\n=== ", MARK + 1);
        if (size - from >= MARK && memcmp(data + from, mark, MARK) == 0) next = data + from - 1;
        size_t end = next ? (size_t)(next - data) : size;
        if (plain(name, (size_t)(line - name))) {
            snprintf(path, sizeof path, "%s/%.*s", dir, (int)(line - name), name);
            put(path, data + from, end > from ? end - from : 0);
        }
        at = next ? end + 1 : size;
    }
    return dir;
}

int fuzz_directory(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    const char *dir = fuzz_unpack(&ctx, data, size);
    look(&ctx, NULL, dir);
    return 0;
}

static smelt_status convert(const smelt_ctx *ctx, smelt_model *model, const smelt_format *format, const char *target,
                            smelt_err *err)
{
    smelt_plan plan = {0};
    smelt_write_opts opts = {.file_type = -1};
    smelt_stream_opts run = {0};
    smelt_stream_stats stats;
    smelt_status st = plan_open(ctx, model, format, target, &plan, err);
    if (st == SMELT_OK) st = plan_layout(ctx, &plan, &opts, err);
    if (st == SMELT_OK) {
        check_layout(&plan.layout);
        uint64_t total = 0;
        for (size_t i = 0; i < plan.layout.n_files; i++)
            total += plan.layout.files[i].size;
        /* Output may be larger than input (a strided tensor repeats its bytes), but not what a fuzzer has time for. */
        st = total > (1U << 22) ? smelt_fail(err, SMELT_E_LIMIT, "too large to write here")
                                : stream_run(ctx, &plan, &run, &stats, err);
    }
    plan_free(&plan);
    return st;
}

static void same_files(const char *a, const char *b)
{
    smelt_map *x = NULL, *y = NULL;
    fuzz_demand(map_open(a, &x, NULL) == SMELT_OK && map_open(b, &y, NULL) == SMELT_OK, "no output after success");
    fuzz_demand(x->size == y->size && (!x->size || memcmp(x->data, y->data, x->size) == 0), "the output depends on the threads");
    map_close(x);
    map_close(y);
}

int fuzz_round_trip(const char *suffix, const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_model model;
    smelt_err err = {0}, again = {0};
    const smelt_format *format;
    char in[300], one[300], three[300];
    start(&ctx);
    snprintf(in, sizeof in, "%s/input", folder);
    snprintf(one, sizeof one, "%s/one%s", folder, suffix);
    snprintf(three, sizeof three, "%s/three%s", folder, suffix);
    put(in, data, size);
    unlink(one);
    unlink(three);
    smelt_status st = source_open(&ctx, in, &model, &err);
    fuzz_check_status(st, &err);
    if (st == SMELT_OK) {
        fuzz_demand(format_for_target(&ctx, one, NULL, &format, &err) == SMELT_OK, "no format for the target");
        st = convert(&ctx, &model, format, one, &err);
        fuzz_check_status(st, &err);
        fuzz_demand((st == SMELT_OK) == path_exists(one), "status and target disagree");
        ctx.threads = 3;
        fuzz_demand(convert(&ctx, &model, format, three, &again) == st, "the status depends on the threads");
    }
    model_free(&model);
    if (st == SMELT_OK) {
        same_files(one, three);
        st = source_open(&ctx, one, &model, &err);
        fuzz_demand(st == SMELT_OK, err.text);
        walk(&model);
        model_free(&model);
    }
    return 0;
}
