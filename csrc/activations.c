/* What is known of each activation beside its formula: names, parameters, what its slope needs. */
#include "activations.h"

#include <stddef.h>

enum { OUTPUT, INPUT };

const activation_facts dc_activation_facts[DC_ACTIVATION_COUNT] = {
#define FACTS(NAME, name, kept, parameter, usual, least)                                           \
    {#name, parameter, usual, least, (kept) == INPUT},
    DC_ACTIVATION_LIST(FACTS)
#undef FACTS
};

static const activation_facts *facts_of(int activation) {
    return is_activation(activation) ? &dc_activation_facts[activation] : NULL;
}

const char *dc_activation_name(int activation) {
    const activation_facts *facts = facts_of(activation);
    return facts ? facts->name : NULL;
}

const char *dc_activation_parameter(int activation) {
    const activation_facts *facts = facts_of(activation);
    return facts ? facts->parameter : NULL;
}

double dc_activation_default(int activation) {
    const activation_facts *facts = facts_of(activation);
    return facts ? facts->usual : 0;
}

double dc_activation_least(int activation) {
    const activation_facts *facts = facts_of(activation);
    return facts ? facts->least : 0;
}

int dc_activation_needs_input(int activation) {
    const activation_facts *facts = facts_of(activation);
    return facts && facts->needs_input;
}

int dc_activation_check(int activation, double parameter) {
    return check_activation(activation, parameter);
}
