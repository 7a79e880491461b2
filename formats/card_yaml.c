#include "formats/card_yaml.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>
#include <string.h>
#include <yaml.h>

#include "base/bytes.h"

enum {
    CARD_MAX = 2 << 20, /* bytes of front matter; the longest published ones, lists of benchmark results, have some 500 KB */
    DEPTH_MAX = 64,
    NODES_MAX = 1 << 16,
};

/* A plain YAML 1.1 scalar that is no string (yaml.org/type): 1 null, 2 false or zero, 3 anything else. */
static const char plain_scalar[] =
    "(~|null|Null|NULL|)|"
    "(no|No|NO|false|False|FALSE|off|Off|OFF|[-+]?(?:0[bx])?0[0_]*|[-+]?0[0_]*\\.[0_]*(?:[eE][-+]\\d+)?|"
    "\\.0[0_]*(?:[eE][-+]\\d+)?)|"
    "(yes|Yes|YES|true|True|TRUE|on|On|ON|"
    "[-+]?(?:0b[01_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*(?::[0-5]?\\d)*)|"
    "[-+]?\\d[0-9_]*\\.[0-9_]*(?:[eE][-+]\\d+)?|\\.\\d[0-9_]*(?:[eE][-+]\\d+)?|"
    "[-+]?\\d[0-9_]*(?::[0-5]?\\d)+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)|"
    "\\d{4}-\\d\\d-\\d\\d|\\d{4}-\\d\\d?-\\d\\d?(?:[Tt]|[ \\t]+)\\d\\d?:\\d\\d:\\d\\d(?:\\.\\d*)?"
    "(?:[ \\t]*(?:Z|[-+]\\d\\d?(?::\\d\\d)?))?)";

typedef struct reader {
    const char *(*known)(const char *key);
    smelt_arena *arena;
    pcre2_code *plain;
    pcre2_match_data *match;
    yaml_parser_t yaml;
    yaml_event_t event;
    size_t nodes;
    smelt_err *err;
} reader;

/* Replaces the current YAML event by the next one. */
static smelt_status advance(reader *c)
{
    yaml_event_delete(&c->event);
    if (yaml_parser_parse(&c->yaml, &c->event)) return SMELT_OK;
    c->event = (yaml_event_t){0};
    if (c->yaml.error == YAML_MEMORY_ERROR) return smelt_oom(c->err);
    return smelt_fail(c->err, SMELT_E_CORRUPT, "line %zu: %s", c->yaml.problem_mark.line + 2,
                      c->yaml.problem ? c->yaml.problem : "no YAML");
}

static smelt_status refuse(reader *c, const char *what)
{
    return smelt_fail(c->err, SMELT_E_UNSUPPORTED, "line %zu: %s", c->event.start_mark.line + 2, what);
}

/* Passes over the value that the current event begins. */
static smelt_status skip_value(reader *c)
{
    for (int depth = 0;;) {
        const yaml_event_type_t t = c->event.type;
        depth += t == YAML_SEQUENCE_START_EVENT || t == YAML_MAPPING_START_EVENT;
        depth -= t == YAML_SEQUENCE_END_EVENT || t == YAML_MAPPING_END_EVENT;
        if (depth > DEPTH_MAX) return refuse(c, "nested too deep");
        if (depth <= 0) return SMELT_OK;
        SMELT_TRY(advance(c));
    }
}

static smelt_status scalar(reader *c, card_node *out)
{
    const char *tag = (const char *)c->event.data.scalar.tag;
    char *copy = arena_strndup(c->arena, (const char *)c->event.data.scalar.value, c->event.data.scalar.length);
    if (!copy) return smelt_oom(c->err);
    out->text = (smelt_str){copy, c->event.data.scalar.length};
    out->kind = CARD_STR;
    static const char std[] = "tag:yaml.org,2002:";
    const bool known = tag && strncmp(tag, std, sizeof std - 1) == 0;
    static const char *const standard[] = {"null", "bool", "int", "float", "timestamp"};
    bool usual = false;
    for (size_t i = 0; known && i < sizeof standard / sizeof *standard; i++)
        usual |= strcmp(standard[i], tag + sizeof std - 1) == 0;
    if (tag && strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0) {
        if (!usual) return refuse(c, "a value has a tag that is not known");
    } else if (tag || c->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return SMELT_OK;
    }
    static const card_kind kinds[] = {[1] = CARD_NULL, [2] = CARD_FALSY, [3] = CARD_OTHER};
    if (pcre2_match(c->plain, (PCRE2_SPTR)(out->text.n ? out->text.p : ""), out->text.n, 0, 0, c->match, NULL) > 0) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(c->match);
        for (uint32_t g = 1; g <= 3; g++)
            if (at[2 * g] != PCRE2_UNSET) {
                out->kind = kinds[g];
                break;
            }
    }
    return SMELT_OK;
}

static smelt_status value_node(reader *c, int depth, card_node **out);

static void append(card_node *to, card_node *n)
{
    if (to->last)
        to->last->next = n;
    else
        to->first = n;
    to->last = n;
    to->count++;
}

static smelt_status map_node(reader *c, int depth, card_node *out)
{
    out->kind = CARD_MAP;
    for (;;) {
        SMELT_TRY(advance(c));
        if (c->event.type == YAML_MAPPING_END_EVENT) return SMELT_OK;
        if (c->event.type != YAML_SCALAR_EVENT) return refuse(c, "a key is no plain text");
        const char *text = (const char *)c->event.data.scalar.value;
        if (strcmp(text, "<<") == 0 && c->event.data.scalar.plain_implicit) return refuse(c, "merge keys are not supported");
        const char *key = c->known(text);
        card_node *n;
        SMELT_TRY(advance(c));
        out->count += !key; /* counted, so that a map of other keys is not empty */
        if (!key) {
            SMELT_TRY(skip_value(c));
            continue;
        }
        SMELT_TRY(value_node(c, depth + 1, &n));
        n->key = key;
        append(out, n);
    }
}

/* The value that the current event begins. Used are the levels root, list, map and scalar; what lies deeper is skipped. */
static smelt_status value_node(reader *c, int depth, card_node **out)
{
    enum { USED = 3 };
    if (c->nodes++ == NODES_MAX) return refuse(c, "too many values");
    card_node *n = *out = arena_calloc(c->arena, 1, sizeof *n);
    if (!n) return smelt_oom(c->err);
    if (c->event.type == YAML_ALIAS_EVENT) return refuse(c, "aliases are not supported");
    if (c->event.type == YAML_SCALAR_EVENT) return scalar(c, n);
    if (depth >= USED) {
        n->kind = CARD_DEEP;
        return skip_value(c);
    }
    if (c->event.type == YAML_MAPPING_START_EVENT) return map_node(c, depth, n);
    n->kind = CARD_LIST;
    for (;;) {
        card_node *item;
        SMELT_TRY(advance(c));
        if (c->event.type == YAML_SEQUENCE_END_EVENT) return SMELT_OK;
        SMELT_TRY(value_node(c, depth + 1, &item));
        append(n, item);
    }
}

static smelt_status read_yaml(reader *c, card_node **root)
{
    SMELT_TRY(advance(c)); /* stream */
    SMELT_TRY(advance(c)); /* document */
    if (c->event.type == YAML_STREAM_END_EVENT) return SMELT_OK;
    SMELT_TRY(advance(c));
    if (c->event.type != YAML_MAPPING_START_EVENT) return refuse(c, "expected keys with values");
    SMELT_TRY(value_node(c, 0, root));
    SMELT_TRY(advance(c)); /* end of document */
    SMELT_TRY(advance(c));
    return c->event.type == YAML_STREAM_END_EVENT ? SMELT_OK : refuse(c, "expected one document");
}

/* Length of the line break at p, as Python's str.splitlines() knows them. */
static size_t break_at(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n = (size_t)(end - p);
    if (u[0] == '\r') return n > 1 && u[1] == '\n' ? 2 : 1;
    if ((u[0] >= 10 && u[0] <= 12) || (u[0] >= 0x1C && u[0] <= 0x1E)) return 1;
    if (n >= 2 && u[0] == 0xC2 && u[1] == 0x85) return 2;
    return n >= 3 && u[0] == 0xE2 && u[1] == 0x80 && (u[2] == 0xA8 || u[2] == 0xA9) ? 3 : 0;
}

/* The text between the first line, which is ---, and the next such line or the end, with the peer's repairs: tabs become
 * spaces, and the language "no" in a list stays a string. */
static smelt_status front_matter(reader *c, const smelt_side_file *file, smelt_buf *out)
{
    const char *start = (const char *)file->data, *p = start, *end = p + file->size;
    for (size_t line = 0; p < end; line++) {
        const char *from = p;
        while (p < end && p - start <= CARD_MAX && !break_at(p, end))
            p++;
        if (p - start > CARD_MAX)
            return line ? smelt_fail(c->err, SMELT_E_LIMIT, "it is longer than %d bytes", CARD_MAX) : SMELT_OK;
        const size_t n = (size_t)(p - from);
        const bool rule = n == 3 && memcmp(from, "---", 3) == 0;
        if (p < end) p += break_at(p, end);
        if (line == 0 && !rule) return SMELT_OK;
        if (line > 0 && rule) break;
        if (line == 0) continue;
        const bool norway = n >= 4 && memcmp(from + n - 4, "- no", 4) == 0;
        for (size_t i = 0; i < (norway ? n - 2 : n); i++)
            from[i] == '\t' ? buf_put(out, "  ", 2) : buf_u8(out, (uint8_t)from[i]);
        if (norway) buf_put(out, "\"no\"", 4);
        buf_u8(out, '\n');
    }
    return out->failed ? smelt_oom(c->err) : SMELT_OK;
}

static smelt_status open_pattern(reader *c)
{
    int code;
    PCRE2_SIZE at;
    c->plain = pcre2_compile((PCRE2_SPTR)plain_scalar, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED | PCRE2_ENDANCHORED, &code, &at, NULL);
    c->match = c->plain ? pcre2_match_data_create(8, NULL) : NULL;
    return c->match ? SMELT_OK : smelt_oom(c->err);
}

smelt_status card_yaml_read(const smelt_side_file *file, const char *(*known)(const char *key), smelt_arena *arena,
                            card_node **root, smelt_err *err)
{
    reader c = {.known = known, .arena = arena, .err = err};
    smelt_buf text = {0};
    *root = NULL;
    smelt_status st = front_matter(&c, file, &text);
    if (st == SMELT_OK && text.size) st = open_pattern(&c);
    if (st == SMELT_OK && text.size && !yaml_parser_initialize(&c.yaml)) {
        st = smelt_oom(err);
    } else if (st == SMELT_OK && text.size) {
        yaml_parser_set_encoding(&c.yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&c.yaml, text.data, text.size);
        st = read_yaml(&c, root);
        yaml_event_delete(&c.event);
        yaml_parser_delete(&c.yaml);
    }
    if (st != SMELT_OK) *root = NULL;
    buf_free(&text);
    pcre2_code_free(c.plain);
    pcre2_match_data_free(c.match);
    return st;
}

const card_node *card_get(const card_node *map, const char *key)
{
    const card_node *found = NULL;
    for (const card_node *n = map ? map->first : NULL; n; n = n->next)
        if (strcmp(n->key, key) == 0) found = n;
    return found;
}
