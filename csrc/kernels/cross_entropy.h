/* Softmax and cross-entropy in one: the loss and its gradient, in one pass over each row.
 *
 * With s = x - max x and W the sum of a row's targets t: loss = sum of t (log sum e^s - s), slope =
 * W softmax(x) - t. Targets are smoothed where rows are in memory only: each becomes (1 -
 * smoothing) t + smoothing / cols. Three forms of a row, all with the same bits: a few of them side
 * by side, in registers, in memory. */
#ifndef DEEPC_CROSS_ENTROPY_H
#define DEEPC_CROSS_ENTROPY_H

#include "softmax.h"
#include "table.h"
#include "vec.h"
#include "vecmath.h"

/* ---- What all rowwise losses share ----------------------------------------------------------- */

/* Row i's label, read once, because another thread may change it after it was checked: a label out
 * of range is the last class then, and nothing outside the row is read or written. */
ALWAYS_INLINE size_t label_of(const loss_work *w, size_t i) {
    if (!w->labels) return 0;
    const uint64_t label = (uint64_t)*(const volatile label_type *)(w->labels + i);
    return label < w->cols ? (size_t)label : w->cols - 1;
}

/* d = 0, n elements, or nothing where it is NULL. */
static void clear_row(size_t n, real *d) {
    for (size_t i = 0; d && i < n; i += VL) v_store_part(d + i, v_zero(), n - i);
}

/* Lanes j .. j + VL - 1 of a one-hot row. */
ALWAYS_INLINE vec one_hot(size_t label, size_t j) {
    static const real window[3 * SUM_LANES] = {[SUM_LANES] = 1};
    const size_t lane = label - j;
    return v_load(window + (lane < VL ? SUM_LANES - lane : SUM_LANES + 1));
}

/* ---- Rows in registers ----------------------------------------------------------------------- */

/* What the loss of a row is made of. With s = x - max: loss = sum of target (log sum exp s - s) =
 * weight log(total) - dot, where both terms add to a loss that is never negative, so nothing
 * cancels. Terms with target 0 are left out, so that x = -inf is allowed there, and a one-hot row
 * has the bits of its label. */
typedef struct row_parts {
    real total;  /* the sum of exp s */
    real weight; /* the sum of the targets; 1 for a label */
    real dot;    /* the sum of target s */
} row_parts;

/* The sum so far plus target s. */
ALWAYS_INLINE vec add_target(vec target, vec s, vec sum) {
    return v_fma(target, v_select(v_eq(target, v_zero()), v_zero(), s), sum);
}

/* One row of `vecs` vectors, the last one of `last` lanes; d = scale (W softmax(x) - target), or
 * NULL. */
ALWAYS_INLINE row_parts row_short(const int vecs, size_t last, const real *x, const real *targets,
                                  size_t label, real scale, real *d) {
    vec row[ROW_VECS], target[ROW_VECS], whole_weight = v_set(1);
    row_load(vecs, last, x, row);
    const vec largest = row_max(vecs, row);
    row_parts parts = {0, 1, 0};
    if (targets) {
        vec weight[ROW_VECS], dot[ROW_VECS];
        UNROLL(4)
        for (int v = 0; v < vecs; v++) {
            target[v] =
                v < vecs - 1 ? v_load(targets + v * VL) : v_load_part(targets + v * VL, last);
            row[v] = v_sub(row[v], largest);
            const int a = v % SUM_VECS;
            weight[a] = v_add(v < SUM_VECS ? v_zero() : weight[a], target[v]);
            dot[a] = add_target(target[v], row[v], v < SUM_VECS ? v_zero() : dot[a]);
        }
        whole_weight = lanes_sum(vecs, weight);
        parts.weight = v_first(whole_weight);
        parts.dot = v_first(lanes_sum(vecs, dot));
    } else {
        UNROLL(4)
        for (int v = 0; v < vecs; v++) {
            target[v] = one_hot(label, (size_t)v * VL);
            row[v] = v_sub(row[v], largest);
        }
        parts.dot = x[label] - v_first(largest);
    }
    row_exp(vecs, last, row);
    const vec total = row_sum(vecs, row);
    parts.total = v_first(total);
    if (d) {
        const vec factor = v_set(scale);
        UNROLL(4)
        for (int v = 0; v < vecs; v++) {
            vec y = v_div(row[v], total);
            if (targets) y = v_mul(whole_weight, y);
            row[v] = v_mul(factor, v_sub(y, target[v]));
        }
        row_store(vecs, last, row, d);
    }
    return parts;
}

/* The sums over the targets of a row in memory. */
static void target_sums(size_t n, const real *x, real largest, const real *targets,
                        row_parts *parts) {
    const vec m = v_set(largest);
    parts->weight = parts->dot = 0;
    for (size_t i = 0; i < n;) {
        const size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
        vec weight[SUM_VECS], dot[SUM_VECS];
        UNROLL(8)
        for (int v = 0; v < SUM_VECS; v++) weight[v] = dot[v] = v_zero();
        for (; i < end; i += SUM_LANES) UNROLL(8)
        for (int v = 0; v < SUM_VECS; v++) {
            const size_t at = i + (size_t)v * VL;
            if (at >= end) break;
            const vec target = v_load_part(targets + at, end - at);
            weight[v] = v_add(weight[v], target);
            dot[v] = add_target(target, v_sub(v_load_part(x + at, end - at), m), dot[v]);
        }
        i = end;
        parts->weight += sum_tree(weight);
        parts->dot += sum_tree(dot);
    }
}

/* The sum of x - largest over a row in memory. */
static real shifted_sum(size_t n, const real *x, real largest) {
    const vec m = v_set(largest);
    real total = 0;
    for (size_t i = 0; i < n;) {
        const size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
        vec acc[SUM_VECS];
        for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
        for (size_t lane = 0; i < end; i += VL, lane = (lane + 1) % SUM_VECS) {
            const size_t left = end - i < VL ? end - i : VL;
            const vec s = v_sub(v_load_part(x + i, left), m);
            acc[lane] = v_add(acc[lane], v_select(v_eq(padding(left), v_zero()), s, v_zero()));
        }
        i = end;
        total += sum_tree(acc);
    }
    return total;
}

/* How targets are smoothed: t becomes keep t + spread. */
typedef struct smoothed {
    real keep, spread;
} smoothed;

/* d = scale (weight e / total - target), e being in d. Where `targets` is NULL, the target is 0,
 * and without smoothing the weight 1. */
static void gradient_long(size_t n, const row_parts *parts, const real *targets, smoothed how,
                          real scale, real *d) {
    const vec total = v_set(parts->total), weight = v_set(parts->weight), factor = v_set(scale);
    const vec keep = v_set(how.keep), spread = v_set(how.spread);
    const int smooth = how.spread > 0, weighted = targets || smooth;
    for (size_t i = 0; i < n; i += VL) {
        vec t = targets ? v_load_part(targets + i, n - i) : v_zero();
        vec y = v_div(v_load_part(d + i, n - i), total);
        if (weighted) y = v_mul(weight, y);
        if (smooth) t = v_fma(t, keep, spread);
        v_store_part(d + i, v_mul(factor, v_sub(y, t)), n - i);
    }
}

/* A row in memory. `smoothing` is spread over the classes. */
static row_parts row_in_memory(size_t n, const real *x, const real *targets, size_t label,
                               real smoothing, real scale, real *d) {
    const real largest = largest_of(n, x);
    const smoothed how = {1 - smoothing, smoothing / (real)n};
    row_parts parts = {0, 1, 0};
    if (targets)
        target_sums(n, x, largest, targets, &parts);
    else
        parts.dot = x[label] - largest;
    if (smoothing > 0) {
        parts.weight = how.keep * parts.weight + smoothing;
        parts.dot = how.keep > 0 ? how.keep * parts.dot : 0;
        parts.dot += how.spread * shifted_sum(n, x, largest);
    }
    parts.total = exp_and_sum(n, x, largest, d);
    if (!d) return parts;
    const real y = parts.weight * (d[label] / parts.total);
    gradient_long(n, &parts, targets, how, scale, d);
    if (!targets) d[label] = scale * (y - (how.keep + how.spread));
    return parts;
}

static row_parts row_long(size_t n, const real *x, const real *targets, size_t label, real scale,
                          real *d) {
    return row_in_memory(n, x, targets, label, 0, scale, d);
}

/* ---- Groups of rows -------------------------------------------------------------------------- */

/* What row i's loss adds: its weight times it; and that is its value, where values are asked
 * for. */
ALWAYS_INLINE double weighted_loss(const loss_work *w, size_t i, real loss) {
    if (w->weights) loss = w->weights[i] == 0 ? 0 : w->weights[i] * loss;
    if (w->values) w->values[i] = loss;
    return (double)loss;
}

/* Adds the losses of up to SUM_LANES rows from `first` on, in order; their logarithms are computed
 * side by side. */
static double add_losses(const loss_work *w, size_t first, size_t rows, const real total[],
                         const real weight[], const real dot[], double sum) {
    if (rows == 1) { /* a vector load would have to wait for the stores of the three numbers */
        const vec log_total = v_log(v_set(*total));
        /* 0 - dot as below, because -dot would be another zero. */
        const vec loss = v_fma(v_set(*weight), log_total, v_sub(v_zero(), v_set(*dot)));
        return sum + weighted_loss(w, first, v_first(loss));
    }
    real loss[SUM_LANES];
    for (size_t i = 0; i < rows; i += VL) {
        const vec log_total = v_log(v_load(total + i));
        vec l = v_fma(v_load(weight + i), log_total, v_sub(v_zero(), v_load(dot + i)));
        if (w->weights) {
            const vec own = v_load_part(w->weights + first + i, rows - i);
            l = v_select(v_eq(own, v_zero()), v_zero(), v_mul(own, l));
        }
        v_store(loss + i, l);
    }
    for (size_t i = 0; i < rows; i++) sum += (double)loss[i];
    for (size_t i = 0; w->values && i < rows; i++) w->values[first + i] = loss[i];
    return sum;
}

/* The gradient of rows side by side: from columns of e to those of d. */
static void gradient_across(const loss_work *w, size_t first, size_t rows, vec total, vec weight,
                            const real *target, real *columns) {
    vec factor = v_set(w->scale), each = v_set(1);
    if (w->weights) {
        each = v_load_part(w->weights + first, rows);
        factor = v_mul(factor, each);
    }
    for (size_t j = 0; j < w->cols; j++) {
        vec y = v_div(v_load(columns + j * VL), total);
        if (w->targets) y = v_mul(weight, y);
        vec d = v_mul(factor, v_sub(y, v_load(target + j * VL)));
        if (w->weights) d = v_select(v_eq(each, v_zero()), v_zero(), d);
        v_store(columns + j * VL, d);
    }
}

/* Up to VL rows from `first` on, of up to ACROSS_COLS elements, side by side; adds their losses to
 * the sum. A label that is none has no target here: it is compared with the classes. */
static double cross_entropy_across(const loss_work *w, size_t first, size_t rows, double sum) {
    real columns[SUM_LANES * VL], s[SUM_LANES * VL], target[SUM_LANES * VL], label[VL];
    const size_t cols = w->cols, start = first * cols;
    const label_type *labels = (const label_type *)w->labels;
    for (size_t r = 0; labels && r < VL; r++) label[r] = r < rows ? (real)labels[first + r] : 0;
    rows_to_columns(rows, cols, w->predicted + start, columns);
    const vec total = exp_across(cols, columns, s);
    vec weight = v_set(1), dot = v_zero();
    if (w->targets) {
        rows_to_columns(rows, cols, w->targets + start, target);
        weight = columns_sum(cols, target);
        for (size_t j = 0; j < cols; j++)
            v_store(s + j * VL, add_target(v_load(target + j * VL), v_load(s + j * VL), v_zero()));
        dot = columns_sum(cols, s);
    } else {
        for (size_t j = 0; j < cols; j++) {
            const vmask here = v_eq(v_load(label), v_set((real)j));
            v_store(target + j * VL, v_select(here, v_set(1), v_zero()));
            dot = v_select(here, v_load(s + j * VL), dot);
        }
    }
    if (w->d) {
        gradient_across(w, first, rows, total, weight, target, columns);
        columns_to_rows(rows, cols, columns, s, w->d + start);
    }
    real totals[VL], weights[VL], dots[VL];
    v_store(totals, total);
    v_store(weights, weight);
    v_store(dots, dot);
    return add_losses(w, first, rows, totals, weights, dots, sum);
}

/* Rows by their number of vectors; a function each, so that the loop over the rows exists once. */
typedef row_parts row_function(size_t cols, const real *x, const real *targets, size_t label,
                               real scale, real *d);

#define ROW(vecs)                                                                                  \
    static row_parts row_##vecs(size_t cols, const real *x, const real *targets, size_t label,     \
                                real scale, real *d) {                                             \
        return row_short(vecs, cols - (vecs - 1) * VL, x, targets, label, scale, d);               \
    }
ROW(1)
ROW(2)
ROW(3)
ROW(4)
#undef ROW

static row_function *row_function_for(size_t cols) {
    static row_function *const by_vecs[ROW_VECS] = {
        ROWS_IN_REGISTERS ? row_1 : row_long, ROWS_IN_REGISTERS ? row_2 : row_long,
        ROWS_IN_REGISTERS ? row_3 : row_long, ROWS_IN_REGISTERS ? row_4 : row_long};
    const size_t vecs = (cols - 1) / VL;
    return vecs < ROW_VECS ? by_vecs[vecs] : row_long;
}

/* The loss of at most LOSS_ROWS rows from `first` on, not of width 0, and their gradient. */
static double cross_entropy_group(const loss_work *w, size_t first, size_t rows) {
    row_function *const row = row_function_for(w->cols);
    const size_t cols = w->cols, end = first + rows;
    double sum = 0;
    for (; MANY_VARIANTS && cols <= ACROSS_COLS && w->smoothing == 0 && first + ACROSS_ROWS <= end;
         first = end - first < VL ? end : first + VL)
        sum = cross_entropy_across(w, first, end - first < VL ? end - first : VL, sum);
    real total[SUM_LANES] = {0}, weight[SUM_LANES] = {0}, dot[SUM_LANES] = {0};
    for (size_t at = 0; first < end; first++) {
        const real *x = w->predicted + first * cols;
        const real *targets = w->targets ? w->targets + first * cols : NULL;
        const real own = w->weights ? w->weights[first] : 1, scale = w->scale * own;
        real *d = w->d ? w->d + first * cols : NULL;
        row_parts parts = {1, 0, 0};
        if (own == 0)
            clear_row(cols, d);
        else if (w->smoothing > 0)
            parts = row_in_memory(cols, x, targets, label_of(w, first), w->smoothing, scale, d);
        else
            parts = row(cols, x, targets, label_of(w, first), scale, d);
        total[at] = parts.total;
        weight[at] = parts.weight;
        dot[at] = parts.dot;
        if (++at < SUM_LANES && first + 1 < end) continue;
        sum = add_losses(w, first + 1 - at, at, total, weight, dot, sum);
        at = 0;
    }
    return sum;
}

#endif
