/* 32-element types with importances with AVX2. */
#include "quant/simd/weighted.inc"
