/* Prompts of the common chat formats, known by what their templates contain. Templates themselves are programs (Jinja), which are
 * not run: what one adds beyond its format, such as a default system message, is not there. */
#ifndef SMELT_VOCAB_CHAT_H
#define SMELT_VOCAB_CHAT_H

#include "base/bytes.h"
#include "vocab/vocab.h"

/* Appends the prompt in which a user says `text` and the assistant is to answer; `system` may be NULL. The token that begins a text
 * is left to the tokenizer. E_UNSUPPORTED if the vocabulary has no template, or one of a format that is not known. */
smelt_status chat_prompt(const smelt_vocab *vocab, const char *system, const char *text, smelt_buf *out, smelt_err *err);

#endif
