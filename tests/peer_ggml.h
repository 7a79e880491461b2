/* What the tests call of ggml, loaded at run time: the pinned llama.cpp's libggml-base.so. */
#ifndef SMELT_TESTS_PEER_GGML_H
#define SMELT_TESTS_PEER_GGML_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ggml_type_traits, as far as it is needed. */
typedef struct peer_traits {
    const char *name;
    int64_t elems, interleave;
    size_t bytes;
    bool quantized;
    void (*unpack)(const void *src, float *dst, int64_t n); /* NULL for types that only intermediate results have */
    void (*pack)(const float *src, void *dst, int64_t n);   /* without importances */
} peer_traits;

typedef struct peer_ggml {
    void *library;
    size_t (*quantize)(int type, const float *src, void *dst, int64_t start, int64_t rows, int64_t cols, const float *weights);
    const peer_traits *(*traits)(int type);
    void (*on_abort)(void (*callback)(const char *message)); /* called before the process ends; may leave by longjmp */
} peer_ggml;

/* Says on stderr what is wrong if there is no such library. */
static inline bool peer_ggml_open(peer_ggml *g, const char *path)
{
    g->library = dlopen(path, RTLD_NOW);
    if (g->library) {
        *(void **)&g->quantize = dlsym(g->library, "ggml_quantize_chunk");
        *(void **)&g->traits = dlsym(g->library, "ggml_get_type_traits");
        *(void **)&g->on_abort = dlsym(g->library, "ggml_set_abort_callback");
    }
    if (g->library && g->quantize && g->traits && g->on_abort) return true;
    fprintf(stderr, "%s\n", dlerror());
    return false;
}

#endif
