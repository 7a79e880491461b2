/* What the engine asks of a family: activation, windows, RoPE. */
#include <math.h>
#include <string.h>

#include "arch/internal.h"

/* The first name of each is what written configurations get. Source: transformers' activations.py. */
static const struct {
    const char *name;
    smelt_act act;
} acts[] = {
    {"silu", ACT_SILU},
    {"swish", ACT_SILU},
    {"gelu", ACT_GELU},
    {"gelu_python", ACT_GELU},
    {"gelu_new", ACT_GELU_TANH},
    {"gelu_pytorch_tanh", ACT_GELU_TANH},
    {"gelu_fast", ACT_GELU_TANH},
    {"gelu_accurate", ACT_GELU_TANH},
    {"quick_gelu", ACT_GELU_SIGMOID},
    {"relu", ACT_RELU},
};

smelt_act act_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, name) == 0) return acts[i].act;
    return ACT_UNKNOWN;
}

const char *act_name(smelt_act act)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (acts[i].act == act) return acts[i].name;
    return "";
}

uint64_t arch_window(const smelt_model *m, int layer)
{
    const smelt_block *b = &m->arch->block;
    const smelt_hparams *hp = &m->hp;
    if (!b->window) return 0;
    if (hp->set[SMELT_HP_LOCAL_ON] && hp->v[SMELT_HP_LOCAL_ON] == 0) return 0;
    if (hp->set[SMELT_HP_WINDOW_PERIOD] && hp->v[SMELT_HP_WINDOW_PERIOD] == 0) return 0;
    const json_t *types = json_object_get(m->config, "layer_types");
    const char *type = layer >= 0 ? json_string_value(json_array_get(types, (size_t)layer)) : NULL;
    const uint64_t size = hp_u64(hp, b->window), edge = hp_u64(hp, SMELT_HP_LOCAL_LAYERS), l = (uint64_t)layer;
    if (type) return strcmp(type, "sliding_attention") == 0 ? size : 0;
    const bool has[] = {
        [WINDOWS_ALL] = true,
        [WINDOWS_EVEN] = l % 2 == 0,
        [WINDOWS_ODD] = l % 2 == 1,
        [WINDOWS_FROM] = hp->set[SMELT_HP_LOCAL_LAYERS] && l >= edge,
        [WINDOWS_EVEN_BELOW] = l % 2 == 0 && l < edge,
    };
    return has[b->windows] ? size : 0;
}

static rope_scaling scaling_of(const smelt_hparams *hp)
{
    return hp->set[SMELT_HP_ROPE_SCALING] ? (rope_scaling)hp->v[SMELT_HP_ROPE_SCALING] : ROPE_NONE;
}

bool arch_rope_grows(const smelt_model *m, uint64_t length)
{
    return scaling_of(&m->hp) == ROPE_DYNAMIC && length > hp_u64(&m->hp, SMELT_HP_CTX);
}

static double value_or(const smelt_hparams *hp, smelt_hp id, double fallback) { return hp->set[id] ? hp->v[id] : fallback; }

/* The dimension that turns `times` times in the original context. */
static double yarn_edge(double times, double dim, double base, double ctx)
{
    const double pi = 3.14159265358979323846;
    return dim * log(ctx / (times * 2 * pi)) / (2 * log(base));
}

static void yarn(const smelt_model *m, uint64_t n, double base, float *out, float *scale)
{
    const smelt_hparams *hp = &m->hp;
    const double factor = hp->v[SMELT_HP_ROPE_FACTOR], dim = (double)n;
    const double ctx = value_or(hp, SMELT_HP_ROPE_ORIG_CTX, hp->v[SMELT_HP_CTX]);
    double low = yarn_edge(value_or(hp, SMELT_HP_YARN_BETA_FAST, 32), dim, base, ctx);
    double high = yarn_edge(value_or(hp, SMELT_HP_YARN_BETA_SLOW, 1), dim, base, ctx);
    if (value_or(hp, SMELT_HP_YARN_TRUNCATE, !m->arch->block.yarn_exact) != 0) low = floor(low), high = ceil(high);
    low = fmax(low, 0);
    high = fmin(high, dim - 1);
    if (low == high) high += 0.001;
    for (uint64_t i = 0; i < n / 2; i++) {
        const float turn = 1.0f / powf((float)base, (float)(2 * i) / (float)n), slow = turn / (float)factor;
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        out[i] = slow * ramp + turn * (1 - ramp);
    }
    *scale = (float)value_or(hp, SMELT_HP_YARN_ATTN, factor <= 1 ? 1 : 0.1 * log(factor) + 1);
}

void arch_rope(const smelt_model *m, uint64_t length, float *out, float *scale)
{
    const smelt_hparams *hp = &m->hp;
    const rope_scaling scaling = scaling_of(hp);
    const uint64_t n = hp->set[SMELT_HP_ROPE_DIM] ? hp_u64(hp, SMELT_HP_ROPE_DIM) : hp_u64(hp, SMELT_HP_HEAD_DIM);
    double base = hp->set[SMELT_HP_ROPE_BASE] || hp->v[SMELT_HP_ROPE_BASE] != 0 ? hp->v[SMELT_HP_ROPE_BASE] : 10000;
    const double ctx = hp->v[SMELT_HP_CTX], dim = (double)n;
    *scale = 1;
    if (scaling == ROPE_YARN) {
        yarn(m, n, base, out, scale);
        return;
    }
    if (arch_rope_grows(m, length) && n > 2) {
        const double factor = hp->v[SMELT_HP_ROPE_FACTOR];
        base *= pow(factor * (double)length / ctx - (factor - 1), dim / (dim - 2));
    }
    const float slower = scaling == ROPE_LINEAR ? (float)hp->v[SMELT_HP_ROPE_FACTOR] : 1;
    for (uint64_t i = 0; i < n / 2; i++)
        out[i] = 1.0f / powf((float)base, (float)(2 * i) / (float)n) / slower;
}

void arch_gguf_losses(const smelt_ctx *ctx, const smelt_model *m)
{
    const smelt_hparams *hp = &m->hp;
    const smelt_block *b = &m->arch->block;
    uint64_t window = 0;
    for (int l = 0; b->window == SMELT_HP_LOCAL && l < (int)hp_u64(hp, SMELT_HP_LAYERS); l++)
        window = window ? window : arch_window(m, l);
    if (window && window < hp_u64(hp, SMELT_HP_CTX))
        ctx_warn(ctx, "GGUF has no key for this family's sliding window: texts of more than %llu tokens will see all of them",
                 (unsigned long long)window);
    if (scaling_of(hp) == ROPE_DYNAMIC)
        ctx_warn(ctx, "GGUF has no key for dynamic RoPE scaling: texts of more than %llu tokens will not be scaled",
                 (unsigned long long)hp_u64(hp, SMELT_HP_CTX));
    const struct {
        smelt_hp id;
        double otherwise;
        const char *what;
    } lost[] = {
        {SMELT_HP_NORM_TOPK, b->norm_topk, "norm_topk_prob"},
        {SMELT_HP_YARN_TRUNCATE, !b->yarn_exact, "truncate of YaRN"},
    };
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++)
        if (hp_in_use(hp, lost[i].id) && hp->v[lost[i].id] != lost[i].otherwise)
            ctx_warn(ctx, "GGUF has no key for %s, which readers take to be %s in this family", lost[i].what,
                     lost[i].otherwise != 0 ? "true" : "false");
    const struct {
        smelt_hp id;
        double otherwise;
        const char *name;
    } ours[] = {{SMELT_HP_SWIGLU_LIMIT, b->swiglu_limit, "swiglu_limit"}, {SMELT_HP_SWIGLU_ALPHA, b->swiglu_alpha, "swiglu_alpha"}};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (hp->set[ours[i].id])
            ctx_warn(ctx, "%s is %g, which the file says in a key that only smelt reads ('%s.%s'): others take it to be %g",
                     ours[i].name, hp->v[ours[i].id], m->arch->name, ours[i].name, ours[i].otherwise);
    if (hp->set[SMELT_HP_ATTN_SCALE]) ctx_warn(ctx, "GGUF has no key for this family's scale of attention scores");
}
