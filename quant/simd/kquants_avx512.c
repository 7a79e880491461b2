/* k-quants with AVX-512. */
#include "quant/simd/q6_k_body.inc"
