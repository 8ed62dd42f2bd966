/* One lane in plain C: the portable build on every CPU and the reference of the others. The
 * operations are described in vec.h.
 *
 * Compiled for a target with fused multiply-add (../../target.h) it gives the bits of the vector
 * builds. Without (baseline x86-64) v_fma rounds twice: right to rounding, outside the promise. The
 * build of the name fma has the bits everywhere; where there is no instruction, it calls the C
 * library's fma, at a hundred times the cost. */
#include "../../target.h"

#define VEC_ISA scalar
/* Register tile of the matrix multiply; both gcc and clang pack the 4 columns into SSE or NEON. */
enum { TILE_ROWS = 4, TILE_VECS = 4 };
enum { PAIR_VECS = 4 };
/* Of the tile of SKIP_ROWS rows, which skips zeros: as many as keep the multiply-adds in flight. */
enum { SKIP_VECS = 4 };
/* One lane needs no shapes of its own for small sizes: it is there to be right, and small. */
enum { MANY_VARIANTS = 0 };
/* What transposing rows costs in products with few columns, as columns more: the shuffles run
 * beside the multiply-adds where registers are many. */
enum { FEW_COST = 3 };
/* Whether v_load_part is as fast as v_load. */
enum { PART_LOADS_ARE_FREE = 1 };

typedef real vec;
typedef int vmask;
enum { VL = 1 };

#if DEEPC_REAL_BITS == 32
#define BUILTIN(op) __builtin_##op##f
enum { FRACTION_BITS = 23, EXPONENT_BIAS = 127 };
#define ROUND_MAGIC 0x1.8p23f
#else
#define BUILTIN(op) __builtin_##op
enum { FRACTION_BITS = 52, EXPONENT_BIAS = 1023 };
#define ROUND_MAGIC 0x1.8p52
#endif

ALWAYS_INLINE real from_bits(real_bits bits) {
    real x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
ALWAYS_INLINE real_bits to_bits(real x) {
    real_bits bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

ALWAYS_INLINE vec v_load(const real *p) { return *p; }
ALWAYS_INLINE void v_store(real *p, vec a) { *p = a; }
ALWAYS_INLINE void v_stream(real *p, vec a) { v_store(p, a); }
ALWAYS_INLINE void v_stream_end(void) {}
ALWAYS_INLINE vec v_load_part(const real *p, size_t n) { return n ? *p : 0; }
ALWAYS_INLINE void v_store_part(real *p, vec a, size_t n) {
    if (n) *p = a;
}
ALWAYS_INLINE vec v_zero(void) { return 0; }
ALWAYS_INLINE vec v_set(real x) { return x; }
ALWAYS_INLINE vec v_add(vec a, vec b) { return a + b; }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return a - b; }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return a * b; }
ALWAYS_INLINE vec v_div(vec a, vec b) { return a / b; }
#if defined(DEEPC_ISA_FMA) && defined(__wasm__)
/* Software. That of some compilers gives +0 where a product below 0 is too small for a number. */
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) {
    return c == 0 && a != 0 && b != 0 ? a * b : BUILTIN(fma)(a, b, c);
}
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return v_fma(-a, b, c); }
#elif TARGET_HAS_FMA || defined(DEEPC_ISA_FMA)
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return BUILTIN(fma)(a, b, c); }
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return BUILTIN(fma)(-a, b, c); }
#else
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return c - a * b; }
#endif
ALWAYS_INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }
ALWAYS_INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
ALWAYS_INLINE vec v_sqrt(vec a) { return BUILTIN(sqrt)(a); }
ALWAYS_INLINE vec v_abs(vec a) { return BUILTIN(fabs)(a); }
ALWAYS_INLINE vec v_copysign(vec a, vec b) { return BUILTIN(copysign)(a, b); }
/* Adding and subtracting 1.5 * 2^23 (2^52) rounds to an integer; larger numbers are integers
 * already. Two statements, because a compiler may keep the sum inside one expression wider than
 * `vec`, and then nothing is rounded. */
ALWAYS_INLINE vec v_round(vec a) {
    const vec shifted = a + ROUND_MAGIC;
    const vec rounded = shifted - ROUND_MAGIC;
    return v_abs(a) < ROUND_MAGIC / 3 ? v_copysign(rounded, a) : a;
}
ALWAYS_INLINE vmask v_lt(vec a, vec b) { return a < b; }
ALWAYS_INLINE vmask v_le(vec a, vec b) { return a <= b; }
ALWAYS_INLINE vmask v_eq(vec a, vec b) { return a == b; }
ALWAYS_INLINE vec v_select(vmask m, vec a, vec b) { return m ? a : b; }
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    return to_bits(a) == (real_bits)1 << (DEEPC_REAL_BITS - 1);
}
ALWAYS_INLINE vec v_exp2i(vec n) {
    const int whole = n == n ? (int)n : 0; /* of NaN no int is defined */
    return from_bits((real_bits)(whole + EXPONENT_BIAS) << FRACTION_BITS);
}
ALWAYS_INLINE vec v_exponent(vec a) {
    return (real)((int)(to_bits(a) >> FRACTION_BITS) - EXPONENT_BIAS);
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const real_bits one = (real_bits)EXPONENT_BIAS << FRACTION_BITS;
    return from_bits((to_bits(a) & (((real_bits)1 << FRACTION_BITS) - 1)) | one);
}

ALWAYS_INLINE real v_first(vec a) { return a; }
ALWAYS_INLINE vec v_across(vec a, int half) {
    (void)half;
    return a;
}
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    (void)lanes;
    return a;
}
enum { SQUARE = VL };
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    column[0] = *(vec_row(rows, 0));
}

/* In two steps, as 2^n itself may be out of range; the first is exact, so only the second
 * rounds. */
ALWAYS_INLINE vec v_scale(vec a, vec n) {
    const vec half = v_round(v_mul(n, v_set((real)0.5)));
    return v_mul(v_mul(a, v_exp2i(half)), v_exp2i(v_sub(n, half)));
}

typedef uint64_t whole;
enum { WHOLE_LANES = 1 };
ALWAYS_INLINE whole u_set(uint64_t x) { return x; }
ALWAYS_INLINE whole u_count(void) { return 0; }
ALWAYS_INLINE whole u_add(whole a, whole b) { return a + b; }
ALWAYS_INLINE whole u_mul(whole a, whole b) { return (uint64_t)(uint32_t)a * (uint32_t)b; }
ALWAYS_INLINE whole u_xor(whole a, whole b) { return a ^ b; }
ALWAYS_INLINE whole u_high(whole a) { return a >> 32; }
ALWAYS_INLINE void u_store_words(uint32_t *p, whole a, whole b, whole c, whole d) {
    p[0] = (uint32_t)a;
    p[1] = (uint32_t)b;
    p[2] = (uint32_t)c;
    p[3] = (uint32_t)d;
}
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) { return *p > x; }

#undef BUILTIN
#undef ROUND_MAGIC
