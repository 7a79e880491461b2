/* smelt: model format converter and quantization suite. The public C API.
 *
 * Conventions:
 * - A function that can fail returns a smelt_status and takes a `smelt_err *` last, which may be NULL. The first failure is
 *   recorded there: what was found, what was expected, where. Nothing is printed and nothing exits.
 * - BORROWED pointers stay valid until the object they came from is freed. NEW objects are freed by the caller.
 * - Shapes are row-major, outermost dimension first. Sizes are in bytes unless a name says elements or rows.
 * - Objects may be read from several threads at once; calls that change an object need the caller's lock.
 */
#ifndef SMELT_H
#define SMELT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SMELT_API __attribute__((visibility("default")))
#define SMELT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SMELT_API
#define SMELT_PRINTF(fmt, args)
#endif

/* Every status: name, number (stable), exit code of the command, meaning. */
#define SMELT_STATUS_LIST(X) \
    X(OK, 0, 0, "done") \
    X(E_USAGE, 1, 2, "the request itself is wrong") \
    X(E_CORRUPT, 10, 3, "file content contradicts itself or its format") \
    X(E_TRUNCATED, 11, 3, "file ends before the data it declares") \
    X(E_LIMIT, 12, 3, "a size or count exceeds what is accepted") \
    X(E_UNSUPPORTED, 13, 3, "valid, but not something smelt handles") \
    X(E_FORBIDDEN, 14, 3, "content that is never accepted, such as code in a pickle") \
    X(E_MISMATCH, 15, 3, "parts that do not belong together") \
    X(E_IO, 20, 4, "the system could not read or write") \
    X(E_NOMEM, 21, 4, "out of memory") \
    X(E_CANCELLED, 22, 4, "stopped on request") \
    X(E_FAILED, 30, 1, "verification failed")

typedef enum smelt_status {
#define X(name, number, exit_code, text) SMELT_##name = (number),
    SMELT_STATUS_LIST(X)
#undef X
} smelt_status;

#define SMELT_NO_OFFSET UINT64_MAX

/* Detail of a failure, owned by the caller; initialise with `smelt_err err = {0}`. */
typedef struct smelt_err {
    smelt_status code;
    bool has_offset;
    uint64_t offset; /* byte in `where` at which the trouble was seen, if has_offset */
    char where[512]; /* file, and tensor or key where known; may be empty */
    char text[3072]; /* what was found, what was expected, what to do; UTF-8, may hold several lines */
} smelt_err;

SMELT_API const char *smelt_version(void);
/* Short fixed text of a status, and the exit code that the command gives it. */
SMELT_API const char *smelt_status_text(smelt_status status);
SMELT_API int smelt_status_exit_code(smelt_status status);

/* A model opened for reading. */
typedef struct smelt_model smelt_model;
/* One of its tensors. BORROWED from the model. */
typedef struct smelt_tensor smelt_tensor;

/* Opens a checkpoint of any known format: a Hugging Face directory, .safetensors, .bin/.pt/.pth, .gguf (any part of a split
 * one). Headers are validated, data stay in the mapped files. NEW through *out: smelt_model_close. */
SMELT_API smelt_status smelt_model_open(const char *path, smelt_model **out, smelt_err *err);
SMELT_API void smelt_model_close(smelt_model *model);
/* Name of the format ("gguf"), and the family as GGUF calls it ("llama"); NULL if it is not known. BORROWED. */
SMELT_API const char *smelt_model_format(const smelt_model *model);
SMELT_API const char *smelt_model_family(const smelt_model *model);
SMELT_API size_t smelt_model_count(const smelt_model *model);
/* The tensor at `i`; NULL if i >= smelt_model_count(). */
SMELT_API const smelt_tensor *smelt_model_tensor(const smelt_model *model, size_t i);
/* The tensor with this name (canonical once the family is known, else the file's); NULL if there is none. */
SMELT_API const smelt_tensor *smelt_model_find(const smelt_model *model, const char *name);

SMELT_API const char *smelt_tensor_name(const smelt_tensor *tensor);
/* Name of the storage type: "bf16", "q4_0". Static. */
SMELT_API const char *smelt_tensor_type(const smelt_tensor *tensor);
SMELT_API int smelt_tensor_dims(const smelt_tensor *tensor);
/* Size of dimension `d`, outermost first; 0 if there is none. */
SMELT_API uint64_t smelt_tensor_dim(const smelt_tensor *tensor, int d);
SMELT_API uint64_t smelt_tensor_elements(const smelt_tensor *tensor);
SMELT_API uint64_t smelt_tensor_bytes(const smelt_tensor *tensor);
/* Decodes elements [first, first + n), row-major, to float32. first and n are multiples of the type's block (at most 256
 * elements), or n reaches to the end. E_USAGE if they are not or lie outside, E_UNSUPPORTED if the type has no decoder. */
SMELT_API smelt_status smelt_tensor_read(const smelt_tensor *tensor, uint64_t first, uint64_t n, float *out, smelt_err *err);

/* The content hash of a model's tensors, as 32 hexadecimal digits and a NUL: the same for every format and type that hold the same
 * names, shapes and values (docs/formats.md). Reads all tensor data. */
enum { SMELT_HASH_SIZE = 33 };
SMELT_API smelt_status smelt_model_hash(const smelt_model *model, char hex[SMELT_HASH_SIZE], smelt_err *err);

/* A model that computes: float32 logits of token ids, for every family and type, on the processor. */
typedef struct smelt_engine smelt_engine;
/* Keys and values of the tokens that a sequence has had, so that the next ones need not compute them again. */
typedef struct smelt_cache smelt_cache;

/* One text of a batch, or the next tokens of one. */
typedef struct smelt_seq {
    const int32_t *ids;
    size_t n;
    size_t first;       /* logits are wanted from this token on; n: of none */
    smelt_cache *cache; /* what went before; the new tokens are added. NULL: the text starts here and nothing is kept */
} smelt_seq;

/* Gets rows [first, first + n) of sequence `seq`: logits[i * vocab + t] is token t's behind token first + i. Valid during the call.
 * A status other than SMELT_OK ends the run and is its result. */
typedef smelt_status smelt_logits_fn(void *user, size_t seq, size_t first, size_t n, const float *logits, smelt_err *err);

/* Options of an engine; zeroed means defaults. */
typedef struct smelt_engine_config {
    int threads; /* 0: one a processor */
    bool fast;   /* multiply block types and BF16 with rounded activations */
} smelt_engine_config;

/* Makes an engine for a model, which is BORROWED and must outlive it; `config` may be NULL. Weights stay in the mapped files and
 * are decoded a tile at a time. NEW through *out: smelt_engine_close. E_UNSUPPORTED if the model's family is not known. Sets
 * OpenBLAS's number of threads to one for the process. */
SMELT_API smelt_status smelt_engine_open(const smelt_model *model, const smelt_engine_config *config, smelt_engine **out,
                                         smelt_err *err);
SMELT_API void smelt_engine_close(smelt_engine *engine);
/* Columns of the logits. */
SMELT_API size_t smelt_engine_vocab(const smelt_engine *engine);
/* Computes a batch of sequences of any lengths; logits come through `fn` a chunk at a time. One thread at a time may run an engine.
 * E_USAGE for an id that the model does not have, E_LIMIT beyond a table of learned positions. */
SMELT_API smelt_status smelt_engine_run(smelt_engine *engine, const smelt_seq *seqs, size_t n_seqs, smelt_logits_fn *fn, void *user,
                                        smelt_err *err);
/* An empty cache for one sequence. NEW through *out: smelt_cache_free. */
SMELT_API smelt_status smelt_cache_new(const smelt_engine *engine, smelt_cache **out, smelt_err *err);
SMELT_API void smelt_cache_free(smelt_cache *cache);

/* Options of a conversion; zeroed means defaults. */
typedef struct smelt_convert_opts {
    const char *type;      /* smelt_convert: auto, f32, f16, bf16, q8_0; smelt_quantize: a mix such as Q4_0, required */
    int threads;           /* 0: one a processor */
    const char *imatrix;   /* smelt_quantize: importance matrix of llama-imatrix, imatrix.gguf or .dat; NULL: none */
    bool resume;           /* go on with what an interrupted run left */
    bool allow_requantize; /* smelt_quantize: accept quantised sources */
    uint64_t split_bytes, split_tensors; /* start a new file beyond this size or count; 0: do not */
    bool no_provenance;                  /* leave out the keys that say how the file was made */
    bool replace_nonfinite; /* put `replacement` in the place of NaN and infinity, which are errors where a block type meets them */
    float replacement;      /* finite */
    const char *manifest;   /* file to write JSON about every tensor to: source, type asked and given, XXH3-128; NULL: none */
    /* Called from worker threads, one at a time, with source bytes done and in all; true stops with E_CANCELLED. May be NULL. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} smelt_convert_opts;

/* Converts `src` to `dst`, whose name says the format: .gguf, .safetensors, .pt/.pth/.bin, or a directory. The target appears
 * under its name only when it is complete. `opts` may be NULL. */
SMELT_API smelt_status smelt_convert(const char *src, const char *dst, const smelt_convert_opts *opts, smelt_err *err);
/* The same with the types of a quantization mix; the bytes are llama-quantize's. */
SMELT_API smelt_status smelt_quantize(const char *src, const char *dst, const smelt_convert_opts *opts, smelt_err *err);

/* Options of a verification; zeroed means defaults. */
typedef struct smelt_verify_opts {
    int threads;                     /* 0: one a processor */
    const char *text;                /* file of the text that both are to predict; NULL: a built-in one */
    size_t context, chunks;          /* tokens of a chunk, 0: 512; chunks, 0: all */
    bool quick, fast;                /* samples only; the candidate with activations of 8 bits */
    const char *policy;              /* file with limits, "default" or "none"; NULL: default */
    const char *json, *junit, *html; /* files for reports; NULL: none */
} smelt_verify_opts;

/* Compares a candidate with its original: structure, weights, predictions. SMELT_OK if every limit holds; E_FAILED if one is breached or
 * logits are not finite (the message says which, and the reports are written); E_MISMATCH if the two cannot be compared. */
SMELT_API smelt_status smelt_verify(const char *candidate, const char *original, const smelt_verify_opts *opts, smelt_err *err);

#ifdef __cplusplus
}
#endif

#endif
