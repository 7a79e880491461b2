/* The decoders with NEON. */
#include "quant/simd/unpack_lanes.h"

#define UNPACK(name) name##_unpack_neon

static inline void look_up(const int8_t *table, const uint8_t *qs, uint8_t *code)
{
    const uint8x16_t q = vld1q_u8(qs), values = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(table)), vdupq_n_u8(128));
    vst1q_u8(code, vqtbl1q_u8(values, vandq_u8(q, vdupq_n_u8(15))));
    vst1q_u8(code + 16, vqtbl1q_u8(values, vshrq_n_u8(q, 4)));
}

#include "quant/unpack.inc"
