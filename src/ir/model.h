/* A model: metadata, hyperparameters, vocabulary, tensors. */
#ifndef SMELT_IR_MODEL_H
#define SMELT_IR_MODEL_H

#include "base/strmap.h"
#include "ir/meta.h"
#include "ir/tensor.h"

struct smelt_arch;
struct smelt_vocab;

/* Hyperparameters: one row each in arch/hparams.def, which the arch layer reads and writes; here they are numbers. */
enum { SMELT_MAX_HPARAMS = 96 };
typedef struct smelt_hparams {
    double v[SMELT_MAX_HPARAMS];
    bool set[SMELT_MAX_HPARAMS];
} smelt_hparams;

/* A small file of the source that goes along (config.json, tokenizer.json …). */
typedef struct smelt_side_file {
    const char *name;
    const uint8_t *data;
    size_t size;
} smelt_side_file;

struct smelt_model {
    smelt_arena arena;
    const char *format;       /* name of the format it was read from */
    const char *format_title; /* the same for people */
    const char *path;         /* as given by the user */
    const char *title;        /* base name of the directory or file, for general.name */
    const char *variant;      /* what inspect adds to the format's name: "v3, little-endian, 3 files"; may be NULL */
    smelt_meta meta;
    bool meta_complete;            /* meta is the whole key list of a GGUF source: written as it is, in that order */
    const struct smelt_arch *arch; /* NULL: names are the file's own */
    const char *unmapped;          /* why arch is NULL, for whoever needs it; may be NULL */
    smelt_hparams hp;
    const struct smelt_vocab *vocab; /* NULL: none */
    const smelt_err *vocab_err;      /* why there is none although the source has a tokenizer; NULL otherwise */
    void *config;                    /* json_t of config.json, owned; NULL: none */
    bool config_made;                /* config is another than the source's, which was of a layout that is only read */
    smelt_side_file *side;
    size_t n_side, cap_side;
    smelt_tensor *tensors;
    size_t n_tensors, cap_tensors;
    uint64_t left_out;          /* parameters of tensors that were here and are no longer */
    const smelt_tensor *stored; /* the tensors as the files have them, for who wants to see those */
    size_t n_stored;
    smelt_strmap names;
    smelt_map *maps;
};

void model_init(smelt_model *model);
void model_free(smelt_model *model);
/* Maps a file; the model closes it. BORROWED. */
smelt_status model_map(smelt_model *model, const char *path, const smelt_map **out, smelt_err *err);
/* Adds a tensor; copies the name. E_CORRUPT for a name that is empty, not UTF-8, has control characters, or is there already. */
smelt_status model_add(smelt_model *model, const char *name, size_t len, const smelt_view *view, const char *file, uint64_t offset,
                       smelt_err *err);
/* Rebuilds the name index after tensors were reordered, renamed or removed. E_CORRUPT if two have one name. */
smelt_status model_reindex(smelt_model *model, smelt_err *err);
const smelt_tensor *model_find(const smelt_model *model, const char *name);
/* The name of the directory or file that the model was read from, also where its path says "." or "..". NULL when out of memory. */
const char *model_dir_name(const smelt_model *model, smelt_arena *arena);
smelt_status model_side(smelt_model *model, const char *name, const void *data, size_t size, smelt_err *err);
const smelt_side_file *model_side_find(const smelt_model *model, const char *name);
/* Elements of all tensors, and what `bytes` of storage make for each of them. */
uint64_t model_params(const smelt_model *model);
double bits_per_weight(uint64_t bytes, uint64_t params);

#endif
