/* The compiled network: a sequence of layers with the memory between them.
 *
 * forward keeps each layer's output, because backward needs it: an activation its own output, a
 * linear layer its input. Neighbours share a buffer where nothing that backward needs is lost by
 * that. A linear layer and the activation after it are one product with an epilogue; so are, on the
 * way back, the gradient of a linear layer's input and the derivative of the activation before it.
 */
#include <stdlib.h>
#include <string.h>

#include "../deepc.h"
#include "../threads.h"
#include "../tuning.h"
#include "gemm.h"
#include "optimizer.h"
#include "tables.h"

typedef dc_layer layer;
typedef TYPED(dc_network) network;
typedef TYPED(dc_tensor) tensor;
typedef TYPED(dc_samples) samples;

/* A place in the sequence. */
typedef struct place {
    layer *layer;
    size_t width;        /* of the output; 0 while not known */
    int in_place;        /* the output stands where the input stood */
    int shared;          /* the same layer stands further on, so its gradients add up */
    real *output;        /* rows x width */
    int trained; /* dropout: whether the last forward was training, and with which counter */
    uint64_t counter;
    uint64_t threshold;  /* and with which rate */
} place;

struct TYPED(dc_network) {
    dc_lock lock;
    size_t count;
    size_t inputs; /* the first width; 0 where any width goes (no linear layer) */
    size_t widest;
    place *places;

    real *memory;
    size_t capacity; /* rows that the memory is laid out for */
    size_t capacity_cols; /* and the first width */
    real *gradient[2]; /* rows x widest each */
    real *batch_x, *batch_targets;
    int64_t *batch_labels;

    size_t rows; /* of the last forward; 0: none */
    size_t cols;
};

static int is_activation(const layer *l) {
    return l->kind >= DC_LAYER_SIGMOID && l->kind <= DC_LAYER_RELU;
}

static size_t last_width(const network *net) { return net->places[net->count - 1].width; }

/* ---- Making and freeing ---------------------------------------------------------------------- */

/* Sets the widths of all places, given the first one. */
static int set_widths(network *net, size_t cols) {
    size_t width = cols;
    net->widest = cols;
    for (size_t i = 0; i < net->count; i++) {
        place *p = &net->places[i];
        if (p->layer->kind == DC_LAYER_LINEAR) {
            if (width != p->layer->inputs) return DC_BAD_SIZE;
            width = p->layer->outputs;
        }
        p->width = width;
        if (width > net->widest) net->widest = width;
    }
    return DC_OK;
}

/* Marks the places whose output may stand where their input stood. An elementwise layer may overwrite
 * what no backward pass needs: the outputs of linear layers and of dropout, not those of activations.
 * But dropout may overwrite these too: it only puts zeros where the gradient that comes back is zero
 * as well, so the derivative there does not matter. */
static void share_buffers(network *net) {
    /* What stands in the buffer so far; the caller's input is not to be overwritten. */
    int needed = 1;
    for (size_t i = 0; i < net->count; i++) {
        place *p = &net->places[i];
        const int kind = p->layer->kind;
        p->in_place = i > 0 && kind != DC_LAYER_LINEAR && (!needed || kind == DC_LAYER_DROPOUT);
        needed = is_activation(p->layer) || (p->in_place && needed);
    }
}

int TYPED(dc_network_create)(size_t count, layer *const *layers, network **out) {
    if (!layers || !out) return DC_BAD_POINTER;
    if (count == 0) return DC_BAD_SIZE;
    size_t first = 0; /* the first known width */
    for (size_t i = 0; i < count; i++) {
        const layer *l = layers[i];
        if (!l) return DC_BAD_POINTER;
        if (l->kind < DC_LAYER_LINEAR || l->kind > DC_LAYER_DROPOUT) return DC_BAD_NAME;
        if (l->kind != DC_LAYER_LINEAR) continue;
        if (!l->weights || !l->bias) return DC_BAD_POINTER;
        if (l->inputs == 0 || l->outputs == 0) return DC_BAD_SIZE;
        if (!first) first = l->inputs;
    }
    network *net = calloc(1, sizeof *net);
    place *places = calloc(count, sizeof *places);
    if (!net || !places) {
        free(net);
        free(places);
        return DC_NO_MEMORY;
    }
    net->count = count;
    net->inputs = first;
    net->places = places;
    for (size_t i = 0; i < count; i++) {
        places[i].layer = layers[i];
        for (size_t j = i + 1; j < count; j++) places[i].shared |= layers[j] == layers[i];
    }
    share_buffers(net);
    if (first && set_widths(net, first)) {
        free(net);
        free(places);
        return DC_BAD_SIZE;
    }
    dc_lock_init(&net->lock);
    *out = net;
    return DC_OK;
}

void TYPED(dc_network_free)(network *net) {
    if (!net) return;
    dc_lock_destroy(&net->lock);
    free(net->memory);
    free(net->places);
    free(net);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Hands out `count` reals on a cache line of their own; from a null base it only measures. */
static real *take(real *base, size_t *used, size_t count) {
    const size_t line = 64 / sizeof(real);
    const size_t at = *used;
    *used += (count + line - 1) / line * line;
    return base ? base + at : NULL;
}

static size_t lay_out(network *net, real *base, size_t rows) {
    size_t used = 0;
    for (size_t i = 0; i < net->count; i++) {
        place *p = &net->places[i];
        p->output = p->in_place ? net->places[i - 1].output : take(base, &used, rows * p->width);
    }
    for (int i = 0; i < 2; i++) net->gradient[i] = take(base, &used, rows * net->widest);
    net->batch_x = take(base, &used, rows * net->cols);
    net->batch_targets = take(base, &used, rows * last_width(net));
    net->batch_labels =
        (int64_t *)(void *)take(base, &used, rows * (sizeof(int64_t) / sizeof(real)));
    return used;
}

/* Makes room for `rows` rows of `cols` columns; forgets the last forward, but for sizes that cannot
 * be. */
static int reserve(network *net, size_t rows, size_t cols) {
    if (rows == 0 || cols == 0 || (net->inputs && cols != net->inputs)) return DC_BAD_SIZE;
    net->rows = 0;
    if (rows <= net->capacity && cols == net->capacity_cols) return DC_OK;
    if (!net->inputs) set_widths(net, cols);
    /* Within this, the sizes below cannot overflow; beyond it no machine has the memory. */
    if (rows > ((size_t)1 << 40) / net->widest) {
        net->capacity = 0;
        return DC_NO_MEMORY;
    }
    net->cols = cols;
    const size_t size = lay_out(net, NULL, rows) * sizeof(real) + 64;
    free(net->memory);
    net->capacity = 0;
    net->memory = malloc(size);
    if (!net->memory) return DC_NO_MEMORY;
    lay_out(net, (real *)(((uintptr_t)net->memory + 63) & ~(uintptr_t)63), rows);
    net->capacity = rows;
    net->capacity_cols = cols;
    return DC_OK;
}

/* ---- Forward --------------------------------------------------------------------------------- */

static uint64_t dropout_threshold(double rate) { return (uint64_t)(rate * 0x1p32 + 0.5); }

/* Whether an activation comes after a product that has finished, in one call, and not row by row
 * while the tiles are in the first-level cache. */
static int comes_after(size_t rows, size_t cols) { return rows * cols <= ACTIVATION_AFTER; }

static int linear_forward(const layer *l, size_t rows, const real *x, int activation, real *y) {
    const int after = activation && rows > 1 && comes_after(rows, l->outputs);
    const epilogue end = {.bias = l->bias, .activation = after ? 0 : activation};
    if (rows == 1) {
        TYPED(dc_kernels)()->gemv(l->outputs, l->inputs, x, l->weights, (ptrdiff_t)l->outputs, 0,
                                  &end, y);
        return DC_OK;
    }
    const product p = {.m = rows,
                       .n = l->outputs,
                       .k = l->inputs,
                       .a = x,
                       .lda = l->inputs,
                       .b = l->weights,
                       .ldb = l->outputs,
                       .end = end,
                       .c = y,
                       .ldc = l->outputs};
    const int status = TYPED(dc_multiply)(&p);
    if (!status && after)
        TYPED(dc_kernels)()->activation_forward(activation, rows * l->outputs, y, y, 0);
    return status;
}

static void dropout_forward(place *p, size_t rows, const real *x, real *y) {
    layer *l = p->layer;
    const size_t n = rows * p->width;
    const kernel_table *kernel = TYPED(dc_kernels)();
    p->trained = l->training;
    if (!l->training) {
        kernel->scale((real)(1 - l->rate), n, x, y, 0);
        return;
    }
    p->counter = l->counter++;
    p->threshold = dropout_threshold(l->rate);
    l->rows = rows;
    l->width = p->width;
    kernel->dropout(l->key, p->counter, 0, p->threshold, n, x, y);
}

/* Runs all layers; the result is the last place's output. */
static int run_forward(network *net, size_t rows, const real *x) {
    const real *input = x;
    for (size_t i = 0; i < net->count; i++) {
        place *p = &net->places[i];
        const size_t n = rows * p->width;
        if (p->layer->kind == DC_LAYER_LINEAR) {
            const int fuse = i + 1 < net->count && is_activation(p[1].layer);
            const int status =
                linear_forward(p->layer, rows, input, fuse ? p[1].layer->kind : 0, p->output);
            if (status) return status;
            i += (size_t)fuse;
        } else if (p->layer->kind == DC_LAYER_DROPOUT) {
            dropout_forward(p, rows, input, p->output);
        } else {
            TYPED(dc_kernels)()->activation_forward(p->layer->kind, n, input, p->output, 0);
        }
        input = p->output;
    }
    net->rows = rows;
    return DC_OK;
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* The gradients of a linear layer's parameters, summed over the rows in the order of a product. */
static int linear_gradients(const place *p, size_t rows, const real *x, const real *d_y) {
    const layer *l = p->layer;
    const product weights = {.transpose_a = 1,
                             .m = l->inputs,
                             .n = l->outputs,
                             .k = rows,
                             .a = x,
                             .lda = l->inputs,
                             .b = d_y,
                             .ldb = l->outputs,
                             .accumulate = p->shared,
                             .c = l->d_weights,
                             .ldc = l->outputs};
    TYPED(dc_kernels)()->column_sum(rows, l->outputs, d_y, (ptrdiff_t)l->outputs, p->shared,
                                    l->d_bias);
    return TYPED(dc_multiply)(&weights);
}

/* d_x = d_y w', times the derivative of the activation before, whose outputs are given, if there is
 * one. */
static int linear_input_gradient(const layer *l, size_t rows, const real *d_y, int activation,
                                 const real *outputs, real *d_x) {
    const int after = activation && rows > 1 && comes_after(rows, l->inputs);
    const epilogue end = {.activation = after ? 0 : activation,
                          .outputs = outputs,
                          .outputs_row = (ptrdiff_t)l->inputs};
    if (rows == 1) {
        TYPED(dc_kernels)()->gemv_transposed(l->inputs, l->outputs, d_y, l->weights,
                                             (ptrdiff_t)l->outputs, 0, &end, d_x);
        return DC_OK;
    }
    const product p = {.transpose_b = 1,
                       .m = rows,
                       .n = l->inputs,
                       .k = l->outputs,
                       .a = d_y,
                       .lda = l->outputs,
                       .b = l->weights,
                       .ldb = l->outputs,
                       .end = end,
                       .c = d_x,
                       .ldc = l->inputs};
    const int status = TYPED(dc_multiply)(&p);
    if (!status && after)
        TYPED(dc_kernels)()->activation_backward(activation, rows * l->inputs, outputs, d_x, d_x,
                                                 0);
    return status;
}

/* Where a fused training step puts a linear layer's gradients: into the parameters. */
typedef struct fused_update {
    const update_step *step;
    const tensor *const *weights; /* by place */
    const tensor *const *bias;
} fused_update;

/* The update of one linear layer from a single row, without writing the gradient of its weights. */
static void update_from_row(network *net, const fused_update *fused, size_t i, const real *x,
                            const real *d_y) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const tensor *w = fused->weights[i], *b = fused->bias[i];
    const layer *l = net->places[i].layer;
    kernel->update_outer(fused->step, l->inputs, l->outputs, x, d_y, w->parameter, w->first,
                         w->second);
    const real one = 1; /* the bias is the weight of an input that is always 1 */
    kernel->update_outer(fused->step, 1, l->outputs, &one, d_y, b->parameter, b->first, b->second);
}

/* Back from d_y to the parameters' gradients (or, where `fused`, into the parameters) and to d_x or
 * NULL. */
static int run_backward(network *net, const real *x, const real *d_y, real *d_x,
                        const fused_update *fused) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t rows = net->rows;
    const real *gradient = d_y;
    int turn = 0;
    int derived = 0; /* this activation's derivative is in the gradient already */
    for (size_t i = net->count; i-- > 0;) {
        place *p = &net->places[i];
        const layer *l = p->layer;
        const real *input = i > 0 ? p[-1].output : x;
        /* An activation's gradient may overwrite the one it comes from, but for the caller's. */
        real *next = i == 0                                          ? d_x
                     : l->kind != DC_LAYER_LINEAR && gradient != d_y ? (real *)gradient
                                                                     : net->gradient[turn ^= 1];
        if (l->kind == DC_LAYER_LINEAR) {
            if (!fused) {
                const int status = linear_gradients(p, rows, input, gradient);
                if (status) return status;
            }
            if (next) {
                derived = i > 0 && is_activation(p[-1].layer);
                const int status =
                    linear_input_gradient(l, rows, gradient, derived ? p[-1].layer->kind : 0,
                                          derived ? input : NULL, next);
                if (status) return status;
            }
            if (fused) update_from_row(net, fused, i, input, gradient);
        } else if (!next) {
            /* Nobody wants the gradient of the input. */
        } else if (l->kind == DC_LAYER_DROPOUT) {
            kernel->dropout(l->key, p->counter, 0, p->threshold, rows * p->width, gradient, next);
        } else if (derived) {
            if (next != gradient) memcpy(next, gradient, rows * p->width * sizeof(real));
            derived = 0;
        } else {
            kernel->activation_backward(l->kind, rows * p->width, p->output, gradient, next, 0);
        }
        gradient = next;
    }
    return DC_OK;
}

/* Whether there is a place for every gradient. */
static int check_gradients(const network *net) {
    for (size_t i = 0; i < net->count; i++) {
        const layer *l = net->places[i].layer;
        if (l->kind == DC_LAYER_LINEAR && (!l->d_weights || !l->d_bias)) return DC_BAD_POINTER;
    }
    return DC_OK;
}

/* Whether backward can follow: every dropout layer trained in the forward and still does. */
static int check_backward(const network *net) {
    for (size_t i = 0; i < net->count; i++) {
        const place *p = &net->places[i];
        if (p->layer->kind == DC_LAYER_DROPOUT && !(p->trained && p->layer->training))
            return DC_BAD_STATE;
    }
    return check_gradients(net);
}

/* ---- Training -------------------------------------------------------------------------------- */

/* The rows of one batch: where they stand if they are in one piece, else gathered. */
static void gather(network *net, const samples *s, size_t from, size_t rows, const real **x,
                   const real **targets, const int64_t **labels) {
    const size_t cols = s->cols, outputs = last_width(net);
    const size_t first = s->order ? (size_t)s->order[from] : from;
    *x = s->x + first * cols;
    *targets = s->targets ? s->targets + first * outputs : NULL;
    *labels = s->labels ? s->labels + first : NULL;
    if (!s->order || rows == 1) return;
    for (size_t r = 0; r < rows; r++) {
        const size_t row = (size_t)s->order[from + r];
        memcpy(net->batch_x + r * cols, s->x + row * cols, cols * sizeof(real));
        if (s->targets)
            memcpy(net->batch_targets + r * outputs, s->targets + row * outputs,
                   outputs * sizeof(real));
        if (s->labels) net->batch_labels[r] = s->labels[row];
    }
    *x = net->batch_x;
    *targets = s->targets ? net->batch_targets : NULL;
    *labels = s->labels ? net->batch_labels : NULL;
}

static double batch_loss(network *net, const samples *s, size_t rows, const real *targets,
                         const int64_t *labels, real *d_y) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const real *y = net->places[net->count - 1].output;
    const size_t outputs = last_width(net);
    const real scale = s->mean ? (real)(1.0 / (double)rows) : 1;
    return s->loss == DC_SQUARED_ERROR
               ? kernel->squared_error(rows * outputs, y, targets, scale, d_y)
               : kernel->cross_entropy(rows, outputs, y, targets, labels, scale, d_y);
}

/* Finds each place's tensors; 0 where a parameter has none or a layer occurs twice. */
static int find_tensors(const network *net, size_t count, const tensor *tensors,
                        const tensor **weights, const tensor **bias) {
    for (size_t i = 0; i < net->count; i++) {
        const place *p = &net->places[i];
        weights[i] = bias[i] = NULL;
        if (p->layer->kind != DC_LAYER_LINEAR) continue;
        for (size_t t = 0; t < count; t++) {
            if (tensors[t].parameter == p->layer->weights) weights[i] = &tensors[t];
            if (tensors[t].parameter == p->layer->bias) bias[i] = &tensors[t];
        }
        if (p->shared || !weights[i] || !bias[i]) return 0;
    }
    return 1;
}

static int check_samples(const network *net, const samples *s, size_t next) {
    if (!s->x || (!s->targets) == (!s->labels)) return DC_BAD_POINTER;
    if (s->loss != DC_SQUARED_ERROR && s->loss != DC_SOFTMAX_CROSS_ENTROPY) return DC_BAD_NAME;
    if (s->labels && s->loss != DC_SOFTMAX_CROSS_ENTROPY) return DC_BAD_POINTER;
    if (s->rows == 0 || s->batch_size == 0 || next % s->batch_size || next > s->rows)
        return DC_BAD_SIZE;
    if (s->order)
        for (size_t i = 0; i < s->rows; i++)
            if (s->order[i] < 0 || (size_t)s->order[i] >= s->rows) return DC_BAD_VALUE;
    if (s->labels) {
        const int64_t classes = (int64_t)(net->inputs ? last_width(net) : s->cols);
        for (size_t i = 0; i < s->rows; i++)
            if (s->labels[i] < 0 || s->labels[i] >= classes) return DC_BAD_LABEL;
    }
    return DC_OK;
}

static int train(network *net, dc_optimizer *optimizer, size_t count, const tensor *tensors,
                 const samples *s, double seconds, size_t *next, double *loss) {
    const size_t batch = s->batch_size < s->rows ? s->batch_size : s->rows;
    int status = reserve(net, batch, s->cols);
    if (status) return status;
    for (size_t i = 0; i < net->count; i++)
        if (net->places[i].layer->kind == DC_LAYER_DROPOUT && !net->places[i].layer->training)
            return DC_BAD_STATE;

    const tensor **found = malloc(2 * net->count * sizeof *found);
    if (!found) return DC_NO_MEMORY;
    const int fuse = batch == 1 && find_tensors(net, count, tensors, found, found + net->count);
    if (!fuse) status = check_gradients(net);
    update_step step;
    const fused_update fused = {&step, found, found + net->count};

    /* Reading the clock costs as much as a tiny step, so it is read once per so many multiply-adds.
     */
    size_t work = 1, since = 0;
    for (size_t t = 0; t < count; t++) work += tensors[t].size * batch;
    const double until = dc_seconds() + seconds;
    while (*next < s->rows && !status) {
        const size_t rows = s->rows - *next < batch ? s->rows - *next : batch;
        const real *x, *targets;
        const int64_t *labels;
        gather(net, s, *next, rows, &x, &targets, &labels);
        status = run_forward(net, rows, x);
        if (status) break;
        real *d_y = net->gradient[0];
        *loss += batch_loss(net, s, rows, targets, labels, d_y);
        if (fuse) {
            optimizer->steps++;
            step = TYPED(dc_update_step)(optimizer);
            status = run_backward(net, x, d_y, NULL, &fused);
        } else {
            status = run_backward(net, x, d_y, NULL, NULL);
            if (!status) status = TYPED(dc_optimizer_step)(optimizer, count, tensors);
        }
        *next += rows;
        if ((since += work) >= TRAIN_CLOCK_WORK) {
            since = 0;
            if (dc_seconds() > until) break;
        }
    }
    net->rows = 0;
    free(found);
    return status;
}

/* ---- The public calls ------------------------------------------------------------------------ */

/* One thread at a time. In a child that was forked during another thread's call, the memory is left
 * to itself: nobody knows how far that call had come. */
static void enter(network *net) {
    if (dc_lock_acquire(&net->lock)) {
        net->memory = NULL;
        net->capacity = 0;
        net->rows = 0;
    }
}

int TYPED(dc_network_forward)(network *net, size_t rows, size_t cols, const real *x, real *y) {
    if (!net || !x || !y) return DC_BAD_POINTER;
    enter(net);
    int status = reserve(net, rows, cols);
    if (!status) status = run_forward(net, rows, x);
    if (!status)
        memcpy(y, net->places[net->count - 1].output, rows * last_width(net) * sizeof(real));
    dc_lock_release(&net->lock);
    return status;
}

int TYPED(dc_network_backward)(network *net, size_t rows, size_t cols, const real *x,
                               const real *d_y, real *d_x) {
    if (!net || !x || !d_y) return DC_BAD_POINTER;
    enter(net);
    int status =
        !net->rows || rows != net->rows || cols != net->cols ? DC_BAD_STATE : check_backward(net);
    if (!status) status = run_backward(net, x, d_y, d_x, NULL);
    dc_lock_release(&net->lock);
    return status;
}

int TYPED(dc_network_train)(network *net, dc_optimizer *optimizer, size_t count,
                            const tensor *tensors, const samples *s, double seconds, size_t *next,
                            double *loss) {
    if (!net || !optimizer || !s || !next || !loss || (count && !tensors)) return DC_BAD_POINTER;
    int status = TYPED(dc_optimizer_check)(optimizer, count, tensors);
    if (!status) status = check_samples(net, s, *next);
    if (status) return status;
    enter(net);
    status = train(net, optimizer, count, tensors, s, seconds, next, loss);
    dc_lock_release(&net->lock);
    return status;
}
