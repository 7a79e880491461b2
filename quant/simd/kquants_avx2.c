/* k-quants with AVX2. */
#include "quant/simd/q6_k_body.inc"
