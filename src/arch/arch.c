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

static bool has_class(const smelt_arch *a, const char *hf_class, size_t n)
{
    for (const char *p = a->hf_classes; *p;) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, hf_class, n) == 0) return true;
        p += len;
        if (*p) p++;
    }
    return false;
}

const smelt_arch *arch_by_class(const char *hf_class)
{
    const size_t n = strlen(hf_class);
    for (size_t i = 0; i < N_ARCHS; i++)
        if (has_class(archs[i], hf_class, n)) return archs[i];
    return NULL;
}

static bool has_marks(const smelt_arch *a, const json_t *config)
{
    const char *p = a->marks;
    while (p && *p) {
        size_t len = strcspn(p, "|");
        if (!json_object_getn(config, p, len)) return false;
        p += len + (p[len] == '|');
    }
    return p != NULL;
}

const smelt_arch *arch_of_config(const json_t *config)
{
    const json_t *classes = json_object_get(config, "architectures");
    const char *cls = json_string_value(json_array_get(classes, 0)),
               *type = json_string_value(json_object_get(config, "model_type"));
    if (!cls && json_is_array(classes)) return NULL;
    for (size_t i = 0; i < N_ARCHS; i++) {
        const smelt_arch *a = archs[i];
        if (!cls && has_marks(a, config)) return a;
        if (type && *type && strcmp(a->model_type, type) == 0 && (!cls || has_class(a, cls, strlen(cls)))) return a;
    }
    return cls ? arch_by_class(cls) : NULL;
}

const char *arch_list(smelt_arena *arena)
{
    const char *list = "";
    for (size_t i = 0; i < N_ARCHS && list; i++) {
        size_t len = strcspn(archs[i]->hf_classes, "|");
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again = again || has_class(archs[k], archs[i]->hf_classes, len);
        if (!len || again) continue;
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
