#include "formats/pickle_audit.h"

#include "formats/pickle.h"

/* Arguments that follow an opcode: nothing, so many bytes, lines, or bytes behind their length. Source: CPython's pickletools. */
typedef enum arg { NO_OP, NONE, BYTES, LINE, LINES2, SIZED1, SIZED4, SIZED8 } arg;
/* What happens to the stack. */
typedef enum act {
    KEEP,
    PUSH,
    PUSH_TEXT,
    MARK,
    TO_MARK,
    TO_MARK_PUSH,
    POP,
    POP_PUSH,
    DUP,
    PUT,
    MEMOIZE,
    GET,
    GLOBAL,
    INST,
    STACK_GLOBAL,
    STOP
} act;

typedef struct op {
    const char *name;
    uint8_t arg, bytes; /* bytes: of BYTES */
    uint8_t act, pops;
    bool calls; /* calls code, or names it by a number from a table that the file does not have */
} op;

static const op ops[256] = {
    ['('] = {"MARK", NONE, 0, MARK},
    ['.'] = {"STOP", NONE, 0, STOP},
    ['0'] = {"POP", NONE, 0, POP, 1},
    ['1'] = {"POP_MARK", NONE, 0, TO_MARK},
    ['2'] = {"DUP", NONE, 0, DUP},
    ['F'] = {"FLOAT", LINE, 0, PUSH},
    ['I'] = {"INT", LINE, 0, PUSH},
    ['J'] = {"BININT", BYTES, 4, PUSH},
    ['K'] = {"BININT1", BYTES, 1, PUSH},
    ['L'] = {"LONG", LINE, 0, PUSH},
    ['M'] = {"BININT2", BYTES, 2, PUSH},
    ['N'] = {"NONE", NONE, 0, PUSH},
    ['P'] = {"PERSID", LINE, 0, PUSH},
    ['Q'] = {"BINPERSID", NONE, 0, POP_PUSH, 1},
    ['R'] = {"REDUCE", NONE, 0, POP_PUSH, 2},
    ['S'] = {"STRING", LINE, 0, PUSH_TEXT},
    ['T'] = {"BINSTRING", SIZED4, 0, PUSH_TEXT},
    ['U'] = {"SHORT_BINSTRING", SIZED1, 0, PUSH_TEXT},
    ['V'] = {"UNICODE", LINE, 0, PUSH_TEXT},
    ['X'] = {"BINUNICODE", SIZED4, 0, PUSH_TEXT},
    ['a'] = {"APPEND", NONE, 0, POP, 1},
    ['b'] = {"BUILD", NONE, 0, POP, 1},
    ['c'] = {"GLOBAL", LINES2, 0, GLOBAL},
    ['d'] = {"DICT", NONE, 0, TO_MARK_PUSH},
    ['}'] = {"EMPTY_DICT", NONE, 0, PUSH},
    ['e'] = {"APPENDS", NONE, 0, TO_MARK},
    ['g'] = {"GET", LINE, 0, GET},
    ['h'] = {"BINGET", BYTES, 1, GET},
    ['i'] = {"INST", LINES2, 0, INST, 0, true},
    ['j'] = {"LONG_BINGET", BYTES, 4, GET},
    ['l'] = {"LIST", NONE, 0, TO_MARK_PUSH},
    [']'] = {"EMPTY_LIST", NONE, 0, PUSH},
    ['o'] = {"OBJ", NONE, 0, TO_MARK_PUSH, 0, true},
    ['p'] = {"PUT", LINE, 0, PUT},
    ['q'] = {"BINPUT", BYTES, 1, PUT},
    ['r'] = {"LONG_BINPUT", BYTES, 4, PUT},
    ['s'] = {"SETITEM", NONE, 0, POP, 2},
    ['t'] = {"TUPLE", NONE, 0, TO_MARK_PUSH},
    [')'] = {"EMPTY_TUPLE", NONE, 0, PUSH},
    ['u'] = {"SETITEMS", NONE, 0, TO_MARK},
    ['G'] = {"BINFLOAT", BYTES, 8, PUSH},
    ['B'] = {"BINBYTES", SIZED4, 0, PUSH},
    ['C'] = {"SHORT_BINBYTES", SIZED1, 0, PUSH},
    [0x80] = {"PROTO", BYTES, 1, KEEP},
    [0x81] = {"NEWOBJ", NONE, 0, POP_PUSH, 2},
    [0x82] = {"EXT1", BYTES, 1, PUSH, 0, true},
    [0x83] = {"EXT2", BYTES, 2, PUSH, 0, true},
    [0x84] = {"EXT4", BYTES, 4, PUSH, 0, true},
    [0x85] = {"TUPLE1", NONE, 0, POP_PUSH, 1},
    [0x86] = {"TUPLE2", NONE, 0, POP_PUSH, 2},
    [0x87] = {"TUPLE3", NONE, 0, POP_PUSH, 3},
    [0x88] = {"NEWTRUE", NONE, 0, PUSH},
    [0x89] = {"NEWFALSE", NONE, 0, PUSH},
    [0x8A] = {"LONG1", SIZED1, 0, PUSH},
    [0x8B] = {"LONG4", SIZED4, 0, PUSH},
    [0x8C] = {"SHORT_BINUNICODE", SIZED1, 0, PUSH_TEXT},
    [0x8D] = {"BINUNICODE8", SIZED8, 0, PUSH_TEXT},
    [0x8E] = {"BINBYTES8", SIZED8, 0, PUSH},
    [0x8F] = {"EMPTY_SET", NONE, 0, PUSH},
    [0x90] = {"ADDITEMS", NONE, 0, TO_MARK},
    [0x91] = {"FROZENSET", NONE, 0, TO_MARK_PUSH},
    [0x92] = {"NEWOBJ_EX", NONE, 0, POP_PUSH, 3, true},
    [0x93] = {"STACK_GLOBAL", NONE, 0, STACK_GLOBAL},
    [0x94] = {"MEMOIZE", NONE, 0, MEMOIZE},
    [0x95] = {"FRAME", BYTES, 8, KEEP},
    [0x96] = {"BYTEARRAY8", SIZED8, 0, PUSH},
    [0x97] = {"NEXT_BUFFER", NONE, 0, PUSH, 0, true},
    [0x98] = {"READONLY_BUFFER", NONE, 0, KEEP, 0, true},
};

typedef struct text {
    const char *p; /* NULL: no string */
    uint32_t n;
} text;

typedef struct walk {
    smelt_cur *cur;
    smelt_audit *audit;
    smelt_arena arena;
    text *stack, *memo;
    size_t depth, cap_stack, n_memo, cap_memo;
    size_t *marks, n_marks, cap_marks;
    uint64_t at;
    smelt_err *err;
} walk;

static smelt_status push(walk *w, text t)
{
    if (!arena_room(&w->arena, &w->stack, w->depth, &w->cap_stack, sizeof *w->stack)) return smelt_oom(w->err);
    w->stack[w->depth++] = t;
    return SMELT_OK;
}

static size_t lowest(const walk *w) { return w->n_marks ? w->marks[w->n_marks - 1] : 0; }

static text pop(walk *w)
{
    if (w->depth > lowest(w)) return w->stack[--w->depth];
    if (w->n_marks) w->n_marks--; /* as Python does for POP */
    return (text){0};
}

static smelt_status put(walk *w, uint64_t i)
{
    if (i > w->at) return SMELT_OK; /* more than a pickle of this length can need */
    while (w->n_memo <= i) {
        if (!arena_room(&w->arena, &w->memo, w->n_memo, &w->cap_memo, sizeof *w->memo)) return smelt_oom(w->err);
        w->memo[w->n_memo++] = (text){0};
    }
    w->memo[i] = w->depth ? w->stack[w->depth - 1] : (text){0};
    return SMELT_OK;
}

static smelt_status name(walk *w, text module, text what)
{
    char a[96], b[96];
    if (!module.p || !what.p)
        return audit_add(w->audit, SMELT_FIND_CODE_GLOBAL, w->cur->base + w->at, w->err,
                         "the pickle names a function that it computes");
    if (pk_global_known(module.p, module.n, what.p, what.n)) return SMELT_OK;
    return audit_add(w->audit, SMELT_FIND_CODE_GLOBAL, w->cur->base + w->at, w->err, "the pickle names %s.%s",
                     pk_text(module.p, module.n, a, sizeof a), pk_text(what.p, what.n, b, sizeof b));
}

static bool line(walk *w, text *out)
{
    const uint8_t *from = w->cur->data + w->cur->pos, *end = memchr(from, '\n', w->cur->size - w->cur->pos);
    if (!end || end - from > UINT32_MAX) return false;
    *out = (text){(const char *)from, (uint32_t)(end - from)};
    w->cur->pos += out->n + 1;
    return true;
}

static bool sized(walk *w, unsigned width, text *out)
{
    const uint8_t *p = w->cur->data + w->cur->pos;
    if (w->cur->size - w->cur->pos < width) return false;
    const uint64_t n = width == 8 ? load_le64(p) : width == 4 ? load_le32(p) : *p;
    w->cur->pos += width;
    if (n > w->cur->size - w->cur->pos || n > UINT32_MAX) return false;
    *out = (text){(const char *)p + width, (uint32_t)n};
    w->cur->pos += n;
    return true;
}

/* The argument as text, and the one after it of opcodes with two lines; false if it does not end. */
static bool argument(walk *w, const op *o, text *a, text *b)
{
    if (o->arg == LINE) return line(w, a);
    if (o->arg == LINES2) return line(w, a) && line(w, b);
    if (o->arg == SIZED1) return sized(w, 1, a);
    if (o->arg == SIZED4) return sized(w, 4, a);
    if (o->arg == SIZED8) return sized(w, 8, a);
    if (w->cur->size - w->cur->pos < o->bytes) return false;
    *a = (text){(const char *)w->cur->data + w->cur->pos, o->bytes};
    w->cur->pos += o->bytes;
    return true;
}

/* A memo's number: decimal text or little-endian bytes. */
static uint64_t number(const op *o, text a)
{
    uint64_t n = 0;
    if (o->arg == LINE)
        for (uint32_t i = 0; i < a.n && i < 18 && a.p[i] >= '0' && a.p[i] <= '9'; i++)
            n = n * 10 + (uint64_t)(a.p[i] - '0');
    else
        for (uint32_t i = a.n; i-- > 0;)
            n = n << 8 | (uint8_t)a.p[i];
    return n;
}

/* Python's repr of a string, as STRING has it. */
static text unquoted(const op *o, text a)
{
    const bool quoted = o->arg == LINE && a.n >= 2 && (a.p[0] == '\'' || a.p[0] == '"') && a.p[a.n - 1] == a.p[0];
    return quoted ? (text){a.p + 1, a.n - 2} : a;
}

static void to_mark(walk *w)
{
    w->depth = lowest(w);
    if (w->n_marks) w->n_marks--;
}

static smelt_status apply(walk *w, const op *o, text a, text b, uint64_t *memoized)
{
    text module;
    uint64_t i;
    switch ((act)o->act) {
    case KEEP:
    case STOP:
        return SMELT_OK;
    case PUSH:
        return push(w, (text){0});
    case PUSH_TEXT:
        return push(w, unquoted(o, a));
    case MARK:
        if (!arena_room(&w->arena, &w->marks, w->n_marks, &w->cap_marks, sizeof *w->marks)) return smelt_oom(w->err);
        w->marks[w->n_marks++] = w->depth;
        return SMELT_OK;
    case TO_MARK:
        to_mark(w);
        return SMELT_OK;
    case TO_MARK_PUSH:
        to_mark(w);
        return push(w, (text){0});
    case POP:
    case POP_PUSH:
        for (int k = 0; k < o->pops; k++)
            pop(w);
        return o->act == POP ? SMELT_OK : push(w, (text){0});
    case DUP:
        return push(w, w->depth ? w->stack[w->depth - 1] : (text){0});
    case PUT:
        return put(w, number(o, a));
    case MEMOIZE:
        return put(w, (*memoized)++);
    case GET:
        i = number(o, a);
        return push(w, i < w->n_memo ? w->memo[i] : (text){0});
    case GLOBAL:
        SMELT_TRY(name(w, a, b));
        return push(w, (text){0});
    case INST:
        SMELT_TRY(name(w, a, b));
        to_mark(w);
        return push(w, (text){0});
    case STACK_GLOBAL:
        b = pop(w);
        module = pop(w);
        SMELT_TRY(name(w, module, b));
        return push(w, (text){0});
    }
    return SMELT_OK;
}

smelt_status pickle_audit(smelt_cur *cur, smelt_audit *audit, bool *stopped, smelt_err *err)
{
    walk w = {.cur = cur, .audit = audit, .err = err};
    smelt_status st = SMELT_OK;
    uint64_t memoized = 0;
    *stopped = false;
    while (st == SMELT_OK && !*stopped && cur->pos < cur->size) {
        text a = {0}, b = {0};
        w.at = cur->pos;
        const uint8_t code = cur->data[cur->pos];
        const op *o = &ops[code];
        if (o->arg == NO_OP) break;
        cur->pos++;
        if (!argument(&w, o, &a, &b)) break;
        if (o->calls)
            st = audit_add(audit, SMELT_FIND_CODE_OPCODE, cur->base + w.at, err, "the pickle has the opcode %s (0x%02x)", o->name,
                           code);
        if (st == SMELT_OK) st = apply(&w, o, a, b, &memoized);
        *stopped = o->act == STOP;
    }
    arena_free(&w.arena);
    return st;
}
