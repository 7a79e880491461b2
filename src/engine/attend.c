/* Attention: blocks of queries of one head against the keys that they see. */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/internal.h"

enum { QUERIES = 64 }; /* of a block */

void alibi_slopes(size_t heads, double max, float *out)
{
    size_t n = 1;
    while (n * 2 <= heads)
        n *= 2;
    for (size_t h = 0; h < heads; h++) {
        const double power = h < n ? max / (double)n * (double)(h + 1) : max / (double)(2 * n) * (double)(2 * (h - n) + 1);
        out[h] = 1.0f / powf(2, (float)power);
    }
}

static float bf16(float x)
{
    const uint32_t u = f32_bits(x);
    return f32_from_bits((u + 0x7FFFU + (u >> 16 & 1)) & 0xFFFF0000U);
}

/* One head's block: queries [from, from + n) of the sequence's new tokens. */
static void attend_block(const smelt_engine *e, const attend_args *a, const attend_seq *s, size_t head, size_t from, size_t n,
                         float *scores)
{
    const size_t dim = a->dim, q_row = a->heads * dim, kv_row = a->kv_heads * dim, kv = head / (a->heads / a->kv_heads);
    const size_t last = s->past + from + n; /* keys before this one are seen by the block's last query */
    const size_t first = a->window && s->past + from + 1 > a->window ? (size_t)(s->past + from + 1 - a->window) : 0;
    const size_t width = last - first;
    const float *k = s->k + first * kv_row + kv * dim, *v = s->v + first * kv_row + kv * dim;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)width, (int)dim, a->scale, s->q + from * q_row + head * dim,
                (int)q_row, k, (int)kv_row, 0, scores, (int)width);
    for (size_t i = 0; i < n; i++) {
        float *row = scores + i * width;
        const size_t at = s->past + from + i, end = at + 1 - first;
        const size_t begin = a->window && at + 1 > a->window ? (size_t)(at + 1 - a->window) - first : 0;
        if (a->alibi && a->coarse_alibi)
            for (size_t j = begin; j < end; j++)
                row[j] += bf16(bf16(a->alibi[head]) * bf16((float)(first + j))) * a->scale;
        else if (a->alibi)
            for (size_t j = begin; j < end; j++)
                row[j] -= a->alibi[head] * (float)(at - first - j);
        float top = e->vec->max(row + begin, end - begin);
        if (a->sinks && a->sinks[head] > top) top = a->sinks[head];
        float sum = e->vec->exp_sum(row + begin, top, end - begin);
        if (a->sinks) sum += expf(a->sinks[head] - top);
        e->vec->scale(row + begin, 1 / sum, end - begin);
        memset(row, 0, begin * sizeof *row);
        memset(row + end, 0, (width - end) * sizeof *row);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)dim, (int)width, 1, scores, (int)width, v, (int)kv_row, 0,
                s->out + from * q_row + head * dim, (int)q_row);
}

smelt_status attend(smelt_engine *e, const attend_args *a, smelt_err *err)
{
    size_t blocks = 0, longest = 0;
    for (size_t i = 0; i < a->n_seqs; i++) {
        blocks += (a->seqs[i].n + QUERIES - 1) / QUERIES;
        if (a->seqs[i].past + a->seqs[i].n > longest) longest = a->seqs[i].past + a->seqs[i].n;
    }
    uint64_t scores;
    if (!mul_u64(longest, QUERIES, &scores)) return smelt_oom(err);
    SMELT_TRY(scratch_room(e, (size_t)scores, err));
    const int threads = e->ctx.threads;
    const size_t items = blocks * a->heads;
    /* The last blocks see the most keys: they come first, so that threads end together. */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t item = 0; item < items; item++) {
        const size_t head = item % a->heads;
        size_t block = blocks - 1 - item / a->heads, s = 0;
        while (block >= (a->seqs[s].n + QUERIES - 1) / QUERIES)
            block -= (a->seqs[s++].n + QUERIES - 1) / QUERIES;
        const size_t from = block * QUERIES, left = a->seqs[s].n - from;
        attend_block(e, a, &a->seqs[s], head, from, left < QUERIES ? left : QUERIES, e->scratch[omp_get_thread_num()]);
    }
    return SMELT_OK;
}
