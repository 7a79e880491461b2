/* Products of activations with weights: tiles of rows are decoded to float32 and multiplied, each by one thread. */
#include "engine/internal.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

#include "base/bytes.h"

/* Floats of a decoded tile: what fits the second-level cache beside the activations. The cut depends on the matrix alone, so that
 * results do not depend on the threads. */
enum { TILE = 1 << 18, LEAST_ROWS = 16, DECODE = 1 << 13 };

smelt_status scratch_room(smelt_engine *e, size_t n, smelt_err *err)
{
    if (n <= e->scratch_size) return SMELT_OK;
    arena_free(&e->scratch_arena);
    e->scratch_size = 0;
    const size_t threads = (size_t)e->ctx.threads;
    e->scratch = arena_calloc(&e->scratch_arena, threads, sizeof *e->scratch);
    for (size_t i = 0; i < threads && e->scratch; i++)
        if (!(e->scratch[i] = arena_calloc(&e->scratch_arena, n, sizeof **e->scratch))) e->scratch = NULL;
    if (!e->scratch) return smelt_oom(err);
    e->scratch_size = n;
    return SMELT_OK;
}

smelt_status round_room(smelt_engine *e, size_t bytes, smelt_err *err)
{
    if (bytes <= e->round_size) return SMELT_OK;
    arena_free(&e->round_arena);
    e->round_size = 0;
    e->round = arena_calloc(&e->round_arena, bytes, 1);
    if (!e->round) return smelt_oom(err);
    e->round_size = bytes;
    return SMELT_OK;
}

void tensor_decode(const smelt_engine *e, const smelt_tensor *t, uint64_t first, uint64_t n, float *out)
{
    enum { WIDEST = 8 }; /* bytes of an element */
    _Alignas(64) uint8_t raw[DECODE * WIDEST];
    smelt_unpack_fn *unpack = e->ctx.codec[t->dtype].unpack;
    const uint64_t cols = view_cols(t->view);
    while (n) {
        uint64_t want = n < DECODE ? n : DECODE, got;
        const void *p = view_span(t->view, first / cols, first % cols, want, raw, &got);
        unpack(p, out, got);
        out += got;
        first += got;
        n -= got;
    }
}

/* The rows as float32: in the mapping where they lie there as such, otherwise decoded into `tile`. */
static const float *tile_floats(const smelt_engine *e, const smelt_tensor *t, uint64_t row, uint64_t rows, uint64_t cols,
                                float *tile)
{
    if (t->dtype == SMELT_DT_F32) {
        uint64_t n, width = view_cols(t->view), at = row * cols;
        const void *p = view_span(t->view, at / width, at % width, rows * cols, tile, &n);
        if (n >= rows * cols && (uintptr_t)p % sizeof(float) == 0) return p;
    }
    tensor_decode(e, t, row * cols, rows * cols, tile);
    return tile;
}

static uint64_t linear_tile(uint64_t rows, uint64_t cols)
{
    enum { EVEN = 4 }; /* tiles come in multiples of this, so that few threads get equal shares */
    const uint64_t most = cols < TILE / LEAST_ROWS ? TILE / cols : LEAST_ROWS;
    uint64_t tiles = (rows + most - 1) / most;
    tiles = (tiles + EVEN - 1) / EVEN * EVEN;
    const uint64_t each = (rows + tiles - 1) / tiles;
    return (each + LEAST_ROWS - 1) / LEAST_ROWS * LEAST_ROWS;
}

static void add_bias(const float *bias, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += bias[i];
}

static void tile_product(const smelt_engine *e, const linear_args *a, uint64_t row, uint64_t rows, float *scratch, float *y)
{
    const float *w = tile_floats(e, a->w, a->first_row + row, rows, a->cols, scratch);
    if (a->tokens == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)a->cols, 1, w, (int)a->cols, a->x, 1, 0, y, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)a->tokens, (int)rows, (int)a->cols, 1, a->x, (int)a->ldx, w,
                    (int)a->cols, 0, y, (int)a->ldy);
    if (!a->bias) return;
    tensor_decode(e, a->bias, a->first_row + row, rows, scratch);
    for (size_t t = 0; t < a->tokens; t++)
        add_bias(scratch, rows, y + t * a->ldy);
}

smelt_status linear(smelt_engine *e, const linear_args *a, float *y, smelt_err *err)
{
    if (e->opts.fast && e->ctx.codec[a->w->dtype].int8 && a->cols % 32 == 0) return linear_int8(e, a, y, err);
    if (e->opts.fast && e->bf16 && a->w->dtype == SMELT_DT_BF16 && a->cols % 2 == 0) return linear_bf16(e, a, y, err);
    const uint64_t tile = linear_tile(a->rows, a->cols), tiles = (a->rows + tile - 1) / tile;
    const int threads = e->ctx.threads;
    SMELT_TRY(scratch_room(e, (size_t)(tile * a->cols), err));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (uint64_t i = 0; i < tiles; i++) {
        const uint64_t row = i * tile, left = a->rows - row;
        tile_product(e, a, row, left < tile ? left : tile, e->scratch[omp_get_thread_num()], y + row);
    }
    return SMELT_OK;
}
