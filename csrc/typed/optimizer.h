/* Optimizer steps over checked arguments, for the public functions and for the network. */
#ifndef DEEPC_OPTIMIZER_H
#define DEEPC_OPTIMIZER_H

#include "../deepc.h"
#include "../kernels/table.h"

/* DC_OK if the rule, its settings, the numbers of its next step and all tensors can be used;
 * nothing is changed. */
int TYPED(dc_optimizer_check)(const dc_optimizer *optimizer, size_t count,
                              const TYPED(dc_tensor) * tensors);

/* Whether a step is the kernels' update_outer of each tensor and nothing else, so that a gradient
 * need not be written to memory first. */
int TYPED(dc_update_is_direct)(const dc_optimizer *optimizer, size_t count,
                               const TYPED(dc_tensor) * tensors);

/* *step = the step whose number is optimizer->steps (1 or more, so the caller has counted it
 * already), for the kernels. Call it once a step: it keeps what the rule knows of all steps
 * (momentum_product, moving). */
void TYPED(dc_update_step)(dc_optimizer *optimizer, update_step *step);

#endif
