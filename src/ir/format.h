/* An on-disk format: one file in formats/ that ends in one const table of this type. */
#ifndef SMELT_IR_FORMAT_H
#define SMELT_IR_FORMAT_H

#include "ir/audit.h"
#include "ir/ctx.h"
#include "ir/importance.h"
#include "ir/provenance.h"

/* What a probe gets to see. */
typedef struct smelt_probe {
    const char *path;
    bool is_dir;
    const uint8_t *head; /* first bytes of a file */
    size_t head_size;    /* up to 4096 */
    uint64_t file_size;
} smelt_probe;

typedef struct smelt_write_opts {
    uint64_t split_bytes;   /* largest size of a file, 0: the format's default */
    uint64_t split_tensors; /* largest number of tensors in a file, 0: no limit */
    uint32_t alignment;     /* of tensor data, 0: the format's default */
    int file_type;          /* GGUF general.file_type, -1: leave out or keep */
    bool quantized;         /* written by quantize: the key order is that of a quantizer's output */
    bool keep_split;        /* a file for each of the source's, whose tensors come in the order of plan_sort_by_file */
    const smelt_kv *keys;   /* [n_keys] set after all others */
    size_t n_keys;
    const smelt_provenance *provenance; /* what the file is to say of its making; NULL: nothing */
} smelt_write_opts;

typedef struct smelt_out_file {
    const char *name;   /* relative to the target directory, or beside the target file */
    const void *header; /* written at offset 0; the whole content of a small file */
    uint64_t header_size;
    uint64_t size; /* of the whole file; what nothing is written to is zeros */
} smelt_out_file;

typedef struct smelt_out_tensor {
    const smelt_tensor *src; /* in the projected model */
    smelt_dtype dtype;       /* as stored */
    int file;
    uint64_t offset, bytes;
    const smelt_importance *importance; /* of the columns, for encoders that weigh errors; may be NULL */
} smelt_out_tensor;

/* Bytes between or behind the tensors, where a format needs some: a zip's local headers and directory. */
typedef struct smelt_out_blob {
    int file;
    uint64_t offset;
    const void *data;
    uint64_t size;
} smelt_out_blob;

/* What begins at an offset of a header, so that messages can say it: what = "key", name = "general.name". */
typedef struct smelt_out_mark {
    int file;
    uint64_t offset;
    const char *what, *name;
} smelt_out_mark;

/* Where a header has room for the HASH_HEX digits of the source's content, which are known when all of it was read. */
typedef struct smelt_out_patch {
    int file;
    uint64_t offset;
} smelt_out_patch;

/* The finished plan of an output: every file with its size, every tensor with its place. Lives in its arena. */
typedef struct smelt_layout {
    smelt_arena arena;
    bool dir; /* the target is a directory */
    smelt_out_file *files;
    size_t n_files, cap_files;
    smelt_out_tensor *tensors;
    size_t n_tensors, cap_tensors;
    smelt_out_blob *blobs;
    size_t n_blobs, cap_blobs;
    smelt_out_mark *marks; /* in the order of files and offsets */
    size_t n_marks, cap_marks;
    smelt_out_patch *patches;
    size_t n_patches, cap_patches;
} smelt_layout;

smelt_status layout_add_file(smelt_layout *layout, const char *name, const void *header, uint64_t header_size, uint64_t size,
                             int *index, smelt_err *err);
/* `data` is borrowed: it lies in the layout's arena, or is static. */
smelt_status layout_add_blob(smelt_layout *layout, int file, uint64_t offset, const void *data, uint64_t size, smelt_err *err);

/* `what` is static, `name` lies in an arena that lives as long as the layout. */
smelt_status layout_add_mark(smelt_layout *layout, int file, uint64_t offset, const char *what, const char *name, smelt_err *err);
smelt_status layout_add_patch(smelt_layout *layout, int file, uint64_t offset, smelt_err *err);

typedef struct smelt_format {
    const char *name;       /* "gguf" */
    const char *extensions; /* of targets, space-separated, with dots: ".gguf"; "/" for a directory */
    const char *title;      /* "GGUF" for people */
    /* True if the source looks like this format; the first format in formats.def that says so gets it. */
    bool (*probe)(const smelt_probe *probe);
    /* Validates headers and adds tensors, metadata and so on to the model; opens no more than it must and reads no tensor
     * data. `path` may be one shard of several for a container format. */
    smelt_status (*read)(const smelt_ctx *ctx, const char *path, smelt_model *model, smelt_err *err);
    /* Fills `out` (initialised by the caller) with the tensors this format stores for `model`, in its order, under its names,
     * with views from the model's; types may still change. `out` borrows from `model`. NULL: the format is not written. */
    smelt_status (*project)(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err);
    /* Lays out the files for the projected model, types[i] being the stored type of out->tensors[i]. */
    smelt_status (*layout)(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                           const char *target, const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err);
    bool (*can_store)(smelt_dtype dtype);
    /* Reports what is in the file (or directory) beyond what a reader of weights asks for, also where `read` refuses it: code, hidden
     * bytes, templates, metadata that contradict the file. Goes as far as the structure can be followed and is silent where it cannot:
     * that `read` refuses is reported by the caller. Fails only for the system's reasons. NULL: there is nothing of the kind. */
    smelt_status (*audit)(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err);
} smelt_format;

/* Opens any source: finds the format by its content, reads it, maps names and hyperparameters. model_free after use, also
 * after an error. */
smelt_status source_open(const smelt_ctx *ctx, const char *path, smelt_model *model, smelt_err *err);
/* The container format of one file, for readers of directories. E_UNSUPPORTED with what was found if none takes it. */
smelt_status format_probe(const smelt_ctx *ctx, const char *path, const smelt_format **out, smelt_err *err);
/* The format that a target's name asks for ("x.gguf", "dir/"); `name`, if not NULL, asks for it by name. */
smelt_status format_for_target(const smelt_ctx *ctx, const char *target, const char *name, const smelt_format **out,
                               smelt_err *err);

#endif
