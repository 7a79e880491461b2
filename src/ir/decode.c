#include "ir/ctx.h"

void tensor_floats(const smelt_ctx *ctx, const smelt_tensor *t, uint64_t first, uint64_t n, float *out)
{
    enum { STEP = 1 << 13, WIDEST = 8 /* bytes of an element */ };
    _Alignas(64) uint8_t raw[STEP * WIDEST];
    smelt_unpack_fn *unpack = ctx->codec[t->dtype].unpack;
    const uint64_t cols = view_cols(t->view);
    while (n) {
        const uint64_t want = n < STEP ? n : STEP;
        uint64_t got;
        const void *p = view_span(t->view, first / cols, first % cols, want, raw, &got);
        unpack(p, out, got);
        out += got;
        first += got;
        n -= got;
    }
}
