/* The rules of recipe.def and of a user's recipe, and what they ask of a model and its tensors. */
#ifndef SMELT_QUANT_RULES_H
#define SMELT_QUANT_RULES_H

#include "quant/recipe.h"

/* What the rules know a tensor as. */
typedef enum tensor_class {
#define SMELT_CLASS(name) CLASS_##name,
#include "quant/recipe.def"
#undef SMELT_CLASS
    CLASS_COUNT,
    CLASS_KEEP, /* never quantised, whatever its shape */
} tensor_class;

typedef enum mix_id {
#define SMELT_MIX(name, file_type, type, head) MIX_##name,
#include "quant/recipe.def"
#undef SMELT_MIX
    MIX_COUNT,
    MIX_ANY = MIX_COUNT
} mix_id;

/* What the rules ask about the model as a whole. */
typedef struct overview {
    bool falcon, is_70b, imatrix;
    bool tied; /* the embedding serves as output matrix */
    int layers, n_attn_v;
    uint64_t gqa; /* query heads for each key head */
    uint64_t experts;
} overview;

typedef bool layers_fn(int i, int n, int k);
typedef bool condition_fn(const overview *o);

struct smelt_rule {
    mix_id mix;
    tensor_class kind;
    layers_fn *layers;
    condition_fn *condition;
    smelt_dtype from, type; /* from SMELT_DT_COUNT: any */
    const char *words;      /* class, layers, condition, as they are written */
    const char *regex;      /* of names, beside the class EVERY; NULL: any */
    unsigned line;          /* in the user's recipe; 0 for the rules of a mix */
};

extern const smelt_rule mix_rules[];
extern const size_t n_mix_rules;

/* A tensor where a rule looks at it. */
typedef struct rule_subject {
    tensor_class kind;
    int layer; /* -1: none */
    int place; /* among those of its class */
    bool stacked;
} rule_subject;

/* All but the regular expression. `type` is what the tensor got so far. */
bool rule_applies(const smelt_rule *rule, const overview *model, const rule_subject *t, smelt_dtype type);

#endif
