/* What is known of each loss beside its formula: names, parameters, what its targets are. */
#include "losses.h"

enum { ELEMENTWISE, ROWWISE, OWN };

const loss_facts dc_loss_facts[DC_LOSS_COUNT] = {
#define FACTS(NAME, name, family, targets, parameter, usual, least)                                \
    {#name, parameter, usual, least, targets, (family) != ELEMENTWISE},
    DC_LOSS_LIST(FACTS)
#undef FACTS
};

static const loss_facts *facts_of(int kind) { return is_loss(kind) ? &dc_loss_facts[kind] : NULL; }

const char *dc_loss_name(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts ? facts->name : NULL;
}

const char *dc_loss_parameter(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts ? facts->parameter : NULL;
}

double dc_loss_default(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts ? facts->usual : 0;
}

double dc_loss_least(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts ? facts->least : 0;
}

int dc_loss_takes_labels(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts && facts->targets == CLASSES;
}

int dc_loss_takes_smoothing(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts && facts->targets != NUMBERS;
}

int dc_loss_is_rowwise(int kind) {
    const loss_facts *facts = facts_of(kind);
    return facts && facts->rowwise;
}

int dc_loss_check(const dc_loss_rule *rule) {
    return rule ? check_loss_rule(rule) : DC_BAD_POINTER;
}
