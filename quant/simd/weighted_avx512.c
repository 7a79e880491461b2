/* 32-element types with importances with AVX-512. */
#include "quant/simd/weighted.inc"
