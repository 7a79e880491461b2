#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "ir/format.h"
#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/text_ids.h"
#include "verify/record.h"

typedef struct record_args {
    const char *text, *tokens, *output;
    uint64_t top, context, chunks, threads;
    bool quiet;
} record_args;

static const opt options[] = {
    {"--text", OPT_TEXT, "FILE", "the text to predict", offsetof(record_args, text)},
    {"--tokens", OPT_TEXT, "FILE", "the same as token ids, white space between them", offsetof(record_args, tokens)},
    {"-o", OPT_TEXT, "FILE", "the file to write, in safetensors' format", offsetof(record_args, output)},
    {"--top-k", OPT_COUNT, "N", "only the N largest logits of each token, and what the others sum up to",
     offsetof(record_args, top)},
    {"--context", OPT_COUNT, "N", "tokens of a chunk (default: 512)", offsetof(record_args, context)},
    {"--chunks", OPT_COUNT, "N", "only the first N chunks", offsetof(record_args, chunks)},
    {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(record_args, threads)},
    {"--quiet", OPT_FLAG, NULL, "print nothing but errors", offsetof(record_args, quiet)},
    {0},
};

typedef struct recording {
    const smelt_ctx *ctx;
    const record_args *args;
    uint64_t bytes; /* of a chunk's logits */
} recording;

static bool progress(void *user, size_t chunks, size_t all)
{
    const recording *r = user;
    const smelt_progress p = {"record", "of logits", chunks * r->bytes, all * r->bytes};
    return r->ctx->progress && r->ctx->progress(r->ctx->user, &p);
}

/* The text's ids; *bos is the token that begins texts, -1 if there is none. Ids need no tokenizer. */
static smelt_status read_ids(const char *src, const record_args *a, smelt_buf *ids, int32_t *bos, smelt_err *err)
{
    tok_source tok = {0};
    smelt_map *map;
    *bos = -1;
    smelt_err why = {0};
    smelt_status st = tok_source_open(src, &tok, &why);
    if (st == SMELT_OK && tok.desc->n_before) *bos = tok.desc->before[0];
    if (st != SMELT_OK && a->text) {
        *err = why;
        tok_source_close(&tok);
        return st;
    }
    const char *path = a->text ? a->text : a->tokens;
    st = map_open(path, &map, err);
    if (st == SMELT_OK) {
        const char *text = map->size ? (const char *)map->data : "";
        st = a->text ? ids_of_text(&tok, text, (size_t)map->size, ids, err)
                     : ids_of_numbers(path, text, (size_t)map->size, ids, err);
        map_close(map);
    }
    tok_source_close(&tok);
    return st;
}

static smelt_status record(const smelt_ctx *ctx, const char *src, recording *r, const smelt_buf *ids, int32_t bos, smelt_err *err)
{
    smelt_model model;
    smelt_engine *engine = NULL;
    const record_args *a = r->args;
    smelt_status st = source_open(ctx, src, &model, err);
    if (st == SMELT_OK) st = engine_open(ctx, &model, NULL, &engine, err);
    if (st == SMELT_OK) {
        r->bytes = (a->context ? a->context : 512) * engine_vocab(engine) * sizeof(float);
        const record_opts o = {.context = (size_t)a->context,
                               .chunks = (size_t)a->chunks,
                               .top = (size_t)a->top,
                               .bos = bos,
                               .vocab = model.vocab,
                               .progress = progress,
                               .user = r};
        st = record_run(ctx, engine, (const int32_t *)(const void *)ids->data, ids->size / sizeof(int32_t), &o, a->output, err);
    }
    engine_close(engine);
    model_free(&model);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const record_args *a = opts;
    if (!a->output) return smelt_fail(err, SMELT_E_USAGE, "written to which file? -o FILE");
    if (!a->text == !a->tokens) return smelt_fail(err, SMELT_E_USAGE, "which text? --text FILE or --tokens FILE");
    if (a->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %" PRIu64 ": at most 1024", a->threads);
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (a->threads) ctx.threads = (int)a->threads;
    reporter watch;
    reporter_start(&watch, &ctx, a->quiet);
    smelt_buf ids = {0};
    int32_t bos;
    recording r = {.ctx = &ctx, .args = a};
    smelt_status st = read_ids(operand[0], a, &ids, &bos, err);
    if (st == SMELT_OK) st = record(&ctx, operand[0], &r, &ids, bos, err);
    reporter_end(&watch);
    buf_free(&ids);
    return st;
}

const command cmd_record = {
    .name = "record",
    .summary = "Writes tokens and what a model predicts behind each, for 'verify --against' without the model.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(record_args),
    .run = run,
    .more = "All logits of a vocabulary of 49,152 tokens take 197 kB a token; with --top-k 64 it is half a kilobyte.\n",
};
