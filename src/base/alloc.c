#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 * 1024, ALIGN = 16 };

struct smelt_arena_block {
    struct smelt_arena_block *next;
    size_t size, used; /* of data[] */
    _Alignas(ALIGN) unsigned char data[];
};

void *arena_calloc(smelt_arena *arena, size_t n, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(n, size, &want) || want > SIZE_MAX / 2) return NULL;
    want = (want + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct smelt_arena_block *b = arena->head;
    if (!b || b->size - b->used < want) {
        size_t room = want > BLOCK / 4 ? want : BLOCK;
        struct smelt_arena_block *fresh = calloc(1, sizeof *fresh + room);
        if (!fresh) return NULL;
        fresh->size = room;
        /* A large block goes behind the head, so that the head's free space stays in use. */
        if (b && room == want) {
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            arena->head = fresh;
        }
        b = fresh;
    }
    void *p = b->data + b->used;
    b->used += want;
    arena->used += want;
    return p;
}

char *arena_strndup(smelt_arena *arena, const char *s, size_t n)
{
    if (n == SIZE_MAX) return NULL;
    char *p = arena_calloc(arena, n + 1, 1);
    if (p && n) memcpy(p, s, n);
    return p;
}

char *arena_strdup(smelt_arena *arena, const char *s) { return arena_strndup(arena, s, strlen(s)); }

char *arena_printf(smelt_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n < 0 ? NULL : arena_calloc(arena, (size_t)n + 1, 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

bool arena_room(smelt_arena *arena, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return true;
    size_t cap = *capacity ? *capacity * 2 : 8;
    if (cap < *capacity) return false;
    void *fresh = arena_calloc(arena, cap, size), *old;
    if (!fresh) return false;
    memcpy(&old, items, sizeof old);
    if (count) memcpy(fresh, old, count * size);
    memcpy(items, &fresh, sizeof fresh);
    *capacity = cap;
    return true;
}

void arena_free(smelt_arena *arena)
{
    for (struct smelt_arena_block *b = arena->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *arena = (smelt_arena){0};
}
