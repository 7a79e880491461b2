#include <string.h>

#include "arch/internal.h"

#define SMELT_ARCH(name) extern const smelt_arch smelt_arch_##name;
#include "arch/archs.def"
#undef SMELT_ARCH

static const smelt_arch *const archs[] = {
#define SMELT_ARCH(name) &smelt_arch_##name,
#include "arch/archs.def"
#undef SMELT_ARCH
};

enum { N_ARCHS = sizeof archs / sizeof *archs };

const smelt_arch *arch_by_name(const char *name, size_t len, const smelt_meta *meta)
{
    const smelt_arch *found = NULL;
    for (size_t i = 0; i < N_ARCHS; i++) {
        const smelt_arch *a = archs[i];
        if (strlen(a->name) != len || memcmp(a->name, name, len) != 0) continue;
        if (meta && a->gguf_mark && meta_find(meta, a->gguf_mark)) return a;
        if (!found) found = a;
    }
    return found;
}

const smelt_arch *arch_by_class(const char *hf_class)
{
    size_t n = strlen(hf_class);
    for (size_t i = 0; i < N_ARCHS; i++)
        for (const char *p = archs[i]->hf_classes; *p;) {
            size_t len = strcspn(p, "|");
            if (len == n && memcmp(p, hf_class, n) == 0) return archs[i];
            p += len;
            if (*p) p++;
        }
    return NULL;
}

const smelt_arch *arch_by_marks(const json_t *config)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        const char *p = archs[i]->marks;
        while (p && *p) {
            size_t len = strcspn(p, "|");
            if (!json_object_getn(config, p, len)) break;
            p += len + (p[len] == '|');
        }
        if (p && !*p) return archs[i];
    }
    return NULL;
}

const char *arch_list(smelt_arena *arena)
{
    const char *list = "";
    for (size_t i = 0; i < N_ARCHS && list; i++) {
        size_t len = strcspn(archs[i]->hf_classes, "|");
        if (!len) continue;
        list = arena_printf(arena, "%s%s%.*s", list, i ? ", " : "", (int)len, archs[i]->hf_classes);
    }
    return list ? list : "";
}

const smelt_name_rule *arch_rule(const smelt_arch *arch, smelt_role role)
{
    for (const smelt_name_rule *r = arch->names; r->hf; r++)
        if (r->role == role && role != SMELT_R_NONE) return r;
    return NULL;
}

static bool hp_by_name(const char *name, size_t len, smelt_hp *out)
{
    static const char *const names[] = {
#define SMELT_HPARAM(id, kind, key) #id,
#include "arch/hparams.def"
#undef SMELT_HPARAM
    };
    for (size_t i = 0; i < SMELT_HP_COUNT; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            *out = (smelt_hp)i;
            return true;
        }
    return false;
}

/* One factor: a hyperparameter or a number. */
static bool factor(const smelt_hparams *hp, const char *text, size_t len, uint64_t *out)
{
    smelt_hp id;
    if (len && text[0] >= '0' && text[0] <= '9') {
        *out = 0;
        for (size_t i = 0; i < len; i++)
            *out = *out * 10 + (uint64_t)(text[i] - '0');
        return true;
    }
    if (!hp_by_name(text, len, &id) || !hp->set[id]) return false;
    *out = (uint64_t)hp->v[id];
    return true;
}

bool arch_shape(const smelt_hparams *hp, const char *text, smelt_shape *out)
{
    *out = (smelt_shape){.n = 1, .dim = {1}};
    bool divide = false;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "*/,");
        uint64_t v, *dim = &out->dim[out->n - 1];
        if (!factor(hp, p, len, &v)) return false;
        if (divide && (!v || *dim % v)) return false;
        if (divide)
            *dim /= v;
        else if (!mul_u64(*dim, v, dim))
            return false;
        p += len;
        divide = *p == '/';
        if (*p == ',') out->dim[out->n++] = 1;
        if (*p) p++;
    }
    return true;
}
