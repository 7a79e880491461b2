#include "formats/hf_audit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "vocab/template_audit.h"

enum { JSON_LIMIT = 256 << 20, TEMPLATE_LIMIT = 16 << 20 };

typedef struct look {
    const smelt_ctx *ctx;
    const char *dir;
    smelt_audit *audit;
    smelt_arena arena;
    smelt_model model; /* tensors of all weight files, without a family */
    json_t *config;
    smelt_err *err;
} look;

static bool ends(const char *s, const char *tail)
{
    const size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* A file of the directory as JSON, NULL if it is not there or not readable (which the reader says). NEW. audit->file becomes it. */
static smelt_status load(look *l, const char *name, json_t **out)
{
    char *path;
    smelt_err refusal = {0};
    *out = NULL;
    if (path_inside(&l->arena, l->dir, name, &path, &refusal) != SMELT_OK || !path_exists(path)) return SMELT_OK;
    if (!(l->audit->file = arena_strdup(&l->audit->arena, path))) return smelt_oom(l->err);
    const smelt_status st = smelt_json_load(path, JSON_LIMIT, out, &refusal);
    if (st == SMELT_OK || st == SMELT_E_IO) return SMELT_OK;
    if (st == SMELT_E_NOMEM) return smelt_oom(l->err);
    return audit_add(l->audit, SMELT_FIND_UNREADABLE, refusal.has_offset ? refusal.offset : SMELT_NO_OFFSET, l->err, "%s",
                     refusal.text);
}

static smelt_status add_template(look *l, const char *what, const json_t *text)
{
    if (!json_is_string(text)) return SMELT_OK;
    return template_audit(l->audit, what, SMELT_NO_OFFSET, (smelt_str){json_string_value(text), json_string_length(text)}, l->err);
}

/* chat_template is a string, or a list of objects with name and template. */
static smelt_status templates_in(look *l, const char *file)
{
    json_t *root, *one;
    size_t i;
    SMELT_TRY(load(l, file, &root));
    const json_t *t = json_object_get(root, "chat_template");
    smelt_status st = add_template(l, "chat_template", t);
    if (json_is_array(t)) json_array_foreach(t, i, one)
        {
            if (st == SMELT_OK) st = add_template(l, "chat_template", json_object_get(one, "template"));
        }
    if (st == SMELT_OK && json_object_get(root, "auto_map"))
        st = audit_add(l->audit, SMELT_FIND_CODE_REMOTE, SMELT_NO_OFFSET, l->err,
                       "auto_map names a tokenizer class of the model's own");
    json_decref(root);
    return st;
}

static smelt_status template_file(look *l, const char *name)
{
    char *path;
    const char *text;
    size_t n;
    smelt_err refusal = {0};
    if (path_inside(&l->arena, l->dir, name, &path, &refusal) != SMELT_OK || !path_exists(path)) return SMELT_OK;
    const smelt_status st = file_read(&l->arena, path, TEMPLATE_LIMIT, &text, &n, &refusal);
    if (st == SMELT_E_NOMEM) return smelt_oom(l->err);
    if (st != SMELT_OK) return SMELT_OK;
    if (!(l->audit->file = arena_strdup(&l->audit->arena, path))) return smelt_oom(l->err);
    return template_audit(l->audit, "template", 0, (smelt_str){text, n}, l->err);
}

static smelt_status templates(look *l)
{
    static const char folder[] = "additional_chat_templates";
    SMELT_TRY(templates_in(l, "tokenizer_config.json"));
    SMELT_TRY(templates_in(l, "chat_template.json"));
    SMELT_TRY(templates_in(l, "processor_config.json"));
    SMELT_TRY(template_file(l, "chat_template.jinja"));
    char *sub = path_join(&l->arena, l->dir, folder);
    if (!sub) return smelt_oom(l->err);
    DIR *d = opendir(sub);
    smelt_status st = SMELT_OK;
    for (struct dirent *e; d && st == SMELT_OK && (e = readdir(d));) {
        if (!ends(e->d_name, ".jinja")) continue;
        char *name = arena_printf(&l->arena, "%s/%s", folder, e->d_name);
        st = name ? template_file(l, name) : smelt_oom(l->err);
    }
    if (d) closedir(d);
    return st;
}

static smelt_status programs(look *l)
{
    static const char *const tails[] = {".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".jar"};
    DIR *d = opendir(l->dir);
    smelt_status st = SMELT_OK;
    for (struct dirent *e; d && st == SMELT_OK && (e = readdir(d));)
        for (size_t i = 0; i < sizeof tails / sizeof *tails && st == SMELT_OK; i++) {
            if (!ends(e->d_name, tails[i])) continue;
            char *path = path_join(&l->audit->arena, l->dir, e->d_name);
            if (!(l->audit->file = path))
                st = smelt_oom(l->err);
            else
                st = audit_add(l->audit, SMELT_FIND_CODE_FILE, SMELT_NO_OFFSET, l->err, "a program lies beside the weights");
        }
    if (d) closedir(d);
    return st;
}

static smelt_status token_id(look *l, const char *key, const json_t *id, json_int_t n)
{
    if (!json_is_integer(id) || json_integer_value(id) < n) return SMELT_OK;
    return audit_add(l->audit, SMELT_FIND_META_TOKEN, SMELT_NO_OFFSET, l->err,
                     "%s is %" JSON_INTEGER_FORMAT ", the vocabulary has %" JSON_INTEGER_FORMAT " tokens", key,
                     json_integer_value(id), n);
}

static smelt_status token_ids(look *l, const json_t *config, const json_t *size)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"};
    json_t *one;
    size_t i;
    if (!json_is_integer(size)) return SMELT_OK;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const json_t *id = json_object_get(config, keys[k]);
        SMELT_TRY(token_id(l, keys[k], id, json_integer_value(size)));
        if (json_is_array(id)) json_array_foreach(id, i, one)
            {
                SMELT_TRY(token_id(l, keys[k], one, json_integer_value(size)));
            }
    }
    return SMELT_OK;
}

/* Tensors of one weight file. What cannot be read is reported where the file itself is audited. */
static void read_tensors(look *l, const char *path)
{
    const smelt_format *format;
    smelt_err refusal = {0};
    if (format_probe(l->ctx, path, &format, &refusal) == SMELT_OK) format->read(l->ctx, path, &l->model, &refusal);
}

static bool is_weights(const char *name)
{
    return ends(name, ".safetensors") || (strncmp(name, "pytorch_model", 13) == 0 && ends(name, ".bin"));
}

static smelt_status tensors(look *l)
{
    DIR *d = opendir(l->dir);
    smelt_status st = SMELT_OK;
    for (struct dirent *e; d && st == SMELT_OK && (e = readdir(d));) {
        smelt_err refusal = {0};
        char *path;
        if (is_weights(e->d_name) && path_inside(&l->arena, l->dir, e->d_name, &path, &refusal) == SMELT_OK && !path_is_dir(path))
            read_tensors(l, path);
    }
    if (d) closedir(d);
    return st;
}

static smelt_status total_size(look *l)
{
    json_t *index, *value;
    const char *name;
    SMELT_TRY(load(l, "model.safetensors.index.json", &index));
    const json_t *total = json_object_get(json_object_get(index, "metadata"), "total_size"),
                 *map = json_object_get(index, "weight_map");
    uint64_t sum = 0;
    bool all = json_is_object(map);
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        const smelt_tensor *t = model_find(&l->model, name);
        all = all && t && add_u64(sum, view_bytes_total(t->view), &sum);
    }
    smelt_status st = SMELT_OK;
    if (all && json_is_number(total) && json_number_value(total) != (double)sum)
        st = audit_add(l->audit, SMELT_FIND_META_INDEX, SMELT_NO_OFFSET, l->err,
                       "metadata.total_size is %.0f, the tensors have %" PRIu64 " bytes", json_number_value(total), sum);
    json_decref(index);
    return st;
}

/* ---- quantization ---- */

/* The tensor beside another: "x.qweight" and ".scales". */
static const smelt_tensor *beside(look *l, const smelt_tensor *t, const char *from, const char *to)
{
    char *name = arena_printf(&l->arena, "%.*s%s", (int)(strlen(t->name) - strlen(from)), t->name, to);
    return name ? model_find(&l->model, name) : NULL;
}

static smelt_status wrong(look *l, const smelt_tensor *t, const char *what, uint64_t found, uint64_t expected)
{
    return audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err,
                     "%s: %s %" PRIu64 ", the configuration means %" PRIu64, t->name, what, found, expected);
}

/* Codes of `bits` packed down the inputs, a scale for `group` of them (Source: GPTQModel, pack of the linear layer). */
static smelt_status gptq(look *l, const smelt_tensor *t, uint64_t bits, json_int_t group)
{
    const smelt_tensor *scales = beside(l, t, ".qweight", ".scales"), *zeros = beside(l, t, ".qweight", ".qzeros"),
                       *order = beside(l, t, ".qweight", ".g_idx");
    if (!scales || scales->shape.n != 2 || t->shape.n != 2)
        return audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err, "%s has no matrix of scales beside it",
                         t->name);
    const uint64_t n = t->shape.dim[1], words = t->shape.dim[0];
    if (words > UINT64_MAX / 32 || n > UINT64_MAX / 32) return SMELT_OK;
    const uint64_t inputs = order && order->shape.n == 1 ? order->shape.dim[0] : words * 32 / bits;
    if (inputs > UINT64_MAX / 32) return SMELT_OK;
    const uint64_t groups = group > 0 ? (inputs + (uint64_t)group - 1) / (uint64_t)group : 1;
    if (words != (inputs * bits + 31) / 32) SMELT_TRY(wrong(l, t, "rows of packed codes are", words, (inputs * bits + 31) / 32));
    if (scales->shape.dim[1] != n) SMELT_TRY(wrong(l, scales, "columns are", scales->shape.dim[1], n));
    if (scales->shape.dim[0] != groups) SMELT_TRY(wrong(l, scales, "groups are", scales->shape.dim[0], groups));
    if (zeros && zeros->shape.n == 2 && zeros->shape.dim[1] != (n * bits + 31) / 32)
        SMELT_TRY(wrong(l, zeros, "columns of packed zeros are", zeros->shape.dim[1], (n * bits + 31) / 32));
    return SMELT_OK;
}

/* Codes of 4 bits packed along the outputs (Source: AutoAWQ, the GEMM layout). */
static smelt_status awq(look *l, const smelt_tensor *t, uint64_t bits, json_int_t group)
{
    const smelt_tensor *scales = beside(l, t, ".qweight", ".scales");
    if (!scales || scales->shape.n != 2 || t->shape.n != 2)
        return audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err, "%s has no matrix of scales beside it",
                         t->name);
    if (t->shape.dim[1] > UINT64_MAX / 32) return SMELT_OK;
    const uint64_t inputs = t->shape.dim[0], n = t->shape.dim[1] * 32 / bits, groups = group > 0 ? inputs / (uint64_t)group : 1;
    if (scales->shape.dim[1] != n) SMELT_TRY(wrong(l, scales, "columns are", scales->shape.dim[1], n));
    if (scales->shape.dim[0] != groups) SMELT_TRY(wrong(l, scales, "groups are", scales->shape.dim[0], groups));
    return SMELT_OK;
}

/* How a method's tensors are known, and what is checked of each. */
static const struct method {
    const char *name, *tail;
    smelt_status (*check)(look *l, const smelt_tensor *t, uint64_t bits, json_int_t group);
} methods[] = {
    {"gptq", ".qweight", gptq}, {"awq", ".qweight", awq},     {"compressed-tensors", NULL, NULL},
    {"mxfp4", "_blocks", NULL}, {"bitsandbytes", NULL, NULL}, {"fp8", NULL, NULL},
};

static json_int_t whole(const json_t *object, const char *key, const char *other)
{
    const json_t *v = json_object_get(object, key);
    if (!v) v = json_object_get(object, other);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

static size_t count(const look *l, const char *tail)
{
    size_t n = 0;
    for (size_t i = 0; i < l->model.n_tensors; i++)
        n += ends(l->model.tensors[i].name, tail);
    return n;
}

static smelt_status quantization(look *l)
{
    json_t *apart = NULL;
    const json_t *q = json_object_get(l->config, "quantization_config");
    const char *config_file = l->audit->file;
    if (!json_is_object(q)) {
        SMELT_TRY(load(l, "quantize_config.json", &apart));
        q = apart;
    }
    const char *said = json_string_value(json_object_get(q, "quant_method"));
    const struct method *m = NULL;
    const char *name = said ? said : json_is_object(apart) ? "gptq" : NULL;
    for (size_t i = 0; name && i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0) m = &methods[i];
    smelt_status st = SMELT_OK;
    const json_int_t bits = whole(q, "bits", "w_bit"), group = whole(q, "group_size", "q_group_size");
    if (!apart) l->audit->file = config_file;
    if (!name && count(l, ".qweight"))
        st = audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err,
                       "there are %zu packed tensors (.qweight), but no quantization_config", count(l, ".qweight"));
    else if (m && m->tail && !count(l, m->tail))
        st = audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err,
                       "quant_method is %s, but no tensor's name ends in %s", name, m->tail);
    else if (m && m->check && (bits < 1 || bits > 8))
        st = audit_add(l->audit, SMELT_FIND_META_QUANTIZATION, SMELT_NO_OFFSET, l->err, "bits is %" JSON_INTEGER_FORMAT, bits);
    else if (m && m->check)
        for (size_t i = 0; i < l->model.n_tensors && st == SMELT_OK; i++)
            if (ends(l->model.tensors[i].name, m->tail)) st = m->check(l, &l->model.tensors[i], (uint64_t)bits, group);
    if (name && !(m && strcmp(name, "mxfp4") == 0)) {
        l->audit->unread = arena_printf(&l->audit->arena, "the weights are quantized by %s, and are not put together", name);
        if (!l->audit->unread) st = smelt_oom(l->err);
    }
    json_decref(apart);
    return st;
}

static smelt_status configuration(look *l)
{
    json_t *generation;
    SMELT_TRY(load(l, "config.json", &l->config));
    const json_t *size = json_object_get(l->config, "vocab_size");
    SMELT_TRY(token_ids(l, l->config, size));
    if (json_object_get(l->config, "auto_map"))
        SMELT_TRY(
            audit_add(l->audit, SMELT_FIND_CODE_REMOTE, SMELT_NO_OFFSET, l->err, "auto_map names classes of the model's own"));
    SMELT_TRY(quantization(l));
    SMELT_TRY(load(l, "generation_config.json", &generation));
    const smelt_status st = token_ids(l, generation, size);
    json_decref(generation);
    return st;
}

static smelt_status run(look *l)
{
    SMELT_TRY(programs(l));
    SMELT_TRY(templates(l));
    SMELT_TRY(tensors(l));
    SMELT_TRY(total_size(l));
    return configuration(l);
}

smelt_status hf_audit(const smelt_ctx *ctx, const char *path, smelt_audit *audit, smelt_err *err)
{
    /* Warnings are for whoever converts. */
    smelt_ctx quiet = *ctx;
    quiet.warn = NULL;
    look l = {.ctx = &quiet, .dir = path, .audit = audit, .err = err};
    const char *before = audit->file;
    model_init(&l.model);
    const smelt_status st = run(&l);
    audit->file = before;
    json_decref(l.config);
    model_free(&l.model);
    arena_free(&l.arena);
    return st;
}
