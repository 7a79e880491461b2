/* Greedy generation: the original speaks, and the candidate, which has said the same until it departs, is asked about all of it at
 * once. */
#include <math.h>
#include <string.h>

#include "verify/internal.h"

enum { PROMPT = 32, MOST_PROMPTS = 64 };

typedef struct speech {
    size_t vocab;
    const score_ops *ops;
    int32_t *ids[MOST_PROMPTS]; /* prompt, then what was said */
    size_t said;                /* tokens that were said so far */
    size_t prompt;              /* tokens of each */
    size_t agreed[MOST_PROMPTS];
    int32_t other[MOST_PROMPTS]; /* what the candidate says where it departs */
    size_t steps;
} speech;

static int32_t most_likely(const speech *s, const float *logits)
{
    int32_t top[SCORE_TOP];
    score_top(s->ops, logits, s->vocab, top);
    return top[0];
}

static smelt_status say(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)first, (void)err;
    speech *s = user;
    s->ids[seq][s->prompt + s->said] = most_likely(s, logits + (n - 1) * s->vocab);
    return SMELT_OK;
}

static smelt_status listen(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err)
{
    (void)err;
    speech *s = user;
    for (size_t i = 0; i < n; i++) {
        const size_t step = first + i + 1 - s->prompt;
        if (step >= s->steps || step != s->agreed[seq]) continue;
        const int32_t token = most_likely(s, logits + i * s->vocab);
        if (token == s->ids[seq][s->prompt + step])
            s->agreed[seq]++;
        else
            s->other[seq] = token;
    }
    return SMELT_OK;
}

static smelt_status speak(const verify_logits_args *a, speech *s, size_t prompts, smelt_err *err)
{
    smelt_cache *cache[MOST_PROMPTS] = {NULL};
    smelt_seq seqs[MOST_PROMPTS];
    smelt_status st = SMELT_OK;
    for (size_t i = 0; i < prompts && st == SMELT_OK; i++)
        st = cache_new(a->original, &cache[i], err);
    for (s->said = 0; s->said < s->steps && st == SMELT_OK; s->said++) {
        const size_t done = s->said ? s->prompt + s->said - 1 : 0, n = s->said ? 1 : s->prompt;
        for (size_t i = 0; i < prompts; i++)
            seqs[i] = (smelt_seq){.ids = s->ids[i] + done, .n = n, .first = n - 1, .cache = cache[i]};
        st = engine_run(a->original, seqs, prompts, say, s, err);
    }
    for (size_t i = 0; i < prompts; i++)
        cache_free(cache[i]);
    return st;
}

static void conclude(const verify_logits_args *a, const speech *s, size_t prompts, verify_result *r)
{
    verify_greedy *g = &r->greedy;
    double sum = 0, square = 0;
    size_t first = 0;
    for (size_t i = 0; i < prompts; i++) {
        sum += (double)s->agreed[i];
        if (s->agreed[i] < s->agreed[first]) first = i;
    }
    const double mean = sum / (double)prompts;
    for (size_t i = 0; i < prompts; i++)
        square += ((double)s->agreed[i] - mean) * ((double)s->agreed[i] - mean);
    const double error = prompts > 1 ? sqrt(square / (double)prompts / (double)(prompts - 1)) : 0;
    *g = (verify_greedy){.done = true,
                         .prompts = prompts,
                         .steps = s->steps,
                         .agreed = {mean, mean - 2 * error, mean + 2 * error, error},
                         .least = s->agreed[first],
                         .token = -1,
                         .original_token = -1};
    if (g->least == s->steps) return;
    g->token = s->other[first];
    g->original_token = s->ids[first][s->prompt + g->least];
    if (!a->spell) return;
    g->text = a->spell(a->user, &r->arena, s->ids[first], s->prompt + g->least);
    g->token_text = a->spell(a->user, &r->arena, &g->token, 1);
    g->original_token_text = a->spell(a->user, &r->arena, &g->original_token, 1);
}

smelt_status verify_greedy_run(const smelt_ctx *ctx, const verify_logits_args *a, const int32_t *ids, size_t n, int32_t bos,
                               size_t prompts, size_t steps, verify_result *r, smelt_err *err)
{
    const size_t begin = bos >= 0;
    speech s = {.vocab = engine_vocab(a->original), .ops = score_select(ctx->cpu), .steps = steps};
    s.prompt = n / 2 < PROMPT ? n / 2 : PROMPT;
    const uint64_t places = engine_context(a->original);
    if (places && places < s.prompt + steps) {
        s.prompt = (size_t)(places / 2);
        s.steps = steps = (size_t)places - s.prompt;
    }
    if (s.prompt <= begin || !steps) return SMELT_OK;
    if (prompts > MOST_PROMPTS) prompts = MOST_PROMPTS;
    if (prompts > n / s.prompt) prompts = n / s.prompt;
    smelt_arena arena = {0};
    smelt_seq seqs[MOST_PROMPTS];
    smelt_status st = SMELT_OK;
    for (size_t i = 0; i < prompts && st == SMELT_OK; i++) {
        s.ids[i] = arena_calloc(&arena, s.prompt + steps, sizeof *s.ids[i]);
        if (!s.ids[i]) {
            st = smelt_oom(err);
            break;
        }
        if (begin) s.ids[i][0] = bos;
        memcpy(s.ids[i] + begin, ids + n / prompts * i, (s.prompt - begin) * sizeof *ids);
        seqs[i] = (smelt_seq){.ids = s.ids[i], .n = s.prompt + steps - 1, .first = s.prompt - 1};
    }
    if (st == SMELT_OK) st = speak(a, &s, prompts, err);
    if (st == SMELT_OK) st = engine_run(a->candidate, seqs, prompts, listen, &s, err);
    if (st == SMELT_OK) conclude(a, &s, prompts, r);
    arena_free(&arena);
    return st;
}
