/* tiktoken files: byte-level vocabularies as lines of a token in base64 and its rank. They do not say how text is cut nor which
 * special tokens there are; both follow from the name: qwen.tiktoken, o200k_base.tiktoken. Sources: tiktoken's load.py and
 * openai_public.py, Qwen's tokenization_qwen.py. */
#ifndef SMELT_FORMATS_TIKTOKEN_H
#define SMELT_FORMATS_TIKTOKEN_H

#include "formats/tokenizer_hf.h"
#include "vocab/tokenizer.h"

/* The names that are known, from 0; NULL behind the last. */
const char *tiktoken_name(size_t i);
/* A file's content as a description. E_UNSUPPORTED for a name that is not known. */
smelt_status tiktoken_desc(smelt_arena *arena, const char *name, const char *data, size_t size, smelt_tok_desc *d, smelt_err *err);
/* A file as a vocabulary, padded to config.json's vocab_size, with the merges that its ranks mean: a token comes of the two that
 * are left when all merges of lower ranks are done. E_CORRUPT if not two are left. */
smelt_status tiktoken_vocab(hf_files *f, const char *path, smelt_vocab *v);

#endif
