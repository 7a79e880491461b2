/* Decoders: each step rewrites the list of the tokens' texts, as in the `tokenizers` package; the list is joined at the end. Unlike
 * there, bytes that make no UTF-8 stay bytes. */
#include "vocab/tok_internal.h"

typedef struct texts {
    smelt_arena arena;
    smelt_str *text;
    bool *byte; /* text is one raw byte */
    size_t n;
} texts;

static bool dec_bytes(const smelt_tok_step *step, texts *x)
{
    (void)step;
    for (size_t i = 0; i < x->n; i++) {
        smelt_str s = x->text[i];
        char *p = arena_calloc(&x->arena, s.n + 1, 1);
        if (!p) return false;
        size_t n = 0, at = 0;
        for (size_t len; at < s.n; at += len) {
            int b = byte_of_letter(utf8_next(s.p + at, &len));
            if (b < 0) break;
            p[n++] = (char)b;
        }
        if (at == s.n) x->text[i] = (smelt_str){p, n};
    }
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool dec_byte_fallback(const smelt_tok_step *step, texts *x)
{
    (void)step;
    for (size_t i = 0; i < x->n; i++) {
        smelt_str s = x->text[i];
        if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>' || hex(s.p[3]) < 0 || hex(s.p[4]) < 0) continue;
        char *p = arena_calloc(&x->arena, 1, 1);
        if (!p) return false;
        *p = (char)(hex(s.p[3]) << 4 | hex(s.p[4]));
        x->text[i] = (smelt_str){p, 1};
        x->byte[i] = true;
    }
    return true;
}

static bool dec_fuse(const smelt_tok_step *step, texts *x)
{
    (void)step;
    uint64_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += x->text[i].n;
    char *p = arena_calloc(&x->arena, n + 1, 1);
    if (!p) return false;
    size_t at = 0;
    for (size_t i = 0; i < x->n; i++) {
        if (x->text[i].n) memcpy(p + at, x->text[i].p, x->text[i].n);
        at += x->text[i].n;
    }
    if (x->n) x->text[0] = (smelt_str){p, at};
    x->n = x->n ? 1 : 0;
    return true;
}

static bool dec_strip(const smelt_tok_step *step, texts *x)
{
    for (size_t i = 0; step->a.n && i < x->n; i++) {
        smelt_str *s = &x->text[i];
        for (uint32_t k = 0; k < step->n && s->n >= step->a.n && memcmp(s->p, step->a.p, step->a.n) == 0; k++) {
            s->p += step->a.n;
            s->n -= step->a.n;
        }
        for (uint32_t k = 0; k < step->m && s->n >= step->a.n && memcmp(s->p + s->n - step->a.n, step->a.p, step->a.n) == 0; k++)
            s->n -= step->a.n;
    }
    return true;
}

static bool replace_in(texts *x, smelt_str *s, smelt_str a, smelt_str b)
{
    if (!a.n || !s->n || !memmem(s->p, s->n, a.p, a.n)) return true;
    uint64_t room;
    if (!mul_u64(s->n / a.n + 1, b.n, &room) || !add_u64(room, s->n, &room)) return false;
    char *p = arena_calloc(&x->arena, room + 1, 1);
    if (!p) return false;
    size_t n = 0;
    for (size_t i = 0; i < s->n;) {
        if (s->n - i >= a.n && memcmp(s->p + i, a.p, a.n) == 0) {
            if (b.n) memcpy(p + n, b.p, b.n);
            n += b.n;
            i += a.n;
        } else {
            p[n++] = s->p[i++];
        }
    }
    *s = (smelt_str){p, n};
    return true;
}

static bool dec_replace(const smelt_tok_step *step, texts *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (!x->byte[i] && !replace_in(x, &x->text[i], step->a, step->b)) return false;
    return true;
}

static bool dec_metaspace(const smelt_tok_step *step, texts *x)
{
    for (size_t i = 0; i < x->n; i++) {
        smelt_str *s = &x->text[i];
        /* The first token begins with the space that encoding put in front. */
        bool drop = i == 0 && step->scheme != SMELT_TOK_NEVER;
        if (!replace_in(x, s, step->a, drop ? (smelt_str){"", 0} : (smelt_str){" ", 1})) return false;
    }
    return true;
}

static bool dec_sentence(const smelt_tok_step *step, texts *x)
{
    bool begun = false;
    for (size_t i = 0; i < x->n; i++) {
        smelt_str *s = &x->text[i];
        if (!begun && !x->byte[i] && (step->x || step->y) && s->n >= 3 && memcmp(s->p, "\xE2\x96\x81", 3) == 0) {
            s->p += 3;
            s->n -= 3;
            begun = !step->y;
        }
        begun = begun || s->n > 0;
        if (!x->byte[i] && !replace_in(x, s, (smelt_str){"\xE2\x96\x81", 3}, (smelt_str){" ", 1})) return false;
    }
    return true;
}

static bool (*const decoders[SMELT_TOK_OPS])(const smelt_tok_step *step, texts *x) = {
    [SMELT_TOK_DEC_BYTES] = dec_bytes,       [SMELT_TOK_DEC_BYTE_FALLBACK] = dec_byte_fallback,
    [SMELT_TOK_DEC_FUSE] = dec_fuse,         [SMELT_TOK_DEC_STRIP] = dec_strip,
    [SMELT_TOK_DEC_REPLACE] = dec_replace,   [SMELT_TOK_DEC_METASPACE] = dec_metaspace,
    [SMELT_TOK_DEC_SENTENCE] = dec_sentence,
};

smelt_status tok_decode(const smelt_tok *t, const int32_t *ids, size_t n, unsigned flags, smelt_buf *out, smelt_err *err)
{
    texts x = {0};
    x.text = arena_calloc(&x.arena, n, sizeof *x.text);
    x.byte = arena_calloc(&x.arena, n, sizeof *x.byte);
    bool ok = x.text && x.byte;
    for (size_t i = 0; ok && i < n; i++) {
        smelt_str s = tok_text(t, ids[i]);
        if (!s.p) {
            arena_free(&x.arena);
            return smelt_fail(err, SMELT_E_USAGE, "there is no token with the id %d", ids[i]);
        }
        if ((flags & SMELT_TOK_SKIP_SPECIAL) && t->special[ids[i]]) continue;
        x.text[x.n++] = ids[i] == t->d.unk && t->d.unk_text.p ? t->d.unk_text : s;
    }
    const smelt_tok_steps *steps = &t->d.decoder;
    for (size_t i = 0; ok && i < steps->n; i++)
        ok = decoders[steps->step[i].op](&steps->step[i], &x);
    for (size_t i = 0; ok && i < x.n; i++) {
        if (i && !steps->n) buf_u8(out, ' '); /* without a decoder tokens are words */
        buf_put(out, x.text[i].p, x.text[i].n);
    }
    arena_free(&x.arena);
    return ok && !out->failed ? SMELT_OK : smelt_oom(err);
}
