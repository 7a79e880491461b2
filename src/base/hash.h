/* XXH3-128 as everything that people or files see of it: 16 bytes in xxHash's canonical order, or 32 hexadecimal digits. */
#ifndef SMELT_BASE_HASH_H
#define SMELT_BASE_HASH_H

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the best vectors of the processor at hand, under the same names */
#endif

#include "base/status.h"

enum { HASH_BYTES = 16, HASH_HEX = 2 * HASH_BYTES };

void hash_bytes(const void *p, size_t n, uint8_t out[HASH_BYTES]);
/* What a state has taken so far. */
void hash_state(const XXH3_state_t *state, uint8_t out[HASH_BYTES]);
/* The digits and a NUL. Returns `hex`. */
const char *hash_hex(const uint8_t hash[HASH_BYTES], char hex[HASH_HEX + 1]);

#endif
