/* Importance matrices of both formats: what opens can be used for tensors of any size. */
#include "quant/imatrix.h"

#include <math.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "fuzz/fuzz.h"

enum { MAX_TENSORS = 16, MAX_COLS = 4096 };

/* Every matrix of a tensor that has the sizes of an entry. */
static void use(const smelt_importance *im)
{
    float *row = malloc((size_t)im->cols * sizeof *row);
    fuzz_demand(row != NULL, "out of memory");
    for (uint64_t m = 0; m < im->matrices; m++) {
        importance_row(im, m, row);
        for (uint64_t i = 0; i < im->cols; i++)
            fuzz_demand(row[i] >= 0 && isfinite(row[i]), "a weight that is none");
    }
    free(row);
}

static void match(const smelt_ctx *ctx, const smelt_imatrix *im, uint64_t matrices)
{
    smelt_model out;
    smelt_tensor tensors[MAX_TENSORS] = {0};
    smelt_choice choices[MAX_TENSORS];
    const smelt_importance *found[MAX_TENSORS];
    smelt_err err = {0};
    size_t n = im->n < MAX_TENSORS ? im->n : MAX_TENSORS;
    model_init(&out);
    for (size_t i = 0; i < n; i++) {
        const uint64_t values = view_rows(im->entries[i].sums->view) * view_cols(im->entries[i].sums->view);
        tensors[i] = (smelt_tensor){.name = im->entries[i].name, .layer = -1, .dtype = SMELT_DT_F32};
        tensors[i].shape = (smelt_shape){3, {matrices, 1, values / matrices}};
        choices[i] = (smelt_choice){SMELT_DT_Q4_0, SMELT_DT_Q4_0, "mix"};
    }
    out.tensors = tensors;
    out.n_tensors = n;
    smelt_status st = imatrix_match(ctx, im, &out, choices, found, &err);
    fuzz_check_status(st, &err);
    for (size_t i = 0; st == SMELT_OK && i < n; i++)
        if (found[i] && found[i]->cols <= MAX_COLS && found[i]->matrices <= MAX_COLS) use(found[i]);
    model_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_imatrix im;
    smelt_err err = {0};
    const char *path = fuzz_file(&ctx, ".imatrix", data, size);
    smelt_status st = imatrix_open(&ctx, &(smelt_imatrix_opts){.path = path}, &im, &err);
    fuzz_check_status(st, &err);
    if (st == SMELT_OK) {
        fuzz_demand(im.n > 0 && im.n_keys >= 2, "a matrix without entries");
        for (uint64_t matrices = 1; matrices <= 3; matrices++)
            match(&ctx, &im, matrices);
    }
    imatrix_free(&im);
    return 0;
}
