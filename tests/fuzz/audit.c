/* The audit of a file of any format, or of a directory: it ends, and every finding can be told. */
#include <string.h>

#include "base/bytes.h"
#include "fuzz/fuzz.h"
#include "verify/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_ctx ctx;
    smelt_err err = {0};
    smelt_audit audit = {0};
    smelt_audit_scope scope = {0};
    const bool folder = size > 4 && memcmp(data, "=== ", 4) == 0;
    const char *path = folder ? fuzz_unpack(&ctx, data, size) : fuzz_file(&ctx, ".bin", data, size);
    fuzz_check_status(audit_run(&ctx, path, &audit, &scope, &err), &err);
    for (size_t i = 0; i < audit.n; i++) {
        const smelt_finding *f = &audit.list[i];
        fuzz_demand(f->id < SMELT_FIND_COUNT && f->text[0] && f->file, "a finding without a text");
        for (const char *p = f->text; *p; p++)
            fuzz_demand((unsigned char)*p >= 0x20 && *p != 0x7F, "a finding that a terminal would obey");
    }
    audit_free(&audit);
    return 0;
}
