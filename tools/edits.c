#include "tools/edits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"

static bool parse_u32(const char *text, size_t n, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *out = *out * 10 + (uint64_t)(text[i] - '0');
        if (*out > UINT32_MAX) return false;
    }
    return n > 0;
}

/* Numbers and ranges of numbers, separated by commas. */
static smelt_status parse_layers(const char *text, smelt_arena *arena, uint64_t **layers, size_t *n, smelt_err *err)
{
    enum { MOST = 1 << 16 }; /* of layers in a model */
    size_t cap = 0;
    *n = 0;
    for (const char *p = text, *end; p; p = *end ? end + 1 : NULL) {
        uint64_t first = 0, last = 0;
        end = strchrnul(p, ',');
        const char *dash = memchr(p, '-', (size_t)(end - p));
        bool ok = parse_u32(p, (size_t)((dash ? dash : end) - p), &first);
        if (ok && dash) ok = parse_u32(dash + 1, (size_t)(end - dash - 1), &last);
        if (!dash) last = first;
        if (!ok || last < first || last >= MOST)
            return smelt_fail(err, SMELT_E_USAGE, "--prune-layers '%s': expected numbers of layers, such as 3,5,8-11", text);
        for (; first <= last; first++) {
            if (!arena_room(arena, layers, *n, &cap, sizeof **layers)) return smelt_oom(err);
            (*layers)[(*n)++] = first;
        }
    }
    return SMELT_OK;
}

/* A GGUF source's lists of a value for each layer stay as they are, as llama-quantize leaves them; programs may refuse them. */
static void warn_of_lists(const smelt_ctx *ctx, const smelt_plan *plan, uint64_t before)
{
    const smelt_meta *meta = &plan->src->meta;
    smelt_str arch;
    if (!plan->src->meta_complete || !meta_get_str(meta, "general.architecture", &arch)) return;
    for (size_t i = 0; i < meta->count; i++) {
        const smelt_kv *kv = &meta->kv[i];
        if (kv->type == SMELT_KV_ARRAY && kv->v.a.n == before && strncmp(kv->key, arch.p, (size_t)arch.n) == 0 &&
            kv->key[arch.n] == '.')
            ctx_warn(ctx, "the key '%s' still has a value for each of %" PRIu64 " layers", kv->key, before);
    }
}

smelt_status edit_tensors(const smelt_ctx *ctx, const edit_opts *o, smelt_plan *plan, uint64_t *left, smelt_err *err)
{
    *left = 0;
    if (o->prune_layers) {
        uint64_t *list = NULL, before = 0;
        size_t n;
        SMELT_TRY(parse_layers(o->prune_layers, &plan->out.arena, &list, &n, err));
        for (size_t i = 0; i < plan->out.n_tensors; i++)
            if (plan->out.tensors[i].layer >= (int64_t)before) before = (uint64_t)plan->out.tensors[i].layer + 1;
        SMELT_TRY(plan_prune(plan, list, n, left, err));
        warn_of_lists(ctx, plan, before);
    }
    if (!o->keep_split) return plan_sort(plan, err);
    if (!plan->src->meta_complete)
        return smelt_fail(err, SMELT_E_USAGE, "--keep-split: the source is no GGUF file, so there is no such split to keep");
    return plan_sort_by_file(plan, err);
}

static bool parse_int(const char *text, smelt_kv *kv)
{
    kv->type = SMELT_KV_U32;
    return parse_u32(text, strlen(text), &kv->v.u);
}

static bool parse_float(const char *text, smelt_kv *kv)
{
    char *end;
    kv->type = SMELT_KV_F32;
    kv->v.f = (float)strtod(text, &end);
    return end != text && !*end && isfinite(kv->v.f);
}

static bool parse_bool(const char *text, smelt_kv *kv)
{
    kv->type = SMELT_KV_BOOL;
    kv->v.u = strcmp(text, "true") == 0;
    return kv->v.u || strcmp(text, "false") == 0;
}

static bool parse_str(const char *text, smelt_kv *kv)
{
    kv->type = SMELT_KV_STR;
    kv->v.s = (smelt_str){text, strlen(text)};
    return utf8_valid(text, strlen(text));
}

static const struct {
    const char *name, *value;
    bool (*parse)(const char *text, smelt_kv *kv);
} value_types[] = {
    {"int:", "a whole number from 0 to 4294967295", parse_int},
    {"float:", "a finite number", parse_float},
    {"bool:", "true or false", parse_bool},
    {"str:", "UTF-8", parse_str},
};

/* Keys that say how the file itself is laid out and made. */
static bool is_reserved(const char *key)
{
    return strncmp(key, "split.", 6) == 0 || strcmp(key, "general.alignment") == 0 || provenance_is_key(key);
}

static smelt_status parse_override(const char *text, smelt_arena *arena, smelt_kv *kv, smelt_err *err)
{
    const char *eq = strchr(text, '=');
    char *key = eq && eq > text ? arena_strndup(arena, text, (size_t)(eq - text)) : NULL;
    if (!eq || eq == text) return smelt_fail(err, SMELT_E_USAGE, "--override-kv '%s': expected KEY=TYPE:VALUE", text);
    if (!key) return smelt_oom(err);
    kv->key = key;
    if (!utf8_valid(key, strlen(key))) return smelt_fail(err, SMELT_E_USAGE, "--override-kv: the key is no UTF-8");
    if (is_reserved(key)) return smelt_fail(err, SMELT_E_USAGE, "--override-kv: '%s' follows from how the file is made", key);
    for (size_t i = 0; i < sizeof value_types / sizeof *value_types; i++) {
        const size_t n = strlen(value_types[i].name);
        if (strncmp(eq + 1, value_types[i].name, n) != 0) continue;
        if (value_types[i].parse(eq + 1 + n, kv)) return SMELT_OK;
        return smelt_fail(err, SMELT_E_USAGE, "--override-kv '%s': the value is not %s", text, value_types[i].value);
    }
    return smelt_fail(err, SMELT_E_USAGE, "--override-kv '%s': the types are int, float, bool and str, as in KEY=int:32", text);
}

static smelt_status block_count_key(const smelt_plan *plan, smelt_arena *arena, uint64_t layers, smelt_kv *kv, smelt_err *err)
{
    smelt_str arch;
    if (plan->src->arch)
        arch = (smelt_str){plan->src->arch->name, strlen(plan->src->arch->name)};
    else if (!meta_get_str(&plan->src->meta, "general.architecture", &arch))
        return smelt_fail(err, SMELT_E_UNSUPPORTED,
                          "--prune-layers needs to know the architecture, whose key counts the layers: %s",
                          plan->src->unmapped ? plan->src->unmapped : "it has none");
    char *key = arena_printf(arena, "%.*s.block_count", (int)arch.n, arch.p);
    if (!key) return smelt_oom(err);
    *kv = (smelt_kv){.key = key, .type = SMELT_KV_U32, .v.u = layers};
    return SMELT_OK;
}

smelt_status edit_keys(const edit_opts *o, smelt_plan *plan, uint64_t layers, smelt_write_opts *write, smelt_err *err)
{
    smelt_arena *arena = &plan->out.arena;
    size_t n = 0;
    smelt_kv *keys = arena_calloc(arena, o->override_kv.n + write->n_keys + 1, sizeof *keys);
    if (!keys) return smelt_oom(err);
    for (; n < o->override_kv.n; n++) {
        SMELT_TRY(parse_override(o->override_kv.item[n], arena, &keys[n], err));
        /* As llama-quantize sees the model, so that the mixes' rules ask the new values. */
        if (plan->out.arch) arch_take_key(plan->out.arch, &keys[n], &plan->out.hp);
    }
    for (size_t i = 0; i < write->n_keys; i++)
        keys[n++] = write->keys[i];
    if (layers) SMELT_TRY(block_count_key(plan, arena, layers, &keys[n++], err));
    write->keys = keys;
    write->n_keys = n;
    write->keep_split = o->keep_split;
    return SMELT_OK;
}
