#define SCORE_CPU SMELT_CPU_AVX2
#define SCORE_NAME score_avx2
#include "verify/score.inc"
