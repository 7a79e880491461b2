#include "base/nearest.h"

#include <string.h>

static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1], n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return LONGEST;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]), best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[m];
}

const char *nearest(const char *word, const char *(*candidate)(const void *table, size_t i), const void *table)
{
    const char *best = NULL, *c;
    size_t least = strlen(word) / 3 + 2;
    for (size_t i = 0; (c = candidate(table, i)); i++) {
        size_t d = distance(word, c);
        if (d < least) least = d, best = c;
    }
    return best;
}
