/* iq2 and iq3 with AVX2. */
#include "quant/simd/near_x86.h"

#include "quant/simd/lattice.inc"
