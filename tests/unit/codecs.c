/* Codecs: known blocks, exact values, and variants against the baseline. The expected bytes are ggml's (ggml_quantize_chunk of
 * the pinned llama.cpp, x86-64 baseline). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adversary.h"
#include "base/bytes.h"
#include "quant/codecs.h"

static const smelt_cpu levels[] = {SMELT_CPU_BASELINE, SMELT_CPU_NEON, SMELT_CPU_AVX2, SMELT_CPU_AVX512};
enum { LEVELS = sizeof levels / sizeof *levels };

static smelt_codec_fns fns[LEVELS][SMELT_DT_COUNT];
static bool runs[LEVELS]; /* on this processor */

static int select_all(void **state)
{
    (void)state;
    for (int l = 0; l < LEVELS; l++) {
        runs[l] = smelt_cpu_covers(smelt_cpu_detect(), levels[l]);
        codecs_select(levels[l], fns[l]);
    }
    return 0;
}

/* Sixty-fourths between -2 and 2, in no order. */
static void ramp(float *x, int n)
{
    for (int j = 0; j < n; j++)
        x[j] = (float)((j * 73 + 11) % 257 - 128) / 64.0f;
}

/* Importances for a type that cannot do without; for the others none. Columns up to 1024. */
static const float *if_needed(smelt_dtype type)
{
    static float weights[1024];
    for (int j = 0; j < 1024; j++)
        weights[j] = (float)(1 + j * 37 % 101) / 32.0f;
    return fns[0][type].weights == SMELT_WEIGHTS_REQUIRED ? weights : NULL;
}

static void hex(const uint8_t *bytes, size_t n, char *text)
{
    text[0] = 0;
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

/* One block of ramp() each, with if_needed(); eight elements of the plain types. */
static const struct {
    smelt_dtype type;
    const char *bytes;
} packed[] = {
    {SMELT_DT_Q4_0, "00b47f2be6924df9b47f2be6925d09c47f2b"},
    {SMELT_DT_Q4_1, "3c34e0bf91d5297db3074b90d5296db2f74b80d4"},
    {SMELT_DT_Q5_0, "00b0b3d96c26df46bc239af178ef46bd249b0278ef56"},
    {SMELT_DT_Q5_1, "1930e0bf4c2693d921ba53ec650e9721ba43db65fe9710a9"},
    {SMELT_DT_Q8_0, "08248cd41d65aff74089d11a62acf43d86ce175fa9f13a83cb145ca6ee377fc81159"},
    {SMELT_DT_Q2_K,
     "ffddcfdfdfefffbfcfdfefffddcfdfdf5095ea4f95aa3f4095ea4f55aa3b4095ba0f54a9ff1055aa0f54a9ff0355aa0fa9fe4395f90e54a9fa4394b93e54a5fa0355aa3e54a9ee0355a93e5499ea0354002d3c30"},
    {SMELT_DT_Q3_K,
     "726e8d917aaf95726e8d9172ef95726e44d8bb2754fba744d8bb2754faaf44d8ac47e953399036ac46e953f99036ac466bc17b90369fc66fc16b91369c066fc1d13a903e64cd67d13b903e64fd67c13bb01ea44de741dbb01ba44de741dbb01bb69d6b5a30b6a50b30f3c30f97a4"},
    {SMELT_DT_Q4_K,
     "a41c3028f9f4f4fffaf3f9fd22b4ff531065b9fe3287db1055a9fd3287db0054a9fd3286cb0054a9fd3276cb0f54a8fd4388cd2166aa0f4388cd2065aa0f4388cc2065aaef4387cc2065aaef4287cc2085db1f63a8fd3085da0f53a8fd3085da0f52a7fd3075ca0f52a7fc2075ca0f52a8fc3286da0054a8fc3286da0e54a8fc3286ca0e54a8fc2276ca0e54a8fc2276"},
    {SMELT_DT_Q5_K,
     "2a181328fff9f9fefdf4fbfe69d9fe89e0fc1f83f03e07e0fc1f83f07e07e0fc1f03e07c0fc0f81f03e07c0fc1f81f0321ba53fc650ea711b952fb650ea710b942eb64fd9600a942eb54fd960fa841eaa730ca52eb750f9620ba51eb750f9620ba41db64fe952fb940da64fe851fa9400ba52fb650fa610ba51fb650fa610ba41eb64fe950fa940ea54fe950fa940ea553fc650ea710b952fb640da61fb952eb64fd960fa841ea54fd960fa841ea53fc"},
    {SMELT_DT_Q6_K,
     "c215571a6baef0b104470a5aade0a0f32a285684b2bfed1b194774a2a0de1c0a476583b1dffd2a485674a2cfed1b39579470512e0aebc8a581623f1bfcd9a5925674a1c0ed1b3a476492b1defc2b485590633f0b0ed9a5a174401b1feab6b2854f1321e5b9cd9b5f2330f4c8dc9a6e22c20447195bade0b1f436095a9cdfa0e34ca9f60358a5334ca9f60358a5334c9935c09f66318f5a35c09f66318c5a35c0663dc05729cc93663dc05729fc93663d30a7d90c7396cd3067da0c7396c93067877e7e759289807c7a708e85807875901b90"},
    {SMELT_DT_IQ4_NL, "31a46f2be6914df9c36f2be6914e09c36f2c"},
    {SMELT_DT_IQ4_XS,
     "3a900fc3cf044cd06f1be6914ef9c36f2ce6914e09c36f2c4f0ad4702df7b14f0ad4702df7b24f0ad2084eb0f52b7fd2084da0f42b7fd208e42a6ec2f74c90e42a6ec2f74c90e4290ad4802df7b24f0ad4802df7b25f0be4084da0f42b7fd2074da0f41b7fd2074d2a6ec2f63c90e4196eb2f63c9fd4196ed4802df7b25f1be4803df8b25f1be580"},
    {SMELT_DT_IQ2_XXS,
     "1c22f1703ee493245be4b87ec0e29324dbf6727ee4f119a679d2703ee4b679b679e27e47e2fa49922de3c135b6704cf324f93ee4ba816cd124e9a9e2ee816c5b86d9"},
    {SMELT_DT_IQ2_XS,
     "6e24a927679370d83b455327b29282d8cf6d9332b2983bcda927d7f270d816cd5327b8925c48a96df033b8983bcd5c27d79270d81645d827b89274d9a96de633f798a99f9dfc9bb9ae89"},
    {SMELT_DT_IQ2_S,
     "dc22511f6956af2cbcc9012c42511f6956afb1bcc99c2c42511f6956afb1bcc99c2cb3d96c2693c9643299cd66b3d96c2693c9643299cd66b3d96c2693c9643299cd9fc6e7a7b1f9696cfecfeefeddeeefec"},
    {SMELT_DT_IQ3_XXS,
     "6b1ccbf7d6c532507cb1f7d6c5862d92b1f1fec4605d81b3e1f7d6c532507cb1f7d6c5602d81b3f1fec4605d8199e1f7d6c532507cb1f7d6c5862d81b3f1fec4605d9324dbfc9324dbe619a679d249b679f249b62dd34cf324e96cf324f96c5b86d9"},
    {SMELT_DT_IQ3_S,
     "2c1dc6f7b616b53a6e98cf811059a37b219ef7bd1804f176c6f7b616b53a6e98eed68f1804f198eef7bdb351ee21a7cf8110b53a6e98eed659b504f198eef7bd185dcfc7eff3f7f87c7db3d96c2693c9643299cd66b3d96c2693c9643299cd66b3d96c2693c9643299cdfddbfbbd"},
    {SMELT_DT_IQ1_S, "322f0c4194000ca189b46a51960ca089960ca194b4fd51960c3499960c34abb4fd2c9affc27c9de59075b063b3e6b2767376"},
    {SMELT_DT_IQ1_M,
     "0c1b94960c1bb2b43c38960c1b94960c1bb2b43c38960c1b94960c1bb2b43c38ba6e3262b2aeeb262326ebba6e3262b2ff1ffe5fffffff2f"},
    {SMELT_DT_TQ1_0,
     "05808ee52b81f705808ee42b81a205808ee40e81a805808ee40e81a8af8084e460e020a065cb2e60e020a061de2e60e02a8ce40d0040"},
    {SMELT_DT_TQ2_0,
     "4055a50a54552a4055a50a5455294055a50a5055a94055a50a5055a94255950a55a90255950a5055a90254952a5055a90254952a5055a50254952a4055a502540040"},
    {SMELT_DT_MXFP4, "7e1e5bd2954de9b41e5bd2953d69b41e5b"},
    {SMELT_DT_NVFP4, "2a2b2a2acf3c63e79e59f5cf62e6ae4975df2c62ae4a75d71d61e6be74d70d61f6bf4b74"},
    {SMELT_DT_Q1_0, "0e3c4c2693d96c369bcd6632994c2693d96c"},
    {SMELT_DT_Q2_0, "004094242545495152969425654949529294"},
    {SMELT_DT_F16, "50bf80b94037603e20bd80b0003c80bf"},
    {SMELT_DT_BF16, "eabf30bfe83ecc3fa4bf10be803ff0bf"},
};

static void a_known_block_packs_to_the_bytes_of_ggml(void **state)
{
    (void)state;
    float x[256];
    uint8_t out[300];
    char text[601];
    for (size_t k = 0; k < sizeof packed / sizeof *packed; k++) {
        const smelt_dtype_row *row = smelt_dtype_get(packed[k].type);
        const uint32_t n = row->elems > 1 ? row->elems : 8;
        ramp(x, (int)n);
        for (int l = 0; l < LEVELS; l++) {
            if (!runs[l]) continue;
            fns[l][packed[k].type].pack(x, out, 1, n, if_needed(packed[k].type));
            hex(out, n / row->elems * row->bytes, text);
            if (strcmp(text, packed[k].bytes) != 0) fail_msg("%s at %s: %s", row->name, smelt_cpu_name(levels[l]), text);
        }
    }
}

static void half_precision_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t f16, bf16;
    } cases[] = {
        {0x00000000, 0x0000, 0x0000}, {0x80000000, 0x8000, 0x8000}, {0x3F800000, 0x3C00, 0x3F80},
        {0x3F801000, 0x3C00, 0x3F80},                               /* a tie of float16: to even, down */
        {0x3F803000, 0x3C02, 0x3F80},                               /* a tie of float16: to even, up */
        {0x3F801001, 0x3C01, 0x3F80}, {0x3F808000, 0x3C04, 0x3F80}, /* a tie of bfloat16: down */
        {0x3F818000, 0x3C0C, 0x3F82},                               /* and up */
        {0x477FEFFF, 0x7BFF, 0x4780}, {0x477FF000, 0x7C00, 0x4780}, /* float16's largest, and what rounds beyond it */
        {0x33000000, 0x0000, 0x3300}, {0x33000001, 0x0001, 0x3300}, /* half of float16's smallest subnormal, and more */
        {0x33C00000, 0x0002, 0x33C0}, {0x387FE000, 0x0400, 0x3880}, /* one and a half; the largest subnormal rounds up */
        {0x00000001, 0x0000, 0x0000}, {0x7F7FFFFF, 0x7C00, 0x7F80}, {0x7F800000, 0x7C00, 0x7F80},
        {0x7F800001, 0x7E00, 0x7FC0}, {0xFFC12345, 0xFE00, 0xFFC1}, /* NaN stays NaN, of float16 only one is used */
    };
    for (int l = 0; l < LEVELS; l++) {
        if (!runs[l]) continue;
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            /* Seventeen at once, so that vector code and its tail both see the case. */
            float x[17];
            uint16_t f16[17], bf16[17];
            for (int i = 0; i < 17; i++)
                x[i] = f32_from_bits(cases[k].bits);
            fns[l][SMELT_DT_F16].pack(x, f16, 1, 17, NULL);
            fns[l][SMELT_DT_BF16].pack(x, bf16, 1, 17, NULL);
            for (int i = 0; i < 17; i++)
                if (load_le16(&f16[i]) != cases[k].f16 || load_le16(&bf16[i]) != cases[k].bf16)
                    fail_msg("%08x at %s[%d]: f16 %04x, bf16 %04x", cases[k].bits, smelt_cpu_name(levels[l]), i, f16[i], bf16[i]);
        }
    }
}

static void every_half_precision_number_survives(void **state)
{
    (void)state;
    static uint16_t in[65536], out[65536];
    static float x[65536];
    for (int i = 0; i < 65536; i++)
        store_le16(&in[i], (uint16_t)i);
    for (int l = 0; l < LEVELS; l++) {
        if (!runs[l]) continue;
        fns[l][SMELT_DT_F16].unpack(in, x, 65536);
        fns[l][SMELT_DT_F16].pack(x, out, 1, 65536, NULL);
        for (int i = 0; i < 65536; i++) {
            const bool nan = (i & 0x7FFF) > 0x7C00;
            assert_int_equal(load_le16(&out[i]), nan ? (i & 0x8000) | 0x7E00 : i);
        }
        fns[l][SMELT_DT_BF16].unpack(in, x, 65536);
        fns[l][SMELT_DT_BF16].pack(x, out, 1, 65536, NULL);
        for (int i = 0; i < 65536; i++) {
            const bool nan = (i & 0x7FFF) > 0x7F80;
            assert_int_equal(load_le16(&out[i]), nan ? i | 0x40 : i);
        }
    }
}

static void small_floats_have_their_published_values(void **state)
{
    (void)state;
    /* OCP 8-bit floats: largest, smallest normal, smallest subnormal, negative, NaN; fnuz: 0x80 is the only NaN. */
    static const struct {
        smelt_dtype type;
        uint8_t byte;
        float value;
    } cases[] = {
        {SMELT_DT_F8_E4M3, 0x7E, 448},
        {SMELT_DT_F8_E4M3, 0x08, 0x1p-6f},
        {SMELT_DT_F8_E4M3, 0x01, 0x1p-9f},
        {SMELT_DT_F8_E4M3, 0xB8, -1},
        {SMELT_DT_F8_E4M3, 0x7F, NAN},
        {SMELT_DT_F8_E5M2, 0x7B, 57344},
        {SMELT_DT_F8_E5M2, 0x04, 0x1p-14f},
        {SMELT_DT_F8_E5M2, 0x01, 0x1p-16f},
        {SMELT_DT_F8_E5M2, 0xFC, -INFINITY},
        {SMELT_DT_F8_E5M2, 0x7D, NAN},
        {SMELT_DT_F8_E4M3FNUZ, 0x7F, 240},
        {SMELT_DT_F8_E4M3FNUZ, 0x01, 0x1p-10f},
        {SMELT_DT_F8_E4M3FNUZ, 0x80, NAN},
        {SMELT_DT_F8_E5M2FNUZ, 0x7F, 57344},
        {SMELT_DT_F8_E5M2FNUZ, 0x01, 0x1p-17f},
        {SMELT_DT_F8_E5M2FNUZ, 0x80, NAN},
        {SMELT_DT_F8_E8M0, 127, 1},
        {SMELT_DT_F8_E8M0, 0, 0x1p-127f},
        {SMELT_DT_F8_E8M0, 254, 0x1p127f},
        {SMELT_DT_F8_E8M0, 255, NAN},
        {SMELT_DT_BOOL, 1, 1},
        {SMELT_DT_I8, 0x80, -128},
        {SMELT_DT_U8, 0x80, 128},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        float y;
        fns[0][cases[k].type].unpack(&cases[k].byte, &y, 1);
        if (isnan(cases[k].value) ? !isnan(y) : y != cases[k].value)
            fail_msg("%s 0x%02x: %g", smelt_dtype_get(cases[k].type)->name, cases[k].byte, (double)y);
    }
}

static void wide_types_round_to_float32(void **state)
{
    (void)state;
    const double pi = 3.14159265358979;
    const int64_t big = -((int64_t)1 << 40) - 1;
    const uint16_t u16 = 65535;
    float y;
    fns[0][SMELT_DT_F64].unpack(&pi, &y, 1);
    assert_true(y == 3.14159265f);
    fns[0][SMELT_DT_I64].unpack(&big, &y, 1);
    assert_true(y == -0x1p40f);
    fns[0][SMELT_DT_U16].unpack(&u16, &y, 1);
    assert_true(y == 65535);
    fns[0][SMELT_DT_I16].unpack(&u16, &y, 1);
    assert_true(y == -1);
}

static void q8_0_rounds_half_away_from_zero_and_nothing_less(void **state)
{
    (void)state;
    /* The largest is 127, so the scale is 1 and the codes are the rounded values. */
    static const float in[] = {127, 0.5f, -0.5f, 0x1.fffffep-2f, -0x1.fffffep-2f, 1.5f, 0x1.7ffffep0f, 2.5f, -126.5f, 126.49999f};
    static const int8_t codes[] = {127, 1, -1, 0, 0, 2, 1, 3, -127, 126};
    float x[32] = {0};
    uint8_t out[34];
    memcpy(x, in, sizeof in);
    for (int l = 0; l < LEVELS; l++) {
        if (!runs[l]) continue;
        fns[l][SMELT_DT_Q8_0].pack(x, out, 1, 32, NULL);
        assert_int_equal(load_le16(out), 0x3C00);
        assert_memory_equal(out + 2, codes, sizeof codes);
    }
}

static void compare_packing(smelt_dtype type, const float *x, size_t n, const float *weights, uint8_t *want, uint8_t *got)
{
    const smelt_dtype_row *row = smelt_dtype_get(type);
    const size_t bytes = n / row->elems * row->bytes;
    bool any = false;
    for (int l = 1; l < LEVELS; l++)
        any |= runs[l] && fns[l][type].pack != fns[0][type].pack;
    if (any) fns[0][type].pack(x, want, n / 1024, 1024, weights);
    for (int l = 1; l < LEVELS; l++) {
        if (!runs[l] || fns[l][type].pack == fns[0][type].pack) continue;
        memset(got, 0xA5, bytes);
        fns[l][type].pack(x, got, n / 1024, 1024, weights);
        for (size_t i = 0; i < bytes; i++)
            if (want[i] != got[i])
                fail_msg("%s at %s%s: block %zu, byte %zu", row->name, smelt_cpu_name(levels[l]), weights ? ", weighted" : "",
                         i / row->bytes, i % row->bytes);
    }
}

/* SMELT_TEST_ROUNDS asks for another number of rounds, each of 192 super-blocks of every type without and 64 with importances. */
static void every_variant_packs_the_bytes_of_the_baseline(void **state)
{
    (void)state;
    enum { CHUNK = 3 << 14 };
    const char *wanted = getenv("SMELT_TEST_ROUNDS");
    const int rounds = wanted ? atoi(wanted) : 24;
    static float weights[1024];
    float *x = malloc(4 * CHUNK);
    uint8_t *want = malloc(8 * CHUNK), *got = malloc(8 * CHUNK);
    assert_true(x && want && got);
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < rounds; round++) {
        adversary(x, CHUNK, &seed, round % 4 != 0); /* in every fourth, infinities and NaN too */
        importances(weights, (uint64_t)round, &seed);
        for (int d = 0; d < SMELT_DT_COUNT; d++) {
            if (!fns[0][d].pack) continue;
            if (fns[0][d].weights != SMELT_WEIGHTS_REQUIRED) compare_packing((smelt_dtype)d, x, CHUNK, NULL, want, got);
            compare_packing((smelt_dtype)d, x, CHUNK / 3, weights, want, got);
        }
    }
    free(x);
    free(want);
    free(got);
}

static void every_variant_unpacks_the_floats_of_the_baseline(void **state)
{
    (void)state;
    enum { BLOCKS = 512, BYTES = BLOCKS * 300 };
    static uint8_t in[BYTES + 1];
    static float want[BLOCKS * 256], got[BLOCKS * 256];
    uint64_t seed = 1;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < BYTES; i++)
            in[i] = (uint8_t)(next(&seed) >> 32);
        for (int d = 0; d < SMELT_DT_COUNT; d++) {
            const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
            const uint32_t n = (row->elems > 1 ? BLOCKS : 1021) * row->elems;
            if (!fns[0][d].unpack) continue;
            for (int l = 1; l < LEVELS; l++) {
                if (!runs[l] || fns[l][d].unpack == fns[0][d].unpack) continue;
                fns[0][d].unpack(in + round % 2, want, n); /* data in a file may start at an odd byte */
                fns[l][d].unpack(in + round % 2, got, n);
                for (uint32_t i = 0; i < n; i++) /* of two NaN, the compiler chooses which one a sum carries on */
                    if (f32_bits(want[i]) != f32_bits(got[i]) && !(isnan(want[i]) && isnan(got[i])))
                        fail_msg("%s at %s: element %u", row->name, smelt_cpu_name(levels[l]), i);
            }
        }
    }
}

static void packing_writes_its_blocks_and_nothing_else(void **state)
{
    (void)state;
    float x[512];
    uint8_t out[512 * 8 + 64];
    ramp(x, 512);
    for (int d = 0; d < SMELT_DT_COUNT; d++)
        for (int l = 0; l < LEVELS; l++) {
            const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
            if (!runs[l] || !fns[l][d].pack) continue;
            const size_t n = row->elems > 1 ? 2 * row->elems : 37, bytes = n / row->elems * row->bytes;
            memset(out, 0xA5, sizeof out);
            fns[l][d].pack(x, out + 32, 1, n, if_needed((smelt_dtype)d));
            for (size_t i = 0; i < 32; i++)
                if (out[i] != 0xA5 || out[32 + bytes + i] != 0xA5) fail_msg("%s at %s", row->name, smelt_cpu_name(levels[l]));
        }
}

static void a_block_with_an_infinite_scale_is_found(void **state)
{
    (void)state;
    float x[4 * 256];
    uint8_t out[4 * 300];
    for (int d = 0; d < SMELT_DT_COUNT; d++) {
        const smelt_dtype_row *row = smelt_dtype_get((smelt_dtype)d);
        if (!fns[0][d].pack || !fns[0][d].validate) continue;
        ramp(x, 4 * 256);
        fns[0][d].pack(x, out, 1, 4 * row->elems, if_needed((smelt_dtype)d));
        if (fns[0][d].validate(out, 4) != 4) fail_msg("%s: a good block is refused", row->name);
        memset(out + 2 * row->bytes, 0xFF, row->bytes);
        if (fns[0][d].validate(out, 4) != 2) fail_msg("%s: a bad block is not found", row->name);
    }
}

static void numbers_that_a_scale_cannot_hold_make_a_block_invalid(void **state)
{
    (void)state;
    static const smelt_dtype types[] = {SMELT_DT_Q4_0, SMELT_DT_Q4_1, SMELT_DT_Q5_0, SMELT_DT_Q5_1, SMELT_DT_Q8_0};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        for (int l = 0; l < LEVELS; l++) {
            float x[32];
            uint8_t out[64];
            if (!runs[l]) continue;
            const float bad[] = {1e9f, INFINITY, -INFINITY};
            for (int i = 0; i < 3; i++) {
                ramp(x, 32);
                x[17] = bad[i];
                fns[l][types[k]].pack(x, out, 1, 32, NULL);
                assert_int_equal(fns[l][types[k]].validate(out, 1), 0);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_block_packs_to_the_bytes_of_ggml),
        cmocka_unit_test(half_precision_rounds_to_nearest_even),
        cmocka_unit_test(every_half_precision_number_survives),
        cmocka_unit_test(small_floats_have_their_published_values),
        cmocka_unit_test(wide_types_round_to_float32),
        cmocka_unit_test(q8_0_rounds_half_away_from_zero_and_nothing_less),
        cmocka_unit_test(every_variant_packs_the_bytes_of_the_baseline),
        cmocka_unit_test(every_variant_unpacks_the_floats_of_the_baseline),
        cmocka_unit_test(packing_writes_its_blocks_and_nothing_else),
        cmocka_unit_test(a_block_with_an_infinite_scale_is_found),
        cmocka_unit_test(numbers_that_a_scale_cannot_hold_make_a_block_invalid),
    };
    return cmocka_run_group_tests(tests, select_all, NULL);
}
