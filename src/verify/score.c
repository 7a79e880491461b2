#define SCORE_CPU SMELT_CPU_BASELINE
#define SCORE_NAME score_baseline
#include "verify/score.inc"

#if defined(__x86_64__)
extern const score_ops score_avx2, score_avx512;
static const score_ops *const levels[] = {&score_avx512, &score_avx2, &score_baseline};
#else
static const score_ops *const levels[] = {&score_baseline};
#endif

const score_ops *score_select(smelt_cpu cpu)
{
    enum { N = sizeof levels / sizeof *levels };
    for (size_t i = 0; i + 1 < N; i++)
        if (smelt_cpu_covers(cpu, levels[i]->cpu)) return levels[i];
    return levels[N - 1];
}

void score_top(const score_ops *ops, const float *x, size_t n, int32_t out[SCORE_TOP])
{
    enum { STEP = 256 };
    size_t have = 0;
    for (size_t k = 0; k < SCORE_TOP; k++)
        out[k] = -1;
    for (size_t at = 0; at < n; at += STEP) {
        const size_t end = n - at < STEP ? n : at + STEP;
        /* Nearly all stretches have none. */
        if (have == SCORE_TOP && !(ops->max(x + at, end - at) > x[out[SCORE_TOP - 1]])) continue;
        for (size_t i = at; i < end; i++) {
            size_t k = have;
            while (k && x[i] > x[out[k - 1]])
                k--;
            if (k == SCORE_TOP) continue;
            if (have < SCORE_TOP) have++;
            for (size_t m = have - 1; m > k; m--)
                out[m] = out[m - 1];
            out[k] = (int32_t)i;
        }
    }
}
