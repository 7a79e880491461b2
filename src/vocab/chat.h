/* Prompts of the common chat formats, known by what their templates contain. Templates themselves are programs (Jinja), which are
 * not run: of what one adds beyond its format, a default system message and what begins the answer are read from its text, and one
 * that is seen to do more is refused. */
#ifndef SMELT_VOCAB_CHAT_H
#define SMELT_VOCAB_CHAT_H

#include <time.h>

#include "base/bytes.h"
#include "vocab/vocab.h"

/* Appends the prompt in which a user says `text` and the assistant is to answer; `system` may be NULL: the template's own, if it has
 * one. `today` is for the formats that tell the model the date. The token that begins a text is left to the tokenizer. E_UNSUPPORTED
 * if the vocabulary has no template, or one of a format that is not known; E_USAGE for a system message where the template takes
 * none. */
smelt_status chat_prompt(const smelt_vocab *vocab, const char *system, const char *text, const struct tm *today, smelt_buf *out,
                         smelt_err *err);

#endif
