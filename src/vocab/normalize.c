#include <stdlib.h>
#include <utf8proc.h>

#include "vocab/tok_internal.h"

smelt_buf *tok_text_next(smelt_tok_state *s)
{
    s->text[1].size = 0;
    return &s->text[1];
}

smelt_status tok_text_done(smelt_tok_state *s, smelt_err *err)
{
    smelt_buf done = s->text[1];
    if (done.failed) return smelt_oom(err);
    if (done.size > s->most) return smelt_fail(err, SMELT_E_LIMIT, "normalising makes more than %zu bytes of the text", s->most);
    s->text[1] = s->text[0];
    s->text[0] = done;
    s->cur = done.data ? (const char *)done.data : "";
    s->n = done.size;
    return SMELT_OK;
}

static bool is_ascii(const char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        if (load_le64(p) & 0x8080808080808080U) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] >= 0x80) return false;
    return true;
}

typedef struct mark {
    uint32_t class, at;
    utf8proc_int32_t c;
} mark;

static int by_class(const void *a, const void *b)
{
    const mark *x = a, *y = b;
    return x->class != y->class ? (x->class > y->class) - (x->class < y->class) : (x->at > y->at) - (x->at < y->at);
}

/* Canonical order: each run of marks by their combining class, equal ones as they stand. Ours, since utf8proc's takes quadratic time
 * for a long run. */
static bool order_marks(utf8proc_int32_t *c, size_t n)
{
    smelt_buf run = {0};
    for (size_t i = 0; i < n && !run.failed; i++) {
        run.size = 0;
        size_t from = i;
        bool sorted = true;
        uint32_t before = 0;
        for (; i < n; i++) {
            uint32_t class = c[i] < 0x300 ? 0 : (uint32_t)utf8proc_get_property(c[i])->combining_class;
            if (!class || uni_young_mark((uint32_t)c[i])) break;
            mark m = {class, (uint32_t)i, c[i]};
            sorted = sorted && class >= before;
            before = class;
            buf_put(&run, &m, sizeof m);
        }
        if (sorted || run.failed) continue;
        mark *m = (mark *)(void *)run.data;
        qsort(m, run.size / sizeof *m, sizeof *m, by_class);
        for (size_t k = 0; k < run.size / sizeof *m; k++)
            c[from + k] = m[k].c;
    }
    bool ok = !run.failed;
    buf_free(&run);
    return ok;
}

/* A text that is all ASCII stays as it is. */
static smelt_status unicode_form(smelt_tok_state *s, utf8proc_option_t options, smelt_err *err)
{
    enum { MOST = 32 }; /* characters that one decomposes into; the longest known has 18 */
    if (is_ascii(s->cur, s->n)) return SMELT_OK;
    smelt_buf chars = {0};
    smelt_buf *out = tok_text_next(s);
    for (size_t i = 0, len; i < s->n; i += len) {
        utf8proc_int32_t parts[MOST];
        int boundary = 0;
        utf8proc_int32_t c = (utf8proc_int32_t)utf8_next(s->cur + i, &len);
        utf8proc_ssize_t n = utf8proc_decompose_char(c, parts, MOST, options, &boundary);
        buf_put(&chars, n >= 0 && n <= MOST ? parts : &c, sizeof c * (n >= 0 && n <= MOST ? (size_t)n : 1));
    }
    size_t n = chars.size / sizeof(utf8proc_int32_t);
    buf_zeros(&chars, sizeof(utf8proc_int32_t)); /* utf8proc wants room for a terminator */
    utf8proc_int32_t *c = (utf8proc_int32_t *)(void *)chars.data;
    if (chars.failed || !order_marks(c, n)) {
        buf_free(&chars);
        return smelt_oom(err);
    }
    smelt_status st = SMELT_OK;
    for (size_t i = 0, end; i < n && st == SMELT_OK; i = end) {
        /* Nothing is joined across a mark without a class. */
        end = i + 1;
        while (!uni_young_mark((uint32_t)c[i]) && end < n && !uni_young_mark((uint32_t)c[end]))
            end++;
        utf8proc_ssize_t left = utf8proc_normalize_utf32(c + i, (utf8proc_ssize_t)(end - i), options);
        if (left < 0) st = smelt_fail(err, SMELT_E_LIMIT, "normalising the text: %s", utf8proc_errmsg(left));
        for (utf8proc_ssize_t k = 0; k < left; k++)
            utf8_put(out, (uint32_t)c[i + (size_t)k]);
    }
    buf_free(&chars);
    return st == SMELT_OK ? tok_text_done(s, err) : st;
}

static smelt_status nfc(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    return unicode_form(s, UTF8PROC_STABLE | UTF8PROC_COMPOSE, err);
}
static smelt_status nfd(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    return unicode_form(s, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, err);
}
static smelt_status nfkc(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    return unicode_form(s, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT, err);
}
static smelt_status nfkd(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    return unicode_form(s, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, err);
}

static smelt_status lowercase(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    smelt_buf *out = tok_text_next(s);
    for (size_t i = 0, len; i < s->n; i += len) {
        uint32_t c = utf8_next(s->cur + i, &len);
        if (c == 0x130) /* the one letter that becomes two */
            buf_put(out, "i\xCC\x87", 3);
        else
            utf8_put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    }
    return tok_text_done(s, err);
}

static smelt_status strip_accents(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    smelt_buf *out = tok_text_next(s);
    for (size_t i = 0, len; i < s->n; i += len) {
        utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)utf8_next(s->cur + i, &len));
        if (k < UTF8PROC_CATEGORY_MN || k > UTF8PROC_CATEGORY_ME) buf_put(out, s->cur + i, len);
    }
    return tok_text_done(s, err);
}

static smelt_status prepend(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    if (!s->n) return SMELT_OK;
    smelt_buf *out = tok_text_next(s);
    buf_put(out, g->step.a.p, g->step.a.n);
    buf_put(out, s->cur, s->n);
    return tok_text_done(s, err);
}

static smelt_status prepend_text(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    return s->at_start || s->behind_added ? prepend(g, s, err) : SMELT_OK;
}

static smelt_status replace(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    smelt_str a = g->step.a, b = g->step.b;
    if (!a.n || !s->n) return SMELT_OK;
    smelt_buf *out = tok_text_next(s);
    const char *p = s->cur, *end = p + s->n;
    while (p < end && out->size <= s->most) {
        const char *at = memmem(p, (size_t)(end - p), a.p, a.n);
        if (!at) break;
        buf_put(out, p, (size_t)(at - p));
        buf_put(out, b.p, b.n);
        p = at + a.n;
    }
    buf_put(out, p, (size_t)(end - p));
    return tok_text_done(s, err);
}

static smelt_status replace_re(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    smelt_buf *out = tok_text_next(s);
    smelt_status st = SMELT_OK;
    size_t done = 0, at = 0, start, end;
    while (at <= s->n && out->size <= s->most && regex_find(g->re, s->matcher, s->cur, s->n, at, &start, &end, &st, err)) {
        buf_put(out, s->cur + done, start - done);
        buf_put(out, g->step.b.p, g->step.b.n);
        done = at = end;
        if (end == start) { /* an empty match: go on behind the next character */
            size_t len = 1;
            if (at < s->n) utf8_next(s->cur + at, &len);
            at += len;
        }
    }
    SMELT_TRY(st);
    buf_put(out, s->cur + done, s->n - done);
    return tok_text_done(s, err);
}

static smelt_status strip(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)err;
    size_t len;
    while (g->step.x && s->n && uni_space(utf8_next(s->cur, &len))) {
        s->cur += len;
        s->n -= len;
    }
    while (g->step.y && s->n) {
        size_t at = utf8_before(s->cur, s->n);
        if (!uni_space(utf8_next(s->cur + at, &len))) break;
        s->n = at;
    }
    return SMELT_OK;
}

/* ---- SentencePiece ---- */

/* A charmap: the size of a double array, the array (darts-clone's units), and texts that end in NUL. Finds the longest key at the
 * start of `text`. Source: darts-clone's description of its format, and SentencePiece's normalizer. */
static bool charmap_find(smelt_str map, const char *text, size_t n, size_t *len, smelt_str *to)
{
    if (map.n < 4) return false;
    size_t size = load_le32(map.p), units = size / 4;
    if (size > map.n - 4 || size % 4 || !units) return false;
    const char *unit = map.p + 4, *texts = unit + size, *end = map.p + map.n;
    uint32_t u = load_le32(unit);
    size_t at = 0, found = 0;
    uint32_t value = 0;
    at ^= (size_t)(u >> 10) << ((u & 1U << 9) >> 6);
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint8_t)text[i];
        at ^= c;
        if (at >= units) break;
        u = load_le32(unit + 4 * at);
        if ((u & (1U << 31 | 0xFF)) != c) break;
        at ^= (size_t)(u >> 10) << ((u & 1U << 9) >> 6);
        if (u >> 8 & 1) {
            if (at >= units) break;
            value = load_le32(unit + 4 * at) & ~(1U << 31);
            found = i + 1;
        }
    }
    if (!found || value >= (size_t)(end - texts)) return false;
    *len = found;
    *to = (smelt_str){texts + value, strnlen(texts + value, (size_t)(end - texts) - value)};
    return true;
}

static size_t sentence_char(const smelt_tok *t, smelt_str map, const char *p, size_t n, smelt_str *to)
{
    const tok_key *k = t->any_user ? keys_longest(&t->user, p, n) : NULL;
    size_t len;
    if (k) {
        *to = (smelt_str){p, k->n};
        return k->n;
    }
    if (charmap_find(map, p, n, &len, to)) return len;
    len = utf8_char(p, n);
    *to = len ? (smelt_str){p, len} : (smelt_str){"\xEF\xBF\xBD", 3};
    return len ? len : 1;
}

static const char lower_eighth[] = "\xE2\x96\x81";

static smelt_status sentence(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    const smelt_tok_step *step = &g->step;
    const char *p = s->cur, *end = p + s->n;
    smelt_str to;
    while (step->x && p < end) {
        size_t len = sentence_char(s->tok, step->a, p, (size_t)(end - p), &to);
        if (to.n != 1 || *to.p != ' ') break;
        p += len;
    }
    smelt_buf *out = tok_text_next(s);
    if (p == end) return tok_text_done(s, err);
    bool prefix = step->y && (!step->n || s->at_start);
    if (prefix && !step->m) buf_put(out, lower_eighth, 3);
    bool behind_space = step->x;
    while (p < end && out->size <= s->most) {
        p += sentence_char(s->tok, step->a, p, (size_t)(end - p), &to);
        while (behind_space && to.n && *to.p == ' ') {
            to.p++;
            to.n--;
        }
        for (size_t i = 0; i < to.n; i++) {
            if (to.p[i] == ' ')
                buf_put(out, lower_eighth, 3);
            else
                buf_u8(out, (uint8_t)to.p[i]);
        }
        if (to.n) behind_space = to.p[to.n - 1] == ' ';
        if (!step->x) behind_space = false;
    }
    while (step->x && out->size >= 3 && memcmp(out->data + out->size - 3, lower_eighth, 3) == 0)
        out->size -= 3;
    if (prefix && step->m) buf_put(out, lower_eighth, 3);
    return tok_text_done(s, err);
}

static smelt_status (*const normalizers[SMELT_TOK_OPS])(const tok_stage *g, smelt_tok_state *s, smelt_err *err) = {
    [SMELT_TOK_NFC] = nfc,
    [SMELT_TOK_NFD] = nfd,
    [SMELT_TOK_NFKC] = nfkc,
    [SMELT_TOK_NFKD] = nfkd,
    [SMELT_TOK_LOWERCASE] = lowercase,
    [SMELT_TOK_STRIP_ACCENTS] = strip_accents,
    [SMELT_TOK_PREPEND] = prepend,
    [SMELT_TOK_PREPEND_TEXT] = prepend_text,
    [SMELT_TOK_REPLACE] = replace,
    [SMELT_TOK_REPLACE_RE] = replace_re,
    [SMELT_TOK_STRIP] = strip,
    [SMELT_TOK_SENTENCE] = sentence,
};

smelt_status tok_normalize(const tok_stages *stages, smelt_tok_state *s, smelt_err *err)
{
    for (size_t i = 0; i < stages->n; i++) {
        const tok_stage *g = &stages->stage[i];
        if (!normalizers[g->step.op]) return smelt_fail(err, SMELT_E_UNSUPPORTED, "a step of the normaliser is none");
        SMELT_TRY(normalizers[g->step.op](g, s, err));
    }
    return SMELT_OK;
}
