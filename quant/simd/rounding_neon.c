/* Types without a search, with NEON. */
#include "quant/simd/rounding.inc"
