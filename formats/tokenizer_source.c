#include "tokenizer_source.h"

#include <dirent.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "spm.h"
#include "tokenizer_hf.h"
#include "tokenizer_json.h"

enum { FILE_LIMIT = 512 << 20, CONFIG_LIMIT = 64 << 20 };

/* ---- SentencePiece ---- */

smelt_status spm_desc(smelt_arena *arena, const void *data, size_t size, smelt_tok_desc *d, smelt_err *err)
{
    spm_model m;
    SMELT_TRY(spm_parse(arena, data, size, &m, err));
    if (m.model_type != SPM_BPE && m.model_type != SPM_UNIGRAM)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "SentencePiece model type %d is neither BPE nor unigram", m.model_type);
    bool bpe = m.model_type == SPM_BPE;
    *d = (smelt_tok_desc){.model = bpe ? SMELT_TOK_SCORES : SMELT_TOK_UNIGRAM,
                          .n = m.n,
                          .unk = -1,
                          .fuse_unk = true,
                          .byte_fallback = m.byte_fallback,
                          .float_scores = true};
    smelt_str *text = arena_calloc(arena, m.n, sizeof *text);
    double *score = arena_calloc(arena, m.n, sizeof *score);
    uint8_t *type = arena_calloc(arena, m.n, 1);
    if (!text || !score || !type) return smelt_oom(err);
    for (size_t i = 0; i < m.n; i++) {
        text[i] = m.pieces[i].text;
        score[i] = (double)m.pieces[i].score;
        type[i] = (uint8_t)m.pieces[i].type; /* the numbers are the same */
        if (type[i] == SMELT_TOKEN_UNKNOWN && d->unk < 0) d->unk = (int64_t)i;
    }
    d->text = text;
    d->score = score;
    d->type = type;
    d->unk_text = m.unk_text.p ? m.unk_text : (smelt_str){" \xE2\x81\x87 ", 5};
    smelt_tok_step *s = tok_step(arena, &d->normalizer, SMELT_TOK_SENTENCE);
    if (!s) return smelt_oom(err);
    s->a = m.charsmap;
    s->x = m.remove_extra_whitespaces;
    s->y = m.add_dummy_prefix;
    s->m = m.space_behind;
    if (m.byte_fallback && !tok_step(arena, &d->decoder, SMELT_TOK_DEC_BYTE_FALLBACK)) return smelt_oom(err);
    s = tok_step(arena, &d->decoder, SMELT_TOK_DEC_SENTENCE);
    if (!s) return smelt_oom(err);
    s->x = m.add_dummy_prefix;
    s->y = m.remove_extra_whitespaces;
    return SMELT_OK;
}

/* ---- tiktoken ---- */

static const char qwen_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Special tokens with their distance from the number of ordinary ones; "%d" stands for 0 to count - 1. Sources: Qwen's
 * tokenization_qwen.py, tiktoken's openai_public.py. */
static const struct {
    const char *name, *pattern;
    bool nfc;
    struct {
        const char *text;
        int at, count;
    } special[4];
} tiktokens[] = {
    {"qwen.tiktoken",
     qwen_pattern,
     true,
     {{"<|endoftext|>", 0, 1}, {"<|im_start|>", 1, 1}, {"<|im_end|>", 2, 1}, {"<|extra_%d|>", 3, 205}}},
    {"o200k_base.tiktoken", o200k_pattern, false, {{"<|endoftext|>", 1, 1}, {"<|endofprompt|>", 20, 1}}},
};

static int sextet(char c)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(set, c) : NULL;
    return at ? (int)(at - set) : -1;
}

/* A line: the token in base64, a space, its rank. */
static smelt_status tiktoken_line(const char *p, size_t n, size_t line, smelt_buf *token, size_t *rank, smelt_err *err)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t i = 0;
    for (; i < n && sextet(p[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)sextet(p[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            tok_put_byte(token, (uint8_t)(bits >> have));
        }
    }
    while (i < n && p[i] == '=')
        i++;
    bool ok = token->size && i < n && p[i] == ' ' && i + 1 < n;
    *rank = 0;
    for (i++; ok && i < n; i++) {
        ok = p[i] >= '0' && p[i] <= '9' && *rank < INT32_MAX / 10;
        *rank = *rank * 10 + (size_t)(p[i] - '0');
    }
    return ok ? SMELT_OK : smelt_fail(err, SMELT_E_CORRUPT, "line %zu is not a token in base64 and its rank", line);
}

smelt_status tiktoken_desc(smelt_arena *arena, const char *name, const char *data, size_t size, smelt_tok_desc *d, smelt_err *err)
{
    size_t kind = 0, kinds = sizeof tiktokens / sizeof *tiktokens;
    while (kind < kinds && strcmp(tiktokens[kind].name, name) != 0)
        kind++;
    if (kind == kinds)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "a tiktoken file does not say how text is cut; known by name are %s and %s",
                          tiktokens[0].name, tiktokens[1].name);
    *d = (smelt_tok_desc){.model = SMELT_TOK_SCORES, .unk = -1, .ignore_merges = true};
    size_t tokens = 0, n_special = 0, line = 0;
    for (size_t i = 0; i < size; i++)
        tokens += data[i] == '\n' || i + 1 == size;
    for (size_t i = 0; i < 4; i++)
        if (tiktokens[kind].special[i].text) n_special += (size_t)tiktokens[kind].special[i].count;
    size_t room = tokens + 256;
    smelt_str *text = arena_calloc(arena, room + n_special, sizeof *text);
    double *score = arena_calloc(arena, room + n_special, sizeof *score);
    smelt_tok_added *added = arena_calloc(arena, n_special, sizeof *added);
    if (!text || !score || !added) return smelt_oom(err);
    smelt_buf token = {0};
    smelt_status st = SMELT_OK;
    for (const char *p = data, *end = data + size; st == SMELT_OK && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p), rank;
        if (n && p[n - 1] == '\r') n--;
        token.size = 0;
        if (n) st = tiktoken_line(p, n, line + 1, &token, &rank, err);
        if (n && st == SMELT_OK && (rank >= tokens || text[rank].p))
            st = smelt_fail(err, SMELT_E_CORRUPT, "line %zu has a rank that is taken or beyond the number of lines", line + 1);
        if (n && st == SMELT_OK) {
            text[rank] = (smelt_str){arena_strndup(arena, (const char *)token.data, token.size), token.size};
            if (!text[rank].p || token.failed) st = smelt_oom(err);
            score[rank] = -(double)rank;
            if (rank >= d->n) d->n = rank + 1;
        }
        p = stop ? stop + 1 : end;
    }
    buf_free(&token);
    SMELT_TRY(st);
    size_t base = d->n;
    for (size_t i = 0; i < 4; i++)
        for (int k = 0; tiktokens[kind].special[i].text && k < tiktokens[kind].special[i].count; k++) {
            const char *form = tiktokens[kind].special[i].text, *number = strstr(form, "%d");
            char *s =
                number ? arena_printf(arena, "%.*s%d%s", (int)(number - form), form, k, number + 2) : arena_strdup(arena, form);
            size_t id = base + (size_t)(tiktokens[kind].special[i].at + k);
            if (!s) return smelt_oom(err);
            added[d->n_added++] = (smelt_tok_added){.text = {s, strlen(s)}, .id = (int32_t)id, .special = true};
            if (id >= d->n) d->n = id + 1;
        }
    d->text = text;
    d->score = score;
    d->added = added;
    if (tiktokens[kind].nfc && !tok_step(arena, &d->normalizer, SMELT_TOK_NFC)) return smelt_oom(err);
    smelt_tok_step *s = tok_step(arena, &d->pretokenizer, SMELT_TOK_SPLIT_RE);
    if (!s) return smelt_oom(err);
    s->a = (smelt_str){tiktokens[kind].pattern, strlen(tiktokens[kind].pattern)};
    s->behavior = SMELT_TOK_ISOLATED;
    if (!tok_step(arena, &d->pretokenizer, SMELT_TOK_BYTES) || !tok_step(arena, &d->decoder, SMELT_TOK_DEC_BYTES))
        return smelt_oom(err);
    return SMELT_OK;
}

/* ---- files ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static smelt_status read_json(hf_tokenizer *t, const char *path, smelt_err *err)
{
    json_t *root = NULL;
    SMELT_TRY(smelt_json_load(path, FILE_LIMIT, &root, err));
    t->json = root;
    return tokenizer_json_desc(&t->arena, root, &t->desc, err);
}

/* The added tokens that the files beside a tokenizer.model name, and what they put around a text. */
static smelt_status read_spm_config(hf_tokenizer *t, const char *dir, smelt_err *err)
{
    smelt_tok_desc *d = &t->desc;
    const char *path = path_join(&t->arena, dir, "tokenizer_config.json");
    if (!path) return smelt_oom(err);
    json_t *config = NULL, *entry;
    const char *key;
    if (path_exists(path)) SMELT_TRY(smelt_json_load(path, CONFIG_LIMIT, &config, err));
    t->json = config;
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    smelt_tok_added *added = arena_calloc(&t->arena, json_object_size(decoder) + d->n, sizeof *added);
    if (!added) return smelt_oom(err);
    json_object_foreach(decoder, key, entry)
    {
        smelt_tok_added *a = &added[d->n_added];
        int64_t id = 0;
        const char *c = key;
        for (; *c >= '0' && *c <= '9' && id < INT32_MAX / 10 - 1; c++)
            id = id * 10 + (*c - '0');
        if (!hf_json_str(entry, "content", &a->text) || !a->text.n || *c || (size_t)id >= d->n) continue;
        a->id = (int32_t)id;
        a->special = json_is_true(json_object_get(entry, "special"));
        a->lstrip = json_is_true(json_object_get(entry, "lstrip"));
        a->rstrip = json_is_true(json_object_get(entry, "rstrip"));
        a->single_word = json_is_true(json_object_get(entry, "single_word"));
        d->n_added++;
    }
    /* Without a list, the model's own control tokens. */
    for (size_t i = 0; !decoder && i < d->n; i++)
        if (d->type[i] == SMELT_TOKEN_CONTROL)
            added[d->n_added++] = (smelt_tok_added){.text = d->text[i], .id = (int32_t)i, .special = true};
    d->added = added;
    bool legacy = !json_is_false(json_object_get(config, "legacy"));
    d->normalizer.step[0].n = legacy ? 0 : 1;
    static const struct {
        const char *token, *add, *otherwise;
        bool behind, by_default;
    } frame[] = {{"bos_token", "add_bos_token", "<s>", false, true}, {"eos_token", "add_eos_token", "</s>", true, false}};
    for (size_t k = 0; k < 2; k++) {
        const json_t *add = json_object_get(config, frame[k].add);
        smelt_str token;
        if (!(json_is_boolean(add) ? json_is_true(add) : frame[k].by_default)) continue;
        if (!hf_token_text(json_object_get(config, frame[k].token), &token))
            token = (smelt_str){frame[k].otherwise, strlen(frame[k].otherwise)};
        for (size_t i = 0; i < d->n; i++) {
            if (d->text[i].n != token.n || memcmp(d->text[i].p, token.p, token.n) != 0) continue;
            if (frame[k].behind)
                d->after[d->n_after++] = (int32_t)i;
            else
                d->before[d->n_before++] = (int32_t)i;
            break;
        }
    }
    return SMELT_OK;
}

static smelt_status read_spm(hf_tokenizer *t, const char *path, const char *dir, smelt_err *err)
{
    const char *data;
    size_t size;
    SMELT_TRY(file_read(&t->arena, path, FILE_LIMIT, &data, &size, err));
    SMELT_TRY(spm_desc(&t->arena, data, size, &t->desc, err));
    return dir ? read_spm_config(t, dir, err) : SMELT_OK;
}

static smelt_status read_tiktoken(hf_tokenizer *t, const char *path, smelt_err *err)
{
    const char *data, *name = path_base(&t->arena, path);
    size_t size;
    if (!name) return smelt_oom(err);
    SMELT_TRY(file_read(&t->arena, path, FILE_LIMIT, &data, &size, err));
    return tiktoken_desc(&t->arena, name, data, size, &t->desc, err);
}

static smelt_status read_vocab(hf_tokenizer *t, const smelt_ctx *ctx, const char *dir, smelt_err *err)
{
    SMELT_TRY(hf_vocab_read(ctx, dir, &t->model, err));
    if (!t->model.vocab) return SMELT_OK;
    return tok_desc_from_vocab(&t->arena, t->model.vocab, true, &t->desc, err);
}

/* The first *.tiktoken file of a directory by name; NULL: none. */
static smelt_status find_tiktoken(hf_tokenizer *t, const char *dir, const char **out, smelt_err *err)
{
    *out = NULL;
    DIR *d = opendir(dir);
    if (!d) return smelt_fail_errno(err, "%s", dir);
    const char *best = NULL;
    bool ok = true;
    for (const struct dirent *e; ok && (e = readdir(d));) {
        if (!ends_with(e->d_name, ".tiktoken") || (best && strcmp(best, e->d_name) <= 0)) continue;
        best = arena_strdup(&t->arena, e->d_name);
        ok = best != NULL;
    }
    closedir(d);
    if (ok && best) ok = (*out = path_join(&t->arena, dir, best)) != NULL;
    return ok ? SMELT_OK : smelt_oom(err);
}

static smelt_status read_dir(hf_tokenizer *t, const smelt_ctx *ctx, const char *dir, bool *found, smelt_err *err)
{
    const char *json = path_join(&t->arena, dir, "tokenizer.json"), *spm = path_join(&t->arena, dir, "tokenizer.model"), *tiktoken;
    if (!json || !spm) return smelt_oom(err);
    *found = true;
    if (path_exists(json)) {
        smelt_status st = read_json(t, json, err);
        if (st != SMELT_OK && err && !err->where[0]) smelt_err_where(err, "%s", json);
        return st;
    }
    if (path_exists(spm)) return read_spm(t, spm, dir, err);
    SMELT_TRY(find_tiktoken(t, dir, &tiktoken, err));
    if (tiktoken) return read_tiktoken(t, tiktoken, err);
    SMELT_TRY(read_vocab(t, ctx, dir, err));
    *found = t->model.vocab != NULL;
    return SMELT_OK;
}

smelt_status hf_tokenizer_read(const smelt_ctx *ctx, const char *path, hf_tokenizer *t, bool *found, smelt_err *err)
{
    *t = (hf_tokenizer){0};
    model_init(&t->model);
    if (path_is_dir(path)) return read_dir(t, ctx, path, found, err);
    *found = true;
    smelt_status st = SMELT_OK;
    if (ends_with(path, ".json") && !ends_with(path, ".index.json"))
        st = read_json(t, path, err);
    else if (ends_with(path, ".model"))
        st = read_spm(t, path, NULL, err);
    else if (ends_with(path, ".tiktoken"))
        st = read_tiktoken(t, path, err);
    else
        *found = false;
    if (st != SMELT_OK && err && !err->where[0]) smelt_err_where(err, "%s", path);
    return st;
}

void hf_tokenizer_free(hf_tokenizer *t)
{
    json_decref(t->json);
    model_free(&t->model);
    arena_free(&t->arena);
}
