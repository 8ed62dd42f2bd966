/* The digest of every update rule: its kernels and its steps in all forms (rule_cases.h), the
 * latter with one thread and with two. A line for each, so that it shows which of them has other
 * bits. digest_rules_f64.c is the same for double. */
#include "digest_inputs.h"
#include "kernels/table.h"
#include "rule_cases.h"
#include "typed/optimizer.h"
#include "typed/tables.h"

enum { STATES = 5, LARGE_UPDATE = (1 << 18) + 12345 };

/* Parameter, gradient and all states of n elements; the averages of squares are not 0. */
static TYPED(dc_tensor) tensor_of(number_kind kind, size_t n) {
    return (TYPED(dc_tensor)){.size = n,
                              .gradient = numbers(kind, n),
                              .parameter = numbers(ORDINARY, n + 1),
                              .first = zeros(n + 1),
                              .second = zeros(n + 1),
                              .third = zeros(n + 1),
                              .accumulated = zeros(n + 1),
                              .average = zeros(n + 1)};
}

static void add_tensor(uint64_t *digest, const TYPED(dc_tensor) * t) {
    const real *const arrays[] = {t->parameter, t->first,       t->second,
                                  t->third,     t->accumulated, t->average};
    for (size_t i = 0; i < COUNT(arrays); i++) add_reals(digest, t->size + 1, arrays[i]);
}

/* Two steps over rows x cols elements; the gradient flat, or as an outer product. */
static void kernel_case(uint64_t *digest, const dc_optimizer *rule, number_kind kind, int outer,
                        size_t rows, size_t cols) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    start_case();
    const TYPED(dc_tensor) t = tensor_of(kind, rows * cols);
    const real *x = numbers(ORDINARY, rows), *g = numbers(kind, cols);
    dc_optimizer o = *rule;
    for (o.steps = 1; o.steps <= 2; o.steps++) {
        update_step step;
        TYPED(dc_update_step)(&o, &step);
        if (outer)
            kernel->update_outer(&step, rows, cols, x, g, t.parameter, t.first, t.second);
        else
            kernel->update(&step, rows * cols, t.gradient, t.parameter, t.first, t.second, t.third);
    }
    add_tensor(digest, &t);
}

static void step_case(uint64_t *digest, const dc_optimizer *rule, size_t n) {
    start_case();
    const TYPED(dc_tensor)
        tensors[2] = {tensor_of(ORDINARY, n / 3), tensor_of(ORDINARY, n - n / 3)};
    dc_optimizer o = *rule;
    for (int step = 0; step < 2; step++)
        *digest = digest_word(*digest, (uint64_t)TYPED(dc_optimizer_step)(&o, 2, tensors), 1);
    for (size_t t = 0; t < 2; t++) add_tensor(digest, &tensors[t]);
}

static uint64_t digest_of(int rule) {
    static const size_t widths[] = {1, 7, 16, 65, 600};
    const int before = dc_num_threads();
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    start_workload();
    for (int form = 0; form < RULE_FORMS; form++) {
        const dc_optimizer o = rule_form(rule, form);
        for (int kind = 0; kind < NUMBER_KINDS; kind++)
            for (size_t i = 0; i < COUNT(lengths) && lengths[i] <= 128; i += form ? 3 : 1)
                kernel_case(&digest, &o, (number_kind)kind, 0, 1, lengths[i]);
        for (size_t rows = 1; rows <= 19 && !(dc_optimizer_states(&o) & 4); rows += 9)
            for (size_t i = 0; i < COUNT(widths); i++)
                kernel_case(&digest, &o, (number_kind)(turn++ % NUMBER_KINDS), 1, rows, widths[i]);
        for (int threads = 1; threads <= 2; threads++) {
            dc_set_num_threads(threads);
            step_case(&digest, &o, 71);
            /* With norms, whose sums are split too, and one after another without. */
            if (form == rule || o.clip == DC_CLIP_NORM) step_case(&digest, &o, LARGE_UPDATE);
        }
        dc_set_num_threads(before);
    }
    return digest;
}

#define DIGEST_OF(NAME, name, ...)                                                                 \
    static uint64_t digest_##name(void) { return digest_of(DC_##NAME); }
DC_RULE_LIST(DIGEST_OF)

#define ENTRY(NAME, name, ...) {"rule:" #name, digest_##name},
const workload TYPED(rule_workloads)[] = {DC_RULE_LIST(ENTRY){NULL, NULL}};
