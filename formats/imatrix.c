/* Importance matrices from before GGUF (imatrix.dat). Source: llama.cpp's common/imatrix-loader.cpp.
 *
 *   i32 number of entries
 *   each: i32 length, name; i32 calls; i32 number of values; f32 values, mean squares of activations times calls
 *   in newer files: i32 chunks, i32 length, name of the text
 *
 * The model gets what an imatrix.gguf has: NAME.in_sum2 and NAME.counts, and the keys imatrix.datasets and imatrix.chunk_count. */
#include "base/bytes.h"
#include "ir/format.h"

enum { MIN_ENTRY = 4 + 1 + 4 + 4 + 4, MAX_NAME = 255 };

static smelt_status read_i32(smelt_cur *c, const char *what, int32_t *out)
{
    uint32_t v;
    SMELT_TRY(cur_u32(c, what, &v));
    *out = (int32_t)v;
    return SMELT_OK;
}

static smelt_status read_name(smelt_cur *c, smelt_str *out)
{
    int32_t n;
    const uint8_t *p;
    SMELT_TRY(read_i32(c, "a name's length", &n));
    if (n < 1 || n > MAX_NAME)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos - 4, "a name has %" PRId32 " bytes, expected 1 to %d", n,
                             MAX_NAME);
    SMELT_TRY(cur_bytes(c, (uint64_t)n, "a name", &p));
    *out = (smelt_str){(const char *)p, (uint64_t)n};
    return SMELT_OK;
}

/* There is no magic number: what begins with a plausible count and a name of a weight is taken for one. */
static bool probe(const smelt_probe *p)
{
    smelt_cur c = {.data = p->head, .size = p->head_size};
    int32_t n = 0;
    smelt_str name = {0};
    if (p->is_dir || read_i32(&c, "", &n) != SMELT_OK || read_name(&c, &name) != SMELT_OK) return false;
    static const char suffix[] = ".weight";
    const size_t len = sizeof suffix - 1;
    return n > 0 && (uint64_t)n <= p->file_size / MIN_ENTRY && name.n > len && memcmp(name.p + name.n - len, suffix, len) == 0;
}

static smelt_status add(smelt_model *m, const smelt_str *name, const char *suffix, uint64_t n, const void *data, const char *file,
                        uint64_t offset, smelt_err *err)
{
    const smelt_shape shape = {1, {n}};
    const smelt_view *view;
    char *full = arena_printf(&m->arena, "%.*s%s", (int)name->n, name->p, suffix);
    if (!full) return smelt_oom(err);
    SMELT_TRY(view_bytes(&m->arena, SMELT_DT_F32, &shape, data, n * sizeof(float), &view, err));
    return model_add(m, full, strlen(full), view, file, offset, err);
}

static smelt_status read_entry(smelt_cur *c, smelt_model *m, const char *file)
{
    smelt_str name;
    int32_t calls, n;
    const uint8_t *values;
    const uint64_t at = c->base + c->pos;
    SMELT_TRY(read_name(c, &name));
    if (memchr(name.p, 0, name.n)) return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "a name has a NUL in it");
    SMELT_TRY(read_i32(c, "the number of calls", &calls));
    SMELT_TRY(read_i32(c, "the number of values", &n));
    if (n < 1)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos - 4, "'%.*s' has %" PRId32 " values", (int)name.n, name.p,
                             n);
    SMELT_TRY(cur_bytes(c, (uint64_t)n * sizeof(float), "an entry's array of values", &values));
    uint8_t *count = arena_calloc(&m->arena, 1, sizeof(float));
    if (!count) return smelt_oom(c->err);
    /* Without calls there is nothing to divide by, and llama.cpp does not. */
    store_le32(count, f32_bits(calls > 0 ? (float)calls : 1.0f));
    smelt_status st = add(m, &name, ".in_sum2", (uint64_t)n, values, file, (uint64_t)(values - c->data), c->err);
    if (st == SMELT_OK) st = add(m, &name, ".counts", 1, count, NULL, 0, c->err);
    return st;
}

/* The number of chunks and the text: older files end before them. */
static smelt_status read_trailer(smelt_cur *c, smelt_model *m)
{
    int32_t chunks, n;
    const uint8_t *text;
    if (c->pos == c->size) return SMELT_OK;
    SMELT_TRY(read_i32(c, "the number of chunks", &chunks));
    if (chunks > 0 && !meta_u32(&m->meta, "imatrix.chunk_count", (uint32_t)chunks)) return smelt_oom(c->err);
    if (c->pos == c->size) return SMELT_OK;
    SMELT_TRY(read_i32(c, "the length of the text's name", &n));
    if (n < 1) return SMELT_OK;
    SMELT_TRY(cur_bytes(c, (uint64_t)n, "the text's name", &text));
    smelt_str *name = arena_calloc(&m->arena, 1, sizeof *name);
    if (!name) return smelt_oom(c->err);
    *name = (smelt_str){(const char *)text, strnlen((const char *)text, (size_t)n)};
    if (!utf8_valid(name->p, name->n)) return SMELT_OK;
    return meta_set(
               &m->meta,
               &(smelt_kv){.key = "imatrix.datasets", .type = SMELT_KV_ARRAY, .v.a = {.type = SMELT_KV_STR, .n = 1, .data = name}})
               ? SMELT_OK
               : smelt_oom(c->err);
}

static smelt_status read(const smelt_ctx *ctx, const char *path, smelt_model *m, smelt_err *err)
{
    (void)ctx;
    const smelt_map *map;
    SMELT_TRY(model_map(m, path, &map, err));
    smelt_cur c = {.data = map->data, .size = map->size, .err = err};
    int32_t n = 0;
    char *file = path_base(&m->arena, path);
    smelt_status st = file ? read_i32(&c, "the number of entries", &n) : smelt_oom(err);
    if (st == SMELT_OK && (n < 1 || (uint64_t)n > map->size / MIN_ENTRY))
        st = smelt_fail_at(err, SMELT_E_CORRUPT, 0, "%" PRId32 " entries do not fit into %" PRIu64 " bytes", n, map->size);
    for (int32_t i = 0; st == SMELT_OK && i < n; i++)
        st = read_entry(&c, m, file);
    if (st == SMELT_OK) st = read_trailer(&c, m);
    if (st == SMELT_OK && !meta_str(&m->meta, "general.type", "imatrix", strlen("imatrix"))) st = smelt_oom(err);
    m->unmapped = "it is an importance matrix, not a model";
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}

const smelt_format smelt_format_imatrix = {
    .name = "imatrix",
    .extensions = "",
    .title = "imatrix.dat",
    .probe = probe,
    .read = read,
};
