/* One vector type for every kernel: `vec` of VL elements of `real`, in the native width of the
 * instruction set that this translation unit is compiled for (the build defines DEEPC_ISA_<NAME>).
 *
 * Every header in isa/ gives these operations, all exact or correctly rounded, so that each kernel
 * has the same bits everywhere:
 *   v_load v_store                VL elements, any alignment
 *   v_load_part v_store_part      the first n elements (n clipped to VL); nothing beyond them is
 *                                 touched, missing lanes load as +0
 *   v_stream                      v_store past the caches, where the processor can; p on a boundary
 *                                 of a vector. Other threads see it after v_stream_end
 *   v_zero v_set                  all lanes +0, all lanes x
 *   v_add v_sub v_mul v_div v_sqrt
 *                                 IEEE operations
 *   v_fma(a, b, c)                a * b + c rounded once; v_fnma(a, b, c): c - a * b rounded once
 *   v_min(a, b)                   a < b ? a : b (so b when either is NaN); v_max: a > b ? a : b
 *   v_abs, v_copysign(a, b)       |a|; |a| with the sign of b
 *   v_round                       to the nearest integer, ties to even
 *   v_lt v_le v_eq                a vmask; false where either is NaN
 *   v_is_minus_zero(a)            a vmask: whether a is -0, not +0
 *   v_select(m, a, b)             m ? a : b
 *   v_exp2i(n)                    2^n for integral n of a normal result
 *   v_scale(a, n)                 a 2^n rounded once, for 1/2 <= |a| <= 2 and integral n, |n| below
 *                                 twice the largest exponent; NaN where n is
 *   v_exponent(a), v_mantissa(a)  e and f with a = f * 2^e, 1 <= f < 2, for positive normal a
 *   v_first(a)                    the first lane
 *   v_across(a, half)             lane i becomes lane i ^ half; half: a constant power of 2 below
 *                                 VL
 *   v_permute(a, lanes)           lane i becomes the lane of a whose number lanes[i] holds, as bits
 *   v_columns(rows, column)       SQUARE vectors (a divisor of VL): lane r of column[q] is
 *                                 element q of row r of a vec_rows
 *   v_words_above(p, x)           a vmask: whether the VL 32-bit words at p are above x
 * on `whole`, WHOLE_LANES lanes of 64-bit whole numbers, for random words,
 *   u_set u_add u_xor u_high      all lanes x; a + b; a ^ b; a >> 32
 *   u_mul                         the product of the low halves
 *   u_store_words(p, a, b, c, d)  the low halves of a, b, c, d of one lane after the other
 *   u_count                       0, 1, 2 ... in the lanes in the order of u_store_words
 * and the register tile of the matrix multiply, TILE_ROWS x (TILE_VECS * VL). */
#ifndef DEEPC_VEC_H
#define DEEPC_VEC_H

#include "real.h"

/* For functions that take constants which must reach the loops they bound. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* For long formulas in many loops of which few matter: one copy, which is called. */
#define ONE_COPY static __attribute__((noinline))
/* For long formulas in loops that matter: a copy in each, but where the build is to be small
 * (DEEPC_SMALL_KERNELS) because hardly any machine runs it. There loops are not unrolled either. */
#if DEEPC_SMALL_KERNELS
#define FORMULA ONE_COPY
#define UNROLL(n)
#else
#define FORMULA ALWAYS_INLINE
#define UNROLL(n) UNROLL_PRAGMA(GCC unroll n)
#define UNROLL_PRAGMA(text) _Pragma(#text)
#endif

/* VL rows to be read side by side: row r at four[r / 4] + step[r % 4]. So few numbers fit the
 * general registers, and may name a row twice where there are fewer. */
typedef struct vec_rows {
    const real *four[4];
    ptrdiff_t step[4];
} vec_rows;
ALWAYS_INLINE const real *vec_row(const vec_rows *rows, int r) {
    return rows->four[r / 4] + rows->step[r % 4];
}
ALWAYS_INLINE void rows_forward(vec_rows *rows, ptrdiff_t by) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) rows->four[i] += by;
}

#if defined(DEEPC_ISA_AVX512)
#include "isa/avx512.h"
#elif defined(DEEPC_ISA_AVX2)
#include "isa/avx2.h"
#elif defined(DEEPC_ISA_NEON)
#include "isa/neon.h"
#elif defined(DEEPC_ISA_PORTABLE) || defined(DEEPC_ISA_FMA)
#include "isa/scalar.h"
#else
#error "define DEEPC_ISA_<NAME>"
#endif

/* `rows` <= VL rows of x, one a lane: row r is in lane row_lane(rows, r). With fewer than VL rows
 * the unused lanes repeat the last four rows (with fewer than four, the last row), so that no load
 * leaves the matrix. */
ALWAYS_INLINE vec_rows rows_of(size_t rows, const real *x, ptrdiff_t x_row) {
    const ptrdiff_t last = (ptrdiff_t)rows - 1, last_four = rows < 4 ? 0 : (ptrdiff_t)rows - 4;
    vec_rows of;
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < 4; i++) {
        of.four[i] = x + (4 * i < last_four ? 4 * i : last_four) * x_row;
        of.step[i] = (i < last ? i : last) * x_row;
    }
    return of;
}
ALWAYS_INLINE size_t row_lane(size_t rows, size_t r) {
    return rows < 4 || r < rows / 4 * 4 ? r : r + 4 - rows % 4;
}

/* v_load and v_store of the first n lanes, or of all where n is VL or more: for loops in which few
 * vectors are parts. */
ALWAYS_INLINE vec v_load_up_to(const real *p, size_t n) {
    return PART_LOADS_ARE_FREE || n < VL ? v_load_part(p, n) : v_load(p);
}
ALWAYS_INLINE void v_store_up_to(real *p, vec x, size_t n) {
    if (PART_LOADS_ARE_FREE || n < VL)
        v_store_part(p, x, n);
    else
        v_store(p, x);
}

/* v_min and v_max let NaN pass from the second argument only; these clip x and keep its NaN. */
ALWAYS_INLINE vec v_at_least(vec x, real low) { return v_max(v_set(low), x); }
ALWAYS_INLINE vec v_at_most(vec x, real high) { return v_min(v_set(high), x); }

/* The registers that together hold the 16 virtual lanes of a reduction. */
enum { SUM_VECS = SUM_LANES / VL };

/* The fixed tree over the virtual lanes: i and i + 8, i + 4, i + 2, i + 1. The first `count`
 * registers are in use (a constant at every call); accumulators start from +0, so the others, +0,
 * can be left out. Every lane of the result is the sum. */
ALWAYS_INLINE vec lanes_sum(int count, const vec acc[]) {
    vec part[SUM_VECS];
    if (count > SUM_VECS) count = SUM_VECS;
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) part[i] = acc[i];
#pragma GCC unroll 4
    for (int half = SUM_VECS / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i + half < count; i++) part[i] = v_add(part[i], part[i + half]);
        if (count > half) count = half;
    }
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2) part[0] = v_add(part[0], v_across(part[0], half));
    return part[0];
}
ALWAYS_INLINE real sum_tree(const vec acc[SUM_VECS]) { return v_first(lanes_sum(SUM_VECS, acc)); }

/* The largest of all lanes, in every lane; where one is NaN, any of them. */
ALWAYS_INLINE vec lanes_max(vec a) {
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2) a = v_max(a, v_across(a, half));
    return a;
}

#endif
