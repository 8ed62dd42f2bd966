/* What a call costs: every kind of call at its smallest size, then whole networks forward, step
 * by step and an epoch in one call. Networks are checked against the same network in double
 * before they are timed. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "deepc.h"
#include "harness.h"
#include "reference.h"

/* ---- The smallest calls ---------------------------------------------------------------------- */

static float x[16], y[16], z[16];
static const int64_t labels[1] = {1};
static double loss;
static const dc_loss_rule sum_of_losses = {.kind = DC_SOFTMAX_CROSS_ENTROPY};
static const dc_loss_rule mean_loss = {.kind = DC_SOFTMAX_CROSS_ENTROPY,
                                       .reduction = DC_MEAN_OF_ROWS};
static volatile int threads;

static void call_nothing(void *context) { (void)context, threads = dc_num_threads(); }
static void call_matmul(void *context) {
    (void)context, dc_matmul_f32(0, 0, 1, 1, 1, x, 1, y, 1, 0, NULL, 0, 0, z, 1);
}
static void call_exp(void *context) { (void)context, dc_exp_f32(1, x, z); }
static void call_tanh(void *context) {
    (void)context, dc_activation_forward_f32(DC_TANH, 0, 1, x, z);
}
static void call_tanh_backward(void *context) {
    (void)context, dc_activation_backward_f32(DC_TANH, 0, 1, x, y, z);
}
static void call_sum(void *context) { (void)context, loss = dc_sum_f32(1, x); }
static void call_softmax(void *context) { (void)context, dc_softmax_f32(1, 2, x, z); }
static void call_loss(void *context) {
    (void)context;
    dc_loss_f32(&sum_of_losses, 1, 2, x, NULL, labels, NULL, 1, &loss, z);
}
static void call_dropout(void *context) { (void)context, dc_dropout_f32(1, 0, 0.5, 1, x, z); }
static void call_step(void *context) {
    static dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 1e-9};
    const dc_tensor_f32 tensor = {.size = 1, .gradient = x, .parameter = z};
    (void)context, dc_optimizer_step_f32(&optimizer, 1, &tensor);
}

static void smallest_calls(void) {
    static const struct {
        const char *name;
        void (*run)(void *);
    } calls[] = {
        {"a function that only returns", call_nothing},
        {"matmul 1x1x1", call_matmul},
        {"exp 1", call_exp},
        {"tanh 1", call_tanh},
        {"tanh backward 1", call_tanh_backward},
        {"sum 1", call_sum},
        {"softmax 1x2", call_softmax},
        {"cross-entropy 1x2", call_loss},
        {"dropout 1", call_dropout},
        {"optimizer step of 1 parameter", call_step},
    };
    bench_group("the smallest calls, f32");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        bench_case c = {.bits = 32, .run = calls[i].run};
        snprintf(c.name, sizeof c.name, "%s", calls[i].name);
        bench_add(&c);
    }
    bench_run_group();
}

/* ---- Networks -------------------------------------------------------------------------------- */

enum { MOST_LINEAR = 3, MOST_WIDTHS = MOST_LINEAR + 1, CHECKED_STEPS = 2 };

static const struct {
    const char *name;
    size_t linear, widths[MOST_WIDTHS], batch;
    int activation;
    const char *rule_name;
    dc_optimizer rule;
} networks[] = {
    {"10-25-4 tanh",
     2,
     {10, 25, 4},
     1,
     DC_TANH,
     "momentum",
     {.rule = DC_MOMENTUM, .learning_rate = 0.01, .momentum = 0.9}},
    {"784-30-10-10 tanh",
     3,
     {784, 30, 10, 10},
     1,
     DC_TANH,
     "momentum",
     {.rule = DC_MOMENTUM, .learning_rate = 0.01, .momentum = 0.99}},
    {"4-32-32-2 tanh",
     3,
     {4, 32, 32, 2},
     1,
     DC_TANH,
     "sgd",
     {.rule = DC_SGD, .learning_rate = 0.01}},
    {"4-32-32-2 tanh",
     3,
     {4, 32, 32, 2},
     32,
     DC_TANH,
     "adam",
     {.rule = DC_ADAM, .learning_rate = 1e-3, .momentum = 0.9, .decay = 0.999, .epsilon = 1e-8}},
    {"64-64-64-2 tanh",
     3,
     {64, 64, 64, 2},
     64,
     DC_TANH,
     "adam",
     {.rule = DC_ADAM, .learning_rate = 1e-3, .momentum = 0.9, .decay = 0.999, .epsilon = 1e-8}},
    {"784-128-10 relu",
     2,
     {784, 128, 10},
     32,
     DC_RELU,
     "adam",
     {.rule = DC_ADAM, .learning_rate = 1e-3, .momentum = 0.9, .decay = 0.999, .epsilon = 1e-8}},
    {"784-128-10 relu",
     2,
     {784, 128, 10},
     64,
     DC_RELU,
     "sgd",
     {.rule = DC_SGD, .learning_rate = 0.01}},
    {"784-512-10 relu",
     2,
     {784, 512, 10},
     128,
     DC_RELU,
     "rmsprop",
     {.rule = DC_RMSPROP, .learning_rate = 1e-3, .decay = 0.9, .epsilon = 1e-7}},
};

typedef struct model {
    size_t linear, layer_count, widths[MOST_WIDTHS], batch, rows;
    int activation;
    dc_optimizer optimizer;
    dc_layer layers[2 * MOST_LINEAR];
    dc_tensor_f32 tensors[2 * MOST_LINEAR];
    dc_network_f32 *network;
    float *x, *output, *d_output;
    int64_t *labels;
    /* The same in double: a parameter, its gradient and its two states side by side, tensor by
     * tensor. */
    double *twin[2 * MOST_LINEAR];
} model;

static void add_linear(model *m, size_t l, dc_layer *layer) {
    const size_t inputs = m->widths[l], outputs = m->widths[l + 1];
    const double range = sqrt(3.0 / (double)inputs);
    *layer = (dc_layer){.kind = DC_LAYER_LINEAR, .inputs = inputs, .outputs = outputs};
    layer->parameters[0] =
        (dc_parameter){inputs * outputs, bench_floats(inputs * outputs, -range, range),
                       bench_floats(inputs * outputs, 0, 0)};
    layer->parameters[1] =
        (dc_parameter){outputs, bench_floats(outputs, -range, range), bench_floats(outputs, 0, 0)};
    const int first = reference_has_first(&m->optimizer),
              second = reference_has_second(&m->optimizer);
    for (int which = 0; which < 2; which++) {
        const dc_parameter *p = &layer->parameters[which];
        m->tensors[2 * l + (size_t)which] = (dc_tensor_f32){
            .size = p->size,
            .gradient = p->gradient,
            .parameter = p->value,
            .first = first ? bench_floats(p->size, 0, 0) : NULL,
            .second = second ? bench_floats(p->size, 0, 0) : NULL,
        };
    }
}

static model *make_model(size_t which) {
    model *m = bench_memory(sizeof *m);
    m->linear = networks[which].linear;
    memcpy(m->widths, networks[which].widths, sizeof m->widths);
    m->batch = networks[which].batch;
    m->activation = networks[which].activation;
    m->optimizer = networks[which].rule;
    dc_layer *pointers[2 * MOST_LINEAR];
    for (size_t l = 0; l < m->linear; l++) {
        if (l > 0)
            m->layers[m->layer_count++] =
                (dc_layer){.kind = DC_LAYER_ACTIVATION, .activation = m->activation};
        add_linear(m, l, &m->layers[m->layer_count++]);
    }
    for (size_t l = 0; l < m->layer_count; l++) pointers[l] = &m->layers[l];
    bench_check(dc_network_create_f32(m->layer_count, pointers, &m->network), "dc_network_create");
    const size_t outputs = m->widths[m->linear];
    m->rows = m->batch * (m->batch < 16 ? 256 : 16);
    m->x = bench_floats(m->rows * m->widths[0], -1, 1);
    m->labels = bench_memory(m->rows * sizeof *m->labels);
    for (size_t i = 0; i < m->rows; i++) m->labels[i] = (int64_t)(i * 7 % outputs);
    m->output = bench_floats(m->batch * outputs, 0, 0);
    m->d_output = bench_floats(m->batch * outputs, 0, 0);
    return m;
}

static void run_forward(void *context) {
    model *m = context;
    dc_network_forward_f32(m->network, m->batch, m->widths[0], m->x, m->output);
}

static void run_steps(void *context) {
    model *m = context;
    run_forward(m);
    dc_loss_f32(&mean_loss, m->batch, m->widths[m->linear], m->output, NULL, m->labels, NULL, 1,
                &loss, m->d_output);
    dc_network_backward_f32(m->network, m->batch, m->widths[0], m->x, m->d_output, NULL);
    dc_optimizer_step_f32(&m->optimizer, 2 * m->linear, m->tensors);
}

static int train(model *m, size_t rows) {
    const dc_samples_f32 samples = {
        .rows = rows,
        .cols = m->widths[0],
        .x = m->x,
        .labels = m->labels,
        .batch_size = m->batch,
        .loss = mean_loss,
    };
    size_t next = 0;
    loss = 0;
    return dc_network_train_f32(m->network, &m->optimizer, 2 * m->linear, m->tensors, &samples, 1e9,
                                &next, &loss);
}

static void run_epoch(void *context) {
    model *m = context;
    train(m, m->rows);
}

/* ---- The same network in double -------------------------------------------------------------- */

/* Starts with the model's parameters and no state. */
static void make_twin(model *m) {
    for (size_t t = 0; t < 2 * m->linear; t++) {
        m->twin[t] = bench_doubles(4 * m->tensors[t].size, 0, 0);
        for (size_t i = 0; i < m->tensors[t].size; i++)
            m->twin[t][4 * i] = (double)m->tensors[t].parameter[i];
    }
}

/* h[0] = input, h[l + 1] = layer l's output after the activation, of one sample. */
static void twin_forward(const model *m, const float *input, double *h[MOST_WIDTHS]) {
    for (size_t i = 0; i < m->widths[0]; i++) h[0][i] = (double)input[i];
    for (size_t l = 0; l < m->linear; l++) {
        const size_t inputs = m->widths[l], outputs = m->widths[l + 1];
        const double *w = m->twin[2 * l], *b = m->twin[2 * l + 1];
        for (size_t o = 0; o < outputs; o++) h[l + 1][o] = b[4 * o];
        for (size_t i = 0; i < inputs; i++) {
            for (size_t o = 0; o < outputs; o++) h[l + 1][o] += h[l][i] * w[4 * (i * outputs + o)];
        }
        if (l + 1 == m->linear) continue;
        for (size_t o = 0; o < outputs; o++)
            h[l + 1][o] = reference_activation(m->activation, h[l + 1][o]);
    }
}

/* Adds the gradients of one sample; d[l] is the gradient of h[l], given for the last one. */
static void twin_backward(const model *m, double *h[MOST_WIDTHS], double *d[MOST_WIDTHS]) {
    for (size_t l = m->linear; l-- > 0;) {
        const size_t inputs = m->widths[l], outputs = m->widths[l + 1];
        double *w = m->twin[2 * l], *b = m->twin[2 * l + 1];
        for (size_t o = 0; o < outputs; o++) {
            if (l + 1 < m->linear) d[l + 1][o] *= reference_slope(m->activation, h[l + 1][o]);
            b[4 * o + 1] += d[l + 1][o];
        }
        for (size_t i = 0; i < inputs; i++) {
            d[l][i] = 0;
            for (size_t o = 0; o < outputs; o++) {
                w[4 * (i * outputs + o) + 1] += h[l][i] * d[l + 1][o];
                d[l][i] += w[4 * (i * outputs + o)] * d[l + 1][o];
            }
        }
    }
}

/* One step over a batch; returns the sum of the losses. */
static double twin_step(model *m, double t, const float *input, const int64_t *classes) {
    double *h[MOST_WIDTHS], *d[MOST_WIDTHS], sum = 0;
    const size_t outputs = m->widths[m->linear];
    for (size_t l = 0; l <= m->linear; l++) {
        h[l] = bench_doubles(m->widths[l], 0, 0);
        d[l] = bench_doubles(m->widths[l], 0, 0);
    }
    for (size_t row = 0; row < m->batch; row++) {
        twin_forward(m, input + row * m->widths[0], h);
        double *last = d[m->linear];
        sum += reference_softmax(outputs, h[m->linear], last) - h[m->linear][classes[row]];
        last[classes[row]] -= 1;
        for (size_t o = 0; o < outputs; o++) last[o] /= (double)m->batch;
        twin_backward(m, h, d);
    }
    for (size_t i = 0; i < 2 * m->linear; i++) {
        for (double *e = m->twin[i], *end = e + 4 * m->tensors[i].size; e < end; e += 4) {
            e[0] = reference_update(&m->optimizer, t, e[0], e[1], &e[2], &e[3]);
            e[1] = 0;
        }
    }
    return sum;
}

static double error_forward(void *context) {
    model *m = context;
    double *h[MOST_WIDTHS], worst = 0;
    const size_t outputs = m->widths[m->linear];
    make_twin(m);
    for (size_t l = 0; l <= m->linear; l++) h[l] = bench_doubles(m->widths[l], 0, 0);
    run_forward(m);
    for (size_t row = 0; row < m->batch; row++) {
        twin_forward(m, m->x + row * m->widths[0], h);
        for (size_t o = 0; o < outputs; o++) {
            const double got = (double)m->output[row * outputs + o];
            worst = fmax(worst, reference_error(got, h[m->linear][o]));
        }
    }
    return worst / 1e-5;
}

/* Parameters may differ by more than rounding where a rule divides by the size of a gradient
 * near 0. */
static double error_parameters(const model *m) {
    double worst = 0;
    for (size_t t = 0; t < 2 * m->linear; t++) {
        for (size_t i = 0; i < m->tensors[t].size; i++) {
            const double got = (double)m->tensors[t].parameter[i];
            worst = fmax(worst, reference_error(got, m->twin[t][4 * i]) / 2e-4);
        }
    }
    return worst;
}

static double error_steps(void *context) {
    model *m = context;
    double worst = 0;
    make_twin(m);
    for (int s = 1; s <= CHECKED_STEPS; s++) {
        /* A call of its own gives the mean of the rows, an epoch the sum. */
        const double expected = twin_step(m, s, m->x, m->labels) / (double)m->batch;
        run_steps(m);
        worst = fmax(worst, reference_error(loss, expected) / 1e-4);
    }
    return fmax(worst, error_parameters(m));
}

static double error_epoch(void *context) {
    model *m = context;
    double expected = 0;
    make_twin(m);
    for (size_t s = 0; s < CHECKED_STEPS; s++) {
        const size_t row = s * m->batch;
        expected += twin_step(m, (double)s + 1, m->x + row * m->widths[0], m->labels + row);
    }
    if (train(m, CHECKED_STEPS * m->batch) != DC_OK) return HUGE_VAL;
    return fmax(reference_error(loss, expected) / 1e-4, error_parameters(m));
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static void add_network(size_t which, const char *what, dc_network_f32 **made) {
    bench_case c = {.bits = 32, .like = LIKE_READ, .steps = 1};
    const int forward = strcmp(what, "forward") == 0, epoch = strcmp(what, "epoch") == 0;
    const char *rule = forward ? "" : networks[which].rule_name;
    snprintf(c.name, sizeof c.name, "%s %s, batch %zu%s%s", what, networks[which].name,
             networks[which].batch, *rule ? ", " : "", rule);
    if (!bench_wants(c.name)) return;
    model *m = make_model(which);
    if (!m->network) return;
    *made = m->network;
    c.context = m;
    c.run = forward ? run_forward : epoch ? run_epoch : run_steps;
    c.error = forward ? error_forward : epoch ? error_epoch : error_steps;
    double weights = 0, parameters = 0;
    for (size_t l = 0; l < m->linear; l++) {
        weights += (double)(m->widths[l] * m->widths[l + 1]);
        parameters += (double)((m->widths[l] + 1) * m->widths[l + 1]);
    }
    const double first = (double)(m->widths[0] * m->widths[1]);
    const int states = reference_has_first(&m->optimizer) + reference_has_second(&m->optimizer);
    const double input = 4 * (double)(m->batch * m->widths[0]);
    /* Forward; the gradients of the weights; those of all inputs but the first. At least one
     * pass over the parameters forward, one over parameters and state to update them. */
    c.flops = 2 * (double)m->batch * (forward ? weights : 3 * weights - first);
    c.bytes = input + 4 * parameters * (forward ? 1 : 3 + 2 * states);
    c.footprint = 4 * parameters * (forward ? 1 : 1 + states);
    if (!forward) c.like = LIKE_UPDATE;
    if (epoch) {
        c.steps = (double)(m->rows / m->batch);
        c.flops *= c.steps, c.bytes *= c.steps;
    }
    bench_add(&c);
}

int main(int argc, char **argv) {
    if (!bench_start(argc, argv, "bench_overhead", "the smallest calls, and small networks"))
        return bench_finish();
    smallest_calls();
    static const char *const groups[][2] = {{"forward", "networks forward, f32, one call"},
                                            {"step", "forward, loss, backward, update: four calls"},
                                            {"epoch", "a step of an epoch in one call"}};
    enum { NETWORKS = sizeof networks / sizeof *networks };
    for (int g = 0; g < 3; g++) {
        dc_network_f32 *made[NETWORKS] = {NULL};
        bench_group(groups[g][1]);
        for (size_t i = 0; i < NETWORKS; i++) add_network(i, groups[g][0], &made[i]);
        bench_run_group();
        for (size_t i = 0; i < NETWORKS; i++) dc_network_free_f32(made[i]);
    }
    return bench_finish();
}
