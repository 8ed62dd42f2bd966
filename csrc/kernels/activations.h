/* The activations: of each its formula, forward and back, side by side, in the order of the list in
 * deepc_activations.h. The loops over arrays are in elementwise.h.
 *
 * <name>_forward(x, p) is the activation of x; p is its parameter in every lane, and means nothing
 * where it has none. <name>_backward(kept, d_y, p) is d_y times the slope; kept is the output y or
 * the input x, as the list says. */
#ifndef DEEPC_KERNEL_ACTIVATIONS_H
#define DEEPC_KERNEL_ACTIVATIONS_H

#include "../deepc_activations.h"
#include "vec.h"
#include "vecmath.h"

/* y = x. p is 1, and known to the caller only: a loop that copied would be made a call of memcpy,
 * and kernels call nothing. */
ALWAYS_INLINE vec identity_forward(vec x, vec p) { return v_mul(p, x); }
ALWAYS_INLINE vec identity_backward(vec y, vec d_y, vec p) { return (void)y, v_mul(p, d_y); }

/* y = 1 / (1 + e^-x); y' = y (1 - y). */
ALWAYS_INLINE vec sigmoid_forward(vec x, vec p) { return (void)p, v_sigmoid(x); }
ALWAYS_INLINE vec sigmoid_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_mul(y, v_sub(v_set(1), y)), d_y);
}

/* y = tanh x; y' = 1 - y^2. */
ALWAYS_INLINE vec tanh_forward(vec x, vec p) { return (void)p, v_tanh(x); }
ALWAYS_INLINE vec tanh_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_fnma(y, y, v_set(1)), d_y);
}

/* y = x where x > 0 or NaN, else +0, also for -0; y' = 1 where y > 0, else 0. */
ALWAYS_INLINE vec relu_forward(vec x, vec p) {
    (void)p;
    return v_select(v_le(x, v_zero()), v_zero(), x);
}
ALWAYS_INLINE vec relu_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_select(v_lt(v_zero(), y), d_y, v_zero());
}

/* y = x where x > 0, else p x; y' = 1 where y > 0, else p. */
ALWAYS_INLINE vec leaky_relu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, x));
}
ALWAYS_INLINE vec leaky_relu_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(v_zero(), y), d_y, v_mul(p, d_y));
}

/* y = x where x > 0, else p (e^x - 1); y' = 1 where y > 0, else p e^x = y + p. */
ALWAYS_INLINE vec elu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, v_expm1_below(x)));
}
ALWAYS_INLINE vec elu_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(v_zero(), y), d_y, v_mul(v_add(y, p), d_y));
}

/* y = x where x > 0, else p (e^(x/p) - 1); y' = 1 where y > 0, else e^(x/p) = y / p + 1. */
ALWAYS_INLINE vec celu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, v_expm1_below(v_div(x, p))));
}
ALWAYS_INLINE vec celu_backward(vec y, vec d_y, vec p) {
    const vec slope = v_add(v_div(y, p), v_set(1));
    return v_select(v_lt(v_zero(), y), d_y, v_mul(slope, d_y));
}

/* y = s x where x > 0, else s a (e^x - 1), with the s and a that keep mean 0 and variance 1
 * (Klambauer et al., "Self-normalizing neural networks", 2017); y' = s where y > 0, else
 * s a e^x = y + s a. */
#define SELU_SCALE ((real)1.0507009873554804934)
#define SELU_ALPHA ((real)1.7580993408473768599) /* s a */
ALWAYS_INLINE vec selu_forward(vec x, vec p) {
    (void)p;
    return v_select(v_lt(v_zero(), x), v_mul(v_set(SELU_SCALE), x),
                    v_mul(v_set(SELU_ALPHA), v_expm1_below(x)));
}
ALWAYS_INLINE vec selu_backward(vec y, vec d_y, vec p) {
    (void)p;
    const vec slope = v_select(v_lt(v_zero(), y), v_set(SELU_SCALE), v_add(y, v_set(SELU_ALPHA)));
    return v_mul(slope, d_y);
}

/* y = log(1 + e^x); y' = 1 / (1 + e^-x) = 1 - e^-y. */
ALWAYS_INLINE vec softplus_forward(vec x, vec p) { return (void)p, v_softplus(x); }
ALWAYS_INLINE vec softplus_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_abs(v_expm1_below(v_sub(v_zero(), y))), d_y);
}

/* y = x / (1 + |x|), +-1 for infinity; y' = (1 - |y|)^2. */
ALWAYS_INLINE vec softsign_forward(vec x, vec p) {
    (void)p;
    const vec a = v_at_most(v_abs(x), LARGEST);
    return v_copysign(v_div(a, v_add(v_set(1), a)), x);
}
ALWAYS_INLINE vec softsign_backward(vec y, vec d_y, vec p) {
    (void)p;
    const vec rest = v_sub(v_set(1), v_abs(y));
    return v_mul(v_mul(rest, rest), d_y);
}

/* y = x clipped to 0 .. 6; y' = 1 where 0 < y < 6, else 0. */
ALWAYS_INLINE vec relu6_forward(vec x, vec p) { return v_at_most(relu_forward(x, p), 6); }
ALWAYS_INLINE vec relu6_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(y, v_set(6)), relu_backward(y, d_y, p), v_zero());
}

/* y = x / 6 + 1/2 clipped to 0 .. 1, as the clipped x + 3 divided by 6; y' = 1/6 where 0 < y < 1,
 * else 0. */
ALWAYS_INLINE vec hard_sigmoid_forward(vec x, vec p) {
    return v_div(relu6_forward(v_add(x, v_set(3)), p), v_set(6));
}
ALWAYS_INLINE vec hard_sigmoid_backward(vec y, vec d_y, vec p) {
    const vec inside = v_select(v_lt(y, v_set(1)), v_div(d_y, v_set(6)), v_zero());
    return relu_backward(y, inside, p);
}

/* y = x hard_sigmoid(x), -0 for -infinity; y' = 0 where x <= -3, 1 where x >= 3, else x / 3 +
 * 1/2. */
ALWAYS_INLINE vec hard_silu_forward(vec x, vec p) {
    return v_mul(v_at_least(x, -LARGEST), hard_sigmoid_forward(x, p));
}
ALWAYS_INLINE vec hard_silu_backward(vec x, vec d_y, vec p) {
    (void)p;
    const vec slope = v_add(v_div(x, v_set(3)), v_set((real)0.5));
    const vec below = v_select(v_le(v_set(3), x), d_y, v_mul(slope, d_y)); /* NaN stays */
    return v_select(v_le(x, v_set(-3)), v_zero(), below);
}

/* y = e^x; y' = y. */
ALWAYS_INLINE vec exponential_forward(vec x, vec p) { return (void)p, v_exp(x); }
ALWAYS_INLINE vec exponential_backward(vec y, vec d_y, vec p) { return (void)p, v_mul(y, d_y); }

/* y = -log(1 + e^-x); y' = 1 / (1 + e^x) = 1 - e^y. */
ALWAYS_INLINE vec log_sigmoid_forward(vec x, vec p) {
    return v_sub(v_set((real)-0.0), softplus_forward(v_sub(v_set((real)-0.0), x), p));
}
ALWAYS_INLINE vec log_sigmoid_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_abs(v_expm1_below(y)), d_y);
}

/* ---- x times a gate -------------------------------------------------------------------------- */

#if DEEPC_REAL_BITS == 32
/* Below the first silu and mish round to 0, beyond the second gelu_tanh to 0 or x. */
#define GATE_LEAST -120.0f
#define GELU_MOST 12.0f
/* 2 sqrt(2 / pi), and that times 0.044715, each in two parts. */
#define GELU_FIRST 0x1.988454p+0f
#define GELU_FIRST_LOW -0x1.857936p-25f
#define GELU_THIRD 0x1.2444f2p-4f
#define GELU_THIRD_LOW 0x1.49b16ap-29f
#else
#define GATE_LEAST -760.0
#define GELU_MOST 23.0
#define GELU_FIRST 0x1.9884533d43651p+0
#define GELU_FIRST_LOW -0x1.cbc0d30ebfd15p-54
#define GELU_THIRD 0x1.2444f2a4d8b4bp-4
#define GELU_THIRD_LOW -0x1.6c843a29d1c7p-61
#endif

/* The smaller side of a gate: e = e^-|v|, in parts and as a number (2^-120 where it is less, which
 * is nothing beside 1), and whether v is negative. v_low is what rounding took from v. */
typedef struct gate {
    exp_parts parts;
    vec e;
    vmask below;
} gate;
FORMULA gate gate_of(vec v, vec v_low) {
    const vmask below = v_lt(v, v_zero());
    const vec low = v_select(below, v_low, v_sub(v_zero(), v_low));
    const exp_parts parts = exp_in_parts(v_at_least(v_copysign(v, v_set(-1)), GATE_LEAST), low);
    const vec power = v_exp2i(v_at_least(parts.n, -120));
    return (gate){parts, v_fma(power, parts.p, power), below};
}

/* q = top / bottom, and what is missing from it. */
typedef struct quotient {
    vec q, low;
} quotient;
FORMULA quotient divide_closely(vec top, vec bottom, vec bottom_low) {
    const vec inverse = v_div(v_set(1), bottom), q = v_mul(top, inverse);
    const vec rest = v_fnma(q, bottom_low, v_fnma(q, bottom, top));
    return (quotient){q, v_mul(rest, inverse)};
}

/* x (1 - q), or (x + x_low) e (1 - q) where v is negative. What rounding takes from x e and q is
 * carried along, and the power of 2 comes last, so that a result that underflows is rounded
 * once. */
FORMULA vec gated(const gate *g, vec x, vec x_low, quotient q) {
    const vec p = g->parts.p;
    const vec xe = v_fma(x, p, x);
    const vec lost = v_fma(x, g->parts.p_low, v_fma(x, p, v_sub(x, xe)));
    const vec xe_low = v_add(v_fma(x_low, p, x_low), lost);
    const vec t = v_select(g->below, xe, x);
    const vec within = v_at_most(t, -GATE_LEAST); /* infinity times a q of almost 0 is too much */
    const vec low = v_fnma(within, q.low, v_select(g->below, xe_low, v_zero()));
    const vec y = v_add(t, v_fnma(within, q.q, low));
    return v_copysign(v_select(g->below, v_scale(y, g->parts.n), y), x); /* -0 stays */
}

/* 1 / (1 + e^-v) = 1 - q, or q where v is negative. */
FORMULA quotient sigmoid_rest(const gate *g) {
    const vec bottom = v_add(v_set(1), g->e);
    return divide_closely(g->e, bottom, v_sub(g->e, v_sub(bottom, v_set(1))));
}

/* d_y times the slope of x sigmoid(v), s + x s (1 - s) v'. */
FORMULA vec sigmoid_gate_backward(const gate *g, vec x_slope, vec d_y) {
    const vec q = sigmoid_rest(g).q, rest = v_sub(v_set(1), q);
    const vec s = v_select(g->below, q, rest);
    return v_mul(v_fma(x_slope, v_mul(q, rest), s), d_y);
}

/* y = x sigmoid(x), -0 for -infinity; y' = s + x s (1 - s) with s = sigmoid(x). */
ALWAYS_INLINE vec silu_forward(vec x, vec p) {
    (void)p;
    const gate g = gate_of(x, v_zero());
    return gated(&g, v_at_least(x, GATE_LEAST), v_zero(), sigmoid_rest(&g));
}
ALWAYS_INLINE vec silu_backward(vec x, vec d_y, vec p) {
    (void)p;
    const gate g = gate_of(x, v_zero());
    return sigmoid_gate_backward(&g, v_at_most(v_at_least(x, GATE_LEAST), -GATE_LEAST), d_y);
}

/* y = x sigmoid(v), v = 2 sqrt(2 / pi) (x + 0.044715 x^3), which is x/2 (1 + tanh(v / 2)), -0 for
 * -infinity; y' = s + x s (1 - s) v'. v is computed with what rounding takes from it, because far
 * out e^v magnifies that. */
ALWAYS_INLINE vec gelu_within(vec x) { return v_at_most(v_at_least(x, -GELU_MOST), GELU_MOST); }
FORMULA gate gelu_gate(vec x) {
    const vec c = v_set(GELU_FIRST), d = v_set(GELU_THIRD);
    const vec z = v_mul(x, x);
    const vec square_low = v_fma(x, x, v_sub(v_zero(), z));
    const vec u = v_mul(d, z);
    const vec u_low = v_add(v_fma(d, z, v_sub(v_zero(), u)),
                            v_fma(v_set(GELU_THIRD_LOW), z, v_mul(d, square_low)));
    const vec w = v_add(c, u), part = v_sub(w, c);
    const vec w_low =
        v_add(v_add(v_sub(c, v_sub(w, part)), v_sub(u, part)), v_add(u_low, v_set(GELU_FIRST_LOW)));
    const vec v = v_mul(x, w);
    return gate_of(v, v_fma(x, w_low, v_fma(x, w, v_sub(v_zero(), v))));
}
ALWAYS_INLINE vec gelu_tanh_forward(vec x, vec p) {
    (void)p;
    const gate g = gelu_gate(gelu_within(x));
    return gated(&g, v_at_least(x, -GELU_MOST), v_zero(), sigmoid_rest(&g));
}
ALWAYS_INLINE vec gelu_tanh_backward(vec x, vec d_y, vec p) {
    (void)p;
    const vec a = gelu_within(x);
    const gate g = gelu_gate(a);
    const vec slope = v_fma(v_mul(v_set(3 * GELU_THIRD), a), a, v_set(GELU_FIRST));
    return sigmoid_gate_backward(&g, v_mul(a, slope), d_y);
}

/* y = x tanh(log(1 + e^x)), -0 for -infinity. With e = e^-|x|, the tanh is 1 - q or e (1 - q), with
 * q = 2 e^2 / (2 e^2 + 2 e + 1) or, where x is negative, (e^2 + e) / (e^2 + 2 e + 2).
 * y' = t + x s (1 - t^2) with t that tanh and s = sigmoid(x). */
FORMULA quotient mish_rest(const gate *g) {
    const vec e = g->e, e2 = v_add(e, e);
    const vec base = v_select(g->below, v_set(2), v_set(1)), k = v_select(g->below, e, e2);
    const vec sum = v_add(base, e2), bottom = v_fma(k, e, sum);
    const vec sum_low = v_sub(e2, v_sub(sum, base));
    const vec bottom_low = v_add(v_fma(k, e, v_sub(sum, bottom)), sum_low);
    return divide_closely(v_fma(k, e, v_select(g->below, e, v_zero())), bottom, bottom_low);
}
ALWAYS_INLINE vec mish_forward(vec x, vec p) {
    (void)p;
    const gate g = gate_of(x, v_zero());
    return gated(&g, v_at_least(x, GATE_LEAST), v_zero(), mish_rest(&g));
}
ALWAYS_INLINE vec mish_backward(vec x, vec d_y, vec p) {
    (void)p;
    const vec one = v_set(1);
    const gate g = gate_of(x, v_zero());
    const vec a = v_at_most(v_at_least(x, GATE_LEAST), -GATE_LEAST);
    const vec q = mish_rest(&g).q, rest = v_sub(one, q);
    const vec t = v_select(g.below, v_mul(g.e, rest), rest);
    const vec left = v_select(g.below, v_sub(one, t), q); /* 1 - t */
    const vec s = v_div(v_select(g.below, g.e, one), v_add(one, g.e));
    return v_mul(v_fma(v_mul(a, s), v_mul(left, v_add(one, t)), t), d_y);
}

/* ---- gelu ------------------------------------------------------------------------------------ */

/* For a >= 0, the normal distribution's tail P(-a) = e^(-a^2 / 2) G / (1 + 5/4 a), where G, between
 * 0.48 and 0.6, is a minimax polynomial in s = (a - TAIL_MIDDLE) / (a + TAIL_MIDDLE). Beyond
 * TAIL_MOST x P(x) rounds to 0 or x. */
#if DEEPC_REAL_BITS == 32
#define TAIL_MOST 14.6f
#define TAIL_MIDDLE 2.5f
#define TAIL_FIRST 0x1.2a7de4p-1f
#define TAIL_FIRST_LOW 0x1.96982p-26f
static const real tail_rest[] = {
    -0x1.d6c4d8p-5f, -0x1.34f5d2p-4f, 0x1.04fb0ep-4f, -0x1.3a6038p-7f,  -0x1.0fe4e6p-7f,
    0x1.6f0ae2p-10f, 0x1.b58996p-10f, 0x1.9194ap-15f, -0x1.2f65dap-12f, -0x1.6394c4p-14f};
#else
#define TAIL_MOST 38.7
#define TAIL_MIDDLE 4
#define TAIL_FIRST 0x1.22078ca96fa5ap-1
#define TAIL_FIRST_LOW 0x1.6073566475d66p-55
static const real tail_rest[] = {
    -0x1.40a2710515806p-4,  -0x1.bd7d64efe1067p-7,  0x1.b7b978b5b806ap-5,   -0x1.88eabed0168ecp-5,
    0x1.921d6a0d73a1p-6,    -0x1.a21c5a323e6a8p-8,  -0x1.0eeaa405b6d27p-11, 0x1.dff1406b483e8p-11,
    -0x1.bf518ae91606cp-14, -0x1.eaa4dba534f6dp-14, 0x1.aa37162d68557p-16,  0x1.2fd4cbc705abcp-16,
    -0x1.11ee6566e4e87p-18, -0x1.cca6f241b2bp-19,   0x1.e4eb0b44d3867p-22,  0x1.7f7764ef30af7p-21,
    0x1.48330aaad5594p-26,  -0x1.2f45fdc16552bp-23, -0x1.1372261acef5ep-25, 0x1.6d8aefb20bd66p-26,
    0x1.73296e8ae01c5p-27,  -0x1.160fa83962ec7p-30, -0x1.cdbac2712cae1p-30, -0x1.5a4b8312b58bbp-32};
#endif

/* G + G_low over bottom + bottom_low, and 1 / bottom. */
typedef struct normal_tail {
    vec g, g_low, bottom, bottom_low, inverse;
} normal_tail;
FORMULA normal_tail tail_of(vec a) {
    enum { TERMS = sizeof tail_rest / sizeof *tail_rest };
    const vec middle = v_set(TAIL_MIDDLE), first = v_set(TAIL_FIRST);
    /* From a / (a + middle), which is exact enough near 0, where s counts most. */
    const vec part = v_div(a, v_add(a, middle)), s = v_fma(v_set(2), part, v_set(-1));
    const vec s2 = v_mul(s, s);
    /* Odd and even powers apart: two short chains. */
    vec even = v_set(tail_rest[TERMS - 2]), odd = v_set(tail_rest[TERMS - 1]);
#pragma GCC unroll 12
    for (int i = TERMS - 4; i >= 0; i -= 2) {
        even = v_fma(even, s2, v_set(tail_rest[i]));
        odd = v_fma(odd, s2, v_set(tail_rest[i + 1]));
    }
    const vec rest = v_fma(odd, s, even);
    normal_tail t;
    t.g = v_fma(rest, s, first);
    t.g_low = v_add(v_fma(rest, s, v_sub(first, t.g)), v_set(TAIL_FIRST_LOW));
    t.bottom = v_fma(v_set((real)1.25), a, v_set(1));
    t.bottom_low = v_fma(v_set((real)1.25), a, v_sub(v_set(1), t.bottom));
    t.inverse = v_div(v_set(1), t.bottom);
    return t;
}

/* e^(-a^2 / 2), with the square computed in two parts, because the exponential magnifies what
 * rounding takes from it. */
FORMULA gate tail_gate(vec a, vec x) {
    const vec half = v_set((real)0.5), z = v_mul(a, a), z_low = v_fma(a, a, v_sub(v_zero(), z));
    gate g = gate_of(v_mul(half, z), v_mul(half, z_low));
    g.below = v_lt(x, v_zero());
    return g;
}

/* y = x P(x) with P(x) = (1 + erf(x / sqrt(2))) / 2, -0 for -infinity: x - x P(-|x|), or x P(-|x|)
 * where x is negative. y' = P(x) + x e^(-x^2 / 2) / sqrt(2 pi). */
ALWAYS_INLINE vec gelu_forward(vec x, vec p) {
    (void)p;
    const vec a = v_at_most(v_abs(x), TAIL_MOST), c = v_copysign(a, x);
    const normal_tail t = tail_of(a);
    const gate g = tail_gate(a, x);
    const vec top = v_mul(c, t.g);
    const vec top_low = v_fma(c, t.g_low, v_fma(c, t.g, v_sub(v_zero(), top)));
    const vec m = v_mul(top, t.inverse);
    const vec rest = v_add(v_fnma(m, t.bottom_low, v_fnma(m, t.bottom, top)), top_low);
    const vec m_low = v_mul(rest, t.inverse);
    const vec above = v_sub(x, v_fma(m, g.e, v_mul(m_low, g.e)));
    return v_select(g.below, gated(&g, m, m_low, (quotient){v_zero(), v_zero()}), above);
}
ALWAYS_INLINE vec gelu_backward(vec x, vec d_y, vec p) {
    (void)p;
    const vec a = v_at_most(v_abs(x), TAIL_MOST), c = v_copysign(a, x);
    const normal_tail t = tail_of(a);
    const gate g = tail_gate(a, x);
    const vec q = v_mul(v_mul(t.g, t.inverse), g.e);
    const vec side = v_select(g.below, q, v_sub(v_set(1), q));
    const vec density = v_mul(v_set((real)0.39894228040143267794), g.e);
    return v_mul(v_fma(c, density, side), d_y);
}

#endif
