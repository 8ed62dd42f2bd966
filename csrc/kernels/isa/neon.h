/* NEON on AArch64: 4 floats or 2 doubles a vector. The operations are described in vec.h. */
#include <arm_neon.h>

#define VEC_ISA neon
/* Register tile of the matrix multiply: 7 x 3 accumulators, 3 vectors of b and one of a in 25 of 32
 * registers; at 8 x 3 gcc 12 spills. */
enum { TILE_ROWS = 7, TILE_VECS = 3 };
/* Of the tile of two rows; the longer the pieces in which it reads b, the better for caches and
 * memory. */
enum { PAIR_VECS = 4 };
/* Of the tile of SKIP_ROWS rows, which skips zeros: as many as keep the multiply-adds in flight. */
enum { SKIP_VECS = 4 };
/* Whether it pays to compile shapes of their own for small sizes. */
enum { MANY_VARIANTS = 1 };
/* What transposing rows costs in products with few columns, as columns more: the shuffles run
 * beside the multiply-adds where registers are many. */
enum { FEW_COST = 3 };
/* Whether v_load_part is as fast as v_load. */
enum { PART_LOADS_ARE_FREE = 0 };

#if DEEPC_REAL_BITS == 32
typedef float32x4_t vec;
typedef uint32x4_t vmask;
enum { VL = 4 };
#define NEON(op) v##op##q_f32
#define NEON_FROM_BITS(x) vreinterpretq_f32_u32(x)
#define NEON_TO_BITS(x) vreinterpretq_u32_f32(x)
#else
typedef float64x2_t vec;
typedef uint64x2_t vmask;
enum { VL = 2 };
#define NEON(op) v##op##q_f64
#define NEON_FROM_BITS(x) vreinterpretq_f64_u64(x)
#define NEON_TO_BITS(x) vreinterpretq_u64_f64(x)
#endif

ALWAYS_INLINE vec v_load(const real *p) { return NEON(ld1)(p); }
ALWAYS_INLINE void v_store(real *p, vec a) { NEON(st1)(p, a); }
ALWAYS_INLINE void v_stream(real *p, vec a) { v_store(p, a); }
ALWAYS_INLINE void v_stream_end(void) {}
/* Branches that a loop always takes the same way cost it next to nothing. A detour through memory,
 * or a call, which may overwrite the accumulators, would cost it more than the arithmetic. */
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_load_part(const real *p, size_t n) {
    const float32x2_t none = vdup_n_f32(0);
    if (n >= VL) return v_load(p);
    if (n == 3) return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
    if (n == 2) return vcombine_f32(vld1_f32(p), none);
    return vcombine_f32(n ? vld1_lane_f32(p, none, 0) : none, none);
}
ALWAYS_INLINE void v_store_part(real *p, vec a, size_t n) {
    if (n >= VL) {
        v_store(p, a);
        return;
    }
    if (n >= 2) vst1_f32(p, vget_low_f32(a));
    if (n == 1) vst1q_lane_f32(p, a, 0);
    if (n == 3) vst1q_lane_f32(p + 2, a, 2);
}
#else
ALWAYS_INLINE vec v_load_part(const real *p, size_t n) {
    const float64x1_t none = vdup_n_f64(0);
    if (n >= VL) return v_load(p);
    return vcombine_f64(n ? vld1_f64(p) : none, none);
}
ALWAYS_INLINE void v_store_part(real *p, vec a, size_t n) {
    if (n >= VL)
        v_store(p, a);
    else if (n)
        vst1q_lane_f64(p, a, 0);
}
#endif
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_set(real x) { return vdupq_n_f32(x); }
#else
ALWAYS_INLINE vec v_set(real x) { return vdupq_n_f64(x); }
#endif
ALWAYS_INLINE vec v_zero(void) { return v_set(0); }
ALWAYS_INLINE vec v_add(vec a, vec b) { return NEON(add)(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return NEON(sub)(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return NEON(mul)(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return NEON(div)(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return NEON(fma)(c, a, b); }
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return NEON(fms)(c, a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return NEON(sqrt)(a); }
ALWAYS_INLINE vec v_abs(vec a) { return NEON(abs)(a); }
ALWAYS_INLINE vec v_round(vec a) { return NEON(rndn)(a); }
ALWAYS_INLINE vmask v_lt(vec a, vec b) { return NEON(clt)(a, b); }
ALWAYS_INLINE vmask v_le(vec a, vec b) { return NEON(cle)(a, b); }
ALWAYS_INLINE vmask v_eq(vec a, vec b) { return NEON(ceq)(a, b); }
ALWAYS_INLINE vec v_select(vmask m, vec a, vec b) { return NEON(bsl)(m, a, b); }
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    return vceqq_u32(NEON_TO_BITS(a), vdupq_n_u32((uint32_t)1 << 31));
}
#else
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    return vceqq_u64(NEON_TO_BITS(a), vdupq_n_u64((uint64_t)1 << 63));
}
#endif
ALWAYS_INLINE vec v_copysign(vec a, vec b) {
    return NEON(bsl)(NEON_TO_BITS(v_set((real)-0.0)), b, a);
}
/* NEON's own minimum and maximum propagate NaN; the contract is x86's comparison. */
ALWAYS_INLINE vec v_min(vec a, vec b) { return v_select(v_lt(a, b), a, b); }
ALWAYS_INLINE vec v_max(vec a, vec b) { return v_select(v_lt(b, a), a, b); }

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_exp2i(vec n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const int32x4_t biased = vreinterpretq_s32_u32(vshrq_n_u32(NEON_TO_BITS(a), 23));
    return vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const uint32x4_t fraction = vandq_u32(NEON_TO_BITS(a), vdupq_n_u32(0x007fffff));
    return NEON_FROM_BITS(vorrq_u32(fraction, vdupq_n_u32(0x3f800000)));
}
#else
ALWAYS_INLINE vec v_exp2i(vec n) {
    return vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(vcvtq_s64_f64(n), vdupq_n_s64(1023)), 52));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const int64x2_t biased = vreinterpretq_s64_u64(vshrq_n_u64(NEON_TO_BITS(a), 52));
    return vcvtq_f64_s64(vsubq_s64(biased, vdupq_n_s64(1023)));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const uint64x2_t fraction = vandq_u64(NEON_TO_BITS(a), vdupq_n_u64(0x000fffffffffffffULL));
    return NEON_FROM_BITS(vorrq_u64(fraction, vdupq_n_u64(0x3ff0000000000000ULL)));
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE real v_first(vec a) { return vgetq_lane_f32(a, 0); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    return half == 2 ? vextq_f32(a, a, 2) : vrev64q_f32(a);
}
#else
ALWAYS_INLINE real v_first(vec a) { return vgetq_lane_f64(a, 0); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    (void)half;
    return vextq_f64(a, a, 1);
}
#endif

#if DEEPC_REAL_BITS == 32
/* By bytes: 4 i, 4 i + 1, 4 i + 2, 4 i + 3 for lane i. */
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    const uint32x4_t i = vreinterpretq_u32_f32(vld1q_f32(lanes));
    const uint32x4_t bytes = vmlaq_n_u32(vdupq_n_u32(0x03020100), i, 0x04040404);
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(a), vreinterpretq_u8_u32(bytes)));
}
#else
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    const uint64x2_t first = vceqzq_u64(vreinterpretq_u64_f64(vld1q_f64(lanes)));
    return vbslq_f64(first, vdupq_laneq_f64(a, 0), vdupq_laneq_f64(a, 1));
}
#endif

enum { SQUARE = VL };
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    const float32x4x2_t a = vtrnq_f32(v_load(vec_row(rows, 0)), v_load(vec_row(rows, 1)));
    const float32x4x2_t b = vtrnq_f32(v_load(vec_row(rows, 2)), v_load(vec_row(rows, 3)));
    column[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    column[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    column[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    column[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
#else
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    const vec a = v_load(vec_row(rows, 0)), b = v_load(vec_row(rows, 1));
    column[0] = vzip1q_f64(a, b);
    column[1] = vzip2q_f64(a, b);
}
#endif

/* In two steps, as 2^n itself may be out of range; the first is exact, so only the second
 * rounds. */
ALWAYS_INLINE vec v_scale(vec a, vec n) {
    const vec half = v_round(v_mul(n, v_set((real)0.5)));
    return v_mul(v_mul(a, v_exp2i(half)), v_exp2i(v_sub(n, half)));
}

typedef uint64x2_t whole;
enum { WHOLE_LANES = 2 };
ALWAYS_INLINE whole u_set(uint64_t x) { return vdupq_n_u64(x); }
ALWAYS_INLINE whole u_count(void) { return vcombine_u64(vcreate_u64(0), vcreate_u64(1)); }
ALWAYS_INLINE whole u_add(whole a, whole b) { return vaddq_u64(a, b); }
ALWAYS_INLINE whole u_mul(whole a, whole b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
ALWAYS_INLINE whole u_xor(whole a, whole b) { return veorq_u64(a, b); }
ALWAYS_INLINE whole u_high(whole a) { return vshrq_n_u64(a, 32); }
ALWAYS_INLINE void u_store_words(uint32_t *p, whole a, whole b, whole c, whole d) {
    const uint32x2x4_t words = {{vmovn_u64(a), vmovn_u64(b), vmovn_u64(c), vmovn_u64(d)}};
    vst4_u32(p, words);
}
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    return vcgtq_u32(vld1q_u32(p), vdupq_n_u32(x));
}
#else
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    return vcgtq_u64(vmovl_u32(vld1_u32(p)), vdupq_n_u64(x));
}
#endif

#undef NEON
#undef NEON_FROM_BITS
#undef NEON_TO_BITS
