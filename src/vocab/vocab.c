#include "vocab/vocab.h"

void vocab_init(smelt_vocab *v)
{
    *v = (smelt_vocab){.add_space_prefix = -1, .lowercase = -1, .strip_accents = -1};
    for (int i = 0; i < SMELT_SP_COUNT; i++)
        v->special[i] = v->add_special[i] = -1;
}

void vocab_fact(smelt_vocab *v, smelt_fact_kind kind, smelt_special special)
{
    for (size_t i = 0; i < v->n_facts; i++)
        if (v->facts[i].kind == kind && v->facts[i].special == special) return;
    if (v->n_facts == SMELT_MAX_FACTS) return;
    v->facts[v->n_facts].kind = kind;
    v->facts[v->n_facts++].special = special;
}
