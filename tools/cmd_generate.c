#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/sample.h"
#include "ir/format.h"
#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/tok_open.h"
#include "vocab/chat.h"

typedef struct gen_opts {
    const char *prompt, *system;
    uint64_t n, top_k, seed, threads;
    double temp, top_p;
    bool chat, fast;
} gen_opts;

static const opt options[] = {
    {"-p", OPT_TEXT, "TEXT", "the prompt", offsetof(gen_opts, prompt)},
    {"-n", OPT_COUNT, "N", "at most N tokens (default: 128)", offsetof(gen_opts, n)},
    {"--temp", OPT_REAL, "T", "temperature (default 0: always the most likely token)", offsetof(gen_opts, temp)},
    {"--top-k", OPT_COUNT, "N", "choose among the N most likely tokens", offsetof(gen_opts, top_k)},
    {"--top-p", OPT_REAL, "P", "choose among the tokens that make up this probability", offsetof(gen_opts, top_p)},
    {"--seed", OPT_COUNT, "N", "another N gives other choices", offsetof(gen_opts, seed)},
    {"--chat", OPT_FLAG, NULL, "the prompt is what a user says, in the format of the model's chat template",
     offsetof(gen_opts, chat)},
    {"--system", OPT_TEXT, "TEXT", "with --chat: the system message", offsetof(gen_opts, system)},
    {"--threads", OPT_COUNT, "N", "worker threads (default: one a processor)", offsetof(gen_opts, threads)},
    {"--fast", OPT_FLAG, NULL, "multiply block types and BF16 with rounded activations", offsetof(gen_opts, fast)},
    {0},
};

/* A text on its way to the terminal: what is new is printed as soon as its characters are complete. */
typedef struct speaker {
    const tok_source *tok;
    smelt_buf ids;
    size_t printed; /* bytes of the whole text that were there before or are printed */
} speaker;

static smelt_status speak(speaker *s, bool print, bool last, smelt_err *err)
{
    smelt_buf text = {0};
    smelt_status st = tok_decode(s->tok->tok, (const int32_t *)(const void *)s->ids.data, s->ids.size / sizeof(int32_t),
                                 SMELT_TOK_SKIP_SPECIAL, &text, err);
    if (st == SMELT_OK && text.failed) st = smelt_oom(err);
    if (st == SMELT_OK && text.size > s->printed) {
        size_t end = text.size;
        /* A character that the next tokens may complete waits. */
        for (size_t back = 1; back < 4 && back <= end - s->printed && !last; back++) {
            const uint8_t b = text.data[end - back];
            if ((b & 0xC0) == 0x80) continue;
            const size_t needs = b >= 0xF0 ? 4 : b >= 0xE0 ? 3 : b >= 0xC0 ? 2 : 1;
            if (needs > back) end -= back;
            break;
        }
        if (print) {
            fwrite(text.data + s->printed, 1, end - s->printed, stdout);
            fflush(stdout);
        }
        s->printed = end;
    }
    buf_free(&text);
    return st;
}

typedef struct chooser {
    smelt_sampler *sampler;
    size_t vocab, tokens; /* logits a row; tokens that have a text */
    int32_t chosen;
} chooser;

static smelt_status choose(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)seq, (void)first;
    chooser *c = user;
    const size_t known = c->tokens < c->vocab ? c->tokens : c->vocab;
    return sampler_next(c->sampler, logits + (n - 1) * c->vocab, known, &c->chosen, err);
}

static bool ends(const smelt_vocab *v, int32_t id)
{
    static const smelt_special last[] = {SMELT_SP_EOS, SMELT_SP_EOT, SMELT_SP_EOM};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        if (v && v->special[last[i]] == id) return true;
    return false;
}

static smelt_status answer(smelt_engine *engine, const smelt_vocab *vocab, const gen_opts *o, speaker *s, chooser *c,
                           smelt_err *err)
{
    smelt_cache *cache;
    const uint64_t most = o->n ? o->n : 128;
    SMELT_TRY(cache_new(engine, &cache, err));
    size_t done = 0;
    smelt_status st = speak(s, false, true, err);
    for (uint64_t i = 0; i < most && st == SMELT_OK && !reporter_signal(); i++) {
        const size_t n = s->ids.size / sizeof(int32_t) - done;
        const smelt_seq seq = {.ids = (const int32_t *)(const void *)s->ids.data + done, .n = n, .first = n - 1, .cache = cache};
        st = engine_run(engine, &seq, 1, choose, c, err);
        if (st != SMELT_OK || ends(vocab, c->chosen)) break;
        done += n;
        buf_put(&s->ids, &c->chosen, sizeof c->chosen);
        st = s->ids.failed ? smelt_oom(err) : speak(s, true, false, err);
    }
    if (st == SMELT_OK) st = speak(s, true, true, err);
    if (st == SMELT_OK) putchar('\n'), fflush(stdout);
    if (st == SMELT_OK && reporter_signal()) st = smelt_fail(err, SMELT_E_CANCELLED, "interrupted");
    cache_free(cache);
    return st;
}

/* Today, where the user is. */
static const struct tm *local_day(struct tm *out)
{
    const time_t now = time(NULL);
    if (!localtime_r(&now, out)) *out = (struct tm){.tm_year = 70, .tm_mday = 1};
    return out;
}

static smelt_status prepare(const smelt_model *model, const tok_source *tok, const gen_opts *o, smelt_buf *ids, smelt_err *err)
{
    smelt_buf text = {0};
    struct tm today;
    smelt_status st = SMELT_OK;
    if (o->chat && !model->vocab && model->vocab_err)
        st = smelt_fail(err, model->vocab_err->code, "%s", model->vocab_err->text);
    else if (o->chat)
        st = chat_prompt(model->vocab, o->system, o->prompt, local_day(&today), &text, err);
    else
        buf_put(&text, o->prompt, strlen(o->prompt));
    if (st == SMELT_OK && text.failed) st = smelt_oom(err);
    buf_put(ids, tok->desc->before, tok->desc->n_before * sizeof *tok->desc->before);
    if (st == SMELT_OK)
        st = tok_encode(tok->tok, tok->state, (const char *)text.data, text.size, o->chat ? 0 : SMELT_TOK_LITERAL, ids, err);
    if (st == SMELT_OK && !ids->size) st = smelt_fail(err, SMELT_E_USAGE, "the prompt has no tokens");
    buf_free(&text);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const gen_opts *o = opts;
    if (!o->prompt) return smelt_fail(err, SMELT_E_USAGE, "which prompt? -p TEXT");
    if (o->system && !o->chat) return smelt_fail(err, SMELT_E_USAGE, "--system goes with --chat");
    if (o->threads > 1024) return smelt_fail(err, SMELT_E_USAGE, "--threads %llu: at most 1024", (unsigned long long)o->threads);
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    if (o->threads) ctx.threads = (int)o->threads;
    tok_source tok;
    smelt_model model;
    smelt_engine *engine = NULL;
    speaker s = {.tok = &tok};
    smelt_sampler sampler = {
        .temperature = o->temp, .top_p = o->top_p > 0 ? o->top_p : 1, .top_k = (size_t)o->top_k, .seed = o->seed};
    model_init(&model);
    smelt_status st = tok_source_open(operand[0], &tok, err);
    if (st == SMELT_OK) st = source_open(&ctx, operand[0], &model, err);
    const smelt_engine_opts engine_opts = {.fast = o->fast};
    if (st == SMELT_OK) st = engine_open(&ctx, &model, &engine_opts, &engine, err);
    if (st == SMELT_OK) st = prepare(&model, &tok, o, &s.ids, err);
    if (st == SMELT_OK) {
        chooser c = {.sampler = &sampler, .vocab = engine_vocab(engine), .tokens = tok_count(tok.tok)};
        /* The text that is there ends with its line, and the model is closed, when somebody has heard enough. */
        reporter interrupts;
        reporter_start(&interrupts, &ctx, true);
        st = answer(engine, model.vocab, o, &s, &c, err);
        reporter_end(&interrupts);
    }
    sampler_free(&sampler);
    buf_free(&s.ids);
    engine_close(engine);
    model_free(&model);
    tok_source_close(&tok);
    return st;
}

const command cmd_generate = {
    .name = "generate",
    .summary = "Lets a model go on with a text, or answer.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(gen_opts),
    .run = run,
    .more =
        "Chat formats: harmony, llama-2, llama-3, ChatML, mistral, zephyr, phi-3, phi-4, known by the chat template's content.\n",
};
