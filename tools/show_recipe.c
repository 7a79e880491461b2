#include "tools/show_recipe.h"

#include <stdio.h>

#include "base/json.h"

enum { RULE_TEXT = 256 };

/* "mix: attn_v more", "row size, instead of q6_k: attn_v more", "kept". */
static void print_line(const smelt_tensor *t, const smelt_choice *c)
{
    char rule[RULE_TEXT] = "";
    printf("%-40s %-8s %s", t->name, smelt_dtype_get(c->given)->name, c->why);
    if (c->asked != c->given) printf(", instead of %s", smelt_dtype_get(c->asked)->name);
    if (c->rule) printf(": %s", recipe_rule_text(c->rule, rule, sizeof rule));
    printf("\n");
}

static json_t *object(const smelt_tensor *t, const smelt_choice *c)
{
    char rule[RULE_TEXT];
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", t->name, "source", smelt_dtype_get(t->dtype)->name, "asked",
                          smelt_dtype_get(c->asked)->name, "given", smelt_dtype_get(c->given)->name, "reason", c->why);
    if (o && c->rule) json_object_set_new(o, "rule", json_string(recipe_rule_text(c->rule, rule, sizeof rule)));
    return o;
}

smelt_status show_recipe(const smelt_plan *plan, const smelt_choice *choices, const char *mix, bool json, smelt_err *err)
{
    for (size_t i = 0; !json && i < plan->out.n_tensors; i++)
        print_line(&plan->out.tensors[i], &choices[i]);
    if (!json) return SMELT_OK;
    json_t *tensors = json_array();
    for (size_t i = 0; i < plan->out.n_tensors; i++)
        json_array_append_new(tensors, object(&plan->out.tensors[i], &choices[i]));
    const bool whole = json_array_size(tensors) == plan->out.n_tensors;
    json_t *all = json_pack("{s:s, s:o}", "type", mix, "tensors", tensors);
    char *text = all && whole ? json_dumps(all, JSON_INDENT(1)) : NULL;
    if (text) puts(text);
    smelt_json_free(text);
    json_decref(all);
    return text ? SMELT_OK : smelt_oom(err);
}
