/* The tokenizer of whatever a user names. */
#ifndef SMELT_TOOLS_TOK_OPEN_H
#define SMELT_TOOLS_TOK_OPEN_H

#include "formats/tokenizer_source.h"

typedef struct tok_source {
    hf_tokenizer files;
    smelt_model model;
    smelt_arena arena;
    const smelt_tok_desc *desc; /* what the tokenizer was made from */
    smelt_tok_desc from_model;
    smelt_tok *tok;
    smelt_tok_state *state;
} tok_source;

/* Opens a directory, a tokenizer file or a model that holds a vocabulary. NEW: tok_source_close, also after an error. */
smelt_status tok_source_open(const char *path, tok_source *s, smelt_err *err);
void tok_source_close(tok_source *s);

#endif
