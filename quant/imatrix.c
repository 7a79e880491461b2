#include "quant/imatrix.h"

#include <math.h>
#include <stdio.h>

#include "arch/arch.h"
#include "base/bytes.h"

enum { SHOW = 20, STEP = 1024 };

/* The name without a suffix; 0 if it does not end so. */
static size_t stem_of(const char *name, const char *suffix)
{
    const size_t n = strlen(name), len = strlen(suffix);
    return n > len && strcmp(name + n - len, suffix) == 0 ? n - len : 0;
}

static const char sums_suffix[] = ".in_sum2", counts_suffix[] = ".counts";

static const smelt_tensor *partner(const smelt_imatrix *im, const char *name, size_t stem, const char *suffix, smelt_arena *tmp)
{
    const char *other = arena_printf(tmp, "%.*s%s", (int)stem, name, suffix);
    return other ? model_find(&im->file, other) : NULL;
}

static bool any_in(const char *name, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

static bool wanted(const char *name, const smelt_imatrix_opts *o)
{
    return (!o->n_include || any_in(name, o->include, o->n_include)) && !any_in(name, o->exclude, o->n_exclude);
}

/* Whole numbers, stored as floats. */
static const float *read_counts(const smelt_tensor *t, smelt_arena *arena, uint64_t *n)
{
    *n = view_rows(t->view) * view_cols(t->view);
    float *v = arena_calloc(arena, *n, sizeof *v);
    if (!v) return NULL;
    view_read(t->view, 0, 0, *n, v);
    for (uint64_t i = 0; i < *n; i++)
        v[i] = roundf(v[i]);
    return v;
}

/* Sums of matrices that were never used may be anything: nobody looks at them. */
static smelt_status check_values(const smelt_imatrix_entry *e, const float *counts, uint64_t n_counts, smelt_err *err)
{
    float v[STEP];
    const uint64_t width = view_cols(e->sums->view), n = view_rows(e->sums->view) * width, each = n / n_counts;
    for (uint64_t m = 0; m < n_counts; m++) {
        if (!isfinite(counts[m]))
            return smelt_fail(err, SMELT_E_CORRUPT, "the count %" PRIu64 " of '%s' is not finite", m, e->name);
        if (counts[m] <= 0) continue;
        for (uint64_t at = m * each; at < (m + 1) * each; at += STEP) {
            const uint64_t left = (m + 1) * each - at, step = left < STEP ? left : STEP;
            view_read(e->sums->view, at / width, at % width, step, v);
            for (uint64_t i = 0; i < step; i++)
                if (!(v[i] >= 0 && isfinite(v[i])))
                    return smelt_fail(err, SMELT_E_CORRUPT, "the value %" PRIu64 " of '%s' is %g, expected a sum of squares",
                                      at + i, e->name, (double)v[i]);
        }
    }
    return SMELT_OK;
}

static smelt_status add(smelt_imatrix *im, const smelt_tensor *sums, size_t stem, const smelt_imatrix_opts *opts, smelt_arena *tmp,
                        smelt_err *err)
{
    smelt_arena *arena = &im->file.arena;
    smelt_imatrix_entry e = {.name = arena_strndup(arena, sums->name, stem), .sums = sums};
    if (!e.name) return smelt_oom(err);
    e.counts = partner(im, sums->name, stem, counts_suffix, tmp);
    if (!e.counts) return smelt_fail(err, SMELT_E_CORRUPT, "'%s' has no '%s%s' beside it", sums->name, e.name, counts_suffix);
    if (sums->dtype != SMELT_DT_F32 || e.counts->dtype != SMELT_DT_F32)
        return smelt_fail(err, SMELT_E_CORRUPT, "sums and counts of '%s' are %s and %s, expected f32", e.name,
                          smelt_dtype_get(sums->dtype)->name, smelt_dtype_get(e.counts->dtype)->name);
    uint64_t n, n_sums = view_rows(sums->view) * view_cols(sums->view);
    const float *counts = read_counts(e.counts, tmp, &n);
    if (!counts) return smelt_oom(err);
    if (!n || n_sums % n)
        return smelt_fail(err, SMELT_E_CORRUPT, "'%s' has %" PRIu64 " sums, which %" PRIu64 " counts do not divide", e.name, n_sums,
                          n);
    if (!wanted(e.name, opts)) return SMELT_OK;
    SMELT_TRY(check_values(&e, counts, n, err));
    bool added;
    if (!arena_room(arena, &im->entries, im->n, &im->cap, sizeof *im->entries) ||
        !strmap_add(&im->names, e.name, stem, im->n, &added))
        return smelt_oom(err);
    im->entries[im->n++] = e;
    return SMELT_OK;
}

static smelt_status read_entries(smelt_imatrix *im, const smelt_imatrix_opts *opts, smelt_arena *tmp, smelt_err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < im->file.n_tensors; i++) {
        const smelt_tensor *t = &im->file.tensors[i];
        const size_t sums = stem_of(t->name, sums_suffix), counts = stem_of(t->name, counts_suffix);
        if (counts && !partner(im, t->name, counts, sums_suffix, tmp))
            return smelt_fail(err, SMELT_E_CORRUPT, "'%s' has no '%.*s%s' beside it", t->name, (int)counts, t->name, sums_suffix);
        if (!sums) continue;
        found++;
        SMELT_TRY(add(im, t, sums, opts, tmp, err));
    }
    if (found) return SMELT_OK;
    return smelt_fail(err, SMELT_E_UNSUPPORTED, "this %s file is no importance matrix: no tensor's name ends in %s",
                      im->file.format_title, sums_suffix);
}

/* The beginning of a text as far as it is UTF-8; llama-quantize cuts at as many bytes. */
static smelt_str cut(const char *s, uint64_t n)
{
    enum { MOST = 127 };
    uint64_t len = n < MOST ? n : MOST;
    const char *nul = memchr(s, 0, (size_t)len);
    if (nul) len = (uint64_t)(nul - s);
    while (!utf8_valid(s, (size_t)len))
        len--;
    return (smelt_str){s, len};
}

static smelt_status make_keys(smelt_imatrix *im, const char *name, smelt_err *err)
{
    const smelt_meta *meta = &im->file.meta;
    const smelt_kv *texts = meta_find(meta, "imatrix.datasets");
    uint64_t chunks = 0;
    if (meta_find(meta, "imatrix.chunk_count") && (!meta_get_u64(meta, "imatrix.chunk_count", &chunks) || chunks > INT32_MAX))
        return smelt_fail(err, SMELT_E_CORRUPT, "imatrix.chunk_count is no number of chunks");
    if (texts && (texts->type != SMELT_KV_ARRAY || texts->v.a.type != SMELT_KV_STR)) texts = NULL;
    im->keys[im->n_keys++] = (smelt_kv){.key = "quantize.imatrix.file", .type = SMELT_KV_STR, .v.s = cut(name, strlen(name))};
    if (texts && texts->v.a.n) {
        const smelt_str *first = texts->v.a.data;
        im->keys[im->n_keys++] =
            (smelt_kv){.key = "quantize.imatrix.dataset", .type = SMELT_KV_STR, .v.s = cut(first->p, first->n)};
    }
    im->keys[im->n_keys++] = (smelt_kv){.key = "quantize.imatrix.entries_count", .type = SMELT_KV_U32, .v.u = im->n};
    if (chunks) im->keys[im->n_keys++] = (smelt_kv){.key = "quantize.imatrix.chunks_count", .type = SMELT_KV_U32, .v.u = chunks};
    return SMELT_OK;
}

static void warn_unused(const smelt_ctx *ctx, const smelt_imatrix *im, const char *option, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool used = false;
        for (size_t k = 0; k < im->file.n_tensors && !used; k++) {
            const char *name = im->file.tensors[k].name;
            const char *at = strstr(name, parts[i]);
            used = at && (size_t)(at - name) + strlen(parts[i]) <= stem_of(name, sums_suffix);
        }
        if (!used) ctx_warn(ctx, "%s %s: no entry of %s has that in its name", option, parts[i], im->path);
    }
}

smelt_status imatrix_open(const smelt_ctx *ctx, const smelt_imatrix_opts *opts, smelt_imatrix *im, smelt_err *err)
{
    *im = (smelt_imatrix){.path = opts->path};
    model_init(&im->file);
    if (opts->n_include && opts->n_exclude)
        return smelt_fail(err, SMELT_E_USAGE, "--include-weights and --exclude-weights cannot be used together");
    SMELT_TRY(source_open(ctx, opts->path, &im->file, err));
    im->names.arena = &im->file.arena;
    smelt_arena tmp = {0};
    smelt_status st = read_entries(im, opts, &tmp, err);
    arena_free(&tmp);
    if (st == SMELT_OK && im->n) st = make_keys(im, opts->name ? opts->name : im->path, err);
    if (st != SMELT_OK) {
        smelt_err_where(err, "%s", opts->path);
        return st;
    }
    warn_unused(ctx, im, "--include-weights", opts->include, opts->n_include);
    warn_unused(ctx, im, "--exclude-weights", opts->exclude, opts->n_exclude);
    return SMELT_OK;
}

void imatrix_free(smelt_imatrix *im)
{
    model_free(&im->file);
    *im = (smelt_imatrix){0};
}

/* What imatrix_match says at its end. */
typedef struct findings {
    smelt_err wrong;
    size_t n_wrong, n_without, n_used, n_starved;
    char without[512];
} findings;

static uint64_t matrices_of(const smelt_tensor *t)
{
    uint64_t n = 1;
    for (int i = 0; i < t->shape.n - 2; i++)
        n *= t->shape.dim[i];
    return n;
}

/* True if a matrix was never used: said by its count, or, in files that have one count for all, by columns that are all one. */
static bool starved(const smelt_importance *im, uint64_t matrix, float *row)
{
    if (im->n_counts > 1 || im->matrices < 2) return !(im->counts[im->n_counts > 1 ? matrix : 0] > 0);
    importance_row(im, matrix, row);
    for (uint64_t i = 0; i < im->cols; i++)
        if (row[i] != 1.0f) return false;
    return true;
}

static smelt_status warn_starved(const smelt_ctx *ctx, const smelt_tensor *t, const smelt_importance *im, findings *f,
                                 smelt_err *err)
{
    smelt_arena tmp = {0};
    char list[160] = "";
    uint64_t n = 0;
    float *row = arena_calloc(&tmp, im->cols, sizeof *row);
    for (uint64_t m = 0; row && m < im->matrices; m++) {
        if (!starved(im, m, row)) continue;
        const size_t len = strlen(list);
        if (len + 24 < sizeof list)
            snprintf(list + len, sizeof list - len, "%s%" PRIu64, n ? ", " : "", m);
        else if (len + 4 < sizeof list)
            memcpy(list + len, " …", sizeof " …");
        n++;
    }
    arena_free(&tmp);
    if (!row) return smelt_oom(err);
    if (!n) return SMELT_OK;
    if (f->n_starved++ < SHOW)
        ctx_warn(ctx, "calibration never reached %" PRIu64 " of the %" PRIu64 " matrices of '%s' (%s): their columns count alike",
                 n, im->matrices, t->name, list);
    return SMELT_OK;
}

static smelt_status match_one(const smelt_ctx *ctx, const smelt_imatrix *im, smelt_model *out, const smelt_tensor *t,
                              const smelt_importance **found, findings *f, smelt_err *err)
{
    size_t k;
    const bool ends = t->role == SMELT_R_TOKEN_EMBD || t->role == SMELT_R_OUTPUT;
    const char *name = t->before ? t->before : t->name;
    if (!strmap_get(&im->names, name, strlen(name), &k)) {
        const size_t len = strlen(f->without);
        const bool left_out = partner(im, name, strlen(name), sums_suffix, &out->arena);
        /* Calibration does not look at the two ends of a model unless it is told to. */
        if (!ends && !left_out && f->n_without++ < SHOW)
            snprintf(f->without + len, sizeof f->without - len, "%s%s", len ? ", " : "", t->name);
        return SMELT_OK;
    }
    const smelt_imatrix_entry *e = &im->entries[k];
    const uint64_t matrices = matrices_of(t), cols = t->shape.dim[t->shape.n - 1];
    const uint64_t have = view_rows(e->sums->view) * view_cols(e->sums->view);
    f->n_used++;
    if (have != matrices * cols) {
        /* As in llama.cpp, where an entry for the embedding is never what it seems to be. */
        if (t->role != SMELT_R_TOKEN_EMBD && f->n_wrong++ < SHOW)
            smelt_err_add(&f->wrong, "  %s: %" PRIu64 " values for %" PRIu64 " x %" PRIu64 " columns", t->name, have, matrices,
                          cols);
        return SMELT_OK;
    }
    smelt_importance *imp = arena_calloc(&out->arena, 1, sizeof *imp);
    if (!imp) return smelt_oom(err);
    *imp = (smelt_importance){.sums = e->sums->view, .matrices = matrices, .cols = cols};
    imp->counts = read_counts(e->counts, &out->arena, &imp->n_counts);
    if (!imp->counts) return smelt_oom(err);
    if (imp->n_counts != 1 && imp->n_counts != matrices) {
        if (f->n_wrong++ < SHOW)
            smelt_err_add(&f->wrong, "  %s: %" PRIu64 " counts for %" PRIu64 " matrices", t->name, imp->n_counts, matrices);
        return SMELT_OK;
    }
    *found = imp;
    return warn_starved(ctx, t, imp, f, err);
}

smelt_status imatrix_match(const smelt_ctx *ctx, const smelt_imatrix *im, smelt_model *out, const smelt_choice *choices,
                           const smelt_importance **importance, smelt_err *err)
{
    findings f = {0};
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        importance[i] = NULL;
        if (!im->n || choices[i].given == t->dtype || smelt_dtype_get(choices[i].given)->kind != SMELT_KIND_BLOCK || !t->shape.n)
            continue;
        SMELT_TRY(match_one(ctx, im, out, t, &importance[i], &f, err));
    }
    if (f.n_wrong)
        return smelt_fail(err, SMELT_E_MISMATCH, "%s is not for this model: its entries for %zu tensors have other sizes%s:\n%s",
                          im->path, f.n_wrong, f.n_wrong > SHOW ? " (first ones shown)" : "", f.wrong.text);
    if (im->n && !f.n_used && f.n_without)
        return smelt_fail(err, SMELT_E_MISMATCH, "%s is not for this model: it has entries such as '%s', but none for %s%s",
                          im->path, im->entries[0].name, f.without, f.n_without > SHOW ? " …" : "");
    if (f.n_without)
        ctx_warn(ctx, "%s has no entries for %zu tensors, which are quantised without: %s%s", im->path, f.n_without, f.without,
                 f.n_without > SHOW ? " …" : "");
    if (f.n_starved > SHOW) ctx_warn(ctx, "the same for %zu more tensors", f.n_starved - SHOW);
    return SMELT_OK;
}
