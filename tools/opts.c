#include "tools/opts.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

static const char *opt_name(const void *table, size_t i) { return ((const opt *)table)[i].name; }

static smelt_status parse_flag(const opt *o, const char *text, void *to, smelt_err *err)
{
    (void)text;
    (void)o;
    (void)err;
    *(bool *)to = true;
    return SMELT_OK;
}

static smelt_status parse_text(const opt *o, const char *text, void *to, smelt_err *err)
{
    (void)o;
    (void)err;
    *(const char **)to = text;
    return SMELT_OK;
}

static smelt_status parse_number(const opt *o, const char *text, bool units, uint64_t *to, smelt_err *err)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    uint64_t scale = 1;
    static const char suffixes[] = "KMG";
    const char *at = *end && units ? strchr(suffixes, *end & ~0x20) : NULL;
    if (at && !end[1]) {
        for (const char *s = suffixes; s <= at; s++)
            scale *= 1000;
        end++;
    }
    if (errno || end == text || *end || *text == '-' || (scale > 1 && v > UINT64_MAX / scale))
        return smelt_fail(err, SMELT_E_USAGE, "%s: '%s' is no %s", o->name, text,
                          units ? "size such as 500M or 2G" : "whole number");
    *to = v * scale;
    return SMELT_OK;
}

static smelt_status parse_count(const opt *o, const char *text, void *to, smelt_err *err)
{
    return parse_number(o, text, false, to, err);
}
static smelt_status parse_size(const opt *o, const char *text, void *to, smelt_err *err)
{
    return parse_number(o, text, true, to, err);
}

static smelt_status parse_real(const opt *o, const char *text, void *to, smelt_err *err)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= 0 && v <= DBL_MAX))
        return smelt_fail(err, SMELT_E_USAGE, "%s: '%s' is no number from 0 on", o->name, text);
    *(double *)to = v;
    return SMELT_OK;
}

static smelt_status parse_list(const opt *o, const char *text, void *to, smelt_err *err)
{
    opt_list *list = to;
    if (list->n == OPT_LIST_MAX) return smelt_fail(err, SMELT_E_USAGE, "%s is given more than %d times", o->name, OPT_LIST_MAX);
    list->item[list->n++] = text;
    return SMELT_OK;
}

static smelt_status (*const parsers[])(const opt *o, const char *text, void *to, smelt_err *err) = {
    [OPT_FLAG] = parse_flag, [OPT_TEXT] = parse_text, [OPT_COUNT] = parse_count,
    [OPT_SIZE] = parse_size, [OPT_REAL] = parse_real, [OPT_LIST] = parse_list,
};

static const opt *find(const opt *table, const char *name, size_t len)
{
    for (; table->name; table++)
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0) return table;
    return NULL;
}

smelt_status opts_parse(const command *cmd, int argc, char **argv, void *out, const char **operand, int *n, bool *help,
                        smelt_err *err)
{
    bool only_operands = false;
    *n = 0;
    *help = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (only_operands || a[0] != '-' || !a[1]) {
            operand[(*n)++] = a;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            only_operands = true;
            continue;
        }
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            *help = true;
            continue;
        }
        size_t len = strcspn(a, "=");
        const opt *o = find(cmd->opts, a, len);
        if (!o) {
            const char *near = nearest(a, opt_name, cmd->opts);
            return smelt_fail(err, SMELT_E_USAGE, "unknown option '%s'%s%s%s", a, near ? "; did you mean " : "", near ? near : "",
                              near ? "?" : "");
        }
        const char *value = a[len] ? a + len + 1 : NULL;
        if (o->kind == OPT_FLAG && value) return smelt_fail(err, SMELT_E_USAGE, "%s takes no value", o->name);
        if (o->kind != OPT_FLAG && !value) {
            if (i + 1 == argc) return smelt_fail(err, SMELT_E_USAGE, "%s needs a value: %s %s", o->name, o->name, o->arg);
            value = argv[++i];
        }
        SMELT_TRY(parsers[o->kind](o, value, (char *)out + o->offset, err));
    }
    if (*help) return SMELT_OK;
    if (*n < cmd->min) return smelt_fail(err, SMELT_E_USAGE, "operands are missing: smelt %s %s", cmd->name, cmd->operands);
    if (*n > cmd->max)
        return smelt_fail(err, SMELT_E_USAGE, "'%s' is one operand too many: smelt %s %s", operand[cmd->max], cmd->name,
                          cmd->operands);
    return SMELT_OK;
}
