#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/perplexity.h"
#include "ir/format.h"
#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/text_ids.h"

typedef struct ppl_opts {
    const char *text;
    uint64_t context, stride, chunks, threads;
    bool fast, json, quiet;
} ppl_opts;

static const opt options[] = {
    {"--text", OPT_TEXT, "FILE", "the text to score", offsetof(ppl_opts, text)},
    {"--context", OPT_COUNT, "N", "tokens of a chunk (default: 512)", offsetof(ppl_opts, context)},
    {"--stride", OPT_COUNT, "N", "begin a chunk every N tokens and score its last N", offsetof(ppl_opts, stride)},
    {"--chunks", OPT_COUNT, "N", "only the first N chunks", offsetof(ppl_opts, chunks)},
    {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(ppl_opts, threads)},
    {"--fast", OPT_FLAG, NULL, "multiply block types and BF16 with rounded activations", offsetof(ppl_opts, fast)},
    {"--json", OPT_FLAG, NULL, "print JSON", offsetof(ppl_opts, json)},
    {"--quiet", OPT_FLAG, NULL, "no progress and no times on standard error", offsetof(ppl_opts, quiet)},
    {0},
};

typedef struct ppl_watch {
    bool terminal, quiet;
    double start, shown;
} ppl_watch;

static bool progress(void *user, const perplexity_sum *sum, size_t chunks)
{
    ppl_watch *w = user;
    const double now = seconds_now();
    if (w->quiet || now - w->shown < (w->terminal ? 0.2 : 10.0) || sum->chunks == chunks) return false;
    w->shown = now;
    const double rate = (double)sum->tokens / (now - w->start);
    fprintf(stderr, "%schunk %zu of %zu, perplexity %.4f, %.0f tokens/s%s", w->terminal ? "\r" : "", sum->chunks, chunks,
            perplexity_value(sum, NULL), rate, w->terminal ? "\x1b[K" : "\n");
    return false;
}

static smelt_status read_text(const tok_source *tok, const char *path, smelt_buf *ids, smelt_err *err)
{
    smelt_map *map;
    SMELT_TRY(map_open(path, &map, err));
    const smelt_status st = ids_of_text(tok, map->size ? (const char *)map->data : "", (size_t)map->size, ids, err);
    map_close(map);
    return st;
}

static void print_sum(const ppl_opts *o, const perplexity_sum *sum, double spent)
{
    double error;
    const double value = perplexity_value(sum, &error);
    const size_t context = sum->tokens / sum->chunks;
    if (o->json)
        printf(
            "{\"perplexity\": %.9g, \"standard_error\": %.9g, \"nll\": %.9g, \"chunks\": %zu, \"context\": %zu, \"scored\": %zu, "
            "\"tokens\": %zu, \"seconds\": %.3f}\n",
            value, error, sum->nll / (double)sum->count, sum->chunks, context, sum->count, sum->tokens, spent);
    else
        printf("perplexity %.4f +- %.4f (%zu chunks of %zu tokens, %zu scored)\n", value, error, sum->chunks, context, sum->count);
    if (!o->quiet) fprintf(stderr, "%zu tokens in %.1f s, %.0f tokens/s\n", sum->tokens, spent, (double)sum->tokens / spent);
}

static smelt_status score(const smelt_ctx *ctx, const char *src, const ppl_opts *o, const smelt_buf *ids, int32_t bos,
                          smelt_err *err)
{
    smelt_model model;
    smelt_engine *engine = NULL;
    const smelt_engine_opts opts = {.fast = o->fast};
    smelt_status st = source_open(ctx, src, &model, err);
    if (st == SMELT_OK) st = engine_open(ctx, &model, &opts, &engine, err);
    if (st == SMELT_OK) {
        ppl_watch watch = {isatty(STDERR_FILENO) == 1, o->quiet, seconds_now(), seconds_now()};
        const perplexity_opts ppl = {.context = (size_t)o->context,
                                     .stride = (size_t)o->stride,
                                     .chunks = (size_t)o->chunks,
                                     .bos = bos,
                                     .progress = progress,
                                     .user = &watch};
        perplexity_sum sum;
        st = perplexity_run(engine, (const int32_t *)(const void *)ids->data, ids->size / sizeof(int32_t), &ppl, &sum, err);
        if (watch.terminal && watch.shown != watch.start) fputs("\r\x1b[K", stderr);
        if (st == SMELT_OK) print_sum(o, &sum, seconds_now() - watch.start);
    }
    engine_close(engine);
    model_free(&model);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const ppl_opts *o = opts;
    if (!o->text) return smelt_fail(err, SMELT_E_USAGE, "which text? --text FILE");
    if (o->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %llu: at most 1024", (unsigned long long)o->threads);
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (o->threads) ctx.threads = (int)o->threads;
    tok_source tok;
    smelt_buf ids = {0};
    smelt_status st = tok_source_open(operand[0], &tok, err);
    if (st == SMELT_OK) st = read_text(&tok, o->text, &ids, err);
    const int32_t bos = st == SMELT_OK && tok.desc->n_before ? tok.desc->before[0] : -1;
    tok_source_close(&tok);
    if (st == SMELT_OK) st = score(&ctx, operand[0], o, &ids, bos, err);
    buf_free(&ids);
    return st;
}

const command cmd_perplexity = {
    .name = "perplexity",
    .summary = "Measures how well a model predicts a text, in float32 and as llama-perplexity counts.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(ppl_opts),
    .run = run,
    .more = "The text is cut into chunks, each begins with the token that begins texts (if the tokenizer adds one), and the\n"
            "tokens of each second half are scored. SRC is any checkpoint of a known family with its tokenizer.\n",
};
