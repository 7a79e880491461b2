/* Shared by the files of this folder. */
#ifndef SMELT_ARCH_INTERNAL_H
#define SMELT_ARCH_INTERNAL_H

#include "arch/arch.h"

/* Arguments of a transform. */
typedef struct xf_args {
    const smelt_hparams *hp;
    smelt_arena *arena;
} xf_args;

typedef smelt_status xf_fn(const xf_args *a, const smelt_view *const *in, const smelt_view **out, smelt_err *err);

/* A row of the table of transforms, by smelt_x. */
typedef struct xf_row {
    int n_in;  /* tensors in the checkpoint; 0: one an expert */
    int n_out; /* roles, consecutive */
    xf_fn *forward, *back;
    bool (*suits)(smelt_dtype dtype); /* whether `back` applies to IR tensors of this type */
    const char *suffix[2];            /* of the names of n_in tensors, instead of .weight */
} xf_row;

extern const xf_row xf_rows[X_COUNT];

/* The rope scaling types: Hugging Face's names, GGUF's string (NULL: has no key). */
typedef enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN, ROPE_LLAMA3, ROPE_DYNAMIC, ROPE_SCALINGS } rope_scaling;
extern const struct rope_scaling_row {
    const char *hf, *gguf;
} rope_scaling_rows[ROPE_SCALINGS];

/* A copy of config.json with what counts about RoPE where old files have it: rope_theta (and rotary_emb_base), partial_rotary_factor
 * (and rotary_pct) at the top, the rest in rope_scaling. Where spellings contradict each other the choice is transformers': the whole
 * of rope_scaling before rope_parameters, and what stands inside it before what stands beside it. NEW. */
smelt_status rope_old_spelling(json_t *config, json_t **out, smelt_err *err);

/* The first rule that makes a role; NULL if there is none. */
const smelt_name_rule *arch_rule(const smelt_arch *arch, smelt_role role);
/* Shape of a rule's text, such as "HEADS*HEAD_DIM,EMBD"; false if a hyperparameter is missing, it overflows or does not divide. */
bool arch_shape(const smelt_hparams *hp, const char *text, smelt_shape *out);
/* Whether the family has a layout in MXFP4 and all tensors that belong to it are in that type. */
bool arch_keeps_mxfp4(const smelt_model *model);
/* From the checkpoint's tensors to the IR's. Names and shapes are checked first: one E_MISMATCH lists everything. */
smelt_status names_from_hf(smelt_model *model, const smelt_arch *arch, smelt_err *err);
/* From a GGUF file's tensors, whose roles are set, to the IR's; checked by the shapes that a checkpoint would have. */
smelt_status names_from_gguf(const smelt_ctx *ctx, smelt_model *model, const smelt_arch *arch, smelt_err *err);
/* Makes the tensor rope_freqs from llama3's scaling parameters, as the first tensor; and the other way around. */
smelt_status rope_freqs_make(smelt_model *model, smelt_err *err);
bool rope_freqs_parse(smelt_model *model, const smelt_tensor *freqs);

#endif
