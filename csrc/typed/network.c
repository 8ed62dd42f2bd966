/* The compiled network: what stands in which memory, what is computed together, and the way through
 * all layers and back. What a layer computes is the matter of layers/; training is in training.c.
 *
 * A stage is a layer, or a linear layer with the activation after it: the two are one product with
 * an epilogue. So are, on the way back, the gradient of a linear layer's input and the slope of the
 * activation before it. forward keeps what backward reads, and nothing else. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "../activations.h"
#include "../mode.h"
#include "../tuning.h"
#include "tables.h"

typedef dc_layer layer;
typedef TYPED(dc_network) network;

#define DECLARE(NAME, name, ...) extern const layer_kind TYPED(dc_layer_##name);
DC_LAYER_LIST(DECLARE)
#undef DECLARE

static const layer_kind *const kinds[DC_LAYER_COUNT] = {
#define ENTRY(NAME, name, ...) &TYPED(dc_layer_##name),
    DC_LAYER_LIST(ENTRY)
#undef ENTRY
};

/* ---- The plan -------------------------------------------------------------------------------- */

static int check_layer(const layer *l) {
    if (!l) return DC_BAD_POINTER;
    if (l->kind < 0 || l->kind >= DC_LAYER_COUNT) return DC_BAD_NAME;
    const layer_kind *kind = kinds[l->kind];
    for (int i = 0; i < DC_LAYER_PARAMETERS; i++)
        if (kind->needed >> i & 1 && !l->parameters[i].value) return DC_BAD_POINTER;
    const int status = kind->check(l);
    if (status || !kind->parameter) return status;
    for (int i = 0; i < DC_LAYER_PARAMETERS; i++)
        if (l->parameters[i].value && l->parameters[i].size != kind->parameter(l, i))
            return DC_BAD_SIZE;
    return DC_OK;
}

/* Whether a layer's activation, or its slope, can be part of a product: the slope is then computed
 * from the output, and of a product nothing else is kept. */
static int fuses(const layer *l) {
    return l->kind == DC_LAYER_ACTIVATION && !dc_activation_facts[l->activation].needs_input;
}

/* The activation whose slope a stage's input gradient is to be multiplied by: that of the stage
 * before, whose output is then this one's input. */
static const layer *slope_before(const stage *s) {
    const stage *before = s - 1;
    if (s->kind != kinds[DC_LAYER_LINEAR]) return NULL;
    return before->after ? before->after : fuses(before->layer) ? before->layer : NULL;
}

/* Makes the stages; returns how many. */
static size_t make_stages(size_t count, layer *const *layers, stage *stages) {
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        stage *s = &stages[made];
        if (made > 0 && fuses(layers[i]) && s[-1].kind == kinds[DC_LAYER_LINEAR] && !s[-1].after) {
            s[-1].after = layers[i];
            continue;
        }
        *s = (stage){.kind = kinds[layers[i]->kind], .layer = layers[i]};
        if (made > 0) s->slope = slope_before(s);
        made++;
    }
    return made;
}

/* Only the first layer can be given numbers that name rows. */
static int find_indices(network *net) {
    for (size_t i = 0; i < net->count; i++)
        if (net->stages[i].kind->traits(net->stages[i].layer) & TAKES_INDICES) {
            if (i > 0) return DC_BAD_NAME;
            net->takes_indices = 1;
        }
    return DC_OK;
}

/* Marks the stages whose output may stand where their input stood: those that can do so, where the
 * buffer holds nothing that a backward pass reads. */
static void share_buffers(network *net) {
    int needed = 1; /* what is in the buffer so far; the caller's input is not to be overwritten */
    for (size_t i = 0; i < net->count; i++) {
        stage *s = &net->stages[i];
        const int traits = s->kind->traits(s->layer);
        s->elementwise = (traits & IN_PLACE) != 0;
        s->in_place = i > 0 && s->elementwise && !(traits & KEEPS_INPUT) &&
                      (!needed || (traits & ONLY_ZEROS));
        needed = s->after || (traits & KEEPS_OUTPUT) || (s->in_place && needed);
    }
    net->keeps_last = needed;
}

static int by_layer(const void *a, const void *b) {
    const stage *p = *(const stage *const *)a, *q = *(const stage *const *)b;
    const uintptr_t first = (uintptr_t)p->layer, second = (uintptr_t)q->layer;
    return first != second ? (first > second) - (first < second) : (p > q) - (p < q);
}

/* Marks the stages whose layer stands further on too. */
static int find_shared(network *net) {
    if (net->count == 1) return DC_OK;
    stage **sorted = malloc(net->count * sizeof *sorted);
    if (!sorted) return DC_NO_MEMORY;
    for (size_t i = 0; i < net->count; i++) sorted[i] = &net->stages[i];
    qsort(sorted, net->count, sizeof *sorted, by_layer);
    for (size_t i = 1; i < net->count; i++)
        sorted[i - 1]->shared = sorted[i - 1]->layer == sorted[i]->layer;
    free(sorted);
    return DC_OK;
}

/* The first width, as the layers after it ask for it; 0: any. */
static size_t first_width(const network *net) {
    size_t width = 0;
    for (size_t i = net->count; i-- > 0;)
        width = net->stages[i].kind->inputs(net->stages[i].layer, width);
    return width;
}

/* Sets all widths, given the first one, and what follows from them. */
static int set_widths(network *net, size_t cols) {
    size_t width = cols;
    net->cols = net->widest = cols;
    net->kept = net->work = 0;
    for (size_t i = 0; i < net->count; i++) {
        stage *s = &net->stages[i];
        s->inputs = width;
        s->outputs = width = s->kind->outputs(s->layer, width);
        if (width == 0) return DC_BAD_SIZE;
        if (width > net->widest) net->widest = width;
        if (!s->in_place) net->kept += width;
        net->work += s->kind->work(s) + STAGE_WORK;
    }
    net->last = width;
    net->rows_kept = KEEP_BYTES / sizeof(real) / (net->kept ? net->kept : 1);
    return DC_OK;
}

int TYPED(dc_network_create)(size_t count, layer *const *layers, network **out) {
    if (!layers || !out) return DC_BAD_POINTER;
    if (count == 0) return DC_BAD_SIZE;
    for (size_t i = 0; i < count; i++) {
        const int status = check_layer(layers[i]);
        if (status) return status;
    }
    network *net = calloc(1, sizeof *net);
    stage *stages = calloc(count, sizeof *stages);
    int status = net && stages ? DC_OK : DC_NO_MEMORY;
    if (!status) {
        net->stages = stages;
        net->count = make_stages(count, layers, stages);
        share_buffers(net);
        status = find_shared(net);
        if (!status) status = find_indices(net);
    }
    if (!status) {
        net->inputs = first_width(net);
        if (net->inputs) status = set_widths(net, net->inputs);
        if (net->inputs) net->outputs = net->last;
    }
    if (status) {
        free(stages);
        free(net);
        return status;
    }
    net->pass.keep = 1;
    dc_lock_init(&net->lock);
    *out = net;
    return DC_OK;
}

void TYPED(dc_network_free)(network *net) {
    if (!net) return;
    dc_lock_destroy(&net->lock);
    free(net->outputs_area.memory);
    free(net->gradients_area.memory);
    free(net->batch_area.memory);
    free(net->ring_area.memory);
    free(net->stages);
    free(net);
}

size_t TYPED(dc_network_inputs)(const network *net) { return net ? net->inputs : 0; }

size_t TYPED(dc_network_outputs)(const network *net, size_t cols) {
    if (!net) return 0;
    if (net->inputs) return cols == net->inputs ? net->outputs : 0;
    for (size_t i = 0; i < net->count && cols; i++)
        cols = net->stages[i].kind->outputs(net->stages[i].layer, cols);
    return cols;
}

int TYPED(dc_network_takes_indices)(const network *net) { return net && net->takes_indices; }

/* ---- Memory ---------------------------------------------------------------------------------- */

real *TYPED(dc_area_take)(real *base, size_t *used, size_t count) {
    const size_t line = CACHE_LINE / sizeof(real);
    const size_t at = *used;
    *used += (count + line - 1) / line * line;
    return base ? base + at : NULL;
}

int TYPED(dc_area_reserve)(network *net, area *a, size_t rows,
                           size_t (*lay_out)(network *net, real *base, size_t rows)) {
    if (area_fits(net, a, rows)) return DC_OK;
    /* Measuring takes the places of what was laid out before. A row takes no more among others than
     * alone, so that within this no size can overflow; beyond it no machine has the memory. */
    a->rows = 0;
    if (rows > SIZE_MAX / 2 / sizeof(real) / (lay_out(net, NULL, 1) + 1)) return DC_NO_MEMORY;
    const size_t size = lay_out(net, NULL, rows) * sizeof(real) + CACHE_LINE;
    free(a->memory);
    a->memory = malloc(size);
    if (!a->memory) return DC_NO_MEMORY;
    const uintptr_t start = ((uintptr_t)a->memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
    lay_out(net, (real *)start, rows);
    a->rows = rows;
    a->cols = net->cols;
    return DC_OK;
}

static size_t lay_out_outputs(network *net, real *base, size_t rows) {
    size_t used = 0;
    for (size_t i = 0; i < net->count; i++) {
        stage *s = &net->stages[i];
        if (s->in_place)
            s->output = s[-1].output;
        else if (i + 1 < net->count || net->keeps_last)
            s->output = TYPED(dc_area_take)(base, &used, rows * s->outputs);
        if (s->kind->workspace)
            s->kept = TYPED(dc_area_take)(base, &used, s->kind->workspace(s, rows));
    }
    return used;
}

static size_t lay_out_gradients(network *net, real *base, size_t rows) {
    size_t used = 0;
    for (int i = 0; i < 2; i++)
        net->gradient[i] = TYPED(dc_area_take)(base, &used, rows * net->widest);
    return used;
}

static size_t lay_out_ring(network *net, real *base, size_t rows) {
    size_t used = 0;
    for (int i = 0; i < 2; i++) net->ring[i] = TYPED(dc_area_take)(base, &used, rows * net->widest);
    return used;
}

/* Checks the width of an input and sets all others. */
static int set_input(network *net, size_t cols) {
    if (cols == 0 || (net->inputs && cols != net->inputs)) return DC_BAD_SIZE;
    if (!TYPED(dc_network_outputs)(net, cols)) return DC_BAD_SIZE;
    net->state = FORWARD_NONE;
    return set_widths(net, cols);
}

static int reserve_outputs(network *net, size_t rows) {
    return area_fits(net, &net->outputs_area, rows)
               ? DC_OK
               : TYPED(dc_area_reserve)(net, &net->outputs_area, rows, lay_out_outputs);
}

int TYPED(dc_network_reserve)(network *net, size_t rows, size_t cols) {
    const int status = cols == net->cols ? DC_OK : set_input(net, cols);
    if (status) return status;
    net->state = FORWARD_NONE;
    net->pass.rows = net->pass.batch = rows;
    net->pass.sample = 0;
    return reserve_outputs(net, rows);
}

int TYPED(dc_network_reserve_gradients)(network *net, size_t rows) {
    return TYPED(dc_area_reserve)(net, &net->gradients_area, rows, lay_out_gradients);
}

/* ---- Long passes ----------------------------------------------------------------------------- */

/* Between two parts of a pass: asks every WATCH_SECONDS whether somebody wants it to end. */
static int look(watch *w, int cut) {
    const double now = dc_seconds(), took = now - w->looked;
    w->looked = now;
    if (cut && took < WATCH_SECONDS / 4 && w->part_work < WATCH_MOST_WORK) w->part_work *= 2;
    if (cut && took > WATCH_SECONDS && w->part_work > WATCH_LEAST_WORK) w->part_work /= 2;
    if (now - w->asked < WATCH_SECONDS) return DC_OK;
    w->asked = now;
    return w->interrupted() ? DC_INTERRUPTED : DC_OK;
}

/* How many rows of a stage to compute between two looks: whole blocks of a sum over the rows, so
 * that the gradients, which add up over the parts, have the bits of one sum. */
static size_t part_of(const stage *s, size_t rows, const watch *w) {
    if (s->kind->traits(s->layer) & WHOLE_BATCH) return rows;
    const size_t most = w->part_work / (s->kind->work(s) + 1) / K_BLOCK * K_BLOCK;
    return most < K_BLOCK ? K_BLOCK : most;
}

/* Row `first` of a stage's input. */
static const real *input_row(const network *net, const stage *s, const real *x, size_t first) {
    const size_t size = s == net->stages ? input_size(net) : sizeof(real);
    return (const real *)(const void *)((const char *)x + first * s->inputs * size);
}

/* One stage forward, or back where d_y is given, in parts. */
static int run_watched(network *net, stage *s, const real *x, real *y, const real *d_y, real *d_x) {
    int status = DC_OK;
    pass p = net->pass;
    while (p.first < net->pass.rows && !status) {
        const size_t left = net->pass.rows - p.first, most = part_of(s, left, net->watch);
        const size_t out = p.first * s->outputs;
        const real *input = input_row(net, s, x, p.first);
        p.rows = left < most ? left : most;
        status = d_y ? s->kind->backward(s, &p, input, y ? y + out : NULL, d_y + out,
                                         d_x ? d_x + p.first * s->inputs : NULL)
                     : s->kind->forward(s, &p, input, y + out);
        if (!status) status = look(net->watch, p.rows < net->pass.rows);
        p.first += p.rows;
    }
    return status;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* Takes back what a pass changed in the first `count` stages; the same layer may be in several. */
static void undo(network *net, size_t count) {
    while (count-- > 0)
        if (net->stages[count].kind->undo) net->stages[count].kind->undo(&net->stages[count]);
}

void TYPED(dc_network_undo)(network *net) { undo(net, net->count); }

int TYPED(dc_network_run)(network *net, const void *x, real *last) {
    const real *input = x;
    if (!net->keeps_last) net->stages[net->count - 1].output = last;
    for (size_t i = 0; i < net->count; i++) {
        stage *s = &net->stages[i];
        const int status = net->watch ? run_watched(net, s, input, s->output, NULL, NULL)
                                      : s->kind->forward(s, &net->pass, input, s->output);
        if (status) {
            undo(net, i + 1);
            return status;
        }
        input = s->output;
    }
    return DC_OK;
}

/* Runs all layers block by block of rows in two buffers and keeps nothing. */
static int run_in_blocks(network *net, const real *x, real *y) {
    const size_t most = RING_BYTES / sizeof(real) / net->widest / K_BLOCK * K_BLOCK;
    const size_t rows = net->pass.rows;
    size_t block = most < K_BLOCK ? K_BLOCK : most;
    if (block > rows) block = rows; /* which may be very wide */
    int status = net->count > 1 ? TYPED(dc_area_reserve)(net, &net->ring_area, block, lay_out_ring)
                                : DC_OK; /* it computes from x to y */
    pass p = net->pass;
    p.keep = 0;
    for (; p.first < rows && !status; p.first += p.rows) {
        p.rows = rows - p.first < block ? rows - p.first : block;
        const real *input = input_row(net, net->stages, x, p.first);
        int buffer = 0;
        for (size_t i = 0; i < net->count && !status; i++) {
            stage *s = &net->stages[i];
            real *output = i + 1 == net->count       ? y + p.first * net->last
                           : i > 0 && s->elementwise ? net->ring[buffer]
                                                     : net->ring[buffer ^= 1];
            status = s->kind->forward(s, &p, input, output);
            input = output;
        }
    }
    return status;
}

/* Whether a layer is in training. */
static int trains(const network *net) {
    for (size_t i = 0; i < net->count; i++) {
        const layer *l = net->stages[i].layer;
        if (l->training && (net->stages[i].kind->traits(l) & TWO_MODES)) return 1;
    }
    return 0;
}

static int forward(network *net, size_t rows, int sample, size_t cols, const real *x, real *y) {
    int status = cols == net->cols ? DC_OK : set_input(net, cols);
    if (status) return status;
    net->state = FORWARD_NONE;
    net->pass.rows = net->pass.batch = rows;
    net->pass.sample = sample;
    if (rows > net->rows_kept && !trains(net)) {
        status = run_in_blocks(net, x, y);
        if (!status) net->state = FORWARD_LOST;
        return status;
    }
    status = reserve_outputs(net, rows);
    if (!status && rows > 0) status = TYPED(dc_network_run)(net, x, y);
    if (status) return status;
    if (net->keeps_last && rows > 0)
        memcpy(y, net->stages[net->count - 1].output, rows * net->last * sizeof(real));
    net->state = FORWARD_KEPT;
    return DC_OK;
}

/* ---- Backward -------------------------------------------------------------------------------- */

int TYPED(dc_network_run_back)(network *net, const void *x, const real *d_y, real *d_x) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const real *gradient = d_y;
    int buffer = 0;
    int slope_done = 0; /* the slope of this stage's activation is in the gradient already */
    for (size_t i = net->count; i-- > 0;) {
        stage *s = &net->stages[i];
        const real *input = i > 0 ? s[-1].output : x;
        /* A gradient may be overwritten by the one that comes from it, but for the caller's. */
        if (s->after && !slope_done) {
            real *to = gradient != d_y ? (real *)gradient : net->gradient[buffer ^= 1];
            kernel->activation_backward(s->after->activation, (real)s->after->activation_parameter,
                                        net->pass.rows * s->outputs, s->output, gradient, to, 0);
            gradient = to;
        }
        real *next = i == 0                              ? d_x
                     : s->elementwise && gradient != d_y ? (real *)gradient
                                                         : net->gradient[buffer ^= 1];
        if (slope_done && !s->after) {
            if (next && next != gradient)
                memcpy(next, gradient, net->pass.rows * s->inputs * sizeof(real));
        } else {
            const int status =
                net->watch ? run_watched(net, s, input, s->output, gradient, next)
                           : s->kind->backward(s, &net->pass, input, s->output, gradient, next);
            if (status) return status;
        }
        slope_done = s->slope && next;
        gradient = next;
    }
    return DC_OK;
}

/* Sets the gradients of all parameters to 0. */
static void clear_gradients(network *net) {
    for (size_t i = 0; i < net->count; i++)
        for (int k = 0; k < DC_LAYER_PARAMETERS; k++) {
            const dc_parameter *p = &net->stages[i].layer->parameters[k];
            if (net->stages[i].kind->parameter && p->value && p->gradient)
                memset(p->gradient, 0, p->size * sizeof(real));
        }
}

int TYPED(dc_network_can_go_back)(const network *net) {
    for (size_t i = 0; i < net->count; i++) {
        const stage *s = &net->stages[i];
        if (s->kind->can_go_back && !s->kind->can_go_back(s)) return DC_BAD_STATE;
    }
    return DC_OK;
}

static int backward(network *net, const real *x, const real *d_y, real *d_x) {
    const size_t rows = net->pass.rows;
    if (rows == 0) {
        clear_gradients(net);
        return DC_OK;
    }
    int status = TYPED(dc_network_can_go_back)(net);
    if (!status) status = TYPED(dc_network_reserve_gradients)(net, rows);
    if (!status && net->state == FORWARD_LOST) {
        /* Nothing trained then, so nothing in a layer changes if it is done again. */
        if (trains(net)) return DC_BAD_STATE;
        real *last = net->gradient[0]; /* which nobody reads */
        status = reserve_outputs(net, rows);
        if (!status) status = TYPED(dc_network_run)(net, x, last);
        if (!status) net->state = FORWARD_KEPT;
    }
    if (status) return status;
    if (rows > net->rows_kept) net->rows_kept = rows;
    return TYPED(dc_network_run_back)(net, x, d_y, d_x);
}

/* ---- The public calls ------------------------------------------------------------------------ */

/* In a child that was forked during another thread's call, the memory is left to itself: nobody
 * knows how far that call had come. */
void TYPED(dc_network_enter)(network *net) {
    if (dc_lock_acquire(&net->lock)) {
        net->outputs_area = net->gradients_area = net->batch_area = net->ring_area = (area){0};
        net->state = FORWARD_NONE;
        net->pass.update = NULL;
        net->watch = NULL;
    }
}

/* x is of the type that `indices` says. */
static int call_forward(network *net, size_t rows, int sample, size_t cols, int indices,
                        const void *x, real *y) {
    DEFAULT_MODE;
    if (!net || (rows > 0 && (!x || !y))) return DC_BAD_POINTER;
    if (indices != net->takes_indices) return DC_BAD_NAME;
    TYPED(dc_network_enter)(net);
    const int status = forward(net, rows, sample, cols, x, y);
    dc_lock_release(&net->lock);
    return status;
}

int TYPED(dc_network_forward)(network *net, size_t rows, size_t cols, const real *x, real *y) {
    return call_forward(net, rows, 0, cols, 0, x, y);
}

int TYPED(dc_network_forward_sample)(network *net, size_t cols, const real *x, real *y) {
    return call_forward(net, 1, 1, cols, 0, x, y);
}

int TYPED(dc_network_forward_indices)(network *net, size_t rows, size_t cols, const int64_t *x,
                                      real *y) {
    return call_forward(net, rows, 0, cols, 1, x, y);
}

static int call_backward(network *net, size_t rows, size_t cols, int indices, const void *x,
                         const real *d_y, real *d_x) {
    DEFAULT_MODE;
    if (!net || (rows > 0 && (!x || !d_y))) return DC_BAD_POINTER;
    if (indices != net->takes_indices) return DC_BAD_NAME;
    TYPED(dc_network_enter)(net);
    int status = net->state == FORWARD_NONE || rows != net->pass.rows || cols != net->cols
                     ? DC_BAD_STATE
                     : backward(net, x, d_y, d_x);
    dc_lock_release(&net->lock);
    return status;
}

int TYPED(dc_network_backward)(network *net, size_t rows, size_t cols, const real *x,
                               const real *d_y, real *d_x) {
    return call_backward(net, rows, cols, 0, x, d_y, d_x);
}

int TYPED(dc_network_backward_indices)(network *net, size_t rows, size_t cols, const int64_t *x,
                                       const real *d_y) {
    return call_backward(net, rows, cols, 1, x, d_y, NULL);
}
