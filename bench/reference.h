/* The formulas that the benchmarks check against: one number at a time, in double, with the C
 * library's functions. Included by the benchmarks only. */
#ifndef DEEPC_BENCH_REFERENCE_H
#define DEEPC_BENCH_REFERENCE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "deepc.h"

/* Relative to the larger of 1 and the number itself, so that it means the same for small and
 * large ones. */
static inline double reference_error(double got, double expected) {
    return fabs(got - expected) / fmax(1, fabs(expected));
}

/* What one rounding may change: 2^-24 or 2^-53. */
static inline double reference_rounding(int bits) { return bits == 32 ? 0x1p-24 : 0x1p-53; }

/* A sum that keeps what rounding drops (Neumaier, 1974). */
typedef struct reference_total {
    double sum, rest;
} reference_total;

static inline void reference_add(reference_total *t, double x) {
    const double sum = t->sum + x;
    t->rest += fabs(t->sum) >= fabs(x) ? (t->sum - sum) + x : (x - sum) + t->sum;
    t->sum = sum;
}

static inline double reference_value(const reference_total *t) { return t->sum + t->rest; }

static inline double reference_activation(int activation, double x) {
    switch (activation) {
    case DC_SIGMOID: return 1 / (1 + exp(-x));
    case DC_TANH: return tanh(x);
    case DC_RELU: return x > 0 ? x : 0;
    default: return x;
    }
}

/* The derivative, from the activation's value. */
static inline double reference_slope(int activation, double y) {
    switch (activation) {
    case DC_SIGMOID: return y * (1 - y);
    case DC_TANH: return 1 - y * y;
    case DC_RELU: return y > 0 ? 1 : 0;
    default: return 1;
    }
}

/* softmax(x) of one row of `cols`; returns log sum exp x. */
static inline double reference_softmax(size_t cols, const double *x, double *y) {
    double most = -HUGE_VAL, sum = 0;
    for (size_t j = 0; j < cols; j++) most = fmax(most, x[j]);
    for (size_t j = 0; j < cols; j++) sum += exp(x[j] - most);
    for (size_t j = 0; j < cols; j++) y[j] = exp(x[j] - most) / sum;
    return most + log(sum);
}

/* One element's update in step t: the new parameter; *first and *second are the rule's memory. */
static inline double reference_update(const dc_optimizer *o, double t, double p, double g,
                                      double *first, double *second) {
    const double lr = o->learning_rate;
    if (o->rule == DC_ADAMW)
        p -= lr * o->weight_decay * p;
    else if (o->rule != DC_GRADIENT_DESCENT && o->rule != DC_MOMENTUM)
        g += o->weight_decay * p;
    switch (o->rule) {
    case DC_GRADIENT_DESCENT: return p - lr * g;
    case DC_MOMENTUM: *first = o->momentum * *first + (1 - o->momentum) * g; return p - lr * *first;
    case DC_SGD:
        *first = o->momentum * *first + g;
        return p - lr * (o->nesterov ? g + o->momentum * *first : *first);
    case DC_RMSPROP:
        *second = o->decay * *second + (1 - o->decay) * g * g;
        return p - lr * g / (sqrt(*second) + o->epsilon);
    case DC_ADAGRAD: *second += g * g; return p - lr * g / (sqrt(*second) + o->epsilon);
    default: /* Adam, AdamW */
        *first = o->momentum * *first + (1 - o->momentum) * g;
        *second = o->decay * *second + (1 - o->decay) * g * g;
        return p - lr * (*first / (1 - pow(o->momentum, t))) /
                       (sqrt(*second / (1 - pow(o->decay, t))) + o->epsilon);
    }
}

/* Which of the two states a rule keeps; SGD none where its momentum is 0. */
static inline int reference_has_first(const dc_optimizer *o) {
    return o->rule == DC_MOMENTUM || o->rule == DC_ADAM || o->rule == DC_ADAMW ||
           (o->rule == DC_SGD && o->momentum != 0);
}
static inline int reference_has_second(const dc_optimizer *o) { return o->rule >= DC_RMSPROP; }

#endif
