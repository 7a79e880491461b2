/* Products of weights that are small integers with activations rounded to 8 bits. */
#ifndef SMELT_ENGINE_INT8_H
#define SMELT_ENGINE_INT8_H

#include "engine/internal.h"

/* Weights come as panels of this many rows. */
enum { INT8_ROWS = 16 };

/* Rounded activations: element i of a token is code[i] * scale[i / group], sum has the codes' sums, both for each group of the
 * weights that they meet (16 or 32). */
typedef struct int8_tokens {
    const int8_t *code; /* [tokens][cols] */
    const float *scale; /* [tokens][cols / group] */
    const int32_t *sum; /* the same */
    size_t tokens, cols;
} int8_tokens;

/* 16 rows of weights: code[cols / 4][16][4], scale[cols / group][16], shift the same or NULL. */
typedef struct int8_panel {
    const int8_t *code;
    const float *scale, *shift;
    uint32_t group;
} int8_panel;

/* y[t * ldy + r] for 16 rows. */
typedef void int8_product_fn(const int8_tokens *x, const int8_panel *w, float *y, size_t ldy);
int8_product_fn int8_product, int8_product_avx2, int8_product_vnni, int8_product_neon, int8_product_dotprod;
int8_product_fn *int8_select(smelt_cpu cpu);

/* Puts one row of split weights into a panel at row r. */
void int8_place(const int8_t *code, const float *scale, const float *shift, size_t cols, uint32_t group, size_t r, int8_t *panel,
                float *panel_scale, float *panel_shift);

#endif
