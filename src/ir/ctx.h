/* What a run works with: the formats and codecs it was given, the processor, the threads, and who is told about it. */
#ifndef SMELT_IR_CTX_H
#define SMELT_IR_CTX_H

#include "ir/codec.h"
#include "ir/model.h"

struct smelt_format;

typedef struct smelt_progress {
    const char *stage;    /* "convert", "quantize" … */
    const char *tensor;   /* the one that was just finished or is in work; NULL: none, and not bytes are counted */
    uint64_t done, total; /* source bytes */
} smelt_progress;

typedef struct smelt_ctx {
    const struct smelt_format *const *formats; /* NULL-terminated */
    smelt_codec_fns codec[SMELT_DT_COUNT];     /* chosen for `cpu` */
    smelt_cpu cpu;
    const char *pre_tokenizer; /* overrides what the pre-tokenizer is recognised as; NULL: recognise */
    int threads;               /* at least 1 */
    /* Called from worker threads, one at a time; true stops the run with E_CANCELLED. May be NULL. */
    bool (*progress)(void *user, const smelt_progress *p);
    /* A warning for people: something the run goes on in spite of. May be NULL. */
    void (*warn)(void *user, const char *text);
    void *user;
} smelt_ctx;

/* Decodes n elements of a tensor, from element `first` of its row-major order on; both are whole blocks (at most 256 elements), or n
 * reaches to the end. The type has a decoder. */
void tensor_floats(const smelt_ctx *ctx, const smelt_tensor *t, uint64_t first, uint64_t n, float *out);

void ctx_warn(const smelt_ctx *ctx, const char *fmt, ...) SMELT_PRINTF(2, 3);

#endif
