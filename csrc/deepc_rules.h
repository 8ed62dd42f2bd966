/* The update rules: the one list that everything about them follows from.
 *
 * A line is R(NAME, name, FORMULA, first, second, third, momentum, decay):
 *   NAME, name             DC_<NAME> is its number, from 0 in the order of the list; "name" is its
 *                          name everywhere
 *   FORMULA                what it computes, in kernels/update.h; several rules are one formula
 *                          with other numbers, which dc_update_step in typed/optimizer.c makes
 *   first, second, third   when it keeps that tensor beside each parameter: NEVER, ALWAYS, or only
 *                          WITH_MOMENTUM, WITH_AMSGRAD, WITH_CENTERED, that is where the setting of
 *                          that name is not 0
 *   momentum, decay        whether it reads that number, and its range: UNUSED, TO_ONE (0 to 1), or
 *                          BELOW_ONE where the rule divides by 1 - momentum^t or 1 - decay^t
 * deepc_api.h states the formulas; docs/adding.md says what else a new line needs. New lines go to
 * the end: the numbers are part of the interface. */
#ifndef DEEPC_RULES_H
#define DEEPC_RULES_H

#define DC_RULE_LIST(R)                                                                            \
    R(GRADIENT_DESCENT, gradient_descent, DESCENT, NEVER, NEVER, NEVER, UNUSED, UNUSED)            \
    R(MOMENTUM, momentum, DESCENT, ALWAYS, NEVER, NEVER, TO_ONE, UNUSED)                           \
    R(SGD, sgd, DESCENT, WITH_MOMENTUM, NEVER, NEVER, TO_ONE, UNUSED)                              \
    R(RMSPROP, rmsprop, MEAN_SQUARE, WITH_MOMENTUM, ALWAYS, WITH_CENTERED, TO_ONE, TO_ONE)         \
    R(ADAM, adam, MOMENTS, ALWAYS, ALWAYS, WITH_AMSGRAD, BELOW_ONE, BELOW_ONE)                     \
    R(ADAMW, adamw, MOMENTS, ALWAYS, ALWAYS, WITH_AMSGRAD, BELOW_ONE, BELOW_ONE)                   \
    R(ADAGRAD, adagrad, MEAN_SQUARE, NEVER, ALWAYS, NEVER, UNUSED, UNUSED)                         \
    R(ADADELTA, adadelta, DELTAS, ALWAYS, ALWAYS, NEVER, UNUSED, TO_ONE)                           \
    R(ADAMAX, adamax, LARGEST, ALWAYS, ALWAYS, NEVER, BELOW_ONE, TO_ONE)                           \
    R(NADAM, nadam, MOMENTS, ALWAYS, ALWAYS, NEVER, BELOW_ONE, BELOW_ONE)                          \
    R(LION, lion, SIGNS, ALWAYS, NEVER, NEVER, TO_ONE, TO_ONE)

typedef enum dc_rule {
#define DC_RULE_NUMBER(NAME, name, formula, first, second, third, momentum, decay) DC_##NAME,
    DC_RULE_LIST(DC_RULE_NUMBER)
#undef DC_RULE_NUMBER
        DC_RULE_COUNT
} dc_rule;

#endif
