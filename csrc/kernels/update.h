/* The optimizers' steps: one pass over gradient, parameter and state.
 *
 * update_vec holds the rules, with p the parameter, g its gradient, u = *first (u, v or m in
 * deepc_api.h) and s = *second. Every operation is elementwise, so it does not matter how the
 * elements are cut into vectors. */
#ifndef DEEPC_UPDATE_H
#define DEEPC_UPDATE_H

#include "../deepc.h"
#include "table.h"
#include "vec.h"

/* dc_rule, and the forms of DC_SGD: it keeps no state where its momentum is 0. */
typedef enum update_rule {
    RULE_GRADIENT_DESCENT = DC_GRADIENT_DESCENT,
    RULE_MOMENTUM = DC_MOMENTUM,
    RULE_SGD = DC_SGD,
    RULE_RMSPROP = DC_RMSPROP,
    RULE_ADAM = DC_ADAM,
    RULE_ADAMW = DC_ADAMW,
    RULE_ADAGRAD = DC_ADAGRAD,
    RULE_SGD_PLAIN,
    RULE_SGD_NESTEROV
} update_rule;

ALWAYS_INLINE int keeps_first(const update_rule rule) {
    return rule == RULE_MOMENTUM || rule == RULE_SGD || rule == RULE_SGD_NESTEROV ||
           rule == RULE_ADAM || rule == RULE_ADAMW;
}
ALWAYS_INLINE int keeps_second(const update_rule rule) {
    return rule == RULE_RMSPROP || rule == RULE_ADAM || rule == RULE_ADAMW || rule == RULE_ADAGRAD;
}

/* The numbers of an update_step in all lanes. */
typedef struct update_numbers {
    vec learning_rate, momentum, momentum_rest, decay, decay_rest, correction, epsilon,
        weight_decay;
} update_numbers;

ALWAYS_INLINE update_numbers spread(const update_step *step) {
    const update_numbers c = {v_set(step->learning_rate), v_set(step->momentum),
                              v_set(step->momentum_rest), v_set(step->decay),
                              v_set(step->decay_rest),    v_set(step->correction),
                              v_set(step->epsilon),       v_set(step->weight_decay)};
    return c;
}

/* Takes p, u and s one step; `rule` is a constant at every call. */
ALWAYS_INLINE vec update_vec(const update_rule rule, const update_numbers *c, vec g, vec p, vec *u,
                             vec *s) {
    switch (rule) {
    case RULE_GRADIENT_DESCENT: return v_fnma(c->learning_rate, g, p);
    case RULE_MOMENTUM: /* a running average */
        *u = v_fma(c->momentum, *u, v_mul(c->momentum_rest, g));
        return v_fnma(c->learning_rate, *u, p);
    case RULE_SGD_PLAIN: return v_fnma(c->learning_rate, v_fma(c->weight_decay, p, g), p);
    case RULE_SGD:
        *u = v_fma(c->momentum, *u, v_fma(c->weight_decay, p, g));
        return v_fnma(c->learning_rate, *u, p);
    case RULE_SGD_NESTEROV:
        g = v_fma(c->weight_decay, p, g);
        *u = v_fma(c->momentum, *u, g);
        return v_fnma(c->learning_rate, v_fma(c->momentum, *u, g), p);
    case RULE_RMSPROP:
        g = v_fma(c->weight_decay, p, g);
        *s = v_fma(c->decay, *s, v_mul(c->decay_rest, v_mul(g, g)));
        return v_sub(p, v_div(v_mul(c->learning_rate, g), v_add(v_sqrt(*s), c->epsilon)));
    case RULE_ADAGRAD:
        g = v_fma(c->weight_decay, p, g);
        *s = v_fma(g, g, *s);
        return v_sub(p, v_div(v_mul(c->learning_rate, g), v_add(v_sqrt(*s), c->epsilon)));
    default: /* Adam; AdamW shrinks p itself, the gradient stays as it is */
        if (rule == RULE_ADAM)
            g = v_fma(c->weight_decay, p, g);
        else
            p = v_fnma(c->weight_decay, p, p);
        *u = v_fma(c->momentum, *u, v_mul(c->momentum_rest, g));
        *s = v_fma(c->decay, *s, v_mul(c->decay_rest, v_mul(g, g)));
        return v_sub(
            p, v_div(v_mul(c->learning_rate, *u), v_fma(v_sqrt(*s), c->correction, c->epsilon)));
    }
}

/* One vector at the given place with its gradient, or the first `part` lanes where part is not 0. */
ALWAYS_INLINE void update_at(const update_rule rule, const update_numbers *c, vec gradient,
                             size_t part, real *p, real *first, real *second) {
    vec u = v_zero(), s = v_zero();
    if (keeps_first(rule)) u = part ? v_load_part(first, part) : v_load(first);
    if (keeps_second(rule)) s = part ? v_load_part(second, part) : v_load(second);
    const vec new_p =
        update_vec(rule, c, gradient, part ? v_load_part(p, part) : v_load(p), &u, &s);
    if (part) {
        v_store_part(p, new_p, part);
        if (keeps_first(rule)) v_store_part(first, u, part);
        if (keeps_second(rule)) v_store_part(second, s, part);
    } else {
        v_store(p, new_p);
        if (keeps_first(rule)) v_store(first, u);
        if (keeps_second(rule)) v_store(second, s);
    }
}

/* Where the gradient comes from. */
typedef enum gradient_kind {
    WRITTEN, /* g[j]: one row of cols elements */
    OUTER, /* x[i] g[j] */
    OUTER_NARROW /* the same for short rows, out of a narrow_rows */
} gradient_kind;

/* Short rows that end in a part of a vector are not updated one by one: the next row's load would
 * have to wait until the store of that part is done. As VL rows of n elements are n whole vectors,
 * these are updated, and the gradient of each is made of a vector of x, permuted, and of a vector of
 * g written VL times in a row. */
enum { NARROW = 64 };
typedef struct narrow_rows {
    real row[VL * NARROW + VL]; /* the bits of an integer: which of the VL rows an element is in */
    real g[VL * NARROW + VL];
} narrow_rows;

static void spread_narrow(size_t rows, size_t cols, const real *g, narrow_rows *out) {
    for (size_t r = 0; r < VL && r < rows; r++) {
        const real_bits bits = r;
        real number;
        __builtin_memcpy(&number, &bits, sizeof number);
        /* Whole vectors: what stands beyond the row is overwritten by the next one. */
        for (size_t j = 0; j < cols; j += VL) {
            v_store(out->row + r * cols + j, v_set(number));
            v_store(out->g + r * cols + j, v_load_part(g + j, cols - j));
        }
    }
}

ALWAYS_INLINE void update_narrow_rows(const update_rule rule, const update_step *step, size_t rows,
                                      size_t cols, const real *x, const narrow_rows *narrow,
                                      real *p, real *first, real *second) {
    const update_numbers c = spread(step);
    for (size_t i = 0; i < rows; i += VL) {
        const vec factors = v_load_part(x + i, rows - i);
        const size_t n = (rows - i < VL ? rows - i : VL) * cols;
        for (size_t j = 0; j < n; j += VL) {
            const vec gradient =
                v_fma(v_permute(factors, narrow->row + j), v_load(narrow->g + j), v_zero());
            update_at(rule, &c, gradient, n - j < VL ? n - j : 0, p + j,
                      keeps_first(rule) ? first + j : NULL, keeps_second(rule) ? second + j : NULL);
        }
        p += n;
        if (keeps_first(rule)) first += n;
        if (keeps_second(rule)) second += n;
    }
}

/* All rows; with WRITTEN there is one. */
ALWAYS_INLINE void update_rows(const update_rule rule, const gradient_kind kind,
                               const update_step *step, size_t rows, size_t cols, const real *x,
                               const real *g, real *p, real *first, real *second) {
    const update_numbers c = spread(step);
    for (size_t i = 0; i < rows; i++) {
        const vec factor = kind == OUTER ? v_set(x[i]) : v_zero();
        size_t j = 0;
#pragma GCC unroll 2
        for (; j + VL <= cols; j += VL)
            update_at(rule, &c,
                      kind == OUTER ? v_fma(factor, v_load(g + j), v_zero()) : v_load(g + j), 0,
                      p + j, keeps_first(rule) ? first + j : NULL,
                      keeps_second(rule) ? second + j : NULL);
        if (j < cols) {
            const vec last = v_load_part(g + j, cols - j);
            update_at(rule, &c, kind == OUTER ? v_fma(factor, last, v_zero()) : last, cols - j,
                      p + j, keeps_first(rule) ? first + j : NULL,
                      keeps_second(rule) ? second + j : NULL);
        }
        p += cols;
        if (keeps_first(rule)) first += cols;
        if (keeps_second(rule)) second += cols;
    }
}

ALWAYS_INLINE void update_by(const update_rule rule, const gradient_kind kind,
                             const update_step *step, size_t rows, size_t cols, const real *x,
                             const real *g, const narrow_rows *narrow, real *p, real *u, real *s) {
    if (kind == OUTER_NARROW)
        update_narrow_rows(rule, step, rows, cols, x, narrow, p, u, s);
    else
        update_rows(rule, kind, step, rows, cols, x, g, p, u, s);
}

ALWAYS_INLINE void update_any(const gradient_kind kind, const update_step *step, size_t rows,
                              size_t cols, const real *x, const real *g, const narrow_rows *narrow,
                              real *p, real *u, real *s) {
    switch (step->rule) {
    case DC_GRADIENT_DESCENT:
        update_by(RULE_GRADIENT_DESCENT, kind, step, rows, cols, x, g, narrow, p, u, s);
        break;
    case DC_MOMENTUM:
        update_by(RULE_MOMENTUM, kind, step, rows, cols, x, g, narrow, p, u, s);
        break;
    case DC_SGD:
        if (!u || step->momentum == 0)
            update_by(RULE_SGD_PLAIN, kind, step, rows, cols, x, g, narrow, p, u, s);
        else if (step->nesterov)
            update_by(RULE_SGD_NESTEROV, kind, step, rows, cols, x, g, narrow, p, u, s);
        else
            update_by(RULE_SGD, kind, step, rows, cols, x, g, narrow, p, u, s);
        break;
    case DC_RMSPROP: update_by(RULE_RMSPROP, kind, step, rows, cols, x, g, narrow, p, u, s); break;
    case DC_ADAM: update_by(RULE_ADAM, kind, step, rows, cols, x, g, narrow, p, u, s); break;
    case DC_ADAMW: update_by(RULE_ADAMW, kind, step, rows, cols, x, g, narrow, p, u, s); break;
    default: update_by(RULE_ADAGRAD, kind, step, rows, cols, x, g, narrow, p, u, s); break;
    }
}

/* One step over n elements: parameter p, gradient g, state (NULL where the rule keeps none). */
static void update(const update_step *step, size_t n, const real *g, real *p, real *first,
                   real *second) {
    update_any(WRITTEN, step, 1, n, NULL, g, NULL, p, first, second);
}

/* One step over a rows x cols parameter with gradient x[i] g[j], which is never written to
 * memory. */
static void update_outer(const update_step *step, size_t rows, size_t cols, const real *x,
                         const real *g, real *p, real *first, real *second) {
    if (cols == 1) { /* x g = g x: a column is updated like a row */
        const real *column = x;
        x = g;
        g = column;
        cols = rows;
        rows = 1;
    }
    if (cols % VL == 0 || cols > NARROW || rows == 1) {
        update_any(OUTER, step, rows, cols, x, g, NULL, p, first, second);
        return;
    }
    narrow_rows narrow __attribute__((aligned(64)));
    spread_narrow(rows, cols, g, &narrow);
    update_any(OUTER_NARROW, step, rows, cols, x, NULL, &narrow, p, first, second);
}

#endif
