/* Vocabularies as GGUF's tokenizer.* keys. Source: GGUF's specification (docs/gguf.md) and gguf's constants.py. */
#ifndef SMELT_FORMATS_GGUF_VOCAB_H
#define SMELT_FORMATS_GGUF_VOCAB_H

#include "vocab/vocab.h"

/* Appends the keys of model->vocab (nothing if it is NULL) in the order in which llama.cpp's converter writes them. Arrays are
 * BORROWED from the vocabulary. */
smelt_status gguf_vocab_put(const smelt_model *model, smelt_meta *meta, smelt_err *err);
/* Fills model->vocab from model->meta. It stays NULL, without an error, when there are no tokens or the tokenizer is of a kind
 * that smelt_vocab does not hold; E_CORRUPT when arrays have the wrong type or different lengths. Ids out of range count as
 * unsaid. */
smelt_status gguf_vocab_get(smelt_model *model, smelt_err *err);

#endif
