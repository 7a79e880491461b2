#include "ir/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const smelt_finding_kind kinds[] = {
#define SMELT_FINDING(id, name, level, text) {(name), SMELT_LEVEL_##level, (text)},
#include "ir/audit.def"
#undef SMELT_FINDING
};

const smelt_finding_kind *finding_kind(smelt_finding_id id) { return &kinds[id]; }

bool finding_by_name(const char *name, smelt_finding_id *out)
{
    for (int i = 0; i < SMELT_FIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *out = (smelt_finding_id)i;
            return true;
        }
    return false;
}

smelt_status audit_add(smelt_audit *a, smelt_finding_id id, uint64_t offset, smelt_err *err, const char *fmt, ...)
{
    if (a->ignore[id] || a->count[id]++ >= SMELT_FINDINGS_KEPT) return SMELT_OK;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = '?';
    char *copy = arena_strdup(&a->arena, text);
    if (!copy || !arena_room(&a->arena, &a->list, a->n, &a->cap, sizeof *a->list)) return smelt_oom(err);
    a->list[a->n++] = (smelt_finding){id, a->file, offset, copy};
    return SMELT_OK;
}

size_t audit_about(const smelt_audit *a, const char *file)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += strcmp(a->list[i].file, file) == 0;
    return n;
}

void audit_free(smelt_audit *a) { arena_free(&a->arena); }
