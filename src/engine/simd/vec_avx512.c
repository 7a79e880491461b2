#define VEC_CPU SMELT_CPU_AVX512
#define VEC_NAME vec_avx512
#include "engine/vec.inc"
