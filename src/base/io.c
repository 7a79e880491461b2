#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char PARTIAL[] = ".smelt-partial", JOURNAL[] = ".smelt-journal";

static smelt_status open_regular(const char *path, int *fd, struct stat *st, smelt_err *err)
{
    /* O_NONBLOCK: opening a pipe that nobody writes to must not hang; it is refused below. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    smelt_status status = SMELT_OK;
    if (*fd < 0)
        status = smelt_fail_errno(err, "cannot open");
    else if (fstat(*fd, st) != 0)
        status = smelt_fail_errno(err, "cannot stat");
    else if (S_ISDIR(st->st_mode))
        status = smelt_fail(err, SMELT_E_UNSUPPORTED, "is a directory, a file was expected");
    else if (!S_ISREG(st->st_mode))
        status = smelt_fail(err, SMELT_E_UNSUPPORTED, "is no regular file; save it to one first");
    if (status != SMELT_OK) {
        smelt_err_where(err, "%s", path);
        if (*fd >= 0) close(*fd);
    }
    return status;
}

smelt_status map_open(const char *path, smelt_map **out, smelt_err *err)
{
    int fd;
    struct stat st;
    SMELT_TRY(open_regular(path, &fd, &st, err));
    smelt_map *m = calloc(1, sizeof *m);
    if (m) m->path = strdup(path);
    if (!m || !m->path) {
        free(m);
        close(fd);
        return smelt_oom(err);
    }
    m->fd = fd;
    m->size = (uint64_t)st.st_size;
    m->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
    if (m->size) {
        void *p = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            smelt_fail_errno(err, "cannot map %llu bytes", (unsigned long long)m->size);
            smelt_err_where(err, "%s", path);
            map_close(m);
            return SMELT_E_IO;
        }
        m->data = p;
    }
    *out = m;
    return SMELT_OK;
}

void map_close(smelt_map *m)
{
    if (!m) return;
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    close(m->fd);
    free(m->path);
    free(m);
}

void map_populate(const void *p, size_t n)
{
#ifdef MADV_POPULATE_READ
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p & ~(page - 1);
    madvise((void *)from, n + ((uintptr_t)p - from), MADV_POPULATE_READ);
#else
    (void)p, (void)n;
#endif
}

static ssize_t read_all(int fd, char *p, size_t n, off_t at)
{
    size_t got = 0;
    while (got < n) {
        ssize_t k = pread(fd, p + got, n - got, at + (off_t)got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return -1;
        if (k == 0) break;
        got += (size_t)k;
    }
    return (ssize_t)got;
}

smelt_status file_read(smelt_arena *arena, const char *path, uint64_t limit, const char **data, size_t *size, smelt_err *err)
{
    int fd;
    struct stat st;
    SMELT_TRY(open_regular(path, &fd, &st, err));
    smelt_status status = SMELT_OK;
    uint64_t n = (uint64_t)st.st_size;
    char *p = NULL;
    if (n > limit)
        status = smelt_fail(err, SMELT_E_LIMIT, "has %llu bytes, at most %llu are accepted", (unsigned long long)n,
                            (unsigned long long)limit);
    else if (!(p = arena_calloc(arena, n + 1, 1)))
        status = smelt_oom(err);
    else {
        ssize_t got = read_all(fd, p, n, 0);
        if (got < 0)
            status = smelt_fail_errno(err, "cannot read");
        else
            *size = (size_t)got, *data = p;
    }
    close(fd);
    if (status != SMELT_OK) smelt_err_where(err, "%s", path);
    return status;
}

bool path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_exists(const char *path) { return access(path, F_OK) == 0; }

char *path_join(smelt_arena *arena, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return arena_printf(arena, n && dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

char *path_base(smelt_arena *arena, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from && path[from - 1] != '/')
        from--;
    return from == n ? arena_strdup(arena, "/") : arena_strndup(arena, path + from, n - from);
}

char *path_dir(smelt_arena *arena, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n ? arena_strndup(arena, path, n) : arena_strdup(arena, ".");
}

static bool within(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || (n && dir[n - 1] == '/'));
}

/* A model hub's cache keeps snapshots/REV/NAME, or snapshots/REV/FOLDER/NAME, as links to blobs/HASH beside snapshots/. */
static bool in_hub_blobs(const char *path, const char *dir)
{
    static const char snap[] = "/snapshots", blobs[] = "/blobs/";
    size_t n = strlen(dir);
    for (int above = 0; above < 2; above++) {
        while (n && dir[n - 1] != '/')
            n--;
        if (!n || !--n) return false;
        if (n < sizeof snap - 1 || memcmp(dir + n - (sizeof snap - 1), snap, sizeof snap - 1) != 0) continue;
        const size_t top = n - (sizeof snap - 1);
        return strncmp(path, dir, top) == 0 && strncmp(path + top, blobs, sizeof blobs - 1) == 0;
    }
    return false;
}

smelt_status path_inside(smelt_arena *arena, const char *dir, const char *name, char **out, smelt_err *err)
{
    const char *trouble = NULL;
    if (!*name)
        trouble = "is empty";
    else if (*name == '/')
        trouble = "is absolute";
    else if (strchr(name, '\\'))
        trouble = "has a backslash";
    for (const char *p = name; !trouble && *p;) {
        const char *end = strchrnul(p, '/');
        if (end == p || (end - p == 1 && p[0] == '.') || (end - p == 2 && p[0] == '.' && p[1] == '.'))
            trouble = "leaves its directory or has an empty part";
        p = *end ? end + 1 : end;
        if (*end && !*p) trouble = "ends in a slash";
    }
    if (trouble)
        return smelt_fail(err, SMELT_E_FORBIDDEN, "the file name '%s' %s; only names inside the directory are accepted", name,
                          trouble);
    char *path = path_join(arena, dir, name);
    if (!path) return smelt_oom(err);
    char *real_dir = realpath(dir, NULL), *real = realpath(path, NULL);
    bool escapes = real && real_dir && !within(real, real_dir) && !in_hub_blobs(real, real_dir);
    free(real);
    free(real_dir);
    if (escapes) return smelt_fail(err, SMELT_E_FORBIDDEN, "'%s' is a symbolic link that leads out of the directory", name);
    *out = path;
    return SMELT_OK;
}

typedef struct sink_file {
    char *partial, *final;
    int fd;
} sink_file;

struct smelt_sink {
    smelt_arena arena;
    char *target; /* without trailing slashes */
    char *folder; /* where the partial files are */
    char *journal;
    bool dir, keep, committed;
    sink_file *files;
    size_t n, cap;
    int journal_fd;
};

/* Removes a partial directory of ours: files, and one level of folders deep at most. Never follows a symbolic link, which
 * somebody else may have put in its place. */
static void remove_tree(int parent, const char *path, int depth)
{
    const int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(fd, e->d_name, 0) != 0 && (errno == EISDIR || errno == EPERM) && depth > 0)
            remove_tree(fd, e->d_name, depth - 1);
    }
    closedir(d);
    unlinkat(parent, path, AT_REMOVEDIR);
}

static bool dir_empty(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return empty;
}

/* A directory that a rename cannot replace, which only the rename itself would say otherwise, after all the work. */
static const char *not_replaceable(const char *dir)
{
    struct stat st, link;
    const char *base = strrchr(dir, '/');
    base = base ? base + 1 : dir;
    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) return "cannot be replaced as a whole";
    if (lstat(dir, &link) == 0 && S_ISLNK(link.st_mode) && stat(dir, &st) == 0) return "is a symbolic link";
#ifdef STATX_ATTR_MOUNT_ROOT
    struct statx x;
    if (statx(AT_FDCWD, dir, 0, 0, &x) == 0 && (x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return "is where a file system is mounted";
#endif
    return NULL;
}

static smelt_status sink_check_target(const smelt_sink *s, smelt_err *err)
{
    struct stat st;
    const char *trouble = s->dir ? not_replaceable(s->target) : NULL;
    if (trouble) return smelt_fail(err, SMELT_E_USAGE, "%s; give the name of a directory to create inside it", trouble);
    if (stat(s->target, &st) != 0) {
        if (errno == ENOENT) return SMELT_OK;
        return smelt_fail_errno(err, "cannot write there");
    }
    if (s->dir) {
        if (!S_ISDIR(st.st_mode))
            return smelt_fail(err, SMELT_E_USAGE, "exists and is not a directory; give another target or remove it");
        if (!dir_empty(s->target))
            return smelt_fail(err, SMELT_E_USAGE, "exists and is not empty; give another target directory or remove it first");
    } else if (S_ISDIR(st.st_mode))
        return smelt_fail(err, SMELT_E_USAGE, "is a directory; give a file name inside it");
    else if (!S_ISREG(st.st_mode))
        return smelt_fail(err, SMELT_E_USAGE, "is no regular file; output is renamed into place and needs one");
    return SMELT_OK;
}

smelt_status sink_open(const char *target, bool dir, bool keep, smelt_sink **out, smelt_err *err)
{
    if (!*target) return smelt_fail(err, SMELT_E_USAGE, "the target has an empty name");
    smelt_sink *s = calloc(1, sizeof *s);
    if (!s) return smelt_oom(err);
    s->dir = dir;
    s->keep = keep;
    s->journal_fd = -1;
    size_t n = strlen(target);
    while (n > 1 && target[n - 1] == '/')
        n--;
    s->target = arena_strndup(&s->arena, target, n);
    char *parent = s->target ? path_dir(&s->arena, s->target) : NULL, *base = s->target ? path_base(&s->arena, s->target) : NULL;
    if (parent && base) {
        char *hidden = arena_printf(&s->arena, ".%s%s", base, PARTIAL);
        s->folder = dir && hidden ? path_join(&s->arena, parent, hidden) : parent;
        char *log = arena_printf(&s->arena, ".%s%s", base, JOURNAL);
        s->journal = log ? path_join(&s->arena, parent, log) : NULL;
    }
    if (!s->target || !s->folder || !s->journal) {
        sink_close(s);
        return smelt_oom(err);
    }
    smelt_status st = sink_check_target(s, err);
    if (st == SMELT_OK) {
        s->journal_fd = open(s->journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (s->journal_fd < 0)
            st = smelt_fail_errno(err, "cannot write beside the target");
        else if (flock(s->journal_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            st = smelt_fail(err, SMELT_E_USAGE, "another run is writing this target");
        struct stat at;
        if (st == SMELT_OK && fstat(s->journal_fd, &at) != 0)
            st = smelt_fail_errno(err, "cannot look at '%s'", s->journal);
        else if (st == SMELT_OK && !at.st_nlink)
            st = smelt_fail(err, SMELT_E_USAGE, "another run has just written this target; start again");
        /* Without a journal nobody knows what the leftovers are. */
        else if (st == SMELT_OK && !at.st_size)
            s->keep = keep = false;
    }
    if (st == SMELT_OK && !keep) {
        if (dir) remove_tree(AT_FDCWD, s->folder, 2);
        if (ftruncate(s->journal_fd, 0) != 0) st = smelt_fail_errno(err, "cannot empty '%s'", s->journal);
    }
    struct stat folder;
    if (st == SMELT_OK && dir && mkdir(s->folder, 0777) != 0 &&
        (errno != EEXIST || !keep || lstat(s->folder, &folder) != 0 || !S_ISDIR(folder.st_mode)))
        st = smelt_fail_errno(err, "cannot create '%s'", s->folder);
    if (st != SMELT_OK) {
        smelt_err_where(err, "%s", target);
        sink_close(s);
        return st;
    }
    *out = s;
    return SMELT_OK;
}

static smelt_status make_parents(smelt_sink *s, const char *name, smelt_err *err)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *part = arena_strndup(&s->arena, name, (size_t)(slash - name));
        char *path = part ? path_join(&s->arena, s->folder, part) : NULL;
        if (!path) return smelt_oom(err);
        if (mkdir(path, 0777) != 0 && errno != EEXIST) return smelt_fail_errno(err, "cannot create '%s'", path);
    }
    return SMELT_OK;
}

smelt_status sink_add(smelt_sink *s, const char *name, uint64_t size, int *index, smelt_err *err)
{
    if (!arena_room(&s->arena, &s->files, s->n, &s->cap, sizeof *s->files)) return smelt_oom(err);
    sink_file *f = &s->files[s->n];
    if (s->dir) {
        SMELT_TRY(make_parents(s, name, err));
        f->partial = path_join(&s->arena, s->folder, name);
        f->final = f->partial;
    } else {
        char *hidden = arena_printf(&s->arena, ".%s%s", name, PARTIAL);
        f->partial = hidden ? path_join(&s->arena, s->folder, hidden) : NULL;
        f->final = path_join(&s->arena, s->folder, name);
    }
    if (!f->partial || !f->final) return smelt_oom(err);
    struct stat st;
    if (!s->dir && lstat(f->final, &st) == 0 && S_ISDIR(st.st_mode))
        return smelt_fail(err, SMELT_E_USAGE, "'%s' is a directory; a file is to be written there", f->final);
    if (!s->keep) unlink(f->partial);
    f->fd = open(f->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (s->keep ? 0 : O_EXCL), 0666);
    if (f->fd < 0) return smelt_fail_errno(err, "cannot create '%s'", f->partial);
    *index = (int)s->n++;
    /* Reserving the room first turns a full disk into an error before any work; where the file system cannot, writes tell. */
    if (size > INT64_MAX || ftruncate(f->fd, (off_t)size) != 0) return smelt_fail_errno(err, "cannot size '%s'", f->partial);
    if (size && fallocate(f->fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return smelt_fail_errno(err, "cannot reserve %llu bytes for '%s'", (unsigned long long)size, f->final);
    return SMELT_OK;
}

smelt_status sink_write(smelt_sink *s, int index, const void *data, size_t n, uint64_t offset, smelt_err *err)
{
    const char *p = data;
    const uint64_t first = offset;
    while (n) {
        ssize_t k = pwrite(s->files[index].fd, p, n, (off_t)offset);
        if (k < 0 && errno == EINTR) continue;
        if (k == 0) errno = ENOSPC;
        if (k <= 0) return smelt_fail_errno(err, "cannot write '%s'", s->files[index].final);
        p += k;
        n -= (size_t)k;
        offset += (uint64_t)k;
    }
#ifdef SYNC_FILE_RANGE_WRITE
    /* The disk starts at once, so that the fsync of the end has little left to wait for. Only a hint. */
    enum { WORTH_IT = 1 << 16 };
    if (offset - first >= WORTH_IT)
        sync_file_range(s->files[index].fd, (off_t)first, (off_t)(offset - first), SYNC_FILE_RANGE_WRITE);
#else
    (void)first;
#endif
    return SMELT_OK;
}

smelt_status sink_read(smelt_sink *s, int index, void *data, size_t n, uint64_t offset, smelt_err *err)
{
    ssize_t got = read_all(s->files[index].fd, data, n, (off_t)offset);
    if (got < 0) return smelt_fail_errno(err, "cannot read back '%s'", s->files[index].partial);
    if ((size_t)got < n) return smelt_fail(err, SMELT_E_IO, "'%s' is shorter than it was made", s->files[index].partial);
    return SMELT_OK;
}

smelt_status sink_journal_append(smelt_sink *s, const void *data, size_t n, smelt_err *err)
{
    ssize_t k;
    do {
        k = write(s->journal_fd, data, n);
    } while (k < 0 && errno == EINTR);
    if (k < 0 || (size_t)k != n) return smelt_fail_errno(err, "cannot write the journal '%s'", s->journal);
    return SMELT_OK;
}

smelt_status sink_journal_restart(smelt_sink *s, smelt_err *err)
{
    return ftruncate(s->journal_fd, 0) == 0 ? SMELT_OK : smelt_fail_errno(err, "cannot empty '%s'", s->journal);
}

smelt_status sink_journal_read(smelt_sink *s, smelt_arena *arena, const char **data, size_t *n, smelt_err *err)
{
    return file_read(arena, s->journal, UINT32_MAX, data, n, err);
}

static smelt_status sync_dir(const char *path, smelt_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return smelt_fail_errno(err, "cannot open '%s'", path);
    /* Some file systems refuse to sync a directory; the rename has happened all the same. */
    int bad = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    smelt_status st = bad ? smelt_fail_errno(err, "cannot sync '%s'", path) : SMELT_OK;
    close(fd);
    return st;
}

smelt_status sink_commit(smelt_sink *s, smelt_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (fsync(s->files[i].fd) != 0) return smelt_fail_errno(err, "cannot sync '%s'", s->files[i].partial);
    SMELT_TRY(sink_check_target(s, err));
    if (s->dir) {
        SMELT_TRY(sync_dir(s->folder, err));
        if (rename(s->folder, s->target) != 0) return smelt_fail_errno(err, "cannot rename to '%s'", s->target);
    } else
        /* The first file last: it is the one that programs open, and until it is there the set does not seem complete. */
        for (size_t i = s->n; i-- > 0;)
            if (rename(s->files[i].partial, s->files[i].final) != 0) {
                smelt_status st = smelt_fail_errno(err, "cannot rename to '%s'", s->files[i].final);
                while (++i < s->n)
                    rename(s->files[i].final, s->files[i].partial);
                return st;
            }
    s->committed = true;
    unlink(s->journal);
    char *parent = path_dir(&s->arena, s->target);
    return parent ? sync_dir(parent, err) : smelt_oom(err);
}

void sink_discard(smelt_sink *s)
{
    if (!s || s->committed) return;
    for (size_t i = 0; i < s->n; i++)
        unlink(s->files[i].partial);
    if (s->dir) remove_tree(AT_FDCWD, s->folder, 2);
    unlink(s->journal);
}

void sink_close(smelt_sink *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++)
        close(s->files[i].fd);
    if (s->journal_fd >= 0) close(s->journal_fd);
    arena_free(&s->arena);
    free(s);
}
