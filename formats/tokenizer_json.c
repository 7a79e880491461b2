#include "tokenizer_json.h"

#include <string.h>

enum { DEPTH = 8, PAD_FACTOR = 4, PAD_FREE = 1 << 16 };

typedef struct tj_reader {
    smelt_arena *arena;
    const tok_bulk *bulk;
    smelt_tok_desc *d;
    smelt_err *err;
    smelt_strmap ids; /* of the model's tokens */
} tj_reader;

/* How much of a token's text a message shows. */
static int shown(smelt_str s) { return (int)(s.n < 80 ? s.n : 80); }

static bool get_str(const json_t *object, const char *key, smelt_str *out)
{
    const json_t *s = json_object_get(object, key);
    if (!json_is_string(s)) return false;
    *out = (smelt_str){json_string_value(s), json_string_length(s)};
    return true;
}

static bool get_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static smelt_status strange(const tj_reader *r, const json_t *part, const char *what)
{
    smelt_str type = {"?", 1};
    get_str(part, "type", &type);
    return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "the %s '%.*s' is not supported", what, (int)(type.n < 60 ? type.n : 60),
                      type.p);
}

/* ---- steps ---- */

static bool get_behavior(const json_t *part, smelt_tok_behavior *out)
{
    static const char *const names[] = {[SMELT_TOK_REMOVED] = "Removed",
                                        [SMELT_TOK_ISOLATED] = "Isolated",
                                        [SMELT_TOK_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [SMELT_TOK_MERGED_WITH_NEXT] = "MergedWithNext",
                                        [SMELT_TOK_CONTIGUOUS] = "Contiguous"};
    smelt_str name;
    if (!get_str(part, "behavior", &name)) return false;
    for (int i = 0; i <= SMELT_TOK_CONTIGUOUS; i++)
        if (str_eq(name, names[i])) {
            *out = (smelt_tok_behavior)i;
            return true;
        }
    return false;
}

static smelt_tok_scheme get_scheme(const json_t *part)
{
    smelt_str name;
    if (!get_str(part, "prepend_scheme", &name))
        return get_bool(part, "add_prefix_space", true) ? SMELT_TOK_ALWAYS : SMELT_TOK_NEVER;
    return str_eq(name, "first") ? SMELT_TOK_FIRST : str_eq(name, "never") ? SMELT_TOK_NEVER : SMELT_TOK_ALWAYS;
}

/* The pattern of Split and Replace: {"String": …} or {"Regex": …}. */
static bool get_pattern(const json_t *part, bool *regex, smelt_str *out)
{
    const json_t *p = json_object_get(part, "pattern");
    *regex = false;
    if (get_str(p, "String", out)) return true;
    *regex = true;
    return get_str(p, "Regex", out);
}

static bool fill_replace(const json_t *part, smelt_tok_step *s)
{
    bool regex;
    if (!get_pattern(part, &regex, &s->a) || !get_str(part, "content", &s->b)) return false;
    if (regex) s->op = SMELT_TOK_REPLACE_RE;
    return true;
}
static bool fill_prepend(const json_t *part, smelt_tok_step *s) { return get_str(part, "prepend", &s->a); }
static bool fill_strip(const json_t *part, smelt_tok_step *s)
{
    s->x = get_bool(part, "strip_left", true);
    s->y = get_bool(part, "strip_right", true);
    return true;
}
static bool fill_bytes(const json_t *part, smelt_tok_step *s)
{
    s->x = get_bool(part, "add_prefix_space", true);
    s->y = get_bool(part, "use_regex", true);
    return true;
}
static bool fill_split(const json_t *part, smelt_tok_step *s)
{
    bool regex;
    s->x = get_bool(part, "invert", false);
    if (!get_pattern(part, &regex, &s->a)) return false;
    if (regex) s->op = SMELT_TOK_SPLIT_RE;
    return get_behavior(part, &s->behavior);
}
static bool fill_digits(const json_t *part, smelt_tok_step *s)
{
    s->x = get_bool(part, "individual_digits", false);
    return true;
}
static bool fill_punctuation(const json_t *part, smelt_tok_step *s)
{
    s->behavior = SMELT_TOK_ISOLATED;
    return !json_object_get(part, "behavior") || get_behavior(part, &s->behavior);
}
static bool fill_metaspace(const json_t *part, smelt_tok_step *s)
{
    s->scheme = get_scheme(part);
    s->x = get_bool(part, "split", true);
    return get_str(part, "replacement", &s->a) && s->a.n;
}
static bool fill_dec_replace(const json_t *part, smelt_tok_step *s)
{
    bool regex;
    return get_pattern(part, &regex, &s->a) && !regex && get_str(part, "content", &s->b);
}
static bool fill_dec_strip(const json_t *part, smelt_tok_step *s)
{
    const json_t *start = json_object_get(part, "start"), *stop = json_object_get(part, "stop");
    if (!json_is_integer(start) || !json_is_integer(stop) || json_integer_value(start) < 0 || json_integer_value(stop) < 0 ||
        json_integer_value(start) > INT32_MAX || json_integer_value(stop) > INT32_MAX)
        return false;
    s->n = (uint32_t)json_integer_value(start);
    s->m = (uint32_t)json_integer_value(stop);
    return get_str(part, "content", &s->a);
}

typedef struct step_kind {
    const char *type;
    smelt_tok_op op;
    bool (*fill)(const json_t *part, smelt_tok_step *step);
} step_kind;

static const step_kind normalizers[] = {
    {"NFC", SMELT_TOK_NFC, NULL},
    {"NFD", SMELT_TOK_NFD, NULL},
    {"NFKC", SMELT_TOK_NFKC, NULL},
    {"NFKD", SMELT_TOK_NFKD, NULL},
    {"Lowercase", SMELT_TOK_LOWERCASE, NULL},
    {"StripAccents", SMELT_TOK_STRIP_ACCENTS, NULL},
    {"Prepend", SMELT_TOK_PREPEND, fill_prepend},
    {"Replace", SMELT_TOK_REPLACE, fill_replace},
    {"Strip", SMELT_TOK_STRIP, fill_strip},
    {0},
};
static const step_kind pretokenizers[] = {
    {"ByteLevel", SMELT_TOK_BYTES, fill_bytes},
    {"Split", SMELT_TOK_SPLIT, fill_split},
    {"Digits", SMELT_TOK_DIGITS, fill_digits},
    {"Punctuation", SMELT_TOK_PUNCTUATION, fill_punctuation},
    {"Metaspace", SMELT_TOK_METASPACE, fill_metaspace},
    {"Whitespace", SMELT_TOK_WHITESPACE, NULL},
    {"WhitespaceSplit", SMELT_TOK_WHITESPACE_SPLIT, NULL},
    {0},
};
static const step_kind decoders[] = {
    {"ByteLevel", SMELT_TOK_DEC_BYTES, NULL},
    {"ByteFallback", SMELT_TOK_DEC_BYTE_FALLBACK, NULL},
    {"Fuse", SMELT_TOK_DEC_FUSE, NULL},
    {"Strip", SMELT_TOK_DEC_STRIP, fill_dec_strip},
    {"Replace", SMELT_TOK_DEC_REPLACE, fill_dec_replace},
    {"Metaspace", SMELT_TOK_DEC_METASPACE, fill_metaspace},
    {0},
};

static smelt_status read_steps(const tj_reader *r, const json_t *part, const step_kind *kinds, const char *list, const char *what,
                               smelt_tok_steps *out, int depth)
{
    smelt_str type;
    if (!part || json_is_null(part)) return SMELT_OK;
    if (!get_str(part, "type", &type) || depth > DEPTH) return strange(r, part, what);
    if (str_eq(type, "Sequence")) {
        const json_t *item;
        size_t i;
        json_array_foreach(json_object_get(part, list), i, item) SMELT_TRY(read_steps(r, item, kinds, list, what, out, depth + 1));
        return SMELT_OK;
    }
    for (; kinds->type; kinds++) {
        if (!str_eq(type, kinds->type)) continue;
        smelt_tok_step *step = tok_step(r->arena, out, kinds->op);
        if (!step) return smelt_oom(r->err);
        if (kinds->fill && !kinds->fill(part, step))
            return smelt_fail(r->err, SMELT_E_CORRUPT, "the %s %s lacks what it needs or has it in another form", what,
                              kinds->type);
        return SMELT_OK;
    }
    return strange(r, part, what);
}

/* ---- the model ---- */

/* Ids below *n; large gaps would make a small file cost much memory. */
static smelt_status check_id(const tj_reader *r, int64_t v, size_t tokens, smelt_str key, size_t *n)
{
    if (v < 0 || (uint64_t)v >= (uint64_t)tokens * PAD_FACTOR + PAD_FREE)
        return smelt_fail(r->err, SMELT_E_CORRUPT, "the token '%.*s' has no id or one out of range", shown(key), key.p);
    if ((size_t)v >= *n) *n = (size_t)v + 1;
    return SMELT_OK;
}

static smelt_status read_vocab(tj_reader *r, const json_t *vocab, const json_t *added)
{
    smelt_tok_desc *d = r->d;
    const tok_bulk *b = r->bulk;
    size_t tokens = b->n_words + json_array_size(vocab) + json_array_size(added), i;
    const json_t *item;
    for (i = 0; i < b->n_words; i++)
        SMELT_TRY(check_id(r, b->words[i].id, tokens, b->words[i].text, &d->n));
    if (json_array_size(vocab) > d->n) d->n = json_array_size(vocab);
    json_array_foreach(added, i, item)
    {
        const json_t *id = json_object_get(item, "id");
        static const smelt_str which = {"of added_tokens", 15};
        SMELT_TRY(check_id(r, json_is_integer(id) ? json_integer_value(id) : -1, tokens, which, &d->n));
    }
    smelt_str *text = arena_calloc(r->arena, d->n, sizeof *text);
    double *score = arena_calloc(r->arena, d->n, sizeof *score);
    if (!text || !score) return smelt_oom(r->err);
    for (i = 0; i < b->n_words; i++) {
        const smelt_str s = b->words[i].text;
        const size_t id = (size_t)b->words[i].id;
        if (text[id].p)
            return smelt_fail(r->err, SMELT_E_CORRUPT, "the tokens '%.*s' and '%.*s' have the same id %zu", shown(text[id]),
                              text[id].p, shown(s), s.p, id);
        text[id] = s;
    }
    json_array_foreach(vocab, i, item)
    {
        const json_t *piece = json_array_get(item, 0), *s = json_array_get(item, 1);
        if (!json_is_string(piece) || !json_is_number(s))
            return smelt_fail(r->err, SMELT_E_CORRUPT, "entry %zu of the vocabulary is not a text and a score", i);
        text[i] = (smelt_str){json_string_value(piece), json_string_length(piece)};
        score[i] = json_number_value(s);
    }
    for (i = 0; i < d->n; i++) {
        bool fresh = true;
        if (text[i].p && !strmap_add(&r->ids, text[i].p, text[i].n, i, &fresh)) return smelt_oom(r->err);
        if (!fresh && b->n_words)
            return smelt_fail(r->err, SMELT_E_CORRUPT, "the token '%.*s' is there twice", shown(text[i]), text[i].p);
    }
    d->text = text;
    d->score = score;
    return SMELT_OK;
}

static smelt_status read_merges(tj_reader *r)
{
    const tok_bulk *b = r->bulk;
    smelt_tok_merge *merges = b->merges;
    if (!b->pairs) {
        merges = arena_calloc(r->arena, b->n_merges, sizeof *merges);
        if (!merges) return smelt_oom(r->err);
    }
    for (size_t i = 0; i < b->n_merges && !b->pairs; i++) {
        const smelt_str s = b->merges[i].left;
        const char *space = memchr(s.p, ' ', s.n);
        if (!space) return smelt_fail(r->err, SMELT_E_CORRUPT, "merge %zu is not two tokens", i);
        const size_t left = (size_t)(space - s.p);
        merges[i] = (smelt_tok_merge){{s.p, left}, {space + 1, s.n - left - 1}};
    }
    r->d->merges = merges;
    r->d->n_merges = b->n_merges;
    return SMELT_OK;
}

static bool empty_text(const json_t *model, const char *key)
{
    smelt_str s;
    return !get_str(model, key, &s) || !s.n;
}

static smelt_status read_model(tj_reader *r, const json_t *root)
{
    smelt_tok_desc *d = r->d;
    const json_t *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    smelt_str type = {0}, unk;
    get_str(model, "type", &type);
    bool bpe = type.p ? str_eq(type, "BPE") : json_is_array(json_object_get(model, "merges"));
    bool unigram = type.p ? str_eq(type, "Unigram") : json_is_array(vocab);
    if (!bpe && !unigram) return strange(r, model, "model");
    if (bpe ? !json_is_object(vocab) : !json_is_array(vocab))
        return smelt_fail(r->err, SMELT_E_CORRUPT, "the vocabulary is missing or of another form");
    SMELT_TRY(read_vocab(r, vocab, json_object_get(root, "added_tokens")));
    d->model = bpe ? SMELT_TOK_MERGES : SMELT_TOK_UNIGRAM;
    d->byte_fallback = get_bool(model, "byte_fallback", false);
    d->unk = -1;
    if (unigram) {
        const json_t *id = json_object_get(model, "unk_id");
        d->fuse_unk = true;
        if (json_is_integer(id)) {
            if (json_integer_value(id) < 0 || (size_t)json_integer_value(id) >= json_array_size(vocab))
                return smelt_fail(r->err, SMELT_E_CORRUPT, "unk_id is outside the vocabulary");
            d->unk = (int64_t)json_integer_value(id);
        }
        return SMELT_OK;
    }
    if (!empty_text(model, "continuing_subword_prefix") || !empty_text(model, "end_of_word_suffix"))
        return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "marks at the beginning or end of words are not supported");
    d->fuse_unk = get_bool(model, "fuse_unk", false);
    d->ignore_merges = get_bool(model, "ignore_merges", false);
    if (get_str(model, "unk_token", &unk)) {
        size_t id;
        if (strmap_get(&r->ids, unk.p, unk.n, &id)) d->unk = (int64_t)id;
    }
    return read_merges(r);
}

static smelt_status read_added(const tj_reader *r, const json_t *list)
{
    size_t i, n = 0;
    const json_t *item;
    smelt_tok_added *added = arena_calloc(r->arena, json_array_size(list), sizeof *added);
    if (!added) return smelt_oom(r->err);
    json_array_foreach(list, i, item)
    {
        smelt_tok_added *a = &added[n];
        if (!get_str(item, "content", &a->text)) return smelt_fail(r->err, SMELT_E_CORRUPT, "added token %zu has no content", i);
        if (!a->text.n) continue;
        a->id = (int32_t)json_integer_value(json_object_get(item, "id"));
        a->special = get_bool(item, "special", false);
        a->normalized = get_bool(item, "normalized", !a->special);
        a->lstrip = get_bool(item, "lstrip", false);
        a->rstrip = get_bool(item, "rstrip", false);
        a->single_word = get_bool(item, "single_word", false);
        n++;
    }
    r->d->added = added;
    r->d->n_added = n;
    return SMELT_OK;
}

/* ---- what stands around a text ---- */

static smelt_status put_frame(const tj_reader *r, bool behind, json_int_t id)
{
    smelt_tok_desc *d = r->d;
    size_t *n = behind ? &d->n_after : &d->n_before;
    if (*n == SMELT_TOK_MAX_FRAME)
        return smelt_fail(r->err, SMELT_E_LIMIT, "more than %d tokens around a text", SMELT_TOK_MAX_FRAME);
    if (id < 0 || id > INT32_MAX) return smelt_fail(r->err, SMELT_E_CORRUPT, "the post_processor has an id out of range");
    (behind ? d->after : d->before)[(*n)++] = (int32_t)id;
    return SMELT_OK;
}

static smelt_status read_template(const tj_reader *r, const json_t *part)
{
    size_t i, k;
    const json_t *item, *id, *single = json_object_get(part, "single");
    bool behind = false;
    json_array_foreach(single, i, item)
    {
        const json_t *token = json_object_get(item, "SpecialToken");
        smelt_str name;
        if (!token) {
            behind = true;
            continue;
        }
        if (!get_str(token, "id", &name)) return smelt_fail(r->err, SMELT_E_CORRUPT, "a special token has no id");
        const json_t *ids = json_object_get(json_object_get(json_object_get(part, "special_tokens"), name.p), "ids");
        json_array_foreach(ids, k, id) SMELT_TRY(put_frame(r, behind, json_is_integer(id) ? json_integer_value(id) : -1));
    }
    return SMELT_OK;
}

static smelt_status read_post(const tj_reader *r, const json_t *part, int depth)
{
    smelt_str type;
    if (!part || json_is_null(part)) return SMELT_OK;
    if (!get_str(part, "type", &type) || depth > DEPTH) return strange(r, part, "post_processor");
    if (str_eq(type, "Sequence")) {
        size_t i;
        const json_t *item;
        json_array_foreach(json_object_get(part, "processors"), i, item) SMELT_TRY(read_post(r, item, depth + 1));
        return SMELT_OK;
    }
    if (str_eq(type, "ByteLevel")) return SMELT_OK; /* moves offsets only */
    if (str_eq(type, "TemplateProcessing")) return read_template(r, part);
    if (str_eq(type, "RobertaProcessing") || str_eq(type, "BertProcessing")) {
        const json_t *cls = json_array_get(json_object_get(part, "cls"), 1), *sep = json_array_get(json_object_get(part, "sep"), 1);
        SMELT_TRY(put_frame(r, false, json_is_integer(cls) ? json_integer_value(cls) : -1));
        return put_frame(r, true, json_is_integer(sep) ? json_integer_value(sep) : -1);
    }
    return strange(r, part, "post_processor");
}

smelt_status tokenizer_json_desc(smelt_arena *arena, const json_t *root, const tok_bulk *bulk, smelt_tok_desc *out, smelt_err *err)
{
    *out = (smelt_tok_desc){.unk = -1};
    tj_reader r = {.arena = arena, .bulk = bulk, .d = out, .err = err, .ids.arena = arena};
    if (!json_is_object(root)) return smelt_fail(err, SMELT_E_CORRUPT, "the file is not a JSON object");
    SMELT_TRY(read_model(&r, root));
    SMELT_TRY(read_added(&r, json_object_get(root, "added_tokens")));
    SMELT_TRY(read_steps(&r, json_object_get(root, "normalizer"), normalizers, "normalizers", "normalizer", &out->normalizer, 0));
    SMELT_TRY(read_steps(&r, json_object_get(root, "pre_tokenizer"), pretokenizers, "pretokenizers", "pre_tokenizer",
                         &out->pretokenizer, 0));
    SMELT_TRY(read_steps(&r, json_object_get(root, "decoder"), decoders, "decoders", "decoder", &out->decoder, 0));
    return read_post(&r, json_object_get(root, "post_processor"), 0);
}
