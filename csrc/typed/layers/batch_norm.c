/* Batch normalization: each column minus its mean, divided by its deviation, over the batch while
 * training and by the running statistics otherwise.
 *
 * Columns have nothing to do with each other, so strips of them are what threads share. */
#include <math.h>

#include "../../threads.h"
#include "../../tuning.h"
#include "../tables.h"
#include "layer.h"

enum { GAMMA, BETA, MEAN, VARIANCE };

/* What is kept, a row of numbers for each column: the mean and 1 / deviation of the last pass, and
 * the running statistics as they were before it. */
enum { KEPT_MEAN, KEPT_INVERSE, KEPT_OLD_MEAN, KEPT_OLD_VARIANCE, KEPT_ROWS };

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_INPUT | WHOLE_BATCH | TWO_MODES;
}

static int check(const dc_layer *l) {
    if (l->inputs == 0 || l->inputs > PTRDIFF_MAX / sizeof(real) / KEPT_ROWS) return DC_BAD_SIZE;
    if (!(l->momentum >= 0 && l->momentum <= 1)) return DC_BAD_VALUE;
    return l->epsilon >= 0 && isfinite((real)l->epsilon) ? DC_OK : DC_BAD_VALUE;
}

static size_t outputs(const dc_layer *l, size_t inputs) { return inputs == l->inputs ? inputs : 0; }

static size_t inputs(const dc_layer *l, size_t width) {
    (void)width;
    return l->inputs;
}

static size_t parameter(const dc_layer *l, int i) {
    (void)i;
    return l->inputs;
}

static size_t workspace(const stage *s, size_t rows) {
    (void)rows;
    return KEPT_ROWS * s->outputs;
}

static size_t work(const stage *s) { return 8 * s->outputs; }

/* ---- Strips of columns over threads ---------------------------------------------------------- */

enum { STRIP = 64 };

static real root(real x) {
#if DEEPC_REAL_BITS == 32
    return sqrtf(x);
#else
    return sqrt(x);
#endif
}

/* One pass, forward or back, over all columns. */
typedef struct job {
    void (*run)(const struct job *j, size_t first, size_t cols);
    const stage *s;
    const pass *p;
    const real *x, *d_y;
    real *y; /* or d_x */
} job;

static void run_strip(void *context, size_t task) {
    const job *j = context;
    const size_t first = task * STRIP
    , left = j->s->outputs - first;
    j->run(j, first, left < STRIP ? left : STRIP);
}

static void run_job(job *j) {
    const size_t strips = (j->s->outputs + STRIP - 1) / STRIP;
    const int large = j->p->rows >= SPLIT_ELEMENTS / j->s->outputs;
    dc_parallel_for(strips, large ? dc_threads_available() : 1, run_strip, j);
}

static const real *value_at(const stage *s, int i, size_t first) {
    const real *value = s->layer->parameters[i].value;
    return value ? value + first : NULL;
}

static real *kept(const stage *s, int which, size_t first) {
    return s->kept + (size_t)which * s->outputs + first;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* Mean and variance of a strip of the batch. */
static void batch_statistics(const job *j, size_t first, size_t cols, real *mean, real *variance) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t rows = j->p->rows;
    const ptrdiff_t row = (ptrdiff_t)j->s->outputs;
    kernel->column_sum(rows, cols, j->x + first, row, 0, mean);
    for (size_t i = 0; i < cols; i++) mean[i] /= (real)rows;
    kernel->column_moment(rows, cols, j->x + first, row, mean, NULL, 0, variance);
    for (size_t i = 0; i < cols; i++) variance[i] /= (real)rows;
}

/* Moves the running statistics towards those of the batch; notes what they were. */
static void move_statistics(const job *j, size_t first, size_t cols, const real *mean,
                            const real *variance) {
    const dc_layer *l = j->s->layer;
    const real stay = (real)l->momentum, come = (real)(1 - l->momentum);
    const double rows = (double)j->p->rows;
    const real more = l->unbiased && rows > 1 ? (real)(rows / (rows - 1)) : 1;
    real *running_mean = (real *)l->parameters[MEAN].value + first;
    real *running_variance = (real *)l->parameters[VARIANCE].value + first;
    for (size_t i = 0; i < cols; i++) {
        kept(j->s, KEPT_OLD_MEAN, first)[i] = running_mean[i];
        kept(j->s, KEPT_OLD_VARIANCE, first)[i] = running_variance[i];
        running_mean[i] = running_mean[i] * stay + mean[i] * come;
        running_variance[i] = running_variance[i] * stay + variance[i] * more * come;
    }
}

static void forward_strip(const job *j, size_t first, size_t cols) {
    const stage *s = j->s;
    const real *gamma = value_at(s, GAMMA, first), *beta = value_at(s, BETA, first);
    real mean[STRIP], variance[STRIP], slope[STRIP], shift[STRIP];
    if (s->trained) {
        batch_statistics(j, first, cols, mean, variance);
        move_statistics(j, first, cols, mean, variance);
    }
    for (size_t i = 0; i < cols; i++) {
        if (!s->trained) {
            mean[i] = value_at(s, MEAN, first)[i];
            variance[i] = value_at(s, VARIANCE, first)[i];
        }
        const real under = variance[i] + (real)s->layer->epsilon;
        const real inverse = 1 / root(under);
        slope[i] = gamma ? inverse * gamma[i] : inverse;
        shift[i] = beta ? beta[i] : 0;
        if (j->p->keep) {
            kept(s, KEPT_MEAN, first)[i] = mean[i];
            kept(s, KEPT_INVERSE, first)[i] = inverse;
        }
    }
    const ptrdiff_t row = (ptrdiff_t)s->outputs;
    TYPED(dc_kernels)()->columns_map(j->p->rows, cols, j->x + first, row, mean, slope, shift, NULL,
                                     0, NULL, j->y + first, row);
}

static int forward(stage *s, const pass *p, const real *x, real *y) {
    s->trained = 0;
    const int status = check(s->layer);
    if (status) return status;
    s->trained = s->layer->training != 0;
    job j = {.run = forward_strip, .s = s, .p = p, .x = x, .y = y};
    run_job(&j);
    return DC_OK;
}

static void undo(stage *s) {
    real *mean = s->layer->parameters[MEAN].value, *variance = s->layer->parameters[VARIANCE].value;
    for (size_t i = 0; s->trained && i < s->outputs; i++) {
        mean[i] = kept(s, KEPT_OLD_MEAN, 0)[i];
        variance[i] = kept(s, KEPT_OLD_VARIANCE, 0)[i];
    }
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* The gradient of a parameter over a strip, added where the layer stands further on too. */
static void put_gradient(const stage *s, int i, size_t first, size_t cols, const real *gradient) {
    real *to = s->layer->parameters[i].gradient;
    if (!s->layer->parameters[i].value || !to) return;
    for (size_t k = 0; k < cols; k++)
        to[first + k] = s->shared ? to[first + k] + gradient[k] : gradient[k];
}

/* With e = x - mean and f = gamma / deviation: d_x = f d_y outside training; in training
 * f (d_y - mean of d_y - e / deviation^2 mean of d_y e). */
static void backward_strip(const job *j, size_t first, size_t cols) {
    const stage *s = j->s;
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t rows = j->p->rows;
    const ptrdiff_t row = (ptrdiff_t)s->outputs;
    const real *gamma = value_at(s, GAMMA, first), *mean = kept(s, KEPT_MEAN, first);
    const real *inverse = kept(s, KEPT_INVERSE, first);
    real d_beta[STRIP], d_gamma[STRIP], factor[STRIP], slope[STRIP], shift[STRIP];
    kernel->column_sum(rows, cols, j->d_y + first, row, 0, d_beta);
    kernel->column_moment(rows, cols, j->x + first, row, mean, j->d_y + first, row, d_gamma);
    for (size_t i = 0; i < cols; i++) {
        d_gamma[i] *= inverse[i];
        factor[i] = gamma ? inverse[i] * gamma[i] : inverse[i];
        slope[i] = s->trained ? -factor[i] * inverse[i] * (d_gamma[i] / (real)rows) : 0;
        shift[i] = s->trained ? -factor[i] * (d_beta[i] / (real)rows) : 0;
    }
    put_gradient(s, GAMMA, first, cols, d_gamma);
    put_gradient(s, BETA, first, cols, d_beta);
    if (j->y)
        kernel->columns_map(rows, cols, j->x + first, row, mean, slope, shift, j->d_y + first, row,
                            factor, j->y + first, row);
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)y;
    job j = {.run = backward_strip, .s = s, .p = p, .x = x, .d_y = d_y, .y = d_x};
    run_job(&j);
    return DC_OK;
}

const layer_kind TYPED(dc_layer_batch_norm) = {.traits = traits,
                                               .check = check,
                                               .outputs = outputs,
                                               .inputs = inputs,
                                               .parameter = parameter,
                                               .needed = 1 << MEAN | 1 << VARIANCE,
                                               .workspace = workspace,
                                               .work = work,
                                               .forward = forward,
                                               .backward = backward,
                                               .undo = undo};
