#include "formats/gguf_write.h"

#include "arch/arch.h"
#include "base/bytes.h"
#include "formats/gguf_vocab.h"
#include "formats/hf_card.h"

smelt_status gguf_project(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err)
{
    if (!model->arch && !model->meta_complete)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "%s cannot become GGUF, which needs an architecture: %s", model->path,
                          model->unmapped ? model->unmapped : "there is no config.json beside it; give the model's directory");
    SMELT_TRY(arch_project_gguf(model, out, err));
    if (model->arch && !model->meta_complete) arch_gguf_losses(ctx, model);
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        uint64_t elems;
        if (strlen(t->name) > GGUF_MAX_NAME)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "the tensor name '%s' is longer than GGUF's %d bytes", t->name,
                              GGUF_MAX_NAME);
        if (t->shape.n > GGUF_MAX_DIMS)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s' has %d dimensions, GGUF has %d", t->name, t->shape.n,
                              GGUF_MAX_DIMS);
        if (!shape_elems(&t->shape, &elems) || !elems)
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s' is empty, which GGUF readers refuse", t->name);
    }
    return SMELT_OK;
}

static void put_string(smelt_buf *b, const char *p, uint64_t n)
{
    buf_u64(b, n);
    buf_put(b, p, (size_t)n);
}

static void put_kv(smelt_buf *b, const smelt_kv *kv)
{
    put_string(b, kv->key, strlen(kv->key));
    buf_u32(b, kv->type);
    if (kv->type == SMELT_KV_STR) {
        put_string(b, kv->v.s.p, kv->v.s.n);
    } else if (kv->type == SMELT_KV_ARRAY) {
        buf_u32(b, kv->v.a.type);
        buf_u64(b, kv->v.a.n);
        const smelt_str *s = kv->v.a.data;
        size_t size = kv_type_size(kv->v.a.type);
        if (size)
            buf_put(b, kv->v.a.data, (size_t)kv->v.a.n * size);
        else
            for (uint64_t i = 0; i < kv->v.a.n; i++)
                put_string(b, s[i].p, s[i].n);
    } else {
        uint64_t raw = kv->v.u; /* signed values share the low bytes */
        if (kv->type == SMELT_KV_F32) raw = f32_bits((float)kv->v.f);
        uint8_t le[8];
        store_le64(le, raw);
        buf_put(b, le, kv_type_size(kv->type));
    }
}

/* The number of parameters as llama.cpp's converter counts them for general.size_label: of the tensors that are written. */
static uint64_t parameters(const smelt_model *out)
{
    uint64_t total = out->left_out, n;
    for (size_t i = 0; i < out->n_tensors; i++)
        if (shape_elems(&out->tensors[i].shape, &n)) total += n;
    return total;
}

static smelt_status make_meta(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out, const smelt_write_opts *opts,
                              smelt_meta *meta, smelt_err *err)
{
    enum { QUANTIZATION_VERSION = 2 };
    if (model->meta_complete) {
        if (!meta_copy(meta, &model->meta)) return smelt_oom(err);
        if (opts->file_type >= 0 && !opts->quantized && !meta_u32(meta, "general.file_type", (uint32_t)opts->file_type))
            return smelt_oom(err);
    } else {
        if (!meta_str(meta, "general.architecture", model->arch->name, strlen(model->arch->name))) return smelt_oom(err);
        SMELT_TRY(hf_card_meta(ctx, model, parameters(out), meta, err));
        SMELT_TRY(arch_gguf_keys(model, opts->file_type, meta, err));
        if (!meta_u32(meta, "general.quantization_version", QUANTIZATION_VERSION)) return smelt_oom(err);
        if (model->vocab_err) {
            if (err && err->code == SMELT_OK) *err = *model->vocab_err;
            return model->vocab_err->code;
        }
        SMELT_TRY(gguf_vocab_put(model, meta, err));
    }
    if (opts->quantized) {
        /* llama-quantize sets these two anew, which moves them to the end. */
        meta_remove(meta, "general.quantization_version");
        meta_remove(meta, "general.file_type");
        if (!meta_u32(meta, "general.quantization_version", QUANTIZATION_VERSION) ||
            (opts->file_type >= 0 && !meta_u32(meta, "general.file_type", (uint32_t)opts->file_type)))
            return smelt_oom(err);
    }
    for (size_t i = 0; i < opts->n_keys; i++) {
        meta_remove(meta, opts->keys[i].key);
        if (!meta_set(meta, &opts->keys[i])) return smelt_oom(err);
    }
    /* What the source says of its own making is not true of this file. */
    for (int k = 0; k < PROVENANCE_KEYS; k++) {
        const char *key = provenance_name((smelt_provenance_key)k);
        const smelt_str *value = opts->provenance ? &opts->provenance->value[k] : NULL;
        meta_remove(meta, key);
        if (value && !meta_str(meta, key, value->p, (size_t)value->n)) return smelt_oom(err);
    }
    return SMELT_OK;
}

typedef struct shard {
    size_t first, count;
    uint64_t bytes; /* padded */
} shard;

/* Which of the source's files, in the order of opening, a tensor comes from. */
static size_t part_of(const smelt_model *model, const smelt_tensor *t)
{
    size_t part = 0;
    bool found = false;
    /* The list begins with the last one. */
    for (const smelt_map *m = model->maps; m; m = m->next) {
        const char *slash = strrchr(m->path, '/');
        part += found;
        found |= t->file && strcmp(slash ? slash + 1 : m->path, t->file) == 0;
    }
    return part;
}

/* Cuts the tensor list as the source's files do, or greedily, as llama.cpp's writer does: a file is full when the next tensor
 * would pass a limit. */
static smelt_status cut(smelt_layout *l, const smelt_model *model, const smelt_write_opts *opts, uint32_t align, shard **shards,
                        size_t *n, smelt_err *err)
{
    size_t cap = 0;
    uint64_t plain = 0; /* bytes without padding are what the limit counts */
    *n = 0;
    for (size_t i = 0; i < l->n_tensors; i++) {
        shard *s = *n ? &(*shards)[*n - 1] : NULL;
        bool full = s && s->count &&
                    ((opts->split_tensors && s->count >= opts->split_tensors) ||
                     (opts->split_bytes && plain + l->tensors[i].bytes > opts->split_bytes));
        const size_t files = opts->keep_split ? part_of(model, l->tensors[i].src) + 1 : *n + (!s || full);
        while (!s || *n < files) {
            if (!arena_room(&l->arena, shards, *n, &cap, sizeof **shards)) return smelt_oom(err);
            s = &(*shards)[(*n)++];
            *s = (shard){.first = i};
            plain = 0;
        }
        s->count++;
        plain += l->tensors[i].bytes;
        l->tensors[i].file = (int)(*n - 1);
        l->tensors[i].offset = s->bytes;
        if (!align_u64(s->bytes + l->tensors[i].bytes, align, &s->bytes))
            return smelt_fail(err, SMELT_E_LIMIT, "the output's size overflows");
    }
    if (!*n) {
        if (!arena_room(&l->arena, shards, 0, &cap, sizeof **shards)) return smelt_oom(err);
        (*shards)[(*n)++] = (shard){0};
    }
    return SMELT_OK;
}

static smelt_status put_kvs(smelt_layout *l, smelt_buf *b, const smelt_meta *meta, smelt_err *err)
{
    const int file = (int)l->n_files; /* the one that is to be added */
    for (size_t i = 0; i < meta->count; i++) {
        const smelt_kv *kv = &meta->kv[i];
        SMELT_TRY(layout_add_mark(l, file, b->size, "key", kv->key, err));
        put_kv(b, kv);
        if (strcmp(kv->key, provenance_name(PROVENANCE_SOURCE)) == 0)
            SMELT_TRY(layout_add_patch(l, file, b->size - kv->v.s.n, err));
    }
    return SMELT_OK;
}

static smelt_status header(smelt_layout *l, const smelt_model *out, const smelt_meta *meta, const shard *s, uint32_t align,
                           bool trim, const void **data, uint64_t *size, smelt_err *err)
{
    smelt_buf b = {0};
    buf_put(&b, "GGUF", 4);
    buf_u32(&b, 3);
    buf_u64(&b, s->count);
    buf_u64(&b, meta->count);
    smelt_status st = put_kvs(l, &b, meta, err);
    for (size_t i = s->first; i < s->first + s->count && st == SMELT_OK; i++) {
        const smelt_tensor *t = &out->tensors[i];
        st = layout_add_mark(l, (int)l->n_files, b.size, "tensor entry", t->name, err);
        put_string(&b, t->name, strlen(t->name));
        /* llama-quantize leaves out dimensions of one that nothing follows, its converter does not. */
        int first = 0;
        while (trim && first < t->shape.n - 1 && t->shape.dim[first] == 1)
            first++;
        buf_u32(&b, (uint32_t)(t->shape.n - first));
        for (int d = t->shape.n - 1; d >= first; d--)
            buf_u64(&b, t->shape.dim[d]);
        buf_u32(&b, (uint32_t)smelt_dtype_get(l->tensors[i].dtype)->gguf_id);
        buf_u64(&b, l->tensors[i].offset);
    }
    if (st == SMELT_OK) st = layout_add_mark(l, (int)l->n_files, b.size, "padding", "", err);
    buf_zeros(&b, (align - b.size % align) % align);
    char *copy = b.failed || st != SMELT_OK ? NULL : arena_strndup(&l->arena, (const char *)b.data, b.size);
    *data = copy;
    *size = b.size;
    buf_free(&b);
    return copy ? SMELT_OK : st != SMELT_OK ? st : smelt_oom(err);
}

static bool split_keys(smelt_meta *meta, size_t no, size_t count, size_t tensors)
{
    return meta_set(meta, &(smelt_kv){.key = "split.no", .type = SMELT_KV_U16, .v.u = no}) &&
           meta_set(meta, &(smelt_kv){.key = "split.count", .type = SMELT_KV_U16, .v.u = count}) &&
           meta_set(meta, &(smelt_kv){.key = "split.tensors.count", .type = SMELT_KV_I32, .v.i = (int64_t)tensors});
}

smelt_status gguf_layout(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                         const char *target, const smelt_write_opts *opts, smelt_layout *l, smelt_err *err)
{
    smelt_meta meta = {.arena = &l->arena};
    SMELT_TRY(make_meta(ctx, model, out, opts, &meta, err));
    uint64_t align = opts->alignment ? opts->alignment : GGUF_ALIGNMENT;
    if (!opts->alignment) meta_get_u64(&meta, "general.alignment", &align);
    l->tensors = arena_calloc(&l->arena, out->n_tensors, sizeof *l->tensors);
    if (!l->tensors) return smelt_oom(err);
    l->n_tensors = l->cap_tensors = out->n_tensors;
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        uint64_t elems;
        l->tensors[i] = (smelt_out_tensor){.src = t, .dtype = types[i]};
        if (!shape_elems(&t->shape, &elems) || !smelt_dtype_bytes(types[i], elems, &l->tensors[i].bytes))
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s' does not divide into blocks of %s", t->name,
                              smelt_dtype_get(types[i])->name);
    }
    shard *shards = NULL;
    size_t n;
    SMELT_TRY(cut(l, model, opts, (uint32_t)align, &shards, &n, err));
    if (n > 65535) return smelt_fail(err, SMELT_E_USAGE, "the limits would give %zu files, GGUF counts to 65535; raise them", n);
    char *base = path_base(&l->arena, target);
    if (!base) return smelt_oom(err);
    size_t stem = strlen(base);
    if (stem > 5 && strcmp(base + stem - 5, ".gguf") == 0) stem -= 5;
    for (size_t i = 0; i < n; i++) {
        smelt_meta part = {.arena = &l->arena};
        const void *data;
        uint64_t size;
        if (i == 0) part = meta;
        /* Readers take each file's alignment from itself. */
        if (i > 0 && align != GGUF_ALIGNMENT && !meta_u32(&part, "general.alignment", (uint32_t)align)) return smelt_oom(err);
        if (n > 1 && !split_keys(&part, i, n, out->n_tensors)) return smelt_oom(err);
        SMELT_TRY(header(l, out, &part, &shards[i], (uint32_t)align, opts->quantized, &data, &size, err));
        char *name = n > 1 ? arena_printf(&l->arena, "%.*s-%05zu-of-%05zu.gguf", (int)stem, base, i + 1, n) : base;
        if (!name) return smelt_oom(err);
        for (size_t t = shards[i].first; t < shards[i].first + shards[i].count; t++)
            l->tensors[t].offset += size;
        SMELT_TRY(layout_add_file(l, name, data, size, size + shards[i].bytes, NULL, err));
    }
    return SMELT_OK;
}
