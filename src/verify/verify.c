#include "verify/verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "verify/internal.h"

enum { FILE_METRIC, TENSOR_METRIC, BOUND_MAX, BOUND_MIN };

static const verify_metric_row metrics[METRIC_COUNT] = {
#define SMELT_METRIC(id, scope, bound, name, unit, meaning) \
    [METRIC_##id] = {name, unit, meaning, scope##_METRIC == TENSOR_METRIC, BOUND_##bound == BOUND_MAX},
#include "verify/metrics.def"
#undef SMELT_METRIC
};

const verify_metric_row *verify_metric_get(verify_metric metric) { return &metrics[metric]; }

const char *verify_area_name(verify_area area)
{
    static const char *const names[AREA_COUNT] = {
        [AREA_FAMILY] = "family",          [AREA_TENSOR] = "tensor",         [AREA_SHAPE] = "shape",
        [AREA_HPARAM] = "hyperparameter",  [AREA_VOCABULARY] = "vocabulary", [AREA_SPECIAL] = "special token",
        [AREA_TEMPLATE] = "chat template",
    };
    return names[area];
}

void verify_free(verify_result *r)
{
    arena_free(&r->arena);
    *r = (verify_result){0};
}

static void put_escaped(smelt_buf *b, smelt_str s)
{
    const bool plain = utf8_valid(s.p, s.n);
    for (uint64_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c == '\n')
            buf_printf(b, "\\n");
        else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !plain))
            buf_printf(b, "\\x%02X", c);
        else
            buf_u8(b, c);
    }
}

char *verify_escape(smelt_arena *arena, smelt_str s)
{
    smelt_buf b = {0};
    put_escaped(&b, s);
    char *text = b.failed ? NULL : arena_strndup(arena, b.data ? (const char *)b.data : "", b.size);
    buf_free(&b);
    return text;
}

char *verify_quote(smelt_arena *arena, smelt_str s)
{
    enum { MOST = 80 };
    uint64_t n = s.n < MOST ? s.n : MOST;
    /* Not in the middle of a character. */
    while (n && n < s.n && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    char *text = verify_escape(arena, (smelt_str){s.p, n});
    return text ? arena_printf(arena, "'%s%s'", text, n < s.n ? "…" : "") : NULL;
}

bool verify_warn(verify_result *r, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char **list = arena_calloc(&r->arena, r->n_warnings + 1, sizeof *list), *copy = arena_strdup(&r->arena, text);
    if (!list || !copy) return false;
    for (size_t i = 0; i < r->n_warnings; i++)
        list[i] = r->warnings[i];
    list[r->n_warnings++] = copy;
    r->warnings = list;
    return true;
}

double verify_bits(smelt_dtype dtype)
{
    const double bits = smelt_dtype_bpw(dtype);
    return smelt_dtype_get(dtype)->kind == SMELT_KIND_FLOAT && bits < 16 ? 5 : bits;
}

static int by_bytes(const verify_type *a, const verify_type *b) { return a->bytes > b->bytes ? -1 : a->bytes < b->bytes; }

smelt_status verify_identify(const smelt_model *m, verify_result *r, verify_identity *id, smelt_err *err)
{
    verify_type all[SMELT_DT_COUNT] = {0};
    const smelt_tensor *list = m->stored ? m->stored : m->tensors;
    const size_t n = m->stored ? m->n_stored : m->n_tensors;
    for (size_t i = 0; i < n; i++) {
        const smelt_tensor *t = &list[i];
        uint64_t elems;
        if (!t->file || !shape_elems(&t->shape, &elems)) continue; /* computed tensors are in no file */
        verify_type *row = &all[t->dtype];
        row->dtype = t->dtype;
        row->tensors++;
        row->params += elems;
        row->bytes += view_bytes_total(t->view);
        id->bytes += view_bytes_total(t->view);
    }
    /* A family knows that buffers are no parameters and that a byte of codes holds two. */
    for (size_t i = 0; i < m->n_tensors; i++) {
        uint64_t elems;
        if (m->tensors[i].file && shape_elems(&m->tensors[i].shape, &elems)) id->params += elems;
    }
    verify_type *types = arena_calloc(&r->arena, SMELT_DT_COUNT, sizeof *types);
    id->path = arena_strdup(&r->arena, m->path);
    id->format = m->format_title;
    id->variant = m->variant ? arena_strdup(&r->arena, m->variant) : NULL;
    id->family = m->arch ? m->arch->name : NULL;
    if (!types || !id->path || (m->variant && !id->variant)) return smelt_oom(err);
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        if (!all[d].tensors) continue;
        size_t k = id->n_types++;
        for (; k && by_bytes(&all[d], &types[k - 1]) < 0; k--)
            types[k] = types[k - 1];
        types[k] = all[d];
    }
    id->types = types;
    for (size_t i = 0; i < id->n_types; i++) {
        const double bits = verify_bits(types[i].dtype);
        if (types[i].params * 20 >= id->params && (id->bits == 0 || bits < id->bits)) id->bits = bits;
    }
    id->bpw = id->params ? 8.0 * (double)id->bytes / (double)id->params : 0;
    return SMELT_OK;
}

const smelt_tensor *verify_counterpart(const smelt_model *m, const smelt_tensor *t)
{
    const smelt_tensor *found = model_find(m, t->name);
    if (found || t->part != SMELT_PART_WEIGHT) return found;
    if (t->role != SMELT_R_OUTPUT) return NULL;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == SMELT_R_TOKEN_EMBD && m->tensors[i].part == SMELT_PART_WEIGHT) return &m->tensors[i];
    return NULL;
}
