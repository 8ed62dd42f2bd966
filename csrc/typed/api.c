/* The public functions over single arrays: each checks its arguments, cuts large work into tasks,
 * and calls a kernel.
 *
 * Tasks are cut at fixed places (multiples of SUM_BLOCK elements), so the number of threads cannot
 * be seen in a result. The products are in gemm.c, the losses in loss.c, the optimizers in
 * optimizer.c, the networks in network.c and training.c. */
#include <math.h>

#include "../activations.h"
#include "../deepc.h"
#include "../mode.h"
#include "../threads.h"
#include "../tuning.h"
#include "tables.h"

/* ---- Work over threads ----------------------------------------------------------------------- */

/* One call's arguments; each function uses some of them. An item is an element, or a row of `cols`
 * elements. */
typedef struct job {
    void (*run)(const struct job *job, size_t start, size_t n); /* n items from `start` on */
    size_t items, items_each; /* all of them; in one task */
    const kernel_table *kernel;
    /* As elementwise() gets it: y may be written past the caches. As the kernels do: it is. */
    int stream;
    int kind;   /* dc_activation */
    size_t cols;
    const real *x, *x2;
    real *y;
    real factor; /* of dc_scale; an activation's parameter */
    real factor2; /* of dc_add_scaled */
    uint64_t key, counter, threshold;
} job;

static void run_task(void *context, size_t task) {
    const job *j = context;
    const size_t start = task * j->items_each, left = j->items - start;
    j->run(j, start, left < j->items_each ? left : j->items_each);
}

/* Runs j over all items of `size` elements each. */
static int run(job *j, size_t size) {
    if (size == 0 || j->items < (SPLIT_ELEMENTS + size - 1) / size) {
        j->run(j, 0, j->items);
        return DC_OK;
    }
    j->items_each = (TASK_ELEMENTS + size - 1) / size;
    dc_parallel_for((j->items + j->items_each - 1) / j->items_each, dc_threads_available(),
                    run_task, j);
    return DC_OK;
}

/* Whether no array of rows x cols reals can be so large. */
static int too_large(size_t rows, size_t cols) {
    return cols > 0 && rows > PTRDIFF_MAX / sizeof(real) / cols;
}

/* ---- Elementwise functions ------------------------------------------------------------------- */

static int elementwise(job *j) {
    if (j->items == 0) return DC_OK;
    if (!j->x || !j->y) return DC_BAD_POINTER;
    if (too_large(j->items, 1)) return DC_BAD_SIZE;
    j->kernel = TYPED(dc_kernels)();
    if (j->stream) {
        const size_t offset = (uintptr_t)j->y % CACHE_LINE;
        const size_t head = offset ? (CACHE_LINE - offset) / sizeof(real) : 0;
        j->stream = 0;
        if (j->items >= STREAM_BYTES / sizeof(real) && offset % sizeof(real) == 0 && j->y != j->x &&
            j->y != j->x2) {
            j->run(j, 0, head);
            j->items -= head, j->x += head, j->y += head;
            if (j->x2) j->x2 += head;
            j->stream = 1;
        }
    }
    return run(j, 1);
}

static void run_exp(const job *j, size_t start, size_t n) {
    j->kernel->exponential(n, j->x + start, j->y + start, j->stream);
}

int TYPED(dc_exp)(size_t n, const real *x, real *y) {
    DEFAULT_MODE;
    job j = {.run = run_exp, .stream = 1, .items = n, .x = x, .y = y};
    return elementwise(&j);
}

static void run_log(const job *j, size_t start, size_t n) {
    j->kernel->logarithm(n, j->x + start, j->y + start, j->stream);
}

int TYPED(dc_log)(size_t n, const real *x, real *y) {
    DEFAULT_MODE;
    job j = {.run = run_log, .stream = 1, .items = n, .x = x, .y = y};
    return elementwise(&j);
}

static void run_add_scaled(const job *j, size_t start, size_t n) {
    j->kernel->add_scaled(j->factor, n, j->x + start, j->factor2, j->y + start);
}

int TYPED(dc_add_scaled)(double a, size_t n, const real *x, double b, real *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(a);
    ROUND_FROM_HERE(b);
    job j =
        {.run = run_add_scaled, .items = n, .x = x, .y = y, .factor = (real)a, .factor2 = (real)b};
    return elementwise(&j);
}

static void run_scale(const job *j, size_t start, size_t n) {
    j->kernel->scale(j->factor, n, j->x + start, j->y + start, j->stream);
}

int TYPED(dc_scale)(double factor, size_t n, const real *x, real *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(factor);
    job j = {.run = run_scale, .stream = 1, .items = n, .factor = (real)factor, .x = x, .y = y};
    return elementwise(&j);
}

static void run_forward(const job *j, size_t start, size_t n) {
    j->kernel->activation_forward(j->kind, j->factor, n, j->x + start, j->y + start, j->stream);
}

int TYPED(dc_activation_forward)(int activation, double parameter, size_t n, const real *x,
                                 real *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(parameter);
    const int status = check_activation(activation, parameter);
    if (status || n == 0) return status;
    if (!x || !y) return DC_BAD_POINTER;
    if (n < SPLIT_ELEMENTS) { /* most calls; to set up a job takes longer than some of them */
        TYPED(dc_kernels)()->activation_forward(activation, (real)parameter, n, x, y, 0);
        return DC_OK;
    }
    job j = {.run = run_forward,
             .stream = 1,
             .items = n,
             .kind = activation,
             .factor = (real)parameter,
             .x = x,
             .y = y};
    return elementwise(&j);
}

static void run_backward(const job *j, size_t start, size_t n) {
    j->kernel->activation_backward(j->kind, j->factor, n, j->x + start, j->x2 + start, j->y + start,
                                   j->stream);
}

int TYPED(dc_activation_backward)(int activation, double parameter, size_t n, const real *kept,
                                  const real *d_y, real *d_x) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(parameter);
    const int status = check_activation(activation, parameter);
    if (status || n == 0) return status;
    if (!kept || !d_y || !d_x) return DC_BAD_POINTER;
    if (n < SPLIT_ELEMENTS) {
        TYPED(dc_kernels)()->activation_backward(activation, (real)parameter, n, kept, d_y, d_x, 0);
        return DC_OK;
    }
    job j = {.run = run_backward,
             .stream = 1,
             .items = n,
             .kind = activation,
             .factor = (real)parameter,
             .x = kept,
             .x2 = d_y,
             .y = d_x};
    return elementwise(&j);
}

static void run_dropout(const job *j, size_t start, size_t n) {
    j->kernel->dropout(j->key, j->counter, start, j->threshold, n, j->x + start, j->y + start);
}

int TYPED(dc_dropout)(uint64_t key, uint64_t counter, double rate, size_t n, const real *x,
                      real *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(rate);
    if (!(rate >= 0 && rate <= 1)) return DC_BAD_VALUE;
    job j = {.run = run_dropout, .items = n, .key = key, .counter = counter, .x = x, .y = y};
    j.threshold = (uint64_t)(rate * 0x1p32 + 0.5); /* of 2^32 words, so many are dropped */
    return elementwise(&j);
}

/* ---- Softmax ------------------------------------------------------------------------------------
 */

static int rowwise(job *j) {
    if (j->items == 0 || j->cols == 0) return DC_OK;
    if (!j->x || !j->y) return DC_BAD_POINTER;
    if (too_large(j->items, j->cols)) return DC_BAD_SIZE;
    j->kernel = TYPED(dc_kernels)();
    return run(j, j->cols);
}

static void run_softmax(const job *j, size_t start, size_t n) {
    const size_t at = start * j->cols;
    j->kernel->softmax(n, j->cols, j->x + at, j->y + at);
}

int TYPED(dc_softmax)(size_t rows, size_t cols, const real *x, real *y) {
    DEFAULT_MODE;
    job j = {.run = run_softmax, .items = rows, .cols = cols, .x = x, .y = y};
    return rowwise(&j);
}

static void run_softmax_backward(const job *j, size_t start, size_t n) {
    const size_t at = start * j->cols;
    j->kernel->softmax_backward(n, j->cols, j->x + at, j->x2 + at, j->y + at);
}

int TYPED(dc_softmax_backward)(size_t rows, size_t cols, const real *y, const real *d_y,
                               real *d_x) {
    DEFAULT_MODE;
    if (rows > 0 && cols > 0 && !d_y) return DC_BAD_POINTER;
    job j = {.run = run_softmax_backward, .items = rows, .cols = cols, .x = y, .x2 = d_y, .y = d_x};
    return rowwise(&j);
}

static void run_log_softmax(const job *j, size_t start, size_t n) {
    const size_t at = start * j->cols;
    j->kernel->log_softmax(n, j->cols, j->x + at, j->y + at);
}

int TYPED(dc_log_softmax)(size_t rows, size_t cols, const real *x, real *y) {
    DEFAULT_MODE;
    job j = {.run = run_log_softmax, .items = rows, .cols = cols, .x = x, .y = y};
    return rowwise(&j);
}

static void run_log_softmax_backward(const job *j, size_t start, size_t n) {
    const size_t at = start * j->cols;
    j->kernel->log_softmax_backward(n, j->cols, j->x + at, j->x2 + at, j->y + at);
}

int TYPED(dc_log_softmax_backward)(size_t rows, size_t cols, const real *y, const real *d_y,
                                   real *d_x) {
    DEFAULT_MODE;
    if (rows > 0 && cols > 0 && !d_y) return DC_BAD_POINTER;
    job j =
        {.run = run_log_softmax_backward, .items = rows, .cols = cols, .x = y, .x2 = d_y, .y = d_x};
    return rowwise(&j);
}
