/* Training in one call against single steps, bit for bit; what it refuses before the first step;
 * and how it is interrupted in the midst of one. */
#include <math.h>
#include <stdlib.h>

#include "rule_cases.h"
#include "small_network.h"

static linear first_copy, second_copy;

/* The penalties of all parameters. */
static void penalties_of(const dc_tensor_f32 tensors[4], dc_penalty_f32 penalties[4]) {
    for (int i = 0; i < 4; i++)
        penalties[i] = (dc_penalty_f32){tensors[i].size, tensors[i].parameter,
                                        (float *)tensors[i].gradient, 0.01 * i, 0.02};
}

/* Whether the first of the largest of n numbers is where it is among n others. */
static int alike(size_t n, const float *a, const float *b) {
    size_t i = 0, j = 0;
    for (size_t k = 1; k < n; k++) {
        if (a[k] > a[i]) i = k;
        if (b[k] > b[j]) j = k;
    }
    return i == j;
}

/* One call of train against single calls, for each rule and batch size, with the order reversed, a
 * rate for each step, weights of the rows, the predictions written out and counted where they are
 * right, and penalties or not. */
static void test_train(const dc_optimizer *rule, size_t batch, int penalized) {
    const dc_optimizer start = *rule;
    double rates[ROWS]; /* of each step */
    for (int i = 0; i < ROWS; i++) rates[i] = start.learning_rate / (1 + 0.1 * i);
    int64_t order[ROWS];
    float weights[ROWS], made[ROWS * OUT], made_together[ROWS * OUT];
    size_t right = 1, alike_too = 1;
    for (int i = 0; i < ROWS; i++) order[i] = ROWS - 1 - i;
    for (int i = 0; i < ROWS; i++) weights[i] = 0.5f * (float)(i % 4);
    dc_tensor_f32 tensors[4];
    dc_penalty_f32 penalties[4];

    reset();
    dc_network_f32 *net = make();
    dc_optimizer optimizer = start;
    double loss = 0;
    for (size_t from = 0; from < ROWS; from += batch) {
        static float bx[ROWS * IN], bt[ROWS * OUT], bw[ROWS];
        const size_t rows = ROWS - from < batch ? ROWS - from : batch;
        for (size_t r = 0; r < rows; r++) {
            memcpy(bx + r * IN, x + (size_t)order[from + r] * IN, IN * sizeof *x);
            memcpy(bt + r * OUT, targets + (size_t)order[from + r] * OUT, OUT * sizeof *x);
            bw[r] = weights[order[from + r]];
        }
        CHECK(!dc_network_forward_f32(net, rows, IN, bx, y));
        memcpy(made + from * OUT, y, rows * OUT * sizeof *y);
        const dc_loss_rule sum = {.kind = DC_SQUARED_ERROR};
        double value;
        CHECK(!dc_loss_f32(&sum, rows, OUT, y, bt, NULL, bw, 1.0 / (double)rows, &value, d_y));
        CHECK(!dc_network_backward_f32(net, rows, IN, bx, d_y, NULL));
        tensors_of(&first, tensors);
        tensors_of(&second, tensors + 2);
        if (penalized) {
            double penalty;
            penalties_of(tensors, penalties);
            CHECK(!dc_penalize_f32(4, penalties, 1, &penalty) && penalty > 0);
            value += penalty * (double)rows;
        }
        loss += value;
        optimizer.learning_rate = rates[from / batch];
        CHECK(!dc_optimizer_step_f32(&optimizer, 4, tensors));
    }
    first_copy = first;
    second_copy = second;

    reset();
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    optimizer = start;
    const dc_samples_f32 samples = {
        .rows = ROWS,
        .cols = IN,
        .x = x,
        .targets = targets,
        .order = order,
        .batch_size = batch,
        .loss = {.kind = DC_SQUARED_ERROR, .reduction = DC_MEAN_OF_ROWS},
        .rates = rates,
        .weights = weights,
        .predictions = made_together,
        .penalties = penalties,
        .penalty_count = penalized ? 4 : 0,
        .right = &right};
    penalties_of(tensors, penalties);
    size_t next = 0;
    double together = 0;
    CHECK(!dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1e9, &next, &together));
    CHECK(next == ROWS && together == loss);
    CHECK(memcmp(made, made_together, sizeof made) == 0);
    for (int i = 0; i < ROWS; i++)
        alike_too += (size_t)alike(OUT, made + i * OUT, targets + order[i] * OUT);
    CHECK(right == alike_too && right > 1);
    CHECK(optimizer.steps == (ROWS + batch - 1) / batch);
    CHECK(memcmp(first.w, first_copy.w, sizeof first.w) == 0);
    CHECK(memcmp(second.w, second_copy.w, sizeof second.w) == 0);
    CHECK(memcmp(first.b, first_copy.b, sizeof first.b) == 0);
    CHECK(memcmp(second.first_w, second_copy.first_w, sizeof second.first_w) == 0);
    dc_network_free_f32(net);
}

static void test_refusals(void) {
    reset();
    dc_network_f32 *net = make();
    dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1};
    dc_tensor_f32 tensors[4];
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    const int64_t labels[ROWS] = {OUT};
    dc_samples_f32 samples = {.rows = 2,
                              .cols = IN,
                              .x = x,
                              .labels = labels,
                              .batch_size = 1,
                              .loss = {.kind = DC_SOFTMAX_CROSS_ENTROPY}};
    size_t next = 0;
    double loss = 0;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_LABEL);
    const float without[ROWS] = {0}, with[ROWS] = {1};
    samples.weights = with; /* only a label that counts nothing may be anything */
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_LABEL);
    samples.weights = without;
    samples.rows = 1;
    CHECK(!dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss));
    CHECK(next == 1 && loss == 0);
    next = 0;
    optimizer.steps = 0;
    samples.weights = NULL;
    samples.rows = 2;
    samples.labels = NULL;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_POINTER);
    samples.targets = targets;
    samples.batch_size = 0;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_SIZE);
    const int64_t order[] = {0, 2};
    samples.batch_size = 1;
    samples.order = order;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_VALUE);
    double rates[] = {0.1, 1e39};
    samples.order = NULL;
    samples.rates = rates;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_VALUE);
    rates[1] = NAN;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_VALUE);
    const dc_penalty_f32 penalty = {.size = 1, .parameter = x, .l1 = -1};
    samples.rates = NULL;
    samples.penalties = &penalty;
    samples.penalty_count = 1;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_VALUE);
    CHECK(next == 0 && optimizer.steps == 0);
    dc_network_free_f32(net);
}

/* Tensors must be those of the layers: a shorter one would be written beyond its end. */
static void test_tensors(void) {
    reset();
    dc_network_f32 *net = make();
    dc_optimizer optimizer = {.rule = DC_MOMENTUM, .learning_rate = 0.1, .momentum = 0.9};
    const dc_samples_f32 samples = {.rows = 2,
                                    .cols = IN,
                                    .x = x,
                                    .targets = targets,
                                    .batch_size = 1,
                                    .loss = {.kind = DC_SQUARED_ERROR}};
    for (size_t which = 0; which < 4; which++)
        for (int fault = 0; fault < 3; fault++) {
            dc_tensor_f32 tensors[4];
            tensors_of(&first, tensors);
            tensors_of(&second, tensors + 2);
            if (fault == 0) tensors[which].size--;
            if (fault == 1) tensors[which].size++;
            if (fault == 2) tensors[which].gradient++;
            size_t next = 0;
            double loss = 0;
            const int status =
                dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss);
            CHECK(status == (fault == 2 ? DC_BAD_POINTER : DC_BAD_SIZE));
            CHECK(next == 0 && optimizer.steps == 0 && drop.counter == 0);
        }
    dc_network_free_f32(net);
}

/* What has no gradient does not train, whatever the size of the batch. */
static void test_frozen(void) {
    static linear before;
    for (size_t batch = 1; batch < 8; batch += 6) {
        reset();
        first.layer.parameters[0].gradient = second.layer.parameters[1].gradient = NULL;
        before = first;
        dc_network_f32 *net = make();
        dc_tensor_f32 tensors[4];
        tensors_of(&first, tensors);
        tensors_of(&second, tensors + 2);
        const dc_tensor_f32 trained[2] = {tensors[1], tensors[2]};
        dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.01};
        const dc_samples_f32 samples = {.rows = ROWS,
                                        .cols = IN,
                                        .x = x,
                                        .targets = targets,
                                        .batch_size = batch,
                                        .loss = {.kind = DC_SQUARED_ERROR}};
        size_t next = 0;
        double loss = 0;
        CHECK(!dc_network_train_f32(net, &optimizer, 2, trained, &samples, 1e9, &next, &loss));
        CHECK(memcmp(first.w, before.w, sizeof first.w) == 0);
        CHECK(memcmp(first.b, before.b, sizeof first.b) != 0);
        CHECK(memcmp(first.d_w, before.d_w, sizeof first.d_w) == 0);
        dc_network_free_f32(net);
    }
}

/* The number of a step is never beyond its type. */
static void test_last_step(void) {
    reset();
    dc_network_f32 *net = make();
    dc_tensor_f32 tensors[4];
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    const dc_samples_f32 samples = {.rows = 4,
                                    .cols = IN,
                                    .x = x,
                                    .targets = targets,
                                    .batch_size = 1,
                                    .loss = {.kind = DC_SQUARED_ERROR}};
    for (uint64_t left = 0; left < 6; left++) {
        dc_optimizer optimizer = {.rule = DC_ADAM,
                                  .learning_rate = 1e-3,
                                  .momentum = 0.9,
                                  .decay = 0.999,
                                  .epsilon = 1e-8,
                                  .steps = UINT64_MAX - left};
        size_t next = 0;
        double loss = 0;
        const int status =
            dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1e9, &next, &loss);
        CHECK(status == (left < 4 ? DC_BAD_VALUE : DC_OK));
        CHECK(optimizer.steps == (left < 4 ? UINT64_MAX - left : UINT64_MAX - left + 4));
    }
    CHECK(isfinite(first.w[0]));
    dc_network_free_f32(net);
}

/* An embedding, a norm with running statistics and a linear layer, in one call and step by step. */
static void test_indices(size_t batch) {
    enum { WORDS = 9, WIDTH = 4, PLACES = 3, COLS = PLACES * WIDTH };
    static float table[WORDS * WIDTH], d_table[WORDS * WIDTH], mean[COLS], variance[COLS],
        kept[2][WORDS * WIDTH + 2 * COLS + COLS * OUT];
    static int64_t which[ROWS * PLACES], order[ROWS];
    dc_layer embedding = {.kind = DC_LAYER_EMBEDDING,
                          .inputs = WORDS,
                          .outputs = WIDTH,
                          .parameters = {{WORDS * WIDTH, table, d_table}}};
    dc_layer norm = {.kind = DC_LAYER_BATCH_NORM,
                     .training = 1,
                     .inputs = COLS,
                     .momentum = 0.9,
                     .epsilon = 1e-3,
                     .parameters = {[2] = {COLS, mean, NULL}, [3] = {COLS, variance, NULL}}};
    dc_layer *layers[] = {&embedding, &norm, &second.layer};
    for (size_t i = 0; i < ROWS * PLACES; i++) which[i] = (int64_t)(i * i % WORDS);
    for (size_t i = 0; i < ROWS; i++) order[i] = (int64_t)(ROWS - 1 - i);
    for (int together = 0; together < 2; together++) {
        reset();
        linear_init(&second, COLS, OUT, 2);
        dc_random_normal_f32(5, 0, WORDS * WIDTH, 0, 1, table);
        memset(mean, 0, sizeof mean);
        for (size_t i = 0; i < COLS; i++) variance[i] = 1;
        dc_network_f32 *net = NULL;
        CHECK(!dc_network_create_f32(3, layers, &net));
        CHECK(dc_network_inputs_f32(net) == PLACES && dc_network_takes_indices_f32(net));
        dc_tensor_f32 tensors[3] = {
            {.size = WORDS * WIDTH, .gradient = d_table, .parameter = table}};
        tensors_of(&second, tensors + 1);
        dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.01};
        dc_samples_f32 samples = {.rows = ROWS,
                                  .cols = PLACES,
                                  .indices = which,
                                  .targets = targets,
                                  .order = order,
                                  .batch_size = batch,
                                  .loss = {.kind = DC_SQUARED_ERROR}};
        size_t next = 0;
        double loss = 0;
        samples.x = x;
        CHECK(dc_network_train_f32(net, &optimizer, 3, tensors, &samples, 1e9, &next, &loss) ==
              DC_BAD_POINTER);
        samples.x = NULL;
        if (together)
            CHECK(!dc_network_train_f32(net, &optimizer, 3, tensors, &samples, 1e9, &next, &loss));
        for (size_t from = 0; from < ROWS && !together; from += batch) {
            const size_t rows = ROWS - from < batch ? ROWS - from : batch;
            const dc_loss_rule sum = {.kind = DC_SQUARED_ERROR};
            static int64_t some[ROWS * PLACES];
            static float their[ROWS * OUT];
            for (size_t r = 0; r < rows; r++) {
                memcpy(some + r * PLACES, which + order[from + r] * PLACES, PLACES * sizeof *some);
                memcpy(their + r * OUT, targets + order[from + r] * OUT, OUT * sizeof *their);
            }
            CHECK(!dc_network_forward_indices_f32(net, rows, PLACES, some, y));
            CHECK(!dc_loss_f32(&sum, rows, OUT, y, their, NULL, NULL, 1, &loss, d_y));
            CHECK(!dc_network_backward_indices_f32(net, rows, PLACES, some, d_y));
            CHECK(!dc_optimizer_step_f32(&optimizer, 3, tensors));
        }
        float *k = kept[together];
        memcpy(k, table, sizeof table);
        memcpy(k += WORDS * WIDTH, mean, sizeof mean);
        memcpy(k += COLS, variance, sizeof variance);
        memcpy(k += COLS, second.w, COLS * OUT * sizeof *k);
        which[4] = WORDS; /* one beyond the table: nothing of that step is left */
        next = 0;
        CHECK(dc_network_train_f32(net, &optimizer, 3, tensors, &samples, 1e9, &next, &loss) ==
              DC_BAD_LABEL);
        which[4] = 16 % WORDS;
        dc_network_free_f32(net);
    }
    CHECK(memcmp(kept[0], kept[1], sizeof kept[0]) == 0);
}

static int asked, stop_at;
static int stop(void) { return ++asked == stop_at; }

/* A step of half a second: it is asked several times, ends where it is told to, and has then
 * changed nothing; asked in vain, it has the bits of a step in one piece. */
static void test_interrupted(void) {
    enum { COLS = 400, WIDTH = 500, MANY = 9000 };
    static float many_x[MANY * COLS], w[COLS * WIDTH], start[COLS * WIDTH], whole[COLS * WIDTH],
        d_w[COLS * WIDTH], many_targets[MANY * WIDTH];
    dc_random_normal_f32(1, 0, MANY * COLS, 0, 1, many_x);
    dc_random_normal_f32(1, 1, MANY * WIDTH, 0, 1, many_targets);
    dc_random_normal_f32(1, 2, COLS * WIDTH, 0, 0.01, start);
    dc_layer big = {.kind = DC_LAYER_LINEAR,
                    .inputs = COLS,
                    .outputs = WIDTH,
                    .parameters = {{COLS * WIDTH, w, d_w}}};
    dc_layer *layers[] = {&drop, &big, &drop, &act};
    dc_network_f32 *net = NULL;
    CHECK(!dc_network_create_f32(4, layers, &net));
    const dc_tensor_f32 tensor = {.size = COLS * WIDTH, .gradient = d_w, .parameter = w};
    dc_samples_f32 samples = {.rows = MANY,
                              .cols = COLS,
                              .x = many_x,
                              .targets = many_targets,
                              .batch_size = MANY,
                              .loss = {.kind = DC_SQUARED_ERROR, .reduction = DC_MEAN_OF_ROWS}};
    int most = 1;
    for (stop_at = -1; stop_at < most; stop_at++) {
        dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1};
        size_t next = 0;
        double loss = 0;
        memcpy(w, start, sizeof w);
        drop.counter = 0;
        asked = 0;
        samples.interrupted = stop_at < 0 ? NULL : stop;
        const int status =
            dc_network_train_f32(net, &optimizer, 1, &tensor, &samples, 1, &next, &loss);
        if (stop_at < 0) memcpy(whole, w, sizeof w);
        if (stop_at == 0) most = asked < 4 ? asked : 4;
        if (status == DC_OK) {
            CHECK(stop_at <= 0 && next == MANY && optimizer.steps == 1 && drop.counter == 2);
            CHECK(memcmp(w, whole, sizeof w) == 0 && memcmp(w, start, sizeof w) != 0);
        } else {
            CHECK(stop_at > 0 && status == DC_INTERRUPTED && next == 0 && loss == 0);
            CHECK(optimizer.steps == 0 && drop.counter == 0 && memcmp(w, start, sizeof w) == 0);
        }
    }
    CHECK(most > 1);
    dc_network_free_f32(net);
}

int main(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        CHECK(dc_set_isa(dc_isa_available(i)) == DC_OK);
        for (int rule = 0; rule < DC_RULE_COUNT; rule++)
            for (int form = 0; form < RULE_FORMS; form++) {
                const dc_optimizer o = rule_form(rule, form);
                if (dc_optimizer_states(&o) > 3) continue; /* more tensors than there are */
                test_train(&o, 1, 0);
                test_train(&o, 7, 0);
                test_train(&o, form == 0 ? 1 : 7, 1);
                if (form == 0) test_train(&o, ROWS, 0);
            }
    }
    CHECK(dc_set_isa(dc_isa_available(0)) == DC_OK);
    test_refusals();
    test_tensors();
    test_frozen();
    test_last_step();
    test_indices(1);
    test_indices(7);
    test_interrupted();
    return check_result();
}
