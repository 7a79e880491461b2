/* Byte pair encoding: of two neighbours whose pair is known, those with the lowest rank are joined first, the leftmost among equal
 * ones, until no pair is known. Short pieces are searched through, long ones keep their pairs in a heap, so that a text of n
 * characters takes O(n log n). */
#include <stdlib.h>

#include "vocab/tok_internal.h"

enum { SHORT = 48, LONGEST_TOKEN = 1024 };

static const char word_mark[] = "\xE2\x96\x81";

static const tok_pair *find_pair(const smelt_tok *t, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return NULL;
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (uint64_t i = pair_hash(key) & t->pair_mask;; i = (i + 1) & t->pair_mask) {
        if (t->pairs[i].key == key) return &t->pairs[i];
        if (t->pairs[i].key == PAIR_FREE) return NULL;
    }
}

static void add_pair(smelt_tok *t, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    uint64_t key = (uint64_t)left << 32 | right, i = pair_hash(key) & t->pair_mask;
    while (t->pairs[i].key != PAIR_FREE && t->pairs[i].key != key)
        i = (i + 1) & t->pair_mask;
    t->pairs[i] = (tok_pair){key, rank, id};
}

static smelt_status new_pairs(smelt_tok *t, size_t n, smelt_err *err)
{
    uint64_t size = 16;
    while (size < (uint64_t)n * 2)
        size *= 2;
    t->pairs = arena_calloc(&t->arena, size, sizeof *t->pairs);
    if (!t->pairs) return smelt_oom(err);
    t->pair_mask = size - 1;
    for (uint64_t i = 0; i < size; i++)
        t->pairs[i].key = PAIR_FREE;
    return SMELT_OK;
}

/* ---- building ---- */

static smelt_status build_merges(smelt_tok *t, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    smelt_arena tmp = {0};
    smelt_strmap texts = {.arena = &tmp};
    smelt_buf both = {0};
    smelt_status st = new_pairs(t, d->n_merges, err);
    for (size_t i = 0; st == SMELT_OK && i < d->n; i++) {
        bool added;
        if (d->text[i].p && !strmap_add(&texts, d->text[i].p, d->text[i].n, i, &added)) st = smelt_oom(err);
    }
    for (size_t i = 0; st == SMELT_OK && i < d->n_merges; i++) {
        const smelt_tok_merge *m = &d->merges[i];
        size_t left, right, id;
        both.size = 0;
        buf_put(&both, m->left.p, m->left.n);
        buf_put(&both, m->right.p, m->right.n);
        if (both.failed)
            st = smelt_oom(err);
        else if (!strmap_get(&texts, m->left.p, m->left.n, &left) || !strmap_get(&texts, m->right.p, m->right.n, &right) ||
                 !both.size || !strmap_get(&texts, (const char *)both.data, both.size, &id))
            st =
                smelt_fail(err, SMELT_E_CORRUPT, "merge %zu, '%.*s' and '%.*s', names a token that the vocabulary does not have", i,
                           (int)(m->left.n < 64 ? m->left.n : 64), m->left.p, (int)(m->right.n < 64 ? m->right.n : 64), m->right.p);
        else
            add_pair(t, (uint32_t)left, (uint32_t)right, (uint32_t)i, (uint32_t)id);
    }
    buf_free(&both);
    arena_free(&tmp);
    return st;
}

static bool may_merge(const smelt_tok *t, size_t id)
{
    uint8_t type = t->d.type ? t->d.type[id] : SMELT_TOKEN_NORMAL;
    return t->raw[id].p && (type == SMELT_TOKEN_NORMAL || type == SMELT_TOKEN_USER || type == SMELT_TOKEN_UNUSED);
}

static size_t unit(const smelt_tok *t, const char *p)
{
    size_t len = 1;
    if (!t->bytes) utf8_next(p, &len);
    return len;
}

/* The symbol of a part of a token; characters that are no tokens get a number of their own. */
static smelt_status symbol_of(smelt_tok *t, const char *p, size_t n, int64_t *out, smelt_err *err)
{
    size_t at;
    *out = NO_SYMBOL;
    if (t->bytes && n == 1) {
        *out = t->byte_id[(uint8_t)*p];
        return SMELT_OK;
    }
    if (!t->bytes && unit(t, p) == n) {
        *out = tok_char_symbol(t, p, n);
        if (*out != NO_SYMBOL) return SMELT_OK;
        size_t len;
        uint32_t c = utf8_next(p, &len);
        bool added;
        if (c < 0x10000)
            t->bmp[c] = (int32_t)t->n_symbols;
        else if (!strmap_add(&t->chars, p, n, t->n_symbols, &added))
            return smelt_oom(err);
        *out = t->n_symbols++;
        return SMELT_OK;
    }
    if (strmap_get(&t->ids, p, n, &at)) *out = (int64_t)at;
    return SMELT_OK;
}

static int down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Ranks: the position among the different scores, best first. */
static uint32_t rank_of(const double *scores, size_t n, double score)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (scores[mid] > score)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

static smelt_status build_scores(smelt_tok *t, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    size_t most = 0;
    smelt_arena tmp = {0};
    double *sorted = arena_calloc(&tmp, d->n, sizeof *sorted);
    if (!sorted) return smelt_oom(err);
    for (size_t i = 0; i < d->n; i++) {
        sorted[i] = d->score[i];
        if (!may_merge(t, i)) continue;
        if (d->text[i].n > LONGEST_TOKEN && !(d->type && d->type[i] == SMELT_TOKEN_USER)) {
            arena_free(&tmp);
            return smelt_fail(err, SMELT_E_LIMIT, "token %zu has %zu bytes, at most %d are accepted", i, (size_t)d->text[i].n,
                              LONGEST_TOKEN);
        }
        most += t->raw[i].n;
    }
    if (d->n) qsort(sorted, d->n, sizeof *sorted, down);
    t->n_symbols = (uint32_t)d->n;
    smelt_status st = SMELT_OK;
    /* Twice: to count, and to store. */
    for (int store = 0; st == SMELT_OK && store < 2; store++) {
        if (store) st = new_pairs(t, most, err);
        most = 0;
        for (size_t i = 0; st == SMELT_OK && i < d->n; i++) {
            smelt_str s = t->raw[i];
            if (!may_merge(t, i) || s.n > LONGEST_TOKEN) continue;
            if (d->type && d->type[i] == SMELT_TOKEN_UNUSED && !t->split) {
                t->split = arena_calloc(&t->arena, d->n, sizeof *t->split);
                if (!t->split) st = smelt_oom(err);
            }
            for (size_t k = s.n ? unit(t, s.p) : 0; st == SMELT_OK && k < s.n; k += unit(t, s.p + k)) {
                int64_t left, right;
                st = symbol_of(t, s.p, k, &left, err);
                if (st == SMELT_OK) st = symbol_of(t, s.p + k, s.n - k, &right, err);
                if (st != SMELT_OK || left < 0 || right < 0) continue;
                most++;
                if (store) add_pair(t, (uint32_t)left, (uint32_t)right, rank_of(sorted, d->n, d->score[i]), (uint32_t)i);
            }
        }
    }
    arena_free(&tmp);
    return st;
}

/* Whether no token has U+2581 behind another character. */
static bool words_apart(const smelt_tok *t)
{
    size_t at;
    if (t->bytes || t->d.ignore_merges || !strmap_get(&t->ids, word_mark, 3, &at)) return false;
    for (size_t i = 0; i < t->d.n; i++) {
        smelt_str s = t->raw[i];
        for (size_t k = 3; s.p && k + 3 <= s.n; k++)
            if (memcmp(s.p + k, word_mark, 3) == 0 && memcmp(s.p + k - 3, word_mark, 3) != 0) return false;
        if (s.p && s.n > 3)
            for (size_t k = 1; k < 3 && k + 3 <= s.n; k++)
                if (memcmp(s.p + k, word_mark, 3) == 0) return false;
    }
    return true;
}

smelt_status bpe_build(smelt_tok *t, smelt_err *err)
{
    SMELT_TRY(t->d.model == SMELT_TOK_MERGES ? build_merges(t, err) : build_scores(t, err));
    t->cut_words = words_apart(t);
    return SMELT_OK;
}

/* ---- encoding ---- */

typedef struct symbol {
    int32_t id;
    uint32_t at;         /* in the piece */
    uint32_t prev, next; /* of long pieces; next is the number of symbols behind the last */
} symbol;

static void note_unused(const smelt_tok *t, smelt_tok_state *s, const tok_pair *pair)
{
    if (t->split && t->d.type[pair->id] == SMELT_TOKEN_UNUSED) ((uint64_t *)(void *)s->unused.data)[pair->id] = pair->key;
}

static const tok_pair *known_pair(const smelt_tok *t, smelt_tok_state *s, int32_t left, int32_t right)
{
    const tok_pair *pair = find_pair(t, left, right);
    if (pair) note_unused(t, s, pair);
    return pair;
}

static size_t merge_short(const smelt_tok *t, smelt_tok_state *s, symbol *sym, size_t n)
{
    uint32_t rank[SHORT], id[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const tok_pair *p = known_pair(t, s, sym[i].id, sym[i + 1].id);
        rank[i] = p ? p->rank : UINT32_MAX;
        id[i] = p ? p->id : 0;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == UINT32_MAX) break;
        sym[best].id = (int32_t)id[best];
        n--;
        for (size_t i = best + 1; i < n; i++)
            sym[i] = sym[i + 1];
        for (size_t i = best + 1; i + 1 < n; i++) {
            rank[i] = rank[i + 1];
            id[i] = id[i + 1];
        }
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const tok_pair *p = known_pair(t, s, sym[i].id, sym[i + 1].id);
            rank[i] = p ? p->rank : UINT32_MAX;
            id[i] = p ? p->id : 0;
        }
    }
    return n;
}

/* A heap of rank << 32 | position. */
static void heap_push(smelt_buf *heap, uint64_t v)
{
    buf_put(heap, &v, sizeof v);
    if (heap->failed) return;
    uint64_t *h = (uint64_t *)(void *)heap->data;
    size_t i = heap->size / sizeof v - 1;
    while (i && h[(i - 1) / 2] > v) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = v;
}

static uint64_t heap_pop(smelt_buf *heap)
{
    uint64_t *h = (uint64_t *)(void *)heap->data, top = h[0];
    heap->size -= sizeof top;
    size_t n = heap->size / sizeof top, i = 0;
    if (!n) return top;
    uint64_t v = h[n];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && h[child + 1] < h[child]) child++;
        if (h[child] >= v) break;
        h[i] = h[child];
        i = child;
    }
    h[i] = v;
    return top;
}

static void push_pair(const smelt_tok *t, smelt_tok_state *s, const symbol *sym, size_t n, uint32_t at)
{
    if (sym[at].next >= n) return;
    const tok_pair *p = known_pair(t, s, sym[at].id, sym[sym[at].next].id);
    if (p) heap_push(&s->heap, (uint64_t)p->rank << 32 | at);
}

static size_t merge_long(const smelt_tok *t, smelt_tok_state *s, symbol *sym, size_t n)
{
    enum { GONE = -2 };
    s->heap.size = 0;
    for (size_t i = 0; i < n; i++) {
        sym[i].prev = (uint32_t)(i - 1);
        sym[i].next = (uint32_t)(i + 1);
    }
    for (size_t i = 0; i + 1 < n; i++)
        push_pair(t, s, sym, n, (uint32_t)i);
    while (s->heap.size && !s->heap.failed) {
        uint64_t top = heap_pop(&s->heap);
        uint32_t at = (uint32_t)top, next = sym[at].next;
        if (sym[at].id == GONE || next >= n) continue;
        const tok_pair *p = find_pair(t, sym[at].id, sym[next].id);
        if (!p || p->rank != top >> 32) continue; /* one of the two has changed since */
        sym[at].id = (int32_t)p->id;
        sym[at].next = sym[next].next;
        sym[next].id = GONE;
        if (sym[next].next < n) sym[sym[next].next].prev = at;
        if (sym[at].prev != UINT32_MAX) push_pair(t, s, sym, n, sym[at].prev);
        push_pair(t, s, sym, n, at);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i = sym[i].next)
        sym[kept++] = (symbol){sym[i].id, sym[i].at, 0, sym[i].next};
    return kept;
}

/* Symbols in a list of merges: a character without a token is its bytes, or unk, before anything is merged. */
static void put_missing(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t at, size_t len, bool *behind_unk)
{
    symbol sym = {.at = (uint32_t)at};
    bool bytes = t->d.byte_fallback && !t->bytes;
    for (size_t i = 0; bytes && i < len; i++)
        bytes = t->byte_id[(uint8_t)p[at + i]] >= 0;
    for (size_t i = 0; bytes && i < len; i++) {
        sym.id = t->byte_id[(uint8_t)p[at + i]];
        buf_put(&s->symbols, &sym, sizeof sym);
    }
    if (bytes || t->d.unk < 0) return;
    if (!(*behind_unk && t->d.fuse_unk)) {
        sym.id = (int32_t)t->d.unk;
        buf_put(&s->symbols, &sym, sizeof sym);
    }
    *behind_unk = true;
}

static void put_symbols(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n)
{
    bool behind_unk = false;
    s->symbols.size = 0;
    for (size_t at = 0, len; at < n; at += len) {
        symbol sym = {.at = (uint32_t)at};
        len = 1;
        if (t->bytes) {
            sym.id = t->byte_id[(uint8_t)p[at]];
        } else {
            utf8_next(p + at, &len);
            sym.id = tok_char_symbol(t, p + at, len);
        }
        if (sym.id == NO_SYMBOL && t->d.model == SMELT_TOK_MERGES) {
            put_missing(t, s, p, at, len, &behind_unk);
            continue;
        }
        behind_unk = false;
        buf_put(&s->symbols, &sym, sizeof sym);
    }
}

/* An unused token is given as what it was made of. */
typedef struct part {
    int32_t id;
    uint32_t at, end;
} part;

static void put_parts(const smelt_tok *t, smelt_tok_state *s, const char *p, part whole, smelt_buf *ids)
{
    const uint64_t *made = t->split ? (const uint64_t *)(const void *)s->unused.data : NULL;
    s->heap.size = 0;
    buf_put(&s->heap, &whole, sizeof whole);
    while (s->heap.size && !s->heap.failed) {
        s->heap.size -= sizeof(part);
        part q;
        memcpy(&q, s->heap.data + s->heap.size, sizeof q);
        if (q.id < 0 || (size_t)q.id >= t->d.n) {
            tok_put_unknown(t, s, p + q.at, q.end - q.at, ids);
        } else if (made && made[q.id] && t->d.type[q.id] == SMELT_TOKEN_UNUSED) {
            int32_t left = (int32_t)(made[q.id] >> 32), right = (int32_t)(uint32_t)made[q.id];
            size_t len = (size_t)left < t->d.n ? t->raw[left].n : unit(t, p + q.at);
            part r = {right, q.at + (uint32_t)len, q.end}, l = {left, q.at, q.at + (uint32_t)len};
            buf_put(&s->heap, &r, sizeof r);
            buf_put(&s->heap, &l, sizeof l);
        } else {
            tok_put(t, s, q.id, t->d.fuse_unk, ids);
        }
    }
}

static smelt_status encode_new(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    size_t id;
    if (t->d.ignore_merges && strmap_get(&t->ids, p, n, &id)) {
        tok_put(t, s, (int64_t)id, false, ids);
        return SMELT_OK;
    }
    put_symbols(t, s, p, n);
    symbol *sym = (symbol *)(void *)s->symbols.data;
    size_t count = s->symbols.size / sizeof *sym;
    if (s->symbols.failed) return smelt_oom(err);
    if (count > 1) count = count <= SHORT ? merge_short(t, s, sym, count) : merge_long(t, s, sym, count);
    for (size_t i = 0; i < count; i++) {
        if (t->d.model == SMELT_TOK_MERGES)
            tok_put(t, s, sym[i].id, false, ids);
        else
            put_parts(t, s, p, (part){sym[i].id, sym[i].at, i + 1 < count ? sym[i + 1].at : (uint32_t)n}, ids);
    }
    return s->heap.failed || ids->failed ? smelt_oom(err) : SMELT_OK;
}

/* Through the cache: most pieces of a text have been seen before. */
static smelt_status encode_piece(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    if (n > CACHE_KEY) return encode_new(t, s, p, n, ids, err);
    char key[32] = {0};
    memcpy(key, p, n);
    uint64_t w[4];
    memcpy(w, key, sizeof w);
    uint64_t h = (w[0] ^ n) * 0x9E3779B97F4A7C15U;
    h = (h ^ h >> 32 ^ w[1]) * 0xD6E8FEB86659FD93U;
    h = (h ^ h >> 32 ^ w[2]) * 0xA0761D6478BD642FU;
    h = (h ^ h >> 32 ^ w[3]) * 0xE7037ED1A0B428DBU;
    tok_cached *slot = &s->cache[(h ^ h >> 32) & (CACHE_SLOTS - 1)];
    if (slot->n == n && memcmp(slot->key, key, CACHE_KEY) == 0) {
        buf_put(ids, slot->id, slot->n_ids * sizeof *slot->id);
        s->last_unk = false;
        return SMELT_OK;
    }
    size_t before = ids->size;
    bool was_unk = s->last_unk;
    SMELT_TRY(encode_new(t, s, p, n, ids, err));
    size_t count = (ids->size - before) / sizeof *slot->id;
    /* What fuses with its neighbours depends on them. */
    bool alone = t->d.model == SMELT_TOK_MERGES || !t->d.fuse_unk || (!was_unk && !s->last_unk);
    for (size_t i = 0; alone && t->d.model != SMELT_TOK_MERGES && i < count; i++)
        alone = ((const int32_t *)(const void *)(ids->data + before))[i] != t->d.unk;
    if (count && count <= CACHE_IDS && alone) {
        memcpy(slot->key, key, CACHE_KEY);
        memcpy(slot->id, ids->data + before, ids->size - before);
        slot->n = (uint16_t)n;
        slot->n_ids = (uint16_t)count;
    }
    return SMELT_OK;
}

static smelt_status encode_words(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    size_t from = 0;
    for (size_t i = 1; t->cut_words && i + 3 <= n; i++)
        if (p[i] == word_mark[0] && memcmp(p + i, word_mark, 3) == 0 && !(i - from >= 3 && memcmp(p + i - 3, word_mark, 3) == 0)) {
            SMELT_TRY(encode_piece(t, s, p + from, i - from, ids, err));
            from = i;
        }
    return encode_piece(t, s, p + from, n - from, ids, err);
}

smelt_status bpe_encode(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    if (!t->any_user || t->d.model != SMELT_TOK_SCORES) return encode_words(t, s, p, n, ids, err);
    /* Tokens that users defined are taken whole, and nothing merges with them. */
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len) {
        const tok_key *k = keys_longest(&t->user, p + i, n - i);
        len = k ? k->n : unit(t, p + i);
        if (!k) continue;
        if (i > from) SMELT_TRY(encode_words(t, s, p + from, i - from, ids, err));
        tok_put(t, s, k->value, t->d.fuse_unk, ids);
        from = i + len;
    }
    return from < n ? encode_words(t, s, p + from, n - from, ids, err) : SMELT_OK;
}
