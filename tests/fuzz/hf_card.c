/* README.md on any bytes: the keys of a model card, or none. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "formats/hf_card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_model m;
    smelt_arena arena = {0};
    smelt_meta meta = {.arena = &arena};
    smelt_err err = {0};
    model_init(&m);
    m.path = m.title = "Some-7B-model";
    const bool ok = model_side(&m, "README.md", data, size, &err) == SMELT_OK &&
                    hf_card_meta(&(smelt_ctx){0}, &m, 7000000000U, &meta, &err) == SMELT_OK;
    for (size_t i = 0; ok && i < meta.count; i++)
        if (meta.kv[i].type == SMELT_KV_STR && !utf8_valid(meta.kv[i].v.s.p, meta.kv[i].v.s.n)) abort();
    if (!ok || meta.count < 2) {
        fprintf(stderr, "fuzz: a card made a conversion fail\n");
        abort();
    }
    arena_free(&arena);
    model_free(&m);
    return 0;
}
