#include "vocab/template_audit.h"

#include <string.h>

/* What jinja2.sandbox calls internal attributes, and the functions through which attacks on templates go on. Names that begin with an
 * underscore need no row. */
static const char *const inner_names[] = {"mro",      "func_globals", "func_code", "gi_frame",   "gi_code",  "cr_frame", "cr_code",
                                          "ag_frame", "ag_code",      "f_globals", "f_builtins", "f_locals", "tb_frame", "tb_next"};
static const char *const calls[] = {"eval",   "exec",         "open",  "compile", "getattr",    "setattr",   "globals",
                                    "locals", "vars",         "popen", "system",  "execl",      "execve",    "spawnl",
                                    "fork",   "check_output", "Popen", "input",   "breakpoint", "importlib", "import_module"};
static const char *const modules[] = {"os", "sys", "subprocess", "builtins", "importlib", "shutil", "socket", "pty", "ctypes"};
/* Words that mean harm between double underscores, where only a string names them. */
static const char *const dunders[] = {"class",    "base",         "bases",   "mro",     "subclasses", "globals",
                                      "builtins", "import",       "init",    "dict",    "code",       "self",
                                      "func",     "getattribute", "getattr", "reduce",  "reduce_ex",  "loader",
                                      "spec",     "module",       "call",    "closure", "defaults",   "wrapped"};
static const char *const loaders[] = {"include", "import", "from", "extends"};

typedef enum kind { END, NAME, STRING, NUMBER, PUNCT } kind;

typedef struct token {
    kind kind;
    const char *p; /* in the template */
    size_t n;
} token;

typedef struct scan {
    smelt_audit *audit;
    const char *what;
    uint64_t offset;
    smelt_str text;
    uint64_t pos;
    char joined[512]; /* literals that are put together, decoded */
    size_t n_joined;
    smelt_err *err;
} scan;

enum { HISTORY = 3 };

#define IS_IN(table, t) is_in((table), sizeof(table) / sizeof *(table), (t).p, (t).n)

static bool is_in(const char *const *table, size_t rows, const char *p, size_t n)
{
    for (size_t i = 0; i < rows; i++)
        if (strlen(table[i]) == n && memcmp(table[i], p, n) == 0) return true;
    return false;
}

static bool is_punct(token t, char c) { return t.kind == PUNCT && *t.p == c; }

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

static unsigned line_of(const scan *s, const char *p)
{
    unsigned line = 1;
    for (const char *q = s->text.p; q < p; q++)
        line += *q == '\n';
    return line;
}

static smelt_status report(scan *s, smelt_finding_id id, const char *p, const char *says, const char *name, size_t n)
{
    const uint64_t at = s->offset == SMELT_NO_OFFSET ? SMELT_NO_OFFSET : s->offset + (uint64_t)(p - s->text.p);
    return audit_add(s->audit, id, at, s->err, "%s, line %u: %s '%.*s'", s->what, line_of(s, p), says, (int)(n < 60 ? n : 60),
                     name);
}

static int hex(char c)
{
    if (digit(c)) return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A literal without its quotes and escapes, behind what is in `joined`. Only ASCII matters. */
static void decode(scan *s, token t)
{
    for (size_t i = 1; i + 1 < t.n && s->n_joined < sizeof s->joined; i++) {
        unsigned c = (unsigned char)t.p[i];
        if (c == '\\' && i + 2 < t.n) {
            const char e = t.p[++i];
            const size_t digits = e == 'x' ? 2 : e == 'u' ? 4 : e == 'U' ? 8 : 0;
            if (digits && i + digits + 1 < t.n) {
                c = 0;
                for (size_t k = 1; k <= digits && hex(t.p[i + k]) >= 0; k++)
                    c = c << 4 | (unsigned)hex(t.p[i + k]);
                i += digits;
            } else if (e >= '0' && e <= '7') {
                c = 0;
                for (size_t k = 0; k < 3 && i + 1 < t.n && t.p[i] >= '0' && t.p[i] <= '7'; k++)
                    c = c << 3 | (unsigned)(t.p[i++] - '0');
                i--;
            } else
                c = (unsigned char)e;
        }
        s->joined[s->n_joined++] = (char)(c < 0x80 ? c : '?');
    }
}

/* "__class__" anywhere in the text. */
static bool names_inside(const char *p, size_t n)
{
    for (size_t i = 0; i + 4 < n; i++) {
        if (p[i] != '_' || p[i + 1] != '_') continue;
        for (size_t k = 0; k < sizeof dunders / sizeof *dunders; k++) {
            const size_t len = strlen(dunders[k]);
            if (i + 4 + len <= n && memcmp(p + i + 2, dunders[k], len) == 0 && p[i + 2 + len] == '_' && p[i + 3 + len] == '_')
                return true;
        }
    }
    return false;
}

/* Judges what was put together, forwards and backwards, and forgets it. */
static smelt_status judge(scan *s, const char *p)
{
    char back[sizeof s->joined];
    const size_t n = s->n_joined;
    s->n_joined = 0;
    for (size_t i = 0; i < n; i++)
        back[i] = s->joined[n - 1 - i];
    if (names_inside(s->joined, n))
        return report(s, SMELT_FIND_TEMPLATE_ESCAPE, p, "a string names the insides of an object,", s->joined, n);
    if (names_inside(back, n))
        return report(s, SMELT_FIND_TEMPLATE_ESCAPE, p, "a string backwards names the insides of an object,", back, n);
    return SMELT_OK;
}

static smelt_status next(scan *s, const char *end, token *t)
{
    const char *p = s->text.p + s->pos;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    *t = (token){.kind = END, .p = p};
    const char *q = p;
    if (p == end) {
        s->pos = s->text.n < (uint64_t)(p - s->text.p) ? s->text.n : (uint64_t)(p - s->text.p);
        return SMELT_OK;
    }
    if (letter(*p)) {
        t->kind = NAME;
        while (q < end && (letter(*q) || digit(*q)))
            q++;
    } else if (digit(*p)) {
        t->kind = NUMBER;
        while (q < end && (letter(*q) || digit(*q)))
            q++;
    } else if (*p == '\'' || *p == '"') {
        t->kind = STRING;
        for (q++; q < end && *q != *p; q++)
            if (*q == '\\' && q + 1 < end) q++;
        if (q < end) q++;
    } else {
        t->kind = PUNCT;
        q++;
    }
    t->n = (size_t)(q - p);
    s->pos = (uint64_t)(q - s->text.p);
    return SMELT_OK;
}

/* One token with those before it, newest first. */
static smelt_status look(scan *s, token t, const token *before, token after)
{
    const bool attribute = is_punct(before[0], '.'), filter = is_punct(before[0], '|');
    if (t.kind == NAME) {
        if (t.n >= 2 && t.p[0] == '_' && t.p[1] == '_') return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "reaches for", t.p, t.n);
        if (attribute && (*t.p == '_' || IS_IN(inner_names, t)))
            return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "reaches for the attribute", t.p, t.n);
        if (IS_IN(calls, t) && is_punct(after, '(') && (attribute || !filter))
            return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "calls", t.p, t.n);
        if (!attribute && IS_IN(modules, t) && is_punct(after, '.'))
            return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "uses the module", t.p, t.n);
    }
    /* attr takes the name of an attribute, which a literal says or hides. */
    if (before[0].kind == PUNCT && *before[0].p == '(' && before[1].kind == NAME && before[1].n == 4 &&
        memcmp(before[1].p, "attr", 4) == 0 && is_punct(before[2], '|')) {
        if (t.kind != STRING) return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "attr() with a computed name,", t.p, t.n);
        if (t.n > 2 && (t.p[1] == '_' || t.p[1] == '\\'))
            return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "reaches through attr() for", t.p, t.n);
    }
    return SMELT_OK;
}

static bool only_underscores(token t)
{
    for (size_t i = 1; i + 1 < t.n; i++)
        if (t.p[i] != '_') return false;
    return t.n > 2;
}

/* Literals that follow one another with nothing but ~ + , between them are put together as the program would. */
static smelt_status join(scan *s, token t, const token *before, token after)
{
    const bool links = is_punct(after, '~') || is_punct(after, '+') || is_punct(after, '*');
    const bool linked = is_punct(before[0], '~') || is_punct(before[0], '+') || is_punct(before[0], '*');
    if (t.kind == STRING) {
        if (only_underscores(t) && (links || linked))
            return report(s, SMELT_FIND_TEMPLATE_ESCAPE, t.p, "puts a name together from", t.p, t.n);
        decode(s, t);
        return SMELT_OK;
    }
    const bool glue = t.kind == PUNCT && (*t.p == '~' || *t.p == '+' || *t.p == ',');
    return glue ? SMELT_OK : judge(s, t.p);
}

/* The inside of a tag: an expression, or a statement, whose first word says what it does. */
static smelt_status tag(scan *s, const char *end, bool statement)
{
    token before[HISTORY] = {{0}}, t, after;
    SMELT_TRY(next(s, end, &t));
    if (statement && t.kind == NAME && IS_IN(loaders, t))
        SMELT_TRY(report(s, SMELT_FIND_TEMPLATE_INCLUDE, t.p, "the tag", t.p, t.n));
    while (t.kind != END) {
        SMELT_TRY(next(s, end, &after));
        SMELT_TRY(look(s, t, before, after));
        SMELT_TRY(join(s, t, before, after));
        before[2] = before[1];
        before[1] = before[0];
        before[0] = t;
        t = after;
    }
    return judge(s, end);
}

/* Behind a tag's contents: strings and brackets may hold what ends a tag. NULL if it does not end. */
static const char *tag_end(const char *p, const char *end, char close)
{
    size_t depth = 0;
    for (char quote = 0; p + 1 < end; p++) {
        if (quote) {
            if (*p == '\\')
                p++;
            else if (*p == quote)
                quote = 0;
        } else if (*p == '\'' || *p == '"')
            quote = *p;
        else if (!depth && *p == close && p[1] == '}')
            return p;
        else if (*p == '{' || *p == '[' || *p == '(')
            depth++;
        else if (depth && (*p == '}' || *p == ']' || *p == ')'))
            depth--;
    }
    return NULL;
}

static const char *find(const char *p, const char *end, const char *what)
{
    const size_t n = strlen(what);
    for (; (size_t)(end - p) >= n; p++)
        if (memcmp(p, what, n) == 0) return p;
    return NULL;
}

/* Whether a statement's first word is `word`. */
static bool begins(const char *p, const char *end, const char *word)
{
    while (p < end && (*p == ' ' || *p == '-' || *p == '+' || *p == '\n' || *p == '\t'))
        p++;
    const size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 && (p + n == end || !letter(p[n]));
}

smelt_status template_audit(smelt_audit *audit, const char *what, uint64_t offset, smelt_str text, smelt_err *err)
{
    scan s = {.audit = audit, .what = what, .offset = offset, .text = text, .err = err};
    const char *p = text.p, *end = text.p + text.n;
    while (text.n && (p = memchr(p, '{', (size_t)(end - p))) && p + 1 < end) {
        const char kind_of = p[1], *open = p;
        if (kind_of != '{' && kind_of != '%' && kind_of != '#') {
            p++;
            continue;
        }
        p += 2;
        const char *stop = kind_of == '#' ? find(p, end, "#}") : tag_end(p, end, kind_of == '%' ? '%' : '}');
        if (!stop) return report(&s, SMELT_FIND_TEMPLATE_BROKEN, open, "the tag does not end:", open, (size_t)(end - open));
        if (kind_of != '#') {
            const char *first = p < stop && (*p == '-' || *p == '+') ? p + 1 : p,
                       *last = stop > first && stop[-1] == '-' ? stop - 1 : stop;
            s.pos = (uint64_t)(first - text.p);
            if (kind_of == '%' && begins(p, stop, "raw")) {
                const char *raw = find(stop, end, "endraw");
                if (!raw) return report(&s, SMELT_FIND_TEMPLATE_BROKEN, open, "the tag does not end:", "raw", 3);
                stop = tag_end(raw, end, '%');
                if (!stop) return report(&s, SMELT_FIND_TEMPLATE_BROKEN, open, "the tag does not end:", "endraw", 6);
            } else
                SMELT_TRY(tag(&s, last, kind_of == '%'));
        }
        p = stop + 2;
    }
    return SMELT_OK;
}
