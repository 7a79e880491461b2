#include "tokenizer_hf.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "base/io.h"
#include "spm.h"
#include "tiktoken.h"
#include "vocab/letters.h"

/* Sizes of files as they are found in the wild, many times over. */
enum { TOKENIZER_LIMIT = 512 << 20, CONFIG_LIMIT = 64 << 20 };
/* A vocab_size may pad the tokens that the files have up to this many times, and by as many as that. */
enum { PAD_FACTOR = 4, PAD_FREE = 1 << 16 };

bool hf_json_str(const json_t *object, const char *key, smelt_str *out)
{
    const json_t *s = json_object_get(object, key);
    if (!json_is_string(s)) return false;
    *out = (smelt_str){json_string_value(s), json_string_length(s)};
    return true;
}

bool hf_json_flag(const json_t *object, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

int hf_shown(smelt_str s) { return (int)(s.n < 80 ? s.n : 80); }

bool hf_token_text(const json_t *value, smelt_str *out)
{
    if (!json_is_string(value)) return hf_json_str(value, "content", out);
    *out = (smelt_str){json_string_value(value), json_string_length(value)};
    return true;
}

const char *hf_file(hf_files *f, const char *name, smelt_status *st)
{
    char *path = NULL;
    *st = path_inside(&f->tmp, f->dir, name, &path, f->err);
    return *st == SMELT_OK && path_exists(path) ? path : NULL;
}

int64_t hf_config_int(const hf_files *f, const char *key)
{
    const json_t *v = json_object_get(json_object_get(f->model->config, "text_config"), key);
    if (!json_is_integer(v)) v = json_object_get(f->model->config, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : -1;
}

bool hf_has_tokenizer(const char *dir)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.json"};
    const size_t n = sizeof names / sizeof *names;
    char path[PATH_MAX];
    for (size_t i = 0; i < n || tiktoken_name(i - n); i++) {
        const int len = snprintf(path, sizeof path, "%s/%s", dir, i < n ? names[i] : tiktoken_name(i - n));
        if (len > 0 && (size_t)len < sizeof path && path_exists(path)) return true;
    }
    return false;
}

smelt_status hf_tokenizer_dir(smelt_arena *arena, const char *dir, const json_t *config, const char **out, smelt_err *err)
{
    *out = dir;
    const smelt_arch *arch = hf_has_tokenizer(dir) ? NULL : arch_of_config(config);
    if (!arch || !arch->becomes) return SMELT_OK;
    const char *above = path_join(arena, dir, "..");
    if (!above) return smelt_oom(err);
    *out = hf_has_tokenizer(above) ? above : NULL;
    return SMELT_OK;
}

/* Tokens while they are collected. */
typedef struct hf_tokens {
    hf_files *f;
    smelt_strmap ids;  /* of the model's own vocabulary */
    int64_t n_base;    /* its size */
    int64_t max_added; /* largest id of an added token, -1: none */
    smelt_strmap added_at;
    struct hf_added {
        smelt_str text;
        int64_t id;
        bool special, normalized;
    } * added;
    size_t n_added, cap_added;
    smelt_strmap named_at; /* special tokens that the configuration names */
    smelt_str *named;
    size_t n_named, cap_named;
} hf_tokens;

/* The id that the token has or gets: that of the model's vocabulary, else the next free one, as the tokenizers library counts. */
static int64_t id_for(const hf_tokens *t, smelt_str text)
{
    size_t at;
    if (strmap_get(&t->added_at, text.p, text.n, &at)) return t->added[at].id;
    if (strmap_get(&t->ids, text.p, text.n, &at)) return (int64_t)at;
    return t->max_added >= t->n_base ? t->max_added + 1 : t->n_base;
}

static smelt_status add_token(hf_tokens *t, smelt_str text, bool special, bool normalized)
{
    size_t at;
    bool fresh;
    if (!text.n) return SMELT_OK;
    if (strmap_get(&t->added_at, text.p, text.n, &at)) {
        t->added[at].special = special;
        t->added[at].normalized = normalized;
        return SMELT_OK;
    }
    int64_t id = id_for(t, text);
    if (!arena_room(&t->f->tmp, &t->added, t->n_added, &t->cap_added, sizeof *t->added) ||
        !strmap_add(&t->added_at, text.p, text.n, t->n_added, &fresh))
        return smelt_oom(t->f->err);
    t->added[t->n_added++] = (struct hf_added){text, id, special, normalized};
    if (id > t->max_added) t->max_added = id;
    return SMELT_OK;
}

/* An entry of added_tokens or added_tokens_decoder. */
static smelt_status add_entry(hf_tokens *t, const json_t *entry, int64_t said_id, const char *where)
{
    smelt_str text;
    if (!hf_json_str(entry, "content", &text))
        return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: the entry of id %" PRId64 " has no content", where, said_id);
    int64_t id = id_for(t, text);
    if (text.n && said_id != id)
        return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: '%.*s' has id %" PRId64 ", but the vocabulary gives it %" PRId64, where,
                          hf_shown(text), text.p, said_id, id);
    bool special = hf_json_flag(entry, "special", false);
    return add_token(t, text, special, hf_json_flag(entry, "normalized", !special));
}

/* The number in a JSON object's key; -1 if it is none. */
static int64_t key_number(const char *key)
{
    int64_t n = 0;
    if (!*key) return -1;
    for (; *key; key++) {
        if (*key < '0' || *key > '9' || n > INT32_MAX / 10) return -1;
        n = n * 10 + (*key - '0');
    }
    return n;
}

typedef struct hf_entry {
    int64_t id;
    const json_t *value;
    const char *text; /* of added_tokens.json: the key */
} hf_entry;

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const hf_entry *)a)->id, y = ((const hf_entry *)b)->id;
    return (x > y) - (x < y);
}

/* tokenizer_config.json's added_tokens_decoder ("id": {content …}) or added_tokens.json ("text": id), by id. */
static smelt_status add_entries(hf_tokens *t, json_t *object, bool by_text)
{
    size_t n = json_object_size(object), i = 0;
    const char *key, *where = by_text ? "added_tokens.json" : "tokenizer_config.json: added_tokens_decoder";
    json_t *value;
    hf_entry *list = arena_calloc(&t->f->tmp, n, sizeof *list);
    if (!list) return smelt_oom(t->f->err);
    json_object_foreach(object, key, value)
    {
        int64_t id = by_text ? (json_is_integer(value) ? (int64_t)json_integer_value(value) : -1) : key_number(key);
        if (id < 0) return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: '%.80s' has no id", where, key);
        list[i++] = (hf_entry){id, value, key};
    }
    if (n) qsort(list, n, sizeof *list, by_id);
    for (i = 0; i < n; i++) {
        if (!by_text) {
            SMELT_TRY(add_entry(t, list[i].value, list[i].id, where));
            continue;
        }
        smelt_str text = {list[i].text, strlen(list[i].text)};
        size_t at;
        bool special = strmap_get(&t->named_at, text.p, text.n, &at);
        int64_t id = id_for(t, text);
        if (id != list[i].id)
            return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: '%.*s' has id %" PRId64 ", but the vocabulary gives it %" PRId64,
                              where, hf_shown(text), text.p, list[i].id, id);
        SMELT_TRY(add_token(t, text, special, !special));
    }
    return SMELT_OK;
}

static smelt_status note_text(hf_tokens *t, smelt_str text)
{
    bool fresh;
    if (!strmap_add(&t->named_at, text.p, text.n, t->n_named, &fresh)) return smelt_oom(t->f->err);
    if (!fresh) return SMELT_OK;
    if (!arena_room(&t->f->tmp, &t->named, t->n_named, &t->cap_named, sizeof *t->named)) return smelt_oom(t->f->err);
    t->named[t->n_named++] = text;
    return SMELT_OK;
}

static smelt_status note_special(hf_tokens *t, const json_t *value)
{
    smelt_str text;
    return hf_token_text(value, &text) && text.n ? note_text(t, text) : SMELT_OK;
}

/* A list of tokens, or an object of name and token. */
static smelt_status note_list(hf_tokens *t, json_t *list)
{
    const char *name;
    json_t *item;
    size_t i;
    json_array_foreach(list, i, item) SMELT_TRY(note_special(t, item));
    json_object_foreach(list, name, item) SMELT_TRY(note_special(t, item));
    return SMELT_OK;
}

static bool is_token_key(const char *key)
{
    size_t n = strlen(key);
    return n > 6 && strcmp(key + n - 6, "_token") == 0;
}

/* The special tokens that the configuration names, in the order in which transformers adds those that are missing: the standard
 * ones, further *_token keys, lists. special_tokens_map.json counts where tokenizer_config.json has no added_tokens_decoder. */
static smelt_status note_specials(hf_tokens *t)
{
    static const char *const standard[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};
    json_t *config = t->f->tokenizer_config, *map = json_object_get(config, "added_tokens_decoder") ? NULL : t->f->special_map;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        value = json_object_get(map, standard[i]);
        SMELT_TRY(note_special(t, value ? value : json_object_get(config, standard[i])));
    }
    json_object_foreach(config, key, value)
    {
        if (is_token_key(key)) SMELT_TRY(note_special(t, value));
    }
    json_t *extra = json_object_get(config, "extra_special_tokens"), *more = json_object_get(config, "additional_special_tokens");
    SMELT_TRY(note_list(t, json_array_size(extra) || json_object_size(extra) ? extra : more));
    return note_list(t, json_object_get(map, "extra_special_tokens"));
}

/* The vocabulary object of tokenizer.json's model, or vocab.json. */
static smelt_status read_base(hf_tokens *t, const char *where)
{
    const tok_bulk *b = &t->f->bulk;
    bool fresh;
    if (!b->n_words) return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: the vocabulary is missing or not an object", where);
    t->n_base = (int64_t)b->n_words;
    strmap_reserve(&t->ids, b->n_words);
    for (size_t i = 0; i < b->n_words; i++) {
        const tok_word *w = &b->words[i];
        if (w->id < 0 || w->id > INT32_MAX)
            return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: the token '%.*s' has no id or one out of range", where,
                              hf_shown(w->text), w->text.p);
        if (!strmap_add(&t->ids, w->text.p, w->text.n, (size_t)w->id, &fresh)) return smelt_oom(t->f->err);
        if (!fresh)
            return smelt_fail(t->f->err, SMELT_E_CORRUPT, "%s: the token '%.*s' is there twice", where, hf_shown(w->text),
                              w->text.p);
    }
    return SMELT_OK;
}

static smelt_status read_added(hf_tokens *t)
{
    hf_files *f = t->f;
    size_t i;
    json_t *entry, *list = json_object_get(f->tokenizer, "added_tokens");
    json_t *decoder = json_object_get(f->tokenizer_config, "added_tokens_decoder");
    SMELT_TRY(note_specials(t));
    json_array_foreach(list, i, entry)
    {
        const json_t *id = json_object_get(entry, "id");
        if (!json_is_integer(id)) return smelt_fail(f->err, SMELT_E_CORRUPT, "tokenizer.json: added token %zu has no id", i);
        SMELT_TRY(add_entry(t, entry, (int64_t)json_integer_value(id), "tokenizer.json: added_tokens"));
    }
    if (decoder) {
        SMELT_TRY(add_entries(t, decoder, false));
    } else if (f->added_tokens) {
        SMELT_TRY(add_entries(t, f->added_tokens, true));
    }
    /* These do not make an entry of added_tokens.json special. */
    if (!decoder) SMELT_TRY(note_list(t, json_object_get(f->special_map, "additional_special_tokens")));
    for (i = 0; i < t->n_named; i++) {
        size_t at;
        smelt_str text = t->named[i];
        if (!strmap_get(&t->added_at, text.p, text.n, &at)) SMELT_TRY(add_token(t, text, true, false));
    }
    return SMELT_OK;
}

smelt_status hf_count_tokens(hf_files *f, size_t have, int64_t *out)
{
    int64_t want = hf_config_int(f, "vocab_size");
    *out = want < 0 ? (int64_t)have : want;
    if (!want) return smelt_fail(f->err, SMELT_E_CORRUPT, "config.json has vocab_size 0");
    if (*out > (int64_t)have * PAD_FACTOR + PAD_FREE)
        return smelt_fail(f->err, SMELT_E_CORRUPT, "config.json has vocab_size %" PRId64 ", but the tokenizer only has %zu tokens",
                          want, have);
    if (*out > INT32_MAX)
        return smelt_fail(f->err, SMELT_E_LIMIT, "vocab_size is %" PRId64 ", at most %d are accepted", *out, INT32_MAX);
    return SMELT_OK;
}

smelt_status hf_pad_token(hf_files *f, int64_t id, smelt_str *out)
{
    char *s = arena_printf(&f->model->arena, "[PAD%" PRId64 "]", id);
    if (!s) return smelt_oom(f->err);
    *out = (smelt_str){s, strlen(s)};
    return SMELT_OK;
}

static bool wrapped(smelt_str s, const char *before, const char *after)
{
    size_t nb = strlen(before), na = strlen(after);
    return s.n >= nb && s.n >= na && memcmp(s.p, before, nb) == 0 && memcmp(s.p + s.n - na, after, na) == 0;
}

/* Added tokens that are control tokens although their files do not say so (Command-R, DeepSeek Coder, Gemma). */
static bool looks_special(smelt_str s)
{
    return str_eq(s, "<pad>") || str_eq(s, "<mask>") || str_eq(s, "<2mass>") || str_eq(s, "[@BOS@]") || wrapped(s, "<|", "|>") ||
           wrapped(s, "<\xEF\xBD\x9C", "\xEF\xBD\x9C>") || wrapped(s, "<unused", ">");
}

/* In the model's arena, with U+2581 as spaces. */
static smelt_status plain_spaces(hf_files *f, smelt_str in, smelt_str *out)
{
    char *s = arena_strndup(&f->model->arena, in.p, in.n);
    if (!s) return smelt_oom(f->err);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        if (in.n - i >= 3 && memcmp(in.p + i, "\xE2\x96\x81", 3) == 0) {
            s[n++] = ' ';
            i += 2;
        } else {
            s[n++] = in.p[i];
        }
    }
    s[n] = 0;
    *out = (smelt_str){s, n};
    return SMELT_OK;
}

static smelt_status keep(hf_files *f, smelt_str in, smelt_str *out)
{
    out->p = arena_strndup(&f->model->arena, in.p, in.n);
    out->n = in.n;
    return out->p ? SMELT_OK : smelt_oom(f->err);
}

/* What a byte-level decoder makes of a token: bytes if all its characters are letters of the alphabet, else the text itself.
 * Bytes that are not UTF-8 become U+FFFD, one for each longest invalid sequence. */
static smelt_status byte_decode(hf_files *f, smelt_str in, smelt_str *out)
{
    char *bytes = arena_calloc(&f->tmp, in.n + 1, 1);
    if (!bytes) return smelt_oom(f->err);
    size_t n = 0, len;
    for (size_t i = 0; i < in.n; i += len) {
        int b = byte_of_letter(utf8_next(in.p + i, &len));
        if (b < 0) return keep(f, in, out);
        bytes[n++] = (char)b;
    }
    char *text = arena_calloc(&f->model->arena, n * 3 + 1, 1);
    if (!text) return smelt_oom(f->err);
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        len = 1;
        while (len < 4 && i + len <= n && !utf8_valid(bytes + i, len))
            len++;
        if (i + len <= n && utf8_valid(bytes + i, len)) {
            memcpy(text + m, bytes + i, len);
            m += len;
            i += len;
            continue;
        }
        /* The longest beginning of a character that is cut short is one mistake. */
        size_t bad = 1;
        static const char tails[][4] = {"\x80", "\x80\x80", "\x90\x80", "\x80\x80\x80", "\x90\x80\x80", "\xA0\x80"};
        for (size_t k = 3; k > 1 && bad == 1; k--) {
            if (i + k > n) continue;
            for (size_t q = 0; q < sizeof tails / sizeof *tails; q++) {
                char probe[8];
                size_t tail = strlen(tails[q]);
                memcpy(probe, bytes + i, k);
                memcpy(probe + k, tails[q], tail);
                if (k + tail <= 4 && utf8_valid(probe, k + tail)) bad = k;
            }
        }
        memcpy(text + m, "\xEF\xBF\xBD", 3);
        m += 3;
        i += bad;
    }
    *out = (smelt_str){text, m};
    return SMELT_OK;
}

static bool has_byte_level(const json_t *part, const char *list_key, int depth)
{
    smelt_str type;
    if (depth > 8 || !hf_json_str(part, "type", &type)) return false;
    if (str_eq(type, "ByteLevel")) return true;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(part, list_key), i, item)
    {
        if (has_byte_level(item, list_key, depth + 1)) return true;
    }
    return false;
}

static bool has_token(const void *user, const char *text, size_t n)
{
    const hf_tokens *t = user;
    size_t at;
    return strmap_get(&t->ids, text, n, &at) || strmap_get(&t->added_at, text, n, &at);
}

static smelt_status check_merges(hf_tokens *t, const smelt_vocab *v)
{
    hf_files *f = t->f;
    char *both = NULL;
    size_t room = 0;
    for (size_t i = 0; i < v->n_merges; i++) {
        smelt_str m = v->merges[i];
        const char *space = memchr(m.p, ' ', m.n);
        size_t left = space ? (size_t)(space - m.p) : 0, at;
        if (!space || !left || left + 1 == m.n || memchr(space + 1, ' ', m.n - left - 1))
            return smelt_fail(f->err, SMELT_E_CORRUPT, "merge %zu, '%.*s', is not two tokens", i, hf_shown(m), m.p);
        if (!both || m.n > room) {
            room = m.n * 2;
            both = arena_calloc(&f->tmp, room, 1);
            if (!both) return smelt_oom(f->err);
        }
        memcpy(both, m.p, left);
        memcpy(both + left, space + 1, m.n - left - 1);
        if (!strmap_get(&t->ids, m.p, left, &at) || !strmap_get(&t->ids, space + 1, m.n - left - 1, &at) ||
            !strmap_get(&t->ids, both, m.n - 1, &at))
            return smelt_fail(f->err, SMELT_E_CORRUPT, "merge %zu, '%.*s', names a token that the vocabulary does not have", i,
                              hf_shown(m), m.p);
    }
    return SMELT_OK;
}

/* Byte-level BPE from tokenizer.json, or from vocab.json and merges.txt. */
static smelt_status read_bpe(hf_files *f, smelt_vocab *v)
{
    hf_tokens t = {.f = f, .ids.arena = &f->tmp, .added_at.arena = &f->tmp, .named_at.arena = &f->tmp, .max_added = -1};
    const json_t *model = json_object_get(f->tokenizer, "model");
    smelt_str type;
    if (f->tokenizer &&
        !(hf_json_str(model, "type", &type) ? str_eq(type, "BPE") : json_is_array(json_object_get(model, "merges"))))
        return smelt_fail(f->err, SMELT_E_UNSUPPORTED, "tokenizer.json: the model is %.*s, supported is BPE",
                          hf_json_str(model, "type", &type) ? hf_shown(type) : 1, hf_json_str(model, "type", &type) ? type.p : "?");
    SMELT_TRY(read_base(&t, f->tokenizer ? "tokenizer.json" : "vocab.json"));
    SMELT_TRY(read_added(&t));
    SMELT_TRY(hf_pre_tokenizer(f, has_token, &t, &v->pre));

    size_t have = (size_t)t.n_base;
    for (size_t i = 0, at; i < t.n_added; i++)
        have += !strmap_get(&t.ids, t.added[i].text.p, t.added[i].text.n, &at);
    int64_t n;
    SMELT_TRY(hf_count_tokens(f, have, &n));
    smelt_str *text = arena_calloc(&f->model->arena, (size_t)n, sizeof *text);
    int32_t *types = arena_calloc(&f->model->arena, (size_t)n, sizeof *types);
    if (!text || !types) return smelt_oom(f->err);
    for (size_t i = 0; i < f->bulk.n_words; i++) {
        const smelt_str s = f->bulk.words[i].text;
        const int64_t id = f->bulk.words[i].id;
        if (id >= n)
            return smelt_fail(f->err, SMELT_E_CORRUPT, "the token '%.*s' has id %" PRId64 ", but there are %" PRId64 " tokens",
                              hf_shown(s), s.p, id, n);
        if (types[id])
            return smelt_fail(f->err, SMELT_E_CORRUPT, "the tokens '%.*s' and '%.*s' have the same id %" PRId64, hf_shown(text[id]),
                              text[id].p, hf_shown(s), s.p, id);
        SMELT_TRY(keep(f, s, &text[id]));
        types[id] = SMELT_TOKEN_NORMAL;
    }
    bool decodes_bytes = has_byte_level(json_object_get(f->tokenizer, "decoder"), "decoders", 0) || !f->tokenizer;
    for (size_t i = 0; i < t.n_added; i++) {
        const struct hf_added *a = &t.added[i];
        size_t own;
        if (a->id >= n)
            return smelt_fail(f->err, SMELT_E_CORRUPT,
                              "the added token '%.*s' gets id %" PRId64 ", but there are %" PRId64 " tokens", hf_shown(a->text),
                              a->text.p, a->id, n);
        if (types[a->id] && !(strmap_get(&t.ids, a->text.p, a->text.n, &own) && (int64_t)own == a->id))
            return smelt_fail(f->err, SMELT_E_CORRUPT, "the added token '%.*s' and '%.*s' have the same id %" PRId64,
                              hf_shown(a->text), a->text.p, hf_shown(text[a->id]), text[a->id].p, a->id);
        smelt_str s = a->text;
        if (!a->normalized && decodes_bytes) SMELT_TRY(byte_decode(f, s, &s));
        bool control = a->special || looks_special(s);
        SMELT_TRY(control ? keep(f, s, &text[a->id]) : plain_spaces(f, s, &text[a->id]));
        types[a->id] = control ? SMELT_TOKEN_CONTROL : SMELT_TOKEN_USER;
    }
    for (int64_t i = 0; i < n; i++) {
        if (types[i]) continue;
        SMELT_TRY(hf_pad_token(f, i, &text[i]));
        types[i] = SMELT_TOKEN_UNUSED;
    }
    v->kind = SMELT_VOCAB_BPE;
    v->n = (size_t)n;
    v->text = text;
    v->type = types;
    SMELT_TRY(hf_read_merges(f, v));
    SMELT_TRY(check_merges(&t, v));
    return hf_read_special(f, v, n);
}

/* Overwrites one token of a SentencePiece vocabulary by an added one. */
typedef struct spm_arrays {
    smelt_str *text;
    float *score;
    int32_t *type;
    int64_t n;
} spm_arrays;

static smelt_status override_spm(hf_files *f, spm_arrays *a, json_t *object, bool by_text)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        smelt_str text = {key, strlen(key)};
        int64_t id = by_text ? (json_is_integer(value) ? (int64_t)json_integer_value(value) : -1) : key_number(key);
        if (id < 0 || (!by_text && !hf_json_str(value, "content", &text)))
            return smelt_fail(f->err, SMELT_E_CORRUPT, "%s: the entry '%.80s' has no id or no content",
                              by_text ? "added_tokens.json" : "tokenizer_config.json: added_tokens_decoder", key);
        if (id >= a->n) {
            ctx_warn(f->ctx,
                     "the added token '%.*s' has id %" PRId64 ", outside the %" PRId64 " tokens of the model, and is left out",
                     hf_shown(text), text.p, id, a->n);
            continue;
        }
        bool control = !by_text && (hf_json_flag(value, "special", false) || looks_special(text));
        SMELT_TRY(control || by_text ? keep(f, text, &a->text[id]) : plain_spaces(f, text, &a->text[id]));
        a->type[id] = control ? SMELT_TOKEN_CONTROL : SMELT_TOKEN_USER;
        a->score[id] = -1000.0f;
    }
    return SMELT_OK;
}

static smelt_status new_arrays(hf_files *f, int64_t n, spm_arrays *a)
{
    a->n = n;
    a->text = arena_calloc(&f->model->arena, (size_t)n, sizeof *a->text);
    a->score = arena_calloc(&f->model->arena, (size_t)n, sizeof *a->score);
    a->type = arena_calloc(&f->model->arena, (size_t)n, sizeof *a->type);
    return a->text && a->score && a->type ? SMELT_OK : smelt_oom(f->err);
}

static void use_arrays(smelt_vocab *v, const spm_arrays *a)
{
    v->kind = SMELT_VOCAB_SPM;
    v->pre = "default";
    v->n = (size_t)a->n;
    v->text = a->text;
    v->score = a->score;
    v->type = a->type;
}

static smelt_status read_spm(hf_files *f, const char *path, smelt_vocab *v)
{
    const char *data;
    size_t size;
    spm_model m;
    SMELT_TRY(file_read(&f->tmp, path, TOKENIZER_LIMIT, &data, &size, f->err));
    smelt_status st = spm_parse(&f->tmp, data, size, &m, f->err);
    if (st != SMELT_OK) {
        smelt_err_where(f->err, "%s", path);
        return st;
    }
    if (m.model_type != SPM_BPE) ctx_warn(f->ctx, "%s is not a BPE model: readers of GGUF will encode text in another way", path);
    int64_t n;
    spm_arrays a;
    SMELT_TRY(hf_count_tokens(f, m.n, &n));
    SMELT_TRY(new_arrays(f, n, &a));
    if ((int64_t)m.n > n) ctx_warn(f->ctx, "%s has %zu pieces, the model %" PRId64 ": the others are left out", path, m.n, n);
    for (int64_t i = 0; i < n; i++) {
        if (i >= (int64_t)m.n) {
            SMELT_TRY(hf_pad_token(f, i, &a.text[i]));
            a.score[i] = -10000.0f;
            a.type[i] = SMELT_TOKEN_UNUSED;
            continue;
        }
        const spm_piece *p = &m.pieces[i];
        SMELT_TRY(keep(f, p->text, &a.text[i]));
        a.score[i] = p->score;
        /* User-defined pieces count as normal ones in GGUF files. */
        a.type[i] = p->type == SPM_USER_DEFINED ? SMELT_TOKEN_NORMAL : p->type;
    }
    SMELT_TRY(override_spm(f, &a, f->added_tokens, true));
    SMELT_TRY(override_spm(f, &a, json_object_get(f->tokenizer_config, "added_tokens_decoder"), false));
    use_arrays(v, &a);
    return hf_read_special(f, v, n);
}

static bool is_byte_token(smelt_str s)
{
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' && strspn(s.p + 3, "0123456789abcdefABCDEF") >= 2;
}

/* True for the tokenizer.json that LLaMA 2 and its like have: BPE with byte fallback over SentencePiece's pieces. */
static bool is_llama_bpe(const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    smelt_str type, decoder;
    return hf_json_str(model, "type", &type) && str_eq(type, "BPE") && hf_json_flag(model, "byte_fallback", false) &&
           hf_json_str(json_object_get(tokenizer, "decoder"), "type", &decoder) && str_eq(decoder, "Sequence");
}

/* A SentencePiece vocabulary that only tokenizer.json carries: without scores. */
static smelt_status read_llama_bpe(hf_files *f, smelt_vocab *v)
{
    hf_tokens t = {.f = f, .ids.arena = &f->tmp, .added_at.arena = &f->tmp, .named_at.arena = &f->tmp, .max_added = -1};
    smelt_str class;
    /* What the LLaMA tokenizer's class takes as special when the files do not say. */
    if (hf_json_str(f->tokenizer_config, "tokenizer_class", &class) && wrapped(class, "LlamaTokenizer", "")) {
        static const char *const defaults[][2] = {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
        for (size_t i = 0; i < 3; i++)
            if (!json_object_get(f->tokenizer_config, defaults[i][0]))
                SMELT_TRY(note_text(&t, (smelt_str){defaults[i][1], strlen(defaults[i][1])}));
    }
    SMELT_TRY(read_base(&t, "tokenizer.json"));
    SMELT_TRY(read_added(&t));
    int64_t n = t.n_base;
    for (size_t i = 0; i < t.n_added; i++)
        if (t.added[i].id >= n) n = t.added[i].id + 1;
    if (n > t.n_base + (int64_t)t.n_added)
        return smelt_fail(f->err, SMELT_E_CORRUPT,
                          "tokenizer.json: the ids of added tokens leave gaps behind the %" PRId64 " tokens", t.n_base);
    spm_arrays a;
    SMELT_TRY(new_arrays(f, n, &a));
    for (size_t i = 0; i < f->bulk.n_words; i++) {
        const smelt_str text = f->bulk.words[i].text;
        const int64_t id = f->bulk.words[i].id;
        size_t at;
        if (id >= t.n_base || a.type[id])
            return smelt_fail(f->err, SMELT_E_CORRUPT, "tokenizer.json: the id %" PRId64 " of '%.*s' is %s", id, hf_shown(text),
                              text.p, id >= t.n_base ? "beyond the number of tokens" : "taken twice");
        SMELT_TRY(keep(f, text, &a.text[id]));
        a.type[id] = is_byte_token(text)                            ? SMELT_TOKEN_BYTE
                     : strmap_get(&t.named_at, text.p, text.n, &at) ? SMELT_TOKEN_CONTROL
                                                                    : SMELT_TOKEN_NORMAL;
    }
    for (size_t i = 0; i < t.n_added; i++) {
        const struct hf_added *add = &t.added[i];
        size_t at;
        if (add->id < t.n_base) continue;
        SMELT_TRY(keep(f, add->text, &a.text[add->id]));
        a.type[add->id] = strmap_get(&t.named_at, add->text.p, add->text.n, &at) ? SMELT_TOKEN_CONTROL : SMELT_TOKEN_USER;
    }
    for (int64_t i = 0; i < n; i++) {
        a.score[i] = -1000.0f;
        if (!a.type[i]) return smelt_fail(f->err, SMELT_E_CORRUPT, "tokenizer.json: no token has the id %" PRId64, i);
    }
    use_arrays(v, &a);
    return hf_read_special(f, v, n);
}

/* What llama.cpp adds for the classes of the LLaMA family, whatever the tokenizer. */
static bool is_llama_class(const hf_files *f)
{
    static const char *const names[] = {"LLaMAForCausalLM", "LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"};
    const json_t *class = json_array_get(json_object_get(f->model->config, "architectures"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_string(class) && strcmp(json_string_value(class), names[i]) == 0) return true;
    return false;
}

static void llama_rules(hf_files *f, smelt_vocab *v)
{
    enum { CODE_LLAMA = 32016, CODE_LLAMA_EOT = 32010, GRANITE = 49152 };
    int64_t n = hf_config_int(f, "vocab_size");
    if (n == CODE_LLAMA && v->special[SMELT_SP_EOT] < 0) {
        v->special[SMELT_SP_EOT] = CODE_LLAMA_EOT;
        vocab_fact(v, SMELT_FACT_SPECIAL, SMELT_SP_EOT);
    }
    if (n == GRANITE) {
        v->add_special[SMELT_SP_BOS] = 0;
        vocab_fact(v, SMELT_FACT_ADD, SMELT_SP_BOS);
    }
}

static smelt_status check_object(const hf_files *f, const json_t *value, const char *path)
{
    if (json_is_object(value)) return SMELT_OK;
    smelt_status st = smelt_fail(f->err, SMELT_E_CORRUPT, "the file is not a JSON object");
    smelt_err_where(f->err, "%s", path);
    return st;
}

static smelt_status load_optional(hf_files *f, const char *name, uint64_t limit, json_t **out)
{
    smelt_status st = SMELT_OK;
    const char *path = hf_file(f, name, &st);
    if (!path) return st;
    SMELT_TRY(smelt_json_load(path, limit, out, f->err));
    return check_object(f, *out, path);
}

static smelt_status load_tokenizer(hf_files *f)
{
    smelt_status st = SMELT_OK;
    const char *path = hf_file(f, "tokenizer.json", &st);
    if (!path) return st;
    SMELT_TRY(tok_bulk_load(path, TOKENIZER_LIMIT, &f->tmp, &f->tokenizer, &f->bulk, f->err));
    return check_object(f, f->tokenizer, path);
}

static smelt_status read_files(hf_files *f, smelt_vocab *v, bool *found)
{
    smelt_status st = SMELT_OK;
    SMELT_TRY(load_optional(f, "tokenizer_config.json", CONFIG_LIMIT, &f->tokenizer_config));
    SMELT_TRY(load_tokenizer(f));
    SMELT_TRY(load_optional(f, "special_tokens_map.json", CONFIG_LIMIT, &f->special_map));
    SMELT_TRY(load_optional(f, "added_tokens.json", CONFIG_LIMIT, &f->added_tokens));
    bool llama = is_llama_class(f);
    if (llama) {
        const json_t *space = json_object_get(f->tokenizer_config, "add_prefix_space");
        if (json_is_boolean(space)) v->add_space_prefix = json_is_true(space);
    }
    *found = true;
    const char *path = hf_file(f, "tokenizer.model", &st), *tiktoken = NULL;
    SMELT_TRY(st);
    for (size_t i = 0; !tiktoken && tiktoken_name(i); i++) {
        tiktoken = hf_file(f, tiktoken_name(i), &st);
        SMELT_TRY(st);
    }
    if (path) {
        SMELT_TRY(read_spm(f, path, v));
    } else if (f->tokenizer && is_llama_bpe(f->tokenizer)) {
        SMELT_TRY(read_llama_bpe(f, v));
    } else if (f->tokenizer) {
        SMELT_TRY(read_bpe(f, v));
    } else if (tiktoken) {
        SMELT_TRY(tiktoken_vocab(f, tiktoken, v));
    } else {
        json_t *vocab = NULL;
        path = hf_file(f, "vocab.json", &st);
        *found = path != NULL;
        if (path) st = tok_words_load(path, TOKENIZER_LIMIT, &f->tmp, &vocab, &f->bulk, f->err);
        if (path && st == SMELT_OK) st = read_bpe(f, v);
        json_decref(vocab);
        SMELT_TRY(st);
    }
    if (llama && *found) llama_rules(f, v);
    return SMELT_OK;
}

smelt_status hf_vocab_read(const smelt_ctx *ctx, const char *dir, smelt_model *model, smelt_err *err)
{
    hf_files f = {.ctx = ctx, .dir = dir, .model = model, .err = err};
    smelt_vocab *v = arena_calloc(&model->arena, 1, sizeof *v);
    if (!v) return smelt_oom(err);
    vocab_init(v);
    bool found = false;
    smelt_status st = read_files(&f, v, &found);
    if (st == SMELT_OK && found) model->vocab = v;
    json_decref(f.tokenizer);
    json_decref(f.tokenizer_config);
    json_decref(f.special_map);
    json_decref(f.added_tokens);
    arena_free(&f.tmp);
    return st;
}
