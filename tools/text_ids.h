/* Token ids of the texts that users name. */
#ifndef SMELT_TOOLS_TEXT_IDS_H
#define SMELT_TOOLS_TEXT_IDS_H

#include "tools/tok_open.h"

/* A text's ids (int32_t, appended) with what the tokenizer puts in front; names of special tokens in it are text, as for
 * llama-perplexity, which leaves out one line end at the end, too. */
smelt_status ids_of_text(const tok_source *tok, const char *text, size_t n, smelt_buf *ids, smelt_err *err);
/* Ids as decimal numbers with white space or commas between; E_USAGE, with the place in `path`, for what is none. */
smelt_status ids_of_numbers(const char *path, const char *text, size_t n, smelt_buf *ids, smelt_err *err);

#endif
