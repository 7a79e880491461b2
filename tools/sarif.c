#include "tools/sarif.h"

#include <stdio.h>

#include "base/io.h"

const char *sarif_level(smelt_level level) { return level == SMELT_LEVEL_ERROR ? "error" : "warning"; }

/* A path as a URI reference (RFC 3986): what is no letter, digit or -._~/ is escaped. */
static json_t *uri(const char *path)
{
    smelt_buf b = {0};
    for (const char *p = path; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c);
        buf_printf(&b, plain ? "%c" : "%%%02X", c);
    }
    json_t *s = b.failed ? NULL : json_stringn((const char *)b.data, b.size);
    buf_free(&b);
    return s;
}

static json_t *text(const char *s) { return json_pack("{s:o}", "text", smelt_json_string(s, strlen(s))); }

static json_t *rules(void)
{
    json_t *list = json_array();
    for (int i = 0; i < SMELT_FIND_COUNT; i++) {
        const smelt_finding_kind *k = finding_kind((smelt_finding_id)i);
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:{s:s}}", "id", k->name, "shortDescription", text(k->text), "help",
                                              text(k->text), "defaultConfiguration", "level", sarif_level(k->level)));
    }
    return list;
}

static json_t *result(const smelt_finding *f)
{
    json_t *place = json_pack("{s:{s:o}}", "artifactLocation", "uri", uri(f->file));
    if (f->offset <= INT64_MAX) json_object_set_new(place, "region", json_pack("{s:I}", "byteOffset", (json_int_t)f->offset));
    const smelt_finding_kind *k = finding_kind(f->id);
    return json_pack("{s:s, s:i, s:s, s:o, s:[{s:o}]}", "ruleId", k->name, "ruleIndex", (int)f->id, "level", sarif_level(k->level),
                     "message", text(f->text), "locations", "physicalLocation", place);
}

json_t *sarif_log(const smelt_audit *audit)
{
    json_t *results = json_array();
    for (size_t i = 0; i < audit->n; i++)
        json_array_append_new(results, result(&audit->list[i]));
    return json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:o}]}", "$schema", "https://json.schemastore.org/sarif-2.1.0.json",
                     "version", "2.1.0", "runs", "tool", "driver", "name", "smelt", "version", smelt_version(), "rules", rules(),
                     "results", results);
}

smelt_status json_to_file(const json_t *root, const char *path, smelt_err *err)
{
    char *dump = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (!dump) return smelt_oom(err);
    const size_t n = strlen(dump);
    smelt_sink *sink = NULL;
    int index;
    dump[n] = '\n'; /* in the place of the NUL */
    smelt_status st = sink_open(path, false, false, &sink, err);
    if (st == SMELT_OK) {
        const char *base = strrchr(path, '/');
        st = sink_add(sink, base ? base + 1 : path, n + 1, &index, err);
        if (st == SMELT_OK) st = sink_write(sink, index, dump, n + 1, 0, err);
        if (st == SMELT_OK)
            st = sink_commit(sink, err);
        else
            sink_discard(sink);
        sink_close(sink);
    }
    smelt_json_free(dump);
    return st;
}
