#include "arch/internal.h"

#include <string.h>

#define SMELT_ARCH(name) extern const smelt_arch smelt_arch_##name;
#include "arch/archs.def"
#undef SMELT_ARCH

static const smelt_arch *const archs[] = {
#define SMELT_ARCH(name) &smelt_arch_##name,
#include "arch/archs.def"
#undef SMELT_ARCH
};

enum { N_ARCHS = sizeof archs / sizeof *archs };

const smelt_arch *arch_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < N_ARCHS; i++)
        if (strlen(archs[i]->name) == len && memcmp(archs[i]->name, name, len) == 0) return archs[i];
    return NULL;
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

const char *arch_list(smelt_arena *arena)
{
    const char *list = "";
    for (size_t i = 0; i < N_ARCHS && list; i++) {
        size_t len = strcspn(archs[i]->hf_classes, "|");
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

bool arch_shape(const smelt_hparams *hp, const char *text, smelt_shape *out)
{
    *out = (smelt_shape){.n = 1, .dim = {1}};
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "*,");
        smelt_hp id;
        if (!hp_by_name(p, len, &id) || !hp->set[id] || !mul_u64(out->dim[out->n - 1], (uint64_t)hp->v[id], &out->dim[out->n - 1]))
            return false;
        p += len;
        if (*p == ',') out->dim[out->n++] = 1;
        if (*p) p++;
    }
    return true;
}

/* What the GGUF side stores for one tensor: the rule's way from the IR, or back. */
static smelt_status side_view(const smelt_hparams *hp, const smelt_name_rule *rule, const smelt_view *in, bool to_gguf,
                              smelt_arena *arena, const smelt_view **out, smelt_err *err)
{
    static const smelt_hp heads[] = {
        [GGUF_SAME] = SMELT_HP_COUNT, [GGUF_ROPE_Q] = SMELT_HP_HEADS, [GGUF_ROPE_K] = SMELT_HP_KV_HEADS};
    smelt_hp id = heads[rule->gguf];
    *out = in;
    if (id == SMELT_HP_COUNT) return SMELT_OK;
    return (to_gguf ? view_rope_pairs : view_rope_halves)(arena, in, hp_u64(hp, id), out, err);
}

smelt_status arch_to_gguf(const smelt_model *m, const smelt_tensor *t, smelt_arena *arena, const smelt_view **out, smelt_err *err)
{
    const smelt_name_rule *rule = m->arch ? arch_rule(m->arch, (smelt_role)t->role) : NULL;
    *out = t->view;
    if (!rule) return SMELT_OK;
    smelt_status st = side_view(&m->hp, rule, t->view, true, arena, out, err);
    if (st != SMELT_OK) smelt_err_where(err, "tensor '%s'", t->name);
    return st;
}

smelt_status arch_hf_name(const smelt_model *m, const smelt_tensor *t, smelt_arena *arena, const char **out, smelt_err *err)
{
    const smelt_name_rule *rule = m->arch ? arch_rule(m->arch, (smelt_role)t->role) : NULL;
    *out = t->name;
    if (!rule) return SMELT_OK;
    *out = NULL;
    if (rule->flags & NAME_NO_HF) return SMELT_OK;
    *out = name_fill(arena, rule->hf, t->layer, part_suffix((smelt_part)t->part));
    return *out ? SMELT_OK : smelt_oom(err);
}

smelt_status arch_project_hf(const smelt_model *m, smelt_model *out, smelt_err *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        const char *name;
        SMELT_TRY(arch_hf_name(m, t, &out->arena, &name, err));
        if (!name) continue;
        SMELT_TRY(model_add(out, name, strlen(name), t->view, t->file, t->offset, err));
        smelt_tensor *added = &out->tensors[out->n_tensors - 1];
        added->origin = t->origin;
        added->role = t->role;
        added->part = t->part;
        added->layer = t->layer;
    }
    return SMELT_OK;
}

smelt_status arch_fit(smelt_model *m, const smelt_arch *arch, arch_found *found, smelt_err *err)
{
    uint64_t layers = hp_u64(&m->hp, SMELT_HP_LAYERS);
    if (layers > m->n_tensors)
        return smelt_fail(err, SMELT_E_MISMATCH, "the configuration has %llu layers, the file only %zu tensors",
                          (unsigned long long)layers, m->n_tensors);
    size_t n_rules = 0, slots;
    while (arch->names[n_rules].hf)
        n_rules++;
    slots = n_rules * 2 * (size_t)(layers + 1);
    const smelt_tensor **at = arena_calloc(&m->arena, slots, sizeof *at);
    if (!at) return smelt_oom(err);
    smelt_err list = {0};
    size_t unexpected = 0, missing = 0, misshaped = 0;
    enum { SHOW = 20 };
    for (size_t i = 0; i < m->n_tensors; i++) {
        smelt_tensor *t = &m->tensors[i];
        arch_found *f = &found[i];
        const smelt_name_rule *r = f->rule;
        if (!r || (f->layer >= 0 && (uint64_t)f->layer >= layers)) {
            if (unexpected++ < SHOW) smelt_err_add(&list, "  unexpected: %s", t->name);
            continue;
        }
        if (r->flags & NAME_DROP) continue;
        at[((size_t)(r - arch->names) * 2 + (f->part == SMELT_PART_BIAS)) * (size_t)(layers + 1) + (size_t)(f->layer + 1)] = t;
        smelt_shape want;
        if (!r->shape) continue;
        if (!arch_shape(&m->hp, r->shape, &want))
            return smelt_fail(err, SMELT_E_MISMATCH, "the shape of '%s' cannot be computed from the configuration", t->name);
        if (f->part == SMELT_PART_BIAS) want.n = 1;
        char a[256], b[256];
        if (!shape_equal(&want, &t->shape) && misshaped++ < SHOW)
            smelt_err_add(&list, "  wrong shape: %s is %s, the configuration says %s", t->name, shape_text(&t->shape, a, sizeof a),
                          shape_text(&want, b, sizeof b));
    }
    for (size_t r = 0; r < n_rules; r++) {
        const smelt_name_rule *rule = &arch->names[r];
        bool per_layer = strstr(rule->hf, "%L") != NULL;
        if (rule->flags & (NAME_DROP | NAME_OPTIONAL)) continue;
        if ((rule->flags & NAME_UNTIED) && m->hp.v[SMELT_HP_TIED] != 0) continue;
        bool bias = rule->bias_if != SMELT_HP_COUNT && m->hp.v[rule->bias_if] != 0;
        for (uint64_t l = per_layer ? 1 : 0; l < (per_layer ? layers + 1 : 1); l++)
            for (int b = 0; b <= (bias ? 1 : 0); b++)
                if (!at[(r * 2 + (size_t)b) * (size_t)(layers + 1) + (size_t)l] && missing++ < SHOW) {
                    char *name = name_fill(&m->arena, found->canonical ? role_stem(rule->role) : rule->hf, (int)l - 1,
                                           part_suffix(b ? SMELT_PART_BIAS : SMELT_PART_WEIGHT));
                    smelt_err_add(&list, "  missing: %s", name ? name : "?");
                }
    }
    if (!missing && !unexpected && !misshaped) return SMELT_OK;
    return smelt_fail(err, SMELT_E_MISMATCH,
                      "tensors and configuration do not fit: %zu missing, %zu unexpected, %zu of the wrong shape%s\n%s", missing,
                      unexpected, misshaped, missing > SHOW || unexpected > SHOW || misshaped > SHOW ? " (first ones shown)" : "",
                      list.text);
}

smelt_status arch_apply(smelt_model *m, const smelt_arch *arch, const arch_found *found, bool from_gguf, smelt_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const arch_found *f = &found[i];
        if (f->rule->flags & NAME_DROP) continue;
        smelt_tensor t = m->tensors[i];
        t.role = (int)f->rule->role;
        t.part = (int)f->part;
        t.layer = f->layer;
        t.name = role_name(&m->arena, f->rule->role, f->part, f->layer);
        if (!t.name) return smelt_oom(err);
        if (from_gguf) SMELT_TRY(side_view(&m->hp, f->rule, t.view, false, &m->arena, &t.view, err));
        m->tensors[kept++] = t;
    }
    m->n_tensors = kept;
    m->arch = arch;
    return model_reindex(m, err);
}
