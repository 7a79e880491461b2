#include "quant/recipe.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <strings.h>

#include "arch/arch.h"
#include "ir/format.h"
#include "quant/rules.h"

static const unsigned char classes[SMELT_R_COUNT] = {
    [SMELT_R_TOKEN_EMBD] = CLASS_EMBD,
    [SMELT_R_OUTPUT] = CLASS_OUTPUT,
    [SMELT_R_ATTN_Q] = CLASS_ATTN_Q,
    [SMELT_R_ATTN_K] = CLASS_ATTN_K,
    [SMELT_R_ATTN_V] = CLASS_ATTN_V,
    [SMELT_R_ATTN_QKV] = CLASS_ATTN_V, /* which it is a part of */
    [SMELT_R_ATTN_OUT] = CLASS_ATTN_OUT,
    [SMELT_R_FFN_GATE] = CLASS_FFN_GATE,
    [SMELT_R_FFN_GATE_EXPS] = CLASS_FFN_GATE,
    [SMELT_R_FFN_GATE_SHEXP] = CLASS_FFN_GATE,
    [SMELT_R_FFN_UP] = CLASS_FFN_UP,
    [SMELT_R_FFN_UP_EXPS] = CLASS_FFN_UP,
    [SMELT_R_FFN_UP_SHEXP] = CLASS_FFN_UP,
    [SMELT_R_FFN_DOWN] = CLASS_FFN_DOWN,
    [SMELT_R_FFN_DOWN_EXPS] = CLASS_FFN_DOWN,
    [SMELT_R_FFN_DOWN_SHEXP] = CLASS_FFN_DOWN,
    [SMELT_R_ATTN_NORM] = CLASS_KEEP,
    [SMELT_R_FFN_NORM] = CLASS_KEEP,
    [SMELT_R_OUTPUT_NORM] = CLASS_KEEP,
    [SMELT_R_ROPE_FREQS] = CLASS_KEEP,
    [SMELT_R_POS_EMBD] = CLASS_KEEP,
    [SMELT_R_ATTN_NORM_2] = CLASS_KEEP,
    [SMELT_R_ATTN_POST_NORM] = CLASS_KEEP,
    [SMELT_R_ATTN_Q_NORM] = CLASS_KEEP,
    [SMELT_R_ATTN_K_NORM] = CLASS_KEEP,
    [SMELT_R_ATTN_SINKS] = CLASS_KEEP,
    [SMELT_R_FFN_GATE_INP] = CLASS_KEEP,
    [SMELT_R_FFN_GATE_INP_SHEXP] = CLASS_KEEP,
    [SMELT_R_ATTN_KV_B] = CLASS_ATTN_V,
    [SMELT_R_PER_LAYER_TOKEN_EMBD] = CLASS_EMBD,
    [SMELT_R_PER_LAYER_MODEL_PROJ] = CLASS_KEEP,
    [SMELT_R_TOKEN_TYPES] = CLASS_KEEP,
    [SMELT_R_ALTUP_PROJ] = CLASS_KEEP,
    [SMELT_R_ALTUP_UNEMBD_PROJ] = CLASS_KEEP,
    [SMELT_R_ALTUP_CORRECT_COEF] = CLASS_KEEP,
    [SMELT_R_ALTUP_CORRECT_SCALE] = CLASS_KEEP,
    [SMELT_R_ALTUP_PREDICT_COEF] = CLASS_KEEP,
    [SMELT_R_ALTUP_ROUTER] = CLASS_KEEP,
    [SMELT_R_LAUREL_L] = CLASS_KEEP,
    [SMELT_R_LAUREL_R] = CLASS_KEEP,
    [SMELT_R_SSM_CONV1D] = CLASS_KEEP,
    [SMELT_R_SHORTCONV] = CLASS_KEEP,
    [SMELT_R_FFN_GATE_TID2EID] = CLASS_KEEP,
    [SMELT_R_INDEXER_K_PROJ] = CLASS_KEEP,
    [SMELT_R_INDEXER_Q_PROJ] = CLASS_KEEP,
    [SMELT_R_ATTN_REL_B] = CLASS_KEEP,
    [SMELT_R_ENC_ATTN_REL_B] = CLASS_KEEP,
    [SMELT_R_DEC_ATTN_REL_B] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_FIRST] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_W0] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_W1] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_W2] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_V0] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_V1] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_V2] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_A0] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_A1] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_A2] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_G1] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_G2] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_DECAY_W1] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_DECAY_W2] = CLASS_KEEP,
    [SMELT_R_TIME_MIX_LERP_FUSED] = CLASS_KEEP,
};

typedef struct mix {
    const char *name;
    int file_type;
    smelt_dtype type, head;
} mix;

static const mix mixes[MIX_COUNT] = {
#define SMELT_MIX(name, file_type, type, head) {#name, file_type, SMELT_DT_##type, SMELT_DT_##head},
#include "quant/recipe.def"
#undef SMELT_MIX
};

static const struct {
    const char *name;
    mix_id id;
} aliases[] = {
#define SMELT_ALIAS(name, id) {#name, MIX_##id},
#include "quant/recipe.def"
#undef SMELT_ALIAS
};

static const struct {
    const char *arch;
    int layers;
    bool shared;
} models_70b[] = {
#define SMELT_70B(arch, layers, shared) {#arch, layers, shared},
#include "quant/recipe.def"
#undef SMELT_70B
};

static const struct {
    int mix;
    smelt_dtype type;
} needs_imatrix[] = {
#define SMELT_NEEDS_IMATRIX(mix, type) {MIX_##mix, SMELT_DT_##type},
#include "quant/recipe.def"
#undef SMELT_NEEDS_IMATRIX
};

static const struct {
    smelt_dtype type, next;
} fallbacks[] = {
#define SMELT_FALLBACK(type, next) {SMELT_DT_##type, SMELT_DT_##next},
#include "quant/recipe.def"
#undef SMELT_FALLBACK
};

const char *recipe_mixes(void)
{
    static const char names[] =
#define SMELT_MIX(name, file_type, type, head) " " #name
#include "quant/recipe.def"
#undef SMELT_MIX
        ;
    return names + 1;
}

/* Edits (insert, delete, replace) between two short names, letter case aside. */
static unsigned distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) return MAX;
    unsigned row[MAX];
    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned replace = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0),
                     best = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = replace < best + 1 ? replace : best + 1;
        }
    }
    return row[m];
}

static smelt_status find_mix(const char *name, mix_id *out, smelt_err *err)
{
    const char *nearest = mixes[0].name;
    for (int i = 0; i < MIX_COUNT; i++) {
        if (strcasecmp(name, mixes[i].name) == 0) {
            *out = (mix_id)i;
            return SMELT_OK;
        }
        if (distance(name, mixes[i].name) < distance(name, nearest)) nearest = mixes[i].name;
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(name, aliases[i].name) == 0) {
            *out = aliases[i].id;
            return SMELT_OK;
        }
    return smelt_fail(err, SMELT_E_USAGE, "unknown type '%s'; did you mean %s? There are: %s", name, nearest, recipe_mixes());
}

/* A tensor as the rules see it. */
typedef struct known {
    tensor_class kind;
    int layer;
    bool weight; /* a weight, as far as its name says */
    bool matrix, stacked;
    uint64_t cols;
} known;

static known know(const smelt_tensor *t)
{
    smelt_role role = (smelt_role)t->role;
    smelt_part part = (smelt_part)t->part;
    int layer = t->layer;
    if (role == SMELT_R_NONE && !role_parse(t->name, &role, &part, &layer)) layer = name_layer(t->name);
    return (known){.kind = (tensor_class)classes[role],
                   .layer = layer,
                   .weight = part == SMELT_PART_WEIGHT && !name_is_norm(t->name),
                   .matrix = t->shape.n >= 2,
                   .stacked = t->shape.n > 2 && t->shape.dim[t->shape.n - 3] > 1,
                   .cols = t->shape.n ? t->shape.dim[t->shape.n - 1] : 1};
}

/* How many heads share keys, if the configuration does not say it. */
static uint64_t gqa_of_shapes(const smelt_model *m)
{
    uint64_t q = 0, k = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const tensor_class kind = know(&m->tensors[i]).kind;
        const smelt_shape *s = &m->tensors[i].shape;
        if (kind == CLASS_ATTN_Q && s->n >= 2) q = s->dim[0];
        if (kind == CLASS_ATTN_K && s->n >= 2) k = s->dim[0];
    }
    return k ? q / k : 1;
}

static overview look(const smelt_model *m, bool imatrix)
{
    overview o = {.tied = true, .imatrix = imatrix, .layers = (int)hp_u64(&m->hp, SMELT_HP_LAYERS)};
    for (size_t i = 0; i < m->n_tensors; i++) {
        const known n = know(&m->tensors[i]);
        if (n.layer >= o.layers && !m->hp.set[SMELT_HP_LAYERS]) o.layers = n.layer + 1;
        if (n.kind == CLASS_OUTPUT && n.weight) o.tied = false;
        o.n_attn_v += n.kind == CLASS_ATTN_V && n.weight;
        if (n.stacked) o.experts = m->tensors[i].shape.dim[m->tensors[i].shape.n - 3];
    }
    if (m->hp.set[SMELT_HP_EXPERTS]) o.experts = hp_u64(&m->hp, SMELT_HP_EXPERTS);
    const uint64_t heads = hp_u64(&m->hp, SMELT_HP_HEADS), kv_heads = hp_u64(&m->hp, SMELT_HP_KV_HEADS);
    o.gqa = kv_heads ? heads / kv_heads : m->hp.set[SMELT_HP_KV_HEADS] ? 0 : gqa_of_shapes(m);
    smelt_str said = {0};
    meta_get_str(&m->meta, "general.architecture", &said);
    if (m->arch) said = (smelt_str){m->arch->name, strlen(m->arch->name)};
    o.falcon = str_eq(said, "falcon");
    for (size_t i = 0; i < sizeof models_70b / sizeof *models_70b; i++)
        o.is_70b |= str_eq(said, models_70b[i].arch) && o.layers == models_70b[i].layers && (!models_70b[i].shared || o.gqa > 1);
    return o;
}

/* Where tensors stand among those of their class that the rules were asked about. */
typedef struct places {
    int next[CLASS_COUNT];
} places;

static bool fits(smelt_dtype type, uint64_t cols) { return cols % smelt_dtype_get(type)->elems == 0; }

/* The type itself, the next one whose blocks divide the row, or F16. */
static smelt_dtype fit(smelt_dtype type, uint64_t cols)
{
    for (size_t i = 0; !fits(type, cols) && i < sizeof fallbacks / sizeof *fallbacks; i++)
        if (fallbacks[i].type == type) {
            type = fallbacks[i].next;
            break;
        }
    return fits(type, cols) ? type : SMELT_DT_F16;
}

/* Compiled regular expressions: of --tensor-type, and behind those the ones of the recipe's rules (NULL where one has none). */
typedef struct patterns {
    pcre2_code **code;
    size_t n;
    pcre2_match_data *data;
    pcre2_match_context *limits;
} patterns;

static void patterns_free(patterns *p)
{
    for (size_t i = 0; i < p->n; i++)
        pcre2_code_free(p->code[i]);
    pcre2_match_data_free(p->data);
    pcre2_match_context_free(p->limits);
}

static smelt_status patterns_add(patterns *p, const char *regex, smelt_err *err)
{
    int code;
    PCRE2_SIZE at;
    p->code[p->n] =
        regex ? pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_UTF, &code, &at, NULL) : NULL;
    if (p->code[p->n++] || !regex) return SMELT_OK;
    PCRE2_UCHAR why[128] = "";
    pcre2_get_error_message(code, why, sizeof why);
    return smelt_fail(err, SMELT_E_USAGE, "the pattern '%s' is no regular expression: %s at character %zu", regex,
                      (const char *)why, (size_t)at);
}

static smelt_status patterns_compile(smelt_arena *arena, const smelt_recipe_opts *opts, patterns *p, smelt_err *err)
{
    enum { STEPS = 1000000 }; /* a name is short: only a pattern that backtracks without end takes more */
    *p = (patterns){.code = arena_calloc(arena, opts->n_overrides + opts->rules.n, sizeof(pcre2_code *)),
                    .data = pcre2_match_data_create(1, NULL),
                    .limits = pcre2_match_context_create(NULL)};
    if (!p->code || !p->data || !p->limits) return smelt_oom(err);
    pcre2_set_match_limit(p->limits, STEPS);
    for (size_t i = 0; i < opts->n_overrides; i++)
        SMELT_TRY(patterns_add(p, opts->overrides[i].regex, err));
    for (size_t i = 0; i < opts->rules.n; i++)
        SMELT_TRY(patterns_add(p, opts->rules.rule[i].regex, err));
    return SMELT_OK;
}

/* Whether the pattern of that number, whose text is `regex`, is found in the name. */
static smelt_status patterns_found(const patterns *p, size_t i, const char *regex, const char *name, bool *out, smelt_err *err)
{
    int found = pcre2_match(p->code[i], (PCRE2_SPTR)name, strlen(name), 0, 0, p->data, p->limits);
    *out = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH) return SMELT_OK;
    return smelt_fail(err, SMELT_E_USAGE, "the pattern '%s' takes too long on the name '%s'", regex, name);
}

/* Number of the first override that is for the name; opts->n_overrides if there is none. */
static smelt_status find_override(const patterns *p, const smelt_recipe_opts *opts, const char *name, size_t *out, smelt_err *err)
{
    bool found = false;
    for (*out = 0; *out < opts->n_overrides; (*out)++) {
        SMELT_TRY(patterns_found(p, *out, opts->overrides[*out].regex, name, &found, err));
        if (found) break;
    }
    return SMELT_OK;
}

static smelt_choice chosen(smelt_dtype asked, smelt_dtype given, const char *why)
{
    return (smelt_choice){asked, given, asked == given ? why : "row size", NULL};
}

/* What a run of recipe_quantize works with. */
typedef struct chooser {
    const smelt_recipe_opts *opts;
    mix_id id;
    bool mixed; /* the mix has rules, and they count */
    overview model;
    places seen;
    patterns patterns;
} chooser;

/* Rules that are older than tables: the output matrix has a type of its own. */
static const smelt_rule output_rule = {.words = "OUTPUT"};

/* The type that the mix's rules and the user's give. */
static smelt_status by_rules(chooser *c, const smelt_tensor *t, const known *n, smelt_choice *choice, smelt_err *err)
{
    const mix *m = &mixes[c->id];
    const bool head = n->kind == CLASS_OUTPUT || (n->kind == CLASS_EMBD && c->model.tied);
    rule_subject s = {.kind = head ? CLASS_OUTPUT : n->kind, .layer = n->layer, .stacked = n->stacked};
    s.place = c->seen.next[s.kind]++;
    smelt_dtype type = m->type;
    const smelt_rule *rule = NULL;
    if (c->mixed && head) {
        type = fits(m->type, n->cols) ? m->head : SMELT_DT_Q8_0;
        rule = &output_rule;
    }
    for (size_t i = 0; c->mixed && i < n_mix_rules; i++)
        if ((mix_rules[i].mix == c->id || mix_rules[i].mix == MIX_ANY) && rule_applies(&mix_rules[i], &c->model, &s, type)) {
            rule = &mix_rules[i];
            type = rule->type;
        }
    /* What does not fit decides about the output matrix before rules do. */
    smelt_dtype asked = rule == &output_rule && !fits(m->type, n->cols) ? m->head : type;
    const char *why = c->mixed ? "mix" : c->opts->pure ? "--pure" : "mix";
    for (size_t i = 0; i < c->opts->rules.n; i++) {
        const smelt_rule *r = &c->opts->rules.rule[i];
        bool found = true;
        if (!rule_applies(r, &c->model, &s, type)) continue;
        if (r->regex) SMELT_TRY(patterns_found(&c->patterns, c->opts->n_overrides + i, r->regex, t->name, &found, err));
        if (!found) continue;
        rule = r;
        type = asked = r->type;
        why = "--recipe";
    }
    *choice = chosen(asked, fit(type, n->cols), why);
    choice->rule = rule;
    return SMELT_OK;
}

static smelt_status copy_all(const smelt_model *out, smelt_choice *choices, int *file_type, smelt_err *err)
{
    uint64_t said;
    if (!out->meta_complete)
        return smelt_fail(err, SMELT_E_USAGE, "COPY keeps what a GGUF file has; `smelt convert` makes one of other sources");
    for (size_t i = 0; i < out->n_tensors; i++)
        choices[i] = (smelt_choice){out->tensors[i].dtype, out->tensors[i].dtype, "kept", NULL};
    if (meta_get_u64(&out->meta, "general.file_type", &said) && said <= INT32_MAX) *file_type = (int)said;
    return SMELT_OK;
}

/* A tensor that keeps its type; what GGUF has no type for, and vectors that no GGUF file came with, become float32. */
static smelt_choice kept(const smelt_model *out, const smelt_tensor *t)
{
    smelt_dtype type = t->dtype;
    if (smelt_dtype_get(type)->gguf_id < 0 || (!out->meta_complete && t->shape.n < 2)) type = SMELT_DT_F32;
    return (smelt_choice){type, type, "kept", NULL};
}

static smelt_status choose(chooser *c, const smelt_model *out, const smelt_tensor *t, smelt_choice *choice, smelt_err *err)
{
    const smelt_recipe_opts *opts = c->opts;
    const known n = know(t);
    if (!n.matrix || !n.weight || n.kind == CLASS_KEEP || (n.kind == CLASS_OUTPUT && opts->leave_output)) {
        *choice = kept(out, t);
        /* A norm with two dimensions is kept as well, but a checkpoint's goes to float32 as its vectors do. */
        if (!out->meta_complete && n.kind == CLASS_KEEP) *choice = (smelt_choice){SMELT_DT_F32, SMELT_DT_F32, "kept", NULL};
        return SMELT_OK;
    }
    if (opts->embedding_type < SMELT_DT_COUNT && n.kind == CLASS_EMBD) {
        *choice = chosen(opts->embedding_type, fit(opts->embedding_type, n.cols), "--token-embedding-type");
        return SMELT_OK;
    }
    if (opts->output_type < SMELT_DT_COUNT && n.kind == CLASS_OUTPUT) {
        *choice = chosen(opts->output_type, fit(opts->output_type, n.cols), "--output-tensor-type");
        return SMELT_OK;
    }
    /* As in llama-quantize, a mix of a plain type is that type everywhere. */
    if (smelt_dtype_get(mixes[c->id].type)->kind == SMELT_KIND_BLOCK) {
        size_t match;
        SMELT_TRY(find_override(&c->patterns, opts, t->name, &match, err));
        if (match < opts->n_overrides) {
            const smelt_dtype type = opts->overrides[match].type;
            *choice = chosen(type, fit(type, n.cols), "--tensor-type");
            return SMELT_OK;
        }
        if (c->mixed && opts->output_type < SMELT_DT_COUNT && n.kind == CLASS_EMBD && c->model.tied) {
            *choice = chosen(opts->output_type, fit(opts->output_type, n.cols), "--output-tensor-type");
            return SMELT_OK;
        }
    }
    return by_rules(c, t, &n, choice, err);
}

smelt_status recipe_quantize(const smelt_ctx *ctx, const smelt_model *out, const smelt_recipe_opts *opts, smelt_choice *choices,
                             int *file_type, smelt_err *err)
{
    (void)ctx;
    mix_id id = MIX_F32;
    SMELT_TRY(find_mix(opts->mix, &id, err));
    *file_type = mixes[id].file_type;
    if (id == MIX_COPY) return copy_all(out, choices, file_type, err);
    chooser c = {.opts = opts,
                 .id = id,
                 .mixed = smelt_dtype_get(mixes[id].type)->kind == SMELT_KIND_BLOCK && !opts->pure,
                 .model = look(out, opts->imatrix)};
    smelt_arena arena = {0};
    smelt_status st = patterns_compile(&arena, opts, &c.patterns, err);
    for (size_t i = 0; st == SMELT_OK && i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        st = choose(&c, out, t, &choices[i], err);
        if (st == SMELT_OK && !opts->allow_requantize && choices[i].given != t->dtype &&
            smelt_dtype_get(t->dtype)->kind == SMELT_KIND_BLOCK)
            st = smelt_fail(err, SMELT_E_UNSUPPORTED,
                            "tensor '%s' is quantised already (%s): quantising it again to %s loses more than starting from the "
                            "original; --allow-requantize does it anyway",
                            t->name, smelt_dtype_get(t->dtype)->name, smelt_dtype_get(choices[i].given)->name);
    }
    patterns_free(&c.patterns);
    arena_free(&arena);
    return st;
}

static bool needs(const smelt_ctx *ctx, mix_id id, const smelt_tensor *t, smelt_dtype type)
{
    const tensor_class kind = know(t).kind;
    bool advised = ctx->codec[type].weights == SMELT_WEIGHTS_ADVISED;
    for (size_t i = 0; i < sizeof needs_imatrix / sizeof *needs_imatrix; i++)
        advised |= needs_imatrix[i].mix == (int)id && needs_imatrix[i].type == type;
    return ctx->codec[type].weights == SMELT_WEIGHTS_REQUIRED || (advised && kind != CLASS_EMBD && kind != CLASS_OUTPUT);
}

smelt_status recipe_check_importance(const smelt_ctx *ctx, const smelt_model *out, const smelt_recipe_opts *opts,
                                     const smelt_choice *choices, const smelt_importance *const *importance, smelt_err *err)
{
    enum { SHOW = 20 };
    mix_id id = MIX_F32;
    size_t bad = 0;
    smelt_err list = {0};
    SMELT_TRY(find_mix(opts->mix, &id, err));
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        if (choices[i].given == t->dtype || importance[i] || !needs(ctx, id, t, choices[i].given)) continue;
        if (bad++ < SHOW) smelt_err_add(&list, "  %s: %s", t->name, smelt_dtype_get(choices[i].given)->name);
    }
    if (!bad) return SMELT_OK;
    return smelt_fail(err, SMELT_E_UNSUPPORTED, "%s for %zu tensors, whose types are useless without%s; %s:\n%s",
                      opts->imatrix ? "the importance matrix has nothing" : "there is no importance matrix", bad,
                      bad > SHOW ? " (first ones shown)" : "",
                      opts->imatrix ? "calibrate so that it reaches them, or give them other types with --tensor-type"
                                    : "make one with llama-imatrix and give it with --imatrix",
                      list.text);
}

/* The types that convert offers. */
static const mix_id offered[] = {MIX_F32, MIX_F16, MIX_BF16, MIX_Q8_0};

/* What a checkpoint made of a quantised file gets its matrices in. */
static mix_id usual(const smelt_model *out) { return out->arch && out->arch->bf16 ? MIX_BF16 : MIX_F16; }

/* The type of the first matrix that is bfloat16 or float16; `otherwise` if there is none. */
static mix_id guess(const smelt_model *out, mix_id otherwise)
{
    for (size_t i = 0; i < out->n_tensors; i++) {
        if (out->tensors[i].shape.n < 2) continue;
        if (out->tensors[i].dtype == SMELT_DT_BF16) return MIX_BF16;
        if (out->tensors[i].dtype == SMELT_DT_F16) return MIX_F16;
    }
    return otherwise;
}

static bool from_blocks(const smelt_tensor *t) { return t->decoded || smelt_dtype_get(t->dtype)->kind == SMELT_KIND_BLOCK; }

/* Otherwise a model of float32 matrices would get vectors of another type than theirs. */
static bool matrices_become(const smelt_model *out, smelt_dtype type)
{
    for (size_t i = 0; i < out->n_tensors; i++)
        if (out->tensors[i].shape.n >= 2 && (out->tensors[i].dtype == type || from_blocks(&out->tensors[i]))) return true;
    return false;
}

static bool always_f32(const smelt_tensor *t)
{
    if (t->shape.n < 2) return true;
    const known n = know(t);
    return !n.weight || n.kind == CLASS_KEEP;
}

/* True if float32 values are the same in `type`, so that storing them in it and reading them back is exact. Only for tensors that
 * a GGUF file keeps in float32 whatever its matrices are. */
static bool exact(const smelt_ctx *ctx, const smelt_tensor *t, smelt_dtype type)
{
    enum { STEP = 256 };
    float x[STEP], back[STEP];
    _Alignas(16) uint8_t packed[STEP * 8];
    const smelt_codec_fns *f = &ctx->codec[type];
    if (t->dtype != SMELT_DT_F32 || !always_f32(t) || !f->pack || !f->unpack) return false;
    const uint64_t cols = view_cols(t->view), n = view_rows(t->view) * cols;
    for (uint64_t i = 0; i < n; i += STEP) {
        const uint64_t step = n - i < STEP ? n - i : STEP;
        view_read(t->view, i / cols, i % cols, step, x);
        f->pack(x, packed, 1, step, NULL);
        f->unpack(packed, back, step);
        if (memcmp(x, back, step * sizeof *x) != 0) return false;
    }
    return true;
}

/* Formats without block types, which checkpoints are published in: everything keeps its type unless one is asked for. What a
 * GGUF file brings along is brought back: vectors to the matrices' type where that is exact, block types to float. */
static smelt_choice checkpoint_choice(const smelt_ctx *ctx, const smelt_model *out, const smelt_tensor *t, bool automatic,
                                      mix_id id)
{
    const smelt_dtype_kind kind = smelt_dtype_get(t->dtype)->kind;
    const smelt_dtype type = mixes[id].type;
    if (kind == SMELT_KIND_INT || kind == SMELT_KIND_OTHER) return (smelt_choice){t->dtype, t->dtype, "kept", NULL};
    if (!automatic) return (smelt_choice){type, type, "--type", NULL};
    if (from_blocks(t)) return (smelt_choice){type, type, "auto", NULL};
    if (out->meta_complete && matrices_become(out, type) && exact(ctx, t, type)) return (smelt_choice){type, type, "auto", NULL};
    return (smelt_choice){t->dtype, t->dtype, "kept", NULL};
}

static smelt_choice gguf_choice(const smelt_model *out, const smelt_tensor *t, bool automatic, mix_id id)
{
    const known n = know(t);
    const smelt_dtype type = mixes[id].type;
    if (out->meta_complete && (automatic || !n.weight)) return kept(out, t);
    /* Checkpoints published in four bits are not made larger and no better. */
    if (!out->meta_complete && t->dtype == SMELT_DT_MXFP4) return kept(out, t);
    if (!n.matrix || !n.weight || n.kind == CLASS_KEEP) return (smelt_choice){SMELT_DT_F32, SMELT_DT_F32, "always f32", NULL};
    return chosen(type, fit(type, n.cols), automatic ? "auto" : "--type");
}

smelt_status recipe_convert(const smelt_ctx *ctx, const smelt_format *target, const smelt_model *out, const char *type,
                            smelt_choice *choices, int *file_type, smelt_err *err)
{
    const bool automatic = strcasecmp(type, "auto") == 0, blocks = target->can_store(SMELT_DT_Q8_0);
    mix_id id = guess(out, blocks ? MIX_F16 : usual(out));
    if (!automatic) {
        size_t i = 0;
        while (i < sizeof offered / sizeof *offered && strcasecmp(type, mixes[offered[i]].name) != 0)
            i++;
        if (i == sizeof offered / sizeof *offered)
            return smelt_fail(err, SMELT_E_USAGE, "unknown type '%s'; convert has auto, f32, f16, bf16 and q8_0%s", type,
                              " (`smelt quantize` makes the others)");
        id = offered[i];
    }
    bool four_bits = false;
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        choices[i] = blocks ? gguf_choice(out, t, automatic, id) : checkpoint_choice(ctx, out, t, automatic, id);
        if (smelt_dtype_get(t->dtype)->kind == SMELT_KIND_BLOCK && choices[i].given != t->dtype &&
            smelt_dtype_get(choices[i].given)->kind == SMELT_KIND_BLOCK)
            return smelt_fail(err, SMELT_E_UNSUPPORTED,
                              "tensor '%s' is quantised already (%s); use `smelt quantize %s --allow-requantize`", t->name,
                              smelt_dtype_get(t->dtype)->name, "SRC DST Q8_0");
        four_bits |= choices[i].given == SMELT_DT_MXFP4;
    }
    *file_type = automatic && out->meta_complete ? -1 : mixes[id].file_type;
    if (four_bits && *file_type >= 0 && smelt_dtype_get(mixes[id].type)->kind != SMELT_KIND_BLOCK)
        *file_type = mixes[MIX_MXFP4_MOE].file_type;
    return SMELT_OK;
}
