/* The losses and their gradients, in one pass over each row.
 *
 * A loss is returned in double. Squared error: each SUM_BLOCK of elements is summed in virtual
 * lanes, the blocks are added in order. Cross-entropy: the losses of the rows are added in order
 * within groups of LOSS_ROWS rows, the groups in order; typed/ splits the work at these places
 * only. */
#ifndef DEEPC_LOSS_H
#define DEEPC_LOSS_H

#include "softmax.h"
#include "table.h"
#include "vec.h"
#include "vecmath.h"

/* ---- Squared error --------------------------------------------------------------------------- */

/* One block: with e = predicted - target, the sum of e^2, and d = twice_scale e. */
static real squared_error_block(size_t n, const real *predicted, const real *targets,
                                real twice_scale, real *d) {
    const vec factor = v_set(twice_scale);
    vec acc[SUM_VECS];
#pragma GCC unroll 8
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
    size_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
#pragma GCC unroll 8
        for (int v = 0; v < SUM_VECS; v++) {
            const size_t at = i + (size_t)v * VL;
            const vec e = v_sub(v_load(predicted + at), v_load(targets + at));
            acc[v] = v_fma(e, e, acc[v]);
            if (d) v_store(d + at, v_mul(factor, e));
        }
#pragma GCC unroll 8
    for (int v = 0; v < SUM_VECS; v++) {
        const size_t at = i + (size_t)v * VL;
        if (at >= n) break;
        const vec e = v_sub(v_load_part(predicted + at, n - at), v_load_part(targets + at, n - at));
        acc[v] = v_fma(e, e, acc[v]);
        if (d) v_store_part(d + at, v_mul(factor, e), n - at);
    }
    return sum_tree(acc);
}

/* The sum of (predicted - target)^2; d = 2 scale (predicted - target), or NULL. */
static double squared_error(size_t n, const real *predicted, const real *targets, real scale,
                            real *d) {
    double total = 0;
    for (size_t i = 0; i < n; i += SUM_BLOCK) {
        const size_t block = n - i < SUM_BLOCK ? n - i : SUM_BLOCK;
        total += (double)squared_error_block(block, predicted + i, targets + i, 2 * scale,
                                             d ? d + i : NULL);
    }
    return total;
}

/* ---- Softmax and cross-entropy --------------------------------------------------------------- */

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

/* Lanes j .. j + VL - 1 of a one-hot row. */
ALWAYS_INLINE vec one_hot(int64_t label, size_t j) {
    static const real window[3 * SUM_LANES] = {[SUM_LANES] = 1};
    const uint64_t lane = (uint64_t)label - (uint64_t)j;
    return v_load(window + (lane < VL ? SUM_LANES - lane : SUM_LANES + 1));
}

/* One row of `vecs` vectors, the last one of `last` lanes; d = scale (softmax(x) - target), or
 * NULL. */
ALWAYS_INLINE row_parts row_short(const int vecs, size_t last, const real *x, const real *targets,
                                  const int64_t *label, real scale, real *d) {
    vec row[ROW_VECS], target[ROW_VECS];
    row_load(vecs, last, x, row);
    const vec largest = row_max(vecs, row);
    row_parts parts = {0, 1, 0};
    if (targets) {
        vec weight[ROW_VECS], dot[ROW_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            target[v] =
                v < vecs - 1 ? v_load(targets + v * VL) : v_load_part(targets + v * VL, last);
            row[v] = v_sub(row[v], largest);
            const int a = v % SUM_VECS;
            weight[a] = v_add(v < SUM_VECS ? v_zero() : weight[a], target[v]);
            dot[a] = add_target(target[v], row[v], v < SUM_VECS ? v_zero() : dot[a]);
        }
        parts.weight = v_first(lanes_sum(vecs, weight));
        parts.dot = v_first(lanes_sum(vecs, dot));
    } else {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            target[v] = one_hot(*label, (size_t)v * VL);
            row[v] = v_sub(row[v], largest);
        }
        parts.dot = x[*label] - v_first(largest);
    }
    row_exp(vecs, last, row);
    const vec total = row_sum(vecs, row);
    parts.total = v_first(total);
    if (d) {
        const vec factor = v_set(scale);
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            row[v] = v_mul(factor, v_sub(v_div(row[v], total), target[v]));
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
#pragma GCC unroll 8
        for (int v = 0; v < SUM_VECS; v++) weight[v] = dot[v] = v_zero();
        for (; i < end; i += SUM_LANES)
#pragma GCC unroll 8
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

/* d = scale (e / total - target), or scale e / total where targets is NULL. */
static void gradient_long(size_t n, real total, const real *targets, real scale, real *d) {
    const vec divisor = v_set(total), factor = v_set(scale);
    for (size_t i = 0; i < n; i += VL) {
        const vec target = targets ? v_load_part(targets + i, n - i) : v_zero();
        const vec y = v_div(v_load_part(d + i, n - i), divisor);
        v_store_part(d + i, v_mul(factor, v_sub(y, target)), n - i);
    }
}

static row_parts row_long(size_t n, const real *x, const real *targets, const int64_t *label,
                          real scale, real *d) {
    const real largest = largest_of(n, x);
    row_parts parts = {0, 1, 0};
    if (targets)
        target_sums(n, x, largest, targets, &parts);
    else
        parts.dot = x[*label] - largest;
    if (!d) {
        parts.total = exp_and_sum(0, n, x, largest, NULL);
        return parts;
    }
    parts.total = exp_and_sum(1, n, x, largest, d);
    const real at_label = targets ? 0 : scale * (d[*label] / parts.total - 1);
    gradient_long(n, parts.total, targets, scale, d);
    if (!targets) d[*label] = at_label;
    return parts;
}

/* Adds the losses of `rows` <= SUM_LANES rows in order; their logarithms are computed side by
 * side. */
static double add_losses(size_t rows, const real total[], const real weight[], const real dot[],
                         double sum) {
    if (rows == 1) { /* a vector load would have to wait for the stores of the three numbers */
        const vec log_total = v_log(v_set(*total));
        const vec loss = v_fma(v_set(*weight), log_total, v_set(-*dot));
        return sum + (double)v_first(loss);
    }
    real loss[SUM_LANES];
    for (size_t i = 0; i < rows; i += VL) {
        const vec log_total = v_log(v_load(total + i));
        v_store(loss + i, v_fma(v_load(weight + i), log_total, v_sub(v_zero(), v_load(dot + i))));
    }
    for (size_t i = 0; i < rows; i++) sum += (double)loss[i];
    return sum;
}

/* Up to VL rows of up to ACROSS_COLS elements side by side; adds their losses to the sum. */
static double cross_entropy_across(size_t rows, size_t cols, const real *x, const real *targets,
                                   const int64_t *labels, real scale, real *d, double sum) {
    real columns[SUM_LANES * VL], s[SUM_LANES * VL], target[SUM_LANES * VL], label[VL];
    for (size_t r = 0; labels && r < VL; r++) label[r] = r < rows ? (real)labels[r] : 0;
    rows_to_columns(rows, cols, x, columns);
    const vec total = exp_across(cols, columns, s);
    vec weight = v_set(1), dot = v_zero();
    if (targets) {
        rows_to_columns(rows, cols, targets, target);
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
    if (d) {
        const vec factor = v_set(scale);
        for (size_t j = 0; j < cols; j++) {
            const vec y = v_div(v_load(columns + j * VL), total);
            v_store(columns + j * VL, v_mul(factor, v_sub(y, v_load(target + j * VL))));
        }
        columns_to_rows(rows, cols, columns, s, d);
    }
    real totals[VL], weights[VL], dots[VL];
    v_store(totals, total);
    v_store(weights, weight);
    v_store(dots, dot);
    return add_losses(rows, totals, weights, dots, sum);
}

/* Rows by their number of vectors; a function each, so that the loop over the rows exists once. */
typedef row_parts row_function(size_t cols, const real *x, const real *targets,
                               const int64_t *label, real scale, real *d);

#define ROW(vecs)                                                                                  \
    static row_parts row_##vecs(size_t cols, const real *x, const real *targets,                   \
                                const int64_t *label, real scale, real *d) {                       \
        return row_short(vecs, cols - (vecs - 1) * VL, x, targets, label, scale, d);               \
    }
ROW(1)
ROW(2)
ROW(3)
ROW(4)
#undef ROW

/* The loss of at most LOSS_ROWS rows. */
static double cross_entropy_group(row_function *row, size_t rows, size_t cols, const real *x,
                                  const real *targets, const int64_t *labels, real scale, real *d) {
    double sum = 0;
    size_t first = 0;
    for (; MANY_VARIANTS && cols <= ACROSS_COLS && first + ACROSS_ROWS <= rows; first += VL)
        sum = cross_entropy_across(rows - first < VL ? rows - first : VL, cols, x + first * cols,
                                   targets ? targets + first * cols : NULL,
                                   labels ? labels + first : NULL, scale,
                                   d ? d + first * cols : NULL, sum);
    real total[SUM_LANES] = {0}, weight[SUM_LANES] = {0}, dot[SUM_LANES] = {0};
    for (size_t i = first; i < rows; i++) {
        const row_parts parts = row(cols, x + i * cols, targets ? targets + i * cols : NULL,
                                    labels ? labels + i : NULL, scale, d ? d + i * cols : NULL);
        const size_t at = (i - first) % SUM_LANES;
        total[at] = parts.total;
        weight[at] = parts.weight;
        dot[at] = parts.dot;
        if (at == SUM_LANES - 1 || i == rows - 1) sum = add_losses(at + 1, total, weight, dot, sum);
    }
    return sum;
}

/* The sum over the rows of -target log softmax(predicted), from targets (rows x cols) or else
 * labels (rows); d = scale (softmax(predicted) - target), or NULL. */
static double cross_entropy(size_t rows, size_t cols, const real *predicted, const real *targets,
                            const int64_t *labels, real scale, real *d) {
    static row_function *const by_vecs[ROW_VECS] = {
        ROWS_IN_REGISTERS ? row_1 : row_long, ROWS_IN_REGISTERS ? row_2 : row_long,
        ROWS_IN_REGISTERS ? row_3 : row_long, ROWS_IN_REGISTERS ? row_4 : row_long};
    double total = 0;
    if (cols == 0) return total;
    const size_t vecs = (cols - 1) / VL;
    row_function *const row = vecs < ROW_VECS ? by_vecs[vecs] : row_long;
    for (size_t i = 0; i < rows; i += LOSS_ROWS) {
        const size_t n = rows - i < LOSS_ROWS ? rows - i : LOSS_ROWS;
        total += cross_entropy_group(row, n, cols, predicted + i * cols,
                                     targets ? targets + i * cols : NULL,
                                     labels ? labels + i : NULL, scale, d ? d + i * cols : NULL);
    }
    return total;
}

#endif
