/* PyTorch checkpoints: what torch.save writes.
 *
 * Since torch 1.6 that is a zip archive with everything under one directory of any name: data.pkl is a pickle that names
 * storages by key, data/KEY holds a storage's bytes, byteorder says "little" or "big" (absent: little). Entries are stored, at
 * multiples of 64 bytes, and used where they lie. Before 1.6 it was five pickles one after another (a magic number, a version,
 * the machine's sizes, the object, the storages' keys) and behind them, for each key, a 64-bit number of elements and the
 * data, always little-endian. Sources: torch/serialization.py, torch/_utils.py, caffe2/serialize/inline_container.cc.
 *
 * A checkpoint is any Python object, and which part of it is the model is convention. Taken is the dict whose values are
 * tensors: the outermost one if it has any, unless it also holds such a dict under one of the names that training programs
 * use (below). Without tensors at the top, the next level is looked at, and so on; of several dicts there, the first of those
 * names decides, and without one the file is refused with a list. Other values are ignored and counted. */
#include <stdio.h>
#include <zlib.h>

#include "arch/arch.h"
#include "formats/pickle.h"
#include "formats/torch_audit.h"
#include "formats/zip.h"
#include "ir/format.h"

static const char *const wrappers[] = {"state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params"};
enum {
    N_WRAPPERS = sizeof wrappers / sizeof *wrappers,
    MAX_DEPTH = 4,         /* of dicts in dicts, when looking for the one with tensors */
    MAX_REPEAT = 64,       /* tensors of a file may together be so many times as large: they share storages and repeat rows */
    LEGACY_VERSION = 1001, /* the only one there was */
    STORAGE_ALIGN = 64,
};
static const uint8_t magic[] = {0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19};

typedef struct reader {
    const smelt_ctx *ctx;
    smelt_model *model;
    smelt_arena tmp; /* values and directory; what the model keeps is copied or in its own arena */
    const smelt_map *map;
    const char *file; /* base name */
    pk_storages storages;
    smelt_zip zip;
    bool is_zip, big_endian;
    uint64_t logical; /* bytes of all tensors as they will be written */
    size_t ignored;
    smelt_err *err;
} reader;

static bool is_zip(const uint8_t *p, size_t n) { return n >= 4 && memcmp(p, "PK\3\4", 4) == 0; }

static bool is_tar(const uint8_t *p, size_t n) { return n >= 262 && memcmp(p + 257, "ustar", 5) == 0; }

/* A pickle of protocol 2 or later. A safetensors file whose header has 640 bytes begins with the same two. */
static bool is_pickle(const uint8_t *p, size_t n) { return n >= 3 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 && p[2] != 0; }

/* Pickles of protocols 0 and 1 have no mark; the name says what they are, and they begin with one of these opcodes. */
static bool is_old_pickle(const smelt_probe *p)
{
    static const char *const tails[] = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"};
    const size_t n = strlen(p->path);
    if (!p->head_size || !memchr("(c]}", p->head[0], 4)) return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (n > strlen(tails[i]) && strcmp(p->path + n - strlen(tails[i]), tails[i]) == 0) return true;
    return false;
}

static bool torch_zip_probe(const smelt_probe *p)
{
    return !p->is_dir &&
           (is_zip(p->head, p->head_size) || is_tar(p->head, p->head_size) || is_pickle(p->head, p->head_size) || is_old_pickle(p));
}

/* ---- from values to tensors ---- */

static bool is_state(const pk_value *v)
{
    if (v->tag != PK_DICT) return false;
    const pk_box *d = v->v.box;
    for (size_t i = 0; i < d->n; i += 2)
        if (d->item[i].tag == PK_STR && d->item[i + 1].tag == PK_TENSOR) return true;
    return false;
}

/* Dicts of one level, and the names under which they lie. Each dict is entered once, though it may lie in several. */
typedef struct level {
    const pk_value **key;
    pk_box **dict;
    size_t n, cap_key, cap_dict;
} level;

static smelt_status level_add(reader *r, level *l, const pk_value *key, pk_box *dict)
{
    dict->seen = true;
    if (!arena_room(&r->tmp, &l->key, l->n, &l->cap_key, sizeof *l->key) ||
        !arena_room(&r->tmp, &l->dict, l->n, &l->cap_dict, sizeof *l->dict))
        return smelt_oom(r->err);
    l->key[l->n] = key;
    l->dict[l->n++] = dict;
    return SMELT_OK;
}

/* Chooses among the dicts with tensors: the only one, or the one under the first of the known names. */
static smelt_status choose(reader *r, const level *states, const pk_box **out)
{
    for (size_t w = 0; w < N_WRAPPERS; w++)
        for (size_t i = 0; i < states->n; i++)
            if (pk_str_eq(states->key[i], wrappers[w])) {
                *out = states->dict[i];
                if (states->n > 1)
                    ctx_warn(r->ctx, "%s: taking the tensors under '%s', not those of %zu other dicts", r->file, wrappers[w],
                             states->n - 1);
                return SMELT_OK;
            }
    if (states->n == 1) {
        *out = states->dict[0];
        return SMELT_OK;
    }
    smelt_fail(r->err, SMELT_E_UNSUPPORTED, "several dicts hold tensors, and none has the name of a model; save one alone:");
    for (size_t i = 0; i < states->n && i < 16; i++) {
        char text[64];
        const pk_value *k = states->key[i];
        smelt_err_add(r->err, "  %s", k->tag == PK_STR ? pk_text(k->v.s, k->n, text, sizeof text) : pk_type_name(k));
    }
    return SMELT_E_UNSUPPORTED;
}

static smelt_status find_state(reader *r, const pk_value *top, const pk_box **out)
{
    if (top->tag != PK_DICT)
        return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "the file holds %s, a dict of named tensors is needed", pk_type_name(top));
    /* The outermost dict, with the exception for a named one inside. */
    pk_box *dict = top->v.box;
    if (is_state(top)) {
        for (size_t w = 0; w < N_WRAPPERS; w++)
            for (size_t i = 0; i < dict->n; i += 2)
                if (pk_str_eq(&dict->item[i], wrappers[w]) && is_state(&dict->item[i + 1])) {
                    ctx_warn(r->ctx, "%s: taking the tensors under '%s', not those beside it", r->file, wrappers[w]);
                    *out = dict->item[i + 1].v.box;
                    return SMELT_OK;
                }
        *out = dict;
        return SMELT_OK;
    }
    level now = {0};
    SMELT_TRY(level_add(r, &now, top, dict));
    for (int depth = 0; depth < MAX_DEPTH && now.n; depth++) {
        level next = {0}, states = {0};
        for (size_t d = 0; d < now.n; d++)
            for (size_t i = 0; i < now.dict[d]->n; i += 2) {
                const pk_value *v = &now.dict[d]->item[i + 1];
                if (v->tag != PK_DICT || v->v.box->seen) continue;
                SMELT_TRY(level_add(r, &next, &now.dict[d]->item[i], v->v.box));
                if (is_state(v)) SMELT_TRY(level_add(r, &states, &now.dict[d]->item[i], v->v.box));
            }
        if (states.n) return choose(r, &states, out);
        now = next;
    }
    return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "the file holds no dict of named tensors");
}

static smelt_status add_tensor(reader *r, const pk_value *name, const pk_tensor *t)
{
    const pk_storage *s = &r->storages.item[t->storage->index];
    if (t->dtype->dtype == SMELT_DT_COUNT)
        return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "dtype torch.%s is not read", t->dtype->name);
    if (t->lazy)
        return smelt_fail(
            r->err, SMELT_E_UNSUPPORTED,
            "the tensor was saved with its conjugation or negation pending; call .resolve_conj().resolve_neg() first");
    const smelt_dtype_row *row = smelt_dtype_get(t->dtype->dtype);
    smelt_shape shape = {.n = t->n};
    for (int i = 0; i < t->n; i++)
        shape.dim[i] = t->dim[i];
    const uint8_t *data = s->data ? s->data + t->storage->base : NULL;
    const smelt_view *view;
    SMELT_TRY(view_strided(&r->model->arena, t->dtype->dtype, &shape, t->dim + t->n, data, t->storage->bytes / row->bytes,
                           t->offset, r->big_endian, &view, r->err));
    if (!add_u64(r->logical, view_bytes_total(view), &r->logical) || r->logical / MAX_REPEAT > r->map->size + r->zip.unpacked)
        return smelt_fail(r->err, SMELT_E_LIMIT, "with this one the tensors have more than %d times the bytes that are there",
                          MAX_REPEAT);
    uint64_t offset = s->offset + t->storage->base + (view_bytes_total(view) ? t->offset * row->bytes : 0);
    return model_add(r->model, name->v.s, name->n, view, r->file, offset, r->err);
}

/* Turns the chosen dict into tensors; storages have their data by then. */
static smelt_status add_state(reader *r, const pk_box *state)
{
    for (size_t i = 0; i < state->n; i += 2) {
        const pk_value *name = &state->item[i], *v = &state->item[i + 1];
        if (v->tag != PK_TENSOR) {
            r->ignored++;
            continue;
        }
        smelt_status status = name->tag == PK_STR
                                  ? add_tensor(r, name, v->v.tensor)
                                  : smelt_fail(r->err, SMELT_E_UNSUPPORTED, "a tensor's name is %s, no string", pk_type_name(name));
        if (status != SMELT_OK) {
            char text[128];
            smelt_err_where(r->err, "tensor '%s'", name->tag == PK_STR ? pk_text(name->v.s, name->n, text, sizeof text) : "");
            return status;
        }
    }
    return SMELT_OK;
}

static smelt_status set_variant(reader *r)
{
    smelt_arena *a = &r->model->arena;
    const char *text = r->is_zip ? "zip" : "as before torch 1.6";
    if (r->big_endian) text = arena_printf(a, "%s, big-endian", text);
    if (text && r->ignored)
        text = arena_printf(a, "%s, %zu value%s that %s no tensor%s", text, r->ignored, r->ignored == 1 ? "" : "s",
                            r->ignored == 1 ? "is" : "are", r->ignored == 1 ? "" : "s");
    if (!text) return smelt_oom(r->err);
    r->model->variant = text;
    return SMELT_OK;
}

/* ---- the zip ---- */

/* The directory that everything lies in, with its slash: that of the one data.pkl. */
static smelt_status find_root(reader *r, const char **root, size_t *root_len, zip_entry **pkl)
{
    static const char tail[] = "/data.pkl";
    const size_t n = sizeof tail - 1;
    *pkl = NULL;
    for (size_t i = 0; i < r->zip.n; i++) {
        zip_entry *e = &r->zip.entries[i];
        if (e->name_len <= n || memcmp(e->name + e->name_len - n, tail, n) != 0 || memchr(e->name, '/', e->name_len - n)) continue;
        if (*pkl) return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->header, "two directories of the zip archive have a data.pkl");
        *pkl = e;
        *root = e->name;
        *root_len = e->name_len - n + 1;
    }
    if (*pkl) return SMELT_OK;
    return smelt_fail(r->err, SMELT_E_UNSUPPORTED, "a zip archive without DIR/data.pkl: torch.save did not write it");
}

static zip_entry *find_record(const reader *r, const char *root, size_t root_len, const char *dir, const char *name, size_t len)
{
    char path[512];
    const size_t n = strlen(dir);
    if (root_len + n + len > sizeof path) return NULL;
    memcpy(path, root, root_len);
    memcpy(path + root_len, dir, n);
    memcpy(path + root_len + n, name, len);
    return zip_find(&r->zip, path, root_len + n + len);
}

static smelt_status read_byteorder(reader *r, const char *root, size_t root_len)
{
    zip_entry *e = find_record(r, root, root_len, "", "byteorder", 9);
    if (!e) return SMELT_OK;
    if (e->size == 6 && memcmp(e->bytes, "little", 6) == 0) return SMELT_OK;
    if (e->size == 3 && memcmp(e->bytes, "big", 3) == 0) {
        r->big_endian = true;
        return SMELT_OK;
    }
    return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->data, "the record 'byteorder' says neither little nor big");
}

/* Checks every storage's size against its record, also of those that no tensor of the model uses. */
static smelt_status place_storages(reader *r, const char *root, size_t root_len)
{
    char text[96];
    for (size_t i = 0; i < r->storages.n; i++) {
        pk_storage *s = &r->storages.item[i];
        zip_entry *e = find_record(r, root, root_len, "data/", s->key, s->key_len);
        pk_text(s->key, s->key_len, text, sizeof text);
        if (!e) return smelt_fail(r->err, SMELT_E_CORRUPT, "storage '%s' has no record data/%s in the zip archive", text, text);
        if (e->size != s->bytes)
            return smelt_fail_at(r->err, SMELT_E_CORRUPT, e->header,
                                 "storage '%s' has %" PRIu64 " bytes by the pickle, its record data/%s has %" PRIu64, text,
                                 s->bytes, text, e->size);
        s->offset = e->data;
        s->data = e->bytes;
        s->placed = true;
    }
    return SMELT_OK;
}

/* Compressed records are unpacked only if a tensor of the model lies in them. */
static smelt_status unpack_used(reader *r, const char *root, size_t root_len, const pk_box *state)
{
    for (size_t i = 0; i < state->n; i += 2) {
        if (state->item[i + 1].tag != PK_TENSOR) continue;
        const pk_storage *s = &r->storages.item[state->item[i + 1].v.tensor->storage->index];
        find_record(r, root, root_len, "data/", s->key, s->key_len)->wanted = true;
    }
    SMELT_TRY(zip_unpack(&r->zip, r->err));
    return place_storages(r, root, root_len);
}

static smelt_status read_zip(reader *r)
{
    const char *root = NULL;
    size_t root_len = 0;
    zip_entry *pkl;
    /* Unpacked tensor data live as long as the model. */
    SMELT_TRY(zip_open(&r->model->arena, r->map->data, r->map->size, &r->zip, r->err));
    SMELT_TRY(find_root(r, &root, &root_len, &pkl));
    if (find_record(r, root, root_len, "", "constants.pkl", 13))
        return smelt_fail(r->err, SMELT_E_UNSUPPORTED,
                          "this is a TorchScript program; load it with torch.jit.load and save its state dict");
    if (pkl->size > PK_MAX_BYTES)
        return smelt_fail_at(r->err, SMELT_E_LIMIT, pkl->header, "data.pkl has %" PRIu64 " bytes, at most %d are accepted",
                             pkl->size, PK_MAX_BYTES);
    pkl->wanted = true;
    zip_entry *order = find_record(r, root, root_len, "", "byteorder", 9);
    if (order) order->wanted = true;
    SMELT_TRY(zip_unpack(&r->zip, r->err));
    SMELT_TRY(zip_check_crc(pkl, r->err));
    SMELT_TRY(read_byteorder(r, root, root_len));

    /* Offsets in messages are those in the file where the pickle is stored, and those in the pickle where it is packed. */
    smelt_cur cur = {.data = pkl->bytes, .size = pkl->size, .base = pkl->method ? 0 : pkl->data, .err = r->err};
    pk_value top;
    smelt_status status = pickle_load(&r->tmp, &cur, &r->storages, &top);
    if (status == SMELT_OK && cur.pos != cur.size)
        status = smelt_fail_at(r->err, SMELT_E_CORRUPT, cur.base + cur.pos, "bytes follow the pickle's end");
    if (status != SMELT_OK) {
        smelt_err_where(r->err, "data.pkl");
        return status;
    }
    SMELT_TRY(place_storages(r, root, root_len));
    const pk_box *state;
    SMELT_TRY(find_state(r, &top, &state));
    SMELT_TRY(unpack_used(r, root, root_len, state));
    return add_state(r, state);
}

/* ---- before torch 1.6 ---- */

static smelt_status legacy_pickle(reader *r, smelt_cur *cur, pk_tag tag, const char *what, pk_value *out)
{
    const uint64_t at = cur->pos;
    smelt_status status = pickle_load(&r->tmp, cur, &r->storages, out);
    if (status != SMELT_OK) {
        smelt_err_where(r->err, "%s", what);
        return status;
    }
    if (tag != PK_NONE && out->tag != tag) return smelt_fail_at(r->err, SMELT_E_CORRUPT, at, "%s is %s", what, pk_type_name(out));
    return SMELT_OK;
}

static smelt_status legacy_storage(reader *r, smelt_cur *cur, const pk_value *key)
{
    char text[96];
    size_t i;
    const uint64_t at = cur->pos;
    uint64_t count, bytes;
    if (key->tag != PK_STR) return smelt_fail_at(r->err, SMELT_E_CORRUPT, at, "a storage's key is %s", pk_type_name(key));
    pk_text(key->v.s, key->n, text, sizeof text);
    if (!strmap_get(&r->storages.keys, key->v.s, key->n, &i) || r->storages.item[i].placed)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, at, "storage '%s' is not one that the pickle names, or comes twice", text);
    pk_storage *s = &r->storages.item[i];
    SMELT_TRY(cur_u64(cur, "a storage's size", &count));
    if (!mul_u64(count, s->elem_bytes, &bytes) || bytes != s->bytes)
        return smelt_fail_at(r->err, SMELT_E_CORRUPT, at,
                             "storage '%s' has %" PRIu64 " bytes by the pickle, %" PRIu64 " elements of %" PRIu32 " here", text,
                             s->bytes, count, s->elem_bytes);
    SMELT_TRY(cur_bytes(cur, bytes, "a storage", &s->data));
    s->offset = cur->pos - bytes;
    s->placed = true;
    return SMELT_OK;
}

static smelt_status read_legacy(reader *r)
{
    smelt_cur cur = {.data = r->map->data, .size = r->map->size, .err = r->err};
    pk_value v, top, keys;
    /* Any pickle may come in under this name; say so before the machine says what it does not like in it. */
    smelt_cur first = {.data = cur.data, .size = cur.size, .err = NULL};
    smelt_status status = pickle_load(&r->tmp, &first, &r->storages, &v);
    if (status == SMELT_E_NOMEM) return smelt_oom(r->err);
    if (status == SMELT_E_TRUNCATED) return legacy_pickle(r, &cur, PK_BIG, "the magic number", &v);
    if (status != SMELT_OK || v.tag != PK_BIG || v.n != sizeof magic || memcmp(v.v.s, magic, sizeof magic) != 0)
        return smelt_fail_at(r->err, SMELT_E_UNSUPPORTED, 0,
                             "a pickle that torch.save did not write; load it where you trust it, and torch.save its state dict");
    cur.pos = first.pos;
    SMELT_TRY(legacy_pickle(r, &cur, PK_INT, "the protocol version", &v));
    if (v.v.i != LEGACY_VERSION)
        return smelt_fail_at(r->err, SMELT_E_UNSUPPORTED, cur.pos, "protocol version %" PRId64 ", known is %d", v.v.i,
                             LEGACY_VERSION);
    SMELT_TRY(legacy_pickle(r, &cur, PK_DICT, "the description of the machine", &v));
    SMELT_TRY(legacy_pickle(r, &cur, PK_NONE, "the object", &top));
    SMELT_TRY(legacy_pickle(r, &cur, PK_LIST, "the list of storages", &keys));
    for (size_t i = 0; i < keys.v.box->n; i++)
        SMELT_TRY(legacy_storage(r, &cur, &keys.v.box->item[i]));
    if (cur.pos != cur.size) return smelt_fail_at(r->err, SMELT_E_CORRUPT, cur.pos, "bytes follow the last storage");
    for (size_t i = 0; i < r->storages.n; i++)
        if (!r->storages.item[i].placed) {
            char text[96];
            return smelt_fail(r->err, SMELT_E_CORRUPT, "storage '%s' is not in the file",
                              pk_text(r->storages.item[i].key, r->storages.item[i].key_len, text, sizeof text));
        }
    const pk_box *state;
    SMELT_TRY(find_state(r, &top, &state));
    return add_state(r, state);
}

static smelt_status torch_zip_read(const smelt_ctx *ctx, const char *path, smelt_model *model, smelt_err *err)
{
    reader r = {.ctx = ctx, .model = model, .err = err};
    r.storages.arena = &r.tmp;
    SMELT_TRY(model_map(model, path, &r.map, err));
    smelt_status status = SMELT_OK;
    if (!(r.file = path_base(&model->arena, path)))
        status = smelt_oom(err);
    else if ((r.is_zip = is_zip(r.map->data, r.map->size)))
        status = read_zip(&r);
    else if (is_tar(r.map->data, r.map->size))
        status = smelt_fail(err, SMELT_E_UNSUPPORTED,
                            "a tar archive, as torch before 0.4 wrote; in torch, torch.save(torch.load(FILE), NEW) converts it");
    else
        status = read_legacy(&r);
    if (status == SMELT_OK) status = set_variant(&r);
    if (status != SMELT_OK) smelt_err_where(err, "%s", path);
    arena_free(&r.tmp);
    return status;
}

/* ---- writing ---- */

/* The same order and names as the model's, or Hugging Face's names where the family is known. */
static smelt_status torch_zip_project(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err)
{
    return arch_project_hf(ctx, model, out, err);
}

static bool torch_zip_can_store(smelt_dtype dtype) { return pk_dtype_for(dtype) != NULL; }

static void put_text(smelt_buf *b, const char *text) { buf_put(b, text, strlen(text)); }

static void put_str(smelt_buf *b, const char *s)
{
    const size_t n = strlen(s);
    buf_u8(b, 'X');
    buf_u32(b, (uint32_t)n);
    buf_put(b, s, n);
}

static void put_int(smelt_buf *b, uint64_t v)
{
    if (v <= UINT8_MAX) {
        buf_u8(b, 'K');
        buf_u8(b, (uint8_t)v);
    } else if (v <= UINT16_MAX) {
        buf_u8(b, 'M');
        buf_u16(b, (uint16_t)v);
    } else if (v <= INT32_MAX) {
        buf_u8(b, 'J');
        buf_u32(b, (uint32_t)v);
    } else {
        buf_u8(b, 0x8A);
        buf_u8(b, 8);
        buf_u64(b, v);
    }
}

static void put_tuple(smelt_buf *b, const uint64_t *v, int n)
{
    buf_u8(b, '(');
    for (int i = 0; i < n; i++)
        put_int(b, v[i]);
    buf_u8(b, 't');
}

/* One entry of the state dict: what _rebuild_tensor_v2 is given, or v3 for dtypes that have no storage class. */
static void put_tensor(smelt_buf *b, const smelt_tensor *t, smelt_dtype dtype, uint64_t elems, uint64_t bytes, size_t index)
{
    const pk_dtype *d = pk_dtype_for(dtype);
    uint64_t stride[SMELT_MAX_DIMS], step = 1;
    for (int i = t->shape.n - 1; i >= 0; i--) {
        stride[i] = step;
        if (t->shape.dim[i]) step *= t->shape.dim[i];
    }
    char key[24];
    snprintf(key, sizeof key, "%zu", index);
    put_str(b, t->name);
    buf_printf(b, "ctorch._utils\n%s\n((", d->storage ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    put_str(b, "storage");
    if (d->storage)
        buf_printf(b, "ctorch\n%s\n", d->storage);
    else
        put_text(b, "ctorch.storage\nUntypedStorage\n");
    put_str(b, key);
    put_str(b, "cpu");
    put_int(b, d->storage ? elems : bytes);
    put_text(b, "tQ");
    put_int(b, 0);
    put_tuple(b, t->shape.dim, t->shape.n);
    put_tuple(b, stride, t->shape.n);
    buf_u8(b, 0x89);
    put_text(b, "ccollections\nOrderedDict\n)R");
    if (!d->storage) buf_printf(b, "ctorch\n%s\n", d->name);
    put_text(b, "tR");
}

static smelt_status put_pickle(smelt_buf *b, const smelt_model *out, const smelt_dtype *types, smelt_err *err)
{
    buf_u8(b, 0x80);
    buf_u8(b, 2);
    put_text(b, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < out->n_tensors; i++) {
        uint64_t elems, bytes;
        const smelt_tensor *t = &out->tensors[i];
        if (!torch_zip_can_store(types[i]))
            return smelt_fail(err, SMELT_E_UNSUPPORTED, "tensor '%s': PyTorch has no dtype for %s", t->name,
                              smelt_dtype_get(types[i])->name);
        if (!shape_elems(&t->shape, &elems) || !smelt_dtype_bytes(types[i], elems, &bytes) || bytes > INT64_MAX)
            return smelt_fail(err, SMELT_E_LIMIT, "tensor '%s' is too large", t->name);
        put_tensor(b, t, types[i], elems, bytes, i);
    }
    put_text(b, "u.");
    return SMELT_OK;
}

/* The zip under way. `b` collects bytes up to the next tensor's data; `base` is where in the file it begins. */
typedef struct writer {
    smelt_layout *layout;
    smelt_buf b, directory;
    uint64_t base, count;
    int file;
    smelt_err *err;
} writer;

/* A record's local header, padded so that its data begin at a multiple of 64, and its entry in the directory. */
static void put_header(writer *w, const char *name, uint64_t size, uint32_t crc)
{
    char path[64];
    snprintf(path, sizeof path, "archive/%s", name);
    const uint16_t name_len = (uint16_t)strlen(path);
    const uint64_t at = w->base + w->b.size;
    const bool large = size >= UINT32_MAX, far = at >= UINT32_MAX;
    const uint16_t version = large || far ? 45 : 20, utf8 = 0x0800;
    /* The padding is an extra field with torch's own mark, "FB". */
    const uint64_t fixed = 30U + name_len + (large ? 20 : 0) + 4;
    const uint16_t pad = (uint16_t)((STORAGE_ALIGN - (at + fixed) % STORAGE_ALIGN) % STORAGE_ALIGN);
    smelt_buf *b = &w->b;
    buf_u32(b, 0x04034B50);
    buf_u16(b, version);
    buf_u16(b, utf8);
    buf_zeros(b, 6); /* stored; no time */
    buf_u32(b, crc);
    buf_u32(b, large ? UINT32_MAX : (uint32_t)size);
    buf_u32(b, large ? UINT32_MAX : (uint32_t)size);
    buf_u16(b, name_len);
    buf_u16(b, (uint16_t)((large ? 20 : 0) + 4 + pad));
    buf_put(b, path, name_len);
    if (large) {
        buf_u16(b, 1);
        buf_u16(b, 16);
        buf_u64(b, size);
        buf_u64(b, size);
    }
    put_text(b, "FB");
    buf_u16(b, pad);
    buf_zeros(b, pad);

    b = &w->directory;
    buf_u32(b, 0x02014B50);
    buf_u16(b, version);
    buf_u16(b, version);
    buf_u16(b, utf8);
    buf_zeros(b, 6);
    buf_u32(b, crc);
    buf_u32(b, large ? UINT32_MAX : (uint32_t)size);
    buf_u32(b, large ? UINT32_MAX : (uint32_t)size);
    buf_u16(b, name_len);
    const uint16_t wide = (uint16_t)((large ? 16 : 0) + (far ? 8 : 0));
    buf_u16(b, wide ? (uint16_t)(4 + wide) : 0);
    buf_zeros(b, 10);
    buf_u32(b, far ? UINT32_MAX : (uint32_t)at);
    buf_put(b, path, name_len);
    if (wide) {
        buf_u16(b, 1);
        buf_u16(b, wide);
        if (large) buf_u64(b, size);
        if (large) buf_u64(b, size);
        if (far) buf_u64(b, at);
    }
    w->count++;
}

static void put_record(writer *w, const char *name, const void *data, size_t size)
{
    put_header(w, name, size, (uint32_t)crc32_z(0, data, size));
    buf_put(&w->b, data, size);
}

/* The directory, and the end record in both its forms, as torch writes them. */
static void put_end(writer *w)
{
    const uint64_t at = w->base + w->b.size, size = w->directory.size, end64 = at + size;
    smelt_buf *b = &w->b;
    buf_put(b, w->directory.data, w->directory.size);
    buf_u32(b, 0x06064B50);
    buf_u64(b, 44);
    buf_u16(b, 45);
    buf_u16(b, 45);
    buf_u64(b, 0);
    buf_u64(b, w->count);
    buf_u64(b, w->count);
    buf_u64(b, size);
    buf_u64(b, at);
    buf_u32(b, 0x07064B50);
    buf_u32(b, 0);
    buf_u64(b, end64);
    buf_u32(b, 1);
    buf_u32(b, 0x06054B50);
    buf_u32(b, 0);
    buf_u16(b, w->count > UINT16_MAX ? UINT16_MAX : (uint16_t)w->count);
    buf_u16(b, w->count > UINT16_MAX ? UINT16_MAX : (uint16_t)w->count);
    buf_u32(b, size > UINT32_MAX ? UINT32_MAX : (uint32_t)size);
    buf_u32(b, at > UINT32_MAX ? UINT32_MAX : (uint32_t)at);
    buf_u16(b, 0);
}

/* Makes a blob of what was collected and goes on behind `skip` bytes of tensor data. */
static smelt_status flush(writer *w, uint64_t skip)
{
    if (w->b.failed || w->directory.failed) return smelt_oom(w->err);
    void *copy = arena_calloc(&w->layout->arena, w->b.size, 1);
    if (!copy) return smelt_oom(w->err);
    if (w->b.size) memcpy(copy, w->b.data, w->b.size);
    SMELT_TRY(layout_add_blob(w->layout, w->file, w->base, copy, w->b.size, w->err));
    w->base += w->b.size + skip;
    w->b.size = 0;
    return SMELT_OK;
}

static smelt_status put_archive(writer *w, const smelt_model *out, const smelt_dtype *types, const smelt_buf *pickle)
{
    put_record(w, "data.pkl", pickle->data, pickle->size);
    put_record(w, ".format_version", "1", 1);
    put_record(w, ".storage_alignment", "64", 2);
    put_record(w, "byteorder", "little", 6);
    put_record(w, "version", "3\n", 2);
    smelt_layout *l = w->layout;
    for (size_t i = 0; i < out->n_tensors; i++) {
        const smelt_tensor *t = &out->tensors[i];
        uint64_t elems = 0, bytes = 0, end;
        char name[32];
        shape_elems(&t->shape, &elems);
        smelt_dtype_bytes(types[i], elems, &bytes);
        snprintf(name, sizeof name, "data/%zu", i);
        /* The CRC of data that are not there yet: 0. torch checks none; Python's zipfile would, and so refuses these records. */
        put_header(w, name, bytes, 0);
        if (!arena_room(&l->arena, &l->tensors, l->n_tensors, &l->cap_tensors, sizeof *l->tensors)) return smelt_oom(w->err);
        if (!add_u64(w->base + w->b.size, bytes, &end) || end > INT64_MAX)
            return smelt_fail(w->err, SMELT_E_LIMIT, "the file would have more than 2^63 bytes");
        SMELT_TRY(flush(w, bytes));
        l->tensors[l->n_tensors++] =
            (smelt_out_tensor){.src = t, .dtype = types[i], .file = w->file, .offset = w->base - bytes, .bytes = bytes};
    }
    put_end(w);
    SMELT_TRY(flush(w, 0));
    l->files[w->file].size = w->base;
    return SMELT_OK;
}

static smelt_status torch_zip_layout(const smelt_ctx *ctx, const smelt_model *model, const smelt_model *out,
                                     const smelt_dtype *types, const char *target, const smelt_write_opts *opts,
                                     smelt_layout *layout, smelt_err *err)
{
    (void)ctx;
    (void)model;
    if (opts->split_bytes || opts->split_tensors)
        return smelt_fail(err, SMELT_E_USAGE, "a PyTorch file cannot be split; a directory target gives safetensors in shards");
    if (opts->alignment && opts->alignment != STORAGE_ALIGN)
        return smelt_fail(err, SMELT_E_USAGE, "tensors of a PyTorch file are aligned to %d bytes", STORAGE_ALIGN);
    if (!out->n_tensors)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "the source has no tensors, and a PyTorch file holds nothing else");
    const char *name = path_base(&layout->arena, target);
    if (!name) return smelt_oom(err);
    smelt_buf pickle = {0};
    writer w = {.layout = layout, .err = err};
    smelt_status status = put_pickle(&pickle, out, types, err);
    if (status == SMELT_OK && pickle.failed) status = smelt_oom(err);
    if (status == SMELT_OK) status = layout_add_file(layout, name, NULL, 0, 0, &w.file, err);
    if (status == SMELT_OK) status = put_archive(&w, out, types, &pickle);
    buf_free(&pickle);
    buf_free(&w.b);
    buf_free(&w.directory);
    return status;
}

const smelt_format smelt_format_torch_zip = {
    .name = "torch_zip",
    .extensions = ".pt .pth .bin",
    .title = "PyTorch",
    .probe = torch_zip_probe,
    .read = torch_zip_read,
    .project = torch_zip_project,
    .layout = torch_zip_layout,
    .can_store = torch_zip_can_store,
    .audit = torch_audit,
};
