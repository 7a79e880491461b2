/* What somebody may have meant. */
#ifndef SMELT_BASE_NEAREST_H
#define SMELT_BASE_NEAREST_H

#include <stddef.h>

/* The candidate nearest to `word` by edit distance, if it is near enough to be a typo; NULL otherwise. candidate(table, i) is NULL behind
 * the last. */
const char *nearest(const char *word, const char *(*candidate)(const void *table, size_t i), const void *table);

#endif
