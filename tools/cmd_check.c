#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tools/check.h"
#include "tools/compose.h"
#include "tools/opts.h"

typedef struct check_opts {
    opt_list targets;
    bool json;
} check_opts;

static const opt options[] = {
    {"--target", OPT_LIST, "PROGRAM", "the program that is to load it; may be repeated", offsetof(check_opts, targets)},
    {"--json", OPT_FLAG, NULL, "print JSON", offsetof(check_opts, json)},
    {0},
};

static const char *target_name(const void *table, size_t i)
{
    (void)table;
    return check_target_name((int)i);
}

static smelt_status find_target(const char *name, int *out, smelt_err *err)
{
    for (int i = 0; i < TARGET_COUNT; i++)
        if (strcmp(check_target_name(i), name) == 0) {
            *out = i;
            return SMELT_OK;
        }
    const char *near = nearest(name, target_name, NULL);
    return smelt_fail(err, SMELT_E_USAGE, "--target: no rules for '%s'%s%s%s", name, near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
}

/* Reasons may have lists in lines of their own. */
static void print_indented(const char *text)
{
    for (; *text; text++) {
        putchar(*text);
        if (*text == '\n') fputs("    ", stdout);
    }
}

static void print_text(const char *path, int target, const check_reason *reasons, size_t n, bool loads)
{
    printf("%s: %s %s it\n", path, check_target_name(target), loads ? "loads" : "would not load");
    for (size_t i = 0; i < n; i++) {
        printf("  %s%s: ", reasons[i].note ? "note, " : "", reasons[i].rule);
        print_indented(reasons[i].text);
        printf(" [%s]\n", reasons[i].source);
    }
}

static json_t *to_json(int target, const check_reason *reasons, size_t n, bool loads)
{
    json_t *list = json_array(), *notes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(reasons[i].note ? notes : list,
                              json_pack("{s:s, s:o, s:s}", "rule", reasons[i].rule, "message",
                                        smelt_json_string(reasons[i].text, strlen(reasons[i].text)), "source", reasons[i].source));
    return json_pack("{s:s, s:b, s:o, s:o}", "target", check_target_name(target), "loads", loads, "reasons", list, "notes", notes);
}

static smelt_status judge(const check_facts *f, const check_opts *o, smelt_err *err)
{
    json_t *list = json_array();
    size_t failed = 0;
    smelt_status st = SMELT_OK;
    for (size_t i = 0; i < o->targets.n && st == SMELT_OK; i++) {
        int target = 0;
        check_reason reasons[CHECK_REASONS];
        st = find_target(o->targets.item[i], &target, err);
        if (st != SMELT_OK) break;
        size_t against;
        const size_t n = check_target(f, target, reasons, &against);
        failed += against > 0;
        if (o->json)
            json_array_append_new(list, to_json(target, reasons, n, !against));
        else
            print_text(f->path, target, reasons, n, !against);
    }
    if (st == SMELT_OK && o->json) {
        json_t *root = json_pack("{s:o, s:O}", "path", smelt_json_string(f->path, strlen(f->path)), "targets", list);
        if (!root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER))
            st = smelt_fail(err, SMELT_E_IO, "cannot write JSON");
        json_decref(root);
        putchar('\n');
    }
    json_decref(list);
    if (st != SMELT_OK || !failed) return st;
    st = smelt_fail(err, SMELT_E_FAILED, "%zu of %zu programs would not load it", failed, o->targets.n);
    smelt_err_where(err, "%s", f->path);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const check_opts *o = opts;
    smelt_ctx ctx;
    check_facts facts;
    int target;
    if (!o->targets.n) return smelt_fail(err, SMELT_E_USAGE, "--target says which program is to load it");
    for (size_t i = 0; i < o->targets.n; i++)
        SMELT_TRY(find_target(o->targets.item[i], &target, err));
    SMELT_TRY(ctx_init(&ctx, err));
    smelt_status st = check_facts_get(&ctx, operand[0], &facts, err);
    if (st == SMELT_OK) st = judge(&facts, o, err);
    check_facts_free(&facts);
    return st;
}

static const char *targets(void)
{
    static const char list[] = ""
#define X(id, name) name " "
        SMELT_TARGETS(X)
#undef X
        ;
    return list;
}

const command cmd_check = {
    .name = "check",
    .summary = "Says whether a program will load a file or directory, and if not, why.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(check_opts),
    .run = run,
    .more = "Ends with 0 if every program named loads it, 1 if one would not, 3 if SRC is no model file at all. Programs:\n",
    .list = targets,
};
