/* The decoders for what the architecture guarantees. */
#include "base/bytes.h"

#define UNPACK(name) name##_unpack

static inline void put(const uint8_t *code, int n, int sub, float d, float m, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = d * (float)(code[i] - sub) - m;
}

static inline void look_up(const int8_t *table, const uint8_t *qs, uint8_t *code)
{
    for (int j = 0; j < 16; j++) {
        code[j] = (uint8_t)(table[qs[j] & 15] + 128);
        code[j + 16] = (uint8_t)(table[qs[j] >> 4] + 128);
    }
}

#include "quant/unpack.inc"
