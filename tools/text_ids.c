#include "tools/text_ids.h"

#include <string.h>

smelt_status ids_of_text(const tok_source *tok, const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    if (n && text[n - 1] == '\n') n--;
    buf_put(ids, tok->desc->before, tok->desc->n_before * sizeof *tok->desc->before);
    SMELT_TRY(tok_encode(tok->tok, tok->state, text, n, SMELT_TOK_LITERAL, ids, err));
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}

smelt_status ids_of_numbers(const char *path, const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    for (size_t at = 0; at < n;) {
        if (text[at] && strchr(" \t\r\n,", text[at])) {
            at++;
            continue;
        }
        uint64_t id = 0;
        const size_t begin = at;
        while (at < n && text[at] >= '0' && text[at] <= '9' && id <= INT32_MAX)
            id = id * 10 + (uint64_t)(text[at++] - '0');
        if (at == begin || id > INT32_MAX) return smelt_fail_at(err, SMELT_E_USAGE, begin, "%s: that is no token id", path);
        const int32_t value = (int32_t)id;
        buf_put(ids, &value, sizeof value);
    }
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}
