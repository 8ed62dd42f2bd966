/* What is known of each loss beside its formula, for those inside who check a rule per call. */
#ifndef DEEPC_LOSS_FACTS_H
#define DEEPC_LOSS_FACTS_H

#include <float.h>

#include "deepc.h"

typedef enum loss_targets { NUMBERS, CHANCES, CLASSES } loss_targets;

typedef struct loss_facts {
    const char *name;
    const char *parameter; /* "": it has none */
    double usual, least;
    loss_targets targets;
    int rowwise;
} loss_facts;

extern const loss_facts dc_loss_facts[DC_LOSS_COUNT];

static inline int is_loss(int kind) { return kind >= 0 && kind < DC_LOSS_COUNT; }

/* As dc_loss_check, inline because a call over a few elements is not much longer than this. */
static inline int check_loss_rule(const dc_loss_rule *rule) {
    if (!is_loss(rule->kind)) return DC_BAD_NAME;
    if (rule->reduction < DC_SUM || rule->reduction > DC_MEAN_BY_WEIGHT) return DC_BAD_NAME;
    const loss_facts *facts = &dc_loss_facts[rule->kind];
    if (*facts->parameter &&
        !(rule->parameter >= facts->least && rule->parameter <= (double)FLT_MAX))
        return DC_BAD_VALUE;
    const double most = facts->targets == NUMBERS ? 0 : 1;
    return rule->smoothing >= 0 && rule->smoothing <= most ? DC_OK : DC_BAD_VALUE;
}

#endif
