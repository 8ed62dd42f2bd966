/* The optimizers' steps: one pass over gradient, parameter and state.
 *
 * update_vec holds the formulas of all rules, with p the parameter, g its gradient, and u, s, w the
 * tensors first, second and third; deepc_api.h says which rule is which. What a step has is told by
 * its form (table.h). The forms that most training takes have loops of their own, in which the form
 * is a constant; all others share one loop that asks at each vector: memory and the divider set the
 * pace of both, and the wheel is to stay small. Every operation is elementwise, so it does not
 * matter how the elements are cut into vectors. */
#ifndef DEEPC_UPDATE_H
#define DEEPC_UPDATE_H

#include "table.h"
#include "vec.h"

/* The numbers of an update_step in all lanes. */
typedef struct update_numbers {
#define UPDATE_LANES(name) vec name;
    UPDATE_NUMBERS(UPDATE_LANES)
#undef UPDATE_LANES
} update_numbers;

ALWAYS_INLINE update_numbers spread(const update_step *step) {
#define UPDATE_SPREAD(name) .name = v_set(step->name),
    const update_numbers c = {UPDATE_NUMBERS(UPDATE_SPREAD)};
#undef UPDATE_SPREAD
    return c;
}

/* What a rule remembers of one vector of parameters. */
typedef struct update_state {
    vec u, s, w;
} update_state;

/* ---- The formulas ---------------------------------------------------------------------------- */

/* u = momentum u + inside g;  p -= rate u, or with Nesterov's look ahead rate (momentum u + inside
 * g). Gradient descent, the running average, SGD; of Keras the learning rate is `inside`. */
ALWAYS_INLINE vec update_descent(const int form, const update_numbers *c, vec g, vec p,
                                 update_state *k) {
    if (form & HAS_INSIDE) g = v_mul(c->inside, g);
    if (!(form & HAS_FIRST)) return v_fnma(c->rate, g, p);
    k->u = v_fma(c->momentum, k->u, g);
    return v_fnma(c->rate, form & HAS_NESTEROV ? v_fma(c->momentum, k->u, g) : k->u, p);
}

/* x = decay x + decay_rest y */
ALWAYS_INLINE vec averaged(const update_numbers *c, vec x, vec y) {
    return v_fma(c->decay, x, v_mul(c->decay_rest, y));
}

/* RMSProp and Adagrad: s = decay s + (1 - decay) g^2 (or the sum), without the square of the mean w
 * of g where that is kept; d = inside g / (sqrt(s + epsilon_inside) + epsilon);  p -= d, or with
 * momentum u = momentum u + d;  p -= rate u.
 * Rounding may leave less than w^2 in s, whose root would be NaN. */
ALWAYS_INLINE vec update_mean_square(const int form, const update_numbers *c, vec g, vec p,
                                     update_state *k) {
    k->s = averaged(c, k->s, v_mul(g, g));
    vec square = k->s;
    if (form & HAS_THIRD) {
        k->w = averaged(c, k->w, g);
        square = v_at_least(v_fnma(k->w, k->w, square), 0);
    }
    if (form & HAS_EPSILON_INSIDE) square = v_add(square, c->epsilon_inside);
    const vec d = v_div(v_mul(c->inside, g), v_add(v_sqrt(square), c->epsilon));
    if (!(form & HAS_FIRST)) return v_sub(p, d);
    k->u = v_fma(c->momentum, k->u, d);
    return v_fnma(c->rate, k->u, p);
}

/* Adam and its kin: u = momentum u + (1 - momentum) g;  s = decay s + (1 - decay) g^2;
 * p -= (rate u + inside g) / (sqrt(s) correction + epsilon), where the bias corrections are in rate
 * and correction. Nadam has `inside`; AMSGrad takes the largest s so far, w. */
ALWAYS_INLINE vec update_moments(const int form, const update_numbers *c, vec g, vec p,
                                 update_state *k) {
    k->u = v_fma(c->momentum, k->u, v_mul(c->momentum_rest, g));
    k->s = averaged(c, k->s, v_mul(g, g));
    vec square = k->s, top = v_mul(c->rate, k->u);
    if (form & HAS_THIRD) square = k->w = v_max(k->w, square);
    if (form & HAS_INSIDE) top = v_fma(c->inside, g, top);
    return v_sub(p, v_div(top, v_fma(v_sqrt(square), c->correction, c->epsilon)));
}

/* Adadelta: s = decay s + (1 - decay) g^2;  d = g sqrt(u + epsilon) / sqrt(s + epsilon);
 * u = decay u + (1 - decay) d^2;  p -= rate d */
ALWAYS_INLINE vec update_deltas(const update_numbers *c, vec g, vec p, update_state *k) {
    k->s = averaged(c, k->s, v_mul(g, g));
    const vec d = v_mul(
        v_div(v_sqrt(v_add(k->u, c->epsilon_inside)), v_sqrt(v_add(k->s, c->epsilon_inside))), g);
    k->u = averaged(c, k->u, v_mul(d, d));
    return v_fnma(c->rate, d, p);
}

/* Adamax: u as Adam's;  s = max(decay s, |g| + epsilon_inside);  p -= rate u / (s + epsilon) */
ALWAYS_INLINE vec update_largest(const update_numbers *c, vec g, vec p, update_state *k) {
    k->u = v_fma(c->momentum, k->u, v_mul(c->momentum_rest, g));
    k->s = v_max(v_mul(c->decay, k->s), v_add(v_abs(g), c->epsilon_inside));
    return v_sub(p, v_div(v_mul(c->rate, k->u), v_add(k->s, c->epsilon)));
}

/* Lion: p -= rate sign(momentum u + (1 - momentum) g);  u = decay u + (1 - decay) g. The sign of 0
 * is 0, that of NaN is NaN. */
ALWAYS_INLINE vec update_signs(const update_numbers *c, vec g, vec p, update_state *k) {
    const vec to = v_fma(c->momentum, k->u, v_mul(c->momentum_rest, g));
    k->u = averaged(c, k->u, g);
    const vec one = v_copysign(v_set(1), to);
    const vec sign = v_select(v_lt(v_zero(), v_abs(to)), one, to);
    return v_fnma(c->rate, sign, p);
}

/* p after the step. */
ALWAYS_INLINE vec update_vec(const int form, const update_numbers *c, vec g, vec p,
                             update_state *k) {
    if (form & HAS_SCALE) g = v_mul(c->scale, g);
    if (form & HAS_LIMIT) g = v_max(v_sub(v_zero(), c->limit), v_min(c->limit, g));
    if (form & HAS_WEIGHT_DECAY) g = v_fma(c->weight_decay, p, g);
    if (form & HAS_SHRINK) p = v_fnma(c->shrink, p, p);
    switch (form & FORMULA_BITS) {
    case FORMULA_DESCENT: return update_descent(form, c, g, p, k);
    case FORMULA_MEAN_SQUARE: return update_mean_square(form, c, g, p, k);
    case FORMULA_MOMENTS: return update_moments(form, c, g, p, k);
    case FORMULA_DELTAS: return update_deltas(c, g, p, k);
    case FORMULA_LARGEST: return update_largest(c, g, p, k);
    default: return update_signs(c, g, p, k);
    }
}

/* ---- The loops ------------------------------------------------------------------------------- */

/* The tensors of a step, at the place that it has come to. */
typedef struct update_place {
    real *p, *first, *second, *third;
} update_place;

/* Where there is no such tensor the pointer is NULL, to which nothing may be added. */
ALWAYS_INLINE real *moved(real *p, int kept, size_t by) { return kept ? p + by : NULL; }
ALWAYS_INLINE update_place moved_on(const int form, update_place at, size_t by) {
    return (update_place){at.p + by, moved(at.first, form & HAS_FIRST, by),
                          moved(at.second, form & HAS_SECOND, by),
                          moved(at.third, form & HAS_THIRD, by)};
}

/* The first `part` lanes at p, or all of them where part is 0. */
ALWAYS_INLINE vec load(const real *p, size_t part) {
    return part ? v_load_part(p, part) : v_load(p);
}
ALWAYS_INLINE void store(real *p, vec x, size_t part) {
    if (part)
        v_store_part(p, x, part);
    else
        v_store(p, x);
}

/* What a rule remembers is never subnormal. An average whose gradient stays 0 (pixels of an image
 * that are seldom used) decays until it is, and then for ever, as 0.9 times the smallest number is
 * rounded to itself; most processors take some hundred cycles for each vector with such a number,
 * which made an epoch of MNIST with Adam take two and a half times as long. */
ALWAYS_INLINE vec without_subnormals(vec x) {
    return v_select(v_lt(v_abs(x), v_set(SMALLEST_NORMAL)), v_zero(), x);
}

/* One vector with its gradient, or the first `part` lanes of it where part is not 0. */
ALWAYS_INLINE void update_at(const int form, const update_numbers *c, vec gradient, size_t part,
                             update_place at) {
    update_state k = {v_zero(), v_zero(), v_zero()};
    if (form & HAS_FIRST) k.u = load(at.first, part);
    if (form & HAS_SECOND) k.s = load(at.second, part);
    if (form & HAS_THIRD) k.w = load(at.third, part);
    const vec p = update_vec(form, c, gradient, load(at.p, part), &k);
    store(at.p, p, part);
    if (form & HAS_FIRST) store(at.first, without_subnormals(k.u), part);
    if (form & HAS_SECOND) store(at.second, without_subnormals(k.s), part);
    if (form & HAS_THIRD) store(at.third, without_subnormals(k.w), part);
}

/* A rows x cols parameter whose gradient at (i, j) is x[i] g[j], gone through in runs of `height`
 * rows. Long rows are runs by themselves.
 *
 * Where short rows end in a part of a vector, the next row's load would have to wait until the
 * store of that part is done. But VL rows of n elements are n whole vectors. With 16 lanes and rows
 * of 10:
 *
 *     lane        0  1  2 ...  9 10 11 ... 15
 *     vector 0    row 0           row 1             lane l of vector v is element 16 v + l of the
 *     vector 1    row 1    row 2       row 3        run, so it belongs to row (16 v + l) / 10 and
 *     ...                                           column (16 v + l) % 10
 *     vector 9    row 14          row 15
 *
 * For such a run g stands VL times in a row, and `row` has the number of the row of each lane, as
 * an integer's bits, by which v_permute picks the row's x. */
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

ALWAYS_INLINE void update_outer_by(const int form, const update_step *step,
                                   const outer_product *outer, update_place at) {
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
            update_at(form, &c, gradient, 0, moved_on(form, at, j));
        }
        if (j < n) {
            const vec last = v_load_part(outer->g + j, n - j);
            update_at(form, &c, v_fma(v_permute(factors, row), last, v_zero()), n - j,
                      moved_on(form, at, j));
        }
        at = moved_on(form, at, n);
    }
}

/* A run of n elements with gradient g. */
ALWAYS_INLINE void update_by(const int form, const update_step *step, size_t n, const real *g,
                             update_place at) {
    const update_numbers c = spread(step);
    size_t j = 0;
    for (; j + VL <= n; j += VL) update_at(form, &c, v_load(g + j), 0, moved_on(form, at, j));
    if (j < n) update_at(form, &c, v_load_part(g + j, n - j), n - j, moved_on(form, at, j));
}

/* ---- Steps of any form ----------------------------------------------------------------------- */

/* A run of n elements; the form is looked at for each vector. */
ONE_COPY void update_slowly(const update_step *step, size_t n, const real *g, real *p, real *first,
                            real *second, real *third) {
    const update_numbers c = spread(step);
    const update_place at = {p, first, second, third};
    for (size_t j = 0; j < n; j += VL) {
        const size_t part = PART_LOADS_ARE_FREE || n - j < VL ? n - j : 0;
        update_at(step->form, &c, load(g + j, part), part, moved_on(step->form, at, j));
    }
}

/* An outer product, some rows at a time, or pieces of one: their gradient is written to the
 * stack. */
ONE_COPY void update_outer_slowly(const update_step *step, size_t rows, size_t cols, const real *x,
                                  const real *g, real *p, real *first, real *second) {
    enum { PIECE = 512 };
    real gradient[PIECE + VL];
    update_place at = {p, first, second, NULL};
    if (cols == 0) return;
    const size_t most = cols < PIECE ? PIECE / cols : 1;
    for (size_t i = 0; i < rows; i += most) {
        const size_t height = rows - i < most ? rows - i : most;
        for (size_t from = 0; from < cols; from += PIECE) {
            const size_t width = cols - from < PIECE ? cols - from : PIECE;
            /* Whole vectors: what stands beyond a row is overwritten by the next one. */
            for (size_t r = 0; r < height; r++)
                for (size_t j = 0; j < width; j += VL) {
                    const vec part = v_load_part(g + from + j, width - j);
                    v_store(gradient + r * width + j, v_fma(v_set(x[i + r]), part, v_zero()));
                }
            update_slowly(step, height * width, gradient, at.p, at.first, at.second, NULL);
            at = moved_on(step->form, at, height * width);
        }
    }
}

/* The forms with loops of their own: gradient descent, momentum (also Keras' SGD with momentum),
 * SGD without, with momentum, with Nesterov's; RMSProp and Adagrad; Adam and AdamW. */
#define UPDATE_LOOPS(L)                                                                            \
    L(FORMULA_DESCENT)                                                                             \
    L(FORMULA_DESCENT | HAS_FIRST | HAS_INSIDE)                                                    \
    L(FORMULA_DESCENT | HAS_WEIGHT_DECAY)                                                          \
    L(FORMULA_DESCENT | HAS_WEIGHT_DECAY | HAS_FIRST)                                              \
    L(FORMULA_DESCENT | HAS_WEIGHT_DECAY | HAS_FIRST | HAS_NESTEROV)                               \
    L(FORMULA_MEAN_SQUARE | HAS_WEIGHT_DECAY | HAS_SECOND)                                         \
    L(FORMULA_MOMENTS | HAS_WEIGHT_DECAY | HAS_SHRINK | HAS_FIRST | HAS_SECOND)

/* One step over n elements: parameter p, gradient g, state (NULL where the form has none). */
static void update(const update_step *step, size_t n, const real *g, real *p, real *first,
                   real *second, real *third) {
    const update_place at = {p, first, second, third};
    switch (step->form) {
#define UPDATE_LOOP(form)                                                                          \
    case form: update_by(form, step, n, g, at); break;
        UPDATE_LOOPS(UPDATE_LOOP)
#undef UPDATE_LOOP
    default: update_slowly(step, n, g, p, first, second, third); break;
    }
}

/* One step over a rows x cols parameter with gradient x[i] g[j], which is never written to memory;
 * of a form without a third tensor. */
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
    const update_place at = {p, first, second, NULL};
    narrow_rows narrow __attribute__((aligned(64)));
    if (outer.cols <= NARROW && outer.cols % VL != 0 && outer.rows > 1)
        spread_narrow(&outer, &narrow);
    switch (step->form) {
#define UPDATE_LOOP(form)                                                                          \
    case form: update_outer_by(form, step, &outer, at); break;
        UPDATE_LOOPS(UPDATE_LOOP)
#undef UPDATE_LOOP
    default: update_outer_slowly(step, rows, cols, x, g, p, first, second); break;
    }
}

#endif
