#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/io.h"
#include "formats/spm.h"

/* The trained fixture, and what sentencepiece itself says of it (IdToPiece, GetScore and so on; see
 * tests/conformance/make_vocab.py for how it was made). */
static void a_trained_model_reads_as_sentencepiece_reads_it(void **state)
{
    (void)state;
    smelt_arena arena = {0};
    const char *data;
    size_t size;
    spm_model m;
    smelt_err err = {0};
    assert_int_equal(file_read(&arena, SMELT_SOURCE_DIR "/tests/data/vocab/spm.model", 1 << 20, &data, &size, &err), SMELT_OK);
    if (spm_parse(&arena, data, size, &m, &err) != SMELT_OK) fail_msg("%s", err.text);
    static const struct {
        size_t id;
        const char *text;
        float score;
        int32_t type;
    } want[] = {
        {0, "<unk>", 0.0f, 2},   {1, "<s>", 0.0f, 3},     {2, "</s>", 0.0f, 3},       {3, "<ctl>", 0.0f, 3},
        {4, "<tool>", 0.0f, 4},  {5, "[INST]", 0.0f, 4},  {6, "<0x00>", 0.0f, 6},     {261, "<0xFF>", 0.0f, 6},
        {262, "▁▁", -0.0f, 1},   {263, "▁▁▁▁", -1.0f, 1}, {500, "lines", -238.0f, 1}, {777, "▁--", -515.0f, 1},
        {998, "い", -736.0f, 1}, {999, "と", -737.0f, 1},
    };
    assert_int_equal(m.n, 1000);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const spm_piece *p = &m.pieces[want[i].id];
        assert_true(str_eq(p->text, want[i].text));
        assert_true(p->score == want[i].score);
        assert_int_equal(p->type, want[i].type);
    }
    assert_int_equal(m.model_type, SPM_BPE);
    assert_true(m.byte_fallback && m.add_dummy_prefix && !m.remove_extra_whitespaces);
    assert_int_equal(m.unk_id, 0);
    assert_int_equal(m.bos_id, 1);
    assert_int_equal(m.eos_id, 2);
    assert_int_equal(m.pad_id, -1);
    arena_free(&arena);
}

static smelt_status parse(const char *bytes, size_t n, spm_model *m, smelt_err *err)
{
    static smelt_arena arena; /* freed by the caller's next call */
    arena_free(&arena);
    *err = (smelt_err){0};
    return spm_parse(&arena, bytes, n, m, err);
}

static void a_piece_is_text_score_and_type(void **state)
{
    (void)state;
    spm_model m;
    smelt_err err;
    static const char one[] = "\x0a\x0a\x0a\x01"
                              "a"
                              "\x15\x00\x00\x80\xbf\x18\x06";
    assert_int_equal(parse(one, sizeof one - 1, &m, &err), SMELT_OK);
    assert_int_equal(m.n, 1);
    assert_true(m.pieces[0].score == -1.0f && m.pieces[0].type == SPM_BYTE && str_eq(m.pieces[0].text, "a"));
    static const char defaults[] = "\x0a\x03\x0a\x01"
                                   "a"
                                   "\x3a\x02xx"; /* field 7 is skipped */
    assert_int_equal(parse(defaults, sizeof defaults - 1, &m, &err), SMELT_OK);
    assert_true(m.pieces[0].score == 0.0f && m.pieces[0].type == SPM_NORMAL);
    assert_int_equal(m.model_type, SPM_UNIGRAM);
    for (size_t cut = 1; cut < sizeof one - 1; cut++)
        assert_int_not_equal(parse(one, cut, &m, &err), SMELT_OK);
}

static void what_is_no_model_is_an_error_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        smelt_status status;
        const char *says;
    } cases[] = {
        {"", 0, SMELT_E_CORRUPT, "no pieces"},
        {"\x0a\x05\x0a\x01"
         "a",
         5, SMELT_E_TRUNCATED, "needs 5 bytes"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, SMELT_E_TRUNCATED, "needs 18446744073709551615 bytes"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, SMELT_E_CORRUPT, "more than 64 bits"},
        {"\x0a\x00", 2, SMELT_E_CORRUPT, "empty"},
        {"\x0a\x03\x0a\x01\x80", 5, SMELT_E_CORRUPT, "not UTF-8"},
        {"\x0a\x03\x0a\x01"
         "a"
         "\x0a\x03\x0a\x01"
         "a",
         10, SMELT_E_CORRUPT, "there twice"},
        {"\x0a\x05\x0a\x01"
         "a"
         "\x18\x07",
         7, SMELT_E_CORRUPT, "type 7"},
        {"\x0a\x05\x0a\x01"
         "a"
         "\x10\x07",
         7, SMELT_E_CORRUPT, "score has protobuf wire type 0"},
        {"\x08\x01", 2, SMELT_E_CORRUPT, "wire type 0"},
        {"\x0b", 1, SMELT_E_CORRUPT, "wire type 3"},
        {"\x02\x00", 2, SMELT_E_CORRUPT, "field 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spm_model m;
        smelt_err err;
        assert_int_equal(parse(cases[i].bytes, cases[i].n, &m, &err), cases[i].status);
        if (!strstr(err.text, cases[i].says)) fail_msg("case %zu: '%s' does not say '%s'", i, err.text, cases[i].says);
    }
}

/* Bytes as Google's protobuf library serialises the same message. */
static void a_model_is_written_as_protobuf_has_it(void **state)
{
    (void)state;
    spm_piece pieces[] = {{{"<unk>", 5}, 0.0f, SPM_UNKNOWN}, {{"ab", 2}, -1.5f, SPM_NORMAL}};
    spm_model m = {.n = 2,
                   .pieces = pieces,
                   .model_type = SPM_BPE,
                   .byte_fallback = true,
                   .add_dummy_prefix = true,
                   .bos_id = 1,
                   .eos_id = 2,
                   .pad_id = -1};
    static const uint8_t want[] = {
        0x0a, 0x0e, 0x0a, 0x05, '<',  'u',  'n',  'k',  '>',  0x15, 0,    0,    0,    0,    0x18, 0x02, /* piece 0 */
        0x0a, 0x09, 0x0a, 0x02, 'a',  'b',  0x15, 0x00, 0x00, 0xc0, 0xbf,                               /* piece 1 */
        0x12, 0x1c, 0x18, 0x02, 0x20, 0x02, 0x98, 0x02, 0x01, 0xc0, 0x02, 0x00, 0xc8, 0x02, 0x01, 0xd0, /* trainer_spec */
        0x02, 0x02, 0xd8, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,             /* */
        0x1a, 0x10, 0x0a, 0x08, 'i',  'd',  'e',  'n',  't',  'i',  't',  'y',  0x18, 0x01, 0x20, 0x00, 0x28, 0x01,
    };
    smelt_buf b = {0};
    spm_write(&b, &m);
    assert_int_equal(b.size, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trained_model_reads_as_sentencepiece_reads_it),
        cmocka_unit_test(a_piece_is_text_score_and_type),
        cmocka_unit_test(what_is_no_model_is_an_error_with_its_place),
        cmocka_unit_test(a_model_is_written_as_protobuf_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
