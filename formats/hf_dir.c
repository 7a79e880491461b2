/* A Hugging Face model directory: config.json, tokenizer files, and weights in safetensors or PyTorch files, whole or in shards
 * that model.safetensors.index.json or pytorch_model.bin.index.json lists. Source: transformers' modeling_utils.py. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "formats/hf_audit.h"
#include "formats/safetensors_write.h"
#include "formats/tokenizer_hf.h"
#include "formats/tokenizer_write.h"
#include "vocab/vocab.h"

enum { CONFIG_LIMIT = 64 << 20 };

/* The two kinds of weight files, the preferred one first: name of a whole file, of the index, and of a shard's beginning. */
static const struct weights {
    const char *whole, *index, *shard, *tail;
} kinds[] = {
    {"model.safetensors", "model.safetensors.index.json", "model-", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-", ".bin"},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

static bool has(const char *dir, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof path && path_exists(path);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* Names of files such as model-00001-of-00003.safetensors, sorted. */
static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static smelt_status list_shards(const char *dir, const struct weights *w, smelt_arena *arena, const char ***names, size_t *n,
                                smelt_err *err)
{
    *names = NULL;
    *n = 0;
    size_t cap = 0;
    DIR *d = opendir(dir);
    if (!d) return smelt_fail_errno(err, "cannot read the directory");
    smelt_status st = SMELT_OK;
    for (struct dirent *e; st == SMELT_OK && (e = readdir(d));) {
        if (strncmp(e->d_name, w->shard, strlen(w->shard)) != 0 || !ends_with(e->d_name, w->tail)) continue;
        char *copy = arena_strdup(arena, e->d_name);
        if (!copy || !arena_room(arena, names, *n, &cap, sizeof **names))
            st = smelt_oom(err);
        else
            (*names)[(*n)++] = copy;
    }
    closedir(d);
    if (*n) qsort(*names, *n, sizeof **names, by_name);
    return st;
}

static bool probe(const smelt_probe *p)
{
    if (!p->is_dir) return false;
    if (has(p->path, "config.json")) return true;
    for (size_t i = 0; i < N_KINDS; i++)
        if (has(p->path, kinds[i].whole) || has(p->path, kinds[i].index)) return true;
    return false;
}

static smelt_status read_shard(const smelt_ctx *ctx, const char *dir, const char *name, smelt_model *m, smelt_err *err)
{
    char *path;
    const smelt_format *format;
    SMELT_TRY(path_inside(&m->arena, dir, name, &path, err));
    if (path_is_dir(path)) return smelt_fail(err, SMELT_E_CORRUPT, "'%s' is a directory, a file of weights was expected", name);
    SMELT_TRY(format_probe(ctx, path, &format, err));
    return format->read(ctx, path, m, err);
}

/* Sharded weights as the index lists them: every shard is there, and holds just the tensors that the index says. */
static smelt_status read_index(const smelt_ctx *ctx, const char *dir, const struct weights *w, smelt_model *m, smelt_err *err)
{
    enum { SHOW = 20 };
    char *path;
    json_t *index = NULL;
    SMELT_TRY(path_inside(&m->arena, dir, w->index, &path, err));
    SMELT_TRY(smelt_json_load(path, (uint64_t)CONFIG_LIMIT * 4, &index, err));
    const json_t *map = json_object_get(index, "weight_map");
    const char *tensor;
    json_t *value;
    const char **files = NULL;
    size_t n = 0, cap = 0;
    smelt_strmap seen = {.arena = &m->arena};
    smelt_status st = json_is_object(map) ? SMELT_OK : smelt_fail(err, SMELT_E_CORRUPT, "%s has no object 'weight_map'", w->index);
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        bool added = false;
        const char *file = json_string_value(value);
        if (st != SMELT_OK) break;
        if (!file || strlen(file) != json_string_length(value)) {
            st = smelt_fail(err, SMELT_E_CORRUPT, "%s: the file of tensor '%s' is no file name", w->index, tensor);
            break;
        }
        char *copy = arena_strdup(&m->arena, file);
        if (!copy || !strmap_add(&seen, copy, strlen(copy), 0, &added) ||
            (added && !arena_room(&m->arena, &files, n, &cap, sizeof *files)))
            st = smelt_oom(err);
        else if (added)
            files[n++] = copy;
    }
    if (n) qsort(files, n, sizeof *files, by_name);
    smelt_err list = {0};
    size_t gone = 0;
    for (size_t i = 0; i < n && st == SMELT_OK; i++) {
        st = path_inside(&m->arena, dir, files[i], &path, err);
        if (st == SMELT_OK && !path_exists(path) && gone++ < SHOW) smelt_err_add(&list, "  %s", files[i]);
    }
    if (st == SMELT_OK && gone)
        st = smelt_fail(err, SMELT_E_MISMATCH, "%zu of %zu weight files that %s lists are missing:\n%s", gone, n, w->index,
                        list.text);
    if (st == SMELT_OK && strcmp(w->whole, kinds[0].whole) == 0 && !strmap_get(&seen, w->whole, strlen(w->whole), &cap) &&
        has(dir, w->whole))
        ctx_warn(ctx, "%s/%s is left alone: the index lists other files", dir, w->whole);
    for (size_t i = 0; i < n && st == SMELT_OK; i++)
        st = read_shard(ctx, dir, files[i], m, err);
    /* Both directions, listed in one error. */
    size_t missing = 0, extra = 0;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        const smelt_tensor *t = st == SMELT_OK ? model_find(m, tensor) : NULL;
        if (st == SMELT_OK && !t && missing++ < SHOW)
            smelt_err_add(&list, "  missing: %s, expected in %s", tensor, json_string_value(value));
    }
    for (size_t i = 0; i < m->n_tensors && st == SMELT_OK; i++)
        if (!json_object_get(map, m->tensors[i].name) && extra++ < SHOW)
            smelt_err_add(&list, "  not in the index: %s in %s", m->tensors[i].name, m->tensors[i].file);
    if (missing || extra)
        st = smelt_fail(err, SMELT_E_MISMATCH, "the weight files and %s do not fit: %zu tensors missing, %zu not listed%s\n%s",
                        w->index, missing, extra, missing > SHOW || extra > SHOW ? " (first ones shown)" : "", list.text);
    json_decref(index);
    return st;
}

/* Shards without an index: every one of the N that the names count must be there, and no whole file beside them. */
static smelt_status read_unlisted(const smelt_ctx *ctx, const char *dir, const struct weights *w, const char **names, size_t n,
                                  smelt_model *m, smelt_err *err)
{
    unsigned no, count;
    char end;
    for (size_t i = 0; i < n; i++) {
        /* The original layout of gpt-oss-120b has two hyphens. */
        const char *at = names[i] + strlen(w->shard);
        if (sscanf(at + (*at == '-'), "%5u-of-%5u%c", &no, &count, &end) != 3 || end != '.' || no != i + 1 || count != n)
            return smelt_fail(err, SMELT_E_MISMATCH,
                              "there is no %s, and the %zu files %s…%s are not numbered 1 to %zu of %zu ('%s' is out of line)",
                              w->index, n, w->shard, w->tail, n, n, names[i]);
    }
    for (size_t i = 0; i < n; i++)
        SMELT_TRY(read_shard(ctx, dir, names[i], m, err));
    return SMELT_OK;
}

static smelt_status read_weights(const smelt_ctx *ctx, const char *dir, smelt_model *m, smelt_err *err)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        const struct weights *w = &kinds[i];
        const char **names;
        size_t n;
        if (has(dir, w->index)) return read_index(ctx, dir, w, m, err);
        SMELT_TRY(list_shards(dir, w, &m->arena, &names, &n, err));
        bool whole = has(dir, w->whole);
        if (whole && n)
            return smelt_fail(
                err, SMELT_E_MISMATCH,
                "there are both %s and %zu files like '%s', but no %s says which are meant; remove those that do not belong",
                w->whole, n, names[0], w->index);
        if (whole) return read_shard(ctx, dir, w->whole, m, err);
        if (n) return read_unlisted(ctx, dir, w, names, n, m, err);
    }
    return smelt_fail(err, SMELT_E_MISMATCH, "the directory has no weights: neither %s nor %s, nor an index of one", kinds[0].whole,
                      kinds[1].whole);
}

/* Small files that go along unchanged when the target is such a directory too. */
static const char *const side_files[] = {
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "USE_POLICY.md",
};

static smelt_status add_side(smelt_model *m, const char *dir, const char *name, smelt_err *err)
{
    char *path;
    const smelt_map *map;
    if (!has(dir, name)) return SMELT_OK;
    SMELT_TRY(path_inside(&m->arena, dir, name, &path, err));
    SMELT_TRY(model_map(m, path, &map, err));
    return model_side(m, name, map->data, (size_t)map->size, err);
}

static smelt_status read_sides(smelt_model *m, const char *dir, smelt_err *err)
{
    for (size_t i = 0; i < sizeof side_files / sizeof *side_files; i++)
        SMELT_TRY(add_side(m, dir, side_files[i], err));
    static const char folder[] = "additional_chat_templates";
    char *sub = path_join(&m->arena, dir, folder);
    if (!sub) return smelt_oom(err);
    DIR *d = opendir(sub);
    smelt_status st = SMELT_OK;
    for (struct dirent *e; d && st == SMELT_OK && (e = readdir(d));) {
        if (!ends_with(e->d_name, ".jinja")) continue;
        char *name = arena_printf(&m->arena, "%s/%s", folder, e->d_name);
        st = name ? add_side(m, dir, name, err) : smelt_oom(err);
    }
    if (d) closedir(d);
    return st;
}

/* Token ids that config.json repeats. */
static int config_tokens(json_t *config, const smelt_vocab *v)
{
    static const char *const stems[SMELT_SP_COUNT] = {
        [SMELT_SP_BOS] = "bos_token_id", [SMELT_SP_EOS] = "eos_token_id", [SMELT_SP_PAD] = "pad_token_id"};
    int bad = 0;
    for (int i = 0; v && i < SMELT_SP_COUNT; i++)
        if (stems[i] && v->special[i] >= 0) bad |= json_object_set_new(config, stems[i], json_integer(v->special[i]));
    return bad;
}

/* The directory of the tokenizer and the other small files. Where it is not the checkpoint's own, *dir becomes the other, whose name
 * is the model's. */
static smelt_status find_beside(const smelt_ctx *ctx, smelt_model *m, const json_t *config, const char **dir, smelt_err *err)
{
    const char *at;
    SMELT_TRY(hf_tokenizer_dir(&m->arena, *dir, config, &at, err));
    if (at == *dir) return SMELT_OK;
    if (!at) {
        ctx_warn(
            ctx,
            "%s has no tokenizer, and there is none in the directory above it; the result will have none unless tokenizer.json "
            "and tokenizer_config.json are put there",
            *dir);
        return SMELT_OK;
    }
    char real[PATH_MAX], *name = NULL;
    if (realpath(at, real)) name = path_base(&m->arena, real);
    if (!name) return smelt_oom(err);
    ctx_warn(ctx, "%s has no tokenizer; that of the directory above it is used", *dir);
    m->title = name;
    *dir = at;
    return SMELT_OK;
}

/* Reads config.json, maps the model to its family, and reads the tokenizer. *sides becomes the directory of the other files. */
static smelt_status read_config(const smelt_ctx *ctx, const char *dir, smelt_model *m, const char **sides, smelt_err *err)
{
    char *path;
    json_t *config;
    SMELT_TRY(path_inside(&m->arena, dir, "config.json", &path, err));
    SMELT_TRY(smelt_json_load(path, CONFIG_LIMIT, &config, err));
    m->config = config;
    if (!json_is_object(config)) return smelt_fail(err, SMELT_E_CORRUPT, "config.json is no object");
    /* Before the configuration becomes another family's. */
    SMELT_TRY(find_beside(ctx, m, config, sides, err));
    SMELT_TRY(arch_from_hf(ctx, m, err));
    /* A tokenizer that cannot be read is the concern of whoever needs it: weights can be shown and re-encoded without. */
    smelt_err why = {0};
    smelt_status st = hf_vocab_read(ctx, *sides, m, &why);
    if (st == SMELT_OK) return m->config_made && config_tokens(m->config, m->vocab) ? smelt_oom(err) : SMELT_OK;
    smelt_err *keep = arena_calloc(&m->arena, 1, sizeof *keep);
    if (st == SMELT_E_NOMEM || !keep) return smelt_oom(err);
    *keep = why;
    m->vocab_err = keep;
    return SMELT_OK;
}

static smelt_status read(const smelt_ctx *ctx, const char *path, smelt_model *m, smelt_err *err)
{
    const char *sides = path;
    smelt_status st = read_weights(ctx, path, m, err);
    if (st == SMELT_OK && has(path, "config.json")) st = read_config(ctx, path, m, &sides, err);
    if (st == SMELT_OK) st = read_sides(m, sides, err);
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}

/* The torch name of the float type that most elements have: what config.json says the weights are. */
static const char *main_dtype(const smelt_model *out, const smelt_dtype *types)
{
    uint64_t total[SMELT_DT_COUNT] = {0}, n;
    smelt_dtype best = SMELT_DT_F32;
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_dtype_row *row = smelt_dtype_get(types[i]);
        if (row->kind == SMELT_KIND_FLOAT && row->torch_name && shape_elems(&out->tensors[i].shape, &n)) total[types[i]] += n;
        if (total[types[i]] > total[best]) best = types[i];
    }
    return smelt_dtype_get(best)->torch_name;
}

static smelt_status add_json(smelt_layout *l, const char *name, const json_t *value, smelt_err *err)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(16) | JSON_PRESERVE_ORDER);
    if (!text) return smelt_oom(err);
    size_t n = strlen(text);
    char *copy = arena_printf(&l->arena, "%s\n", text);
    smelt_json_free(text);
    return copy ? layout_add_file(l, name, copy, n + 1, n + 1, NULL, err) : smelt_oom(err);
}

static smelt_status layout(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                           const char *target, const smelt_write_opts *opts, smelt_layout *l, smelt_err *err)
{
    (void)target;
    l->dir = true;
    if (model->meta_complete && !model->arch)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "this GGUF cannot become a Hugging Face directory: %s",
                          model->unmapped ? model->unmapped : "its family is not known");
    SMELT_TRY(safetensors_layout_dir(model, out, types, opts, l, err));
    if (model->arch || model->config) {
        json_t *config;
        SMELT_TRY(arch_config(model, main_dtype(out, types), &config, err));
        bool bad = !model->config && config_tokens(config, model->vocab);
        smelt_status st = bad ? smelt_oom(err) : add_json(l, "config.json", config, err);
        json_decref(config);
        if (st != SMELT_OK) return st;
    }
    if (!model_side_find(model, "tokenizer.json") && !model_side_find(model, "tokenizer.model") &&
        !model_side_find(model, "vocab.json")) {
        smelt_side_file *files;
        size_t n;
        SMELT_TRY(hf_vocab_write(ctx, model, &l->arena, &files, &n, err));
        for (size_t i = 0; i < n; i++)
            if (!model_side_find(model, files[i].name))
                SMELT_TRY(layout_add_file(l, files[i].name, files[i].data, files[i].size, files[i].size, NULL, err));
    }
    for (size_t i = 0; i < model->n_side; i++)
        SMELT_TRY(
            layout_add_file(l, model->side[i].name, model->side[i].data, model->side[i].size, model->side[i].size, NULL, err));
    return SMELT_OK;
}

const smelt_format smelt_format_hf_dir = {
    .name = "hf_dir",
    .extensions = "/",
    .title = "Hugging Face directory",
    .probe = probe,
    .read = read,
    .project = safetensors_project,
    .layout = layout,
    .can_store = safetensors_can_store,
    .audit = hf_audit,
};
