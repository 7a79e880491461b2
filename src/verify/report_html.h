/* What the files of the HTML report share. */
#ifndef SMELT_VERIFY_REPORT_HTML_H
#define SMELT_VERIFY_REPORT_HTML_H

#include "base/strmap.h"
#include "verify/verify.h"

/* The files of html/, as the build stored them. */
extern const char html_page[], html_style[], html_script[];

/* Text of files, safe between tags and in quoted attributes: markup is escaped; control characters, what changes the direction of
 * writing, and bytes that are no UTF-8 are written out, so that they are seen and do nothing. */
void html_text(smelt_buf *out, const char *text);
/* So many significant digits; what is infinite is "∞", what does not exist "–". */
void html_number(smelt_buf *out, double value, int digits);
/* 1234567 as 1,234,567. */
void html_count(smelt_buf *out, uint64_t n);

/* Pictures: an SVG in a figure each. */
void svg_histogram(smelt_buf *out, const verify_logits *l);
void svg_positions(smelt_buf *out, const verify_logits *l);
smelt_status svg_layers(smelt_buf *out, const verify_weights *w, smelt_err *err);
/* `breached`: names of the tensors with a breached limit. */
smelt_status svg_map(smelt_buf *out, const verify_weights *w, const smelt_strmap *breached, smelt_err *err);

#endif
