#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *smelt_status_text(smelt_status status)
{
    static const struct {
        int number;
        const char *text;
    } rows[] = {
#define X(name, number, exit_code, text) {number, text},
        SMELT_STATUS_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == (int)status) return rows[i].text;
    return "unknown status";
}

int smelt_status_exit_code(smelt_status status)
{
    static const struct {
        int number, exit_code;
    } rows[] = {
#define X(name, number, exit_code, text) {number, exit_code},
        SMELT_STATUS_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == (int)status) return rows[i].exit_code;
    return 4;
}

/* Cuts a UTF-8 text that filled its buffer at a character's border, and says so. */
static void mark_cut(char *buf, size_t size)
{
    static const char mark[] = "…";
    size_t at = size - sizeof mark;
    while (at > 0 && ((unsigned char)buf[at] & 0xC0U) == 0x80U)
        at--;
    memcpy(buf + at, mark, sizeof mark);
}

/* Bytes of the UTF-8 character at `p`, 0 if there is none. */
static size_t character(const char *p, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++)
        if (utf8_valid(p, n)) return n;
    return 0;
}

/* Messages quote names from untrusted files, and cut them: what a terminal would obey, and what is no UTF-8, must not come
 * through. */
static void vset(char *buf, size_t size, const char *fmt, va_list args)
{
    int n = vsnprintf(buf, size, fmt, args);
    if (n < 0)
        buf[0] = 0;
    else if ((size_t)n >= size)
        mark_cut(buf, size);
    for (char *p = buf, *end = buf + strlen(buf); p < end;) {
        size_t len = character(p, (size_t)(end - p));
        const unsigned char c = (unsigned char)*p, next = (unsigned char)p[1];
        if (len == 0 || (c < 0x20 && c != '\n') || c == 0x7F)
            *p++ = '?';
        else if (c == 0xC2 && next < 0xA0) { /* the control characters above ASCII */
            *p++ = '?';
            *p++ = '?';
        } else
            p += len;
    }
}

void smelt_err_set(smelt_err *err, smelt_status code, uint64_t offset, const char *fmt, ...)
{
    if (!err || err->code != SMELT_OK) return;
    err->code = code;
    err->has_offset = offset != SMELT_NO_OFFSET;
    err->offset = err->has_offset ? offset : 0;
    va_list args;
    va_start(args, fmt);
    vset(err->text, sizeof err->text, fmt, args);
    va_end(args);
}

void smelt_err_set_errno(smelt_err *err, const char *fmt, ...)
{
    int saved = errno;
    if (!err || err->code != SMELT_OK) return;
    err->code = SMELT_E_IO;
    va_list args;
    va_start(args, fmt);
    vset(err->text, sizeof err->text, fmt, args);
    va_end(args);
    size_t n = strlen(err->text);
    /* The GNU form: what it returns may or may not lie in the buffer. */
    char room[128];
    snprintf(err->text + n, sizeof err->text - n, ": %s", strerror_r(saved, room, sizeof room));
}

void smelt_err_where(smelt_err *err, const char *fmt, ...)
{
    if (!err || err->code == SMELT_OK) return;
    char inner[sizeof err->where];
    memcpy(inner, err->where, sizeof inner);
    va_list args;
    va_start(args, fmt);
    vset(err->where, sizeof err->where, fmt, args);
    va_end(args);
    size_t n = strlen(err->where);
    if (inner[0] && (size_t)snprintf(err->where + n, sizeof err->where - n, ": %s", inner) >= sizeof err->where - n)
        mark_cut(err->where, sizeof err->where);
}

void smelt_err_add(smelt_err *err, const char *fmt, ...)
{
    if (!err) return;
    size_t n = strlen(err->text);
    if (n + 16 >= sizeof err->text) {
        /* No room for a line that says something. */
        static const char mark[] = "…";
        if (n < sizeof mark - 1 || memcmp(err->text + n - (sizeof mark - 1), mark, sizeof mark - 1) != 0)
            mark_cut(err->text, n + sizeof mark < sizeof err->text ? n + sizeof mark : sizeof err->text);
        return;
    }
    if (n) err->text[n++] = '\n';
    va_list args;
    va_start(args, fmt);
    vset(err->text + n, sizeof err->text - n, fmt, args);
    va_end(args);
}
