/* What each loss should be: its formula in long double, in the order of the list, and numbers that
 * it is made for. A loss of the list without a reference fails the test. */
#ifndef DEEPC_TEST_LOSS_REFERENCES_H
#define DEEPC_TEST_LOSS_REFERENCES_H

#include <math.h>
#include <stddef.h>

#include "deepc.h"

/* The loss of an element, or of a row of n; c is the parameter. */
typedef long double element_reference(long double p, long double t, long double c);
typedef long double row_reference(size_t n, const long double *p, const long double *t,
                                  long double c);

typedef struct loss_reference {
    element_reference *element;
    row_reference *row;
    double p_low, p_high, t_low, t_high; /* the predictions and targets of the tests */
} loss_reference;

static inline long double bounded(long double x, long double low, long double high) {
    return x < low ? low : x > high ? high : x;
}

static inline long double squared_error_of(long double p, long double t, long double c) {
    return (void)c, (p - t) * (p - t);
}
static inline long double absolute_error_of(long double p, long double t, long double c) {
    return (void)c, fabsl(p - t);
}
static inline long double huber_of(long double p, long double t, long double delta) {
    const long double e = fabsl(p - t);
    return e <= delta ? e * e / 2 : delta * e - delta * delta / 2;
}
static inline long double smooth_l1_of(long double p, long double t, long double beta) {
    const long double e = fabsl(p - t);
    return e < beta ? e * e / (2 * beta) : e - beta / 2;
}
static inline long double log_cosh_of(long double p, long double t, long double c) {
    return (void)c, logl(coshl(p - t));
}
static inline long double absolute_percentage_error_of(long double p, long double t,
                                                       long double epsilon) {
    return 100 * fabsl(p - t) / fmaxl(fabsl(t), epsilon);
}
static inline long double squared_logarithmic_error_of(long double p, long double t,
                                                       long double epsilon) {
    const long double e = log1pl(fmaxl(p, epsilon)) - log1pl(fmaxl(t, epsilon));
    return e * e;
}
static inline long double binary_cross_entropy_of(long double p, long double t,
                                                  long double epsilon) {
    const long double q = bounded(p, epsilon, 1 - epsilon);
    return -t * logl(q) - (1 - t) * log1pl(-q);
}
static inline long double binary_cross_entropy_clamped_of(long double p, long double t,
                                                          long double c) {
    (void)c;
    return -t * fmaxl(logl(p), -100) - (1 - t) * fmaxl(log1pl(-p), -100);
}
static inline long double binary_cross_entropy_logits_of(long double z, long double t,
                                                         long double w) {
    const long double yes = log1pl(expl(-fabsl(z))) + fmaxl(-z, 0);
    const long double no = log1pl(expl(-fabsl(z))) + fmaxl(z, 0);
    return t * w * yes + (1 - t) * no;
}
static inline long double poisson_of(long double p, long double t, long double epsilon) {
    return p - t * logl(p + epsilon);
}
static inline long double kl_divergence_of(long double p, long double t, long double epsilon) {
    const long double q = bounded(p, epsilon, 1), u = bounded(t, epsilon, 1);
    return u * logl(u / q);
}
static inline long double hinge_of(long double p, long double t, long double c) {
    return (void)c, fmaxl(1 - (t == 0 ? -1 : t) * p, 0);
}
static inline long double squared_hinge_of(long double p, long double t, long double c) {
    const long double m = hinge_of(p, t, c);
    return m * m;
}

static inline long double softmax_cross_entropy_of(size_t n, const long double *p,
                                                   const long double *t, long double c) {
    (void)c;
    long double largest = p[0], total = 0, loss = 0;
    for (size_t j = 1; j < n; j++) largest = fmaxl(largest, p[j]);
    for (size_t j = 0; j < n; j++) total += expl(p[j] - largest);
    for (size_t j = 0; j < n; j++)
        if (t[j] != 0) loss += t[j] * (logl(total) - (p[j] - largest));
    return loss;
}
static inline long double categorical_hinge_of(size_t n, const long double *p, const long double *t,
                                               long double c) {
    (void)c;
    long double right = 0, other = -HUGE_VALL;
    for (size_t j = 0; j < n; j++) {
        right += t[j] * p[j];
        other = fmaxl(other, (1 - t[j]) * p[j]);
    }
    return fmaxl(other - right + 1, 0);
}
static inline long double categorical_cross_entropy_of(size_t n, const long double *p,
                                                       const long double *t, long double epsilon) {
    long double total = 0, loss = 0;
    for (size_t j = 0; j < n; j++) total += p[j];
    for (size_t j = 0; j < n; j++) loss -= t[j] * logl(bounded(p[j] / total, epsilon, 1 - epsilon));
    return loss;
}
static inline long double negative_log_likelihood_of(size_t n, const long double *p,
                                                     const long double *t, long double c) {
    (void)c;
    long double loss = 0;
    for (size_t j = 0; j < n; j++) loss -= t[j] * p[j];
    return loss;
}
static inline long double cosine_similarity_of(size_t n, const long double *p, const long double *t,
                                               long double epsilon) {
    long double both = 0, p2 = 0, t2 = 0;
    for (size_t j = 0; j < n; j++) {
        both += p[j] * t[j];
        p2 += p[j] * p[j];
        t2 += t[j] * t[j];
    }
    return -both / fmaxl(sqrtl(p2), epsilon) / fmaxl(sqrtl(t2), epsilon);
}

static const loss_reference loss_references[DC_LOSS_COUNT] = {
    [DC_SQUARED_ERROR] = {squared_error_of, NULL, -3, 3, -3, 3},
    [DC_SOFTMAX_CROSS_ENTROPY] = {NULL, softmax_cross_entropy_of, -5, 5, 0, 1},
    [DC_ABSOLUTE_ERROR] = {absolute_error_of, NULL, -3, 3, -3, 3},
    [DC_HUBER] = {huber_of, NULL, -3, 3, -3, 3},
    [DC_SMOOTH_L1] = {smooth_l1_of, NULL, -3, 3, -3, 3},
    [DC_LOG_COSH] = {log_cosh_of, NULL, -3, 3, -3, 3},
    [DC_ABSOLUTE_PERCENTAGE_ERROR] = {absolute_percentage_error_of, NULL, -3, 3, 1, 3},
    [DC_SQUARED_LOGARITHMIC_ERROR] = {squared_logarithmic_error_of, NULL, -0.5, 9, 0, 9},
    [DC_BINARY_CROSS_ENTROPY] = {binary_cross_entropy_of, NULL, 0.01, 0.99, 0, 1},
    [DC_BINARY_CROSS_ENTROPY_CLAMPED] = {binary_cross_entropy_clamped_of, NULL, 0.01, 0.99, 0, 1},
    [DC_BINARY_CROSS_ENTROPY_LOGITS] = {binary_cross_entropy_logits_of, NULL, -9, 9, 0, 1},
    [DC_POISSON] = {poisson_of, NULL, 0.1, 9, 0, 9},
    [DC_KL_DIVERGENCE] = {kl_divergence_of, NULL, 0.01, 1.2, 0, 1},
    [DC_HINGE] = {hinge_of, NULL, -2, 2, -1, 1},
    [DC_SQUARED_HINGE] = {squared_hinge_of, NULL, -2, 2, -1, 1},
    [DC_CATEGORICAL_HINGE] = {NULL, categorical_hinge_of, -2, 2, 0, 1},
    [DC_CATEGORICAL_CROSS_ENTROPY] = {NULL, categorical_cross_entropy_of, 0.1, 1, 0, 1},
    [DC_NEGATIVE_LOG_LIKELIHOOD] = {NULL, negative_log_likelihood_of, -9, 0, 0, 1},
    [DC_COSINE_SIMILARITY] = {NULL, cosine_similarity_of, 0.5, 2, -2, 2},
};

#endif
