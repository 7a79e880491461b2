/* Files: read-only mappings, and output that appears under its name only when it is complete. */
#ifndef SMELT_BASE_IO_H
#define SMELT_BASE_IO_H

#include "base/alloc.h"

/* A regular file mapped read-only. */
typedef struct smelt_map {
    char *path;
    const uint8_t *data; /* NULL if size is 0 */
    uint64_t size;
    uint64_t mtime_ns; /* with the path and size: what --resume takes for the file's identity */
    int fd;
    struct smelt_map *next; /* for an owner's list */
} smelt_map;

/* Maps `path`. NEW: close with map_close. Directories, pipes and devices are E_UNSUPPORTED. */
smelt_status map_open(const char *path, smelt_map **out, smelt_err *err);
void map_close(smelt_map *map);
/* Asks for pages of a mapping to be there at once instead of by single faults; a hint that may do nothing. */
void map_populate(const void *p, size_t n);
/* Reads a whole small file (a config, a template) into the arena with a NUL behind it; more than `limit` bytes is E_LIMIT. */
smelt_status file_read(smelt_arena *arena, const char *path, uint64_t limit, const char **data, size_t *size, smelt_err *err);

bool path_is_dir(const char *path);
bool path_exists(const char *path);
/* `dir`/`name` in the arena; NULL when out of memory. */
char *path_join(smelt_arena *arena, const char *dir, const char *name);
/* The part behind the last slash (trailing slashes ignored), and the directory before it ("." if none). In the arena. */
char *path_base(smelt_arena *arena, const char *path);
char *path_dir(smelt_arena *arena, const char *path);
/* Joins a file name found inside untrusted data to `dir`. E_FORBIDDEN if the name is absolute, has a ".." or empty part, a
 * backslash or a NUL, or resolves through a symbolic link to a place outside `dir` (a link to a file under the same parent of
 * `dir`, as a hub's snapshot cache has them, is followed: its target only has to be a regular file). */
smelt_status path_inside(smelt_arena *arena, const char *dir, const char *name, char **out, smelt_err *err);

/* A set of output files that become visible together: each is written as a hidden partial file beside its target (or, for a
 * directory target, inside a hidden partial directory) and renamed by sink_commit after fsync. */
typedef struct smelt_sink smelt_sink;

/* Starts output to `target`. With `dir`, the target is a directory, which must not exist or be empty. `keep` reopens what an
 * interrupted run left; otherwise leftovers are removed first. NEW. E_IO if the place cannot be written. */
smelt_status sink_open(const char *target, bool dir, bool keep, smelt_sink **out, smelt_err *err);
/* Adds a file of exactly `size` bytes and returns its number through *index. `name` is relative to a directory target, or
 * stands beside a file target (for shards). An existing partial of the same size is kept when the sink was opened with
 * `keep`. E_IO when the disk has no room. */
smelt_status sink_add(smelt_sink *sink, const char *name, uint64_t size, int *index, smelt_err *err);
/* Writes all `n` bytes at `offset` of file `index`. Safe from several threads. */
smelt_status sink_write(smelt_sink *sink, int index, const void *data, size_t n, uint64_t offset, smelt_err *err);
/* Reads back `n` bytes, for --resume. */
smelt_status sink_read(smelt_sink *sink, int index, void *data, size_t n, uint64_t offset, smelt_err *err);
/* The journal beside the partial output: a small append-only file, removed by commit. */
smelt_status sink_journal_append(smelt_sink *sink, const void *data, size_t n, smelt_err *err);
smelt_status sink_journal_restart(smelt_sink *sink, smelt_err *err);
smelt_status sink_journal_read(smelt_sink *sink, smelt_arena *arena, const char **data, size_t *n, smelt_err *err);
/* fsync, rename into place, fsync the directory. After a failure the targets are untouched. */
smelt_status sink_commit(smelt_sink *sink, smelt_err *err);
/* Removes everything written so far. */
void sink_discard(smelt_sink *sink);
/* Closes; without a commit the partial files stay for a later run with `keep`. */
void sink_close(smelt_sink *sink);

#endif
