#include "formats/tokenizer_bulk.h"

#include <string.h>

#include "base/io.h"

/* ---- in place ---- */

/* A text that is read from its beginning; every function is false for what has not the usual form, valid JSON or not. */
typedef struct flat {
    const char *p, *end;
    smelt_arena *arena;
} flat;

static void skip_blanks(flat *f)
{
    while (f->p < f->end && (*f->p == ' ' || *f->p == '\n' || *f->p == '\t' || *f->p == '\r'))
        f->p++;
}

static bool take(flat *f, char c)
{
    skip_blanks(f);
    if (f->p >= f->end || *f->p != c) return false;
    f->p++;
    return true;
}

/* A string with escapes, quotes included: few have some. */
static bool unescape(flat *f, const char *begin, smelt_str *out)
{
    json_t *s = json_loadb(begin, (size_t)(f->p - begin), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const size_t n = json_string_length(s);
    char *copy = s && !memchr(json_string_value(s), 0, n) ? arena_strndup(f->arena, json_string_value(s), n) : NULL;
    json_decref(s);
    *out = (smelt_str){copy, n};
    return copy != NULL;
}

static bool take_text(flat *f, smelt_str *out)
{
    bool escapes = false;
    if (!take(f, '"')) return false;
    const char *begin = f->p;
    for (; f->p < f->end && *f->p != '"'; f->p++) {
        if ((uint8_t)*f->p < 0x20) return false;
        if (*f->p != '\\') continue;
        escapes = true;
        if (++f->p >= f->end) return false;
    }
    if (f->p++ >= f->end) return false;
    *out = (smelt_str){begin, (size_t)(f->p - 1 - begin)};
    return !escapes || unescape(f, begin - 1, out);
}

static bool take_id(flat *f, int64_t *out)
{
    enum { DIGITS = 9 };
    skip_blanks(f);
    const char *begin = f->p;
    for (*out = 0; f->p < f->end && *f->p >= '0' && *f->p <= '9' && f->p - begin < DIGITS; f->p++)
        *out = *out * 10 + (*f->p - '0');
    return f->p > begin && (*begin != '0' || f->p == begin + 1);
}

/* {"text": id, ...}; what comes behind is for the caller. */
static bool take_words(flat *f, tok_bulk *out)
{
    size_t room = 0;
    if (!take(f, '{')) return false;
    if (take(f, '}')) return true;
    do {
        if (!arena_room(f->arena, &out->words, out->n_words, &room, sizeof *out->words)) return false;
        tok_word *w = &out->words[out->n_words++];
        if (!take_text(f, &w->text) || !take(f, ':') || !take_id(f, &w->id)) return false;
    } while (take(f, ','));
    return take(f, '}');
}

/* ["left right", ...] or [["left", "right"], ...]. */
static bool take_merges(flat *f, tok_bulk *out)
{
    size_t room = 0;
    if (!take(f, '[')) return false;
    if (take(f, ']')) return true;
    skip_blanks(f);
    out->pairs = f->p < f->end && *f->p == '[';
    do {
        if (!arena_room(f->arena, &out->merges, out->n_merges, &room, sizeof *out->merges)) return false;
        smelt_tok_merge *m = &out->merges[out->n_merges++];
        *m = (smelt_tok_merge){0};
        if (!out->pairs ? !take_text(f, &m->left)
                        : !take(f, '[') || !take_text(f, &m->left) || !take(f, ',') || !take_text(f, &m->right) || !take(f, ']'))
            return false;
    } while (take(f, ','));
    return take(f, ']');
}

/* The span that `taken` used of f. */
static bool take_part(flat *f, bool (*taken)(flat *, tok_bulk *), tok_bulk *bulk)
{
    const char *begin = f->p;
    return taken(f, bulk) && utf8_valid(begin, (size_t)(f->p - begin));
}

/* Reads model.vocab and model.merges; `rest` gets the text with these empty. Only brackets and the ends of strings are looked at in
 * what is left: mistakes are found when it is parsed. */
static bool take_apart(smelt_arena *arena, const char *text, size_t n, tok_bulk *bulk, smelt_buf *rest)
{
    flat f = {text, text + n, arena};
    const char *from = text;
    smelt_str key[3] = {{0}};
    size_t depth = 0;
    while (f.p < f.end) {
        const bool object = *f.p == '{', array = *f.p == '[';
        if (*f.p == '"') {
            smelt_str s;
            if (!take_text(&f, &s)) return false;
            if (depth < 3) key[depth] = s;
            continue;
        }
        if (depth == 2 && (object || array) && str_eq(key[1], "model") && str_eq(key[2], object ? "vocab" : "merges")) {
            if (object ? bulk->n_words : bulk->n_merges) return false;
            buf_put(rest, from, (size_t)(f.p - from));
            buf_put(rest, object ? "{}" : "[]", 2);
            if (!take_part(&f, object ? take_words : take_merges, bulk)) return false;
            from = f.p;
            continue;
        }
        depth += object || array;
        if ((*f.p == '}' || *f.p == ']') && !depth--) return false;
        f.p++;
    }
    buf_put(rest, from, (size_t)(f.end - from));
    return !rest->failed;
}

/* ---- through the library ---- */

static smelt_status words_of(const json_t *vocab, smelt_arena *arena, tok_bulk *bulk, smelt_err *err)
{
    const char *key;
    json_t *value;
    bulk->words = arena_calloc(arena, json_object_size(vocab), sizeof *bulk->words);
    if (!bulk->words) return smelt_oom(err);
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value) bulk->words[bulk->n_words++] =
        (tok_word){{key, strlen(key)}, json_is_integer(value) ? json_integer_value(value) : -1};
    return SMELT_OK;
}

static bool get_text(const json_t *value, smelt_str *out)
{
    *out = (smelt_str){json_string_value(value), json_string_length(value)};
    return out->p != NULL;
}

smelt_status tok_bulk_of(const json_t *root, smelt_arena *arena, tok_bulk *bulk, smelt_err *err)
{
    const json_t *model = json_object_get(root, "model"), *list = json_object_get(model, "merges"), *item;
    size_t i;
    *bulk = (tok_bulk){.pairs = json_is_array(json_array_get(list, 0))};
    SMELT_TRY(words_of(json_object_get(model, "vocab"), arena, bulk, err));
    bulk->merges = arena_calloc(arena, json_array_size(list), sizeof *bulk->merges);
    if (!bulk->merges) return smelt_oom(err);
    json_array_foreach(list, i, item)
    {
        smelt_tok_merge *m = &bulk->merges[bulk->n_merges++];
        if (bulk->pairs ? json_array_size(item) != 2 || !get_text(json_array_get(item, 0), &m->left) ||
                              !get_text(json_array_get(item, 1), &m->right)
                        : !get_text(item, &m->left))
            return smelt_fail(err, SMELT_E_CORRUPT, "tokenizer.json: merge %zu is not %s", i,
                              bulk->pairs ? "a pair of strings" : "a string as the first one is");
    }
    return SMELT_OK;
}

smelt_status tok_bulk_load(const char *path, uint64_t limit, smelt_arena *arena, json_t **root, tok_bulk *bulk, smelt_err *err)
{
    const char *text = NULL;
    size_t n = 0;
    smelt_buf rest = {0};
    *bulk = (tok_bulk){0};
    *root = NULL;
    SMELT_TRY(file_read(arena, path, limit, &text, &n, err));
    if (take_apart(arena, text, n, bulk, &rest))
        *root = json_loadb((const char *)rest.data, rest.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    buf_free(&rest);
    if (*root) return SMELT_OK;
    /* Parsed as a whole, a text with a mistake says where it is. */
    smelt_status st = smelt_json_parse(text, n, "the file", root, err);
    if (st != SMELT_OK) {
        smelt_err_where(err, "%s", path);
        return st;
    }
    return tok_bulk_of(*root, arena, bulk, err);
}

smelt_status tok_words_load(const char *path, uint64_t limit, smelt_arena *arena, json_t **root, tok_bulk *bulk, smelt_err *err)
{
    const char *text = NULL;
    size_t n = 0;
    *bulk = (tok_bulk){0};
    *root = NULL;
    SMELT_TRY(file_read(arena, path, limit, &text, &n, err));
    flat f = {text, text + n, arena};
    if (take_part(&f, take_words, bulk)) {
        skip_blanks(&f);
        *root = json_object();
        if (!*root) return smelt_oom(err);
        if (f.p == f.end) return SMELT_OK;
        json_decref(*root);
    }
    *bulk = (tok_bulk){0};
    smelt_status st = smelt_json_parse(text, n, "the file", root, err);
    if (st == SMELT_OK && !json_is_object(*root)) st = smelt_fail(err, SMELT_E_CORRUPT, "the file is not a JSON object");
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st == SMELT_OK ? words_of(*root, arena, bulk, err) : st;
}
