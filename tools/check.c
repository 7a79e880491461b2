#include "tools/check.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"

/* ---- the facts ---- */

static bool ends(const char *s, const char *tail)
{
    const size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

static const char *text_of(smelt_model *m, const char *key)
{
    smelt_str s;
    return meta_get_str(&m->meta, key, &s) ? arena_strndup(&m->arena, s.p, s.n) : NULL;
}

static json_t *load(const char *dir, const char *name)
{
    smelt_arena arena = {0};
    json_t *out = NULL;
    char *path;
    smelt_err ignored = {0};
    if (path_inside(&arena, dir, name, &path, &ignored) == SMELT_OK && path_exists(path) &&
        smelt_json_load(path, 64 << 20, &out, &ignored) != SMELT_OK)
        out = NULL;
    arena_free(&arena);
    return out;
}

/* The tensors of every weight file, without a family. */
static void read_weights(const smelt_ctx *ctx, check_facts *f)
{
    DIR *d = opendir(f->path);
    bool safetensors = false;
    for (struct dirent *e; d && (e = readdir(d));)
        safetensors = safetensors || ends(e->d_name, ".safetensors");
    if (d) rewinddir(d);
    for (struct dirent *e; d && f->weights_status == SMELT_OK && (e = readdir(d));) {
        char *path;
        const smelt_format *format;
        const bool bin = strncmp(e->d_name, "pytorch_model", 13) == 0 && ends(e->d_name, ".bin");
        if (!(safetensors ? ends(e->d_name, ".safetensors") : bin)) continue;
        f->bin = bin;
        smelt_status st = path_inside(&f->weights.arena, f->path, e->d_name, &path, &f->weights_refusal);
        if (st == SMELT_OK) st = format_probe(ctx, path, &format, &f->weights_refusal);
        if (st == SMELT_OK) st = format->read(ctx, path, &f->weights, &f->weights_refusal);
        f->weights_status = st;
    }
    if (d) closedir(d);
}

static int64_t whole(const json_t *o, const char *key, const char *other)
{
    const json_t *v = json_object_get(o, key);
    if (!v) v = json_object_get(o, other);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

smelt_status check_facts_get(const smelt_ctx *ctx, const char *path, check_facts *f, smelt_err *err)
{
    smelt_ctx quiet = *ctx;
    const smelt_format *format;
    quiet.warn = NULL;
    *f = (check_facts){.path = path, .dir = path_is_dir(path)};
    model_init(&f->model);
    model_init(&f->weights);
    SMELT_TRY(format_probe(ctx, path, &format, err));
    f->status = source_open(&quiet, path, &f->model, &f->refusal);
    if (f->status != SMELT_OK && smelt_status_exit_code(f->status) != 3) {
        *err = f->refusal;
        return f->status;
    }
    f->gguf = strcmp(format->name, "gguf") == 0;
    f->legacy_imatrix = strcmp(format->name, "imatrix") == 0;
    const char *type = text_of(&f->model, "general.type");
    f->imatrix = type && strcmp(type, "imatrix") == 0;
    f->arch = text_of(&f->model, "general.architecture");
    if (!f->dir) return SMELT_OK;
    read_weights(&quiet, f);
    f->config = load(path, "config.json");
    f->cls = json_string_value(json_array_get(json_object_get(f->config, "architectures"), 0));
    f->type = json_string_value(json_object_get(f->config, "model_type"));
    f->quant = json_object_get(f->config, "quantization_config");
    if (!f->quant) f->quant = f->apart = load(path, "quantize_config.json");
    f->method = json_string_value(json_object_get(f->quant, "quant_method"));
    if (f->quant && !f->method) f->method = "gptq";
    f->bits = whole(f->quant, "bits", "w_bit");
    f->group = whole(f->quant, "group_size", "q_group_size");
    return SMELT_OK;
}

void check_facts_free(check_facts *f)
{
    json_decref(f->config);
    json_decref(f->apart);
    model_free(&f->model);
    model_free(&f->weights);
}

/* ---- what programs know ---- */

enum {
#define SMELT_NAMES(id, source, list) LIST_##id,
#include "tools/check_names.def"
#undef SMELT_NAMES
};

static const struct {
    const char *source, *names;
} lists[] = {
#define SMELT_NAMES(id, source, list) {(source), (list)},
#include "tools/check_names.def"
#undef SMELT_NAMES
};

static bool listed(int list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = lists[list].names; n && (p = strstr(p, name)); p += n)
        if (p[-1] == ' ' && p[n] == ' ') return true;
    return false;
}

/* ---- rules: true if the file passes; otherwise the reason is in `why` ---- */

typedef struct why {
    char *text;
    size_t size;
} why;

#define BECAUSE(w, ...) (snprintf((w)->text, (w)->size, __VA_ARGS__), false)

/* Targets, for rules that depend on them. */
enum {
#define X(id, name) id = 1 << TARGET_INDEX_##id,
    SMELT_TARGETS(X)
#undef X
        LLAMAS = LLAMA_CPP | IK_LLAMA_CPP,
    SERVERS = VLLM | SGLANG,
    DIRS = SERVERS | TRANSFORMERS | GPTQMODEL | EXLLAMA,
};

static bool is_gguf(const check_facts *f, const why *w)
{
    return f->gguf || f->imatrix ||
           BECAUSE(w, "it reads GGUF, and this is of another format (%s); smelt convert makes one", f->model.format_title);
}

static bool is_new_imatrix(const check_facts *f, const why *w)
{
    return !f->imatrix || f->legacy_imatrix ||
           BECAUSE(w, "it reads importance matrices of the older form (imatrix.dat) only, and this is imatrix.gguf");
}

static bool is_dir(const check_facts *f, const why *w)
{
    return f->dir || BECAUSE(w, "it loads a directory with config.json, tokenizer and weights, and this is one file (%s)",
                             f->model.format_title ? f->model.format_title : "unreadable");
}

static bool is_dir_or_gguf(const check_facts *f, const why *w) { return (f->gguf && !f->imatrix) || is_dir(f, w); }

static bool is_whole(const check_facts *f, const why *w)
{
    if (f->status == SMELT_OK) return true;
    return BECAUSE(w, "%s", f->refusal.text);
}

static bool weights_are_whole(const check_facts *f, const why *w)
{
    if (f->weights_status != SMELT_OK) return BECAUSE(w, "%s", f->weights_refusal.text);
    return f->weights.n_tensors || BECAUSE(w, "the directory has no weights");
}

/* The reader puts families together that it knows; what is quantized it may not know as a whole. */
static bool tensors_fit(const check_facts *f, const why *w)
{
    if (f->method || f->status == SMELT_OK || f->weights_status != SMELT_OK) return true;
    return BECAUSE(w, "%s", f->refusal.text);
}

static bool is_first_part(const check_facts *f, const why *w)
{
    unsigned no, count;
    int used = 0;
    const size_t n = strlen(f->path), tail = strlen("-00001-of-00003.gguf");
    const bool part = n > tail && sscanf(f->path + n - tail, "-%5u-of-%5u.gguf%n", &no, &count, &used) == 2 && used == (int)tail;
    return !part || no == 1 || BECAUSE(w, "this is part %u of %u; it wants the first part to be named", no, count);
}

static bool arch_in(const check_facts *f, int list, const why *w)
{
    if (f->imatrix || f->status != SMELT_OK) return true;
    if (!f->arch) return BECAUSE(w, "there is no general.architecture");
    return listed(list, f->arch) || BECAUSE(w, "it has no loader for the architecture '%s'", f->arch);
}

static bool llama_arch(const check_facts *f, const why *w) { return arch_in(f, LIST_LLAMA_ARCHS, w); }
static bool ik_arch(const check_facts *f, const why *w) { return arch_in(f, LIST_IK_ARCHS, w); }
static bool transformers_arch(const check_facts *f, const why *w) { return arch_in(f, LIST_TRANSFORMERS_GGUF, w); }

/* A family that is known here, whose tensors or keys are not what it needs: the loader misses the same ones. */
static bool family_fits(const check_facts *f, const why *w)
{
    if (f->model.arch || !f->arch || !f->model.unmapped || !arch_by_name(f->arch, strlen(f->arch), &f->model.meta)) return true;
    return BECAUSE(w, "%s", f->model.unmapped);
}

static bool is_family(const check_facts *f, const char *name) { return f->model.arch && strcmp(f->model.arch->name, name) == 0; }

static bool has(const check_facts *f, smelt_hp hp) { return f->model.hp.set[hp] && f->model.hp.v[hp] != 0; }

static bool no_alibi_in_falcon(const check_facts *f, const why *w)
{
    return !(is_family(f, "falcon") && has(f, SMELT_HP_ALIBI)) ||
           BECAUSE(w, "its Falcon turns positions (RoPE), and this one has ALiBi: what it computes is not this model");
}

/* Only norms have biases there; any other tensor is one too many. */
static bool no_biases_in_falcon(const check_facts *f, const why *w)
{
    for (size_t i = 0; is_family(f, "falcon") && i < f->model.n_tensors; i++) {
        const smelt_tensor *t = &f->model.tensors[i];
        if (t->part == SMELT_PART_BIAS && !strstr(t->name, "norm"))
            return BECAUSE(w, "its Falcon has no tensor '%s', and refuses files with tensors that it does not use", t->name);
    }
    return true;
}

static bool no_norms_in_mpt(const check_facts *f, const why *w)
{
    return !(is_family(f, "mpt") && has(f, SMELT_HP_QK_NORM)) ||
           BECAUSE(w, "its MPT aborts where queries and keys are normed (ggml_reshape_2d of what is not contiguous)");
}

/* Keys that its reader of GGUF does not take over: the library's defaults stay, and other shapes are refused. */
static bool transformers_defaults(const check_facts *f, const why *w)
{
    static const struct {
        const char *arch;
        smelt_hp hp;
        uint64_t value;
        const char *what;
    } rows[] = {
        {"falcon", SMELT_HP_KV_HEADS, 1, "heads of keys and values"},
        {"qwen3", SMELT_HP_HEAD_DIM, 128, "the size of a head"},
        {"qwen2moe", SMELT_HP_FF_EXP, 1408, "the size of an expert"},
        {"qwen2moe", SMELT_HP_FF_SHARED, 5632, "the size of the shared expert"},
        {"qwen3moe", SMELT_HP_FF_EXP, 768, "the size of an expert"},
    };
    if (!f->model.arch) return true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint64_t have = hp_u64(&f->model.hp, rows[i].hp);
        if (strcmp(rows[i].arch, f->model.arch->name) == 0 && have != rows[i].value)
            return BECAUSE(w, "it does not read %s from GGUF and takes %" PRIu64 "; this model has %" PRIu64, rows[i].what,
                           rows[i].value, have);
    }
    return strcmp(f->model.arch->name, "gpt-oss") != 0 || BECAUSE(w, "its reader of GGUF names gpt-oss, and fails on its tensors");
}

static bool ik_types(const check_facts *f, const why *w)
{
    static const smelt_dtype unknown[] = {SMELT_DT_TQ1_0, SMELT_DT_TQ2_0, SMELT_DT_NVFP4, SMELT_DT_Q1_0, SMELT_DT_Q2_0};
    for (size_t i = 0; i < f->model.n_tensors; i++)
        for (size_t k = 0; k < sizeof unknown / sizeof *unknown; k++)
            if (f->model.tensors[i].dtype == unknown[k])
                return BECAUSE(w, "tensor '%s' has the type %s, which it does not know", f->model.tensors[i].origin,
                               smelt_dtype_get(unknown[k])->name);
    return true;
}

static bool has_vocab(const check_facts *f, const why *w)
{
    smelt_str kind;
    if (f->imatrix || f->status != SMELT_OK) return true;
    if (!meta_get_str(&f->model.meta, "tokenizer.ggml.model", &kind))
        return BECAUSE(w, "there is no tokenizer.ggml.model: it loads no model without a tokenizer");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(kind.n < 63 ? kind.n : 63), kind.p);
    if (!listed(LIST_LLAMA_VOCABS, name)) return BECAUSE(w, "tokenizer.ggml.model is '%s', which it does not know", name);
    const smelt_kv *tokens = meta_find(&f->model.meta, "tokenizer.ggml.tokens");
    const bool none = str_eq(kind, "none") || str_eq(kind, "no_vocab");
    return none || (tokens && tokens->type == SMELT_KV_ARRAY) || BECAUSE(w, "there is no list tokenizer.ggml.tokens");
}

static bool llama_pre(const check_facts *f, const why *w)
{
    smelt_str kind, pre;
    if (!meta_get_str(&f->model.meta, "tokenizer.ggml.model", &kind) || !str_eq(kind, "gpt2") ||
        !meta_get_str(&f->model.meta, "tokenizer.ggml.pre", &pre) || !pre.n)
        return true;
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(pre.n < 127 ? pre.n : 127), pre.p);
    return listed(LIST_LLAMA_PRES, name) || BECAUSE(w, "tokenizer.ggml.pre is '%s', which it does not know", name);
}

static bool vocab_is_embedding(const check_facts *f, const why *w)
{
    const smelt_kv *tokens = meta_find(&f->model.meta, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != SMELT_KV_ARRAY) return true;
    for (size_t i = 0; i < f->model.n_tensors; i++) {
        const smelt_tensor *t = &f->model.tensors[i];
        if (t->role == SMELT_R_TOKEN_EMBD && t->shape.n == 2 && t->shape.dim[0] != tokens->v.a.n)
            return BECAUSE(w, "the embedding has %" PRIu64 " rows for %" PRIu64 " tokens", t->shape.dim[0], tokens->v.a.n);
    }
    return true;
}

static bool has_config(const check_facts *f, const why *w)
{
    if (!f->config) return BECAUSE(w, "there is no config.json that can be read");
    return f->type || BECAUSE(w, "config.json has no model_type");
}

static bool has_class(const check_facts *f, const why *w)
{
    return !f->config || f->cls || BECAUSE(w, "config.json has no architectures");
}

/* Families by config.json; one that its own code describes is only for whoever runs that. */
static bool known(const check_facts *f, bool ok, const char *what, const why *w)
{
    if (ok || !what) return true;
    return BECAUSE(w, "it does not know '%s'%s", what,
                   json_object_get(f->config, "auto_map") ? "; only with the model's own code, if that is trusted" : "");
}

static bool transformers_type(const check_facts *f, const why *w)
{
    return known(f, f->type && listed(LIST_TRANSFORMERS_TYPES, f->type), f->type, w);
}
static bool gptqmodel_type(const check_facts *f, const why *w)
{
    return known(f, f->type && listed(LIST_GPTQMODEL_TYPES, f->type), f->type, w);
}
static bool exllama_class(const check_facts *f, const why *w)
{
    return known(f, f->cls && listed(LIST_EXLLAMA_CLASSES, f->cls), f->cls, w);
}

/* The servers fall back to transformers' own computation where that lets its attention be replaced. */
static bool served(const check_facts *f, int list, const why *w)
{
    return known(f, f->cls && (listed(list, f->cls) || (f->type && listed(LIST_TRANSFORMERS_BACKEND, f->type))), f->cls, w);
}

static bool vllm_class(const check_facts *f, const why *w) { return served(f, LIST_VLLM_CLASSES, w); }
static bool sglang_class(const check_facts *f, const why *w) { return served(f, LIST_SGLANG_CLASSES, w); }

static bool is_safetensors(const check_facts *f, const why *w)
{
    return !f->bin || BECAUSE(w, "it reads weights from safetensors only, and these are PyTorch files");
}

/* Quantization methods and who knows them. */
static bool method_in(const check_facts *f, const char *names, const why *w)
{
    const char *p = f->method ? strstr(names, f->method) : NULL;
    const size_t n = f->method ? strlen(f->method) : 0;
    return !n || (p && p[-1] == ' ' && p[n] == ' ') || BECAUSE(w, "it does not know the quantization '%s'", f->method);
}

static bool server_method(const check_facts *f, const why *w)
{
    return method_in(f, " gptq awq compressed-tensors fp8 mxfp4 bitsandbytes modelopt fbgemm_fp8 auto-round quark ", w);
}
static bool transformers_method(const check_facts *f, const why *w)
{
    return method_in(
        f,
        " awq bitsandbytes gptq aqlm quanto quark fp_quant eetq higgs hqq compressed-tensors fbgemm_fp8 torchao bitnet vptq spqr fp8 nvfp4 mxfp8 "
        "auto-round mxfp4 sinq ",
        w);
}
static bool gptqmodel_method(const check_facts *f, const why *w)
{
    return method_in(f, " gptq awq fp8 compressed-tensors qqq ", w);
}
static bool exllama_method(const check_facts *f, const why *w) { return method_in(f, " gptq exl2 ", w); }

static bool is_method(const check_facts *f, const char *name) { return f->method && strcmp(f->method, name) == 0; }

static bool gptq_keys(const check_facts *f, const why *w)
{
    static const char *const keys[] = {"bits", "group_size", "desc_act", "sym"};
    for (size_t i = 0; is_method(f, "gptq") && i < sizeof keys / sizeof *keys; i++)
        if (!json_object_get(f->quant, keys[i])) return BECAUSE(w, "the quantization's configuration has no '%s'", keys[i]);
    return true;
}

static bool vllm_gptq(const check_facts *f, const why *w)
{
    const json_t *sym = json_object_get(f->quant, "sym");
    if (!is_method(f, "gptq")) return true;
    if (f->bits != 4 && f->bits != 8) return BECAUSE(w, "GPTQ of %" PRId64 " bits; it has 4 and 8", f->bits);
    return !json_is_false(sym) || BECAUSE(w, "GPTQ with zero points (sym: false); it has symmetric only");
}

static bool vllm_group(const check_facts *f, const why *w)
{
    const int64_t g = f->group;
    return !is_method(f, "gptq") || g == -1 || g == 32 || g == 64 || g == 128 ||
           BECAUSE(w, "GPTQ in groups of %" PRId64 "; it has 32, 64, 128 and whole rows (-1)", g);
}

static bool group_divides(const check_facts *f, const why *w)
{
    if (!is_method(f, "gptq") || f->group < 1 || f->bits < 1) return true;
    for (size_t i = 0; i < f->weights.n_tensors; i++) {
        const smelt_tensor *t = &f->weights.tensors[i];
        if (!ends(t->name, ".qweight") || t->shape.n != 2 || t->shape.dim[0] > UINT32_MAX) continue;
        const uint64_t inputs = t->shape.dim[0] * 32 / (uint64_t)f->bits;
        if (inputs % (uint64_t)f->group)
            return BECAUSE(w, "tensor '%s' has %" PRIu64 " inputs, which groups of %" PRId64 " do not divide", t->name, inputs,
                           f->group);
    }
    return true;
}

static bool bits_in(const check_facts *f, const char *names, const why *w)
{
    char bits[16];
    snprintf(bits, sizeof bits, " %" PRId64 " ", f->bits);
    return !is_method(f, "gptq") || strstr(names, bits) ||
           BECAUSE(w, "GPTQ of %" PRId64 " bits; it has%.*s", f->bits, (int)strlen(names) - 1, names);
}

static bool common_bits(const check_facts *f, const why *w) { return bits_in(f, " 2 3 4 8 ", w); }
static bool gptqmodel_bits(const check_facts *f, const why *w) { return bits_in(f, " 2 3 4 5 6 7 8 ", w); }
static bool exllama_bits(const check_facts *f, const why *w) { return bits_in(f, " 4 ", w); }

static bool awq_bits(const check_facts *f, const why *w)
{
    return !is_method(f, "awq") || f->bits == 4 || BECAUSE(w, "AWQ of %" PRId64 " bits; it has 4", f->bits);
}

/* How zero points are stored: one less than they are (gptq), as they are (gptq_v2), in bit planes (gptq_p). */
static bool zeros_are(const check_facts *f, const char *names, const why *w)
{
    const char *format = json_string_value(json_object_get(f->quant, "checkpoint_format"));
    const char *p = format ? strstr(names, format) : NULL;
    const size_t n = format ? strlen(format) : 0;
    return !is_method(f, "gptq") || !n || (p && p[-1] == ' ' && p[n] == ' ') ||
           BECAUSE(w, "checkpoint_format is '%s'; it has%.*s", format, (int)strlen(names) - 1, names);
}

static bool old_zeros(const check_facts *f, const why *w) { return zeros_are(f, " gptq ", w); }
static bool both_zeros(const check_facts *f, const why *w) { return zeros_are(f, " gptq gptq_v2 ", w); }

enum { ON_ANY, ON_GGUF, ON_DIR };

static const struct {
    unsigned targets;
    int on; /* what the rule is about */
    const char *id;
    bool (*passes)(const check_facts *f, const why *w);
    const char *source;
    bool note;
} rules[] = {
    {LLAMAS, ON_ANY, "container", is_gguf, "llama.cpp src/llama-model-loader.cpp"},
    {IK_LLAMA_CPP, ON_ANY, "imatrix", is_new_imatrix, "ik_llama.cpp examples/quantize/quantize.cpp"},
    {TRANSFORMERS, ON_ANY, "container", is_dir_or_gguf, "transformers modeling_utils.py, from_pretrained"},
    {SERVERS | GPTQMODEL | EXLLAMA, ON_ANY, "container", is_dir, "the programs' model loaders"},
    {LLAMAS | TRANSFORMERS, ON_GGUF, "structure", is_whole, "llama.cpp ggml/src/gguf.cpp; docs/formats.md has the limits"},
    {LLAMAS, ON_GGUF, "first-part", is_first_part, "llama.cpp src/llama-model-loader.cpp"},
    {LLAMA_CPP, ON_GGUF, "architecture", llama_arch, "llama.cpp src/llama-model.cpp, llama_model_mapping"},
    {IK_LLAMA_CPP, ON_GGUF, "architecture", ik_arch, "ik_llama.cpp src/llama-arch.cpp"},
    {TRANSFORMERS, ON_GGUF, "architecture", transformers_arch, "transformers integrations/ggml.py"},
    {LLAMAS | TRANSFORMERS, ON_GGUF, "tensors", family_fits, "llama.cpp src/models; docs/models.md"},
    {LLAMAS, ON_GGUF, "alibi", no_alibi_in_falcon, "llama.cpp src/models/falcon.cpp", true},
    {LLAMAS, ON_GGUF, "falcon-biases", no_biases_in_falcon, "llama.cpp src/models/falcon.cpp"},
    {LLAMAS, ON_GGUF, "mpt-norms", no_norms_in_mpt, "llama.cpp src/models/mpt.cpp"},
    {TRANSFORMERS, ON_GGUF, "keys", transformers_defaults, "transformers integrations/ggml.py, GGUF_CONFIG_MAPPING"},
    {IK_LLAMA_CPP, ON_GGUF, "type", ik_types, "ik_llama.cpp ggml/include/ggml.h"},
    {LLAMAS, ON_GGUF, "tokenizer-model", has_vocab, "llama.cpp src/llama-vocab.cpp, impl::load"},
    {LLAMA_CPP, ON_GGUF, "tokenizer-pre", llama_pre, "llama.cpp src/llama-vocab.cpp, impl::load"},
    {LLAMAS, ON_GGUF, "vocabulary", vocab_is_embedding, "llama.cpp src/llama-model.cpp, load_tensors"},
    {DIRS, ON_DIR, "config", has_config, "transformers models/auto/configuration_auto.py"},
    {SERVERS | EXLLAMA, ON_DIR, "class", has_class, "vLLM model_executor/models/registry.py; exllamav2 config.py"},
    {DIRS, ON_DIR, "weights", weights_are_whole, "safetensors src/tensor.rs; torch/serialization.py"},
    {DIRS, ON_DIR, "tensors", tensors_fit, "docs/models.md"},
    {TRANSFORMERS, ON_DIR, "architecture", transformers_type, "transformers models/auto/modeling_auto.py"},
    {VLLM, ON_DIR, "architecture", vllm_class, "vLLM model_executor/models/registry.py"},
    {SGLANG, ON_DIR, "architecture", sglang_class, "SGLang srt/models"},
    {GPTQMODEL, ON_DIR, "architecture", gptqmodel_type, "GPTQModel models/auto.py"},
    {EXLLAMA, ON_DIR, "architecture", exllama_class, "exllamav2 architecture.py"},
    {EXLLAMA, ON_DIR, "safetensors", is_safetensors, "exllamav2 config.py"},
    {SERVERS, ON_DIR, "quantization", server_method, "vLLM and SGLang, layers/quantization"},
    {TRANSFORMERS, ON_DIR, "quantization", transformers_method, "transformers quantizers/auto.py"},
    {GPTQMODEL, ON_DIR, "quantization", gptqmodel_method, "GPTQModel quantization/config.py"},
    {EXLLAMA, ON_DIR, "quantization", exllama_method, "exllamav2 linear.py"},
    {SERVERS, ON_DIR, "gptq-keys", gptq_keys, "vLLM layers/quantization/auto_gptq.py, from_config"},
    {VLLM, ON_DIR, "gptq-type", vllm_gptq, "vLLM layers/quantization/auto_gptq.py, TYPE_MAP"},
    {VLLM, ON_DIR, "gptq-group", vllm_group, "vLLM layers/quantization/utils/marlin_utils.py"},
    {SERVERS, ON_DIR, "gptq-divides", group_divides, "vLLM layers/quantization/auto_gptq.py, create_weights"},
    {SGLANG | TRANSFORMERS, ON_DIR, "gptq-bits", common_bits, "SGLang layers/quantization/gptq.py; GPTQModel"},
    {GPTQMODEL, ON_DIR, "gptq-bits", gptqmodel_bits, "GPTQModel quantization/config.py"},
    {EXLLAMA, ON_DIR, "gptq-bits", exllama_bits, "exllamav2 linear.py"},
    {VLLM | EXLLAMA, ON_DIR, "gptq-zeros", old_zeros, "vLLM layers/quantization/auto_gptq.py; exllamav2 ext_qmatrix.cpp"},
    {SGLANG | TRANSFORMERS, ON_DIR, "gptq-zeros", both_zeros, "SGLang layers/quantization/gptq.py; GPTQModel"},
    {SERVERS | TRANSFORMERS, ON_DIR, "awq-bits", awq_bits, "vLLM layers/quantization/auto_awq.py"},
};

const char *check_target_name(int target)
{
    static const char *const names[] = {
#define X(id, name) (name),
        SMELT_TARGETS(X)
#undef X
    };
    return target >= 0 && target < TARGET_COUNT ? names[target] : NULL;
}

size_t check_target(const check_facts *f, int target, check_reason reasons[CHECK_REASONS], size_t *failed)
{
    size_t n = 0;
    *failed = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && n < CHECK_REASONS; i++) {
        const bool about = rules[i].on == ON_ANY || (rules[i].on == ON_GGUF ? f->gguf : f->dir);
        if (!(rules[i].targets >> target & 1) || !about) continue;
        const why w = {reasons[n].text, sizeof reasons[n].text};
        if (rules[i].passes(f, &w)) continue;
        reasons[n].rule = rules[i].id;
        reasons[n].note = rules[i].note;
        reasons[n++].source = rules[i].source;
        *failed += !rules[i].note;
    }
    return n;
}
