/* Types without a search, with AVX2. */
#include "quant/simd/rounding.inc"
