/* Encodes and decodes many texts at once, for comparisons with other tokenizers.
 *
 *   tok_cli SRC FLAGS < RECORDS > RECORDS
 *
 * Input: records of a 32-bit length and that many bytes. Output for each: the number of ids and the ids, then the length and the
 * bytes of what decoding them gives (all little-endian). FLAGS: sum of SMELT_TOK_* numbers. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/tok_open.h"

static void put(const void *p, size_t size, size_t n)
{
    uint32_t count = (uint32_t)n;
    fwrite(&count, 4, 1, stdout);
    if (n) fwrite(p, size, n, stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    unsigned flags = (unsigned)strtoul(argv[2], NULL, 10);
    smelt_err err = {0};
    tok_source s;
    smelt_status st = tok_source_open(argv[1], &s, &err);
    smelt_buf text = {0}, ids = {0}, back = {0};
    uint32_t n;
    while (st == SMELT_OK && fread(&n, 4, 1, stdin) == 1) {
        text.size = ids.size = back.size = 0;
        buf_zeros(&text, n);
        if (n && fread(text.data, 1, n, stdin) != n) break;
        st = tok_encode(s.tok, s.state, (const char *)text.data, n, flags, &ids, &err);
        const int32_t *id = (const int32_t *)(const void *)ids.data;
        if (st == SMELT_OK) st = tok_decode(s.tok, id, ids.size / 4, flags, &back, &err);
        if (st != SMELT_OK) break;
        put(ids.data, 4, ids.size / 4);
        put(back.data, 1, back.size);
    }
    if (st != SMELT_OK) fprintf(stderr, "%s: %s\n", err.where, err.text);
    buf_free(&text);
    buf_free(&ids);
    buf_free(&back);
    tok_source_close(&s);
    return st != SMELT_OK;
}
