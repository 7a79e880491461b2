#include "ir/importance.h"

void importance_row(const smelt_importance *im, uint64_t matrix, float *out)
{
    const float count = im->counts[im->n_counts > 1 ? matrix : 0];
    const uint64_t at = matrix * im->cols, width = view_cols(im->sums);
    view_read(im->sums, at / width, at % width, im->cols, out);
    for (uint64_t i = 0; i < im->cols; i++)
        out[i] = count > 0 ? out[i] / count : 1.0f;
}
