/* Which tensor gets which type: the rules of the GGUF mixes, the same choices as llama.cpp's. Pure functions of data. */
#ifndef SMELT_QUANT_RECIPE_H
#define SMELT_QUANT_RECIPE_H

#include "ir/format.h"

typedef struct smelt_override {
    const char *regex; /* searched in the lower-cased tensor name; the first that matches wins */
    smelt_dtype type;
} smelt_override;

/* A rule of a mix or of a user's recipe. */
typedef struct smelt_rule smelt_rule;
typedef struct smelt_rules {
    smelt_rule *rule;
    size_t n, cap;
} smelt_rules;

/* Parses a recipe, a line a rule, later ones win: CLASS [LAYERS] [CONDITION] TYPE with the words of recipe.def, or /REGEX/ of names
 * instead of the class; # begins a comment. E_USAGE with the line. Rules are added to `out`, in the arena. */
smelt_status recipe_parse(smelt_arena *arena, const char *text, size_t n, smelt_rules *out, smelt_err *err);
smelt_status recipe_read(smelt_arena *arena, const char *path, smelt_rules *out, smelt_err *err);
/* The rule for people: "attn_v more", "line 3: /blk.0/ gqa4". Returns buf. */
const char *recipe_rule_text(const smelt_rule *rule, char *buf, size_t size);

typedef struct smelt_recipe_opts {
    const char *mix;                 /* "Q4_0", "q8_0", "F16": a row of recipe.def, in any letter case */
    const smelt_override *overrides; /* [n_overrides] */
    size_t n_overrides;
    smelt_dtype output_type;    /* SMELT_DT_COUNT: as the mix says */
    smelt_dtype embedding_type; /* SMELT_DT_COUNT: as the mix says */
    bool leave_output;
    bool pure;
    bool allow_requantize; /* quantised sources are E_UNSUPPORTED without it */
    bool imatrix;          /* there is an importance matrix, which some rules ask */
    smelt_rules rules;     /* the user's, after those of the mix */
} smelt_recipe_opts;

typedef struct smelt_choice {
    smelt_dtype asked;      /* what the mix or an override wants */
    smelt_dtype given;      /* what fits the tensor's shape */
    const char *why;        /* static text: "mix", "kept", "--tensor-type", "row size" … */
    const smelt_rule *rule; /* that said so; NULL: none, it is the mix's own type or an option's */
} smelt_choice;

/* Chooses for every tensor of a model in GGUF projection; choices has out->n_tensors entries. *file_type is GGUF's
 * general.file_type. E_USAGE for an unknown mix (naming the nearest) or an unreadable regex. */
smelt_status recipe_quantize(const smelt_ctx *ctx, const smelt_model *out, const smelt_recipe_opts *opts, smelt_choice *choices,
                             int *file_type, smelt_err *err);
/* E_UNSUPPORTED, naming them, if tensors get types that are useless without an importance matrix and importance[i] is NULL. */
smelt_status recipe_check_importance(const smelt_ctx *ctx, const smelt_model *out, const smelt_recipe_opts *opts,
                                     const smelt_choice *choices, const smelt_importance *const *importance, smelt_err *err);
/* `type` is auto, f32, f16, bf16 or q8_0. For a target with block types (GGUF), the rules of llama.cpp's converter; a GGUF
 * source keeps its types under auto, and then *file_type is -1. Other targets keep every type under auto, except that what a
 * GGUF source brings along becomes what a checkpoint has: block types float, vectors the matrices' type where that is exact. */
smelt_status recipe_convert(const smelt_ctx *ctx, const smelt_format *target, const smelt_model *out, const char *type,
                            smelt_choice *choices, int *file_type, smelt_err *err);
/* Names of all mixes for help texts, "F32 F16 …". Static. */
const char *recipe_mixes(void);

#endif
