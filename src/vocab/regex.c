/* Patterns in Oniguruma's syntax through PCRE2. What the two read differently is rewritten: the Unicode classes (Oniguruma as the
 * `tokenizers` package has it knows Unicode 16), \s, \w, \h, classes inside classes, and {n,m}+, which is no possessive there. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "vocab/tok_internal.h"

enum {
    STEPS = 10 * 1000 * 1000, /* of one match at one place */
    STACK = 64 << 20,
    LONGEST = 1 << 20,
    DEPTH = 128,
};

struct tok_regex {
    smelt_arena arena;
    pcre2_code *code;
    bool jit;
};

struct tok_matcher {
    smelt_arena arena;
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static const char spaces[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

/* Beside letters, marks, decimal and letter digits and connectors, Oniguruma counts some signs that stand for letters or digits. */
static const char words[] = "\\p{L}\\p{M}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"
                            "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}";

/* The inside of a class for a shorthand; false if it is none. */
static bool shorthand(smelt_buf *out, char c)
{
    static const char *const nd[] = {"L", "M", "Nd", "Pc"};
    if (c == 's') {
        buf_put(out, spaces, sizeof spaces - 1);
    } else if (c == 'h') {
        buf_put(out, "0-9A-Fa-f", 9);
    } else if (c == 'd' || c == 'w') {
        if (c == 'w') buf_printf(out, "%s", words);
        buf_printf(out, "\\p{Nd}");
        for (size_t i = c == 'w' ? 0 : 2; i < (c == 'w' ? 4 : 3); i++)
            uni_new_ranges(out, nd[i], strlen(nd[i]));
    } else {
        return false;
    }
    return true;
}

/* Rewrites the escape at p[0] = '\\'; returns how much it read. */
static size_t put_escape(smelt_buf *out, const char *p, size_t n, bool in_class)
{
    if (n < 2) {
        buf_u8(out, '\\');
        return 1;
    }
    char c = p[1];
    const char *end = (c == 'p' || c == 'P') && n > 3 && p[2] == '{' ? memchr(p, '}', n) : NULL;
    if (end) {
        bool negative = (c == 'P') != (p[3] == '^');
        const char *name = p + 3 + (p[3] == '^');
        if (negative && in_class) { /* newer characters cannot be taken out again there */
            buf_put(out, p, (size_t)(end - p) + 1);
            return (size_t)(end - p) + 1;
        }
        if (!in_class) buf_put(out, negative ? "[^" : "[", negative ? 2 : 1);
        buf_put(out, "\\p{", 3);
        buf_put(out, name, (size_t)(end - name) + 1);
        uni_new_ranges(out, name, (size_t)(end - name));
        if (!in_class) buf_u8(out, ']');
        return (size_t)(end - p) + 1;
    }
    char low = (char)(c | 0x20);
    if (strchr("sdwh", low) && (c == low || !in_class)) {
        if (!in_class) buf_put(out, c == low ? "[" : "[^", c == low ? 1 : 2);
        shorthand(out, low);
        if (!in_class) buf_u8(out, ']');
        return 2;
    }
    if ((c == 'b' || c == 'B') && !in_class) {
        smelt_buf word = {0};
        buf_u8(&word, '[');
        shorthand(&word, 'w');
        buf_u8(&word, ']');
        int n_word = (int)word.size;
        const char *w = (const char *)word.data;
        if (c == 'b')
            buf_printf(out, "(?:(?<=%.*s)(?!%.*s)|(?<!%.*s)(?=%.*s))", n_word, w, n_word, w, n_word, w, n_word, w);
        else
            buf_printf(out, "(?:(?<=%.*s)(?=%.*s)|(?<!%.*s)(?!%.*s))", n_word, w, n_word, w, n_word, w, n_word, w);
        out->failed = out->failed || word.failed;
        buf_free(&word);
        return 2;
    }
    if (c == 'H') { /* another thing in PCRE2 */
        buf_put(out, "\\x{0}-/:-@G-`g-\\x{10ffff}", 25);
        return 2;
    }
    if (c == 'u' && n >= 6 && strspn(p + 2, "0123456789abcdefABCDEF") >= 4) {
        buf_printf(out, "\\x{%.4s}", p + 2);
        return 6;
    }
    buf_put(out, p, 2);
    return 2;
}

/* A class from its '['; classes inside are taken as part of it. Returns how much it read, 0 for what is not supported. */
static size_t put_class(smelt_buf *out, const char *p, size_t n)
{
    size_t i = 1, depth = 1;
    buf_u8(out, '[');
    if (i < n && p[i] == '^') buf_u8(out, (uint8_t)p[i++]);
    bool first = true;
    while (i < n) {
        if (p[i] == '\\') {
            i += put_escape(out, p + i, n - i, true);
        } else if (p[i] == '[' && i + 1 < n && p[i + 1] == ':') {
            const char *end = memchr(p + i, ']', n - i);
            if (!end) return 0;
            size_t len = (size_t)(end - (p + i)) + 1;
            buf_put(out, p + i, len);
            i += len;
        } else if (p[i] == '[') {
            if (i + 1 < n && p[i + 1] == '^') return 0;
            depth++;
            i++;
        } else if (p[i] == ']' && !first) {
            i++;
            if (--depth == 0) {
                buf_u8(out, ']');
                return i;
            }
        } else if (p[i] == '&' && i + 1 < n && p[i + 1] == '&') {
            return 0;
        } else {
            if (p[i] == ']') buf_u8(out, '\\');
            buf_u8(out, (uint8_t)p[i++]);
        }
        first = false;
    }
    return 0;
}

static bool rewrite(smelt_buf *out, const char *p, size_t n)
{
    size_t open[DEPTH], depth = 0, atom = 0; /* where the last atom began */
    for (size_t i = 0; i < n;) {
        char c = p[i];
        if (c == '{' && out->size > atom && i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '9') {
            const char *end = memchr(p + i, '}', n - i);
            size_t len = end ? (size_t)(end - (p + i)) + 1 : 1;
            buf_put(out, p + i, len);
            i += len;
            if (end && i < n && p[i] == '+') {
                smelt_buf inner = {0};
                buf_put(&inner, out->data + atom, out->size - atom);
                out->size = atom;
                buf_put(out, "(?:", 3);
                buf_put(out, inner.data, inner.size);
                buf_put(out, ")+", 2);
                out->failed = out->failed || inner.failed;
                buf_free(&inner);
                i++;
            }
            continue;
        }
        if (c == '*' || c == '+' || c == '?') {
            buf_u8(out, (uint8_t)c);
            i++;
            continue;
        }
        if (c == ')') {
            if (!depth) return false;
            atom = open[--depth];
            buf_u8(out, (uint8_t)c);
            i++;
            continue;
        }
        atom = out->size;
        if (c == '[') {
            size_t len = put_class(out, p + i, n - i);
            if (!len) return false;
            i += len;
        } else if (c == '\\') {
            i += put_escape(out, p + i, n - i, false);
        } else if (c == '(') {
            if (depth == DEPTH) return false;
            open[depth++] = out->size;
            buf_u8(out, (uint8_t)c);
            i++;
            if (i < n && p[i] == '*') return false; /* verbs are PCRE2's alone */
            if (i < n && p[i] == '?') {
                buf_u8(out, (uint8_t)p[i]);
                i++;
            }
        } else {
            buf_u8(out, (uint8_t)c);
            i++;
        }
    }
    return depth == 0;
}

smelt_status regex_new(const char *pattern, size_t n, tok_regex **out, smelt_err *err)
{
    *out = NULL;
    int shown = (int)(n < 300 ? n : 300);
    if (n > LONGEST) return smelt_fail(err, SMELT_E_LIMIT, "a pattern has %zu bytes, at most %d are accepted", n, LONGEST);
    if (!utf8_valid(pattern, n)) return smelt_fail(err, SMELT_E_CORRUPT, "a pattern is not UTF-8");
    smelt_buf b = {0};
    bool known = rewrite(&b, pattern, n);
    smelt_arena arena = {0};
    tok_regex *re = arena_calloc(&arena, 1, sizeof *re);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    smelt_status st = SMELT_OK;
    if (b.failed || !re || !context) {
        st = smelt_oom(err);
    } else if (!known) {
        st = smelt_fail(err, SMELT_E_UNSUPPORTED, "the pattern '%.*s' is of a kind that is not supported", shown, pattern);
    } else {
        int code;
        PCRE2_SIZE at;
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        pcre2_code *compiled =
            pcre2_compile(b.data ? b.data : (PCRE2_SPTR) "", b.size,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
        if (compiled) {
            *re = (tok_regex){.arena = arena, .code = compiled, .jit = pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE) == 0};
        } else if (code == PCRE2_ERROR_HEAP_FAILED) {
            st = smelt_oom(err);
        } else {
            PCRE2_UCHAR why[128];
            pcre2_get_error_message(code, why, sizeof why);
            st = smelt_fail(err, SMELT_E_UNSUPPORTED, "the pattern '%.*s' does not compile: %s", shown, pattern, (const char *)why);
        }
    }
    pcre2_compile_context_free(context);
    buf_free(&b);
    if (st == SMELT_OK)
        *out = re;
    else
        arena_free(&arena);
    return st;
}

void regex_free(tok_regex *re)
{
    if (!re) return;
    pcre2_code_free(re->code);
    smelt_arena arena = re->arena;
    arena_free(&arena);
}

tok_matcher *matcher_new(void)
{
    smelt_arena arena = {0};
    tok_matcher *m = arena_calloc(&arena, 1, sizeof *m);
    if (!m) return NULL;
    *m = (tok_matcher){.arena = arena,
                       .data = pcre2_match_data_create(1, NULL),
                       .context = pcre2_match_context_create(NULL),
                       .stack = pcre2_jit_stack_create(32 << 10, STACK, NULL)};
    if (!m->data || !m->context) {
        matcher_free(m);
        return NULL;
    }
    pcre2_set_match_limit(m->context, STEPS);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void matcher_free(tok_matcher *m)
{
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    smelt_arena arena = m->arena;
    arena_free(&arena);
}

bool regex_find(const tok_regex *re, tok_matcher *m, const char *text, size_t n, size_t at, size_t *start, size_t *end,
                smelt_status *st, smelt_err *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int found = re->jit && m->stack ? pcre2_jit_match(re->code, subject, n, at, PCRE2_NO_UTF_CHECK, m->data, m->context)
                                    : pcre2_match(re->code, subject, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found == PCRE2_ERROR_NOMEMORY) {
        *st = smelt_oom(err);
        return false;
    }
    if (found < 0) {
        *st = smelt_fail(err, SMELT_E_LIMIT, "a pattern of the tokenizer takes too many steps on this text");
        return false;
    }
    const PCRE2_SIZE *ovector = pcre2_get_ovector_pointer(m->data);
    *start = ovector[0];
    *end = ovector[1];
    if (*end < *start) *end = *start; /* \K inside a lookahead */
    return true;
}
