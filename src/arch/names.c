/* Between names: a checkpoint's tensors, the IR's, a GGUF file's. */
#include <string.h>

#include "arch/internal.h"

enum { SHOW = 40, N_PARTS = SMELT_PART_BIAS + 1 };

/* What the name of a checkpoint's tensor means. */
typedef struct found {
    const smelt_name_rule *rule; /* NULL: unknown */
    smelt_part part;
    int layer, sub; /* sub: which of the tensors that the rule takes together */
} found;

/* The tensors of a checkpoint that become one or more of the IR's together. */
typedef struct group {
    const smelt_tensor **in; /* [n_in] */
    int n_in, have;
    size_t last; /* index of the one that comes last */
} group;

typedef struct report {
    smelt_err list;
    size_t missing, unexpected, misshaped;
} report;

static void misfit(report *r, size_t *count, const char *what, const char *name)
{
    if ((*count)++ < SHOW) smelt_err_add(&r->list, "  %s: %s", what, name ? name : "?");
}

static void misshaped(report *r, const char *name, const smelt_shape *is, const smelt_shape *want)
{
    char a[256], b[256];
    if (r->misshaped++ < SHOW)
        smelt_err_add(&r->list, "  wrong shape: %s is %s, the configuration says %s", name, shape_text(is, a, sizeof a),
                      shape_text(want, b, sizeof b));
}

static smelt_status conclude(const report *r, smelt_err *err)
{
    if (!r->missing && !r->unexpected && !r->misshaped) return SMELT_OK;
    return smelt_fail(err, SMELT_E_MISMATCH,
                      "tensors and configuration do not fit: %zu missing, %zu unexpected, %zu of the wrong shape%s\n%s", r->missing,
                      r->unexpected, r->misshaped,
                      r->missing > SHOW || r->unexpected > SHOW || r->misshaped > SHOW ? " (first ones shown)" : "", r->list.text);
}

/* Whether the configuration has the tensor at all. */
static bool rule_on(const smelt_name_rule *r, const smelt_hparams *hp)
{
    if ((int)r->only_if >= SMELT_HP_NOT) return hp->v[(int)r->only_if - SMELT_HP_NOT] == 0;
    return !r->only_if || hp->v[r->only_if] != 0;
}

static bool rule_bias(const smelt_name_rule *r, const smelt_hparams *hp)
{
    return r->bias_if != SMELT_HP_COUNT && hp->v[r->bias_if] != 0;
}

/* The shape that a checkpoint has for one of the tensors that a rule takes. */
static bool rule_shape(const smelt_name_rule *r, const smelt_hparams *hp, smelt_part part, int sub, smelt_shape *out)
{
    if (!arch_shape(hp, r->shape, out)) return false;
    /* A bias has one element a row; MXFP4's scales one a block of 16 bytes. */
    bool shorter = (part == SMELT_PART_BIAS && !(r->flags & NAME_BARE)) || (xf_rows[r->x].suffix[0] && sub == 1);
    if (shorter && out->n > 1) out->n--;
    return true;
}

/* Name of one of the tensors that a rule takes, in a checkpoint. */
static char *hf_name(smelt_arena *arena, const smelt_name_rule *r, smelt_part part, int layer, int sub)
{
    const xf_row *x = &xf_rows[r->x];
    const char *suffix = x->suffix[0] ? x->suffix[sub] : r->flags & NAME_BARE ? "" : part_suffix(part);
    return name_fill(arena, r->hf, layer, sub, suffix);
}

static bool match(const smelt_name_rule *r, const char *prefix, const char *name, found *f)
{
    size_t len, whole = strlen(name), skip = prefix && strncmp(r->hf, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    int expert;
    f->rule = r;
    f->sub = 0;
    const xf_row *x = &xf_rows[r->x];
    if (x->suffix[0]) {
        f->part = SMELT_PART_WEIGHT;
        for (f->sub = 0; f->sub < x->n_in; f->sub++) {
            size_t n = strlen(x->suffix[f->sub]);
            if (whole > n && strcmp(name + whole - n, x->suffix[f->sub]) == 0 &&
                (name_match(r->hf, name, whole - n, &f->layer, &expert) ||
                 (skip && name_match(r->hf + skip, name, whole - n, &f->layer, &expert))))
                return true;
        }
        return false;
    }
    if (r->flags & (NAME_BARE | NAME_DROP)) {
        f->part = r->flags & NAME_BIAS ? SMELT_PART_BIAS : SMELT_PART_WEIGHT;
        len = whole;
    } else {
        f->part = name_part(name, &len);
        if (f->part != SMELT_PART_WEIGHT && (f->part != SMELT_PART_BIAS || r->bias_if == SMELT_HP_COUNT)) return false;
    }
    if (!name_match(r->hf, name, len, &f->layer, &expert) && !(skip && name_match(r->hf + skip, name, len, &f->layer, &expert)))
        return false;
    f->sub = expert > 0 ? expert : 0;
    return true;
}

static found find(const smelt_arch *arch, const char *name, const smelt_hparams *hp)
{
    found f = {0};
    for (const smelt_name_rule *r = arch->names; r->hf; r++)
        if (!(r->flags & NAME_NO_HF) && match(r, arch->prefix, name, &f) && (r->flags & NAME_DROP || rule_on(r, hp))) {
            bool bias_off = f.part == SMELT_PART_BIAS && !(r->flags & (NAME_BARE | NAME_DROP)) && !rule_bias(r, hp);
            if (bias_off) f.rule = NULL;
            return f;
        }
    return (found){0};
}

typedef struct mapper {
    smelt_model *m;
    const smelt_arch *arch;
    size_t layers, n_rules;
    group *groups;  /* [n_rules][2][layers + 1] */
    bool canonical; /* messages use GGUF's names */
    report report;
} mapper;

static group *group_at(const mapper *p, const smelt_name_rule *r, smelt_part part, int layer)
{
    return &p->groups[((size_t)(r - p->arch->names) * 2 + (part == SMELT_PART_BIAS)) * (p->layers + 1) + (size_t)(layer + 1)];
}

static smelt_status mapper_init(mapper *p, smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    *p = (mapper){.m = m, .arch = arch, .layers = (size_t)hp_u64(&m->hp, SMELT_HP_LAYERS)};
    if (p->layers > m->n_tensors)
        return smelt_fail(err, SMELT_E_MISMATCH, "the configuration has %zu layers, the file only %zu tensors", p->layers,
                          m->n_tensors);
    while (arch->names[p->n_rules].hf)
        p->n_rules++;
    p->groups = arena_calloc(&m->arena, p->n_rules * 2 * (p->layers + 1), sizeof *p->groups);
    return p->groups ? SMELT_OK : smelt_oom(err);
}

/* Sorts the checkpoint's tensors into groups; says what is unexpected or of the wrong shape. */
static smelt_status gather(mapper *p, found *all, smelt_err *err)
{
    const uint64_t experts = hp_u64(&p->m->hp, SMELT_HP_EXPERTS);
    uint64_t slots = 0;
    for (size_t i = 0; i < p->m->n_tensors; i++) {
        const smelt_tensor *t = &p->m->tensors[i];
        found *f = &all[i];
        *f = find(p->arch, t->name, &p->m->hp);
        const uint64_t n_in = f->rule && !xf_rows[f->rule->x].n_in ? experts : 2;
        if (!f->rule || f->layer >= (int64_t)p->layers || (uint64_t)f->sub >= n_in) {
            f->rule = NULL;
            misfit(&p->report, &p->report.unexpected, "unexpected", t->name);
            continue;
        }
        if (f->rule->flags & NAME_DROP) continue;
        smelt_shape want;
        if (f->rule->shape) {
            if (!rule_shape(f->rule, &p->m->hp, f->part, f->sub, &want))
                return smelt_fail(err, SMELT_E_MISMATCH, "the shape of '%s' cannot be computed from the configuration", t->name);
            if (!shape_equal(&want, &t->shape)) misshaped(&p->report, t->name, &t->shape, &want);
        }
        group *g = group_at(p, f->rule, f->part, f->layer);
        if (!g->in) {
            const uint64_t takes = xf_rows[f->rule->x].n_in ? (uint64_t)xf_rows[f->rule->x].n_in : experts;
            slots += takes;
            /* Every expert has its tensor, so an honest checkpoint has as many tensors as slots. */
            if (slots > 4 * p->m->n_tensors + 64 || takes > INT32_MAX)
                return smelt_fail(err, SMELT_E_MISMATCH, "the configuration has %llu experts, the file has only %zu tensors",
                                  (unsigned long long)experts, p->m->n_tensors);
            g->n_in = (int)takes;
            g->in = arena_calloc(&p->m->arena, (size_t)g->n_in, sizeof *g->in);
            if (!g->in) return smelt_oom(err);
        }
        if (g->in[f->sub]) {
            misfit(&p->report, &p->report.unexpected, "the same as another, under a second name", t->name);
            continue;
        }
        g->in[f->sub] = t;
        g->have++;
        g->last = i;
    }
    return SMELT_OK;
}

/* Whether two rules make a role in common. */
static bool roles_meet(const smelt_name_rule *a, const smelt_name_rule *b)
{
    return (int)a->role < (int)b->role + xf_rows[b->x].n_out && (int)b->role < (int)a->role + xf_rows[a->x].n_out;
}

/* Whether another layout of the same role is complete. */
static bool other_layout(const mapper *p, const smelt_name_rule *rule, smelt_part part, int layer)
{
    for (const smelt_name_rule *r = p->arch->names; r->hf; r++) {
        const group *g = group_at(p, r, part, layer);
        if (r != rule && roles_meet(r, rule) && r->flags & NAME_ALT && g->in && g->have == g->n_in) return true;
    }
    return false;
}

/* What a group lacks. The configuration alone says how many that are, so they are counted, not walked through. */
static void report_missing(mapper *p, const smelt_name_rule *r, smelt_part part, int layer, const group *g)
{
    const uint64_t experts = hp_u64(&p->m->hp, SMELT_HP_EXPERTS), have = g->in ? (uint64_t)g->have : 0;
    uint64_t n = 1;
    if (!p->canonical) n = xf_rows[r->x].n_in ? (uint64_t)xf_rows[r->x].n_in : experts;
    uint64_t named = 0;
    for (uint64_t s = 0; s < n && p->report.missing < SHOW; s++)
        if (!g->in || !g->in[s]) {
            misfit(&p->report, &p->report.missing, "missing",
                   p->canonical ? role_name(&p->m->arena, r->role, part, layer) : hf_name(&p->m->arena, r, part, layer, (int)s));
            named++;
        }
    p->report.missing += (size_t)(n - have - named);
}

/* Tensors of a layout beside another one that has the same role already. */
static void find_doubled(mapper *p)
{
    for (const smelt_name_rule *r = p->arch->names; r->hf; r++)
        for (int l = -1; r->flags & NAME_ALT && l < (int)p->layers; l++) {
            const smelt_part part = r->flags & NAME_BIAS ? SMELT_PART_BIAS : SMELT_PART_WEIGHT;
            const group *g = group_at(p, r, part, l);
            bool other = false;
            for (const smelt_name_rule *before = p->arch->names; g->in && before < r; before++)
                other = other || (before->flags & NAME_ALT && roles_meet(before, r) && group_at(p, before, part, l)->in);
            for (int s = 0; other && s < g->n_in; s++)
                if (g->in[s]) misfit(&p->report, &p->report.unexpected, "in a second layout", g->in[s]->name);
        }
}

static void find_missing(mapper *p)
{
    const smelt_hparams *hp = &p->m->hp;
    for (const smelt_name_rule *r = p->arch->names; r->hf; r++) {
        if (r->flags & (NAME_DROP | NAME_NO_HF | NAME_OPTIONAL) || !rule_on(r, hp)) continue;
        if (r->flags & NAME_UNTIED && hp->v[SMELT_HP_TIED] != 0) continue;
        const bool per_layer = strstr(r->hf, "%L") != NULL;
        const smelt_part own = r->flags & NAME_BIAS ? SMELT_PART_BIAS : SMELT_PART_WEIGHT;
        for (int part = (int)own; part <= (rule_bias(r, hp) ? (int)SMELT_PART_BIAS : (int)own); part++)
            for (int l = per_layer ? 0 : -1; l < (per_layer ? (int)p->layers : 0); l++) {
                const group *g = group_at(p, r, (smelt_part)part, l);
                if (g->in && g->have == g->n_in) continue;
                if (r->flags & NAME_ALT && (!g->in || !g->have)) {
                    /* The first layout speaks for all of them. */
                    if (other_layout(p, r, (smelt_part)part, l) || arch_rule(p->arch, r->role) != r) continue;
                }
                report_missing(p, r, (smelt_part)part, l, g);
            }
    }
}

/* A list of tensors that takes the model's place. */
typedef struct list {
    smelt_tensor *t;
    size_t n, cap;
} list;

static smelt_status list_add(smelt_model *m, list *to, const smelt_tensor *from, smelt_role role, smelt_part part, int layer,
                             const smelt_view *view, smelt_err *err)
{
    char *name = role_name(&m->arena, role, part, layer);
    if (!name || !arena_room(&m->arena, &to->t, to->n, &to->cap, sizeof *to->t)) return smelt_oom(err);
    smelt_tensor *t = &to->t[to->n++];
    *t = *from;
    t->name = name;
    t->role = (int)role;
    t->part = (int)part;
    t->layer = layer;
    t->view = view;
    t->dtype = view_dtype(view);
    t->shape = *view_shape(view);
    return SMELT_OK;
}

static smelt_status list_install(smelt_model *m, const list *l, const smelt_arch *arch, smelt_err *err)
{
    m->stored = m->tensors;
    m->n_stored = m->n_tensors;
    m->tensors = l->t;
    m->n_tensors = l->n;
    m->cap_tensors = l->cap;
    m->arch = arch;
    return model_reindex(m, err);
}

static smelt_status emit(mapper *p, const found *f, const group *g, list *to, smelt_err *err)
{
    const xf_row *x = &xf_rows[f->rule->x];
    const xf_args args = {&p->m->hp, &p->m->arena};
    const smelt_view **in = arena_calloc(&p->m->arena, (size_t)g->n_in, sizeof *in), *out[3];
    if (!in) return smelt_oom(err);
    for (int i = 0; i < g->n_in; i++)
        in[i] = g->in[i]->view;
    smelt_status st = x->forward(&args, in, out, err);
    for (int o = 0; o < x->n_out && st == SMELT_OK; o++)
        st = list_add(p->m, to, g->in[0], (smelt_role)((int)f->rule->role + o), f->part, f->layer, out[o], err);
    if (st != SMELT_OK) smelt_err_where(err, "tensor '%s'", g->in[0]->name);
    return st;
}

/* Experts that are a tensor each: llama.cpp's converter stacks a layer's when it has the last one of all kinds, and writes the
 * kinds in the order of their names. */
static smelt_status emit_experts(mapper *p, const found *f, size_t at, list *to, smelt_err *err)
{
    size_t last = 0, n = 0;
    for (const smelt_name_rule *r = p->arch->names; r->hf; r++, n++) {
        const group *g = group_at(p, r, f->part, f->layer);
        if (r->x == X_EXPERTS && g->in && g->last > last) last = g->last;
    }
    if (last != at) return SMELT_OK;
    for (const char *above = NULL;;) {
        const smelt_name_rule *next = NULL;
        for (size_t i = 0; i < n; i++) {
            const smelt_name_rule *r = &p->arch->names[i];
            if (r->x == X_EXPERTS && group_at(p, r, f->part, f->layer)->in && (!above || strcmp(r->hf, above) > 0) &&
                (!next || strcmp(r->hf, next->hf) < 0))
                next = r;
        }
        if (!next) return SMELT_OK;
        const found each = {next, f->part, f->layer, 0};
        SMELT_TRY(emit(p, &each, group_at(p, next, f->part, f->layer), to, err));
        above = next->hf;
    }
}

smelt_status names_from_hf(smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    mapper p;
    SMELT_TRY(mapper_init(&p, m, arch, err));
    found *all = arena_calloc(&m->arena, m->n_tensors, sizeof *all);
    if (!all) return smelt_oom(err);
    SMELT_TRY(gather(&p, all, err));
    find_doubled(&p);
    find_missing(&p);
    SMELT_TRY(conclude(&p.report, err));
    list out = {0};
    /* What belongs together stands where its last part stood, as llama.cpp's converter has it. */
    for (unsigned first = NAME_FIRST;; first = 0) {
        for (size_t i = 0; i < m->n_tensors; i++) {
            const smelt_name_rule *r = all[i].rule;
            if (!r || r->flags & NAME_DROP || (r->flags & NAME_FIRST) != first) continue;
            const group *g = group_at(&p, r, all[i].part, all[i].layer);
            if (r->x == X_EXPERTS)
                SMELT_TRY(emit_experts(&p, &all[i], i, &out, err));
            else if (g->last == i)
                SMELT_TRY(emit(&p, &all[i], g, &out, err));
        }
        if (!first) break;
    }
    return list_install(m, &out, arch, err);
}

/* Rows between the IR's order and a GGUF file's. */
static smelt_status side_view(const smelt_hparams *hp, const smelt_name_rule *rule, const smelt_view *in, bool to_gguf,
                              smelt_arena *arena, const smelt_view **out, smelt_err *err)
{
    static const smelt_hp heads[] = {
        [GGUF_SAME] = SMELT_HP_COUNT, [GGUF_ROPE_Q] = SMELT_HP_HEADS, [GGUF_ROPE_K] = SMELT_HP_KV_HEADS};
    smelt_hp id = rule ? heads[rule->gguf] : SMELT_HP_COUNT;
    *out = in;
    if (id == SMELT_HP_COUNT) return SMELT_OK;
    return (to_gguf ? view_rope_pairs : view_rope_halves)(arena, in, hp_u64(hp, id), out, err);
}

/* Whether a rule makes tensors of this role, whatever their part. */
static bool rule_makes(const smelt_name_rule *r, smelt_role role)
{
    return r->role != SMELT_R_NONE && role >= r->role && (int)role < (int)r->role + xf_rows[r->x].n_out;
}

/* A layout of codes and scales. */
static bool only_mxfp4(const smelt_name_rule *r)
{
    return xf_rows[r->x].suits(SMELT_DT_MXFP4) && !xf_rows[r->x].suits(SMELT_DT_F32);
}

bool arch_keeps_mxfp4(const smelt_model *m)
{
    bool any = false;
    for (const smelt_name_rule *r = m->arch->names; r->hf; r++) {
        if (!only_mxfp4(r)) continue;
        for (size_t i = 0; i < m->n_tensors; i++) {
            if (m->tensors[i].part != SMELT_PART_WEIGHT || !rule_makes(r, (smelt_role)m->tensors[i].role)) continue;
            if (m->tensors[i].dtype != SMELT_DT_MXFP4) return false;
            any = true;
        }
    }
    return any;
}

/* The rule that stores a role, the one with the role first; types that no rule suits are decoded for it. NULL if none does.
 * keep_mxfp4: what arch_keeps_mxfp4 says. */
static const smelt_name_rule *storing(const smelt_ctx *ctx, const smelt_arch *arch, bool keep_mxfp4, smelt_role role,
                                      smelt_part part, smelt_dtype dtype, const smelt_hparams *hp)
{
    for (int decoded = 0; decoded <= (ctx->codec[dtype].unpack != NULL); decoded++)
        for (const smelt_name_rule *r = arch->names; r->hf; r++) {
            const xf_row *x = &xf_rows[r->x];
            bool part_fits = r->flags & NAME_BARE || x->suffix[0]
                                 ? (part == SMELT_PART_BIAS) == ((r->flags & NAME_BIAS) != 0)
                                 : part == SMELT_PART_WEIGHT || (part == SMELT_PART_BIAS && rule_bias(r, hp));
            if (rule_makes(r, role) && part_fits && x->suits(decoded ? SMELT_DT_F32 : dtype) && (keep_mxfp4 || !only_mxfp4(r)) &&
                rule_on(r, hp))
                return r;
        }
    return NULL;
}

/* Runs a rule backwards on the IR's tensors of one layer. Sets *in to n views; *have says whether all roles are there, *decoded
 * whether their values had to become float32 for it. */
static smelt_status rule_back(const smelt_ctx *ctx, const smelt_model *m, smelt_arena *arena, const smelt_name_rule *r,
                              smelt_part part, int layer, const smelt_view ***in, int *n, bool *have, bool *decoded, smelt_err *err)
{
    const xf_row *x = &xf_rows[r->x];
    const xf_args args = {&m->hp, arena};
    const smelt_view *out[3];
    *have = true;
    *decoded = false;
    for (int o = 0; o < x->n_out; o++) {
        char *name = role_name(arena, (smelt_role)((int)r->role + o), part, layer);
        if (!name) return smelt_oom(err);
        const smelt_tensor *t = model_find(m, name);
        if (!t) {
            *have = false;
            return SMELT_OK;
        }
        out[o] = t->view;
        *decoded = *decoded || !x->suits(t->dtype) || t->dtype != view_dtype(out[0]);
    }
    for (int o = 0; *decoded && o < x->n_out; o++)
        SMELT_TRY(view_decode(arena, out[o], ctx->codec[view_dtype(out[o])].unpack, &out[o], err));
    *n = x->n_in ? x->n_in : (int)hp_u64(&m->hp, SMELT_HP_EXPERTS);
    *in = arena_calloc(arena, (size_t)*n, sizeof **in);
    if (!*in) return smelt_oom(err);
    return x->back(&args, out, *in, err);
}

/* Stacked experts, all of one shape: seen whole, so that a file's expert_count costs nothing. */
static void check_stacked(mapper *p, const smelt_name_rule *r, const smelt_tensor *t)
{
    smelt_shape one, want = {.n = 1, .dim = {hp_u64(&p->m->hp, SMELT_HP_EXPERTS)}};
    if (!rule_shape(r, &p->m->hp, (smelt_part)t->part, 0, &one) || one.n >= SMELT_MAX_DIMS) one = (smelt_shape){0};
    memcpy(want.dim + 1, one.dim, (size_t)one.n * sizeof *one.dim);
    want.n += one.n;
    if (!want.dim[0] || !shape_equal(&want, &t->shape)) misshaped(&p->report, t->name, &t->shape, &want);
}

/* Checks the IR's tensors by the shapes that a checkpoint of them would have. */
static smelt_status check_canonical(const smelt_ctx *ctx, mapper *p, smelt_err *err)
{
    smelt_model *m = p->m;
    const bool keep_mxfp4 = arch_keeps_mxfp4(m);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        const smelt_name_rule *r = t->layer < (int64_t)p->layers ? storing(ctx, p->arch, keep_mxfp4, (smelt_role)t->role,
                                                                           (smelt_part)t->part, t->dtype, &m->hp)
                                                                 : NULL;
        if (!r) {
            misfit(&p->report, &p->report.unexpected, "unexpected", t->name);
            continue;
        }
        /* The first of a rule's roles stands for all of them. */
        if (r->role != (smelt_role)t->role) continue;
        group *g = group_at(p, r, (smelt_part)t->part, t->layer);
        g->n_in = g->have = 1;
        g->in = &p->m->stored; /* only that it is not NULL counts here */
        if (r->flags & NAME_NO_HF || !r->shape) continue;
        if (!xf_rows[r->x].n_in) {
            check_stacked(p, r, t);
            continue;
        }
        const smelt_view **in = NULL;
        int n = 0;
        bool have, decoded;
        smelt_err why = {0};
        smelt_status st = rule_back(ctx, m, &m->arena, r, (smelt_part)t->part, t->layer, &in, &n, &have, &decoded, &why);
        if (st == SMELT_E_NOMEM) return smelt_oom(err);
        smelt_shape want;
        if (st != SMELT_OK || !have || !rule_shape(r, &m->hp, (smelt_part)t->part, 0, &want)) {
            if (p->report.misshaped++ < SHOW)
                smelt_err_add(&p->report.list, "  %s: %s", t->name, st != SMELT_OK ? why.text : "its parts are not all there");
            continue;
        }
        for (int s = 0; s < n; s++)
            if (rule_shape(r, &m->hp, (smelt_part)t->part, s, &want) && !shape_equal(&want, view_shape(in[s]))) {
                misshaped(&p->report, t->name, view_shape(in[s]), &want);
                break;
            }
    }
    return SMELT_OK;
}

/* Gives back the leading dimensions of one that llama-quantize leaves out of its files. */
static smelt_status with_ones(smelt_model *m, const smelt_name_rule *r, const smelt_tensor *t, const smelt_view **view,
                              smelt_err *err)
{
    smelt_shape want;
    if (!r || r->x != X_NONE || !r->shape || !rule_shape(r, &m->hp, (smelt_part)t->part, 0, &want)) return SMELT_OK;
    const int ones = want.n - t->shape.n;
    if (ones <= 0) return SMELT_OK;
    for (int d = 0; d < want.n; d++)
        if (want.dim[d] != (d < ones ? 1 : t->shape.dim[d - ones])) return SMELT_OK;
    return view_reshape(&m->arena, t->view, &want, view, err);
}

smelt_status names_from_gguf(const smelt_ctx *ctx, smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    list out = {0};
    const xf_args args = {&m->hp, &m->arena};
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (t->role == SMELT_R_ATTN_QKV && arch->gguf_qkv && t->part != SMELT_PART_NONE) {
            const smelt_view *qkv[3];
            SMELT_TRY(xf_rows[X_QKV_ROWS].forward(&args, &t->view, qkv, err));
            for (int k = 0; k < 3; k++)
                SMELT_TRY(list_add(m, &out, t, (smelt_role)(SMELT_R_ATTN_Q + k), (smelt_part)t->part, t->layer, qkv[k], err));
            continue;
        }
        if (t->role == SMELT_R_NONE || t->part == SMELT_PART_NONE)
            return smelt_fail(err, SMELT_E_MISMATCH, "it has a tensor '%s' that %s does not have", t->name, arch->name);
        const smelt_view *view = t->view;
        const smelt_name_rule *r = arch_rule(arch, (smelt_role)t->role);
        SMELT_TRY(with_ones(m, r, t, &view, err));
        SMELT_TRY(side_view(&m->hp, r, view, false, &m->arena, &view, err));
        SMELT_TRY(list_add(m, &out, t, (smelt_role)t->role, (smelt_part)t->part, t->layer, view, err));
    }
    /* The check looks tensors up by name, so they are installed first; a misfit puts the file's own back. */
    const smelt_model before = *m;
    mapper p = {0};
    smelt_status st = list_install(m, &out, arch, err);
    if (st == SMELT_OK) st = mapper_init(&p, m, arch, err);
    p.canonical = true;
    if (st == SMELT_OK) st = check_canonical(ctx, &p, err);
    if (st == SMELT_OK) {
        find_missing(&p);
        st = conclude(&p.report, err);
    }
    if (st == SMELT_OK) return SMELT_OK;
    smelt_arena arena = m->arena;
    smelt_hparams hp = m->hp;
    *m = before;
    m->arena = arena;
    m->hp = hp;
    return st;
}

static smelt_status add_like(smelt_model *out, const char *name, const smelt_view *view, const smelt_tensor *t, int role,
                             smelt_err *err)
{
    SMELT_TRY(model_add(out, name, strlen(name), view, t->file, t->offset, err));
    smelt_tensor *added = &out->tensors[out->n_tensors - 1];
    added->origin = t->origin;
    added->role = role;
    added->part = t->part;
    added->layer = t->layer;
    return SMELT_OK;
}

smelt_status arch_project_hf(const smelt_ctx *ctx, const smelt_model *m, smelt_model *out, smelt_err *err)
{
    const bool keep_mxfp4 = m->arch && arch_keeps_mxfp4(m);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (!m->arch) {
            SMELT_TRY(add_like(out, t->name, t->view, t, t->role, err));
            continue;
        }
        const smelt_name_rule *r = storing(ctx, m->arch, keep_mxfp4, (smelt_role)t->role, (smelt_part)t->part, t->dtype, &m->hp);
        if (!r)
            return smelt_fail(err, SMELT_E_UNSUPPORTED,
                              "tensor '%s' as %s has no place in a Hugging Face checkpoint of this family", t->name,
                              smelt_dtype_get(t->dtype)->name);
        if (r->flags & NAME_NO_HF || r->role != (smelt_role)t->role) continue;
        const smelt_view **in = NULL;
        int n = 0;
        bool have, decoded;
        SMELT_TRY(rule_back(ctx, m, &out->arena, r, (smelt_part)t->part, t->layer, &in, &n, &have, &decoded, err));
        if (!have) return smelt_fail(err, SMELT_E_MISMATCH, "the tensors that belong to '%s' are not all there", t->name);
        for (int s = 0; s < n; s++) {
            char *name = hf_name(&out->arena, r, (smelt_part)t->part, t->layer, s);
            if (!name) return smelt_oom(err);
            SMELT_TRY(add_like(out, name, in[s], t, t->role, err));
            out->tensors[out->n_tensors - 1].decoded = decoded;
        }
    }
    return SMELT_OK;
}

static const smelt_tensor *sibling(const smelt_model *m, smelt_arena *arena, const smelt_tensor *t, smelt_role role)
{
    char *name = role_name(arena, role, (smelt_part)t->part, t->layer);
    return name ? model_find(m, name) : NULL;
}

smelt_status arch_project_gguf(const smelt_model *m, smelt_model *out, smelt_err *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        const smelt_view *view = t->view;
        const char *name = t->name;
        int role = t->role;
        if (m->arch && m->arch->gguf_qkv && t->role >= SMELT_R_ATTN_Q && t->role <= SMELT_R_ATTN_V) {
            if (t->role != SMELT_R_ATTN_Q) continue;
            const smelt_tensor *k = sibling(m, &out->arena, t, SMELT_R_ATTN_K), *v = sibling(m, &out->arena, t, SMELT_R_ATTN_V);
            if (!k || !v)
                return smelt_fail(err, SMELT_E_MISMATCH, "the keys and values that belong to '%s' are not there", t->name);
            const smelt_view *const qkv[3] = {t->view, k->view, v->view};
            SMELT_TRY(view_concat(&out->arena, qkv, 3, &view, err));
            role = SMELT_R_ATTN_QKV;
            name = role_name(&out->arena, SMELT_R_ATTN_QKV, (smelt_part)t->part, t->layer);
            if (!name) return smelt_oom(err);
        } else if (m->arch) {
            smelt_status st = side_view(&m->hp, arch_rule(m->arch, (smelt_role)t->role), t->view, true, &out->arena, &view, err);
            if (st != SMELT_OK) {
                smelt_err_where(err, "tensor '%s'", t->name);
                return st;
            }
        }
        SMELT_TRY(add_like(out, name, view, t, role, err));
    }
    return SMELT_OK;
}
