#include "formats/gguf.h"

#include <stdio.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "formats/gguf_vocab.h"
#include "formats/gguf_write.h"

enum { MIN_KV = 13, MIN_TENSOR = 24, MAX_STRING = 1 << 30, MAX_ALIGNMENT = 1 << 20 };

static bool probe(const smelt_probe *p) { return !p->is_dir && p->head_size >= 4 && memcmp(p->head, "GGUF", 4) == 0; }

static smelt_status read_string(smelt_cur *c, const char *what, smelt_str *out)
{
    uint64_t n;
    const uint8_t *p;
    SMELT_TRY(cur_u64(c, what, &n));
    if (n > MAX_STRING)
        return smelt_fail_at(c->err, SMELT_E_LIMIT, c->base + c->pos - 8, "%s has %" PRIu64 " bytes, at most %d are accepted", what,
                             n, MAX_STRING);
    SMELT_TRY(cur_bytes(c, n, what, &p));
    *out = (smelt_str){(const char *)p, n};
    return SMELT_OK;
}

static smelt_status read_text(smelt_cur *c, const char *key, smelt_str *out)
{
    uint64_t at = c->base + c->pos;
    SMELT_TRY(read_string(c, "a string", out));
    if (utf8_valid(out->p, out->n)) return SMELT_OK;
    return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "key '%s': the string is no UTF-8", key);
}

/* Scalars in a file: where the value goes and how wide it is comes from the type. */
static void set_scalar(smelt_kv *kv, const uint8_t *p)
{
    size_t size = kv_type_size(kv->type);
    uint64_t raw = size == 8 ? load_le64(p) : size == 4 ? load_le32(p) : size == 2 ? load_le16(p) : *p;
    unsigned bits = (unsigned)(64 - 8 * size);
    static const uint32_t is_signed = 1U << SMELT_KV_I8 | 1U << SMELT_KV_I16 | 1U << SMELT_KV_I32 | 1U << SMELT_KV_I64;
    if (kv->type == SMELT_KV_F32)
        kv->v.f = (double)f32_from_bits((uint32_t)raw);
    else if (kv->type == SMELT_KV_F64)
        memcpy(&kv->v.f, &raw, sizeof raw);
    else if (is_signed >> kv->type & 1)
        kv->v.i = (int64_t)(raw << bits) >> bits;
    else
        kv->v.u = raw;
}

static smelt_status read_array(smelt_cur *c, smelt_arena *arena, smelt_kv *kv)
{
    uint64_t at = c->base + c->pos, n;
    uint32_t type;
    SMELT_TRY(cur_u32(c, "an array's element type", &type));
    SMELT_TRY(cur_u64(c, "an array's length", &n));
    if (type == SMELT_KV_ARRAY)
        return smelt_fail_at(c->err, SMELT_E_UNSUPPORTED, at, "key '%s': arrays of arrays are not supported", kv->key);
    if (type >= SMELT_KV_TYPES)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "key '%s': unknown array element type %" PRIu32, kv->key, type);
    kv->v.a.type = (smelt_kv_type)type;
    kv->v.a.n = n;
    size_t size = kv_type_size(kv->v.a.type), least = size ? size : 8;
    if (n > (c->size - c->pos) / least)
        return smelt_fail_at(c->err, SMELT_E_TRUNCATED, at,
                             "key '%s': an array of %" PRIu64 " elements does not fit into the %" PRIu64 " bytes that are left",
                             kv->key, n, c->size - c->pos);
    if (size) {
        const uint8_t *p;
        SMELT_TRY(cur_bytes(c, n * size, "an array", &p));
        for (uint64_t i = 0; type == SMELT_KV_BOOL && i < n; i++)
            if (p[i] > 1)
                return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "key '%s': element %" PRIu64 " is no boolean", kv->key, i);
        kv->v.a.data = p;
        return SMELT_OK;
    }
    smelt_str *s = arena_calloc(arena, n, sizeof *s);
    if (!s) return smelt_oom(c->err);
    for (uint64_t i = 0; i < n; i++)
        SMELT_TRY(read_text(c, kv->key, &s[i]));
    kv->v.a.data = s;
    return SMELT_OK;
}

static smelt_status read_kv(smelt_cur *c, smelt_arena *arena, smelt_kv *kv)
{
    smelt_str key;
    uint32_t type;
    uint64_t at = c->base + c->pos;
    SMELT_TRY(read_string(c, "a key", &key));
    if (!key.n || key.n > 65535 || memchr(key.p, 0, key.n) || !utf8_valid(key.p, key.n))
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "a key is empty, too long or no UTF-8");
    kv->key = arena_strndup(arena, key.p, key.n);
    if (!kv->key) return smelt_oom(c->err);
    SMELT_TRY(cur_u32(c, "a key's type", &type));
    if (type >= SMELT_KV_TYPES)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos - 4, "key '%s' has the unknown type %" PRIu32, kv->key,
                             type);
    kv->type = (smelt_kv_type)type;
    if (kv->type == SMELT_KV_ARRAY) return read_array(c, arena, kv);
    if (kv->type == SMELT_KV_STR) return read_text(c, kv->key, &kv->v.s);
    const uint8_t *p;
    SMELT_TRY(cur_bytes(c, kv_type_size(kv->type), "a value", &p));
    if (kv->type == SMELT_KV_BOOL && *p > 1)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos - 1, "key '%s' is the boolean %u", kv->key, *p);
    set_scalar(kv, p);
    return SMELT_OK;
}

smelt_status gguf_read_keys(smelt_cur *c, uint64_t n, smelt_arena *arena, smelt_meta *meta)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = c->base + c->pos;
        smelt_kv kv = {0};
        SMELT_TRY(read_kv(c, arena, &kv));
        if (meta_find(meta, kv.key)) return smelt_fail_at(c->err, SMELT_E_CORRUPT, at, "the key '%s' is there twice", kv.key);
        if (!meta_set(meta, &kv)) return smelt_oom(c->err);
    }
    return SMELT_OK;
}

static smelt_status read_type(smelt_cur *c, gguf_info *t)
{
    uint32_t id;
    SMELT_TRY(cur_u32(c, "a tensor's type", &id));
    if (smelt_dtype_by_gguf(id, &t->dtype)) return SMELT_OK;
    const bool removed = id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
    return smelt_fail_at(c->err, SMELT_E_UNSUPPORTED, c->base + c->pos - 4, "tensor '%.*s' has the %s type %" PRIu32 "%s",
                         (int)(t->name.n < 64 ? t->name.n : 64), t->name.p, removed ? "withdrawn" : "unknown", id,
                         removed ? "; convert it again from its original" : "");
}

smelt_status gguf_read_info(smelt_cur *c, gguf_info *t)
{
    uint32_t n_dims;
    t->at = c->base + c->pos;
    SMELT_TRY(read_string(c, "a tensor's name", &t->name));
    int shown = (int)(t->name.n < 64 ? t->name.n : 64);
    if (t->name.n > GGUF_MAX_NAME)
        return smelt_fail_at(c->err, SMELT_E_LIMIT, t->at, "the name '%.*s…' has %" PRIu64 " bytes, at most %d are possible", shown,
                             t->name.p, t->name.n, GGUF_MAX_NAME);
    SMELT_TRY(cur_u32(c, "a tensor's number of dimensions", &n_dims));
    if (n_dims > GGUF_MAX_DIMS)
        return smelt_fail_at(c->err, SMELT_E_LIMIT, c->base + c->pos - 4,
                             "tensor '%.*s' has %" PRIu32 " dimensions, at most %d are possible", shown, t->name.p, n_dims,
                             GGUF_MAX_DIMS);
    t->shape.n = (int)n_dims;
    for (int i = t->shape.n - 1; i >= 0; i--) {
        SMELT_TRY(cur_u64(c, "a dimension", &t->shape.dim[i]));
        if (t->shape.dim[i] == 0 || t->shape.dim[i] > INT64_MAX)
            return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos - 8, "tensor '%.*s' has a dimension of %" PRIu64, shown,
                                 t->name.p, t->shape.dim[i]);
    }
    SMELT_TRY(read_type(c, t));
    SMELT_TRY(cur_u64(c, "a tensor's offset", &t->offset));
    uint64_t elems;
    const smelt_dtype_row *row = smelt_dtype_get(t->dtype);
    uint64_t inner = t->shape.n ? t->shape.dim[t->shape.n - 1] : 1;
    if (inner % row->elems)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, t->at,
                             "tensor '%.*s': rows of %" PRIu64 " elements are no whole number of %s blocks of %" PRIu32, shown,
                             t->name.p, inner, row->name, row->elems);
    if (!shape_elems(&t->shape, &elems) || !smelt_dtype_bytes(t->dtype, elems, &t->bytes))
        return smelt_fail_at(c->err, SMELT_E_LIMIT, t->at, "the size of tensor '%.*s' overflows", shown, t->name.p);
    return SMELT_OK;
}

smelt_status gguf_read_head(smelt_cur *c, gguf_head *h)
{
    const uint8_t *magic;
    SMELT_TRY(cur_bytes(c, 4, "the magic number", &magic));
    if (memcmp(magic, "GGUF", 4) != 0)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, 0, "the file begins with the bytes %02x %02x %02x %02x, not with GGUF",
                             magic[0], magic[1], magic[2], magic[3]);
    SMELT_TRY(cur_u32(c, "the version", &h->version));
    if (h->version && (h->version & 0xFFFF) == 0)
        return smelt_fail_at(c->err, SMELT_E_UNSUPPORTED, 4,
                             "the file is big-endian; convert it with gguf-py's gguf_convert_endian first");
    if (h->version < 2 || h->version > 3)
        return smelt_fail_at(c->err, SMELT_E_UNSUPPORTED, 4, "GGUF version %" PRIu32 ", versions 2 and 3 are supported",
                             h->version);
    SMELT_TRY(cur_u64(c, "the number of tensors", &h->n_tensors));
    SMELT_TRY(cur_u64(c, "the number of keys", &h->n_kv));
    if (h->n_tensors > c->size / MIN_TENSOR)
        return smelt_fail_at(c->err, SMELT_E_LIMIT, 8, "%" PRIu64 " tensors do not fit into %" PRIu64 " bytes", h->n_tensors,
                             c->size);
    if (h->n_kv > c->size / MIN_KV)
        return smelt_fail_at(c->err, SMELT_E_LIMIT, 16, "%" PRIu64 " keys do not fit into %" PRIu64 " bytes", h->n_kv, c->size);
    return SMELT_OK;
}

smelt_status gguf_read_alignment(const smelt_meta *meta, uint32_t *out, smelt_err *err)
{
    const smelt_kv *kv = meta_find(meta, "general.alignment");
    *out = GGUF_ALIGNMENT;
    if (!kv) return SMELT_OK;
    if (kv->type != SMELT_KV_U32)
        return smelt_fail(err, SMELT_E_CORRUPT, "general.alignment is %s, expected u32", kv_type_name(kv->type));
    if (!kv->v.u || kv->v.u & (kv->v.u - 1) || kv->v.u > MAX_ALIGNMENT)
        return smelt_fail(err, SMELT_E_CORRUPT, "general.alignment is %" PRIu64 ", expected a power of two of at most %d", kv->v.u,
                          MAX_ALIGNMENT);
    *out = (uint32_t)kv->v.u;
    return SMELT_OK;
}

/* Adds the tensors of one file; their data follow one another without gaps, as llama.cpp's reader demands. */
static smelt_status read_tensors(smelt_cur *c, const gguf_head *h, const smelt_map *map, const char *file, smelt_model *m)
{
    gguf_info *infos = arena_calloc(&m->arena, h->n_tensors, sizeof *infos);
    if (!infos) return smelt_oom(c->err);
    for (uint64_t i = 0; i < h->n_tensors; i++)
        SMELT_TRY(gguf_read_info(c, &infos[i]));
    uint64_t start, next = 0;
    if (!align_u64(c->pos, h->alignment, &start)) return smelt_oom(c->err);
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        const gguf_info *t = &infos[i];
        int shown = (int)(t->name.n < 64 ? t->name.n : 64);
        uint64_t end;
        if (t->offset != next)
            return smelt_fail_at(c->err, SMELT_E_CORRUPT, t->at,
                                 "tensor '%.*s' is at offset %" PRIu64 " of the data, expected %" PRIu64 " (%s)", shown, t->name.p,
                                 t->offset, next,
                                 t->offset % h->alignment ? "misaligned"
                                 : t->offset < next       ? "it overlaps the one before"
                                                          : "there is a gap");
        if (!add_u64(start, next, &end) || !add_u64(end, t->bytes, &end) || end > map->size)
            return smelt_fail_at(c->err, SMELT_E_TRUNCATED, t->at,
                                 "tensor '%.*s' needs %" PRIu64 " bytes at %" PRIu64 ", the file has %" PRIu64, shown, t->name.p,
                                 t->bytes, start + next, map->size);
        const smelt_view *view;
        SMELT_TRY(view_bytes(&m->arena, t->dtype, &t->shape, map->data + start + next, t->bytes, &view, c->err));
        smelt_status st = model_add(m, t->name.p, t->name.n, view, file, start + next, c->err);
        if (st != SMELT_OK) return st;
        if (!align_u64(next + t->bytes, h->alignment, &next))
            return smelt_fail_at(c->err, SMELT_E_LIMIT, t->at, "offsets overflow");
    }
    return SMELT_OK;
}

static smelt_status read_file(const char *path, smelt_model *m, smelt_meta *meta, gguf_head *h, smelt_err *err)
{
    const smelt_map *map;
    SMELT_TRY(model_map(m, path, &map, err));
    smelt_cur c = {.data = map->data, .size = map->size, .err = err};
    char *file = path_base(&m->arena, path);
    smelt_status st = file ? gguf_read_head(&c, h) : smelt_oom(err);
    if (st == SMELT_OK) st = gguf_read_keys(&c, h->n_kv, &m->arena, meta);
    if (st == SMELT_OK) st = gguf_read_alignment(meta, &h->alignment, err);
    if (st == SMELT_OK) st = read_tensors(&c, h, map, file, m);
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}

/* The length of the part of a path before "-00001-of-00003.gguf"; 0 if it does not end so. */
static size_t split_stem(const char *path)
{
    unsigned no, count;
    int used = 0;
    size_t n = strlen(path), tail = strlen("-00001-of-00003.gguf");
    if (n <= tail || path[n - 1] != 'f') return 0;
    return sscanf(path + n - tail, "-%5u-of-%5u.ggu%n", &no, &count, &used) == 2 && used == (int)tail - 1 ? n - tail : 0;
}

/* A number that is not negative; `absent` if the key is not there. */
static smelt_status split_key(const smelt_meta *meta, const char *key, uint64_t absent, uint64_t *out, smelt_err *err)
{
    const smelt_kv *kv = meta_find(meta, key);
    *out = absent;
    if (!kv || meta_get_u64(meta, key, out)) return SMELT_OK;
    return smelt_fail(err, SMELT_E_CORRUPT, "%s (%s) is no number of files or tensors", key, kv_type_name(kv->type));
}

/* The part files of a split model. `m` already has the tensors of one of them if that was the first. */
static smelt_status read_parts(const char *path, uint64_t count, smelt_model *m, smelt_err *err)
{
    size_t stem = split_stem(path);
    if (!stem)
        return smelt_fail(err, SMELT_E_MISMATCH,
                          "the file is part of %" PRIu64 " but is not named like NAME-00001-of-%05" PRIu64
                          ".gguf, so the others cannot be found",
                          count, count);
    for (uint64_t i = 1; i < count; i++) {
        char *part = arena_printf(&m->arena, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)stem, path, i + 1, count);
        if (!part) return smelt_oom(err);
        smelt_meta meta = {.arena = &m->arena};
        gguf_head h = {0};
        if (!path_exists(part)) return smelt_fail(err, SMELT_E_MISMATCH, "the part '%s' of %" PRIu64 " is missing", part, count);
        SMELT_TRY(read_file(part, m, &meta, &h, err));
        uint64_t no, n;
        if (!meta_get_u64(&meta, "split.no", &no) || !meta_get_u64(&meta, "split.count", &n) || no != i || n != count)
            return smelt_fail(err, SMELT_E_MISMATCH, "'%s' does not say that it is part %" PRIu64 " of %" PRIu64, part, i + 1,
                              count);
    }
    uint64_t total;
    SMELT_TRY(split_key(&m->meta, "split.tensors.count", m->n_tensors, &total, err));
    if (total != m->n_tensors)
        return smelt_fail(err, SMELT_E_MISMATCH, "the parts have %zu tensors, split.tensors.count says %" PRIu64, m->n_tensors,
                          total);
    return SMELT_OK;
}

/* Number of files that a model is split into, which the first of them says; 1 (some write 0) for a whole one. */
static smelt_status split_count(const smelt_meta *meta, uint64_t *count, smelt_err *err)
{
    uint64_t no = 0;
    SMELT_TRY(split_key(meta, "split.count", 1, count, err));
    if (*count < 2) return SMELT_OK;
    if (*count > UINT16_MAX) return smelt_fail(err, SMELT_E_CORRUPT, "split.count is %" PRIu64, *count);
    if (!meta_find(meta, "split.no")) return smelt_fail(err, SMELT_E_CORRUPT, "split.count is there, but split.no is not");
    SMELT_TRY(split_key(meta, "split.no", 0, &no, err));
    if (no >= *count) return smelt_fail(err, SMELT_E_CORRUPT, "split.no is %" PRIu64 " with a split.count of %" PRIu64, no, *count);
    if (no) return smelt_fail(err, SMELT_E_MISMATCH, "this is part %" PRIu64 " of %" PRIu64 "; give the first", no + 1, *count);
    return SMELT_OK;
}

static smelt_status read(const smelt_ctx *ctx, const char *path, smelt_model *m, smelt_err *err)
{
    gguf_head h = {0};
    uint64_t count;
    /* Any part stands for the whole: the first one has the keys. */
    const char *given = path;
    size_t stem = split_stem(path);
    if (stem) {
        char *first = arena_printf(&m->arena, "%.*s-00001%s", (int)stem, path, path + stem + 6);
        if (!first) return smelt_oom(err);
        if (path_exists(first)) path = first;
    }
    SMELT_TRY(read_file(path, m, &m->meta, &h, err));
    smelt_status st = split_count(&m->meta, &count, err);
    if (st == SMELT_OK && count < 2 && strcmp(path, given) != 0)
        st = smelt_fail(err, SMELT_E_MISMATCH, "it is not split, so '%s' is no part of it in spite of the names", given);
    if (st == SMELT_OK && count > 1) st = read_parts(path, count, m, err);
    m->variant = count > 1 ? arena_printf(&m->arena, "v%" PRIu32 ", %" PRIu64 " files", h.version, count)
                           : arena_printf(&m->arena, "v%" PRIu32, h.version);
    if (st == SMELT_OK && !m->variant) st = smelt_oom(err);
    static const char *const split_keys[] = {"split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < 3; i++)
        meta_remove(&m->meta, split_keys[i]);
    m->meta_complete = true;
    const smelt_kv *arch = meta_find(&m->meta, "general.architecture");
    if (st == SMELT_OK && arch && arch->type != SMELT_KV_STR)
        st = smelt_fail(err, SMELT_E_CORRUPT, "general.architecture is %s, expected str", kv_type_name(arch->type));
    if (st == SMELT_OK) st = gguf_vocab_get(m, err);
    if (st == SMELT_OK) st = arch_from_gguf(ctx, m, err);
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}

static bool can_store(smelt_dtype dtype) { return smelt_dtype_get(dtype)->gguf_id >= 0; }

const smelt_format smelt_format_gguf = {
    .name = "gguf",
    .extensions = ".gguf",
    .title = "GGUF",
    .probe = probe,
    .read = read,
    .project = gguf_project,
    .layout = gguf_layout,
    .can_store = can_store,
    .audit = gguf_audit,
};
