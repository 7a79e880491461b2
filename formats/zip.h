/* Zip archives in a mapped file: entries that are stored are used where they lie, compressed ones are unpacked by libarchive.
 *
 * libarchive finds the entries and unpacks them, but it does not say where a stored entry's bytes begin, reads a stored
 * entry's name from its local header alone, and goes on with a warning where the local header and the central directory
 * disagree. So the directory is also read here, strictly: every entry's two headers must agree, no two entries may overlap or
 * have one name, and libarchive must then see the same entries with the same bytes. A file that one of the two readers
 * understands differently is refused. Source: PKWARE's APPNOTE.TXT 6.3. */
#ifndef SMELT_FORMATS_ZIP_H
#define SMELT_FORMATS_ZIP_H

#include "base/bytes.h"
#include "base/strmap.h"

typedef struct zip_entry {
    const char *name; /* not NUL-terminated */
    size_t name_len;
    uint64_t header; /* of the local header, in the file */
    uint64_t data;   /* of the entry's bytes as stored, in the file */
    uint64_t packed, size;
    uint32_t crc; /* 0 may mean: not computed */
    uint16_t method;
    uint16_t comment;     /* bytes of comment in the directory */
    bool wanted;          /* set by the caller before zip_unpack */
    const uint8_t *bytes; /* `size` of them, in the file or unpacked; NULL for an entry that was not unpacked */
} zip_entry;

typedef struct smelt_zip {
    const uint8_t *data;
    uint64_t size;
    smelt_arena *arena;
    zip_entry *entries; /* in the order of their headers */
    size_t n, cap;
    smelt_strmap names;
    uint64_t directory; /* where the central directory begins */
    uint64_t unpacked;  /* bytes that compressed entries took so far */
} smelt_zip;

/* Reads the directory of the archive that is the whole of `data`. Entries and unpacked bytes live in `arena`. E_TRUNCATED if
 * there is no directory at the end, E_CORRUPT for contradictions, E_FORBIDDEN for names that lead out of a directory,
 * E_UNSUPPORTED for encryption and archives in several parts. */
smelt_status zip_open(smelt_arena *arena, const uint8_t *data, uint64_t size, smelt_zip *z, smelt_err *err);
/* BORROWED; NULL if there is none. */
zip_entry *zip_find(const smelt_zip *zip, const char *name, size_t len);
/* Unpacks every wanted entry that is not there yet. All unpacked entries together may take eight times the file's size and
 * 16 MiB (E_LIMIT), and none may claim more than deflate can give (E_CORRUPT). A CRC that is not 0 is checked. */
smelt_status zip_unpack(smelt_zip *zip, smelt_err *err);
/* Compares an entry's bytes with its CRC, unless that is 0. */
smelt_status zip_check_crc(const zip_entry *entry, smelt_err *err);

#endif
