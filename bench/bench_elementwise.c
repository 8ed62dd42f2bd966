/* Elementwise functions, softmax, losses and dropout, forward and backward, from 10 elements to
 * 4 million. Checked against the C library's functions in double before they are timed. */
#include <math.h>
#include <stdio.h>

#include "deepc.h"
#include "harness.h"
#include "reference.h"

typedef enum operation {
    OP_SCALE,
    OP_EXP,
    OP_LOG,
    OP_SIGMOID,
    OP_TANH,
    OP_RELU,
    OP_SIGMOID_BACKWARD,
    OP_TANH_BACKWARD,
    OP_RELU_BACKWARD,
    OP_SUM,
    OP_DROPOUT,
    OP_UNIFORM,
    OP_SOFTMAX,
    OP_SOFTMAX_BACKWARD,
    OP_SQUARED_ERROR,
    OP_CROSS_ENTROPY,
    OP_CROSS_ENTROPY_LABELS,
    OPERATIONS
} operation;

/* Streams of arrays in and out: what memory has to carry; rows: whether it works on rows of
 * `cols`. */
static const struct {
    const char *name;
    int like, arrays, rows;
} operations[OPERATIONS] = {
    [OP_SCALE] = {"scale", LIKE_COPY, 2, 0},
    [OP_EXP] = {"exp", LIKE_COPY, 2, 0},
    [OP_LOG] = {"log", LIKE_COPY, 2, 0},
    [OP_SIGMOID] = {"sigmoid", LIKE_COPY, 2, 0},
    [OP_TANH] = {"tanh", LIKE_COPY, 2, 0},
    [OP_RELU] = {"relu", LIKE_COPY, 2, 0},
    [OP_SIGMOID_BACKWARD] = {"sigmoid backward", LIKE_TRIAD, 3, 0},
    [OP_TANH_BACKWARD] = {"tanh backward", LIKE_TRIAD, 3, 0},
    [OP_RELU_BACKWARD] = {"relu backward", LIKE_TRIAD, 3, 0},
    [OP_SUM] = {"sum", LIKE_READ, 1, 0},
    [OP_DROPOUT] = {"dropout", LIKE_COPY, 2, 0},
    [OP_UNIFORM] = {"uniform numbers", LIKE_COPY, 1, 0},
    [OP_SOFTMAX] = {"softmax", LIKE_COPY, 2, 1},
    [OP_SOFTMAX_BACKWARD] = {"softmax backward", LIKE_TRIAD, 3, 1},
    [OP_SQUARED_ERROR] = {"squared error", LIKE_TRIAD, 3, 1},
    [OP_CROSS_ENTROPY] = {"cross-entropy", LIKE_TRIAD, 3, 1},
    [OP_CROSS_ENTROPY_LABELS] = {"cross-entropy, labels", LIKE_COPY, 2, 1},
};

/* y = operation(x), or of x and x2. */
typedef struct job {
    operation op;
    int bits;
    size_t n, rows, cols;
    const void *x, *x2;
    const int64_t *labels;
    void *y;
    double value; /* of a loss or a sum */
} job;

static const dc_loss_rule squared_error = {.kind = DC_SQUARED_ERROR};
static const dc_loss_rule cross_entropy = {.kind = DC_SOFTMAX_CROSS_ENTROPY};

enum { KEY = 42 };
static const double RATE = 0.25;

static int run_f32(job *j) {
    const float *x = j->x, *x2 = j->x2;
    switch (j->op) {
    case OP_SCALE: return dc_scale_f32(1.5, j->n, x, j->y);
    case OP_EXP: return dc_exp_f32(j->n, x, j->y);
    case OP_LOG: return dc_log_f32(j->n, x, j->y);
    case OP_SIGMOID: return dc_activation_forward_f32(DC_SIGMOID, 0, j->n, x, j->y);
    case OP_TANH: return dc_activation_forward_f32(DC_TANH, 0, j->n, x, j->y);
    case OP_RELU: return dc_activation_forward_f32(DC_RELU, 0, j->n, x, j->y);
    case OP_SIGMOID_BACKWARD: return dc_activation_backward_f32(DC_SIGMOID, 0, j->n, x, x2, j->y);
    case OP_TANH_BACKWARD: return dc_activation_backward_f32(DC_TANH, 0, j->n, x, x2, j->y);
    case OP_RELU_BACKWARD: return dc_activation_backward_f32(DC_RELU, 0, j->n, x, x2, j->y);
    case OP_SUM: j->value = dc_sum_f32(j->n, x); return DC_OK;
    case OP_DROPOUT: return dc_dropout_f32(KEY, 0, RATE, j->n, x, j->y);
    case OP_UNIFORM: return dc_random_uniform_f32(KEY, 0, j->n, j->y);
    case OP_SOFTMAX: return dc_softmax_f32(j->rows, j->cols, x, j->y);
    case OP_SOFTMAX_BACKWARD: return dc_softmax_backward_f32(j->rows, j->cols, x, x2, j->y);
    case OP_SQUARED_ERROR:
        return dc_loss_f32(&squared_error, j->rows, j->cols, x, x2, NULL, NULL, 1, &j->value, j->y);
    case OP_CROSS_ENTROPY:
        return dc_loss_f32(&cross_entropy, j->rows, j->cols, x, x2, NULL, NULL, 1, &j->value, j->y);
    case OP_CROSS_ENTROPY_LABELS:
        return dc_loss_f32(&cross_entropy, j->rows, j->cols, x, NULL, j->labels, NULL, 1, &j->value,
                           j->y);
    default: return DC_BAD_NAME;
    }
}

static int run_f64(job *j) {
    const double *x = j->x, *x2 = j->x2;
    switch (j->op) {
    case OP_SCALE: return dc_scale_f64(1.5, j->n, x, j->y);
    case OP_EXP: return dc_exp_f64(j->n, x, j->y);
    case OP_LOG: return dc_log_f64(j->n, x, j->y);
    case OP_SIGMOID: return dc_activation_forward_f64(DC_SIGMOID, 0, j->n, x, j->y);
    case OP_TANH: return dc_activation_forward_f64(DC_TANH, 0, j->n, x, j->y);
    case OP_RELU: return dc_activation_forward_f64(DC_RELU, 0, j->n, x, j->y);
    case OP_SIGMOID_BACKWARD: return dc_activation_backward_f64(DC_SIGMOID, 0, j->n, x, x2, j->y);
    case OP_TANH_BACKWARD: return dc_activation_backward_f64(DC_TANH, 0, j->n, x, x2, j->y);
    case OP_RELU_BACKWARD: return dc_activation_backward_f64(DC_RELU, 0, j->n, x, x2, j->y);
    case OP_SUM: j->value = dc_sum_f64(j->n, x); return DC_OK;
    case OP_DROPOUT: return dc_dropout_f64(KEY, 0, RATE, j->n, x, j->y);
    case OP_UNIFORM: return dc_random_uniform_f64(KEY, 0, j->n, j->y);
    case OP_SOFTMAX: return dc_softmax_f64(j->rows, j->cols, x, j->y);
    case OP_SOFTMAX_BACKWARD: return dc_softmax_backward_f64(j->rows, j->cols, x, x2, j->y);
    case OP_SQUARED_ERROR:
        return dc_loss_f64(&squared_error, j->rows, j->cols, x, x2, NULL, NULL, 1, &j->value, j->y);
    case OP_CROSS_ENTROPY:
        return dc_loss_f64(&cross_entropy, j->rows, j->cols, x, x2, NULL, NULL, 1, &j->value, j->y);
    case OP_CROSS_ENTROPY_LABELS:
        return dc_loss_f64(&cross_entropy, j->rows, j->cols, x, NULL, j->labels, NULL, 1, &j->value,
                           j->y);
    default: return DC_BAD_NAME;
    }
}

static void run(void *context) {
    job *j = context;
    (void)(j->bits == 32 ? run_f32(j) : run_f64(j));
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static double at(const job *j, const void *x, size_t i) {
    return j->bits == 32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static double expected_element(const job *j, double x, double x2) {
    switch (j->op) {
    case OP_SCALE: return 1.5 * x;
    case OP_EXP: return exp(x);
    case OP_LOG: return log(x);
    case OP_SIGMOID: return reference_activation(DC_SIGMOID, x);
    case OP_TANH: return reference_activation(DC_TANH, x);
    case OP_RELU: return reference_activation(DC_RELU, x);
    case OP_SIGMOID_BACKWARD: return reference_slope(DC_SIGMOID, x) * x2;
    case OP_TANH_BACKWARD: return reference_slope(DC_TANH, x) * x2;
    default: return reference_slope(DC_RELU, x) * x2;
    }
}

static double error_elements(const job *j) {
    double worst = 0;
    for (size_t i = 0; i < j->n; i++) {
        const double x2 = j->x2 ? at(j, j->x2, i) : 0;
        const double expected = expected_element(j, at(j, j->x, i), x2);
        worst = fmax(worst, reference_error(at(j, j->y, i), expected));
    }
    return worst / (4 * reference_rounding(j->bits));
}

/* Random numbers: all in [0, 1), or either kept or 0; their share and mean within six
 * deviations. */
static double error_random(const job *j) {
    double kept = 0, sum = 0;
    for (size_t i = 0; i < j->n; i++) {
        const double y = at(j, j->y, i);
        if (j->op == OP_UNIFORM && !(y >= 0 && y < 1)) return HUGE_VAL;
        if (j->op == OP_DROPOUT && y != 0 && y != at(j, j->x, i)) return HUGE_VAL;
        kept += y != 0;
        sum += y;
    }
    const double n = (double)j->n;
    if (j->op == OP_UNIFORM) return fabs(sum / n - 0.5) / (6 * sqrt(1 / (12 * n)));
    return fabs(kept / n - (1 - RATE)) / (6 * sqrt(RATE * (1 - RATE) / n));
}

/* One row of a softmax or a loss; adds the row's loss to *value and returns the largest error in
 * y. */
static double error_row(const job *j, size_t row, reference_total *value, double *x, double *p) {
    const size_t start = row * j->cols;
    double worst = 0, dot = 0;
    for (size_t c = 0; c < j->cols; c++) x[c] = at(j, j->x, start + c);
    const double log_sum = reference_softmax(j->cols, x, p);
    if (j->op == OP_SOFTMAX_BACKWARD) {
        for (size_t c = 0; c < j->cols; c++) dot += x[c] * at(j, j->x2, start + c);
    }
    for (size_t c = 0; c < j->cols; c++) {
        double expected = p[c];
        if (j->op == OP_SOFTMAX_BACKWARD) {
            expected = x[c] * (at(j, j->x2, start + c) - dot);
        } else if (j->op != OP_SOFTMAX) {
            const double target =
                j->labels ? (double)(j->labels[row] == (int64_t)c) : at(j, j->x2, start + c);
            const double difference = x[c] - target;
            const int squared = j->op == OP_SQUARED_ERROR;
            reference_add(value, squared ? difference * difference : target * (log_sum - x[c]));
            expected = squared ? 2 * difference : p[c] - target;
        }
        worst = fmax(worst, reference_error(at(j, j->y, start + c), expected));
    }
    return worst;
}

static double error_rows(const job *j) {
    double *x = bench_doubles(j->cols, 0, 0), *p = bench_doubles(j->cols, 0, 0);
    reference_total value = {0};
    double worst = 0;
    for (size_t row = 0; row < j->rows; row++) worst = fmax(worst, error_row(j, row, &value, x, p));
    worst /= 8 + sqrt((double)j->cols);
    if (j->op >= OP_SQUARED_ERROR) {
        const double off = reference_error(j->value, reference_value(&value));
        worst = fmax(worst, off / (8 + sqrt((double)j->n)));
    }
    return worst / reference_rounding(j->bits);
}

static double error(void *context) {
    job *j = context;
    if ((j->bits == 32 ? run_f32(j) : run_f64(j)) != DC_OK) return HUGE_VAL;
    if (j->op == OP_DROPOUT || j->op == OP_UNIFORM) return error_random(j);
    if (operations[j->op].rows) return error_rows(j);
    if (j->op != OP_SUM) return error_elements(j);
    reference_total sum = {0};
    for (size_t i = 0; i < j->n; i++) reference_add(&sum, at(j, j->x, i));
    return reference_error(j->value, reference_value(&sum)) /
           ((4 + sqrt((double)j->n)) * reference_rounding(j->bits));
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static void *numbers(int bits, size_t n, double low, double high) {
    return bits == 32 ? (void *)bench_floats(n, low, high) : (void *)bench_doubles(n, low, high);
}

/* Targets of a cross-entropy: 1 for one class of each row. */
static void *one_hot(int bits, size_t rows, size_t cols) {
    void *targets = bench_memory(rows * cols * (size_t)bits / 8);
    for (size_t i = 0; i < rows; i++) {
        if (bits == 32)
            ((float *)targets)[i * cols + i % cols] = 1;
        else
            ((double *)targets)[i * cols + i % cols] = 1;
    }
    return targets;
}

static void add(operation op, int bits, size_t n, size_t cols) {
    bench_case c = {.bits = bits, .like = operations[op].like, .run = run, .error = error};
    const size_t rows = n / cols;
    if (operations[op].rows) {
        n = rows * cols;
        snprintf(c.name, sizeof c.name, "f%d %s %zux%zu", bits, operations[op].name, rows, cols);
    } else {
        snprintf(c.name, sizeof c.name, "f%d %s %zu", bits, operations[op].name, n);
    }
    if (!bench_wants(c.name)) return;
    job *j = bench_memory(sizeof *j);
    *j = (job){.op = op, .bits = bits, .n = n, .rows = rows, .cols = cols};
    const int two = operations[op].like == LIKE_TRIAD;
    if (op == OP_LOG)
        j->x = numbers(bits, n, 0.01, 20);
    else if (op == OP_SOFTMAX_BACKWARD)
        j->x = numbers(bits, n, 0, 2 / (double)cols);
    else
        j->x = numbers(bits, n, two ? -1 : -8, two ? 1 : 8);
    if (op == OP_CROSS_ENTROPY)
        j->x2 = one_hot(bits, rows, cols);
    else if (two)
        j->x2 = numbers(bits, n, -1, 1);
    if (op == OP_CROSS_ENTROPY_LABELS) {
        int64_t *labels = bench_memory(rows * sizeof *labels);
        for (size_t i = 0; i < rows; i++) labels[i] = (int64_t)(i % cols);
        j->labels = labels;
    }
    j->y = bench_memory(n * (size_t)bits / 8);
    c.bytes = (double)n * operations[op].arrays * bits / 8;
    c.items = (double)n;
    c.context = j;
    bench_add(&c);
}

int main(int argc, char **argv) {
    if (!bench_start(argc, argv, "bench_elementwise",
                     "functions of arrays, named f32|f64 function size"))
        return bench_finish();
    static const size_t sizes[] = {10, 32, 1000, 4096, 65536, 4 << 20, 32 << 20};
    static const int dtypes[] = {32, 64};
    const size_t count = sizeof sizes / sizeof *sizes;
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < count - (bench_is_quick() ? 2 : d == 1); s++) {
            char title[64];
            snprintf(title, sizeof title, "f%d, %zu elements", dtypes[d], sizes[s]);
            /* Large arrays one operation a group, so that not all of them are held at once. */
            bench_group(title);
            for (int op = 0; op < OPERATIONS; op++) {
                add((operation)op, dtypes[d], sizes[s], 10);
                if (operations[op].rows && sizes[s] >= 1000)
                    add((operation)op, dtypes[d], sizes[s], 1000);
                if (sizes[s] > 1 << 20) bench_run_group();
            }
            bench_run_group();
        }
    }
    return bench_finish();
}
