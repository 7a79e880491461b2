/* The bulk of a tokenizer.json: model.vocab and model.merges, hundreds of thousands of short texts. A JSON library makes several
 * allocations of each, which takes longer than writing the model; where they have their usual form they are read in place. */
#ifndef SMELT_FORMATS_TOKENIZER_BULK_H
#define SMELT_FORMATS_TOKENIZER_BULK_H

#include "base/json.h"
#include "vocab/tokenizer.h"

typedef struct tok_word {
    smelt_str text;
    int64_t id; /* -1: none, or no integer */
} tok_word;

/* Texts are in the arena that it was loaded with, or BORROWED from the JSON. */
typedef struct tok_bulk {
    size_t n_words, n_merges;
    tok_word *words;         /* of a vocabulary that is an object, in the file's order */
    smelt_tok_merge *merges; /* of a file without pairs: "left right" as one text, in left */
    bool pairs;
} tok_bulk;

/* Loads a tokenizer.json of at most `limit` bytes. *root is NEW, also after some errors: json_decref. What *bulk has may be left
 * empty in it. E_CORRUPT for what is no JSON, and for merges of several forms. */
smelt_status tok_bulk_load(const char *path, uint64_t limit, smelt_arena *arena, json_t **root, tok_bulk *bulk, smelt_err *err);
/* The same of a JSON value. */
smelt_status tok_bulk_of(const json_t *root, smelt_arena *arena, tok_bulk *bulk, smelt_err *err);
/* A vocab.json: one object of texts and ids. */
smelt_status tok_words_load(const char *path, uint64_t limit, smelt_arena *arena, json_t **root, tok_bulk *bulk, smelt_err *err);

#endif
