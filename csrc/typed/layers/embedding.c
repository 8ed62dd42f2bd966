/* The embedding: the input names rows of a table, the output is those rows side by side. It stands
 * first in a network, because its input is whole numbers. */
#include <string.h>

#include "layer.h"

enum { TABLE };

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_INPUT | TAKES_INDICES;
}

static int check(const dc_layer *l) {
    if (l->inputs == 0 || l->outputs == 0 || l->inputs > PTRDIFF_MAX / sizeof(real) / l->outputs)
        return DC_BAD_SIZE;
    return DC_OK;
}

static size_t outputs(const dc_layer *l, size_t inputs) {
    return inputs <= PTRDIFF_MAX / sizeof(real) / l->outputs ? inputs * l->outputs : 0;
}

static size_t inputs(const dc_layer *l, size_t width) { return width / l->outputs; }

static size_t parameter(const dc_layer *l, int i) {
    return i == TABLE ? l->inputs * l->outputs : 0;
}

static size_t work(const stage *s) { return s->outputs; }

/* The numbers may stand at any address, and another thread may change them: each is read once. */
static uint64_t index_at(const real *x, size_t i) {
    uint64_t index;
    memcpy(&index, (const char *)x + i * sizeof index, sizeof index);
    return index;
}

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const size_t width = s->layer->outputs;
    const real *table = s->layer->parameters[TABLE].value;
    for (size_t i = 0; i < p->rows * s->inputs; i++, y += width) {
        const uint64_t index = index_at(x, i);
        if (index >= s->layer->inputs) return DC_BAD_LABEL;
        memcpy(y, table + index * width, width * sizeof(real));
    }
    return DC_OK;
}

/* Each row of the gradient is the sum, from +0, of what comes back to where it was looked up, in
 * the order of the batch. */
static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)y, (void)d_x;
    const size_t width = s->layer->outputs;
    real *gradient = s->layer->parameters[TABLE].gradient;
    if (!gradient) return DC_OK;
    if (p->first == 0 && !s->shared) memset(gradient, 0, s->layer->inputs * width * sizeof(real));
    for (size_t i = 0; i < p->rows * s->inputs; i++, d_y += width) {
        const uint64_t index = index_at(x, i);
        if (index >= s->layer->inputs) return DC_BAD_LABEL;
        for (size_t j = 0; j < width; j++) gradient[index * width + j] += d_y[j];
    }
    return DC_OK;
}

const layer_kind TYPED(dc_layer_embedding) = {.traits = traits,
                                              .check = check,
                                              .outputs = outputs,
                                              .inputs = inputs,
                                              .parameter = parameter,
                                              .needed = 1 << TABLE,
                                              .work = work,
                                              .forward = forward,
                                              .backward = backward};
