/* Pre-tokenizers: each step cuts the pieces of the one before, as the `tokenizers` package does. */
#include <stdlib.h>

#include "vocab/tok_internal.h"

/* Pieces that a step makes: of the current text, or of a new one that it writes. */
static void put_piece(smelt_tok_state *s, size_t at, size_t n)
{
    tok_piece p = {(uint32_t)at, (uint32_t)n};
    if (n) buf_put(&s->piece[1], &p, sizeof p);
}

typedef struct span {
    uint32_t start, end;
    bool match;
} span;

static void put_span(smelt_tok_state *s, size_t from, size_t to, bool match)
{
    span m = {(uint32_t)from, (uint32_t)to, match};
    buf_put(&s->match, &m, sizeof m);
}

/* Turns the matches and what lies between them, in s->match, into pieces from `base` on. */
static void behave(smelt_tok_state *s, const smelt_tok_step *step, size_t base)
{
    span *m = (span *)(void *)s->match.data;
    size_t n = s->match.size / sizeof *m, kept = 0;
    for (size_t i = 0; i < n; i++)
        m[i].match = m[i].match != step->x;
    if (step->behavior == SMELT_TOK_MERGED_WITH_NEXT) {
        for (size_t i = 0; i + 1 < n; i++)
            if (m[i].match && !m[i + 1].match) {
                m[i + 1].start = m[i].start;
                m[i].end = m[i].start; /* empty: left out below */
            }
    } else if (step->behavior == SMELT_TOK_MERGED_WITH_PREVIOUS || step->behavior == SMELT_TOK_CONTIGUOUS) {
        bool contiguous = step->behavior == SMELT_TOK_CONTIGUOUS, before = false;
        for (size_t i = 0; i < n; i++) {
            bool join = kept && (contiguous ? m[i].match == before : m[i].match && !before);
            before = m[i].match;
            if (join)
                m[kept - 1].end = m[i].end;
            else
                m[kept++] = m[i];
        }
        n = kept;
    }
    for (size_t i = 0; i < n; i++)
        if (step->behavior != SMELT_TOK_REMOVED || !m[i].match) put_piece(s, base + m[i].start, m[i].end - m[i].start);
}

static smelt_status split_by_regex(const tok_stage *g, smelt_tok_state *s, tok_piece piece, smelt_err *err)
{
    const char *text = s->cur + piece.at;
    size_t done = 0, at = 0, start, end;
    smelt_status st = SMELT_OK;
    /* The common case without a list of matches. */
    bool simple = g->step.behavior == SMELT_TOK_ISOLATED || (g->step.behavior == SMELT_TOK_REMOVED && g->step.x);
    bool gaps = g->step.behavior == SMELT_TOK_ISOLATED;
    s->match.size = 0;
    while (at <= piece.n && regex_find(g->re, s->matcher, text, piece.n, at, &start, &end, &st, err)) {
        if (simple) {
            if (gaps) put_piece(s, piece.at + done, start - done);
            put_piece(s, piece.at + start, end - start);
        } else {
            if (start > done) put_span(s, done, start, false);
            put_span(s, start, end, true);
        }
        done = at = end;
        if (end == start) {
            size_t len = 1;
            if (at < piece.n) utf8_next(text + at, &len);
            at += len;
        }
        if (end == piece.n) break;
    }
    SMELT_TRY(st);
    if (simple) {
        if (gaps) put_piece(s, piece.at + done, piece.n - done);
        return SMELT_OK;
    }
    if (done < piece.n) put_span(s, done, piece.n, false);
    behave(s, &g->step, piece.at);
    return SMELT_OK;
}

static smelt_status split_by_text(const tok_stage *g, smelt_tok_state *s, tok_piece piece, smelt_err *err)
{
    (void)err;
    const char *text = s->cur + piece.at;
    smelt_str a = g->step.a;
    size_t done = 0;
    s->match.size = 0;
    while (a.n && done < piece.n) {
        const char *found = memmem(text + done, piece.n - done, a.p, a.n);
        if (!found) break;
        size_t start = (size_t)(found - text);
        if (start > done) put_span(s, done, start, false);
        put_span(s, start, start + a.n, true);
        done = start + a.n;
    }
    if (done < piece.n) put_span(s, done, piece.n, false);
    behave(s, &g->step, piece.at);
    return SMELT_OK;
}

typedef smelt_status each_fn(const tok_stage *g, smelt_tok_state *s, tok_piece piece, smelt_err *err);

static smelt_status each_piece(const tok_stage *g, smelt_tok_state *s, each_fn *fn, smelt_err *err)
{
    s->piece[1].size = 0;
    for (size_t i = 0; i < s->piece[0].size / sizeof(tok_piece); i++)
        SMELT_TRY(fn(g, s, ((const tok_piece *)(const void *)s->piece[0].data)[i], err));
    if (s->piece[1].failed || s->match.failed) return smelt_oom(err);
    smelt_buf done = s->piece[1];
    s->piece[1] = s->piece[0];
    s->piece[0] = done;
    return SMELT_OK;
}

static smelt_status step_regex(const tok_stage *g, smelt_tok_state *s, bool last, smelt_err *err)
{
    (void)last;
    return each_piece(g, s, split_by_regex, err);
}
static smelt_status step_text(const tok_stage *g, smelt_tok_state *s, bool last, smelt_err *err)
{
    (void)last;
    return each_piece(g, s, split_by_text, err);
}

/* Appends a text to the one that a step writes, as a piece. */
static void put_text(smelt_tok_state *s, smelt_buf *out, size_t from) { put_piece(s, from, out->size - from); }

static smelt_status add_space(const tok_stage *g, smelt_tok_state *s, smelt_err *err)
{
    (void)g;
    const tok_piece *p = (const tok_piece *)(const void *)s->piece[0].data;
    smelt_buf *out = tok_text_next(s);
    s->piece[1].size = 0;
    for (size_t i = 0; i < s->piece[0].size / sizeof *p; i++) {
        size_t from = out->size;
        if (s->cur[p[i].at] != ' ') buf_u8(out, ' ');
        buf_put(out, s->cur + p[i].at, p[i].n);
        put_text(s, out, from);
    }
    SMELT_TRY(tok_text_done(s, err));
    if (s->piece[1].failed) return smelt_oom(err);
    smelt_buf done = s->piece[1];
    s->piece[1] = s->piece[0];
    s->piece[0] = done;
    return SMELT_OK;
}

/* Spells bytes in the byte-level alphabet, for steps behind this one. */
static smelt_status to_letters(smelt_tok_state *s, smelt_err *err)
{
    const tok_piece *p = (const tok_piece *)(const void *)s->piece[0].data;
    smelt_buf *out = tok_text_next(s);
    s->piece[1].size = 0;
    for (size_t i = 0; i < s->piece[0].size / sizeof *p; i++) {
        size_t from = out->size;
        for (size_t k = 0; k < p[i].n; k++)
            utf8_put(out, letter_of_byte((uint8_t)s->cur[p[i].at + k]));
        put_text(s, out, from);
    }
    SMELT_TRY(tok_text_done(s, err));
    if (s->piece[1].failed) return smelt_oom(err);
    smelt_buf done = s->piece[1];
    s->piece[1] = s->piece[0];
    s->piece[0] = done;
    return SMELT_OK;
}

static smelt_status step_bytes(const tok_stage *g, smelt_tok_state *s, bool last, smelt_err *err)
{
    if (g->step.x) SMELT_TRY(add_space(g, s, err));
    if (g->re) SMELT_TRY(each_piece(g, s, split_by_regex, err));
    return last ? SMELT_OK : to_letters(s, err);
}

static smelt_status step_metaspace(const tok_stage *g, smelt_tok_state *s, bool last, smelt_err *err)
{
    (void)last;
    const tok_piece *p = (const tok_piece *)(const void *)s->piece[0].data;
    smelt_str r = g->step.a;
    smelt_buf *out = tok_text_next(s);
    s->piece[1].size = 0;
    for (size_t i = 0; i < s->piece[0].size / sizeof *p; i++) {
        const char *text = s->cur + p[i].at;
        size_t from = out->size;
        bool has = text[0] == ' ' || (p[i].n >= r.n && memcmp(text, r.p, r.n) == 0);
        bool first = g->step.scheme == SMELT_TOK_FIRST && s->at_start && i == 0 && p[i].at == 0;
        if (!has && (g->step.scheme == SMELT_TOK_ALWAYS || first)) buf_put(out, r.p, r.n);
        for (size_t k = 0; k < p[i].n && out->size <= s->most;) {
            bool is_mark = p[i].n - k >= r.n && memcmp(text + k, r.p, r.n) == 0;
            if (g->step.x && (text[k] == ' ' || is_mark)) { /* a piece begins with each mark */
                put_text(s, out, from);
                from = out->size;
            }
            if (text[k] == ' ') {
                buf_put(out, r.p, r.n);
                k++;
            } else if (is_mark) {
                buf_put(out, r.p, r.n);
                k += r.n;
            } else {
                buf_u8(out, (uint8_t)text[k++]);
            }
        }
        put_text(s, out, from);
    }
    SMELT_TRY(tok_text_done(s, err));
    if (s->piece[1].failed) return smelt_oom(err);
    smelt_buf done = s->piece[1];
    s->piece[1] = s->piece[0];
    s->piece[0] = done;
    return SMELT_OK;
}

static const struct {
    smelt_status (*run)(const tok_stage *g, smelt_tok_state *s, bool last, smelt_err *err);
    const char *pattern[2]; /* of x = false and true; NULL: none, or the step's own */
} splitters[SMELT_TOK_OPS] = {
    [SMELT_TOK_BYTES] = {step_bytes, {NULL}},
    [SMELT_TOK_SPLIT] = {step_text, {NULL}},
    [SMELT_TOK_SPLIT_RE] = {step_regex, {NULL}},
    /* Rust's is_numeric knows Unicode 17. */
    [SMELT_TOK_DIGITS] = {step_regex,
                          {"[\\p{N}\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}]+",
                           "[\\p{N}\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}]"}},
    /* Punctuation as of Unicode 8, and ASCII's. */
    [SMELT_TOK_PUNCTUATION] =
        {step_regex,
         {"(?![\\x{61d}\\x{9fd}\\x{a76}\\x{c77}\\x{c84}\\x{1b4e}-\\x{1b4f}\\x{1b7d}-\\x{1b7f}\\x{2e43}-\\x{2e4f}\\x{2e52}-\\x{2e5d}\\x{10d6e}"
          "\\x{10ead}\\x{10f55}-\\x{10f59}\\x{10f86}-\\x{10f89}\\x{113d4}-\\x{113d5}\\x{113d7}-\\x{113d8}\\x{1144b}-\\x{1144f}\\x{1145a}-"
          "\\x{1145b}\\x{1145d}\\x{11660}-\\x{1166c}\\x{116b9}\\x{1183b}\\x{11944}-\\x{11946}\\x{119e2}\\x{11a3f}-\\x{11a46}\\x{11a9a}-"
          "\\x{11a9c}\\x{11a9e}-\\x{11aa2}\\x{11b00}-\\x{11b09}\\x{11be1}\\x{11c41}-\\x{11c45}\\x{11c70}-\\x{11c71}\\x{11ef7}-\\x{11ef8}"
          "\\x{11f43}-\\x{11f4f}\\x{11fff}\\x{12ff1}-\\x{12ff2}\\x{16d6d}-\\x{16d6f}\\x{16e97}-\\x{16e9a}\\x{16fe2}\\x{1e5ff}\\x{1e95e}-"
          "\\x{1e95f}])[\\p{P}$+<=>^`|~\\x{166d}\\x{111c9}]"}},
    [SMELT_TOK_METASPACE] = {step_metaspace, {NULL}},
    /* Rust's \\w, which is not Oniguruma's. */
    [SMELT_TOK_WHITESPACE] =
        {step_regex,
         {"[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}]+|"
          "[^\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
          "\\s]+"}},
    [SMELT_TOK_WHITESPACE_SPLIT] = {step_regex, {"\\s"}},
};

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

smelt_status tok_stage_compile(tok_stage *g, smelt_err *err)
{
    smelt_tok_step *p = &g->step;
    bool own = p->op == SMELT_TOK_SPLIT_RE || p->op == SMELT_TOK_REPLACE_RE;
    const char *pattern = splitters[p->op].pattern[p->op == SMELT_TOK_DIGITS && p->x];
    if (p->op == SMELT_TOK_BYTES) {
        if (p->y) SMELT_TRY(regex_new(gpt2, sizeof gpt2 - 1, &g->re, err));
        p->behavior = SMELT_TOK_ISOLATED;
    } else if (own) {
        SMELT_TRY(regex_new(p->a.p, p->a.n, &g->re, err));
    } else if (pattern) {
        SMELT_TRY(regex_new(pattern, strlen(pattern), &g->re, err));
    }
    if (p->op == SMELT_TOK_DIGITS) {
        p->behavior = p->x ? SMELT_TOK_ISOLATED : SMELT_TOK_CONTIGUOUS;
        p->x = false;
    } else if (p->op == SMELT_TOK_WHITESPACE) {
        p->behavior = SMELT_TOK_REMOVED;
        p->x = true;
    } else if (p->op == SMELT_TOK_WHITESPACE_SPLIT) {
        p->behavior = SMELT_TOK_REMOVED;
        p->x = false;
    }
    return SMELT_OK;
}

smelt_status tok_stages_compile(smelt_arena *arena, const smelt_tok_steps *steps, tok_stages *out, smelt_err *err)
{
    *out = (tok_stages){.stage = arena_calloc(arena, steps->n, sizeof *out->stage)};
    if (!out->stage) return smelt_oom(err);
    for (size_t i = 0; i < steps->n; i++) {
        out->stage[i].step = steps->step[i];
        out->n = i + 1;
        SMELT_TRY(tok_stage_compile(&out->stage[i], err));
    }
    return SMELT_OK;
}

smelt_status tok_split(const smelt_tok *t, smelt_tok_state *s, smelt_err *err)
{
    s->piece[0].size = 0;
    tok_piece all = {0, (uint32_t)s->n};
    if (s->n) buf_put(&s->piece[0], &all, sizeof all);
    if (s->piece[0].failed) return smelt_oom(err);
    for (size_t i = 0; i < t->pre.n; i++) {
        const tok_stage *g = &t->pre.stage[i];
        if (!splitters[g->step.op].run) return smelt_fail(err, SMELT_E_UNSUPPORTED, "a step of the pre-tokenizer is none");
        SMELT_TRY(splitters[g->step.op].run(g, s, i + 1 == t->pre.n, err));
    }
    return SMELT_OK;
}
