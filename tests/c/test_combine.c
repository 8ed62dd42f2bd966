/* Two arrays combined, sums of rows, products over an axis: against plain loops, on every
 * instruction set. */
#include "arrays.h"

static real reference(int function, real a, real b) {
    switch (function) {
    case DC_ADD: return a + b;
    case DC_SUBTRACT: return a - b;
    case DC_MULTIPLY: return a * b;
    case DC_DIVIDE: return a / b;
    case DC_GATE: return (real)(a > 0) * b;
    default: return a == 0 ? 0 : a / b;
    }
}

static int same(real x, real y) { return x == y || (isnan(x) && isnan(y)); }

/* Every way in which a and b may lie, in an array that ends where it is said to. */
static void test_combine(void) {
    static const size_t shapes[][2] = {{1, 1}, {1, 7}, {3, 5}, {4, 16}, {2, 33}, {9, 1}, {5, 70}};
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int turn = 0; turn < 16 * (DC_QUOTIENT + 1); turn++) {
            const size_t rows = shapes[s][0], cols = shapes[s][1];
            const int function = turn / 16;
            const size_t a_col = turn & 1, a_row = turn >> 1 & 1 ? (a_col ? cols : 1) : 0;
            const size_t b_col = turn >> 2 & 1, b_row = turn >> 3 & 1 ? (b_col ? cols : 1) : 0;
            real *a = array_make((rows - 1) * a_row + (cols - 1) * a_col + 1);
            real *b = array_make((rows - 1) * b_row + (cols - 1) * b_col + 1);
            real *y = array_make(rows * cols);
            fill((rows - 1) * a_row + (cols - 1) * a_col + 1, -1, 2, a);
            fill((rows - 1) * b_row + (cols - 1) * b_col + 1, -1, 2, b);
            a[0] = 0, b[0] = turn % 3 ? 0 : (real)INFINITY;
            for (size_t isa = 0; use_isa(isa); isa++) {
                CHECK(TYPED(dc_combine)(function, rows, cols, a, a_row, a_col, b, b_row, b_col,
                                        y) == DC_OK);
                for (size_t i = 0; i < rows; i++)
                    for (size_t j = 0; j < cols; j++)
                        CHECK(same(y[i * cols + j], reference(function, a[i * a_row + j * a_col],
                                                              b[i * b_row + j * b_col])));
            }
            array_free(a), array_free(b), array_free(y);
        }
}

static void test_in_place(void) {
    enum { N = 45 };
    real *a = array_make(N), *b = array_make(N), *y = array_make(N);
    fill(N, -1, 2, a), fill(N, 1, 2, b);
    TYPED(dc_combine)(DC_SUBTRACT, 1, N, a, N, 1, b, N, 1, y);
    TYPED(dc_combine)(DC_SUBTRACT, 1, N, a, N, 1, b, N, 1, b);
    for (size_t i = 0; i < N; i++) CHECK(b[i] == y[i]);
    array_free(a), array_free(b), array_free(y);
}

static void test_column_sum(void) {
    static const size_t all_rows[] = {0, 1, 3, 256, 300}, all_cols[] = {1, 5, 16, 70};
    for (size_t r = 0; r < COUNT(all_rows); r++)
        for (size_t c = 0; c < COUNT(all_cols); c++)
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                const size_t rows = all_rows[r], cols = all_cols[c];
                real *x = array_make(rows * cols), *y = array_make(cols);
                fill(rows * cols, -1, 2, x);
                for (size_t isa = 0; use_isa(isa); isa++) {
                    for (size_t j = 0; j < cols; j++) y[j] = (real)j;
                    CHECK(TYPED(dc_column_sum)(rows, cols, x, accumulate, y) == DC_OK);
                    for (size_t j = 0; j < cols; j++) {
                        double sum = accumulate ? (double)j : 0;
                        for (size_t i = 0; i < rows; i++) sum += (double)x[i * cols + j];
                        CHECK(fabs((double)y[j] - sum) <= ldexp(2.0 * (double)(rows + j + 1),
                                                                DEEPC_REAL_BITS == 32 ? -20 : -49));
                    }
                }
                array_free(x), array_free(y);
            }
}

/* Products and slopes against double, or long double, with no zero, one and two in each column. */
static void product_case(size_t before, size_t count, size_t after, int zeros) {
    const size_t n = before * count * after, columns = before * after;
    real *x = array_make(n), *y = array_make(columns), *g = array_make(columns);
    real *d = array_make(n);
    fill(n, 0.5, 2, x), fill(columns, -1, 2, g);
    for (size_t i = 0; i < before; i++)
        for (size_t z = 0; z < (size_t)zeros && z < count; z++)
            for (size_t j = 0; j < after; j++)
                x[(i * count + (z * 7 + j + i) % count) * after + j] = 0;
    const long double tolerance = ldexpl((long double)count + 2, DEEPC_REAL_BITS == 32 ? -23 : -52);
    for (size_t isa = 0; use_isa(isa); isa++) {
        CHECK(TYPED(dc_prod)(before, count, after, x, y) == DC_OK);
        CHECK(TYPED(dc_prod_backward)(before, count, after, x, g, d) == DC_OK);
        for (size_t c = 0; c < columns; c++)
            for (size_t at = 0; at <= count; at++) {
                const real *const column = x + c / after * count * after + c % after;
                long double right = 1;
                for (size_t k = 0; k < count; k++)
                    if (k != at) right *= (long double)column[k * after];
                const long double got =
                    at == count ? (long double)y[c] : (long double)d[&column[at * after] - x];
                if (at < count) right *= (long double)g[c];
                CHECK(fabsl(got - right) <= tolerance * fabsl(right));
            }
    }
    array_free(x), array_free(y), array_free(g), array_free(d);
}

static void test_products(void) {
    static const size_t counts[] = {0, 1, 2, 3, 15, 16, 17, 31, 32, 45};
    static const size_t afters[] = {1, 2, 5, 16, 33};
    for (size_t i = 0; i < COUNT(counts); i++)
        for (size_t j = 0; j < COUNT(afters); j++)
            for (int zeros = 0; zeros < 3; zeros++)
                for (size_t before = 1; before < 4; before += 2)
                    product_case(before, counts[i], afters[j], zeros);
}

static void test_bad_input(void) {
    real x[4] = {0};
    CHECK(TYPED(dc_combine)(DC_QUOTIENT + 1, 1, 1, x, 1, 1, x, 1, 1, x) == DC_BAD_NAME);
    CHECK(TYPED(dc_combine)(-1, 1, 1, x, 1, 1, x, 1, 1, x) == DC_BAD_NAME);
    CHECK(TYPED(dc_combine)(DC_ADD, 1, 2, x, 4, 2, x, 2, 1, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_combine)(DC_ADD, 1, 2, x, 2, 1, x, 4, 2, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_combine)(DC_ADD, SIZE_MAX, SIZE_MAX, x, 0, 0, x, 0, 0, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_combine)(DC_ADD, 1, 1, NULL, 1, 1, x, 1, 1, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_combine)(DC_ADD, 1, 1, x, 1, 1, NULL, 1, 1, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_combine)(DC_ADD, 1, 1, x, 1, 1, x, 1, 1, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_combine)(DC_ADD, 0, 1, NULL, 1, 1, NULL, 1, 1, NULL) == DC_OK);
    CHECK(TYPED(dc_column_sum)(1, 1, NULL, 0, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_column_sum)(1, 1, x, 0, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_column_sum)(SIZE_MAX, SIZE_MAX, x, 0, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_column_sum)(3, 0, NULL, 0, NULL) == DC_OK);
    CHECK(TYPED(dc_prod)(1, 1, 1, NULL, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_prod)(1, 1, 1, x, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_prod)(2, SIZE_MAX / 8, 2, x, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_prod)(SIZE_MAX / 8, 0, SIZE_MAX / 8, NULL, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_prod)(0, 3, 1, NULL, NULL) == DC_OK);
    CHECK(TYPED(dc_prod_backward)(1, 1, 1, NULL, x, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_prod_backward)(1, 1, 1, x, NULL, x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_prod_backward)(1, 1, 1, x, x, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_prod_backward)(SIZE_MAX / 8, 1, SIZE_MAX / 8, x, x, x) == DC_BAD_SIZE);
    CHECK(TYPED(dc_prod_backward)(3, 0, 3, NULL, NULL, NULL) == DC_OK);
}

int main(void) {
    test_combine();
    test_in_place();
    test_column_sum();
    test_products();
    test_bad_input();
    return check_result();
}
