#include "base/hash.h"

#include <string.h>

static void canonical(XXH128_hash_t hash, uint8_t out[HASH_BYTES])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, hash);
    memcpy(out, c.digest, HASH_BYTES);
}

void hash_bytes(const void *p, size_t n, uint8_t out[HASH_BYTES]) { canonical(XXH3_128bits(p, n), out); }
void hash_state(const XXH3_state_t *state, uint8_t out[HASH_BYTES]) { canonical(XXH3_128bits_digest(state), out); }

const char *hash_hex(const uint8_t hash[HASH_BYTES], char hex[HASH_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
    hex[HASH_HEX] = 0;
    return hex;
}
