/* A vocabulary as the tokenizer files of a Hugging Face directory. */
#ifndef SMELT_FORMATS_TOKENIZER_WRITE_H
#define SMELT_FORMATS_TOKENIZER_WRITE_H

#include "ir/ctx.h"
#include "vocab/vocab.h"

/* Makes the files of model->vocab (none if it is NULL): tokenizer.json, tokenizer_config.json, generation_config.json, chat
 * templates, and for SentencePiece vocabularies tokenizer.model and added_tokens.json. Names and contents are NEW in the arena.
 * ctx->pre_tokenizer names the pre-tokenizer instead of the vocabulary. E_UNSUPPORTED if the steps of the pre-tokenizer are not
 * known, E_CORRUPT for tokens that are not UTF-8 and merges that are not two tokens of the vocabulary. */
smelt_status hf_vocab_write(const smelt_ctx *ctx, const smelt_model *model, smelt_arena *arena, smelt_side_file **files, size_t *n,
                            smelt_err *err);

#endif
