/* Hash map from byte strings to size_t, in an arena. Keys are borrowed. */
#ifndef SMELT_BASE_STRMAP_H
#define SMELT_BASE_STRMAP_H

#include "base/alloc.h"

typedef struct smelt_strmap {
    smelt_arena *arena;
    struct strmap_slot *slots;
    size_t count, capacity; /* capacity is a power of two or 0 */
} smelt_strmap;

/* Makes room for `count` keys at once, which saves growing by halves. A wish: what memory does not allow is left undone. */
void strmap_reserve(smelt_strmap *map, size_t count);
/* Adds `key`; when it is there already, *added is false and the old value stays. False when out of memory. */
bool strmap_add(smelt_strmap *map, const char *key, size_t len, size_t value, bool *added);
/* Forgets all keys and keeps the memory: as many may be added again without failing. */
void strmap_clear(smelt_strmap *map);
/* Sets *value and returns true if `key` is there. */
bool strmap_get(const smelt_strmap *map, const char *key, size_t len, size_t *value);

#endif
