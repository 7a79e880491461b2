#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/pickle.h"

typedef struct run {
    smelt_arena arena;
    pk_storages storages;
    pk_value value;
    smelt_status status;
    smelt_err err;
    uint64_t end; /* where the cursor stopped */
} run;

/* Loads a pickle that stands at byte 1000 of a file. */
static run *load_bytes(const void *bytes, size_t n)
{
    static run r;
    arena_free(&r.arena);
    r = (run){0};
    r.storages.arena = &r.arena;
    smelt_cur cur = {.data = bytes, .size = n, .base = 1000, .err = &r.err};
    r.status = pickle_load(&r.arena, &cur, &r.storages, &r.value);
    r.end = cur.pos;
    assert_int_equal(r.status, r.err.code);
    return &r;
}
#define LOAD(text) load_bytes(text, sizeof(text) - 1)

#define STORAGE "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\x06tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n("
#define NO_HOOKS \
    "\x89" \
    "ccollections\nOrderedDict\n)R"

static void a_tensor_is_described_and_nothing_else(void **state)
{
    (void)state;
    run *r = LOAD("\x80\2" REBUILD STORAGE "K\1K\2K\2\x86K\1K\2\x86" NO_HOOKS "tR.");
    assert_int_equal(r->status, SMELT_OK);
    assert_int_equal(r->value.tag, PK_TENSOR);
    const pk_tensor *t = r->value.v.tensor;
    assert_int_equal(t->n, 2);
    assert_int_equal(t->offset, 1);
    assert_int_equal(t->dim[0] * 1000 + t->dim[1] * 100 + t->dim[2] * 10 + t->dim[3], 2212);
    assert_int_equal(t->dtype->dtype, SMELT_DT_F32);
    assert_int_equal(r->storages.n, 1);
    assert_int_equal(r->storages.item[0].bytes, 24);
    assert_memory_equal(r->storages.item[0].key, "k", 1);
}

static void any_other_global_is_forbidden_by_name_and_offset(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *name;
        uint64_t offset;
    } cases[] = {
#define CASE(text, name, offset) {text, sizeof(text) - 1, name, offset}
        CASE("\x80\2cposix\nsystem\nX\4\0\0\0true\x85R.", "posix.system", 1002),
        /* Naming it is enough; it need not be called. */
        CASE("\x80\2]cos\nsystem\na.", "os.system", 1003),
        CASE("\x80\4\x8C\10builtins\x8C\4eval\x93.", "builtins.eval", 1018),
        CASE("c__builtin__\nexec\n.", "__builtin__.exec", 1000),
        CASE("ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes", 1000),
        CASE("ctorch\nload\n.", "torch.load", 1000),
        CASE("ctorch._utils\n_rebuild_qtensor\n.", "torch._utils._rebuild_qtensor", 1000),
        CASE("c\n\n.", "names .,", 1000),
        /* Names are no place for terminal codes. */
        CASE("ca\x1b[2J\nb\n.", "a?[2J.b", 1000),
        /* A prefix or an extension of a known name is another name. */
        CASE("ccollections\nOrderedDict2\n.", "collections.OrderedDict2", 1000),
        CASE("ccollections\nOrdered\n.", "collections.Ordered", 1000),
        CASE("ccollections\nOrderedDict\0\n.", "collections.OrderedDict?", 1000),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run *r = load_bytes(cases[i].bytes, cases[i].n);
        assert_int_equal(r->status, SMELT_E_FORBIDDEN);
        assert_true(r->err.has_offset);
        assert_int_equal(r->err.offset, cases[i].offset);
        assert_non_null(strstr(r->err.text, cases[i].name));
    }
}

/* A table of pickles that must all fail in one way. */
typedef struct bad {
    const char *bytes;
    size_t n;
    smelt_status status;
} bad;
#define BAD(status, text) \
    { \
        text, sizeof(text) - 1, SMELT_E_##status \
    }

static void all_fail(const bad *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        run *r = load_bytes(cases[i].bytes, cases[i].n);
        if (r->status != cases[i].status) print_message("case %zu: %s\n", i, r->err.text);
        assert_int_equal(r->status, cases[i].status);
        assert_true(r->err.has_offset && r->err.offset >= 1000 && r->err.offset <= 1000 + cases[i].n);
    }
}
#define ALL_FAIL(cases) all_fail(cases, sizeof(cases) / sizeof *(cases))

static void cve_2026_24747_container_opcodes_check_their_target(void **state)
{
    (void)state;
    static const bad cases[] = {
        BAD(CORRUPT, "]K\1K\2s."),                                                      /* SETITEM on a list */
        BAD(CORRUPT, "K\1K\1K\2s."),                                                    /* … on an integer */
        BAD(CORRUPT, STORAGE "K\1K\2s."),                                               /* … on a storage */
        BAD(CORRUPT, ")(K\1K\2u."),                                                     /* SETITEMS on a tuple */
        BAD(CORRUPT, REBUILD STORAGE "K\1K\2K\2\x86K\1K\2\x86" NO_HOOKS "tR(K\1K\2u."), /* … on a tensor */
        BAD(CORRUPT, "ctorch\nSize\n(K\1K\2u."),                                        /* … on a function */
        BAD(CORRUPT, "}K\1a."),                                                         /* APPEND on a dict */
        BAD(CORRUPT, "X\1\0\0\0aK\1a."),                                                /* … on a string */
        BAD(CORRUPT, "N(K\1e."),                                                        /* APPENDS on None */
        BAD(CORRUPT, "](K\1\x90."),                                                     /* ADDITEMS on a list */
        BAD(CORRUPT, "]}b."),                                                           /* BUILD on a list */
        BAD(CORRUPT, "}}b."),                                                           /* BUILD on a dict that has no attributes */
        BAD(CORRUPT, "ccollections\nOrderedDict\n)RK\1b."),                             /* BUILD from an integer */
        BAD(CORRUPT, "X\1\0\0\0a)R."),                                                  /* REDUCE of a string */
        BAD(CORRUPT, "ctorch\nFloatStorage\n)R."),
        BAD(CORRUPT, "ctorch\nSize\n]R."), /* … with a list for arguments */
        BAD(CORRUPT, "ctorch\nSize\n)R."), /* … with too few */
        BAD(CORRUPT, "ctorch\nSize\nK\1\x85R."),
        BAD(CORRUPT, "]Q."),                                        /* BINPERSID of a list */
        BAD(CORRUPT, "K\1K\2\x93."),                                /* STACK_GLOBAL of integers */
        BAD(CORRUPT, "}(K\1u."),                                    /* a key without a value */
        BAD(CORRUPT, "}]K\1s."),                                    /* a list for a key */
        BAD(CORRUPT, "ccollections\nOrderedDict\n](K\1K\2e\x85R."), /* pairs that are none */
    };
    ALL_FAIL(cases);
}

static void the_stack_has_a_floor(void **state)
{
    (void)state;
    static const bad cases[] = {
        BAD(CORRUPT, "."),    BAD(CORRUPT, "K\1K\2."),  BAD(CORRUPT, "(K\1."),     BAD(CORRUPT, "a."),
        BAD(CORRUPT, "]a."),  BAD(CORRUPT, "t."),       BAD(CORRUPT, "e."),        BAD(CORRUPT, "u."),
        BAD(CORRUPT, "(e."),  BAD(CORRUPT, "K\1\x86."), BAD(CORRUPT, "K\1(\x85."), BAD(CORRUPT, "](K\1a."),
        BAD(CORRUPT, "q\0."), BAD(CORRUPT, "K\1(q\0."), BAD(CORRUPT, "Q."),        BAD(CORRUPT, "R."),
        BAD(CORRUPT, "b."),   BAD(CORRUPT, "\x93."),    BAD(CORRUPT, "\x94."),     BAD(CORRUPT, "K\1K\2(\x86t."),
    };
    ALL_FAIL(cases);
}

static void memo_numbers_are_bounded(void **state)
{
    (void)state;
    static const bad cases[] = {
        BAD(CORRUPT, "h\0."),  BAD(CORRUPT, "Nq\0h\1."), BAD(CORRUPT, "Nr\xFF\xFF\xFF\xFF."), BAD(CORRUPT, "Nj\xFF\xFF\xFF\xFF."),
        BAD(CORRUPT, "Nq\2."), BAD(CORRUPT, "Nq\1h\0."),
    };
    ALL_FAIL(cases);
}

static void values_may_contain_themselves(void **state)
{
    (void)state;
    run *r = LOAD("]q\0h\0a}q\1K\1h\1sh\1K\2h\0s\x86.");
    assert_int_equal(r->status, SMELT_E_CORRUPT); /* three on the stack at the end */
    r = LOAD("]q\0h\0a.");
    assert_int_equal(r->status, SMELT_OK);
    assert_ptr_equal(r->value.v.box->item[0].v.box, r->value.v.box);
    r = LOAD("}q\0K\1h\0s.");
    assert_int_equal(r->status, SMELT_OK);
    assert_ptr_equal(r->value.v.box->item[1].v.box, r->value.v.box);
}

static void lengths_beyond_the_end_are_truncation(void **state)
{
    (void)state;
    static const bad cases[] = {
        BAD(TRUNCATED, ""),
        BAD(TRUNCATED, "N"),
        BAD(TRUNCATED, "X\xFF\xFF\xFF\xFF"
                       "ab."),
        BAD(TRUNCATED, "\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                       "ab."),
        BAD(TRUNCATED, "\x8E\0\0\0\0\0\0\0\x80"
                       "ab."),
        BAD(TRUNCATED, "B\xFF\xFF\xFF\x7F."),
        BAD(TRUNCATED, "\x8B\xFF\xFF\xFF\xFF\1."),
        BAD(TRUNCATED, "\x8B\xFF\xFF\xFF\x7F\1."),
        BAD(TRUNCATED, "\x8A\xFF\1."),
        BAD(TRUNCATED, "T\3\0\0\0ab"),
        BAD(TRUNCATED, "U\3ab"),
        BAD(TRUNCATED, "\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFN."),
        BAD(TRUNCATED, "ctorch"),
        BAD(TRUNCATED, "ctorch\nSize"),
        BAD(TRUNCATED, "J\1\0\0"),
        BAD(TRUNCATED, "G\1\0\0"),
    };
    ALL_FAIL(cases);
}

static void opcodes_that_torch_does_not_write_are_unsupported(void **state)
{
    (void)state;
    static const bad cases[] = {
        BAD(UNSUPPORTED, "I1\n."), BAD(UNSUPPORTED, "P1\n."),    BAD(UNSUPPORTED, "(ios\nsystem\n."),
        BAD(UNSUPPORTED, "(o."),   BAD(UNSUPPORTED, "\x82\1."),  BAD(UNSUPPORTED, "\x96\1\0\0\0\0\0\0\0a."),
        BAD(UNSUPPORTED, "\xFF."), BAD(UNSUPPORTED, "\x80\6N."),
    };
    ALL_FAIL(cases);
}

static void integers_have_all_their_bits(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int64_t want;
    } cases[] = {
        {"K\xFF.", 3, 255},
        {"M\xFF\xFF.", 4, 65535},
        {"J\xFF\xFF\xFF\xFF.", 6, -1},
        {"\x8A\0.", 3, 0},
        {"\x8A\1\xFF.", 4, -1},
        {"\x8A\2\0\1.", 5, 256},
        {"\x8A\x08\0\0\0\0\0\0\0\x80.", 11, INT64_MIN},
        {"\x8B\1\0\0\0\x80.", 7, -128},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run *r = load_bytes(cases[i].bytes, cases[i].n);
        assert_int_equal(r->status, SMELT_OK);
        assert_int_equal(r->value.tag, PK_INT);
        assert_true(r->value.v.i == cases[i].want);
    }
    run *r = LOAD("\x8A\x09\0\0\0\0\0\0\0\0\1.");
    assert_int_equal(r->status, SMELT_OK);
    assert_int_equal(r->value.tag, PK_BIG);
    assert_int_equal(LOAD("G\xBF\xF8\0\0\0\0\0\0.")->status, SMELT_OK);
    assert_true(LOAD("G\xBF\xF8\0\0\0\0\0\0.")->value.v.f == -1.5);
}

static void tensors_with_impossible_descriptions_are_refused(void **state)
{
    (void)state;
#define V2(offset, size, stride, rest) REBUILD STORAGE offset size stride rest "tR."
    static const bad cases[] = {
        BAD(CORRUPT, V2("J\xFF\xFF\xFF\xFF", "K\1\x85", "K\1\x85", NO_HOOKS)), /* negative offset */
        BAD(CORRUPT, V2("K\0", "J\xFE\xFF\xFF\xFF\x85", "K\1\x85", NO_HOOKS)),
        BAD(CORRUPT, V2("K\0", "K\1\x85", "J\xFE\xFF\xFF\xFF\x85", NO_HOOKS)),
        BAD(CORRUPT, V2("K\0", "K\1\x85", ")", NO_HOOKS)), /* sizes and strides differ in number */
        BAD(CORRUPT, V2("K\0", "K\1", "K\1\x85", NO_HOOKS)),
        BAD(CORRUPT, V2("K\0", "N\x85", "K\1\x85", NO_HOOKS)),
        BAD(CORRUPT, V2("K\0", "\x8A\x09\0\0\0\0\0\0\0\0\1\x85", "K\1\x85", NO_HOOKS)),
        BAD(CORRUPT, V2("K\0", "K\1\x85", "K\1\x85", "")),
        BAD(CORRUPT, V2("K\0", "K\1\x85", "K\1\x85", "NN")),
        BAD(CORRUPT, V2("K\0", "K\1\x85", "K\1\x85", "\x89]")),
        BAD(LIMIT, V2("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", NO_HOOKS)),
        BAD(CORRUPT, REBUILD "NK\0))" NO_HOOKS "tR."), /* None for a storage */
        /* v3 gives a dtype, and so must its storage not; v2 gives none. */
        BAD(CORRUPT, "ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE "K\0K\1\x85K\1\x85" NO_HOOKS "ctorch\nint8\ntR."),
        BAD(CORRUPT,
            REBUILD "(X\7\0\0\0storagectorch.storage\nUntypedStorage\nX\1\0\0\0kX\3\0\0\0cpuK\6tQK\0K\1\x85K\1\x85" NO_HOOKS "tR."),
        /* Storages. */
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuJ\xFF\xFF\xFF\xFFtQ."),
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpu\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7FtQ."),
        BAD(CORRUPT, "(X\7\0\0\0storageNX\1\0\0\0kX\3\0\0\0cpuK\1tQ."),
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nFloatStorage\nK\1X\3\0\0\0cpuK\1tQ."),
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nfloat32\nX\1\0\0\0kX\3\0\0\0cpuK\1tQ."),
        BAD(CORRUPT, "(X\4\0\0\0filectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\1tQ."),
        BAD(CORRUPT, ")Q."),
        BAD(UNSUPPORTED, "(X\7\0\0\0storagectorch.storage\nTypedStorage\nX\1\0\0\0kX\3\0\0\0cpuK\1tQ."),
        BAD(UNSUPPORTED, "(X\6\0\0\0moduletQ."),
        /* The same key with two sizes, and parts that lie outside. */
        BAD(CORRUPT, STORAGE "(X\7\0\0\0storagectorch\nHalfStorage\nX\1\0\0\0kX\3\0\0\0cpuK\6tQ\x86."),
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\6X\1\0\0\0vK\5K\2\x87tQ."),
        BAD(CORRUPT, "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\6X\1\0\0\0vK\7K\0\x87tQ."),
    };
    ALL_FAIL(cases);
}

static void memory_is_bounded_by_the_bytes_read(void **state)
{
    (void)state;
    /* Each line repeats an opcode or two that make an object of the least bytes. */
    static const struct {
        const char *head, *unit;
        size_t unit_n;
    } cases[] = {
        {"(", "]", 1},       {"(", "}", 1},     {"(", ")", 1},       {"(", "N", 1},        {"", "(", 1},
        {"(Nq\1", "h\1", 2}, {"(N", "\x94", 1}, {"(", "K\1\x85", 3}, {"((Nq\2", "h\2", 2}, {"(]q\2", "h\2h\2a", 5},
    };
    enum { BYTES = 200000, RATIO = 96 };
    static char bytes[BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].head);
        memcpy(bytes, cases[i].head, n);
        while (n + cases[i].unit_n <= BYTES) {
            memcpy(bytes + n, cases[i].unit, cases[i].unit_n);
            n += cases[i].unit_n;
        }
        run *r = load_bytes(bytes, n);
        assert_int_equal(r->status, SMELT_E_TRUNCATED);
        assert_true(r->arena.used < (size_t)BYTES * RATIO);
    }
}

/* A list of n pairs, made into an OrderedDict again and again through the memo, would take n*n steps. */
static void a_memo_does_not_multiply_work(void **state)
{
    (void)state;
    enum { PAIRS = 2000, CALLS = 2000 };
    smelt_buf b = {0};
    buf_printf(&b, "](NN\x86q\1");
    for (int i = 0; i < PAIRS; i++)
        buf_printf(&b, "h\1");
    buf_printf(&b, "e\x85q\2(ccollections\nOrderedDict\nq\3");
    for (int i = 0; i < CALLS; i++)
        buf_printf(&b, "h\3h\2R");
    buf_printf(&b, "t\x86.");
    assert_false(b.failed);
    run *r = load_bytes(b.data, b.size);
    assert_int_equal(r->status, SMELT_E_CORRUPT);
    assert_non_null(strstr(r->err.text, "the same pairs"));
    buf_free(&b);
}

static void a_pickle_ends_at_its_stop(void **state)
{
    (void)state;
    run *r = LOAD("K\1.K\2.");
    assert_int_equal(r->status, SMELT_OK);
    assert_int_equal(r->value.v.i, 1);
    assert_int_equal(r->end, 3);
}

static void a_pickle_has_a_longest_length(void **state)
{
    (void)state;
    smelt_buf b = {0};
    buf_u8(&b, 'B');
    buf_u32(&b, PK_MAX_BYTES);
    buf_zeros(&b, PK_MAX_BYTES);
    buf_u8(&b, '.');
    assert_false(b.failed);
    run *r = load_bytes(b.data, b.size);
    assert_int_equal(r->status, SMELT_E_LIMIT);
    /* A forbidden name in so long a file is still said to be one. */
    memcpy(b.data, "cos\nsystem\n", 11);
    r = load_bytes(b.data, b.size);
    assert_int_equal(r->status, SMELT_E_FORBIDDEN);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_is_described_and_nothing_else),
        cmocka_unit_test(any_other_global_is_forbidden_by_name_and_offset),
        cmocka_unit_test(cve_2026_24747_container_opcodes_check_their_target),
        cmocka_unit_test(the_stack_has_a_floor),
        cmocka_unit_test(memo_numbers_are_bounded),
        cmocka_unit_test(values_may_contain_themselves),
        cmocka_unit_test(lengths_beyond_the_end_are_truncation),
        cmocka_unit_test(opcodes_that_torch_does_not_write_are_unsupported),
        cmocka_unit_test(integers_have_all_their_bits),
        cmocka_unit_test(tensors_with_impossible_descriptions_are_refused),
        cmocka_unit_test(memory_is_bounded_by_the_bytes_read),
        cmocka_unit_test(a_memo_does_not_multiply_work),
        cmocka_unit_test(a_pickle_ends_at_its_stop),
        cmocka_unit_test(a_pickle_has_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
