#include "formats/card_name.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <ctype.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/strmap.h"

/* What the peer decides with regular expressions, and what it asks of Unicode. */
enum { RE_VERSION, RE_QUANT, RE_SIZE, RE_FINETUNE, RE_ALPHA, RE_LOWER, RE_NUMBERED, RE_INITIAL, RE_COUNT };
#define WHOLE (PCRE2_ANCHORED | PCRE2_ENDANCHORED)
#define UNICODE (PCRE2_UTF | PCRE2_UCP)
static const struct {
    const char *pattern;
    uint32_t options;
} patterns[RE_COUNT] = {
    [RE_VERSION] = {"(?:v|iter)?\\d+(?:\\.\\d+)*", WHOLE | UNICODE | PCRE2_CASELESS},
    [RE_QUANT] = {"i?q\\d(?:_\\w)*|b?fp?(?:16|32)", WHOLE | UNICODE | PCRE2_CASELESS},
    /* Bytes, not characters: what matches is taken apart as ASCII. */
    [RE_SIZE] = {"(?:a|\\d+x)?\\d+(?:[._]\\d+)?[kmbt]\\d?|small|mini|medium|large|x?xl", WHOLE | PCRE2_CASELESS},
    [RE_FINETUNE] = {"chat|instruct|vision|lora", WHOLE | UNICODE | PCRE2_CASELESS},
    [RE_ALPHA] = {"\\p{L}", PCRE2_ANCHORED | UNICODE},
    [RE_LOWER] = {"(?=.*\\p{Lowercase})[^\\p{Uppercase}\\p{Lt}]*", WHOLE | UNICODE | PCRE2_DOTALL},
    [RE_NUMBERED] = {"v\\d+(?:\\.\\d+)*|\\d.*", WHOLE | UNICODE | PCRE2_DOTALL},
    [RE_INITIAL] = {"(?<!\\p{Cased})\\p{Lowercase}", UNICODE},
};

struct card_names {
    smelt_arena *arena;
    uint64_t total_params;
    pcre2_code *re[RE_COUNT];
    pcre2_match_data *match;
    smelt_err *err;
};

static card_value value_of(smelt_str s) { return (card_value){true, s}; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

smelt_status card_names_open(smelt_arena *arena, uint64_t total_params, card_names **out, smelt_err *err)
{
    card_names *c = *out = arena_calloc(arena, 1, sizeof *c);
    if (!c) return smelt_oom(err);
    *c = (card_names){.arena = arena, .total_params = total_params, .err = err};
    for (int i = 0; i < RE_COUNT; i++) {
        int code;
        PCRE2_SIZE at;
        c->re[i] = pcre2_compile((PCRE2_SPTR)patterns[i].pattern, PCRE2_ZERO_TERMINATED, patterns[i].options, &code, &at, NULL);
        if (!c->re[i]) return smelt_oom(err);
    }
    c->match = pcre2_match_data_create(8, NULL);
    return c->match ? SMELT_OK : smelt_oom(err);
}

void card_names_close(card_names *c)
{
    if (!c) return;
    for (int i = 0; i < RE_COUNT; i++)
        pcre2_code_free(c->re[i]);
    pcre2_match_data_free(c->match);
}

static bool matches(const card_names *c, int re, smelt_str s)
{
    return pcre2_match(c->re[re], (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, c->match, NULL) > 0;
}

/* Bytes of the white space at p that Python's str.split() knows; 0 if there is none. */
static size_t space_at(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n = (size_t)(end - p);
    if (n >= 1 && ((u[0] >= 9 && u[0] <= 13) || (u[0] >= 0x1C && u[0] <= 0x20))) return 1;
    if (n >= 2 && u[0] == 0xC2 && (u[1] == 0x85 || u[1] == 0xA0)) return 2;
    if (n < 3) return 0;
    unsigned tail = (unsigned)u[1] << 8 | u[2];
    if (u[0] == 0xE1 && tail == 0x9A80) return 3;
    if (u[0] == 0xE2 &&
        ((tail >= 0x8080 && tail <= 0x808A) || tail == 0x80A8 || tail == 0x80A9 || tail == 0x80AF || tail == 0x819F))
        return 3;
    return u[0] == 0xE3 && tail == 0x8080 ? 3 : 0;
}

smelt_status card_name_title(card_names *c, smelt_str id, card_value *out)
{
    smelt_buf b = {0};
    const char *p = id.p, *end = id.p + id.n;
    smelt_status st = SMELT_OK;
    while (p < end && st == SMELT_OK) {
        size_t space = *p == '-' ? 1 : space_at(p, end);
        if (space) {
            p += space;
            continue;
        }
        const char *from = p;
        while (p < end && *p != '-' && !space_at(p, end))
            p++;
        smelt_str word = {from, (uint64_t)(p - from)};
        if (b.size) buf_u8(&b, ' ');
        if (!matches(c, RE_LOWER, word) || matches(c, RE_NUMBERED, word)) {
            buf_put(&b, word.p, (size_t)word.n);
            continue;
        }
        PCRE2_SIZE room = 2 * (size_t)word.n + 8; /* another case never doubles a letter's bytes */
        char *title = arena_calloc(c->arena, room, 1);
        if (!title || pcre2_substitute(c->re[RE_INITIAL], (PCRE2_SPTR)word.p, (size_t)word.n, 0,
                                       PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_EXTENDED, c->match, NULL, (PCRE2_SPTR) "\\u$0", 4,
                                       (PCRE2_UCHAR *)title, &room) < 0)
            st = smelt_oom(c->err);
        else
            buf_put(&b, title, room);
    }
    char *copy = b.failed ? NULL : arena_strndup(c->arena, b.size ? (const char *)b.data : "", b.size);
    if (copy) *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return st == SMELT_OK && !copy ? smelt_oom(c->err) : st;
}

enum { T_BASENAME = 1, T_SIZE = 2, T_FINETUNE = 4, T_VERSION = 8, T_TYPE = 16 };

typedef struct part {
    smelt_str s;
    unsigned types;
} part;

/* The number that digits with at most one point in between stand for; false for anything else. */
static bool plain_number(const char *p, size_t n, double *out)
{
    long double v = 0, scale = 1;
    bool point = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!digit(p[i])) return false;
        v = v * 10 + (p[i] - '0');
        if (point) scale *= 10;
    }
    *out = (double)(v / scale);
    return n > 0;
}

/* Normalises a part that looks like a size ("7b", "7b1", "1_5B", "small") and says whether it can be this model's. */
static smelt_status size_part(card_names *c, part *p)
{
    size_t n = (size_t)p->s.n;
    char *s = arena_calloc(c->arena, n + 2, 1);
    if (!s) return smelt_oom(c->err);
    memcpy(s, p->s.p, n);
    for (size_t i = 0; i < n; i++)
        if (s[i] == '_') s[i] = '.';
    if (digit(s[n - 1])) { /* bloom-7b1 is 7.1B */
        const char unit = s[n - 2], tenth = s[n - 1];
        s[n - 2] = '.', s[n - 1] = tenth, s[n++] = unit;
    }
    if (n > 1 && digit(s[n - 2]) && strchr("kmbt", s[n - 1])) s[n - 1] = (char)toupper((unsigned char)s[n - 1]);
    static const char units[] = "KMBT";
    static const double scale[] = {1e3, 1e6, 1e9, 1e12};
    const char *unit = strchr(units, s[n - 1]);
    double size;
    if (c->total_params && unit && plain_number(s, n - 1, &size)) {
        size *= scale[unit - units];
        const uint64_t t = c->total_params;
        if (fabs(size - (double)t) > (double)(t / 8 * 7 + t % 8 * 7 / 8)) { /* likely a context length */
            p->types |= T_FINETUNE;
            s[n - 1] = (char)tolower((unsigned char)s[n - 1]);
        }
    }
    if (!p->types) p->types = T_SIZE;
    p->s = (smelt_str){s, n};
    return SMELT_OK;
}

static smelt_status annotate(card_names *c, part *p, bool first)
{
    if (matches(c, RE_VERSION, p->s)) {
        p->types = T_VERSION;
    } else if (matches(c, RE_QUANT, p->s)) {
        p->types = T_TYPE; /* never shown, so its spelling does not matter */
    } else if (!first && matches(c, RE_SIZE, p->s)) {
        return size_part(c, p);
    } else if (!first && matches(c, RE_FINETUNE, p->s)) {
        p->types = T_FINETUNE;
    }
    return SMELT_OK;
}

/* Parts with a type in `with` and none in `without`, joined by dashes; unset if that is nothing. */
static smelt_status join(card_names *c, const part *parts, size_t n, unsigned with, unsigned without, bool once, card_value *out)
{
    smelt_buf b = {0};
    smelt_strmap seen = {.arena = c->arena};
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (!(parts[i].types & with) || parts[i].types & without) continue;
        bool added = true;
        if (once && !strmap_add(&seen, parts[i].s.p, (size_t)parts[i].s.n, 0, &added)) ok = false;
        if (!added) continue;
        if (b.size) buf_u8(&b, '-');
        buf_put(&b, parts[i].s.p, (size_t)parts[i].s.n);
    }
    char *copy = !ok || b.failed ? NULL : arena_strndup(c->arena, b.size ? (const char *)b.data : "", b.size);
    if (copy && b.size) *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return copy ? SMELT_OK : smelt_oom(c->err);
}

static smelt_status split_name(card_names *c, smelt_str name, part **parts, size_t *n)
{
    size_t cap = 0;
    *parts = NULL;
    *n = 0;
    for (uint64_t i = 0, from = 0; i <= name.n; i++) {
        if (i < name.n && name.p[i] != '-') continue;
        if (i > from) {
            if (!arena_room(c->arena, parts, *n, &cap, sizeof **parts)) return smelt_oom(c->err);
            (*parts)[(*n)++] = (part){.s = {name.p + from, i - from}};
        }
        from = i + 1;
    }
    return SMELT_OK;
}

/* Finds which parts are the base's name: those at the start that are words or versions, less versions at the end. */
static void find_basename(card_names *c, part *parts, size_t n)
{
    bool numbers = false, at_start = true;
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; parts[i].types & T_SIZE && k < parts[i].s.n; k++)
            numbers |= digit(parts[i].s.p[k]);
    for (size_t i = 0; i < n && numbers; i++) { /* with a size in numbers, "small" and the like are no sizes */
        bool word = true;
        for (uint64_t k = 0; k < parts[i].s.n; k++)
            word &= isalpha((unsigned char)parts[i].s.p[k]) != 0;
        if (word) parts[i].types &= ~(unsigned)T_SIZE;
    }
    for (size_t i = 0; i < n; i++) {
        if (at_start && ((!parts[i].types && matches(c, RE_ALPHA, parts[i].s)) || parts[i].types & T_VERSION)) {
            parts[i].types |= T_BASENAME;
        } else {
            at_start = false;
            if (!parts[i].types) parts[i].types = T_FINETUNE;
        }
    }
    for (size_t i = n; i-- > 0 && parts[i].types & T_BASENAME && parts[i].types != T_BASENAME;)
        parts[i].types &= ~(unsigned)T_BASENAME;
}

smelt_status card_name_split(card_names *c, smelt_str id, card_id *out)
{
    *out = (card_id){.name = value_of(id)};
    if (memchr(id.p, ' ', (size_t)id.n)) return SMELT_OK; /* a sentence, no id */
    const char *slash = memchr(id.p, '/', (size_t)id.n);
    if (slash) {
        if (id.p[0] != '.') out->org = value_of((smelt_str){id.p, (uint64_t)(slash - id.p)});
        out->name.text = (smelt_str){slash + 1, id.n - (uint64_t)(slash + 1 - id.p)};
    }
    part *parts;
    size_t n;
    SMELT_TRY(split_name(c, out->name.text, &parts, &n));
    for (size_t i = 0; i < n; i++)
        SMELT_TRY(annotate(c, &parts[i], i == 0));
    find_basename(c, parts, n);
    SMELT_TRY(join(c, parts, n, T_SIZE, 0, true, &out->size_label));
    SMELT_TRY(join(c, parts, n, T_FINETUNE, 0, false, &out->finetune));
    SMELT_TRY(join(c, parts, n, T_VERSION, T_BASENAME, false, &out->version));
    /* A base alone is too ambiguous to be one. */
    if (!out->size_label.set && !out->finetune.set && !out->version.set) return SMELT_OK;
    return join(c, parts, n, T_BASENAME, 0, false, &out->basename);
}
