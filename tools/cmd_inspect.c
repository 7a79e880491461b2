#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/content.h"
#include "base/bytes.h"
#include "tools/compose.h"
#include "tools/opts.h"
#include "tools/report.h"
#include "vocab/vocab.h"

typedef struct inspect_opts {
    bool json, tensors, metadata, hash;
    const char *pre;
} inspect_opts;

static const opt options[] = {
    {"--tensors", OPT_FLAG, NULL, "list every tensor: name, type, shape, bytes, bits per weight", offsetof(inspect_opts, tensors)},
    {"--metadata", OPT_FLAG, NULL, "list every metadata key", offsetof(inspect_opts, metadata)},
    {"--hash", OPT_FLAG, NULL, "content hash, the same in every format; of each tensor with --tensors",
     offsetof(inspect_opts, hash)},
    {"--json", OPT_FLAG, NULL, "print JSON; tensors are always in it, metadata with --metadata", offsetof(inspect_opts, json)},
    {0},
};

typedef struct totals {
    uint64_t params, bytes;
    uint64_t n[SMELT_DT_COUNT], type_bytes[SMELT_DT_COUNT];
} totals;

/* The tensors as the files have them, before a family took some apart or together. */
static const smelt_tensor *listed(const smelt_model *m, size_t *n)
{
    *n = m->stored ? m->n_stored : m->n_tensors;
    return m->stored ? m->stored : m->tensors;
}

static totals count(const smelt_model *m)
{
    totals t = {0};
    size_t all;
    const smelt_tensor *list = listed(m, &all);
    for (size_t i = 0; i < all; i++) {
        const smelt_tensor *s = &list[i];
        uint64_t bytes = view_bytes_total(s->view);
        if (!s->file) continue; /* computed tensors are in no file */
        t.bytes += bytes;
        t.n[s->dtype]++;
        t.type_bytes[s->dtype] += bytes;
    }
    /* A family knows that buffers are no parameters and that a byte of codes holds two. */
    for (size_t i = 0; i < m->n_tensors; i++) {
        uint64_t n;
        if (m->tensors[i].file && shape_elems(&m->tensors[i].shape, &n)) t.params += n;
    }
    return t;
}

static size_t stored(const smelt_model *m)
{
    size_t n = 0;
    size_t all;
    const smelt_tensor *list = listed(m, &all);
    for (size_t i = 0; i < all; i++)
        n += list[i].file != NULL;
    return n;
}

/* The element of an array as a scalar of its own. */
static smelt_kv element(const smelt_kv *kv, uint64_t i)
{
    smelt_kv e = {.key = kv->key, .type = kv->v.a.type};
    size_t size = kv_type_size(e.type);
    if (!size) {
        e.v.s = ((const smelt_str *)kv->v.a.data)[i];
        return e;
    }
    const uint8_t *p = (const uint8_t *)kv->v.a.data + i * size;
    uint64_t raw = size == 8 ? load_le64(p) : size == 4 ? load_le32(p) : size == 2 ? load_le16(p) : *p;
    unsigned bits = (unsigned)(64 - 8 * size);
    if (e.type == SMELT_KV_F32)
        e.v.f = (double)f32_from_bits((uint32_t)raw);
    else if (e.type == SMELT_KV_I8 || e.type == SMELT_KV_I16 || e.type == SMELT_KV_I32)
        e.v.i = (int64_t)(raw << bits) >> bits;
    else
        e.v.u = raw;
    return e;
}

static void print_text(smelt_str s, size_t most)
{
    putchar('"');
    for (uint64_t i = 0; i < s.n && i < most; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    fputs(s.n > most ? "\"…" : "\"", stdout);
}

static void print_value(const smelt_kv *kv)
{
    enum { MOST_TEXT = 100, MOST_ELEMS = 6 };
    if (kv->type == SMELT_KV_STR)
        print_text(kv->v.s, MOST_TEXT);
    else if (kv->type == SMELT_KV_ARRAY) {
        printf("[");
        for (uint64_t i = 0; i < kv->v.a.n && i < MOST_ELEMS; i++) {
            smelt_kv e = element(kv, i);
            if (i) printf(", ");
            print_value(&e);
        }
        printf(kv->v.a.n > MOST_ELEMS ? ", … %" PRIu64 " in all]" : "]", kv->v.a.n);
    } else if (kv->type == SMELT_KV_F32 || kv->type == SMELT_KV_F64)
        printf("%.9g", kv->v.f);
    else if (kv->type == SMELT_KV_BOOL)
        fputs(kv->v.u ? "true" : "false", stdout);
    else if (kv->type == SMELT_KV_I8 || kv->type == SMELT_KV_I16 || kv->type == SMELT_KV_I32 || kv->type == SMELT_KV_I64)
        printf("%" PRId64, kv->v.i);
    else
        printf("%" PRIu64, kv->v.u);
}

static const char *vocab_kind(const smelt_vocab *v)
{
    static const char *const names[] = {
        [SMELT_VOCAB_NONE] = "none", [SMELT_VOCAB_BPE] = "byte-level BPE", [SMELT_VOCAB_SPM] = "SentencePiece"};
    return names[v->kind];
}

static void print_summary(const smelt_model *m)
{
    totals t = count(m);
    char a[32], b[32];
    printf("%s: %s%s%s%s\n", m->path, m->format_title, m->variant ? " (" : "", m->variant ? m->variant : "", m->variant ? ")" : "");
    smelt_str arch;
    if (m->arch)
        printf("  architecture  %s\n", m->arch->name);
    else if (meta_get_str(&m->meta, "general.architecture", &arch))
        printf("  architecture  %.*s\n", (int)arch.n, arch.p);
    if (m->unmapped) printf("  note          %s\n", m->unmapped);
    printf("  parameters    %s (%" PRIu64 ") in %zu tensors\n", human_count(t.params, a, sizeof a), t.params, stored(m));
    printf("  tensor data   %s, %.2f bits per weight\n", human_bytes(t.bytes, b, sizeof b), bits_per_weight(t.bytes, t.params));
    for (int d = 0; d < SMELT_DT_COUNT; d++)
        if (t.n[d])
            printf("    %-11s %5" PRIu64 " tensors  %s\n", smelt_dtype_get((smelt_dtype)d)->name, t.n[d],
                   human_bytes(t.type_bytes[d], a, sizeof a));
    if (m->arch) {
        const smelt_hparams *h = &m->hp;
        printf("  shape         %" PRIu64 " layers, hidden %" PRIu64 ", feed-forward %" PRIu64 ", heads %" PRIu64 " (%" PRIu64
               " key/value), context %" PRIu64 "\n",
               hp_u64(h, SMELT_HP_LAYERS), hp_u64(h, SMELT_HP_EMBD), hp_u64(h, SMELT_HP_FF), hp_u64(h, SMELT_HP_HEADS),
               hp_u64(h, SMELT_HP_KV_HEADS), hp_u64(h, SMELT_HP_CTX));
    }
    if (m->vocab)
        printf("  tokenizer     %s%s%s, %zu tokens%s\n", vocab_kind(m->vocab), m->vocab->pre ? ", " : "",
               m->vocab->pre ? m->vocab->pre : "", m->vocab->n, m->vocab->n_templates ? ", chat template" : "");
    if (m->vocab_err) printf("  tokenizer     not usable: %s\n", m->vocab_err->text);
}

static void print_tensors(const smelt_model *m)
{
    size_t width = 4;
    size_t all;
    const smelt_tensor *list = listed(m, &all);
    for (size_t i = 0; i < all; i++) {
        size_t n = strlen(list[i].origin);
        if (n > width && n <= 60) width = n;
    }
    printf("\n%-*s  %-8s %-24s %14s %7s\n", (int)width, "tensor", "type", "shape", "bytes", "bpw");
    for (size_t i = 0; i < all; i++) {
        const smelt_tensor *t = &list[i];
        char shape[192];
        uint64_t n = 0, bytes = view_bytes_total(t->view);
        if (!t->file) continue;
        shape_elems(&t->shape, &n);
        printf("%-*s  %-8s %-24s %14" PRIu64 " %7.3f\n", (int)width, t->origin, smelt_dtype_get(t->dtype)->name,
               shape_text(&t->shape, shape, sizeof shape), bytes, bits_per_weight(bytes, n));
    }
}

static void print_hashes(const smelt_content *c)
{
    char hex[HASH_HEX + 1];
    printf("\n%-*s  tensor\n", HASH_HEX, "content hash");
    for (size_t i = 0; i < c->n; i++)
        printf("%s  %s\n", hash_hex(c->tensors[i].hash, hex), c->tensors[i].tensor->name);
}

static json_t *json_hashes(const smelt_content *c)
{
    char hex[HASH_HEX + 1];
    json_t *tensors = json_object();
    for (size_t i = 0; i < c->n; i++)
        json_object_set_new(tensors, c->tensors[i].tensor->name, json_string(hash_hex(c->tensors[i].hash, hex)));
    return json_pack("{s:s, s:o}", "xxh3_128", hash_hex(c->hash, hex), "tensors", tensors);
}

static void print_metadata(const smelt_model *m)
{
    putchar('\n');
    for (size_t i = 0; i < m->meta.count; i++) {
        const smelt_kv *kv = &m->meta.kv[i];
        printf("%s (%s%s%s) = ", kv->key, kv_type_name(kv->type), kv->type == SMELT_KV_ARRAY ? " of " : "",
               kv->type == SMELT_KV_ARRAY ? kv_type_name(kv->v.a.type) : "");
        print_value(kv);
        putchar('\n');
    }
}

static json_t *json_value(const smelt_kv *kv)
{
    if (kv->type == SMELT_KV_STR) return smelt_json_string(kv->v.s.p, (size_t)kv->v.s.n);
    if (kv->type == SMELT_KV_ARRAY) {
        json_t *a = json_array();
        for (uint64_t i = 0; i < kv->v.a.n; i++) {
            smelt_kv e = element(kv, i);
            json_array_append_new(a, json_value(&e));
        }
        return a;
    }
    if (kv->type == SMELT_KV_BOOL) return json_boolean(kv->v.u != 0);
    if (kv->type == SMELT_KV_F32 || kv->type == SMELT_KV_F64) return __builtin_isfinite(kv->v.f) ? json_real(kv->v.f) : json_null();
    return json_integer((json_int_t)kv->v.u);
}

static json_t *json_tensors(const smelt_model *m)
{
    json_t *list = json_array();
    size_t all;
    const smelt_tensor *tensors = listed(m, &all);
    for (size_t i = 0; i < all; i++) {
        const smelt_tensor *t = &tensors[i];
        if (!t->file) continue;
        json_t *shape = json_array();
        uint64_t n = 0, bytes = view_bytes_total(t->view);
        shape_elems(&t->shape, &n);
        for (int d = 0; d < t->shape.n; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape.dim[d]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:f, s:s, s:I}", "name", t->origin, "dtype",
                                              smelt_dtype_get(t->dtype)->name, "shape", shape, "bytes", (json_int_t)bytes,
                                              "bits_per_weight", bits_per_weight(bytes, n), "file", t->file, "offset",
                                              (json_int_t)t->offset));
    }
    return list;
}

static json_t *json_hparams(const smelt_model *m)
{
    static const char *const names[] = {
#define SMELT_HPARAM(id, kind, key) #id,
#include "arch/hparams.def"
#undef SMELT_HPARAM
    };
    json_t *o = json_object();
    for (int i = 0; i < SMELT_HP_COUNT; i++) {
        char name[64];
        size_t n = 0;
        if (!m->hp.set[i]) continue;
        for (; names[i][n] && n + 1 < sizeof name; n++)
            name[n] = (char)(names[i][n] >= 'A' && names[i][n] <= 'Z' ? names[i][n] | 0x20 : names[i][n]);
        name[n] = 0;
        double v = m->hp.v[i];
        json_object_set_new(o, name, v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v));
    }
    return o;
}

static smelt_status print_json(const smelt_model *m, bool metadata, const smelt_content *hashes, smelt_err *err)
{
    totals t = count(m);
    smelt_str arch = {0};
    meta_get_str(&m->meta, "general.architecture", &arch);
    json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "path", m->path, "format", m->format, "parameters",
                             (json_int_t)t.params, "tensor_count", (json_int_t)stored(m), "bytes", (json_int_t)t.bytes,
                             "bits_per_weight", bits_per_weight(t.bytes, t.params));
    if (!root) return smelt_oom(err);
    if (m->variant) json_object_set_new(root, "variant", json_string(m->variant));
    json_object_set_new(root, "architecture",
                        m->arch  ? json_string(m->arch->name)
                        : arch.n ? smelt_json_string(arch.p, (size_t)arch.n)
                                 : json_null());
    if (m->unmapped) json_object_set_new(root, "note", json_string(m->unmapped));
    if (m->arch) json_object_set_new(root, "hyperparameters", json_hparams(m));
    if (m->vocab)
        json_object_set_new(root, "tokenizer",
                            json_pack("{s:s, s:s?, s:I, s:b}", "kind", vocab_kind(m->vocab), "pre", m->vocab->pre, "tokens",
                                      (json_int_t)m->vocab->n, "chat_template", m->vocab->n_templates > 0));
    if (m->vocab_err) json_object_set_new(root, "tokenizer_error", json_string(m->vocab_err->text));
    json_t *types = json_object();
    for (int d = 0; d < SMELT_DT_COUNT; d++)
        if (t.n[d])
            json_object_set_new(types, smelt_dtype_get((smelt_dtype)d)->name,
                                json_pack("{s:I, s:I}", "tensors", (json_int_t)t.n[d], "bytes", (json_int_t)t.type_bytes[d]));
    json_object_set_new(root, "types", types);
    json_object_set_new(root, "tensors", json_tensors(m));
    if (hashes) json_object_set_new(root, "content", json_hashes(hashes));
    if (metadata) {
        json_t *o = json_object();
        for (size_t i = 0; i < m->meta.count; i++)
            json_object_set_new(o, m->meta.kv[i].key, json_value(&m->meta.kv[i]));
        json_object_set_new(root, "metadata", o);
    }
    int bad = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(root);
    putchar('\n');
    return bad ? smelt_fail(err, SMELT_E_IO, "cannot write JSON") : SMELT_OK;
}

static smelt_status run(const void *opts, const char *const *operand, int n, smelt_err *err)
{
    (void)n;
    const inspect_opts *o = opts;
    smelt_ctx ctx;
    SMELT_TRY(ctx_init(&ctx, err));
    smelt_model m;
    char hex[HASH_HEX + 1];
    smelt_content hashes = {0};
    smelt_arena arena = {0};
    smelt_status st = source_open(&ctx, operand[0], &m, err);
    if (st == SMELT_OK && o->hash) st = content_hash(&ctx, &m, &arena, &hashes, err);
    if (st == SMELT_OK && o->json)
        st = print_json(&m, o->metadata, o->hash ? &hashes : NULL, err);
    else if (st == SMELT_OK) {
        print_summary(&m);
        if (o->hash) printf("  content hash  %s\n", hash_hex(hashes.hash, hex));
        if (o->tensors) print_tensors(&m);
        if (o->hash && o->tensors) print_hashes(&hashes);
        if (o->metadata) print_metadata(&m);
    }
    arena_free(&arena);
    model_free(&m);
    return st;
}

const command cmd_inspect = {
    .name = "inspect",
    .summary = "Shows what a file or directory is: format, architecture, sizes, tensors, metadata.",
    .operands = "SRC",
    .min = 1,
    .max = 1,
    .opts = options,
    .opts_size = sizeof(inspect_opts),
    .run = run,
};
