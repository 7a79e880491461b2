#include "ir/meta.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t size;
} types[SMELT_KV_TYPES] = {
    [SMELT_KV_U8] = {"u8", 1},   [SMELT_KV_I8] = {"i8", 1},       [SMELT_KV_U16] = {"u16", 2}, [SMELT_KV_I16] = {"i16", 2},
    [SMELT_KV_U32] = {"u32", 4}, [SMELT_KV_I32] = {"i32", 4},     [SMELT_KV_F32] = {"f32", 4}, [SMELT_KV_BOOL] = {"bool", 1},
    [SMELT_KV_STR] = {"str", 0}, [SMELT_KV_ARRAY] = {"array", 0}, [SMELT_KV_U64] = {"u64", 8}, [SMELT_KV_I64] = {"i64", 8},
    [SMELT_KV_F64] = {"f64", 8},
};

size_t kv_type_size(smelt_kv_type type) { return types[type].size; }
const char *kv_type_name(smelt_kv_type type) { return types[type].name; }

static smelt_kv *find(const smelt_meta *m, const char *key)
{
    size_t i;
    return strmap_get(&m->index, key, strlen(key), &i) ? &m->kv[i] : NULL;
}

static bool reindex(smelt_meta *m)
{
    bool added;
    m->index.arena = m->arena;
    strmap_clear(&m->index);
    for (size_t i = 0; i < m->count; i++)
        if (!strmap_add(&m->index, m->kv[i].key, strlen(m->kv[i].key), i, &added)) return false;
    return true;
}

const smelt_kv *meta_find(const smelt_meta *m, const char *key) { return find(m, key); }

bool meta_set(smelt_meta *m, const smelt_kv *kv)
{
    smelt_kv copy = *kv;
    if (kv->type == SMELT_KV_STR && !(copy.v.s.p = arena_strndup(m->arena, kv->v.s.p, kv->v.s.n))) return false;
    smelt_kv *old = find(m, kv->key);
    if (old) {
        copy.key = old->key;
        *old = copy;
        return true;
    }
    bool added;
    m->index.arena = m->arena;
    if (!(copy.key = arena_strdup(m->arena, kv->key)) || !arena_room(m->arena, &m->kv, m->count, &m->capacity, sizeof *m->kv) ||
        !strmap_add(&m->index, copy.key, strlen(copy.key), m->count, &added))
        return false;
    m->kv[m->count++] = copy;
    return true;
}

bool meta_copy(smelt_meta *to, const smelt_meta *from)
{
    to->kv = arena_calloc(to->arena, from->count, sizeof *to->kv);
    if (!to->kv) return false;
    if (from->count) memcpy(to->kv, from->kv, from->count * sizeof *to->kv);
    to->count = to->capacity = from->count;
    return reindex(to);
}

bool meta_u32(smelt_meta *m, const char *key, uint32_t v)
{
    return meta_set(m, &(smelt_kv){.key = key, .type = SMELT_KV_U32, .v.u = v});
}
bool meta_f32(smelt_meta *m, const char *key, float v)
{
    return meta_set(m, &(smelt_kv){.key = key, .type = SMELT_KV_F32, .v.f = (double)v});
}
bool meta_bool(smelt_meta *m, const char *key, bool v)
{
    return meta_set(m, &(smelt_kv){.key = key, .type = SMELT_KV_BOOL, .v.u = v});
}
bool meta_str(smelt_meta *m, const char *key, const char *s, size_t n)
{
    return meta_set(m, &(smelt_kv){.key = key, .type = SMELT_KV_STR, .v.s = {s, n}});
}

void meta_remove(smelt_meta *m, const char *key)
{
    smelt_kv *kv = find(m, key);
    if (!kv) return;
    m->count--;
    memmove(kv, kv + 1, (size_t)(m->kv + m->count - kv) * sizeof *kv);
    reindex(m); /* cannot fail: there are fewer keys than there were */
}

static bool is_unsigned(smelt_kv_type type)
{
    return (1U << SMELT_KV_U8 | 1U << SMELT_KV_U16 | 1U << SMELT_KV_U32 | 1U << SMELT_KV_U64 | 1U << SMELT_KV_BOOL) >> type & 1;
}

static bool is_signed(smelt_kv_type type)
{
    return (1U << SMELT_KV_I8 | 1U << SMELT_KV_I16 | 1U << SMELT_KV_I32 | 1U << SMELT_KV_I64) >> type & 1;
}

bool meta_get_u64(const smelt_meta *m, const char *key, uint64_t *out)
{
    const smelt_kv *kv = find(m, key);
    if (!kv) return false;
    if (is_unsigned(kv->type))
        *out = kv->v.u;
    else if (is_signed(kv->type) && kv->v.i >= 0)
        *out = (uint64_t)kv->v.i;
    else
        return false;
    return true;
}

bool meta_get_f64(const smelt_meta *m, const char *key, double *out)
{
    const smelt_kv *kv = find(m, key);
    if (!kv) return false;
    if (kv->type == SMELT_KV_F32 || kv->type == SMELT_KV_F64)
        *out = kv->v.f;
    else if (is_signed(kv->type))
        *out = (double)kv->v.i;
    else if (is_unsigned(kv->type) && kv->type != SMELT_KV_BOOL)
        *out = (double)kv->v.u;
    else
        return false;
    return true;
}

bool meta_get_bool(const smelt_meta *m, const char *key, bool *out)
{
    const smelt_kv *kv = find(m, key);
    if (!kv || kv->type != SMELT_KV_BOOL) return false;
    *out = kv->v.u != 0;
    return true;
}

bool meta_get_str(const smelt_meta *m, const char *key, smelt_str *out)
{
    const smelt_kv *kv = find(m, key);
    if (!kv || kv->type != SMELT_KV_STR) return false;
    *out = kv->v.s;
    return true;
}

bool str_eq(smelt_str s, const char *text) { return strlen(text) == s.n && (!s.n || memcmp(s.p, text, s.n) == 0); }
