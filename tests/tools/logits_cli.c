/* Logits of token ids, for the tests beside transformers:
 *
 *     logits_cli SRC IDS OUT [THREADS [FAST [STEP]]]
 *
 * IDS has one sequence a line, ids with spaces between; OUT gets the float32 logits of all positions, sequence after sequence. All
 * sequences make one batch; with STEP above 0 each goes through a cache instead, STEP tokens at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt.h"

enum { MOST_SEQS = 256, MOST_IDS = 1 << 16 };

typedef struct writer {
    FILE *out;
    size_t vocab;
} writer;

static smelt_status write_rows(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)seq;
    (void)first;
    (void)err;
    const writer *w = user;
    return fwrite(logits, w->vocab * sizeof *logits, n, w->out) == n ? SMELT_OK : SMELT_E_IO;
}

static size_t read_ids(const char *path, smelt_seq *seqs, int32_t *ids)
{
    FILE *f = fopen(path, "r");
    static char line[1 << 20];
    size_t n = 0, used = 0;
    while (f && n < MOST_SEQS && fgets(line, sizeof line, f)) {
        seqs[n].ids = ids + used;
        for (char *p = line, *end; used < MOST_IDS; p = end) {
            const long id = strtol(p, &end, 10);
            if (end == p) break;
            ids[used++] = (int32_t)id;
            seqs[n].n++;
        }
        n++;
    }
    if (f) fclose(f);
    return n;
}

static smelt_status run_steps(smelt_engine *e, const smelt_seq *seq, size_t step, writer *w, smelt_err *err)
{
    smelt_cache *cache;
    smelt_status st = smelt_cache_new(e, &cache, err);
    for (size_t at = 0; at < seq->n && st == SMELT_OK; at += step) {
        const smelt_seq part = {.ids = seq->ids + at, .n = seq->n - at < step ? seq->n - at : step, .cache = cache};
        st = smelt_engine_run(e, &part, 1, write_rows, w, err);
    }
    smelt_cache_free(cache);
    return st;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    static smelt_seq seqs[MOST_SEQS];
    static int32_t ids[MOST_IDS];
    const size_t n = read_ids(argv[2], seqs, ids), step = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;
    const smelt_engine_config config = {.threads = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0,
                                        .fast = argc > 5 && strcmp(argv[5], "0") != 0};
    smelt_err err = {0};
    smelt_model *model = NULL;
    smelt_engine *engine = NULL;
    smelt_status st = smelt_model_open(argv[1], &model, &err);
    if (st == SMELT_OK) st = smelt_engine_open(model, &config, &engine, &err);
    writer w = {.out = fopen(argv[3], "wb"), .vocab = st == SMELT_OK ? smelt_engine_vocab(engine) : 0};
    if (!w.out) return 4;
    if (st == SMELT_OK && !step) st = smelt_engine_run(engine, seqs, n, write_rows, &w, &err);
    for (size_t i = 0; i < n && step && st == SMELT_OK; i++)
        st = run_steps(engine, &seqs[i], step, &w, &err);
    if (fclose(w.out) != 0 && st == SMELT_OK) st = SMELT_E_IO;
    if (st != SMELT_OK) fprintf(stderr, "%s: %s\n", err.where, err.text);
    smelt_engine_close(engine);
    smelt_model_close(model);
    return smelt_status_exit_code(st);
}
