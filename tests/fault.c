/* Fails the k-th allocation, and the k-th call to the system, for every k of a conversion. Each time: the status is the right
 * one with a message, nothing is under the target's name (or all of it, where the trouble came after the renaming), nothing
 * leaks (where a sanitizer looks), and a second run with `resume` ends with the bytes of an undisturbed run.
 *
 * The linker puts __wrap_NAME in the place of NAME in the static library (see CMakeLists.txt), so the library has no hook. What
 * other libraries allocate is out of its reach; jansson's could be failed through json_set_alloc_funcs, but its scanner drops
 * a character whose buffer does not grow without telling, so that a failure in there cannot be told from other input. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <xxhash.h>

#include "scratch.h"
#include "smelt.h"

typedef enum kind { NOTHING, MEMORY, SYSTEM, PIECES } kind;

static struct {
    kind what;
    long at, seen; /* the call that fails, calls so far */
    const char *hit;
} fault;

static bool fails(kind what, const char *name)
{
    if (fault.what != what) return false;
    long n = __atomic_add_fetch(&fault.seen, 1, __ATOMIC_RELAXED);
    if (n != fault.at) return false;
    fault.hit = name;
    return true;
}

/* Every other transfer is interrupted, and the rest moves half of what is asked. */
static bool interrupted(size_t *n)
{
    if (fault.what != PIECES) return false;
    if (__atomic_add_fetch(&fault.seen, 1, __ATOMIC_RELAXED) % 2) {
        errno = EINTR;
        return true;
    }
    if (*n > 1) *n /= 2;
    return false;
}

#define FAIL(name, error, value) \
    if (fails(SYSTEM, #name)) return errno = (error), (value)

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return fails(MEMORY, "malloc") ? NULL : __real_malloc(n); }

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) { return fails(MEMORY, "calloc") ? NULL : __real_calloc(n, size); }

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n) { return fails(MEMORY, "realloc") ? NULL : __real_realloc(p, n); }

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    FAIL(open, EMFILE, -1);
    return __real_open64(path, flags, mode);
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st)
{
    FAIL(fstat, EIO, -1);
    return __real_fstat64(fd, st);
}

void *__real_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    FAIL(mmap, ENODEV, MAP_FAILED);
    return __real_mmap64(at, n, prot, flags, fd, offset);
}

ssize_t __real_pread64(int fd, void *p, size_t n, off_t offset);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t offset);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t offset)
{
    FAIL(pread, EIO, -1);
    return interrupted(&n) ? -1 : __real_pread64(fd, p, n, offset);
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t offset)
{
    FAIL(pwrite, ENOSPC, -1);
    return interrupted(&n) ? -1 : __real_pwrite64(fd, p, n, offset);
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    FAIL(write, ENOSPC, -1);
    return __real_write(fd, p, n);
}

int __real_ftruncate64(int fd, off_t n);
int __wrap_ftruncate64(int fd, off_t n);
int __wrap_ftruncate64(int fd, off_t n)
{
    FAIL(ftruncate, EFBIG, -1);
    return __real_ftruncate64(fd, n);
}

int __real_fallocate64(int fd, int mode, off_t offset, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t n)
{
    FAIL(fallocate, ENOSPC, -1);
    return __real_fallocate64(fd, mode, offset, n);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    FAIL(fsync, EIO, -1);
    return __real_fsync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    FAIL(rename, EACCES, -1);
    return __real_rename(from, to);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    FAIL(mkdir, ENOSPC, -1);
    return __real_mkdir(path, mode);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    FAIL(opendir, EMFILE, NULL);
    return __real_opendir(path);
}

static long checks, failures;

#define CHECK(ok, ...) \
    do { \
        checks++; \
        if (!(ok)) { \
            failures++; \
            printf("FAILED: " __VA_ARGS__); \
            printf("\n"); \
        } \
    } while (0)

typedef smelt_status convert_fn(const char *src, const char *dst, const smelt_convert_opts *opts, smelt_err *err);

static const struct {
    const char *name, *src, *dst;
    convert_fn *run;
    smelt_convert_opts opts;
} cases[] = {
    {"safetensors to safetensors", "tiny-llama/model.safetensors", "out.safetensors", smelt_convert, {.type = "f16"}},
    {"safetensors to PyTorch", "tiny-llama/model.safetensors", "out.pt", smelt_convert, {.type = "bf16"}},
    {"directory to GGUF", "tiny-llama", "out.gguf", smelt_convert, {0}},
    {"directory to quantised GGUF", "tiny-llama", "out.gguf", smelt_quantize, {.type = "Q4_0"}},
    {"directory to GGUF with a manifest", "tiny-llama", "out.gguf", smelt_quantize, {.type = "Q8_0", .manifest = "out.json"}},
    {"directory to split GGUF", "tiny-llama", "out.gguf", smelt_quantize, {.type = "Q8_0", .split_tensors = 7}},
    {"directory to directory", "tiny-llama", "out", smelt_convert, {.split_bytes = 100000}},
    {"PyTorch to safetensors", "torch_zip/small.pt", "out.safetensors", smelt_convert, {0}},
};

static scratch work;

/* Hash of names and content of what is visible in a folder, 0 if that is nothing. */
static uint64_t visible(const char *path)
{
    uint64_t sum = 0;
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char sub[2048];
        const char *name = list[i]->d_name;
        snprintf(sub, sizeof sub, "%s/%s", path, name);
        if (name[0] != '.') {
            struct stat st;
            uint64_t h = XXH3_64bits(name, strlen(name));
            if (stat(sub, &st) == 0 && S_ISDIR(st.st_mode))
                h ^= visible(sub) * 3 + 1;
            else {
                FILE *f = fopen(sub, "rb");
                char *data = malloc((size_t)st.st_size + 1);
                size_t got = f && data ? fread(data, 1, (size_t)st.st_size + 1, f) : 0;
                h ^= XXH3_64bits(data, got) * 5 + 1;
                free(data);
                if (f) fclose(f);
            }
            sum = sum * 31 + h;
        }
        free(list[i]);
    }
    if (n >= 0) free(list);
    return sum;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type;
    return ftw->level ? remove(path) : 0;
}

static void clear(void) { nftw(work.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static smelt_status run(size_t c, bool resume, smelt_err *err)
{
    char src[1024], dst[1024], manifest[1024];
    smelt_convert_opts opts = cases[c].opts;
    opts.threads = 1;
    opts.resume = resume;
    snprintf(src, sizeof src, "%s/tests/data/%s", SMELT_SOURCE_DIR, cases[c].src);
    snprintf(dst, sizeof dst, "%s/%s", work.dir, cases[c].dst);
    snprintf(manifest, sizeof manifest, "%s/%s", work.dir, opts.manifest ? opts.manifest : "");
    if (opts.manifest) opts.manifest = manifest;
    *err = (smelt_err){0};
    return cases[c].run(src, dst, &opts, err);
}

static void arm(kind what, long at)
{
    fault.what = what;
    fault.at = at;
    fault.seen = 0;
    fault.hit = NULL;
}

/* The hash of what is there where the manifest, which is written last, is missing. */
static uint64_t without_manifest(size_t c)
{
    char manifest[1024];
    if (!cases[c].opts.manifest) return 0;
    snprintf(manifest, sizeof manifest, "%s/%s", work.dir, cases[c].opts.manifest);
    remove(manifest);
    return visible(work.dir);
}

static void each(size_t c, kind what, smelt_status expected, uint64_t reference, uint64_t target)
{
    long k = 1, disturbed = 0;
    for (;; k++) {
        smelt_err err;
        arm(what, k);
        smelt_status st = run(c, false, &err);
        const char *hit = fault.hit;
        arm(NOTHING, 0);
        uint64_t seen = visible(work.dir);
        if (!hit) {
            CHECK(st == SMELT_OK && seen == reference, "%s: undisturbed, status %d: %s", cases[c].name, (int)st, err.text);
            clear();
            break;
        }
        /* A failure that does no harm (a hint to the system, an emptied cache) may be passed over. */
        if (st == SMELT_OK)
            CHECK(seen == reference, "%s: %s call %ld failed, and the output is another", cases[c].name, hit, k);
        else {
            disturbed++;
            CHECK(st == expected, "%s: %s call %ld: status %d, not %d: %s", cases[c].name, hit, k, (int)st, (int)expected,
                  err.text);
            CHECK(err.code == st && err.text[0], "%s: %s call %ld: no message", cases[c].name, hit, k);
            CHECK(!seen || seen == reference || seen == target, "%s: %s call %ld left something under the target's name",
                  cases[c].name, hit, k);
            if (seen == reference) clear();
            st = run(c, true, &err);
            seen = visible(work.dir);
            CHECK(st == SMELT_OK && seen == reference, "%s: %s call %ld, then resumed: status %d, %s bytes: %s", cases[c].name, hit,
                  k, (int)st, seen == reference ? "the same" : "other", err.text);
        }
        clear();
    }
    printf("%s: %ld %s, of which %ld stopped the run\n", cases[c].name, k - 1, what == MEMORY ? "allocations" : "calls", disturbed);
    CHECK(disturbed > 0, "%s: no fault was noticed", cases[c].name);
}

int main(void)
{
    /* In memory if possible: every run syncs its files. */
    if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    if (!scratch_open(&work)) return 1;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        smelt_err err;
        smelt_status st = run(c, false, &err);
        const uint64_t reference = visible(work.dir), target = without_manifest(c);
        CHECK(st == SMELT_OK && reference, "%s: status %d: %s", cases[c].name, (int)st, err.text);
        clear();
        if (st != SMELT_OK) continue;
        each(c, MEMORY, SMELT_E_NOMEM, reference, target);
        each(c, SYSTEM, SMELT_E_IO, reference, target);
        arm(PIECES, 0);
        st = run(c, false, &err);
        CHECK(fault.seen > 0 && st == SMELT_OK && visible(work.dir) == reference, "%s: in pieces: status %d: %s", cases[c].name,
              (int)st, err.text);
        arm(NOTHING, 0);
        clear();
    }
    scratch_close(&work);
    printf("%ld checks, %ld failed\n", checks, failures);
    return failures != 0;
}
