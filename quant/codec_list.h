/* What this folder's files share: the codecs of codecs.def, and the functions of simd/ by name. */
#ifndef SMELT_QUANT_CODEC_LIST_H
#define SMELT_QUANT_CODEC_LIST_H

#include "ir/codec.h"

#define SMELT_CODEC(name) extern const smelt_codec smelt_codec_##name;
#include "quant/codecs.def"
#undef SMELT_CODEC

/* Rows of a variants table that exist on x86-64 only; on other machines the argument vanishes. */
#if defined(__x86_64__)
#define IF_X86(...) __VA_ARGS__
#else
#define IF_X86(...)
#endif

/* The rows of a type whose encoder is written for lanes (simd/lanes.h), and its declarations. */
#if defined(__x86_64__)
#define LANE_VARIANTS(name) {SMELT_CPU_AVX512, name##_pack_avx512, NULL}, {SMELT_CPU_AVX2, name##_pack_avx2, NULL},
#elif defined(__aarch64__)
#define LANE_VARIANTS(name) {SMELT_CPU_NEON, name##_pack_neon, NULL},
#else
#define LANE_VARIANTS(name)
#endif
#define LANE_PACK(name) smelt_pack_fn name##_pack, name##_pack_avx2, name##_pack_avx512, name##_pack_neon

LANE_PACK(q4_0);
LANE_PACK(q4_1);
LANE_PACK(q5_0);
LANE_PACK(q5_1);
LANE_PACK(q8_0);
LANE_PACK(q8_1);
LANE_PACK(q2_k);
LANE_PACK(q3_k);
LANE_PACK(q4_k);
LANE_PACK(q5_k);
LANE_PACK(q6_k);
LANE_PACK(q8_k);
LANE_PACK(iq4_nl);
LANE_PACK(iq4_xs);
LANE_PACK(iq2_xxs);
LANE_PACK(iq2_xs);
LANE_PACK(iq2_s);
LANE_PACK(iq3_xxs);
LANE_PACK(iq3_s);
LANE_PACK(iq1_s);
LANE_PACK(iq1_m);
LANE_PACK(mxfp4);
LANE_PACK(nvfp4);
LANE_PACK(tq1_0);
LANE_PACK(tq2_0);
LANE_PACK(q1_0);
LANE_PACK(q2_0);

/* Decoders, written once for all instruction sets (unpack.inc). */
#if defined(__x86_64__)
#define UNPACK_VARIANT(name) {SMELT_CPU_AVX512, NULL, name##_unpack_avx512}, {SMELT_CPU_AVX2, NULL, name##_unpack_avx2},
#elif defined(__aarch64__)
#define UNPACK_VARIANT(name) {SMELT_CPU_NEON, NULL, name##_unpack_neon},
#else
#define UNPACK_VARIANT(name)
#endif
#define UNPACK_DECLARE(name) smelt_unpack_fn name##_unpack, name##_unpack_avx2, name##_unpack_avx512, name##_unpack_neon

UNPACK_DECLARE(q4_0);
UNPACK_DECLARE(q4_1);
UNPACK_DECLARE(q5_0);
UNPACK_DECLARE(q5_1);
UNPACK_DECLARE(q8_0);
UNPACK_DECLARE(q8_1);
UNPACK_DECLARE(q2_k);
UNPACK_DECLARE(q3_k);
UNPACK_DECLARE(q4_k);
UNPACK_DECLARE(q5_k);
UNPACK_DECLARE(q6_k);
UNPACK_DECLARE(q8_k);
UNPACK_DECLARE(iq4_nl);
UNPACK_DECLARE(iq4_xs);
UNPACK_DECLARE(mxfp4);
UNPACK_DECLARE(nvfp4);
UNPACK_DECLARE(tq1_0);
UNPACK_DECLARE(tq2_0);
UNPACK_DECLARE(q1_0);
UNPACK_DECLARE(q2_0);
UNPACK_DECLARE(iq2_xxs);
UNPACK_DECLARE(iq2_xs);
UNPACK_DECLARE(iq2_s);
UNPACK_DECLARE(iq3_xxs);
UNPACK_DECLARE(iq3_s);
UNPACK_DECLARE(iq1_s);
UNPACK_DECLARE(iq1_m);

/* Baseline functions that variants fall back to for blocks whose arithmetic leaves the usual range. */
smelt_pack_fn f16_pack, bf16_pack;
smelt_unpack_fn f16_unpack, bf16_unpack;

smelt_pack_fn f16_pack_avx2, bf16_pack_avx2;
smelt_unpack_fn f16_unpack_avx2, bf16_unpack_avx2;

smelt_pack_fn f16_pack_avx512, bf16_pack_avx512;
smelt_unpack_fn f16_unpack_avx512, bf16_unpack_avx512;

/* What those variants call where there are importances. */
#define WEIGHTED_PACK(name) smelt_pack_fn name##_weighted_avx2, name##_weighted_avx512, name##_weighted_neon
WEIGHTED_PACK(q4_0);
WEIGHTED_PACK(q4_1);
WEIGHTED_PACK(q5_0);
WEIGHTED_PACK(q5_1);

#endif
