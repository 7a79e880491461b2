#include "quant/rules.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/io.h"

#define SMELT_LAYERS(name, test) \
    static bool layers_##name(int i, int n, int k) \
    { \
        (void)i, (void)n, (void)k; \
        return test; \
    }
#include "quant/recipe.def"
#undef SMELT_LAYERS

#define SMELT_CONDITION(name, test) \
    static bool condition_##name(const overview *o) { return test; }
#include "quant/recipe.def"
#undef SMELT_CONDITION

const smelt_rule mix_rules[] = {
#define SMELT_RULE(mix, kind, layers, condition, type) SMELT_RAISE(mix, kind, layers, condition, COUNT, type)
#define SMELT_RAISE(mix, kind, layers, condition, from, type) \
    {MIX_##mix, \
     CLASS_##kind, \
     layers_##layers, \
     condition_##condition, \
     SMELT_DT_##from, \
     SMELT_DT_##type, \
     #kind " " #layers " " #condition, \
     NULL, \
     0},
#include "quant/recipe.def"
#undef SMELT_RAISE
#undef SMELT_RULE
};
const size_t n_mix_rules = sizeof mix_rules / sizeof *mix_rules;

bool rule_applies(const smelt_rule *r, const overview *o, const rule_subject *t, smelt_dtype type)
{
    if (r->kind != t->kind && r->kind != CLASS_EVERY && (r->kind != CLASS_FLAT || t->stacked)) return false;
    if (r->from != SMELT_DT_COUNT && r->from != type) return false;
    const bool of_layer = t->kind != CLASS_ATTN_V && o->experts > 1;
    const int n = t->kind == CLASS_ATTN_V ? o->n_attn_v : o->layers;
    return r->condition(o) && r->layers(of_layer ? t->layer : t->place, n, t->place);
}

const char *recipe_rule_text(const smelt_rule *rule, char *buf, size_t size)
{
    static const char *const silent[] = {" ALL", " ALWAYS"};
    smelt_err text = {0};
    if (rule->line) {
        snprintf(buf, size, "line %u: %s", rule->line, rule->words);
        return buf;
    }
    smelt_err_add(&text, "%s", rule->words);
    for (size_t k = 0; k < 2; k++) {
        char *at = strstr(text.text, silent[k]);
        if (at) memmove(at, at + strlen(silent[k]), strlen(at + strlen(silent[k])) + 1);
    }
    for (char *p = text.text; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    snprintf(buf, size, "%s", text.text);
    return buf;
}

/* The words of a recipe. */
static const char *const class_words[] = {
#define SMELT_CLASS(name) #name,
#include "quant/recipe.def"
#undef SMELT_CLASS
};

static const struct {
    const char *name;
    layers_fn *test;
} layers_words[] = {
#define SMELT_LAYERS(name, test) {#name, layers_##name},
#include "quant/recipe.def"
#undef SMELT_LAYERS
};

static const struct {
    const char *name;
    condition_fn *test;
} condition_words[] = {
#define SMELT_CONDITION(name, test) {#name, condition_##name},
#include "quant/recipe.def"
#undef SMELT_CONDITION
};

enum { MAX_WORDS = 4 };

/* One line's words, NUL-terminated copies. */
typedef struct line_words {
    char *word[MAX_WORDS];
    size_t n;
    unsigned line;
} line_words;

static smelt_status split(smelt_arena *arena, const char *text, size_t n, line_words *out, smelt_err *err)
{
    static const char space[] = " \t\r\v\f";
    for (size_t at = 0; at < n;) {
        if (memchr(space, text[at], sizeof space - 1)) {
            at++;
            continue;
        }
        size_t end = at;
        while (end < n && !memchr(space, text[end], sizeof space - 1))
            end++;
        if (out->n == MAX_WORDS)
            return smelt_fail(err, SMELT_E_USAGE, "line %u: more words than CLASS LAYERS CONDITION TYPE", out->line);
        if (!(out->word[out->n++] = arena_strndup(arena, text + at, end - at))) return smelt_oom(err);
        at = end;
    }
    return SMELT_OK;
}

static smelt_status parse_subject(char *word, smelt_rule *rule, unsigned line, smelt_err *err)
{
    const size_t n = strlen(word);
    if (word[0] == '/' && n > 2 && word[n - 1] == '/') {
        word[n - 1] = 0;
        rule->kind = CLASS_EVERY;
        rule->regex = word + 1;
        return SMELT_OK;
    }
    for (size_t i = 0; i < CLASS_COUNT; i++)
        if (strcasecmp(word, class_words[i]) == 0) {
            rule->kind = (tensor_class)i;
            return SMELT_OK;
        }
    return smelt_fail(err, SMELT_E_USAGE,
                      "line %u: '%s' is no class of tensors and no /REGEX/; classes are like attn_v, ffn_down, every", line, word);
}

static smelt_status parse_where(const char *word, smelt_rule *rule, unsigned line, smelt_err *err)
{
    for (size_t i = 0; !rule->layers && i < sizeof layers_words / sizeof *layers_words; i++)
        if (strcasecmp(word, layers_words[i].name) == 0) {
            rule->layers = layers_words[i].test;
            return SMELT_OK;
        }
    for (size_t i = 0; !rule->condition && i < sizeof condition_words / sizeof *condition_words; i++)
        if (strcasecmp(word, condition_words[i].name) == 0) {
            rule->condition = condition_words[i].test;
            return SMELT_OK;
        }
    return smelt_fail(err, SMELT_E_USAGE, "line %u: '%s' says no layers (like more, first_4) and no condition (like gqa4)", line,
                      word);
}

static smelt_status parse_line(smelt_arena *arena, const char *text, size_t n, unsigned line, smelt_rules *out, smelt_err *err)
{
    line_words w = {.line = line};
    smelt_rule rule = {.mix = MIX_ANY, .from = SMELT_DT_COUNT, .line = line};
    const char *comment = memchr(text, '#', n);
    if (comment) n = (size_t)(comment - text);
    SMELT_TRY(split(arena, text, n, &w, err));
    if (!w.n) return SMELT_OK;
    if (w.n == 1)
        return smelt_fail(err, SMELT_E_USAGE, "line %u: '%s' alone; expected CLASS LAYERS CONDITION TYPE", line, w.word[0]);
    smelt_buf words = {0};
    for (size_t i = 0; i + 1 < w.n; i++)
        buf_printf(&words, "%s%s", i ? " " : "", w.word[i]);
    rule.words = words.failed ? NULL : arena_strndup(arena, (const char *)words.data, words.size);
    buf_free(&words);
    if (!rule.words) return smelt_oom(err);
    SMELT_TRY(parse_subject(w.word[0], &rule, line, err));
    for (size_t i = 1; i + 1 < w.n; i++)
        SMELT_TRY(parse_where(w.word[i], &rule, line, err));
    const char *type = w.word[w.n - 1];
    if (!smelt_dtype_by_name(type, &rule.type) || smelt_dtype_get(rule.type)->gguf_id < 0)
        return smelt_fail(err, SMELT_E_USAGE, "line %u: '%s' is no type; types are like q8_0, q4_k, f16", line, type);
    if (!rule.layers) rule.layers = layers_ALL;
    if (!rule.condition) rule.condition = condition_ALWAYS;
    if (!arena_room(arena, &out->rule, out->n, &out->cap, sizeof *out->rule)) return smelt_oom(err);
    out->rule[out->n++] = rule;
    return SMELT_OK;
}

smelt_status recipe_parse(smelt_arena *arena, const char *text, size_t n, smelt_rules *out, smelt_err *err)
{
    unsigned line = 1;
    if (!utf8_valid(text, n) || memchr(text, 0, n)) return smelt_fail(err, SMELT_E_USAGE, "a recipe is text in UTF-8");
    for (size_t at = 0; at < n; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t len = end ? (size_t)(end - (text + at)) : n - at;
        SMELT_TRY(parse_line(arena, text + at, len, line, out, err));
        at += len + 1;
    }
    return SMELT_OK;
}

smelt_status recipe_read(smelt_arena *arena, const char *path, smelt_rules *out, smelt_err *err)
{
    enum { LIMIT = 1 << 20 };
    const char *text;
    size_t n;
    SMELT_TRY(file_read(arena, path, LIMIT, &text, &n, err));
    smelt_status st = recipe_parse(arena, text, n, out, err);
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}
