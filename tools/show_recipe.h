/* What --print-recipe says. */
#ifndef SMELT_TOOLS_SHOW_RECIPE_H
#define SMELT_TOOLS_SHOW_RECIPE_H

#include "convert/plan.h"
#include "quant/recipe.h"

/* Every tensor with its type and the reason, as lines or as JSON. */
smelt_status show_recipe(const smelt_plan *plan, const smelt_choice *choices, const char *mix, bool json, smelt_err *err);

#endif
