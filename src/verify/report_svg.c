/* Pictures of the HTML report. Colours and sizes of text are the style sheet's, so that they follow light and dark. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/meta.h"
#include "verify/report_html.h"

enum { WIDTH = 720, HEIGHT = 260, LEFT = 64, RIGHT = 16, TOP = 28, BOTTOM = 52, INNER = WIDTH - LEFT - RIGHT };

/* A chart with bars or a line above an axis; its values go from 0 to `most`. */
typedef struct chart {
    smelt_buf *out;
    double most;
} chart;

static double chart_y(const chart *c, double value)
{
    return HEIGHT - BOTTOM - (c->most > 0 ? value / c->most : 0) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that it goes at most `parts` times into `most`. */
static double step_for(double most, double parts)
{
    const double least = most / parts, power = pow(10, floor(log10(least))), f = least / power;
    return (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10) * power;
}

static void svg_open(smelt_buf *out, const char *id, double width, double height, bool fixed, const char *title, const char *desc)
{
    buf_printf(out, "<svg role=\"img\" aria-labelledby=\"%s-t %s-d\" viewBox=\"0 0 %g %g\"", id, id, width, height);
    if (fixed)
        buf_printf(out, " width=\"%g\" height=\"%g\">", width, height);
    else
        buf_printf(out, " class=\"wide\">");
    buf_printf(out, "<title id=\"%s-t\">%s</title><desc id=\"%s-d\">%s</desc>\n", id, title, id, desc);
}

static chart chart_open(smelt_buf *out, double most, const char *unit, const char *what, const char *below)
{
    const chart c = {out, most > 0 ? most : 1};
    const double step = step_for(c.most, 4);
    buf_printf(out, "<text class=\"soft\" x=\"0\" y=\"14\">%s</text>\n", what);
    for (int i = 0; i * step <= c.most * (1 + 1e-9); i++) {
        const double y = chart_y(&c, i * step);
        buf_printf(out, "<path class=\"axis\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g%s</text>\n",
                   LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, i * step, unit);
    }
    buf_printf(out, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", WIDTH - RIGHT, HEIGHT - 6, below);
    return c;
}

static void put_tick(smelt_buf *out, double x, const char *text)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, HEIGHT - BOTTOM + 20, text);
}

static double bin_from(size_t i) { return pow(10, ((double)i - VERIFY_BINS_BELOW) / VERIFY_BINS_DECADE); }

static void put_bin(smelt_buf *out, const verify_logits *l, size_t i, double share)
{
    buf_printf(out, "<title>");
    if (i == 0)
        buf_printf(out, "below %.3g", bin_from(1));
    else if (i + 1 == VERIFY_BINS)
        buf_printf(out, "%.3g and more", bin_from(i));
    else
        buf_printf(out, "%.3g to %.3g", bin_from(i), bin_from(i + 1));
    buf_printf(out, " nats: %zu tokens, %.2g %%</title>", l->bins[i], share);
}

void svg_histogram(smelt_buf *out, const verify_logits *l)
{
    size_t first = VERIFY_BINS, last = 0, all = 0, most = 0;
    for (size_t i = 0; i < VERIFY_BINS; i++) {
        if (!l->bins[i]) continue;
        if (first == VERIFY_BINS) first = i;
        last = i;
        all += l->bins[i];
        if (l->bins[i] > most) most = l->bins[i];
    }
    if (!all) return;
    /* Whole decades. */
    first -= first % VERIFY_BINS_DECADE;
    last = last - last % VERIFY_BINS_DECADE + VERIFY_BINS_DECADE;
    if (last > VERIFY_BINS) last = VERIFY_BINS;
    const double n = (double)(last - first), wide = INNER / n;
    buf_printf(out, "<figure><h3>How far the predictions of each token are apart</h3>\n");
    svg_open(
        out, "kl", WIDTH, HEIGHT, false, "Histogram of KL divergence",
        "Share of tokens by the KL divergence of their predictions, in nats, on a logarithmic axis. The numbers are in the table of "
        "limits and in the summary.");
    const chart c = chart_open(out, 100 * (double)most / (double)all, " %", "share of tokens", "KL divergence, nats");
    for (size_t i = first; i < last; i++) {
        const double x = LEFT + (double)(i - first) * wide, share = 100 * (double)l->bins[i] / (double)all, y = chart_y(&c, share);
        if (i % VERIFY_BINS_DECADE == 0) {
            const int decade = ((int)i - VERIFY_BINS_BELOW) / VERIFY_BINS_DECADE;
            static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
            char text[32];
            if (decade < -3)
                snprintf(text, sizeof text, "10⁻%s", digits[-decade % 10]);
            else
                snprintf(text, sizeof text, "%g", bin_from(i));
            put_tick(out, x, text);
            buf_printf(out, "<path class=\"axis\" d=\"M%.1f %dv5\"/>", x, HEIGHT - BOTTOM);
        }
        if (!l->bins[i]) continue;
        buf_printf(out, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">", x + 1, y, wide - 2,
                   chart_y(&c, 0) - y);
        put_bin(out, l, i, share);
        buf_printf(out, "</rect>\n");
    }
    const struct {
        double at;
        const char *name;
        int line;
    } marks[] = {{l->kl.value, "mean", 0}, {l->kl_p99.value, "99 %", 1}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (!(marks[i].at > 0) || !isfinite(marks[i].at)) continue;
        const double bin = log10(marks[i].at) * VERIFY_BINS_DECADE + VERIFY_BINS_BELOW - (double)first;
        if (bin < 0 || bin > n) continue;
        const double x = LEFT + bin * wide;
        buf_printf(
            out, "<path class=\"mark\" d=\"M%.1f %dV%d\"/><text class=\"mark\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
            x, TOP - 4, HEIGHT - BOTTOM, bin > n * 0.9 ? x - 5 : x + 5, TOP + 6 + 16 * marks[i].line,
            bin > n * 0.9 ? "end" : "start", marks[i].name);
    }
    buf_printf(out, "</svg>\n<figcaption>Dashed: the mean, and what 99 %% of the tokens stay below.</figcaption></figure>\n");
}

void svg_positions(smelt_buf *out, const verify_logits *l)
{
    enum { GROUPS = 64 };
    if (l->n_by_position < 2) return;
    double mean[GROUPS] = {0}, most = 0;
    const size_t groups = l->n_by_position < GROUPS ? l->n_by_position : GROUPS;
    for (size_t g = 0; g < groups; g++) {
        const size_t from = g * l->n_by_position / groups, to = (g + 1) * l->n_by_position / groups;
        for (size_t i = from; i < to; i++)
            mean[g] += l->by_position[i] / (double)(to - from);
        if (!isfinite(mean[g])) return;
        if (mean[g] > most) most = mean[g];
    }
    buf_printf(out, "<figure><h3>By position in the context</h3>\n");
    svg_open(out, "pos", WIDTH, HEIGHT, false, "KL divergence by position",
             "Mean KL divergence of the predictions behind each position of the context.");
    const chart c = chart_open(out, most, "", "mean KL divergence, nats", "tokens before");
    buf_printf(out, "<path class=\"line\" d=\"");
    for (size_t g = 0; g < groups; g++)
        buf_printf(out, "%c%.1f %.1f", g ? 'L' : 'M', LEFT + ((double)g + 0.5) * INNER / (double)groups, chart_y(&c, mean[g]));
    buf_printf(out, "\"/>\n");
    const double from = (double)l->first_position, n = (double)l->n_by_position, step = step_for(n, 8);
    for (int i = (int)ceil(from / step); i * step <= from + n; i++) {
        const double at = i * step;
        char text[32];
        snprintf(text, sizeof text, "%g", at);
        put_tick(out, LEFT + (at - from) / n * INNER, text);
    }
    buf_printf(out, "</svg></figure>\n");
}

enum { MOST_LAYERS = 1024, MOST_ROWS = 256 }; /* of a picture that somebody can look at */

static int layer_count(const verify_weights *w)
{
    int n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->list[i].layer >= n) n = w->list[i].layer + 1;
    return n;
}

smelt_status svg_layers(smelt_buf *out, const verify_weights *w, smelt_err *err)
{
    const int n = layer_count(w);
    if (n < 2 || n > MOST_LAYERS) return SMELT_OK;
    smelt_arena arena = {0};
    double *noise = arena_calloc(&arena, (size_t)n, sizeof *noise), *signal = arena_calloc(&arena, (size_t)n, sizeof *signal);
    if (!noise || !signal) {
        arena_free(&arena);
        return smelt_oom(err);
    }
    for (size_t i = 0; i < w->n; i++) {
        const verify_tensor *t = &w->list[i];
        const double elements = (double)t->elements, wrong = t->equal ? 0 : t->rmse * t->rmse * elements;
        if (t->layer < 0 || !isfinite(wrong) || !isfinite(t->original_rms)) continue;
        noise[t->layer] += wrong;
        signal[t->layer] += t->original_rms * t->original_rms * elements;
    }
    double most = 0;
    for (int i = 0; i < n; i++) {
        noise[i] = signal[i] > 0 ? 100 * sqrt(noise[i] / signal[i]) : 0;
        if (noise[i] > most) most = noise[i];
    }
    buf_printf(out, "<figure><h3>Error of each layer’s weights</h3>\n");
    svg_open(
        out, "layers", WIDTH, HEIGHT, false, "Error of each layer",
        "Root mean square error of all weights of each layer, relative to their size. The numbers of each tensor are in the table.");
    const chart c = chart_open(out, most, " %", "error relative to the weights", "layer");
    const double wide = (double)INNER / n, step = ceil(step_for(n, 16));
    for (int i = 0; i < n; i++) {
        const double x = LEFT + i * wide, y = chart_y(&c, noise[i]);
        buf_printf(
            out,
            "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>layer %d: %.3g %%</title></rect>\n",
            x + wide * 0.1, y, wide * 0.8, chart_y(&c, 0) - y, i, noise[i]);
        if (fmod(i, step) == 0) {
            char text[16];
            snprintf(text, sizeof text, "%d", i);
            put_tick(out, x + wide / 2, text);
        }
    }
    buf_printf(out, "</svg></figure>\n");
    arena_free(&arena);
    return SMELT_OK;
}

/* A tensor's name without what says its layer: "attn_q" of "x.3.attn_q". Tensors of different layers share it. */
static smelt_str part_name(const verify_tensor *t)
{
    char mark[16];
    const int n = snprintf(mark, sizeof mark, ".%d.", t->layer);
    const char *at = t->layer >= 0 ? strstr(t->name, mark) : NULL;
    const char *name = at ? at + n : t->name;
    return (smelt_str){name, strlen(name)};
}

static int by_part(const void *a, const void *b)
{
    const smelt_str *x = a, *y = b;
    const uint64_t n = x->n < y->n ? x->n : y->n;
    const int d = memcmp(x->p, y->p, (size_t)n);
    return d ? d : (x->n > y->n) - (x->n < y->n);
}

enum { SHADES = 8, SHADE_STEP = 6, SHADE_BEST = 42 /* dB */ };

static int shade(const verify_tensor *t)
{
    if (isnan(t->snr) || t->nonfinite) return SHADES - 1;
    const double steps = ceil((SHADE_BEST - t->snr) / SHADE_STEP);
    return steps < 0 ? 0 : steps > SHADES - 1 ? SHADES - 1 : (int)steps;
}

/* Text of at most so many characters; the title has all of it. */
static void put_short(smelt_buf *out, smelt_str s, size_t most)
{
    char text[256];
    size_t n = 0, chars = 0;
    while (n < s.n && n < sizeof text - 1) {
        if ((s.p[n] & 0xC0) != 0x80 && chars++ == most) break;
        text[n] = s.p[n];
        n++;
    }
    text[n] = 0;
    html_text(out, text);
    if (n < s.n) buf_printf(out, "…");
}

static void put_legend(smelt_buf *out)
{
    buf_printf(
        out,
        "<ul class=\"legend\" aria-label=\"Colours\"><li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><rect class=\"same\" "
        "x=\"1\" y=\"1\" width=\"12\" height=\"12\"/></svg> no error</li>");
    for (int i = 0; i < SHADES; i++) {
        buf_printf(
            out, "<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><rect class=\"e%d\" width=\"14\" height=\"14\"/></svg> ",
            i);
        if (i + 1 < SHADES)
            buf_printf(out, "%d dB and more</li>", SHADE_BEST - i * SHADE_STEP);
        else
            buf_printf(out, "less</li>");
    }
    buf_printf(out, "</ul>\n");
}

static void put_cells(smelt_buf *out, const verify_weights *w, const smelt_strmap *rows, const smelt_strmap *breached, int left)
{
    enum { CELL = 18, INSET = 2 };
    for (size_t i = 0; i < w->n; i++) {
        const verify_tensor *t = &w->list[i];
        const smelt_str part = part_name(t);
        size_t row, any;
        if (!strmap_get(rows, part.p, (size_t)part.n, &row)) continue;
        const bool bad = strmap_get(breached, t->name, strlen(t->name), &any);
        const double x = left + (t->layer > 0 ? t->layer : 0) * CELL, y = 20 + (double)row * CELL, in = t->equal ? 0.5 : 0;
        buf_printf(out, "<rect class=\"");
        if (t->equal)
            buf_printf(out, "same");
        else
            buf_printf(out, "e%d", shade(t));
        buf_printf(out, "%s\" x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\"><title>", bad ? " breach" : "", x + in, y + in,
                   CELL - INSET - 2 * in, CELL - INSET - 2 * in);
        html_text(out, t->name);
        if (t->equal)
            buf_printf(out, ": no error");
        else {
            buf_printf(out, ": ");
            html_number(out, t->snr, 4);
            buf_printf(out, " dB");
        }
        buf_printf(out, "%s</title></rect>\n", bad ? ", breaches a limit" : "");
    }
}

smelt_status svg_map(smelt_buf *out, const verify_weights *w, const smelt_strmap *breached, smelt_err *err)
{
    enum { CELL = 18, LETTER = 8, LONGEST = 30 };
    const int n = layer_count(w);
    smelt_arena arena = {0};
    smelt_strmap rows = {.arena = &arena};
    smelt_str *part = arena_calloc(&arena, w->n, sizeof *part);
    size_t count = 0, longest = 0;
    bool ok = part != NULL;
    for (size_t i = 0; i < w->n && ok; i++) {
        bool added;
        part[count] = part_name(&w->list[i]);
        ok = strmap_add(&rows, part[count].p, (size_t)part[count].n, 0, &added);
        if (ok && added) count++;
    }
    strmap_clear(&rows);
    if (ok) qsort(part, count, sizeof *part, by_part);
    for (size_t i = 0; i < count && ok; i++) {
        bool added;
        ok = strmap_add(&rows, part[i].p, (size_t)part[i].n, i, &added);
        if (part[i].n > longest) longest = (size_t)part[i].n;
    }
    if (ok && count && count <= MOST_ROWS && n <= MOST_LAYERS) {
        if (longest > LONGEST) longest = LONGEST;
        const int left = (int)longest * LETTER + 10;
        buf_printf(
            out,
            "<figure><h3>Every tensor</h3>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Map of the tensors\">");
        svg_open(
            out, "map", left + CELL * (n > 1 ? n : 1) + 4, 24 + (double)count * CELL, true, "Map of the tensors",
            "A cell for each tensor, its layer from left to right, coloured by its signal to noise. The table has the same numbers.");
        for (int i = 0; i<n; i += n> 40 ? 10 : 5)
            buf_printf(out, "<text class=\"soft\" x=\"%d\" y=\"12\" text-anchor=\"middle\">%d</text>",
                       left + i * CELL + CELL / 2 - 1, i);
        for (size_t i = 0; i < count; i++) {
            buf_printf(out, "<text class=\"label\" x=\"%d\" y=\"%g\" text-anchor=\"end\">", left - 6, 20 + (double)i * CELL + 12);
            put_short(out, part[i], LONGEST);
            buf_printf(out, "</text>\n");
        }
        put_cells(out, w, &rows, breached, left);
        buf_printf(out, "</svg></div>\n");
        put_legend(out);
        buf_printf(
            out, "<figcaption>Signal to noise; 6 dB are about one bit. An outlined cell breaches a limit.</figcaption></figure>\n");
    }
    arena_free(&arena);
    return ok ? SMELT_OK : smelt_oom(err);
}
