#include "ir/provenance.h"

#include <string.h>

static const char *const names[PROVENANCE_KEYS] = {
    [PROVENANCE_VERSION] = "smelt.version",
    [PROVENANCE_RECIPE] = "smelt.recipe",
    [PROVENANCE_RECIPE_HASH] = "smelt.recipe.xxh3_128",
    [PROVENANCE_SOURCE] = "smelt.source.xxh3_128",
};

const char *provenance_name(smelt_provenance_key key) { return names[key]; }

/* Which one it is; PROVENANCE_KEYS for none. */
static smelt_provenance_key find(const char *key)
{
    const size_t n = strlen(key);
    int k = 0;
    for (; k < PROVENANCE_KEYS; k++) {
        const size_t len = strlen(names[k]);
        if (n >= len && strcmp(key + n - len, names[k]) == 0 && (n == len || key[n - len - 1] == '.')) break;
    }
    return (smelt_provenance_key)k;
}

bool provenance_is_key(const char *key) { return find(key) != PROVENANCE_KEYS; }

static smelt_str hex_of(smelt_arena *arena, const uint8_t hash[HASH_BYTES])
{
    char hex[HASH_HEX + 1];
    return (smelt_str){arena_strdup(arena, hash_hex(hash, hex)), HASH_HEX};
}

smelt_status provenance_make(smelt_arena *arena, const char *recipe, smelt_provenance *out, smelt_err *err)
{
    static const uint8_t zeros[HASH_BYTES];
    uint8_t hash[HASH_BYTES];
    hash_bytes(recipe, strlen(recipe), hash);
    out->value[PROVENANCE_VERSION] = (smelt_str){smelt_version(), strlen(smelt_version())};
    out->value[PROVENANCE_RECIPE] = (smelt_str){arena_strdup(arena, recipe), strlen(recipe)};
    out->value[PROVENANCE_RECIPE_HASH] = hex_of(arena, hash);
    out->value[PROVENANCE_SOURCE] = hex_of(arena, zeros);
    for (int k = 0; k < PROVENANCE_KEYS; k++)
        if (!out->value[k].p) return smelt_oom(err);
    return SMELT_OK;
}

void provenance_read(const smelt_meta *meta, smelt_provenance *out)
{
    *out = (smelt_provenance){0};
    for (size_t i = 0; i < meta->count; i++) {
        const smelt_provenance_key k = find(meta->kv[i].key);
        if (k != PROVENANCE_KEYS && meta->kv[i].type == SMELT_KV_STR) out->value[k] = meta->kv[i].v.s;
    }
}

smelt_status provenance_check(const smelt_provenance *p, smelt_err *err)
{
    const smelt_str version = p->value[PROVENANCE_VERSION], recipe = p->value[PROVENANCE_RECIPE];
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX + 1];
    if (!version.p && !recipe.p)
        return smelt_fail(
            err, SMELT_E_UNSUPPORTED,
            "the file does not say how it was made: it has no %s (written by another program, or with --no-provenance)",
            names[PROVENANCE_RECIPE]);
    for (int k = 0; k < PROVENANCE_KEYS; k++)
        if (!p->value[k].p)
            return smelt_fail(err, SMELT_E_CORRUPT, "of the keys that say how the file was made, %s is missing", names[k]);
    if (!str_eq(version, smelt_version()))
        return smelt_fail(err, SMELT_E_UNSUPPORTED,
                          "the file was written by version %.*s, and this is %s: other bytes would say nothing",
                          (int)(version.n < 32 ? version.n : 32), version.p, smelt_version());
    hash_bytes(recipe.p, (size_t)recipe.n, hash);
    if (!str_eq(p->value[PROVENANCE_RECIPE_HASH], hash_hex(hash, hex)))
        return smelt_fail(err, SMELT_E_CORRUPT, "%s is not the text that was written: its XXH3-128 is %s, %s says %.*s",
                          names[PROVENANCE_RECIPE], hex, names[PROVENANCE_RECIPE_HASH],
                          (int)(p->value[PROVENANCE_RECIPE_HASH].n < 64 ? p->value[PROVENANCE_RECIPE_HASH].n : 64),
                          p->value[PROVENANCE_RECIPE_HASH].p);
    return SMELT_OK;
}
