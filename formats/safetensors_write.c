#include "safetensors_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"

/* The reference writer sorts by its type enumeration, last one first, so that data is aligned (tensor.rs, enum Dtype). */
static const smelt_dtype order[] = {
    SMELT_DT_U64,         SMELT_DT_I64,     SMELT_DT_F64,     SMELT_DT_C64,     SMELT_DT_F32, SMELT_DT_U32,
    SMELT_DT_I32,         SMELT_DT_BF16,    SMELT_DT_F16,     SMELT_DT_U16,     SMELT_DT_I16, SMELT_DT_F8_E5M2FNUZ,
    SMELT_DT_F8_E4M3FNUZ, SMELT_DT_F8_E8M0, SMELT_DT_F8_E4M3, SMELT_DT_F8_E5M2, SMELT_DT_I8,  SMELT_DT_U8,
    SMELT_DT_F6_E3M2,     SMELT_DT_F6_E2M3, SMELT_DT_F4,      SMELT_DT_BOOL,
};
enum { N_ORDER = sizeof order / sizeof *order };

typedef struct item {
    const smelt_tensor *tensor;
    smelt_dtype dtype;
    int rank; /* place of the type in `order` */
    int shard;
    uint64_t bytes;
} item;

static int rank_of(smelt_dtype dtype)
{
    int i = 0;
    while (i < N_ORDER && order[i] != dtype)
        i++;
    return i;
}

static int by_name(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static int by_place(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return x->rank != y->rank ? x->rank - y->rank : by_name(a, b);
}

/* A JSON string: in `ascii` form as Python's json.dumps, otherwise as serde_json writes it. */
static void put_string(smelt_buf *b, const char *s, uint64_t n, bool ascii)
{
    buf_u8(b, '"');
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)s[i];
        static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
        const char *at = c ? strchr(plain, c) : NULL;
        if (at) {
            buf_u8(b, '\\');
            buf_u8(b, (uint8_t)letter[at - plain]);
        } else if (c < 0x20 || (ascii && c == 0x7F))
            buf_printf(b, "\\u%04x", c);
        else if (c < 0x80 || !ascii)
            buf_u8(b, c);
        else {
            const unsigned more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
            uint32_t u = c & (0x3FU >> more);
            for (unsigned k = 0; k < more && i + 1 < n; k++)
                u = u << 6 | ((uint8_t)s[++i] & 0x3FU);
            if (u >= 0x10000)
                buf_printf(b, "\\u%04x\\u%04x", 0xD800 + ((u - 0x10000) >> 10), 0xDC00 + (u & 0x3FF));
            else
                buf_printf(b, "\\u%04x", u);
        }
    }
    buf_u8(b, '"');
}

static smelt_status put_key(smelt_buf *b, const char **sep, const char *key, smelt_str value, smelt_layout *l, smelt_err *err)
{
    buf_printf(b, "%s", *sep);
    *sep = ",";
    SMELT_TRY(layout_add_mark(l, (int)l->n_files, b->size, "key", key, err)); /* of the file that is to be added */
    put_string(b, key, strlen(key), false);
    buf_u8(b, ':');
    put_string(b, value.p, value.n, false);
    return SMELT_OK;
}

static smelt_status put_metadata(smelt_buf *b, const smelt_meta *meta, const smelt_write_opts *opts, smelt_layout *l,
                                 smelt_err *err)
{
    static const char prefix[] = SAFETENSORS_META;
    buf_printf(b, "\"" SAFETENSORS_META_MEMBER "\":{");
    /* Loaders want to know which framework's tensors these are. */
    const char *sep = "";
    if (!meta_find(meta, SAFETENSORS_META "format")) {
        buf_printf(b, "\"format\":\"pt\"");
        sep = ",";
    }
    for (size_t i = 0; i < meta->count; i++) {
        const smelt_kv *kv = &meta->kv[i];
        if (kv->type != SMELT_KV_STR || strncmp(kv->key, prefix, sizeof prefix - 1) != 0) continue;
        /* What the source says of its own making is not true of this file. */
        if (provenance_is_key(kv->key)) continue;
        SMELT_TRY(put_key(b, &sep, kv->key + sizeof prefix - 1, kv->v.s, l, err));
    }
    for (size_t i = 0; i < opts->n_keys; i++) {
        const smelt_kv *kv = &opts->keys[i];
        if (kv->type == SMELT_KV_STR) SMELT_TRY(put_key(b, &sep, kv->key, kv->v.s, l, err));
    }
    for (int k = 0; opts->provenance && k < PROVENANCE_KEYS; k++) {
        const smelt_str value = opts->provenance->value[k];
        SMELT_TRY(put_key(b, &sep, provenance_name((smelt_provenance_key)k), value, l, err));
        if (k == PROVENANCE_SOURCE) SMELT_TRY(layout_add_patch(l, (int)l->n_files, b->size - 1 - value.n, err));
    }
    buf_u8(b, '}');
    return SMELT_OK;
}

bool safetensors_can_store(smelt_dtype dtype) { return smelt_dtype_get(dtype)->st_name != NULL; }

smelt_status safetensors_project(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err)
{
    SMELT_TRY(arch_project_hf(ctx, model, out, err));
    if (model_find(out, SAFETENSORS_META_MEMBER))
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "a tensor with the name '%s' cannot be stored in safetensors",
                          SAFETENSORS_META_MEMBER);
    return SMELT_OK;
}

/* The tensors with their stored sizes, in the order of `out`. */
static smelt_status make_items(const smelt_model *out, const smelt_dtype *types, smelt_arena *arena, item **items, smelt_err *err)
{
    *items = arena_calloc(arena, out->n_tensors, sizeof **items);
    if (!*items) return smelt_oom(err);
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        item *it = &(*items)[i];
        *it = (item){.tensor = t, .dtype = types[i], .rank = rank_of(types[i])};
        uint64_t elems;
        if (!safetensors_can_store(types[i]) || !shape_elems(&t->shape, &elems) ||
            !smelt_dtype_bytes(types[i], elems, &it->bytes)) {
            smelt_fail(err, SMELT_E_UNSUPPORTED, "cannot be stored as %s in safetensors", smelt_dtype_get(types[i])->name);
            smelt_err_where(err, "tensor '%s'", t->name);
            return SMELT_E_UNSUPPORTED;
        }
    }
    return SMELT_OK;
}

static smelt_status put_file(const smelt_model *model, const item *items, size_t n, const char *name, const smelt_write_opts *opts,
                             smelt_buf *b, smelt_layout *layout, smelt_err *err)
{
    enum { LENGTH = 8 }; /* the length field, and what the header is padded to a multiple of */
    uint64_t at = 0, total = 0;
    b->size = 0;
    buf_zeros(b, LENGTH);
    buf_u8(b, '{');
    SMELT_TRY(put_metadata(b, &model->meta, opts, layout, err));
    for (size_t i = 0; i < n; i++) {
        const item *it = &items[i];
        const smelt_shape *s = &it->tensor->shape;
        buf_u8(b, ',');
        SMELT_TRY(layout_add_mark(layout, (int)layout->n_files, b->size, "tensor entry", it->tensor->name, err));
        put_string(b, it->tensor->name, strlen(it->tensor->name), false);
        buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", smelt_dtype_get(it->dtype)->st_name);
        for (int d = 0; d < s->n; d++)
            buf_printf(b, "%s%" PRIu64, d ? "," : "", s->dim[d]);
        if (!add_u64(at, it->bytes, &total))
            return smelt_fail(err, SMELT_E_LIMIT, "the tensors have more bytes than 64 bits count");
        buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, total);
        at = total;
    }
    buf_u8(b, '}');
    SMELT_TRY(layout_add_mark(layout, (int)layout->n_files, b->size, "padding", "", err));
    while (b->size % LENGTH && !b->failed)
        buf_u8(b, ' ');
    if (b->failed) return smelt_oom(err);
    if (b->size - LENGTH > SAFETENSORS_HEADER_MAX)
        return smelt_fail(err, SMELT_E_LIMIT,
                          "the header of '%s' would have %zu bytes, readers accept %d; split it into more files", name,
                          b->size - LENGTH, SAFETENSORS_HEADER_MAX);
    store_le64(b->data, b->size - LENGTH);
    void *header = arena_calloc(&layout->arena, b->size, 1);
    if (!header) return smelt_oom(err);
    memcpy(header, b->data, b->size);
    const uint64_t data = b->size;
    if (!add_u64(data, total, &total)) return smelt_fail(err, SMELT_E_LIMIT, "the file has more bytes than 64 bits count");
    int file;
    SMELT_TRY(layout_add_file(layout, name, header, data, total, &file, err));
    for (size_t i = 0, offset = data; i < n; offset += items[i++].bytes) {
        if (!arena_room(&layout->arena, &layout->tensors, layout->n_tensors, &layout->cap_tensors, sizeof *layout->tensors))
            return smelt_oom(err);
        layout->tensors[layout->n_tensors++] = (smelt_out_tensor){
            .src = items[i].tensor, .dtype = items[i].dtype, .file = file, .offset = offset, .bytes = items[i].bytes};
    }
    return SMELT_OK;
}

smelt_status safetensors_layout_file(const smelt_model *model, const smelt_model *out, const smelt_dtype *types, const char *name,
                                     const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err)
{
    smelt_arena arena = {0};
    smelt_buf b = {0};
    item *items;
    smelt_status st = make_items(out, types, &arena, &items, err);
    if (st == SMELT_OK) {
        qsort(items, out->n_tensors, sizeof *items, by_place);
        st = put_file(model, items, out->n_tensors, name, opts, &b, layout, err);
    }
    buf_free(&b);
    arena_free(&arena);
    return st;
}

/* Numbers the shards from 0, as huggingface_hub's split_state_dict_into_shards_factory does: in order, a new one when the
 * next tensor would make it too large; a tensor that is too large alone goes to a shard that is closed at once, while the
 * current one stays open. Returns how many there are, through *n. */
static smelt_status assign_shards(item *items, size_t n_items, uint64_t max_bytes, uint64_t max_tensors, smelt_arena *arena, int *n,
                                  smelt_err *err)
{
    enum { MAX_SHARDS = 99999 }; /* what the five digits of the names can say */
    int shards = 0, open = 0, groups = 1;
    uint64_t bytes = 0, count = 0;
    /* Shards are numbered as they close, but tensors come while they are open. */
    int *number = arena_calloc(arena, n_items + 1, sizeof *number);
    if (!number) return smelt_oom(err);
    for (size_t i = 0; i < n_items; i++) {
        item *it = &items[i];
        if (it->bytes > max_bytes) {
            number[groups] = shards++;
            it->shard = groups++;
            continue;
        }
        if (count && (bytes > max_bytes - it->bytes || count >= max_tensors)) {
            number[open] = shards++;
            open = groups++;
            bytes = count = 0;
        }
        it->shard = open;
        bytes += it->bytes;
        count++;
    }
    if (count || !shards) number[open] = shards++;
    if (shards > MAX_SHARDS)
        return smelt_fail(err, SMELT_E_USAGE, "%d files would be needed, names have room for %d; allow larger ones", shards,
                          MAX_SHARDS);
    for (size_t i = 0; i < n_items; i++)
        items[i].shard = number[items[i].shard];
    *n = shards;
    return SMELT_OK;
}

/* What transformers writes beside shards: json.dumps with indent=2 and sort_keys=True. */
static smelt_status put_index(item *items, size_t n, const char *const *names, smelt_layout *layout, smelt_err *err)
{
    uint64_t bytes = 0, params = 0, elems;
    for (size_t i = 0; i < n; i++)
        if (!add_u64(bytes, items[i].bytes, &bytes) || !shape_elems(&items[i].tensor->shape, &elems) ||
            !add_u64(params, elems, &params))
            return smelt_fail(err, SMELT_E_LIMIT, "the tensors have more bytes than 64 bits count");
    smelt_buf b = {0};
    buf_printf(&b, "{\n  \"metadata\": {\n    \"total_parameters\": %" PRIu64 ",\n    \"total_size\": %" PRIu64 "\n  },\n", params,
               bytes);
    buf_printf(&b, "  \"weight_map\": {");
    qsort(items, n, sizeof *items, by_name);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s\n    ", i ? "," : "");
        put_string(&b, items[i].tensor->name, strlen(items[i].tensor->name), true);
        buf_printf(&b, ": \"%s\"", names[items[i].shard]);
    }
    buf_printf(&b, "\n  }\n}\n");
    void *text = b.failed ? NULL : arena_calloc(&layout->arena, b.size, 1);
    if (text) memcpy(text, b.data, b.size);
    const uint64_t size = b.size;
    buf_free(&b);
    if (!text) return smelt_oom(err);
    return layout_add_file(layout, "model.safetensors.index.json", text, size, size, NULL, err);
}

static smelt_status put_shards(const smelt_model *model, item *items, size_t n, int shards, const smelt_write_opts *opts,
                               smelt_arena *arena, smelt_buf *b, smelt_layout *layout, smelt_err *err)
{
    const char **names = arena_calloc(arena, (size_t)shards, sizeof *names);
    if (!names) return smelt_oom(err);
    qsort(items, n, sizeof *items, by_place);
    size_t at = 0;
    for (int k = 0; k < shards; k++) {
        names[k] = shards == 1 ? "model.safetensors" : arena_printf(arena, "model-%05d-of-%05d.safetensors", k + 1, shards);
        if (!names[k]) return smelt_oom(err);
        const size_t from = at;
        while (at < n && items[at].shard == k)
            at++;
        SMELT_TRY(put_file(model, items + from, at - from, names[k], opts, b, layout, err));
    }
    return shards == 1 ? SMELT_OK : put_index(items, n, names, layout, err);
}

smelt_status safetensors_layout_dir(const smelt_model *model, const smelt_model *out, const smelt_dtype *types,
                                    const smelt_write_opts *opts, smelt_layout *layout, smelt_err *err)
{
    const uint64_t max_bytes = opts->split_bytes ? opts->split_bytes : 50000000000U;
    const uint64_t max_tensors = opts->split_tensors ? opts->split_tensors : UINT64_MAX;
    smelt_arena arena = {0};
    smelt_buf b = {0};
    item *items;
    int shards;
    smelt_status st = make_items(out, types, &arena, &items, err);
    if (st == SMELT_OK) st = assign_shards(items, out->n_tensors, max_bytes, max_tensors, &arena, &shards, err);
    if (st == SMELT_OK) st = put_shards(model, items, out->n_tensors, shards, opts, &arena, &b, layout, err);
    buf_free(&b);
    arena_free(&arena);
    return st;
}
