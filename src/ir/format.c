#include "ir/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

void ctx_warn(const smelt_ctx *ctx, const char *fmt, ...)
{
    if (!ctx->warn) return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    /* Warnings quote names from files; what a terminal would obey must not come through. */
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = '?';
    ctx->warn(ctx->user, text);
}

smelt_status layout_add_file(smelt_layout *l, const char *name, const void *header, uint64_t header_size, uint64_t size, int *index,
                             smelt_err *err)
{
    char *copy = arena_strdup(&l->arena, name);
    if (!copy || !arena_room(&l->arena, &l->files, l->n_files, &l->cap_files, sizeof *l->files)) return smelt_oom(err);
    if (index) *index = (int)l->n_files;
    l->files[l->n_files++] = (smelt_out_file){copy, header, header_size, size};
    return SMELT_OK;
}

smelt_status layout_add_blob(smelt_layout *l, int file, uint64_t offset, const void *data, uint64_t size, smelt_err *err)
{
    if (!arena_room(&l->arena, &l->blobs, l->n_blobs, &l->cap_blobs, sizeof *l->blobs)) return smelt_oom(err);
    l->blobs[l->n_blobs++] = (smelt_out_blob){file, offset, data, size};
    return SMELT_OK;
}

smelt_status layout_add_mark(smelt_layout *l, int file, uint64_t offset, const char *what, const char *name, smelt_err *err)
{
    if (!arena_room(&l->arena, &l->marks, l->n_marks, &l->cap_marks, sizeof *l->marks)) return smelt_oom(err);
    l->marks[l->n_marks++] = (smelt_out_mark){file, offset, what, name};
    return SMELT_OK;
}

smelt_status layout_add_patch(smelt_layout *l, int file, uint64_t offset, smelt_err *err)
{
    if (!arena_room(&l->arena, &l->patches, l->n_patches, &l->cap_patches, sizeof *l->patches)) return smelt_oom(err);
    l->patches[l->n_patches++] = (smelt_out_patch){file, offset};
    return SMELT_OK;
}

/* Things people hand over by mistake, by their first bytes. */
static const char *guess(const smelt_probe *p)
{
    static const struct {
        const char *magic, *what;
    } known[] = {
        {"version https://git-lfs", "a Git LFS pointer; fetch the real file with `git lfs pull`"},
        {"<!DOCTYPE", "a web page; the download went wrong"},
        {"<!doctype", "a web page; the download went wrong"},
        {"<html", "a web page; the download went wrong"},
        {"\x1f\x8b", "gzip-compressed; unpack it first"},
        {"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it first"},
        {"\x7f"
         "ELF",
         "a program"},
        {"\x89HDF", "an HDF5 file (Keras, TensorFlow); convert it to safetensors first"},
        {"{", "JSON; give the model's directory"},
        {"ggml", "a GGML file from before GGUF; convert it with an older llama.cpp first"},
        {"ggjt", "a GGML file from before GGUF; convert it with an older llama.cpp first"},
        {"FUGG", "a big-endian GGUF"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (p->head_size >= strlen(known[i].magic) && memcmp(p->head, known[i].magic, strlen(known[i].magic)) == 0)
            return known[i].what;
    return NULL;
}

static smelt_status unknown(const smelt_ctx *ctx, const smelt_probe *p, smelt_err *err)
{
    char names[256] = "";
    for (const smelt_format *const *f = ctx->formats; *f; f++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", (*f)->title);
    }
    const char *what = guess(p);
    smelt_status st;
    if (p->is_dir)
        st = smelt_fail(err, SMELT_E_UNSUPPORTED,
                        "the directory has no config.json and no model weights that are known by their names");
    else if (!p->file_size)
        st = smelt_fail(err, SMELT_E_TRUNCATED, "the file is empty");
    else if (what)
        st = smelt_fail(err, SMELT_E_UNSUPPORTED, "this is %s", what);
    else
        st = smelt_fail(err, SMELT_E_UNSUPPORTED, "unknown format, first bytes %02x %02x %02x %02x; known are: %s", p->head[0],
                        p->head_size > 1 ? p->head[1] : 0, p->head_size > 2 ? p->head[2] : 0, p->head_size > 3 ? p->head[3] : 0,
                        names);
    smelt_err_where(err, "%s", p->path);
    return st;
}

smelt_status format_probe(const smelt_ctx *ctx, const char *path, const smelt_format **out, smelt_err *err)
{
    smelt_probe p = {.path = path, .is_dir = path_is_dir(path)};
    smelt_map *map = NULL;
    if (!p.is_dir) {
        SMELT_TRY(map_open(path, &map, err));
        p.head = map->data;
        p.file_size = map->size;
        p.head_size = map->size < 4096 ? (size_t)map->size : 4096;
    }
    *out = NULL;
    for (const smelt_format *const *f = ctx->formats; *f && !*out; f++)
        if ((*f)->probe(&p)) *out = *f;
    smelt_status st = *out ? SMELT_OK : unknown(ctx, &p, err);
    map_close(map);
    return st;
}

smelt_status source_open(const smelt_ctx *ctx, const char *path, smelt_model *model, smelt_err *err)
{
    model_init(model);
    const smelt_format *format;
    SMELT_TRY(format_probe(ctx, path, &format, err));
    model->format = format->name;
    model->format_title = format->title;
    model->path = arena_strdup(&model->arena, path);
    model->title = path_base(&model->arena, path);
    if (!model->path || !model->title) return smelt_oom(err);
    return format->read(ctx, path, model, err);
}

static bool has_extension(const smelt_format *f, const char *target)
{
    size_t n = strlen(target);
    for (const char *e = f->extensions; e && *e;) {
        size_t len = strcspn(e, " ");
        if (len < n && memcmp(target + n - len, e, len) == 0) return true;
        e += len;
        e += strspn(e, " ");
    }
    return false;
}

smelt_status format_for_target(const smelt_ctx *ctx, const char *target, const char *name, const smelt_format **out, smelt_err *err)
{
    const char *base = strrchr(target, '/');
    base = base ? base + 1 : target;
    const smelt_format *dir = NULL;
    for (const smelt_format *const *f = ctx->formats; *f; f++) {
        if (!(*f)->layout) continue;
        if (name ? strcmp((*f)->name, name) == 0 : has_extension(*f, target)) {
            *out = *f;
            return SMELT_OK;
        }
        if (has_extension(*f, "x/")) dir = *f;
    }
    /* No extension that looks like a file's: a directory. */
    const char *dot = strrchr(base, '.');
    bool bare = !dot || strspn(dot + 1, "0123456789") > 0 || path_is_dir(target);
    if (!name && dir && bare) {
        *out = dir;
        return SMELT_OK;
    }
    if (name) return smelt_fail(err, SMELT_E_USAGE, "no format '%s' can be written", name);
    return smelt_fail(err, SMELT_E_USAGE,
                      "'%s' does not say which format to write: end it in .gguf, .safetensors, .pt, or / for a directory", target);
}
