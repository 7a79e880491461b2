/* What the encoders and decoders of iq4_nl and iq4_xs share. */
#ifndef SMELT_QUANT_IQ4_H
#define SMELT_QUANT_IQ4_H

#include "quant/blocks.h"

/* Source: ggml-common.h, kvalues_iq4nl. Denser around zero, where weights are. */
static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Stores the scales of a block's eight groups, rounded; `inverse` gets what each group's elements are multiplied with to get
 * their codes. */
void iq4_xs_scales(const float scale[8], blk_iq4_xs *b, float inverse[8]);

#endif
