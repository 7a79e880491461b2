#include "tools/recorded.h"

#include <stdio.h>
#include <string.h>

static json_t *text(const char *s) { return s ? smelt_json_string(s, strlen(s)) : json_null(); }

static json_t *flag_value(const void *at) { return *(const bool *)at ? json_true() : NULL; }
static json_t *text_value(const void *at) { return *(const char *const *)at ? text(*(const char *const *)at) : NULL; }
static json_t *count_value(const void *at)
{
    return *(const uint64_t *)at ? json_integer((json_int_t) * (const uint64_t *)at) : NULL;
}
static json_t *real_value(const void *at) { return *(const double *)at != 0 ? json_real(*(const double *)at) : NULL; }
static json_t *list_value(const void *at)
{
    const opt_list *list = at;
    json_t *a = list->n ? json_array() : NULL;
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(a, text(list->item[i]));
    return a;
}

static json_t *(*const values[])(const void *at) = {
    [OPT_FLAG] = flag_value,  [OPT_TEXT] = text_value, [OPT_COUNT] = count_value,
    [OPT_SIZE] = count_value, [OPT_REAL] = real_value, [OPT_LIST] = list_value,
};

static json_t *value_of(const opt *o, const void *opts) { return values[o->kind]((const char *)opts + o->offset); }
static const char *member(const opt *o) { return o->name + strspn(o->name, "-"); }

json_t *options_given(const command *c, const void *opts)
{
    json_t *all = json_object();
    for (const opt *o = c->opts; o->name; o++) {
        json_t *value = o->record == OPT_ASIDE ? NULL : value_of(o, opts);
        if (value) json_object_set_new(all, member(o), value);
    }
    return all;
}

smelt_status file_recorded(const char *path, json_t **out, smelt_err *err)
{
    smelt_map *map;
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX + 1];
    SMELT_TRY(map_open(path, &map, err));
    hash_bytes(map->data, (size_t)map->size, hash);
    map_close(map);
    *out = json_pack("{s:s}", "xxh3_128", hash_hex(hash, hex));
    return *out ? SMELT_OK : smelt_oom(err);
}

/* The text itself, which a line end tells from the name of a file. */
static smelt_status lines_recorded(const char *given, json_t **out, smelt_err *err)
{
    enum { MOST = 1 << 20 };
    smelt_arena arena = {0};
    const char *data = given;
    size_t n = strlen(given);
    smelt_status st = strchr(given, '\n') ? SMELT_OK : file_read(&arena, given, MOST, &data, &n, err);
    const char *all = st == SMELT_OK ? arena_printf(&arena, memchr(data, '\n', n) ? "%.*s" : "%.*s\n", (int)n, data) : NULL;
    if (st == SMELT_OK && !utf8_valid(data, n)) st = smelt_fail(err, SMELT_E_USAGE, "'%s' is no UTF-8", given);
    *out = all && st == SMELT_OK ? json_string(all) : NULL;
    if (st == SMELT_OK && !*out) st = smelt_oom(err);
    arena_free(&arena);
    return st;
}

smelt_status options_recorded(const command *c, const void *opts, json_t **out, smelt_err *err)
{
    json_t *all = options_given(c, opts);
    if (!all) return smelt_oom(err);
    smelt_status st = SMELT_OK;
    for (const opt *o = c->opts; o->name && st == SMELT_OK; o++) {
        const char *given = json_string_value(json_object_get(all, member(o)));
        json_t *value = NULL;
        if (given && o->record == OPT_LINES) st = lines_recorded(given, &value, err);
        if (given && o->record == OPT_HASH) st = file_recorded(given, &value, err);
        if (value) json_object_set_new(all, member(o), value);
    }
    *out = all;
    if (st != SMELT_OK) json_decref(all);
    return st;
}

/* Of the keys that the options gave: an importance matrix has its name among them. */
static json_t *keys_recorded(const smelt_write_opts *write)
{
    XXH3_state_t *h = write->n_keys ? XXH3_createState() : NULL;
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX + 1];
    if (!h) return NULL;
    XXH3_128bits_reset(h);
    for (size_t i = 0; i < write->n_keys; i++) {
        const smelt_kv *kv = &write->keys[i];
        const bool is_text = kv->type == SMELT_KV_STR;
        XXH3_128bits_update(h, kv->key, strlen(kv->key) + 1);
        XXH3_128bits_update(h, is_text ? kv->v.s.p : (const char *)&kv->v, is_text ? (size_t)kv->v.s.n : sizeof kv->v.u);
    }
    hash_state(h, hash);
    XXH3_freeState(h);
    return json_string(hash_hex(hash, hex));
}

smelt_status record_recipe(const char *cmd, const char *type, json_t *options, smelt_plan *plan, smelt_write_opts *write,
                           smelt_err *err)
{
    smelt_arena *arena = &plan->out.arena;
    json_t *root = json_pack("{s:s, s:o}", "command", cmd, "options", options), *keys = keys_recorded(write);
    if (!root) return smelt_oom(err);
    if (type) json_object_set_new(root, "type", json_string(type));
    /* GGUF's general.name comes from the name of the directory, where the model card has none. */
    if (!plan->src->meta_complete && plan->format->can_store(SMELT_DT_Q8_0)) {
        const char *title = model_dir_name(plan->src, arena);
        if (title && utf8_valid(title, strlen(title))) json_object_set_new(root, "source", json_string(title));
    }
    if (keys) json_object_set_new(root, "keys", keys);
    smelt_provenance *p = arena_calloc(arena, 1, sizeof *p);
    char *dump = p ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
    json_decref(root);
    smelt_status st = dump ? provenance_make(arena, dump, p, err) : smelt_oom(err);
    smelt_json_free(dump);
    write->provenance = p;
    return st;
}

/* Appends one option with a value, or without one. */
static smelt_status put(const opt *o, const char *value, smelt_arena *arena, char *argv[RECORDED_ARGS], int *argc, smelt_err *err)
{
    if (*argc + 2 > RECORDED_ARGS) return smelt_fail(err, SMELT_E_CORRUPT, "its recipe has more options than there can be");
    char *name = arena_strdup(arena, o->name), *copy = value ? arena_strdup(arena, value) : NULL;
    if (!name || (value && !copy)) return smelt_oom(err);
    argv[(*argc)++] = name;
    if (value) argv[(*argc)++] = copy;
    return SMELT_OK;
}

static smelt_status put_file(const opt *o, const json_t *v, const char *file, smelt_arena *arena, char *argv[RECORDED_ARGS],
                             int *argc, smelt_err *err)
{
    const char *hash = json_string_value(json_object_get(v, "xxh3_128"));
    json_t *is;
    if (!hash) return smelt_fail(err, SMELT_E_CORRUPT, "its recipe does not say which file %s was", o->name);
    if (!file)
        return smelt_fail(err, SMELT_E_USAGE, "it was made with a file whose XXH3-128 is %s; give that with %s FILE", hash,
                          o->name);
    SMELT_TRY(file_recorded(file, &is, err));
    const bool same = json_equal(is, v);
    json_decref(is);
    if (!same)
        return smelt_fail(err, SMELT_E_MISMATCH, "%s '%s' is not the file that was used then, whose XXH3-128 was %s", o->name, file,
                          hash);
    return put(o, file, arena, argv, argc, err);
}

static smelt_status put_option(const opt *o, const json_t *v, const char *file, smelt_arena *arena, char *argv[RECORDED_ARGS],
                               int *argc, smelt_err *err)
{
    char number[32];
    if (o->record == OPT_HASH) return put_file(o, v, file, arena, argv, argc, err);
    if (o->kind == OPT_FLAG && json_is_true(v)) return put(o, NULL, arena, argv, argc, err);
    if (o->kind == OPT_TEXT && json_is_string(v)) return put(o, json_string_value(v), arena, argv, argc, err);
    if ((o->kind == OPT_COUNT || o->kind == OPT_SIZE) && json_is_integer(v)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return put(o, number, arena, argv, argc, err);
    }
    if (o->kind == OPT_REAL && json_is_number(v)) {
        snprintf(number, sizeof number, "%.17g", json_number_value(v));
        return put(o, number, arena, argv, argc, err);
    }
    size_t i = 0;
    for (; o->kind == OPT_LIST && i < json_array_size(v) && json_is_string(json_array_get(v, i)); i++)
        SMELT_TRY(put(o, json_string_value(json_array_get(v, i)), arena, argv, argc, err));
    if (o->kind == OPT_LIST && i && i == json_array_size(v)) return SMELT_OK;
    return smelt_fail(err, SMELT_E_CORRUPT, "its recipe has a value for %s that the option cannot have", o->name);
}

smelt_status recorded_args(const command *c, const json_t *options, const char *file, smelt_arena *arena, char *argv[RECORDED_ARGS],
                           int *argc, smelt_err *err)
{
    *argc = 0;
    size_t known = 0;
    for (const opt *o = c->opts; o->name; o++) {
        const json_t *v = o->record == OPT_ASIDE ? NULL : json_object_get(options, member(o));
        if (!v) continue;
        known++;
        SMELT_TRY(put_option(o, v, file, arena, argv, argc, err));
    }
    if (known != json_object_size(options))
        return smelt_fail(err, SMELT_E_CORRUPT, "its recipe has options that %s does not have", c->name);
    return SMELT_OK;
}
