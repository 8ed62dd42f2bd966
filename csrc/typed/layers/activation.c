/* The activation layer: y = activation(x), element by element. Behind a linear layer the network
 * makes it part of the product, and this file is not asked. */
#include "../../activations.h"
#include "../tables.h"
#include "layer.h"

static int traits(const dc_layer *l) {
    return IN_PLACE | (dc_activation_facts[l->activation].needs_input ? KEEPS_INPUT : KEEPS_OUTPUT);
}

static int check(const dc_layer *l) {
    return check_activation(l->activation, l->activation_parameter);
}

static size_t work(const stage *s) { return 16 * s->outputs; }

static int forward(stage *s, const pass *p, const real *x, real *y) {
    TYPED(dc_kernels)()->activation_forward(
        s->layer->activation, (real)s->layer->activation_parameter, p->rows * s->outputs, x, y, 0);
    return DC_OK;
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    const real *kept = dc_activation_facts[s->layer->activation].needs_input ? x : y;
    if (d_x)
        TYPED(dc_kernels)()->activation_backward(s->layer->activation,
                                                 (real)s->layer->activation_parameter,
                                                 p->rows * s->outputs, kept, d_y, d_x, 0);
    return DC_OK;
}

const layer_kind TYPED(dc_layer_activation) = {.traits = traits,
                                               .check = check,
                                               .outputs = same_width,
                                               .inputs = same_width,
                                               .work = work,
                                               .forward = forward,
                                               .backward = backward};
