/* Sums, softmax and the two losses with loops of their own: close to the C library in long double,
 * and on every instruction set with fused multiply-add exactly the bits of the order that the
 * headers promise, which the references here follow step by step. */
#include "arrays.h"

static const dc_loss_rule squared = {.kind = DC_SQUARED_ERROR};
static const dc_loss_rule softmax = {.kind = DC_SOFTMAX_CROSS_ENTROPY};

static const size_t widths[] = {1,  2,  3,  4,  5,  7,  8,  9,   10,   15,
                                16, 17, 31, 33, 48, 64, 65, 100, 1000, 5000};

static real fused(real a, real b, real c) {
    return DEEPC_REAL_BITS == 32 ? fmaf((float)a, (float)b, (float)c) : (real)fma(a, b, c);
}

/* The tree over 16 lanes. */
static real tree(real lane[SUM_LANES]) {
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* The sum of a[i], or of a[i] b[i], over at most SUM_BLOCK elements. */
static real block_sum(size_t n, const real *a, const real *b) {
    real lane[SUM_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        real *at = &lane[i % SUM_LANES];
        *at = b ? fused(a[i], b[i], *at) : *at + a[i];
    }
    return tree(lane);
}

static real row_sum(size_t n, const real *a, const real *b) {
    real total = 0;
    for (size_t i = 0; i < n; i += SUM_BLOCK)
        total += block_sum(n - i < SUM_BLOCK ? n - i : SUM_BLOCK, a + i, b ? b + i : NULL);
    return total;
}

static double whole_sum(size_t n, const real *a, const real *b) {
    double total = 0;
    for (size_t i = 0; i < n; i += SUM_BLOCK)
        total += (double)block_sum(n - i < SUM_BLOCK ? n - i : SUM_BLOCK, a + i, b ? b + i : NULL);
    return total;
}

/* Whether got is want, or near it on an instruction set that promises no more. */
static int agrees(double got, double want) {
    if (isnan(want)) return isnan(got);
    return isa_is_exact()
               ? got == want
               : fabs(got - want) <= 100 * ldexp(fabs(want), DEEPC_REAL_BITS == 32 ? -23 : -52);
}

static real largest_of(size_t n, const real *x) {
    real largest = x[0];
    for (size_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* ---- dc_sum ---------------------------------------------------------------------------------- */

static void test_sum(void) {
    static const size_t lengths[] = {0,    1,    2,    5,    15,    16,    17,    33,     100,
                                     4095, 4096, 4097, 8192, 16384, 20000, 70001, 1500000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i];
        real *x = array_make(n);
        fill(n, -1, 2, x);
        const double want = whole_sum(n, x, NULL);
        long double exact = 0;
        for (size_t j = 0; j < n; j++) exact += x[j];
        for (size_t isa = 0; use_isa(isa); isa++)
            for (int threads = 1; threads <= 3; threads++) {
                dc_set_num_threads(threads);
                const double got = TYPED(dc_sum)(n, x);
                CHECK(got == want); /* no products here, so without fused multiply-add as well */
                CHECK(fabsl(got - exact) <=
                      ldexpl(400 * (1 + (long double)n), DEEPC_REAL_BITS == 32 ? -24 : -53));
            }
        array_free(x);
    }
    CHECK(TYPED(dc_sum)(0, NULL) == 0);
    CHECK(isnan(TYPED(dc_sum)(1, NULL)));
}

/* ---- Softmax --------------------------------------------------------------------------------- */

static void softmax_reference(size_t cols, const real *x, real *y) {
    const real largest = largest_of(cols, x);
    for (size_t j = 0; j < cols; j++) y[j] = x[j] - largest;
    TYPED(dc_exp)(cols, y, y);
    const real total = row_sum(cols, y, NULL);
    for (size_t j = 0; j < cols; j++) y[j] /= total;
}

static void check_softmax(size_t rows, size_t cols) {
    const size_t n = rows * cols;
    real *x = array_make(n), *y = array_make(n), *d_y = array_make(n), *d_x = array_make(n),
         *want = array_make(n), *first = array_make(n);
    fill(n, -9, 9, x);
    fill(n, -1, 1, d_y);
    for (size_t isa = 0; use_isa(isa); isa++) {
        CHECK(TYPED(dc_softmax)(rows, cols, x, y) == DC_OK);
        CHECK(guards_hold(y, n));
        for (size_t i = 0; i < n; i += cols) {
            softmax_reference(cols, x + i, want + i);
            long double total = 0;
            const real largest = largest_of(cols, x + i);
            for (size_t j = 0; j < cols; j++) total += expl((real)(x[i + j] - largest));
            double worst = 0;
            for (size_t j = 0; j < cols; j++)
                worst = fmax(worst, ulps(y[i + j], expl((real)(x[i + j] - largest)) / total));
            CHECK(worst <= 4 + REFERENCE_ULPS + (double)cols / 16);
        }
        CHECK(!isa_is_exact() || same_bits(n, y, want));
        memcpy(first, x, n * sizeof *x);
        CHECK(TYPED(dc_softmax)(rows, cols, first, first) == DC_OK);
        CHECK(same_bits(n, first, y));

        CHECK(TYPED(dc_softmax_backward)(rows, cols, y, d_y, d_x) == DC_OK);
        CHECK(guards_hold(d_x, n));
        for (size_t i = 0; i < n; i += cols) {
            const real mean = row_sum(cols, y + i, d_y + i);
            long double exact = 0;
            for (size_t j = 0; j < cols; j++) exact += (long double)y[i + j] * d_y[i + j];
            for (size_t j = 0; j < cols; j++) {
                want[i + j] = y[i + j] * (d_y[i + j] - mean);
                CHECK(fabsl(d_x[i + j] - y[i + j] * (d_y[i + j] - exact)) <=
                      y[i + j] * ldexpl(4 + REFERENCE_ULPS + (long double)cols / 16,
                                        DEEPC_REAL_BITS == 32 ? -24 : -53));
            }
        }
        CHECK(!isa_is_exact() || same_bits(n, d_x, want));
        CHECK(TYPED(dc_softmax_backward)(rows, cols, y, d_y, d_y) == DC_OK);
        CHECK(same_bits(n, d_x, d_y));
        fill(n, -1, 1, d_y);
    }
    array_free(x);
    array_free(y);
    array_free(d_y);
    array_free(d_x);
    array_free(want);
    array_free(first);
}

/* Infinities and NaN, first, in the middle and last in rows of many widths. */
static void test_softmax_special(void) {
    for (size_t w = 0; w < COUNT(widths); w++) {
        const size_t cols = widths[w];
        const size_t places[] = {0, cols / 2, cols - 1};
        real *x = array_make(cols), *y = array_make(cols);
        for (size_t isa = 0; use_isa(isa); isa++) {
            for (size_t p = 0; p < COUNT(places); p++) {
                const real bad[] = {(real)NAN, INFINITY};
                for (size_t b = 0; b < COUNT(bad); b++) {
                    fill(cols, -1, 1, x);
                    x[places[p]] = bad[b];
                    CHECK(TYPED(dc_softmax)(1, cols, x, y) == DC_OK);
                    size_t nans = 0;
                    for (size_t j = 0; j < cols; j++) nans += isnan(y[j]) != 0;
                    CHECK(nans == cols);
                }
                fill(cols, -1, 1, x);
                x[places[p]] = -INFINITY;
                CHECK(TYPED(dc_softmax)(1, cols, x, y) == DC_OK);
                CHECK(cols == 1 ? isnan(y[0]) : y[places[p]] == 0);
                for (size_t j = 0; cols > 1 && j < cols; j++) CHECK(y[j] >= 0 && y[j] <= 1);
            }
            /* Far apart, and far from 0. */
            for (size_t j = 0; j < cols; j++) x[j] = (real)(j % 2 ? 1e30 : -1e30);
            CHECK(TYPED(dc_softmax)(1, cols, x, y) == DC_OK);
            for (size_t j = 0; j < cols; j++)
                CHECK(j % 2 || cols == 1 ? y[j] == 1 / (real)(cols > 1 ? cols / 2 : 1) : y[j] == 0);
        }
        array_free(x);
        array_free(y);
    }
}

static void test_softmax(void) {
    for (size_t w = 0; w < COUNT(widths); w++) {
        check_softmax(1, widths[w]);
        check_softmax(widths[w] > 200 ? 2 : 19, widths[w]);
    }
    CHECK(TYPED(dc_softmax)(0, 4, NULL, NULL) == DC_OK);
    CHECK(TYPED(dc_softmax)(4, 0, NULL, NULL) == DC_OK);
    real x[2] = {1, 2};
    CHECK(TYPED(dc_softmax)(1, 2, NULL, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_softmax)(1, 2, x, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_softmax)(SIZE_MAX / 2, SIZE_MAX / 2, x, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_softmax_backward)(1, 2, x, NULL, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_softmax_backward)(1, 2, NULL, x, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_softmax_backward)(1, 2, x, x, NULL) == DC_BAD_POINTER);
}

/* ---- Squared error --------------------------------------------------------------------------- */

static void check_squared_error(size_t n) {
    real *p = array_make(n), *t = array_make(n), *d = array_make(n), *e = array_make(n);
    fill(n, -1, 1, p);
    fill(n, -1, 1, t);
    const double scale = 0.3;
    for (size_t isa = 0; use_isa(isa); isa++) {
        double loss = -1, same = -1;
        CHECK(TYPED(dc_loss)(&squared, 1, n, p, t, NULL, NULL, scale, &loss, d) == DC_OK);
        CHECK(guards_hold(d, n));
        for (size_t i = 0; i < n; i++) {
            e[i] = p[i] - t[i];
            CHECK(d[i] == 2 * (real)scale * e[i]);
        }
        CHECK(agrees(loss, whole_sum(n, e, e)));
        CHECK(TYPED(dc_loss)(&squared, n, 1, p, t, NULL, NULL, scale, &same, NULL) == DC_OK);
        CHECK(same == loss);
        CHECK(TYPED(dc_loss_value)(&squared, n, 1, p, t, NULL, NULL) == loss);
    }
    array_free(p);
    array_free(t);
    array_free(d);
    array_free(e);
}

/* ---- Cross-entropy --------------------------------------------------------------------------- */

/* The loss of one row and its gradient, in the order that loss.h promises. */
static real cross_entropy_row(size_t cols, const real *x, const real *t, real scale, real *d,
                              long double *exact) {
    const real largest = largest_of(cols, x);
    real *s = array_make(cols), *e = array_make(cols);
    for (size_t j = 0; j < cols; j++) s[j] = x[j] - largest;
    TYPED(dc_exp)(cols, s, e);
    const real total = row_sum(cols, e, NULL), weight = row_sum(cols, t, NULL);
    long double sum = 0;
    for (size_t j = 0; j < cols; j++) sum += expl(s[j]);
    *exact = 0;
    for (size_t j = 0; j < cols; j++) {
        d[j] = scale * (weight * (e[j] / total) - t[j]);
        if (t[j] == 0) s[j] = 0;
        *exact += t[j] == 0 ? 0 : t[j] * (logl(sum) - s[j]);
    }
    const real dot = row_sum(cols, t, s);
    real log_total;
    TYPED(dc_log)(1, &total, &log_total);
    array_free(s);
    array_free(e);
    return fused(weight, log_total, -dot);
}

static void check_cross_entropy(size_t rows, size_t cols, int soft) {
    const size_t n = rows * cols;
    real *x = array_make(n), *t = array_make(n), *d = array_make(n), *want = array_make(n);
    int64_t *labels = malloc((rows + 1) * sizeof *labels);
    if (!labels) abort();
    fill(n, -9, 9, x);
    for (size_t i = 0; i < rows; i++) {
        labels[i] = (int64_t)uniform(0, (double)cols);
        for (size_t j = 0; j < cols; j++)
            t[i * cols + j] =
                soft ? (real)uniform(0, 2 / (double)cols) : (real)(j == (size_t)labels[i]);
    }
    const double scale = 0.7;
    for (size_t isa = 0; use_isa(isa); isa++) {
        double loss = -1, sum = 0, group = 0;
        long double exact = 0;
        CHECK(TYPED(dc_loss)(&softmax, rows, cols, x, t, NULL, NULL, scale, &loss, d) == DC_OK);
        CHECK(guards_hold(d, n));
        for (size_t i = 0; i < rows; i++) {
            long double row;
            if (i % LOSS_ROWS == 0) sum += group, group = 0;
            group += (double)cross_entropy_row(cols, x + i * cols, t + i * cols, (real)scale,
                                               want + i * cols, &row);
            exact += row;
        }
        sum += group;
        CHECK(agrees(loss, sum));
        CHECK(fabsl(loss - exact) <=
              ldexpl((8 + REFERENCE_ULPS + (long double)cols / 16) * (exact + 1),
                     DEEPC_REAL_BITS == 32 ? -24 : -53));
        if (isa_is_exact()) CHECK(same_bits(n, d, want));
        CHECK(TYPED(dc_loss_value)(&softmax, rows, cols, x, t, NULL, NULL) == loss);
        /* One row alone. */
        for (size_t i = 0; i < rows && i < 20; i++) {
            CHECK(TYPED(dc_loss)(&softmax, 1, cols, x + i * cols, t + i * cols, NULL, NULL, scale,
                                 NULL, want) == DC_OK);
            CHECK(same_bits(cols, want, d + i * cols));
        }
        /* Labels give the bits of one-hot rows. */
        if (!soft) {
            double labelled = -1;
            CHECK(TYPED(dc_loss)(&softmax, rows, cols, x, NULL, labels, NULL, scale, &labelled,
                                 want) == DC_OK);
            CHECK(labelled == loss);
            CHECK(same_bits(n, want, d) && guards_hold(want, n));
            CHECK(TYPED(dc_loss_value)(&softmax, rows, cols, x, NULL, labels, NULL) == loss);
        }
    }
    free(labels);
    array_free(x);
    array_free(t);
    array_free(d);
    array_free(want);
}

/* A row's loss is the same beside others as alone, whatever the sign of its targets; to the sign of
 * a zero, which is what one class costs. */
static void test_losses_of_rows(void) {
    for (size_t cols = 1; cols < 40; cols += cols < 4 ? 1 : 7) {
        const size_t rows = 41, n = rows * cols;
        real *x = array_make(n), *t = array_make(n), *weights = array_make(rows);
        real *together = array_make(rows), *alone = array_make(rows);
        fill(n, -3, 3, x);
        fill(n, -3, 3, t);
        fill(rows, -1, 3, weights);
        for (size_t isa = 0; use_isa(isa); isa++) {
            CHECK(TYPED(dc_loss_rows)(&softmax, rows, cols, x, t, NULL, weights, together) ==
                  DC_OK);
            for (size_t i = 0; i < rows; i++)
                CHECK(TYPED(dc_loss_rows)(&softmax, 1, cols, x + i * cols, t + i * cols, NULL,
                                          weights + i, alone + i) == DC_OK);
            CHECK(same_bits(rows, together, alone) && guards_hold(together, rows));
        }
        array_free(x);
        array_free(t);
        array_free(weights);
        array_free(together);
        array_free(alone);
    }
}

/* A class ruled out by -inf costs nothing where its target is 0, and everything where it is the
 * label. */
static void test_masked_classes(void) {
    for (size_t w = 1; w < COUNT(widths); w++) {
        const size_t cols = widths[w];
        real *x = array_make(cols), *t = array_make(cols), *d = array_make(cols);
        fill(cols, -1, 1, x);
        x[cols - 1] = -INFINITY;
        for (size_t j = 0; j < cols; j++) t[j] = j == 0;
        for (size_t isa = 0; use_isa(isa); isa++) {
            double loss;
            CHECK(TYPED(dc_loss)(&softmax, 1, cols, x, t, NULL, NULL, 1, &loss, d) == DC_OK);
            CHECK(loss >= 0 && loss < 20 && d[cols - 1] == 0 && d[0] <= 0);
            const int64_t first = 0, last = (int64_t)cols - 1;
            CHECK(TYPED(dc_loss_value)(&softmax, 1, cols, x, NULL, &first, NULL) == loss);
            CHECK(TYPED(dc_loss_value)(&softmax, 1, cols, x, NULL, &last, NULL) == HUGE_VAL);
        }
        array_free(x);
        array_free(t);
        array_free(d);
    }
}

static void test_cross_entropy(void) {
    for (size_t w = 0; w < COUNT(widths); w++)
        for (int soft = 0; soft < 2; soft++) {
            check_cross_entropy(1, widths[w], soft);
            check_cross_entropy(widths[w] > 200 ? 2 : 37, widths[w], soft);
        }
    check_cross_entropy(600, 3, 0);
    check_cross_entropy(256, 10, 1);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* One of the functions that split over threads; returns the loss, if there is one. */
static double call(int which, size_t rows, size_t cols, const real *x, const real *t, real *d) {
    double loss = 0;
    switch (which) {
    case 0: CHECK(TYPED(dc_softmax)(rows, cols, x, d) == DC_OK); break;
    case 1: CHECK(TYPED(dc_softmax_backward)(rows, cols, t, x, d) == DC_OK); break;
    case 2:
        CHECK(TYPED(dc_loss)(&squared, rows, cols, x, t, NULL, NULL, 1, &loss, d) == DC_OK);
        break;
    default:
        CHECK(TYPED(dc_loss)(&softmax, rows, cols, x, t, NULL, NULL, 1, &loss, d) == DC_OK);
        break;
    }
    return loss;
}

static void test_threads(void) {
    static const size_t shapes[][2] = {{100000, 3}, {40000, 10}, {1000, 300}, {2, 200000}};
    use_isa(0);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const size_t rows = shapes[i][0], cols = shapes[i][1], n = rows * cols;
        real *x = array_make(n), *t = array_make(n), *one = array_make(n), *more = array_make(n);
        fill(n, -5, 5, x);
        fill(n, 0, 2 / (double)cols, t);
        for (int which = 0; which < 4; which++) {
            dc_set_num_threads(1);
            const double loss = call(which, rows, cols, x, t, one);
            for (int threads = 2; threads <= 3; threads++) {
                dc_set_num_threads(threads);
                CHECK(call(which, rows, cols, x, t, more) == loss);
                CHECK(same_bits(n, one, more) && guards_hold(more, n));
            }
        }
        array_free(x);
        array_free(t);
        array_free(one);
        array_free(more);
    }
}

int main(void) {
    test_sum();
    test_softmax();
    test_softmax_special();
    for (size_t i = 0; i < COUNT(sizes); i++) check_squared_error(sizes[i]);
    check_squared_error(20000);
    test_cross_entropy();
    test_losses_of_rows();
    test_masked_classes();
    test_threads();
    return check_result();
}
