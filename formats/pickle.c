#include "formats/pickle.h"

#include <stdio.h>

/* Running state. The stack and the memo hold values; marks hold stack depths, and nothing pops beneath the last mark. */
typedef struct pk {
    smelt_arena *arena; /* of what the caller gets */
    smelt_arena tmp;    /* of stack, marks and memo */
    smelt_cur *cur;
    pk_storages *storages;
    pk_value *stack;
    size_t depth, cap_stack;
    size_t *marks;
    size_t n_marks, cap_marks;
    pk_value *memo; /* tag PK_UNSET where nothing was put */
    size_t n_memo, cap_memo, next_memo;
    uint64_t at;     /* offset of the opcode in work, within the cursor */
    uint64_t copied; /* items copied by calls: bounded, since a memo lets one list be copied again and again */
    const char *op;
    bool stopped;
} pk;

enum { PK_UNSET = 0xFF };

typedef struct pk_global {
    const char *module, *name;
    smelt_status (*call)(pk *m, const pk_box *args, pk_value *out);
} pk_global;

static const pk_dtype dtypes[] = {
#define SMELT_DTYPE(id, name, kind, elems, bytes, gguf, st, torch, storage) {(torch), (storage), SMELT_DT_##id},
#include "ir/dtype.def"
#undef SMELT_DTYPE
    /* Settings beside the weights may name these; a tensor of them is refused. */
    {"complex32", NULL, SMELT_DT_COUNT}, {"float4_e2m1fn_x2", NULL, SMELT_DT_COUNT}, {"qint8", NULL, SMELT_DT_COUNT},
    {"quint8", NULL, SMELT_DT_COUNT},    {"qint32", NULL, SMELT_DT_COUNT},           {"quint4x2", NULL, SMELT_DT_COUNT},
    {"quint2x4", NULL, SMELT_DT_COUNT},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* The classes torch.storage.UntypedStorage and TypedStorage: PK_CLASS with these for a dtype. */
static const pk_dtype untyped = {"untyped", "UntypedStorage", SMELT_DT_U8}, typed = {"unknown", "TypedStorage", SMELT_DT_COUNT};

const pk_dtype *pk_dtype_for(smelt_dtype dtype)
{
    for (size_t i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == dtype && dtypes[i].name && dtype != SMELT_DT_COUNT) return &dtypes[i];
    return NULL;
}

static bool bytes_eq(const char *s, size_t n, const char *text) { return strlen(text) == n && memcmp(s, text, n) == 0; }

bool pk_str_eq(const pk_value *v, const char *text) { return v->tag == PK_STR && bytes_eq(v->v.s, v->n, text); }

const char *pk_type_name(const pk_value *v)
{
    static const char *const names[] = {
        [PK_NONE] = "None",
        [PK_BOOL] = "a bool",
        [PK_INT] = "an integer",
        [PK_BIG] = "a long integer",
        [PK_FLOAT] = "a float",
        [PK_STR] = "a string",
        [PK_BYTES] = "a bytes object",
        [PK_TUPLE] = "a tuple",
        [PK_LIST] = "a list",
        [PK_SET] = "a set",
        [PK_DICT] = "a dict",
        [PK_DTYPE] = "a dtype",
        [PK_CLASS] = "a storage class",
        [PK_GLOBAL] = "a function",
        [PK_STORAGE] = "a storage",
        [PK_TENSOR] = "a tensor",
        [PK_OPAQUE] = "a device or layout",
    };
    return names[v->tag];
}

const char *pk_text(const char *s, size_t n, char *buf, size_t size)
{
    static const char cut[] = "...";
    size_t room = size - 1, k = n < room ? n : room;
    for (size_t i = 0; i < k; i++)
        buf[i] = s[i] >= 0x20 && s[i] < 0x7F ? s[i] : '?';
    buf[k] = 0;
    if (n > room && size > sizeof cut) memcpy(buf + size - sizeof cut, cut, sizeof cut);
    return buf;
}

/* ---- the stack ---- */

#define PK_FAIL(m, code, ...) smelt_fail_at((m)->cur->err, (code), (m)->cur->base + (m)->at, __VA_ARGS__)

static smelt_status push(pk *m, pk_value v)
{
    if (!arena_room(&m->tmp, &m->stack, m->depth, &m->cap_stack, sizeof *m->stack)) return smelt_oom(m->cur->err);
    m->stack[m->depth++] = v;
    return SMELT_OK;
}

static size_t stack_floor(const pk *m) { return m->n_marks ? m->marks[m->n_marks - 1] : 0; }

static smelt_status pop(pk *m, pk_value *out)
{
    if (m->depth == stack_floor(m)) return PK_FAIL(m, SMELT_E_CORRUPT, "%s finds nothing on the stack", m->op);
    *out = m->stack[--m->depth];
    return SMELT_OK;
}

static smelt_status peek(pk *m, pk_value *out)
{
    SMELT_TRY(pop(m, out));
    m->depth++;
    return SMELT_OK;
}

/* Takes what was pushed since the last mark; it stays valid until the next push. */
static smelt_status pop_mark(pk *m, pk_value **items, size_t *n)
{
    if (!m->n_marks) return PK_FAIL(m, SMELT_E_CORRUPT, "%s finds no mark on the stack", m->op);
    size_t from = m->marks[--m->n_marks];
    const bool some = from < m->depth;
    *items = some ? m->stack + from : NULL;
    *n = some ? m->depth - from : 0;
    m->depth = from;
    return SMELT_OK;
}

static smelt_status new_box(pk *m, pk_tag tag, const pk_value *items, size_t n, pk_value *out)
{
    pk_box *box = arena_calloc(m->arena, 1, sizeof *box);
    if (box && n) box->item = arena_calloc(m->arena, n, sizeof *box->item);
    if (!box || (n && !box->item)) return smelt_oom(m->cur->err);
    if (n) memcpy(box->item, items, n * sizeof *items);
    box->n = box->cap = n;
    *out = (pk_value){.tag = (uint8_t)tag, .v.box = box};
    return SMELT_OK;
}

static smelt_status push_box(pk *m, pk_tag tag, const pk_value *items, size_t n)
{
    pk_value v;
    SMELT_TRY(new_box(m, tag, items, n, &v));
    return push(m, v);
}

static smelt_status box_append(pk *m, pk_box *box, pk_value v)
{
    if (!arena_room(m->arena, &box->item, box->n, &box->cap, sizeof *box->item)) return smelt_oom(m->cur->err);
    box->item[box->n++] = v;
    return SMELT_OK;
}

/* Python hashes a key, so that a list or a dict is none; beyond that, anything goes that cannot hide a structure. */
static smelt_status dict_add(pk *m, pk_box *box, const pk_value *key, const pk_value *value)
{
    if (key->tag == PK_LIST || key->tag == PK_DICT || key->tag == PK_SET)
        return PK_FAIL(m, SMELT_E_CORRUPT, "%s uses %s as a key", m->op, pk_type_name(key));
    SMELT_TRY(box_append(m, box, *key));
    return box_append(m, box, *value);
}

static smelt_status want_tag(pk *m, const pk_value *v, pk_tag tag, const char *what)
{
    if (v->tag == tag) return SMELT_OK;
    pk_value wanted = {.tag = (uint8_t)tag};
    return PK_FAIL(m, SMELT_E_CORRUPT, "%s: %s must be %s, found %s", m->op, what, pk_type_name(&wanted), pk_type_name(v));
}

static smelt_status want_count(pk *m, const pk_value *v, const char *what, uint64_t *out)
{
    SMELT_TRY(want_tag(m, v, PK_INT, what));
    if (v->v.i < 0) return PK_FAIL(m, SMELT_E_CORRUPT, "%s is negative: %" PRId64, what, v->v.i);
    *out = (uint64_t)v->v.i;
    return SMELT_OK;
}

/* ---- what may be called ---- */

static smelt_status want_args(pk *m, const pk_box *args, size_t least, size_t most, const char *name)
{
    if (args->n >= least && args->n <= most) return SMELT_OK;
    return PK_FAIL(m, SMELT_E_CORRUPT, "%s is given %zu arguments", name, args->n);
}

static smelt_status want_hooks(pk *m, const pk_value *v)
{
    return v->tag == PK_NONE ? SMELT_OK : want_tag(m, v, PK_DICT, "the backward hooks");
}

/* Arguments: storage, offset, size, stride; from v2 on requires_grad and backward hooks; v3 the dtype; then a dict with the
 * lazy bits, if any is set. */
static smelt_status rebuild(pk *m, const pk_box *args, size_t fixed, const char *name, pk_value *out)
{
    SMELT_TRY(want_args(m, args, fixed, fixed == 4 ? 4 : fixed + 1, name));
    const pk_value *a = args->item;
    SMELT_TRY(want_tag(m, &a[0], PK_STORAGE, "a tensor's storage"));
    SMELT_TRY(want_tag(m, &a[2], PK_TUPLE, "a tensor's size"));
    SMELT_TRY(want_tag(m, &a[3], PK_TUPLE, "a tensor's stride"));
    const pk_box *size = a[2].v.box, *stride = a[3].v.box;
    if (size->n > SMELT_MAX_DIMS)
        return PK_FAIL(m, SMELT_E_LIMIT, "a tensor has %zu dimensions, at most %d are accepted", size->n, SMELT_MAX_DIMS);
    if (size->n != stride->n) return PK_FAIL(m, SMELT_E_CORRUPT, "a tensor has %zu sizes and %zu strides", size->n, stride->n);
    pk_tensor *t = arena_calloc(m->arena, 1, sizeof *t);
    if (!t) return smelt_oom(m->cur->err);
    t->storage = a[0].v.storage;
    t->n = (int)size->n;
    if (!(t->dim = arena_calloc(m->arena, size->n * 2, sizeof *t->dim))) return smelt_oom(m->cur->err);
    SMELT_TRY(want_count(m, &a[1], "a tensor's offset", &t->offset));
    for (size_t i = 0; i < size->n; i++) {
        SMELT_TRY(want_count(m, &size->item[i], "a tensor's size", &t->dim[i]));
        SMELT_TRY(want_count(m, &stride->item[i], "a tensor's stride", &t->dim[size->n + i]));
    }
    if (fixed > 4) {
        SMELT_TRY(want_tag(m, &a[4], PK_BOOL, "requires_grad"));
        SMELT_TRY(want_hooks(m, &a[5]));
    }
    t->dtype = t->storage->dtype;
    if (fixed == 7) {
        SMELT_TRY(want_tag(m, &a[6], PK_DTYPE, "a tensor's dtype"));
        if (t->dtype) return PK_FAIL(m, SMELT_E_CORRUPT, "a tensor's dtype is given twice, by its storage too");
        t->dtype = a[6].v.dtype;
    }
    if (!t->dtype) return PK_FAIL(m, SMELT_E_CORRUPT, "a tensor's storage has no dtype");
    if (args->n > fixed && a[fixed].tag != PK_NONE) {
        SMELT_TRY(want_tag(m, &a[fixed], PK_DICT, "a tensor's metadata"));
        const pk_box *meta = a[fixed].v.box;
        if (meta->n > 4) return PK_FAIL(m, SMELT_E_CORRUPT, "a tensor's metadata has %zu entries, two are known", meta->n / 2);
        for (size_t i = 0; i < meta->n; i += 2)
            t->lazy = t->lazy || (meta->item[i + 1].tag == PK_BOOL && meta->item[i + 1].v.b);
    }
    *out = (pk_value){.tag = PK_TENSOR, .v.tensor = t};
    return SMELT_OK;
}

static smelt_status call_tensor(pk *m, const pk_box *args, pk_value *out) { return rebuild(m, args, 4, "_rebuild_tensor", out); }
static smelt_status call_tensor_v2(pk *m, const pk_box *args, pk_value *out)
{
    return rebuild(m, args, 6, "_rebuild_tensor_v2", out);
}
static smelt_status call_tensor_v3(pk *m, const pk_box *args, pk_value *out)
{
    return rebuild(m, args, 7, "_rebuild_tensor_v3", out);
}

/* Arguments: the tensor, requires_grad, backward hooks, attributes set in Python. Only the tensor matters. */
static smelt_status call_parameter(pk *m, const pk_box *args, pk_value *out)
{
    SMELT_TRY(want_args(m, args, 1, 4, "a parameter"));
    SMELT_TRY(want_tag(m, &args->item[0], PK_TENSOR, "a parameter's data"));
    if (args->n > 1) SMELT_TRY(want_tag(m, &args->item[1], PK_BOOL, "requires_grad"));
    if (args->n > 2) SMELT_TRY(want_hooks(m, &args->item[2]));
    *out = args->item[0];
    return SMELT_OK;
}

/* OrderedDict() or, as Python 2 pickled it, OrderedDict([[key, value], …]). */
static smelt_status call_ordered_dict(pk *m, const pk_box *args, pk_value *out)
{
    SMELT_TRY(want_args(m, args, 0, 1, "OrderedDict"));
    SMELT_TRY(new_box(m, PK_DICT, NULL, 0, out));
    out->v.box->ordered = true;
    if (!args->n) return SMELT_OK;
    SMELT_TRY(want_tag(m, &args->item[0], PK_LIST, "OrderedDict's content"));
    const pk_box *list = args->item[0].v.box;
    m->copied += list->n;
    if (m->copied > m->at) return PK_FAIL(m, SMELT_E_CORRUPT, "the same pairs are made into one OrderedDict after another");
    for (size_t i = 0; i < list->n; i++) {
        const pk_value *pair = &list->item[i];
        if ((pair->tag != PK_LIST && pair->tag != PK_TUPLE) || pair->v.box->n != 2)
            return PK_FAIL(m, SMELT_E_CORRUPT, "OrderedDict's content holds %s where a pair belongs", pk_type_name(pair));
        SMELT_TRY(dict_add(m, out->v.box, &pair->v.box->item[0], &pair->v.box->item[1]));
    }
    return SMELT_OK;
}

/* Counter({key: count}), which learning-rate schedules keep beside the weights. */
static smelt_status call_counter(pk *m, const pk_box *args, pk_value *out)
{
    SMELT_TRY(want_args(m, args, 1, 1, "Counter"));
    SMELT_TRY(want_tag(m, &args->item[0], PK_DICT, "Counter's content"));
    *out = args->item[0];
    return SMELT_OK;
}

static smelt_status call_size(pk *m, const pk_box *args, pk_value *out)
{
    SMELT_TRY(want_args(m, args, 1, 1, "torch.Size"));
    SMELT_TRY(want_tag(m, &args->item[0], PK_TUPLE, "torch.Size's content"));
    *out = args->item[0];
    return SMELT_OK;
}

static smelt_status call_opaque(pk *m, const pk_box *args, pk_value *out)
{
    SMELT_TRY(want_args(m, args, 1, 2, "a device or layout"));
    *out = (pk_value){.tag = PK_OPAQUE};
    return SMELT_OK;
}

static const pk_global globals[] = {
    {"collections", "OrderedDict", call_ordered_dict},
    {"collections", "Counter", call_counter},
    {"torch._utils", "_rebuild_tensor", call_tensor},
    {"torch._utils", "_rebuild_tensor_v2", call_tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", call_tensor_v3},
    {"torch._utils", "_rebuild_parameter", call_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", call_parameter},
    {"torch.nn.parameter", "Parameter", call_parameter},
    {"torch", "Size", call_size},
    {"torch", "device", call_opaque},
    {"torch.serialization", "_get_layout", call_opaque},
};

static bool known_global(const char *module, size_t module_len, const char *name, size_t name_len, pk_value *out)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (bytes_eq(module, module_len, globals[i].module) && bytes_eq(name, name_len, globals[i].name)) {
            *out = (pk_value){.tag = PK_GLOBAL, .v.global = &globals[i]};
            return true;
        }
    if (bytes_eq(module, module_len, "torch"))
        for (size_t i = 0; i < N_DTYPES; i++) {
            if (!dtypes[i].name) continue;
            bool is_class = dtypes[i].storage && bytes_eq(name, name_len, dtypes[i].storage);
            if (!is_class && !bytes_eq(name, name_len, dtypes[i].name)) continue;
            *out = (pk_value){.tag = is_class ? PK_CLASS : PK_DTYPE, .v.dtype = &dtypes[i]};
            return true;
        }
    if (bytes_eq(module, module_len, "torch.storage")) {
        const pk_dtype *which = bytes_eq(name, name_len, untyped.storage) ? &untyped
                                : bytes_eq(name, name_len, typed.storage) ? &typed
                                                                          : NULL;
        if (which) {
            *out = (pk_value){.tag = PK_CLASS, .v.dtype = which};
            return true;
        }
    }
    return false;
}

bool pk_global_known(const char *module, size_t module_len, const char *name, size_t name_len)
{
    pk_value v;
    return known_global(module, module_len, name, name_len, &v);
}

static smelt_status find_global(pk *m, const char *module, size_t module_len, const char *name, size_t name_len, pk_value *out)
{
    if (known_global(module, module_len, name, name_len, out)) return SMELT_OK;
    char a[96], b[96];
    return PK_FAIL(m, SMELT_E_FORBIDDEN,
                   "the pickle names %s.%s, which tensors do not need; smelt runs no code from a file. If you trust this one, "
                   "load it with torch and save its state dict alone",
                   pk_text(module, module_len, a, sizeof a), pk_text(name, name_len, b, sizeof b));
}

/* ---- opcodes ---- */

static smelt_status op_proto(pk *m)
{
    uint8_t version;
    SMELT_TRY(cur_u8(m->cur, m->op, &version));
    if (version > 5) return PK_FAIL(m, SMELT_E_UNSUPPORTED, "pickle protocol %d, known are 2 to 5", version);
    return SMELT_OK;
}

/* A frame is a hint for buffered reading; only its length can be wrong. */
static smelt_status op_frame(pk *m)
{
    uint64_t n;
    SMELT_TRY(cur_u64(m->cur, m->op, &n));
    return cur_need(m->cur, n, "a frame");
}

static smelt_status op_stop(pk *m)
{
    if (m->n_marks || m->depth != 1) return PK_FAIL(m, SMELT_E_CORRUPT, "STOP with %zu values on the stack", m->depth);
    m->stopped = true;
    return SMELT_OK;
}

static smelt_status op_mark(pk *m)
{
    if (!arena_room(&m->tmp, &m->marks, m->n_marks, &m->cap_marks, sizeof *m->marks)) return smelt_oom(m->cur->err);
    m->marks[m->n_marks++] = m->depth;
    return SMELT_OK;
}

static smelt_status op_none(pk *m) { return push(m, (pk_value){.tag = PK_NONE}); }
static smelt_status op_true(pk *m) { return push(m, (pk_value){.tag = PK_BOOL, .v.b = true}); }
static smelt_status op_false(pk *m) { return push(m, (pk_value){.tag = PK_BOOL, .v.b = false}); }
static smelt_status push_int(pk *m, int64_t i) { return push(m, (pk_value){.tag = PK_INT, .v.i = i}); }

static smelt_status op_int1(pk *m)
{
    uint8_t v;
    SMELT_TRY(cur_u8(m->cur, m->op, &v));
    return push_int(m, v);
}

static smelt_status op_int2(pk *m)
{
    uint16_t v;
    SMELT_TRY(cur_u16(m->cur, m->op, &v));
    return push_int(m, v);
}

static smelt_status op_int4(pk *m)
{
    uint32_t v;
    SMELT_TRY(cur_u32(m->cur, m->op, &v));
    return push_int(m, (int32_t)v);
}

static smelt_status push_bytes(pk *m, uint64_t n, pk_tag tag)
{
    const uint8_t *p;
    SMELT_TRY(cur_bytes(m->cur, n, m->op, &p));
    return push(m, (pk_value){.tag = (uint8_t)tag, .n = (uint32_t)n, .v.s = (const char *)p});
}

static smelt_status push_long(pk *m, uint64_t n)
{
    if (n > 8) return push_bytes(m, n, PK_BIG);
    const uint8_t *p;
    SMELT_TRY(cur_bytes(m->cur, n, m->op, &p));
    uint64_t v = n && (p[n - 1] & 0x80U) ? UINT64_MAX : 0;
    for (uint64_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return push_int(m, (int64_t)v);
}

static smelt_status op_long1(pk *m)
{
    uint8_t n;
    SMELT_TRY(cur_u8(m->cur, m->op, &n));
    return push_long(m, n);
}

static smelt_status op_long4(pk *m)
{
    uint32_t n;
    SMELT_TRY(cur_u32(m->cur, m->op, &n));
    return push_long(m, n);
}

static smelt_status op_float(pk *m)
{
    uint64_t bits;
    SMELT_TRY(cur_u64(m->cur, m->op, &bits));
    bits = __builtin_bswap64(bits);
    pk_value v = {.tag = PK_FLOAT};
    memcpy(&v.v.f, &bits, sizeof bits);
    return push(m, v);
}

static smelt_status str1(pk *m, pk_tag tag)
{
    uint8_t n;
    SMELT_TRY(cur_u8(m->cur, m->op, &n));
    return push_bytes(m, n, tag);
}

static smelt_status str4(pk *m, pk_tag tag)
{
    uint32_t n;
    SMELT_TRY(cur_u32(m->cur, m->op, &n));
    return push_bytes(m, n, tag);
}

static smelt_status str8(pk *m, pk_tag tag)
{
    uint64_t n;
    SMELT_TRY(cur_u64(m->cur, m->op, &n));
    return push_bytes(m, n, tag);
}

/* Python 2's str, of which protocol 2 files of that time are full, reads as text. */
static smelt_status op_str1(pk *m) { return str1(m, PK_STR); }
static smelt_status op_str4(pk *m) { return str4(m, PK_STR); }
static smelt_status op_str8(pk *m) { return str8(m, PK_STR); }
static smelt_status op_bytes1(pk *m) { return str1(m, PK_BYTES); }
static smelt_status op_bytes4(pk *m) { return str4(m, PK_BYTES); }
static smelt_status op_bytes8(pk *m) { return str8(m, PK_BYTES); }

static smelt_status op_empty_tuple(pk *m) { return push_box(m, PK_TUPLE, NULL, 0); }
static smelt_status op_empty_list(pk *m) { return push_box(m, PK_LIST, NULL, 0); }
static smelt_status op_empty_dict(pk *m) { return push_box(m, PK_DICT, NULL, 0); }
static smelt_status op_empty_set(pk *m) { return push_box(m, PK_SET, NULL, 0); }

static smelt_status box_since_mark(pk *m, pk_tag tag)
{
    pk_value *items;
    size_t n;
    SMELT_TRY(pop_mark(m, &items, &n));
    return push_box(m, tag, items, n);
}

static smelt_status op_tuple(pk *m) { return box_since_mark(m, PK_TUPLE); }
static smelt_status op_frozenset(pk *m) { return box_since_mark(m, PK_SET); }

static smelt_status tuple_of(pk *m, size_t n)
{
    pk_value items[3];
    for (size_t i = n; i-- > 0;)
        SMELT_TRY(pop(m, &items[i]));
    return push_box(m, PK_TUPLE, items, n);
}

static smelt_status op_tuple1(pk *m) { return tuple_of(m, 1); }
static smelt_status op_tuple2(pk *m) { return tuple_of(m, 2); }
static smelt_status op_tuple3(pk *m) { return tuple_of(m, 3); }

static smelt_status op_append(pk *m)
{
    pk_value v, list;
    SMELT_TRY(pop(m, &v));
    SMELT_TRY(peek(m, &list));
    SMELT_TRY(want_tag(m, &list, PK_LIST, "the target"));
    return box_append(m, list.v.box, v);
}

static smelt_status append_since_mark(pk *m, pk_tag tag)
{
    pk_value *items, target;
    size_t n;
    SMELT_TRY(pop_mark(m, &items, &n));
    SMELT_TRY(peek(m, &target));
    SMELT_TRY(want_tag(m, &target, tag, "the target"));
    for (size_t i = 0; i < n; i++)
        SMELT_TRY(box_append(m, target.v.box, items[i]));
    return SMELT_OK;
}

static smelt_status op_appends(pk *m) { return append_since_mark(m, PK_LIST); }
static smelt_status op_additems(pk *m) { return append_since_mark(m, PK_SET); }

static smelt_status op_setitem(pk *m)
{
    pk_value key, value, dict;
    SMELT_TRY(pop(m, &value));
    SMELT_TRY(pop(m, &key));
    SMELT_TRY(peek(m, &dict));
    SMELT_TRY(want_tag(m, &dict, PK_DICT, "the target"));
    return dict_add(m, dict.v.box, &key, &value);
}

static smelt_status op_setitems(pk *m)
{
    pk_value *items, dict;
    size_t n;
    SMELT_TRY(pop_mark(m, &items, &n));
    SMELT_TRY(peek(m, &dict));
    SMELT_TRY(want_tag(m, &dict, PK_DICT, "the target"));
    if (n % 2) return PK_FAIL(m, SMELT_E_CORRUPT, "SETITEMS is given a key without a value");
    for (size_t i = 0; i < n; i += 2)
        SMELT_TRY(dict_add(m, dict.v.box, &items[i], &items[i + 1]));
    return SMELT_OK;
}

static smelt_status get(pk *m, uint64_t i)
{
    if (i >= m->n_memo || m->memo[i].tag == PK_UNSET)
        return PK_FAIL(m, SMELT_E_CORRUPT, "%s of number %" PRIu64 ", which nothing was stored under", m->op, i);
    return push(m, m->memo[i]);
}

static smelt_status put(pk *m, uint64_t i)
{
    pk_value v;
    SMELT_TRY(peek(m, &v));
    if (i > m->at) return PK_FAIL(m, SMELT_E_CORRUPT, "%s of number %" PRIu64 " in a pickle of fewer bytes so far", m->op, i);
    while (m->n_memo <= i) {
        if (!arena_room(&m->tmp, &m->memo, m->n_memo, &m->cap_memo, sizeof *m->memo)) return smelt_oom(m->cur->err);
        m->memo[m->n_memo++] = (pk_value){.tag = PK_UNSET};
    }
    m->memo[i] = v;
    return SMELT_OK;
}

static smelt_status op_get1(pk *m)
{
    uint8_t i;
    SMELT_TRY(cur_u8(m->cur, m->op, &i));
    return get(m, i);
}

static smelt_status op_get4(pk *m)
{
    uint32_t i;
    SMELT_TRY(cur_u32(m->cur, m->op, &i));
    return get(m, i);
}

static smelt_status op_put1(pk *m)
{
    uint8_t i;
    SMELT_TRY(cur_u8(m->cur, m->op, &i));
    return put(m, i);
}

static smelt_status op_put4(pk *m)
{
    uint32_t i;
    SMELT_TRY(cur_u32(m->cur, m->op, &i));
    return put(m, i);
}

static smelt_status op_memoize(pk *m) { return put(m, m->next_memo++); }

static smelt_status read_line(pk *m, const char **line, size_t *n)
{
    const uint8_t *from = m->cur->data + m->cur->pos, *end = memchr(from, '\n', m->cur->size - m->cur->pos);
    if (!end) return PK_FAIL(m, SMELT_E_TRUNCATED, "%s: the name does not end", m->op);
    *line = (const char *)from;
    *n = (size_t)(end - from);
    m->cur->pos += *n + 1;
    return SMELT_OK;
}

static smelt_status op_global(pk *m)
{
    const char *module, *name;
    size_t module_len, name_len;
    pk_value v;
    SMELT_TRY(read_line(m, &module, &module_len));
    SMELT_TRY(read_line(m, &name, &name_len));
    SMELT_TRY(find_global(m, module, module_len, name, name_len, &v));
    return push(m, v);
}

static smelt_status op_stack_global(pk *m)
{
    pk_value module, name, v;
    SMELT_TRY(pop(m, &name));
    SMELT_TRY(pop(m, &module));
    SMELT_TRY(want_tag(m, &module, PK_STR, "the module"));
    SMELT_TRY(want_tag(m, &name, PK_STR, "the name"));
    SMELT_TRY(find_global(m, module.v.s, module.n, name.v.s, name.n, &v));
    return push(m, v);
}

/* REDUCE calls a function, NEWOBJ makes an object of a class: the same thing for the few that there are. */
static smelt_status op_reduce(pk *m)
{
    pk_value args, callee, v;
    SMELT_TRY(pop(m, &args));
    SMELT_TRY(pop(m, &callee));
    SMELT_TRY(want_tag(m, &callee, PK_GLOBAL, "what is called"));
    SMELT_TRY(want_tag(m, &args, PK_TUPLE, "the arguments"));
    SMELT_TRY(callee.v.global->call(m, args.v.box, &v));
    return push(m, v);
}

/* Attributes that a Python object had: a state dict carries its modules' versions so. They are dropped. */
static smelt_status op_build(pk *m)
{
    pk_value state, target;
    SMELT_TRY(pop(m, &state));
    SMELT_TRY(peek(m, &target));
    SMELT_TRY(want_tag(m, &target, PK_DICT, "the target"));
    if (!target.v.box->ordered) return PK_FAIL(m, SMELT_E_CORRUPT, "BUILD: a plain dict has no attributes");
    return want_tag(m, &state, PK_DICT, "the state");
}

/* ("storage", class, key, location, number of elements), in files of before torch 1.6 followed by None or by (key, offset,
 * number of elements) of a part. */
static smelt_status op_persid(pk *m)
{
    pk_value id;
    SMELT_TRY(pop(m, &id));
    SMELT_TRY(want_tag(m, &id, PK_TUPLE, "a persistent id"));
    const pk_value *a = id.v.box->item;
    const size_t n = id.v.box->n;
    if (n && pk_str_eq(&a[0], "module"))
        return PK_FAIL(m, SMELT_E_UNSUPPORTED, "the file holds a whole module with its source; save its state dict instead");
    if (n < 5 || n > 6 || !pk_str_eq(&a[0], "storage")) return PK_FAIL(m, SMELT_E_CORRUPT, "a persistent id that is no storage's");
    SMELT_TRY(want_tag(m, &a[1], PK_CLASS, "a storage's class"));
    SMELT_TRY(want_tag(m, &a[2], PK_STR, "a storage's key"));
    SMELT_TRY(want_tag(m, &a[3], PK_STR, "a storage's location"));
    uint64_t count, bytes;
    SMELT_TRY(want_count(m, &a[4], "a storage's size", &count));
    const pk_dtype *dtype = a[1].v.dtype;
    if (dtype == &typed) return PK_FAIL(m, SMELT_E_UNSUPPORTED, "a storage of class TypedStorage does not say its dtype");
    const uint32_t size = smelt_dtype_get(dtype->dtype)->bytes;
    if (!mul_u64(count, size, &bytes))
        return PK_FAIL(m, SMELT_E_CORRUPT, "a storage of %" PRIu64 " elements of %" PRIu32 " bytes", count, size);

    pk_storages *all = m->storages;
    bool added;
    char key[64];
    if (!arena_room(all->arena, &all->item, all->n, &all->cap, sizeof *all->item) ||
        !strmap_add(&all->keys, a[2].v.s, a[2].n, all->n, &added))
        return smelt_oom(m->cur->err);
    size_t index = all->n;
    if (added)
        all->item[all->n++] = (pk_storage){.key = a[2].v.s, .key_len = a[2].n, .elem_bytes = size, .bytes = bytes};
    else if (strmap_get(&all->keys, a[2].v.s, a[2].n, &index) && all->item[index].bytes != bytes)
        return PK_FAIL(m, SMELT_E_CORRUPT, "storage '%s' has %" PRIu64 " bytes here and %" PRIu64 " before",
                       pk_text(a[2].v.s, a[2].n, key, sizeof key), bytes, all->item[index].bytes);

    pk_storage_ref *ref = arena_calloc(m->arena, 1, sizeof *ref);
    if (!ref) return smelt_oom(m->cur->err);
    *ref = (pk_storage_ref){.index = index, .dtype = dtype == &untyped ? NULL : dtype, .base = 0, .bytes = bytes};
    if (n == 6 && a[5].tag != PK_NONE) {
        SMELT_TRY(want_tag(m, &a[5], PK_TUPLE, "a part of a storage"));
        const pk_box *part = a[5].v.box;
        uint64_t from, elems;
        SMELT_TRY(want_args(m, part, 3, 3, "a part of a storage"));
        SMELT_TRY(want_count(m, &part->item[1], "the start of a part of a storage", &from));
        SMELT_TRY(want_count(m, &part->item[2], "the size of a part of a storage", &elems));
        if (from > count || elems > count - from)
            return PK_FAIL(m, SMELT_E_CORRUPT, "a part of storage '%s' lies outside it",
                           pk_text(a[2].v.s, a[2].n, key, sizeof key));
        ref->base = from * size;
        ref->bytes = elems * size;
    }
    return push(m, (pk_value){.tag = PK_STORAGE, .v.storage = ref});
}

static const struct {
    const char *name;
    smelt_status (*run)(pk *m);
} ops[256] = {
    [0x80] = {"PROTO", op_proto},
    [0x95] = {"FRAME", op_frame},
    ['.'] = {"STOP", op_stop},
    ['('] = {"MARK", op_mark},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_true},
    [0x89] = {"NEWFALSE", op_false},
    ['J'] = {"BININT", op_int4},
    ['K'] = {"BININT1", op_int1},
    ['M'] = {"BININT2", op_int2},
    [0x8A] = {"LONG1", op_long1},
    [0x8B] = {"LONG4", op_long4},
    ['G'] = {"BINFLOAT", op_float},
    ['X'] = {"BINUNICODE", op_str4},
    [0x8C] = {"SHORT_BINUNICODE", op_str1},
    [0x8D] = {"BINUNICODE8", op_str8},
    ['U'] = {"SHORT_BINSTRING", op_str1},
    ['T'] = {"BINSTRING", op_str4},
    ['C'] = {"SHORT_BINBYTES", op_bytes1},
    ['B'] = {"BINBYTES", op_bytes4},
    [0x8E] = {"BINBYTES8", op_bytes8},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    [']'] = {"EMPTY_LIST", op_empty_list},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    [0x8F] = {"EMPTY_SET", op_empty_set},
    ['t'] = {"TUPLE", op_tuple},
    [0x85] = {"TUPLE1", op_tuple1},
    [0x86] = {"TUPLE2", op_tuple2},
    [0x87] = {"TUPLE3", op_tuple3},
    [0x91] = {"FROZENSET", op_frozenset},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_appends},
    [0x90] = {"ADDITEMS", op_additems},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    ['h'] = {"BINGET", op_get1},
    ['j'] = {"LONG_BINGET", op_get4},
    ['q'] = {"BINPUT", op_put1},
    ['r'] = {"LONG_BINPUT", op_put4},
    [0x94] = {"MEMOIZE", op_memoize},
    ['c'] = {"GLOBAL", op_global},
    [0x93] = {"STACK_GLOBAL", op_stack_global},
    ['R'] = {"REDUCE", op_reduce},
    [0x81] = {"NEWOBJ", op_reduce},
    ['b'] = {"BUILD", op_build},
    ['Q'] = {"BINPERSID", op_persid},
};

static smelt_status run(pk *m)
{
    while (!m->stopped) {
        uint8_t code;
        m->at = m->cur->pos;
        SMELT_TRY(cur_u8(m->cur, "the pickle's next opcode", &code));
        m->op = ops[code].name;
        if (!m->op) return PK_FAIL(m, SMELT_E_UNSUPPORTED, "pickle opcode 0x%02x, which torch.save does not write", code);
        SMELT_TRY(ops[code].run(m));
    }
    return SMELT_OK;
}

smelt_status pickle_load(smelt_arena *arena, smelt_cur *cur, pk_storages *storages, pk_value *out)
{
    SMELT_TRY(cur_need(cur, 1, "a pickle"));
    smelt_cur window = {.data = cur->data + cur->pos, .size = cur->size - cur->pos, .base = cur->base + cur->pos, .err = cur->err};
    const bool cut = window.size > PK_MAX_BYTES;
    if (cut) window.size = PK_MAX_BYTES;
    smelt_err inner = {0};
    if (cut) window.err = &inner;
    pk m = {.arena = arena, .cur = &window, .storages = storages};
    if (!storages->keys.arena) storages->keys.arena = storages->arena;
    smelt_status status = run(&m);
    if (status == SMELT_OK) *out = m.stack[0];
    arena_free(&m.tmp);
    cur->pos += window.pos;
    if (cut && status == SMELT_E_TRUNCATED)
        return smelt_fail_at(cur->err, SMELT_E_LIMIT, window.base, "the pickle has more than %d bytes", PK_MAX_BYTES);
    if (cut && status != SMELT_OK && cur->err && cur->err->code == SMELT_OK) *cur->err = inner;
    return status;
}
