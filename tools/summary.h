/* What a conversion did or would do, in lines for people. */
#ifndef SMELT_TOOLS_SUMMARY_H
#define SMELT_TOOLS_SUMMARY_H

#include "convert/stream.h"
#include "quant/recipe.h"

/* The bytes of a tensor in the layout; 0 if it is not there. */
uint64_t planned_bytes(const smelt_plan *plan, size_t tensor);

/* One line a tensor: types, sizes, the reason. */
void list_choices(const smelt_plan *plan, const smelt_choice *choices);
/* Every tensor that did not get the type asked for, in groups with their costs; an empty text if there is none. The layout need
 * not be there. NEW: free. NULL when out of memory. */
char *substitutes_text(const smelt_plan *plan, const smelt_choice *choices);
/* How many values were not finite and were replaced, by tensor; nothing if none was. */
void print_replaced(const smelt_plan *plan, const smelt_tensor_result *results, const smelt_stream_stats *stats);
/* The line that ends a run. */
void print_summary(const smelt_plan *plan, const smelt_stream_stats *stats, double seconds);
/* The line that ends a dry run. */
void print_forecast(const smelt_plan *plan, const smelt_stream_stats *stats);

#endif
