#include "tools/tok_open.h"

#include "ir/format.h"
#include "tools/compose.h"

static smelt_status open_model(const smelt_ctx *ctx, const char *path, tok_source *s, smelt_tok_desc *desc, smelt_err *err)
{
    SMELT_TRY(source_open(ctx, path, &s->model, err));
    if (s->model.vocab) return tok_desc_from_vocab(&s->arena, s->model.vocab, false, desc, err);
    if (s->model.vocab_err) return smelt_fail(err, s->model.vocab_err->code, "%s", s->model.vocab_err->text);
    return smelt_fail(err, SMELT_E_UNSUPPORTED, "there is no tokenizer that smelt knows in it");
}

smelt_status tok_source_open(const char *path, tok_source *s, smelt_err *err)
{
    *s = (tok_source){0};
    model_init(&s->model);
    smelt_ctx ctx;
    bool found = false;
    smelt_tok_desc *desc = &s->files.desc;
    smelt_status st = ctx_init(&ctx, err);
    if (st == SMELT_OK) st = hf_tokenizer_read(&ctx, path, &s->files, &found, err);
    if (st == SMELT_OK && !found && path_is_dir(path))
        st = smelt_fail(err, SMELT_E_UNSUPPORTED,
                        "there is no tokenizer in it: none of tokenizer.json, tokenizer.model, qwen.tiktoken, vocab.json");
    if (st == SMELT_OK && !found) {
        desc = &s->from_model;
        st = open_model(&ctx, path, s, desc, err);
    }
    s->desc = desc;
    if (st == SMELT_OK) st = tok_new(desc, &s->tok, err);
    if (st == SMELT_OK) st = tok_state_new(s->tok, &s->state, err);
    if (st != SMELT_OK && err && !err->where[0]) smelt_err_where(err, "%s", path);
    return st;
}

void tok_source_close(tok_source *s)
{
    tok_state_free(s->state);
    tok_free(s->tok);
    hf_tokenizer_free(&s->files);
    model_free(&s->model);
    arena_free(&s->arena);
}
