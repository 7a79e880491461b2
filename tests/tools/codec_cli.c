/* Codecs from the command line, for comparisons with other implementations:
 *   codec_cli pack TYPE CPU COLS [WEIGHTS]   float32 on stdin -> blocks on stdout; WEIGHTS is a file of COLS float32
 *   codec_cli unpack TYPE CPU                blocks on stdin -> float32 on stdout
 *   codec_cli validate TYPE CPU              blocks on stdin -> "ok" or the number of the first bad block
 * CPU is baseline, avx2, avx512, neon or best. Exit code 77 if the processor cannot run it or the type has no such function
 * (without weights). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/codecs.h"

static void *slurp(FILE *in, size_t *size)
{
    size_t capacity = 1 << 20;
    char *data = malloc(capacity);
    *size = 0;
    while (data) {
        *size += fread(data + *size, 1, capacity - *size, in);
        if (*size < capacity) break;
        char *more = realloc(data, capacity *= 2);
        if (!more) free(data);
        data = more;
    }
    return data;
}

static int usage(void)
{
    fputs("usage: codec_cli pack TYPE CPU COLS [WEIGHTS] | unpack TYPE CPU | validate TYPE CPU\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static smelt_codec_fns fns[SMELT_DT_COUNT];
    smelt_dtype type;
    smelt_cpu cpu = smelt_cpu_detect();
    if (argc < 4 || !smelt_dtype_by_name(argv[2], &type)) return usage();
    if (strcmp(argv[3], "best") != 0) {
        smelt_cpu want;
        if (!smelt_cpu_parse(argv[3], &want)) return usage();
        if (!smelt_cpu_covers(cpu, want)) return 77;
        cpu = want;
    }
    codecs_select(cpu, fns);
    const smelt_codec_fns *f = &fns[type];
    const smelt_dtype_row *row = smelt_dtype_get(type);
    size_t size;
    void *in = slurp(stdin, &size), *out = NULL, *weights = NULL;
    if (!in) return 4;
    size_t produced = 0;
    if (strcmp(argv[1], "pack") == 0 && argc >= 5) {
        if (!f->pack) return 77;
        size_t cols = strtoul(argv[4], NULL, 10), elems = size / 4;
        if (cols == 0 || cols % row->elems || elems % cols) return usage();
        if (argc > 5) {
            size_t weights_size;
            FILE *w = fopen(argv[5], "rb");
            weights = w ? slurp(w, &weights_size) : NULL;
            if (w) fclose(w);
            if (!weights || weights_size != 4 * cols) return usage();
        }
        if (!weights && f->weights == SMELT_WEIGHTS_REQUIRED) return 77;
        produced = elems / row->elems * row->bytes;
        out = malloc(produced + 1);
        if (!out) return 4;
        f->pack(in, out, elems / cols, cols, weights);
    } else if (strcmp(argv[1], "unpack") == 0) {
        if (!f->unpack) return 77;
        produced = size / row->bytes * row->elems * 4;
        out = malloc(produced + 1);
        if (!out) return 4;
        f->unpack(in, out, produced / 4);
    } else if (strcmp(argv[1], "validate") == 0) {
        uint64_t n = size / row->bytes, bad = f->validate ? f->validate(in, n) : n;
        if (bad == n)
            puts("ok");
        else
            printf("%llu\n", (unsigned long long)bad);
    } else {
        return usage();
    }
    int status = fwrite(out, 1, produced, stdout) == produced && fflush(stdout) == 0 ? 0 : 4;
    free(in);
    free(out);
    free(weights);
    return status;
}
