/* Failure reporting: the first error wins and is passed up unchanged. */
#ifndef SMELT_BASE_STATUS_H
#define SMELT_BASE_STATUS_H

#include "smelt.h"

/* Records a failure in `err` (unless one is there already) and returns `code`. `err` may be NULL. */
smelt_status smelt_fail(smelt_err *err, smelt_status code, const char *fmt, ...) SMELT_PRINTF(3, 4);
/* The same, with the byte offset in the file at which it was seen. */
smelt_status smelt_fail_at(smelt_err *err, smelt_status code, uint64_t offset, const char *fmt, ...) SMELT_PRINTF(4, 5);
/* Records E_IO with strerror(errno) appended. Call it before anything that changes errno. */
smelt_status smelt_fail_errno(smelt_err *err, const char *fmt, ...) SMELT_PRINTF(2, 3);
smelt_status smelt_oom(smelt_err *err);
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
