/* Types of one value an element. Data in files may start at any byte, hence the loads by memcpy. */
#include "quant/codec_list.h"
#include "quant/fp.h"

static void f32_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    memcpy(dst, x, rows * cols * sizeof *x);
}
static void f32_unpack(const void *src, float *y, uint64_t n) { memcpy(y, src, n * sizeof *y); }

void f16_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    uint8_t *out = dst;
    for (uint64_t i = 0; i < rows * cols; i++)
        store_le16(out + 2 * i, fp_to_f16(x[i]));
}
void f16_unpack(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    for (uint64_t i = 0; i < n; i++)
        y[i] = fp_from_f16(load_le16(in + 2 * i));
}

void bf16_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    uint8_t *out = dst;
    for (uint64_t i = 0; i < rows * cols; i++)
        store_le16(out + 2 * i, fp_to_bf16(x[i]));
}
void bf16_unpack(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    for (uint64_t i = 0; i < n; i++)
        y[i] = fp_from_bf16(load_le16(in + 2 * i));
}

static void f64_pack(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    (void)weights;
    uint8_t *out = dst;
    for (uint64_t i = 0; i < rows * cols; i++) {
        double v = (double)x[i];
        uint64_t bits;
        memcpy(&bits, &v, 8);
        store_le64(out + 8 * i, bits);
    }
}
static void f64_unpack(const void *src, float *y, uint64_t n)
{
    const uint8_t *in = src;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits = load_le64(in + 8 * i);
        double v;
        memcpy(&v, &bits, 8);
        y[i] = (float)v; /* rounds to nearest; float32 has no room for the rest */
    }
}

/* An 8-bit float of sign, exponent and `mant` bits of mantissa. Source: Open Compute Project, "8-bit Floating Point
 * Specification", and ONNX's "Float stored in 8 bits" for the variants without negative zero (fnuz). */
static float fp8(uint8_t b, int mant, int bias)
{
    int exponent = (b & 0x7F) >> mant, m = b & ((1 << mant) - 1);
    /* Both forms are a small integer times a power of two that float32 holds exactly. */
    int value = exponent ? m + (1 << mant) : m, power = (exponent ? exponent : 1) - bias - mant;
    float v = (float)value * f32_from_bits((uint32_t)(power + 127) << 23);
    return b & 0x80 ? -v : v;
}
static float fp_nan(uint8_t b) { return f32_from_bits((uint32_t)(b & 0x80) << 24 | 0x7FC00000); }

static float f8_e4m3(uint8_t b) { return (b & 0x7F) == 0x7F ? fp_nan(b) : fp8(b, 3, 7); }
static float f8_e5m2(uint8_t b) { return fp_from_f16((uint16_t)(b << 8)); } /* the upper half of a float16 */
static float f8_e4m3fnuz(uint8_t b) { return b == 0x80 ? fp_nan(0) : fp8(b, 3, 8); }
static float f8_e5m2fnuz(uint8_t b) { return b == 0x80 ? fp_nan(0) : fp8(b, 2, 16); }
static float f8_e8m0(uint8_t b) { return b == 0xFF ? fp_nan(0) : b == 0 ? 0x1p-127f : f32_from_bits((uint32_t)b << 23); }

#define UNPACK_BYTES(name, convert) \
    static void name##_unpack(const void *src, float *y, uint64_t n) \
    { \
        const uint8_t *in = src; \
        for (uint64_t i = 0; i < n; i++) \
            y[i] = convert(in[i]); \
    }
UNPACK_BYTES(f8_e4m3, f8_e4m3)
UNPACK_BYTES(f8_e5m2, f8_e5m2)
UNPACK_BYTES(f8_e4m3fnuz, f8_e4m3fnuz)
UNPACK_BYTES(f8_e5m2fnuz, f8_e5m2fnuz)
UNPACK_BYTES(f8_e8m0, f8_e8m0)
UNPACK_BYTES(u8, (float))
UNPACK_BYTES(i8, (float)(int8_t))
UNPACK_BYTES(bool, (float)!!)

#define UNPACK_INTS(name, type, load, size) \
    static void name##_unpack(const void *src, float *y, uint64_t n) \
    { \
        const uint8_t *in = src; \
        for (uint64_t i = 0; i < n; i++) \
            y[i] = (float)(type)load(in + size * i); \
    }
UNPACK_INTS(u16, uint16_t, load_le16, 2)
UNPACK_INTS(i16, int16_t, load_le16, 2)
UNPACK_INTS(u32, uint32_t, load_le32, 4)
UNPACK_INTS(i32, int32_t, load_le32, 4)
UNPACK_INTS(u64, uint64_t, load_le64, 8)
UNPACK_INTS(i64, int64_t, load_le64, 8)

const smelt_codec smelt_codec_f32 = {.dtype = SMELT_DT_F32, .variants = {{SMELT_CPU_BASELINE, f32_pack, f32_unpack}}};
const smelt_codec smelt_codec_f16 = {
    .dtype = SMELT_DT_F16,
    .variants = {IF_X86({SMELT_CPU_AVX512, f16_pack_avx512, f16_unpack_avx512},
                        {SMELT_CPU_AVX2, f16_pack_avx2, f16_unpack_avx2}, ){SMELT_CPU_BASELINE, f16_pack, f16_unpack}},
};
const smelt_codec smelt_codec_bf16 = {
    .dtype = SMELT_DT_BF16,
    .variants = {IF_X86({SMELT_CPU_AVX512, bf16_pack_avx512, bf16_unpack_avx512},
                        {SMELT_CPU_AVX2, bf16_pack_avx2, bf16_unpack_avx2}, ){SMELT_CPU_BASELINE, bf16_pack, bf16_unpack}},
};
const smelt_codec smelt_codec_f64 = {.dtype = SMELT_DT_F64, .variants = {{SMELT_CPU_BASELINE, f64_pack, f64_unpack}}};

#define UNPACK_ONLY(name, id) \
    const smelt_codec smelt_codec_##name = {.dtype = SMELT_DT_##id, .variants = {{SMELT_CPU_BASELINE, NULL, name##_unpack}}}
UNPACK_ONLY(f8_e4m3, F8_E4M3);
UNPACK_ONLY(f8_e5m2, F8_E5M2);
UNPACK_ONLY(f8_e8m0, F8_E8M0);
UNPACK_ONLY(f8_e4m3fnuz, F8_E4M3FNUZ);
UNPACK_ONLY(f8_e5m2fnuz, F8_E5M2FNUZ);
UNPACK_ONLY(bool, BOOL);
UNPACK_ONLY(u8, U8);
UNPACK_ONLY(i8, I8);
UNPACK_ONLY(u16, U16);
UNPACK_ONLY(i16, I16);
UNPACK_ONLY(u32, U32);
UNPACK_ONLY(i32, I32);
UNPACK_ONLY(u64, U64);
UNPACK_ONLY(i64, I64);
