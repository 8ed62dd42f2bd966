/* The losses: of each its formula, value and slope side by side, in the order of the list in
 * deepc_losses.h. Softmax and cross-entropy in one has loops of its own, in cross_entropy.h; those
 * of the others are in loss_loops.h.
 *
 * Elementwise: <name>_term(p, t, c) is the loss of a prediction p with target t, as a product of
 * two numbers, and its slope in p; c is the loss's parameter in every lane, and means nothing where
 * it has none.
 *
 * Rowwise: up to two passes over a row add up two numbers each and find the largest of a third:
 * <name>_terms(row, pass, x, t) gives those of one vector. From them <name>_value is the row's
 * loss, and <name>_slope(row, x, t) the slope in x.
 *
 * NaN in a prediction gives NaN in the loss and at that place of the gradient: a bound is therefore
 * put on a number by v_at_least, v_at_most or v_max(bound, x), never by v_max(x, bound), which
 * would give the bound. */
#ifndef DEEPC_KERNEL_LOSSES_H
#define DEEPC_KERNEL_LOSSES_H

#include "../deepc.h"
#include "vec.h"
#include "vecmath.h"

/* ---- What the formulas share ----------------------------------------------------------------- */

/* Losses are many and a network has one, so they call these instead of holding them. */
ONE_COPY vec called_exp(vec x) { return v_exp(x); }
ONE_COPY vec called_log(vec x) { return v_log(x); }
ONE_COPY vec called_tanh(vec x) { return v_tanh(x); }
ONE_COPY vec called_sigmoid(vec x) { return v_sigmoid(x); }

/* log(1 + x) for x > -1: the logarithm of the rounded sum, and what rounding took from x. */
ONE_COPY vec log_of_one_plus(vec x) {
    const vec u = v_add(v_set(1), x);
    const vec lost = v_div(v_sub(x, v_sub(u, v_set(1))), u);
    return v_add(called_log(u),
                 v_select(v_eq(lost, lost), lost, v_zero())); /* inf - inf where x is */
}

/* 1, -1, or 0 with the sign of e; NaN for NaN. */
ALWAYS_INLINE vec sign_of(vec e) {
    return v_select(v_lt(v_zero(), v_abs(e)), v_copysign(v_set(1), e), e);
}

/* The product, but 0 where t is: what could not be and was not costs nothing, and 0 log 0 is 0. */
ALWAYS_INLINE vec times(vec t, vec x) { return v_select(v_eq(t, v_zero()), v_zero(), v_mul(t, x)); }

/* The slope s where x was within its bounds, so that `clipped` is x; else 0, and NaN where x is. */
ALWAYS_INLINE vec slope_within(vec x, vec clipped, vec s) {
    return v_select(v_eq(clipped, x), s, v_select(v_eq(x, x), v_zero(), x));
}

/* The slope s where m > 0, else 0; NaN where m is. */
ALWAYS_INLINE vec slope_above_zero(vec m, vec s) {
    return v_select(v_lt(v_zero(), m), s, v_select(v_eq(m, m), v_zero(), m));
}

ALWAYS_INLINE vec between(vec low, vec high, vec x) { return v_min(high, v_max(low, x)); }

/* ---- Elementwise ----------------------------------------------------------------------------- */

typedef struct loss_term {
    vec a, b; /* the loss is a b */
    vec slope;
} loss_term;

ALWAYS_INLINE loss_term term_of(vec value, vec slope) {
    return (loss_term){value, v_set(1), slope};
}

/* (p - t)^2; 2 (p - t). */
ALWAYS_INLINE loss_term squared_error_term(vec p, vec t, vec c) {
    (void)c;
    const vec e = v_sub(p, t);
    return (loss_term){e, e, v_add(e, e)};
}

/* |p - t|; its sign, 0 at 0. */
ALWAYS_INLINE loss_term absolute_error_term(vec p, vec t, vec c) {
    (void)c;
    const vec e = v_sub(p, t);
    return term_of(v_abs(e), sign_of(e));
}

/* With e = p - t: e^2 / 2 for |e| <= delta, beyond delta (|e| - delta / 2); e within +-delta. */
ALWAYS_INLINE loss_term huber_term(vec p, vec t, vec delta) {
    const vec e = v_sub(p, t), size = v_abs(e), half = v_set((real)0.5);
    const vec far = v_mul(delta, v_fnma(half, delta, size));
    const vec near = v_mul(v_mul(half, e), e);
    return term_of(v_select(v_lt(delta, size), far, near),
                   between(v_sub(v_zero(), delta), delta, e));
}

/* With e = p - t: e^2 / (2 beta) for |e| < beta, beyond |e| - beta / 2; e / beta within +-1. */
ALWAYS_INLINE loss_term smooth_l1_term(vec p, vec t, vec beta) {
    const vec e = v_sub(p, t), size = v_abs(e), half = v_set((real)0.5);
    const vmask near = v_lt(size, beta);
    const vec ratio = v_div(e, v_select(near, beta, v_set(1)));
    return term_of(v_select(near, v_mul(v_mul(half, e), ratio), v_fnma(half, beta, size)),
                   v_select(near, ratio, sign_of(e)));
}

/* With e = p - t: log cosh e; tanh e. Near 0 that is -log(1 - tanh^2 e) / 2, where nothing cancels;
 * beyond 1, |e| - log 2 + log(1 + e^-2|e|). */
ALWAYS_INLINE loss_term log_cosh_term(vec p, vec t, vec c) {
    (void)c;
    const vec e = v_sub(p, t), size = v_abs(e), y = called_tanh(e);
    const vmask near = v_lt(size, v_set(1));
    const vec x = v_select(near, v_sub(v_zero(), v_mul(y, y)), called_exp(v_mul(v_set(-2), size)));
    const vec far = v_sub(size, v_set((real)0.693147180559945309417));
    return term_of(v_fma(v_select(near, v_set((real)-0.5), v_set(1)), log_of_one_plus(x),
                         v_select(near, v_zero(), far)),
                   y);
}

/* 100 |p - t| / max(|t|, epsilon); 100 sign(p - t) / the same. */
ALWAYS_INLINE loss_term absolute_percentage_error_term(vec p, vec t, vec epsilon) {
    const vec e = v_sub(p, t), unit = v_div(v_set(100), v_max(epsilon, v_abs(t)));
    return term_of(v_mul(v_abs(e), unit), v_mul(sign_of(e), unit));
}

/* With q = max(p, epsilon) and e = log(1 + q) - log(1 + max(t, epsilon)): e^2; 2 e / (1 + q), 0
 * where p is below epsilon. */
ALWAYS_INLINE loss_term squared_logarithmic_error_term(vec p, vec t, vec epsilon) {
    const vec q = v_max(epsilon, p);
    const vec e = v_sub(log_of_one_plus(q), log_of_one_plus(v_max(epsilon, t)));
    return (loss_term){e, e, slope_within(p, q, v_div(v_add(e, e), v_add(v_set(1), q)))};
}

/* -t log q - (1 - t) log(1 - q). */
ALWAYS_INLINE vec cross_entropy_of(vec t, vec log_q, vec log_rest) {
    return v_sub(v_sub(v_zero(), times(t, log_q)), times(v_sub(v_set(1), t), log_rest));
}

/* With q = p within epsilon .. 1 - epsilon: -t log q - (1 - t) log(1 - q); (q - t) / (q (1 - q)), 0
 * where p is beyond the bounds. */
ALWAYS_INLINE loss_term binary_cross_entropy_term(vec p, vec t, vec epsilon) {
    const vec one = v_set(1), q = between(epsilon, v_sub(one, epsilon), p);
    const vec rest = v_sub(one, q);
    const vec value = cross_entropy_of(t, called_log(q), log_of_one_plus(v_sub(v_zero(), q)));
    return term_of(value, slope_within(p, q, v_div(v_sub(q, t), v_mul(q, rest))));
}

/* -t max(log p, -100) - (1 - t) max(log(1 - p), -100); (p - t) / max(p (1 - p), 1e-12). At p = 0
 * and p = 1 that slope is no derivative, but the large number that leads away from there. */
ALWAYS_INLINE loss_term binary_cross_entropy_clamped_term(vec p, vec t, vec c) {
    (void)c;
    const vec rest = v_sub(v_set(1), p);
    const vec log_p = v_at_least(called_log(p), -100);
    const vec log_rest = v_at_least(log_of_one_plus(v_sub(v_zero(), p)), -100);
    const vec width = v_at_least(v_mul(p, rest), (real)1e-12);
    return term_of(cross_entropy_of(t, log_p, log_rest), v_div(v_sub(p, t), width));
}

/* The same of p = sigmoid z, where the losses of targets 1 are multiplied by w: with l = log(1 +
 * e^-|z|), t w (max(-z, 0) + l) + (1 - t) (max(z, 0) + l); (1 - t + t w) sigmoid z - t w. */
ALWAYS_INLINE loss_term binary_cross_entropy_logits_term(vec z, vec t, vec w) {
    const vec one = v_set(1), size = v_abs(z), yes = v_mul(t, w), no = v_sub(one, t);
    const vec both = v_fma(t, v_sub(w, one), one); /* 1 exactly where w is */
    const vec wrong = v_select(v_lt(z, v_zero()), yes, no);
    const vec l = log_of_one_plus(called_exp(v_sub(v_zero(), size)));
    return term_of(v_fma(both, l, times(wrong, size)), v_sub(v_mul(both, called_sigmoid(z)), yes));
}

/* With q = p + epsilon: p - t log q; 1 - t / q. */
ALWAYS_INLINE loss_term poisson_term(vec p, vec t, vec epsilon) {
    const vec q = v_add(p, epsilon);
    return term_of(v_sub(p, times(t, called_log(q))), v_sub(v_set(1), v_div(t, q)));
}

/* With q and u, p and t within epsilon .. 1: u log(u / q); -u / q, 0 where p is beyond the
 * bounds. */
ALWAYS_INLINE loss_term kl_divergence_term(vec p, vec t, vec epsilon) {
    const vec q = between(epsilon, v_set(1), p), u = between(epsilon, v_set(1), t);
    const vec ratio = v_div(u, q);
    return term_of(times(u, called_log(ratio)), slope_within(p, q, v_sub(v_zero(), ratio)));
}

/* 1 - t p, where a target of 0 is -1. */
ALWAYS_INLINE vec missing_margin(vec p, vec t, vec *side) {
    *side = v_select(v_eq(t, v_zero()), v_set(-1), t);
    return v_fnma(*side, p, v_set(1));
}

/* With m = 1 - t p: max(m, 0); -t where m > 0, else 0. */
ALWAYS_INLINE loss_term hinge_term(vec p, vec t, vec c) {
    (void)c;
    vec side;
    const vec m = missing_margin(p, t, &side);
    return term_of(v_at_least(m, 0), slope_above_zero(m, v_sub(v_zero(), side)));
}

/* With m = max(1 - t p, 0): m^2; -2 t m. */
ALWAYS_INLINE loss_term squared_hinge_term(vec p, vec t, vec c) {
    (void)c;
    vec side;
    const vec m = v_at_least(missing_margin(p, t, &side), 0);
    return (loss_term){m, m, slope_above_zero(m, v_mul(v_mul(v_set(-2), side), m))};
}

/* ---- Rowwise --------------------------------------------------------------------------------- */

enum { PASSES = 2 };

typedef struct row_terms {
    vec a, b, largest;
} row_terms;

typedef struct row_sums {
    real a, b, largest;
} row_sums;

/* One row: its loss's parameter, and what the passes have found. */
typedef struct loss_row {
    real parameter;
    row_sums found[PASSES];
} loss_row;

/* Correctly rounded, as the vector's. */
ALWAYS_INLINE real root(real x) { return v_first(v_sqrt(v_set(x))); }
ALWAYS_INLINE real larger(real x, real low) { return x < low ? low : x; }

/* With margin = max over the others of (1 - t) x, less the sum of t x: max(margin + 1, 0). Where it
 * is above 0, the slope is -t, and 1 - t more where (1 - t) x is the largest, shared by those that
 * tie. */
ALWAYS_INLINE row_terms categorical_hinge_terms(const loss_row *row, int pass, vec x, vec t) {
    const vec other = times(v_sub(v_set(1), t), x);
    const vmask ties = v_eq(other, v_set(row->found[0].largest));
    if (pass) return (row_terms){v_select(ties, v_set(1), v_zero()), v_zero(), other};
    /* b is NaN where x or t is, which the two others may hide. */
    const vec sum = v_add(x, t);
    return (row_terms){times(t, x), v_select(v_eq(sum, sum), v_zero(), sum), other};
}
ALWAYS_INLINE real categorical_hinge_value(const loss_row *row) {
    const real margin = row->found[0].largest - row->found[0].a + 1;
    return larger(margin, 0) + row->found[0].b;
}
ALWAYS_INLINE vec categorical_hinge_slope(const loss_row *row, vec x, vec t) {
    const vec rest = v_sub(v_set(1), t), value = v_set(categorical_hinge_value(row));
    const vmask ties = v_eq(times(rest, x), v_set(row->found[0].largest));
    const vec share = v_div(v_select(ties, rest, v_zero()), v_set(row->found[1].a));
    return slope_above_zero(value, v_sub(share, t));
}

/* With q = x / sum x, within epsilon .. 1 - epsilon: -sum of t log q. The slope is (T - t / q) /
 * sum x, with T the sum of t, where both leave out what is beyond the bounds. */
ALWAYS_INLINE vec categorical_share(const loss_row *row, vec x, vec *q) {
    const real epsilon = row->parameter;
    *q = v_div(x, v_set(row->found[0].a));
    return between(v_set(epsilon), v_set(1 - epsilon), *q);
}
ALWAYS_INLINE row_terms categorical_cross_entropy_terms(const loss_row *row, int pass, vec x,
                                                        vec t) {
    if (!pass) return (row_terms){x, v_zero(), x};
    vec q;
    const vec clipped = categorical_share(row, x, &q);
    return (row_terms){times(t, called_log(clipped)), v_select(v_eq(q, clipped), t, v_zero()), x};
}
ALWAYS_INLINE real categorical_cross_entropy_value(const loss_row *row) {
    return 0 - row->found[1].a;
}
ALWAYS_INLINE vec categorical_cross_entropy_slope(const loss_row *row, vec x, vec t) {
    vec q;
    const vec clipped = categorical_share(row, x, &q);
    const vec own = slope_within(q, clipped, v_div(t, clipped));
    return v_div(v_sub(v_set(row->found[1].b), own), v_set(row->found[0].a));
}

/* -sum of t x, of logarithms x; -t. */
ALWAYS_INLINE row_terms negative_log_likelihood_terms(const loss_row *row, int pass, vec x, vec t) {
    (void)row, (void)pass;
    return (row_terms){times(t, x), v_zero(), x};
}
ALWAYS_INLINE real negative_log_likelihood_value(const loss_row *row) {
    return 0 - row->found[0].a;
}
ALWAYS_INLINE vec negative_log_likelihood_slope(const loss_row *row, vec x, vec t) {
    (void)row, (void)x;
    return v_sub(v_zero(), t);
}

/* -sum of t x / (|t| |x|), both lengths at least epsilon; with c that cosine, (c x / |x| - t / |t|)
 * / |x|, without the first part where |x| is below epsilon. */
ALWAYS_INLINE row_terms cosine_similarity_terms(const loss_row *row, int pass, vec x, vec t) {
    (void)row;
    if (pass) return (row_terms){v_mul(t, t), v_zero(), x};
    return (row_terms){v_mul(t, x), v_mul(x, x), x};
}
ALWAYS_INLINE real cosine_similarity_value(const loss_row *row) {
    const real t = larger(root(row->found[1].a), row->parameter);
    const real x = larger(root(row->found[0].b), row->parameter);
    return 0 - row->found[0].a / t / x;
}
ALWAYS_INLINE vec cosine_similarity_slope(const loss_row *row, vec x, vec t) {
    const real t_length = larger(root(row->found[1].a), row->parameter);
    const real own = root(row->found[0].b), x_length = larger(own, row->parameter);
    const real value = cosine_similarity_value(row);
    const real pull = own < row->parameter ? 0 : value / x_length;
    const vec part = v_div(t, v_set(t_length));
    return v_div(v_sub(v_zero(), v_fma(v_set(pull), x, part)), v_set(x_length));
}

#endif
