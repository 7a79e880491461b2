#include "tools/manifest.h"

#include <string.h>

#include "base/json.h"
#include "tools/recorded.h"

static json_t *text(const char *s) { return s ? smelt_json_string(s, strlen(s)) : json_null(); }
static json_t *number(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *file_entry(const char *name, uint64_t bytes)
{
    return json_pack("{s:o, s:o}", "name", text(name), "bytes", number(bytes));
}

static json_t *source(const smelt_model *m)
{
    json_t *files = json_array();
    /* The list begins with the file that was opened last. */
    for (const smelt_map *map = m->maps; map; map = map->next)
        json_array_insert_new(files, 0, file_entry(map->path, map->size));
    return json_pack("{s:o, s:o, s:o}", "path", text(m->path), "format", text(m->format), "files", files);
}

static json_t *target(const smelt_plan *plan)
{
    json_t *files = json_array();
    for (size_t i = 0; i < plan->layout.n_files; i++)
        json_array_append_new(files, file_entry(plan->layout.files[i].name, plan->layout.files[i].size));
    return json_pack("{s:o, s:o, s:o}", "path", text(plan->target), "format", text(plan->format->name), "files", files);
}

static json_t *tensor(const smelt_plan *plan, const smelt_out_tensor *o, const smelt_choice *c, const smelt_tensor_result *r)
{
    json_t *shape = json_array();
    for (int d = 0; d < o->src->shape.n; d++)
        json_array_append_new(shape, number(o->src->shape.dim[d]));
    json_t *from = json_pack("{s:o, s:o, s:s}", "name", text(o->src->origin), "file", text(o->src->file), "type",
                             smelt_dtype_get(o->src->dtype)->name);
    json_t *t =
        json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "name", text(o->src->name), "source", from, "shape", shape,
                  "asked", smelt_dtype_get(c->asked)->name, "given", smelt_dtype_get(c->given)->name, "reason", c->why, "file",
                  text(plan->layout.files[o->file].name), "offset", number(o->offset), "bytes", number(o->bytes));
    if (!r || !t) return t;
    char hex[HASH_HEX + 1];
    if (r->replaced) json_object_set_new(t, "replaced", number(r->replaced));
    json_object_set_new(t, "xxh3_128", json_string(hash_hex(r->hash, hex)));
    return t;
}

static json_t *manifest(const conversion *c, const smelt_plan *plan, const smelt_choice *choices,
                        const smelt_tensor_result *results)
{
    json_t *tensors = json_array();
    uint64_t in = 0, out = 0, substituted = 0, replaced = 0;
    for (size_t i = 0; i < plan->layout.n_tensors; i++) {
        const smelt_out_tensor *o = &plan->layout.tensors[i];
        const smelt_choice *choice = &choices[o->src - plan->out.tensors];
        in += view_bytes_total(o->src->view);
        out += o->bytes;
        substituted += choice->asked != choice->given;
        replaced += results ? results[i].replaced : 0;
        json_array_append_new(tensors, tensor(plan, o, choice, results ? &results[i] : NULL));
    }
    const uint64_t params = model_params(&plan->out);
    json_t *totals = json_pack("{s:o, s:o, s:o, s:o, s:f, s:o, s:o}", "tensors", number(plan->layout.n_tensors), "parameters",
                               number(params), "bytes_in", number(in), "bytes_out", number(out), "bits_per_weight",
                               bits_per_weight(out, params), "substituted", number(substituted), "replaced", number(replaced));
    return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "smelt", smelt_version(), "command", c->command->name, "type",
                     text(c->type), "options", options_given(c->command, c->opts), "dry_run", c->run->dry_run, "source",
                     source(plan->src), "target", target(plan), "totals", totals, "tensors", tensors);
}

smelt_status manifest_open(const conversion *c, smelt_sink **sink, smelt_err *err)
{
    if (strcmp(c->run->manifest, c->dst) == 0 || strcmp(c->run->manifest, c->src) == 0)
        return smelt_fail(err, SMELT_E_USAGE, "--manifest '%s' names the model itself", c->run->manifest);
    smelt_status st = sink_open(c->run->manifest, false, false, sink, err);
    if (st != SMELT_OK) smelt_err_where(err, "--manifest");
    return st;
}

smelt_status manifest_write(smelt_sink *sink, const conversion *c, const smelt_plan *plan, const smelt_choice *choices,
                            const smelt_tensor_result *results, smelt_err *err)
{
    smelt_arena arena = {0};
    int file;
    json_t *j = manifest(c, plan, choices, results);
    char *dump = j ? json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL, *name = path_base(&arena, c->run->manifest);
    smelt_status st = dump && name ? SMELT_OK : smelt_oom(err);
    if (st == SMELT_OK) st = sink_add(sink, name, strlen(dump) + 1, &file, err);
    if (st == SMELT_OK) st = sink_write(sink, file, dump, strlen(dump), 0, err);
    if (st == SMELT_OK) st = sink_write(sink, file, "\n", 1, strlen(dump), err);
    if (st == SMELT_OK) st = sink_commit(sink, err);
    if (st != SMELT_OK) smelt_err_where(err, "--manifest");
    smelt_json_free(dump);
    json_decref(j);
    arena_free(&arena);
    return st;
}
