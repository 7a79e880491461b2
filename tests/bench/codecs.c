/* Speed of the codecs in GB/s of float32, for each type and processor level, side by side with ggml's functions:
 *   bench_codecs [PATH/libggml-base.so] [TYPE…]
 * One core; data of 1 Mi elements, so that reading and writing stay in the cache as they do in a conversion's units. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quant/codecs.h"

enum { ELEMS = 1 << 20, COLS = 4096 };

typedef size_t peer_pack_fn(int type, const float *src, void *dst, int64_t start, int64_t rows, int64_t cols, const float *weights);
/* ggml_type_traits, as far as it is needed. */
typedef struct peer_traits {
    const char *name;
    int64_t elems, interleave;
    size_t bytes;
    bool quantized;
    void (*unpack)(const void *src, float *dst, int64_t n);
} peer_traits;
typedef const peer_traits *peer_traits_fn(int type);

typedef struct job {
    const float *x;
    float *y;
    void *packed;
    smelt_dtype type;
    const smelt_codec_fns *fns;
    peer_pack_fn *peer_pack;
    peer_traits_fn *peer_traits;
} job;

static void pack(const job *j) { j->fns->pack(j->x, j->packed, ELEMS / COLS, COLS, NULL); }
static void unpack(const job *j) { j->fns->unpack(j->packed, j->y, ELEMS); }
static void peer_pack(const job *j)
{
    j->peer_pack(smelt_dtype_get(j->type)->gguf_id, j->x, j->packed, 0, ELEMS / COLS, COLS, NULL);
}
static void peer_unpack(const job *j) { j->peer_traits(smelt_dtype_get(j->type)->gguf_id)->unpack(j->packed, j->y, ELEMS); }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best of some runs, in GB/s of float32. */
static double speed(void (*run)(const job *), const job *j)
{
    double best = 1e9, spent = 0;
    for (int i = 0; i < 20 && (i < 2 || spent < 0.3); i++) {
        double start = now();
        run(j);
        double t = now() - start;
        spent += t;
        best = t < best ? t : best;
    }
    return 4.0 * ELEMS / best / 1e9;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc <= 2;
}

int main(int argc, char **argv)
{
    static smelt_codec_fns fns[SMELT_DT_COUNT];
    static const smelt_cpu levels[] = {SMELT_CPU_BASELINE, SMELT_CPU_NEON, SMELT_CPU_AVX2, SMELT_CPU_AVX512};
    float *x = malloc(4 * ELEMS), *y = malloc(4 * ELEMS);
    void *packed = malloc(8 * ELEMS), *so = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!x || !y || !packed) return 4;
    if (argc > 1 && !so) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    uint64_t seed = 1;
    for (int i = 0; i < ELEMS; i++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            sum += (double)(seed >> 40) / 0x1p24 - 0.5;
        }
        x[i] = (float)(0.03 * sum);
    }
    job j = {.x = x, .y = y, .packed = packed};
    if (so) {
        *(void **)&j.peer_pack = dlsym(so, "ggml_quantize_chunk");
        *(void **)&j.peer_traits = dlsym(so, "ggml_get_type_traits");
    }
    printf("%-12s%-10s%10s%10s   GB/s of float32\n", "type", "level", "pack", "unpack");
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
        smelt_pack_fn *last = NULL;
        smelt_unpack_fn *last_unpack = NULL;
        j.type = (smelt_dtype)d;
        j.fns = &fns[d];
        if (!wanted(row->name, argc, argv)) continue;
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            if (!smelt_cpu_covers(smelt_cpu_detect(), levels[l])) continue;
            codecs_select(levels[l], fns);
            if (!fns[d].pack || (fns[d].pack == last && fns[d].unpack == last_unpack)) continue;
            printf("%-12s%-10s", row->name, smelt_cpu_name(levels[l]));
            if (fns[d].pack != last)
                printf("%10.2f", speed(pack, &j));
            else
                printf("%10s", "");
            if (fns[d].unpack && fns[d].unpack != last_unpack) printf("%10.2f", speed(unpack, &j));
            printf("\n");
            last = fns[d].pack;
            last_unpack = fns[d].unpack;
        }
        if (last && j.peer_pack && j.peer_traits && row->gguf_id >= 0 && (row->kind == SMELT_KIND_BLOCK || row->bytes == 2)) {
            printf("%-12s%-10s", row->name, "ggml");
            if (j.peer_traits(row->gguf_id)->unpack) /* types without it are intermediate ones */
                printf("%10.2f%10.2f", speed(peer_pack, &j), speed(peer_unpack, &j));
            printf("\n");
        }
    }
    free(x);
    free(y);
    free(packed);
    if (so) dlclose(so);
    return 0;
}
