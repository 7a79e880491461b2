/* One page for a browser: html/report.html with its places filled. It asks for nothing outside of itself, and says everything without
 * its script, which sorts and filters. */
#include "verify/report_html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/dtype.h"

static void put(smelt_buf *out, const char *text) { buf_put(out, text, strlen(text)); }

/* Code points that do not show, or change how others show. */
static bool unseen(uint32_t c)
{
    static const uint32_t range[][2] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},      {0x61C, 0x61C},   {0x200B, 0x200F},
                                        {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFE00, 0xFE0F},  {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB},
                                        {0xFFFE, 0xFFFF}, {0xE000, 0xF8FF}, {0xE0000, 0xE0FFF}};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (c >= range[i][0] && c <= range[i][1]) return true;
    return false;
}

static void put_code_point(smelt_buf *out, uint32_t c, const char *bytes, size_t n)
{
    static const struct {
        uint32_t c;
        const char *text;
    } special[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}, {'\n', "\\n"}, {'\t', "\\t"}};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (special[i].c == c) {
            put(out, special[i].text);
            return;
        }
    if (unseen(c))
        buf_printf(out, "\\u{%x}", c);
    else
        buf_put(out, bytes, n);
}

void html_text(smelt_buf *out, const char *text)
{
    for (const char *p = text; *p;) {
        const uint8_t b = (uint8_t)*p;
        const size_t n = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
        if (strnlen(p, n) < n || !utf8_valid(p, n)) {
            buf_printf(out, "\\x%02x", b);
            p++;
            continue;
        }
        uint32_t c = n == 1 ? b : b & (0x7FU >> n);
        for (size_t i = 1; i < n; i++)
            c = c << 6 | ((uint8_t)p[i] & 0x3F);
        put_code_point(out, c, p, n);
        p += n;
    }
}

void html_number(smelt_buf *out, double value, int digits)
{
    if (isnan(value))
        put(out, "–");
    else if (isinf(value))
        put(out, value > 0 ? "∞" : "−∞");
    else
        buf_printf(out, "%.*g", digits, value);
}

void html_count(smelt_buf *out, uint64_t n)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) buf_u8(out, ',');
        buf_u8(out, (uint8_t)text[i]);
    }
}

static void put_bytes(smelt_buf *out, uint64_t n)
{
    static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)n;
    size_t u = 0;
    for (; value >= 999.5 && u + 1 < sizeof unit / sizeof *unit; u++)
        value /= 1000;
    buf_printf(out, "%.3g %s", value, unit[u]);
}

/* A value in the unit of its metric. */
static void put_measure(smelt_buf *out, const verify_metric_row *m, double value)
{
    static const struct {
        const char *unit, *shown;
        double factor;
    } units[] = {{"NATS", " nats", 1}, {"SHARE", " %", 100}, {"DB", " dB", 1}, {"TOKENS", " tokens", 1}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(m->unit, units[i].unit) == 0) {
            html_number(out, value * units[i].factor, 4);
            if (!isnan(value)) put(out, units[i].shown);
            return;
        }
    html_number(out, value, 6);
}

static void put_title(const verify_result *r, smelt_buf *out)
{
    put(out, r->passed ? "Passed: " : "Failed: ");
    html_text(out, r->candidate.path ? r->candidate.path : r->candidate.format);
    put(out, " – smelt verify");
}

static void put_figure(smelt_buf *out, const char *name, const char *value, const char *small)
{
    buf_printf(out, "<div><dt>%s</dt><dd>%s", name, value);
    if (small && *small) buf_printf(out, "<small>%s</small>", small);
    put(out, "</dd></div>\n");
}

/* A line of the summary: a number, and its standard error or what it is compared with. */
static void put_value(smelt_buf *out, const char *name, const verify_value *v, double factor, const char *unit, int digits)
{
    smelt_buf value = {0}, small = {0};
    html_number(&value, v->value * factor, digits);
    if (!isnan(v->value)) put(&value, unit);
    if (v->error > 0) buf_printf(&small, "± %.2g%s", v->error * factor, unit);
    buf_u8(&value, 0);
    buf_u8(&small, 0);
    out->failed = out->failed || value.failed || small.failed;
    if (!out->failed) put_figure(out, name, (const char *)value.data, (const char *)small.data);
    buf_free(&value);
    buf_free(&small);
}

static void put_numbers(const verify_result *r, smelt_buf *out)
{
    char text[128], small[128];
    put(out, "<dl class=\"numbers\">\n");
    if (r->logits.done) {
        put_value(out, "Mean KL divergence", &r->logits.kl, 1, " nats", 3);
        put_value(out, "Same most likely token", &r->logits.top1, 100, " %", 4);
        put_value(out, "Perplexity ratio", &r->logits.ppl_ratio, 1, "", 5);
    }
    if (r->weights.done) {
        const verify_value snr = {.value = r->weights.snr};
        if (isinf(snr.value))
            put_figure(out, "Weights", "equal", NULL);
        else
            put_value(out, "Weights, signal to noise", &snr, 1, " dB", 3);
    }
    if (r->structure.done) {
        snprintf(text, sizeof text, "%zu", r->structure.differences);
        put_figure(out, "Differences of structure", text, NULL);
    }
    if (r->candidate.bytes && r->original.bytes) {
        snprintf(text, sizeof text, "%.3g %%", 100 * (double)r->candidate.bytes / (double)r->original.bytes);
        snprintf(small, sizeof small, "%.3g of %.3g bits a weight", r->candidate.bpw, r->original.bpw);
        put_figure(out, "Size of the original", text, small);
    }
    put(out, "</dl>\n");
}

static void put_nonfinite(const verify_result *r, smelt_buf *out)
{
    const verify_nonfinite *n = &r->nonfinite;
    if (!n->found) return;
    buf_printf(out, "<p><span class=\"tag fail\">Not finite</span> The %s’s logits are not finite behind token %zu of chunk %zu",
               n->in_original ? "original" : "candidate", n->token, n->chunk);
    if (n->what) {
        put(out, "; it begins with the result of <strong>");
        html_text(out, n->what);
        put(out, "</strong>");
        if (n->layer >= 0) buf_printf(out, " in layer %d", n->layer);
    }
    if (n->tensor) {
        put(out, ", from <code>");
        html_text(out, n->tensor);
        put(out, "</code>");
    }
    put(out, ".</p>\n");
}

static void put_verdict(const verify_result *r, smelt_buf *out)
{
    buf_printf(out,
               "<header class=\"verdict %s\">\n<h1>smelt verify <span class=\"tag %s\">%s</span></h1>\n<p class=\"break\"><code>",
               r->passed ? "pass" : "fail", r->passed ? "pass" : "fail", r->passed ? "✓ Passed" : "✗ Failed");
    html_text(out, r->candidate.path ? r->candidate.path : r->candidate.format);
    put(out, "</code> compared with <code>");
    html_text(out, r->original.path ? r->original.path : r->original.format);
    put(out, "</code></p>\n<p>");
    if (r->breached)
        buf_printf(out, "%zu limit%s breached, %zu of %zu hold", r->breached, r->breached == 1 ? " is" : "s are",
                   r->n_checks - r->breached - r->undecided, r->n_checks);
    else
        buf_printf(out, "%s, %zu in all", r->undecided ? "No limit is breached" : "All limits hold", r->n_checks);
    if (r->undecided) buf_printf(out, "; %zu cannot be decided with so little text", r->undecided);
    if (r->policy) {
        put(out, ". Policy: ");
        html_text(out, r->policy);
    }
    put(out, ".</p>\n");
    put_nonfinite(r, out);
    for (size_t i = 0; i < r->n_warnings; i++) {
        put(out, "<p class=\"break\"><span class=\"tag warn\">Note</span> ");
        html_text(out, r->warnings[i]);
        put(out, "</p>\n");
    }
    put_numbers(r, out);
    put(out, "</header>");
}

static void put_check(smelt_buf *out, const verify_check *c)
{
    static const struct {
        const char *row, *tag, *text;
    } verdicts[] = {[VERDICT_PASSED] = {"", "pass", "✓ Holds"},
                    [VERDICT_UNDECIDED] = {"", "warn", "? Undecided"},
                    [VERDICT_BREACHED] = {" class=\"breach\"", "fail", "✗ Breached"}};
    const verify_metric_row *m = verify_metric_get(c->metric);
    buf_printf(out, "<tr%s><td><span class=\"tag %s\">%s</span></td><td><code>%s</code><br><span class=\"soft\">%s</span>",
               verdicts[c->verdict].row, verdicts[c->verdict].tag, verdicts[c->verdict].text, m->name, m->meaning);
    if (c->tensor) {
        put(out, "<br><code>");
        html_text(out, c->tensor);
        put(out, "</code>");
    }
    put(out, "</td><td class=\"number\" data-l=\"Value\">");
    put_measure(out, m, c->value.value);
    if (c->value.low < c->value.high) {
        put(out, "<br><span class=\"soft\">");
        put_measure(out, m, c->value.low);
        put(out, " to ");
        put_measure(out, m, c->value.high);
        put(out, "</span>");
    }
    buf_printf(out, "</td><td class=\"number\" data-l=\"Limit\">%s ", m->max ? "≤" : "≥");
    put_measure(out, m, c->limit);
    put(out, "</td><td class=\"break\" data-l=\"From\">");
    html_text(out, c->from);
    put(out, "</td></tr>\n");
}

static void put_checks(const verify_result *r, smelt_buf *out)
{
    if (!r->n_checks) return;
    put(out,
        "<section aria-labelledby=\"limits-h\">\n<h2 id=\"limits-h\">Limits</h2>\n"
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"limits-h\">\n<table id=\"limits\">\n<thead><tr>"
        "<th scope=\"col\">Verdict</th><th scope=\"col\">What</th><th scope=\"col\" class=\"number\">Value</th>"
        "<th scope=\"col\" class=\"number\">Limit</th><th scope=\"col\">From</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->n_checks; i++)
        put_check(out, &r->checks[i]);
    put(out,
        "</tbody>\n</table>\n</div>\n<p class=\"soft\">Below a value: the bounds within which it lies with 95 % confidence for "
        "text of this kind.</p>\n</section>");
}

static void put_pair(smelt_buf *out, const char *name, const char *text)
{
    buf_printf(out, "<dt>%s</dt><dd>", name);
    html_text(out, text);
    put(out, "</dd>\n");
}

static void put_identity(smelt_buf *out, const char *what, const verify_identity *f)
{
    buf_printf(out, "<div>\n<h3>%s</h3>\n<dl>\n", what);
    put_pair(out, "File", f->path ? f->path : "none");
    put(out, "<dt>Format</dt><dd>");
    html_text(out, f->format ? f->format : "–");
    if (f->variant) {
        put(out, " ");
        html_text(out, f->variant);
    }
    put(out, "</dd>\n");
    if (f->family) put_pair(out, "Family", f->family);
    if (f->params) {
        put(out, "<dt>Parameters</dt><dd>");
        html_count(out, f->params);
        put(out, "</dd>\n<dt>Weights</dt><dd>");
        put_bytes(out, f->bytes);
        put(out, " <span class=\"soft\">(");
        html_count(out, f->bytes);
        buf_printf(out, " bytes, %.4g bits a weight)</span></dd>\n", f->bpw);
    }
    if (f->n_types) {
        put(out, "<dt>Types</dt><dd>");
        for (size_t i = 0; i < f->n_types; i++) {
            const verify_type *t = &f->types[i];
            buf_printf(out, "%s<code>%s</code> <span class=\"soft\">%llu tensor%s, ", i ? "<br>" : "",
                       smelt_dtype_get(t->dtype)->name, (unsigned long long)t->tensors, t->tensors == 1 ? "" : "s");
            put_bytes(out, t->bytes);
            put(out, "</span>");
        }
        put(out, "</dd>\n");
    }
    if (f->hash) {
        put(out, "<dt><abbr title=\"of the content, whatever the container\">XXH3-128</abbr></dt><dd class=\"hash\">");
        html_text(out, f->hash);
        put(out, "</dd>\n");
    }
    put(out, "</dl>\n</div>\n");
}

static void put_files(const verify_result *r, smelt_buf *out)
{
    put(out, "<section aria-labelledby=\"files-h\">\n<h2 id=\"files-h\">Files</h2>\n<div class=\"files\">\n");
    put_identity(out, "Candidate", &r->candidate);
    put_identity(out, "Original", &r->original);
    put(out, "</div>\n</section>");
}

static void put_row_value(smelt_buf *out, const char *name, const verify_value *v, double factor, const char *unit)
{
    buf_printf(out, "<tr><th scope=\"row\">%s</th><td class=\"number\">", name);
    html_number(out, v->value * factor, 4);
    if (!isnan(v->value)) put(out, unit);
    put(out, "</td><td class=\"number soft\">");
    if (v->error > 0) buf_printf(out, "± %.2g%s", v->error * factor, unit);
    put(out, "</td></tr>\n");
}

static void put_token(smelt_buf *out, const char *text, int32_t id)
{
    if (text) {
        put(out, "<code>");
        html_text(out, text);
        put(out, "</code>");
    } else
        buf_printf(out, "<span class=\"soft\">id</span> %d", (int)id);
}

static void put_worst(smelt_buf *out, const verify_logits *l)
{
    if (!l->n_worst) return;
    put(out,
        "<h3 id=\"worst-h\">Where they disagree most</h3>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
        "aria-labelledby=\"worst-h\">\n<table>\n<thead><tr><th scope=\"col\" class=\"number\">KL, nats</th><th scope=\"col\">Behind</th>"
        "<th scope=\"col\">Right token</th><th scope=\"col\">Original says</th><th scope=\"col\">Candidate says</th></tr></thead>\n"
        "<tbody>\n");
    for (size_t i = 0; i < l->n_worst; i++) {
        const verify_position *p = &l->worst[i];
        put(out, "<tr><td class=\"number\">");
        html_number(out, p->kl, 3);
        put(out, "</td><td class=\"words\">");
        if (p->text) {
            put(out, "…");
            html_text(out, p->text);
            put(out, "<br>");
        }
        buf_printf(out, "<span class=\"soft\">token %zu of chunk %zu</span></td><td>", p->token, p->chunk);
        put_token(out, p->target_text, p->target);
        buf_printf(out, "<br><span class=\"soft\">%.3g %%, was %.3g %%</span></td><td>", 100 * p->p, 100 * p->original_p);
        put_token(out, p->original_top_text, p->original_top);
        put(out, "</td><td>");
        put_token(out, p->top_text, p->top);
        put(out, "</td></tr>\n");
    }
    put(out, "</tbody>\n</table>\n</div>\n");
}

static void put_greedy(smelt_buf *out, const verify_greedy *g)
{
    if (!g->done) return;
    put(out, "<h3>Going on with a text</h3>\n<p class=\"break\">");
    if (g->token < 0)
        buf_printf(out, "From %zu text%s both generate the same %zu tokens.", g->prompts, g->prompts == 1 ? "" : "s", g->steps);
    else {
        buf_printf(out, "From %zu text%s, at most %zu tokens each, both generate the same ", g->prompts, g->prompts == 1 ? "" : "s",
                   g->steps);
        html_number(out, g->agreed.value, 3);
        buf_printf(out, " tokens on average. The first to depart does so after %zu", g->least);
        if (g->text) {
            put(out, ", behind <q>");
            html_text(out, g->text);
            put(out, "</q>");
        }
        put(out, ": the original says ");
        put_token(out, g->original_token_text, g->original_token);
        put(out, ", the candidate ");
        put_token(out, g->token_text, g->token);
        put(out, ".");
    }
    put(out, "</p>\n");
}

static void put_predictions(const verify_result *r, smelt_buf *out)
{
    const verify_logits *l = &r->logits;
    if (!l->done) return;
    put(out, "<section aria-labelledby=\"predictions-h\">\n<h2 id=\"predictions-h\">Predictions</h2>\n<p>");
    html_count(out, l->scored);
    buf_printf(out, " tokens scored, in %zu chunk%s of %zu", l->chunks, l->chunks == 1 ? "" : "s", l->context);
    if (l->text) {
        put(out, ", of ");
        html_text(out, l->text);
    }
    put(out, ".");
    if (l->bounded)
        buf_printf(out, " The original’s logits are records of its most likely tokens: the mean KL divergence is at most %.3g.",
                   l->kl_above);
    put(out, "</p>\n");
    put(out, "<div class=\"figures\">\n");
    svg_histogram(out, l);
    svg_positions(out, l);
    put(out, "</div>\n");
    put(out,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Figures of the predictions\">\n<table class=\"narrow\">\n<thead><tr>"
        "<th scope=\"col\">Of the predictions</th><th scope=\"col\" class=\"number\">Value</th>"
        "<th scope=\"col\" class=\"number\">Standard error</th></tr></thead>\n<tbody>\n");
    const struct {
        const char *name;
        const verify_value *value;
        double factor;
        const char *unit;
    } rows[] = {{"KL divergence, mean", &l->kl, 1, " nats"},
                {"median", &l->kl_median, 1, " nats"},
                {"99 %", &l->kl_p99, 1, " nats"},
                {"99.9 %", &l->kl_p999, 1, " nats"},
                {"largest", &l->kl_max, 1, " nats"},
                {"Same most likely token", &l->top1, 100, " %"},
                {"Five most likely, in common", &l->top5, 100, " %"},
                {"Change of the right token’s probability, RMS", &l->dp_rms, 100, " %"},
                {"Perplexity", &l->ppl, 1, ""},
                {"Perplexity of the original", &l->original_ppl, 1, ""},
                {"Ratio", &l->ppl_ratio, 1, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_row_value(out, rows[i].name, rows[i].value, rows[i].factor, rows[i].unit);
    put(out, "</tbody>\n</table>\n</div>\n");
    put_greedy(out, &r->greedy);
    put_worst(out, l);
    put(out, "</section>");
}

/* `digits` are significant ones, or, negative, decimals. */
static void put_cell(smelt_buf *out, double value, int digits)
{
    put(out, "<td class=\"number\" data-v=\"");
    if (isinf(value))
        put(out, value > 0 ? "Infinity" : "-Infinity");
    else if (!isnan(value))
        buf_printf(out, "%.9g", value);
    put(out, "\">");
    if (digits < 0 && isfinite(value))
        buf_printf(out, "%.*f", -digits, value);
    else
        html_number(out, value, digits);
    put(out, "</td>");
}

static void put_share(smelt_buf *out, uint64_t part, uint64_t all)
{
    const double share = all ? (double)part / (double)all : 0;
    buf_printf(out, "<td class=\"number\" data-v=\"%.9g\">", share);
    if (part)
        buf_printf(out, "%.3g %%", 100 * share);
    else
        put(out, "0");
    put(out, "</td>");
}

static void put_tensor(smelt_buf *out, const verify_tensor *t, bool breached)
{
    const char *type = smelt_dtype_get(t->type)->name, *was = smelt_dtype_get(t->original_type)->name;
    buf_printf(out, "<tr%s><td class=\"name\">", breached ? " class=\"breach\"" : "");
    html_text(out, t->name);
    if (breached) put(out, " <span class=\"tag fail\">✗</span>");
    put(out, "</td>");
    put_cell(out, t->layer < 0 ? (double)NAN : (double)t->layer, 9);
    buf_printf(out, "<td class=\"type\" data-v=\"%s\">%s%s%s</td><td class=\"type\">", type, t->type == t->original_type ? "" : was,
               t->type == t->original_type ? "" : " → ", type);
    for (int i = 0; i < t->shape.n; i++)
        buf_printf(out, "%s%llu", i ? " × " : "", (unsigned long long)t->shape.dim[i]);
    put(out, "</td>");
    put_cell(out, t->snr, -2);
    put_cell(out, t->block_snr, -2);
    put_cell(out, t->rmse, 3);
    put_cell(out, t->cosine, -6);
    put_cell(out, t->max_error, 3);
    put_share(out, t->saturated, t->blocks);
    put_share(out, t->zeroed, t->blocks);
    put_cell(out, (double)t->nonfinite, 9);
    put(out, "</tr>\n");
}

static void put_table(smelt_buf *out, const verify_weights *w, const smelt_strmap *breached)
{
    static const struct {
        const char *name, *meaning;
        bool number, down;
    } heads[] = {{"Tensor", "name", false, false},
                 {"Layer", "layer", true, false},
                 {"Type", "type in the original and in the candidate", false, false},
                 {"Shape", "shape, outermost dimension first", false, false},
                 {"SNR, dB", "signal to noise", true, false},
                 {"Worst block", "signal to noise of the worst block, dB", true, false},
                 {"RMSE", "root mean square error", true, true},
                 {"Cosine", "cosine with the original", true, false},
                 {"Max error", "largest error", true, true},
                 {"Saturated", "blocks whose range is too small for their values", true, true},
                 {"Zeroed", "blocks that are all zero and were not", true, true},
                 {"Not finite", "values that are NaN or infinite and were not", true, true}};
    put(out, "<div class=\"tools\" id=\"tensor-tools\" role=\"search\" hidden>\n"
             "<label>Names that contain <input type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label>\n"
             "<label>Type <select data-column=\"2\"><option value=\"\">all</option></select></label>\n"
             "<output role=\"status\"></output>\n</div>\n"
             "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Table of the tensors\">\n"
             "<table id=\"tensors\" data-sorts=\"tensor-tools\">\n<caption>Every tensor, worst first</caption>\n<thead><tr>");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        buf_printf(out, "<th scope=\"col\"%s%s title=\"%s\">%s</th>", heads[i].number ? " class=\"number\"" : "",
                   heads[i].down ? " data-first=\"down\"" : "", heads[i].meaning, heads[i].name);
    put(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < w->n; i++) {
        size_t any;
        put_tensor(out, &w->list[i], strmap_get(breached, w->list[i].name, strlen(w->list[i].name), &any));
    }
    put(out, "</tbody>\n</table>\n</div>\n");
}

static smelt_status put_weights(const verify_result *r, smelt_buf *out, smelt_err *err)
{
    const verify_weights *w = &r->weights;
    if (!w->done || !w->n) return SMELT_OK;
    smelt_arena arena = {0};
    smelt_strmap breached = {.arena = &arena};
    bool ok = true, added;
    for (size_t i = 0; i < r->n_checks && ok; i++)
        if (r->checks[i].tensor && r->checks[i].verdict == VERDICT_BREACHED)
            ok = strmap_add(&breached, r->checks[i].tensor, strlen(r->checks[i].tensor), i, &added);
    smelt_status st = ok ? SMELT_OK : smelt_oom(err);
    if (st == SMELT_OK) {
        put(out, "<section aria-labelledby=\"weights-h\">\n<h2 id=\"weights-h\">Weights</h2>\n<p>");
        buf_printf(out, "%zu tensors, %zu of them without any error%s.</p>\n", w->n, w->equal,
                   w->sampled ? "; a sample of the values is compared" : "");
        st = svg_map(out, w, &breached, err);
    }
    if (st == SMELT_OK) st = svg_layers(out, w, err);
    if (st == SMELT_OK) {
        put_table(out, w, &breached);
        put(out, "</section>");
    }
    arena_free(&arena);
    return st;
}

static void put_structure(const verify_result *r, smelt_buf *out)
{
    const verify_structure *s = &r->structure;
    if (!s->done) return;
    put(out, "<section aria-labelledby=\"structure-h\">\n<h2 id=\"structure-h\">Structure</h2>\n<p>");
    if (s->differences)
        buf_printf(out, "%zu difference%s.", s->differences, s->differences == 1 ? "" : "s");
    else
        put(out, "Tensors, shapes, hyperparameters, vocabulary and chat template are the original’s.");
    put(out, "</p>\n");
    if (s->n) {
        put(out,
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"structure-h\">\n<table>\n<thead><tr><th scope=\"col\">Of</th>"
            "<th scope=\"col\">What</th><th scope=\"col\">Candidate</th><th scope=\"col\">Original</th></tr></thead>\n<tbody>\n");
        for (size_t i = 0; i < s->n; i++) {
            const verify_difference *d = &s->list[i];
            buf_printf(out, "<tr><td>%s%s</td><td class=\"name\">", verify_area_name(d->area),
                       d->note ? " <span class=\"soft\">(note)</span>" : "");
            html_text(out, d->name);
            put(out, "</td><td class=\"words\">");
            html_text(out, d->found ? d->found : "–");
            put(out, "</td><td class=\"words\">");
            html_text(out, d->expected ? d->expected : "–");
            put(out, "</td></tr>\n");
        }
        put(out, "</tbody>\n</table>\n</div>\n");
    }
    put(out, "</section>");
}

static void put_made(const verify_result *r, smelt_buf *out)
{
    buf_printf(out, "Made by smelt " SMELT_VERSION "%s%s. The page needs nothing but itself.", r->quick ? ", --quick: samples" : "",
               r->fast ? ", --fast: activations rounded to 8 bits" : "");
}

static void put_style(const verify_result *r, smelt_buf *out)
{
    (void)r;
    put(out, html_style);
}
static void put_script(const verify_result *r, smelt_buf *out)
{
    (void)r;
    put(out, html_script);
}

/* The places of report.html; `weights` is filled apart, since it can fail. */
static const struct {
    const char *name;
    void (*put)(const verify_result *r, smelt_buf *out);
} places[] = {
    {"title", put_title},   {"style", put_style}, {"verdict", put_verdict},         {"checks", put_checks},
    {"files", put_files},   {"made", put_made},   {"predictions", put_predictions}, {"structure", put_structure},
    {"script", put_script},
};

smelt_status report_html(const verify_result *r, smelt_buf *out, smelt_err *err)
{
    static const char weights[] = "weights";
    for (const char *p = html_page, *open; (open = strstr(p, "{{")); p = strstr(open, "}}") + 2) {
        buf_put(out, p, (size_t)(open - p));
        open += 2;
        const size_t n = (size_t)(strstr(open, "}}") - open);
        if (n == sizeof weights - 1 && memcmp(open, weights, n) == 0) SMELT_TRY(put_weights(r, out, err));
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (strlen(places[i].name) == n && memcmp(open, places[i].name, n) == 0) places[i].put(r, out);
    }
    put(out, strrchr(html_page, '}') + 1);
    return out->failed ? smelt_oom(err) : SMELT_OK;
}
