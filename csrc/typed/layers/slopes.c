/* A rectifier whose slope below 0 is learned (PReLU): y = x where x > 0, else slope x. */
#include <string.h>

#include "../../threads.h"
#include "../tables.h"
#include "layer.h"

enum { SLOPES };

static int traits(const dc_layer *l) {
    (void)l;
    return KEEPS_INPUT;
}

/* `inputs` columns with a slope each, or any number of columns and one slope. */
static int one_for_all(const dc_layer *l) { return l->inputs == 0; }

static size_t outputs(const dc_layer *l, size_t inputs) {
    return one_for_all(l) || inputs == l->inputs ? inputs : 0;
}

static size_t inputs(const dc_layer *l, size_t width) { return one_for_all(l) ? width : l->inputs; }

static size_t parameter(const dc_layer *l, int i) {
    return i != SLOPES ? 0 : one_for_all(l) ? 1 : l->inputs;
}

static size_t work(const stage *s) { return 16 * s->outputs; }

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const real *slopes = s->layer->parameters[SLOPES].value;
    const size_t step = !one_for_all(s->layer), cols = s->outputs;
    for (size_t i = 0; i < p->rows; i++, x += cols, y += cols)
        for (size_t j = 0; j < cols; j++) y[j] = x[j] > 0 ? x[j] : slopes[j * step] * x[j];
    return DC_OK;
}

/* d_x = d_y times 1 or the slope, and to `terms` what each element adds to its slope's gradient. */
static void backward_rows(const stage *s, size_t rows, const real *x, const real *d_y, real *terms,
                          real *d_x) {
    const real *slopes = s->layer->parameters[SLOPES].value;
    const size_t step = !one_for_all(s->layer), cols = s->outputs;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            const size_t at = i * cols + j;
            const int above = x[at] > 0;
            terms[at] = above ? 0 : d_y[at] * x[at];
            if (d_x) d_x[at] = above ? d_y[at] : d_y[at] * slopes[j * step];
        }
}

/* Adds up the columns of a block of terms, and where there is one slope these in a row. */
static void add_terms(const stage *s, size_t rows, int accumulate, const real *terms, real *sums) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    real *gradient = s->layer->parameters[SLOPES].gradient;
    const size_t cols = s->outputs;
    const int one = one_for_all(s->layer);
    kernel->column_sum(rows, cols, terms, (ptrdiff_t)cols, one ? 0 : accumulate,
                       one ? sums : gradient);
    if (one) *gradient = (accumulate ? *gradient : 0) + (real)kernel->sum(cols, sums);
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)y;
    const size_t cols = s->outputs, most = p->rows < K_BLOCK ? p->rows : K_BLOCK;
    real *terms = dc_thread_scratch((most + 1) * cols * sizeof(real));
    if (!terms) return DC_NO_MEMORY;
    for (size_t i = 0; i < p->rows; i += K_BLOCK) {
        const size_t rows = p->rows - i < K_BLOCK ? p->rows - i : K_BLOCK, at = i * cols;
        backward_rows(s, rows, x + at, d_y + at, terms, d_x ? d_x + at : NULL);
        if (s->layer->parameters[SLOPES].gradient)
            add_terms(s, rows, s->shared || p->first + i > 0, terms, terms + most * cols);
    }
    return DC_OK;
}

const layer_kind TYPED(dc_layer_slopes) = {.traits = traits,
                                           .check = nothing_to_check,
                                           .outputs = outputs,
                                           .inputs = inputs,
                                           .parameter = parameter,
                                           .needed = 1 << SLOPES,
                                           .work = work,
                                           .forward = forward,
                                           .backward = backward};
