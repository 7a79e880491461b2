/* The table of codecs. */
#ifndef SMELT_QUANT_CODECS_H
#define SMELT_QUANT_CODECS_H

#include "ir/codec.h"

/* Fills fns[SMELT_DT_COUNT] with the functions of every type for a processor. */
void codecs_select(smelt_cpu cpu, smelt_codec_fns *fns);
/* A type's row in the table of small integers; NULL if there is none. */
const smelt_int8 *int8_find(smelt_dtype dtype);
/* Where a type's scales are; NULL for plain types and where they are spread over the block (iq1_m, nvfp4). */
const smelt_scales *scales_find(smelt_dtype dtype);

#endif
