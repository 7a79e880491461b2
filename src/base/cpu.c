#include "base/cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

static uint64_t xgetbv0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

smelt_cpu smelt_cpu_detect(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return SMELT_CPU_BASELINE;
    const unsigned need1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    if ((c & need1) != need1) return SMELT_CPU_BASELINE;
    uint64_t xcr = xgetbv0();
    if ((xcr & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return SMELT_CPU_BASELINE;
    const unsigned need7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((xcr & 0xE6) != 0xE6 || (b & need7) != need7) return SMELT_CPU_AVX2;
    if (!(c & bit_AVX512VNNI)) return SMELT_CPU_AVX512;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & bit_AVX512BF16 ? SMELT_CPU_BF16 : SMELT_CPU_VNNI;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

smelt_cpu smelt_cpu_detect(void)
{
    const unsigned long dotprod = 1UL << 20; /* HWCAP_ASIMDDP of <asm/hwcap.h>, which old headers lack */
    return getauxval(AT_HWCAP) & dotprod ? SMELT_CPU_DOTPROD : SMELT_CPU_NEON;
}
#elif defined(__aarch64__)
smelt_cpu smelt_cpu_detect(void) { return SMELT_CPU_NEON; }
#else
smelt_cpu smelt_cpu_detect(void) { return SMELT_CPU_BASELINE; }
#endif

static const char *const names[] = {"baseline", "neon", "avx2", "avx512", "vnni", "bf16", "dotprod"};

const char *smelt_cpu_name(smelt_cpu level) { return names[level]; }

bool smelt_cpu_parse(const char *name, smelt_cpu *out)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (smelt_cpu)i;
            return true;
        }
    return false;
}

static bool is_arm(smelt_cpu level) { return level == SMELT_CPU_NEON || level == SMELT_CPU_DOTPROD; }

bool smelt_cpu_covers(smelt_cpu have, smelt_cpu level)
{
    return level == SMELT_CPU_BASELINE || (is_arm(have) == is_arm(level) && have >= level);
}
