/* A directory of tokenizer files: as a vocabulary, as GGUF keys, from those keys again, and as files again. */
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "formats/gguf_vocab.h"
#include "formats/tokenizer_hf.h"
#include "formats/tokenizer_write.h"
#include "fuzz/fuzz.h"

static void demand_same(const smelt_vocab *a, const smelt_vocab *b)
{
    fuzz_demand(b && a->kind == b->kind && a->n == b->n && a->n_merges == b->n_merges, "the keys hold another vocabulary");
    for (size_t i = 0; i < a->n; i++)
        fuzz_demand(a->text[i].n == b->text[i].n && memcmp(a->text[i].p, b->text[i].p, a->text[i].n) == 0 &&
                        a->type[i] == b->type[i],
                    "a token changed");
    for (int i = 0; i < SMELT_SP_COUNT; i++)
        fuzz_demand(a->special[i] == b->special[i] || i == SMELT_SP_CLS, "a special token changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_model model, again;
    smelt_err err = {0};
    char path[400];
    const char *dir = fuzz_unpack(&ctx, data, size);
    model_init(&model);
    model_init(&again);
    json_t *config = NULL;
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (path_exists(path)) smelt_json_load(path, 1 << 20, &config, NULL);
    model.config = config;
    smelt_status st = hf_vocab_read(&ctx, dir, &model, &err);
    fuzz_check_status(st, &err);
    fuzz_demand(st == SMELT_OK || !model.vocab, "a vocabulary in spite of an error");
    fuzz_demand(model.arena.used <= 1024 * size + (16 << 20), "more memory than the input explains");
    if (st == SMELT_OK && model.vocab) {
        fuzz_demand(gguf_vocab_put(&model, &again.meta, &err) == SMELT_OK, "keys cannot be made");
        fuzz_demand(gguf_vocab_get(&again, &err) == SMELT_OK, "keys cannot be read");
        demand_same(model.vocab, again.vocab);
        smelt_side_file *files;
        size_t n;
        smelt_arena arena = {0};
        st = hf_vocab_write(&ctx, &again, &arena, &files, &n, &err);
        fuzz_check_status(st, &err);
        for (size_t i = 0; st == SMELT_OK && i < n; i++) {
            size_t len = strlen(files[i].name);
            if (len < 5 || strcmp(files[i].name + len - 5, ".json") != 0) continue;
            json_t *json = NULL;
            smelt_err why = {0};
            /* A token may have a NUL, which jansson does not read in an object's key. */
            bool ok = smelt_json_parse((const char *)files[i].data, files[i].size, files[i].name, &json, &why) == SMELT_OK;
            fuzz_demand(ok || strstr(why.text, "NUL byte in object key"), why.text);
            json_decref(json);
        }
        arena_free(&arena);
    }
    model_free(&model);
    model_free(&again);
    return 0;
}
