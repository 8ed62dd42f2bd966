/* What is known of each activation beside its formula, for those inside who check one per call. */
#ifndef DEEPC_ACTIVATION_FACTS_H
#define DEEPC_ACTIVATION_FACTS_H

#include <float.h>

#include "deepc.h"

typedef struct activation_facts {
    const char *name;
    const char *parameter; /* "": it has none */
    double usual, least;
    int needs_input;
} activation_facts;

extern const activation_facts dc_activation_facts[DC_ACTIVATION_COUNT];

static inline int is_activation(int activation) {
    return activation >= 0 && activation < DC_ACTIVATION_COUNT;
}

/* As dc_activation_check, inline because a call over a few elements is not much longer than
 * this. */
static inline int check_activation(int activation, double parameter) {
    if (!is_activation(activation)) return DC_BAD_NAME;
    const activation_facts *facts = &dc_activation_facts[activation];
    if (!*facts->parameter) return DC_OK;
    return parameter >= facts->least && parameter <= (double)FLT_MAX ? DC_OK : DC_BAD_VALUE;
}

#endif
