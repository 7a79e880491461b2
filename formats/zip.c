#include "formats/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    LOCAL_SIG = 0x04034B50,
    CENTRAL_SIG = 0x02014B50,
    END_SIG = 0x06054B50,
    END64_SIG = 0x06064B50,
    LOCATOR64_SIG = 0x07064B50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    EXTRA_ZIP64 = 1,
    FLAG_ENCRYPTED = 0x0001,
    FLAG_DESCRIPTOR = 0x0008, /* sizes and CRC follow the data; the local header has zeros */
    FLAG_STRONG = 0x0040,
    FLAG_MASKED = 0x2000,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    /* Deflate's best case: 258 bytes in two bits, and a little for block headers. */
    DEFLATE_MAX_RATIO = 1032,
};
static const uint64_t UNPACK_FREE = 16 << 20, UNPACK_RATIO = 8;

static const char *shown(const char *name, size_t n, char *buf, size_t size)
{
    size_t k = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < k; i++)
        buf[i] = name[i] >= 0x20 && name[i] < 0x7F ? name[i] : '?';
    buf[k] = 0;
    return buf;
}
/* libarchive's message, which may end in a newline and quote a name. */
static const char *reason(struct archive *a, char *buf, size_t size)
{
    const char *text = archive_error_string(a);
    if (!text) text = "unknown reason";
    return shown(text, strcspn(text, "\n"), buf, size);
}

#define SHOWN(e, buf) shown((e)->name, (e)->name_len, (buf), sizeof(buf))

/* The directory's place. Any of the end record's fields may be all ones, and then the zip64 record has the number; torch
 * writes that record always. */
static smelt_status find_directory(smelt_zip *z, uint64_t *count, uint64_t *at, uint64_t *bytes, smelt_err *err)
{
    if (z->size < END_SIZE) return smelt_fail(err, SMELT_E_TRUNCATED, "%" PRIu64 " bytes are no zip archive", z->size);
    const uint64_t end = z->size - END_SIZE;
    const uint8_t *p = z->data + end;
    if (load_le32(p) != END_SIG || load_le16(p + 20) != 0)
        return smelt_fail_at(err, SMELT_E_TRUNCATED, end,
                             "no zip directory at the end of the file: it is cut short, or something follows the archive");
    uint64_t disk = load_le16(p + 4) | load_le16(p + 6), here = load_le16(p + 8), stop = end;
    *count = load_le16(p + 10);
    *bytes = load_le32(p + 12);
    *at = load_le32(p + 16);
    if (end >= LOCATOR64_SIZE && load_le32(p - LOCATOR64_SIZE) == LOCATOR64_SIG) {
        const uint8_t *l = p - LOCATOR64_SIZE;
        stop = load_le64(l + 8);
        if (stop > end - LOCATOR64_SIZE || end - LOCATOR64_SIZE - stop < END64_SIZE || load_le32(z->data + stop) != END64_SIG)
            return smelt_fail_at(err, SMELT_E_CORRUPT, end - LOCATOR64_SIZE, "the zip64 locator points at no zip64 record");
        const uint8_t *q = z->data + stop;
        if (load_le64(q + 4) != end - LOCATOR64_SIZE - stop - 12)
            return smelt_fail_at(err, SMELT_E_CORRUPT, stop, "the zip64 record does not fill the space before its locator");
        const uint64_t count64 = load_le64(q + 32), bytes64 = load_le64(q + 40), at64 = load_le64(q + 48);
        if ((*count != UINT16_MAX && *count != count64) || (*bytes != UINT32_MAX && *bytes != bytes64) ||
            (*at != UINT32_MAX && *at != at64))
            return smelt_fail_at(err, SMELT_E_CORRUPT, stop, "the zip64 record and the end record disagree");
        disk |= load_le32(q + 16) | load_le32(q + 20);
        here = load_le64(q + 24);
        *count = count64;
        *bytes = bytes64;
        *at = at64;
    }
    if (disk || here != *count) return smelt_fail_at(err, SMELT_E_UNSUPPORTED, end, "the zip archive is one part of several");
    if (*at > stop || *bytes != stop - *at)
        return smelt_fail_at(err, SMELT_E_CORRUPT, end,
                             "the zip directory should take %" PRIu64 " bytes from %" PRIu64 " on, but its end is at %" PRIu64,
                             *bytes, *at, stop);
    return SMELT_OK;
}

/* Fields that are all ones have their value in the zip64 extra, in this order. */
static smelt_status zip64_extra(const uint8_t *extra, size_t n, uint64_t **fields, const uint64_t *ones, int n_fields, uint64_t at,
                                smelt_err *err)
{
    const uint8_t *found = NULL;
    size_t found_n = 0, pos = 0;
    while (n - pos >= 4) {
        const uint16_t id = load_le16(extra + pos), len = load_le16(extra + pos + 2);
        pos += 4;
        if (len > n - pos) return smelt_fail_at(err, SMELT_E_CORRUPT, at, "a zip header's extra field is longer than its room");
        if (id == EXTRA_ZIP64 && !found) found = extra + pos, found_n = len;
        pos += len;
    }
    for (int i = 0; i < n_fields; i++) {
        if (*fields[i] != ones[i]) continue;
        if (!found || found_n < 8) return smelt_fail_at(err, SMELT_E_CORRUPT, at, "a zip header lacks its zip64 sizes");
        *fields[i] = load_le64(found);
        found += 8;
        found_n -= 8;
    }
    return SMELT_OK;
}

static smelt_status check_name(const zip_entry *e, uint64_t at, smelt_err *err)
{
    char text[96];
    bool bad = e->name_len == 0 || e->name[0] == '/' || memchr(e->name, 0, e->name_len) || memchr(e->name, '\\', e->name_len);
    for (size_t i = 0; i < e->name_len && !bad;) {
        const char *slash = memchr(e->name + i, '/', e->name_len - i);
        size_t part = slash ? (size_t)(slash - e->name) - i : e->name_len - i;
        bad = part == 0 || (part == 2 && memcmp(e->name + i, "..", 2) == 0);
        i += part + 1;
    }
    if (bad) return smelt_fail_at(err, SMELT_E_FORBIDDEN, at, "a zip entry has the name '%s'", SHOWN(e, text));
    return SMELT_OK;
}

/* Local headers repeat what the directory says. torch's have zeros for sizes and CRC, since it writes them before the data. */
static smelt_status check_local(const smelt_zip *z, zip_entry *e, uint16_t central_flags, uint64_t directory, smelt_err *err)
{
    char text[96];
    const uint64_t at = e->header;
    if (at > directory || directory - at < LOCAL_SIZE || load_le32(z->data + at) != LOCAL_SIG)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' has no local header here", SHOWN(e, text));
    const uint8_t *p = z->data + at;
    const uint16_t flags = load_le16(p + 6), name_len = load_le16(p + 26), extra_len = load_le16(p + 28);
    if (directory - at - LOCAL_SIZE < (uint64_t)name_len + extra_len)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s': the local header runs into the directory", SHOWN(e, text));
    if ((flags | central_flags) & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED))
        return smelt_fail_at(err, SMELT_E_UNSUPPORTED, at, "zip entry '%s' is encrypted", SHOWN(e, text));
    if (name_len != e->name_len || memcmp(p + LOCAL_SIZE, e->name, name_len) != 0)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' has another name in its local header", SHOWN(e, text));
    if (load_le16(p + 8) != e->method)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' is packed by method %d, by %d in its local header",
                             SHOWN(e, text), e->method, load_le16(p + 8));
    const uint32_t crc = load_le32(p + 14);
    uint64_t packed = load_le32(p + 18), size = load_le32(p + 22);
    uint64_t *fields[] = {&size, &packed};
    const uint64_t ones[] = {UINT32_MAX, UINT32_MAX};
    SMELT_TRY(zip64_extra(p + LOCAL_SIZE + name_len, extra_len, fields, ones, 2, at, err));
    const bool later = (flags & FLAG_DESCRIPTOR) && !packed && !size;
    if (!later && (packed != e->packed || size != e->size))
        return smelt_fail_at(err, SMELT_E_CORRUPT, at,
                             "zip entry '%s' has %" PRIu64 " bytes (%" PRIu64 " packed), in its local header %" PRIu64 " (%" PRIu64
                             ")",
                             SHOWN(e, text), e->size, e->packed, size, packed);
    if (crc && e->crc && crc != e->crc)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' has two CRCs", SHOWN(e, text));
    e->data = at + LOCAL_SIZE + name_len + extra_len;
    if (e->packed > directory - e->data)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' of %" PRIu64 " bytes runs into the directory",
                             SHOWN(e, text), e->packed);
    if (e->method == METHOD_STORED) {
        if (e->packed != e->size)
            return smelt_fail_at(err, SMELT_E_CORRUPT, at, "zip entry '%s' is stored, but has two sizes", SHOWN(e, text));
        e->bytes = z->data + e->data;
    }
    return SMELT_OK;
}

static smelt_status read_entry(smelt_zip *z, smelt_cur *cur, uint64_t directory)
{
    const uint64_t at = cur->base + cur->pos;
    const uint8_t *p, *tail;
    SMELT_TRY(cur_bytes(cur, CENTRAL_SIZE, "a zip directory entry", &p));
    if (load_le32(p) != CENTRAL_SIG) return smelt_fail_at(cur->err, SMELT_E_CORRUPT, at, "no zip directory entry here");
    const uint16_t name_len = load_le16(p + 28), extra_len = load_le16(p + 30), comment_len = load_le16(p + 32);
    SMELT_TRY(cur_bytes(cur, (uint64_t)name_len + extra_len + comment_len, "a zip directory entry", &tail));
    zip_entry e = {
        .name = (const char *)tail,
        .name_len = name_len,
        .header = load_le32(p + 42),
        .packed = load_le32(p + 20),
        .size = load_le32(p + 24),
        .crc = load_le32(p + 16),
        .method = load_le16(p + 10),
        .comment = comment_len,
    };
    uint64_t *fields[] = {&e.size, &e.packed, &e.header};
    const uint64_t ones[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    SMELT_TRY(zip64_extra(tail + name_len, extra_len, fields, ones, 3, at, cur->err));
    if (load_le16(p + 34)) return smelt_fail_at(cur->err, SMELT_E_UNSUPPORTED, at, "the zip archive is one part of several");
    SMELT_TRY(check_name(&e, at, cur->err));
    SMELT_TRY(check_local(z, &e, load_le16(p + 8), directory, cur->err));
    if (!arena_room(z->arena, &z->entries, z->n, &z->cap, sizeof *z->entries)) return smelt_oom(cur->err);
    z->entries[z->n++] = e;
    return SMELT_OK;
}

static int by_header(const void *a, const void *b)
{
    const zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static smelt_status check_entries(smelt_zip *z, smelt_err *err)
{
    char text[96];
    if (z->n) qsort(z->entries, z->n, sizeof *z->entries, by_header);
    for (size_t i = 0; i < z->n; i++) {
        const zip_entry *e = &z->entries[i];
        bool added;
        if (i && e->header < e[-1].data + e[-1].packed)
            return smelt_fail_at(err, SMELT_E_CORRUPT, e->header, "zip entry '%s' overlaps the one before it", SHOWN(e, text));
        if (!strmap_add(&z->names, e->name, e->name_len, i, &added)) return smelt_oom(err);
        if (!added) return smelt_fail_at(err, SMELT_E_CORRUPT, e->header, "two zip entries have the name '%s'", SHOWN(e, text));
    }
    return SMELT_OK;
}

/* ---- libarchive ---- */

static smelt_status unpack(smelt_zip *z, struct archive *a, zip_entry *e, smelt_err *err)
{
    char text[96], why[160];
    uint64_t total;
    if (e->method != METHOD_DEFLATED)
        return smelt_fail_at(err, SMELT_E_UNSUPPORTED, e->header,
                             "zip entry '%s' is packed by method %d; 0 and 8 (deflate) are read", SHOWN(e, text), e->method);
    if (e->size / DEFLATE_MAX_RATIO > e->packed)
        return smelt_fail_at(err, SMELT_E_CORRUPT, e->header, "zip entry '%s': %" PRIu64 " packed bytes cannot give %" PRIu64,
                             SHOWN(e, text), e->packed, e->size);
    if (!add_u64(z->unpacked, e->size, &total) || total > UNPACK_FREE + z->size * UNPACK_RATIO)
        return smelt_fail_at(err, SMELT_E_LIMIT, e->header,
                             "zip entry '%s' and those before it unpack to more than %" PRIu64
                             " times the file's size; repack the file without compression (zip -0)",
                             SHOWN(e, text), UNPACK_RATIO);
    z->unpacked = total;
    uint8_t *bytes = arena_calloc(z->arena, e->size, 1), one;
    if (!bytes) return smelt_oom(err);
    uint64_t got = 0;
    while (got < e->size) {
        la_ssize_t k = archive_read_data(a, bytes + got, e->size - got);
        if (k < 0)
            return smelt_fail_at(err, SMELT_E_CORRUPT, e->data, "zip entry '%s' does not unpack to its %" PRIu64 " bytes: %s",
                                 SHOWN(e, text), e->size, reason(a, why, sizeof why));
        if (k == 0) break;
        got += (uint64_t)k;
    }
    if (got < e->size || archive_read_data(a, &one, 1) != 0)
        return smelt_fail_at(err, SMELT_E_CORRUPT, e->data, "zip entry '%s' does not unpack to its %" PRIu64 " bytes",
                             SHOWN(e, text), e->size);
    e->bytes = bytes;
    return zip_check_crc(e, err);
}

/* Compares where libarchive sees a stored entry. It hands out a whole stored entry as one block, in place. */
static smelt_status compare(const smelt_zip *z, struct archive *a, const zip_entry *e, smelt_err *err)
{
    char text[96];
    const void *block = NULL;
    size_t n = 0;
    la_int64_t offset = 0;
    int r = archive_read_data_block(a, &block, &n, &offset);
    if (e->size == 0 ? (r == ARCHIVE_EOF || n == 0)
                     : (r == ARCHIVE_OK && block == z->data + e->data && n == e->size && offset == 0))
        return SMELT_OK;
    return smelt_fail_at(err, SMELT_E_CORRUPT, e->header, "zip entry '%s' can be read in two ways", SHOWN(e, text));
}

static smelt_status visit(smelt_zip *z, struct archive *a, bool first, smelt_err *err)
{
    char why[160];
    /* CRCs are checked here, where a zero can be told from a CRC; torch's may be absent, and tensors are not read now. */
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_set_format_option(a, "zip", "ignorecrc32", "1") != ARCHIVE_OK)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "libarchive was built without its zip reader");
    if (archive_read_open_memory(a, z->data, z->size) != ARCHIVE_OK)
        return smelt_fail(err, SMELT_E_CORRUPT, "the zip archive cannot be read: %s", reason(a, why, sizeof why));
    for (size_t i = 0;; i++) {
        struct archive_entry *entry;
        int r = archive_read_next_header(a, &entry);
        /* A warning is about a name that the locale has no letters for, or what was compared already. */
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN && r != ARCHIVE_EOF)
            return smelt_fail(err, SMELT_E_CORRUPT, "the zip archive cannot be read: %s", reason(a, why, sizeof why));
        if ((r == ARCHIVE_EOF) != (i == z->n)) return smelt_fail(err, SMELT_E_CORRUPT, "the zip directory can be read in two ways");
        if (r == ARCHIVE_EOF) return SMELT_OK;
        zip_entry *e = &z->entries[i];
        if (first && e->method == METHOD_STORED)
            SMELT_TRY(compare(z, a, e, err));
        else if (e->wanted && !e->bytes)
            SMELT_TRY(unpack(z, a, e, err));
    }
}

static smelt_status with_libarchive(smelt_zip *z, bool first, smelt_err *err)
{
    struct archive *a = archive_read_new();
    if (!a) return smelt_oom(err);
    smelt_status status = visit(z, a, first, err);
    archive_read_free(a);
    return status;
}

smelt_status zip_open(smelt_arena *arena, const uint8_t *data, uint64_t size, smelt_zip *z, smelt_err *err)
{
    *z = (smelt_zip){.data = data, .size = size, .arena = arena, .names = {.arena = arena}};
    uint64_t count, at, bytes;
    SMELT_TRY(find_directory(z, &count, &at, &bytes, err));
    if (count > bytes / CENTRAL_SIZE)
        return smelt_fail_at(err, SMELT_E_CORRUPT, at, "a zip directory of %" PRIu64 " bytes cannot hold %" PRIu64 " entries",
                             bytes, count);
    z->directory = at;
    smelt_cur cur = {.data = data + at, .size = bytes, .base = at, .err = err};
    for (uint64_t i = 0; i < count; i++)
        SMELT_TRY(read_entry(z, &cur, at));
    if (cur.pos != bytes) return smelt_fail_at(err, SMELT_E_CORRUPT, at + cur.pos, "bytes follow the last zip directory entry");
    SMELT_TRY(check_entries(z, err));
    return with_libarchive(z, true, err);
}

zip_entry *zip_find(const smelt_zip *z, const char *name, size_t len)
{
    size_t i;
    return strmap_get(&z->names, name, len, &i) ? &z->entries[i] : NULL;
}

smelt_status zip_unpack(smelt_zip *z, smelt_err *err)
{
    bool any = false;
    for (size_t i = 0; i < z->n; i++)
        any = any || (z->entries[i].wanted && !z->entries[i].bytes);
    return any ? with_libarchive(z, false, err) : SMELT_OK;
}

smelt_status zip_check_crc(const zip_entry *e, smelt_err *err)
{
    char text[96];
    if (e->crc == 0 || crc32_z(0, e->bytes, e->size) == e->crc) return SMELT_OK;
    return smelt_fail_at(err, SMELT_E_CORRUPT, e->data, "zip entry '%s' does not have its CRC", SHOWN(e, text));
}
