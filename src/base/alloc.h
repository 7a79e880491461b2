/* The one allocator: an arena whose blocks live until it is freed, and checked size arithmetic. */
#ifndef SMELT_BASE_ALLOC_H
#define SMELT_BASE_ALLOC_H

#include "base/status.h"

typedef struct smelt_arena {
    struct smelt_arena_block *head;
    size_t used; /* bytes handed out, for limits and reports */
} smelt_arena;

/* Zeroed memory for `n` objects of `size` bytes, aligned to 16. NULL when out of memory or n*size overflows. n = 0 gives a
 * valid pointer. */
void *arena_calloc(smelt_arena *arena, size_t n, size_t size);
/* Copies; the copy of a string gets a NUL behind it. NULL when out of memory. */
char *arena_strndup(smelt_arena *arena, const char *s, size_t n);
char *arena_strdup(smelt_arena *arena, const char *s);
char *arena_printf(smelt_arena *arena, const char *fmt, ...) SMELT_PRINTF(2, 3);
/* Makes room for one more element behind `count` in a growing array; *items may move (the old memory stays in the arena).
 * False when out of memory. */
bool arena_room(smelt_arena *arena, void *items, size_t count, size_t *capacity, size_t size);
void arena_free(smelt_arena *arena);

/* Checked arithmetic: false on overflow, and then *out is undefined. */
static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }
/* Rounds up to a multiple of `align` (a power of two). */
static inline bool align_u64(uint64_t a, uint64_t align, uint64_t *out)
{
    if (!add_u64(a, align - 1, out)) return false;
    *out &= ~(align - 1);
    return true;
}

#endif
