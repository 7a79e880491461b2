/* The tokenizer files of a Hugging Face directory as a vocabulary. */
#ifndef SMELT_FORMATS_TOKENIZER_HF_H
#define SMELT_FORMATS_TOKENIZER_HF_H

#include "base/json.h"
#include "formats/tokenizer_bulk.h"
#include "ir/ctx.h"
#include "vocab/vocab.h"

/* Reads tokenizer.model, tokenizer.json, qwen.tiktoken (or another of tiktoken_name) or vocab.json and merges.txt (the first of them that is there and usable), with
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json, chat templates and what model->config says, into
 * model->vocab, which stays NULL when the directory has no tokenizer. The result is what llama.cpp's converter makes of the same
 * files (conversion/base.py, conversion/llama.py, gguf's vocab.py). ctx->pre_tokenizer names the pre-tokenizer instead of
 * recognising it. E_CORRUPT for files that contradict themselves, E_UNSUPPORTED for a tokenizer of another kind or an unknown
 * pre-tokenizer, E_LIMIT, E_USAGE for an override that names none. */
smelt_status hf_vocab_read(const smelt_ctx *ctx, const char *dir, smelt_model *model, smelt_err *err);

/* Whether a directory has one of the files that hf_vocab_read begins with. */
bool hf_has_tokenizer(const char *dir);
/* Where the tokenizer of the checkpoint in `dir` is: there, or in the directory above for a layout that is only read, which stands in
 * a folder of its repository. *out is `dir`, or NEW in the arena; NULL where a directory above was expected to have one. */
smelt_status hf_tokenizer_dir(smelt_arena *arena, const char *dir, const json_t *config, const char **out, smelt_err *err);

/* The parsed files, for the parts of the reader. */
typedef struct hf_files {
    const smelt_ctx *ctx;
    const char *dir;
    smelt_model *model; /* its arena holds what stays */
    smelt_arena tmp;
    json_t *tokenizer, *tokenizer_config, *special_map, *added_tokens; /* NULL: no such file */
    tok_bulk bulk; /* vocabulary and merges of tokenizer.json, or the vocabulary of vocab.json */
    smelt_err *err;
} hf_files;

/* A member of a JSON object that is a string; false if it is missing or something else. BORROWED from the JSON. */
bool hf_json_str(const json_t *object, const char *key, smelt_str *out);
/* A special token in tokenizer_config.json or special_tokens_map.json: a string, or an object with "content". */
bool hf_token_text(const json_t *value, smelt_str *out);
/* A member that is true or false. */
bool hf_json_flag(const json_t *object, const char *key, bool otherwise);
/* How much of a token's text a message shows. */
int hf_shown(smelt_str s);
/* Path of a file in the directory, NULL if it is not there. *st is that of path_inside: a link may lead elsewhere. */
const char *hf_file(hf_files *f, const char *name, smelt_status *st);
/* A number of config.json; -1 if it is not there or no integer. */
int64_t hf_config_int(const hf_files *f, const char *key);

/* Number of tokens: config.json's vocab_size, or as many as the files have. E_CORRUPT if the files have far less. */
smelt_status hf_count_tokens(hf_files *f, size_t have, int64_t *out);
/* What fills the vocabulary up: "[PAD7]". */
smelt_status hf_pad_token(hf_files *f, int64_t id, smelt_str *out);
/* Special tokens, whether encoding adds them, chat templates and normaliser flags; ids must be below `limit`, others are left
 * out with a warning. */
smelt_status hf_read_special(hf_files *f, smelt_vocab *vocab, int64_t limit);
/* The name for tokenizer.ggml.pre. `has_token` says whether the vocabulary has a token. E_UNSUPPORTED where no name fits, E_USAGE for
 * an override that is none. */
smelt_status hf_pre_tokenizer(hf_files *f, bool (*has_token)(const void *user, const char *text, size_t n), const void *user,
                              const char **out);
/* Merges of tokenizer.json, or of merges.txt if that has none. */
smelt_status hf_read_merges(hf_files *f, smelt_vocab *vocab);

#endif
