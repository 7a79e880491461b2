/* tokenizer.json as the description of a tokenizer. Source of the format: the serialised form of the `tokenizers` package. */
#ifndef SMELT_FORMATS_TOKENIZER_JSON_H
#define SMELT_FORMATS_TOKENIZER_JSON_H

#include "formats/tokenizer_bulk.h"

/* Fills a description. Texts are BORROWED from the JSON and the bulk, everything else is in the arena. E_CORRUPT for what contradicts itself,
 * E_UNSUPPORTED for kinds of model or steps that smelt does not know. */
smelt_status tokenizer_json_desc(smelt_arena *arena, const json_t *root, const tok_bulk *bulk, smelt_tok_desc *out, smelt_err *err);

#endif
