/* The loops of the losses: over elements, and over the vectors of a row.
 *
 * They take one vector at a time and choose the formula anew for each: next to a logarithm that
 * costs nothing, and the code for all losses stays small. The squared error has a loop of its own,
 * because it is made of three operations, and softmax with cross-entropy has those of
 * cross_entropy.h.
 *
 * A loss is returned in double. Each SUM_BLOCK of elements is summed in virtual lanes, the blocks
 * are added in order; the losses of rows are added in order within groups of LOSS_ROWS rows, the
 * groups in order. typed/ splits the work at these places only. */
#ifndef DEEPC_LOSS_LOOPS_H
#define DEEPC_LOSS_LOOPS_H

#include "cross_entropy.h"
#include "losses.h"

/* ---- Elementwise ----------------------------------------------------------------------------- */

ALWAYS_INLINE loss_term term_vec(int kind, vec p, vec t, vec c) {
    switch (kind) {
#define TERM_ELEMENTWISE(NAME, name)                                                               \
    case DC_##NAME: return name##_term(p, t, c);
#define TERM_ROWWISE(NAME, name)
#define TERM_OWN(NAME, name)
#define TERM(NAME, name, family, ...) TERM_##family(NAME, name)
        DC_LOSS_LIST(TERM)
#undef TERM
#undef TERM_ELEMENTWISE
    default: return term_of(v_zero(), v_zero());
    }
}

/* The weights of elements `at` and the following ones, each that of its row. */
static vec element_weights(const loss_work *w, size_t at) {
    size_t row = at / w->cols, col = at % w->cols;
    if (w->cols - col >= VL) return v_set(w->weights[row]);
    real each[VL];
    for (size_t lane = 0; lane < VL; lane++) {
        each[lane] = row < w->rows ? w->weights[row] : 0;
        if (++col == w->cols) row++, col = 0;
    }
    return v_load(each);
}

/* The sum over elements start .. start + n - 1, at most SUM_BLOCK of them. Where a weight is 0, and
 * beyond the end, ones stand in for prediction and target, which have a finite loss. */
static real elementwise_block(const loss_work *w, size_t start, size_t n) {
    const vec one = v_set(1), c = v_set(w->parameter), factor = v_set(w->scale);
    const vec keep = v_set(1 - w->smoothing), spread = v_set(w->smoothing / 2);
    vec acc[SUM_VECS];
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
    for (size_t i = 0; i < n; i += VL) {
        const size_t at = start + i, left = n - i < VL ? n - i : VL;
        vec weight = w->weights ? element_weights(w, at) : one;
        if (left < VL) weight = v_select(v_eq(padding(left), v_zero()), weight, v_zero());
        const vmask out = v_eq(weight, v_zero());
        const vec p = v_select(out, one, v_load_part(w->predicted + at, left));
        const vec t = v_fma(v_select(out, one, v_load_part(w->targets + at, left)), keep, spread);
        const loss_term term = term_vec(w->kind, p, t, c);
        const vec weighted = v_mul(weight, term.a);
        const size_t lane = i / VL % SUM_VECS;
        acc[lane] = v_fma(weighted, term.b, acc[lane]);
        if (w->values) v_store_part(w->values + at, v_mul(weighted, term.b), left);
        if (w->d) v_store_part(w->d + at, v_mul(v_mul(factor, weight), term.slope), left);
    }
    return sum_tree(acc);
}

/* The same for the squared error without weights; d = twice_scale e, or NULL. */
static real squared_error_block(size_t n, const real *predicted, const real *targets,
                                real twice_scale, real *d) {
    const vec factor = v_set(twice_scale);
    vec acc[SUM_VECS];
    UNROLL(8)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
    size_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES) UNROLL(8)
    for (int v = 0; v < SUM_VECS; v++) {
        const size_t at = i + (size_t)v * VL;
        const vec e = v_sub(v_load(predicted + at), v_load(targets + at));
        acc[v] = v_fma(e, e, acc[v]);
        if (d) v_store(d + at, v_mul(factor, e));
    }
    UNROLL(8)
    for (int v = 0; v < SUM_VECS; v++) {
        const size_t at = i + (size_t)v * VL;
        if (at >= n) break;
        const vec e = v_sub(v_load_part(predicted + at, n - at), v_load_part(targets + at, n - at));
        acc[v] = v_fma(e, e, acc[v]);
        if (d) v_store_part(d + at, v_mul(factor, e), n - at);
    }
    return sum_tree(acc);
}

static double elementwise_loss(const loss_work *w, size_t start, size_t n) {
    const int squared = w->kind == DC_SQUARED_ERROR && !w->weights && !w->values;
    double total = 0;
    for (size_t i = start; i < start + n; i += SUM_BLOCK) {
        const size_t left = start + n - i, block = left < SUM_BLOCK ? left : SUM_BLOCK;
        total += (double)(squared ? squared_error_block(block, w->predicted + i, w->targets + i,
                                                        2 * w->scale, w->d ? w->d + i : NULL)
                                  : elementwise_block(w, i, block));
    }
    return total;
}

/* ---- Rowwise --------------------------------------------------------------------------------- */

ALWAYS_INLINE row_terms terms_vec(int kind, const loss_row *row, int pass, vec x, vec t) {
    switch (kind) {
#define TERM_ELEMENTWISE(NAME, name)
#undef TERM_ROWWISE
#define TERM_ROWWISE(NAME, name)                                                                   \
    case DC_##NAME: return name##_terms(row, pass, x, t);
#define TERM(NAME, name, family, ...) TERM_##family(NAME, name)
        DC_LOSS_LIST(TERM)
#undef TERM
#undef TERM_ROWWISE
    default: return (row_terms){v_zero(), v_zero(), v_zero()};
    }
}

static real value_of(int kind, const loss_row *row) {
    switch (kind) {
#define TERM_ROWWISE(NAME, name)                                                                   \
    case DC_##NAME: return name##_value(row);
#define TERM(NAME, name, family, ...) TERM_##family(NAME, name)
        DC_LOSS_LIST(TERM)
#undef TERM
#undef TERM_ROWWISE
    default: return 0;
    }
}

ALWAYS_INLINE vec slope_vec(int kind, const loss_row *row, vec x, vec t) {
    switch (kind) {
#define TERM_ROWWISE(NAME, name)                                                                   \
    case DC_##NAME: return name##_slope(row, x, t);
#define TERM(NAME, name, family, ...) TERM_##family(NAME, name)
        DC_LOSS_LIST(TERM)
#undef TERM
#undef TERM_ROWWISE
#undef TERM_ELEMENTWISE
#undef TERM_OWN
    default: return v_zero();
    }
}

/* Elements j .. j + VL - 1 of row i's targets, smoothed; beyond the end anything. */
ALWAYS_INLINE vec row_target(const loss_work *w, size_t i, size_t label, size_t j) {
    const vec keep = v_set(1 - w->smoothing), spread = v_set(w->smoothing / (real)w->cols);
    const size_t left = w->cols - j < VL ? w->cols - j : VL;
    const vec t = w->targets ? v_load_part(w->targets + i * w->cols + j, left) : one_hot(label, j);
    return v_fma(t, keep, spread);
}

/* One pass over a row: the sums of its terms in virtual lanes, long rows in blocks. */
ONE_COPY row_sums row_pass(const loss_work *w, const loss_row *row, int pass, size_t i,
                           size_t label) {
    row_sums sums = {0, 0, 0};
    vec largest = v_set(-(real)__builtin_inf());
    for (size_t j = 0; j < w->cols;) {
        const size_t end = w->cols - j < SUM_BLOCK ? w->cols : j + SUM_BLOCK;
        vec a[SUM_VECS], b[SUM_VECS];
        for (int v = 0; v < SUM_VECS; v++) a[v] = b[v] = v_zero();
        for (size_t lane = 0; j < end; j += VL, lane = (lane + 1) % SUM_VECS) {
            const size_t left = end - j < VL ? end - j : VL;
            const vmask used = v_eq(padding(left), v_zero());
            const vec x = v_load_part(w->predicted + i * w->cols + j, left);
            const row_terms terms = terms_vec(w->kind, row, pass, x, row_target(w, i, label, j));
            a[lane] = v_add(a[lane], v_select(used, terms.a, v_zero()));
            b[lane] = v_add(b[lane], v_select(used, terms.b, v_zero()));
            largest = v_max(largest, v_add(v_select(used, terms.largest, v_zero()), padding(left)));
        }
        j = end;
        sums.a += sum_tree(a);
        sums.b += sum_tree(b);
    }
    sums.largest = v_first(lanes_max(largest));
    return sums;
}

/* The loss of row i, and d = scale times its slopes, or NULL. */
static real row_loss(const loss_work *w, size_t i, size_t label, real scale, real *d) {
    loss_row row = {.parameter = w->parameter};
    for (int pass = 0; pass < PASSES; pass++) row.found[pass] = row_pass(w, &row, pass, i, label);
    const vec factor = v_set(scale);
    for (size_t j = 0; d && j < w->cols; j += VL) {
        const size_t left = w->cols - j < VL ? w->cols - j : VL;
        const vec x = v_load_part(w->predicted + i * w->cols + j, left);
        const vec slope = slope_vec(w->kind, &row, x, row_target(w, i, label, j));
        v_store_part(d + j, v_mul(factor, slope), left);
    }
    return value_of(w->kind, &row);
}

/* The loss of at most LOSS_ROWS rows. */
static double rowwise_group(const loss_work *w, size_t start, size_t n) {
    double sum = 0;
    for (size_t i = start; i < start + n; i++) {
        real *d = w->d ? w->d + i * w->cols : NULL;
        const real weight = w->weights ? w->weights[i] : 1;
        real loss = 0;
        if (weight == 0)
            clear_row(w->cols, d);
        else
            loss = row_loss(w, i, label_of(w, i), w->scale * weight, d);
        sum += weighted_loss(w, i, loss);
    }
    return sum;
}

static double rowwise_loss(const loss_work *w, size_t start, size_t n) {
    const int softmax = w->kind == DC_SOFTMAX_CROSS_ENTROPY;
    double total = 0;
    for (size_t i = start; i < start + n; i += LOSS_ROWS) {
        const size_t left = start + n - i, rows = left < LOSS_ROWS ? left : LOSS_ROWS;
        total += softmax ? cross_entropy_group(w, i, rows) : rowwise_group(w, i, rows);
    }
    return total;
}

#endif
