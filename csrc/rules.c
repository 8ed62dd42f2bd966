/* The update rules' facts, made of the list in deepc_rules.h: names, tensors, ranges of settings.
 * The numbers of a step are made in typed/optimizer.c. */
#include "rules.h"

#include <math.h>

/* The words of the list. When a tensor is kept, as bits of which one must hold. */
enum { NEVER = 0, ALWAYS = 1, WITH_MOMENTUM = 2, WITH_AMSGRAD = 4, WITH_CENTERED = 8 };
typedef enum number_range { UNUSED, TO_ONE, BELOW_ONE } number_range;

typedef struct rule_facts {
    const char *name;
    /* The tensors that are kept always, and those that are with a setting. */
    unsigned char always, with_momentum, with_amsgrad, with_centered;
    unsigned char momentum, decay; /* number_range */
} rule_facts;

#define KEPT(when, first, second, third)                                                           \
    (((first) & (when) ? KEEPS_FIRST : 0) | ((second) & (when) ? KEEPS_SECOND : 0) |               \
     ((third) & (when) ? KEEPS_THIRD : 0))

static const rule_facts rules[] = {
#define FACTS(NAME, name, formula, first, second, third, momentum, decay)                          \
    {#name,                                                                                        \
     KEPT(ALWAYS, first, second, third),                                                           \
     KEPT(WITH_MOMENTUM, first, second, third),                                                    \
     KEPT(WITH_AMSGRAD, first, second, third),                                                     \
     KEPT(WITH_CENTERED, first, second, third),                                                    \
     momentum,                                                                                     \
     decay},
    DC_RULE_LIST(FACTS)
#undef FACTS
};

static int is_rule(int rule) { return rule >= 0 && rule < DC_RULE_COUNT; }

const char *dc_rule_name(int rule) { return is_rule(rule) ? rules[rule].name : NULL; }

static int states_of(const rule_facts *r, const dc_optimizer *o) {
    int states = r->always;
    if (r->with_momentum && (o->moving || o->momentum != 0)) states |= r->with_momentum;
    if (o->amsgrad) states |= r->with_amsgrad;
    if (o->centered) states |= r->with_centered;
    if (o->accumulation > 1) states |= KEEPS_ACCUMULATED;
    if (o->average) states |= KEEPS_AVERAGE;
    return states;
}

int dc_optimizer_states(const dc_optimizer *o) {
    return o && is_rule(o->rule) ? states_of(&rules[o->rule], o) : 0;
}

/* False for NaN. */
static int within(double x, double low, double high) { return x >= low && x <= high; }

static int in_range(int range, double x) {
    return range == UNUSED || (within(x, 0, 1) && (range == TO_ONE || x < 1));
}

int dc_clip_check(int clip, double limit, double epsilon) {
    if (clip < DC_CLIP_NONE || clip > DC_CLIP_GLOBAL_NORM) return DC_BAD_NAME;
    if (clip && !(limit > 0)) return DC_BAD_VALUE;
    return clip <= DC_CLIP_VALUE || within(epsilon, 0, HUGE_VAL) ? DC_OK : DC_BAD_VALUE;
}

/* What few rules have. */
static int rest_is_good(const dc_optimizer *o, double largest) {
    if (o->rule == DC_SGD && !within(o->dampening, 0, o->nesterov ? 0 : 1)) return 0;
    if (o->rule == DC_NADAM && !within(o->momentum_decay, 0, largest)) return 0;
    return !o->average || within(o->average_momentum, 0, 1);
}

int dc_rule_check(const dc_optimizer *o, double largest, int *states) {
    if (!is_rule(o->rule)) return DC_BAD_NAME;
    const rule_facts *r = &rules[o->rule];
    *states = states_of(r, o);
    if (o->clip) {
        const int status = dc_clip_check(o->clip, o->clip_limit, o->clip_epsilon);
        if (status) return status;
    }
    const int good = within(o->learning_rate, -largest, largest) &&
                     within(o->weight_decay, 0, largest) && in_range(r->momentum, o->momentum) &&
                     in_range(r->decay, o->decay) &&
                     (!(*states & KEEPS_SECOND) || within(o->epsilon, 0, largest)) &&
                     rest_is_good(o, largest) && o->steps < UINT64_MAX;
    return good ? DC_OK : DC_BAD_VALUE;
}
