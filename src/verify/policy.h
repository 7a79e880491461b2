/* Limits, and which of them hold for what.
 *
 * A policy file is a JSON object:
 *     "description"   text for people
 *     "extends"       "default" (the limits for the candidate's types), "none", or the name of another policy file in the same folder;
 *                     "default" if absent
 *     "thresholds"    {"max-kl": 0.01, "min-snr": 20, …}: names of metrics.def; null takes a limit away
 *     "tensors"       [{"match": "*.ffn_down.*", "min-snr": 18, …}, …]: limits of TENSOR metrics for tensors of these names; * stands for
 *                     any characters, ? for one
 * Of several limits for one thing the last one holds, options after files and tensors after thresholds. */
#ifndef SMELT_VERIFY_POLICY_H
#define SMELT_VERIFY_POLICY_H

#include "verify/verify.h"

typedef struct policy_limit {
    bool set;
    double limit; /* NAN: none */
    const char *from;
} policy_limit;

typedef struct policy_rule {
    const char *match; /* NULL: everything */
    policy_limit limit[METRIC_COUNT];
    struct policy_rule *next;
} policy_rule;

typedef struct smelt_policy {
    smelt_arena arena;
    const char *title; /* of the outermost file; NULL: none was read */
    bool defaults;     /* the defaults for the candidate's types come first */
    policy_rule *rules, **end;
} smelt_policy;

/* The default policy alone. policy_free after use, also after an error of the others. */
void policy_init(smelt_policy *p);
void policy_free(smelt_policy *p);
/* Reads a policy file, or takes "default" or "none". E_USAGE for names and values that mean nothing, with a suggestion; E_CORRUPT for what
 * is no JSON. */
smelt_status policy_load(smelt_policy *p, const char *path, smelt_err *err);
/* The same from text; `dir` is where files that it extends are, NULL: there are none. */
smelt_status policy_parse(smelt_policy *p, const char *text, size_t n, const char *dir, const char *name, smelt_err *err);
/* Adds a limit for everything; `text` is a number, with % if it is a share, or none. E_USAGE if it is none. */
smelt_status policy_set(smelt_policy *p, verify_metric metric, const char *text, const char *from, smelt_err *err);

/* Judges a result: r->checks, breached, undecided, passed, warnings. E_USAGE if a limit was asked for by an option or a file and nothing was
 * measured that it could hold for. */
smelt_status policy_judge(const smelt_policy *p, verify_result *r, smelt_err *err);

#endif
