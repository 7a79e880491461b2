#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "tools/opts.h"
#include "tools/tok_open.h"

enum { READ_LIMIT = INT32_MAX };

typedef struct tokenize_opts {
    const char *file;
    bool ids, pieces, json, count, no_special, literal;
} tokenize_opts;

static const opt options[] = {
    {"--file", OPT_TEXT, "FILE", "encode this file ('-': standard input) instead of TEXT", offsetof(tokenize_opts, file)},
    {"--ids", OPT_FLAG, NULL, "print the ids on one line (the default)", offsetof(tokenize_opts, ids)},
    {"--pieces", OPT_FLAG, NULL, "print a line for each token: its id and its text", offsetof(tokenize_opts, pieces)},
    {"--json", OPT_FLAG, NULL, "print JSON: ids, pieces, count", offsetof(tokenize_opts, json)},
    {"--count", OPT_FLAG, NULL, "print only how many tokens there are", offsetof(tokenize_opts, count)},
    {"--no-special", OPT_FLAG, NULL, "do not add BOS, EOS and the like", offsetof(tokenize_opts, no_special)},
    {"--literal", OPT_FLAG, NULL, "take the names of special tokens in the text as text", offsetof(tokenize_opts, literal)},
    {0},
};

static smelt_status read_input(smelt_buf *text, smelt_err *err)
{
    char part[1 << 16];
    size_t n;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0) {
        buf_put(text, part, n);
        if (text->size > READ_LIMIT) return smelt_fail(err, SMELT_E_LIMIT, "standard input has more than 2 GiB");
    }
    if (ferror(stdin)) return smelt_fail_errno(err, "cannot read standard input");
    return text->failed ? smelt_oom(err) : SMELT_OK;
}

/* A token's text as the byte-level and SentencePiece vocabularies spell it; control characters are escaped. */
static void print_piece(smelt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7F)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static smelt_status print_json(const smelt_tok *tok, const int32_t *id, size_t n, smelt_err *err)
{
    json_t *root = json_object(), *ids = json_array(), *pieces = json_array();
    for (size_t i = 0; i < n; i++) {
        smelt_str s = tok_text(tok, id[i]);
        json_array_append_new(ids, json_integer(id[i]));
        json_array_append_new(pieces, json_stringn(s.p, s.n));
    }
    json_object_set_new(root, "count", json_integer((json_int_t)n));
    json_object_set_new(root, "ids", ids);
    json_object_set_new(root, "pieces", pieces);
    int bad = json_dumpf(root, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(root);
    putchar('\n');
    return bad ? smelt_fail(err, SMELT_E_IO, "cannot write JSON") : SMELT_OK;
}

static smelt_status print_ids(const smelt_tok *tok, const tokenize_opts *o, const int32_t *id, size_t n, smelt_err *err)
{
    if (o->json) return print_json(tok, id, n, err);
    if (o->count) {
        printf("%zu\n", n);
        return SMELT_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (!o->pieces) {
            printf(i ? " %d" : "%d", id[i]);
            continue;
        }
        printf("%d\t", id[i]);
        print_piece(tok_text(tok, id[i]));
        putchar('\n');
    }
    if (!o->pieces) putchar('\n');
    return SMELT_OK;
}

static smelt_status encode(const tokenize_opts *o, tok_source *s, const char *text, size_t n, smelt_err *err)
{
    smelt_buf ids = {0};
    unsigned flags = (o->no_special ? 0U : SMELT_TOK_ADD_SPECIAL) | (o->literal ? SMELT_TOK_LITERAL : 0U);
    smelt_status st = tok_encode(s->tok, s->state, text, n, flags, &ids, err);
    if (st == SMELT_OK) st = print_ids(s->tok, o, (const int32_t *)(const void *)ids.data, ids.size / sizeof(int32_t), err);
    buf_free(&ids);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    const tokenize_opts *o = opts;
    if ((n == 2) == (o->file != NULL)) return smelt_fail(err, SMELT_E_USAGE, "give a TEXT or --file FILE, one of them");
    if (o->ids + o->pieces + o->json + o->count > 1)
        return smelt_fail(err, SMELT_E_USAGE, "--ids, --pieces, --json and --count exclude each other");
    tok_source s;
    smelt_status st = tok_source_open(operand[0], &s, err);
    if (st == SMELT_OK && !o->file) {
        st = encode(o, &s, operand[1], strlen(operand[1]), err);
    } else if (st == SMELT_OK && strcmp(o->file, "-") == 0) {
        smelt_buf text = {0};
        st = read_input(&text, err);
        if (st == SMELT_OK) st = encode(o, &s, (const char *)text.data, text.size, err);
        buf_free(&text);
    } else if (st == SMELT_OK) {
        smelt_map *map;
        st = map_open(o->file, &map, err);
        if (st == SMELT_OK) {
            st = encode(o, &s, (const char *)map->data, (size_t)map->size, err);
            map_close(map);
        }
    }
    tok_source_close(&s);
    return st;
}

const command cmd_tokenize = {
    .name = "tokenize",
    .summary = "Encodes text as token ids, with the tokenizer of a checkpoint or of a tokenizer file.",
    .operands = "SRC [TEXT]",
    .min = 1,
    .max = 2,
    .opts = options,
    .opts_size = sizeof(tokenize_opts),
    .run = run,
    .more =
        "SRC is a directory with tokenizer files, a tokenizer.json, a SentencePiece tokenizer.model, a qwen.tiktoken, or a GGUF file.\n",
};
