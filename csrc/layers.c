/* The names of the kinds of layer and of their parameters. */
#include <stddef.h>

#include "deepc.h"

typedef struct kind_names {
    const char *name;
    const char *parameters[DC_LAYER_PARAMETERS];
} kind_names;

static const kind_names names[DC_LAYER_COUNT] = {
#define NAMES(NAME, name, ...) {#name, {__VA_ARGS__}},
    DC_LAYER_LIST(NAMES)
#undef NAMES
};

const char *dc_layer_kind_name(int kind) {
    return kind >= 0 && kind < DC_LAYER_COUNT ? names[kind].name : NULL;
}

const char *dc_layer_parameter_name(int kind, int i) {
    if (!dc_layer_kind_name(kind) || i < 0 || i >= DC_LAYER_PARAMETERS) return NULL;
    return *names[kind].parameters[i] ? names[kind].parameters[i] : NULL;
}
