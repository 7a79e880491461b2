/* Fails the k-th allocation of reading a tokenizer, encoding and decoding, for every k: the status is E_NOMEM with a message, nothing
 * leaks (where a sanitizer looks), and a state that has failed once encodes as before. The linker redirects the library's calls, as
 * for fault.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tok_open.h"

static long countdown = -1; /* allocations until one fails; negative: none does */

static bool fails(void) { return countdown >= 0 && countdown-- == 0; }

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

static const char text[] = "Hello  world<|begin_of_text|> 12 \xC3\xA9 e\xCC\x81 \xFF "
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static int bad(const char *source, long k, const char *what, const smelt_err *err)
{
    fprintf(stderr, "%s, allocation %ld: %s: %s\n", source, k, what, err->text);
    return 1;
}

static smelt_status both_ways(const tok_source *s, smelt_buf *ids, smelt_buf *back, smelt_err *err)
{
    smelt_status st = tok_encode(s->tok, s->state, text, sizeof text - 1, SMELT_TOK_ADD_SPECIAL, ids, err);
    if (st == SMELT_OK) st = tok_decode(s->tok, (const int32_t *)(const void *)ids->data, ids->size / 4, 0, back, err);
    return st;
}

static int each(const char *source)
{
    smelt_buf want = {0}, want_back = {0};
    smelt_err err = {0};
    tok_source s;
    if (tok_source_open(source, &s, &err) != SMELT_OK || both_ways(&s, &want, &want_back, &err) != SMELT_OK)
        return bad(source, -1, "fails undisturbed", &err);
    tok_source_close(&s);
    smelt_status st = SMELT_E_NOMEM;
    int wrong = 0;
    for (long k = 0; st != SMELT_OK && !wrong; k++) {
        smelt_buf ids = {0}, back = {0}, again = {0}, again_back = {0};
        err = (smelt_err){0};
        countdown = k;
        st = tok_source_open(source, &s, &err);
        bool opened = st == SMELT_OK;
        if (opened) st = both_ways(&s, &ids, &back, &err);
        countdown = -1;
        if (st != SMELT_OK && (st != SMELT_E_NOMEM || !err.text[0])) wrong = bad(source, k, "another status", &err);
        err = (smelt_err){0};
        if (opened && (both_ways(&s, &again, &again_back, &err) != SMELT_OK || again.size != want.size ||
                       memcmp(again.data, want.data, want.size) != 0 || again_back.size != want_back.size))
            wrong = bad(source, k, "what comes after a failure is not as before", &err);
        tok_source_close(&s);
        buf_free(&ids);
        buf_free(&back);
        buf_free(&again);
        buf_free(&again_back);
    }
    buf_free(&want);
    buf_free(&want_back);
    return wrong;
}

int main(void)
{
    static const char *const sources[] = {SMELT_SOURCE_DIR "/tests/data/vocab/bpe.json",
                                          SMELT_SOURCE_DIR "/tests/data/vocab/spm.model",
                                          SMELT_SOURCE_DIR "/tests/data/tiny-llama"};
    int wrong = 0;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        wrong |= each(sources[i]);
    return wrong;
}
