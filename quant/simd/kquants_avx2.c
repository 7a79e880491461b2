/* k-quants with AVX2. */
#include "quant/simd/kquants.inc"
