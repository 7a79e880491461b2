/* What iq4_xs's baseline and its variants share. */
#ifndef SMELT_QUANT_IQ4_H
#define SMELT_QUANT_IQ4_H

#include "quant/blocks.h"

/* Stores the scales of a block's eight groups, rounded; `inverse` gets what each group's elements are multiplied with to get
 * their codes. */
void iq4_xs_scales(const float scale[8], blk_iq4_xs *b, float inverse[8]);

#endif
