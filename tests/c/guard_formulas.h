/* What calls on plain numbers should give, by formulas in long double: of test_guard_pages.c. */
#ifndef DEEPC_TEST_GUARD_FORMULAS_H
#define DEEPC_TEST_GUARD_FORMULAS_H

#include "activation_references.h"
#include "guard_pages.h"
#include "loss_references.h"

enum { LOSS_COLS = 60 };

/* What is right to a hundred roundings is right: an element that was left out, or computed for
 * another one, is not. */
static int is_near(long double got, long double right, long double size) {
    const long double most = (DEEPC_REAL_BITS == 32 ? FLT_EPSILON : DBL_EPSILON) * 100.0L;
    return isnan(right) || isinf(right) || fabsl(got - right) <= most * (size + 1);
}

/* Against the sums in long double, where numbers are plain. */
static void check_product(int ta, int tb, size_t m, size_t n, size_t k, const real *a, size_t lda,
                          const real *b, size_t ldb, const real *bias, const real *c, size_t ldc) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            long double sum = bias ? bias[j] : 0;
            for (size_t p = 0; p < k; p++)
                sum += (long double)(ta ? a[p * lda + i] : a[i * lda + p]) *
                       (tb ? b[j * ldb + p] : b[p * ldb + j]);
            const long double most =
                (long double)(DEEPC_REAL_BITS == 32 ? FLT_EPSILON : DBL_EPSILON) *
                (long double)(k + 2) * (sum + 1);
            if (!(fabsl(sum - c[i * ldc + j]) <= most)) {
                CHECK(!"a product is that of long double");
                return;
            }
        }
}

/* The loss of a row that has no weight and no smoothing, with element j moved by so much. */
static long double loss_of(const dc_loss_rule *rule, size_t cols, const real *p, const real *t,
                           size_t moved, long double by) {
    const loss_reference *r = &loss_references[rule->kind];
    long double sum = 0, row_p[LOSS_COLS], row_t[LOSS_COLS];
    for (size_t j = 0; j < cols; j++) {
        row_p[j] = p[j] + (j == moved ? by : 0), row_t[j] = t[j];
        if (r->element) sum += r->element(row_p[j], row_t[j], rule->parameter);
    }
    return r->element ? sum : r->row(cols, row_p, row_t, rule->parameter);
}

/* The losses of some rows and the gradients of some elements, by the formulas. */
static void check_loss(const dc_loss_rule *rule, size_t rows, size_t cols, const real *p,
                       const real *t, const real *d, const real *losses) {
    const long double by_elements = rule->reduction == DC_MEAN_OF_ELEMENTS ? cols : 1;
    const long double by_rows = rule->reduction == DC_SUM ? 1 : rows, step = 1e-6L;
    for (int turn = 0; turn < 20; turn++) {
        const size_t i = below(rows), j = below(cols);
        const real *row_p = p + i * cols, *row_t = t + i * cols;
        const long double right = loss_of(rule, cols, row_p, row_t, 0, 0);
        const long double above = loss_of(rule, cols, row_p, row_t, j, step) - right;
        const long double below_it = right - loss_of(rule, cols, row_p, row_t, j, -step);
        const long double slope = (above + below_it) / (2 * step);
        int good = is_near(losses[i], right / by_elements, (fabsl(right) + cols) / by_elements);
        /* At a kink there is no one slope; differences are not exact either. */
        if (d && fabsl(above - below_it) < 1e-3L * step)
            good &= fabsl(d[i * cols + j] - slope / by_elements / by_rows) <=
                    1e-4L * (fabsl(slope) + 1) / by_elements / by_rows;
        if (good) continue;
        CHECK(!"a loss and its gradient are those of the formulas");
        return;
    }
}

#endif
