/* Importance matrices as llama.cpp's llama-imatrix writes them, and which tensors of a model they are for. */
#ifndef SMELT_QUANT_IMATRIX_H
#define SMELT_QUANT_IMATRIX_H

#include "quant/recipe.h"

typedef struct smelt_imatrix_opts {
    const char *path;
    const char *name; /* what the output says for it; NULL: the path, as llama-quantize does */
    /* Parts of names of entries: only those with one of them, or all but those. At most one of the lists is given. */
    const char *const *include, *const *exclude;
    size_t n_include, n_exclude;
} smelt_imatrix_opts;

typedef struct smelt_imatrix_entry {
    const char *name; /* of the tensor */
    const smelt_tensor *sums, *counts;
} smelt_imatrix_entry;

typedef struct smelt_imatrix {
    smelt_model file;
    const char *path;
    smelt_imatrix_entry *entries;
    size_t n, cap;
    smelt_strmap names;
    smelt_kv keys[4]; /* what llama-quantize adds to its output: quantize.imatrix.* */
    size_t n_keys;
} smelt_imatrix;

/* Opens an imatrix.gguf or imatrix.dat. Values are checked (E_CORRUPT: not finite, negative, or sums without counts), not
 * copied. What the options leave may be nothing: n is 0 then, and it is as if there were no matrix. NEW: imatrix_free, also
 * after an error. */
smelt_status imatrix_open(const smelt_ctx *ctx, const smelt_imatrix_opts *opts, smelt_imatrix *im, smelt_err *err);
/* Finds the entry of every tensor of `out` that is to be encoded: importance[i] belongs to out->tensors[i], NULL for none; in
 * out's arena. E_MISMATCH, naming the tensors, where sizes differ or nothing is for this model. Warns of tensors without an
 * entry and of experts that calibration never reached. */
smelt_status imatrix_match(const smelt_ctx *ctx, const smelt_imatrix *im, smelt_model *out, const smelt_choice *choices,
                           const smelt_importance **importance, smelt_err *err);
void imatrix_free(smelt_imatrix *im);

#endif
