/* XXH3-128 of tensors whose units are finished in any order, by several threads. */
#ifndef SMELT_CONVERT_DIGEST_H
#define SMELT_CONVERT_DIGEST_H

#include <xxhash.h>

#include "base/status.h"

/* The units [next, end) of one tensor that are still to be hashed. */
typedef struct digest {
    size_t next, end;
    bool busy; /* a thread is hashing */
    XXH3_state_t *state;
    uint8_t *out; /* where the 16 bytes of the hash go, in its canonical order */
} digest;

/* Gets the output bytes of a unit that was finished before. */
typedef smelt_status digest_read_fn(void *user, size_t unit, const void **bytes, size_t *n, smelt_err *err);

/* Starts with no units: every one is to be hashed by digest_advance. E_NOMEM. */
smelt_status digest_start(digest *d, size_t first, size_t end, uint8_t *out, smelt_err *err);
/* Says that unit `unit`, whose bytes are at hand, is finished (done[unit] becomes true), and hashes it and those behind it that
 * are finished, unless an earlier one is missing or another thread is at it. With `bytes` NULL, begins with finished units
 * that nobody said this of. Units come out in order, so each is in the cache of who made it, but for those that overtook
 * another: they are read again, soon after they were written. Thread-safe. */
smelt_status digest_advance(digest *d, bool *done, size_t unit, const void *bytes, size_t n, digest_read_fn *read, void *user,
                            smelt_err *err);
void digest_free(digest *d);

#endif
