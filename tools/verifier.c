#include "tools/verifier.h"

#include <string.h>

#include "arch/content.h"
#include "base/io.h"
#include "ir/format.h"
#include "tools/text_ids.h"
#include "verify/recorded.h"

enum { CONTEXT = 512, QUICK_CHUNKS = 2, PROMPTS = 16, STEPS = 8 };

typedef struct verifier {
    const smelt_ctx *ctx;
    const verifier_opts *o;
    verify_result *r;
    smelt_model candidate, original;
    tok_source tok;
    bool has_tok;
    smelt_buf ids; /* int32_t */
    int32_t bos;
    const char *text; /* what the ids are of */
    smelt_engine *engine, *original_engine;
    smelt_reference *reference;
} verifier;

static const int32_t *ids_of(const verifier *v, size_t *n)
{
    *n = v->ids.size / sizeof(int32_t);
    return (const int32_t *)(const void *)v->ids.data;
}

static char *spell(void *user, smelt_arena *arena, const int32_t *ids, size_t n)
{
    verifier *v = user;
    smelt_buf text = {0};
    if (!v->has_tok) return NULL;
    const smelt_status st = tok_decode(v->tok.tok, ids, n, 0, &text, NULL);
    const smelt_str s = {text.data ? (const char *)text.data : "", text.size};
    char *out = st == SMELT_OK && !text.failed ? verify_escape(arena, s) : NULL;
    buf_free(&text);
    return out;
}

static smelt_status open_tokenizer(verifier *v, smelt_err *err)
{
    smelt_err first = {0};
    smelt_status st = tok_source_open(v->o->against, &v->tok, &first);
    if (st == SMELT_E_UNSUPPORTED) {
        tok_source_close(&v->tok);
        st = tok_source_open(v->o->candidate, &v->tok, NULL);
    }
    v->has_tok = st == SMELT_OK;
    if (v->has_tok) return SMELT_OK;
    tok_source_close(&v->tok);
    v->tok = (tok_source){0};
    if (st == SMELT_E_NOMEM) return smelt_oom(err);
    /* Ids need none. */
    if (v->o->tokens) return SMELT_OK;
    return smelt_fail(err, first.code, "%s: %s; without a tokenizer, --tokens FILE gives ids", first.where, first.text);
}

static smelt_status read_text(verifier *v, smelt_err *err)
{
    const verifier_opts *o = v->o;
    v->bos = -1;
    SMELT_TRY(open_tokenizer(v, err));
    if (v->tok.desc && v->tok.desc->n_before) v->bos = v->tok.desc->before[0];
    smelt_map *map = NULL;
    const char *path = o->tokens ? o->tokens : o->text;
    if (path) SMELT_TRY(map_open(path, &map, err));
    const char *text = map ? (const char *)map->data : (const char *)verify_sample;
    size_t n = map ? (size_t)map->size : verify_sample_size;
    v->text = path ? path : "built-in text";
    const smelt_status st = o->tokens ? ids_of_numbers(path, text, n, &v->ids, err) : ids_of_text(&v->tok, text, n, &v->ids, err);
    if (map) map_close(map);
    return st;
}

/* All of both files is read once more for it, which a quick look does without. */
static smelt_status hash_content(const verifier *v, const smelt_model *model, verify_identity *identity, smelt_err *err)
{
    smelt_content content;
    char hex[HASH_HEX + 1];
    if (v->o->quick) return SMELT_OK;
    SMELT_TRY(content_hash(v->ctx, model, &v->r->arena, &content, err));
    identity->hash = arena_strdup(&v->r->arena, hash_hex(content.hash, hex));
    return identity->hash ? SMELT_OK : smelt_oom(err);
}

static smelt_status open_models(verifier *v, smelt_err *err)
{
    SMELT_TRY(source_open(v->ctx, v->o->candidate, &v->candidate, err));
    SMELT_TRY(source_open(v->ctx, v->o->against, &v->original, err));
    SMELT_TRY(verify_identify(&v->candidate, v->r, &v->r->candidate, err));
    return verify_identify(&v->original, v->r, &v->r->original, err);
}

/* 0: all. */
static size_t most_chunks(const verifier_opts *o)
{
    return o->quick && (!o->chunks || o->chunks > QUICK_CHUNKS) ? QUICK_CHUNKS : o->chunks;
}

static smelt_status open_engines(verifier *v, smelt_err *err)
{
    size_t n;
    const int32_t *ids = ids_of(v, &n);
    const smelt_engine_opts opts = {.fast = v->o->fast};
    SMELT_TRY(engine_open(v->ctx, &v->candidate, &opts, &v->engine, err));
    SMELT_TRY(engine_open(v->ctx, &v->original, NULL, &v->original_engine, err));
    /* Models of few positions are tested on those. */
    const uint64_t positions = engine_context(v->original_engine);
    const size_t usual = positions && positions < CONTEXT ? (size_t)positions : CONTEXT;
    SMELT_TRY(reference_from_engine(v->original_engine, ids, n, v->o->context ? v->o->context : usual, most_chunks(v->o), v->bos,
                                    &v->reference, err));
    v->reference->text = v->text;
    if (engine_vocab(v->engine) == v->reference->vocab) return SMELT_OK;
    return smelt_fail(err, SMELT_E_MISMATCH, "the candidate gives %zu logits for a token, the original %zu",
                      engine_vocab(v->engine), v->reference->vocab);
}

static smelt_status compare_logits(verifier *v, smelt_err *err)
{
    const verify_logits_args args = {.candidate = v->engine,
                                     .candidate_model = &v->candidate,
                                     .reference = v->reference,
                                     .original = v->original_engine,
                                     .original_model = &v->original,
                                     .spell = spell,
                                     .user = v};
    size_t n;
    const int32_t *ids = ids_of(v, &n);
    SMELT_TRY(verify_logits_run(v->ctx, &args, v->r, err));
    if (v->o->quick || !v->r->logits.done || !v->original_engine) return SMELT_OK;
    return verify_greedy_run(v->ctx, &args, ids, n, v->bos, PROMPTS, STEPS, v->r, err);
}

/* Recorded logits are of their own text, and there is nothing else to compare with. */
static smelt_status run_recorded(verifier *v, smelt_err *err)
{
    const verifier_opts *o = v->o;
    v->r->original.format = "recorded logits";
    if (o->weights_only) return smelt_fail(err, SMELT_E_USAGE, "%s holds recorded logits, and no weights to compare", o->against);
    if (o->text || o->tokens || o->context)
        return smelt_fail(err, SMELT_E_USAGE, "recorded logits are of their own text; leave out --text, --tokens and --context");
    const smelt_status st = tok_source_open(o->candidate, &v->tok, NULL);
    if (st == SMELT_E_NOMEM) return smelt_oom(err);
    v->has_tok = st == SMELT_OK;
    if (!v->has_tok) {
        tok_source_close(&v->tok);
        v->tok = (tok_source){0};
    }
    const smelt_engine_opts opts = {.fast = o->fast};
    SMELT_TRY(engine_open(v->ctx, &v->candidate, &opts, &v->engine, err));
    SMELT_TRY(recorded_fits(&v->original, v->candidate.vocab, engine_vocab(v->engine), err));
    SMELT_TRY(recorded_open(&v->original, most_chunks(o), &v->reference, err));
    SMELT_TRY(compare_logits(v, err));
    return o->policy ? policy_judge(o->policy, v->r, err) : SMELT_OK;
}

static smelt_status run(verifier *v, smelt_err *err)
{
    const bool logits = !v->o->weights_only;
    v->r->quick = v->o->quick;
    v->r->fast = v->o->fast;
    SMELT_TRY(open_models(v, err));
    if (recorded_is(&v->original)) return run_recorded(v, err);
    if (logits) {
        /* What cannot be done is said before anything is computed. */
        SMELT_TRY(verify_comparable(&v->candidate, &v->original, err));
        SMELT_TRY(read_text(v, err));
        SMELT_TRY(open_engines(v, err));
    }
    SMELT_TRY(hash_content(v, &v->candidate, &v->r->candidate, err));
    SMELT_TRY(hash_content(v, &v->original, &v->r->original, err));
    SMELT_TRY(verify_structure_run(v->ctx, &v->candidate, &v->original, v->r, err));
    SMELT_TRY(verify_weights_run(v->ctx, &v->candidate, &v->original, v->o->quick, v->r, err));
    if (logits) SMELT_TRY(compare_logits(v, err));
    return v->o->policy ? policy_judge(v->o->policy, v->r, err) : SMELT_OK;
}

smelt_status verifier_run(const smelt_ctx *ctx, const verifier_opts *o, verify_result *r, smelt_err *err)
{
    verifier v = {.ctx = ctx, .o = o, .r = r, .bos = -1};
    model_init(&v.candidate);
    model_init(&v.original);
    const smelt_status st = run(&v, err);
    reference_close(v.reference);
    engine_close(v.engine);
    engine_close(v.original_engine);
    tok_source_close(&v.tok);
    buf_free(&v.ids);
    model_free(&v.candidate);
    model_free(&v.original);
    return st;
}

smelt_status write_report(const verify_result *r, verify_report_fn *report, const char *path, smelt_err *err)
{
    smelt_buf text = {0};
    smelt_sink *sink = NULL;
    smelt_arena arena = {0};
    int file;
    const char *name = path_base(&arena, path);
    smelt_status st = name ? report(r, &text, err) : smelt_oom(err);
    if (st == SMELT_OK) st = sink_open(path, false, false, &sink, err);
    if (st == SMELT_OK) st = sink_add(sink, name, text.size, &file, err);
    if (st == SMELT_OK) st = sink_write(sink, file, text.data, text.size, 0, err);
    if (st == SMELT_OK) st = sink_commit(sink, err);
    if (sink && st != SMELT_OK) sink_discard(sink);
    if (sink) sink_close(sink);
    buf_free(&text);
    arena_free(&arena);
    return st;
}

smelt_status verifier_verdict(const verify_result *r, smelt_err *err)
{
    if (r->passed) return SMELT_OK;
    if (r->nonfinite.found) return smelt_fail(err, SMELT_E_FAILED, "logits are not finite");
    return smelt_fail(err, SMELT_E_FAILED, "%zu of %zu limits are breached", r->breached, r->n_checks);
}
