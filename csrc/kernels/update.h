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

/* dc_rule, where DC_ADAMW and DC_ADAGRAD are other numbers for the formulas of DC_ADAM and DC_RMSPROP; and the forms of
 * DC_SGD, which keeps no state where its momentum is 0. */
typedef enum update_rule {
    RULE_GRADIENT_DESCENT = DC_GRADIENT_DESCENT,
    RULE_MOMENTUM = DC_MOMENTUM,
    RULE_SGD = DC_SGD,
    RULE_RMSPROP = DC_RMSPROP,
    RULE_ADAM = DC_ADAM,
    RULE_SGD_PLAIN,
    RULE_SGD_NESTEROV
} update_rule;

ALWAYS_INLINE int keeps_first(const update_rule rule) {
    return rule == RULE_MOMENTUM || rule == RULE_SGD || rule == RULE_SGD_NESTEROV ||
           rule == RULE_ADAM;
}
ALWAYS_INLINE int keeps_second(const update_rule rule) {
    return rule == RULE_RMSPROP || rule == RULE_ADAM;
}

/* The numbers of an update_step in all lanes. */
typedef struct update_numbers {
    vec learning_rate, momentum, momentum_rest, decay, decay_rest, correction, epsilon,
        weight_decay, shrink;
} update_numbers;

ALWAYS_INLINE update_numbers spread(const update_step *step) {
    const update_numbers c = {
        v_set(step->learning_rate), v_set(step->momentum),     v_set(step->momentum_rest),
        v_set(step->decay),         v_set(step->decay_rest),   v_set(step->correction),
        v_set(step->epsilon),       v_set(step->weight_decay), v_set(step->shrink)};
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
    default: /* Adam */
        g = v_fma(c->weight_decay, p, g);
        p = v_fnma(c->shrink, p, p);
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

/* A rows x cols parameter whose gradient is x[i] g[j], cut into runs of `height` rows: element j of a run has the
 * gradient factors[row[j]] g[j], where factors is a vector of x. Long rows are runs by themselves.
 *
 * Short rows that end in a part of a vector are not: the next row's load would have to wait until the store of that
 * part is done. But VL rows of n elements are n whole vectors. For such a run g is written VL times in a row, and `row`
 * holds the bits of integers. */
typedef struct outer_product {
    size_t rows, cols, height;
    const real *x, *g;
    const real *row;
    size_t row_step; /* from one vector of row to the next: VL, or 0 where there is one */
} outer_product;

/* Rows of up to this many elements are short. */
enum { NARROW = 64 };
typedef struct narrow_rows {
    real row[VL * NARROW + VL];
    real g[VL * NARROW + VL];
} narrow_rows;

static void spread_narrow(outer_product *outer, narrow_rows *to) {
    const size_t cols = outer->cols;
    for (size_t r = 0; r < VL && r < outer->rows; r++) {
        const real_bits bits = r;
        real number;
        __builtin_memcpy(&number, &bits, sizeof number);
        /* Whole vectors: what stands beyond the row is overwritten by the next one. */
        for (size_t j = 0; j < cols; j += VL) {
            v_store(to->row + r * cols + j, v_set(number));
            v_store(to->g + r * cols + j, v_load_part(outer->g + j, cols - j));
        }
    }
    outer->height = VL;
    outer->row = to->row;
    outer->row_step = VL;
    outer->g = to->g;
}

ALWAYS_INLINE void update_outer_by(const update_rule rule, const update_step *step,
                                   const outer_product *outer, real *p, real *first, real *second) {
    const update_numbers c = spread(step);
    const size_t height = outer->height, row_step = outer->row_step;
    for (size_t i = 0; i < outer->rows; i += height) {
        const size_t left = outer->rows - i;
        const vec factors = height == 1 ? v_set(outer->x[i]) : v_load_part(outer->x + i, left);
        const size_t n = (left < height ? left : height) * outer->cols;
        const real *row = outer->row;
        size_t j = 0;
        for (; j + VL <= n; j += VL, row += row_step) {
            const vec gradient = v_fma(v_permute(factors, row), v_load(outer->g + j), v_zero());
            update_at(rule, &c, gradient, 0, p + j, keeps_first(rule) ? first + j : NULL,
                      keeps_second(rule) ? second + j : NULL);
        }
        if (j < n) {
            const vec last = v_load_part(outer->g + j, n - j);
            update_at(rule, &c, v_fma(v_permute(factors, row), last, v_zero()), n - j, p + j,
                      keeps_first(rule) ? first + j : NULL, keeps_second(rule) ? second + j : NULL);
        }
        p += n;
        if (keeps_first(rule)) first += n;
        if (keeps_second(rule)) second += n;
    }
}

/* A run of n elements with gradient g, or where that is NULL the outer product. */
ALWAYS_INLINE void update_by(const update_rule rule, const update_step *step, size_t n,
                             const real *g, const outer_product *outer, real *p, real *first,
                             real *second) {
    if (!g) {
        update_outer_by(rule, step, outer, p, first, second);
        return;
    }
    const update_numbers c = spread(step);
    size_t j = 0;
    for (; j + VL <= n; j += VL)
        update_at(rule, &c, v_load(g + j), 0, p + j, keeps_first(rule) ? first + j : NULL,
                  keeps_second(rule) ? second + j : NULL);
    if (j < n)
        update_at(rule, &c, v_load_part(g + j, n - j), n - j, p + j,
                  keeps_first(rule) ? first + j : NULL, keeps_second(rule) ? second + j : NULL);
}

ALWAYS_INLINE void update_any(const update_step *step, size_t n, const real *g,
                              const outer_product *outer, real *p, real *u, real *s) {
#define UPDATE_BY(rule) update_by(rule, step, n, g, outer, p, u, s)
    switch (step->rule) {
    case DC_GRADIENT_DESCENT: UPDATE_BY(RULE_GRADIENT_DESCENT); break;
    case DC_MOMENTUM: UPDATE_BY(RULE_MOMENTUM); break;
    case DC_SGD:
        if (!u || step->momentum == 0)
            UPDATE_BY(RULE_SGD_PLAIN);
        else if (step->nesterov)
            UPDATE_BY(RULE_SGD_NESTEROV);
        else
            UPDATE_BY(RULE_SGD);
        break;
    case DC_RMSPROP:
    case DC_ADAGRAD: UPDATE_BY(RULE_RMSPROP); break;
    default: UPDATE_BY(RULE_ADAM); break;
    }
#undef UPDATE_BY
}

/* One step over n elements: parameter p, gradient g, state (NULL where the rule keeps none). */
static void update(const update_step *step, size_t n, const real *g, real *p, real *first,
                   real *second) {
    if (n > 0) update_any(step, n, g, NULL, p, first, second);
}

/* One step over a rows x cols parameter with gradient x[i] g[j], which is never written to
 * memory. */
static void update_outer(const update_step *step, size_t rows, size_t cols, const real *x,
                         const real *g, real *p, real *first, real *second) {
    /* x g = g x: a column is updated like a row. */
    const real zeros[VL] = {0};
    outer_product outer = {.rows = cols == 1 ? 1 : rows,
                           .cols = cols == 1 ? rows : cols,
                           .height = 1,
                           .x = cols == 1 ? g : x,
                           .g = cols == 1 ? x : g,
                           .row = zeros};
    narrow_rows narrow __attribute__((aligned(64)));
    if (outer.cols <= NARROW && outer.cols % VL != 0 && outer.rows > 1)
        spread_narrow(&outer, &narrow);
    update_any(step, 0, NULL, &outer, p, first, second);
}

#endif
