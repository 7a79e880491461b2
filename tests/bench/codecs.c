/* Speed of the codecs for each type and processor level, beside the baseline and ggml's functions, in one table:
 *   bench_codecs [PATH/libggml-base.so | ""] [TYPE…]
 * GB/s of float32 for packing, packing with importances and unpacking, and how many times as fast that is as our baseline and as
 * ggml. One core, least processor time of some runs; 1 Mi elements, so that reading and writing stay in the cache as they do in a
 * conversion's units. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peer_ggml.h"
#include "quant/codecs.h"

enum { ELEMS = 1 << 20, COLS = 4096 };

typedef struct job {
    const float *x, *weights;
    float *y;
    void *packed;
    smelt_dtype type;
    const smelt_codec_fns *fns;
    peer_ggml ggml; /* without a library: there is none to compare with */
} job;

static void pack(const job *j) { j->fns->pack(j->x, j->packed, ELEMS / COLS, COLS, NULL); }
static void pack_weighted(const job *j) { j->fns->pack(j->x, j->packed, ELEMS / COLS, COLS, j->weights); }
static void unpack(const job *j) { j->fns->unpack(j->packed, j->y, ELEMS); }

static int peer_id(const job *j) { return smelt_dtype_get(j->type)->gguf_id; }
static void peer_pack(const job *j) { j->ggml.quantize(peer_id(j), j->x, j->packed, 0, ELEMS / COLS, COLS, NULL); }
static void peer_pack_weighted(const job *j) { j->ggml.quantize(peer_id(j), j->x, j->packed, 0, ELEMS / COLS, COLS, j->weights); }
static void peer_unpack(const job *j) { j->ggml.traits(peer_id(j))->unpack(j->packed, j->y, ELEMS); }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

/* What is measured, and the contenders; a speed is 0 where there is nothing to measure. */
enum { PACK, PACK_WEIGHTED, UNPACK, MEASURES };
static const smelt_cpu levels[] = {SMELT_CPU_BASELINE, SMELT_CPU_NEON, SMELT_CPU_AVX2, SMELT_CPU_AVX512};
enum { LEVELS = sizeof levels / sizeof *levels, PEER = LEVELS, CONTENDERS };

static void measure_ours(job *j, double speeds[CONTENDERS][MEASURES])
{
    static smelt_codec_fns fns[SMELT_DT_COUNT];
    const bool weighs = smelt_dtype_get(j->type)->kind == SMELT_KIND_BLOCK;
    smelt_codec_fns last = {0};
    for (int l = 0, before = 0; l < LEVELS; l++) {
        if (!smelt_cpu_covers(smelt_cpu_detect(), levels[l])) continue;
        codecs_select(levels[l], fns);
        j->fns = &fns[j->type];
        memcpy(speeds[l], speeds[before], sizeof speeds[l]);
        if (j->fns->pack && j->fns->pack != last.pack) {
            if (j->fns->weights != SMELT_WEIGHTS_REQUIRED) speeds[l][PACK] = speed(pack, j);
            if (weighs) speeds[l][PACK_WEIGHTED] = speed(pack_weighted, j);
        }
        if (j->fns->unpack != last.unpack) speeds[l][UNPACK] = speed(unpack, j);
        last = *j->fns;
        before = l;
    }
}

static void measure_peer(job *j, double speeds[MEASURES])
{
    const smelt_dtype_row *row = smelt_dtype_get(j->type);
    /* Its types without a decoder are intermediate ones. */
    if (!j->ggml.library || row->gguf_id < 0 || !j->ggml.traits(row->gguf_id)->unpack) return;
    if (j->fns->weights != SMELT_WEIGHTS_REQUIRED) speeds[PACK] = speed(peer_pack, j);
    if (row->kind == SMELT_KIND_BLOCK) speeds[PACK_WEIGHTED] = speed(peer_pack_weighted, j);
    speeds[UNPACK] = speed(peer_unpack, j);
}

static void print_cell(double value, double base, double peer)
{
    if (value > 0)
        printf("%9.3g", value);
    else
        printf("%9s", "");
    for (int k = 0; k < 2; k++) {
        const double other = k == 0 ? base : peer;
        if (value > 0 && other > 0)
            printf("%7.3gx", value / other);
        else
            printf("%8s", "");
    }
}

static void print_type(const char *name, double speeds[CONTENDERS][MEASURES])
{
    for (int c = 0; c < CONTENDERS; c++) {
        if (!(speeds[c][PACK] + speeds[c][PACK_WEIGHTED] + speeds[c][UNPACK] > 0)) continue;
        printf("%-12s%-9s", name, c == PEER ? "ggml" : smelt_cpu_name(levels[c]));
        for (int m = 0; m < MEASURES; m++)
            print_cell(speeds[c][m], speeds[0][m], speeds[PEER][m]);
        printf("\n");
    }
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc <= 2;
}

int main(int argc, char **argv)
{
    float *x = malloc(4 * ELEMS), *y = malloc(4 * ELEMS);
    static float weights[COLS];
    void *packed = malloc(8 * ELEMS);
    if (!x || !y || !packed) return 4;
    uint64_t seed = 1;
    for (int i = 0; i < ELEMS; i++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            sum += (double)(seed >> 40) / 0x1p24 - 0.5;
        }
        x[i] = (float)(0.03 * sum);
        weights[i % COLS] = (float)(sum * sum);
    }
    job j = {.x = x, .weights = weights, .y = y, .packed = packed};
    if (argc > 1 && *argv[1] && !peer_ggml_open(&j.ggml, argv[1])) return 2;
    printf("%-21s", "type        level");
    for (int m = 0; m < MEASURES; m++) {
        static const char *const titles[] = {"pack", "weighted", "unpack"};
        printf("%9s%8s%8s", titles[m], "/base", "/ggml");
    }
    printf("\n");
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
        static smelt_codec_fns fns[SMELT_DT_COUNT];
        codecs_select(SMELT_CPU_BASELINE, fns);
        if (!wanted(row->name, argc, argv) || !fns[d].unpack || (row->kind != SMELT_KIND_BLOCK && !fns[d].pack)) continue;
        double speeds[CONTENDERS][MEASURES] = {{0}};
        j.type = (smelt_dtype)d;
        measure_ours(&j, speeds);
        measure_peer(&j, speeds[PEER]);
        print_type(row->name, speeds);
    }
    free(x);
    free(y);
    free(packed);
    if (j.ggml.library) dlclose(j.ggml.library);
    return 0;
}
