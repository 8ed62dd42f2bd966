/* The kinds of layer: the one list that everything about them follows from.
 *
 * A line is K(NAME, name, parameters ...):
 *   NAME, name   DC_LAYER_<NAME> is its number, from 0 in the order of the list; "name" is its name
 *                everywhere
 *   parameters   the names of its dc_layer.parameters, in order; "" for those it does not have
 * What a kind computes is said at dc_layer in deepc_api.h and done in typed/layers/; docs/adding.md
 * says what else a new line needs. New lines go to the end: the numbers are part of the
 * interface. */
#ifndef DEEPC_LAYERS_H
#define DEEPC_LAYERS_H

#define DC_LAYER_LIST(K)                                                                           \
    K(LINEAR, linear, "weights", "bias", "", "")                                                   \
    K(ACTIVATION, activation, "", "", "", "")                                                      \
    K(DROPOUT, dropout, "", "", "", "")                                                            \
    K(INVERTED_DROPOUT, inverted_dropout, "", "", "", "")                                          \
    K(GAUSSIAN_DROPOUT, gaussian_dropout, "", "", "", "")                                          \
    K(GAUSSIAN_NOISE, gaussian_noise, "", "", "", "")                                              \
    K(SOFTMAX, softmax, "", "", "", "")                                                            \
    K(LOG_SOFTMAX, log_softmax, "", "", "", "")                                                    \
    K(BATCH_NORM, batch_norm, "gamma", "beta", "mean", "variance")                                 \
    K(LAYER_NORM, layer_norm, "gamma", "beta", "", "")                                             \
    K(SLOPES, slopes, "slopes", "", "", "")                                                        \
    K(EMBEDDING, embedding, "table", "", "", "")

typedef enum dc_layer_kind {
#define DC_LAYER_NUMBER(NAME, ...) DC_LAYER_##NAME,
    DC_LAYER_LIST(DC_LAYER_NUMBER)
#undef DC_LAYER_NUMBER
        DC_LAYER_COUNT
} dc_layer_kind;

#endif
