/* A layer of any kind, with what it needs: for tests that go over DC_LAYER_LIST and so forget
 * none. */
#ifndef DEEPC_TEST_ANY_LAYER_H
#define DEEPC_TEST_ANY_LAYER_H

#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "typed/layers/layer.h"

#define DECLARE_KIND(NAME, name, ...) extern const layer_kind TYPED(dc_layer_##name);
DC_LAYER_LIST(DECLARE_KIND)
#undef DECLARE_KIND
static const layer_kind *const kinds[DC_LAYER_COUNT] = {
#define KIND_ENTRY(NAME, name, ...) &TYPED(dc_layer_##name),
    DC_LAYER_LIST(KIND_ENTRY)
#undef KIND_ENTRY
};

/* A layer of 6 inputs that trains; an embedding has a table of 6 rows of 3 and as many inputs as it
 * is given. Each kind uses of the numbers what it knows. */
enum { ANY_INPUTS = 6, ANY_OUTPUTS = 3, ANY_SIZE = ANY_INPUTS * ANY_INPUTS };

typedef struct any_layer {
    dc_layer layer;
    real values[DC_LAYER_PARAMETERS][ANY_SIZE], gradients[DC_LAYER_PARAMETERS][ANY_SIZE];
} any_layer;

static inline int any_traits(const any_layer *a) { return kinds[a->layer.kind]->traits(&a->layer); }

/* `number` gives the values of the parameters, 0.1 to 1. */
static inline void any_layer_make(any_layer *a, int kind, int training, real (*number)(void)) {
    memset(a, 0, sizeof *a);
    a->layer = (dc_layer){.kind = kind,
                          .training = training,
                          .inputs = ANY_INPUTS,
                          .outputs = ANY_OUTPUTS,
                          .activation = DC_TANH,
                          .unbiased = 1,
                          .rate = 0.3,
                          .momentum = 0.9,
                          .epsilon = 1e-3,
                          .key = 7};
    for (int i = 0; i < DC_LAYER_PARAMETERS && kinds[kind]->parameter; i++) {
        const char *name = dc_layer_parameter_name(kind, i);
        const size_t size = kinds[kind]->parameter(&a->layer, i);
        /* The statistics of a batch norm have no gradient. */
        const int state = name && (!strcmp(name, "mean") || !strcmp(name, "variance"));
        if (!name) break;
        if (size > ANY_SIZE) abort();
        for (size_t k = 0; k < size; k++) a->values[i][k] = number();
        a->layer.parameters[i] = (dc_parameter){size, a->values[i], state ? NULL : a->gradients[i]};
    }
}

#endif
