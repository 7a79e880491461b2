/* 32-element types with importances with NEON. */
#include "quant/simd/weighted.inc"
