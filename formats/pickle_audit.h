/* A pickle read as a listing: which names it uses, wherever on the way to its end something is wrong. */
#ifndef SMELT_FORMATS_PICKLE_AUDIT_H
#define SMELT_FORMATS_PICKLE_AUDIT_H

#include "base/bytes.h"
#include "ir/audit.h"

/* Follows the opcodes from the cursor to STOP, to the first byte that is none, or to the end of the data, and reports names that
 * tensors do not need and opcodes that torch.save does not write. Only strings are kept track of, since STACK_GLOBAL takes its names
 * from the stack; a name that is not a plain string there is reported as such. The cursor stands behind what was followed; *stopped says
 * whether that ended in STOP. The cursor's own error is not used. E_NOMEM is the only failure. */
smelt_status pickle_audit(smelt_cur *cur, smelt_audit *audit, bool *stopped, smelt_err *err);

#endif
