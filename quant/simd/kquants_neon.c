/* k-quants with NEON. */
#include "quant/simd/q6_k_body.inc"
