/* Recipes: any bytes are rules or an error with a line. */
#include "quant/rules.h"

#include <string.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_arena arena = {0};
    smelt_rules rules = {0};
    smelt_err err = {0};
    smelt_status st = recipe_parse(&arena, (const char *)data, size, &rules, &err);
    fuzz_check_status(st, &err);
    for (size_t i = 0; i < rules.n; i++) {
        char text[64];
        fuzz_demand(strlen(recipe_rule_text(&rules.rule[i], text, sizeof text)) < sizeof text, "a text beyond its buffer");
    }
    arena_free(&arena);
    return 0;
}
