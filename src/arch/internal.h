/* Shared by arch.c, map.c and rope.c. */
#ifndef SMELT_ARCH_INTERNAL_H
#define SMELT_ARCH_INTERNAL_H

#include "arch/arch.h"

/* What the name of tensor i was found to mean. */
typedef struct arch_found {
    const smelt_name_rule *rule; /* NULL: unknown */
    smelt_part part;
    int layer;
    bool canonical; /* names are GGUF's: messages use those */
} arch_found;

/* The rope scaling types: Hugging Face's names, GGUF's string (NULL: has no key). */
typedef enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN, ROPE_LLAMA3, ROPE_DYNAMIC, ROPE_SCALINGS } rope_scaling;
extern const struct rope_scaling_row {
    const char *hf, *gguf;
} rope_scaling_rows[ROPE_SCALINGS];

/* Whether a hyperparameter that is set belongs to the rope scaling in use. */
bool hp_in_use(const smelt_hparams *hp, smelt_hp id);

const smelt_name_rule *arch_rule(const smelt_arch *arch, smelt_role role);
/* Shape of a rule's text, such as "HEADS*HEAD_DIM,EMBD"; false if a hyperparameter is missing or it overflows. */
bool arch_shape(const smelt_hparams *hp, const char *text, smelt_shape *out);
/* Checks names and shapes of all tensors against the table: one E_MISMATCH that lists everything. */
smelt_status arch_fit(smelt_model *model, const smelt_arch *arch, arch_found *found, smelt_err *err);
/* Renames the tensors to canonical names, drops buffers, and undoes what GGUF rearranges. */
smelt_status arch_apply(smelt_model *model, const smelt_arch *arch, const arch_found *found, bool from_gguf, smelt_err *err);
/* Makes the tensor rope_freqs from llama3's scaling parameters, as the first tensor; and the other way around. */
smelt_status rope_freqs_make(smelt_model *model, smelt_err *err);
bool rope_freqs_parse(smelt_model *model, const smelt_tensor *freqs);

#endif
