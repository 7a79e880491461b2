/* Tiles of weights as panels, activations rounded once for all of them. */
#include "engine/int8.h"

#include <omp.h>
#include <string.h>

enum { TILE_ROWS = 64, TILE_TOKENS = 256 };

/* What a thread needs for a tile, cut from its scratch. */
typedef struct tile_room {
    int8_t *code, *row_code;
    float *scale, *shift, *row_scale, *row_shift, *rest;
    void *raw;
} tile_room;

static size_t room_size(uint64_t cols) /* floats */
{
    const size_t groups = (size_t)cols / 16;
    return TILE_ROWS * ((size_t)cols / 4 + 2 * groups) + (size_t)cols / 4 + 2 * groups + TILE_TOKENS * INT8_ROWS + (size_t)cols;
}

static tile_room cut_room(float *scratch, uint64_t cols)
{
    const size_t bytes = (size_t)cols / 4, groups = (size_t)cols / 16;
    tile_room r;
    r.code = (int8_t *)(void *)scratch;
    r.scale = scratch + TILE_ROWS * bytes;
    r.shift = r.scale + TILE_ROWS * groups;
    r.row_code = (int8_t *)(void *)(r.shift + TILE_ROWS * groups);
    r.row_scale = r.shift + TILE_ROWS * groups + bytes;
    r.row_shift = r.row_scale + groups;
    r.rest = r.row_shift + groups;
    r.raw = r.rest + TILE_TOKENS * INT8_ROWS;
    return r;
}

/* Rows [row, row + rows) as panels; rows that are not there are zero. */
static void fill_panels(const smelt_tensor *t, const smelt_int8 *type, uint64_t row, uint64_t rows, uint64_t cols,
                        const tile_room *r)
{
    const size_t groups = (size_t)cols / type->group, whole = (size_t)(rows + INT8_ROWS - 1) / INT8_ROWS * INT8_ROWS;
    const uint64_t width = view_cols(t->view);
    for (size_t i = 0; i < whole; i++) {
        if (i < rows) {
            const uint64_t at = (row + i) * cols;
            uint64_t got;
            const void *p = view_span(t->view, at / width, at % width, cols, r->raw, &got);
            if (got < cols) {
                view_read(t->view, at / width, at % width, cols, r->raw);
                p = r->raw;
            }
            type->split(p, r->row_code, r->row_scale, type->shifted ? r->row_shift : NULL, cols);
        } else {
            memset(r->row_code, 0, cols);
            memset(r->row_scale, 0, groups * sizeof(float));
            memset(r->row_shift, 0, groups * sizeof(float));
        }
        const size_t panel = i / INT8_ROWS;
        int8_place(r->row_code, r->row_scale, r->row_shift, cols, type->group, i % INT8_ROWS, r->code + panel * INT8_ROWS * cols,
                   r->scale + panel * INT8_ROWS * groups, type->shifted ? r->shift + panel * INT8_ROWS * groups : NULL);
    }
}

static void tile_int8(const smelt_engine *e, const linear_args *a, const int8_tokens *x, uint64_t row, uint64_t rows,
                      float *scratch, float *y)
{
    const smelt_int8 *type = e->ctx.codec[a->w->dtype].int8;
    int8_product_fn *product = int8_select(e->ctx.cpu);
    const tile_room r = cut_room(scratch, a->cols);
    const size_t groups = (size_t)a->cols / type->group;
    fill_panels(a->w, type, a->first_row + row, rows, a->cols, &r);
    for (size_t t = 0; t < a->tokens; t += TILE_TOKENS) {
        const int8_tokens some = {.code = x->code + t * a->cols,
                                  .scale = x->scale + t * groups,
                                  .sum = x->sum + t * groups,
                                  .tokens = a->tokens - t < TILE_TOKENS ? a->tokens - t : TILE_TOKENS,
                                  .cols = a->cols};
        for (size_t p = 0; p * INT8_ROWS < rows; p++) {
            const int8_panel panel = {.code = r.code + p * INT8_ROWS * a->cols,
                                      .scale = r.scale + p * INT8_ROWS * groups,
                                      .shift = type->shifted ? r.shift + p * INT8_ROWS * groups : NULL,
                                      .group = type->group};
            float *to = y + t * a->ldy + p * INT8_ROWS;
            const size_t left = (size_t)rows - p * INT8_ROWS;
            if (left >= INT8_ROWS) {
                product(&some, &panel, to, a->ldy);
                continue;
            }
            product(&some, &panel, r.rest, INT8_ROWS);
            for (size_t i = 0; i < some.tokens; i++)
                memcpy(to + i * a->ldy, r.rest + i * INT8_ROWS, left * sizeof *to);
        }
    }
    if (!a->bias) return;
    tensor_decode(e, a->bias, a->first_row + row, rows, scratch);
    for (size_t t = 0; t < a->tokens; t++)
        e->vec->add(y + t * a->ldy, scratch, (size_t)rows);
}

smelt_status linear_int8(smelt_engine *e, const linear_args *a, float *y, smelt_err *err)
{
    const uint32_t group = e->ctx.codec[a->w->dtype].int8->group;
    const size_t groups = (size_t)a->cols / group;
    SMELT_TRY(scratch_room(e, room_size(a->cols), err));
    SMELT_TRY(round_room(e, a->tokens * (groups * (sizeof(float) + sizeof(int32_t)) + (size_t)a->cols), err));
    float *scale = e->round;
    int32_t *sum = (int32_t *)(void *)(scale + a->tokens * groups);
    int8_t *code = (int8_t *)(void *)(sum + a->tokens * groups);
    const int threads = e->ctx.threads;
    const uint64_t tiles = (a->rows + TILE_ROWS - 1) / TILE_ROWS;
    const int8_tokens x = {.code = code, .scale = scale, .sum = sum, .tokens = a->tokens, .cols = (size_t)a->cols};
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
        for (size_t t = 0; t < a->tokens; t++)
            e->vec->round8(a->x + t * a->ldx, (size_t)a->cols, group, code + t * a->cols, scale + t * groups, sum + t * groups);
#pragma omp for schedule(dynamic, 1)
        for (uint64_t i = 0; i < tiles; i++) {
            const uint64_t row = i * TILE_ROWS, left = a->rows - row;
            tile_int8(e, a, &x, row, left < TILE_ROWS ? left : TILE_ROWS, e->scratch[omp_get_thread_num()], y + row);
        }
    }
    return SMELT_OK;
}
