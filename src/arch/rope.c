/* What config.json says about RoPE, in its several spellings, and LLaMA 3's scaling as the tensor of frequency factors that GGUF
 * carries. Sources: transformers' modeling_rope_utils.py for which spelling counts and for _compute_llama3_parameters; arithmetic in
 * float32 as llama.cpp's converter does it with torch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/internal.h"
#include "base/bytes.h"

smelt_status rope_old_spelling(json_t *config, json_t **out, smelt_err *err)
{
    static const char *const moved[][2] = {{"rope_theta", "rotary_emb_base"}, {"partial_rotary_factor", "rotary_pct"}};
    json_t *from = json_object_get(config, "rope_scaling");
    if (!json_object_size(from)) from = json_object_get(config, "rope_parameters");
    json_t *to = json_copy(config), *scaling = json_object();
    bool bad = !to || !scaling || (json_object_size(from) && json_object_update(scaling, from) != 0);
    for (size_t i = 0; !bad && i < sizeof moved / sizeof *moved; i++) {
        json_t *v = json_object_get(scaling, moved[i][0]);
        for (size_t k = 0; v && !json_is_null(v) && k < 2; k++)
            if (k == 0 || json_object_get(to, moved[i][k])) bad |= json_object_set(to, moved[i][k], v) != 0;
        json_object_del(scaling, moved[i][0]);
    }
    if (!bad && json_object_size(from)) bad = json_object_set(to, "rope_scaling", scaling) != 0;
    json_object_del(to, "rope_parameters");
    json_decref(scaling);
    if (bad) {
        json_decref(to);
        return smelt_oom(err);
    }
    *out = to;
    return SMELT_OK;
}

/* A decimal f with floor(whole * f) == part, as transformers computes a number of dimensions; part / whole itself where it is one. */
static double share(double part, double whole)
{
    enum { DIGITS = 15 }; /* that a double and a writer of JSON keep */
    char text[32];
    const double exact[] = {part / whole, (part + 1e-9) / whole};
    for (size_t i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%.*g", DIGITS, exact[i]);
        double f = strtod(text, NULL);
        if (floor(whole * f) == part) return f;
    }
    return exact[0];
}

smelt_status derive_rotary(smelt_hparams *hp, double fallback, smelt_err *err)
{
    const double dim = hp->v[SMELT_HP_HEAD_DIM];
    double *pct = &hp->v[SMELT_HP_ROTARY_PCT], *rope = &hp->v[SMELT_HP_ROPE_DIM];
    if (hp->set[SMELT_HP_ROPE_DIM])
        *pct = dim > 0 ? share(*rope, dim) : 0;
    else {
        if (!hp->set[SMELT_HP_ROTARY_PCT]) *pct = fallback;
        *rope = floor(*pct * dim);
    }
    if (!(*pct >= 0 && *pct <= 1)) return smelt_fail(err, SMELT_E_CORRUPT, "RoPE on %g of %g dimensions of a head", *rope, dim);
    hp->set[SMELT_HP_ROTARY_PCT] = hp->set[SMELT_HP_ROPE_DIM] = true;
    hp->set[SMELT_HP_ROPE_BASE] = hp->v[SMELT_HP_ROPE_BASE] != 10000;
    return SMELT_OK;
}

static void factors(const smelt_hparams *hp, uint64_t dim, float *out)
{
    const double pi = 3.14159265358979323846;
    const float base = (float)hp->v[SMELT_HP_ROPE_BASE], factor = (float)hp->v[SMELT_HP_ROPE_FACTOR];
    const float low = (float)hp->v[SMELT_HP_ROPE_LOW_FREQ], high = (float)hp->v[SMELT_HP_ROPE_HIGH_FREQ],
                ctx = (float)hp->v[SMELT_HP_ROPE_ORIG_CTX];
    const float low_len = (float)(hp->v[SMELT_HP_ROPE_ORIG_CTX] / hp->v[SMELT_HP_ROPE_LOW_FREQ]);
    const float high_len = (float)(hp->v[SMELT_HP_ROPE_ORIG_CTX] / hp->v[SMELT_HP_ROPE_HIGH_FREQ]);
    for (uint64_t i = 0; i < dim / 2; i++) {
        float freq = 1.0f / (float)pow((double)base, (double)((float)(2 * i) / (float)dim));
        float len = (float)(2 * pi) / freq;
        if (len < high_len)
            out[i] = 1;
        else if (len > low_len)
            out[i] = factor;
        else {
            float smooth = (ctx / len - low) / (high - low);
            out[i] = 1 / ((1 - smooth) / factor + smooth);
        }
    }
}

smelt_status rope_freqs_make(smelt_model *m, smelt_err *err)
{
    smelt_hparams *hp = &m->hp;
    static const struct {
        smelt_hp id;
        double fallback;
    } defaults[] = {
        {SMELT_HP_ROPE_FACTOR, 8}, {SMELT_HP_ROPE_LOW_FREQ, 1}, {SMELT_HP_ROPE_HIGH_FREQ, 4}, {SMELT_HP_ROPE_ORIG_CTX, 8192}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!hp->set[defaults[i].id]) {
            hp->set[defaults[i].id] = true;
            hp->v[defaults[i].id] = defaults[i].fallback;
        }
    uint64_t dim = hp_u64(hp, SMELT_HP_ROPE_DIM);
    if (dim < 2 || dim > 65536)
        return smelt_fail(err, SMELT_E_CORRUPT, "config.json: RoPE on %llu dimensions", (unsigned long long)dim);
    float *f = arena_calloc(&m->arena, dim / 2, sizeof *f);
    if (!f) return smelt_oom(err);
    factors(hp, dim, f);
    for (uint64_t i = 0; i < dim / 2; i++) {
        if (!isfinite(f[i]) || f[i] <= 0)
            return smelt_fail(err, SMELT_E_CORRUPT, "config.json: the numbers of rope_scaling give a frequency factor of %g",
                              (double)f[i]);
        store_le32(&f[i], f32_bits(f[i]));
    }
    const smelt_view *view;
    smelt_shape shape = {.n = 1, .dim = {dim / 2}};
    SMELT_TRY(view_bytes(&m->arena, SMELT_DT_F32, &shape, f, dim / 2 * sizeof *f, &view, err));
    char *name = role_name(&m->arena, SMELT_R_ROPE_FREQS, SMELT_PART_WEIGHT, -1);
    if (!name) return smelt_oom(err);
    SMELT_TRY(model_add(m, name, __builtin_strlen(name), view, NULL, 0, err));
    /* First, where llama.cpp's converter puts it; the name index follows. */
    smelt_tensor t = m->tensors[m->n_tensors - 1];
    t.role = SMELT_R_ROPE_FREQS;
    t.part = SMELT_PART_WEIGHT;
    for (size_t i = m->n_tensors - 1; i > 0; i--)
        m->tensors[i] = m->tensors[i - 1];
    m->tensors[0] = t;
    return model_reindex(m, err);
}

bool rope_freqs_parse(smelt_model *m, const smelt_tensor *t)
{
    smelt_hparams *hp = &m->hp;
    uint64_t dim = hp_u64(hp, SMELT_HP_ROPE_DIM), n = dim / 2;
    if (t->dtype != SMELT_DT_F32 || t->shape.n != 1 || t->shape.dim[0] != n || n < 1 || n > 65536) return false;
    float *have = arena_calloc(&m->arena, n, sizeof *have), *want = arena_calloc(&m->arena, n, sizeof *want);
    if (!have || !want) return false;
    view_read(t->view, 0, 0, n, have);
    for (uint64_t i = 0; i < n; i++)
        have[i] = f32_from_bits(load_le32(&have[i]));
    smelt_hparams saved = *hp;
    /* Only the ratios low/orig and high/orig matter, so the published low = 1 fixes the scale; the original context is one of
     * those that models were trained with, which the comparison then confirms for every factor. */
    static const double contexts[] = {8192, 4096, 2048, 16384, 32768, 1024, 512, 256, 128, 64}, highs[] = {4, 2, 8, 3, 16, 32};
    double top = 1;
    for (uint64_t i = 0; i < n; i++)
        top = have[i] > top ? (double)have[i] : top;
    static const smelt_hp ids[] = {SMELT_HP_ROPE_SCALING, SMELT_HP_ROPE_FACTOR, SMELT_HP_ROPE_LOW_FREQ, SMELT_HP_ROPE_HIGH_FREQ,
                                   SMELT_HP_ROPE_ORIG_CTX};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        hp->set[ids[i]] = true;
    hp->v[SMELT_HP_ROPE_SCALING] = ROPE_LLAMA3;
    hp->v[SMELT_HP_ROPE_FACTOR] = top;
    hp->v[SMELT_HP_ROPE_LOW_FREQ] = 1;
    for (size_t c = 0; c < sizeof contexts / sizeof *contexts; c++)
        for (size_t h = 0; h < sizeof highs / sizeof *highs; h++) {
            hp->v[SMELT_HP_ROPE_ORIG_CTX] = contexts[c];
            hp->v[SMELT_HP_ROPE_HIGH_FREQ] = highs[h];
            factors(hp, dim, want);
            bool same = true;
            for (uint64_t i = 0; i < n && same; i++)
                same = fabsf(have[i] - want[i]) <= 1e-5f * have[i];
            if (same) return true;
        }
    *hp = saved;
    return false;
}
