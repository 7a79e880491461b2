/* Compares what a layout says with files that are there, piece by piece. */
#ifndef SMELT_CONVERT_CHECK_H
#define SMELT_CONVERT_CHECK_H

#include "ir/format.h"

/* A stretch of a file that one thing accounts for. */
typedef struct check_region {
    int file;
    uint64_t offset, size;
    const char *tensor;     /* NULL: a header, a small file, or padding */
    const void *expected;   /* NULL: zeros, or what is made of the tensor */
    uint64_t differ, first; /* bytes that differ, and the offset of the first of them */
    uint8_t found, wanted;  /* there; a byte that the file does not have any more counts as different and found as 0 */
} check_region;

typedef struct smelt_check {
    smelt_arena arena;
    const smelt_layout *layout;
    const smelt_map *const *files; /* [layout->n_files], BORROWED */
    check_region *regions;         /* by file and offset */
    size_t n, cap;
    size_t *of_tensor; /* [layout->n_tensors] */
} smelt_check;

/* Lists the regions of every file; what no header, blob or tensor fills is padding, expected to be zeros. */
smelt_status check_start(smelt_check *check, const smelt_layout *layout, const smelt_map *const *files, smelt_err *err);
/* Compares n bytes of a tensor that belong at `offset` of its file. Thread-safe. */
void check_tensor(smelt_check *check, size_t tensor, const void *bytes, uint64_t n, uint64_t offset);
/* Compares everything else; `hash` is what goes where the layout has patches. */
smelt_status check_rest(smelt_check *check, const char *hash, smelt_err *err);
void check_free(smelt_check *check);
/* The mark that stands at or before an offset; NULL if there is none. */
const smelt_out_mark *check_mark(const smelt_layout *layout, int file, uint64_t offset);

#endif
