/* The decoders with AVX-512. */
#define UNPACK(name) name##_unpack_avx512
#include "quant/simd/unpack_x86.inc"
