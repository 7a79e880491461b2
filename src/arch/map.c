/* Between the formats and the canonical model: config.json and GGUF keys to hyperparameters, names to roles, and back. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch/internal.h"
#include "base/bytes.h"

const struct rope_scaling_row rope_scaling_rows[ROPE_SCALINGS] = {
    [ROPE_NONE] = {"default", NULL},  [ROPE_LINEAR] = {"linear", "linear"}, [ROPE_YARN] = {"yarn", "yarn"},
    [ROPE_LLAMA3] = {"llama3", NULL}, [ROPE_DYNAMIC] = {"dynamic", NULL},
};

bool hp_in_use(const smelt_hparams *hp, smelt_hp id)
{
    /* Which scaling types read each parameter, as bits. */
    static const unsigned char users[SMELT_HP_COUNT] = {
        [SMELT_HP_ROPE_FACTOR] = 1 << ROPE_LINEAR | 1 << ROPE_YARN | 1 << ROPE_LLAMA3 | 1 << ROPE_DYNAMIC,
        [SMELT_HP_ROPE_ORIG_CTX] = 1 << ROPE_YARN | 1 << ROPE_LLAMA3,
        [SMELT_HP_YARN_EXT] = 1 << ROPE_YARN,
        [SMELT_HP_YARN_ATTN] = 1 << ROPE_YARN,
        [SMELT_HP_YARN_BETA_FAST] = 1 << ROPE_YARN,
        [SMELT_HP_YARN_BETA_SLOW] = 1 << ROPE_YARN,
        [SMELT_HP_YARN_TRUNCATE] = 1 << ROPE_YARN,
        [SMELT_HP_ROPE_LOW_FREQ] = 1 << ROPE_LLAMA3,
        [SMELT_HP_ROPE_HIGH_FREQ] = 1 << ROPE_LLAMA3,
    };
    if (!hp->set[id]) return false;
    unsigned scaling = hp->set[SMELT_HP_ROPE_SCALING] ? (unsigned)hp->v[SMELT_HP_ROPE_SCALING] : ROPE_NONE;
    return !users[id] || (users[id] >> scaling & 1);
}

/* The first of `keys` that is there and not null; *key gets its text for messages. */
static const json_t *lookup(const json_t *config, const char *keys, char *key, size_t size)
{
    for (const char *p = keys; *p;) {
        size_t len = strcspn(p, "|");
        const json_t *v = config;
        snprintf(key, size, "%.*s", (int)len, p);
        for (const char *q = p; v && q < p + len;) {
            size_t part = strcspn(q, ".|");
            v = json_object_getn(v, q, part);
            q += part + (q[part] == '.');
        }
        if (v && !json_is_null(v)) return v;
        p += len;
        if (*p) p++;
    }
    return NULL;
}

static bool has_null(const json_t *config, const char *key) { return json_is_null(json_object_get(config, key)); }

typedef enum hp_kind { KIND_U32, KIND_F32, KIND_F64, KIND_BOOL, KIND_RSCALE, KIND_TEXT, KIND_ACT } hp_kind;

static const hp_kind kinds[SMELT_HP_COUNT] = {
#define SMELT_HPARAM(id, kind, key) [SMELT_HP_##id] = KIND_##kind,
#include "arch/hparams.def"
#undef SMELT_HPARAM
};

static const char *const gguf_keys[SMELT_HP_COUNT] = {
#define SMELT_HPARAM(id, kind, key) [SMELT_HP_##id] = (key),
#include "arch/hparams.def"
#undef SMELT_HPARAM
};

/* One parser and one writer for each kind of hyperparameter. */
static smelt_status from_json_u32(const json_t *v, const char *key, double *out, smelt_err *err)
{
    /* Some writers store 8192.0. */
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(d >= 0 && d <= UINT32_MAX) || d != floor(d))
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json: '%s' is no whole number of 32 bits", key);
    *out = d;
    return SMELT_OK;
}

static smelt_status from_json_f32(const json_t *v, const char *key, double *out, smelt_err *err)
{
    if (!json_is_number(v) || !(fabs(json_number_value(v)) <= (double)FLT_MAX))
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json: '%s' is no number of 32 bits", key);
    *out = json_number_value(v);
    return SMELT_OK;
}

static smelt_status from_json_bool(const json_t *v, const char *key, double *out, smelt_err *err)
{
    if (!json_is_boolean(v)) return smelt_fail(err, SMELT_E_CORRUPT, "config.json: '%s' is neither true nor false", key);
    *out = json_is_true(v);
    return SMELT_OK;
}

static smelt_status from_json_rscale(const json_t *v, const char *key, double *out, smelt_err *err)
{
    const char *s = json_string_value(v);
    if (!s) return smelt_fail(err, SMELT_E_CORRUPT, "config.json: '%s' is no string", key);
    for (int i = 0; i < ROPE_SCALINGS; i++)
        if (strcmp(rope_scaling_rows[i].hf, s) == 0) {
            *out = i;
            return SMELT_OK;
        }
    return smelt_fail(err, SMELT_E_UNSUPPORTED,
                      "config.json: '%s' is '%s'; RoPE scaling can be default, linear, yarn, llama3 or dynamic", key, s);
}

/* Only what computes minds an activation that is not known. */
static smelt_status from_json_act(const json_t *v, const char *key, double *out, smelt_err *err)
{
    const char *s = json_string_value(v);
    if (!s) return smelt_fail(err, SMELT_E_CORRUPT, "config.json: '%s' is no string", key);
    *out = act_by_name(s);
    return SMELT_OK;
}

static json_t *to_json_act(double v) { return json_string(act_name((smelt_act)v)); }
static json_t *to_json_u32(double v) { return json_integer((json_int_t)v); }
static json_t *to_json_bool(double v) { return json_boolean(v != 0); }
static json_t *to_json_rscale(double v) { return json_string(rope_scaling_rows[(int)v].hf); }
static json_t *to_json_f64(double v) { return json_real(v); }
static json_t *to_json_f32(double v)
{
    /* The shortest decimal that gives the same float32: what config.json had before GGUF rounded it. */
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back;
        if (sscanf(text, "%lf", &back) == 1 && (float)back == (float)v) return json_real(back);
    }
    return json_real(v);
}

static const struct {
    smelt_status (*from_json)(const json_t *v, const char *key, double *out, smelt_err *err);
    json_t *(*to_json)(double v);
} kind_ops[] = {
    [KIND_U32] = {from_json_u32, to_json_u32},          [KIND_F32] = {from_json_f32, to_json_f32},
    [KIND_F64] = {from_json_f32, to_json_f64},          [KIND_BOOL] = {from_json_bool, to_json_bool},
    [KIND_RSCALE] = {from_json_rscale, to_json_rscale}, [KIND_TEXT] = {from_json_bool, to_json_bool},
    [KIND_ACT] = {from_json_act, to_json_act},
};

static smelt_status apply_absent(const smelt_hp_rule *r, smelt_hparams *hp, smelt_err *err)
{
    double v = r->fallback;
    if (r->absent == HP_OPTIONAL || r->absent == HP_NULLABLE) return SMELT_OK;
    if (r->absent == HP_REQUIRED)
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json has no '%.*s'", (int)strcspn(r->keys, "|"), r->keys);
    if (r->absent == HP_SAME_AS) v = hp->v[r->a];
    if (r->absent == HP_TIMES) v = hp->v[r->a] * r->fallback;
    if (r->absent == HP_RATIO) {
        double a = hp->v[r->a], b = hp->v[r->b];
        if (b <= 0 || fmod(a, b) != 0)
            return smelt_fail(err, SMELT_E_CORRUPT, "config.json has no '%.*s' and %.0f cannot be divided by %.0f",
                              (int)strcspn(r->keys, "|"), r->keys, a, b);
        v = a / b;
    }
    hp->v[r->hp] = v;
    hp->set[r->hp] = true;
    return SMELT_OK;
}

static smelt_status read_hparams(const json_t *config, const smelt_hp_rule *rules, smelt_hparams *hp, smelt_err *err)
{
    for (const smelt_hp_rule *r = rules; r->keys; r++) {
        char key[128];
        if (hp->set[r->hp]) continue; /* a family's own rule stands before the shared ones */
        const json_t *v = lookup(config, r->keys, key, sizeof key);
        if (!v && r->absent == HP_NULLABLE) {
            hp->set[r->hp] = !has_null(config, r->keys);
            hp->v[r->hp] = hp->set[r->hp] ? r->fallback : 0;
            continue;
        }
        if (!v) {
            SMELT_TRY(apply_absent(r, hp, err));
            continue;
        }
        SMELT_TRY(kind_ops[kinds[r->hp]].from_json(v, key, &hp->v[r->hp], err));
        hp->set[r->hp] = true;
    }
    return SMELT_OK;
}

/* Facts that hold for every family and that later arithmetic relies on. */
static smelt_status check_hparams(const smelt_hparams *hp, smelt_err *err)
{
    static const struct {
        smelt_hp id;
        const char *name;
    } positive[] = {{SMELT_HP_LAYERS, "number of layers"},
                    {SMELT_HP_EMBD, "hidden size"},
                    {SMELT_HP_HEADS, "number of attention heads"},
                    {SMELT_HP_KV_HEADS, "number of key/value heads"},
                    {SMELT_HP_HEAD_DIM, "head dimension"}};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (hp->set[positive[i].id] && hp->v[positive[i].id] < 1)
            return smelt_fail(err, SMELT_E_CORRUPT, "the %s is zero", positive[i].name);
    const double heads = hp->v[SMELT_HP_HEADS], kv = hp->v[SMELT_HP_KV_HEADS];
    if (hp->set[SMELT_HP_HEADS] && hp->set[SMELT_HP_KV_HEADS] && fmod(heads, kv) != 0)
        return smelt_fail(err, SMELT_E_CORRUPT, "%.0f attention heads cannot share %.0f key/value heads", heads, kv);
    return SMELT_OK;
}

/* Numbers of config.json that a model computes with and that cannot be what they are. */
static smelt_status check_config(const smelt_hparams *hp, smelt_err *err)
{
    static const struct {
        smelt_hp id;
        double least;
        const char *name;
    } bounds[] = {{SMELT_HP_ROPE_BASE, (double)FLT_MIN, "rope_theta"},
                  {SMELT_HP_ROPE_FACTOR, (double)FLT_MIN, "factor of rope_scaling"},
                  {SMELT_HP_RMS_EPS, 0, "rms_norm_eps"}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (hp_in_use(hp, bounds[i].id) && hp->v[bounds[i].id] < bounds[i].least)
            return smelt_fail(err, SMELT_E_CORRUPT, "config.json: the %s is %g", bounds[i].name, hp->v[bounds[i].id]);
    const int scaling = hp->set[SMELT_HP_ROPE_SCALING] ? (int)hp->v[SMELT_HP_ROPE_SCALING] : ROPE_NONE;
    const bool needs = scaling == ROPE_LINEAR || scaling == ROPE_YARN;
    if (needs && !hp->set[SMELT_HP_ROPE_FACTOR])
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json: rope_scaling is %s without a factor", rope_scaling_rows[scaling].hf);
    return SMELT_OK;
}

/* What all families share: sizes that follow from others. */
static smelt_status derive(const smelt_arch *arch, const json_t *config, smelt_hparams *hp, smelt_err *err)
{
    if (arch->derive) SMELT_TRY(arch->derive(config, hp, err));
    SMELT_TRY(check_hparams(hp, err));
    for (const smelt_name_rule *r = arch->names; r->hf; r++)
        if (r->gguf != GGUF_SAME && fmod(hp->v[SMELT_HP_HEAD_DIM], 2) != 0)
            return smelt_fail(err, SMELT_E_CORRUPT, "RoPE turns pairs, a head of %.0f has none", hp->v[SMELT_HP_HEAD_DIM]);
    hp->v[SMELT_HP_QKV] = (hp->v[SMELT_HP_HEADS] + 2 * hp->v[SMELT_HP_KV_HEADS]) * hp->v[SMELT_HP_HEAD_DIM];
    hp->set[SMELT_HP_QKV] = true;
    /* What was computed has to fit where what was read did. */
    for (int id = 0; id < SMELT_HP_COUNT; id++)
        if (kinds[id] == KIND_U32 && hp->set[id] && !(hp->v[id] >= 0 && hp->v[id] <= UINT32_MAX))
            return smelt_fail(err, SMELT_E_CORRUPT, "the sizes give %g where 32 bits have to do", hp->v[id]);
    return SMELT_OK;
}

/* From here on the model is one of another family, with the configuration that a checkpoint of that has. */
static smelt_status become(smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    json_t *config;
    m->arch = arch;
    json_decref(m->config);
    m->config = NULL;
    SMELT_TRY(arch_config(m, "bfloat16", &config, err));
    m->config = config;
    m->config_made = true;
    return SMELT_OK;
}

static bool has_head(smelt_model *m, const smelt_arch *arch)
{
    const char *name = name_fill(&m->arena, arch_rule(arch, SMELT_R_OUTPUT)->hf, -1, -1, part_suffix(SMELT_PART_WEIGHT));
    return name && model_find(m, name);
}

smelt_status arch_from_hf(const smelt_ctx *ctx, smelt_model *m, smelt_err *err)
{
    (void)ctx;
    const json_t *classes = json_object_get(m->config, "architectures");
    const char *cls = json_string_value(json_array_get(classes, 0)),
               *type = json_string_value(json_object_get(m->config, "model_type"));
    const smelt_arch *arch = arch_of_config(m->config);
    if (!arch) {
        m->unmapped = arena_printf(&m->arena, "its architecture '%s' (model_type '%s') is not known; known are: %s",
                                   cls ? cls : "(none)", type ? type : "(none)", arch_list(&m->arena));
        return SMELT_OK;
    }
    json_t *config;
    SMELT_TRY(rope_old_spelling(m->config, &config, err));
    smelt_status st = read_hparams(config, arch->hp, &m->hp, err);
    json_decref(config);
    SMELT_TRY(st);
    /* Before anything is done for each layer. */
    if (hp_u64(&m->hp, SMELT_HP_LAYERS) > m->n_tensors)
        return smelt_fail(err, SMELT_E_MISMATCH, "the configuration has %.0f layers, the file only %zu tensors",
                          m->hp.v[SMELT_HP_LAYERS], m->n_tensors);
    SMELT_TRY(derive(arch, m->config, &m->hp, err));
    SMELT_TRY(check_config(&m->hp, err));
    /* A bare decoder has no head; it is used with its embedding. */
    static const char bare[] = "Model";
    const size_t len = cls ? strlen(cls) : 0, tail = sizeof bare - 1, own = strcspn(arch->hf_classes, "|");
    const bool headless =
        len > tail && strcmp(cls + len - tail, bare) == 0 && !(len == own && memcmp(cls, arch->hf_classes, len) == 0);
    if (headless && !has_head(m, arch)) m->hp.v[SMELT_HP_TIED] = 1;
    SMELT_TRY(names_from_hf(m, arch, err));
    if (m->hp.set[SMELT_HP_ROPE_SCALING] && (rope_scaling)m->hp.v[SMELT_HP_ROPE_SCALING] == ROPE_LLAMA3)
        SMELT_TRY(rope_freqs_make(m, err));
    return arch->becomes ? become(m, arch->becomes, err) : SMELT_OK;
}

/* Puts a value at a path such as "rope_scaling.factor". Takes `value`. */
static int set_path(json_t *root, const char *path, size_t len, json_t *value)
{
    json_t *at = root;
    for (;;) {
        size_t part = strcspn(path, ".");
        if (part >= len) break;
        json_t *next = json_object_getn(at, path, part);
        if (!next) {
            next = json_object();
            if (json_object_setn_new(at, path, part, next) != 0) {
                json_decref(value);
                return -1;
            }
        }
        at = next;
        path += part + 1;
        len -= part + 1;
    }
    return json_object_setn_new(at, path, len, value);
}

smelt_status arch_config(const smelt_model *m, const char *dtype, json_t **out, smelt_err *err)
{
    json_t *root;
    if (m->config) {
        root = json_deep_copy(m->config);
        if (!root) return smelt_oom(err);
        bool old = json_object_get(root, "torch_dtype") != NULL;
        json_object_set_new(root, old ? "torch_dtype" : "dtype", json_string(dtype));
        *out = root;
        return SMELT_OK;
    }
    smelt_buf text = {0};
    buf_printf(&text, "{%s}", m->arch->config_extra);
    smelt_status st = text.failed ? smelt_oom(err)
                                  : smelt_json_parse((const char *)text.data, text.size, "the family's configuration", &root, err);
    buf_free(&text);
    if (st != SMELT_OK) return st;
    int bad = json_object_set_new(root, "architectures", json_pack("[s%]", m->arch->hf_classes, strcspn(m->arch->hf_classes, "|")));
    bad |= json_object_set_new(root, "model_type", json_string(m->arch->model_type));
    bad |= json_object_set_new(root, "torch_dtype", json_string(dtype));
    for (const smelt_hp_rule *r = m->arch->hp; r->keys; r++) {
        size_t len = strcspn(r->keys, "|");
        bool no_scaling = r->hp == SMELT_HP_ROPE_SCALING && m->hp.v[r->hp] == ROPE_NONE;
        bool again = false;
        for (const smelt_hp_rule *before = m->arch->hp; before < r; before++)
            again = again || before->hp == r->hp;
        if (!again && len && hp_in_use(&m->hp, r->hp) && !no_scaling)
            bad |= set_path(root, r->keys, len, kind_ops[kinds[r->hp]].to_json(m->hp.v[r->hp]));
    }
    if (m->arch->to_config) bad |= m->arch->to_config(&m->hp, root);
    /* As the published gpt-oss says it. */
    if (arch_keeps_mxfp4(m))
        bad |= json_object_set_new(root, "quantization_config",
                                   json_pack("{s:s, s:[s, s, s, s]}", "quant_method", "mxfp4", "modules_to_not_convert",
                                             "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                                             "lm_head"));
    if (bad) {
        json_decref(root);
        return smelt_oom(err);
    }
    *out = root;
    return SMELT_OK;
}

static smelt_status put_key(const smelt_model *m, smelt_hp id, int file_type, smelt_meta *out, smelt_err *err)
{
    const char *key = gguf_keys[id], *hole = key ? strstr(key, "%A") : NULL;
    if (id == SMELT_HP_FILE_TYPE) return file_type < 0 || meta_u32(out, key, (uint32_t)file_type) ? SMELT_OK : smelt_oom(err);
    if (!key || !hp_in_use(&m->hp, id)) return SMELT_OK;
    rope_scaling scaling = (rope_scaling)m->hp.v[SMELT_HP_ROPE_SCALING];
    bool scaled = id >= SMELT_HP_ROPE_SCALING && id <= SMELT_HP_YARN_BETA_SLOW;
    if (scaled && !rope_scaling_rows[scaling].gguf) return SMELT_OK;
    char *full = hole ? arena_printf(out->arena, "%.*s%s%s", (int)(hole - key), key, m->arch->name, hole + 2)
                      : arena_strdup(out->arena, key);
    if (!full) return smelt_oom(err);
    const double v = m->hp.v[id];
    const char *text = rope_scaling_rows[scaling].gguf;
    bool ok = true;
    if (kinds[id] == KIND_U32) ok = meta_u32(out, full, (uint32_t)v);
    if (kinds[id] == KIND_F32) ok = meta_f32(out, full, (float)v);
    if (kinds[id] == KIND_BOOL) ok = meta_bool(out, full, v != 0);
    if (kinds[id] == KIND_RSCALE) ok = meta_str(out, full, text, strlen(text));
    if (kinds[id] == KIND_TEXT) ok = meta_str(out, full, m->arch->layout, strlen(m->arch->layout));
    return ok ? SMELT_OK : smelt_oom(err);
}

smelt_status arch_gguf_keys(const smelt_model *m, int file_type, smelt_meta *out, smelt_err *err)
{
    if (m->arch->gguf_keys)
        for (const smelt_hp *k = m->arch->gguf_keys; *k != SMELT_HP_COUNT; k++)
            SMELT_TRY(put_key(m, *k, file_type, out, err));
    else
        for (int id = 0; id < SMELT_HP_COUNT; id++)
            SMELT_TRY(put_key(m, (smelt_hp)id, file_type, out, err));
    return SMELT_OK;
}

void arch_take_key(const smelt_arch *arch, const smelt_kv *kv, smelt_hparams *hp)
{
    const size_t n = strlen(arch->name);
    if (kv->type != SMELT_KV_U32 || strncmp(kv->key, arch->name, n) != 0) return;
    for (int id = 0; id < SMELT_HP_COUNT; id++)
        if (kinds[id] == KIND_U32 && gguf_keys[id] && strncmp(gguf_keys[id], "%A", 2) == 0 &&
            strcmp(gguf_keys[id] + 2, kv->key + n) == 0) {
            hp->v[id] = (double)kv->v.u;
            hp->set[id] = true;
        }
}

/* One hyperparameter of a GGUF file; absent keys stay unset. */
static smelt_status gguf_hparam(smelt_model *m, const smelt_arch *arch, smelt_hp id, smelt_err *err)
{
    const char *key = gguf_keys[id], *hole = key ? strstr(key, "%A") : NULL;
    if (!hole) return SMELT_OK;
    char *full = arena_printf(&m->arena, "%.*s%s%s", (int)(hole - key), key, arch->name, hole + 2);
    if (!full) return smelt_oom(err);
    const smelt_kv *kv = meta_find(&m->meta, full);
    if (!kv || kinds[id] == KIND_TEXT) return SMELT_OK;
    double v = 0;
    smelt_str s;
    bool ok = false, flag;
    if (kinds[id] == KIND_RSCALE && meta_get_str(&m->meta, full, &s)) {
        for (int i = 0; i < ROPE_SCALINGS && !ok; i++)
            if (rope_scaling_rows[i].gguf && str_eq(s, rope_scaling_rows[i].gguf)) ok = true, v = i;
        if (!ok && str_eq(s, "none")) ok = true, v = ROPE_NONE;
    } else if (kinds[id] == KIND_BOOL && meta_get_bool(&m->meta, full, &flag))
        ok = true, v = flag;
    else if (kinds[id] != KIND_RSCALE && meta_get_f64(&m->meta, full, &v))
        ok = isfinite(v) && (kinds[id] == KIND_F32 || (v >= 0 && v <= UINT32_MAX && v == floor(v)));
    if (!ok)
        return smelt_fail(err, SMELT_E_MISMATCH, "the key '%s' has a value or type (%s) that the family does not have", full,
                          kv_type_name(kv->type));
    m->hp.v[id] = v;
    m->hp.set[id] = true;
    return SMELT_OK;
}

static smelt_status gguf_hparams(smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    for (int id = 0; id < SMELT_HP_COUNT; id++)
        SMELT_TRY(gguf_hparam(m, arch, (smelt_hp)id, err));
    smelt_hparams *hp = &m->hp;
    if (!hp->set[SMELT_HP_HEAD_DIM] && hp->set[SMELT_HP_KEY_DIM]) {
        hp->set[SMELT_HP_HEAD_DIM] = true;
        hp->v[SMELT_HP_HEAD_DIM] = hp->v[SMELT_HP_KEY_DIM];
    }
    if (!hp->set[SMELT_HP_VOCAB]) {
        const smelt_kv *tokens = meta_find(&m->meta, "tokenizer.ggml.tokens");
        if (tokens && tokens->type == SMELT_KV_ARRAY) {
            hp->set[SMELT_HP_VOCAB] = true;
            hp->v[SMELT_HP_VOCAB] = (double)tokens->v.a.n;
        }
    }
    /* A file without a tokenizer still has the embedding. */
    for (size_t i = 0; i < m->n_tensors && !hp->set[SMELT_HP_VOCAB]; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (t->role != SMELT_R_TOKEN_EMBD || t->shape.n != 2) continue;
        hp->set[SMELT_HP_VOCAB] = true;
        hp->v[SMELT_HP_VOCAB] = (double)t->shape.dim[0];
    }
    for (const smelt_hp_rule *r = arch->hp; r->keys; r++) {
        if (hp->set[r->hp]) continue;
        if (r->absent == HP_REQUIRED && gguf_keys[r->hp])
            return smelt_fail(err, SMELT_E_MISMATCH, "it has no '%s%s'", arch->name, strchr(gguf_keys[r->hp], '.'));
        SMELT_TRY(apply_absent(r, hp, err));
    }
    return derive(arch, NULL, hp, err);
}

/* What a GGUF file says by having a tensor: whether there are biases, an output matrix, second norms. */
static void learn_from_tensors(smelt_model *m, const smelt_arch *arch)
{
    bool has[SMELT_R_COUNT][SMELT_PART_BIAS + 1] = {0};
    for (size_t i = 0; i < m->n_tensors; i++)
        has[m->tensors[i].role][m->tensors[i].part] = true;
    for (int p = 0; p <= SMELT_PART_BIAS; p++)
        has[SMELT_R_ATTN_Q][p] |= has[SMELT_R_ATTN_QKV][p];
    for (const smelt_name_rule *r = arch->names; r->hf; r++) {
        if (r->role == SMELT_R_NONE) continue;
        if (r->bias_if != SMELT_HP_COUNT && has[r->role][SMELT_PART_BIAS]) m->hp.v[r->bias_if] = m->hp.set[r->bias_if] = true;
        size_t same = 0;
        for (const smelt_name_rule *other = arch->names; other->hf; other++)
            same += other->role == r->role;
        /* A role that two rules make says nothing about which of them did. */
        if (same == 1 && r->only_if && (int)r->only_if < SMELT_HP_NOT && has[r->role][SMELT_PART_WEIGHT])
            m->hp.v[r->only_if] = m->hp.set[r->only_if] = true;
    }
    m->hp.v[SMELT_HP_TIED] = !has[SMELT_R_OUTPUT][SMELT_PART_WEIGHT];
    m->hp.set[SMELT_HP_TIED] = true;
}

static smelt_status map_gguf(const smelt_ctx *ctx, smelt_model *m, const smelt_arch *arch, smelt_err *err)
{
    learn_from_tensors(m, arch);
    SMELT_TRY(gguf_hparams(m, arch, err));
    const smelt_tensor *freqs = NULL;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == SMELT_R_ROPE_FREQS) freqs = &m->tensors[i];
    if (freqs && !rope_freqs_parse(m, freqs))
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "the RoPE factors in '%s' are not llama3's", freqs->name);
    return names_from_gguf(ctx, m, arch, err);
}

/* What the choice of types asks of a family that is not known: sizes by their usual keys, of the first layer where layers differ. */
static smelt_status learn_sizes(smelt_model *m, smelt_str arch, smelt_err *err)
{
    static const smelt_hp wanted[] = {SMELT_HP_LAYERS, SMELT_HP_HEADS, SMELT_HP_KV_HEADS, SMELT_HP_EXPERTS};
    m->hp = (smelt_hparams){0};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *key = gguf_keys[wanted[i]];
        char *full = arena_printf(&m->arena, "%.*s%s", (int)(arch.n < 64 ? arch.n : 64), arch.p, strchr(key, '.'));
        if (!full) return smelt_oom(err);
        const smelt_kv *kv = meta_find(&m->meta, full);
        double v;
        if (kv && kv->type == SMELT_KV_ARRAY && kv->v.a.n && (kv->v.a.type == SMELT_KV_U32 || kv->v.a.type == SMELT_KV_I32))
            v = load_le32(kv->v.a.data);
        else if (!meta_get_f64(&m->meta, full, &v) || !(v >= 0 && v <= INT32_MAX))
            continue;
        m->hp.v[wanted[i]] = v;
        m->hp.set[wanted[i]] = true;
    }
    /* As llama.cpp reads it: without its own key, as many as there are heads. */
    if (!m->hp.set[SMELT_HP_KV_HEADS] && m->hp.set[SMELT_HP_HEADS]) {
        m->hp.v[SMELT_HP_KV_HEADS] = m->hp.v[SMELT_HP_HEADS];
        m->hp.set[SMELT_HP_KV_HEADS] = true;
    }
    return SMELT_OK;
}

smelt_status arch_from_gguf(const smelt_ctx *ctx, smelt_model *m, smelt_err *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        smelt_tensor *t = &m->tensors[i];
        smelt_role role;
        smelt_part part;
        if (!role_parse(t->name, &role, &part, &t->layer)) {
            t->layer = name_layer(t->name);
            continue;
        }
        t->role = (int)role;
        t->part = (int)part;
    }
    smelt_str name;
    if (!meta_get_str(&m->meta, "general.architecture", &name)) {
        m->unmapped = "it has no general.architecture";
        return SMELT_OK;
    }
    const smelt_arch *arch = arch_by_name(name.p, name.n, &m->meta);
    if (!arch) {
        m->unmapped = arena_printf(&m->arena, "its architecture '%.*s' is not known; known are: %s",
                                   (int)(name.n < 64 ? name.n : 64), name.p, arch_list(&m->arena));
        return m->unmapped ? learn_sizes(m, name, err) : smelt_oom(err);
    }
    /* A GGUF can be re-encoded without knowing what it computes, so a file that does not fit its family is no error yet. */
    smelt_err why = {0};
    smelt_status st = map_gguf(ctx, m, arch, &why);
    if (st == SMELT_OK || st == SMELT_E_NOMEM) return st == SMELT_OK ? SMELT_OK : smelt_oom(err);
    m->unmapped = arena_strdup(&m->arena, why.text);
    return m->unmapped ? learn_sizes(m, name, err) : smelt_oom(err);
}
