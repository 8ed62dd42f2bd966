/* Random calls of the public functions on arrays that end, or begin, at a page that nobody may
 * touch.
 *
 *     test_guard_pages [seconds [seed]]        1 second, seed 1
 *
 * Each call is made with every array at the end of its pages, at their beginning, and on two
 * threads; what is only read stands in pages that cannot be written, and all else holds other bytes
 * each time. The results must have the same bits. A fault names the case and the seed that repeats
 * it. */
#if defined(_WIN32) || defined(__wasm__)
#include <stdio.h>
int main(void) { return puts("skipped: no pages to guard here"), 0; }
#else
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* The first one says which type is `real`. */
#include "arrays.h"

#include "any_layer.h"
#include "losses.h"
#include "rule_cases.h"
#include "threads.h"

/* ---- Pages ----------------------------------------------------------------------------------- */

enum { SLOTS = 48, SLOT_BYTES = 1 << 19 };
static char *slots[SLOTS];
static int used, at_end;

static void slots_make(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SLOTS; i++) {
        char *all =
            mmap(NULL, SLOT_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) abort();
        slots[i] = all + page;
    }
}

static void *place(size_t bytes) {
    if (used == SLOTS || bytes > SLOT_BYTES) abort();
    char *slot = slots[used++], *x = at_end ? slot + SLOT_BYTES - bytes : slot;
    mprotect(slot, SLOT_BYTES, PROT_READ | PROT_WRITE);
    memset(x, at_end ? 0x5a : 0xc3, bytes);
    return x;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static size_t below(size_t n) { return (size_t)uniform(0, (double)n); }
static int one_in(size_t n) { return below(n) == 0; }

/* Mostly small, at times enough for several blocks or threads. */
static size_t some_size(size_t most) {
    const size_t n = one_in(2) ? 5 : one_in(3) ? most : 40;
    return below((n < most ? n : most) + 1);
}

static real some_number(void) {
    static const double odd[] = {0,     -0.0, 1,    NAN,    INFINITY, -INFINITY,
                                 1e-40, -1,   1e38, 1e-310, 1e300,    0.5};
    return (real)(one_in(30) ? odd[below(COUNT(odd))] : uniform(-3, 3));
}

static real plain_number(void) { return (real)uniform(0.1, 1); }

/* What a function only reads. */
static const real *input_of(size_t n, real (*number)(void)) {
    real *x = place(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = number();
    mprotect(slots[used - 1], SLOT_BYTES, PROT_READ);
    return x;
}
static const real *input(size_t n) { return input_of(n, some_number); }

static const int64_t *whole_numbers(size_t n, size_t limit) {
    int64_t *x = place(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (int64_t)below(limit);
    mprotect(slots[used - 1], SLOT_BYTES, PROT_READ);
    return x;
}

static real *output(size_t n) { return place(n * sizeof(real)); }

/* What a function changes. */
static real *state(size_t n) {
    real *x = output(n);
    for (size_t i = 0; i < n; i++) x[i] = plain_number();
    return x;
}

/* ---- Results --------------------------------------------------------------------------------- */

static uint64_t hash;

static void take(size_t n, const real *x) {
    for (size_t i = 0; i < n; i++) {
        real_bits bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ (isnan(x[i]) ? 1 : bits)) * 1099511628211u;
    }
}
static void take_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ (isnan(x) ? 1 : bits)) * 1099511628211u;
}
static void take_status(int status) { hash = (hash ^ (uint64_t)status) * 1099511628211u; }

/* ---- The calls ------------------------------------------------------------------------------- */

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
}

static void rowwise(void) {
    const size_t rows = some_size(300), cols = some_size(100), n = rows * cols;
    const real *x = input(n), *d_y = input(n);
    real *y = output(n);
    const size_t which = below(4);
    take_status(which == 0   ? TYPED(dc_softmax)(rows, cols, x, y)
                : which == 1 ? TYPED(dc_log_softmax)(rows, cols, x, y)
                : which == 2 ? TYPED(dc_softmax_backward)(rows, cols, x, d_y, y)
                             : TYPED(dc_log_softmax_backward)(rows, cols, x, d_y, y));
    take(n, y);
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
    const TYPED(dc_samples) samples = {.rows = rows,
                                       .cols = inputs,
                                       .x = x,
                                       .targets = input_of(rows * outputs, plain_number),
                                       .order = one_in(2) ? whole_numbers(rows, rows) : NULL,
                                       .batch_size = 1 + below(rows + 1),
                                       .loss = {.kind = DC_SQUARED_ERROR}};
    size_t next = 0;
    double value = 0;
    take_status(TYPED(dc_network_train)(net, &o, MOST_TENSORS, t, &samples, 1e9, &next, &value));
    take_double(value);
    take_tensors(MOST_TENSORS, t);
    TYPED(dc_network_free)(net);
}

/* ---- The run --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*call)(void);
} cases[] = {
    {"elementwise", elementwise}, {"rowwise", rowwise},     {"product", product}, {"loss", loss},
    {"numbers", numbers},         {"optimizer", optimizer}, {"network", network},
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
        for (size_t which = 0; which < COUNT(cases); which++) {
            now_case = cases[which].name;
            const int failed = checks_failed;
            const uint64_t first = run(which, seed, 1, 1);
            CHECK(run(which, seed, 0, 1) == first);
            CHECK(run(which, seed, one_in(2), 2) == first);
            if (checks_failed > failed)
                fprintf(stderr, "%s; repeat with: 0 %llu\n", now_case, (unsigned long long)seed);
        }
        seed++;
    } while (dc_seconds() < until && checks_failed < CHECKS_SHOWN);
    printf("seeds up to %llu\n", (unsigned long long)seed - 1);
    return check_result();
}
#endif
