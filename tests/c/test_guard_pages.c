/* Random calls of the public functions on arrays that end, or begin, at a page that nobody may
 * touch.
 *
 *     test_guard_pages [seconds [seed]]        1 second, seed 1
 *
 * Each call is made with every array at the end of its pages, at their beginning, on two threads,
 * and on another instruction set; what is only read stands in pages that cannot be written, and all
 * else holds other bytes each time. The results must have the same bits, and where numbers are
 * plain be those of the formulas. A fault names the case and the seed that repeats it. */
#if defined(_WIN32) || defined(__wasm__)
#include <stdio.h>
int main(void) { return puts("skipped: no pages to guard here"), 0; }
#else
#define _GNU_SOURCE
#include <signal.h>

/* The first one says which type is `real`. */
#include "arrays.h"

#include "any_layer.h"
#include "guard_formulas.h"
#include "guard_pages.h"
#include "losses.h"
#include "rule_cases.h"
#include "threads.h"

/* Whether results are compared with the formulas: the first time, which is enough. */
static int checking;

/* ---- The calls ------------------------------------------------------------------------------- */

/* An activation of plain numbers, and its slope. */
static void activation(void) {
    const int kind = (int)below(DC_ACTIVATION_COUNT);
    const size_t n = some_size(3000);
    const double parameter = dc_activation_default(kind);
    const real *x = input_of(n, signed_number), *d_y = input_of(n, signed_number);
    real *y = output(n), *d_x = output(n);
    CHECK(!TYPED(dc_activation_forward)(kind, parameter, n, x, y));
    const real *kept = dc_activation_needs_input(kind) ? x : y;
    CHECK(!TYPED(dc_activation_backward)(kind, parameter, n, kept, d_y, d_x));
    take(n, y), take(n, d_x);
    for (size_t i = 0; i < n && checking; i++) {
        const long double right = activation_value(kind, x[i], parameter);
        const long double slope = activation_slope(kind, kept[i], parameter) * d_y[i];
        if (is_near(y[i], right, fabsl(right)) && is_near(d_x[i], slope, 3)) continue;
        CHECK(!"an activation and its slope are those of the formulas");
        return;
    }
}

static void elementwise(void) {
    const size_t n = some_size(40000);
    const real *x = input(n), *x2 = input(n);
    real *y = output(n);
    const int kind = (int)below(DC_ACTIVATION_COUNT);
    const double parameter = dc_activation_default(kind);
    const size_t which = below(8);
    if (which == 6 || which == 7) memcpy(y, x, n * sizeof *y);
    take_status(which == 0   ? TYPED(dc_exp)(n, x, y)
                : which == 1 ? TYPED(dc_log)(n, x, y)
                : which == 2 ? TYPED(dc_scale)(uniform(-2, 2), n, x, y)
                : which == 3 ? TYPED(dc_activation_forward)(kind, parameter, n, x, y)
                : which == 4 ? TYPED(dc_activation_backward)(kind, parameter, n, x, x2, y)
                : which == 5 ? TYPED(dc_dropout)(3, 4, uniform(0, 1), n, x, y)
                : which == 6 ? TYPED(dc_add_scaled)(uniform(-2, 2), n, x2, uniform(-2, 2), y)
                             : TYPED(dc_activation_forward)(kind, parameter, n, y, y));
    take(n, y);
    take_double(TYPED(dc_sum)(n, x));
    take_double(TYPED(dc_sum_squares)(n, x));
    const TYPED(dc_penalty) penalty = {n, x, y, uniform(0, 1), uniform(0, 1)};
    double penalized = 0;
    take_status(TYPED(dc_penalize)(1, &penalty, which % 2, &penalized));
    take_double(penalized);
    take(n, y);
}

static void rowwise(void) {
    const size_t rows = some_size(300), cols = some_size(100), n = rows * cols;
    const real *x = input(n), *d_y = input(n);
    real *y = output(n);
    const size_t which = below(4);
    static int64_t places[300];
    if (cols > 0 && rows <= COUNT(places)) {
        uint8_t *equal = place(rows);
        take_status(TYPED(dc_argmax)(rows, cols, x, places));
        for (size_t i = 0; i < rows; i += 1 + i % 3) places[i] = (int64_t)below(cols + 2) - 1;
        take_status(TYPED(dc_argmax_equals)(rows, cols, x, places, equal));
        for (size_t i = 0; i < rows; i++) take_status(equal[i]);
    }
    take_status(which == 0   ? TYPED(dc_softmax)(rows, cols, x, y)
                : which == 1 ? TYPED(dc_log_softmax)(rows, cols, x, y)
                : which == 2 ? TYPED(dc_softmax_backward)(rows, cols, x, d_y, y)
                             : TYPED(dc_log_softmax_backward)(rows, cols, x, d_y, y));
    take(n, y);
}

/* The tape's arithmetic: two arrays, where one may be a row, a column or a number. */
static void combination(void) {
    const size_t rows = some_size(200), cols = some_size(70), n = rows * cols;
    const int function = (int)below(DC_QUOTIENT + 1);
    const real *operands[2];
    size_t row[2], col[2];
    for (int i = 0; i < 2; i++) {
        row[i] = one_in(3) ? 0 : one_in(3) ? 1 : cols;
        col[i] = row[i] == 1 ? 0 : !one_in(4);
        const size_t last = rows && cols ? (rows - 1) * row[i] + (cols - 1) * col[i] + 1 : 0;
        operands[i] = input_of(last, signed_number);
    }
    real *y = output(n), *sums = state(cols);
    take_status(TYPED(dc_combine)(function, rows, cols, operands[0], row[0], col[0], operands[1],
                                  row[1], col[1], y));
    take(n, y);
    const int accumulate = one_in(2);
    take_status(TYPED(dc_column_sum)(rows, cols, y, accumulate, sums));
    take(cols, sums);
    const size_t before = below(4), count = some_size(40), all = before * count * cols;
    const real *factors = input(all), *upstream = input(before * cols);
    real *product = output(before * cols), *slopes = output(all);
    take_status(TYPED(dc_prod)(before, count, cols, factors, product));
    take(before * cols, product);
    take_status(TYPED(dc_prod_backward)(before, count, cols, factors, upstream, slopes));
    take(all, slopes);
    for (size_t i = 0; i < n && checking; i++) {
        const long double a = operands[0][i / cols * row[0] + i % cols * col[0]];
        const long double b = operands[1][i / cols * row[1] + i % cols * col[1]];
        const long double right[] = {a + b, a - b, a * b, a / b, (a > 0) * b, a == 0 ? 0 : a / b};
        if (is_near(y[i], right[function], fabsl(right[function]))) continue;
        CHECK(!"a combination is that of the formulas");
        return;
    }
}

static void clipping(void) {
    enum { ARRAYS = 3 };
    size_t sizes_of[ARRAYS];
    real *arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        sizes_of[i] = some_size(5000);
        arrays[i] = state(sizes_of[i]);
    }
    double norm = 0;
    take_status(TYPED(dc_clip_arrays)((int)below(DC_CLIP_GLOBAL_NORM + 1), uniform(0.1, 2), 1e-7,
                                      ARRAYS, sizes_of, arrays, &norm));
    take_double(norm);
    for (int i = 0; i < ARRAYS; i++) take(sizes_of[i], arrays[i]);
}

static void product(void) {
    const size_t m = some_size(70), n = some_size(70), k = some_size(600);
    const int ta = one_in(2), tb = one_in(2), has_bias = one_in(2);
    const size_t a_rows = ta ? k : m, a_cols = ta ? m : k, b_rows = tb ? n : k;
    const size_t b_cols = tb ? k : n, more = one_in(3) ? below(5) : 0;
    const size_t lda = a_cols + more, ldb = b_cols + more, ldc = n + more;
    /* The last row ends where its elements do. */
    const real *a = input_of(a_rows && a_cols ? (a_rows - 1) * lda + a_cols : 0, plain_number);
    const real *b = input_of(b_rows && b_cols ? (b_rows - 1) * ldb + b_cols : 0, plain_number);
    const real *bias = has_bias ? input_of(n, plain_number) : NULL;
    const int accumulate = one_in(3);
    real *c = state(m && n ? (m - 1) * ldc + n : 0);
    const int activation = one_in(2) ? DC_IDENTITY : (int)below(DC_ACTIVATION_COUNT);
    take_status(TYPED(dc_matmul)(ta, tb, m, n, k, a, lda, b, ldb, accumulate, bias, activation,
                                 dc_activation_default(activation), c, ldc));
    for (size_t i = 0; i < m; i++) take(n, c + i * ldc);
    if (!accumulate && activation == DC_IDENTITY)
        check_product(ta, tb, m, n, k, a, lda, b, ldb, bias, c, ldc);
}

static dc_loss_rule some_rule(void) {
    dc_loss_rule rule = {.kind = (int)below(DC_LOSS_COUNT), .reduction = (int)below(4)};
    rule.parameter = dc_loss_default(rule.kind);
    if (dc_loss_takes_smoothing(rule.kind) && one_in(2)) rule.smoothing = 0.1;
    return rule;
}

/* A loss of numbers that it is made for. */
static void plain_loss(void) {
    const size_t rows = 1 + some_size(100), cols = 1 + some_size(LOSS_COLS - 1), n = rows * cols;
    const dc_loss_rule rule = {.kind = (int)below(DC_LOSS_COUNT),
                               .reduction = (int)below(4),
                               .parameter = 0.5};
    const loss_reference *r = &loss_references[rule.kind];
    number_low = r->p_low, number_high = r->p_high;
    const real *predicted = input_of(n, ranged_number);
    number_low = r->t_low, number_high = r->t_high;
    const real *targets = input_of(n, ranged_number);
    real *d = output(n), *losses = output(rows);
    double value = 0;
    take_status(TYPED(dc_loss)(&rule, rows, cols, predicted, targets, NULL, NULL, 1, &value, d));
    take_status(TYPED(dc_loss_rows)(&rule, rows, cols, predicted, targets, NULL, NULL, losses));
    take_double(value), take(n, d), take(rows, losses);
    if (checking) check_loss(&rule, rows, cols, predicted, targets, d, losses);
}

static void loss(void) {
    const size_t rows = 1 + some_size(300), cols = 1 + some_size(60), n = rows * cols;
    const dc_loss_rule rule = some_rule();
    const real *predicted = input(n), *targets = NULL, *weights = NULL;
    const int64_t *labels = NULL;
    if (dc_loss_takes_labels(rule.kind) && one_in(2))
        labels = whole_numbers(rows, cols + (size_t)one_in(10));
    else
        targets = input(n);
    if (one_in(2)) weights = input(rows);
    real *d = one_in(4) ? NULL : output(n), *losses = output(rows);
    double value = 0;
    const int status =
        TYPED(dc_loss)(&rule, rows, cols, predicted, targets, labels, weights, 0.5, &value, d);
    take_status(status);
    if (!status) take_double(value);
    if (!status && d) take(n, d);
    take_double(TYPED(dc_loss_value)(&rule, rows, cols, predicted, targets, labels, weights));
    if (!TYPED(dc_loss_rows)(&rule, rows, cols, predicted, targets, labels, weights, losses))
        take(rows, losses);
}

static void numbers(void) {
    const size_t n = some_size(20000);
    real *y = output(n);
    take_status(one_in(2) ? TYPED(dc_random_uniform)(5, 6, n, y)
                          : TYPED(dc_random_normal)(5, 6, n, 0.5, 2, y));
    take(n, y);
    int64_t *order = place(n * sizeof *order);
    take_status(dc_random_permutation(5, 6, n, order));
    for (size_t i = 0; i < n; i++) hash = (hash ^ (uint64_t)order[i]) * 1099511628211u;
}

enum { MOST_TENSORS = 4, FIELDS = 5 };

static void tensor_of(TYPED(dc_tensor) * t, size_t size, real *parameter, const real *gradient) {
    *t = (TYPED(dc_tensor)){.size = size,
                            .gradient = gradient,
                            .parameter = parameter,
                            .first = state(size),
                            .second = state(size),
                            .third = state(size),
                            .accumulated = state(size),
                            .average = state(size)};
}

static void take_tensors(int count, const TYPED(dc_tensor) * t) {
    for (int i = 0; i < count; i++) {
        take(t[i].size, t[i].parameter);
        take(t[i].size, t[i].first);
        take(t[i].size, t[i].second);
    }
}

static void optimizer(void) {
    dc_optimizer o = rule_form((int)below(DC_RULE_COUNT), (int)below(RULE_FORMS));
    TYPED(dc_tensor) t[MOST_TENSORS];
    const int count = (int)below(MOST_TENSORS + 1);
    for (int i = 0; i < count; i++) {
        const size_t size = some_size(3000);
        real *parameter = state(size);
        tensor_of(&t[i], size, parameter, input(size));
    }
    for (int step = 0; step < 3; step++)
        take_status(TYPED(dc_optimizer_step)(&o, (size_t)count, t));
    take_tensors(count, t);
}

/* Linear, any kind that keeps the width, linear: forward, backward, and an epoch. */
static void network(void) {
    const size_t inputs = 1 + some_size(40), outputs = 1 + some_size(20), rows = 1 + some_size(40);
    dc_layer layers[3] = {{.kind = DC_LAYER_LINEAR, .inputs = inputs, .outputs = ANY_INPUTS},
                          {.kind = DC_LAYER_ACTIVATION},
                          {.kind = DC_LAYER_LINEAR, .inputs = ANY_INPUTS, .outputs = outputs}};
    TYPED(dc_tensor) t[MOST_TENSORS];
    for (int i = 0; i < 2; i++) {
        dc_layer *l = &layers[2 * i];
        const size_t sizes_of[] = {l->inputs * l->outputs, l->outputs};
        for (int k = 0; k < 2; k++) {
            real *value = state(sizes_of[k]), *gradient = output(sizes_of[k]);
            l->parameters[k] = (dc_parameter){sizes_of[k], value, gradient};
            tensor_of(&t[2 * i + k], sizes_of[k], value, gradient);
        }
    }
    any_layer middle;
    int kind;
    do kind = (int)below(DC_LAYER_COUNT);
    while (kind == DC_LAYER_EMBEDDING || kind == DC_LAYER_LINEAR);
    any_layer_make(&middle, kind, one_in(2), plain_number);
    dc_layer *all[] = {&layers[0], &middle.layer, &layers[2]};
    TYPED(dc_network) *net = NULL;
    CHECK(!TYPED(dc_network_create)(3, all, &net));
    const real *x = input_of(rows * inputs, plain_number);
    const real *d_y = input_of(rows * outputs, plain_number);
    real *y = output(rows * outputs), *d_x = one_in(3) ? NULL : output(rows * inputs);
    take_status(TYPED(dc_network_forward)(net, rows, inputs, x, y));
    take(rows * outputs, y);
    const int back = TYPED(dc_network_backward)(net, rows, inputs, x, d_y, d_x);
    take_status(back);
    if (!back) {
        take(t[0].size, t[0].gradient), take(t[3].size, t[3].gradient);
        if (d_x) take(rows * inputs, d_x);
    }
    dc_optimizer o = rule_form((int)below(DC_RULE_COUNT), (int)below(RULE_FORMS));
    const size_t batch = 1 + below(rows + 1);
    const int has_labels = one_in(3);
    double *rates = one_in(3) ? place((rows + batch - 1) / batch * sizeof *rates) : NULL;
    for (size_t i = 0; rates && i < (rows + batch - 1) / batch; i++) rates[i] = uniform(0, 0.01);
    real *predictions = one_in(3) ? output(rows * outputs) : NULL;
    size_t right = 0;
    const TYPED(dc_samples)
        samples = {.rows = rows,
                   .cols = inputs,
                   .x = x,
                   .targets = has_labels ? NULL : input_of(rows * outputs, plain_number),
                   .labels = has_labels ? whole_numbers(rows, outputs) : NULL,
                   .order = one_in(2) ? whole_numbers(rows, rows) : NULL,
                   .weights = one_in(3) ? input_of(rows, plain_number) : NULL,
                   .rates = rates,
                   .predictions = predictions,
                   .right = one_in(3) ? &right : NULL,
                   .batch_size = batch,
                   .loss = {.kind = has_labels ? DC_SOFTMAX_CROSS_ENTROPY : DC_SQUARED_ERROR,
                            .reduction = (int)below(4)}};
    size_t next = 0;
    double value = 0;
    take_status(TYPED(dc_network_train)(net, &o, MOST_TENSORS, t, &samples, 1e9, &next, &value));
    take_double(value);
    take_tensors(MOST_TENSORS, t);
    if (predictions) take(next * outputs, predictions);
    take_status((int)right);
    TYPED(dc_network_free)(net);
}

/* An embedding, and a linear layer behind it. */
static void embedding(void) {
    const size_t rows = 1 + some_size(40), cols = 1 + some_size(8), outputs = 1 + some_size(20);
    any_layer table;
    any_layer_make(&table, DC_LAYER_EMBEDDING, 1, plain_number);
    const size_t inputs = cols * ANY_OUTPUTS, size = inputs * outputs;
    real *w = state(size), *d_w = output(size);
    dc_layer behind = {.kind = DC_LAYER_LINEAR,
                       .inputs = inputs,
                       .outputs = outputs,
                       .parameters = {{size, w, d_w}}};
    dc_layer *layers[] = {&table.layer, &behind};
    TYPED(dc_network) *net = NULL;
    CHECK(!TYPED(dc_network_create)(2, layers, &net));
    const int64_t *which = whole_numbers(rows * cols, ANY_INPUTS + (size_t)one_in(10));
    const real *d_y = input_of(rows * outputs, plain_number);
    real *y = output(rows * outputs);
    const int status = TYPED(dc_network_forward_indices)(net, rows, cols, which, y);
    take_status(status);
    if (!status) {
        take(rows * outputs, y);
        take_status(TYPED(dc_network_backward_indices)(net, rows, cols, which, d_y));
        take(size, d_w), take(ANY_SIZE, table.gradients[0]);
    }
    TYPED(dc_network_free)(net);
}

/* ---- The run --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*call)(void);
} cases[] = {
    {"elementwise", elementwise}, {"rowwise", rowwise},
    {"product", product},         {"loss", loss},
    {"numbers", numbers},         {"optimizer", optimizer},
    {"network", network},         {"activation", activation},
    {"combination", combination}, {"clipping", clipping},
    {"plain loss", plain_loss},   {"embedding", embedding},
};

static volatile uint64_t now_seed;
static const char *volatile now_case;

/* Says how to repeat it; then the signal does what it does without us. */
static void on_fault(int number) {
    fprintf(stderr, "%s: signal %d; repeat with: 0 %llu\n", now_case, number,
            (unsigned long long)now_seed);
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t run(size_t which, uint64_t seed, int end, int threads) {
    random_state = seed * 0x9e3779b97f4a7c15u + which;
    used = 0, at_end = end, hash = 1469598103934665603u;
    dc_set_num_threads(threads);
    cases[which].call();
    return hash;
}

int main(int count, char **arguments) {
    const double seconds = count > 1 ? atof(arguments[1]) : 1;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    slots_make();
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    size_t isas = 0;
    while (dc_isa_available(isas)) isas++;
    const double until = dc_seconds() + seconds;
    do {
        now_seed = seed;
        use_isa((size_t)(seed % isas));
        const int is_exact = isa_is_exact();
        for (size_t which = 0; which < COUNT(cases); which++) {
            now_case = cases[which].name;
            const int failed = checks_failed;
            checking = 1;
            const uint64_t first = run(which, seed, 1, 1);
            checking = 0;
            CHECK(run(which, seed, 0, 1) == first);
            CHECK(run(which, seed, one_in(2), 2) == first);
            use_isa((size_t)((seed + 1) % isas));
            if (is_exact && isa_is_exact()) CHECK(run(which, seed, 1, 1) == first);
            use_isa((size_t)(seed % isas));
            if (checks_failed > failed)
                fprintf(stderr, "%s on %s; repeat with: 0 %llu\n", now_case, dc_isa(),
                        (unsigned long long)seed);
        }
        seed++;
    } while (dc_seconds() < until && checks_failed < CHECKS_SHOWN);
    printf("seeds up to %llu\n", (unsigned long long)seed - 1);
    return check_result();
}
#endif
