#include "formats/hf_card.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <ctype.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/bytes.h"
#include "base/json.h"

enum {
    CARD_MAX = 2 << 20,   /* bytes of front matter; the longest published ones, lists of benchmark results, have some 500 KB */
    CONFIG_MAX = 1 << 20, /* bytes of generation_config.json */
    DEPTH_MAX = 64,
    NODES_MAX = 1 << 16,
    PARENTS_MAX = 1024, /* base models, and datasets: each becomes up to nine keys */
};

/* What the peer decides with regular expressions, and what it asks of Unicode. */
enum { RE_VERSION, RE_QUANT, RE_SIZE, RE_FINETUNE, RE_ALPHA, RE_LOWER, RE_NUMBERED, RE_INITIAL, RE_SCALAR, RE_COUNT };
#define WHOLE (PCRE2_ANCHORED | PCRE2_ENDANCHORED)
#define UNICODE (PCRE2_UTF | PCRE2_UCP)
static const struct {
    const char *pattern;
    uint32_t options;
} patterns[RE_COUNT] = {
    [RE_VERSION] = {"(?:v|iter)?\\d+(?:\\.\\d+)*", WHOLE | UNICODE | PCRE2_CASELESS},
    [RE_QUANT] = {"i?q\\d(?:_\\w)*|b?fp?(?:16|32)", WHOLE | UNICODE | PCRE2_CASELESS},
    /* Bytes, not characters: what matches is taken apart as ASCII. */
    [RE_SIZE] = {"(?:a|\\d+x)?\\d+(?:[._]\\d+)?[kmbt]\\d?|small|mini|medium|large|x?xl", WHOLE | PCRE2_CASELESS},
    [RE_FINETUNE] = {"chat|instruct|vision|lora", WHOLE | UNICODE | PCRE2_CASELESS},
    [RE_ALPHA] = {"\\p{L}", PCRE2_ANCHORED | UNICODE},
    [RE_LOWER] = {"(?=.*\\p{Lowercase})[^\\p{Uppercase}\\p{Lt}]*", WHOLE | UNICODE | PCRE2_DOTALL},
    [RE_NUMBERED] = {"v\\d+(?:\\.\\d+)*|\\d.*", WHOLE | UNICODE | PCRE2_DOTALL},
    [RE_INITIAL] = {"(?<!\\p{Cased})\\p{Lowercase}", UNICODE},
    /* A plain YAML 1.1 scalar that is no string (yaml.org/type): 1 null, 2 false or zero, 3 anything else. */
    [RE_SCALAR] = {"(~|null|Null|NULL|)|"
                   "(no|No|NO|false|False|FALSE|off|Off|OFF|[-+]?(?:0[bx])?0[0_]*|[-+]?0[0_]*\\.[0_]*(?:[eE][-+]\\d+)?|"
                   "\\.0[0_]*(?:[eE][-+]\\d+)?)|"
                   "(yes|Yes|YES|true|True|TRUE|on|On|ON|"
                   "[-+]?(?:0b[01_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*(?::[0-5]?\\d)*)|"
                   "[-+]?\\d[0-9_]*\\.[0-9_]*(?:[eE][-+]\\d+)?|\\.\\d[0-9_]*(?:[eE][-+]\\d+)?|"
                   "[-+]?\\d[0-9_]*(?::[0-5]?\\d)+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)|"
                   "\\d{4}-\\d\\d-\\d\\d|\\d{4}-\\d\\d?-\\d\\d?(?:[Tt]|[ \\t]+)\\d\\d?:\\d\\d:\\d\\d(?:\\.\\d*)?"
                   "(?:[ \\t]*(?:Z|[-+]\\d\\d?(?::\\d\\d)?))?)",
                   WHOLE},
};

/* A value that is there, maybe empty: one that is there hides later sources even if an empty one is not written. */
typedef struct value {
    bool set;
    smelt_str text;
} value;

typedef enum node_kind { NODE_NULL, NODE_STR, NODE_FALSY, NODE_OTHER, NODE_LIST, NODE_MAP, NODE_DEEP } node_kind;

/* The parts of the card that are used: scalars, lists and maps of the known keys. */
typedef struct node {
    node_kind kind;
    const char *key; /* in a map: one of known_keys */
    smelt_str text;  /* of a scalar, as spelled */
    struct node *first, *last, *next;
    size_t count;
} node;

typedef struct card {
    const smelt_ctx *ctx;
    const smelt_model *model;
    uint64_t total_params;
    smelt_meta *meta;
    smelt_arena arena;
    pcre2_code *re[RE_COUNT];
    pcre2_match_data *match;
    yaml_parser_t yaml;
    yaml_event_t event;
    size_t nodes;
    smelt_err *err;
} card;

/* What one name says ("org/Base-7B-Chat-v1.0"). */
typedef struct id_parts {
    value name, org, basename, finetune, version, size_label;
} id_parts;

/* --- text ------------------------------------------------------------------------------------------------------------- */

static smelt_str str_of(const char *s) { return (smelt_str){s, strlen(s)}; }
static value value_of(smelt_str s) { return (value){true, s}; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

static smelt_status open_patterns(card *c)
{
    for (int i = 0; i < RE_COUNT; i++) {
        int code;
        PCRE2_SIZE at;
        c->re[i] = pcre2_compile((PCRE2_SPTR)patterns[i].pattern, PCRE2_ZERO_TERMINATED, patterns[i].options, &code, &at, NULL);
        if (!c->re[i]) return smelt_oom(c->err);
    }
    c->match = pcre2_match_data_create(8, NULL);
    return c->match ? SMELT_OK : smelt_oom(c->err);
}

static bool matches(const card *c, int re, smelt_str s)
{
    return pcre2_match(c->re[re], (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, c->match, NULL) > 0;
}

/* Bytes of the white space at p that Python's str.split() knows; 0 if there is none. */
static size_t space_at(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n = (size_t)(end - p);
    if (n >= 1 && ((u[0] >= 9 && u[0] <= 13) || (u[0] >= 0x1C && u[0] <= 0x20))) return 1;
    if (n >= 2 && u[0] == 0xC2 && (u[1] == 0x85 || u[1] == 0xA0)) return 2;
    if (n < 3) return 0;
    unsigned tail = (unsigned)u[1] << 8 | u[2];
    if (u[0] == 0xE1 && tail == 0x9A80) return 3;
    if (u[0] == 0xE2 &&
        ((tail >= 0x8080 && tail <= 0x808A) || tail == 0x80A8 || tail == 0x80A9 || tail == 0x80AF || tail == 0x819F))
        return 3;
    return u[0] == 0xE3 && tail == 0x8080 ? 3 : 0;
}

/* "tiny-llama-v1.0" to "Tiny Llama v1.0": words in lower case get capitals unless they are versions or begin with a digit.
 * Letters whose capital is several letters, or that are no letters to PCRE2 (a Roman numeral's sign), differ from the peer's. */
static smelt_status to_title(card *c, smelt_str id, value *out)
{
    smelt_buf b = {0};
    const char *p = id.p, *end = id.p + id.n;
    smelt_status st = SMELT_OK;
    while (p < end && st == SMELT_OK) {
        size_t space = *p == '-' ? 1 : space_at(p, end);
        if (space) {
            p += space;
            continue;
        }
        const char *from = p;
        while (p < end && *p != '-' && !space_at(p, end))
            p++;
        smelt_str word = {from, (uint64_t)(p - from)};
        if (b.size) buf_u8(&b, ' ');
        if (!matches(c, RE_LOWER, word) || matches(c, RE_NUMBERED, word)) {
            buf_put(&b, word.p, (size_t)word.n);
            continue;
        }
        PCRE2_SIZE room = 2 * (size_t)word.n + 8; /* another case never doubles a letter's bytes */
        char *title = arena_calloc(&c->arena, room, 1);
        if (!title || pcre2_substitute(c->re[RE_INITIAL], (PCRE2_SPTR)word.p, (size_t)word.n, 0,
                                       PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_EXTENDED, c->match, NULL, (PCRE2_SPTR) "\\u$0", 4,
                                       (PCRE2_UCHAR *)title, &room) < 0)
            st = smelt_oom(c->err);
        else
            buf_put(&b, title, room);
    }
    char *copy = b.failed ? NULL : arena_strndup(&c->arena, b.size ? (const char *)b.data : "", b.size);
    if (copy) *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return st == SMELT_OK && !copy ? smelt_oom(c->err) : st;
}

/* --- names ------------------------------------------------------------------------------------------------------------ */

enum { T_BASENAME = 1, T_SIZE = 2, T_FINETUNE = 4, T_VERSION = 8, T_TYPE = 16 };

typedef struct part {
    smelt_str s;
    unsigned types;
} part;

/* The number that digits with at most one point in between stand for; false for anything else. */
static bool plain_number(const char *p, size_t n, double *out)
{
    long double v = 0, scale = 1;
    bool point = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!digit(p[i])) return false;
        v = v * 10 + (p[i] - '0');
        if (point) scale *= 10;
    }
    *out = (double)(v / scale);
    return n > 0;
}

/* Normalises a part that looks like a size ("7b", "7b1", "1_5B", "small") and says whether it can be this model's. */
static smelt_status size_part(card *c, part *p)
{
    size_t n = (size_t)p->s.n;
    char *s = arena_calloc(&c->arena, n + 2, 1);
    if (!s) return smelt_oom(c->err);
    memcpy(s, p->s.p, n);
    for (size_t i = 0; i < n; i++)
        if (s[i] == '_') s[i] = '.';
    if (digit(s[n - 1])) { /* bloom-7b1 is 7.1B */
        const char unit = s[n - 2], tenth = s[n - 1];
        s[n - 2] = '.', s[n - 1] = tenth, s[n++] = unit;
    }
    if (n > 1 && digit(s[n - 2]) && strchr("kmbt", s[n - 1])) s[n - 1] = (char)toupper((unsigned char)s[n - 1]);
    static const char units[] = "KMBT";
    static const double scale[] = {1e3, 1e6, 1e9, 1e12};
    const char *unit = strchr(units, s[n - 1]);
    double size;
    if (c->total_params && unit && plain_number(s, n - 1, &size)) {
        size *= scale[unit - units];
        const uint64_t t = c->total_params;
        if (fabs(size - (double)t) > (double)(t / 8 * 7 + t % 8 * 7 / 8)) { /* likely a context length */
            p->types |= T_FINETUNE;
            s[n - 1] = (char)tolower((unsigned char)s[n - 1]);
        }
    }
    if (!p->types) p->types = T_SIZE;
    p->s = (smelt_str){s, n};
    return SMELT_OK;
}

static smelt_status annotate(card *c, part *p, bool first)
{
    if (matches(c, RE_VERSION, p->s)) {
        p->types = T_VERSION;
    } else if (matches(c, RE_QUANT, p->s)) {
        p->types = T_TYPE; /* never shown, so its spelling does not matter */
    } else if (!first && matches(c, RE_SIZE, p->s)) {
        return size_part(c, p);
    } else if (!first && matches(c, RE_FINETUNE, p->s)) {
        p->types = T_FINETUNE;
    }
    return SMELT_OK;
}

/* Parts with a type in `with` and none in `without`, joined by dashes; unset if that is nothing. */
static smelt_status join(card *c, const part *parts, size_t n, unsigned with, unsigned without, bool once, value *out)
{
    smelt_buf b = {0};
    smelt_strmap seen = {.arena = &c->arena};
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (!(parts[i].types & with) || parts[i].types & without) continue;
        bool added = true;
        if (once && !strmap_add(&seen, parts[i].s.p, (size_t)parts[i].s.n, 0, &added)) ok = false;
        if (!added) continue;
        if (b.size) buf_u8(&b, '-');
        buf_put(&b, parts[i].s.p, (size_t)parts[i].s.n);
    }
    char *copy = !ok || b.failed ? NULL : arena_strndup(&c->arena, b.size ? (const char *)b.data : "", b.size);
    if (copy && b.size) *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return copy ? SMELT_OK : smelt_oom(c->err);
}

static smelt_status split_name(card *c, smelt_str name, part **parts, size_t *n)
{
    size_t cap = 0;
    *parts = NULL;
    *n = 0;
    for (uint64_t i = 0, from = 0; i <= name.n; i++) {
        if (i < name.n && name.p[i] != '-') continue;
        if (i > from) {
            if (!arena_room(&c->arena, parts, *n, &cap, sizeof **parts)) return smelt_oom(c->err);
            (*parts)[(*n)++] = (part){.s = {name.p + from, i - from}};
        }
        from = i + 1;
    }
    return SMELT_OK;
}

/* Finds which parts are the base's name: those at the start that are words or versions, less versions at the end. */
static void find_basename(card *c, part *parts, size_t n)
{
    bool numbers = false, at_start = true;
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; parts[i].types & T_SIZE && k < parts[i].s.n; k++)
            numbers |= digit(parts[i].s.p[k]);
    for (size_t i = 0; i < n && numbers; i++) { /* with a size in numbers, "small" and the like are no sizes */
        bool word = true;
        for (uint64_t k = 0; k < parts[i].s.n; k++)
            word &= isalpha((unsigned char)parts[i].s.p[k]) != 0;
        if (word) parts[i].types &= ~(unsigned)T_SIZE;
    }
    for (size_t i = 0; i < n; i++) {
        if (at_start && ((!parts[i].types && matches(c, RE_ALPHA, parts[i].s)) || parts[i].types & T_VERSION)) {
            parts[i].types |= T_BASENAME;
        } else {
            at_start = false;
            if (!parts[i].types) parts[i].types = T_FINETUNE;
        }
    }
    for (size_t i = n; i-- > 0 && parts[i].types & T_BASENAME && parts[i].types != T_BASENAME;)
        parts[i].types &= ~(unsigned)T_BASENAME;
}

/* Takes a name or a hub id apart. */
static smelt_status parse_id(card *c, smelt_str id, id_parts *out)
{
    *out = (id_parts){.name = value_of(id)};
    if (memchr(id.p, ' ', (size_t)id.n)) return SMELT_OK; /* a sentence, no id */
    const char *slash = memchr(id.p, '/', (size_t)id.n);
    if (slash) {
        if (id.p[0] != '.') out->org = value_of((smelt_str){id.p, (uint64_t)(slash - id.p)});
        out->name.text = (smelt_str){slash + 1, id.n - (uint64_t)(slash + 1 - id.p)};
    }
    part *parts;
    size_t n;
    SMELT_TRY(split_name(c, out->name.text, &parts, &n));
    for (size_t i = 0; i < n; i++)
        SMELT_TRY(annotate(c, &parts[i], i == 0));
    find_basename(c, parts, n);
    SMELT_TRY(join(c, parts, n, T_SIZE, 0, true, &out->size_label));
    SMELT_TRY(join(c, parts, n, T_FINETUNE, 0, false, &out->finetune));
    SMELT_TRY(join(c, parts, n, T_VERSION, T_BASENAME, false, &out->version));
    /* A base alone is too ambiguous to be one. */
    if (!out->size_label.set && !out->finetune.set && !out->version.set) return SMELT_OK;
    return join(c, parts, n, T_BASENAME, 0, false, &out->basename);
}

/* --- the model card ---------------------------------------------------------------------------------------------------- */

enum {
    A_NAME,
    A_AUTHOR,
    A_VERSION,
    A_ORG,
    A_FINETUNE,
    A_BASENAME,
    A_DESCRIPTION,
    A_SIZE,
    A_LICENSE,
    A_LICENSE_NAME,
    A_LICENSE_LINK,
    A_SOURCE_URL,
    A_SOURCE_DOI,
    A_SOURCE_UUID,
    A_SOURCE_REPO,
    A_COUNT
};

/* In the order in which they are written, each with the card's keys for it; the first that is not null is taken. */
static const struct {
    const char *key, *card[3];
} attrs[A_COUNT] = {
    [A_NAME] = {"general.name", {"name", "model_name"}},
    [A_AUTHOR] = {"general.author", {"author", "model_author", "model_creator"}},
    [A_VERSION] = {"general.version", {"version", "model_version"}},
    [A_ORG] = {"general.organization", {"organization", "model_organization"}},
    [A_FINETUNE] = {"general.finetune", {"finetune", "model_finetune"}},
    [A_BASENAME] = {"general.basename", {"basename", "model_basename", "model_type"}},
    [A_DESCRIPTION] = {"general.description", {"description", "model_description"}},
    [A_SIZE] = {"general.size_label", {"size_label", "model_size_label"}},
    [A_LICENSE] = {"general.license", {"license"}},
    [A_LICENSE_NAME] = {"general.license.name", {"license_name"}},
    [A_LICENSE_LINK] = {"general.license.link", {"license_link"}},
    [A_SOURCE_URL] = {"general.source.url", {"url", "model_url"}},
    [A_SOURCE_DOI] = {"general.source.doi", {"doi", "model_doi"}},
    [A_SOURCE_UUID] = {"general.source.uuid", {"uuid", "model_uuid"}},
    [A_SOURCE_REPO] = {"general.source.repo_url", {"repo_url", "model_repo_url"}},
};

/* What the card says of models and data that this one was made from; the first key that is there counts, even if it is null. */
static const struct parents {
    const char *key, *card[3];
} parents[] = {
    {"general.base_model", {"base_model", "base_models", "base_model_sources"}},
    {"general.dataset", {"datasets", "dataset", "dataset_sources"}},
};

/* Of one of these, in the order in which they are written. */
enum { P_NAME, P_VERSION = 2, P_ORG, P_REPO = 8, P_COUNT };
static const char *const parent_fields[P_COUNT] = {"name", "author", "version", "organization", "description",
                                                   "url",  "doi",    "uuid",    "repo_url"};

static const struct {
    const char *key, *card[2];
} arrays[] = {{"general.tags", {"tags", "pipeline_tag"}}, {"general.languages", {"languages", "language"}}};

static const char *find_key(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] && strcmp(list[i], key) == 0) return list[i];
    return NULL;
}

/* The table's own string for a key that is used somewhere; NULL for the others, whose values are skipped. */
static const char *known_key(const char *key)
{
    const char *k = find_key(parent_fields, P_COUNT, key);
    for (size_t i = 0; !k && i < A_COUNT; i++)
        k = find_key(attrs[i].card, 3, key);
    for (size_t i = 0; !k && i < sizeof parents / sizeof *parents; i++)
        k = find_key(parents[i].card, 3, key);
    for (size_t i = 0; !k && i < sizeof arrays / sizeof *arrays; i++)
        k = find_key(arrays[i].card, 2, key);
    return k;
}

/* Replaces the current YAML event by the next one. */
static smelt_status advance(card *c)
{
    yaml_event_delete(&c->event);
    if (yaml_parser_parse(&c->yaml, &c->event)) return SMELT_OK;
    c->event = (yaml_event_t){0};
    if (c->yaml.error == YAML_MEMORY_ERROR) return smelt_oom(c->err);
    return smelt_fail(c->err, SMELT_E_CORRUPT, "line %zu: %s", c->yaml.problem_mark.line + 2,
                      c->yaml.problem ? c->yaml.problem : "no YAML");
}

static smelt_status refuse(card *c, const char *what)
{
    return smelt_fail(c->err, SMELT_E_UNSUPPORTED, "line %zu: %s", c->event.start_mark.line + 2, what);
}

/* Passes over the value that the current event begins. */
static smelt_status skip_value(card *c)
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

static smelt_status scalar(card *c, node *out)
{
    const char *tag = (const char *)c->event.data.scalar.tag;
    char *copy = arena_strndup(&c->arena, (const char *)c->event.data.scalar.value, c->event.data.scalar.length);
    if (!copy) return smelt_oom(c->err);
    out->text = (smelt_str){copy, c->event.data.scalar.length};
    out->kind = NODE_STR;
    static const char std[] = "tag:yaml.org,2002:";
    const bool known = tag && strncmp(tag, std, sizeof std - 1) == 0;
    static const char *const standard[] = {"null", "bool", "int", "float", "timestamp"};
    if (tag && strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0) {
        if (!known || !find_key(standard, 5, tag + sizeof std - 1)) return refuse(c, "a value has a tag that is not known");
    } else if (tag || c->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return SMELT_OK;
    }
    static const node_kind kinds[] = {[1] = NODE_NULL, [2] = NODE_FALSY, [3] = NODE_OTHER};
    if (matches(c, RE_SCALAR, out->text)) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(c->match);
        for (uint32_t g = 1; g <= 3; g++)
            if (at[2 * g] != PCRE2_UNSET) {
                out->kind = kinds[g];
                break;
            }
    }
    return SMELT_OK;
}

static smelt_status value_node(card *c, int depth, node **out);

static void append(node *to, node *n)
{
    if (to->last)
        to->last->next = n;
    else
        to->first = n;
    to->last = n;
    to->count++;
}

static smelt_status map_node(card *c, int depth, node *out)
{
    out->kind = NODE_MAP;
    for (;;) {
        SMELT_TRY(advance(c));
        if (c->event.type == YAML_MAPPING_END_EVENT) return SMELT_OK;
        if (c->event.type != YAML_SCALAR_EVENT) return refuse(c, "a key is no plain text");
        const char *text = (const char *)c->event.data.scalar.value;
        if (strcmp(text, "<<") == 0 && c->event.data.scalar.plain_implicit) return refuse(c, "merge keys are not supported");
        const char *key = known_key(text);
        node *n;
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
static smelt_status value_node(card *c, int depth, node **out)
{
    enum { USED = 3 };
    if (c->nodes++ == NODES_MAX) return refuse(c, "too many values");
    node *n = *out = arena_calloc(&c->arena, 1, sizeof *n);
    if (!n) return smelt_oom(c->err);
    if (c->event.type == YAML_ALIAS_EVENT) return refuse(c, "aliases are not supported");
    if (c->event.type == YAML_SCALAR_EVENT) return scalar(c, n);
    if (depth >= USED) {
        n->kind = NODE_DEEP;
        return skip_value(c);
    }
    if (c->event.type == YAML_MAPPING_START_EVENT) return map_node(c, depth, n);
    n->kind = NODE_LIST;
    for (;;) {
        node *item;
        SMELT_TRY(advance(c));
        if (c->event.type == YAML_SEQUENCE_END_EVENT) return SMELT_OK;
        SMELT_TRY(value_node(c, depth + 1, &item));
        append(n, item);
    }
}

static smelt_status read_yaml(card *c, node **root)
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
static smelt_status front_matter(card *c, const smelt_side_file *file, smelt_buf *out)
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

/* The used parts of the model card; *root stays NULL where there is no usable one. */
static smelt_status read_card(card *c, node **root)
{
    const smelt_side_file *file = model_side_find(c->model, "README.md");
    if (!file) return SMELT_OK;
    smelt_err why = {0}, *outer = c->err;
    smelt_buf text = {0};
    c->err = &why;
    smelt_status st = front_matter(c, file, &text);
    if (st == SMELT_OK && text.size && !yaml_parser_initialize(&c->yaml)) {
        st = smelt_oom(&why);
    } else if (st == SMELT_OK && text.size) {
        yaml_parser_set_encoding(&c->yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&c->yaml, text.data, text.size);
        st = read_yaml(c, root);
        yaml_event_delete(&c->event);
        yaml_parser_delete(&c->yaml);
    }
    buf_free(&text);
    c->err = outer;
    if (st == SMELT_OK) return SMELT_OK;
    *root = NULL;
    if (st == SMELT_E_NOMEM) return smelt_oom(outer);
    ctx_warn(c->ctx, "%s/README.md: the model card is ignored: %s", c->model->path, why.text);
    return SMELT_OK;
}

/* The last value of a key of a map; NULL if there is none. */
static const node *get(const node *map, const char *key)
{
    const node *found = NULL;
    for (const node *n = map ? map->first : NULL; n; n = n->next)
        if (strcmp(n->key, key) == 0) found = n;
    return found;
}

static bool is_scalar(const node *n) { return n->kind == NODE_STR || n->kind == NODE_FALSY || n->kind == NODE_OTHER; }

/* A text value. What the peer treats as empty (false, 0, []) is empty; numbers are what was spelled. */
static value text_value(const node *n)
{
    if (!n || n->kind == NODE_NULL) return (value){0};
    if (n->kind == NODE_STR || n->kind == NODE_OTHER) return value_of(n->text);
    if (n->kind == NODE_FALSY || ((n->kind == NODE_LIST || n->kind == NODE_MAP) && !n->count)) return value_of(str_of(""));
    return (value){0};
}

/* A list of licences is one text with commas. */
static smelt_status license_value(card *c, const node *n, value *out)
{
    *out = text_value(n);
    if (!n || n->kind != NODE_LIST || !n->count) return SMELT_OK;
    smelt_buf b = {0};
    for (const node *i = n->first; i; i = i->next) {
        if (i != n->first) buf_u8(&b, ',');
        if (is_scalar(i)) buf_put(&b, i->text.p, (size_t)i->text.n);
    }
    char *copy = b.failed ? NULL : arena_strndup(&c->arena, b.size ? (const char *)b.data : "", b.size);
    *out = value_of((smelt_str){copy, b.size});
    buf_free(&b);
    return copy ? SMELT_OK : smelt_oom(c->err);
}

static smelt_status card_attrs(card *c, const node *root, value *a)
{
    for (size_t i = 0; i < A_COUNT; i++)
        for (size_t k = 0; k < 3 && attrs[i].card[k] && !a[i].set; k++) {
            const node *n = get(root, attrs[i].card[k]);
            if (i == A_LICENSE)
                SMELT_TRY(license_value(c, n, &a[i]));
            else
                a[i] = text_value(n);
        }
    return SMELT_OK;
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static smelt_status put(card *c, const char *key, value v)
{
    if (!v.set || !v.text.n) return SMELT_OK;
    return meta_str(c->meta, key, v.text.p, (size_t)v.text.n) ? SMELT_OK : smelt_oom(c->err);
}

static bool starts(smelt_str s, const char *with) { return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0; }

/* What https://huggingface.co/ORG/NAME says of ORG/NAME; unset for other addresses. */
static value hub_id(smelt_str url)
{
    const char *schemes[] = {"https://huggingface.co/", "http://huggingface.co/"};
    for (size_t i = 0; i < 2; i++) {
        if (!starts(url, schemes[i])) continue;
        smelt_str id = {url.p + strlen(schemes[i]), url.n - strlen(schemes[i])};
        const char *slash = memchr(id.p, '/', (size_t)id.n), *end = id.p + id.n;
        if (slash && slash > id.p && slash + 1 < end && !memchr(slash + 1, '/', (size_t)(end - slash - 1))) return value_of(id);
    }
    return (value){0};
}

/* The fields of a parent that is given by an address or a hub id. */
static smelt_status parent_by_name(card *c, smelt_str text, value *f)
{
    id_parts id = {0};
    const bool url = starts(text, "http://") || starts(text, "https://") || starts(text, "ssh://");
    const value in = url ? hub_id(text) : value_of(text);
    if (url) f[P_REPO] = value_of(text);
    if (!in.set) return SMELT_OK;
    SMELT_TRY(parse_id(c, in.text, &id));
    SMELT_TRY(to_title(c, id.name.text, &f[P_NAME]));
    if (id.org.set) SMELT_TRY(to_title(c, id.org.text, &f[P_ORG]));
    f[P_VERSION] = id.version;
    if (url || !id.org.set) return SMELT_OK;
    char *repo = arena_printf(&c->arena, "https://huggingface.co/%.*s/%.*s", (int)id.org.text.n, id.org.text.p, (int)id.name.text.n,
                              id.name.text.p);
    if (!repo) return smelt_oom(c->err);
    f[P_REPO] = value_of(str_of(repo));
    return SMELT_OK;
}

static smelt_status put_parent(card *c, const struct parents *p, size_t no, const node *entry)
{
    value f[P_COUNT] = {0};
    if (entry->kind == NODE_STR) SMELT_TRY(parent_by_name(c, entry->text, f));
    for (size_t i = 0; i < P_COUNT; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%zu.%s", p->key, no, parent_fields[i]);
        if (entry->kind == NODE_MAP) f[i] = text_value(get(entry, parent_fields[i]));
        SMELT_TRY(put(c, key, f[i]));
    }
    return SMELT_OK;
}

static smelt_status put_parents(card *c, const struct parents *p, const node *root)
{
    const node *n = NULL;
    for (size_t k = 0; k < 3 && !n; k++)
        n = get(root, p->card[k]);
    if (!n) return SMELT_OK;
    const bool one = n->kind == NODE_STR;
    const size_t count = one ? 1 : n->kind == NODE_LIST ? n->count : 0;
    if (count > PARENTS_MAX) {
        ctx_warn(c->ctx, "%s/README.md: %s has %zu entries and is ignored, at most %d are taken", c->model->path, n->key, count,
                 PARENTS_MAX);
        return SMELT_OK;
    }
    char key[64];
    snprintf(key, sizeof key, "%s.count", p->key);
    if (!meta_u32(c->meta, key, (uint32_t)count)) return smelt_oom(c->err);
    if (one) return put_parent(c, p, 0, n);
    size_t no = 0;
    for (const node *i = count ? n->first : NULL; i; i = i->next)
        SMELT_TRY(put_parent(c, p, no++, i));
    return SMELT_OK;
}

static smelt_status put_array(card *c, const char *key, const char *const *card_keys, const node *root)
{
    smelt_str *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t k = 0; k < 2; k++) {
        const node *from = get(root, card_keys[k]);
        const bool list = from && from->kind == NODE_LIST;
        for (const node *i = list ? from->first : from; i; i = list ? i->next : NULL) {
            if (list ? !is_scalar(i) : i->kind != NODE_STR) continue;
            char *copy = arena_strndup(c->meta->arena, i->text.p, (size_t)i->text.n);
            if (!copy || !arena_room(c->meta->arena, &items, n, &cap, sizeof *items)) return smelt_oom(c->err);
            items[n++] = (smelt_str){copy, i->text.n};
        }
    }
    if (!n) return SMELT_OK;
    const smelt_kv kv = {.key = key, .type = SMELT_KV_ARRAY, .v.a = {SMELT_KV_STR, n, items}};
    return meta_set(c->meta, &kv) ? SMELT_OK : smelt_oom(c->err);
}

/* Sampling defaults; the order is that of the output. Where a key is absent, the older spelling counts. */
static const struct {
    const char *key, *name, *old;
    smelt_kv_type type;
} sampling[] = {
    {"general.sampling.sequence", "sequence", NULL, SMELT_KV_STR},
    {"general.sampling.top_k", "top_k", NULL, SMELT_KV_I32},
    {"general.sampling.top_p", "top_p", NULL, SMELT_KV_F32},
    {"general.sampling.min_p", "min_p", NULL, SMELT_KV_F32},
    {"general.sampling.xtc_probability", "xtc_probability", NULL, SMELT_KV_F32},
    {"general.sampling.xtc_threshold", "xtc_threshold", NULL, SMELT_KV_F32},
    {"general.sampling.temp", "temperature", NULL, SMELT_KV_F32},
    {"general.sampling.penalty_last_n", "penalty_last_n", NULL, SMELT_KV_I32},
    {"general.sampling.penalty_repeat", "penalty_repeat", "repetition_penalty", SMELT_KV_F32},
    {"general.sampling.mirostat", "mirostat", NULL, SMELT_KV_I32},
    {"general.sampling.mirostat_tau", "mirostat_tau", NULL, SMELT_KV_F32},
    {"general.sampling.mirostat_eta", "mirostat_eta", NULL, SMELT_KV_F32},
};

/* The key that a JSON value gives; false if it has the wrong type or does not fit. */
static bool sampling_value(const json_t *v, smelt_kv *kv)
{
    const double number = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    if (kv->type == SMELT_KV_STR) {
        kv->v.s = (smelt_str){json_string_value(v), json_string_length(v)};
        return json_is_string(v);
    }
    if (!json_is_number(v) && !json_is_boolean(v)) return false;
    kv->v.f = (double)(float)number;
    if (kv->type == SMELT_KV_F32) return fabs(number) <= (double)FLT_MAX;
    kv->v.i = (int64_t)number;
    return !json_is_real(v) && number >= INT32_MIN && number <= INT32_MAX;
}

static smelt_status put_sampling(card *c)
{
    const smelt_side_file *file = model_side_find(c->model, "generation_config.json");
    smelt_err why = {0};
    json_t *config = NULL;
    smelt_status st = SMELT_OK;
    if (!file) return SMELT_OK;
    if (file->size > CONFIG_MAX)
        st = smelt_fail(&why, SMELT_E_LIMIT, "it is longer than %d bytes", CONFIG_MAX);
    else
        st = smelt_json_parse((const char *)file->data, file->size, "the file", &config, &why);
    if (st == SMELT_E_NOMEM) return smelt_oom(c->err);
    if (st != SMELT_OK) {
        ctx_warn(c->ctx, "%s/generation_config.json is ignored: %s", c->model->path, why.text);
        return SMELT_OK;
    }
    for (size_t i = 0; i < sizeof sampling / sizeof *sampling && st == SMELT_OK; i++) {
        const json_t *v = json_object_get(config, sampling[i].name);
        if (!v && sampling[i].old) v = json_object_get(config, sampling[i].old);
        smelt_kv kv = {.key = sampling[i].key, .type = sampling[i].type};
        if (!v || json_is_null(v)) continue;
        if (!sampling_value(v, &kv))
            ctx_warn(c->ctx, "%s/generation_config.json: the value of '%s' is ignored, it is no %s", c->model->path,
                     sampling[i].name, kv_type_name(kv.type));
        else if ((kv.type != SMELT_KV_STR || kv.v.s.n) && !meta_set(c->meta, &kv))
            st = smelt_oom(c->err);
    }
    json_decref(config);
    return st;
}

/* --- sizes ------------------------------------------------------------------------------------------------------------- */

/* "135M", "1.1B", "0.52K": at least two digits. */
static char *rounded(smelt_arena *arena, uint64_t n)
{
    static const struct {
        double above, scale;
        char suffix;
    } units[] = {{1e12, 1e-12, 'T'}, {1e9, 1e-9, 'B'}, {1e6, 1e-6, 'M'}, {-1, 1e-3, 'K'}};
    size_t u = 0;
    while ((double)n <= units[u].above)
        u++;
    const double v = (double)n * units[u].scale;
    const long long whole = llrint(v); /* ties to even, as the peer's round() */
    const int decimals = whole >= 10 ? 0 : whole >= 1 ? 1 : 2;
    char text[64];
    const int len = snprintf(text, sizeof text, "%.*f", decimals, v);
    if (!decimals) return arena_printf(arena, "%s%c", text, units[u].suffix);
    int digits = 0; /* before the point, whatever the locale makes of that */
    while (digit(text[digits]))
        digits++;
    return arena_printf(arena, "%.*s.%s%c", digits, text, text + len - decimals, units[u].suffix);
}

/* The label for a model whose name gives none; experts are told apart by their tensors' canonical names. */
static smelt_status size_label(card *c, value *out)
{
    uint64_t one = 0, all = 0, experts = 0, stacks = 0, n;
    for (size_t i = 0; i < c->model->n_tensors; i++) {
        const smelt_tensor *t = &c->model->tensors[i];
        if (!strstr(t->name, "_exps.") || t->shape.n < 3 || !shape_elems(&t->shape, &n) || !n) continue;
        const uint64_t count = t->shape.dim[t->shape.n - (strstr(t->name, ".bias") ? 2 : 3)];
        if (!add_u64(all, n, &all) || !add_u64(experts, count, &experts)) return SMELT_OK;
        one += n / count;
        stacks++;
    }
    char *text;
    if (stacks && all <= c->total_params) {
        text = rounded(&c->arena, c->total_params - all + one);
        if (text) text = arena_printf(&c->arena, "%llux%s", (unsigned long long)(experts / stacks), text);
    } else {
        text = rounded(&c->arena, c->total_params);
    }
    if (!text) return smelt_oom(c->err);
    *out = value_of(str_of(text));
    return SMELT_OK;
}

/* --- all of it --------------------------------------------------------------------------------------------------------- */

static smelt_status from_name(card *c, smelt_str name, value *a)
{
    id_parts id;
    value title = {0}, org = {0};
    SMELT_TRY(parse_id(c, name, &id));
    SMELT_TRY(to_title(c, id.name.text, &title));
    if (id.org.set) SMELT_TRY(to_title(c, id.org.text, &org));
    const struct {
        int attr;
        value v;
    } found[] = {{A_NAME, title},         {A_ORG, org},           {A_BASENAME, id.basename}, {A_FINETUNE, id.finetune},
                 {A_VERSION, id.version}, {A_SIZE, id.size_label}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (!a[found[i].attr].set) a[found[i].attr] = found[i].v;
    return SMELT_OK;
}

static size_t count_slashes(smelt_str s)
{
    size_t n = 0;
    for (uint64_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

/* The directory's name: "." and ".." say nothing themselves. */
static smelt_status dir_name(card *c, smelt_str *out)
{
    const char *title = c->model->title ? c->model->title : "";
    if (*title == '\0' || strcmp(title, ".") == 0 || strcmp(title, "..") == 0) {
        char real[PATH_MAX];
        title = path_base(&c->arena, c->model->path && realpath(c->model->path, real) ? real : "");
        if (!title) return smelt_oom(c->err);
    }
    *out = str_of(title);
    if (!utf8_valid(title, (size_t)out->n)) {
        ctx_warn(c->ctx, "the name of '%s' is no UTF-8 and gives the model no name", c->model->path);
        *out = str_of("");
    }
    return SMELT_OK;
}

static smelt_status derive(card *c)
{
    node *root = NULL;
    value a[A_COUNT] = {0};
    smelt_str dir;
    SMELT_TRY(open_patterns(c));
    SMELT_TRY(put(c, "general.type", value_of(str_of("model"))));
    SMELT_TRY(put_sampling(c));
    SMELT_TRY(read_card(c, &root));
    SMELT_TRY(card_attrs(c, root, a));
    const json_t *name = json_object_get(c->model->config, "_name_or_path");
    const smelt_str known = {json_string_value(name), json_string_length(name)};
    if (known.p && count_slashes(known) <= 1) SMELT_TRY(from_name(c, known, a)); /* otherwise it is a path */
    SMELT_TRY(dir_name(c, &dir));
    SMELT_TRY(from_name(c, dir, a));
    if (!a[A_SIZE].set && c->total_params) SMELT_TRY(size_label(c, &a[A_SIZE]));
    for (size_t i = 0; i < A_COUNT; i++)
        SMELT_TRY(put(c, attrs[i].key, a[i]));
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        SMELT_TRY(put_parents(c, &parents[i], root));
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        SMELT_TRY(put_array(c, arrays[i].key, arrays[i].card, root));
    return SMELT_OK;
}

smelt_status hf_card_meta(const smelt_ctx *ctx, const smelt_model *model, uint64_t total_params, smelt_meta *meta, smelt_err *err)
{
    card c = {.ctx = ctx, .model = model, .total_params = total_params, .meta = meta, .err = err};
    smelt_status st = derive(&c);
    for (int i = 0; i < RE_COUNT; i++)
        pcre2_code_free(c.re[i]);
    pcre2_match_data_free(c.match);
    arena_free(&c.arena);
    return st;
}
