/* For CI: one test case for each threshold, in JUnit's XML. Source of the form: the schema of Jenkins' xUnit plugin. */
#include <math.h>
#include <string.h>

#include "verify/internal.h"

/* Text in an attribute or an element: XML 1.0's characters alone; what is no UTF-8 or has no place in XML becomes U+FFFD. */
static void put_xml(smelt_buf *out, const char *s)
{
    const bool plain = utf8_valid(s, strlen(s));
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        const bool broken = (*p >= 0x80 && !plain) || (*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r') ||
                            (*p == 0xEF && p[1] == 0xBF && (p[2] == 0xBE || p[2] == 0xBF));
        if (broken) {
            buf_printf(out, "\xEF\xBF\xBD");
            if (*p == 0xEF && plain) p += 2;
        } else if (strchr("<>&\"'\t\n\r", *p))
            buf_printf(out, "&#%u;", (unsigned)*p);
        else
            buf_u8(out, *p);
    }
}

static void put_attribute(smelt_buf *out, const char *name, const char *value)
{
    buf_printf(out, " %s=\"", name);
    put_xml(out, value);
    buf_printf(out, "\"");
}

static void put_number(smelt_buf *out, double v)
{
    if (isinf(v))
        buf_printf(out, v > 0 ? "infinite" : "-infinite");
    else
        buf_printf(out, "%.6g", v);
}

static void put_value(smelt_buf *out, const verify_check *c)
{
    const verify_metric_row *row = verify_metric_get(c->metric);
    put_number(out, c->value.value);
    if (c->value.error > 0) buf_printf(out, " +- %.2g", c->value.error);
    if (c->tensor) {
        buf_printf(out, " in ");
        put_xml(out, c->tensor);
    }
    buf_printf(out, ", %s %g", row->max ? "at most" : "at least", c->limit);
}

/* All checks of one metric are one case. */
static void put_case(smelt_buf *out, const verify_result *r, verify_metric metric)
{
    const verify_metric_row *row = verify_metric_get(metric);
    size_t n = 0, breached = 0;
    for (size_t i = 0; i < r->n_checks; i++) {
        n += r->checks[i].metric == metric;
        breached += r->checks[i].metric == metric && r->checks[i].verdict == VERDICT_BREACHED;
    }
    if (!n) return;
    buf_printf(out, "  <testcase classname=\"smelt.verify\"");
    put_attribute(out, "name", row->name);
    buf_printf(out, ">\n    <%s", breached ? "failure" : "system-out");
    if (breached) put_attribute(out, "message", row->meaning);
    buf_printf(out, ">");
    for (size_t i = 0, said = 0; i < r->n_checks; i++) {
        const verify_check *c = &r->checks[i];
        if (c->metric != metric || (breached && c->verdict != VERDICT_BREACHED)) continue;
        if (said++) buf_printf(out, "\n");
        put_value(out, c);
        if (c->verdict == VERDICT_UNDECIDED) buf_printf(out, " (the text is too short to tell)");
    }
    buf_printf(out, "</%s>\n  </testcase>\n", breached ? "failure" : "system-out");
}

smelt_status report_junit(const verify_result *r, smelt_buf *out, smelt_err *err)
{
    size_t cases = 1, failures = r->nonfinite.found;
    for (int m = 0; m < METRIC_COUNT; m++) {
        bool any = false, breached = false;
        for (size_t i = 0; i < r->n_checks; i++)
            if (r->checks[i].metric == (verify_metric)m) {
                any = true;
                breached = breached || r->checks[i].verdict == VERDICT_BREACHED;
            }
        cases += any;
        failures += breached;
    }
    buf_printf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"smelt verify\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\">\n",
        cases, failures);
    buf_printf(out, "  <properties>\n    <property name=\"candidate\"");
    put_attribute(out, "value", r->candidate.path ? r->candidate.path : "");
    buf_printf(out, "/>\n    <property name=\"original\"");
    put_attribute(out, "value", r->original.path ? r->original.path : "");
    buf_printf(out, "/>\n  </properties>\n  <testcase classname=\"smelt.verify\" name=\"finite-logits\">\n");
    if (r->nonfinite.found) {
        buf_printf(out, "    <failure message=\"logits are NaN or infinite\">%s, chunk %zu, token %zu, layer %d, ",
                   r->nonfinite.in_original ? "original" : "candidate", r->nonfinite.chunk, r->nonfinite.token, r->nonfinite.layer);
        put_xml(out, r->nonfinite.what ? r->nonfinite.what : "logits");
        buf_printf(out, "</failure>\n");
    }
    buf_printf(out, "  </testcase>\n");
    for (int m = 0; m < METRIC_COUNT; m++)
        put_case(out, r, (verify_metric)m);
    buf_printf(out, "</testsuite>\n");
    return out->failed ? smelt_oom(err) : SMELT_OK;
}
