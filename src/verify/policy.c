#include "verify/policy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/nearest.h"
#include "verify/internal.h"

enum { MOST_BYTES = 1 << 20, DEEPEST = 8, MOST_RULES = 10000 };

/* The default limits by the bits that a weight has: of a tensor, or of all of the file's. A row holds from its bits on. What good files
 * of that size have, with room for models that suffer more, and what damaged ones do not. docs/verify.md has the measurements. */
typedef struct default_row {
    double bits;
    double kl, kl_p99, top1, top5, ppl_ratio; /* of the file */
    double snr, block_snr, saturated, zeroed; /* of a tensor */
} default_row;

static const default_row default_rows[] = {
    {32, 1e-5, 1e-4, 0.995, 0.995, 1.001, 120, 100, 0, 0},
    {15, 0.01, 0.1, 0.95, 0.95, 1.02, 45, 40, 0, 0},
    {7.5, 0.05, 0.5, 0.9, 0.9, 1.05, 36, 26, 0, 0},
    {6.5, 0.2, 2, 0.75, 0.75, 1.2, 28, 16, 0, 0},
    {5.5, 0.4, 8, 0.65, 0.7, 1.4, 20, 10, 0, 0},
    {4, 0.8, 12, 0.5, 0.55, 1.8, 14, 5, 0, 0},
    {3, 2, 16, 0.35, 0.4, 4, 8, 1, 0.05, 0},
    {2, 6, 20, 0.15, 0.2, 50, 3, -3, 0.5, 0.01},
    {0, 12, 40, 0.02, 0.05, 1e4, 0, -6, 1, 0.1},
};

static const default_row *row_for(double bits)
{
    const default_row *row = default_rows;
    while (bits < row->bits)
        row++;
    return row;
}

static policy_limit default_limit(verify_metric metric, double bits)
{
    const default_row *d = row_for(bits);
    const double values[METRIC_COUNT] = {
        [METRIC_KL] = d->kl,
        [METRIC_KL_P99] = d->kl_p99,
        [METRIC_TOP1] = d->top1,
        [METRIC_TOP5] = d->top5,
        [METRIC_PPL_RATIO] = d->ppl_ratio,
        [METRIC_SNR] = d->snr,
        [METRIC_BLOCK_SNR] = d->block_snr,
        [METRIC_SATURATED] = d->saturated,
        [METRIC_ZEROED] = d->zeroed,
    };
    static const verify_metric given[] = {METRIC_KL,        METRIC_KL_P99,      METRIC_TOP1,      METRIC_TOP5,
                                          METRIC_PPL_RATIO, METRIC_SNR,         METRIC_BLOCK_SNR, METRIC_SATURATED,
                                          METRIC_ZEROED,    METRIC_DIFFERENCES, METRIC_NONFINITE};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i] == metric) return (policy_limit){.set = true, .limit = values[metric], .from = "default"};
    return (policy_limit){0};
}

void policy_init(smelt_policy *p)
{
    *p = (smelt_policy){.defaults = true};
    p->end = &p->rules;
}

void policy_free(smelt_policy *p)
{
    arena_free(&p->arena);
    *p = (smelt_policy){0};
}

static smelt_status add_rule(smelt_policy *p, const char *match, policy_rule **out, smelt_err *err)
{
    policy_rule *rule = arena_calloc(&p->arena, 1, sizeof *rule);
    if (!rule) return smelt_oom(err);
    rule->match = match;
    *p->end = rule;
    p->end = &rule->next;
    *out = rule;
    return SMELT_OK;
}

static const char *metric_name(const void *table, size_t i)
{
    (void)table;
    return i < METRIC_COUNT ? verify_metric_get((verify_metric)i)->name : NULL;
}

static smelt_status metric_by_name(const char *key, const char *name, verify_metric *out, smelt_err *err)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (strcmp(key, verify_metric_get((verify_metric)i)->name) == 0) {
            *out = (verify_metric)i;
            return SMELT_OK;
        }
    const char *near = nearest(key, metric_name, NULL);
    return smelt_fail(err, SMELT_E_USAGE, "%s: there is no threshold '%.64s'%s%s%s", name, key, near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
}

smelt_status policy_set(smelt_policy *p, verify_metric metric, const char *text, const char *from, smelt_err *err)
{
    char *end;
    const bool none = strcmp(text, "none") == 0;
    double v = none ? NAN : strtod(text, &end);
    if (!none && end != text && strcmp(end, "%") == 0) {
        v /= 100;
        end++;
    }
    if (!none && (end == text || *end || !isfinite(v)))
        return smelt_fail(err, SMELT_E_USAGE, "--%s: '%.64s' is no number (none takes a limit away)",
                          verify_metric_get(metric)->name, text);
    policy_rule *rule;
    SMELT_TRY(add_rule(p, NULL, &rule, err));
    rule->limit[metric] = (policy_limit){true, v, from};
    return SMELT_OK;
}

static smelt_status read_limit(policy_rule *rule, const char *key, const json_t *v, const char *name, smelt_err *err)
{
    verify_metric metric;
    SMELT_TRY(metric_by_name(key, name, &metric, err));
    if (!json_is_number(v) && !json_is_null(v))
        return smelt_fail(err, SMELT_E_USAGE, "%s: '%s' is neither a number nor null", name, key);
    if (rule->match && !verify_metric_get(metric)->tensor)
        return smelt_fail(err, SMELT_E_USAGE, "%s: '%s' is one value for the whole model: it belongs into \"thresholds\"", name,
                          key);
    rule->limit[metric] = (policy_limit){true, json_is_null(v) ? NAN : json_number_value(v), name};
    return SMELT_OK;
}

static smelt_status read_thresholds(smelt_policy *p, json_t *object, const char *name, smelt_err *err)
{
    const char *key;
    json_t *v;
    policy_rule *rule;
    if (!json_is_object(object)) return smelt_fail(err, SMELT_E_USAGE, "%s: \"thresholds\" is no object", name);
    SMELT_TRY(add_rule(p, NULL, &rule, err));
    json_object_foreach(object, key, v) SMELT_TRY(read_limit(rule, key, v, name, err));
    return SMELT_OK;
}

static smelt_status read_tensors(smelt_policy *p, const json_t *list, const char *name, smelt_err *err)
{
    size_t i;
    json_t *item, *v;
    const char *key;
    if (!json_is_array(list)) return smelt_fail(err, SMELT_E_USAGE, "%s: \"tensors\" is no list", name);
    if (json_array_size(list) > MOST_RULES)
        return smelt_fail(err, SMELT_E_LIMIT, "%s: more than %d rules for tensors", name, MOST_RULES);
    json_array_foreach(list, i, item)
    {
        const char *match = json_string_value(json_object_get(item, "match"));
        policy_rule *rule;
        if (!match) return smelt_fail(err, SMELT_E_USAGE, "%s: rule %zu for tensors has no \"match\"", name, i + 1);
        const char *copy = arena_strdup(&p->arena, match);
        if (!copy) return smelt_oom(err);
        SMELT_TRY(add_rule(p, copy, &rule, err));
        json_object_foreach(item, key, v)
        {
            if (strcmp(key, "match") != 0) SMELT_TRY(read_limit(rule, key, v, name, err));
        }
    }
    return SMELT_OK;
}

static smelt_status load(smelt_policy *p, const char *path, int depth, smelt_err *err);

static smelt_status extend(smelt_policy *p, const json_t *base, const char *dir, const char *name, int depth, smelt_err *err)
{
    const char *text = json_string_value(base);
    if (base && !text) return smelt_fail(err, SMELT_E_USAGE, "%s: \"extends\" is no string", name);
    if (!text || strcmp(text, "default") == 0) return SMELT_OK;
    if (strcmp(text, "none") == 0) {
        p->defaults = false;
        return SMELT_OK;
    }
    if (depth == DEEPEST)
        return smelt_fail(err, SMELT_E_USAGE, "%s: policies that extend each other more than %d times", name, DEEPEST);
    if (!dir)
        return smelt_fail(err, SMELT_E_USAGE, "%s: \"extends\" is '%.64s'; without a file it can be default or none", name, text);
    char *path;
    SMELT_TRY(path_inside(&p->arena, dir, text, &path, err));
    return load(p, path, depth + 1, err);
}

static smelt_status read_policy(smelt_policy *p, json_t *root, const char *dir, const char *name, int depth, smelt_err *err)
{
    static const char *const known[] = {"description", "extends", "thresholds", "tensors"};
    const char *key;
    json_t *v;
    if (!json_is_object(root)) return smelt_fail(err, SMELT_E_USAGE, "%s: a policy is a JSON object", name);
    json_object_foreach(root, key, v)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(key, known[i]) == 0;
        if (!found)
            return smelt_fail(err, SMELT_E_USAGE,
                              "%s: '%.64s' is not known; a policy has description, extends, thresholds and tensors", name, key);
    }
    SMELT_TRY(extend(p, json_object_get(root, "extends"), dir, name, depth, err));
    if ((v = json_object_get(root, "thresholds"))) SMELT_TRY(read_thresholds(p, v, name, err));
    if ((v = json_object_get(root, "tensors"))) SMELT_TRY(read_tensors(p, v, name, err));
    return SMELT_OK;
}

static smelt_status parse(smelt_policy *p, const char *text, size_t n, const char *dir, const char *name, int depth, smelt_err *err)
{
    json_t *root;
    const char *copy = arena_strdup(&p->arena, name);
    if (!copy) return smelt_oom(err);
    SMELT_TRY(smelt_json_parse(text, n, name, &root, err));
    const smelt_status st = read_policy(p, root, dir, copy, depth, err);
    json_decref(root);
    return st;
}

smelt_status policy_parse(smelt_policy *p, const char *text, size_t n, const char *dir, const char *name, smelt_err *err)
{
    p->title = arena_strdup(&p->arena, name);
    return p->title ? parse(p, text, n, dir, name, 0, err) : smelt_oom(err);
}

static smelt_status load(smelt_policy *p, const char *path, int depth, smelt_err *err)
{
    const char *text, *dir = path_dir(&p->arena, path);
    size_t n;
    if (!dir) return smelt_oom(err);
    SMELT_TRY(file_read(&p->arena, path, MOST_BYTES, &text, &n, err));
    return parse(p, text, n, dir, path, depth, err);
}

smelt_status policy_load(smelt_policy *p, const char *path, smelt_err *err)
{
    p->title = arena_strdup(&p->arena, path);
    if (!p->title) return smelt_oom(err);
    if (strcmp(path, "none") == 0) p->defaults = false;
    if (strcmp(path, "none") == 0 || strcmp(path, "default") == 0) return SMELT_OK;
    return load(p, path, 0, err);
}

/* Whether a name fits a pattern with * and ?. Going back to the last star alone is enough, so time is at most one length times the other. */
static bool fits(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else
            return false;
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* The limit of a metric for a tensor, or for the file. */
static policy_limit limit_for(const smelt_policy *p, verify_metric metric, const char *tensor, double bits)
{
    policy_limit limit = p->defaults ? default_limit(metric, bits) : (policy_limit){0};
    for (const policy_rule *r = p->rules; r; r = r->next)
        if (r->limit[metric].set && (!r->match || (tensor && fits(r->match, tensor)))) limit = r->limit[metric];
    if (isnan(limit.limit)) limit.set = false;
    return limit;
}

/* Whether a file or an option says anything about a metric. */
static bool asked_for(const smelt_policy *p, verify_metric metric)
{
    bool asked = false;
    for (const policy_rule *r = p->rules; r; r = r->next)
        if (r->limit[metric].set) asked = !isnan(r->limit[metric].limit);
    return asked;
}

static verify_value exact(double v) { return (verify_value){.value = v, .low = v, .high = v}; }

/* The value of a metric for the whole file; false if it was not measured. */
static bool file_value(const verify_result *r, verify_metric metric, verify_value *out)
{
    const verify_logits *l = &r->logits;
    const struct {
        bool done;
        verify_value value;
    } values[METRIC_COUNT] = {
        [METRIC_KL] = {l->done, l->kl},
        [METRIC_KL_MEDIAN] = {l->done, l->kl_median},
        [METRIC_KL_P99] = {l->done, l->kl_p99},
        [METRIC_KL_P999] = {l->done, l->kl_p999},
        [METRIC_KL_MAX] = {l->done, l->kl_max},
        [METRIC_TOP1] = {l->done, l->top1},
        [METRIC_TOP5] = {l->done, l->top5},
        [METRIC_DP_RMS] = {l->done, l->dp_rms},
        [METRIC_PPL_RATIO] = {l->done, l->ppl_ratio},
        [METRIC_GREEDY] = {r->greedy.done, r->greedy.agreed},
        [METRIC_DIFFERENCES] = {r->structure.done, exact((double)r->structure.differences)},
    };
    *out = values[metric].value;
    return values[metric].done;
}

static double share(uint64_t part, uint64_t all) { return all ? (double)part / (double)all : 0; }

static double tensor_value(const verify_tensor *t, verify_metric metric)
{
    const double values[METRIC_COUNT] = {
        [METRIC_NONFINITE] = (double)t->nonfinite,
        [METRIC_SNR] = t->snr,
        [METRIC_BLOCK_SNR] = t->block_snr,
        [METRIC_COSINE] = t->cosine,
        [METRIC_RMSE] = t->rmse,
        [METRIC_MAX_ERROR] = t->max_error,
        [METRIC_SATURATED] = share(t->saturated, t->blocks),
        [METRIC_ZEROED] = share(t->zeroed, t->blocks),
    };
    return values[metric];
}

static verify_verdict judge(verify_metric metric, verify_value v, double limit)
{
    const bool max = verify_metric_get(metric)->max;
    if (max ? v.low > limit : v.high < limit) return VERDICT_BREACHED;
    return (max ? v.high > limit : v.low < limit) ? VERDICT_UNDECIDED : VERDICT_PASSED;
}

typedef struct judging {
    const smelt_policy *p;
    verify_result *r;
    verify_check *list;
    size_t n, cap;
    bool failed;
} judging;

static void add_check(judging *j, verify_check c)
{
    if (j->failed || !arena_room(&j->r->arena, &j->list, j->n, &j->cap, sizeof *j->list)) {
        j->failed = true;
        return;
    }
    c.from = arena_strdup(&j->r->arena, c.from);
    j->failed = !c.from;
    j->list[j->n++] = c;
    j->r->breached += c.verdict == VERDICT_BREACHED;
    j->r->undecided += c.verdict == VERDICT_UNDECIDED;
}

/* Every tensor beyond its limit; if there is none, the one that is nearest to it. */
static void judge_tensors(judging *j, verify_metric metric)
{
    const verify_weights *w = &j->r->weights;
    verify_check nearest_one = {.metric = metric};
    double least = INFINITY;
    bool any = false, breached = false;
    for (size_t i = 0; i < w->n; i++) {
        const verify_tensor *t = &w->list[i];
        const policy_limit limit = limit_for(j->p, metric, t->name, verify_bits(t->type));
        const double v = tensor_value(t, metric);
        if (!limit.set || isnan(v)) continue;
        const bool max = verify_metric_get(metric)->max;
        const double left = max ? limit.limit - v : v - limit.limit;
        const verify_check c = {.metric = metric,
                                .tensor = t->name,
                                .from = limit.from,
                                .value = exact(v),
                                .limit = limit.limit,
                                .verdict = judge(metric, exact(v), limit.limit)};
        if (c.verdict == VERDICT_BREACHED) {
            breached = true;
            add_check(j, c);
        } else if (!any || left < least) {
            nearest_one = c;
            least = left;
        }
        any = true;
    }
    if (any && !breached) add_check(j, nearest_one);
}

static int breached_first(const void *a, const void *b)
{
    const verify_check *x = a, *y = b;
    if (x->verdict != y->verdict) return x->verdict > y->verdict ? -1 : 1;
    if (x->metric != y->metric) return x->metric < y->metric ? -1 : 1;
    return x->tensor && y->tensor ? strcmp(x->tensor, y->tensor) : 0;
}

/* Says that the text is too short; false when out of memory. Nobody asked for a default limit on a quantile that so few tokens cannot
 * have. */
static bool warn_undecided(verify_result *r, const verify_check *c)
{
    const char *name = verify_metric_get(c->metric)->name;
    if (c->verdict != VERDICT_UNDECIDED) return true;
    if (!isinf(c->value.high))
        return verify_warn(
            r, "the text is too short to tell whether --%s %g holds: it is %.4g, and between %.4g and %.4g with 95 %% confidence",
            name, c->limit, c->value.value, c->value.low, c->value.high);
    return strcmp(c->from, "default") == 0 ||
           verify_warn(r, "the text is too short to tell whether --%s %g holds: %zu scored tokens have no such quantile", name,
                       c->limit, r->logits.scored);
}

smelt_status policy_judge(const smelt_policy *p, verify_result *r, smelt_err *err)
{
    judging j = {.p = p, .r = r};
    r->breached = r->undecided = 0;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const verify_metric metric = (verify_metric)i;
        const verify_metric_row *row = verify_metric_get(metric);
        verify_value v = {0};
        const bool measured = row->tensor ? r->weights.done : file_value(r, metric, &v);
        if (!measured && asked_for(p, metric) && !r->nonfinite.found)
            return smelt_fail(err, SMELT_E_USAGE, "--%s limits something that is not measured here", row->name);
        if (!measured) continue;
        if (row->tensor) {
            judge_tensors(&j, metric);
            continue;
        }
        const policy_limit limit = limit_for(p, metric, NULL, r->candidate.bits);
        if (limit.set)
            add_check(&j, (verify_check){.metric = metric,
                                         .from = limit.from,
                                         .value = v,
                                         .limit = limit.limit,
                                         .verdict = judge(metric, v, limit.limit)});
    }
    if (j.failed) return smelt_oom(err);
    if (j.n) qsort(j.list, j.n, sizeof *j.list, breached_first);
    r->checks = j.list;
    r->n_checks = j.n;
    r->passed = !r->breached && !r->nonfinite.found;
    for (size_t i = 0; i < j.n; i++)
        if (!warn_undecided(r, &j.list[i])) return smelt_oom(err);
    r->policy = p->title      ? arena_strdup(&r->arena, p->title)
                : p->defaults ? arena_printf(&r->arena, "default for weights of %.4g bits", r->candidate.bits)
                              : arena_strdup(&r->arena, "none");
    return r->policy ? SMELT_OK : smelt_oom(err);
}
