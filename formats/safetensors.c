/* safetensors: a length, a JSON header, the tensors' bytes. Source of the format: huggingface/safetensors, README.md (the
 * format) and safetensors/src/tensor.rs (what the reference implementation accepts).
 *
 * The header is taken apart member by member, and only one member at a time is parsed as JSON: what a tree of the whole
 * header would need is many times the text, and a hostile header can have 100 MB of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "safetensors_write.h"

enum {
    LENGTH = 8,               /* the header's length, little-endian */
    ENTRY_MAX = 64 * 1024,    /* text of one tensor's entry: a name, a type and at most 8 dimensions */
    META_KEYS_MAX = 64 * 1024 /* of __metadata__; short keys take thirty times their text in memory */
};

/* The members of one JSON object, walked without looking into their values. */
typedef struct members {
    const char *text;
    size_t size, pos; /* pos: behind the '{', then behind each ',' */
    uint64_t base;    /* offset of text[0] in the file */
    bool any, last;   /* one was seen; it was the last one, and pos is behind the '}' */
} members;

typedef struct member {
    const char *text; /* "key": value */
    size_t size;
    const char *value; /* first byte of the value */
    uint64_t offset;   /* of text in the file */
} member;

typedef struct entry {
    const char *name;
    size_t name_len;
    smelt_dtype dtype;
    smelt_shape shape;
    uint64_t begin, end;
    uint64_t offset; /* of the entry in the file, for messages */
} entry;

typedef struct reader {
    smelt_model *model;
    smelt_arena arena; /* what only reading needs */
    size_t meta_keys;
    smelt_buf member; /* JSON text of the member in work */
    entry *entries;
    size_t n, cap;
    bool meta_seen;
    smelt_strmap meta_names;
    smelt_err *err;
} reader;

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_space(const members *m, size_t i)
{
    while (i < m->size && is_space(m->text[i]))
        i++;
    return i;
}

/* From a quote to behind its partner, or to the end of the text. */
static size_t skip_string(const members *m, size_t i)
{
    for (i++; i < m->size; i++) {
        if (m->text[i] == '"') return i + 1;
        if (m->text[i] == '\\') i++;
    }
    return m->size;
}

static smelt_status bad_json(const members *m, size_t at, const char *what, smelt_err *err)
{
    return smelt_fail_at(err, SMELT_E_CORRUPT, m->base + at, "the header is not valid JSON: %s",
                         at < m->size ? what : "it ends too early");
}

/* Finds the next member; *end says that there is none. */
static smelt_status next_member(members *m, member *out, bool *end, smelt_err *err)
{
    size_t i = skip_space(m, m->pos);
    *end = m->last || (!m->any && i < m->size && m->text[i] == '}');
    if (*end) {
        if (!m->last) m->pos = i + 1;
        return SMELT_OK;
    }
    if (i >= m->size || m->text[i] != '"') return bad_json(m, i, "a name in double quotes was expected", err);
    const size_t start = i;
    i = skip_space(m, skip_string(m, i));
    if (i >= m->size || m->text[i] != ':') return bad_json(m, i, "a colon was expected", err);
    const size_t value = i = skip_space(m, i + 1);
    for (size_t depth = 0; i < m->size; i++) {
        const char c = m->text[i];
        if (c == '"') {
            i = skip_string(m, i) - 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    if (i >= m->size || m->text[i] == ']' || i == value) return bad_json(m, i, "a value was expected", err);
    *out = (member){m->text + start, i - start, m->text + value, m->base + start};
    m->any = true;
    m->last = m->text[i] == '}';
    m->pos = i + 1;
    return SMELT_OK;
}

/* Parses one member as an object of its own. NEW: *object, whose only member *key and *value are. */
static smelt_status parse_member(reader *r, const member *m, json_t **object, const char **key, json_t **value)
{
    smelt_buf *b = &r->member;
    b->size = 0;
    buf_u8(b, '{');
    buf_put(b, m->text, m->size);
    buf_u8(b, '}');
    if (b->failed) return smelt_oom(r->err);
    json_error_t e;
    *object = json_loadb((const char *)b->data, b->size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*object) {
        if (json_error_code(&e) == json_error_out_of_memory) return smelt_oom(r->err);
        const uint64_t at = e.position > 0 ? (uint64_t)e.position - 1 : 0;
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset + (at < m->size ? at : m->size), "the header is not valid JSON: %s",
                             e.text);
    }
    void *it = json_object_iter(*object);
    *key = json_object_iter_key(it);
    *value = json_object_iter_value(it);
    return SMELT_OK;
}

/* Control characters in a name would end up on terminals. */
static bool printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) return false;
    return true;
}

static const char *kind(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a fraction",  [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null",
    };
    return v ? names[json_typeof(v)] : "nothing";
}

static smelt_status add_metadata(reader *r, const member *m)
{
    static const char standard[] = "pt";
    if (*m->value != '"')
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset, "a value of " SAFETENSORS_META_MEMBER " is not a string");
    if (++r->meta_keys > META_KEYS_MAX)
        return smelt_fail_at(r->err, SMELT_E_LIMIT, m->offset, SAFETENSORS_META_MEMBER " has more than %d keys", META_KEYS_MAX);
    json_t *object, *value;
    const char *key;
    SMELT_TRY(parse_member(r, m, &object, &key, &value));
    smelt_status st = SMELT_OK;
    bool added = false;
    char *full = arena_printf(&r->arena, SAFETENSORS_META "%s", key);
    const char *text = json_string_value(value);
    const size_t n = json_string_length(value);
    if (!full || !strmap_add(&r->meta_names, full, strlen(full), 0, &added))
        st = smelt_oom(r->err);
    else if (!added)
        st = smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset, SAFETENSORS_META_MEMBER " has the key '%s' twice", key);
    /* Nearly every file says that its tensors are PyTorch's; a writer says so unasked. The first of several shards is the
     * one that counts. */
    else if (!(strcmp(key, "format") == 0 && n == sizeof standard - 1 && memcmp(text, standard, n) == 0) &&
             !meta_find(&r->model->meta, full) && !meta_str(&r->model->meta, full, text, n))
        st = smelt_oom(r->err);
    json_decref(object);
    return st;
}

static smelt_status read_metadata(reader *r, const member *m)
{
    if (r->meta_seen) return smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset, "the header has " SAFETENSORS_META_MEMBER " twice");
    r->meta_seen = true;
    const size_t skip = (size_t)(m->value - m->text);
    if (*m->value == 'n') {
        json_t *object, *value;
        const char *key;
        SMELT_TRY(parse_member(r, m, &object, &key, &value));
        json_decref(object);
        return SMELT_OK; /* null: nothing else begins so */
    }
    if (*m->value != '{')
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset, SAFETENSORS_META_MEMBER " is not an object of strings");
    members inner = {.text = m->value, .size = m->size - skip, .pos = 1, .base = m->offset + skip};
    for (;;) {
        member one;
        bool end;
        SMELT_TRY(next_member(&inner, &one, &end, r->err));
        if (end) break;
        SMELT_TRY(add_metadata(r, &one));
    }
    const size_t rest = skip_space(&inner, inner.pos);
    return rest < inner.size ? bad_json(&inner, rest, "a comma or a closing brace was expected", r->err) : SMELT_OK;
}

/* Wrong content of an entry; every such message has the entry's offset. */
static smelt_status wrong(const reader *r, const entry *e, const char *field, const char *expected, const json_t *found)
{
    return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "%s is %s, %s was expected", field, kind(found), expected);
}

static smelt_status read_dtype(const reader *r, entry *e, const json_t *v)
{
    if (!json_is_string(v)) return wrong(r, e, "dtype", "a string", v);
    const char *name = json_string_value(v);
    if (strlen(name) == json_string_length(v) && smelt_dtype_by_st(name, &e->dtype)) return SMELT_OK;
    return smelt_fail_at(r->err, SMELT_E_UNSUPPORTED, e->offset, "the dtype '%.64s' is none of safetensors'", name);
}

static smelt_status read_shape(const reader *r, entry *e, const json_t *v)
{
    if (!json_is_array(v)) return wrong(r, e, "shape", "an array", v);
    const size_t n = json_array_size(v);
    if (n > SMELT_MAX_DIMS)
        return smelt_fail_at(r->err, SMELT_E_LIMIT, e->offset, "the shape has %zu dimensions, at most %d are accepted", n,
                             SMELT_MAX_DIMS);
    e->shape.n = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(v, i);
        if (!json_is_integer(d)) return wrong(r, e, "a dimension", "an integer", d);
        if (json_integer_value(d) < 0)
            return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "dimension %zu is %" JSON_INTEGER_FORMAT, i,
                                 json_integer_value(d));
        e->shape.dim[i] = (uint64_t)json_integer_value(d);
    }
    return SMELT_OK;
}

static smelt_status read_offsets(const reader *r, entry *e, const json_t *v)
{
    if (!json_is_array(v)) return wrong(r, e, "data_offsets", "an array", v);
    if (json_array_size(v) != 2)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "data_offsets has %zu members, a begin and an end were expected",
                             json_array_size(v));
    uint64_t *const to[2] = {&e->begin, &e->end};
    for (size_t i = 0; i < 2; i++) {
        const json_t *d = json_array_get(v, i);
        if (!json_is_integer(d)) return wrong(r, e, "a data offset", "an integer", d);
        if (json_integer_value(d) < 0)
            return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "a data offset is %" JSON_INTEGER_FORMAT,
                                 json_integer_value(d));
        *to[i] = (uint64_t)json_integer_value(d);
    }
    if (e->end < e->begin)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "data_offsets end at %" PRIu64 ", before they begin at %" PRIu64,
                             e->end, e->begin);
    return SMELT_OK;
}

/* The bytes that type and shape need are the bytes that the offsets give. The product is taken in the order of the
 * dimensions and a later zero does not excuse an overflow, as in the reference. */
static smelt_status check_size(const reader *r, const entry *e)
{
    const smelt_dtype_row *row = smelt_dtype_get(e->dtype);
    char text[256];
    const char *shape = shape_text(&e->shape, text, sizeof text);
    uint64_t elems = 1, bytes;
    bool fits = true;
    for (int i = 0; i < e->shape.n && fits; i++)
        fits = mul_u64(elems, e->shape.dim[i], &elems);
    if (fits && elems % row->elems == 0) fits = smelt_dtype_bytes(e->dtype, elems, &bytes);
    if (!fits)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "%s %s has more bytes than 64 bits count", row->st_name, shape);
    if (elems % row->elems)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "%s %s is no whole number of bytes", row->st_name, shape);
    if (row->elems > 1 && elems && e->shape.dim[e->shape.n - 1] % row->elems)
        return smelt_fail_at(r->err, SMELT_E_UNSUPPORTED, e->offset, "%s %s has rows that are no whole number of bytes",
                             row->st_name, shape);
    if (bytes != e->end - e->begin)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset,
                             "%s %s needs %" PRIu64 " bytes, its data_offsets [%" PRIu64 ", %" PRIu64 "] give %" PRIu64,
                             row->st_name, shape, bytes, e->begin, e->end, e->end - e->begin);
    return SMELT_OK;
}

static smelt_status read_fields(const reader *r, entry *e, json_t *v)
{
    static const struct {
        const char *name;
        smelt_status (*read)(const reader *r, entry *e, const json_t *v);
    } fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    enum { N = sizeof fields / sizeof *fields };
    if (!json_is_object(v)) return wrong(r, e, "the entry", "an object", v);
    for (size_t i = 0; i < N; i++) {
        const json_t *field = json_object_get(v, fields[i].name);
        if (!field) return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "the entry has no %s", fields[i].name);
        SMELT_TRY(fields[i].read(r, e, field));
    }
    if (json_object_size(v) == N) return check_size(r, e);
    /* A member that is not known may change what the others mean. */
    const char *key;
    json_t *value;
    json_object_foreach(v, key, value)
    {
        size_t i = 0;
        while (i < N && strcmp(key, fields[i].name) != 0)
            i++;
        if (i == N)
            return smelt_fail_at(r->err, SMELT_E_UNSUPPORTED, e->offset,
                                 "the entry has a member '%.64s'; dtype, shape and data_offsets are all that the format knows",
                                 key);
    }
    return SMELT_OK;
}

static smelt_status read_entry(reader *r, const member *m)
{
    if (m->size > ENTRY_MAX)
        return smelt_fail_at(r->err, SMELT_E_LIMIT, m->offset, "a header entry has %zu bytes, at most %d are accepted", m->size,
                             ENTRY_MAX);
    json_t *object, *value;
    const char *key;
    SMELT_TRY(parse_member(r, m, &object, &key, &value));
    if (strcmp(key, SAFETENSORS_META_MEMBER) == 0) { /* spelt with escapes */
        json_decref(object);
        return read_metadata(r, m);
    }
    smelt_status st = SMELT_OK;
    if (!*key || !printable(key))
        st = smelt_fail_at(r->err, SMELT_E_CORRUPT, m->offset, "a tensor's name is empty or has control characters");
    else if (!arena_room(&r->arena, &r->entries, r->n, &r->cap, sizeof *r->entries))
        st = smelt_oom(r->err);
    if (st == SMELT_OK) {
        entry *e = &r->entries[r->n];
        *e = (entry){.name_len = strlen(key), .offset = m->offset};
        e->name = arena_strndup(&r->arena, key, e->name_len);
        if (!e->name)
            st = smelt_oom(r->err);
        else {
            r->n++;
            st = read_fields(r, e, value);
            if (st != SMELT_OK) smelt_err_where(r->err, "tensor '%s'", e->name);
        }
    }
    json_decref(object);
    return st;
}

static int by_offsets(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int d = strcmp(x->name, y->name);
    return d ? d : x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void sort(reader *r, int (*order)(const void *, const void *))
{
    if (r->n) qsort(r->entries, r->n, sizeof *r->entries, order);
}

/* Names occur once. Leaves the entries sorted by name. */
static smelt_status check_names(reader *r)
{
    sort(r, by_name);
    for (size_t i = 1; i < r->n; i++) {
        const entry *e = &r->entries[i];
        if (strcmp(e->name, e[-1].name) == 0)
            return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset, "the header has the tensor '%s' twice, first at byte %" PRIu64,
                                 e->name, e[-1].offset);
    }
    return SMELT_OK;
}

/* The tensors follow one another without holes from the header's end to the file's. */
static smelt_status check_places(reader *r, uint64_t data, uint64_t size)
{
    uint64_t at = 0;
    sort(r, by_offsets);
    for (size_t i = 0; i < r->n; i++) {
        const entry *e = &r->entries[i];
        smelt_status st = SMELT_OK;
        if (e->begin < at)
            st = smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset,
                               "its data begin at %" PRIu64 ", but those of '%s' end at %" PRIu64 ": they overlap", e->begin,
                               e[-1].name, at);
        else if (e->begin > at)
            st = smelt_fail_at(r->err, SMELT_E_CORRUPT, e->offset,
                               "its data begin at %" PRIu64 ", but those before end at %" PRIu64
                               ": the bytes between belong to no tensor",
                               e->begin, at);
        else if (e->end > size - data)
            st = smelt_fail_at(r->err, SMELT_E_TRUNCATED, data + e->begin,
                               "its data should end at byte %" PRIu64 ", the file ends at %" PRIu64
                               "; the download or copy is incomplete",
                               data + e->end, size);
        if (st != SMELT_OK) {
            smelt_err_where(r->err, "tensor '%s'", e->name);
            return st;
        }
        at = e->end;
    }
    if (at < size - data)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, data + at, "the last %" PRIu64 " bytes of the file belong to no tensor",
                             size - data - at);
    return SMELT_OK;
}

static smelt_status add_tensors(reader *r, const char *path, const uint8_t *data, uint64_t data_at)
{
    smelt_model *m = r->model;
    const char *file = path_base(&m->arena, path);
    if (!file) return smelt_oom(r->err);
    sort(r, by_name);
    for (size_t i = 0; i < r->n; i++) {
        const entry *e = &r->entries[i];
        const smelt_view *view;
        smelt_status st = view_bytes(&m->arena, e->dtype, &e->shape, e->end > e->begin ? data + e->begin : data, e->end - e->begin,
                                     &view, r->err);
        if (st == SMELT_OK) st = model_add(m, e->name, e->name_len, view, file, data_at + e->begin, r->err);
        if (st != SMELT_OK) {
            smelt_err_where(r->err, "tensor '%s'", e->name);
            return st;
        }
    }
    return SMELT_OK;
}

static smelt_status check_length(const smelt_map *map, uint64_t *header, smelt_err *err)
{
    static const char lfs[] = "version https://git-lfs";
    if (map->size >= sizeof lfs - 1 && memcmp(map->data, lfs, sizeof lfs - 1) == 0)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "this is a Git LFS pointer; fetch the real file with `git lfs pull`");
    if (map->size < LENGTH)
        return smelt_fail_at(err, SMELT_E_TRUNCATED, 0,
                             "a safetensors file begins with %d bytes of length, this one has %" PRIu64 " in all", LENGTH,
                             map->size);
    *header = load_le64(map->data);
    if (*header > SAFETENSORS_HEADER_MAX)
        return smelt_fail_at(err, SMELT_E_LIMIT, 0,
                             "the header's length is given as %" PRIu64
                             " bytes, at most %d are accepted; is this a safetensors file?",
                             *header, SAFETENSORS_HEADER_MAX);
    if (*header > map->size - LENGTH)
        return smelt_fail_at(err, SMELT_E_TRUNCATED, 0, "the header's length is given as %" PRIu64 " bytes, %" PRIu64 " are left",
                             *header, map->size - LENGTH);
    if (!*header || map->data[LENGTH] != '{')
        return smelt_fail_at(err, SMELT_E_CORRUPT, LENGTH, "the header does not begin with '{'");
    return SMELT_OK;
}

static smelt_status read_header(reader *r, const char *text, size_t size)
{
    static const char meta[] = "\"" SAFETENSORS_META_MEMBER "\"";
    members all = {.text = text, .size = size, .pos = 1, .base = LENGTH};
    for (;;) {
        member m;
        bool end;
        SMELT_TRY(next_member(&all, &m, &end, r->err));
        if (end) break;
        const bool is_meta = m.size >= sizeof meta - 1 && memcmp(m.text, meta, sizeof meta - 1) == 0;
        SMELT_TRY(is_meta ? read_metadata(r, &m) : read_entry(r, &m));
    }
    const size_t rest = skip_space(&all, all.pos);
    return rest < size ? bad_json(&all, rest, "there is text behind its closing brace", r->err) : SMELT_OK;
}

static smelt_status safetensors_read(const smelt_ctx *ctx, const char *path, smelt_model *model, smelt_err *err)
{
    (void)ctx;
    const smelt_map *map;
    uint64_t header;
    SMELT_TRY(model_map(model, path, &map, err));
    smelt_status st = check_length(map, &header, err);
    if (st == SMELT_OK) {
        reader r = {.model = model, .err = err};
        r.meta_names.arena = &r.arena;
        st = read_header(&r, (const char *)map->data + LENGTH, (size_t)header);
        if (st == SMELT_OK) st = check_names(&r);
        if (st == SMELT_OK) st = check_places(&r, LENGTH + header, map->size);
        if (st == SMELT_OK) st = add_tensors(&r, path, map->data + LENGTH + header, LENGTH + header);
        buf_free(&r.member);
        arena_free(&r.arena);
    }
    if (st != SMELT_OK) smelt_err_where(err, "%s", path);
    return st;
}

/* What lies in the holes that the reader refuses. */
static smelt_status audit_places(reader *r, const smelt_map *map, uint64_t data, smelt_audit *audit, smelt_err *err)
{
    uint64_t at = data;
    sort(r, by_offsets);
    for (size_t i = 0; i <= r->n; i++) {
        const entry *e = i < r->n ? &r->entries[i] : NULL;
        const uint64_t from = at, to = e && e->begin < map->size - data ? data + e->begin : map->size;
        uint64_t full = 0;
        for (uint64_t k = from; k < to; k++)
            full += map->data[k] != 0;
        if (from < to)
            SMELT_TRY(audit_add(audit, e ? SMELT_FIND_HIDDEN_GAP : SMELT_FIND_HIDDEN_TRAILING, from, err,
                                "%" PRIu64 " bytes %s%s belong to no tensor, %" PRIu64 " of them are not zero", to - from,
                                e ? "before tensor " : "at the end", e ? e->name : "", full));
        if (e && (e->begin > map->size - data || e->end > map->size - data)) return SMELT_OK; /* the reader says so */
        if (e && data + e->end > at) at = data + e->end;
    }
    return SMELT_OK;
}

static smelt_status safetensors_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err)
{
    (void)ctx;
    smelt_model model;
    smelt_err refusal = {0};
    const smelt_map *map;
    uint64_t header;
    model_init(&model);
    smelt_status st = model_map(&model, path, &map, err);
    if (st == SMELT_OK && check_length(map, &header, &refusal) == SMELT_OK) {
        reader r = {.model = &model, .err = &refusal};
        r.meta_names.arena = &r.arena;
        st = read_header(&r, (const char *)map->data + LENGTH, (size_t)header);
        if (st == SMELT_E_NOMEM)
            smelt_oom(err);
        else
            st = st == SMELT_OK ? audit_places(&r, map, LENGTH + header, audit, err) : SMELT_OK;
        buf_free(&r.member);
        arena_free(&r.arena);
    }
    model_free(&model);
    return st;
}

static bool safetensors_probe(const smelt_probe *p)
{
    if (p->is_dir || !p->head_size) return false;
    if (p->head_size > LENGTH && load_le64(p->head) <= SAFETENSORS_HEADER_MAX && p->head[LENGTH] == '{') return true;
    /* A file that has the name but not the content gets this reader's message, unless it is something else that is known:
     * text, or an archive. */
    static const char extension[] = ".safetensors";
    const size_t n = strlen(p->path);
    if (n < sizeof extension || strcmp(p->path + n - (sizeof extension - 1), extension) != 0) return false;
    bool text = true;
    for (size_t i = 0; i < p->head_size && i < LENGTH && text; i++)
        text = (p->head[i] >= 0x20 && p->head[i] < 0x7F) || is_space((char)p->head[i]);
    return !text && !(p->head_size >= 2 && p->head[0] == 'P' && p->head[1] == 'K');
}

static smelt_status safetensors_layout(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out,
                                       const smelt_dtype *types, const char *target, const smelt_write_opts *opts,
                                       smelt_layout *layout, smelt_err *err)
{
    (void)ctx;
    if (opts->split_bytes || opts->split_tensors)
        return smelt_fail(err, SMELT_E_USAGE, "one safetensors file cannot be split; give a directory as the target");
    const char *name = path_base(&layout->arena, target);
    if (!name) return smelt_oom(err);
    return safetensors_layout_file(model, out, types, name, opts, layout, err);
}

const smelt_format smelt_format_safetensors = {
    .name = "safetensors",
    .extensions = ".safetensors",
    .title = "safetensors",
    .probe = safetensors_probe,
    .read = safetensors_read,
    .project = safetensors_project,
    .layout = safetensors_layout,
    .can_store = safetensors_can_store,
    .audit = safetensors_audit,
};
