#include "verify/tokens.h"

static bool between(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ','; }

smelt_status tokens_parse(const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    for (size_t at = 0; at < n;) {
        if (between(text[at])) {
            at++;
            continue;
        }
        const size_t begin = at;
        uint64_t id = 0;
        while (at < n && text[at] >= '0' && text[at] <= '9' && id <= INT32_MAX)
            id = id * 10 + (uint64_t)(text[at++] - '0');
        if (at == begin || id > INT32_MAX || (at < n && !between(text[at])))
            return smelt_fail_at(err, SMELT_E_USAGE, begin, "that is no token id");
        const int32_t value = (int32_t)id;
        buf_put(ids, &value, sizeof value);
    }
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}
