/* What the processor and the operating system let a kernel use. */
#ifndef SMELT_BASE_CPU_H
#define SMELT_BASE_CPU_H

#include <stdbool.h>

typedef enum smelt_cpu {
    SMELT_CPU_BASELINE = 0, /* what the architecture's ABI guarantees */
    SMELT_CPU_NEON = 1,
    SMELT_CPU_AVX2 = 2,   /* AVX2, FMA, F16C */
    SMELT_CPU_AVX512 = 3, /* and AVX-512 F, BW, DQ, VL */
    SMELT_CPU_VNNI = 4,   /* and AVX-512 VNNI */
    SMELT_CPU_BF16 = 5,   /* and AVX-512 BF16 */
    SMELT_CPU_DOTPROD = 6 /* NEON and its dot products of bytes (ARMv8.2) */
} smelt_cpu;

/* The best level that CPUID and XGETBV (on x86-64) or the kernel (on aarch64) report. */
smelt_cpu smelt_cpu_detect(void);
const char *smelt_cpu_name(smelt_cpu level);
/* Level of a name such as "avx2"; false if there is none. */
bool smelt_cpu_parse(const char *name, smelt_cpu *out);
/* True if code for `level` runs on a processor of level `have`. */
bool smelt_cpu_covers(smelt_cpu have, smelt_cpu level);

#endif
