/* The choice of types from the command line, for comparisons with other implementations:
 *   recipe_cli quantize FAMILY MIX [OPTION...]        recipe_cli convert FAMILY TYPE
 * Options: --pure, --imatrix (there is one), recipe=FILE, layers=N heads=N kv_heads=N experts=N.
 * stdin has a line "NAME TYPE DIM…" for each tensor, outermost dimension first; stdout gets "NAME TYPE". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "quant/recipe.h"

static bool store_anything(smelt_dtype dtype)
{
    (void)dtype;
    return true;
}

static bool read_tensor(char *line, smelt_arena *arena, smelt_tensor *t)
{
    char *save, *name = strtok_r(line, " \n", &save), *type = strtok_r(NULL, " \n", &save), *dim;
    if (!name || !type || !smelt_dtype_by_name(type, &t->dtype)) return false;
    t->name = arena_strdup(arena, name);
    t->layer = -1;
    while ((dim = strtok_r(NULL, " \n", &save)) && t->shape.n < SMELT_MAX_DIMS)
        t->shape.dim[t->shape.n++] = strtoull(dim, NULL, 10);
    return t->name != NULL;
}

/* An argument behind the mix. */
static bool option(const char *arg, smelt_recipe_opts *opts, smelt_hparams *hp, smelt_arena *arena)
{
    static const struct {
        const char *name;
        smelt_hp hp;
    } sizes[] = {
        {"layers=", SMELT_HP_LAYERS}, {"heads=", SMELT_HP_HEADS}, {"kv_heads=", SMELT_HP_KV_HEADS}, {"experts=", SMELT_HP_EXPERTS}};
    opts->pure |= strcmp(arg, "--pure") == 0;
    opts->imatrix |= strcmp(arg, "--imatrix") == 0;
    if (*arg == '-') return opts->pure || opts->imatrix;
    if (strncmp(arg, "recipe=", 7) == 0) return recipe_read(arena, arg + 7, &opts->rules, NULL) == SMELT_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strncmp(arg, sizes[i].name, strlen(sizes[i].name)) == 0) {
            hp->v[sizes[i].hp] = strtod(arg + strlen(sizes[i].name), NULL);
            return hp->set[sizes[i].hp] = true;
        }
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: recipe_cli quantize FAMILY MIX [OPTION...] | recipe_cli convert FAMILY TYPE\n", stderr);
        return 2;
    }
    static smelt_ctx ctx;
    const smelt_format target = {.name = "gguf", .can_store = store_anything};
    smelt_model model;
    smelt_err err = {0};
    char line[1024];
    int file_type;
    model_init(&model);
    model.arch = arch_by_name(argv[2], strlen(argv[2]), NULL);
    while (fgets(line, sizeof line, stdin)) {
        if (!arena_room(&model.arena, &model.tensors, model.n_tensors, &model.cap_tensors, sizeof *model.tensors)) return 4;
        model.tensors[model.n_tensors] = (smelt_tensor){0};
        if (!read_tensor(line, &model.arena, &model.tensors[model.n_tensors++])) return 2;
    }
    smelt_choice *choices = arena_calloc(&model.arena, model.n_tensors, sizeof *choices);
    smelt_recipe_opts opts = {
        .mix = argv[3], .output_type = SMELT_DT_COUNT, .embedding_type = SMELT_DT_COUNT, .allow_requantize = true};
    if (!choices) return 4;
    for (int i = 4; i < argc; i++)
        if (!option(argv[i], &opts, &model.hp, &model.arena)) return 2;
    smelt_status st = strcmp(argv[1], "convert") == 0 ? recipe_convert(&ctx, &target, &model, argv[3], choices, &file_type, &err)
                                                      : recipe_quantize(&ctx, &model, &opts, choices, &file_type, &err);
    for (size_t i = 0; st == SMELT_OK && i < model.n_tensors; i++)
        printf("%s %s\n", model.tensors[i].name, smelt_dtype_get(choices[i].given)->name);
    if (st != SMELT_OK) fprintf(stderr, "%s\n", err.text);
    model_free(&model);
    return smelt_status_exit_code(st);
}
