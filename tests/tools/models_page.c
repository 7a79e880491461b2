/* docs/models.md from the tables of the families: models_page prints the page. */
#include <stdio.h>
#include <string.h>

#include "arch/internal.h"

#define SMELT_ARCH(name) extern const smelt_arch smelt_arch_##name;
#include "arch/archs.def"
#undef SMELT_ARCH

static const smelt_arch *const archs[] = {
#define SMELT_ARCH(name) &smelt_arch_##name,
#include "arch/archs.def"
#undef SMELT_ARCH
};

static const char *const gguf_keys[] = {
#define SMELT_HPARAM(id, kind, key) [SMELT_HP_##id] = key,
#include "arch/hparams.def"
#undef SMELT_HPARAM
};

static const char *const hp_names[] = {
#define SMELT_HPARAM(id, kind, key) [SMELT_HP_##id] = #id,
#include "arch/hparams.def"
#undef SMELT_HPARAM
};

static const char *const transforms[X_COUNT] = {
    [X_QKV_ROWS] = "rows of queries, keys, values",
    [X_QKV_GROUPS] = "groups of queries, a key, a value",
    [X_PAIR_ROWS] = "rows of the two in turn",
    [X_PAIR_COLS] = "columns of the two in turn",
    [X_PAIR_HALVES] = "the two one after the other in each expert",
    [X_TRANSPOSE] = "transposed",
    [X_TRANSPOSE_PAIR] = "transposed, rows of the two in turn",
    [X_MXFP4] = "MXFP4 codes and scales",
    [X_MXFP4_PAIR] = "MXFP4 codes and scales, rows of the two in turn",
    [X_MXFP4_PARTS] = "MXFP4 codes and scales",
    [X_MXFP4_PARTS_PAIR] = "MXFP4 codes and scales, rows of the two in turn",
    [X_EXPERTS] = "one an expert, stacked",
};

/* The spellings of a list with '|' between them, each in code font. */
static void print_spellings(const char *list)
{
    while (*list) {
        const size_t len = strcspn(list, "|");
        printf("`%.*s`", (int)len, list);
        list += len;
        if (*list++ != '|') return;
        printf(", ");
    }
}

static void print_absent(const smelt_hp_rule *r)
{
    static const char *const said[] = {[HP_REQUIRED] = "required", [HP_OPTIONAL] = ""};
    const bool number = r->absent == HP_DEFAULT || r->absent == HP_NULLABLE;
    if (number && r->hp == SMELT_HP_ACT)
        printf("%s", act_name((smelt_act)r->fallback));
    else if (number)
        printf("%.10g", r->fallback);
    else if (r->absent == HP_SAME_AS)
        printf("%s", hp_names[r->a]);
    else if (r->absent == HP_RATIO)
        printf("%s / %s", hp_names[r->a], hp_names[r->b]);
    else if (r->absent == HP_TIMES)
        printf("%.10g × %s", r->fallback, hp_names[r->a]);
    else
        printf("%s", said[r->absent]);
}

static bool written(const smelt_arch *a, smelt_hp id)
{
    if (!gguf_keys[id] || !a->gguf_keys) return gguf_keys[id] != NULL;
    for (const smelt_hp *k = a->gguf_keys; *k != SMELT_HP_COUNT; k++)
        if (*k == id) return true;
    return false;
}

static void print_config(const smelt_arch *a)
{
    printf("| hyperparameter | `config.json` | where it is absent | GGUF key |\n|---|---|---|---|\n");
    for (const smelt_hp_rule *r = a->hp; r->keys; r++) {
        if (!*r->keys && !written(a, r->hp)) continue; /* what follows from others, and is in neither */
        printf("| %s | ", hp_names[r->hp]);
        print_spellings(r->keys);
        printf(" | ");
        print_absent(r);
        const char *key = written(a, r->hp) ? gguf_keys[r->hp] : NULL, *hole = key ? strstr(key, "%A") : NULL;
        if (hole)
            printf(" | `%.*s%s%s` |\n", (int)(hole - key), key, a->name, hole + 2);
        else
            printf(" | %s%s%s |\n", key ? "`" : "", key ? key : "", key ? "`" : "");
    }
}

static void print_tensors(const smelt_arch *a)
{
    printf("\n| checkpoint | shape | GGUF | |\n|---|---|---|---|\n");
    for (const smelt_name_rule *r = a->names; r->hf; r++) {
        const xf_row *x = &xf_rows[r->x];
        if (r->flags & (NAME_DROP | NAME_NO_HF)) continue;
        const bool bare = r->flags & NAME_BARE || x->suffix[0];
        const bool qkv = a->gguf_qkv && r->role == SMELT_R_ATTN_Q && x->n_out == 3;
        printf("| `%s%s", r->hf, bare && !x->suffix[0] ? "" : bare ? x->suffix[0] : ".weight");
        if (x->suffix[0]) printf("`, `%s", x->suffix[1]);
        printf("`");
        if (!bare && r->bias_if != SMELT_HP_COUNT) printf(", `.bias`");
        printf(" | `%s` | ", r->shape ? r->shape : "");
        for (int o = 0; o < (qkv ? 1 : x->n_out); o++)
            printf("%s`%s`", o ? ", " : "", role_stem(qkv ? SMELT_R_ATTN_QKV : (smelt_role)((int)r->role + o)));
        printf(" | %s |\n", transforms[r->x] ? transforms[r->x] : "");
    }
}

static void print_skipped(const smelt_arch *a)
{
    int n = 0;
    for (const smelt_name_rule *r = a->names; r->hf; r++)
        if (r->flags & NAME_DROP) printf("%s`%s`", n++ ? ", " : "\nSkipped: ", r->hf);
    if (n) printf(".\n");
}

int main(void)
{
    puts(
        "# Supported models\n\n"
        "This page is made from the tables that the code uses (`src/arch/`), by `tests/tools/models_page.c`; a test compares the two.\n\n"
        "`%L` stands for the layer, `%E` for the expert. A family's prefix may be absent from a checkpoint's names. Shapes are in terms\n"
        "of hyperparameters, outermost dimension first. Several spellings of a key are read, the first one that is there counts, and\n"
        "the first one is written. What is said here of `rope_scaling`, `rope_theta` and `partial_rotary_factor` is read from\n"
        "`rope_parameters` too; where the spellings contradict each other, the one that transformers 5 takes counts.\n\n"
        "| models | `architectures` | `model_type` | GGUF |\n|---|---|---|---|");
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        const smelt_arch *a = archs[i];
        printf("| %s | ", a->stands_for);
        print_spellings(a->hf_classes);
        printf(a->marks ? "no class, but " : "");
        print_spellings(a->marks ? a->marks : "");
        printf(" | %s%s%s | `%s` |\n", *a->model_type ? "`" : "", a->model_type, *a->model_type ? "`" : "", a->name);
    }
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        printf("\n## %s\n\n", archs[i]->stands_for);
        print_config(archs[i]);
        print_tensors(archs[i]);
        print_skipped(archs[i]);
    }
    return 0;
}
