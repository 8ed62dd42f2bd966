/* Optimizer steps over checked arguments, for the public functions and for the network. */
#ifndef DEEPC_OPTIMIZER_H
#define DEEPC_OPTIMIZER_H

#include "../deepc.h"
#include "../kernels/table.h"

/* DC_OK if the rule, its numbers and all tensors can be used; nothing is changed. */
int TYPED(dc_optimizer_check)(const dc_optimizer *optimizer, size_t count,
                              const TYPED(dc_tensor) * tensors);

/* The step whose number is optimizer->steps (1 or more, so the caller has counted it already), for
 * the kernels. */
update_step TYPED(dc_update_step)(const dc_optimizer *optimizer);

#endif
