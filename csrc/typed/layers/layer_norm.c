/* Layer normalization: each row minus its mean, divided by its deviation. */
#include <math.h>

#include "../../threads.h"
#include "../tables.h"
#include "layer.h"

enum { GAMMA, BETA };

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_INPUT;
}

static int check(const dc_layer *l) {
    if (l->inputs == 0) return DC_BAD_SIZE;
    return l->epsilon >= 0 && isfinite((real)l->epsilon) ? DC_OK : DC_BAD_VALUE;
}

static size_t outputs(const dc_layer *l, size_t inputs) { return inputs == l->inputs ? inputs : 0; }

static size_t inputs(const dc_layer *l, size_t width) {
    (void)width;
    return l->inputs;
}

static size_t parameter(const dc_layer *l, int i) { return i <= BETA ? l->inputs : 0; }

/* Mean and 1 / deviation of each row. */
static size_t workspace(const stage *s, size_t rows) {
    (void)s;
    return 2 * rows;
}

static size_t work(const stage *s) { return 8 * s->outputs; }

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const dc_layer *l = s->layer;
    const int status = check(l);
    if (status) return status;
    TYPED(dc_kernels)()->layer_norm(p->rows, s->outputs, (real)l->epsilon, x,
                                    l->parameters[GAMMA].value, l->parameters[BETA].value,
                                    p->keep ? s->kept + 2 * p->first : NULL, y);
    return DC_OK;
}

/* In blocks of rows that are those of a sum over the rows, because what adds up to the gradient of
 * gamma needs memory. */
static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)y;
    const kernel_table *kernel = TYPED(dc_kernels)();
    const dc_parameter *parameters = s->layer->parameters;
    const size_t cols = s->outputs;
    const ptrdiff_t row = (ptrdiff_t)cols;
    real *d_gamma = parameters[GAMMA].value ? parameters[GAMMA].gradient : NULL;
    real *d_beta = parameters[BETA].value ? parameters[BETA].gradient : NULL;
    const size_t most = p->rows < K_BLOCK ? p->rows : K_BLOCK;
    real *scaled = dc_thread_scratch(most * cols * sizeof(real));
    if (!scaled) return DC_NO_MEMORY;
    for (size_t i = 0; i < p->rows; i += K_BLOCK) {
        const size_t rows = p->rows - i < K_BLOCK ? p->rows - i : K_BLOCK, at = i * cols;
        const int accumulate = s->shared || p->first + i > 0;
        kernel->layer_norm_backward(rows, cols, x + at, s->kept + 2 * (p->first + i),
                                    parameters[GAMMA].value, d_y + at, scaled,
                                    d_x ? d_x + at : NULL);
        if (d_gamma) kernel->column_sum(rows, cols, scaled, row, accumulate, d_gamma);
        if (d_beta) kernel->column_sum(rows, cols, d_y + at, row, accumulate, d_beta);
    }
    return DC_OK;
}

const layer_kind TYPED(dc_layer_layer_norm) = {.traits = traits,
                                               .check = check,
                                               .outputs = outputs,
                                               .inputs = inputs,
                                               .parameter = parameter,
                                               .workspace = workspace,
                                               .work = work,
                                               .forward = forward,
                                               .backward = backward};
