/* Types without a search, with AVX-512. */
#include "quant/simd/rounding.inc"
