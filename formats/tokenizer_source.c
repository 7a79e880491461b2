#include "tokenizer_source.h"

#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "spm.h"
#include "tiktoken.h"
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

/* ---- files ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static smelt_status read_json(hf_tokenizer *t, const char *path, smelt_err *err)
{
    json_t *root = NULL;
    tok_bulk bulk;
    smelt_status st = tok_bulk_load(path, FILE_LIMIT, &t->arena, &root, &bulk, err);
    t->json = root;
    return st == SMELT_OK ? tokenizer_json_desc(&t->arena, root, &bulk, &t->desc, err) : st;
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

/* What config.json says about a tokenizer without a tokenizer.json. */
static smelt_status read_kind(hf_tokenizer *t, const char *dir, smelt_err *err)
{
    static const char *const keys[] = {"tokenizer_class", "model_type"};
    const char *path = path_join(&t->arena, dir, "config.json");
    json_t *config = NULL;
    if (!path) return smelt_oom(err);
    if (!path_exists(path)) return SMELT_OK;
    SMELT_TRY(smelt_json_load(path, CONFIG_LIMIT, &config, err));
    json_t *kind = json_object();
    int bad = !kind;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(config, keys[i]);
        if (value) bad |= json_object_set(kind, keys[i], value);
    }
    json_decref(config);
    t->model.config = kind;
    return bad ? smelt_oom(err) : SMELT_OK;
}

static smelt_status read_vocab(hf_tokenizer *t, const smelt_ctx *ctx, const char *dir, smelt_err *err)
{
    SMELT_TRY(read_kind(t, dir, err));
    SMELT_TRY(hf_vocab_read(ctx, dir, &t->model, err));
    if (!t->model.vocab) return SMELT_OK;
    return tok_desc_from_vocab(&t->arena, t->model.vocab, true, &t->desc, err);
}

/* The directory that has the checkpoint's tokenizer; `dir` where none has. */
static smelt_status tokenizer_dir(hf_tokenizer *t, const char **dir, smelt_err *err)
{
    const char *path = path_join(&t->arena, *dir, "config.json"), *at;
    json_t *config;
    if (!path) return smelt_oom(err);
    if (hf_has_tokenizer(*dir) || !path_exists(path)) return SMELT_OK;
    SMELT_TRY(smelt_json_load(path, CONFIG_LIMIT, &config, err));
    smelt_status st = hf_tokenizer_dir(&t->arena, *dir, config, &at, err);
    json_decref(config);
    if (st == SMELT_OK && at) *dir = at;
    return st;
}

static smelt_status read_dir(hf_tokenizer *t, const smelt_ctx *ctx, const char *dir, bool *found, smelt_err *err)
{
    SMELT_TRY(tokenizer_dir(t, &dir, err));
    const char *json = path_join(&t->arena, dir, "tokenizer.json"), *spm = path_join(&t->arena, dir, "tokenizer.model");
    if (!json || !spm) return smelt_oom(err);
    *found = true;
    if (path_exists(json)) {
        smelt_status st = read_json(t, json, err);
        if (st != SMELT_OK && err && !err->where[0]) smelt_err_where(err, "%s", json);
        return st;
    }
    if (path_exists(spm)) return read_spm(t, spm, dir, err);
    for (size_t i = 0; tiktoken_name(i); i++) {
        const char *tiktoken = path_join(&t->arena, dir, tiktoken_name(i));
        if (!tiktoken) return smelt_oom(err);
        if (!path_exists(tiktoken)) continue;
        smelt_status st = read_tiktoken(t, tiktoken, err);
        if (st != SMELT_OK && err && !err->where[0]) smelt_err_where(err, "%s", tiktoken);
        return st;
    }
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
