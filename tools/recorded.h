/* How a model was made, as JSON: what manifests and written files say, and the way back to a command's arguments. */
#ifndef SMELT_TOOLS_RECORDED_H
#define SMELT_TOOLS_RECORDED_H

#include "base/json.h"
#include "convert/plan.h"
#include "tools/opts.h"

/* The options that were given and that the output depends on, as they were given. NEW. NULL when out of memory. */
json_t *options_given(const command *c, const void *opts);
/* The same without paths: the contents of text files, the hashes of others. NEW through *out. */
smelt_status options_recorded(const command *c, const void *opts, json_t **out, smelt_err *err);
/* How a file is recorded. NEW through *out. */
smelt_status file_recorded(const char *path, json_t **out, smelt_err *err);

/* Lets write->provenance say how a planned conversion is made; `type` is quantize's, or NULL; takes `options`. In plan->out's
 * arena. */
smelt_status record_recipe(const char *cmd, const char *type, json_t *options, smelt_plan *plan, smelt_write_opts *write,
                           smelt_err *err);

enum { RECORDED_ARGS = 2 * OPT_LIST_MAX };
/* The arguments that a command had, from what options_recorded said of them, with `file` in the place of a hash. In the arena.
 * E_CORRUPT if this is no such record; E_USAGE if a file is needed and `file` is NULL, E_MISMATCH if it is another. */
smelt_status recorded_args(const command *c, const json_t *options, const char *file, smelt_arena *arena, char *argv[RECORDED_ARGS],
                           int *argc, smelt_err *err);

#endif
