/* What a kind of layer is to the network: one table of functions, each kind in a file of this
 * folder.
 *
 * A kind knows nothing of other layers, of the network's memory or of training. It is told of a
 * pass over some rows of a batch and computes them; network.c decides in which memory, in which
 * order and in how many parts. */
#ifndef DEEPC_LAYER_H
#define DEEPC_LAYER_H

#include "../../deepc.h"
#include "../../kernels/table.h"

/* What a kind is like, as a sum. The first three say what the network's buffers must keep between
 * forward and backward. */
enum {
    KEEPS_INPUT = 1, /* backward reads the input */
    KEEPS_OUTPUT = 2, /* backward reads the output */
    /* forward may write its output over its input. */
    IN_PLACE = 4,
    /* It may even do so where the layer before it keeps that as its output: it changes elements to
     * 0 only, and where it does, its own backward gives 0. So the layer before multiplies that 0 by
     * the slope at another output, which must be finite there. */
    ONLY_ZEROS = 8,
    /* A row's output depends on the other rows while it trains: a batch must not be cut. */
    WHOLE_BATCH = 16,
    /* It computes something else while dc_layer.training is not 0. */
    TWO_MODES = 32,
    /* Its input is int64_t, so it is the first one, and there is no d_x. */
    TAKES_INDICES = 64
};

/* One pass over rows first .. first + rows - 1 of a batch of `batch` rows; pointers to data that go
 * with it point to row `first`. */
typedef struct pass {
    size_t first, rows, batch;
    int keep; /* backward may follow: s->kept is there to be filled */
    int sample; /* the batch is one sample that is no batch */
    /* Where this is not NULL, backward makes this step with the gradients of the parameters, of the
     * only row, and puts them nowhere. */
    const update_step *update;
} pass;

/* A layer's place in a network, with all that the network found out about it. */
typedef struct stage {
    const struct layer_kind *kind;
    dc_layer *layer;
    size_t inputs, outputs; /* columns; 0 as long as any number goes */

    /* The plan. */
    const dc_layer *after; /* the activation that is computed with this layer, or NULL */
    const dc_layer *slope; /* the activation before this layer, by whose slope its d_x is to be
                            * multiplied, or NULL */
    int elementwise; /* the kind has IN_PLACE */
    int in_place; /* the output that is kept stands where the input stood */
    int shared; /* the same layer stands further on, so its gradients add up */

    real *output; /* of the last pass that was kept */
    real *kept; /* what the kind keeps beside, see layer_kind.workspace */
    const TYPED(dc_tensor) * tensors[DC_LAYER_PARAMETERS]; /* of a step, or NULL */

    /* What the last forward did, of kinds with two modes. */
    int trained;
    uint64_t counter;
    uint64_t threshold;
    double factor;
} stage;

typedef struct layer_kind {
    /* The sum of what the kind is like, as this layer. */
    int (*traits)(const dc_layer *l);
    /* DC_OK if the layer can be used; parameters are checked by the network. */
    int (*check)(const dc_layer *l);
    /* How many columns come out for so many columns in, 0: that does not go; and how many go in
     * where so many, or 0 for an unknown number, are to come out; 0: any. */
    size_t (*outputs)(const dc_layer *l, size_t inputs);
    size_t (*inputs)(const dc_layer *l, size_t outputs);
    /* How many elements its i-th parameter has; and as bits the parameters that it cannot do
     * without. NULL: the kind has none at all. */
    size_t (*parameter)(const dc_layer *l, int i);
    unsigned needed;
    /* How many elements it keeps of so many rows between forward and backward, beside what its
     * traits say; NULL: none. */
    size_t (*workspace)(const stage *s, size_t rows);
    int updates; /* backward knows pass.update */
    /* Multiply-adds of a row, roughly. */
    size_t (*work)(const stage *s);

    /* y (rows x outputs) from x (rows x inputs). Returns a status. */
    int (*forward)(stage *s, const pass *p, const real *x, real *y);
    /* From d_y to d_x, or NULL where it is not wanted, and to the gradients of the parameters, to
     * which it adds where p->first is not 0 or the stage is shared. y is what forward made, if the
     * kind keeps its output. Returns a status. d_x may be d_y, but for kinds without IN_PLACE. */
    int (*backward)(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x);
    /* Of kinds with two modes: whether backward can follow the last forward; and takes back what
     * the last forward changed in the layer. */
    int (*can_go_back)(const stage *s);
    void (*undo)(stage *s);
} layer_kind;

/* Widths of layers that compute element by element. */
static inline size_t same_width(const dc_layer *l, size_t width) {
    (void)l;
    return width;
}

/* Of kinds without numbers of their own. */
static inline int nothing_to_check(const dc_layer *l) {
    (void)l;
    return DC_OK;
}

/* What a pass of a kind that draws from the layer's stream begins with, in its first part: notes in
 * which mode it is, and takes a number of the stream if in training. */
static inline void start_random_pass(stage *s, const pass *p) {
    dc_layer *l = s->layer;
    s->trained = l->training != 0;
    if (!s->trained) return;
    s->counter = l->counter++;
    l->pass_rate = l->rate;
    l->pass_counter = s->counter;
    l->pass_rows = p->sample ? 0 : p->batch;
    l->pass_cols = s->outputs;
}

static inline void undo_random_pass(stage *s) {
    if (s->trained) s->layer->counter = s->counter;
}

#endif
