/* The losses: the one list that everything about them follows from.
 *
 * A line is L(NAME, name, FAMILY, TARGETS, parameter, usual, least):
 *   NAME, name   DC_<NAME> is its number, from 0 in the order of the list; "name" is its name
 *                everywhere
 *   FAMILY       ELEMENTWISE: a row's loss is the sum of its elements', each of which depends on
 *                one prediction and one target. ROWWISE: it depends on the whole row. OWN:
 *                likewise, with loops of its own
 *   TARGETS      NUMBERS: any. CHANCES: the probability of yes, which may be smoothed. CLASSES: the
 *                probability of each class, which may be smoothed, or a label, the number of the
 *                class that was right
 *   parameter    the name of its parameter, or "" for none; `usual` is the parameter's value where
 *                a user gives none, `least` the smallest that makes sense
 * The formulas, value and slope, are in kernels/losses.h; docs/adding.md says what else a new line
 * needs. New lines go to the end: the numbers are part of the interface. */
#ifndef DEEPC_LOSSES_H
#define DEEPC_LOSSES_H

#define DC_LOSS_LIST(L)                                                                            \
    L(SQUARED_ERROR, squared_error, ELEMENTWISE, NUMBERS, "", 0, 0)                                \
    L(SOFTMAX_CROSS_ENTROPY, softmax_cross_entropy, OWN, CLASSES, "", 0, 0)                        \
    L(ABSOLUTE_ERROR, absolute_error, ELEMENTWISE, NUMBERS, "", 0, 0)                              \
    L(HUBER, huber, ELEMENTWISE, NUMBERS, "delta", 1, 0x1p-149)                                    \
    L(SMOOTH_L1, smooth_l1, ELEMENTWISE, NUMBERS, "beta", 1, 0)                                    \
    L(LOG_COSH, log_cosh, ELEMENTWISE, NUMBERS, "", 0, 0)                                          \
    L(ABSOLUTE_PERCENTAGE_ERROR, absolute_percentage_error, ELEMENTWISE, NUMBERS, "epsilon", 1e-7, \
      0)                                                                                           \
    L(SQUARED_LOGARITHMIC_ERROR, squared_logarithmic_error, ELEMENTWISE, NUMBERS, "epsilon", 1e-7, \
      0)                                                                                           \
    L(BINARY_CROSS_ENTROPY, binary_cross_entropy, ELEMENTWISE, CHANCES, "epsilon", 1e-7, 0)        \
    L(BINARY_CROSS_ENTROPY_CLAMPED, binary_cross_entropy_clamped, ELEMENTWISE, CHANCES, "", 0, 0)  \
    L(BINARY_CROSS_ENTROPY_LOGITS, binary_cross_entropy_logits, ELEMENTWISE, CHANCES,              \
      "positive_weight", 1, 0)                                                                     \
    L(POISSON, poisson, ELEMENTWISE, NUMBERS, "epsilon", 1e-7, 0)                                  \
    L(KL_DIVERGENCE, kl_divergence, ELEMENTWISE, NUMBERS, "epsilon", 1e-7, 0)                      \
    L(HINGE, hinge, ELEMENTWISE, NUMBERS, "", 0, 0)                                                \
    L(SQUARED_HINGE, squared_hinge, ELEMENTWISE, NUMBERS, "", 0, 0)                                \
    L(CATEGORICAL_HINGE, categorical_hinge, ROWWISE, CLASSES, "", 0, 0)                            \
    L(CATEGORICAL_CROSS_ENTROPY, categorical_cross_entropy, ROWWISE, CLASSES, "epsilon", 1e-7, 0)  \
    L(NEGATIVE_LOG_LIKELIHOOD, negative_log_likelihood, ROWWISE, CLASSES, "", 0, 0)                \
    L(COSINE_SIMILARITY, cosine_similarity, ROWWISE, NUMBERS, "epsilon", 1e-7, 0)

typedef enum dc_loss_kind {
#define DC_LOSS_NUMBER(NAME, name, family, targets, parameter, usual, least) DC_##NAME,
    DC_LOSS_LIST(DC_LOSS_NUMBER)
#undef DC_LOSS_NUMBER
        DC_LOSS_COUNT
} dc_loss_kind;

#endif
