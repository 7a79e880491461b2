#include "formats/torch_audit.h"

#include <stdio.h>

#include "formats/pickle.h"
#include "formats/pickle_audit.h"
#include "formats/zip.h"

enum {
    LOCAL = 0x04034B50,
    END = 0x06054B50,
    DESCRIPTOR = 0x08074B50,
    LOCAL_SIZE = 30,
    END_SIZE = 22,
    MAX_COMMENT = 65535,
    LEGACY_PICKLES = 5
};

typedef struct look {
    const uint8_t *data;
    uint64_t size;
    smelt_audit *audit;
    smelt_arena arena;
    smelt_zip zip;
    smelt_err *err;
} look;

static bool ends(const zip_entry *e, const char *tail)
{
    const size_t n = strlen(tail);
    return e->name_len >= n && memcmp(e->name + e->name_len - n, tail, n) == 0;
}

static const char *shown(const zip_entry *e, char *buf, size_t size) { return pk_text(e->name, e->name_len, buf, size); }

/* One pickle, and what follows its end where it should be alone. */
static smelt_status walk(look *l, const uint8_t *p, uint64_t n, uint64_t base, const char *what)
{
    bool stopped;
    smelt_cur cur = {.data = p, .size = n, .base = base};
    SMELT_TRY(pickle_audit(&cur, l->audit, &stopped, l->err));
    if (!stopped || cur.pos == n) return SMELT_OK;
    return audit_add(l->audit, SMELT_FIND_HIDDEN_TRAILING, base + cur.pos, l->err,
                     "%" PRIu64 " bytes follow the pickle's end in %s", n - cur.pos, what);
}

/* Bytes that are not zero in [from, to). */
static uint64_t not_zero(const look *l, uint64_t from, uint64_t to)
{
    uint64_t n = 0;
    for (uint64_t i = from; i < to; i++)
        n += l->data[i] != 0;
    return n;
}

/* Sizes and CRC behind an entry's data, of 32 or 64 bits, with a mark or without. */
static uint64_t descriptor(const look *l, const zip_entry *e, uint64_t from, uint64_t to)
{
    if (!(load_le16(l->data + e->header + 6) & 8)) return 0;
    const uint64_t room = to - from, mark = room >= 4 && load_le32(l->data + from) == DESCRIPTOR ? 4 : 0;
    if (room >= mark + 20 && load_le64(l->data + from + mark + 4) == e->packed) return mark + 20;
    return room >= mark + 12 && load_le32(l->data + from + mark + 4) == (uint32_t)e->packed ? mark + 12 : 0;
}

/* Extra fields: torch's padding is Z or zeros in a field FB, and archivers write times, owners and long sizes. */
static smelt_status extras(look *l, const zip_entry *e)
{
    static const uint16_t usual[] = {0x0001, 0x000A, 0x5455, 0x7875, 0x5855, 0x9901};
    const uint64_t from = e->header + LOCAL_SIZE + e->name_len;
    char text[96];
    for (uint64_t at = from; e->data - at >= 4;) {
        const uint16_t id = load_le16(l->data + at), n = load_le16(l->data + at + 2);
        bool fine = false;
        at += 4;
        if (n > e->data - at) return SMELT_OK; /* the reader says so */
        for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
            fine = fine || usual[i] == id;
        if (id == 0x4246) {
            fine = true;
            for (uint16_t i = 0; i < n; i++)
                fine = fine && (l->data[at + i] == 'Z' || l->data[at + i] == 0);
        }
        if (!fine)
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_HIDDEN_GAP, at, l->err,
                                "an extra field of %u bytes in the header of '%s' is no padding", n, shown(e, text, sizeof text)));
        at += n;
    }
    return SMELT_OK;
}

/* What lies between the entries. */
static smelt_status gaps(look *l)
{
    const smelt_zip *z = &l->zip;
    uint64_t at = 0;
    for (size_t i = 0; i <= z->n; i++) {
        const zip_entry *e = i < z->n ? &z->entries[i] : NULL;
        const uint64_t to = e ? e->header : z->directory;
        char text[96];
        if (i) at += descriptor(l, e ? e - 1 : &z->entries[z->n - 1], at, to);
        const uint64_t full = not_zero(l, at, to);
        if (to > at && !i)
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_HIDDEN_PREFIX, at, l->err,
                                "%" PRIu64 " bytes come before the archive's first record", to - at));
        else if (full)
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_HIDDEN_GAP, at, l->err,
                                "%" PRIu64 " bytes before %s%s belong to no record, %" PRIu64 " of them are not zero", to - at,
                                e ? "record " : "the directory", e ? shown(e, text, sizeof text) : "", full));
        if (!e) break;
        SMELT_TRY(extras(l, e));
        if (e->comment)
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_HIDDEN_RECORD, e->header, l->err, "the record '%s' has a comment of %u bytes",
                                shown(e, text, sizeof text), e->comment));
        at = e->data + e->packed;
    }
    return SMELT_OK;
}

/* Whether torch.save writes a record of this name, or the pickle refers to it. */
static bool expected(const zip_entry *e, size_t root, const pk_storages *storages, bool all_storages)
{
    static const char *const names[] = {"data.pkl",        "byteorder",          "version",
                                        ".format_version", ".storage_alignment", ".data/serialization_id"};
    if (e->name_len < root) return false;
    const char *name = e->name + root;
    const size_t n = e->name_len - root;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) return true;
    size_t index;
    return n > 5 && memcmp(name, "data/", 5) == 0 && (all_storages || strmap_get(&storages->keys, name + 5, n - 5, &index));
}

static smelt_status records(look *l)
{
    pk_storages storages = {.arena = &l->arena, .keys = {.arena = &l->arena}};
    size_t root = 0;
    bool loaded = false;
    char text[96];
    for (size_t i = 0; i < l->zip.n; i++) {
        const zip_entry *e = &l->zip.entries[i];
        if (!ends(e, ".pkl") || !e->bytes) continue;
        SMELT_TRY(walk(l, e->bytes, e->size, e->method ? 0 : e->data, shown(e, text, sizeof text)));
        if (!ends(e, "/data.pkl")) continue;
        root = e->name_len - strlen("data.pkl");
        pk_value top;
        smelt_err refusal = {0};
        smelt_cur cur = {.data = e->bytes, .size = e->size, .err = &refusal};
        const smelt_status st = e->size <= PK_MAX_BYTES ? pickle_load(&l->arena, &cur, &storages, &top) : SMELT_E_LIMIT;
        if (st == SMELT_E_NOMEM) return smelt_oom(l->err);
        loaded = st == SMELT_OK;
    }
    for (size_t i = 0; root && i < l->zip.n; i++) {
        const zip_entry *e = &l->zip.entries[i];
        const bool program = ends(e, ".py") || ends(e, ".so") || ends(e, ".dll") || ends(e, ".exe") || ends(e, ".sh");
        if (program)
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_CODE_FILE, e->header, l->err, "the record '%s' is a program",
                                shown(e, text, sizeof text)));
        else if (!expected(e, root, &storages, !loaded))
            SMELT_TRY(audit_add(l->audit, SMELT_FIND_HIDDEN_RECORD, e->header, l->err,
                                "nothing refers to the record '%s' of %" PRIu64 " bytes", shown(e, text, sizeof text), e->size));
    }
    return SMELT_OK;
}

/* The archive cannot be read as one: pickles are looked for where local headers are. */
static smelt_status broken(look *l)
{
    for (uint64_t at = 0; l->size - at > LOCAL_SIZE; at++) {
        const uint8_t *p = memchr(l->data + at, 'P', l->size - at - LOCAL_SIZE);
        if (!p) break;
        at = (uint64_t)(p - l->data);
        const uint64_t name = load_le16(p + 26), data = at + LOCAL_SIZE + name + load_le16(p + 28);
        if (load_le32(p) != LOCAL || load_le16(p + 8) != 0 || data >= l->size) continue;
        const zip_entry e = {.name = (const char *)p + LOCAL_SIZE, .name_len = name};
        bool stopped;
        smelt_cur cur = {.data = l->data + data, .size = l->size - data, .base = data};
        if (ends(&e, ".pkl")) SMELT_TRY(pickle_audit(&cur, l->audit, &stopped, l->err));
    }
    return SMELT_OK;
}

/* The size of the archive without what follows it. */
static uint64_t archive_size(const look *l)
{
    for (uint64_t back = END_SIZE; back <= l->size && back <= END_SIZE + MAX_COMMENT; back++)
        if (load_le32(l->data + l->size - back) == END) return l->size - back + END_SIZE;
    return l->size;
}

static smelt_status archive(look *l)
{
    smelt_err refusal = {0};
    const uint64_t size = archive_size(l);
    if (size < l->size)
        SMELT_TRY(
            audit_add(l->audit, SMELT_FIND_HIDDEN_TRAILING, size, l->err, "%" PRIu64 " bytes follow the archive", l->size - size));
    smelt_status st = zip_open(&l->arena, l->data, size, &l->zip, &refusal);
    for (size_t i = 0; st == SMELT_OK && i < l->zip.n; i++)
        l->zip.entries[i].wanted = ends(&l->zip.entries[i], ".pkl");
    if (st == SMELT_OK) st = zip_unpack(&l->zip, &refusal);
    if (st == SMELT_E_NOMEM) return smelt_oom(l->err);
    if (st != SMELT_OK) return broken(l);
    SMELT_TRY(gaps(l));
    return records(l);
}

/* Pickles one after another, as torch.save wrote before its archives; any other file of this kind has one. */
static smelt_status pickles(look *l)
{
    smelt_cur cur = {.data = l->data, .size = l->size};
    bool stopped = true;
    for (int i = 0; i < LEGACY_PICKLES && stopped && cur.pos < cur.size && (!i || cur.data[cur.pos] == 0x80); i++)
        SMELT_TRY(pickle_audit(&cur, l->audit, &stopped, l->err));
    return SMELT_OK;
}

smelt_status torch_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err)
{
    (void)ctx;
    smelt_map *map;
    SMELT_TRY(map_open(path, &map, err));
    look l = {.data = map->data, .size = map->size, .audit = audit, .err = err};
    smelt_status st = map->size >= 4 && load_le32(map->data) == LOCAL ? archive(&l) : pickles(&l);
    arena_free(&l.arena);
    map_close(map);
    return st;
}
