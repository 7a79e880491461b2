/* Unigram: the cut of a text into tokens whose scores have the best sum (Viterbi's algorithm, from left to right). Of equal sums
 * the one found first stays, as in sentencepiece (unigram_model.cc, EncodeOptimized) and the `tokenizers` package. */
#include <math.h>

#include "vocab/tok_internal.h"

/* sentencepiece starts its float32 sums anew from where they are larger than this. */
#define RESET_BEYOND 100000.0

/* Of a token of n bytes that users defined: better than any other, and the better the longer, as sentencepiece has it. */
static double user_score(size_t n) { return (double)(float)(0.1 * (double)(n - 1)); }

smelt_status unigram_build(smelt_tok *t, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    enum { UNKNOWN_PENALTY = 10 };
    double least = 0;
    size_t n = 0;
    tok_key *key = arena_calloc(&t->arena, d->n, sizeof *key);
    if (!key) return smelt_oom(err);
    for (size_t i = 0; i < d->n; i++) {
        uint8_t type = d->type ? d->type[i] : SMELT_TOKEN_NORMAL;
        if (!t->raw[i].p || !t->raw[i].n) continue;
        bool scored = type == SMELT_TOKEN_NORMAL;
        if (scored || !d->type) {
            if (n == 0 || d->score[i] < least) least = d->score[i];
        }
        if (scored || type == SMELT_TOKEN_USER) key[n++] = (tok_key){t->raw[i].p, (uint32_t)t->raw[i].n, (int32_t)i};
    }
    t->unk_score = d->float_scores ? (double)(float)(least - UNKNOWN_PENALTY) : least - UNKNOWN_PENALTY;
    return keys_build(&t->arena, &t->pieces, key, n) ? SMELT_OK : smelt_oom(err);
}

typedef struct node {
    double score; /* of the best path that ends here */
    uint32_t start;
    int32_t id; /* of its last token; -1: unknown */
} node;

static void offer(node *at, double score, bool as_float, size_t start, int32_t id)
{
    if (as_float) score = (double)(float)score;
    if (at->start != UINT32_MAX && !(score > at->score)) return;
    *at = (node){score, (uint32_t)start, id};
}

/* Takes the score at `at` from all places from there to `last` that a path has reached. */
static void reset(node *path, size_t at, size_t last)
{
    const float offset = (float)path[at].score;
    for (size_t i = at; i <= last; i++)
        if (i == at || path[i].start != UINT32_MAX) path[i].score = (double)((float)path[i].score - offset);
}

/* A stretch without a token. In tokenizer.json the unknown token is a piece of the text like others, where it stands alone. */
static void put_unknown(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids)
{
    const tok_key *k = t->d.float_scores ? NULL : keys_longest(&t->pieces, p, n);
    if (k && k->n == n)
        tok_put(t, s, k->value, t->d.fuse_unk, ids);
    else
        tok_put_unknown(t, s, p, n, ids);
}

smelt_status unigram_encode(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    s->path.size = 0;
    buf_zeros(&s->path, (n + 1) * sizeof(node));
    if (s->path.failed) return smelt_oom(err);
    node *path = (node *)(void *)s->path.data;
    for (size_t i = 0; i <= n; i++)
        path[i].start = UINT32_MAX;
    size_t last = 0;
    for (size_t at = 0, len; at < n; at += len) {
        if (d->float_scores && fabs(path[at].score) > RESET_BEYOND) reset(path, at, last);
        double here = path[at].score;
        utf8_next(p + at, &len);
        bool single = false;
        keys_walk w = {0};
        const tok_key *k;
        while (keys_next(&t->pieces, &w, p + at, n - at, &k)) {
            double score = d->score[k->value];
            if (d->type && d->type[k->value] == SMELT_TOKEN_USER) score = user_score(k->n);
            offer(&path[at + k->n], score + here, d->float_scores, at, k->value);
            if (at + k->n > last) last = at + k->n;
            single = single || k->n == len;
        }
        if (!single) offer(&path[at + len], t->unk_score + here, d->float_scores, at, -1);
        if (!single && at + len > last) last = at + len;
    }
    /* Backwards to turn the links round, so that each place says where the next token ends; then forwards. */
    uint32_t end = (uint32_t)n, next = UINT32_MAX;
    while (end) {
        uint32_t start = path[end].start;
        path[end].start = next;
        next = end;
        end = start;
    }
    uint32_t from = 0, unknown = UINT32_MAX;
    s->last_unk = false;
    for (uint32_t to = next;; to = path[to].start) {
        const bool end_here = to == UINT32_MAX, known = !end_here && path[to].id >= 0 && path[to].id != d->unk;
        if ((known || end_here) && unknown != UINT32_MAX) {
            put_unknown(t, s, p + unknown, from - unknown, ids);
            unknown = UINT32_MAX;
        }
        if (end_here) break;
        if (known)
            tok_put(t, s, path[to].id, d->fuse_unk, ids);
        else if (unknown == UINT32_MAX)
            unknown = from;
        from = to;
    }
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}
