#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"

/* Copies JSON with ".0" behind every integer of so many digits that jansson takes it for too big: model_max_length is often
 * 10^30. */
static void widen_integers(const char *text, size_t n, smelt_buf *out)
{
    enum { BIG = 19 };
    bool in_string = false;
    for (size_t i = 0; i < n;) {
        char c = text[i];
        size_t used = 1;
        bool digit = c >= '0' && c <= '9';
        if (in_string) {
            used = c == '\\' && i + 1 < n ? 2 : 1;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (digit) {
            bool integer = true;
            while (i + used < n && strchr("0123456789.eE+-", text[i + used]) && text[i + used]) {
                integer = integer && text[i + used] >= '0' && text[i + used] <= '9';
                used++;
            }
            buf_put(out, text + i, used);
            if (integer && used >= BIG) buf_put(out, ".0", 2);
            i += used;
            continue;
        }
        buf_put(out, text + i, used);
        i += used;
    }
}

smelt_status smelt_json_parse(const char *text, size_t n, const char *what, json_t **out, smelt_err *err)
{
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*out && json_error_code(&e) == json_error_numeric_overflow) {
        smelt_buf wide = {0};
        widen_integers(text, n, &wide);
        if (!wide.failed) *out = json_loadb((const char *)wide.data, wide.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
        buf_free(&wide);
    }
    if (*out) return SMELT_OK;
    if (json_error_code(&e) == json_error_out_of_memory) return smelt_oom(err);
    return smelt_fail_at(err, SMELT_E_CORRUPT, e.position < 0 ? 0 : (uint64_t)e.position,
                         "%s is not valid JSON: %s (line %d, column %d)", what, e.text, e.line, e.column);
}

smelt_status smelt_json_load(const char *path, uint64_t limit, json_t **out, smelt_err *err)
{
    smelt_arena arena = {0};
    const char *text = NULL;
    size_t n = 0;
    smelt_status st = file_read(&arena, path, limit, &text, &n, err);
    if (st == SMELT_OK) {
        st = smelt_json_parse(text, n, "the file", out, err);
        if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    }
    arena_free(&arena);
    return st;
}

json_t *smelt_json_string(const char *p, size_t n)
{
    json_t *s = json_stringn(p, n);
    if (s) return s;
    smelt_buf b = {0};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x80) buf_u8(&b, (uint8_t)(0xC0 | c >> 6));
        buf_u8(&b, (uint8_t)(c >= 0x80 ? 0x80 | (c & 0x3F) : c));
    }
    s = json_stringn(b.data ? (const char *)b.data : "", b.size);
    buf_free(&b);
    return s;
}

void smelt_json_free(char *text) { free(text); }
