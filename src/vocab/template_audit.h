/* Chat templates are programs (Jinja). This reads one without running it and reports what a template has no business with. */
#ifndef SMELT_VOCAB_TEMPLATE_AUDIT_H
#define SMELT_VOCAB_TEMPLATE_AUDIT_H

#include "ir/audit.h"
#include "ir/meta.h"

/* Looks through the tokens of a template's tags for names and attributes that begin with underscores or lead into the interpreter, also
 * where a string names them, as a whole, put together from literals with ~, + or join, written with escapes or backwards; for tags that
 * load other templates; and for tags and strings that do not end. `what` names the template in messages; `offset` is where `text` begins
 * in the file in work, SMELT_NO_OFFSET where it is not there as it is. What a template computes at run time is not seen. */
smelt_status template_audit(smelt_audit *audit, const char *what, uint64_t offset, smelt_str text, smelt_err *err);

#endif
