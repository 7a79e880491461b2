/* What a written file says of its making: which version, with which options, from which tensors. No path and no time, so that the
 * same source and options give the same bytes. docs/formats.md describes the keys. */
#ifndef SMELT_IR_PROVENANCE_H
#define SMELT_IR_PROVENANCE_H

#include "base/hash.h"
#include "ir/meta.h"

typedef enum smelt_provenance_key {
    PROVENANCE_VERSION,
    PROVENANCE_RECIPE,      /* JSON: command, type, options */
    PROVENANCE_RECIPE_HASH, /* of that text, since another option need not change another byte */
    PROVENANCE_SOURCE,      /* content hash of the source's tensors (arch/content.h) */
    PROVENANCE_KEYS
} smelt_provenance_key;

/* Values; p is NULL where there is none. */
typedef struct smelt_provenance {
    smelt_str value[PROVENANCE_KEYS];
} smelt_provenance;

/* "smelt.version" and so on. Static. */
const char *provenance_name(smelt_provenance_key key);
/* Whether a metadata key is one of these, alone or behind a format's prefix. */
bool provenance_is_key(const char *key);
/* For a file that is to be written: the source's hash is zeros until it is known. `recipe` is copied. */
smelt_status provenance_make(smelt_arena *arena, const char *recipe, smelt_provenance *out, smelt_err *err);
/* What a model's metadata has of it. BORROWED. */
void provenance_read(const smelt_meta *meta, smelt_provenance *out);
/* E_UNSUPPORTED if there is none or another version wrote it; E_CORRUPT if parts are missing or the recipe is not as it was written. */
smelt_status provenance_check(const smelt_provenance *provenance, smelt_err *err);

#endif
