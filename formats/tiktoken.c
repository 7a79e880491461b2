#include "tiktoken.h"

#include <string.h>

#include "base/io.h"
#include "vocab/letters.h"
#include "vocab/pretoken.h"

/* Bytes of a token: published vocabularies have up to 128. */
enum { FILE_LIMIT = 512 << 20, LONGEST = 1024 };

/* Special tokens with their distance from the number of ordinary ones; "%d" stands for 0 to count - 1. */
static const struct tiktoken_kind {
    const char *name, *pre;
    struct {
        const char *text;
        int at, count;
    } special[4];
} kinds[] = {
    {"qwen.tiktoken", "qwen2", {{"<|endoftext|>", 0, 1}, {"<|im_start|>", 1, 1}, {"<|im_end|>", 2, 1}, {"<|extra_%d|>", 3, 205}}},
    {"o200k_base.tiktoken", "gpt-4o", {{"<|endoftext|>", 1, 1}, {"<|endofprompt|>", 20, 1}}},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* A file's tokens. Ranks are ids. */
typedef struct tiktoken_file {
    const struct tiktoken_kind *kind;
    size_t n;        /* ids are below this */
    size_t n_own;    /* those of ordinary tokens below this */
    smelt_str *text; /* [n] in the byte-level alphabet; p is NULL for special tokens and ids without a token */
    smelt_tok_added *special;
    size_t n_special;
} tiktoken_file;

static int sextet(char c)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(set, c) : NULL;
    return at ? (int)(at - set) : -1;
}

/* A line: the token in base64, a space, its rank. */
static smelt_status read_line(const char *p, size_t n, size_t line, smelt_buf *token, size_t *rank, smelt_err *err)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t i = 0;
    for (; i < n && sextet(p[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)sextet(p[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            tok_put_byte(token, (uint8_t)(bits >> have));
        }
    }
    while (i < n && p[i] == '=')
        i++;
    bool ok = token->size && i < n && p[i] == ' ' && i + 1 < n;
    *rank = 0;
    for (i++; ok && i < n; i++) {
        ok = p[i] >= '0' && p[i] <= '9' && *rank < INT32_MAX / 10;
        *rank = *rank * 10 + (size_t)(p[i] - '0');
    }
    return ok ? SMELT_OK : smelt_fail(err, SMELT_E_CORRUPT, "line %zu is not a token in base64 and its rank", line);
}

static smelt_status add_specials(smelt_arena *arena, tiktoken_file *t, smelt_err *err)
{
    for (size_t i = 0; i < 4; i++)
        for (int k = 0; t->kind->special[i].text && k < t->kind->special[i].count; k++) {
            const char *form = t->kind->special[i].text, *number = strstr(form, "%d");
            char *s =
                number ? arena_printf(arena, "%.*s%d%s", (int)(number - form), form, k, number + 2) : arena_strdup(arena, form);
            size_t id = t->n_own + (size_t)(t->kind->special[i].at + k);
            if (!s) return smelt_oom(err);
            /* They are looked for in normalised text. */
            t->special[t->n_special++] =
                (smelt_tok_added){.text = {s, strlen(s)}, .id = (int32_t)id, .special = true, .normalized = true};
            if (id >= t->n) t->n = id + 1;
        }
    return SMELT_OK;
}

static smelt_status read_file(smelt_arena *arena, const char *name, const char *data, size_t size, tiktoken_file *t, smelt_err *err)
{
    enum { ROOM = 256 };
    *t = (tiktoken_file){0};
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0) t->kind = &kinds[i];
    if (!t->kind)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "a tiktoken file does not say how text is cut; known by name are %s and %s",
                          kinds[0].name, kinds[1].name);
    size_t lines = 0, line = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || i + 1 == size;
    t->text = arena_calloc(arena, lines + ROOM, sizeof *t->text);
    t->special = arena_calloc(arena, ROOM, sizeof *t->special);
    if (!t->text || !t->special) return smelt_oom(err);
    smelt_buf token = {0};
    smelt_status st = SMELT_OK;
    for (const char *p = data, *end = data + size; st == SMELT_OK && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p), rank;
        if (n && p[n - 1] == '\r') n--;
        token.size = 0;
        if (n) st = read_line(p, n, line + 1, &token, &rank, err);
        if (n && st == SMELT_OK && (rank >= lines || t->text[rank].p))
            st = smelt_fail(err, SMELT_E_CORRUPT, "line %zu has a rank that is taken or beyond the number of lines", line + 1);
        if (n && st == SMELT_OK) {
            t->text[rank] = (smelt_str){arena_strndup(arena, (const char *)token.data, token.size), token.size};
            if (!t->text[rank].p || token.failed) st = smelt_oom(err);
            if (rank >= t->n) t->n = rank + 1;
        }
        p = stop ? stop + 1 : end;
    }
    buf_free(&token);
    SMELT_TRY(st);
    t->n_own = t->n;
    return add_specials(arena, t, err);
}

smelt_status tiktoken_desc(smelt_arena *arena, const char *name, const char *data, size_t size, smelt_tok_desc *d, smelt_err *err)
{
    tiktoken_file t;
    SMELT_TRY(read_file(arena, name, data, size, &t, err));
    double *score = arena_calloc(arena, t.n, sizeof *score);
    if (!score) return smelt_oom(err);
    for (size_t i = 0; i < t.n_own; i++)
        score[i] = -(double)i;
    *d = (smelt_tok_desc){.model = SMELT_TOK_SCORES,
                          .n = t.n,
                          .text = t.text,
                          .score = score,
                          .unk = -1,
                          .ignore_merges = true,
                          .added = t.special,
                          .n_added = t.n_special};
    const smelt_pretoken *pre = pretoken_find(t.kind->pre);
    if (*pre->normalizer && !tok_step(arena, &d->normalizer, SMELT_TOK_NFC)) return smelt_oom(err);
    smelt_tok_step *s = tok_step(arena, &d->pretokenizer, SMELT_TOK_SPLIT_RE);
    if (!s) return smelt_oom(err);
    const char *pattern = pretoken_steps(pre) + strlen("split ");
    s->a = (smelt_str){pattern, strcspn(pattern, "\n")};
    s->behavior = SMELT_TOK_ISOLATED;
    return tok_step(arena, &d->pretokenizer, SMELT_TOK_BYTES) && tok_step(arena, &d->decoder, SMELT_TOK_DEC_BYTES) ? SMELT_OK
                                                                                                                   : smelt_oom(err);
}

const char *tiktoken_name(size_t i) { return i < N_KINDS ? kinds[i].name : NULL; }

/* ---- merges ---- */

typedef struct merge_part {
    uint32_t at;   /* of its first letter */
    uint32_t rank; /* of what it and the next part make; NONE: no token */
} merge_part;

#define NONE UINT32_MAX

static uint32_t pair_rank(const smelt_strmap *ids, smelt_str s, const merge_part *part, size_t i, size_t n, size_t limit)
{
    size_t rank;
    if (i + 1 >= n) return NONE;
    bool known = strmap_get(ids, s.p + part[i].at, part[i + 2].at - part[i].at, &rank);
    return known && rank < limit ? (uint32_t)rank : NONE;
}

/* Merges the letters of the token `id` below its own rank; *cut is where the second of two parts begins, 0 if not two are left.
 * `part` has room for its letters and one more. */
static void split_token(const smelt_strmap *ids, smelt_str s, size_t id, merge_part *part, size_t *cut)
{
    size_t n = 0;
    for (size_t i = 0, len; i < s.n; i += len) {
        utf8_next(s.p + i, &len);
        part[n++].at = (uint32_t)i;
    }
    part[n].at = (uint32_t)s.n;
    for (size_t i = 0; i < n; i++)
        part[i].rank = pair_rank(ids, s, part, i, n, id);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (part[i].rank < part[best].rank) best = i;
        if (part[best].rank == NONE) break;
        memmove(&part[best + 1], &part[best + 2], (n - best - 1) * sizeof *part);
        n--;
        part[best].rank = pair_rank(ids, s, part, best, n, id);
        if (best) part[best - 1].rank = pair_rank(ids, s, part, best - 1, n, id);
    }
    *cut = n == 2 ? part[1].at : 0;
}

static smelt_status add_merges(hf_files *f, const tiktoken_file *t, smelt_vocab *v)
{
    smelt_strmap ids = {.arena = &f->tmp};
    merge_part *part = arena_calloc(&f->tmp, LONGEST + 1, sizeof *part);
    smelt_str *merges = arena_calloc(&f->model->arena, t->n_own, sizeof *merges);
    if (!part || !merges) return smelt_oom(f->err);
    strmap_reserve(&ids, t->n_own);
    for (size_t i = 0; i < t->n_own; i++) {
        bool fresh;
        if (!t->text[i].p) continue;
        if (!strmap_add(&ids, t->text[i].p, t->text[i].n, i, &fresh)) return smelt_oom(f->err);
        if (!fresh) return smelt_fail(f->err, SMELT_E_CORRUPT, "the token of rank %zu has another rank too", i);
    }
    for (size_t i = 0, cut, len, at; i < t->n_own; i++) {
        smelt_str s = t->text[i];
        if (!s.p) continue;
        utf8_next(s.p, &len);
        if (len == s.n) continue;
        if (s.n > LONGEST) return smelt_fail(f->err, SMELT_E_LIMIT, "the token of rank %zu has more than %d bytes", i, LONGEST / 2);
        split_token(&ids, s, i, part, &cut);
        if (!cut || !strmap_get(&ids, s.p, cut, &at) || !strmap_get(&ids, s.p + cut, s.n - cut, &at))
            return smelt_fail(f->err, SMELT_E_CORRUPT, "the token of rank %zu is not made of two others", i);
        char *m = arena_printf(&f->model->arena, "%.*s %s", (int)cut, s.p, s.p + cut);
        if (!m) return smelt_oom(f->err);
        merges[v->n_merges++] = (smelt_str){m, s.n + 1};
    }
    v->merges = merges;
    return SMELT_OK;
}

/* Says a special token unless the other files did, before what is no special token: in the order of GGUF's keys. */
static void name_special(smelt_vocab *v, smelt_special which, int64_t id)
{
    if (v->special[which] >= 0) return;
    v->special[which] = id;
    vocab_fact(v, SMELT_FACT_SPECIAL, which);
    for (size_t i = v->n_facts - 1; i > 0 && v->facts[i - 1].kind != SMELT_FACT_SPECIAL; i--) {
        smelt_vocab_fact fact = v->facts[i];
        v->facts[i] = v->facts[i - 1];
        v->facts[i - 1] = fact;
    }
}

static smelt_status make_vocab(hf_files *f, const tiktoken_file *t, smelt_vocab *v)
{
    int64_t n;
    SMELT_TRY(hf_count_tokens(f, t->n, &n));
    if ((int64_t)t->n > n)
        return smelt_fail(f->err, SMELT_E_CORRUPT, "there are %zu tokens, but config.json has vocab_size %" PRId64, t->n, n);
    smelt_str *text = arena_calloc(&f->model->arena, (size_t)n, sizeof *text);
    int32_t *type = arena_calloc(&f->model->arena, (size_t)n, sizeof *type);
    if (!text || !type) return smelt_oom(f->err);
    for (size_t i = 0; i < t->n_own; i++) {
        text[i] = t->text[i];
        type[i] = text[i].p ? SMELT_TOKEN_NORMAL : 0;
    }
    for (size_t i = 0; i < t->n_special; i++) {
        text[t->special[i].id] = t->special[i].text;
        type[t->special[i].id] = SMELT_TOKEN_CONTROL;
    }
    for (int64_t i = 0; i < n; i++) {
        if (type[i]) continue;
        SMELT_TRY(hf_pad_token(f, i, &text[i]));
        type[i] = SMELT_TOKEN_UNUSED;
    }
    v->kind = SMELT_VOCAB_BPE;
    v->pre = f->ctx->pre_tokenizer ? f->ctx->pre_tokenizer : t->kind->pre;
    if (!pretoken_find(v->pre)) return pretoken_unknown(v->pre, f->err);
    v->n = (size_t)n;
    v->text = text;
    v->type = type;
    SMELT_TRY(add_merges(f, t, v));
    SMELT_TRY(hf_read_special(f, v, n));
    int64_t end = t->special[0].id; /* <|endoftext|> in every kind */
    bool named = false;
    for (int i = 0; i < SMELT_SP_COUNT; i++)
        named = named || v->special[i] >= 0;
    if (!named) {
        name_special(v, SMELT_SP_BOS, end);
        name_special(v, SMELT_SP_EOS, end);
    }
    name_special(v, SMELT_SP_UNK, end);
    return SMELT_OK;
}

smelt_status tiktoken_vocab(hf_files *f, const char *path, smelt_vocab *v)
{
    const char *data, *name = path_base(&f->tmp, path);
    size_t size;
    tiktoken_file t;
    if (!name) return smelt_oom(f->err);
    SMELT_TRY(file_read(&f->tmp, path, FILE_LIMIT, &data, &size, f->err));
    smelt_status st = read_file(&f->model->arena, name, data, size, &t, f->err);
    if (st == SMELT_OK) st = make_vocab(f, &t, v);
    if (st != SMELT_OK && f->err && !f->err->where[0]) smelt_err_where(f->err, "%s", path);
    return st;
}
