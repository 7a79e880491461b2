/* Findings: what is in a file and has no business there, or does not add up. Formats report them, src/verify collects them. */
#ifndef SMELT_IR_AUDIT_H
#define SMELT_IR_AUDIT_H

#include "base/strmap.h"

typedef enum smelt_finding_id {
#define SMELT_FINDING(id, ...) SMELT_FIND_##id,
#include "ir/audit.def"
#undef SMELT_FINDING
    SMELT_FIND_COUNT
} smelt_finding_id;

typedef enum smelt_level { SMELT_LEVEL_WARNING, SMELT_LEVEL_ERROR } smelt_level;

typedef struct smelt_finding_kind {
    const char *name;
    smelt_level level;
    const char *text; /* for people */
} smelt_finding_kind;

/* BORROWED, static. */
const smelt_finding_kind *finding_kind(smelt_finding_id id);
/* False if no kind has this name. */
bool finding_by_name(const char *name, smelt_finding_id *out);

typedef struct smelt_finding {
    smelt_finding_id id;
    const char *file; /* as smelt_audit.file was */
    uint64_t offset;  /* byte in the file; SMELT_NO_OFFSET: none */
    const char *text; /* one line, without control characters */
} smelt_finding;

/* Of each kind so many findings are kept, and the others counted: a hostile file may have millions. */
enum { SMELT_FINDINGS_KEPT = 100 };

typedef struct smelt_audit {
    smelt_arena arena;
    const char *file; /* the one in work; set by whoever starts on it */
    smelt_finding *list;
    size_t n, cap;
    uint64_t count[SMELT_FIND_COUNT]; /* found, kept or not */
    bool ignore[SMELT_FIND_COUNT];    /* kinds that are not to be reported */
    const char *unread;               /* set by a format: why its reader need not succeed although nothing is wrong; or NULL */
} smelt_audit;

/* Adds a finding about the file in work. E_NOMEM is the only failure. */
smelt_status audit_add(smelt_audit *audit, smelt_finding_id id, uint64_t offset, smelt_err *err, const char *fmt, ...)
    SMELT_PRINTF(5, 6);
/* How many findings there are about a file, kept ones only. */
size_t audit_about(const smelt_audit *audit, const char *file);
void audit_free(smelt_audit *audit);

#endif
