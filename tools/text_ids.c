#include "tools/text_ids.h"

#include "verify/tokens.h"

smelt_status ids_of_text(const tok_source *tok, const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    if (n && text[n - 1] == '\n') n--;
    buf_put(ids, tok->desc->before, tok->desc->n_before * sizeof *tok->desc->before);
    SMELT_TRY(tok_encode(tok->tok, tok->state, text, n, SMELT_TOK_LITERAL, ids, err));
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}

smelt_status ids_of_numbers(const char *path, const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    const smelt_status st = tokens_parse(text, n, ids, err);
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}
