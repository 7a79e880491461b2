/* k-quants with AVX-512. */
#include "quant/simd/kquants.inc"
