#include "tools/report.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    interrupted = sig;
    signal(sig, SIG_DFL);
}

int reporter_signal(void) { return interrupted; }

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *human(uint64_t n, const char *const *units, const char *space, char *buf, size_t size)
{
    double v = (double)n;
    size_t u = 0;
    while (v >= 999.95 && u < 5)
        v /= 1000, u++;
    snprintf(buf, size, u ? "%.1f%s%s" : "%.0f%s%s", v, space, units[u]);
    return buf;
}

const char *human_bytes(uint64_t n, char *buf, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    return human(n, units, " ", buf, size);
}

const char *human_count(uint64_t n, char *buf, size_t size)
{
    static const char *const units[] = {"", "k", "M", "B", "T", "Q"};
    return human(n, units, "", buf, size);
}

static void end_line(reporter *r)
{
    if (r->line) fputs("\r\x1b[K", stderr);
    r->line = false;
}

static bool progress(void *user, const smelt_progress *p)
{
    reporter *r = user;
    double now = seconds_now(), spent = now - r->start;
    if (interrupted) return true;
    if (r->quiet || now - r->shown < (r->terminal ? 0.1 : 5.0)) return false;
    r->shown = now;
    double share = p->total ? (double)p->done / (double)p->total : 1, rate = spent > 0 ? (double)p->done / spent : 0;
    double left = rate > 0 ? (double)(p->total - p->done) / rate : 0;
    char text[160];
    if (!p->tensor)
        snprintf(text, sizeof text, "%s %5.1f %%  %3.0f s left", p->stage, 100 * share, left);
    else
        snprintf(text, sizeof text, "%s %5.1f %%  %7.1f MB/s  %3.0f s left  %s", p->stage, 100 * share, rate / 1e6, left,
                 p->tensor);
    if (r->terminal)
        fprintf(stderr, "\r%.79s\x1b[K", text);
    else
        fprintf(stderr, "%s\n", text);
    r->line = r->terminal;
    return false;
}

static void warn(void *user, const char *text)
{
    reporter *r = user;
    end_line(r);
    fprintf(stderr, "smelt: warning: %s\n", text);
}

void reporter_start(reporter *r, smelt_ctx *ctx, bool quiet)
{
    double now = seconds_now();
    *r = (reporter){.quiet = quiet, .terminal = isatty(STDERR_FILENO), .start = now, .shown = now};
    ctx->progress = progress;
    ctx->warn = warn;
    ctx->user = r;
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
}

void reporter_end(reporter *r)
{
    end_line(r);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

smelt_status print_report(const verify_result *r, verify_report_fn *report, smelt_err *err)
{
    smelt_buf text = {0};
    const smelt_status st = report(r, &text, err);
    if (st == SMELT_OK) fwrite(text.data, 1, text.size, stdout);
    buf_free(&text);
    return st;
}
