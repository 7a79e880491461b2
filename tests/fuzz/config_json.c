/* config.json on a tiny model: whatever it says, the hyperparameters are refused or every question about them has an answer. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"

static void demand(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* The tensors of one layer: hidden 8, feed-forward 16, 2 heads of 4, 1 for keys and values, 4 tokens. */
static const struct {
    const char *name;
    smelt_shape shape;
} tensors[] = {
    {"model.embed_tokens.weight", {2, {4, 8}}},
    {"model.layers.0.input_layernorm.weight", {1, {8}}},
    {"model.layers.0.self_attn.q_proj.weight", {2, {8, 8}}},
    {"model.layers.0.self_attn.k_proj.weight", {2, {4, 8}}},
    {"model.layers.0.self_attn.v_proj.weight", {2, {4, 8}}},
    {"model.layers.0.self_attn.o_proj.weight", {2, {8, 8}}},
    {"model.layers.0.post_attention_layernorm.weight", {1, {8}}},
    {"model.layers.0.mlp.gate_proj.weight", {2, {16, 8}}},
    {"model.layers.0.mlp.up_proj.weight", {2, {16, 8}}},
    {"model.layers.0.mlp.down_proj.weight", {2, {8, 16}}},
    {"model.norm.weight", {1, {8}}},
};

static void ask(const smelt_model *m)
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
    demand(arch_project_hf(m, &sides[1], &err) == SMELT_OK, "a mapped model without names");
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sides[k].n_tensors; i++) {
            const smelt_view *view = sides[k].tensors[i].view;
            uint64_t elems;
            demand(shape_elems(view_shape(view), &elems), "a shape without a size");
            for (uint64_t r = 0; r < view_rows(view) && view_cols(view) <= 64; r++) {
                float row[64];
                view_read(view, r, 0, view_cols(view), row);
            }
        }
        model_free(&sides[k]);
    }
    demand(arch_config(m, "float32", &config, &err) == SMELT_OK && json_is_object(config), "no configuration to write");
    json_decref(config);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float zeros[16 * 8];
    const smelt_ctx ctx = {.threads = 1};
    smelt_model m;
    smelt_err err = {0};
    json_t *config;
    if (smelt_json_parse((const char *)data, size, "the file", &config, &err) != SMELT_OK) return 0;
    model_init(&m);
    m.config = config;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const smelt_view *view;
        uint64_t n;
        demand(shape_elems(&tensors[i].shape, &n) &&
                   view_bytes(&m.arena, SMELT_DT_F32, &tensors[i].shape, zeros, n * 4, &view, &err) == SMELT_OK &&
                   model_add(&m, tensors[i].name, strlen(tensors[i].name), view, "x", 0, &err) == SMELT_OK,
               "cannot make the model");
    }
    const smelt_status st = json_is_object(config) ? arch_from_hf(&ctx, &m, &err) : SMELT_E_CORRUPT;
    if (json_is_object(config)) demand(st == SMELT_OK || (err.code == st && err.text[0]), "a refusal without a text");
    if (st == SMELT_OK && m.arch) ask(&m);
    model_free(&m);
    return 0;
}
