/* Encodes and decodes many texts at once, for comparisons with other tokenizers.
 *
 *   tok_cli SRC FLAGS < RECORDS > RECORDS
 *
 * Input: records of a 32-bit length and that many bytes. Output for each: the number of ids and the ids, then the length and the
 * bytes of what decoding them gives (all little-endian). FLAGS: sum of SMELT_TOK_* numbers; or "time", and then nothing is decoded
 * and the seconds that encoding took go to standard error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/tok_open.h"

static void put(const void *p, size_t size, size_t n)
{
    uint32_t count = (uint32_t)n;
    fwrite(&count, 4, 1, stdout);
    if (n) fwrite(p, size, n, stdout);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    unsigned flags = (unsigned)strtoul(argv[2], NULL, 10);
    bool timed = strcmp(argv[2], "time") == 0;
    double spent = 0;
    smelt_err err = {0};
    tok_source s;
    smelt_status st = tok_source_open(argv[1], &s, &err);
    smelt_buf text = {0}, ids = {0}, back = {0};
    uint32_t n;
    while (st == SMELT_OK && fread(&n, 4, 1, stdin) == 1) {
        text.size = ids.size = back.size = 0;
        buf_zeros(&text, n);
        if (n && fread(text.data, 1, n, stdin) != n) break;
        double start = now();
        st = tok_encode(s.tok, s.state, (const char *)text.data, n, flags, &ids, &err);
        spent += now() - start;
        const int32_t *id = (const int32_t *)(const void *)ids.data;
        if (st == SMELT_OK && !timed) st = tok_decode(s.tok, id, ids.size / 4, flags, &back, &err);
        if (st != SMELT_OK) break;
        put(ids.data, 4, ids.size / 4);
        if (!timed) put(back.data, 1, back.size);
    }
    if (st != SMELT_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.text);
    else if (timed)
        fprintf(stderr, "%.6f\n", spent);
    buf_free(&text);
    buf_free(&ids);
    buf_free(&back);
    tok_source_close(&s);
    return st != SMELT_OK;
}
