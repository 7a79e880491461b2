#include "vocab/pretoken.h"

#include <string.h>

enum {
#define SMELT_PRESPLIT(id, steps) SPLIT_##id,
#include "vocab/pretoken.def"
    SPLITS
};

static const char *const splits[SPLITS] = {
#define SMELT_PRESPLIT(id, steps) [SPLIT_##id] = (steps),
#include "vocab/pretoken.def"
};

static const smelt_pretoken rows[] = {
#define SMELT_PRETOKEN(name, split, normalizer, ignore_merges, tokens) \
    {(name), SPLIT_##split, (normalizer), (ignore_merges), (tokens)},
#include "vocab/pretoken.def"
};

enum { ROWS = sizeof rows / sizeof *rows };

const smelt_pretoken *pretoken_find(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

const char *pretoken_steps(const smelt_pretoken *row) { return splits[row->split]; }

smelt_status pretoken_unknown(const char *name, smelt_err *err)
{
    smelt_status st = smelt_fail(err, SMELT_E_USAGE, "there is no pre-tokenizer '%s'; known are:", name);
    char line[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(rows[i].name);
        if (pretoken_find(rows[i].name) != &rows[i]) continue;
        if (n + len + 2 > 100) {
            smelt_err_add(err, "%s", line);
            n = 0;
        }
        if (n) line[n++] = ' ';
        memcpy(line + n, rows[i].name, len + 1);
        n += len;
    }
    smelt_err_add(err, "%s", line);
    return st;
}

/* Spellings that match the same text. The possessive ones stand where what follows cannot match what they would give back. */
static const struct {
    const char *from, *to;
} spellings[] = {
    {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"[^\\r\\n\\p{L}\\p{N}]?+\\p{L}", "[^\\r\\n\\p{L}\\p{N}]?\\p{L}"},
    {"[^\\s\\p{L}\\p{N}]++[\\r\\n]*", "[^\\s\\p{L}\\p{N}]+[\\r\\n]*"},
    {"\\p{N}{1}|", "\\p{N}|"},
};

void pretoken_regex(smelt_buf *out, const char *regex, size_t n)
{
    smelt_buf escaped = {0};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)regex[i];
        if (c == '\r' || c == '\n' || c == '\t')
            buf_put(&escaped, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t", 2);
        else if (c < 0x20)
            buf_printf(&escaped, "\\x%02x", c);
        else
            buf_u8(&escaped, c);
    }
    const char *p = (const char *)escaped.data, *end = p + escaped.size;
    while (p < end) {
        size_t used = 0;
        for (size_t i = 0; i < sizeof spellings / sizeof *spellings && !used; i++) {
            size_t len = strlen(spellings[i].from);
            if (len > (size_t)(end - p) || memcmp(p, spellings[i].from, len) != 0) continue;
            buf_put(out, spellings[i].to, strlen(spellings[i].to));
            used = len;
        }
        if (!used) {
            buf_u8(out, (uint8_t)*p);
            used = 1;
        }
        p += used;
    }
    out->failed = out->failed || escaped.failed;
    buf_free(&escaped);
}

/* Whether the vocabulary has all tokens of a row. */
static bool has_tokens(const smelt_pretoken *row, const smelt_pretoken_shape *shape)
{
    for (const char *p = row->tokens; *p;) {
        size_t n = strcspn(p, " ");
        if (!shape->has_token(shape->user, p, n)) return false;
        p += n + (p[n] == ' ');
    }
    return true;
}

/* The best row for a split, or NULL; with `named_only`, one that its tokens tell. */
static const smelt_pretoken *best_row(const char *steps, const smelt_pretoken_shape *shape, bool named_only)
{
    const smelt_pretoken *best = NULL;
    int best_score = -1;
    for (size_t i = 0; i < ROWS; i++) {
        const smelt_pretoken *row = &rows[i];
        const char *known = pretoken_steps(row);
        if (!known || !row->tokens || strcmp(known, steps) != 0 || (named_only && !*row->tokens) || !has_tokens(row, shape))
            continue;
        int score = (row->ignore_merges == shape->ignore_merges ? 4 : 0) + (*row->tokens ? 2 : 0) +
                    (strcmp(row->normalizer, shape->normalizer) == 0);
        if (score > best_score) {
            best = row;
            best_score = score;
        }
    }
    return best;
}

/* Edit distance of two texts, of which the first CAP bytes count. */
enum { CAP = 1024 };
static size_t distance(const char *a, const char *b)
{
    uint16_t row[CAP + 1];
    size_t na = strnlen(a, CAP), nb = strnlen(b, CAP);
    for (size_t j = 0; j <= nb; j++)
        row[j] = (uint16_t)j;
    for (size_t i = 1; i <= na; i++) {
        uint16_t diagonal = row[0];
        row[0] = (uint16_t)i;
        for (size_t j = 1; j <= nb; j++) {
            uint16_t change = (uint16_t)(diagonal + (a[i - 1] != b[j - 1]));
            uint16_t drop = (uint16_t)((row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1);
            diagonal = row[j];
            row[j] = change < drop ? change : drop;
        }
    }
    return row[nb];
}

static smelt_status unknown_shape(const smelt_pretoken_shape *shape, smelt_err *err)
{
    enum { NEAREST = 3 };
    int nearest[NEAREST];
    size_t dist[NEAREST], n = 0;
    for (int s = 0; s < SPLITS; s++) {
        if (!splits[s]) continue;
        size_t d = distance(splits[s], shape->steps), at = n < NEAREST ? n++ : NEAREST;
        while (at > 0 && d < dist[at - 1]) {
            if (at < NEAREST) {
                dist[at] = dist[at - 1];
                nearest[at] = nearest[at - 1];
            }
            at--;
        }
        if (at < NEAREST) {
            dist[at] = d;
            nearest[at] = s;
        }
    }
    smelt_status st = smelt_fail(err, SMELT_E_UNSUPPORTED,
                                 "the tokenizer cuts text in a way that has no name in GGUF (--pre NAME overrides). It says:");
    if (*shape->normalizer) smelt_err_add(err, "  normalizer %s", shape->normalizer);
    for (const char *p = shape->steps; *p;) {
        size_t len = strcspn(p, "\n");
        smelt_err_add(err, "  %.*s", (int)(len < 600 ? len : 600), p);
        p += len + (p[len] == '\n');
    }
    smelt_err_add(err, "Nearest are:");
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < ROWS; i++)
            if (rows[i].split == nearest[k]) {
                smelt_err_add(err, "  %s (%zu edits away)", rows[i].name, dist[k]);
                break;
            }
    return st;
}

smelt_status pretoken_match(const smelt_pretoken_shape *shape, const smelt_pretoken **out, smelt_err *err)
{
    *out = NULL;
    if (!*shape->normalizer || strcmp(shape->normalizer, "nfc") == 0) {
        /* Tools that save a tokenizer again may lose the step that cuts digits apart; the vocabulary still shows it. */
        if (shape->digits_alone && strcmp(shape->steps, splits[SPLIT_gpt2]) == 0)
            *out = best_row(splits[SPLIT_digits_gpt2], shape, true);
        if (!*out) *out = best_row(shape->steps, shape, false);
    }
    return *out ? SMELT_OK : unknown_shape(shape, err);
}
