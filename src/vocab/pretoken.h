/* The pre-tokenizers that tokenizer.ggml.pre names, and which one a tokenizer.json means. Rows: vocab/pretoken.def. */
#ifndef SMELT_VOCAB_PRETOKEN_H
#define SMELT_VOCAB_PRETOKEN_H

#include "base/alloc.h"
#include "base/bytes.h"

typedef struct smelt_pretoken {
    const char *name;
    int split;              /* for pretoken_steps */
    const char *normalizer; /* "" or "nfc" */
    bool ignore_merges;     /* a whole word that is a token is taken without merging */
    const char *tokens;     /* tokens that tell this name from others with the same steps; NULL: never recognised, only named */
} smelt_pretoken;

/* What a tokenizer.json says about cutting text, for pretoken_match. */
typedef struct smelt_pretoken_shape {
    const char *steps;      /* canonical, see pretoken_regex for the patterns in it */
    const char *normalizer; /* "", "nfc" or anything else, which no row has */
    bool ignore_merges;
    bool digits_alone; /* no token joins a digit to something else: it was trained on text with digits cut apart */
    bool (*has_token)(const void *user, const char *text, size_t n);
    const void *user;
} smelt_pretoken_shape;

/* The row of a name; NULL if there is none. The first row of a name holds the steps that are written. */
const smelt_pretoken *pretoken_find(const char *name);
/* Its steps, lines as pretoken.def spells them; NULL if they are not known. */
const char *pretoken_steps(const smelt_pretoken *row);
/* Appends a split pattern in the one spelling that pretoken.def uses: control characters as escapes, English contractions
 * matched in any case as (?i:'s|'t|'re|'ve|'m|'ll|'d), and greedy for possessive quantifiers where both match the same. */
void pretoken_regex(smelt_buf *out, const char *regex, size_t n);
/* Finds the name for what a tokenizer.json says. E_UNSUPPORTED for an unknown one: the message shows the steps found and the
 * nearest known names. */
smelt_status pretoken_match(const smelt_pretoken_shape *shape, const smelt_pretoken **out, smelt_err *err);
/* E_USAGE that lists the known names, for an override that names none of them. */
smelt_status pretoken_unknown(const char *name, smelt_err *err);

#endif
