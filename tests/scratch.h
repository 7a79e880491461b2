/* A folder of its own for a test's files, removed at the end. */
#ifndef SMELT_TESTS_SCRATCH_H
#define SMELT_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct scratch {
    char dir[256];
    char path[1024]; /* what scratch_path gave last */
} scratch;

static inline bool scratch_open(scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%s/smelt-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(s->dir) != NULL;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void scratch_close(scratch *s) { nftw(s->dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS); }

/* Path of a file in the folder; valid until the next call. */
static inline const char *scratch_path(scratch *s, const char *name)
{
    snprintf(s->path, sizeof s->path, "%s/%s", s->dir, name);
    return s->path;
}

static inline const char *scratch_write(scratch *s, const char *name, const void *data, size_t n)
{
    const char *path = scratch_path(s, name);
    FILE *f = fopen(path, "wb");
    if (!f) return NULL;
    const bool ok = fwrite(data, 1, n, f) == n;
    return fclose(f) == 0 && ok ? path : NULL;
}

#endif
