#include "tools/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/report.h"

uint64_t planned_bytes(const smelt_plan *plan, size_t tensor)
{
    const smelt_layout *l = &plan->layout;
    /* Most formats keep the order of the tensors. */
    for (size_t k = 0; k < l->n_tensors; k++) {
        const smelt_out_tensor *o = &l->tensors[(tensor + k) % l->n_tensors];
        if (o->src == &plan->out.tensors[tensor]) return o->bytes;
    }
    return 0;
}

void list_choices(const smelt_plan *plan, const smelt_choice *choices)
{
    for (size_t i = 0; i < plan->out.n_tensors; i++) {
        const smelt_tensor *t = &plan->out.tensors[i];
        char shape[128], a[32], b[32];
        printf("%-40s %-20s %8s -> %-8s %10s -> %-10s %s%s%s\n", t->name, shape_text(&t->shape, shape, sizeof shape),
               smelt_dtype_get(t->dtype)->name, smelt_dtype_get(choices[i].given)->name,
               human_bytes(view_bytes_total(t->view), a, sizeof a), human_bytes(planned_bytes(plan, i), b, sizeof b),
               choices[i].why, choices[i].asked != choices[i].given ? ", instead of " : "",
               choices[i].asked != choices[i].given ? smelt_dtype_get(choices[i].asked)->name : "");
    }
}

/* Tensors whose names differ in the number of their layer only. */
typedef struct kin {
    const char *name;    /* of the first */
    const char *pattern; /* with "*" for the number */
    size_t n;
} kin;

/* Tensors that were asked to be one type and became another because of one length of rows. */
typedef struct group {
    smelt_dtype asked, given;
    uint64_t cols, elems;
    size_t n;
    kin *kin;
    size_t n_kin, cap_kin;
} group;

/* The name with "*" for the number of the layer. NULL when out of memory. */
static const char *layer_pattern(smelt_arena *arena, const smelt_tensor *t)
{
    const char *digits = t->layer < 0 ? NULL : strpbrk(t->name, "0123456789");
    if (!digits) return t->name;
    return arena_printf(arena, "%.*s*%s", (int)(digits - t->name), t->name, digits + strspn(digits, "0123456789"));
}

static bool add_kin(smelt_arena *arena, group *g, const smelt_tensor *t)
{
    const char *pattern = layer_pattern(arena, t);
    if (!pattern) return false;
    for (size_t i = 0; i < g->n_kin; i++)
        if (strcmp(g->kin[i].pattern, pattern) == 0) {
            g->kin[i].n++;
            return true;
        }
    if (!arena_room(arena, &g->kin, g->n_kin, &g->cap_kin, sizeof *g->kin)) return false;
    g->kin[g->n_kin++] = (kin){t->name, pattern, 1};
    return true;
}

static bool make_groups(const smelt_plan *plan, const smelt_choice *choices, smelt_arena *arena, group **groups, size_t *n)
{
    size_t cap = 0;
    for (size_t i = 0; i < plan->out.n_tensors; i++) {
        const smelt_tensor *t = &plan->out.tensors[i];
        const smelt_choice *c = &choices[i];
        if (c->asked == c->given) continue;
        const uint64_t cols = view_cols(t->view);
        size_t at = 0;
        while (at < *n && ((*groups)[at].asked != c->asked || (*groups)[at].given != c->given || (*groups)[at].cols != cols))
            at++;
        if (at == *n) {
            if (!arena_room(arena, groups, *n, &cap, sizeof **groups)) return false;
            (*groups)[(*n)++] = (group){.asked = c->asked, .given = c->given, .cols = cols};
        }
        group *g = &(*groups)[at];
        g->n++;
        g->elems += view_rows(t->view) * cols;
        if (!add_kin(arena, g, t)) return false;
    }
    return true;
}

static double bytes_as(smelt_dtype type, uint64_t elems) { return (double)elems * smelt_dtype_bpw(type) / 8; }

/* "+6.0 kB" */
static const char *signed_bytes(double n, char *buf, size_t size)
{
    char text[32];
    snprintf(buf, size, "%c%s", n < 0 ? '-' : '+', human_bytes((uint64_t)(n < 0 ? -n : n), text, sizeof text));
    return buf;
}

static void put_group(FILE *to, const group *g)
{
    enum { SHOW = 12 };
    char cost[40];
    const smelt_dtype_row *asked = smelt_dtype_get(g->asked), *given = smelt_dtype_get(g->given);
    fprintf(to, "  %s instead of %s: %zu tensor%s, rows of %" PRIu64 " in blocks of %" PRIu32 ": %.2f -> %.2f bits, %s\n   ",
            given->name, asked->name, g->n, g->n == 1 ? "" : "s", g->cols, asked->elems, smelt_dtype_bpw(g->asked),
            smelt_dtype_bpw(g->given),
            signed_bytes(bytes_as(g->given, g->elems) - bytes_as(g->asked, g->elems), cost, sizeof cost));
    for (size_t i = 0; i < g->n_kin && i < SHOW; i++)
        if (g->kin[i].n > 1)
            fprintf(to, "%s %s (%zu)", i ? "," : "", g->kin[i].pattern, g->kin[i].n);
        else
            fprintf(to, "%s %s", i ? "," : "", g->kin[i].name);
    fputs(g->n_kin > SHOW ? " …\n" : "\n", to);
}

char *substitutes_text(const smelt_plan *plan, const smelt_choice *choices)
{
    smelt_arena arena = {0};
    group *groups = NULL;
    size_t n_groups = 0, n = 0;
    char *text = NULL, cost[40];
    size_t size;
    FILE *to = make_groups(plan, choices, &arena, &groups, &n_groups) ? open_memstream(&text, &size) : NULL;
    if (to) {
        double asked = 0, given = 0;
        const uint64_t params = model_params(&plan->out);
        for (size_t i = 0; i < plan->out.n_tensors; i++) {
            const uint64_t elems = view_rows(plan->out.tensors[i].view) * view_cols(plan->out.tensors[i].view);
            asked += bytes_as(choices[i].asked, elems);
            given += bytes_as(choices[i].given, elems);
        }
        for (size_t i = 0; i < n_groups; i++)
            n += groups[i].n;
        if (n)
            fprintf(to, "%zu of %zu tensors %s not fit the type asked for: %.2f -> %.2f bits per weight in all, %s\n", n,
                    plan->out.n_tensors, n == 1 ? "does" : "do", 8 * asked / (double)params, 8 * given / (double)params,
                    signed_bytes(given - asked, cost, sizeof cost));
        for (size_t i = 0; i < n_groups; i++)
            put_group(to, &groups[i]);
        if (fclose(to) != 0) text = NULL;
    }
    arena_free(&arena);
    return text;
}

void print_replaced(const smelt_plan *plan, const smelt_tensor_result *results, const smelt_stream_stats *stats)
{
    enum { SHOW = 20 };
    size_t n = 0;
    if (!stats->replaced) return;
    printf("%" PRIu64 " value%s that %s not finite %s replaced:\n", stats->replaced, stats->replaced == 1 ? "" : "s",
           stats->replaced == 1 ? "was" : "were", stats->replaced == 1 ? "was" : "were");
    for (size_t i = 0; i < plan->layout.n_tensors; i++)
        if (results[i].replaced && n++ < SHOW)
            printf("  %s: %" PRIu64 "\n", plan->layout.tensors[i].src->name, results[i].replaced);
    if (n > SHOW) printf("  and in %zu more tensors\n", n - SHOW);
}

void print_summary(const smelt_plan *plan, const smelt_stream_stats *stats, double seconds)
{
    char in[32], out[32], p[32], resumed[48] = "";
    const uint64_t params = model_params(&plan->out);
    if (stats->bytes_resumed)
        snprintf(resumed, sizeof resumed, ", %s of it found finished", human_bytes(stats->bytes_resumed, in, sizeof in));
    printf("%s: %zu tensors, %s parameters, %s -> %s (%.2f -> %.2f bits per weight) in %.1f s, %.0f MB/s%s\n", plan->target,
           plan->out.n_tensors, human_count(params, p, sizeof p), human_bytes(stats->bytes_in, in, sizeof in),
           human_bytes(stats->bytes_out, out, sizeof out), bits_per_weight(stats->bytes_in, params),
           bits_per_weight(stats->bytes_out, params), seconds, seconds > 0 ? (double)stats->bytes_in / seconds / 1e6 : 0, resumed);
}

void print_forecast(const smelt_plan *plan, const smelt_stream_stats *stats)
{
    char a[32], b[32];
    uint64_t total = 0;
    const uint64_t params = model_params(&plan->out);
    const size_t files = plan->layout.n_files;
    for (size_t i = 0; i < files; i++)
        total += plan->layout.files[i].size;
    printf("would write %zu file%s with %" PRIu64 " bytes (%s of tensors -> %s, %.2f -> %.2f bits per weight)\n", files,
           files == 1 ? "" : "s", total, human_bytes(stats->bytes_in, a, sizeof a), human_bytes(stats->bytes_out, b, sizeof b),
           bits_per_weight(stats->bytes_in, params), bits_per_weight(stats->bytes_out, params));
}
