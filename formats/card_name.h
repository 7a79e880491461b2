/* What the name of a model says: "org/Base-7B-Chat-v1.0". Source of the rules: gguf-py's metadata.py. */
#ifndef SMELT_FORMATS_CARD_NAME_H
#define SMELT_FORMATS_CARD_NAME_H

#include "base/alloc.h"
#include "ir/meta.h"

/* A value that is there, maybe empty: one that is there hides later sources even if an empty one is not written. */
typedef struct card_value {
    bool set;
    smelt_str text;
} card_value;

typedef struct card_id {
    card_value name, org, basename, finetune, version, size_label;
} card_id;

/* The patterns that names are taken apart with. */
typedef struct card_names card_names;

/* Results are in the arena. `total_params`: the model's number of parameters, which tells that "128k" is no size; 0: not known.
 * NEW: card_names_close. */
smelt_status card_names_open(smelt_arena *arena, uint64_t total_params, card_names **out, smelt_err *err);
void card_names_close(card_names *c);
/* Takes a name or a hub id apart. */
smelt_status card_name_split(card_names *c, smelt_str id, card_id *out);
/* "tiny-llama-v1.0" to "Tiny Llama v1.0": words in lower case get capitals unless they are versions or begin with a digit.
 * Letters whose capital is several letters, or that are no letters to PCRE2 (a Roman numeral's sign), differ from the source's. */
smelt_status card_name_title(card_names *c, smelt_str id, card_value *out);

#endif
