/* Token ids as a text: decimal numbers with white space or commas between. */
#ifndef SMELT_VERIFY_TOKENS_H
#define SMELT_VERIFY_TOKENS_H

#include "base/bytes.h"

/* Appends the ids (int32_t, native order). E_USAGE with the byte for anything else and for numbers beyond 31 bits. */
smelt_status tokens_parse(const char *text, size_t n, smelt_buf *ids, smelt_err *err);

#endif
