/* k-quants with NEON. */
#include "quant/simd/kquants.inc"
