#define SCORE_CPU SMELT_CPU_AVX512
#define SCORE_NAME score_avx512
#include "verify/score.inc"
