/* The YAML front matter of a model card, as far as it is used. */
#ifndef SMELT_FORMATS_CARD_YAML_H
#define SMELT_FORMATS_CARD_YAML_H

#include "ir/model.h"

/* OTHER is a scalar that is no string, FALSY one that Python takes for false; DEEP is what lies too deep to be used. */
typedef enum card_kind { CARD_NULL, CARD_STR, CARD_FALSY, CARD_OTHER, CARD_LIST, CARD_MAP, CARD_DEEP } card_kind;

typedef struct card_node {
    card_kind kind;
    const char *key; /* in a map: what `known` gave */
    smelt_str text;  /* of a scalar, as spelled */
    struct card_node *first, *last, *next;
    size_t count; /* in a map: with the keys that are not known */
} card_node;

/* Reads the front matter of a README.md. `known` gives a key of its own for those that are used and NULL for others, whose values
 * are skipped. *root stays NULL where there is no front matter. Everything is in the arena. A front matter above 2 MiB is E_LIMIT;
 * too many values, nesting deeper than 64, aliases, merge keys and unknown tags are E_UNSUPPORTED; what is no YAML is E_CORRUPT. */
smelt_status card_yaml_read(const smelt_side_file *file, const char *(*known)(const char *key), smelt_arena *arena,
                            card_node **root, smelt_err *err);
/* The last value of a key of a map; NULL if there is none, or no map. */
const card_node *card_get(const card_node *map, const char *key);

#endif
