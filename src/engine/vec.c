#define VEC_CPU SMELT_CPU_BASELINE
#define VEC_NAME vec_baseline
#include "engine/vec.inc"

#if defined(__x86_64__)
extern const vec_ops vec_avx2, vec_avx512;
static const vec_ops *const levels[] = {&vec_avx512, &vec_avx2, &vec_baseline};
#else
static const vec_ops *const levels[] = {&vec_baseline};
#endif

const vec_ops *vec_select(smelt_cpu cpu)
{
    enum { N = sizeof levels / sizeof *levels };
    for (size_t i = 0; i + 1 < N; i++)
        if (smelt_cpu_covers(cpu, levels[i]->cpu)) return levels[i];
    return levels[N - 1];
}
