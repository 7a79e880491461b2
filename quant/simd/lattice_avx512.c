/* iq2 and iq3 with AVX-512. */
#include "quant/simd/near_x86.h"

#include "quant/simd/lattice.inc"
