/* Products of integers from the command line, for comparisons between processors:
 *   int8_cli CPU      bytes on stdin (weights, then activations of 7 tokens, 352 columns) -> float32 on stdout, for both sizes of
 *                     groups, with shifts and without
 * CPU is baseline, avx2, vnni, neon, dotprod. Exit code 77 if the processor cannot run it. */
#include <stdio.h>
#include <string.h>

#include "engine/int8.h"

enum { TOKENS = 7, COLS = 352, LDY = 20 };

int main(int argc, char **argv)
{
    static int8_t w[COLS * INT8_ROWS], x[TOKENS * COLS];
    static float scale[TOKENS * COLS], panel_scale[COLS * INT8_ROWS], panel_shift[COLS * INT8_ROWS], y[TOKENS * LDY];
    static int32_t sum[TOKENS * COLS];
    smelt_cpu cpu;
    if (argc < 2 || !smelt_cpu_parse(argv[1], &cpu)) return 2;
    if (!smelt_cpu_covers(smelt_cpu_detect(), cpu)) return 77;
    if (fread(w, 1, sizeof w, stdin) != sizeof w || fread(x, 1, sizeof x, stdin) != sizeof x) return 2;
    for (size_t i = 0; i < sizeof x; i++)
        if (x[i] == -128) x[i] = -127; /* rounding gives no such code */
    for (uint32_t group = 16; group <= 32; group += 16) {
        const size_t groups = COLS / group;
        for (size_t i = 0; i < groups * INT8_ROWS; i++) {
            panel_scale[i] = (float)w[i] * 0.013F;
            panel_shift[i] = (float)w[i + 1] * 0.0071F;
        }
        for (size_t i = 0; i < groups * TOKENS; i++) {
            scale[i] = (float)x[i] * 0.0031F;
            sum[i] = 0;
            for (size_t k = 0; k < group; k++)
                sum[i] += x[i * group + k];
        }
        const int8_tokens tokens = {x, scale, sum, TOKENS, COLS};
        for (int shifted = 0; shifted < 2; shifted++) {
            const int8_panel panel = {w, panel_scale, shifted ? panel_shift : NULL, group};
            memset(y, 0, sizeof y);
            int8_select(cpu)(&tokens, &panel, y, LDY);
            if (fwrite(y, sizeof y, 1, stdout) != 1) return 4;
        }
    }
    return 0;
}
