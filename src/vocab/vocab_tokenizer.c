/* The tokenizer that a GGUF vocabulary means. Source: llama.cpp's src/llama-vocab.cpp for what its readers do, and pretoken.def. */
#include "vocab/pretoken.h"
#include "vocab/tokenizer.h"

/* What readers do when a file names no pre-tokenizer. */
static const char unnamed[] = "split [\\p{P}\\$\\+<=>\\^~\\|]+\n"
                              "split 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)\n"
                              "digit-runs\n"
                              "split [0-9][0-9][0-9]\n"
                              "bytes";

typedef struct vt_reader {
    smelt_arena *arena;
    const smelt_vocab *v;
    smelt_tok_desc *d;
    smelt_err *err;
    bool normalize;
} vt_reader;

static bool is(const char *p, size_t n, const char *word) { return strlen(word) == n && memcmp(p, word, n) == 0; }

/* One line of a row's steps; pretoken.def says how they are spelled. */
static smelt_status put_line(const vt_reader *r, const char *p, size_t n)
{
    static const struct {
        const char *prefix;
        smelt_tok_behavior behavior;
    } splits[] = {{"split ", SMELT_TOK_ISOLATED}, {"split(MergedWithNext) ", SMELT_TOK_MERGED_WITH_NEXT}};
    smelt_tok_step step = {0};
    bool known = true;
    if (is(p, n, "digits") || is(p, n, "digit-runs")) {
        step = (smelt_tok_step){.op = SMELT_TOK_DIGITS, .x = n == 6};
    } else if (is(p, n, "punctuation")) {
        step = (smelt_tok_step){.op = SMELT_TOK_PUNCTUATION, .behavior = SMELT_TOK_CONTIGUOUS};
    } else if (is(p, n, "gpt2") || is(p, n, "bytes")) {
        step = (smelt_tok_step){.op = SMELT_TOK_BYTES, .x = r->normalize && r->v->add_space_prefix == 1, .y = n == 4};
    } else {
        known = false;
        for (size_t i = 0; i < 2; i++) {
            size_t len = strlen(splits[i].prefix);
            if (n <= len || memcmp(p, splits[i].prefix, len) != 0) continue;
            step = (smelt_tok_step){.op = SMELT_TOK_SPLIT_RE, .a = {p + len, n - len}, .behavior = splits[i].behavior};
            known = true;
        }
    }
    if (!known) return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "the step '%.*s' of the pre-tokenizer is not known", (int)n, p);
    smelt_tok_step *s = tok_step(r->arena, &r->d->pretokenizer, step.op);
    if (!s) return smelt_oom(r->err);
    *s = step;
    return SMELT_OK;
}

static smelt_status put_lines(const vt_reader *r, const char *p)
{
    while (*p) {
        size_t n = strcspn(p, "\n");
        SMELT_TRY(put_line(r, p, n));
        p += n + (p[n] == '\n');
    }
    return SMELT_OK;
}

static smelt_status put_bpe(const vt_reader *r)
{
    const smelt_vocab *v = r->v;
    smelt_tok_desc *d = r->d;
    const smelt_pretoken *row = v->pre ? pretoken_find(v->pre) : NULL;
    bool none = !v->pre || strcmp(v->pre, "default") == 0;
    if (!none && (!row || !pretoken_steps(row)))
        return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "how the pre-tokenizer '%s' cuts text is not known", v->pre);
    SMELT_TRY(put_lines(r, none ? unnamed : pretoken_steps(row)));
    if (r->normalize && !none && strcmp(row->normalizer, "nfc") == 0 && !tok_step(r->arena, &d->normalizer, SMELT_TOK_NFC))
        return smelt_oom(r->err);
    d->ignore_merges = !none && row->ignore_merges;
    d->model = SMELT_TOK_MERGES;
    smelt_tok_merge *merges = arena_calloc(r->arena, v->n_merges, sizeof *merges);
    if (!merges) return smelt_oom(r->err);
    for (size_t i = 0; i < v->n_merges; i++) {
        smelt_str m = v->merges[i];
        const char *space = m.n > 1 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;
        if (!space) return smelt_fail(r->err, SMELT_E_CORRUPT, "merge %zu is not two tokens", i);
        size_t left = (size_t)(space - m.p);
        merges[i] = (smelt_tok_merge){{m.p, left}, {space + 1, m.n - left - 1}};
    }
    d->merges = merges;
    d->n_merges = v->n_merges;
    return tok_step(r->arena, &d->decoder, SMELT_TOK_DEC_BYTES) ? SMELT_OK : smelt_oom(r->err);
}

static smelt_status put_spm(const vt_reader *r)
{
    smelt_tok_desc *d = r->d;
    bool prefix = r->v->add_space_prefix != 0;
    double *score = arena_calloc(r->arena, d->n, sizeof *score);
    if (!score) return smelt_oom(r->err);
    for (size_t i = 0; i < d->n; i++)
        score[i] = r->v->score ? (double)r->v->score[i] : 0;
    d->score = score;
    d->model = SMELT_TOK_SCORES;
    d->byte_fallback = d->fuse_unk = true;
    smelt_tok_step *s = prefix ? tok_step(r->arena, &d->normalizer, SMELT_TOK_PREPEND_TEXT) : NULL;
    if (prefix && !s) return smelt_oom(r->err);
    if (s) s->a = (smelt_str){" ", 1};
    s = tok_step(r->arena, &d->normalizer, SMELT_TOK_REPLACE);
    if (!s) return smelt_oom(r->err);
    s->a = (smelt_str){" ", 1};
    s->b = (smelt_str){"\xE2\x96\x81", 3};
    if (!tok_step(r->arena, &d->decoder, SMELT_TOK_DEC_BYTE_FALLBACK)) return smelt_oom(r->err);
    s = tok_step(r->arena, &d->decoder, SMELT_TOK_DEC_SENTENCE);
    if (!s) return smelt_oom(r->err);
    s->x = prefix;
    return SMELT_OK;
}

/* Control and user-defined tokens are found in the text before anything else. */
static smelt_status put_added(const vt_reader *r, uint8_t *type)
{
    const smelt_vocab *v = r->v;
    size_t n = 0;
    smelt_tok_added *added = arena_calloc(r->arena, v->n, sizeof *added);
    if (!added) return smelt_oom(r->err);
    for (size_t i = 0; i < v->n; i++) {
        int32_t t = v->type ? v->type[i] : SMELT_TOKEN_NORMAL;
        type[i] = (uint8_t)(t >= SMELT_TOKEN_NORMAL && t <= SMELT_TOKEN_BYTE ? t : SMELT_TOKEN_NORMAL);
        bool special = t == SMELT_TOKEN_CONTROL || t == SMELT_TOKEN_UNKNOWN;
        if ((special || t == SMELT_TOKEN_USER) && v->text[i].n)
            added[n++] = (smelt_tok_added){.text = v->text[i], .id = (int32_t)i, .special = special};
        /* A user's token is found above; for merging it is one like the others. */
        if (t == SMELT_TOKEN_USER || t == SMELT_TOKEN_UNUSED) type[i] = SMELT_TOKEN_NORMAL;
    }
    r->d->added = added;
    r->d->n_added = n;
    return SMELT_OK;
}

smelt_status tok_desc_from_vocab(smelt_arena *arena, const smelt_vocab *v, bool normalize, smelt_tok_desc *d, smelt_err *err)
{
    *d = (smelt_tok_desc){.n = v->n, .text = v->text, .unk = v->special[SMELT_SP_UNK]};
    vt_reader r = {.arena = arena, .v = v, .d = d, .err = err, .normalize = normalize};
    if (v->n > INT32_MAX) return smelt_fail(err, SMELT_E_LIMIT, "%zu tokens are too many", v->n);
    uint8_t *type = arena_calloc(arena, v->n, 1);
    if (!type) return smelt_oom(err);
    d->type = type;
    SMELT_TRY(put_added(&r, type));
    bool spm = v->kind == SMELT_VOCAB_SPM;
    if (!spm && v->kind != SMELT_VOCAB_BPE)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "the vocabulary is of a kind that cannot encode");
    SMELT_TRY(spm ? put_spm(&r) : put_bpe(&r));
    if (!spm) d->unk = -1; /* a byte without a token is left out */
    static const struct {
        smelt_special special;
        bool behind;
    } frame[] = {{SMELT_SP_BOS, false}, {SMELT_SP_EOS, true}};
    for (size_t i = 0; i < 2; i++) {
        smelt_special sp = frame[i].special;
        bool add = v->add_special[sp] >= 0 ? v->add_special[sp] : spm && sp == SMELT_SP_BOS;
        /* Readers take LLaMA 3's to add its BOS although its files do not say so. */
        if (v->add_special[sp] < 0 && sp == SMELT_SP_BOS && !spm && v->pre && d->ignore_merges && strncmp(v->pre, "llama", 5) == 0)
            add = true;
        if (!add || v->special[sp] < 0) continue;
        if (frame[i].behind)
            d->after[d->n_after++] = (int32_t)v->special[sp];
        else
            d->before[d->n_before++] = (int32_t)v->special[sp];
    }
    return SMELT_OK;
}
