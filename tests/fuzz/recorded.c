/* Recorded logits: any file that says it has some. What comes of it is finite and in bounds. */
#include "verify/recorded.h"

#include <math.h>

#include "fuzz/fuzz.h"

enum { TOGETHER = 3 };

static void look(const smelt_reference *r, size_t i, const reference_chunk *chunk)
{
    fuzz_demand(chunk->first + 1 < chunk->n && chunk->n <= r->context, "a chunk that is none");
    for (size_t t = 0; t < chunk->n; t++)
        fuzz_demand(chunk->ids[t] >= 0 && (size_t)chunk->ids[t] < r->vocab, "an id that is none");
    for (size_t t = chunk->first; t + 1 < chunk->n; t++) {
        reference_row row;
        r->ops->row(r, i, t, &row);
        for (size_t k = 0; k < (row.logits ? r->vocab : row.k); k++)
            fuzz_demand(isfinite(row.logits ? row.logits[k] : row.top[k]), "a logit that is none");
        if (row.logits) continue;
        fuzz_demand(isfinite(row.log_sum_exp) && isfinite(row.target) && row.mass >= 0 && row.mass <= 1, "a sum that is none");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_model m;
    smelt_err err = {0};
    const char *path = fuzz_file(&ctx, ".safetensors", data, size);
    smelt_status st = source_open(&ctx, path, &m, &err);
    if (st == SMELT_OK && recorded_is(&m)) {
        smelt_reference *r;
        reference_chunk chunk[TOGETHER];
        size_t n = 0;
        st = recorded_fits(&m, NULL, 4, &err);
        fuzz_check_status(st, &err);
        err = (smelt_err){0};
        st = recorded_open(&m, 0, &r, &err);
        if (st == SMELT_OK) {
            while ((st = r->ops->next(r, TOGETHER, chunk, &n, &err)) == SMELT_OK && n)
                for (size_t i = 0; i < n; i++)
                    look(r, i, &chunk[i]);
            reference_close(r);
        }
    }
    fuzz_check_status(st, &err);
    model_free(&m);
    return 0;
}
