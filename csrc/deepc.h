/* deepc: dense neural networks on the CPU. The functions are described in deepc_api.h; what they
 * take by number stands in the lists. */
#ifndef DEEPC_H
#define DEEPC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "deepc_activations.h"
#include "deepc_api.h"
#include "deepc_layers.h"
#include "deepc_losses.h"
#include "deepc_rules.h"

#ifdef __cplusplus
}
#endif

#endif
