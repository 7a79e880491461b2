/* For programs: everything that is known. Numbers that do not exist or are infinite are null. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "verify/internal.h"

static json_t *real(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static json_t *whole(uint64_t v) { return json_integer((json_int_t)v); }
static json_t *text(const char *s) { return s ? smelt_json_string(s, strlen(s)) : json_null(); }

static json_t *value(const verify_value *v)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "value", real(v->value), "error", real(v->error), "low", real(v->low), "high",
                     real(v->high));
}

static json_t *identity(const verify_identity *id)
{
    json_t *types = json_array();
    for (size_t i = 0; i < id->n_types; i++)
        json_array_append_new(types, json_pack("{s:s, s:o, s:o, s:o}", "type", smelt_dtype_get(id->types[i].dtype)->name, "tensors",
                                               whole(id->types[i].tensors), "params", whole(id->types[i].params), "bytes",
                                               whole(id->types[i].bytes)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path", text(id->path), "format", text(id->format), "variant",
                     text(id->variant), "family", text(id->family), "params", whole(id->params), "bytes", whole(id->bytes),
                     "bits_per_weight", real(id->bpw), "types", types, "hash", text(id->hash));
}

static json_t *structure(const verify_structure *s)
{
    json_t *differences = json_array(), *notes = json_array();
    for (size_t i = 0; i < s->n; i++) {
        const verify_difference *d = &s->list[i];
        json_array_append_new(d->note ? notes : differences,
                              json_pack("{s:s, s:o, s:o, s:o}", "area", verify_area_name(d->area), "name", text(d->name), "found",
                                        text(d->found), "expected", text(d->expected)));
    }
    return json_pack("{s:o, s:o, s:o}", "count", whole(s->differences), "differences", differences, "notes", notes);
}

static json_t *tensor(const verify_tensor *t)
{
    json_t *shape = json_array();
    for (int d = 0; d < t->shape.n; d++)
        json_array_append_new(shape, whole(t->shape.dim[d]));
    json_t *o = json_pack("{s:o, s:s, s:s, s:o, s:b}", "name", text(t->name), "type", smelt_dtype_get(t->type)->name,
                          "original_type", smelt_dtype_get(t->original_type)->name, "shape", shape, "equal", t->equal);
    const struct {
        const char *name;
        json_t *v;
    } list[] = {{"compared", whole(t->compared)},
                {"rmse", real(t->rmse)},
                {"original_rms", real(t->original_rms)},
                {"snr", real(t->snr)},
                {"cosine", real(t->cosine)},
                {"max_error", real(t->max_error)},
                {"max_error_at", whole(t->max_error_at)},
                {"block_snr", real(t->block_snr)},
                {"block_snr_at", whole(t->block_snr_at)},
                {"blocks", whole(t->blocks)},
                {"saturated", whole(t->saturated)},
                {"zeroed", whole(t->zeroed)},
                {"nonfinite", whole(t->nonfinite)},
                {"original_nonfinite", whole(t->original_nonfinite)}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        json_object_set_new(o, list[i].name, list[i].v);
    return o;
}

static json_t *weights(const verify_weights *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(list, tensor(&w->list[i]));
    return json_pack("{s:b, s:o, s:o, s:o}", "sampled", w->sampled, "equal", whole(w->equal), "snr", real(w->snr), "tensors", list);
}

static json_t *position(const verify_position *p)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:i, s:i, s:i}", "chunk", whole(p->chunk), "token", whole(p->token), "kl", real(p->kl),
                          "target", (int)p->target, "top", (int)p->top, "original_top", (int)p->original_top);
    const struct {
        const char *name;
        json_t *v;
    } list[] = {{"p", real(p->p)},
                {"original_p", real(p->original_p)},
                {"text", text(p->text)},
                {"target_text", text(p->target_text)},
                {"top_text", text(p->top_text)},
                {"original_top_text", text(p->original_top_text)}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        json_object_set_new(o, list[i].name, list[i].v);
    return o;
}

static json_t *logits(const verify_logits *l)
{
    json_t *bins = json_array(), *chunks = json_array(), *positions = json_array(), *worst = json_array(), *o = json_object();
    for (size_t i = 0; i < VERIFY_BINS; i++)
        json_array_append_new(bins, whole(l->bins[i]));
    for (size_t i = 0; i < l->n_chunks; i++)
        json_array_append_new(chunks, json_pack("{s:o, s:o, s:o, s:o, s:o}", "scored", whole(l->chunk[i].scored), "kl",
                                                real(l->chunk[i].kl), "top1", real(l->chunk[i].top1), "perplexity",
                                                real(l->chunk[i].ppl), "original_perplexity", real(l->chunk[i].original_ppl)));
    for (size_t i = 0; i < l->n_by_position; i++)
        json_array_append_new(positions, real(l->by_position[i]));
    for (size_t i = 0; i < l->n_worst; i++)
        json_array_append_new(worst, position(&l->worst[i]));
    const struct {
        const char *name;
        json_t *v;
    } list[] = {{"text", text(l->text)},
                {"context", whole(l->context)},
                {"chunks", whole(l->chunks)},
                {"scored", whole(l->scored)},
                {"vocabulary", whole(l->vocab)},
                {"bounded", json_boolean(l->bounded)},
                {"kl", value(&l->kl)},
                {"kl_above", real(l->kl_above)},
                {"kl_median", value(&l->kl_median)},
                {"kl_p99", value(&l->kl_p99)},
                {"kl_p99.9", value(&l->kl_p999)},
                {"kl_max", value(&l->kl_max)},
                {"top1", value(&l->top1)},
                {"top5", value(&l->top5)},
                {"dp_rms", value(&l->dp_rms)},
                {"perplexity", value(&l->ppl)},
                {"original_perplexity", value(&l->original_ppl)},
                {"perplexity_ratio", value(&l->ppl_ratio)},
                {"histogram", bins},
                {"by_chunk", chunks},
                {"first_position", whole(l->first_position)},
                {"by_position", positions},
                {"worst", worst}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        json_object_set_new(o, list[i].name, list[i].v);
    return o;
}

static json_t *greedy(const verify_greedy *g)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "prompts", whole(g->prompts), "steps", whole(g->steps), "agreed",
                          value(&g->agreed), "departs_after", g->token < 0 ? json_null() : whole(g->least));
    json_object_set_new(o, "text", text(g->text));
    json_object_set_new(o, "token", g->token < 0 ? json_null() : json_integer(g->token));
    json_object_set_new(o, "token_text", text(g->token_text));
    json_object_set_new(o, "original_token", g->token < 0 ? json_null() : json_integer(g->original_token));
    json_object_set_new(o, "original_token_text", text(g->original_token_text));
    return o;
}

static json_t *nonfinite(const verify_nonfinite *n)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "side", n->in_original ? "original" : "candidate", "chunk",
                     whole(n->chunk), "token", whole(n->token), "layer", n->layer < 0 ? json_null() : json_integer(n->layer),
                     "operator", text(n->what), "tensor", text(n->tensor), "value",
                     isnan(n->value) ? "NaN"
                     : n->value > 0  ? "infinity"
                                     : "-infinity");
}

static json_t *checks(const verify_result *r)
{
    static const char *const verdicts[] = {
        [VERDICT_PASSED] = "passed", [VERDICT_UNDECIDED] = "undecided", [VERDICT_BREACHED] = "breached"};
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_checks; i++) {
        const verify_check *c = &r->checks[i];
        json_t *o = value(&c->value);
        json_object_set_new(o, "threshold", text(verify_metric_get(c->metric)->name));
        json_object_set_new(o, "limit", real(c->limit));
        json_object_set_new(o, "tensor", text(c->tensor));
        json_object_set_new(o, "from", text(c->from));
        json_object_set_new(o, "verdict", text(verdicts[c->verdict]));
        json_array_append_new(list, o);
    }
    return list;
}

smelt_status report_json(const verify_result *r, smelt_buf *out, smelt_err *err)
{
    json_t *warnings = json_array(), *root = json_object();
    for (size_t i = 0; i < r->n_warnings; i++)
        json_array_append_new(warnings, text(r->warnings[i]));
    json_object_set_new(root, "smelt", text(SMELT_VERSION));
    if (r->policy) json_object_set_new(root, "passed", json_boolean(r->passed));
    json_object_set_new(root, "candidate", identity(&r->candidate));
    json_object_set_new(root, "original", r->original.format ? identity(&r->original) : json_null());
    if (r->policy) json_object_set_new(root, "policy", text(r->policy));
    if (r->policy) json_object_set_new(root, "checks", checks(r));
    json_object_set_new(root, "warnings", warnings);
    json_object_set_new(root, "quick", json_boolean(r->quick));
    json_object_set_new(root, "fast", json_boolean(r->fast));
    json_object_set_new(root, "nonfinite", r->nonfinite.found ? nonfinite(&r->nonfinite) : json_null());
    json_object_set_new(root, "structure", r->structure.done ? structure(&r->structure) : json_null());
    json_object_set_new(root, "weights", r->weights.done ? weights(&r->weights) : json_null());
    json_object_set_new(root, "logits", r->logits.done ? logits(&r->logits) : json_null());
    json_object_set_new(root, "greedy", r->greedy.done ? greedy(&r->greedy) : json_null());
    char *dump = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (!dump) return smelt_oom(err);
    buf_put(out, dump, strlen(dump));
    buf_u8(out, '\n');
    smelt_json_free(dump);
    return out->failed ? smelt_oom(err) : SMELT_OK;
}
