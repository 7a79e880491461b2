/* config.json on a tiny model of the family that it names: whatever it says, the hyperparameters are refused or every question about them has an
 * answer, the model's own computation among them. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/internal.h"
#include "engine/engine.h"
#include "tools/compose.h"

static void demand(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void add(smelt_model *m, const char *name, smelt_dtype dtype, const smelt_shape *shape)
{
    static const float zeros[64 * 1024];
    const smelt_view *view;
    smelt_err err = {0};
    uint64_t n, bytes = 0;
    demand(shape_elems(shape, &n) && smelt_dtype_bytes(dtype, n, &bytes) && bytes <= sizeof zeros &&
               view_bytes(&m->arena, dtype, shape, zeros, bytes, &view, &err) == SMELT_OK &&
               model_add(m, name, strlen(name), view, "x", 0, &err) == SMELT_OK,
           "cannot make the model");
}

/* Hyperparameters of a model of one layer: hidden 32, 4 heads of 8, 2 for keys and values where the family has fewer of them (1 in
 * Falcon), feed-forward 32, 2 experts, 4 tokens; the rest as the family has it where a configuration says nothing. */
static void tiny(const smelt_arch *arch, smelt_hparams *hp)
{
    static const struct {
        smelt_hp id;
        double v;
    } sizes[] = {{SMELT_HP_LAYERS, 1},  {SMELT_HP_CTX, 6},       {SMELT_HP_EMBD, 32},    {SMELT_HP_FF, 32},
                 {SMELT_HP_HEADS, 4},   {SMELT_HP_VOCAB, 4},     {SMELT_HP_HEAD_DIM, 8}, {SMELT_HP_EXPERTS, 2},
                 {SMELT_HP_FF_EXP, 32}, {SMELT_HP_FF_SHARED, 32}};
    double kv = 4;
    for (const smelt_hp_rule *r = arch->hp; r->keys; r++) {
        if (r->absent == HP_DEFAULT && !hp->set[r->hp]) hp->v[r->hp] = r->fallback;
        hp->set[r->hp] = hp->set[r->hp] || r->absent == HP_DEFAULT;
        if (r->hp == SMELT_HP_KV_HEADS && r->absent == HP_DEFAULT) kv = 2;
        if (r->hp == SMELT_HP_KV_HEADS && r->absent == HP_OPTIONAL) kv = 1;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hp->v[sizes[i].id] = sizes[i].v;
        hp->set[sizes[i].id] = true;
    }
    hp->v[SMELT_HP_KV_HEADS] = kv;
    hp->v[SMELT_HP_QKV] = (4 + 2 * kv) * 8;
    hp->set[SMELT_HP_KV_HEADS] = hp->set[SMELT_HP_QKV] = true;
}

/* The checkpoint that the family's rules ask for, in the first layout of each role. */
static void make_tensors(smelt_model *m, const smelt_arch *arch)
{
    smelt_hparams hp = {0};
    tiny(arch, &hp);
    for (const smelt_name_rule *r = arch->names; r->hf; r++) {
        const int when = (int)r->only_if;
        const bool off = when >= SMELT_HP_NOT ? hp.v[when - SMELT_HP_NOT] != 0 : when && hp.v[when] == 0;
        const bool later = r->flags & NAME_ALT && arch_rule(arch, r->role) != r;
        if (r->flags & (NAME_NO_HF | NAME_DROP) || off || later || (r->flags & NAME_UNTIED && hp.v[SMELT_HP_TIED] != 0)) continue;
        const xf_row *x = &xf_rows[r->x];
        const bool bias = r->bias_if != SMELT_HP_COUNT && hp.v[r->bias_if] != 0;
        for (int s = 0; s < (x->n_in ? x->n_in : 2); s++)
            for (int part = SMELT_PART_WEIGHT; part <= (bias ? SMELT_PART_BIAS : SMELT_PART_WEIGHT); part++) {
                const char *suffix = x->suffix[0] ? x->suffix[s] : r->flags & NAME_BARE ? "" : part_suffix((smelt_part)part);
                smelt_shape shape;
                demand(arch_shape(&hp, r->shape, &shape), "a rule without a shape");
                if ((part == SMELT_PART_BIAS || (x->suffix[0] && s)) && shape.n > 1) shape.n--;
                add(m, name_fill(&m->arena, r->hf, 0, s, suffix), x->suffix[0] ? SMELT_DT_U8 : SMELT_DT_F32, &shape);
            }
    }
}

static void ask(const smelt_ctx *ctx, const smelt_model *m)
{
    smelt_arena arena = {0};
    smelt_meta meta = {.arena = &arena};
    smelt_err err = {0};
    json_t *config = NULL;
    smelt_status st = arch_gguf_keys(m, 0, &meta, &err);
    demand(st == SMELT_OK || err.text[0], "keys refused without a text");
    smelt_model sides[2];
    for (size_t k = 0; k < 2; k++)
        model_init(&sides[k]);
    demand(arch_project_gguf(m, &sides[0], &err) == SMELT_OK, "a mapped model without a GGUF side");
    demand(arch_project_hf(ctx, m, &sides[1], &err) == SMELT_OK, "a mapped model without names");
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sides[k].n_tensors; i++) {
            const smelt_view *view = sides[k].tensors[i].view;
            uint64_t elems;
            demand(shape_elems(view_shape(view), &elems), "a shape without a size");
            for (uint64_t r = 0; r < view_rows(view) && view_cols(view) <= 64; r++) {
                float row[64]; /* of at most this many elements of four bytes */
                view_read(view, r, 0, view_cols(view), row);
            }
        }
        model_free(&sides[k]);
    }
    demand(arch_config(m, "float32", &config, &err) == SMELT_OK && json_is_object(config), "no configuration to write");
    json_decref(config);
    arena_free(&arena);
}

static smelt_status look(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)seq, (void)err;
    const size_t vocab = *(const size_t *)user;
    float sum = 0;
    for (size_t i = 0; i < n * vocab; i++)
        sum += logits[i];
    demand(first + n <= 3, "logits of tokens that were not asked for");
    demand(sum != 12345, "an unlikely sum");
    return SMELT_OK;
}

/* A short text goes through the model, or there is a reason why not. */
static void compute(const smelt_model *m)
{
    static const int32_t ids[] = {1, 0, 2};
    smelt_ctx ctx;
    smelt_err err = {0};
    smelt_engine *e;
    demand(ctx_init(&ctx, &err) == SMELT_OK, "no context");
    ctx.threads = 1;
    smelt_status st = engine_open(&ctx, m, NULL, &e, &err);
    if (st == SMELT_OK) {
        const smelt_seq seq = {.ids = ids, .n = 3};
        size_t vocab = engine_vocab(e);
        st = engine_run(e, &seq, 1, look, &vocab, &err);
        engine_close(e);
    }
    demand(st == SMELT_OK || (err.code == st && err.text[0]), "nothing computed, without a text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const smelt_ctx ctx = {.threads = 1};
    smelt_model m;
    smelt_err err = {0};
    json_t *config;
    if (smelt_json_parse((const char *)data, size, "the file", &config, &err) != SMELT_OK) return 0;
    model_init(&m);
    m.config = config;
    const smelt_arch *arch = arch_of_config(config);
    if (arch) make_tensors(&m, arch);
    const bool object = json_is_object(config); /* which the model may change for another */
    const smelt_status st = object ? arch_from_hf(&ctx, &m, &err) : SMELT_E_CORRUPT;
    if (object) demand(st == SMELT_OK || (err.code == st && err.text[0]), "a refusal without a text");
    if (st == SMELT_OK && m.arch) {
        ask(&ctx, &m);
        compute(&m);
    }
    model_free(&m);
    return 0;
}
