/* What people see while a run works: progress, warnings, interruption, summary. */
#ifndef SMELT_TOOLS_REPORT_H
#define SMELT_TOOLS_REPORT_H

#include "convert/stream.h"
#include "verify/verify.h"

typedef struct reporter {
    bool quiet, terminal;
    double start, shown; /* seconds */
    bool line;           /* an unfinished progress line is on the terminal */
} reporter;

/* Connects a context's progress and warnings to standard error: one line that renews itself on a terminal, a plain line every
 * few seconds elsewhere, nothing when quiet. Ctrl-C then stops the run cleanly; a second one at once. */
void reporter_start(reporter *r, smelt_ctx *ctx, bool quiet);
void reporter_end(reporter *r);
/* The signal that asked to stop, or 0. */
int reporter_signal(void);
double seconds_now(void);
/* "269.1 MB" in `buf`. */
const char *human_bytes(uint64_t n, char *buf, size_t size);
const char *human_count(uint64_t n, char *buf, size_t size);
/* Prints a report to standard output. */
smelt_status print_report(const verify_result *r, verify_report_fn *report, smelt_err *err);

#endif
