/* The list of losses: value and gradient of each against its formula in long double and the
 * differences of that, on every instruction set; weights, labels, smoothing, reductions, single
 * rows, threads, special values, unaligned arrays, bad arguments. */
#include "arrays.h"
#include "loss_references.h"
#include "typed/tables.h"

static const size_t shapes[][2] = {{1, 1},   {1, 2},    {3, 1},   {40, 1}, {5, 3},
                                   {37, 2},  {7, 10},   {2, 16},  {9, 17}, {300, 4},
                                   {1, 100}, {2, 5000}, {4100, 1}};

/* Predictions, targets, labels and weights of one case. */
typedef struct batch {
    size_t rows, cols, n;
    real *p, *t, *one_hot, *weights, *d;
    int64_t *labels;
} batch;

static batch batch_make(int kind, size_t rows, size_t cols) {
    const loss_reference *r = &loss_references[kind];
    const size_t n = rows * cols;
    batch b = {rows, cols, n, .labels = malloc((rows + 1) * sizeof(int64_t))};
    real **arrays[] = {&b.p, &b.t, &b.one_hot, &b.d};
    for (size_t i = 0; i < COUNT(arrays); i++) *arrays[i] = array_make(n);
    b.weights = array_make(rows);
    if (!b.labels) abort();
    fill(n, r->p_low, r->p_high, b.p);
    fill(n, r->t_low, r->t_high, b.t);
    fill(rows, 0.25, 4, b.weights);
    for (size_t i = 0; i < rows; i++) {
        b.labels[i] = (int64_t)uniform(0, (double)cols);
        for (size_t j = 0; j < cols; j++)
            b.one_hot[i * cols + j] = (real)(j == (size_t)b.labels[i]);
    }
    return b;
}

static void batch_free(batch *b) {
    array_free(b->p);
    array_free(b->t);
    array_free(b->one_hot);
    array_free(b->d);
    array_free(b->weights);
    free(b->labels);
}

static dc_loss_rule rule_of(int kind) {
    return (dc_loss_rule){.kind = kind, .parameter = dc_loss_default(kind)};
}

/* dc_loss over all of a batch with targets. */
static double loss_of(const dc_loss_rule *rule, const batch *b, const real *weights, real *d) {
    double loss = -77;
    CHECK(TYPED(dc_loss)(rule, b->rows, b->cols, b->p, b->t, NULL, weights, 1, &loss, d) == DC_OK);
    return loss;
}

/* ---- Values and gradients -------------------------------------------------------------------- */

/* The loss of a row in long double. */
static long double row_value(const dc_loss_rule *rule, size_t n, const long double *p,
                             const long double *t) {
    const loss_reference *r = &loss_references[rule->kind];
    if (r->row) return r->row(n, p, t, rule->parameter);
    long double sum = 0;
    for (size_t j = 0; j < n; j++) sum += r->element(p[j], t[j], rule->parameter);
    return sum;
}

/* How wrong a reference in long double may be by itself: some C libraries compute exp of one in
 * double, and with some ABIs it is double. */
static long double reference_epsilon(void) {
    const volatile long double one = 1;
    return fmaxl(LDBL_EPSILON, fabsl(expl(one) - 2.71828182845904523536028747135266249776L));
}

static const long double h = 1e-6L;

/* The same with element j moved by h, less that with it moved by -h, by 2 h. */
static long double row_difference(const dc_loss_rule *rule, size_t n, long double *p,
                                  const long double *t, size_t j) {
    const loss_reference *r = &loss_references[rule->kind];
    const long double at = p[j];
    if (r->element)
        return (r->element(at + h, t[j], rule->parameter) -
                r->element(at - h, t[j], rule->parameter)) /
               (2 * h);
    p[j] = at + h;
    const long double above = row_value(rule, n, p, t);
    p[j] = at - h;
    const long double below = row_value(rule, n, p, t);
    p[j] = at;
    return (above - below) / (2 * h);
}

/* The parameter of the tests: the usual one, or more, which is to show. */
static void check_against_reference(const dc_loss_rule *rule, size_t rows, size_t cols) {
    batch b = batch_make(rule->kind, rows, cols);
    long double *p = malloc(b.n * sizeof *p), *t = malloc(b.n * sizeof *t);
    long double *slope = malloc(b.n * sizeof *slope), exact = 0, size = 0, largest = 0;
    if (!p || !t || !slope) abort();
    for (size_t i = 0; i < b.n; i++) p[i] = b.p[i], t[i] = b.t[i];
    for (size_t i = 0; i < b.n; i += cols) {
        const long double value = row_value(rule, cols, p + i, t + i);
        exact += value;
        size += fabsl(value);
        largest = fmaxl(largest, fabsl(value));
        /* The differences of a long row take its square in time. */
        for (size_t j = 0; j < cols && (j < 40 || loss_references[rule->kind].element); j++)
            slope[i + j] = row_difference(rule, cols, p + i, t + i, j);
    }
    const long double unit = DEEPC_REAL_BITS == 32 ? 0x1p-24L : 0x1p-53L;
    for (size_t isa = 0; use_isa(isa); isa++) {
        const double loss = loss_of(rule, &b, NULL, b.d);
        CHECK(guards_hold(b.d, b.n));
        CHECK(fabsl(loss - exact) <=
              unit * ((40 + (long double)cols) * (size + 1) + 2 * (long double)rows));
        double worst = 0;
        for (size_t i = 0; i < b.n; i++) {
            if (loss_references[rule->kind].row && i % cols >= 40) continue;
            const long double error = fabsl(b.d[i] - slope[i]) / (1 + fabsl(slope[i]));
            worst = fmax(worst, (double)error);
        }
        const double noise = (double)(reference_epsilon() * largest / h);
        CHECK(worst <= (DEEPC_REAL_BITS == 32 ? 2e-5 : 1e-7) + noise);
    }
    free(p);
    free(t);
    free(slope);
    batch_free(&b);
}

static void test_values(int kind) {
    CHECK((loss_references[kind].element != NULL) + (loss_references[kind].row != NULL) == 1);
    CHECK((loss_references[kind].row != NULL) == dc_loss_is_rowwise(kind));
    for (size_t i = 0; i < COUNT(shapes); i++) {
        dc_loss_rule rule = rule_of(kind);
        check_against_reference(&rule, shapes[i][0], shapes[i][1]);
        rule.parameter += 0.125;
        if (*dc_loss_parameter(kind)) check_against_reference(&rule, shapes[i][0], shapes[i][1]);
    }
}

/* ---- Weights, labels, smoothing, reductions -------------------------------------------------- */

static void check_weights(int kind, batch *b) {
    const dc_loss_rule rule = rule_of(kind);
    real *one = array_make(b->n), *ones = array_make(b->rows), *each = array_make(b->rows);
    for (size_t i = 0; i < b->rows; i++) ones[i] = 1;
    const double plain = loss_of(&rule, b, NULL, b->d);
    CHECK(loss_of(&rule, b, ones, one) == plain);
    CHECK(same_bits(b->n, one, b->d));
    /* Each row's loss and gradient are multiplied by its weight. */
    const double weighted = loss_of(&rule, b, b->weights, one);
    double sum = 0, size = 1;
    CHECK(TYPED(dc_loss_rows)(&rule, b->rows, b->cols, b->p, b->t, NULL, NULL, each) == DC_OK);
    CHECK(guards_hold(each, b->rows));
    double worst = 0;
    for (size_t i = 0; i < b->n; i++) {
        const double want = (double)b->weights[i / b->cols] * (double)b->d[i];
        worst = fmax(worst, fabs((double)one[i] - want) / (1e-30 + fabs(want)));
    }
    const double unit = DEEPC_REAL_BITS == 32 ? 0x1p-23 : 0x1p-52;
    CHECK(worst <= 2 * unit);
    for (size_t i = 0; i < b->rows; i++) {
        sum += (double)b->weights[i] * (double)each[i];
        size += fabs((double)b->weights[i] * (double)each[i]);
    }
    CHECK(fabs(weighted - sum) <= size * unit * (20 + (double)b->cols / 4 + (double)b->rows / 16));
    array_free(one);
    array_free(ones);
    array_free(each);
}

/* A row of weight 0 adds nothing, whatever stands in it. */
static void check_left_out(int kind, batch *b) {
    const dc_loss_rule rule = rule_of(kind);
    const size_t out = b->rows / 2, cols = b->cols;
    real *d = array_make(b->n);
    double without = 0, part;
    for (size_t i = 0; i < b->rows; i++) {
        if (i == out) continue;
        part = 0;
        CHECK(TYPED(dc_loss)(&rule, 1, cols, b->p + i * cols, b->t + i * cols, NULL, b->weights + i,
                             1, &part, d + i * cols) == DC_OK);
        without += part;
    }
    const real weight = b->weights[out];
    b->weights[out] = 0;
    for (size_t j = 0; j < cols; j++) {
        b->p[out * cols + j] = j % 2 ? INFINITY : (real)NAN;
        b->t[out * cols + j] = (real)NAN;
        d[out * cols + j] = 0;
    }
    const double loss = loss_of(&rule, b, b->weights, b->d);
    CHECK(fabs(loss - without) <=
          (1 + fabs(without)) * (double)b->rows * (DEEPC_REAL_BITS == 32 ? 1e-6 : 1e-14));
    int equal = 1;
    for (size_t i = 0; i < b->n; i++) equal &= b->d[i] == d[i];
    CHECK(equal);
    if (dc_loss_takes_labels(kind)) {
        const int64_t label = b->labels[out];
        b->labels[out] = -100;
        double labelled = NAN;
        CHECK(TYPED(dc_loss)(&rule, b->rows, cols, b->p, NULL, b->labels, b->weights, 1, &labelled,
                             b->d) == DC_OK);
        CHECK(isfinite(labelled));
        for (size_t j = 0; j < cols; j++) CHECK(b->d[out * cols + j] == 0);
        b->labels[out] = label;
    }
    fill(cols, loss_references[kind].p_low, loss_references[kind].p_high, b->p + out * cols);
    fill(cols, loss_references[kind].t_low, loss_references[kind].t_high, b->t + out * cols);
    b->weights[out] = weight;
    array_free(d);
}

/* Labels have the bits of one-hot rows, smoothed or not, weighted or not. */
static void check_labels(int kind, batch *b) {
    real *d = array_make(b->n);
    for (int form = 0; form < 4; form++) {
        dc_loss_rule rule = rule_of(kind);
        rule.smoothing = form % 2 ? 0.1 : 0;
        const real *weights = form / 2 ? b->weights : NULL;
        double by_label = -1, by_target = -2;
        CHECK(TYPED(dc_loss)(&rule, b->rows, b->cols, b->p, NULL, b->labels, weights, 1, &by_label,
                             d) == DC_OK);
        CHECK(TYPED(dc_loss)(&rule, b->rows, b->cols, b->p, b->one_hot, NULL, weights, 1,
                             &by_target, b->d) == DC_OK);
        CHECK(by_label == by_target && guards_hold(d, b->n));
        CHECK(!isa_is_exact() || same_bits(b->n, d, b->d));
    }
    array_free(d);
}

/* Smoothing is that of the targets beforehand. */
static void check_smoothing(int kind, batch *b) {
    const double s = 0.2, parts = dc_loss_takes_labels(kind) ? (double)b->cols : 2;
    dc_loss_rule rule = rule_of(kind);
    real *d = array_make(b->n), *given = b->t;
    rule.smoothing = s;
    const double smoothed = loss_of(&rule, b, b->weights, d);
    b->t = array_make(b->n);
    for (size_t i = 0; i < b->n; i++) b->t[i] = (real)((double)given[i] * (1 - s) + s / parts);
    rule.smoothing = 0;
    /* The row's targets add up to something else, so that softmax weighs the row by that. */
    double sums = 0;
    const double want = loss_of(&rule, b, b->weights, b->d);
    const double unit = DEEPC_REAL_BITS == 32 ? 2e-5 : 1e-13;
    for (size_t i = 0; i < b->n; i++)
        sums = fmax(sums, fabs((double)d[i] - (double)b->d[i]) / (1 + fabs((double)b->d[i])));
    CHECK(fabs(smoothed - want) <= unit * (1 + fabs(want)));
    CHECK(sums <= unit);
    array_free(b->t);
    b->t = given;
    array_free(d);
}

static void check_reductions(int kind, batch *b) {
    dc_loss_rule rule = rule_of(kind);
    real *d = array_make(b->n), *each = array_make(b->rows), *means = array_make(b->rows);
    for (int weighted = 0; weighted < 2; weighted++) {
        const real *weights = weighted ? b->weights : NULL;
        rule.reduction = DC_SUM;
        const double sum = loss_of(&rule, b, weights, NULL);
        const double all = weights ? TYPED(dc_sum)(b->rows, weights) : (double)b->rows;
        const double rows = (double)b->rows;
        const double factors[] = {1, 1 / rows, 1 / (rows * (double)b->cols), 1 / all};
        for (int reduction = DC_SUM; reduction <= DC_MEAN_BY_WEIGHT; reduction++) {
            rule.reduction = reduction;
            CHECK(loss_of(&rule, b, weights, b->d) == sum * factors[reduction]);
            CHECK(TYPED(dc_loss_value)(&rule, b->rows, b->cols, b->p, b->t, NULL, weights) ==
                  sum * factors[reduction]);
            /* The scale of a call is one more factor of the gradient. */
            rule.reduction = DC_SUM;
            CHECK(TYPED(dc_loss)(&rule, b->rows, b->cols, b->p, b->t, NULL, weights,
                                 factors[reduction], NULL, d) == DC_OK);
            CHECK(same_bits(b->n, d, b->d));
        }
        rule.reduction = DC_SUM;
        CHECK(!TYPED(dc_loss_rows)(&rule, b->rows, b->cols, b->p, b->t, NULL, weights, each));
        rule.reduction = DC_MEAN_OF_ELEMENTS;
        CHECK(!TYPED(dc_loss_rows)(&rule, b->rows, b->cols, b->p, b->t, NULL, weights, means));
        int equal = 1;
        double total = 0;
        for (size_t i = 0; i < b->rows; i++) {
            equal &= means[i] == each[i] * (real)(1.0 / (double)b->cols);
            total += (double)each[i];
        }
        CHECK(equal);
        CHECK(fabs(total - sum) <=
              (1 + fabs(sum)) * (DEEPC_REAL_BITS == 32 ? 2e-6 : 1e-14) * (1 + (double)b->rows / 4));
    }
    array_free(d);
    array_free(each);
    array_free(means);
}

static void test_forms(int kind) {
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t i = 0; i < COUNT(shapes); i++) {
            batch b = batch_make(kind, shapes[i][0], shapes[i][1]);
            check_weights(kind, &b);
            check_left_out(kind, &b);
            check_reductions(kind, &b);
            if (dc_loss_takes_labels(kind)) check_labels(kind, &b);
            if (dc_loss_takes_smoothing(kind)) check_smoothing(kind, &b);
            batch_free(&b);
        }
}

/* ---- Special values -------------------------------------------------------------------------- */

/* NaN anywhere in the predictions is NaN in the loss and in that row's gradient, and nowhere
 * else. */
static void test_nan(int kind) {
    static const size_t widths[] = {1, 3, 16, 40};
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t w = 0; w < COUNT(widths); w++) {
            const dc_loss_rule rule = rule_of(kind);
            const size_t cols = widths[w], last = 3 * cols - 1;
            batch b = batch_make(kind, 3, cols);
            b.p[last] = (real)NAN;
            b.t[last] = 1;
            CHECK(isnan(loss_of(&rule, &b, NULL, b.d)));
            CHECK(isnan(b.d[last]) || kind == DC_NEGATIVE_LOG_LIKELIHOOD);
            int others = 0;
            for (size_t i = 0; i < 2 * cols; i++) others += isnan(b.d[i]) != 0;
            CHECK(others == 0);
            batch_free(&b);
        }
}

/* Single elements: what they give, where formulas written down as they are would give NaN. */
static void test_extremes(void) {
    static const struct {
        int kind;
        double p, t, value, slope;
    } cases[] = {
        {DC_BINARY_CROSS_ENTROPY_LOGITS, -HUGE_VAL, 0, 0, 0},
        {DC_BINARY_CROSS_ENTROPY_LOGITS, HUGE_VAL, 1, 0, 0},
        {DC_BINARY_CROSS_ENTROPY_LOGITS, HUGE_VAL, 0, HUGE_VAL, 1},
        {DC_BINARY_CROSS_ENTROPY_LOGITS, 1e30, 0, 1e30, 1},
        {DC_BINARY_CROSS_ENTROPY_LOGITS, -1e30, 1, 1e30, -1},
        {DC_BINARY_CROSS_ENTROPY_CLAMPED, 0, 1, 100, -1e12},
        {DC_BINARY_CROSS_ENTROPY_CLAMPED, 1, 0, 100, 1e12},
        {DC_BINARY_CROSS_ENTROPY_CLAMPED, 0, 0, 0, 0},
        {DC_BINARY_CROSS_ENTROPY_CLAMPED, 1, 1, 0, 0},
        {DC_LOG_COSH, 1e30, 0, 1e30, 1},
        {DC_LOG_COSH, -HUGE_VAL, 0, HUGE_VAL, -1},
        {DC_LOG_COSH, 1e-10, 0, 5e-21, 1e-10},
        {DC_HUBER, 1e30, 0, 1e30, 1},
        {DC_HUBER, -HUGE_VAL, 0, HUGE_VAL, -1},
        {DC_SMOOTH_L1, -1e30, 0, 1e30, -1},
        {DC_ABSOLUTE_ERROR, 2, 2, 0, 0},
        {DC_ABSOLUTE_PERCENTAGE_ERROR, 1, 0, 1e9, 1e9},
        {DC_SQUARED_LOGARITHMIC_ERROR, -3, 0, 0, 0},
        {DC_KL_DIVERGENCE, 2, 1, 0, 0},
        {DC_POISSON, 0, 0, 0, 1},
        {DC_HINGE, 5, 1, 0, 0},
        {DC_HINGE, 5, 0, 6, 1}, /* 0 is the other class, -1 */
        {DC_SQUARED_HINGE, 5, 0, 36, 12},
        {DC_NEGATIVE_LOG_LIKELIHOOD, -HUGE_VAL, 0, 0, 0},
        {DC_SOFTMAX_CROSS_ENTROPY, 1e30, 1, 0, 0},
    };
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            const dc_loss_rule rule = rule_of(cases[i].kind);
            const real p = (real)cases[i].p, t = (real)cases[i].t;
            double loss = -77;
            real d = -77;
            CHECK(TYPED(dc_loss)(&rule, 1, 1, &p, &t, NULL, NULL, 1, &loss, &d) == DC_OK);
            const double u = DEEPC_REAL_BITS == 32 ? 2e-6 : 2e-14;
            CHECK(loss == cases[i].value ||
                  fabs(loss - cases[i].value) <= u * fabs(cases[i].value));
            CHECK(fabs((double)d - cases[i].slope) <= u * fabs(cases[i].slope));
        }
}

/* Outside epsilon .. 1 - epsilon the loss is that of the bound, and flat. */
static void test_bounds_of_probabilities(void) {
    for (size_t isa = 0; use_isa(isa); isa++) {
        const dc_loss_rule binary = rule_of(DC_BINARY_CROSS_ENTROPY);
        const dc_loss_rule many = rule_of(DC_CATEGORICAL_CROSS_ENTROPY);
        const real p[3] = {0, 0.5, 0.5}, yes = 1, none = 0;
        const int64_t label = 0;
        double loss;
        real d[3];
        CHECK(!TYPED(dc_loss)(&binary, 1, 1, &none, &yes, NULL, NULL, 1, &loss, d));
        CHECK(fabs(loss - 16.11809565095832) < 1e-5 && d[0] == 0);
        CHECK(!TYPED(dc_loss)(&many, 1, 3, p, NULL, &label, NULL, 1, &loss, d));
        CHECK(fabs(loss - 16.11809565095832) < 1e-5 && d[0] == 0 && d[1] == 0 && d[2] == 0);
    }
}

/* The largest is shared by those that tie. */
static void test_ties(void) {
    const dc_loss_rule rule = rule_of(DC_CATEGORICAL_HINGE);
    const real p[5] = {1, 2, 2, -1, 2};
    const int64_t label = 0;
    for (size_t isa = 0; use_isa(isa); isa++) {
        double loss;
        real d[5];
        CHECK(!TYPED(dc_loss)(&rule, 1, 5, p, NULL, &label, NULL, 1, &loss, d));
        CHECK(loss == 2 && d[0] == -1 && d[3] == 0);
        CHECK(d[1] == (real)1 / 3 && d[2] == d[1] && d[4] == d[1]);
    }
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Arrays may stand at any address. */
static void test_unaligned(int kind) {
    enum { ROWS = 5, COLS = 7, N = ROWS * COLS };
    static char memory[5][N * sizeof(double) + 16];
    const dc_loss_rule rule = rule_of(kind);
    batch b = batch_make(kind, ROWS, COLS);
    const int labelled = dc_loss_takes_labels(kind);
    for (size_t isa = 0; use_isa(isa); isa++) {
        double want = -1, got = -2;
        CHECK(!TYPED(dc_loss)(&rule, ROWS, COLS, b.p, labelled ? NULL : b.t,
                              labelled ? b.labels : NULL, b.weights, 1, &want, b.d));
        real *p = (real *)(memory[0] + 1), *t = (real *)(memory[1] + 3);
        real *w = (real *)(memory[2] + 5), *d = (real *)(memory[3] + 7);
        char *labels = memory[4] + 1;
        memcpy(p, b.p, N * sizeof *p);
        memcpy(t, b.t, N * sizeof *t);
        memcpy(w, b.weights, ROWS * sizeof *w);
        memcpy(labels, b.labels, ROWS * sizeof(int64_t));
        CHECK(!TYPED(dc_loss)(&rule, ROWS, COLS, p, labelled ? NULL : t,
                              labelled ? (const int64_t *)(const void *)labels : NULL, w, 1, &got,
                              d));
        CHECK(got == want && same_bits(N, d, b.d));
    }
    batch_free(&b);
}

/* A label that another thread changes after the check is taken for the last class, or in short rows
 * for none: nothing outside the row is read or written. The check is left out here. */
static void test_labels_beyond_the_row(int kind) {
    static const int64_t wrong[] = {-1, 1 << 20, INT64_MAX, INT64_MIN};
    static const size_t widths[] = {1, 3, 20, 70, 5000};
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t w = 0; w < COUNT(widths); w++)
            for (size_t i = 0; i < COUNT(wrong); i++)
                for (int smooth = 0; smooth < 2; smooth++) {
                    const size_t cols = widths[w], rows = 18;
                    batch b = batch_make(kind, rows, cols);
                    loss_work work = {.kind = kind,
                                      .parameter = (real)dc_loss_default(kind),
                                      .smoothing = (real)(smooth ? 0.1 : 0),
                                      .rows = rows,
                                      .cols = cols,
                                      .predicted = b.p,
                                      .labels = b.labels,
                                      .scale = 1,
                                      .d = b.d};
                    b.labels[1] = (int64_t)cols - 1;
                    const double want = TYPED(dc_kernels)()->rowwise_loss(&work, 0, rows);
                    b.labels[1] = wrong[i];
                    const double got = TYPED(dc_kernels)()->rowwise_loss(&work, 0, rows);
                    CHECK(got == want || (cols <= 16 && isfinite(got)));
                    CHECK(guards_hold(b.d, b.n));
                    batch_free(&b);
                }
}

/* ---- Threads, arguments ---------------------------------------------------------------------- */

static void test_threads(int kind) {
    static const size_t large[][2] = {{150000, 1}, {40000, 10}, {2, 80000}};
    use_isa(0);
    for (size_t i = 0; i < COUNT(large); i++) {
        dc_loss_rule rule = rule_of(kind);
        rule.reduction = DC_MEAN_BY_WEIGHT;
        batch b = batch_make(kind, large[i][0], large[i][1]);
        real *d = array_make(b.n), *each = array_make(b.rows), *same = array_make(b.rows);
        dc_set_num_threads(1);
        const double loss = loss_of(&rule, &b, b.weights, b.d);
        CHECK(!TYPED(dc_loss_rows)(&rule, b.rows, b.cols, b.p, b.t, NULL, b.weights, each));
        for (int threads = 2; threads <= 3; threads++) {
            dc_set_num_threads(threads);
            CHECK(loss_of(&rule, &b, b.weights, d) == loss);
            CHECK(same_bits(b.n, d, b.d) && guards_hold(d, b.n));
            CHECK(!TYPED(dc_loss_rows)(&rule, b.rows, b.cols, b.p, b.t, NULL, b.weights, same));
            CHECK(same_bits(b.rows, each, same) && guards_hold(same, b.rows));
        }
        array_free(d);
        array_free(each);
        array_free(same);
        batch_free(&b);
    }
    dc_set_num_threads(1);
}

static void test_facts(void) {
    CHECK(dc_loss_name(-1) == NULL && dc_loss_name(DC_LOSS_COUNT) == NULL);
    CHECK(dc_loss_parameter(DC_LOSS_COUNT) == NULL && dc_loss_default(DC_LOSS_COUNT) == 0);
    CHECK(!dc_loss_takes_labels(-1) && !dc_loss_takes_smoothing(-1) && !dc_loss_is_rowwise(-1));
    for (int a = 0; a < DC_LOSS_COUNT; a++) {
        const dc_loss_rule rule = rule_of(a);
        CHECK(dc_loss_check(&rule) == DC_OK);
        CHECK(!dc_loss_takes_labels(a) || (dc_loss_is_rowwise(a) && dc_loss_takes_smoothing(a)));
        for (int b = 0; b < a; b++) CHECK(strcmp(dc_loss_name(a), dc_loss_name(b)) != 0);
    }
}

static void test_arguments(void) {
    static const struct {
        dc_loss_rule rule;
        int status;
    } rules[] = {
        {{.kind = -1}, DC_BAD_NAME},
        {{.kind = DC_LOSS_COUNT}, DC_BAD_NAME},
        {{.kind = DC_SQUARED_ERROR, .reduction = -1}, DC_BAD_NAME},
        {{.kind = DC_SQUARED_ERROR, .reduction = 4}, DC_BAD_NAME},
        {{.kind = DC_SQUARED_ERROR, .parameter = NAN}, DC_OK},
        {{.kind = DC_SQUARED_ERROR, .smoothing = 0.1}, DC_BAD_VALUE},
        {{.kind = DC_HUBER, .parameter = 0}, DC_BAD_VALUE},
        {{.kind = DC_HUBER, .parameter = NAN}, DC_BAD_VALUE},
        {{.kind = DC_HUBER, .parameter = HUGE_VAL}, DC_BAD_VALUE},
        {{.kind = DC_SMOOTH_L1, .parameter = 0}, DC_OK},
        {{.kind = DC_SMOOTH_L1, .parameter = -1}, DC_BAD_VALUE},
        {{.kind = DC_SOFTMAX_CROSS_ENTROPY, .smoothing = 1}, DC_OK},
        {{.kind = DC_SOFTMAX_CROSS_ENTROPY, .smoothing = 1.5}, DC_BAD_VALUE},
        {{.kind = DC_SOFTMAX_CROSS_ENTROPY, .smoothing = -0.1}, DC_BAD_VALUE},
        {{.kind = DC_SOFTMAX_CROSS_ENTROPY, .smoothing = NAN}, DC_BAD_VALUE},
    };
    const real x[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < COUNT(rules); i++) {
        CHECK(dc_loss_check(&rules[i].rule) == rules[i].status);
        CHECK(TYPED(dc_loss)(&rules[i].rule, 2, 2, x, x, NULL, NULL, 1, NULL, NULL) ==
              rules[i].status);
    }
    CHECK(dc_loss_check(NULL) == DC_BAD_POINTER);

    const dc_loss_rule ce = rule_of(DC_SOFTMAX_CROSS_ENTROPY), se = rule_of(DC_SQUARED_ERROR);
    const int64_t good[2] = {0, 1}, below[2] = {0, -1}, above[2] = {0, 2};
    const size_t huge = SIZE_MAX / 2;
    double loss = 77;
    real d[4] = {5, 5, 5, 5};
    CHECK(TYPED(dc_loss)(NULL, 2, 2, x, x, NULL, NULL, 1, &loss, d) == DC_BAD_POINTER);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, NULL, x, NULL, NULL, 1, &loss, d) == DC_BAD_POINTER);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, x, NULL, NULL, NULL, 1, &loss, d) == DC_BAD_POINTER);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, x, x, good, NULL, 1, &loss, d) == DC_BAD_POINTER);
    CHECK(TYPED(dc_loss)(&se, 2, 2, x, NULL, good, NULL, 1, &loss, d) == DC_BAD_POINTER);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, x, NULL, below, NULL, 1, &loss, d) == DC_BAD_LABEL);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, x, NULL, above, NULL, 1, &loss, d) == DC_BAD_LABEL);
    CHECK(TYPED(dc_loss)(&ce, 2, 0, x, NULL, good, NULL, 1, &loss, d) == DC_BAD_LABEL);
    CHECK(TYPED(dc_loss)(&ce, huge, huge, x, x, NULL, NULL, 1, &loss, d) == DC_BAD_SIZE);
    CHECK(isnan(TYPED(dc_loss_value)(&ce, 2, 2, x, NULL, above, NULL)));
    CHECK(TYPED(dc_loss_rows)(&ce, 2, 2, x, NULL, above, NULL, d) == DC_BAD_LABEL);
    CHECK(TYPED(dc_loss_rows)(&ce, 2, 2, x, NULL, good, NULL, NULL) == DC_BAD_POINTER);
    CHECK(loss == 77 && d[0] == 5 && d[1] == 5 && d[2] == 5 && d[3] == 5);
    CHECK(TYPED(dc_loss)(&ce, 2, 2, x, NULL, good, NULL, 1, NULL, NULL) == DC_OK);
    /* No rows, no columns. */
    dc_loss_rule mean = se;
    mean.reduction = DC_MEAN_OF_ROWS;
    CHECK(!TYPED(dc_loss)(&ce, 0, 2, NULL, NULL, NULL, NULL, 1, &loss, NULL) && loss == 0);
    CHECK(!TYPED(dc_loss)(&mean, 0, 2, NULL, NULL, NULL, NULL, 1, &loss, NULL) && isnan(loss));
    CHECK(!TYPED(dc_loss_rows)(&se, 0, 2, NULL, NULL, NULL, NULL, NULL));
    CHECK(!TYPED(dc_loss_rows)(&se, 2, 0, NULL, NULL, NULL, NULL, d) && d[0] == 0 && d[1] == 0);
    CHECK(d[2] == 5);
}

int main(void) {
    for (int kind = 0; kind < DC_LOSS_COUNT; kind++) {
        test_values(kind);
        test_forms(kind);
        test_nan(kind);
        test_unaligned(kind);
        if (dc_loss_takes_labels(kind)) test_labels_beyond_the_row(kind);
        test_threads(kind);
    }
    test_extremes();
    test_bounds_of_probabilities();
    test_ties();
    test_facts();
    test_arguments();
    return check_result();
}
