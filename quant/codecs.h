/* The table of codecs. */
#ifndef SMELT_QUANT_CODECS_H
#define SMELT_QUANT_CODECS_H

#include "ir/codec.h"

/* Fills fns[SMELT_DT_COUNT] with the functions of every type for a processor. */
void codecs_select(smelt_cpu cpu, smelt_codec_fns *fns);

#endif
