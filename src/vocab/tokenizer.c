#include "vocab/tok_internal.h"

enum { LONGEST_TOKEN = 1024, LONGEST_INSERT = 1024, GROWTH = 64, GROWTH_FREE = 1 << 20 };

smelt_tok_step *tok_step(smelt_arena *arena, smelt_tok_steps *steps, smelt_tok_op op)
{
    if (!arena_room(arena, &steps->step, steps->n, &steps->capacity, sizeof *steps->step)) return NULL;
    smelt_tok_step *s = &steps->step[steps->n++];
    *s = (smelt_tok_step){.op = op};
    return s;
}

/* ---- making ---- */

/* The bytes that a token's letters stand for; p is NULL if one of them is no letter. */
static smelt_status letters_to_bytes(smelt_arena *arena, smelt_str in, smelt_str *out, smelt_err *err)
{
    *out = (smelt_str){NULL, 0};
    if (!in.p) return SMELT_OK;
    char *p = arena_calloc(arena, in.n + 1, 1);
    if (!p) return smelt_oom(err);
    size_t n = 0;
    for (size_t i = 0, len; i < in.n; i += len) {
        int b = byte_of_letter(utf8_next(in.p + i, &len));
        if (b < 0) return SMELT_OK;
        p[n++] = (char)b;
    }
    *out = (smelt_str){p, n};
    return SMELT_OK;
}

static uint8_t type_of(const smelt_tok *t, size_t id) { return t->d.type ? t->d.type[id] : SMELT_TOKEN_NORMAL; }

int32_t tok_char_symbol(const smelt_tok *t, const char *p, size_t len)
{
    size_t at, n;
    uint32_t c = utf8_next(p, &n);
    if (c < 0x10000) return t->bmp[c];
    return strmap_get(&t->chars, p, len, &at) ? (int32_t)at : NO_SYMBOL;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void find_bytes(smelt_tok *t)
{
    for (size_t b = 0; b < 256; b++)
        t->byte_id[b] = NO_SYMBOL;
    for (size_t i = 0; i < t->d.n; i++) {
        smelt_str s = t->d.text[i];
        if (t->bytes) {
            if (t->raw[i].p && t->raw[i].n == 1) t->byte_id[(uint8_t)*t->raw[i].p] = (int32_t)i;
        } else if (s.p && s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' && hex(s.p[3]) >= 0 && hex(s.p[4]) >= 0) {
            t->byte_id[hex(s.p[3]) << 4 | hex(s.p[4])] = (int32_t)i;
        }
    }
    t->all_byte_ids = true;
    for (size_t b = 0; b < 256; b++)
        t->all_byte_ids = t->all_byte_ids && t->byte_id[b] >= 0;
}

static smelt_status index_tokens(smelt_tok *t, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    t->raw = arena_calloc(&t->arena, d->n, sizeof *t->raw);
    t->special = arena_calloc(&t->arena, d->n, sizeof *t->special);
    t->added_text = arena_calloc(&t->arena, d->n, sizeof *t->added_text);
    if (!t->raw || !t->special || !t->added_text) return smelt_oom(err);
    t->ids.arena = t->chars.arena = &t->arena;
    if (!t->bytes) {
        t->bmp = arena_calloc(&t->arena, 0x10000, sizeof *t->bmp);
        if (!t->bmp) return smelt_oom(err);
        for (size_t c = 0; c < 0x10000; c++)
            t->bmp[c] = NO_SYMBOL;
    }
    for (size_t i = 0; i < d->n; i++) {
        bool added;
        smelt_str s = d->text[i];
        if (s.p && !utf8_valid(s.p, s.n)) return smelt_fail(err, SMELT_E_CORRUPT, "token %zu is not UTF-8", i);
        if (t->bytes)
            SMELT_TRY(letters_to_bytes(&t->arena, s, &t->raw[i], err));
        else
            t->raw[i] = s;
        /* Control tokens of a SentencePiece model are no text. */
        bool is_text = d->model == SMELT_TOK_MERGES || !d->type || type_of(t, i) == SMELT_TOKEN_NORMAL ||
                       type_of(t, i) == SMELT_TOKEN_USER || type_of(t, i) == SMELT_TOKEN_UNUSED;
        if (!s.p || !t->raw[i].p || !t->raw[i].n || !is_text) continue;
        if (!strmap_add(&t->ids, t->raw[i].p, t->raw[i].n, i, &added)) return smelt_oom(err);
        if (t->bytes || !added) continue;
        size_t len;
        uint32_t c = utf8_next(s.p, &len);
        if (len != s.n) continue;
        if (c < 0x10000)
            t->bmp[c] = (int32_t)i;
        else if (!strmap_add(&t->chars, s.p, s.n, i, &added))
            return smelt_oom(err);
    }
    find_bytes(t);
    return SMELT_OK;
}

/* Tokens that a SentencePiece model takes whole. */
static smelt_status index_user(smelt_tok *t, smelt_err *err)
{
    size_t n = 0;
    tok_key *key = arena_calloc(&t->arena, t->d.n, sizeof *key);
    if (!key) return smelt_oom(err);
    for (size_t i = 0; t->d.model != SMELT_TOK_MERGES && i < t->d.n; i++) {
        if (type_of(t, i) != SMELT_TOKEN_USER || !t->raw[i].n) continue;
        if (t->raw[i].n > LONGEST_TOKEN)
            return smelt_fail(err, SMELT_E_LIMIT, "token %zu has %zu bytes, at most %d are accepted", i, (size_t)t->raw[i].n,
                              LONGEST_TOKEN);
        key[n++] = (tok_key){t->raw[i].p, (uint32_t)t->raw[i].n, (int32_t)i};
    }
    t->any_user = n > 0;
    return keys_build(&t->arena, &t->user, key, n) ? SMELT_OK : smelt_oom(err);
}

/* The text by which an added token is found: normalised, if it is looked for in normalised text. */
static smelt_status added_key(smelt_tok *t, smelt_tok_state *s, const smelt_tok_added *a, smelt_str *out, smelt_err *err)
{
    *out = a->text;
    if (!a->normalized || !t->norm.n) return SMELT_OK;
    s->cur = a->text.p;
    s->n = a->text.n;
    s->at_start = true;
    SMELT_TRY(tok_normalize(&t->norm, s, err));
    char *copy = arena_strndup(&t->arena, s->cur, s->n);
    if (!copy) return smelt_oom(err);
    *out = (smelt_str){copy, s->n};
    return SMELT_OK;
}

static smelt_status index_added(smelt_tok *t, smelt_tok_state *s, bool normalized, tok_added_set *set, smelt_err *err)
{
    const smelt_tok_desc *d = &t->d;
    size_t n = 0;
    smelt_strmap seen = {.arena = &t->arena};
    tok_key *key = arena_calloc(&t->arena, d->n_added, sizeof *key);
    if (!key) return smelt_oom(err);
    for (size_t i = 0; i < d->n_added; i++) {
        const smelt_tok_added *a = &d->added[i];
        bool added;
        smelt_str k;
        if (a->id < 0 || (size_t)a->id >= d->n)
            return smelt_fail(err, SMELT_E_CORRUPT, "the added token %zu has id %d, ids are below %zu", i, a->id, d->n);
        if (!utf8_valid(a->text.p, a->text.n)) return smelt_fail(err, SMELT_E_CORRUPT, "the added token %zu is not UTF-8", i);
        if (a->text.n > LONGEST_TOKEN)
            return smelt_fail(err, SMELT_E_LIMIT, "the added token %zu has %zu bytes, at most %d are accepted", i,
                              (size_t)a->text.n, LONGEST_TOKEN);
        t->added_text[a->id] = a->text;
        t->special[a->id] = a->special;
        if (a->normalized != normalized) continue;
        SMELT_TRY(added_key(t, s, a, &k, err));
        t->added_text[a->id] = k;
        if (!k.n) continue;
        if (!strmap_add(&seen, k.p, k.n, i, &added)) return smelt_oom(err);
        if (added) key[n++] = (tok_key){k.p, (uint32_t)k.n, (int32_t)i};
    }
    set->any = n > 0;
    return keys_build(&t->arena, &set->keys, key, n) ? SMELT_OK : smelt_oom(err);
}

static smelt_status check_steps(const smelt_tok_steps *steps, smelt_tok_op first, smelt_tok_op end, const char *what,
                                smelt_err *err)
{
    for (size_t i = 0; i < steps->n; i++) {
        bool inserts = steps->step[i].op == SMELT_TOK_PREPEND || steps->step[i].op == SMELT_TOK_METASPACE;
        if (steps->step[i].b.n > LONGEST_INSERT || (inserts && steps->step[i].a.n > LONGEST_INSERT))
            return smelt_fail(err, SMELT_E_LIMIT, "step %zu of the %s inserts a text of more than %d bytes", i, what,
                              LONGEST_INSERT);
        if (steps->step[i].op < first || steps->step[i].op >= end)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "step %zu of the %s is not one of its kind", i, what);
    }
    return SMELT_OK;
}

static smelt_status build(smelt_tok *t, smelt_err *err)
{
    smelt_tok_desc *d = &t->d;
    if (d->n > INT32_MAX / 2) return smelt_fail(err, SMELT_E_LIMIT, "%zu tokens are too many", d->n);
    SMELT_TRY(check_steps(&d->normalizer, SMELT_TOK_NFC, SMELT_TOK_BYTES, "normaliser", err));
    SMELT_TRY(check_steps(&d->pretokenizer, SMELT_TOK_BYTES, SMELT_TOK_DEC_BYTES, "pre-tokenizer", err));
    SMELT_TRY(check_steps(&d->decoder, SMELT_TOK_DEC_BYTES, SMELT_TOK_OPS, "decoder", err));
    const smelt_tok_steps *pre = &d->pretokenizer;
    t->bytes = pre->n && pre->step[pre->n - 1].op == SMELT_TOK_BYTES && d->model != SMELT_TOK_UNIGRAM;
    for (size_t i = 0; !t->bytes && d->model != SMELT_TOK_UNIGRAM && i < pre->n; i++)
        t->letters = t->letters || pre->step[i].op == SMELT_TOK_BYTES;
    SMELT_TRY(tok_stages_compile(&t->arena, &d->normalizer, &t->norm, err));
    SMELT_TRY(tok_stages_compile(&t->arena, pre, &t->pre, err));
    if (d->unk >= (int64_t)d->n) return smelt_fail(err, SMELT_E_CORRUPT, "the unknown token has id %" PRId64, d->unk);
    SMELT_TRY(index_tokens(t, err));
    SMELT_TRY(index_user(t, err));
    SMELT_TRY(d->model == SMELT_TOK_UNIGRAM ? unigram_build(t, err) : bpe_build(t, err));
    smelt_tok_state *s;
    SMELT_TRY(tok_state_new(t, &s, err));
    smelt_status st = index_added(t, s, false, &t->raw_added, err);
    if (st == SMELT_OK) st = index_added(t, s, true, &t->norm_added, err);
    tok_state_free(s);
    SMELT_TRY(st);
    for (size_t i = 0; i < d->n; i++)
        if (type_of(t, i) == SMELT_TOKEN_CONTROL) t->special[i] = true;
    for (size_t i = 0; i < d->n_before + d->n_after; i++) {
        int32_t id = i < d->n_before ? d->before[i] : d->after[i - d->n_before];
        if (id < 0 || (size_t)id >= d->n)
            return smelt_fail(err, SMELT_E_CORRUPT, "the token %d that frames a text does not exist", id);
    }
    return SMELT_OK;
}

smelt_status tok_new(const smelt_tok_desc *desc, smelt_tok **out, smelt_err *err)
{
    *out = NULL;
    smelt_arena arena = {0};
    smelt_tok *t = arena_calloc(&arena, 1, sizeof *t);
    if (!t) return smelt_oom(err);
    t->arena = arena;
    t->d = *desc;
    smelt_status st = build(t, err);
    if (st == SMELT_OK)
        *out = t;
    else
        tok_free(t);
    return st;
}

void tok_free(smelt_tok *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->norm.n; i++)
        regex_free(t->norm.stage[i].re);
    for (size_t i = 0; i < t->pre.n; i++)
        regex_free(t->pre.stage[i].re);
    smelt_arena arena = t->arena;
    arena_free(&arena);
}

smelt_status tok_state_new(const smelt_tok *t, smelt_tok_state **out, smelt_err *err)
{
    *out = NULL;
    smelt_arena arena = {0};
    smelt_tok_state *s = arena_calloc(&arena, 1, sizeof *s);
    if (!s) return smelt_oom(err);
    *s = (smelt_tok_state){.tok = t, .matcher = matcher_new(), .arena = arena, .cur = "", .most = GROWTH_FREE};
    s->cache = arena_calloc(&s->arena, CACHE_SLOTS, sizeof *s->cache);
    if (t->split) buf_zeros(&s->unused, t->d.n * sizeof(uint64_t));
    if (!s->matcher || !s->cache || s->unused.failed) {
        tok_state_free(s);
        return smelt_oom(err);
    }
    *out = s;
    return SMELT_OK;
}

void tok_state_free(smelt_tok_state *s)
{
    if (!s) return;
    smelt_buf *bufs[] = {&s->text[0], &s->text[1], &s->clean, &s->piece[0], &s->piece[1],
                         &s->match,   &s->symbols, &s->heap,  &s->path,     &s->unused};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
    matcher_free(s->matcher);
    smelt_arena arena = s->arena;
    arena_free(&arena);
}

size_t tok_count(const smelt_tok *t) { return t->d.n; }

smelt_str tok_text(const smelt_tok *t, int64_t id)
{
    if (id < 0 || (uint64_t)id >= t->d.n) return (smelt_str){NULL, 0};
    return t->added_text[id].p ? t->added_text[id] : t->d.text[id];
}

/* ---- encoding ---- */

void tok_put(const smelt_tok *t, smelt_tok_state *s, int64_t id, bool fuse, smelt_buf *ids)
{
    bool unk = id == t->d.unk;
    if (unk && fuse && s->last_unk) return;
    int32_t v = (int32_t)id;
    buf_put(ids, &v, sizeof v);
    s->last_unk = unk;
}

void tok_put_unknown(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids)
{
    bool bytes = t->d.byte_fallback;
    for (size_t i = 0; bytes && !t->all_byte_ids && i < n; i++)
        bytes = t->byte_id[(uint8_t)p[i]] >= 0;
    for (size_t i = 0; bytes && i < n; i++)
        tok_put(t, s, t->byte_id[(uint8_t)p[i]], false, ids);
    if (!bytes && t->d.unk >= 0) tok_put(t, s, t->d.unk, t->d.fuse_unk, ids);
}

static smelt_status encode_model(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    return t->d.model == SMELT_TOK_UNIGRAM ? unigram_encode(t, s, p, n, ids, err) : bpe_encode(t, s, p, n, ids, err);
}

/* s->cur, behind normalisation and added tokens. */
static smelt_status encode_stretch(const smelt_tok *t, smelt_tok_state *s, smelt_buf *ids, smelt_err *err)
{
    if (!s->n) return SMELT_OK;
    s->last_unk = false;
    SMELT_TRY(tok_split(t, s, err));
    for (size_t i = 0; i < s->piece[0].size / sizeof(tok_piece); i++) {
        tok_piece p;
        memcpy(&p, s->piece[0].data + i * sizeof p, sizeof p);
        SMELT_TRY(encode_model(t, s, s->cur + p.at, p.n, ids, err));
    }
    return SMELT_OK;
}

typedef smelt_status stretch_fn(const smelt_tok *t, smelt_tok_state *s, unsigned flags, smelt_buf *ids, smelt_err *err);

static bool word_before(const char *text, size_t at)
{
    size_t len;
    return at && uni_word(utf8_next(text + utf8_before(text, at), &len));
}

/* Finds added tokens in s->cur, the leftmost and of these the longest; what lies between goes to `between`. A token in the white space
 * that another one strips counts too, and the text goes on behind it, as the `tokenizers` package has it. */
static smelt_status cut_added(const smelt_tok *t, smelt_tok_state *s, const tok_added_set *set, unsigned flags, stretch_fn *between,
                              smelt_buf *ids, smelt_err *err)
{
    if (!set->any) return between(t, s, flags, ids, err);
    const char *text = s->cur;
    size_t n = s->n, done = 0, blank = 0, len; /* blank: behind the white space that stripping has seen */
    bool starts = s->at_start, behind = s->behind_added;
    for (size_t i = 0; i < n;) {
        if (set->keys.first[(uint8_t)text[i]] == set->keys.first[(uint8_t)text[i] + 1]) {
            i++;
            continue;
        }
        const tok_key *k = keys_longest(&set->keys, text + i, n - i);
        if (!k) {
            i++;
            continue;
        }
        const smelt_tok_added *a = &t->d.added[k->value];
        size_t start = i, end = i + k->n;
        i = end;
        if (a->special && (flags & SMELT_TOK_LITERAL)) continue;
        if (a->single_word && (word_before(text, start) || (end < n && uni_word(utf8_next(text + end, &len))))) continue;
        while (a->lstrip && start > done) {
            size_t at = utf8_before(text, start);
            if (!uni_space(utf8_next(text + at, &len))) break;
            start = at;
        }
        if (a->rstrip && end < blank) end = blank;
        while (a->rstrip && end < n && uni_space(utf8_next(text + end, &len)))
            end += len;
        if (a->rstrip) blank = end;
        if (start > done) {
            s->cur = text + done;
            s->n = start - done;
            s->at_start = starts && done == 0;
            s->behind_added = behind || done > 0;
            SMELT_TRY(between(t, s, flags, ids, err));
        }
        buf_put(ids, &a->id, sizeof a->id);
        done = end;
        behind = true;
    }
    if (done < n) {
        s->cur = text + done;
        s->n = n - done;
        s->at_start = starts && done == 0;
        s->behind_added = behind || done > 0;
        return between(t, s, flags, ids, err);
    }
    return SMELT_OK;
}

static smelt_status encode_normalized(const smelt_tok *t, smelt_tok_state *s, unsigned flags, smelt_buf *ids, smelt_err *err)
{
    (void)flags;
    return encode_stretch(t, s, ids, err);
}

static smelt_status encode_between(const smelt_tok *t, smelt_tok_state *s, unsigned flags, smelt_buf *ids, smelt_err *err)
{
    SMELT_TRY(tok_normalize(&t->norm, s, err));
    if (!t->norm_added.any) return encode_stretch(t, s, ids, err);
    /* Steps of the pre-tokenizer write into the buffer that holds the text. */
    smelt_buf keep = s->text[0];
    bool own = keep.data && s->cur >= (const char *)keep.data && s->cur <= (const char *)keep.data + keep.size;
    if (own) s->text[0] = (smelt_buf){0};
    smelt_status st = cut_added(t, s, &t->norm_added, flags, encode_normalized, ids, err);
    if (own) {
        buf_free(&s->text[0]);
        s->text[0] = keep;
    }
    return st;
}

/* A stretch of valid UTF-8. */
static smelt_status encode_valid(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, bool start, unsigned flags,
                                 smelt_buf *ids, smelt_err *err)
{
    s->cur = p;
    s->n = n;
    s->at_start = start;
    s->behind_added = false;
    return cut_added(t, s, &t->raw_added, flags, encode_between, ids, err);
}

/* Length of the well-formed UTF-8 at p. */
static size_t valid_length(const char *p, size_t n)
{
    enum { STEP = 4096 };
    size_t at = 0;
    while (at < n) {
        /* By blocks that end between characters; the block with the mistake is then read by characters. */
        size_t end = n - at > STEP ? at + STEP : n;
        while (end < n && end > at && ((unsigned char)p[end] & 0xC0) == 0x80)
            end--;
        if (end > at && utf8_valid(p + at, end - at)) {
            at = end;
            continue;
        }
        for (size_t len; at < n && (len = utf8_char(p + at, n - at)); at += len)
            ;
        return at;
    }
    return at;
}

/* A run of bytes that are no UTF-8, as one piece of a byte-level model. */
static smelt_status encode_bytes(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err)
{
    s->last_unk = false;
    if (t->bytes) return bpe_encode(t, s, p, n, ids, err);
    s->clean.size = 0;
    for (size_t i = 0; i < n; i++)
        tok_put_byte(&s->clean, (uint8_t)p[i]);
    if (s->clean.failed) return smelt_oom(err);
    if (s->clean.size > INT32_MAX) return smelt_fail(err, SMELT_E_LIMIT, "the text grows beyond 2 GiB");
    return bpe_encode(t, s, (const char *)s->clean.data, s->clean.size, ids, err);
}

static smelt_status encode_text(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, unsigned flags, smelt_buf *ids,
                                smelt_err *err)
{
    size_t good = valid_length(p, n);
    if (good == n) return encode_valid(t, s, p, n, true, flags, ids, err);
    /* SentencePiece's normaliser reads any bytes. */
    if (!t->bytes && !t->raw_added.any && t->norm.n && t->norm.stage[0].step.op == SMELT_TOK_SENTENCE)
        return encode_valid(t, s, p, n, true, flags, ids, err);
    if (!t->bytes && !t->letters) {
        s->clean.size = 0;
        for (size_t i = 0; i < n;) {
            size_t len = valid_length(p + i, n - i);
            buf_put(&s->clean, p + i, len);
            i += len;
            if (i < n) {
                buf_put(&s->clean, "\xEF\xBF\xBD", 3);
                i++;
            }
        }
        if (s->clean.failed) return smelt_oom(err);
        if (s->clean.size > INT32_MAX) return smelt_fail(err, SMELT_E_LIMIT, "the text grows beyond 2 GiB");
        return encode_valid(t, s, (const char *)s->clean.data, s->clean.size, true, flags, ids, err);
    }
    for (size_t i = 0; i < n;) {
        if (good) SMELT_TRY(encode_valid(t, s, p + i, good, i == 0, flags, ids, err));
        i += good;
        size_t bad = i;
        while (i < n && !utf8_char(p + i, n - i))
            i++;
        if (i > bad) SMELT_TRY(encode_bytes(t, s, p + bad, i - bad, ids, err));
        good = valid_length(p + i, n - i);
    }
    return SMELT_OK;
}

smelt_status tok_encode(const smelt_tok *t, smelt_tok_state *s, const char *text, size_t n, unsigned flags, smelt_buf *ids,
                        smelt_err *err)
{
    if (n > INT32_MAX) return smelt_fail(err, SMELT_E_LIMIT, "the text has %zu bytes, less than 2 GiB are accepted", n);
    s->most = n < (INT32_MAX - GROWTH_FREE) / GROWTH ? n * GROWTH + GROWTH_FREE : INT32_MAX;
    if (flags & SMELT_TOK_ADD_SPECIAL) buf_put(ids, t->d.before, t->d.n_before * sizeof *t->d.before);
    smelt_status st = encode_text(t, s, n ? text : "", n, flags, ids, err);
    s->cur = "";
    s->n = 0;
    /* A buffer that once had no memory must not fail for ever. */
    smelt_buf *bufs[] = {&s->text[0], &s->text[1], &s->clean, &s->piece[0], &s->piece[1],
                         &s->match,   &s->symbols, &s->heap,  &s->path};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        bufs[i]->failed = false;
    SMELT_TRY(st);
    if (flags & SMELT_TOK_ADD_SPECIAL) buf_put(ids, t->d.after, t->d.n_after * sizeof *t->d.after);
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}
