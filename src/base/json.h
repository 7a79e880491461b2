/* JSON through jansson, with the limits and messages that untrusted files need. */
#ifndef SMELT_BASE_JSON_H
#define SMELT_BASE_JSON_H

#include <jansson.h>

#include "base/bytes.h"

/* Parses `n` bytes of UTF-8: duplicate keys, a nesting deeper than jansson's limit, and bytes behind the value are errors
 * (E_CORRUPT with line and column). An integer beyond 64 bits becomes a real. `what` names the text in messages. NEW:
 * json_decref. */
smelt_status smelt_json_parse(const char *text, size_t n, const char *what, json_t **out, smelt_err *err);
/* The same for a file of at most `limit` bytes. */
smelt_status smelt_json_load(const char *path, uint64_t limit, json_t **out, smelt_err *err);

/* A string of `n` bytes; where they are no UTF-8, as Latin-1 would read them, so that output stays valid and nothing is lost. NEW:
 * json_decref. NULL when out of memory. */
json_t *smelt_json_string(const char *p, size_t n);

/* Frees what json_dumps returned. */
void smelt_json_free(char *text);

#endif
