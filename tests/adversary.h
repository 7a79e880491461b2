/* Values and importances that trouble encoders, the same on every machine. */
#ifndef SMELT_TESTS_ADVERSARY_H
#define SMELT_TESTS_ADVERSARY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

static inline uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Values that trouble rounding and searching: ties, both zeros, equal magnitudes of both signs, heavy tails, constants and what
 * differs from one in the last bit, outliers, subnormals, the largest numbers, and bits. */
static inline void adversary(float *x, size_t n, uint64_t *seed, bool finite)
{
    enum { KINDS = 15 };
    for (size_t start = 0; start < n; start += 256) {
        const uint64_t kind = next(seed) % KINDS;
        const int power = (int)(next(seed) % 260) - 135;
        const float constant = ldexpf((float)(int32_t)(uint32_t)next(seed) / 0x1p31f, power / 4);
        for (size_t i = start; i < start + 256; i++) {
            const uint64_t r = next(seed);
            const float u = (float)(int32_t)(uint32_t)r / 0x1p31f;
            const float made[KINDS] = {
                u * 0.03f,
                ldexpf(u, power),
                ldexpf((float)((int)(r % 33) - 16), power),
                (float)((int)(r % 509) - 254) / 2,
                r % 8 ? 0.0f : u,
                r % 2 ? -0.0f : 0.0f,
                r % 2 ? ldexpf(1, power) : ldexpf(-1, power),
                r % 3    ? fabsf(u)
                : r & 64 ? 0.0f
                         : -0.0f,
                ldexpf(u, (int)(r >> 40) % 40 - 20),
                0.01f * u / (float)(1 + (r >> 34) % 4096 * ((r >> 46) % 4096)) * (float)(1 + (r >> 58)),
                constant,
                f32_from_bits(f32_bits(constant) + (uint32_t)(r >> 62)),
                (r >> 32) % 97 ? u * 1e-4f : u * 1e3f,
                i / 32 % 3   ? u
                : i / 16 % 2 ? 0.0f
                             : ldexpf(u, -20),
                f32_from_bits((uint32_t)(r >> 16)),
            };
            x[i] = made[kind];
            if (finite && !isfinite(x[i])) x[i] = u;
        }
    }
}

/* Importances of 1024 columns, of kind k modulo 6: usual ones, two with zeros, a row of alternating zeros and ones (4), of any
 * magnitude (3), and what no file should hold (5). */
static inline void importances(float *w, uint64_t kind, uint64_t *seed)
{
    for (int i = 0; i < 1024; i++) {
        const uint64_t r = next(seed);
        const float u = (float)(r >> 40) / 0x1p24f;
        const float made[6] = {u * u,
                               (r & 3) ? 0.0f : u,
                               (float)(r % 3),
                               ldexpf(u, (int)(r % 250) - 125),
                               i / 256 % 2 ? 0.0f : 1.0f,
                               f32_from_bits((uint32_t)(r >> 16))};
        w[i] = made[kind % 6];
    }
}

#endif
