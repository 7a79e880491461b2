#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "tools/sarif.h"
#include "verify/audit.h"

typedef struct audit_opts {
    bool json;
    const char *sarif;
    opt_list ignore;
} audit_opts;

static const opt options[] = {
    {"--json", OPT_FLAG, NULL, "print JSON", offsetof(audit_opts, json)},
    {"--sarif", OPT_TEXT, "FILE", "write the findings as SARIF 2.1.0 besides", offsetof(audit_opts, sarif)},
    {"--ignore", OPT_LIST, "ID", "do not report findings of this kind; may be repeated", offsetof(audit_opts, ignore)},
    {0},
};

static const char *finding_name(const void *table, size_t i)
{
    (void)table;
    return i < SMELT_FIND_COUNT ? finding_kind((smelt_finding_id)i)->name : NULL;
}

static smelt_status take_ignored(const opt_list *list, smelt_audit *audit, smelt_err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        smelt_finding_id id;
        if (!finding_by_name(list->item[i], &id)) {
            const char *near = nearest(list->item[i], finding_name, NULL);
            return smelt_fail(err, SMELT_E_USAGE, "--ignore: there is no kind of finding '%s'%s%s%s", list->item[i],
                              near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        }
        audit->ignore[id] = true;
    }
    return SMELT_OK;
}

static uint64_t total(const smelt_audit *a)
{
    uint64_t n = 0;
    for (int i = 0; i < SMELT_FIND_COUNT; i++)
        n += a->ignore[i] ? 0 : a->count[i];
    return n;
}

static void print_text(const smelt_audit *a, const smelt_audit_scope *scope, const char *path)
{
    char bytes[32];
    for (size_t i = 0; i < a->n; i++) {
        const smelt_finding *f = &a->list[i];
        const smelt_finding_kind *k = finding_kind(f->id);
        printf("%s: %s: %s: %s", f->file, sarif_level(k->level), k->name, f->text);
        if (f->offset != SMELT_NO_OFFSET) printf(" (at byte %" PRIu64 ")", f->offset);
        putchar('\n');
    }
    for (int i = 0; i < SMELT_FIND_COUNT; i++)
        if (!a->ignore[i] && a->count[i] > SMELT_FINDINGS_KEPT)
            printf("%s: %" PRIu64 " more findings of the kind %s\n", path, a->count[i] - SMELT_FINDINGS_KEPT,
                   finding_kind((smelt_finding_id)i)->name);
    if (a->unread) printf("%s: note: %s\n", path, a->unread);
    printf("%s: %zu file%s, %" PRIu64 " tensors, %s: ", path, scope->files, scope->files == 1 ? "" : "s", scope->tensors,
           human_bytes(scope->bytes, bytes, sizeof bytes));
    if (total(a))
        printf("%" PRIu64 " finding%s\n", total(a), total(a) == 1 ? "" : "s");
    else
        puts("clean");
}

static smelt_status print_json(const smelt_audit *a, const smelt_audit_scope *scope, const char *path, smelt_err *err)
{
    json_t *list = json_array(), *counts = json_object();
    for (size_t i = 0; i < a->n; i++) {
        const smelt_finding *f = &a->list[i];
        const smelt_finding_kind *k = finding_kind(f->id);
        json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "id", k->name, "level", sarif_level(k->level), "file",
                              smelt_json_string(f->file, strlen(f->file)), "message", smelt_json_string(f->text, strlen(f->text)));
        if (f->offset <= INT64_MAX) json_object_set_new(o, "offset", json_integer((json_int_t)f->offset));
        json_array_append_new(list, o);
    }
    for (int i = 0; i < SMELT_FIND_COUNT; i++)
        if (!a->ignore[i] && a->count[i])
            json_object_set_new(counts, finding_kind((smelt_finding_id)i)->name, json_integer((json_int_t)a->count[i]));
    json_t *root = json_pack("{s:o, s:b, s:i, s:I, s:I, s:s?, s:o, s:o}", "path", smelt_json_string(path, strlen(path)), "clean",
                             total(a) == 0, "files", (int)scope->files, "tensors", (json_int_t)scope->tensors, "bytes",
                             (json_int_t)scope->bytes, "note", a->unread, "counts", counts, "findings", list);
    if (!root) return smelt_oom(err);
    const int bad = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(root);
    putchar('\n');
    return bad ? smelt_fail(err, SMELT_E_IO, "cannot write JSON") : SMELT_OK;
}

static smelt_status tell(const audit_opts *o, const smelt_audit *a, const smelt_audit_scope *scope, const char *path,
                         smelt_err *err)
{
    if (o->sarif) {
        json_t *log = sarif_log(a);
        smelt_status st = log ? json_to_file(log, o->sarif, err) : smelt_oom(err);
        json_decref(log);
        if (st != SMELT_OK) return st;
    }
    if (o->json)
        SMELT_TRY(print_json(a, scope, path, err));
    else
        print_text(a, scope, path);
    const uint64_t n = total(a);
    if (!n) return SMELT_OK;
    const smelt_status st = smelt_fail(err, SMELT_E_FAILED, "the audit has %" PRIu64 " finding%s", n, n == 1 ? "" : "s");
    smelt_err_where(err, "%s", path);
    return st;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const audit_opts *o = opts;
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    smelt_audit audit = {0};
    smelt_audit_scope scope = {0};
    smelt_status st = take_ignored(&o->ignore, &audit, err);
    if (st == SMELT_OK) st = audit_run(&ctx, operand[0], &audit, &scope, err);
    if (st == SMELT_OK) st = tell(o, &audit, &scope, operand[0], err);
    audit_free(&audit);
    return st;
}

/* The kinds of findings with what they mean, for --help. */
static const char *kinds(void)
{
    static const char list[] = ""
#define SMELT_FINDING(id, name, level, text) name " "
#include "ir/audit.def"
#undef SMELT_FINDING
        ;
    return list;
}

const command cmd_audit = {
    .name = "audit",
    .summary = "Looks for code, hidden bytes, hostile templates, contradictions and broken values in a file or directory.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(audit_opts),
    .run = run,
    .more =
        "Ends with 0 if it finds nothing, 1 if it does, 3 if SRC is no model file at all. docs/audit.md explains the findings:\n",
    .list = kinds,
};
