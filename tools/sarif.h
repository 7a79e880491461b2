/* Findings as SARIF 2.1.0, which code hosts show beside the code. */
#ifndef SMELT_TOOLS_SARIF_H
#define SMELT_TOOLS_SARIF_H

#include "base/json.h"
#include "ir/audit.h"

/* The log of one run: every kind of finding as a rule, every finding as a result with its file and byte. NEW; NULL when out of memory. */
json_t *sarif_log(const smelt_audit *audit);
/* "error" or "warning". */
const char *sarif_level(smelt_level level);
/* Writes JSON to a file that appears only when it is complete. */
smelt_status json_to_file(const json_t *root, const char *path, smelt_err *err);

#endif
