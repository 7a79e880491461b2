#include "verify/audit.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vocab/vocab.h"

typedef struct run {
    smelt_ctx ctx; /* without warnings */
    smelt_audit *audit;
    smelt_audit_scope *scope;
    smelt_strmap done; /* files that were looked at */
    const char **more; /* other parts, found on the way */
    size_t n_more, cap_more;
    smelt_err *err;
} run;

/* What the reader's refusal is called, where nothing that was found before explains it. */
static smelt_status refused(run *r, smelt_status st, const smelt_err *why)
{
    if (st == SMELT_E_NOMEM) return smelt_oom(r->err);
    if (smelt_status_exit_code(st) != 3) {
        *r->err = *why;
        return st;
    }
    if (audit_about(r->audit, r->audit->file)) return SMELT_OK;
    const smelt_finding_id id = st == SMELT_E_UNSUPPORTED ? SMELT_FIND_UNSUPPORTED
                                : st == SMELT_E_MISMATCH  ? SMELT_FIND_META_SHAPE
                                                          : SMELT_FIND_UNREADABLE;
    return audit_add(r->audit, id, why->has_offset ? why->offset : SMELT_NO_OFFSET, r->err, "%s", why->text);
}

/* What the model as a whole contradicts: a family that the tensors do not fit, more tokens than embeddings. */
static smelt_status contradictions(run *r, const smelt_model *m)
{
    smelt_str name;
    if (!m->arch && m->unmapped && meta_get_str(&m->meta, "general.architecture", &name) &&
        arch_by_name(name.p, name.n, &m->meta) && !meta_find(&m->meta, "imatrix.chunk_count"))
        SMELT_TRY(audit_add(r->audit, SMELT_FIND_META_SHAPE, SMELT_NO_OFFSET, r->err, "%s", m->unmapped));
    if (m->vocab_err && m->vocab_err->code == SMELT_E_CORRUPT)
        SMELT_TRY(audit_add(r->audit, SMELT_FIND_META_VOCABULARY, SMELT_NO_OFFSET, r->err, "%s", m->vocab_err->text));
    for (size_t i = 0; m->vocab && i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        if (t->role != SMELT_R_TOKEN_EMBD || t->shape.n != 2 || t->shape.dim[0] >= m->vocab->n || m->meta_complete) continue;
        SMELT_TRY(audit_add(r->audit, SMELT_FIND_META_VOCABULARY, SMELT_NO_OFFSET, r->err,
                            "the tokenizer has %zu tokens, the embedding %llu rows", m->vocab->n,
                            (unsigned long long)t->shape.dim[0]));
    }
    return SMELT_OK;
}

/* Files that reading opened besides are parts of the same model. */
static smelt_status remember_parts(run *r, const smelt_model *m)
{
    for (const smelt_map *map = m->maps; map; map = map->next) {
        size_t seen;
        if (strmap_get(&r->done, map->path, strlen(map->path), &seen)) continue;
        const char *copy = arena_strdup(&r->audit->arena, map->path);
        if (!copy || !arena_room(&r->audit->arena, &r->more, r->n_more, &r->cap_more, sizeof *r->more)) return smelt_oom(r->err);
        r->more[r->n_more++] = copy;
    }
    return SMELT_OK;
}

static smelt_status audit_file(run *r, const char *path)
{
    bool added;
    smelt_err why = {0};
    const smelt_format *format;
    const char *copy = arena_strdup(&r->audit->arena, path);
    if (!copy || !strmap_add(&r->done, copy, strlen(copy), 0, &added)) return smelt_oom(r->err);
    if (!added) return SMELT_OK;
    r->audit->file = copy;
    SMELT_TRY(format_probe(&r->ctx, path, &format, r->err));
    r->scope->files++;
    if (format->audit) SMELT_TRY(format->audit(&r->ctx, path, r->audit, r->err));
    smelt_model m;
    smelt_status st = source_open(&r->ctx, path, &m, &why);
    if (st != SMELT_OK)
        st = refused(r, st, &why);
    else {
        const char *base = path_base(&r->audit->arena, path);
        st = base ? audit_values(&r->ctx, &m, base, r->audit, r->scope, r->err) : smelt_oom(r->err);
        if (st == SMELT_OK) st = contradictions(r, &m);
        if (st == SMELT_OK) st = remember_parts(r, &m);
    }
    model_free(&m);
    return st;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Every file of the directory that is of a format. */
static smelt_status audit_files(run *r, const char *dir)
{
    const char **names = NULL;
    size_t n = 0, cap = 0;
    smelt_status st = SMELT_OK;
    smelt_arena *arena = &r->audit->arena;
    DIR *d = opendir(dir);
    if (!d) return smelt_fail_errno(r->err, "cannot read the directory '%s'", dir);
    for (struct dirent *e; st == SMELT_OK && (e = readdir(d));) {
        const char *copy = arena_strdup(arena, e->d_name);
        if (!copy || !arena_room(arena, &names, n, &cap, sizeof *names))
            st = smelt_oom(r->err);
        else
            names[n++] = copy;
    }
    closedir(d);
    if (n) qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n && st == SMELT_OK; i++) {
        char *path, *shown = path_join(arena, dir, names[i]);
        smelt_err why = {0};
        const smelt_format *format;
        if (!shown) return smelt_oom(r->err);
        if (*names[i] == '.' || path_is_dir(shown)) continue;
        st = path_inside(arena, dir, names[i], &path, &why);
        if (st == SMELT_E_FORBIDDEN) {
            r->audit->file = shown;
            st = audit_add(r->audit, SMELT_FIND_UNREADABLE, SMELT_NO_OFFSET, r->err, "%s", why.text);
            continue;
        }
        if (st != SMELT_OK) {
            *r->err = why;
            return st;
        }
        st = format_probe(&r->ctx, path, &format, &why);
        if (st == SMELT_OK)
            st = audit_file(r, shown);
        else if (st != SMELT_E_NOMEM)
            st = SMELT_OK; /* of no format: a text, a picture */
        else
            smelt_oom(r->err);
    }
    return st;
}

static smelt_status audit_dir(run *r, const char *path, const smelt_format *format)
{
    smelt_err why = {0};
    smelt_model m;
    if (format->audit) SMELT_TRY(format->audit(&r->ctx, path, r->audit, r->err));
    SMELT_TRY(audit_files(r, path));
    r->audit->file = path;
    const size_t before = r->audit->n;
    smelt_status st = source_open(&r->ctx, path, &m, &why);
    if (st == SMELT_OK)
        st = contradictions(r, &m);
    else if (smelt_status_exit_code(st) != 3 || (!before && !r->audit->unread))
        st = refused(r, st, &why);
    else
        st = SMELT_OK; /* findings say why */
    model_free(&m);
    return st;
}

smelt_status audit_run(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_audit_scope *scope, smelt_err *err)
{
    run r = {.ctx = *ctx, .audit = audit, .scope = scope, .done = {.arena = &audit->arena}, .err = err};
    smelt_err none = {0};
    r.ctx.warn = NULL;
    if (!err) r.err = &none;
    const smelt_format *format;
    SMELT_TRY(format_probe(ctx, path, &format, err));
    audit->file = path;
    if (path_is_dir(path)) return audit_dir(&r, path, format);
    SMELT_TRY(audit_file(&r, path));
    for (size_t i = 0; i < r.n_more; i++)
        SMELT_TRY(audit_file(&r, r.more[i]));
    return SMELT_OK;
}
