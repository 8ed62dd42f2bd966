/* The update rules' facts, for both dtypes: see deepc_rules.h. */
#ifndef DEEPC_RULES_FACTS_H
#define DEEPC_RULES_FACTS_H

#include "deepc.h"

/* The tensors that a step may need, as dc_optimizer_states adds them up. */
enum {
    KEEPS_FIRST = 1,
    KEEPS_SECOND = 2,
    KEEPS_THIRD = 4,
    KEEPS_OF_RULE = 7, /* all of them; in a step's form each is HAS_FIRST times this */
    KEEPS_ACCUMULATED = 8,
    KEEPS_AVERAGE = 16
};

/* DC_BAD_NAME or DC_BAD_VALUE if the rule or one of its settings cannot be, else also what
 * dc_optimizer_states says; `largest`: the largest number of the dtype. */
int dc_rule_check(const dc_optimizer *optimizer, double largest, int *states);

/* Likewise for clipping alone. */
int dc_clip_check(int clip, double limit, double epsilon);

#endif
