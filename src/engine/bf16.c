#include "engine/bf16.h"

#include <omp.h>
#include <string.h>

enum { TILE_ROWS = 96, FEW = 4 };

const bf16_ops *bf16_select(smelt_cpu cpu)
{
#if defined(__x86_64__)
    if (smelt_cpu_covers(cpu, SMELT_CPU_BF16)) return &bf16_ops_x86;
#endif
    (void)cpu;
    return NULL;
}

/* Rounds a panel of tokens, those past the end as zeros, and turns pairs of elements to the outside. */
static void fill_panel(const bf16_ops *ops, const linear_args *a, size_t first, uint16_t *rounded, uint32_t *panel)
{
    const size_t cols = (size_t)a->cols, pairs = cols / 2, n = a->tokens - first < BF16_TOKENS ? a->tokens - first : BF16_TOKENS;
    if (n < BF16_TOKENS) memset(panel, 0, pairs * BF16_TOKENS * sizeof *panel);
    for (size_t t = 0; t < n; t++) {
        ops->round(a->x + (first + t) * a->ldx, cols, rounded);
        for (size_t k = 0; k < pairs; k++)
            memcpy(panel + k * BF16_TOKENS + t, rounded + 2 * k, sizeof *panel);
    }
}

/* Where the rows lie: in the mapping, or copied into `room`. */
static void find_rows(const smelt_tensor *w, uint64_t row, size_t n, uint64_t cols, uint16_t *room, const void **out)
{
    const uint64_t width = view_cols(w->view);
    for (size_t r = 0; r < n; r++) {
        uint64_t got;
        const uint64_t at = (row + r) * cols;
        out[r] = view_span(w->view, at / width, at % width, cols, room + r * cols, &got);
        if (got >= cols) continue;
        view_read(w->view, at / width, at % width, cols, room + r * cols);
        out[r] = room + r * cols;
    }
}

/* The last panel may be short: it goes through a copy. */
static void tile_bf16(const bf16_ops *ops, const linear_args *a, const uint32_t *x, const void *const *row, size_t n, float *rest,
                      float *y)
{
    const size_t whole = a->tokens / BF16_TOKENS, left = a->tokens % BF16_TOKENS, cols = (size_t)a->cols;
    ops->panels(x, whole, row, n, cols, y, a->ldy);
    if (!left) return;
    ops->panels(x + whole * BF16_TOKENS * cols / 2, 1, row, n, cols, rest, TILE_ROWS);
    for (size_t t = 0; t < left; t++)
        memcpy(y + (whole * BF16_TOKENS + t) * a->ldy, rest + t * TILE_ROWS, n * sizeof *y);
}

smelt_status linear_bf16(smelt_engine *e, const linear_args *a, float *y, smelt_err *err)
{
    const bf16_ops *ops = e->bf16;
    const size_t cols = (size_t)a->cols, panels = (a->tokens + BF16_TOKENS - 1) / BF16_TOKENS;
    const bool few = a->tokens < FEW && cols % 32 == 0;
    const size_t rest = BF16_TOKENS * TILE_ROWS, rows_room = TILE_ROWS * cols / 2 + 1;
    SMELT_TRY(scratch_room(e, rest + rows_room + cols, err));
    SMELT_TRY(round_room(e, (few ? a->tokens : panels * BF16_TOKENS) * cols * sizeof(uint16_t), err));
    const int threads = e->ctx.threads;
    const uint64_t tiles = (a->rows + TILE_ROWS - 1) / TILE_ROWS;
#pragma omp parallel num_threads(threads)
    {
        float *scratch = e->scratch[omp_get_thread_num()];
        uint16_t *room = (uint16_t *)(void *)(scratch + rest);
        if (few) {
#pragma omp for
            for (size_t t = 0; t < a->tokens; t++)
                ops->round(a->x + t * a->ldx, cols, (uint16_t *)e->round + t * cols);
        } else {
#pragma omp for
            for (size_t p = 0; p < panels; p++)
                fill_panel(ops, a, p * BF16_TOKENS, room, (uint32_t *)e->round + p * BF16_TOKENS * cols / 2);
        }
#pragma omp for schedule(dynamic, 1)
        for (uint64_t i = 0; i < tiles; i++) {
            const uint64_t first = i * TILE_ROWS;
            const size_t n = a->rows - first < TILE_ROWS ? (size_t)(a->rows - first) : TILE_ROWS;
            const void *row[TILE_ROWS];
            find_rows(a->w, a->first_row + first, n, a->cols, room, row);
            if (few)
                for (size_t t = 0; t < a->tokens; t++)
                    ops->one((const uint16_t *)e->round + t * cols, row, n, cols, y + first + t * a->ldy);
            else
                tile_bf16(ops, a, e->round, row, n, scratch, y + first);
            if (!a->bias) continue;
            tensor_decode(e, a->bias, a->first_row + first, n, scratch);
            for (size_t t = 0; t < a->tokens; t++)
                e->vec->add(y + first + t * a->ldy, scratch, n);
        }
    }
    return SMELT_OK;
}
