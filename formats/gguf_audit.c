/* What a GGUF file holds beyond its tensors, and whether its counts agree: also of files that the reader refuses. */
#include <stdlib.h>

#include "arch/arch.h"
#include "formats/gguf.h"
#include "vocab/template_audit.h"

typedef struct gguf_view {
    const smelt_map *map;
    smelt_audit *audit;
    smelt_arena arena;
    smelt_meta meta;
    gguf_head head;
    gguf_info *infos;
    size_t n;
    smelt_err *err;
} gguf_view;

/* How many of the file's bytes [from, to) are not zero. */
static uint64_t not_zero(const smelt_map *map, uint64_t from, uint64_t to)
{
    uint64_t n = 0;
    for (uint64_t i = from; i < to; i++)
        n += map->data[i] != 0;
    return n;
}

static smelt_status templates(gguf_view *v)
{
    static const char key[] = "tokenizer.chat_template";
    for (size_t i = 0; i < v->meta.count; i++) {
        const smelt_kv *kv = &v->meta.kv[i];
        if (strncmp(kv->key, key, sizeof key - 1) != 0 || kv->type != SMELT_KV_STR) continue;
        /* The metadata have a copy. */
        const uint8_t *at = memmem(v->map->data, v->map->size, kv->v.s.p, kv->v.s.n);
        const uint64_t offset = at ? (uint64_t)(at - v->map->data) : SMELT_NO_OFFSET;
        SMELT_TRY(template_audit(v->audit, kv->key, offset, kv->v.s, v->err));
    }
    return SMELT_OK;
}

static const smelt_kv *array(const gguf_view *v, const char *key)
{
    const smelt_kv *kv = meta_find(&v->meta, key);
    return kv && kv->type == SMELT_KV_ARRAY ? kv : NULL;
}

/* Rows of the embedding, 0 if it is not here. */
static uint64_t embedding_rows(const gguf_view *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->infos[i].name.n == 17 && memcmp(v->infos[i].name.p, "token_embd.weight", 17) == 0 && v->infos[i].shape.n == 2)
            return v->infos[i].shape.dim[0];
    return 0;
}

static smelt_status vocabulary(gguf_view *v)
{
    static const char *const lists[] = {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"};
    const smelt_kv *tokens = array(v, "tokenizer.ggml.tokens");
    if (!tokens) return SMELT_OK;
    const uint64_t n = tokens->v.a.n, rows = embedding_rows(v);
    for (size_t i = 0; i < 2; i++) {
        const smelt_kv *list = array(v, lists[i]);
        if (list && list->v.a.n != n)
            SMELT_TRY(audit_add(v->audit, SMELT_FIND_META_VOCABULARY, SMELT_NO_OFFSET, v->err,
                                "%s has %" PRIu64 " entries for %" PRIu64 " tokens", lists[i], list->v.a.n, n));
    }
    if (rows && rows != n)
        SMELT_TRY(audit_add(v->audit, SMELT_FIND_META_VOCABULARY, SMELT_NO_OFFSET, v->err,
                            "tokenizer.ggml.tokens has %" PRIu64 " entries, the embedding %" PRIu64 " rows", n, rows));
    for (size_t i = 0; i < v->meta.count; i++) {
        const char *key = v->meta.kv[i].key;
        static const char head[] = "tokenizer.ggml.", tail[] = "_token_id", size[] = ".vocab_size";
        const size_t len = strlen(key);
        uint64_t id;
        if (!meta_get_u64(&v->meta, key, &id)) continue;
        if (len > sizeof head + sizeof tail && strncmp(key, head, sizeof head - 1) == 0 &&
            strcmp(key + len - (sizeof tail - 1), tail) == 0) {
            if (id >= n)
                SMELT_TRY(audit_add(v->audit, SMELT_FIND_META_TOKEN, SMELT_NO_OFFSET, v->err,
                                    "%s is %" PRIu64 ", the vocabulary has %" PRIu64 " tokens", key, id, n));
        } else if (len > sizeof size && strcmp(key + len - (sizeof size - 1), size) == 0 && id != n)
            SMELT_TRY(audit_add(v->audit, SMELT_FIND_META_VOCABULARY, SMELT_NO_OFFSET, v->err,
                                "%s is %" PRIu64 ", tokenizer.ggml.tokens has %" PRIu64 " entries", key, id, n));
    }
    return SMELT_OK;
}

/* The number of layers by key and by names, where the file is a whole model. */
static smelt_status layers(gguf_view *v)
{
    smelt_str arch;
    uint64_t said, parts = 1;
    int last = -1;
    if (!meta_get_str(&v->meta, "general.architecture", &arch) || (meta_get_u64(&v->meta, "split.count", &parts) && parts > 1))
        return SMELT_OK;
    char *key = arena_printf(&v->arena, "%.*s.block_count", (int)(arch.n < 64 ? arch.n : 64), arch.p);
    if (!key) return smelt_oom(v->err);
    for (size_t i = 0; i < v->n; i++) {
        char name[GGUF_MAX_NAME + 1] = "";
        memcpy(name, v->infos[i].name.p, v->infos[i].name.n);
        const int layer = name_layer(name);
        if (layer > last) last = layer;
    }
    if (last < 0 || !meta_get_u64(&v->meta, key, &said) || said == (uint64_t)last + 1) return SMELT_OK;
    return audit_add(v->audit, SMELT_FIND_META_SHAPE, SMELT_NO_OFFSET, v->err,
                     "%s is %" PRIu64 ", the tensors are those of %d layers", key, said, last + 1);
}

static int by_offset(const void *a, const void *b)
{
    const gguf_info *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Padding is zeros, and everything else belongs to a tensor. */
static smelt_status gap(gguf_view *v, uint64_t from, uint64_t to, const char *where, smelt_str name)
{
    if (to > v->map->size) to = v->map->size;
    if (from >= to) return SMELT_OK;
    const uint64_t full = not_zero(v->map, from, to);
    if (!full && to - from < v->head.alignment) return SMELT_OK;
    return audit_add(v->audit, SMELT_FIND_HIDDEN_GAP, from, v->err,
                     "%" PRIu64 " bytes %s%.*s belong to no tensor, %" PRIu64 " of them are not zero", to - from, where,
                     (int)name.n, name.p, full);
}

static smelt_status places(gguf_view *v, uint64_t header)
{
    static const smelt_str none = {"", 0};
    const uint64_t mask = v->head.alignment - 1, start = (header + mask) & ~mask;
    uint64_t at = start, end;
    SMELT_TRY(gap(v, header, start, "between the header and the data", none));
    if (v->n) qsort(v->infos, v->n, sizeof *v->infos, by_offset);
    for (size_t i = 0; i < v->n; i++) {
        const gguf_info *t = &v->infos[i];
        uint64_t from;
        if (!add_u64(start, t->offset, &from) || !add_u64(from, t->bytes, &end) || end > v->map->size)
            return SMELT_OK; /* the reader says so */
        if (from > at) SMELT_TRY(gap(v, at, from, "before tensor ", t->name));
        if (end > at) at = end;
    }
    const uint64_t size = v->map->size, rest = size > at ? size - at : 0, padding = (at + mask) & ~mask;
    if (!rest || (size <= padding && !not_zero(v->map, at, size))) return SMELT_OK;
    return audit_add(v->audit, SMELT_FIND_HIDDEN_TRAILING, at, v->err,
                     "%" PRIu64 " bytes follow the last tensor, %" PRIu64 " of them are not zero", rest,
                     not_zero(v->map, at, size));
}

static smelt_status look(gguf_view *v)
{
    /* What the reader would refuse ends the look at that point; the caller reports the refusal. */
    smelt_err refusal = {0};
    smelt_cur c = {.data = v->map->data, .size = v->map->size, .err = &refusal};
    smelt_status st = gguf_read_head(&c, &v->head);
    if (st == SMELT_OK) st = gguf_read_keys(&c, v->head.n_kv, &v->arena, &v->meta);
    SMELT_TRY(templates(v));
    if (st == SMELT_OK && gguf_read_alignment(&v->meta, &v->head.alignment, NULL) != SMELT_OK) v->head.alignment = GGUF_ALIGNMENT;
    if (st == SMELT_OK && !(v->infos = arena_calloc(&v->arena, v->head.n_tensors, sizeof *v->infos))) return smelt_oom(v->err);
    while (st == SMELT_OK && v->n < v->head.n_tensors) {
        st = gguf_read_info(&c, &v->infos[v->n]);
        v->n += st == SMELT_OK;
    }
    if (st == SMELT_E_NOMEM) return smelt_oom(v->err);
    SMELT_TRY(vocabulary(v));
    if (st != SMELT_OK) return SMELT_OK;
    SMELT_TRY(layers(v));
    return places(v, c.pos);
}

smelt_status gguf_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err)
{
    (void)ctx;
    smelt_map *map;
    SMELT_TRY(map_open(path, &map, err));
    gguf_view v = {.map = map, .audit = audit, .err = err};
    v.meta.arena = &v.arena;
    smelt_status st = look(&v);
    arena_free(&v.arena);
    map_close(map);
    return st;
}
