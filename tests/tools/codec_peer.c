/* Codecs against ggml's own functions, for as many blocks as time allows:
 *   codec_peer PATH/libggml-base.so CPU[,CPU…] BLOCKS [TYPE…]
 * For each block type (or those named): BLOCKS blocks packed without importances and as many with them, where the type can do with
 * and without, and as many of random bytes unpacked, at each processor level CPU that this machine has. The values are those of
 * adversary.h, finite ones. One line for each type, also when it is interrupted; exit code 1 if anything differs. A million blocks
 * of every type, hours for those with a search:
 *   build/release/tests/codec_peer LIBRARY baseline,avx2,avx512 1000000 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary.h"
#include "peer_ggml.h"
#include "quant/codecs.h"

enum { ROWS = 64, COLS = 1024, ELEMS = ROWS * COLS, MAX_LEVELS = 4, MAX_BYTES = 8 * ELEMS };

static struct {
    peer_ggml ggml;
    void (*pack_q8_k)(const float *x, void *dst, int64_t n); /* which is in no table of ggml's */
    int levels;
    const char *level[MAX_LEVELS];
    smelt_codec_fns fns[MAX_LEVELS][SMELT_DT_COUNT];
    uint64_t seed;
    jmp_buf gave_up;
} run;

/* Blocks of a type so far. */
typedef struct tally {
    bool wanted;
    uint64_t plain, weighted, unpacked, given_up, differences;
} tally;

static float values[ELEMS], tamed[ELEMS], want_floats[ELEMS], got_floats[ELEMS], weights[COLS], usual_weights[COLS];
static uint8_t want[MAX_BYTES], got[MAX_BYTES];
static tally tallies[SMELT_DT_COUNT];
static volatile sig_atomic_t interrupted;

static void interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* Grids: where no point of a list is near, as overflowing sums have it, ggml gives up, and for iq1 reads beyond the block. */
static bool has_grid(smelt_dtype type)
{
    const char *name = smelt_dtype_get(type)->name;
    return strncmp(name, "iq", 2) == 0 && strncmp(name, "iq4", 3) != 0;
}

static void make_values(uint64_t round)
{
    static const uint64_t kinds[] = {0, 1, 2, 4};
    adversary(values, ELEMS, &run.seed, true);
    importances(usual_weights, kinds[round % 4], &run.seed);
    importances(weights, round % 5, &run.seed);
    for (int i = 0; i < ELEMS; i++)
        tamed[i] = fabsf(values[i]) < 0x1p28f ? values[i] : ldexpf(values[i], -100);
}

static void give_up(const char *message)
{
    (void)message;
    longjmp(run.gave_up, 1);
}

/* Rows [first, first + n); false if ggml gives up. */
static bool peer_pack(smelt_dtype type, const float *x, int first, int n, const float *w)
{
    const smelt_dtype_row *row = smelt_dtype_get(type);
    const peer_traits *t = run.ggml.traits(row->gguf_id);
    uint8_t *dst = want + (size_t)first * (COLS / row->elems * row->bytes);
    if (setjmp(run.gave_up)) return false;
    if (t->unpack)
        run.ggml.quantize(row->gguf_id, x + first * COLS, dst, 0, n, COLS, w);
    else
        (t->pack ? t->pack : run.pack_q8_k)(x + first * COLS, dst, n * COLS);
    return true;
}

static void different(smelt_dtype type, int level, const char *what, size_t block)
{
    printf("%s at %s: block %zu of %s differs\n", smelt_dtype_get(type)->name, run.level[level], block, what);
    tallies[type].differences++;
}

static void compare_packing(smelt_dtype type, float *x, const float *w)
{
    const smelt_dtype_row *row = smelt_dtype_get(type);
    const size_t bytes = ELEMS / row->elems * row->bytes;
    memset(want, 0, bytes); /* of a block of zeros ggml's q8_k leaves the sums as they were */
    if (!peer_pack(type, x, 0, ROWS, w))
        for (int r = 0; r < ROWS; r++)
            if (!peer_pack(type, x, r, 1, w)) { /* zeros instead */
                memset(x + r * COLS, 0, COLS * sizeof *x);
                peer_pack(type, x, r, 1, w);
                tallies[type].given_up += COLS / row->elems;
            }
    for (int l = 0; l < run.levels; l++) {
        memset(got, 0xA5, bytes);
        run.fns[l][type].pack(x, got, ROWS, COLS, w);
        if (memcmp(got, want, bytes) == 0) continue;
        size_t i = 0;
        while (got[i] == want[i])
            i++;
        different(type, l, w ? "a chunk packed with importances" : "a chunk packed", i / row->bytes);
    }
}

static void compare_unpacking(smelt_dtype type)
{
    const smelt_dtype_row *row = smelt_dtype_get(type);
    const size_t bytes = ELEMS / row->elems * row->bytes;
    for (size_t i = 0; i < bytes; i++)
        got[i] = (uint8_t)(next(&run.seed) >> 32);
    run.ggml.traits(row->gguf_id)->unpack(got, want_floats, ELEMS);
    for (int l = 0; l < run.levels; l++) {
        run.fns[l][type].unpack(got, got_floats, ELEMS);
        for (int i = 0; i < ELEMS; i++)
            if (f32_bits(got_floats[i]) != f32_bits(want_floats[i]) && !(isnan(got_floats[i]) && isnan(want_floats[i]))) {
                different(type, l, "a chunk unpacked", (size_t)i / row->elems);
                break;
            }
    }
}

/* A chunk of each kind. */
static void compare(smelt_dtype type)
{
    const uint64_t blocks = ELEMS / smelt_dtype_get(type)->elems;
    const bool grid = has_grid(type);
    tally *t = &tallies[type];
    if (run.fns[0][type].weights != SMELT_WEIGHTS_REQUIRED) {
        compare_packing(type, grid ? tamed : values, NULL);
        t->plain += blocks;
    }
    if (!run.ggml.traits(smelt_dtype_get(type)->gguf_id)->unpack) return;
    compare_packing(type, grid ? tamed : values, grid ? usual_weights : weights);
    compare_unpacking(type);
    t->weighted += blocks;
    t->unpacked += blocks;
}

static bool report(void)
{
    bool equal = true;
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const tally *t = &tallies[d];
        if (!t->wanted) continue;
        printf("%-8s %9llu packed, %9llu with importances, %9llu unpacked: %s", smelt_dtype_get((smelt_dtype)d)->name,
               (unsigned long long)t->plain, (unsigned long long)t->weighted, (unsigned long long)t->unpacked,
               t->differences ? "DIFFERENT" : "equal");
        if (t->given_up) printf("; ggml gave up on %llu", (unsigned long long)t->given_up);
        printf("\n");
        equal &= !t->differences;
    }
    return equal;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 4; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc <= 4;
}

static bool take_levels(char *list)
{
    for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
        smelt_cpu cpu;
        if (run.levels == MAX_LEVELS || !smelt_cpu_parse(name, &cpu)) {
            fprintf(stderr, "codec_peer: there is no processor level %s\n", name);
            return false;
        }
        if (!smelt_cpu_covers(smelt_cpu_detect(), cpu)) continue;
        run.level[run.levels] = name;
        codecs_select(cpu, run.fns[run.levels++]);
    }
    return run.levels > 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: codec_peer PATH/libggml-base.so CPU[,CPU...] BLOCKS [TYPE...]\n", stderr);
        return 2;
    }
    if (!peer_ggml_open(&run.ggml, argv[1]) || !take_levels(argv[2])) return 2;
    run.ggml.on_abort(give_up);
    *(void **)&run.pack_q8_k = dlsym(run.ggml.library, "quantize_row_q8_K_ref");
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    const uint64_t blocks = strtoull(argv[3], NULL, 10);
    bool more = true;
    run.seed = 88172645463325252u;
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
        tallies[d].wanted = row->kind == SMELT_KIND_BLOCK && run.fns[0][d].pack && wanted(row->name, argc, argv);
    }
    for (uint64_t round = 0; more && !interrupted; round++) {
        more = false;
        make_values(round);
        for (int d = 0; d < SMELT_DT_COUNT && !interrupted; d++) {
            const tally *t = &tallies[d];
            if (!t->wanted || t->differences > 10 || (t->plain > t->weighted ? t->plain : t->weighted) >= blocks) continue;
            compare((smelt_dtype)d);
            more = true;
        }
    }
    return !report();
}
