/* What Hugging Face files say beyond tokens: special tokens, chat templates, merges. The order of the rules, and which file wins,
 * is that of gguf's vocab.py (class SpecialVocab). */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/io.h"
#include "tokenizer_hf.h"

enum { TEMPLATE_LIMIT = 16 << 20, TEMPLATES_MAX = 64, MERGES_LIMIT = 256 << 20 };

static const char *const stems[SMELT_SP_COUNT] = {
#define SMELT_SPECIAL(id, hf, gguf, written) [SMELT_SP_##id] = (hf),
#include "vocab/special.def"
#undef SMELT_SPECIAL
};

/* Special tokens while the files are read: tokenizer_config.json's values, changed by what the post-processor shows. */
typedef struct special_state {
    hf_files *f;
    smelt_vocab *v;
    int64_t limit;
    bool has_config;
    json_t *value[SMELT_SP_COUNT]; /* BORROWED; as in tokenizer_config.json */
    bool searched[SMELT_SP_COUNT];
    smelt_special added[SMELT_SP_COUNT]; /* order in which add_special was first said */
    size_t n_added;
} special_state;

static bool truthy(const json_t *j)
{
    if (!j || json_is_null(j) || json_is_false(j)) return false;
    if (json_is_string(j)) return json_string_length(j) > 0;
    if (json_is_object(j)) return json_object_size(j) > 0;
    if (json_is_array(j)) return json_array_size(j) > 0;
    if (json_is_integer(j)) return json_integer_value(j) != 0;
    return true;
}

static bool same_text(const json_t *a, const json_t *b) { return json_is_string(a) && json_is_string(b) && json_equal(a, b); }

static void say_added(special_state *s, smelt_special sp, bool yes)
{
    if (s->v->add_special[sp] < 0) s->added[s->n_added++] = sp;
    s->v->add_special[sp] = yes;
}

static json_t *special_id(const json_t *part) { return json_object_get(json_object_get(part, "SpecialToken"), "id"); }

static bool is_sequence(const json_t *part, const char *id)
{
    smelt_str s;
    return hf_json_str(json_object_get(part, "Sequence"), "id", &s) && str_eq(s, id);
}

static void read_template_pair(special_state *s, const json_t *pair, const json_t *first, const json_t *last)
{
    json_t **value = s->value;
    size_t begin = 0, end = json_array_size(pair);
    if (!end) return;
    if (truthy(first) && same_text(special_id(json_array_get(pair, 0)), first)) begin = 1;
    if (truthy(last) && same_text(special_id(json_array_get(pair, end - 1)), last)) end--;
    /* A [sep] [eos] B */
    if (end < begin + 3 || !is_sequence(json_array_get(pair, begin), "A") || !is_sequence(json_array_get(pair, end - 1), "B"))
        return;
    bool add_sep = false;
    const json_t *entry = special_id(json_array_get(pair, begin + 1));
    if (truthy(entry) && (same_text(entry, value[SMELT_SP_SEP]) || same_text(entry, value[SMELT_SP_EOS])) && !truthy(last))
        add_sep = true;
    if (end - begin == 4) {
        entry = special_id(json_array_get(pair, begin + 2));
        if (truthy(entry) && (same_text(entry, value[SMELT_SP_SEP]) || same_text(entry, value[SMELT_SP_EOS]))) add_sep = true;
    }
    say_added(s, SMELT_SP_SEP, add_sep);
    if (add_sep && !truthy(value[SMELT_SP_SEP]) && s->has_config) value[SMELT_SP_SEP] = value[SMELT_SP_EOS];
}

static void read_template(special_state *s, const json_t *processor)
{
    json_t **value = s->value;
    const json_t *single = json_object_get(processor, "single"), *pair = json_object_get(processor, "pair");
    json_t *first = NULL, *last = NULL;
    if (json_array_size(single) > 1) {
        first = special_id(json_array_get(single, 0));
        last = special_id(json_array_get(single, json_array_size(single) - 1));
    }
    if (truthy(first)) {
        bool known = same_text(first, value[SMELT_SP_BOS]) || same_text(first, value[SMELT_SP_CLS]);
        if (!s->has_config) {
            value[SMELT_SP_BOS] = first;
        } else if (!known) {
            if (!truthy(value[SMELT_SP_BOS])) value[SMELT_SP_BOS] = first;
            if (!truthy(value[SMELT_SP_CLS])) value[SMELT_SP_CLS] = first;
        }
        say_added(s, SMELT_SP_BOS, same_text(first, value[SMELT_SP_BOS]) || same_text(first, value[SMELT_SP_CLS]));
    }
    if (truthy(last)) {
        if (s->has_config && !same_text(last, value[SMELT_SP_EOS])) {
            smelt_special spare = !s->searched[SMELT_SP_EOT] ? SMELT_SP_EOT : SMELT_SP_EOM;
            if (!s->searched[spare]) {
                s->searched[spare] = true;
                value[spare] = value[SMELT_SP_EOS];
            }
        }
        value[SMELT_SP_EOS] = last;
        say_added(s, SMELT_SP_EOS, true);
    }
    read_template_pair(s, pair, first, last);
}

static void read_processor(special_state *s, const json_t *p)
{
    json_t **value = s->value;
    smelt_str type;
    if (!hf_json_str(p, "type", &type)) return;
    if (str_eq(type, "ByteLevel")) {
        if (s->v->add_special[SMELT_SP_BOS] < 0) say_added(s, SMELT_SP_BOS, false);
        if (s->v->add_special[SMELT_SP_EOS] < 0) say_added(s, SMELT_SP_EOS, false);
    } else if (str_eq(type, "RobertaProcessing")) {
        say_added(s, SMELT_SP_BOS, true);
        say_added(s, SMELT_SP_EOS, true);
        say_added(s, SMELT_SP_SEP, true);
        json_t *cls = json_array_get(json_object_get(p, "cls"), 0), *sep = json_array_get(json_object_get(p, "sep"), 0);
        if (!truthy(value[SMELT_SP_CLS]) && s->has_config) value[SMELT_SP_CLS] = cls ? cls : value[SMELT_SP_BOS];
        if (!truthy(value[SMELT_SP_SEP]) && s->has_config) value[SMELT_SP_SEP] = sep ? sep : value[SMELT_SP_EOS];
    } else if (str_eq(type, "TemplateProcessing")) {
        read_template(s, p);
    }
}

static void read_normalizer(smelt_vocab *v, const json_t *n, int depth)
{
    smelt_str type;
    if (depth > 8 || !hf_json_str(n, "type", &type)) return;
    if (str_eq(type, "Lowercase")) {
        v->lowercase = 1;
    } else if (str_eq(type, "StripAccents")) {
        v->strip_accents = 1;
    } else if (str_eq(type, "BertNormalizer")) {
        const json_t *lower = json_object_get(n, "lowercase"), *strip = json_object_get(n, "strip_accents");
        if (json_is_boolean(lower)) v->lowercase = json_is_true(lower);
        if (json_is_boolean(strip)) v->strip_accents = json_is_true(strip);
    } else if (str_eq(type, "Sequence")) {
        size_t i;
        json_t *part;
        json_array_foreach(json_object_get(n, "normalizers"), i, part) read_normalizer(v, part, depth + 1);
    }
}

static void set_special(special_state *s, smelt_special sp, const json_t *id)
{
    if (!json_is_integer(id) || s->v->special[sp] >= 0) return;
    json_int_t n = json_integer_value(id);
    if (n == -1) return; /* how some configs say that there is none */
    if (n < 0 || n >= s->limit) {
        ctx_warn(s->f->ctx, "%s_token: id %" JSON_INTEGER_FORMAT " is outside the vocabulary of %" PRId64 " tokens and left out",
                 stems[sp], n, s->limit);
        return;
    }
    s->v->special[sp] = n;
    vocab_fact(s->v, SMELT_FACT_SPECIAL, sp);
}

static void find_special(special_state *s, smelt_special sp)
{
    size_t i;
    json_t *token;
    smelt_str want, have;
    if (!hf_token_text(s->value[sp], &want)) return;
    json_array_foreach(json_object_get(s->f->tokenizer, "added_tokens"), i, token)
    {
        if (!hf_json_str(token, "content", &have) || have.n != want.n || (have.n && memcmp(have.p, want.p, have.n) != 0)) continue;
        set_special(s, sp, json_object_get(token, "id"));
        return;
    }
}

/* Templates are text files: line ends become \n, as Python reads them. */
static smelt_status read_text(hf_files *f, const char *path, smelt_str *out)
{
    const char *data;
    size_t n, m = 0;
    SMELT_TRY(file_read(&f->tmp, path, TEMPLATE_LIMIT, &data, &n, f->err));
    if (!utf8_valid(data, n)) {
        smelt_err_where(f->err, "%s", path);
        return smelt_fail(f->err, SMELT_E_CORRUPT, "a chat template is not UTF-8");
    }
    char *text = arena_strndup(&f->model->arena, data, n);
    if (!text) return smelt_oom(f->err);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r') {
            if (i + 1 < n && text[i + 1] == '\n') continue;
            text[i] = '\n';
        }
        text[m++] = text[i];
    }
    text[m] = 0;
    *out = (smelt_str){text, m};
    return SMELT_OK;
}

/* Appends a template; its name is reduced to letters, digits and '_'. A name that is there already gets the new text. */
static smelt_status add_template(hf_files *f, smelt_template *list, size_t *n, smelt_str name, smelt_str text)
{
    char *clean = arena_strndup(&f->model->arena, name.p, name.n);
    if (!clean) return smelt_oom(f->err);
    size_t m = 0;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if ((c & 0xC0U) == 0x80) continue; /* one '_' for a whole character */
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        clean[m++] = plain ? (char)c : '_';
    }
    clean[m] = 0;
    if (!m) return SMELT_OK;
    smelt_template t = {strcmp(clean, "default") == 0 ? NULL : clean, text};
    for (size_t i = 0; i < *n; i++)
        if (t.name ? list[i].name && strcmp(list[i].name, t.name) == 0 : !list[i].name) {
            list[i].text = text;
            return SMELT_OK;
        }
    if (*n == TEMPLATES_MAX) return smelt_fail(f->err, SMELT_E_LIMIT, "there are more than %d chat templates", TEMPLATES_MAX);
    list[(*n)++] = t;
    return SMELT_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* additional_chat_templates/NAME.jinja, in the order of their names. */
static smelt_status read_additional(hf_files *f, smelt_template *list, size_t *n)
{
    smelt_status st = SMELT_OK;
    static const char folder[] = "additional_chat_templates";
    const char *sub = hf_file(f, folder, &st);
    if (!sub) return st;
    DIR *d = opendir(sub);
    if (!d) return errno == ENOTDIR ? SMELT_OK : smelt_fail_errno(f->err, "cannot list %s", sub);
    char *names[TEMPLATES_MAX];
    size_t count = 0;
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len <= 6 || strcmp(e->d_name + len - 6, ".jinja") != 0) continue;
        if (count == TEMPLATES_MAX)
            st = smelt_fail(f->err, SMELT_E_LIMIT, "there are more than %d chat templates", TEMPLATES_MAX);
        else if (!(names[count++] = arena_strdup(&f->tmp, e->d_name)))
            st = smelt_oom(f->err);
        if (st != SMELT_OK) break;
    }
    closedir(d);
    SMELT_TRY(st);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        smelt_str text;
        const char *name = path_join(&f->tmp, folder, names[i]), *path = name ? hf_file(f, name, &st) : NULL;
        if (!name) return smelt_oom(f->err);
        SMELT_TRY(st);
        if (!path) continue; /* a link to nothing */
        SMELT_TRY(read_text(f, path, &text));
        SMELT_TRY(add_template(f, list, n, (smelt_str){names[i], strlen(names[i]) - 6}, text));
    }
    return SMELT_OK;
}

static smelt_status keep_text(hf_files *f, const json_t *string, smelt_str *out)
{
    out->n = json_string_length(string);
    out->p = arena_strndup(&f->model->arena, json_string_value(string), out->n);
    return out->p ? SMELT_OK : smelt_oom(f->err);
}

/* A chat_template value: a string, or a list of {name, template}. */
static smelt_status read_template_value(hf_files *f, const json_t *value, smelt_template *list, size_t *n)
{
    smelt_str text;
    if (json_is_string(value)) {
        SMELT_TRY(keep_text(f, value, &text));
        return add_template(f, list, n, (smelt_str){"default", 7}, text);
    }
    size_t i;
    json_t *choice;
    json_array_foreach(value, i, choice)
    {
        smelt_str name;
        const json_t *template = json_object_get(choice, "template");
        if (!hf_json_str(choice, "name", &name) || !json_is_string(template)) continue;
        SMELT_TRY(keep_text(f, template, &text));
        SMELT_TRY(add_template(f, list, n, name, text));
    }
    if (!json_is_array(value) && !json_is_null(value))
        ctx_warn(f->ctx, "%s: chat_template is neither text nor a list and is left out", f->dir);
    return SMELT_OK;
}

static smelt_status read_templates(hf_files *f, smelt_vocab *v)
{
    smelt_status st = SMELT_OK;
    smelt_template *list = arena_calloc(&f->model->arena, TEMPLATES_MAX, sizeof *list);
    if (!list) return smelt_oom(f->err);
    size_t n = 0;
    const json_t *said = json_object_get(f->tokenizer_config, "chat_template");
    const char *path;
    if (said) {
        SMELT_TRY(read_template_value(f, said, list, &n));
    } else if ((path = hf_file(f, "chat_template.jinja", &st))) {
        smelt_str text;
        SMELT_TRY(read_text(f, path, &text));
        SMELT_TRY(add_template(f, list, &n, (smelt_str){"default", 7}, text));
        SMELT_TRY(read_additional(f, list, &n));
    } else if (st == SMELT_OK && (path = hf_file(f, "chat_template.json", &st))) {
        json_t *json;
        SMELT_TRY(smelt_json_load(path, TEMPLATE_LIMIT, &json, f->err));
        const json_t *value = json_object_get(json, "chat_template");
        if (value) st = read_template_value(f, value, list, &n);
        json_decref(json);
    }
    SMELT_TRY(st);
    if (!n) return SMELT_OK;
    for (size_t i = 1; i < n; i++)
        if (!list[i].name) { /* the default one first */
            smelt_template t = list[i];
            memmove(list + 1, list, i * sizeof *list);
            list[0] = t;
        }
    v->templates = list;
    v->n_templates = n;
    vocab_fact(v, SMELT_FACT_TEMPLATES, SMELT_SP_BOS);
    return SMELT_OK;
}

smelt_status hf_read_special(hf_files *f, smelt_vocab *v, int64_t limit)
{
    special_state s = {.f = f, .v = v, .limit = limit, .has_config = truthy(f->tokenizer_config)};
    enum { SEARCHED = SMELT_SP_MASK + 1 };
    for (int i = 0; i < SMELT_SP_COUNT; i++) {
        char key[32];
        memcpy(key, stems[i], strlen(stems[i]));
        memcpy(key + strlen(stems[i]), "_token", 7);
        s.value[i] = json_object_get(f->tokenizer_config, key);
        s.searched[i] = i < SEARCHED;
    }
    if (f->tokenizer) {
        read_normalizer(v, json_object_get(f->tokenizer, "normalizer"), 0);
        if (s.has_config && !truthy(s.value[SMELT_SP_BOS]) && truthy(s.value[SMELT_SP_CLS]))
            s.value[SMELT_SP_BOS] = s.value[SMELT_SP_CLS];
        if (s.has_config && !truthy(s.value[SMELT_SP_EOS]) && truthy(s.value[SMELT_SP_SEP]))
            s.value[SMELT_SP_EOS] = s.value[SMELT_SP_SEP];
        const json_t *post = json_object_get(f->tokenizer, "post_processor"), *list = json_object_get(post, "processors");
        if (list) {
            size_t i;
            json_t *p;
            json_array_foreach(list, i, p) read_processor(&s, p);
        } else if (truthy(post)) {
            read_processor(&s, post);
        }
    }
    if (s.has_config) {
        for (int i = 0; i < SMELT_SP_COUNT; i++) {
            if (!s.searched[i]) continue;
            char key[32];
            size_t n = strlen(stems[i]);
            memcpy(key, "add_", 4);
            memcpy(key + 4, stems[i], n);
            memcpy(key + 4 + n, "_token", 7);
            const json_t *add = json_object_get(f->tokenizer_config, key);
            if (json_is_boolean(add) && v->add_special[i] < 0) say_added(&s, (smelt_special)i, json_is_true(add));
            find_special(&s, (smelt_special)i);
        }
    }
    const json_t *config = f->model->config;
    for (int i = 0; i < SMELT_SP_COUNT; i++) {
        if (!s.searched[i]) continue;
        char key[32];
        size_t n = strlen(stems[i]);
        memcpy(key, stems[i], n);
        memcpy(key + n, "_token_id", 10);
        const json_t *id = json_object_get(config, key);
        if (!id || json_is_null(id)) id = json_object_get(json_object_get(config, "text_config"), key);
        set_special(&s, (smelt_special)i, id);
    }
    for (size_t i = 0; i < s.n_added; i++)
        vocab_fact(v, SMELT_FACT_ADD, s.added[i]);
    if (s.has_config) SMELT_TRY(read_templates(f, v));
    if (v->lowercase >= 0) vocab_fact(v, SMELT_FACT_LOWERCASE, SMELT_SP_BOS);
    if (v->strip_accents >= 0) vocab_fact(v, SMELT_FACT_STRIP_ACCENTS, SMELT_SP_BOS);
    return SMELT_OK;
}

/* "left right" in the model's arena; a space inside a part becomes U+0120, its byte-level letter. */
static smelt_status join_merge(hf_files *f, smelt_str left, smelt_str right, smelt_str *out)
{
    smelt_str part[2] = {left, right};
    size_t spaces = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < part[k].n; i++)
            spaces += part[k].p[i] == ' ';
    char *text = arena_calloc(&f->model->arena, left.n + right.n + spaces + 2, 1), *p = text;
    if (!text) return smelt_oom(f->err);
    for (int k = 0; k < 2; k++) {
        if (k) *p++ = ' ';
        for (size_t i = 0; i < part[k].n; i++) {
            if (part[k].p[i] == ' ') {
                *p++ = '\xC4';
                *p++ = '\xA0';
            } else {
                *p++ = part[k].p[i];
            }
        }
    }
    *out = (smelt_str){text, (size_t)(p - text)};
    return SMELT_OK;
}

static smelt_status read_merges_json(hf_files *f, smelt_vocab *v)
{
    const tok_bulk *b = &f->bulk;
    smelt_str *merges = arena_calloc(&f->model->arena, b->n_merges, sizeof *merges);
    if (!merges) return smelt_oom(f->err);
    for (size_t i = 0; i < b->n_merges; i++) {
        const smelt_tok_merge *m = &b->merges[i];
        if (b->pairs) {
            SMELT_TRY(join_merge(f, m->left, m->right, &merges[i]));
        } else {
            merges[i] = (smelt_str){arena_strndup(&f->model->arena, m->left.p, m->left.n), m->left.n};
            if (!merges[i].p) return smelt_oom(f->err);
        }
    }
    v->merges = merges;
    v->n_merges = b->n_merges;
    return SMELT_OK;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

/* merges.txt: a comment line, then "left right" a line; others are left out. */
static smelt_status read_merges_txt(hf_files *f, const char *path, smelt_vocab *v)
{
    const char *data;
    size_t size, capacity = 0, bad = 0;
    smelt_str *merges = NULL;
    SMELT_TRY(file_read(&f->tmp, path, MERGES_LIMIT, &data, &size, f->err));
    if (!utf8_valid(data, size)) return smelt_fail(f->err, SMELT_E_CORRUPT, "merges.txt is not UTF-8");
    bool first = true;
    for (const char *p = data, *end = data + size; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol) eol = end;
        const char *b = p, *e = eol;
        p = eol + 1;
        while (b < e && is_blank(*b))
            b++;
        while (e > b && is_blank(e[-1]))
            e--;
        bool comment = first && b < e && *b == '#';
        first = false;
        if (b == e || comment) continue;
        const char *left_end = b, *right;
        while (left_end < e && !is_blank(*left_end))
            left_end++;
        right = left_end;
        while (right < e && is_blank(*right))
            right++;
        const char *right_end = right;
        while (right_end < e && !is_blank(*right_end))
            right_end++;
        if (right == e || right_end != e) {
            bad++;
            continue;
        }
        if (!arena_room(&f->model->arena, &merges, v->n_merges, &capacity, sizeof *merges)) return smelt_oom(f->err);
        SMELT_TRY(
            join_merge(f, (smelt_str){b, (size_t)(left_end - b)}, (smelt_str){right, (size_t)(e - right)}, &merges[v->n_merges]));
        v->n_merges++;
    }
    if (bad) ctx_warn(f->ctx, "merges.txt: %zu lines are not a pair of tokens and are left out", bad);
    v->merges = merges;
    return SMELT_OK;
}

smelt_status hf_read_merges(hf_files *f, smelt_vocab *v)
{
    if (f->bulk.n_merges) return read_merges_json(f, v);
    smelt_status st = SMELT_OK;
    const char *path = hf_file(f, "merges.txt", &st);
    return path ? read_merges_txt(f, path, v) : st;
}
