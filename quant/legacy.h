/* What the baseline of the 32-element types shares with their vector encoders. */
#ifndef SMELT_QUANT_LEGACY_H
#define SMELT_QUANT_LEGACY_H

#include "quant/search.h"

static const search_grid legacy_grid = {.from = -0.9f, .step = 0.05f, .steps = 36};

/* Nibbles of two half blocks side by side; the fifth bits, if any, into qh. */
static inline void legacy_put_codes(const uint8_t *code, uint8_t *qs, uint8_t *qh)
{
    uint32_t high = 0;
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((code[j] & 15) | (code[j + 16] & 15) << 4);
    if (!qh) return;
    for (int j = 0; j < 32; j++)
        high |= (uint32_t)(code[j] >> 4 & 1) << j;
    store_le32(qh, high);
}

#endif
