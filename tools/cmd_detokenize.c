#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tools/opts.h"
#include "tools/tok_open.h"

typedef struct detokenize_opts {
    const char *file;
    bool skip_special;
} detokenize_opts;

static const opt options[] = {
    {"--file", OPT_TEXT, "FILE", "read the ids from this file ('-': standard input)", offsetof(detokenize_opts, file)},
    {"--skip-special", OPT_FLAG, NULL, "leave special tokens out", offsetof(detokenize_opts, skip_special)},
    {0},
};

/* Ids in a text, with spaces or commas between them. */
static smelt_status read_ids(const char *text, size_t n, smelt_buf *ids, smelt_err *err)
{
    for (size_t i = 0; i < n;) {
        if (strchr(" \t\r\n,", text[i]) && text[i]) {
            i++;
            continue;
        }
        int64_t v = 0;
        size_t from = i;
        for (; i < n && text[i] >= '0' && text[i] <= '9' && v <= INT32_MAX; i++)
            v = v * 10 + (text[i] - '0');
        if (i == from || v > INT32_MAX || (i < n && !(text[i] && strchr(" \t\r\n,", text[i]))))
            return smelt_fail(err, SMELT_E_USAGE, "'%.*s' is no token id", (int)(n - from < 20 ? n - from : 20), text + from);
        int32_t id = (int32_t)v;
        buf_put(ids, &id, sizeof id);
    }
    return ids->failed ? smelt_oom(err) : SMELT_OK;
}

static smelt_status read_stream(const char *name, smelt_buf *ids, smelt_err *err)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    if (!f) return smelt_fail_errno(err, "cannot open %s", name);
    smelt_buf text = {0};
    char part[1 << 16];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_put(&text, part, n);
    smelt_status st = ferror(f) ? smelt_fail_errno(err, "cannot read %s", name) : text.failed ? smelt_oom(err) : SMELT_OK;
    if (f != stdin) fclose(f);
    if (st == SMELT_OK) st = read_ids((const char *)text.data, text.size, ids, err);
    buf_free(&text);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    const detokenize_opts *o = opts;
    if ((n > 1) == (o->file != NULL))
        return smelt_fail(err, SMELT_E_USAGE, "give the ids as arguments or with --file FILE, one of them");
    smelt_buf ids = {0}, text = {0};
    smelt_status st = o->file ? read_stream(o->file, &ids, err) : SMELT_OK;
    for (int i = 1; i < n && st == SMELT_OK; i++)
        st = read_ids(operand[i], strlen(operand[i]), &ids, err);
    tok_source s = {0};
    if (st == SMELT_OK) {
        st = tok_source_open(operand[0], &s, err);
        if (st == SMELT_OK)
            st = tok_decode(s.tok, (const int32_t *)(const void *)ids.data, ids.size / sizeof(int32_t),
                            o->skip_special ? SMELT_TOK_SKIP_SPECIAL : 0, &text, err);
        tok_source_close(&s);
    }
    if (st == SMELT_OK && text.size) fwrite(text.data, 1, text.size, stdout);
    buf_free(&ids);
    buf_free(&text);
    return st;
}

const command cmd_detokenize = {
    .name = "detokenize",
    .summary = "Turns token ids back into text, byte for byte.",
    .operands = "SRC [IDS...]",
    .min = 1,
    .max = INT_MAX,
    .opts = options,
    .opts_size = sizeof(detokenize_opts),
    .run = run,
    .more = "Ids have spaces or commas between them: 504 338,2. Nothing is added at the end of the text.\n",
};
