/* Tokenizers from hostile files, and hostile text: the input is the files of a directory, as in tokenizer_json, one of which, "text",
 * is what is encoded. */
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "formats/tokenizer_source.h"
#include "fuzz/fuzz.h"

static void encode(const smelt_tok *tok, const char *text, size_t n)
{
    smelt_tok_state *state;
    smelt_err err = {0};
    fuzz_demand(tok_state_new(tok, &state, &err) == SMELT_OK, "no state");
    for (unsigned flags = 0; flags < 4; flags++) {
        smelt_buf ids = {0}, again = {0}, back = {0};
        err = (smelt_err){0};
        smelt_status st = tok_encode(tok, state, text, n, flags, &ids, &err);
        fuzz_check_status(st, &err);
        if (st == SMELT_OK) {
            const int32_t *id = (const int32_t *)(const void *)ids.data;
            for (size_t i = 0; i < ids.size / 4; i++)
                fuzz_demand(tok_text(tok, id[i]).p, "an id without a token");
            fuzz_demand(tok_decode(tok, id, ids.size / 4, 0, &back, &err) == SMELT_OK, "ids that cannot be decoded");
            fuzz_demand(tok_encode(tok, state, text, n, flags, &again, &err) == SMELT_OK, "the second time fails");
            fuzz_demand(ids.size == again.size && (!ids.size || memcmp(ids.data, again.data, ids.size) == 0),
                        "the cache changes ids");
        }
        buf_free(&ids);
        buf_free(&again);
        buf_free(&back);
    }
    tok_state_free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_err err = {0};
    hf_tokenizer files;
    bool found;
    char path[400];
    const char *dir = fuzz_unpack(&ctx, data, size), *text = "a b<s>\xFF 12'S \xC3\xA9";
    smelt_arena arena = {0};
    size_t n = strlen(text);
    snprintf(path, sizeof path, "%s/text", dir);
    if (path_exists(path)) fuzz_demand(file_read(&arena, path, 1 << 20, &text, &n, &err) == SMELT_OK, "the text cannot be read");
    smelt_status st = hf_tokenizer_read(&ctx, dir, &files, &found, &err);
    fuzz_check_status(st, &err);
    smelt_tok *tok = NULL;
    if (st == SMELT_OK && found) {
        st = tok_new(&files.desc, &tok, &err);
        fuzz_check_status(st, &err);
        if (st == SMELT_OK) encode(tok, text, n);
        tok_free(tok);
    }
    hf_tokenizer_free(&files);
    arena_free(&arena);
    return 0;
}
