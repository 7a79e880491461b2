/* Model families as data: how each spells its hyperparameters and tensors. One file a family, one line in archs.def. */
#ifndef SMELT_ARCH_ARCH_H
#define SMELT_ARCH_ARCH_H

#include "base/json.h"
#include "ir/ctx.h"
#include "ir/transform.h"

typedef enum smelt_role {
    SMELT_R_NONE,
#define SMELT_ROLE(id, stem) SMELT_R_##id,
#include "arch/roles.def"
#undef SMELT_ROLE
    SMELT_R_COUNT
} smelt_role;

typedef enum smelt_part { SMELT_PART_NONE, SMELT_PART_WEIGHT, SMELT_PART_BIAS } smelt_part;

typedef enum smelt_hp {
#define SMELT_HPARAM(id, kind, key) SMELT_HP_##id,
#include "arch/hparams.def"
#undef SMELT_HPARAM
    SMELT_HP_COUNT
} smelt_hp;

/* How config.json gives one hyperparameter. */
typedef struct smelt_hp_rule {
    smelt_hp hp;
    const char *keys; /* names in config.json, '|' between spellings, '.' into objects; the first is what writers use */
    /* Where none is there: required, or `fallback`, or other hyperparameters' values. */
    enum { HP_REQUIRED, HP_OPTIONAL, HP_DEFAULT, HP_SAME_AS, HP_RATIO } absent;
    double fallback; /* HP_DEFAULT */
    smelt_hp a, b;   /* HP_SAME_AS: a; HP_RATIO: a / b, which must divide */
} smelt_hp_rule;

/* How the GGUF side differs from the IR, which keeps Hugging Face's order. */
typedef enum smelt_gguf_side { GGUF_SAME, GGUF_ROPE_Q, GGUF_ROPE_K } smelt_gguf_side;

enum smelt_name_flags {
    NAME_OPTIONAL = 1, /* may be absent */
    NAME_UNTIED = 2,   /* absent when embeddings are tied */
    NAME_DROP = 4,     /* a buffer, not a weight: skipped */
    NAME_NO_HF = 8,    /* exists in GGUF only (computed) */
};

/* One kind of tensor. Shapes are hyperparameter products, so that every wrong shape is found before data moves. */
typedef struct smelt_name_rule {
    smelt_role role;
    const char *hf; /* stem of the name, %L for the layer; a leading "model." may be absent in files */
    unsigned flags;
    smelt_gguf_side gguf;
    const char *shape; /* of the weight, such as "HEADS*HEAD_DIM,EMBD" */
    smelt_hp bias_if;  /* hyperparameter that says whether there is a bias; SMELT_HP_COUNT: there is none */
} smelt_name_rule;

typedef struct smelt_arch {
    const char *name;             /* GGUF's general.architecture */
    const char *hf_classes;       /* config.json's architectures[0], '|' between; the first is what writers use */
    const char *model_type;       /* config.json's model_type */
    const smelt_hp_rule *hp;      /* ends with keys NULL */
    const smelt_name_rule *names; /* ends with hf NULL */
    const char *config_extra;     /* JSON members that a written config.json needs besides, without braces */
} smelt_arch;

/* BORROWED; NULL if no family has it. */
const smelt_arch *arch_by_name(const char *name, size_t len);
const smelt_arch *arch_by_class(const char *hf_class);
/* Names of all families for messages: "llama, …". */
const char *arch_list(smelt_arena *arena);

const char *role_stem(smelt_role role);
/* Canonical name of a tensor ("blk.3.attn_q.weight") in the arena; NULL when out of memory. */
char *role_name(smelt_arena *arena, smelt_role role, smelt_part part, int layer);
/* ".weight", ".bias" or "". */
const char *part_suffix(smelt_part part);
/* The part that a name ends in, and the length of the rest; the whole name for SMELT_PART_NONE. */
smelt_part name_part(const char *name, size_t *stem_len);
/* Whether a stem fits a pattern with %L for the layer; *layer is -1 if there is none. */
bool name_match(const char *pattern, const char *stem, size_t len, int *layer);
/* The layer in any name that starts as canonical layer names do ("blk.7.…"); -1 if there is none. */
int name_layer(const char *name);
/* The pattern with its layer and a suffix, in the arena; NULL when out of memory. */
char *name_fill(smelt_arena *arena, const char *pattern, int layer, const char *suffix);
/* The role, part and layer that a canonical name means; false if none. */
bool role_parse(const char *name, smelt_role *role, smelt_part *part, int *layer);

static inline double hp_get(const smelt_hparams *hp, smelt_hp id) { return hp->v[id]; }
static inline uint64_t hp_u64(const smelt_hparams *hp, smelt_hp id) { return hp->set[id] ? (uint64_t)hp->v[id] : 0; }

/* Turns a model with Hugging Face names and a config.json into a canonical one. All missing, unexpected and wrongly shaped
 * tensors are listed in one E_MISMATCH; unreadable or unknown configurations are E_CORRUPT or E_UNSUPPORTED. */
smelt_status arch_from_hf(const smelt_ctx *ctx, smelt_model *model, smelt_err *err);
/* The same for a model with GGUF names and keys; a family that is not known leaves the model as it is (arch NULL). */
smelt_status arch_from_gguf(const smelt_ctx *ctx, smelt_model *model, smelt_err *err);
/* The view of a canonical tensor that a GGUF file stores (q and k in RoPE pairs where the family has that). */
smelt_status arch_to_gguf(const smelt_model *model, const smelt_tensor *tensor, smelt_arena *arena, const smelt_view **out,
                          smelt_err *err);
/* Name of a canonical tensor in a Hugging Face checkpoint; NULL through *out if it is stored in GGUF only. */
smelt_status arch_hf_name(const smelt_model *model, const smelt_tensor *tensor, smelt_arena *arena, const char **out,
                          smelt_err *err);
/* Adds the model's tensors to `out` under their Hugging Face names, in the model's order; what exists in GGUF only is left out.
 * Without a family the names are the tensors' own. For a format's project. */
smelt_status arch_project_hf(const smelt_model *model, smelt_model *out, smelt_err *err);
/* Appends the architecture's GGUF keys, general.file_type among them, in llama.cpp's order. */
smelt_status arch_gguf_keys(const smelt_model *model, int file_type, smelt_meta *out, smelt_err *err);
/* A config.json for the model: the source's own where there is one, else made from the hyperparameters. NEW. `dtype` is the
 * torch name of the stored weights ("bfloat16"). */
smelt_status arch_config(const smelt_model *model, const char *dtype, json_t **out, smelt_err *err);

#endif
