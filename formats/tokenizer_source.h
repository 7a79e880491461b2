/* Tokenizers from files: a Hugging Face directory or one of its files. */
#ifndef SMELT_FORMATS_TOKENIZER_SOURCE_H
#define SMELT_FORMATS_TOKENIZER_SOURCE_H

#include "ir/ctx.h"
#include "vocab/tokenizer.h"

/* What a description read from files needs to stay. */
typedef struct hf_tokenizer {
    smelt_arena arena;
    void *json; /* json_t */
    smelt_model model;
    smelt_tok_desc desc;
} hf_tokenizer;

/* Reads the tokenizer of a directory (the first of tokenizer.json, tokenizer.model, qwen.tiktoken, vocab.json with merges.txt), or one
 * tokenizer.json, *.model or *.tiktoken. *found is false, without an error, when `path` is neither. NEW: hf_tokenizer_free, also
 * after an error. */
smelt_status hf_tokenizer_read(const smelt_ctx *ctx, const char *path, hf_tokenizer *out, bool *found, smelt_err *err);
void hf_tokenizer_free(hf_tokenizer *t);

/* A SentencePiece model as a description; texts are BORROWED from `data`. The control tokens' texts are text for it. */
smelt_status spm_desc(smelt_arena *arena, const void *data, size_t size, smelt_tok_desc *d, smelt_err *err);

#endif
