#include <stddef.h>
#include <string.h>

#include "quant/imatrix.h"
#include "tools/derives.h"
#include "tools/edits.h"
#include "tools/run.h"
#include "tools/show_recipe.h"

extern const command cmd_quantize;

typedef struct quantize_opts {
    run_opts run;
    edit_opts edit;
    opt_list tensor_type, include, exclude;
    const char *imatrix, *recipe;
    bool print_recipe, json;
    const char *output_type, *embedding_type;
    bool leave_output, pure, allow_requantize;
    const char *mix;       /* the operand TYPE */
    smelt_imatrix *loaded; /* empty without --imatrix; lives as long as the plan that borrows from it */
} quantize_opts;

static const opt options[] = {
    {"--tensor-type", OPT_LIST, "REGEX=TYPE", "type of the tensors whose names match; may be repeated, the first match wins",
     offsetof(quantize_opts, tensor_type)},
    {"--recipe", OPT_TEXT, "FILE", "rules that change what TYPE gives (docs/quantize.md)", offsetof(quantize_opts, recipe),
     OPT_LINES},
    {"--print-recipe", OPT_FLAG, NULL, "show the type of every tensor and why, and stop", offsetof(quantize_opts, print_recipe),
     OPT_ASIDE},
    {"--json", OPT_FLAG, NULL, "with --print-recipe: print JSON", offsetof(quantize_opts, json), OPT_ASIDE},
    {"--imatrix", OPT_TEXT, "FILE", "importance matrix of llama-imatrix, imatrix.gguf or .dat", offsetof(quantize_opts, imatrix),
     OPT_HASH},
    {"--include-weights", OPT_LIST, "NAME", "use the matrix only for tensors with this in their names; may be repeated",
     offsetof(quantize_opts, include)},
    {"--exclude-weights", OPT_LIST, "NAME", "do not use it for tensors with this in their names; may be repeated",
     offsetof(quantize_opts, exclude)},
    {"--output-tensor-type", OPT_TEXT, "TYPE", "type of the output matrix", offsetof(quantize_opts, output_type)},
    {"--token-embedding-type", OPT_TEXT, "TYPE", "type of the token embedding", offsetof(quantize_opts, embedding_type)},
    {"--leave-output-tensor", OPT_FLAG, NULL, "do not quantise the output matrix", offsetof(quantize_opts, leave_output)},
    {"--pure", OPT_FLAG, NULL, "the same type for every matrix, without the mix's rules", offsetof(quantize_opts, pure)},
    {"--allow-requantize", OPT_FLAG, NULL, "accept sources that are quantised already, at a loss",
     offsetof(quantize_opts, allow_requantize)},
    {"--prune-layers", OPT_TEXT, "LIST", "leave out layers, such as 3,8-11; the others are renumbered",
     offsetof(quantize_opts, edit.prune_layers)},
    {"--override-kv", OPT_LIST, "KEY=TYPE:VALUE", "set a key of the output; TYPE is int, float, bool or str; may be repeated",
     offsetof(quantize_opts, edit.override_kv)},
    {"--keep-split", OPT_FLAG, NULL, "write as many files as the source has, with the same tensors",
     offsetof(quantize_opts, edit.keep_split)},
    RUN_OPTS(quantize_opts),
    {0},
};

static smelt_status parse_type(const char *option, const char *text, smelt_dtype *out, smelt_err *err)
{
    if (smelt_dtype_by_name(text, out)) return SMELT_OK;
    return smelt_fail(err, SMELT_E_USAGE, "%s: unknown type '%s'; types are named like q8_0, q4_k, f16", option, text);
}

static smelt_status parse_override(const char *text, smelt_arena *arena, smelt_override *out, smelt_err *err)
{
    const char *eq = strrchr(text, '=');
    if (!eq || eq == text || !eq[1]) return smelt_fail(err, SMELT_E_USAGE, "--tensor-type '%s': expected REGEX=TYPE", text);
    out->regex = arena_strndup(arena, text, (size_t)(eq - text));
    if (!out->regex) return smelt_oom(err);
    return parse_type("--tensor-type", eq + 1, &out->type, err);
}

static smelt_status open_imatrix(const smelt_ctx *ctx, const quantize_opts *o, smelt_write_opts *write, smelt_err *err)
{
    if (!o->imatrix && (o->include.n || o->exclude.n))
        return smelt_fail(err, SMELT_E_USAGE, "--include-weights and --exclude-weights say which part of an --imatrix to use");
    if (!o->imatrix) return SMELT_OK;
    const smelt_imatrix_opts opts = {
        .path = o->imatrix,
        .name = o->run.against ? o->run.against->imatrix_name : NULL,
        .include = o->include.item,
        .n_include = o->include.n,
        .exclude = o->exclude.item,
        .n_exclude = o->exclude.n,
    };
    SMELT_TRY(imatrix_open(ctx, &opts, o->loaded, err));
    write->keys = o->loaded->keys;
    write->n_keys = o->loaded->n_keys;
    return SMELT_OK;
}

static smelt_status choose(const smelt_ctx *ctx, const void *opts, smelt_plan *plan, smelt_choice *choices, smelt_write_opts *write,
                           smelt_err *err)
{
    const quantize_opts *o = opts;
    uint64_t layers;
    SMELT_TRY(edit_tensors(ctx, &o->edit, plan, &layers, err));
    SMELT_TRY(open_imatrix(ctx, o, write, err));
    SMELT_TRY(edit_keys(&o->edit, plan, layers, write, err));
    smelt_override *overrides = arena_calloc(&plan->out.arena, o->tensor_type.n, sizeof *overrides);
    if (!overrides) return smelt_oom(err);
    for (size_t i = 0; i < o->tensor_type.n; i++)
        SMELT_TRY(parse_override(o->tensor_type.item[i], &plan->out.arena, &overrides[i], err));
    smelt_recipe_opts recipe = {
        .mix = o->mix,
        .overrides = overrides,
        .n_overrides = o->tensor_type.n,
        .output_type = SMELT_DT_COUNT,
        .embedding_type = SMELT_DT_COUNT,
        .leave_output = o->leave_output,
        .pure = o->pure,
        .allow_requantize = o->allow_requantize,
        .imatrix = o->loaded->n,
    };
    if (o->output_type) SMELT_TRY(parse_type("--output-tensor-type", o->output_type, &recipe.output_type, err));
    if (o->embedding_type) SMELT_TRY(parse_type("--token-embedding-type", o->embedding_type, &recipe.embedding_type, err));
    if (o->recipe)
        SMELT_TRY(strchr(o->recipe, '\n') ? recipe_parse(&plan->out.arena, o->recipe, strlen(o->recipe), &recipe.rules, err)
                                          : recipe_read(&plan->out.arena, o->recipe, &recipe.rules, err));
    write->quantized = true;
    SMELT_TRY(recipe_quantize(ctx, &plan->out, &recipe, choices, &write->file_type, err));
    SMELT_TRY(imatrix_match(ctx, o->loaded, &plan->out, choices, plan->importance, err));
    if (o->print_recipe) return SMELT_OK;
    return recipe_check_importance(ctx, &plan->out, &recipe, choices, plan->importance, err);
}

static smelt_status show(const void *opts, const smelt_plan *plan, const smelt_choice *choices, smelt_err *err)
{
    const quantize_opts *o = opts;
    return show_recipe(plan, choices, o->mix, o->json, err);
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    quantize_opts o = *(const quantize_opts *)opts;
    smelt_imatrix imatrix = {0};
    o.mix = operand[2];
    o.loaded = &imatrix;
    if (o.json && !o.print_recipe) return smelt_fail(err, SMELT_E_USAGE, "--json is for --print-recipe");
    if (o.edit.keep_split && (o.run.split_bytes || o.run.split_tensors))
        return smelt_fail(err, SMELT_E_USAGE, "--keep-split and --split-max-... exclude each other");
    const conversion c = {.command = &cmd_quantize,
                          .src = operand[0],
                          .dst = operand[1],
                          .type = o.mix,
                          .blocks = true,
                          .opts = &o,
                          .run = &o.run,
                          .choose = choose,
                          .show = o.print_recipe ? show : NULL};
    smelt_status st = run_conversion(&c, err);
    imatrix_free(&imatrix);
    return st;
}

const command cmd_quantize = {
    .name = "quantize",
    .summary = "Quantises any checkpoint that convert reads to GGUF, without an intermediate file.",
    .operands = "SRC DST TYPE",
    .min = 3,
    .max = 3,
    .opts = options,
    .opts_size = sizeof(quantize_opts),
    .run = run,
    .more = "The bytes are those of llama-quantize. TYPE is one of these:\n",
    .list = recipe_mixes,
};
