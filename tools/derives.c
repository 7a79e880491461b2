#include "tools/derives.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/compose.h"
#include "tools/recorded.h"
#include "tools/run.h"

extern const command cmd_convert, cmd_quantize;

static const command *const makers[] = {&cmd_convert, &cmd_quantize};

/* The name that the file had as a target: without the number of a split. */
static char *target_name(smelt_arena *arena, const char *path)
{
    const size_t n = strlen(path);
    static const char shape[] = "-00000-of-00000.gguf";
    const size_t tail = sizeof shape - 1;
    bool split = n > tail;
    for (size_t i = 0; split && i < tail; i++) {
        const char c = path[n - tail + i];
        split = shape[i] == '0' ? c >= '0' && c <= '9' : c == shape[i];
    }
    return split ? arena_printf(arena, "%.*s.gguf", (int)(n - tail), path) : arena_strdup(arena, path);
}

/* Where a file of the layout is. */
static char *place(const smelt_layout *l, size_t file, const char *candidate, smelt_arena *arena)
{
    if (l->dir) return path_join(arena, candidate, l->files[file].name);
    if (l->n_files == 1) return arena_strdup(arena, candidate);
    char *dir = path_dir(arena, candidate);
    return dir ? path_join(arena, dir, l->files[file].name) : NULL;
}

static void say_region(const smelt_layout *l, const check_region *r, const char *path)
{
    const smelt_out_mark *mark = r->expected ? check_mark(l, r->file, r->first) : NULL;
    printf("  %s: byte %" PRIu64 " is %02x, expected %02x: ", path, r->first, r->found, r->wanted);
    if (r->tensor)
        printf("tensor '%s', byte %" PRIu64 " of it", r->tensor, r->first - r->offset);
    else if (!r->expected)
        printf("padding");
    else if (mark)
        printf("%s%s%s%s", mark->what, *mark->name ? " '" : "", mark->name, *mark->name ? "'" : "");
    else
        printf("%s", l->n_marks && r->first < l->files[r->file].header_size ? "header" : "text");
    if (r->differ > 1) printf(" (%" PRIu64 " bytes differ there)", r->differ);
    putchar('\n');
}

/* Prints what differs; returns how many places that are. */
static size_t say(const smelt_check *c, const char *const *paths)
{
    enum { SHOW = 20 };
    size_t places = 0;
    for (size_t i = 0; i < c->layout->n_files; i++)
        if (c->files[i]->size != c->layout->files[i].size) {
            places++;
            printf("  %s: has %" PRIu64 " bytes, expected %" PRIu64 "\n", paths[i], c->files[i]->size, c->layout->files[i].size);
        }
    for (size_t i = 0; i < c->n; i++)
        if (c->regions[i].differ && places++ < SHOW) say_region(c->layout, &c->regions[i], paths[c->regions[i].file]);
    if (places > SHOW) printf("  and %zu more places\n", places - SHOW);
    return places;
}

static smelt_status open_files(const smelt_layout *l, const char *candidate, smelt_arena *arena, const char **paths,
                               smelt_map **maps, smelt_err *err)
{
    for (size_t i = 0; i < l->n_files; i++) {
        paths[i] = place(l, i, candidate, arena);
        if (!paths[i]) return smelt_oom(err);
        SMELT_TRY(map_open(paths[i], &maps[i], err));
    }
    return SMELT_OK;
}

smelt_status derives_compare(const smelt_ctx *ctx, const smelt_plan *plan, const smelt_stream_opts *stream, derivation *d,
                             smelt_err *err)
{
    const smelt_layout *l = &plan->layout;
    smelt_arena arena = {0};
    smelt_check check = {0};
    uint8_t source[HASH_BYTES];
    char hex[HASH_HEX + 1];
    smelt_map **maps = arena_calloc(&arena, l->n_files, sizeof *maps);
    const char **paths = arena_calloc(&arena, l->n_files, sizeof *paths);
    smelt_status st = maps && paths ? open_files(l, d->opts->candidate, &arena, paths, maps, err) : smelt_oom(err);
    if (st == SMELT_OK) st = check_start(&check, l, (const smelt_map *const *)maps, err);
    if (st == SMELT_OK) st = stream_check(ctx, plan, stream, &check, source, err);
    if (st == SMELT_OK) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < l->n_files; i++)
            bytes += l->files[i].size;
        const smelt_str recorded = d->provenance.value[PROVENANCE_SOURCE];
        const bool known = str_eq(recorded, hash_hex(source, hex));
        if (!known)
            printf("  source: the tensors of %s have the content hash %s, the file was made of %.*s\n", d->opts->source, hex,
                   (int)(recorded.n < 64 ? recorded.n : 64), recorded.p);
        const size_t places = say(&check, paths);
        d->same = known && !places;
        if (d->same)
            printf("same: all %" PRIu64 " bytes of %zu file%s are what the source and the recipe give\n", bytes, l->n_files,
                   l->n_files == 1 ? "" : "s");
        else
            printf("DIFFERENT: this is not what the source and the recipe give\n");
    }
    check_free(&check);
    for (size_t i = 0; maps && i < l->n_files; i++)
        map_close(maps[i]);
    arena_free(&arena);
    return st;
}

/* Runs the recorded command with the recorded options. */
static smelt_status regenerate(const json_t *recipe, derivation *d, smelt_arena *arena, smelt_err *err)
{
    const char *name = json_string_value(json_object_get(recipe, "command")),
               *type = json_string_value(json_object_get(recipe, "type"));
    const command *c = NULL;
    for (size_t i = 0; name && i < sizeof makers / sizeof *makers; i++)
        if (strcmp(makers[i]->name, name) == 0) c = makers[i];
    if (!c) return smelt_fail(err, SMELT_E_CORRUPT, "its recipe names no command that makes files");
    enum { OPERANDS = 3 };
    char *argv[RECORDED_ARGS + 1 + OPERANDS],
        *operands[OPERANDS] = {arena_strdup(arena, d->opts->source), target_name(arena, d->opts->candidate),
                               type ? arena_strdup(arena, type) : NULL};
    const char *operand[RECORDED_ARGS + 1 + OPERANDS];
    int argc, n;
    bool help;
    SMELT_TRY(recorded_args(c, json_object_get(recipe, "options"), d->opts->imatrix, arena, argv, &argc, err));
    void *opts = arena_calloc(arena, 1, c->opts_size);
    char *end = arena_strdup(arena, "--");
    if (!opts || !end || !operands[0] || !operands[1] || (type && !operands[2])) return smelt_oom(err);
    argv[argc++] = end;
    for (int i = 0; i < OPERANDS; i++)
        if (operands[i]) argv[argc++] = operands[i];
    smelt_err why = {0};
    if (opts_parse(c, argc, argv, opts, operand, &n, &help, &why) != SMELT_OK)
        return smelt_fail(err, SMELT_E_CORRUPT, "its recipe cannot be carried out: %s", why.text);
    run_opts *run = opts;
    run->against = d;
    run->quiet = d->opts->quiet;
    run->threads = d->opts->threads;
    return c->run(opts, operand, n, err);
}

smelt_status derives(const derives_opts *o, bool *same, smelt_err *err)
{
    smelt_ctx ctx;
    smelt_model model;
    derivation d = {.opts = o};
    smelt_arena arena = {0};
    json_t *recipe = NULL;
    smelt_str imatrix;
    *same = false;
    SMELT_TRY(ctx_init(&ctx, err));
    smelt_status st = source_open(&ctx, o->candidate, &model, err);
    if (st == SMELT_OK) {
        provenance_read(&model.meta, &d.provenance);
        d.format = model.format;
        st = provenance_check(&d.provenance, err);
        const smelt_str text = d.provenance.value[PROVENANCE_RECIPE];
        if (st == SMELT_OK) st = smelt_json_parse(text.p, (size_t)text.n, "its recipe", &recipe, err);
        if (st == SMELT_OK && meta_get_str(&model.meta, "quantize.imatrix.file", &imatrix)) {
            d.imatrix_name = arena_strndup(&arena, imatrix.p, (size_t)imatrix.n);
            if (!d.imatrix_name) st = smelt_oom(err);
        }
        d.title = json_string_value(json_object_get(recipe, "source"));
        if (st != SMELT_OK) smelt_err_where(err, "%s", o->candidate);
        if (st == SMELT_OK) printf("%s: made by smelt %s with %.*s\n", o->candidate, smelt_version(), (int)text.n, text.p);
        if (st == SMELT_OK) st = regenerate(recipe, &d, &arena, err);
    }
    *same = d.same;
    json_decref(recipe);
    arena_free(&arena);
    model_free(&model);
    return st;
}
