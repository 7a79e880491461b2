/* The decoders with AVX2. */
#define UNPACK(name) name##_unpack_avx2
#include "quant/simd/unpack_x86.inc"
