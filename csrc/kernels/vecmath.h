/* exp, log, tanh and sigmoid of a vector, from exact and correctly rounded operations only, so that every
 * instruction set gives the same bits.
 *
 * The polynomials are Chebyshev fits (tests/fit_math.py prints them); the largest errors, measured over
 * every float and a dense sample of doubles, are in docs/accuracy.md. NaN gives NaN. */
#ifndef DEEPC_VECMATH_H
#define DEEPC_VECMATH_H

#include "vec.h"

#if DEEPC_REAL_BITS == 32
/* ln 2 in two parts: n * LN2_HIGH is exact for the n that occur. */
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f
/* exp is 0 below the first and infinite above the second; tanh rounds to 1 beyond the third. */
#define EXP_LEAST -104.0f
#define EXP_MOST 89.0f
#define TANH_MOST 9.1f
#define SMALLEST_NORMAL 0x1p-126f
#define INFINITE __builtin_inff()
enum { SUBNORMAL_SHIFT = 24 };
#else
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0
#define EXP_LEAST -746.0
#define EXP_MOST 710.0
#define TANH_MOST 19.1
#define SMALLEST_NORMAL 0x1p-1022
#define INFINITE __builtin_inf()
enum { SUBNORMAL_SHIFT = 54 };
#endif

/* e^r - 1 - r for |r| <= ln 2 / 2: r^2 q(r), q a fit to (e^r - 1 - r) / r^2 with a relative error below
 * 3e-9 (float) and 3e-18 (double). In Horner's form by pairs, which halves the chain. */
static inline vec expm1_square(vec r) {
    const vec r2 = v_mul(r, r);
#if DEEPC_REAL_BITS == 32
    const vec q0 = v_fma(v_set(0x1.555556p-3f), r, v_set(0.5f));
    const vec q1 = v_fma(v_set(0x1.1110e0p-7f), r, v_set(0x1.5554eap-5f));
    const vec q2 = v_fma(v_set(0x1.a124f2p-13f), r, v_set(0x1.6d4324p-10f));
    const vec q = v_fma(v_fma(q2, r2, q1), r2, q0);
#else
    const vec q0 = v_fma(v_set(0x1.5555555555557p-3), r, v_set(0.5));
    const vec q1 = v_fma(v_set(0x1.11111111100dcp-7), r, v_set(0x1.5555555555556p-5));
    const vec q2 = v_fma(v_set(0x1.a01a01abe7fe1p-13), r, v_set(0x1.6c16c16c162d4p-10));
    const vec q3 = v_fma(v_set(0x1.71de0231960ebp-19), r, v_set(0x1.a01a01a6d889cp-16));
    const vec q4 = v_fma(v_set(0x1.af4de97ca4194p-26), r, v_set(0x1.27e4db646b17ep-22));
    const vec high = v_fma(v_fma(v_set(0x1.1f730349868cep-29), r2, q4), r2, q3);
    const vec q = v_fma(v_fma(v_fma(high, r2, q2), r2, q1), r2, q0);
#endif
    return v_mul(q, r2);
}

/* x = n ln 2 + r + *low with |r| <= ln 2 / 2, a little more by rounding (Cody and Waite's reduction). *low is what
 * rounding took from r: x - n LN2_HIGH is exact. */
static inline vec reduce(vec x, vec *n, vec *low) {
    *n = v_round(v_mul(x, v_set(LOG2_E)));
    const vec t = v_fnma(*n, v_set(LN2_HIGH), x);
    const vec r = v_fnma(*n, v_set(LN2_LOW), t);
    *low = v_fnma(*n, v_set(LN2_LOW), v_sub(t, r));
    return r;
}

/* e^x for EXP_LEAST <= x <= EXP_MOST: 2^n e^r. 1 + r is kept in two parts, so that only the last sum rounds. */
static inline vec exp_in_range(vec x) {
    vec n, low;
    const vec r = reduce(x, &n, &low);
    const vec top = v_add(v_set(1), r);
    const vec rest = v_add(low, v_sub(r, v_sub(top, v_set(1))));
    return v_scale(v_add(top, v_add(rest, expm1_square(r))), n);
}

static inline vec keep_nan(vec x, vec y) { return v_select(v_eq(x, x), y, x); }

static inline vec v_exp(vec x) {
    /* Here v_min and v_max turn NaN into a number, so that no NaN is made an exponent. */
    const vec inside = v_max(v_min(x, v_set(EXP_MOST)), v_set(EXP_LEAST));
    return keep_nan(x, exp_in_range(inside));
}

/* From h = (e^(-2|x|) - 1) / 2 for small x: |tanh x| = h q - h with q = h / (1 + h). From e = e^(-2|x|) for large x:
 * 1 - 2 q with q = e / (1 + e). Both add a correction to a number that is known well, so the errors of the quotient
 * weigh little, and share their one division. The sign goes around, so that tanh(-x) = -tanh(x) in every bit. */
static inline vec v_tanh(vec x) {
    const vec inside = v_min(v_abs(x), v_set(TANH_MOST));
    const vmask small = v_lt(inside, v_set((real)0.625));
    vec n, low;
    const vec r = reduce(v_mul(v_set(-2), inside), &n, &low);
    const vec power = v_exp2i(n);
    const vec offset = v_sub(power, v_select(small, v_set(1), v_zero()));
    const vec e = v_fma(power, v_add(r, v_add(low, expm1_square(r))), offset);
    const vec part = v_mul(e, v_select(small, v_set((real)0.5), v_set(1)));
    const vec q = v_div(part, v_add(part, v_set(1)));
    const vec y = v_fma(v_select(small, part, v_set(-2)), q,
                        v_select(small, v_sub(v_zero(), part), v_set(1)));
    return keep_nan(x, v_copysign(y, x));
}

/* With e = e^-|x| and q = e / (1 + e): 1 - q, or e - e q for negative x. Nothing overflows or cancels, and the errors
 * of the quotient weigh at most half. */
static inline vec v_sigmoid(vec x) {
    const vec inside = v_min(v_abs(x), v_set(-EXP_LEAST));
    const vec e = exp_in_range(v_sub(v_zero(), inside));
    const vec top = v_select(v_lt(x, v_zero()), e, v_set(1));
    return keep_nan(x, v_fnma(top, v_div(e, v_add(v_set(1), e)), top));
}

/* log x = e ln 2 + log(1 + f) with x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt 2. */
static inline vec v_log(vec x) {
    const vmask subnormal = v_lt(x, v_set(SMALLEST_NORMAL));
    const vec power = v_set((real)((uint64_t)1 << SUBNORMAL_SHIFT));
    const vec normal = v_select(subnormal, v_mul(x, power), x);
    vec e = v_exponent(normal), f = v_mantissa(normal);
    e = v_select(subnormal, v_sub(e, v_set(SUBNORMAL_SHIFT)), e);
    const vmask upper = v_lt(v_set((real)1.41421356237309504880), f);
    f = v_sub(v_select(upper, v_mul(f, v_set((real)0.5)), f), v_set(1));
    e = v_select(upper, v_add(e, v_set(1)), e);

#if DEEPC_REAL_BITS == 32
    /* log(1 + f) = f - f^2 / 2 + f^3 P(f), P with a relative error below 9e-8. */
    const vec f2 = v_mul(f, f);
    const vec p0 = v_fma(v_set(-0x1.fffffcp-3f), f, v_set(0x1.555554p-2f));
    const vec p1 = v_fma(v_set(-0x1.555b4ap-3f), f, v_set(0x1.999d5ap-3f));
    const vec p2 = v_fma(v_set(-0x1.fcf4c6p-4f), f, v_set(0x1.23d21ap-3f));
    const vec p3 = v_fma(v_set(-0x1.d635bcp-4f), f, v_set(0x1.dea282p-4f));
    const vec high = v_fma(v_fma(v_set(0x1.1d8ea6p-4f), f2, p3), f2, p2);
    const vec p = v_fma(v_fma(high, f2, p1), f2, p0);
    const vec tail = v_fma(e, v_set(LN2_LOW), v_mul(v_mul(f2, f), p));
    const vec y = v_fma(e, v_set(LN2_HIGH), v_add(v_fma(v_set(-0.5f), f2, tail), f));
#else
    /* With s = f / (2 + f): log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R(s^2))), after the C library of Sun
     * (e_log.c, 1993), whose R has an error below 2^-58. */
    const vec s = v_div(f, v_add(f, v_set(2)));
    const vec z = v_mul(s, s), w = v_mul(z, z);
    const vec odd = v_fma(v_fma(v_set(0x1.39a09d078c69fp-3), w, v_set(0x1.c71c51d8e78afp-3)), w,
                          v_set(0x1.999999997fa04p-2));
    const vec even = v_fma(
        v_fma(v_fma(v_set(0x1.2f112df3e5244p-3), w, v_set(0x1.7466496cb03dep-3)), w,
              v_set(0x1.2492494229359p-2)),
        w, v_set(0x1.5555555555593p-1));
    const vec R = v_fma(odd, w, v_mul(even, z));
    const vec half = v_mul(v_mul(f, f), v_set(0.5));
    const vec correction = v_fma(s, v_add(half, R), v_mul(e, v_set(LN2_LOW)));
    const vec y = v_fma(e, v_set(LN2_HIGH), v_sub(f, v_sub(half, correction)));
#endif
    const vec infinite = v_set(INFINITE);
    vec special = v_select(v_eq(x, v_zero()), v_sub(v_zero(), infinite), v_sub(infinite, infinite));
    special = v_select(v_eq(x, infinite), infinite, special);
    const vmask regular = v_lt(v_zero(), x);
    return keep_nan(x, v_select(v_eq(x, infinite), special, v_select(regular, y, special)));
}

#undef LN2_HIGH
#undef LN2_LOW
#undef LOG2_E
#undef EXP_LEAST
#undef EXP_MOST
#undef TANH_MOST
#undef SMALLEST_NORMAL
#undef INFINITE

#endif
