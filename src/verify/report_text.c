/* For people: what is wrong first, then what was measured, short. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/internal.h"

enum { MOST_DIFFERENCES = 20, MOST_TENSORS = 8, MOST_CHECKS = 20 };

static const char *bytes_text(uint64_t n, char *buf, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 999.95 && u < 5)
        v /= 1000, u++;
    snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

static void put_identity(smelt_buf *out, const char *side, const verify_identity *id)
{
    char size[32];
    if (!id->format) return;
    buf_printf(out, "%-10s %s: %s", side, id->path ? id->path : "-", id->format);
    if (id->family) buf_printf(out, ", %s", id->family);
    if (id->params) buf_printf(out, ", %s, %.2f bits a weight", bytes_text(id->bytes, size, sizeof size), id->bpw);
    for (size_t i = 0; i < id->n_types && i < 3; i++)
        buf_printf(out, "%s%s", i ? ", " : " (", smelt_dtype_get(id->types[i].dtype)->name);
    buf_printf(out, "%s\n", id->n_types > 3 ? ", …)" : id->n_types ? ")" : "");
}

/* "12.3 dB", "infinite" */
static const char *number_text(double v, char *buf, size_t size)
{
    if (isinf(v))
        snprintf(buf, size, v > 0 ? "infinite" : "-infinite");
    else
        snprintf(buf, size, "%.5g", v);
    return buf;
}

static void put_check(smelt_buf *out, const verify_check *c)
{
    static const char *const verdicts[] = {
        [VERDICT_PASSED] = "passed", [VERDICT_UNDECIDED] = "undecided", [VERDICT_BREACHED] = "BREACHED"};
    const verify_metric_row *row = verify_metric_get(c->metric);
    char value[32];
    buf_printf(out, "  %-9s --%s %g: %s", verdicts[c->verdict], row->name, c->limit,
               number_text(c->value.value, value, sizeof value));
    if (c->value.error > 0) buf_printf(out, " +- %.2g", c->value.error);
    if (c->tensor) buf_printf(out, " in %s", c->tensor);
    buf_printf(out, " (%s)\n", c->from);
}

static void put_checks(smelt_buf *out, const verify_result *r)
{
    buf_printf(out, "\nthresholds: %s\n", r->policy ? r->policy : "none");
    for (size_t i = 0; i < r->n_checks && i < MOST_CHECKS; i++)
        put_check(out, &r->checks[i]);
    if (r->n_checks > MOST_CHECKS) buf_printf(out, "  and %zu more\n", r->n_checks - MOST_CHECKS);
}

static void put_difference(smelt_buf *out, const verify_difference *d)
{
    buf_printf(out, "  %s%s %s: ", d->note ? "note: " : "", verify_area_name(d->area), d->name);
    if (d->found && d->expected)
        buf_printf(out, "%s instead of %s\n", d->found, d->expected);
    else if (d->found)
        buf_printf(out, "%s, not in the original\n", d->found);
    else
        buf_printf(out, "missing%s%s\n", d->expected ? ", the original has " : "", d->expected ? d->expected : "");
}

static void put_structure(smelt_buf *out, const verify_structure *s)
{
    if (!s->done) return;
    buf_printf(out, "\nstructure: %s", s->differences ? "" : "no differences\n");
    if (s->differences) buf_printf(out, "%zu difference%s\n", s->differences, s->differences == 1 ? "" : "s");
    for (size_t i = 0; i < s->n && i < MOST_DIFFERENCES; i++)
        put_difference(out, &s->list[i]);
    if (s->n > MOST_DIFFERENCES) buf_printf(out, "  and %zu more (--json has all)\n", s->n - MOST_DIFFERENCES);
}

static double percent(uint64_t part, uint64_t all) { return all ? 100.0 * (double)part / (double)all : 0; }

static void put_weights(smelt_buf *out, const verify_weights *w)
{
    char value[32];
    if (!w->done) return;
    buf_printf(out, "\nweights: %zu tensors%s, %zu without any error, signal to noise %s dB over all\n", w->n,
               w->sampled ? " (sampled)" : "", w->equal, number_text(w->snr, value, sizeof value));
    if (w->equal == w->n) return;
    size_t width = 6;
    for (size_t i = 0; i < w->n && i < MOST_TENSORS; i++)
        width = strlen(w->list[i].name) > width && strlen(w->list[i].name) < 60 ? strlen(w->list[i].name) : width;
    buf_printf(out, "  %-*s %-8s %8s %8s %9s %10s %10s %9s %7s\n", (int)width, "worst", "type", "SNR dB", "block dB", "cosine",
               "RMSE", "max error", "saturated", "zeroed");
    for (size_t i = 0; i < w->n && i < MOST_TENSORS && !w->list[i].equal; i++) {
        const verify_tensor *t = &w->list[i];
        buf_printf(out, "  %-*s %-8s %8.2f %8.2f %9.6f %10.3g %10.3g %8.3g%% %6.3g%%\n", (int)width, t->name,
                   smelt_dtype_get(t->type)->name, t->snr, t->block_snr, t->cosine, t->rmse, t->max_error,
                   percent(t->saturated, t->blocks), percent(t->zeroed, t->blocks));
        if (t->nonfinite)
            buf_printf(out, "  %-*s %" PRIu64 " values are NaN or infinite, the first is element %" PRIu64 "\n", (int)width, "",
                       t->nonfinite, t->nonfinite_at);
    }
}

static void put_logits(smelt_buf *out, const verify_logits *l)
{
    if (!l->done) return;
    buf_printf(out, "\nlogits: %zu chunks of %zu tokens, %zu scored (%s)\n", l->chunks, l->context, l->scored, l->text);
    buf_printf(out, "  KL divergence    %.6f +- %.6f mean, %.6f median, %.6f 99 %%, %.6f 99.9 %%, %.6f largest\n", l->kl.value,
               l->kl.error, l->kl_median.value, l->kl_p99.value, l->kl_p999.value, l->kl_max.value);
    if (l->bounded) buf_printf(out, "                   at least; the mean is at most %.6f\n", l->kl_above);
    buf_printf(out, "  same top token   %.3f +- %.3f %%; %.3f %% of the top five\n", 100 * l->top1.value, 100 * l->top1.error,
               100 * l->top5.value);
    buf_printf(out, "  change of p      %.3f +- %.3f %% (root mean square)\n", 100 * l->dp_rms.value, 100 * l->dp_rms.error);
    buf_printf(out, "  perplexity       %.4f, the original's %.4f, ratio %.5f +- %.5f\n", l->ppl.value, l->original_ppl.value,
               l->ppl_ratio.value, l->ppl_ratio.error);
}

static void put_greedy(smelt_buf *out, const verify_greedy *g)
{
    if (!g->done) return;
    buf_printf(out, "  greedy           ");
    if (g->token < 0)
        buf_printf(out, "the same %zu tokens behind each of %zu prompts\n", g->steps, g->prompts);
    else
        buf_printf(out, "departs after %.1f tokens (mean of %zu prompts, %zu at most), first after %zu: %s instead of %s\n",
                   g->agreed.value, g->prompts, g->steps, g->least, g->token_text ? g->token_text : "another token",
                   g->original_token_text ? g->original_token_text : "the original's");
}

static void put_nonfinite(smelt_buf *out, const verify_nonfinite *n)
{
    if (!n->found) return;
    buf_printf(out, "\nthe %s's logits behind token %zu of chunk %zu are not finite: ", n->in_original ? "original" : "candidate",
               n->token, n->chunk);
    buf_printf(out, "it begins with %s in %s", isnan(n->value) ? "NaN" : "an infinity", n->what ? n->what : "the logits");
    if (n->layer >= 0) buf_printf(out, " of layer %d", n->layer);
    if (n->tensor) buf_printf(out, ", where the tensor %s has such values", n->tensor);
    buf_printf(out, "\n");
}

smelt_status report_text(const verify_result *r, smelt_buf *out, smelt_err *err)
{
    put_identity(out, r->policy ? "candidate" : "second", &r->candidate);
    put_identity(out, r->policy ? "original" : "first", &r->original);
    put_nonfinite(out, &r->nonfinite);
    put_structure(out, &r->structure);
    put_weights(out, &r->weights);
    put_logits(out, &r->logits);
    put_greedy(out, &r->greedy);
    if (r->policy) put_checks(out, r);
    if (r->policy) buf_printf(out, "\n%s\n", r->passed ? "PASSED" : "FAILED");
    return out->failed ? smelt_oom(err) : SMELT_OK;
}
