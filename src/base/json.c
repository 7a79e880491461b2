#include "base/json.h"

#include <stdlib.h>

#include "base/io.h"

smelt_status smelt_json_parse(const char *text, size_t n, const char *what, json_t **out, smelt_err *err)
{
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
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

void smelt_json_free(char *text)
{
    free(text);
}
