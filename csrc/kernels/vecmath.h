/* exp, log, tanh, sigmoid and what activations make of them, of a vector, from exact and correctly
 * rounded operations only, so that every instruction set with fused multiply-add gives the same
 * bits.
 *
 * tests/fit_math.py derives the polynomials and prints their coefficients. Errors are given in
 * units of the last place, with fused multiply-add: for float the largest over every float, for
 * double the largest in a sample; docs/accuracy.md says where. NaN gives NaN. Nothing branches:
 * what a lane does not need is computed and dropped. */
#ifndef DEEPC_VECMATH_H
#define DEEPC_VECMATH_H

#include "vec.h"

#if DEEPC_REAL_BITS == 32
/* ln 2, and in two parts: n * LN2_HIGH is exact for the n that occur. */
#define LN2 0x1.62e43p-1f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f
/* Adding this number to a small one leaves no bits for a fraction: 1.5 * 2^23. */
#define ROUND_MAGIC 0x1.8p23f
/* exp is 0 below the first and infinite above the second; tanh rounds to 1 beyond the third, e^x -
 * 1 to -1 below the fourth. */
#define EXP_LEAST -104.0f
#define EXP_MOST 89.0f
#define TANH_MOST 9.1f
#define EXPM1_LEAST -18.0f
#define LOG1P_MOST                                                                                 \
    0x1.555554p-2f /* 1/3: how far log1p_near reaches, and (LOG1P_MOST - 1) / 2 below 0 */
#define LARGEST 0x1.fffffep+127f
#define INFINITE __builtin_inff()
#define NOT_A_NUMBER __builtin_nanf("")
enum { SUBNORMAL_SHIFT = 24 };
#else
#define LN2 0x1.62e42fefa39efp-1
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0
#define ROUND_MAGIC 0x1.8p52
#define EXP_LEAST -746.0
#define EXP_MOST 710.0
#define TANH_MOST 19.1
#define EXPM1_LEAST -38.0
#define LOG1P_MOST 0x1.a827999fcef34p-2 /* sqrt(2) - 1 */
#define LARGEST 0x1.fffffffffffffp+1023
#define INFINITE __builtin_inf()
#define NOT_A_NUMBER __builtin_nan("")
enum { SUBNORMAL_SHIFT = 54 };
#endif

/* The integer nearest to x factor, for a result far below 2^22. Two operations on every instruction
 * set; v_round takes more on some. */
ALWAYS_INLINE vec rounded_product(vec x, real factor) {
    const vec magic = v_set(ROUND_MAGIC);
    return v_sub(v_fma(x, v_set(factor), magic), magic);
}

/* q(r) = (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, a minimax polynomial, which adds less than 0.06
 * ulp (float) and 0.04 ulp (double) to the error of e^r. Float in Horner's form, double by pairs,
 * as measured best. */
ALWAYS_INLINE vec exp_rest(vec r) {
#if DEEPC_REAL_BITS == 32
    vec q = v_fma(v_set(0x1.6a504ap-10f), r, v_set(0x1.123974p-7f));
    q = v_fma(q, r, v_set(0x1.5558acp-5f));
    q = v_fma(q, r, v_set(0x1.555492p-3f));
    return v_fma(q, r, v_set(0x1.fffffcp-2f));
#else
    const vec r2 = v_mul(r, r);
    const vec q0 = v_fma(v_set(0x1.555555555550bp-3), r, v_set(0x1.000000000000ap-1));
    const vec q1 = v_fma(v_set(0x1.11111111248fp-7), r, v_set(0x1.555555555077fp-5));
    const vec q2 = v_fma(v_set(0x1.a01a0137c4feep-13), r, v_set(0x1.6c16c184412f9p-10));
    const vec q3 = v_fma(v_set(0x1.71df0d19149a6p-19), r, v_set(0x1.a01999f65287dp-16));
    const vec q4 = v_fma(v_set(0x1.ad9f435dbf8bcp-26), r, v_set(0x1.28ad73ff90fa9p-22));
    const vec high = v_fma(v_fma(q4, r2, q3), r2, q2);
    return v_fma(v_fma(high, r2, q1), r2, q0);
#endif
}

/* e^x for EXP_LEAST <= x <= EXP_MOST: with n = round(x / ln 2) and r = x - n ln 2, in two steps of
 * which the first is exact, 2^n (1 + r (1 + r q(r))). */
FORMULA vec exp_in_range(vec x) {
    const vec one = v_set(1), n = rounded_product(x, LOG2_E);
    const vec r = v_fnma(n, v_set(LN2_LOW), v_fnma(n, v_set(LN2_HIGH), x));
    return v_scale(v_fma(v_fma(exp_rest(r), r, one), r, one), n);
}

/* e^x. Error: 0.90 ulp (float), 0.91 ulp (double). */
FORMULA vec v_exp(vec x) { return exp_in_range(v_at_most(v_at_least(x, EXP_LEAST), EXP_MOST)); }

/* e^x in two factors, so that a product with it underflows once at most: 2^n (1 + p + p_low), where
 * p_low is what rounding took from p. x + x_low is the argument, x_low small beside x. */
typedef struct exp_parts {
    vec n, p, p_low;
} exp_parts;
FORMULA exp_parts exp_in_parts(vec x, vec x_low) {
    const vec n = rounded_product(x, LOG2_E);
    const vec t = v_fnma(n, v_set(LN2_HIGH), x);
    const vec less = v_fma(n, v_set(LN2_LOW), v_sub(v_zero(), x_low));
    const vec r = v_sub(t, less), low = v_sub(v_sub(t, r), less);
    const vec rest = v_fma(exp_rest(r), v_mul(r, r), v_fma(low, r, low));
    const vec p = v_add(r, rest);
    return (exp_parts){n, p, v_add(v_sub(r, p), rest)};
}

/* e^x - 1 for x <= 0, -0 for -0, and 0 above: 2^n p + (2^n - 1).
 * Error: 1.2 ulp. */
FORMULA vec v_expm1_below(vec x) {
    const vec within = v_at_most(v_at_least(x, EXPM1_LEAST), 0);
    const exp_parts e = exp_in_parts(within, v_zero());
    const vec power = v_exp2i(e.n);
    return v_copysign(v_fma(power, e.p, v_sub(power, v_set(1))), within);
}

/* 1 / (1 + e^-x). With e = e^-|x| and q = e / (1 + e): 1 - q, or e - e q for negative x. Nothing
 * overflows or cancels, and the errors of the quotient weigh at most half.
 * Error: 1.65 ulp (float), 1.69 ulp (double). */
FORMULA vec v_sigmoid(vec x) {
    const vec one = v_set(1);
    const vec e = exp_in_range(v_at_least(v_copysign(x, v_set(-1)), EXP_LEAST));
    const vec top = v_select(v_lt(x, v_zero()), e, one);
    return v_fnma(top, v_div(e, v_add(one, e)), top);
}

#if DEEPC_REAL_BITS == 32
/* tanh x, odd in every bit. With a = |x|, while tanh a is below 1/2: a + a^3 p(a^2), p a minimax
 * polynomial. Beyond: 1 - 2 q with q = 1 / (e^2a + 1), where 2 q <= 1/2 halves the errors of the
 * quotient. With n = round(2 a / ln 2) and r = a - n ln 2 / 2, q = e^-2r / (e^-2r + 2^n), from a
 * minimax polynomial for e^-2r. Where x is NaN, so is r, and 2^n does not matter.
 * Error: 1.95 ulp. */
FORMULA vec v_tanh(vec x) {
    const vec a = v_at_most(v_abs(x), TANH_MOST);
    const vec z = v_mul(a, a);
    vec p = v_fma(v_set(0x1.0d22aap-6f), z, v_set(-0x1.af71a6p-5f));
    p = v_fma(p, z, v_set(0x1.10ce92p-3f));
    p = v_fma(p, z, v_set(-0x1.55545p-2f));
    const vec near = v_fma(v_mul(a, z), p, a);

    const vec n = rounded_product(a, 2 * LOG2_E);
    const vec r = v_fnma(n, v_set(LN2 / 2), a);
    p = v_fma(v_set(-0x1.10b172p-2f), r, v_set(0x1.5733b8p-1f));
    p = v_fma(p, r, v_set(-0x1.555796p+0f));
    p = v_fma(p, r, v_set(0x1.fffdd4p+0f));
    p = v_fma(p, r, v_set(-0x1.fffffcp+0f));
    const vec e = v_fma(p, r, v_set(1));
    const vec far = v_fma(v_set(-2), v_div(e, v_add(e, v_exp2i(n))), v_set(1));
    return v_copysign(v_select(v_lt(a, v_set(0x1.1ap-1f)), near, far), x);
}
#else
/* tanh x, odd in every bit. With a = |x| and e^-2a = 2^n + 2^n (e^r - 1) as in exp: while that is
 * above 1/2, from h = (e^-2a - 1) / 2, h q - h with q = h / (1 + h). Beyond, from e = e^-2a, 1/2 +
 * q with q = (1/2 - 3/2 e) / (1 + e). Both add a correction to a number that is known well, so the
 * errors of the quotient weigh little. Where x is NaN, so is r, and 2^n does not matter.
 * Error: 1.91 ulp. */
FORMULA vec v_tanh(vec x) {
    const vec a = v_at_most(v_abs(x), TANH_MOST), one = v_set(1), half = v_set(0.5);
    const vmask near = v_lt(a, v_set(LN2 / 2));
    const vec n = rounded_product(a, -2 * LOG2_E);
    const vec t = v_fnma(n, v_set(LN2_HIGH), v_mul(v_set(-2), a));
    const vec r = v_fnma(n, v_set(LN2_LOW), t);
    const vec low = v_fnma(n, v_set(LN2_LOW), v_sub(t, r)); /* what rounding took from r */
    const vec expm1 = v_add(r, v_fma(exp_rest(r), v_mul(r, r), low));
    const vec power = v_exp2i(n);
    const vec e = v_fma(power, expm1, v_sub(power, v_select(near, one, v_zero())));
    const vec h = v_mul(e, half);
    const vec q =
        v_div(v_select(near, h, v_fma(v_set(-1.5), e, half)), v_add(v_select(near, h, e), one));
    const vec y = v_fma(v_select(near, h, one), q, v_select(near, v_sub(v_zero(), h), half));
    return v_copysign(y, x);
}
#endif

/* log(1 + f) near 0. Float: f + f^2 p(f), p a minimax polynomial for |f| <= 1/3. Double: with
 * s = f / (2 + f), log((1 + s) / (1 - s)) = 2 s + s^3 p(s^2) = f - s (f - s^2 p(s^2)), p a minimax
 * polynomial for sqrt(1/2) <= 1 + f <= sqrt(2). */
FORMULA vec log1p_near(vec f) {
#if DEEPC_REAL_BITS == 32
    const vec f2 = v_mul(f, f);
    const vec p0 = v_fma(v_set(0x1.555506p-2f), f, v_set(-0.5f));
    const vec p1 = v_fma(v_set(0x1.99d044p-3f), f, v_set(-0x1.fffefcp-3f));
    const vec p2 = v_fma(v_set(0x1.1ed662p-3f), f, v_set(-0x1.559c44p-3f));
    const vec p3 = v_fma(v_set(0x1.1e678cp-3f), f, v_set(-0x1.f332f8p-4f));
    const vec high = v_fma(v_fma(v_set(-0x1.07c894p-3f), f2, p3), f2, p2);
    const vec p = v_fma(v_fma(high, f2, p1), f2, p0);
    return v_fma(p, f2, f);
#else
    const vec s = v_div(f, v_add(f, v_set(2)));
    const vec z = v_mul(s, s), z2 = v_mul(z, z);
    const vec p0 = v_fma(v_set(0x1.999999997ff5bp-2), z, v_set(0x1.5555555555592p-1));
    const vec p1 = v_fma(v_set(0x1.c71c5219548ebp-3), z, v_set(0x1.24924941dc02fp-2));
    const vec p2 = v_fma(v_set(0x1.39a206169050cp-3), z, v_set(0x1.74663bd3893e9p-3));
    const vec high = v_fma(v_fma(v_set(0x1.2f028fc28bbc1p-3), z2, p2), z2, p1);
    const vec p = v_fma(high, z2, p0);
    return v_fnma(s, v_fnma(p, z, f), f);
#endif
}

/* log x = e ln 2 + log(1 + f) with x = 2^e (1 + f), the e and f of least |f| or nearly. -inf for 0,
 * NaN below. Error: 0.97 ulp (float), 1.31 ulp (double). */
FORMULA vec v_log(vec x) {
    const vmask subnormal = v_lt(x, v_set(SMALLEST_NORMAL));
    const vec shift = v_set((real)((uint64_t)1 << SUBNORMAL_SHIFT));
    const vec normal = v_select(subnormal, v_mul(x, shift), x);
    const vec mantissa = v_mantissa(normal), exponent = v_exponent(normal);
    const vec shifted = v_select(subnormal, v_sub(exponent, v_set(SUBNORMAL_SHIFT)), exponent);
#if DEEPC_REAL_BITS == 32
    const vmask upper = v_lt(v_set(0x1.555556p+0f), mantissa); /* 4/3 */
#else
    const vmask upper = v_lt(v_set(0x1.6a09e667f3bcdp+0), mantissa); /* sqrt(2) */
#endif
    const vec f = v_sub(v_select(upper, v_mul(mantissa, v_set((real)0.5)), mantissa), v_set(1));
    const vec e = v_select(upper, v_add(shifted, v_set(1)), shifted);
    const vec y = v_fma(e, v_set(LN2), log1p_near(f));
    /* x - LARGEST is +inf for +inf, else at most 0 and less than the logarithm. */
    const vec above_zero = v_max(v_sub(x, v_set(LARGEST)), y);
    const vec edge = v_select(v_eq(x, v_zero()), v_set(-INFINITE), v_set(NOT_A_NUMBER));
    return v_select(v_lt(v_zero(), x), above_zero, edge);
}

/* log(1 + e^x), as max(x, 0) + log(1 + e) with e = e^-|x|: nothing overflows, and 0 is reached only
 * where the result underflows. Where 1 + e is nearer to 2, from log(1 + e) = ln 2 + log(1 + f) with
 * f = (e - 1) / 2. That is rounded where e is below 1/2; what it loses there weighs 1 / (1 + f),
 * from 4/3 to 3/2. Error: 1.68 ulp (float), 1.97 ulp (double). */
FORMULA vec v_softplus(vec x) {
    const vec e = exp_in_range(v_at_least(v_copysign(x, v_set(-1)), EXP_LEAST));
    const vec half = v_set((real)0.5), f = v_fma(e, half, v_set((real)-0.5));
    const vec lost = v_fma(e, half, v_sub(v_set((real)-0.5), f));
    const vmask upper = v_lt(v_set(LOG1P_MOST), e);
    const vec k = v_select(upper, v_set(1), v_zero());
    const vec log1p = v_fma(k, v_set(LN2), log1p_near(v_select(upper, f, e)));
    return v_add(v_max(v_zero(), x), v_fma(v_mul(k, lost), v_set((real)1.4), log1p));
}

#undef LN2
#undef LN2_HIGH
#undef LN2_LOW
#undef LOG2_E
#undef ROUND_MAGIC
#undef EXP_LEAST
#undef EXP_MOST
#undef TANH_MOST
#undef EXPM1_LEAST
#undef LOG1P_MOST
#undef INFINITE
#undef NOT_A_NUMBER

#endif
