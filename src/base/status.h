/* Failure reporting: the first error wins and is passed up unchanged. */
#ifndef SMELT_BASE_STATUS_H
#define SMELT_BASE_STATUS_H

#include "smelt.h"

/* Records a failure in `err` (unless one is there already) and returns `code`. `err` may be NULL. A macro, so that the compiler
 * sees which status comes back and knows what is set on the way on. */
#define smelt_fail(err, code, ...) (smelt_err_set((err), (code), SMELT_NO_OFFSET, __VA_ARGS__), smelt_as_status(code))
/* The same, with the byte offset in the file at which it was seen. */
#define smelt_fail_at(err, code, offset, ...) (smelt_err_set((err), (code), (offset), __VA_ARGS__), smelt_as_status(code))
/* Records E_IO with strerror(errno) appended. Call it before anything that changes errno. */
#define smelt_fail_errno(err, ...) (smelt_err_set_errno((err), __VA_ARGS__), smelt_as_status(SMELT_E_IO))
#define smelt_oom(err) (smelt_err_set((err), SMELT_E_NOMEM, SMELT_NO_OFFSET, "out of memory"), smelt_as_status(SMELT_E_NOMEM))
static inline smelt_status smelt_as_status(smelt_status code) { return code; }
void smelt_err_set(smelt_err *err, smelt_status code, uint64_t offset, const char *fmt, ...) SMELT_PRINTF(4, 5);
void smelt_err_set_errno(smelt_err *err, const char *fmt, ...) SMELT_PRINTF(2, 3);
/* Puts `where` in front of what an inner function said about its place ("FILE: tensor 'x'"). */
void smelt_err_where(smelt_err *err, const char *fmt, ...) SMELT_PRINTF(2, 3);
/* Appends a line to the text of a recorded error; used to list several problems in one. Silently full at the buffer's end,
 * where the text then ends in "…". */
void smelt_err_add(smelt_err *err, const char *fmt, ...) SMELT_PRINTF(2, 3);

#define SMELT_TRY(call) \
    do { \
        smelt_status try_status_ = (call); \
        if (try_status_ != SMELT_OK) return try_status_; \
    } while (0)

#endif
