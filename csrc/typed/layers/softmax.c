/* Softmax and log softmax of each row, as layers. */
#include "layer.h"

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_OUTPUT | IN_PLACE;
}

static size_t work(const stage *s) { return 32 * s->outputs; }

static int forward(stage *s, const pass *p, const real *x, real *y) {
    return TYPED(dc_softmax)(p->rows, s->outputs, x, y);
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)x;
    return d_x ? TYPED(dc_softmax_backward)(p->rows, s->outputs, y, d_y, d_x) : DC_OK;
}

const layer_kind TYPED(dc_layer_softmax) = {.traits = traits,
                                            .check = nothing_to_check,
                                            .outputs = same_width,
                                            .inputs = same_width,
                                            .work = work,
                                            .forward = forward,
                                            .backward = backward};

static int log_forward(stage *s, const pass *p, const real *x, real *y) {
    return TYPED(dc_log_softmax)(p->rows, s->outputs, x, y);
}

static int log_backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                        real *d_x) {
    (void)x;
    return d_x ? TYPED(dc_log_softmax_backward)(p->rows, s->outputs, y, d_y, d_x) : DC_OK;
}

const layer_kind TYPED(dc_layer_log_softmax) = {.traits = traits,
                                                .check = nothing_to_check,
                                                .outputs = same_width,
                                                .inputs = same_width,
                                                .work = work,
                                                .forward = log_forward,
                                                .backward = log_backward};
