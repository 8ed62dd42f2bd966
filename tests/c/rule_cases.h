/* The update rules for tests: settings that reach every form of each, and the formulas of
 * deepc_api.h for one element in long double. */
#ifndef DEEPC_TEST_RULE_CASES_H
#define DEEPC_TEST_RULE_CASES_H

#include <math.h>
#include <stdlib.h>

#include "deepc.h"

/* The usual settings of a rule, then each form and each thing around it by itself, then some at
 * once. What a rule does not have makes no difference to it. */
enum { RULE_FORMS = 18 };
static inline dc_optimizer rule_form(int rule, int form) {
    dc_optimizer o = {.rule = rule,
                      .learning_rate = 0.01,
                      .momentum = 0.9,
                      .decay = 0.99,
                      .epsilon = 1e-3,
                      .momentum_decay = 1,
                      .clip_limit = 0.5,
                      .clip_epsilon = 1e-6,
                      .average_momentum = 0.75,
                      .average_period = 2};
    switch (form) {
    case 0: break;
    case 1: o.momentum = 0; break;
    case 2: o.nesterov = 1; break;
    case 3: o.rate_inside = 1; break;
    case 4: o.epsilon_inside = 1; break;
    case 5: o.amsgrad = 1; break;
    case 6: o.centered = 1; break;
    case 7: o.maximize = 1; break;
    case 8: o.weight_decay = 0.1; break;
    case 9: o.weight_decay = 0.1, o.decoupled = 1; break;
    case 10: o.dampening = 0.25, o.momentum_decay = 0.004; break;
    case 11: o.clip = DC_CLIP_VALUE; break;
    case 12: o.clip = DC_CLIP_NORM; break;
    case 13: o.clip = DC_CLIP_GLOBAL_NORM, o.epsilon_inside = 1; break;
    case 14: o.average = 1; break;
    case 15: o.accumulation = 2; break;
    case 16:
        o.nesterov = o.rate_inside = o.epsilon_inside = o.amsgrad = o.centered = o.maximize = 1;
        o.decoupled = 1, o.weight_decay = 0.1, o.clip = DC_CLIP_VALUE;
        break;
    default:
        o.centered = o.average = 1, o.momentum = 0, o.weight_decay = 0.1;
        o.clip = DC_CLIP_GLOBAL_NORM, o.accumulation = 2;
        break;
    }
    return o;
}

/* One element with its state, and what the rule keeps beside. */
typedef struct rule_element {
    long double p, u, s, w;
} rule_element;

static inline long double nadam_momentum_reference(const dc_optimizer *o, long double t) {
    return o->momentum * (1 - 0.5L * powl(0.96L, o->momentum_decay * t));
}
static inline long double nadam_product_reference(const dc_optimizer *o, uint64_t t) {
    long double product = 1;
    for (uint64_t i = 1; i <= t; i++) product *= nadam_momentum_reference(o, (long double)i);
    return product;
}

/* What SGD and RMSProp make of a direction d: a step against it, with or without momentum. */
static inline void velocity_reference(const dc_optimizer *o, uint64_t t, long double d,
                                      rule_element *e) {
    const long double lr = o->learning_rate;
    if (o->momentum == 0) {
        e->p -= lr * d;
        return;
    }
    const long double damped = o->rule == DC_SGD && t > 1 && !o->rate_inside ? 1 - o->dampening : 1;
    if (o->rate_inside) d *= lr;
    e->u = o->momentum * e->u + damped * d;
    const long double by = o->nesterov && o->rule == DC_SGD ? d + o->momentum * e->u : e->u;
    e->p -= o->rate_inside ? by : lr * by;
}

static inline void moments_reference(const dc_optimizer *o, uint64_t t, long double g,
                                     rule_element *e) {
    const long double b1 = o->momentum, b2 = o->decay;
    const long double rest1 = 1 - powl(b1, (long double)t), rest2 = 1 - powl(b2, (long double)t);
    e->u = b1 * e->u + (1 - b1) * g;
    e->s = b2 * e->s + (1 - b2) * g * g;
    if (o->amsgrad && o->rule != DC_NADAM) e->w = fmaxl(e->w, e->s);
    const long double s = o->amsgrad && o->rule != DC_NADAM ? e->w : e->s;
    const long double divisor =
        o->epsilon_inside ? (sqrtl(s) + o->epsilon) / sqrtl(rest2) : sqrtl(s / rest2) + o->epsilon;
    long double m = e->u / rest1;
    if (o->rule == DC_NADAM) {
        const long double now = nadam_momentum_reference(o, (long double)t),
                          next = nadam_momentum_reference(o, (long double)t + 1),
                          product = nadam_product_reference(o, t);
        m = next * e->u / (1 - product * next) + (1 - now) * g / (1 - product);
    }
    e->p -= o->learning_rate * m / divisor;
}

/* Step t of the rule with gradient g, after clipping. False for a rule that has no formula here. */
static inline int step_reference(const dc_optimizer *o, uint64_t t, long double g,
                                 rule_element *e) {
    const long double lr = o->learning_rate, eps = o->epsilon, b1 = o->momentum, b2 = o->decay;
    const long double inside = o->epsilon_inside ? eps : 0, outside = o->epsilon_inside ? 0 : eps;
    if (o->maximize) g = -g;
    if (o->decoupled || o->rule == DC_ADAMW)
        e->p -= lr * o->weight_decay * e->p;
    else
        g += o->weight_decay * e->p;
    switch (o->rule) {
    case DC_GRADIENT_DESCENT: e->p -= lr * g; return 1;
    case DC_MOMENTUM:
        e->u = b1 * e->u + (1 - b1) * g;
        e->p -= lr * e->u;
        return 1;
    case DC_SGD: velocity_reference(o, t, g, e); return 1;
    case DC_RMSPROP:
        e->s = b2 * e->s + (1 - b2) * g * g;
        if (o->centered) e->w = b2 * e->w + (1 - b2) * g;
        velocity_reference(o, t, g / (sqrtl(fmaxl(e->s - e->w * e->w, 0) + inside) + outside), e);
        return 1;
    case DC_ADAGRAD:
        e->s += g * g;
        e->p -= lr * g / (sqrtl(e->s + inside) + outside);
        return 1;
    case DC_ADAM:
    case DC_ADAMW:
    case DC_NADAM: moments_reference(o, t, g, e); return 1;
    case DC_ADADELTA: {
        e->s = b2 * e->s + (1 - b2) * g * g;
        const long double d = g * sqrtl(e->u + eps) / sqrtl(e->s + eps);
        e->u = b2 * e->u + (1 - b2) * d * d;
        e->p -= lr * d;
        return 1;
    }
    case DC_ADAMAX:
        e->u = b1 * e->u + (1 - b1) * g;
        e->s = fmaxl(b2 * e->s, fabsl(g) + inside);
        e->p -= lr * e->u / ((1 - powl(b1, (long double)t)) * (e->s + outside));
        return 1;
    case DC_LION: {
        const long double to = b1 * e->u + (1 - b1) * g;
        e->p -= lr * (to > 0 ? 1 : to < 0 ? -1 : 0);
        e->u = b2 * e->u + (1 - b2) * g;
        return 1;
    }
    default: return 0;
    }
}

#endif
