#include <stddef.h>

#include "tools/run.h"

extern const command cmd_convert;

typedef struct convert_opts {
    run_opts run;
    const char *type;
} convert_opts;

static const opt options[] = {
    {"--type", OPT_TEXT, "TYPE", "type of the matrices: auto, f32, f16, bf16 or q8_0 (default: auto)",
     offsetof(convert_opts, type)},
    RUN_OPTS(convert_opts),
    {0},
};

static smelt_status choose(const smelt_ctx *ctx, const void *opts, smelt_plan *plan, smelt_choice *choices, smelt_write_opts *write,
                           smelt_err *err)
{
    const convert_opts *o = opts;
    return recipe_convert(ctx, plan->format, &plan->out, o->type ? o->type : "auto", choices, &write->file_type, err);
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const convert_opts *o = opts;
    const conversion c = {.command = &cmd_convert,
                          .src = operand[0],
                          .dst = operand[1],
                          .type = o->type,
                          .opts = o,
                          .run = &o->run,
                          .choose = choose};
    return run_conversion(&c, err);
}

const command cmd_convert = {
    .name = "convert",
    .summary = "Converts a checkpoint between Hugging Face directories, safetensors, PyTorch files and GGUF.",
    .operands = "SRC DST",
    .min = 2,
    .max = 2,
    .opts = options,
    .opts_size = sizeof(convert_opts),
    .run = run,
    .more = "SRC is a Hugging Face directory, a .safetensors, .bin, .pt, .pth or .gguf file.\n"
            "DST ends in .gguf, .safetensors, .pt, .pth or .bin, or names a directory for a Hugging Face checkpoint.\n",
};
