/* Hyperparameters for people. */
#include <ctype.h>
#include <string.h>

#include "arch/internal.h"

typedef enum hp_kind { KIND_U32, KIND_F32, KIND_F64, KIND_BOOL, KIND_RSCALE, KIND_TEXT, KIND_ACT } hp_kind;

static const struct {
    const char *id, *key;
    hp_kind kind;
} rows[SMELT_HP_COUNT] = {
#define SMELT_HPARAM(id, kind, key) [SMELT_HP_##id] = {#id, key, KIND_##kind},
#include "arch/hparams.def"
#undef SMELT_HPARAM
};

bool hp_in_gguf(smelt_hp id) { return rows[id].key != NULL; }

char *hp_name(smelt_arena *arena, smelt_hp id)
{
    const char *key = rows[id].key, *dot = key ? strchr(key, '.') : NULL;
    char *name = arena_strdup(arena, dot ? dot + 1 : rows[id].id);
    for (char *p = name; p && *p && !dot; p++)
        *p = (char)tolower((unsigned char)*p);
    return name;
}

char *hp_text(smelt_arena *arena, const smelt_hparams *hp, smelt_hp id)
{
    const double v = hp->v[id];
    if (!hp->set[id]) return arena_strdup(arena, "unset");
    if (rows[id].kind == KIND_BOOL || rows[id].kind == KIND_TEXT) return arena_strdup(arena, v != 0 ? "true" : "false");
    if (rows[id].kind == KIND_ACT) return arena_strdup(arena, act_name((smelt_act)v));
    if (rows[id].kind == KIND_RSCALE) return arena_strdup(arena, rope_scaling_rows[(int)v].hf);
    return arena_printf(arena, "%.9g", v);
}
