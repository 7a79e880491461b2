#include "gguf_vocab.h"

#include <string.h>

#include "base/bytes.h"

static const struct {
    const char *gguf;
    bool written;
} specials[SMELT_SP_COUNT] = {
#define SMELT_SPECIAL(id, hf, gguf, written) [SMELT_SP_##id] = {"tokenizer.ggml." gguf "_token_id", (written)},
#include "vocab/special.def"
#undef SMELT_SPECIAL
};

static const char *const add_keys[SMELT_SP_COUNT] = {
#define SMELT_SPECIAL(id, hf, gguf, written) [SMELT_SP_##id] = "tokenizer.ggml.add_" hf "_token",
#include "vocab/special.def"
#undef SMELT_SPECIAL
};

static const char *const models[] = {[SMELT_VOCAB_BPE] = "gpt2", [SMELT_VOCAB_SPM] = "llama"};

static const char lowercase_key[] = "tokenizer.ggml.normalizer.lowercase";
static const char strip_accents_key[] = "tokenizer.ggml.normalizer.strip_accents";
static const char template_key[] = "tokenizer.chat_template";

static bool put_array(smelt_meta *meta, const char *key, smelt_kv_type type, const void *data, size_t n)
{
    return meta_set(meta, &(smelt_kv){.key = key, .type = SMELT_KV_ARRAY, .v.a = {type, n, data}});
}

/* The named templates in their order, the list of their names, and the default one last. */
static bool put_templates(const smelt_vocab *v, smelt_meta *meta)
{
    smelt_str *names = arena_calloc(meta->arena, v->n_templates, sizeof *names);
    if (!names) return false;
    size_t n = 0;
    for (size_t i = 0; i < v->n_templates; i++) {
        const smelt_template *t = &v->templates[i];
        if (!t->name) continue;
        char *key = arena_printf(meta->arena, "%s.%s", template_key, t->name);
        if (!key || !meta_str(meta, key, t->text.p, t->text.n)) return false;
        names[n++] = (smelt_str){t->name, strlen(t->name)};
    }
    if (n && !put_array(meta, "tokenizer.chat_templates", SMELT_KV_STR, names, n)) return false;
    for (size_t i = 0; i < v->n_templates; i++)
        if (!v->templates[i].name && !meta_str(meta, template_key, v->templates[i].text.p, v->templates[i].text.n)) return false;
    return true;
}

static bool put_fact(const smelt_vocab *v, const smelt_vocab_fact *fact, smelt_meta *meta)
{
    smelt_special sp = fact->special;
    if (fact->kind == SMELT_FACT_SPECIAL)
        return !specials[sp].written || v->special[sp] < 0 || meta_u32(meta, specials[sp].gguf, (uint32_t)v->special[sp]);
    if (fact->kind == SMELT_FACT_ADD) {
        /* Readers know no other ones. */
        bool known = sp == SMELT_SP_BOS || sp == SMELT_SP_EOS || sp == SMELT_SP_SEP;
        return !known || v->add_special[sp] < 0 || meta_bool(meta, add_keys[sp], v->add_special[sp]);
    }
    if (fact->kind == SMELT_FACT_TEMPLATES) return put_templates(v, meta);
    if (fact->kind == SMELT_FACT_LOWERCASE) return v->lowercase < 0 || meta_bool(meta, lowercase_key, v->lowercase);
    return v->strip_accents < 0 || meta_bool(meta, strip_accents_key, v->strip_accents);
}

smelt_status gguf_vocab_put(const smelt_model *model, smelt_meta *meta, smelt_err *err)
{
    const smelt_vocab *v = model->vocab;
    if (!v || v->kind == SMELT_VOCAB_NONE) return SMELT_OK;
    const char *kind = models[v->kind];
    bool ok = (v->add_space_prefix < 0 || meta_bool(meta, "tokenizer.ggml.add_space_prefix", v->add_space_prefix)) &&
              meta_str(meta, "tokenizer.ggml.model", kind, strlen(kind)) &&
              (!v->pre || meta_str(meta, "tokenizer.ggml.pre", v->pre, strlen(v->pre))) &&
              put_array(meta, "tokenizer.ggml.tokens", SMELT_KV_STR, v->text, v->n) &&
              (!v->score || put_array(meta, "tokenizer.ggml.scores", SMELT_KV_F32, v->score, v->n)) &&
              (!v->type || put_array(meta, "tokenizer.ggml.token_type", SMELT_KV_I32, v->type, v->n)) &&
              (!v->n_merges || put_array(meta, "tokenizer.ggml.merges", SMELT_KV_STR, v->merges, v->n_merges));
    for (size_t i = 0; ok && i < v->n_facts; i++)
        ok = put_fact(v, &v->facts[i], meta);
    return ok ? SMELT_OK : smelt_oom(err);
}

/* An array of a key: NULL if it is not there; E_CORRUPT if it is not of `type` or, with n, not of that length. */
static smelt_status get_array(const smelt_meta *meta, const char *key, smelt_kv_type type, size_t n, const smelt_kv **out,
                              smelt_err *err)
{
    *out = meta_find(meta, key);
    if (!*out) return SMELT_OK;
    const bool array = (*out)->type == SMELT_KV_ARRAY;
    if (!array || (*out)->v.a.type != type)
        return smelt_fail(err, SMELT_E_CORRUPT, "%s is %s%s, expected an array of %s", key, array ? "an array of " : "",
                          kv_type_name(array ? (*out)->v.a.type : (*out)->type), kv_type_name(type));
    if (n && (*out)->v.a.n != n)
        return smelt_fail(err, SMELT_E_CORRUPT, "%s has %" PRIu64 " entries for %zu tokens", key, (*out)->v.a.n, n);
    return SMELT_OK;
}

/* The same as aligned numbers in the model's arena. */
static smelt_status get_numbers(smelt_model *model, const char *key, smelt_kv_type type, size_t n, void *out, smelt_err *err)
{
    const smelt_kv *kv;
    SMELT_TRY(get_array(&model->meta, key, type, n, &kv, err));
    if (!kv) return SMELT_OK;
    uint32_t *copy = arena_calloc(&model->arena, n, 4);
    if (!copy) return smelt_oom(err);
    for (size_t i = 0; i < n; i++)
        copy[i] = load_le32((const uint8_t *)kv->v.a.data + 4 * i);
    memcpy(out, &copy, sizeof copy);
    return SMELT_OK;
}

static void get_facts(const smelt_meta *meta, smelt_vocab *v)
{
    for (size_t k = 0; k < meta->count; k++) {
        const char *key = meta->kv[k].key;
        uint64_t id;
        bool yes;
        for (int i = 0; i < SMELT_SP_COUNT; i++) {
            smelt_special sp = (smelt_special)i;
            if (strcmp(key, specials[i].gguf) == 0 && meta_get_u64(meta, key, &id) && id < v->n) {
                v->special[i] = (int64_t)id;
                vocab_fact(v, SMELT_FACT_SPECIAL, sp);
            } else if (strcmp(key, add_keys[i]) == 0 && meta_get_bool(meta, key, &yes)) {
                v->add_special[i] = yes;
                vocab_fact(v, SMELT_FACT_ADD, sp);
            }
        }
        if (strcmp(key, lowercase_key) == 0 && meta_get_bool(meta, key, &yes)) {
            v->lowercase = yes;
            vocab_fact(v, SMELT_FACT_LOWERCASE, SMELT_SP_BOS);
        } else if (strcmp(key, strip_accents_key) == 0 && meta_get_bool(meta, key, &yes)) {
            v->strip_accents = yes;
            vocab_fact(v, SMELT_FACT_STRIP_ACCENTS, SMELT_SP_BOS);
        } else if (strcmp(key, "tokenizer.ggml.add_space_prefix") == 0 && meta_get_bool(meta, key, &yes)) {
            v->add_space_prefix = yes;
        }
    }
}

static smelt_status get_templates(smelt_model *model, smelt_vocab *v, smelt_err *err)
{
    const smelt_meta *meta = &model->meta;
    smelt_template *list = arena_calloc(&model->arena, meta->count, sizeof *list);
    if (!list) return smelt_oom(err);
    size_t n = 0, len = sizeof template_key - 1;
    smelt_str text;
    if (meta_get_str(meta, template_key, &text)) list[n++] = (smelt_template){NULL, text};
    for (size_t i = 0; i < meta->count; i++) {
        const char *key = meta->kv[i].key;
        if (strncmp(key, template_key, len) != 0 || key[len] != '.' || !key[len + 1] || meta->kv[i].type != SMELT_KV_STR) continue;
        list[n++] = (smelt_template){key + len + 1, meta->kv[i].v.s};
    }
    v->templates = list;
    v->n_templates = n;
    if (n) vocab_fact(v, SMELT_FACT_TEMPLATES, SMELT_SP_BOS);
    return SMELT_OK;
}

smelt_status gguf_vocab_get(smelt_model *model, smelt_err *err)
{
    const smelt_meta *meta = &model->meta;
    smelt_str kind, pre;
    const smelt_kv *tokens, *merges;
    model->vocab = NULL;
    if (!meta_get_str(meta, "tokenizer.ggml.model", &kind)) return SMELT_OK;
    smelt_vocab *v = arena_calloc(&model->arena, 1, sizeof *v);
    if (!v) return smelt_oom(err);
    vocab_init(v);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (models[i] && str_eq(kind, models[i])) v->kind = (smelt_vocab_kind)i;
    SMELT_TRY(get_array(meta, "tokenizer.ggml.tokens", SMELT_KV_STR, 0, &tokens, err));
    if (v->kind == SMELT_VOCAB_NONE || !tokens || !tokens->v.a.n) return SMELT_OK;
    v->n = tokens->v.a.n;
    v->text = tokens->v.a.data;
    SMELT_TRY(get_numbers(model, "tokenizer.ggml.scores", SMELT_KV_F32, v->n, &v->score, err));
    SMELT_TRY(get_numbers(model, "tokenizer.ggml.token_type", SMELT_KV_I32, v->n, &v->type, err));
    SMELT_TRY(get_array(meta, "tokenizer.ggml.merges", SMELT_KV_STR, 0, &merges, err));
    if (merges) {
        v->merges = merges->v.a.data;
        v->n_merges = merges->v.a.n;
    }
    if (meta_get_str(meta, "tokenizer.ggml.pre", &pre)) {
        v->pre = arena_strndup(&model->arena, pre.p, pre.n);
        if (!v->pre) return smelt_oom(err);
    }
    get_facts(meta, v);
    SMELT_TRY(get_templates(model, v, err));
    model->vocab = v;
    return SMELT_OK;
}
