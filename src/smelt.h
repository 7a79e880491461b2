/* smelt: model format converter and quantization suite. The public C API.
 *
 * Conventions:
 * - A function that can fail returns a smelt_status and takes a `smelt_err *` last, which may be NULL. The first failure is
 *   recorded there: what was found, what was expected, where. Nothing is printed and nothing exits.
 * - BORROWED pointers stay valid until the object they came from is freed. NEW objects are freed by the caller.
 * - Shapes are row-major, outermost dimension first. Sizes are in bytes unless a name says elements or rows.
 * - Objects may be read from several threads at once; calls that change an object need the caller's lock.
 */
#ifndef SMELT_H
#define SMELT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SMELT_API __attribute__((visibility("default")))
#define SMELT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SMELT_API
#define SMELT_PRINTF(fmt, args)
#endif

/* Every status: name, number (stable), exit code of the command, meaning. */
#define SMELT_STATUS_LIST(X) \
    X(OK, 0, 0, "done") \
    X(E_USAGE, 1, 2, "the request itself is wrong") \
    X(E_CORRUPT, 10, 3, "file content contradicts itself or its format") \
    X(E_TRUNCATED, 11, 3, "file ends before the data it declares") \
    X(E_LIMIT, 12, 3, "a size or count exceeds what is accepted") \
    X(E_UNSUPPORTED, 13, 3, "valid, but not something smelt handles") \
    X(E_FORBIDDEN, 14, 3, "content that is never accepted, such as code in a pickle") \
    X(E_MISMATCH, 15, 3, "parts that do not belong together") \
    X(E_IO, 20, 4, "the system could not read or write") \
    X(E_NOMEM, 21, 4, "out of memory") \
    X(E_CANCELLED, 22, 4, "stopped on request")

typedef enum smelt_status {
#define X(name, number, exit_code, text) SMELT_##name = (number),
    SMELT_STATUS_LIST(X)
#undef X
} smelt_status;

#define SMELT_NO_OFFSET UINT64_MAX

/* Detail of a failure, owned by the caller; initialise with `smelt_err err = {0}`. */
typedef struct smelt_err {
    smelt_status code;
    bool has_offset;
    uint64_t offset; /* byte in `where` at which the trouble was seen, if has_offset */
    char where[512]; /* file, and tensor or key where known; may be empty */
    char text[3072]; /* what was found, what was expected, what to do; UTF-8, may hold several lines */
} smelt_err;

SMELT_API const char *smelt_version(void);
/* Short fixed text of a status, and the exit code that the command gives it. */
SMELT_API const char *smelt_status_text(smelt_status status);
SMELT_API int smelt_status_exit_code(smelt_status status);

#ifdef __cplusplus
}
#endif

#endif
