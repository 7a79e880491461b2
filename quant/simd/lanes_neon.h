/* lanes.h with NEON (AArch64): four lanes, truth values as all-ones in an integer register. */
#ifndef SMELT_QUANT_SIMD_LANES_NEON_H
#define SMELT_QUANT_SIMD_LANES_NEON_H

#include <arm_neon.h>

#include "quant/fp.h"

#define LANE_FN(name) name##_neon
enum { LANES = 4 };
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

static inline vf vf_set(float v) { return vdupq_n_f32(v); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf v) { vst1q_f32(p, v); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
static inline vf vf_abs(vf a) { return vabsq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }
static inline vm vf_eq(vf a, vf b) { return vceqq_f32(a, b); }
static inline vm vf_ne(vf a, vf b) { return vmvnq_u32(vceqq_f32(a, b)); }
static inline vm vf_gt(vf a, vf b) { return vcgtq_f32(a, b); }
static inline vm vf_ge(vf a, vf b) { return vcgeq_f32(a, b); }
static inline vm vf_lt(vf a, vf b) { return vcltq_f32(a, b); }
static inline vm vf_le(vf a, vf b) { return vcleq_f32(a, b); }
static inline vf vf_select(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
/* The instructions FMIN and FMAX prefer NaN and order the zeros. */
static inline vf vf_min(vf a, vf b) { return vf_select(vf_lt(a, b), a, b); }
static inline vf vf_max(vf a, vf b) { return vf_select(vf_gt(a, b), a, b); }

static inline vi vi_set(int32_t v) { return vdupq_n_s32(v); }
static inline vi vi_load(const int32_t *p) { return vld1q_s32(p); }
static inline void vi_store(int32_t *p, vi v) { vst1q_s32(p, v); }
static inline vi vi_load8(const uint8_t *p)
{
    const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(load_le32(p)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}
static inline void vi_store8(uint8_t *p, vi v)
{
    const uint16x4_t half = vmovn_u32(vreinterpretq_u32_s32(v));
    store_le32(p, vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(half, half))), 0));
}
static inline vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
static inline vi vi_mul(vi a, vi b) { return vmulq_s32(a, b); }
static inline vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
static inline vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
static inline vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
#define vi_sll(a, n) vshlq_n_s32(a, n)
#define vi_srl(a, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n))
#define vi_sra(a, n) vshrq_n_s32(a, n)
static inline vi vi_min(vi a, vi b) { return vminq_s32(a, b); }
static inline vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
static inline int32_t vi_reduce_max(vi a) { return vmaxvq_s32(a); }
static inline vi vi_min_unsigned(vi a, vi b)
{
    return vreinterpretq_s32_u32(vminq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}
static inline vm vi_eq(vi a, vi b) { return vceqq_s32(a, b); }
static inline vm vi_gt(vi a, vi b) { return vcgtq_s32(a, b); }
static inline vi vi_select(vm m, vi a, vi b) { return vbslq_s32(m, a, b); }

static inline vf vf_gather(const float *p, vi index)
{
    const float v[4] = {p[vgetq_lane_s32(index, 0)], p[vgetq_lane_s32(index, 1)], p[vgetq_lane_s32(index, 2)],
                        p[vgetq_lane_s32(index, 3)]};
    return vf_load(v);
}
static inline vi vi_gather(const int32_t *p, vi index)
{
    const int32_t v[4] = {p[vgetq_lane_s32(index, 0)], p[vgetq_lane_s32(index, 1)], p[vgetq_lane_s32(index, 2)],
                          p[vgetq_lane_s32(index, 3)]};
    return vi_load(v);
}

static inline vf vf_pick(const float *p, vi index)
{
    /* The numbers of the four bytes of a value, of 32. */
    const uint32x4_t first = vandq_u32(vreinterpretq_u32_s32(index), vdupq_n_u32(7));
    const uint32x4_t bytes = vmlaq_n_u32(vdupq_n_u32(0x03020100), first, 0x04040404);
    const uint8x16x2_t table = {{vld1q_u8((const uint8_t *)p), vld1q_u8((const uint8_t *)(p + 4))}};
    return vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(bytes)));
}

static inline vf vf_from_vi(vi a) { return vcvtq_f32_s32(a); }
static inline vi vf_trunc(vf a) { return vcvtq_s32_f32(a); }
static inline vf vf_bits(vi a) { return vreinterpretq_f32_s32(a); }
static inline vi vi_bits(vf a) { return vreinterpretq_s32_f32(a); }
static inline vi vf_nearest(vf a)
{
    const vi shifted = vi_bits(vf_add(a, vf_set(12582912.0f)));
    return vi_sub(vi_and(shifted, vi_set(0x7FFFFF)), vi_set(0x400000));
}

static inline vm vm_and(vm a, vm b) { return vandq_u32(a, b); }
static inline vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
static inline vm vm_not(vm a) { return vmvnq_u32(a); }
static inline vm vm_andnot(vm a, vm b) { return vbicq_u32(a, b); }
static inline bool vm_any(vm m) { return vmaxvq_u32(m) != 0; }
static inline bool vm_all(vm m) { return vminvq_u32(m) != 0; }
static inline uint32_t vm_bits(vm m)
{
    const uint32_t bit[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, vld1q_u32(bit)));
}
static inline vm vm_from_bits(uint32_t bits)
{
    const uint32_t bit[4] = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32(bits), vld1q_u32(bit));
}

/* columns[i] is element first + i of the rows: interleaving of single elements, then of pairs. */
static inline void vf_transpose(const float *const *rows, int first, vf *columns)
{
    const float32x4x2_t a = vtrnq_f32(vf_load(rows[0] + first), vf_load(rows[1] + first));
    const float32x4x2_t b = vtrnq_f32(vf_load(rows[2] + first), vf_load(rows[3] + first));
    columns[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    columns[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    columns[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    columns[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

#endif
