#define VEC_CPU SMELT_CPU_AVX2
#define VEC_NAME vec_avx2
#include "engine/vec.inc"
