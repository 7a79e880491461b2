#include "base/strmap.h"

#include <string.h>
#include <xxhash.h>

struct strmap_slot {
    const char *key; /* NULL: free */
    size_t len, value;
    uint64_t hash;
};

static size_t find(const smelt_strmap *m, const char *key, size_t len, uint64_t hash)
{
    size_t mask = m->capacity - 1, i = (size_t)hash & mask;
    while (m->slots[i].key && !(m->slots[i].hash == hash && m->slots[i].len == len && memcmp(m->slots[i].key, key, len) == 0))
        i = (i + 1) & mask;
    return i;
}

static bool grow(smelt_strmap *m, size_t capacity)
{
    smelt_strmap bigger = {.arena = m->arena, .capacity = capacity, .count = m->count};
    bigger.slots = arena_calloc(m->arena, bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].key) bigger.slots[find(&bigger, m->slots[i].key, m->slots[i].len, m->slots[i].hash)] = m->slots[i];
    *m = bigger;
    return true;
}

void strmap_reserve(smelt_strmap *m, size_t count)
{
    size_t capacity = m->capacity ? m->capacity : 64;
    while (capacity / 2 < count && capacity <= SIZE_MAX / 4)
        capacity *= 2;
    if (capacity > m->capacity) grow(m, capacity);
}

bool strmap_add(smelt_strmap *m, const char *key, size_t len, size_t value, bool *added)
{
    if (m->count * 2 >= m->capacity && !grow(m, m->capacity ? m->capacity * 2 : 64)) return false;
    uint64_t hash = XXH3_64bits(key, len);
    struct strmap_slot *s = &m->slots[find(m, key, len, hash)];
    *added = s->key == NULL;
    if (*added) {
        *s = (struct strmap_slot){.key = key, .len = len, .value = value, .hash = hash};
        m->count++;
    }
    return true;
}

bool strmap_get(const smelt_strmap *m, const char *key, size_t len, size_t *value)
{
    if (!m->capacity) return false;
    const struct strmap_slot *s = &m->slots[find(m, key, len, XXH3_64bits(key, len))];
    if (s->key) *value = s->value;
    return s->key != NULL;
}

void strmap_clear(smelt_strmap *m)
{
    if (m->capacity) memset(m->slots, 0, m->capacity * sizeof *m->slots);
    m->count = 0;
}
