#include "formats/hf_card.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "formats/card_name.h"
#include "formats/card_yaml.h"

enum {
    CONFIG_MAX = 1 << 20, /* bytes of generation_config.json */
    PARENTS_MAX = 1024,   /* base models, and datasets: each becomes up to nine keys */
};

typedef struct card {
    const smelt_ctx *ctx;
    const smelt_model *model;
    uint64_t total_params;
    smelt_meta *meta;
    smelt_arena arena;
    card_names *names;
    smelt_err *err;
} card;

static smelt_str str_of(const char *s) { return (smelt_str){s, strlen(s)}; }
static card_value value_of(smelt_str s) { return (card_value){true, s}; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

enum {
    A_NAME,
    A_AUTHOR,
    A_VERSION,
    A_ORG,
    A_FINETUNE,
    A_BASENAME,
    A_DESCRIPTION,
    A_SIZE,
    A_LICENSE,
    A_LICENSE_NAME,
    A_LICENSE_LINK,
    A_SOURCE_URL,
    A_SOURCE_DOI,
    A_SOURCE_UUID,
    A_SOURCE_REPO,
    A_COUNT
};

/* In the order in which they are written, each with the card's keys for it; the first that is not null is taken. */
static const struct {
    const char *key, *card[3];
} attrs[A_COUNT] = {
    [A_NAME] = {"general.name", {"name", "model_name"}},
    [A_AUTHOR] = {"general.author", {"author", "model_author", "model_creator"}},
    [A_VERSION] = {"general.version", {"version", "model_version"}},
    [A_ORG] = {"general.organization", {"organization", "model_organization"}},
    [A_FINETUNE] = {"general.finetune", {"finetune", "model_finetune"}},
    [A_BASENAME] = {"general.basename", {"basename", "model_basename", "model_type"}},
    [A_DESCRIPTION] = {"general.description", {"description", "model_description"}},
    [A_SIZE] = {"general.size_label", {"size_label", "model_size_label"}},
    [A_LICENSE] = {"general.license", {"license"}},
    [A_LICENSE_NAME] = {"general.license.name", {"license_name"}},
    [A_LICENSE_LINK] = {"general.license.link", {"license_link"}},
    [A_SOURCE_URL] = {"general.source.url", {"url", "model_url"}},
    [A_SOURCE_DOI] = {"general.source.doi", {"doi", "model_doi"}},
    [A_SOURCE_UUID] = {"general.source.uuid", {"uuid", "model_uuid"}},
    [A_SOURCE_REPO] = {"general.source.repo_url", {"repo_url", "model_repo_url"}},
};

/* What the card says of models and data that this one was made from; the first key that is there counts, even if it is null. */
static const struct parents {
    const char *key, *card[3];
} parents[] = {
    {"general.base_model", {"base_model", "base_models", "base_model_sources"}},
    {"general.dataset", {"datasets", "dataset", "dataset_sources"}},
};

/* Of one of these, in the order in which they are written. */
enum { P_NAME, P_VERSION = 2, P_ORG, P_REPO = 8, P_COUNT };
static const char *const parent_fields[P_COUNT] = {"name", "author", "version", "organization", "description",
                                                   "url",  "doi",    "uuid",    "repo_url"};

static const struct {
    const char *key, *card[2];
} arrays[] = {{"general.tags", {"tags", "pipeline_tag"}}, {"general.languages", {"languages", "language"}}};

static const char *find_key(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] && strcmp(list[i], key) == 0) return list[i];
    return NULL;
}

/* The table's own string for a key that is used somewhere; NULL for the others, whose values are skipped. */
static const char *known_key(const char *key)
{
    const char *k = find_key(parent_fields, P_COUNT, key);
    for (size_t i = 0; !k && i < A_COUNT; i++)
        k = find_key(attrs[i].card, 3, key);
    for (size_t i = 0; !k && i < sizeof parents / sizeof *parents; i++)
        k = find_key(parents[i].card, 3, key);
    for (size_t i = 0; !k && i < sizeof arrays / sizeof *arrays; i++)
        k = find_key(arrays[i].card, 2, key);
    return k;
}

/* The used parts of the model card; *root stays NULL where there is no usable one. */
static smelt_status read_card(card *c, card_node **root)
{
    const smelt_side_file *file = model_side_find(c->model, "README.md");
    smelt_err why = {0};
    *root = NULL;
    const smelt_status st = file ? card_yaml_read(file, known_key, &c->arena, root, &why) : SMELT_OK;
    if (st == SMELT_E_NOMEM) return smelt_oom(c->err);
    if (st != SMELT_OK) ctx_warn(c->ctx, "%s/README.md: the model card is ignored: %s", c->model->path, why.text);
    return SMELT_OK;
}

static bool is_scalar(const card_node *n) { return n->kind == CARD_STR || n->kind == CARD_FALSY || n->kind == CARD_OTHER; }

/* A text value. What the peer treats as empty (false, 0, []) is empty; numbers are what was spelled. */
static card_value text_value(const card_node *n)
{
    if (!n || n->kind == CARD_NULL) return (card_value){0};
    if (n->kind == CARD_STR || n->kind == CARD_OTHER) return value_of(n->text);
    if (n->kind == CARD_FALSY || ((n->kind == CARD_LIST || n->kind == CARD_MAP) && !n->count)) return value_of(str_of(""));
    return (card_value){0};
}

/* A list of licences is one text with commas. */
static smelt_status license_value(card *c, const card_node *n, card_value *out)
{
    *out = text_value(n);
    if (!n || n->kind != CARD_LIST || !n->count) return SMELT_OK;
    smelt_buf b = {0};
    for (const card_node *i = n->first; i; i = i->next) {
        if (i != n->first) buf_u8(&b, ',');
        if (is_scalar(i)) buf_put(&b, i->text.p, (size_t)i->text.n);
    }
    char *copy = b.failed ? NULL : arena_strndup(&c->arena, b.size ? (const char *)b.data : "", b.size);
    *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return copy ? SMELT_OK : smelt_oom(c->err);
}

static smelt_status card_attrs(card *c, const card_node *root, card_value *a)
{
    for (size_t i = 0; i < A_COUNT; i++)
        for (size_t k = 0; k < 3 && attrs[i].card[k] && !a[i].set; k++) {
            const card_node *n = card_get(root, attrs[i].card[k]);
            if (i == A_LICENSE)
                SMELT_TRY(license_value(c, n, &a[i]));
            else
                a[i] = text_value(n);
        }
    return SMELT_OK;
}

static smelt_status put(card *c, const char *key, card_value v)
{
    if (!v.set || !v.text.n) return SMELT_OK;
    return meta_str(c->meta, key, v.text.p, (size_t)v.text.n) ? SMELT_OK : smelt_oom(c->err);
}

static bool starts(smelt_str s, const char *with) { return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0; }

/* What https://huggingface.co/ORG/NAME says of ORG/NAME; unset for other addresses. */
static card_value hub_id(smelt_str url)
{
    const char *schemes[] = {"https://huggingface.co/", "http://huggingface.co/"};
    for (size_t i = 0; i < 2; i++) {
        if (!starts(url, schemes[i])) continue;
        smelt_str id = {url.p + strlen(schemes[i]), url.n - strlen(schemes[i])};
        const char *slash = memchr(id.p, '/', (size_t)id.n), *end = id.p + id.n;
        if (slash && slash > id.p && slash + 1 < end && !memchr(slash + 1, '/', (size_t)(end - slash - 1))) return value_of(id);
    }
    return (card_value){0};
}

/* The fields of a parent that is given by an address or a hub id. */
static smelt_status parent_by_name(card *c, smelt_str text, card_value *f)
{
    card_id id = {0};
    const bool url = starts(text, "http://") || starts(text, "https://") || starts(text, "ssh://");
    const card_value in = url ? hub_id(text) : value_of(text);
    if (url) f[P_REPO] = value_of(text);
    if (!in.set) return SMELT_OK;
    SMELT_TRY(card_name_split(c->names, in.text, &id));
    SMELT_TRY(card_name_title(c->names, id.name.text, &f[P_NAME]));
    if (id.org.set) SMELT_TRY(card_name_title(c->names, id.org.text, &f[P_ORG]));
    f[P_VERSION] = id.version;
    if (url || !id.org.set) return SMELT_OK;
    char *repo = arena_printf(&c->arena, "https://huggingface.co/%.*s/%.*s", (int)id.org.text.n, id.org.text.p, (int)id.name.text.n,
                              id.name.text.p);
    if (!repo) return smelt_oom(c->err);
    f[P_REPO] = value_of(str_of(repo));
    return SMELT_OK;
}

static smelt_status put_parent(card *c, const struct parents *p, size_t no, const card_node *entry)
{
    card_value f[P_COUNT] = {0};
    if (entry->kind == CARD_STR) SMELT_TRY(parent_by_name(c, entry->text, f));
    for (size_t i = 0; i < P_COUNT; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%zu.%s", p->key, no, parent_fields[i]);
        if (entry->kind == CARD_MAP) f[i] = text_value(card_get(entry, parent_fields[i]));
        SMELT_TRY(put(c, key, f[i]));
    }
    return SMELT_OK;
}

static smelt_status put_parents(card *c, const struct parents *p, const card_node *root)
{
    const card_node *n = NULL;
    for (size_t k = 0; k < 3 && !n; k++)
        n = card_get(root, p->card[k]);
    if (!n) return SMELT_OK;
    const bool one = n->kind == CARD_STR;
    const size_t count = one ? 1 : n->kind == CARD_LIST ? n->count : 0;
    if (count > PARENTS_MAX) {
        ctx_warn(c->ctx, "%s/README.md: %s has %zu entries and is ignored, at most %d are taken", c->model->path, n->key, count,
                 PARENTS_MAX);
        return SMELT_OK;
    }
    char key[64];
    snprintf(key, sizeof key, "%s.count", p->key);
    if (!meta_u32(c->meta, key, (uint32_t)count)) return smelt_oom(c->err);
    if (one) return put_parent(c, p, 0, n);
    size_t no = 0;
    for (const card_node *i = count ? n->first : NULL; i; i = i->next)
        SMELT_TRY(put_parent(c, p, no++, i));
    return SMELT_OK;
}

static smelt_status put_array(card *c, const char *key, const char *const *card_keys, const card_node *root)
{
    smelt_str *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t k = 0; k < 2; k++) {
        const card_node *from = card_get(root, card_keys[k]);
        const bool list = from && from->kind == CARD_LIST;
        for (const card_node *i = list ? from->first : from; i; i = list ? i->next : NULL) {
            if (list ? !is_scalar(i) : i->kind != CARD_STR) continue;
            char *copy = arena_strndup(c->meta->arena, i->text.p, (size_t)i->text.n);
            if (!copy || !arena_room(c->meta->arena, &items, n, &cap, sizeof *items)) return smelt_oom(c->err);
            items[n++] = (smelt_str){copy, i->text.n};
        }
    }
    if (!n) return SMELT_OK;
    const smelt_kv kv = {.key = key, .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_STR, n, items}};
    return meta_set(c->meta, &kv) ? SMELT_OK : smelt_oom(c->err);
}

/* Sampling defaults; the order is that of the output. Where a key is absent, the older spelling counts. */
static const struct {
    const char *key, *name, *old;
    smelt_kv_type type;
} sampling[] = {
    {"general.sampling.sequence", "sequence", NULL, SMELT_KV_STR},
    {"general.sampling.top_k", "top_k", NULL, SMELT_KV_I32},
    {"general.sampling.top_p", "top_p", NULL, SMELT_KV_F32},
    {"general.sampling.min_p", "min_p", NULL, SMELT_KV_F32},
    {"general.sampling.xtc_probability", "xtc_probability", NULL, SMELT_KV_F32},
    {"general.sampling.xtc_threshold", "xtc_threshold", NULL, SMELT_KV_F32},
    {"general.sampling.temp", "temperature", NULL, SMELT_KV_F32},
    {"general.sampling.penalty_last_n", "penalty_last_n", NULL, SMELT_KV_I32},
    {"general.sampling.penalty_repeat", "penalty_repeat", "repetition_penalty", SMELT_KV_F32},
    {"general.sampling.mirostat", "mirostat", NULL, SMELT_KV_I32},
    {"general.sampling.mirostat_tau", "mirostat_tau", NULL, SMELT_KV_F32},
    {"general.sampling.mirostat_eta", "mirostat_eta", NULL, SMELT_KV_F32},
};

/* The key that a JSON value gives; false if it has the wrong type or does not fit. */
static bool sampling_value(const json_t *v, smelt_kv *kv)
{
    const double number = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    if (kv->type == SMELT_KV_STR) {
        kv->v.s = (smelt_str){json_string_value(v), json_string_length(v)};
        return json_is_string(v);
    }
    if (!json_is_number(v) && !json_is_boolean(v)) return false;
    kv->v.f = (double)(float)number;
    if (kv->type == SMELT_KV_F32) return fabs(number) <= (double)FLT_MAX;
    kv->v.i = (int64_t)number;
    return !json_is_real(v) && number >= INT32_MIN && number <= INT32_MAX;
}

static smelt_status put_sampling(card *c)
{
    const smelt_side_file *file = model_side_find(c->model, "generation_config.json");
    smelt_err why = {0};
    json_t *config = NULL;
    smelt_status st = SMELT_OK;
    if (!file) return SMELT_OK;
    if (file->size > CONFIG_MAX)
        st = smelt_fail(&why, SMELT_E_LIMIT, "it is longer than %d bytes", CONFIG_MAX);
    else
        st = smelt_json_parse((const char *)file->data, file->size, "the file", &config, &why);
    if (st == SMELT_E_NOMEM) return smelt_oom(c->err);
    if (st != SMELT_OK) {
        ctx_warn(c->ctx, "%s/generation_config.json is ignored: %s", c->model->path, why.text);
        return SMELT_OK;
    }
    for (size_t i = 0; i < sizeof sampling / sizeof *sampling && st == SMELT_OK; i++) {
        const json_t *v = json_object_get(config, sampling[i].name);
        if (!v && sampling[i].old) v = json_object_get(config, sampling[i].old);
        smelt_kv kv = {.key = sampling[i].key, .type = sampling[i].type};
        if (!v || json_is_null(v)) continue;
        if (!sampling_value(v, &kv))
            ctx_warn(c->ctx, "%s/generation_config.json: the value of '%s' is ignored, it is no %s", c->model->path,
                     sampling[i].name, kv_type_name(kv.type));
        else if ((kv.type != SMELT_KV_STR || kv.v.s.n) && !meta_set(c->meta, &kv))
            st = smelt_oom(c->err);
    }
    json_decref(config);
    return st;
}

/* "135M", "1.1B", "0.52K": at least two digits. */
static char *rounded(smelt_arena *arena, uint64_t n)
{
    static const struct {
        double above, scale;
        char suffix;
    } units[] = {{1e12, 1e-12, 'T'}, {1e9, 1e-9, 'B'}, {1e6, 1e-6, 'M'}, {-1, 1e-3, 'K'}};
    size_t u = 0;
    while ((double)n <= units[u].above)
        u++;
    const double v = (double)n * units[u].scale;
    const long long whole = llrint(v); /* ties to even, as the peer's round() */
    const int decimals = whole >= 10 ? 0 : whole >= 1 ? 1 : 2;
    char text[64];
    const int len = snprintf(text, sizeof text, "%.*f", decimals, v);
    if (!decimals) return arena_printf(arena, "%s%c", text, units[u].suffix);
    int digits = 0; /* before the point, whatever the locale makes of that */
    while (digit(text[digits]))
        digits++;
    return arena_printf(arena, "%.*s.%s%c", digits, text, text + len - decimals, units[u].suffix);
}

/* The label for a model whose name gives none; experts are told apart by their tensors' canonical names. */
static smelt_status size_label(card *c, card_value *out)
{
    uint64_t one = 0, all = 0, experts = 0, stacks = 0, n;
    for (size_t i = 0; i < c->model->n_tensors; i++) {
        const smelt_tensor *t = &c->model->tensors[i];
        if (!strstr(t->name, "_exps.") || t->shape.n < 3 || !shape_elems(&t->shape, &n) || !n) continue;
        const uint64_t count = t->shape.dim[t->shape.n - (strstr(t->name, ".bias") ? 2 : 3)];
        if (!add_u64(all, n, &all) || !add_u64(experts, count, &experts)) return SMELT_OK;
        one += n / count;
        stacks++;
    }
    char *text;
    if (stacks && all <= c->total_params) {
        text = rounded(&c->arena, c->total_params - all + one);
        if (text) text = arena_printf(&c->arena, "%llux%s", (unsigned long long)(experts / stacks), text);
    } else {
        text = rounded(&c->arena, c->total_params);
    }
    if (!text) return smelt_oom(c->err);
    *out = value_of(str_of(text));
    return SMELT_OK;
}

static smelt_status from_name(card *c, smelt_str name, card_value *a)
{
    card_id id;
    card_value title = {0}, org = {0};
    SMELT_TRY(card_name_split(c->names, name, &id));
    SMELT_TRY(card_name_title(c->names, id.name.text, &title));
    if (id.org.set) SMELT_TRY(card_name_title(c->names, id.org.text, &org));
    const struct {
        int attr;
        card_value v;
    } found[] = {{A_NAME, title},         {A_ORG, org},           {A_BASENAME, id.basename}, {A_FINETUNE, id.finetune},
                 {A_VERSION, id.version}, {A_SIZE, id.size_label}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (!a[found[i].attr].set) a[found[i].attr] = found[i].v;
    return SMELT_OK;
}

static size_t count_slashes(smelt_str s)
{
    size_t n = 0;
    for (uint64_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

static smelt_status dir_name(card *c, smelt_str *out)
{
    const char *title = model_dir_name(c->model, &c->arena);
    if (!title) return smelt_oom(c->err);
    *out = str_of(title);
    if (!utf8_valid(title, (size_t)out->n)) {
        ctx_warn(c->ctx, "the name of '%s' is no UTF-8 and gives the model no name", c->model->path);
        *out = str_of("");
    }
    return SMELT_OK;
}

static smelt_status derive(card *c)
{
    card_node *root = NULL;
    card_value a[A_COUNT] = {0};
    smelt_str dir;
    SMELT_TRY(card_names_open(&c->arena, c->total_params, &c->names, c->err));
    SMELT_TRY(put(c, "general.type", value_of(str_of("model"))));
    SMELT_TRY(put_sampling(c));
    SMELT_TRY(read_card(c, &root));
    SMELT_TRY(card_attrs(c, root, a));
    const json_t *name = json_object_get(c->model->config, "_name_or_path");
    const smelt_str known = {json_string_value(name), json_string_length(name)};
    if (known.p && count_slashes(known) <= 1) SMELT_TRY(from_name(c, known, a)); /* otherwise it is a path */
    SMELT_TRY(dir_name(c, &dir));
    SMELT_TRY(from_name(c, dir, a));
    if (!a[A_SIZE].set && c->total_params) SMELT_TRY(size_label(c, &a[A_SIZE]));
    for (size_t i = 0; i < A_COUNT; i++)
        SMELT_TRY(put(c, attrs[i].key, a[i]));
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        SMELT_TRY(put_parents(c, &parents[i], root));
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        SMELT_TRY(put_array(c, arrays[i].key, arrays[i].card, root));
    return SMELT_OK;
}

smelt_status hf_card_meta(const smelt_ctx *ctx, const smelt_model *model, uint64_t total_params, smelt_meta *meta, smelt_err *err)
{
    card c = {.ctx = ctx, .model = model, .total_params = total_params, .meta = meta, .err = err};
    smelt_status st = derive(&c);
    card_names_close(c.names);
    arena_free(&c.arena);
    return st;
}
