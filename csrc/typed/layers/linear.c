/* The linear layer: y = x w + b, and the activation after it as part of the product. */
#include "../../tuning.h"
#include "../gemm.h"
#include "../tables.h"
#include "layer.h"

enum { WEIGHTS, BIAS };

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_INPUT;
}

static int check(const dc_layer *l) {
    if (l->inputs == 0 || l->outputs == 0 || l->inputs > PTRDIFF_MAX / sizeof(real) / l->outputs)
        return DC_BAD_SIZE;
    return DC_OK;
}

static size_t outputs(const dc_layer *l, size_t inputs) {
    return inputs == l->inputs ? l->outputs : 0;
}

static size_t inputs(const dc_layer *l, size_t width) {
    (void)width; /* where it is not l->outputs, the way forward finds out */
    return l->inputs;
}

static size_t parameter(const dc_layer *l, int i) {
    return i == WEIGHTS ? l->inputs * l->outputs : i == BIAS ? l->outputs : 0;
}

static size_t work(const stage *s) { return s->inputs * s->outputs; }

/* Whether an activation comes after a product that has finished, in one call, and not row by row
 * while the tiles are in the first-level cache. */
static int comes_after(size_t rows, size_t cols) { return rows * cols <= ACTIVATION_AFTER; }

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const dc_parameter *parameters = s->layer->parameters;
    const size_t rows = p->rows;
    const int activation = s->after ? s->after->activation : DC_IDENTITY;
    const real parameter = s->after ? (real)s->after->activation_parameter : 0;
    const int after = activation && rows > 1 && comes_after(rows, s->outputs);
    const epilogue end = {.bias = parameters[BIAS].value,
                          .activation = after ? 0 : activation,
                          .parameter = parameter};
    if (rows == 1) {
        TYPED(dc_kernels)()->gemv(s->outputs, s->inputs, x, parameters[WEIGHTS].value,
                                  (ptrdiff_t)s->outputs, 0, &end, y);
        return DC_OK;
    }
    const product q = {.m = rows,
                       .n = s->outputs,
                       .k = s->inputs,
                       .a = x,
                       .lda = s->inputs,
                       .b = parameters[WEIGHTS].value,
                       .ldb = s->outputs,
                       .end = end,
                       .c = y,
                       .ldc = s->outputs};
    const int status = TYPED(dc_multiply)(&q);
    if (!status && after)
        TYPED(dc_kernels)()->activation_forward(activation, parameter, rows * s->outputs, y, y, 0);
    return status;
}

/* The gradients of the parameters, summed over the rows in the order of a product. */
static int gradients(const stage *s, const pass *p, const real *x, const real *d_y) {
    const dc_parameter *parameters = s->layer->parameters;
    const int accumulate = s->shared || p->first > 0;
    if (parameters[BIAS].gradient)
        TYPED(dc_kernels)()->column_sum(p->rows, s->outputs, d_y, (ptrdiff_t)s->outputs, accumulate,
                                        parameters[BIAS].gradient);
    if (!parameters[WEIGHTS].gradient) return DC_OK;
    const product weights = {.transpose_a = 1,
                             .m = s->inputs,
                             .n = s->outputs,
                             .k = p->rows,
                             .a = x,
                             .lda = s->inputs,
                             .b = d_y,
                             .ldb = s->outputs,
                             .accumulate = accumulate,
                             .c = parameters[WEIGHTS].gradient,
                             .ldc = s->outputs};
    return TYPED(dc_multiply)(&weights);
}

/* d_x = d_y w', times the slope of the activation before, whose outputs are x. */
static int input_gradient(const stage *s, size_t rows, const real *x, const real *d_y, real *d_x) {
    const real *weights = s->layer->parameters[WEIGHTS].value;
    const int activation = s->slope ? s->slope->activation : DC_IDENTITY;
    const real parameter = s->slope ? (real)s->slope->activation_parameter : 0;
    const int after = activation && rows > 1 && comes_after(rows, s->inputs);
    const epilogue end = {.activation = after ? 0 : activation,
                          .parameter = parameter,
                          .outputs = s->slope ? x : NULL,
                          .outputs_row = (ptrdiff_t)s->inputs};
    if (rows == 1) {
        TYPED(dc_kernels)()->gemv_transposed(s->inputs, s->outputs, d_y, weights,
                                             (ptrdiff_t)s->outputs, 0, &end, d_x);
        return DC_OK;
    }
    const product q = {.transpose_b = 1,
                       .m = rows,
                       .n = s->inputs,
                       .k = s->outputs,
                       .a = d_y,
                       .lda = s->outputs,
                       .b = weights,
                       .ldb = s->outputs,
                       .end = end,
                       .c = d_x,
                       .ldc = s->inputs};
    const int status = TYPED(dc_multiply)(&q);
    if (!status && after)
        TYPED(dc_kernels)()->activation_backward(activation, parameter, rows * s->inputs, x, d_x,
                                                 d_x, 0);
    return status;
}

/* The step of one tensor whose gradient is the outer product of x and d_y, which is never
 * written. */
static void update(const stage *s, const update_step *step, int which, size_t rows, const real *x,
                   const real *d_y) {
    const TYPED(dc_tensor) *t = s->tensors[which];
    if (t)
        TYPED(dc_kernels)()->update_outer(step, rows, s->outputs, x, d_y, t->parameter, t->first,
                                          t->second);
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)y;
    int status = p->update ? DC_OK : gradients(s, p, x, d_y);
    if (!status && d_x) status = input_gradient(s, p->rows, x, d_y, d_x);
    if (p->update) {
        const real one = 1; /* the bias is the weight of an input that is always 1 */
        update(s, p->update, WEIGHTS, s->inputs, x, d_y);
        update(s, p->update, BIAS, 1, &one, d_y);
    }
    return status;
}

const layer_kind TYPED(dc_layer_linear) = {.traits = traits,
                                           .check = check,
                                           .outputs = outputs,
                                           .inputs = inputs,
                                           .parameter = parameter,
                                           .needed = 1 << WEIGHTS,
                                           .updates = 1,
                                           .work = work,
                                           .forward = forward,
                                           .backward = backward};
