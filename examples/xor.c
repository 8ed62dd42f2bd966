/* XOR, the smallest problem that needs a hidden layer: a network of two tanh neurons and one
 * output, trained in C. Prints what it learned; exits with 0 if that is XOR. How to compile it:
 * README.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <deepc.h>

enum { INPUTS = 2, HIDDEN = 2, OUTPUTS = 1, SAMPLES = 4, EPOCHS = 3000 };

static const float x[SAMPLES][INPUTS] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const float targets[SAMPLES][OUTPUTS] = {{0}, {1}, {1}, {0}};

/* The program owns the parameters and their gradients; a network only points to them. */
static float hidden_weights[INPUTS * HIDDEN], hidden_bias[HIDDEN];
static float output_weights[HIDDEN * OUTPUTS], output_bias[OUTPUTS];
static float d_hidden_weights[INPUTS * HIDDEN], d_hidden_bias[HIDDEN];
static float d_output_weights[HIDDEN * OUTPUTS], d_output_bias[OUTPUTS];

/* Ends the program if a call was refused. */
static void check(int status, const char *call) {
    if (status == DC_OK) return;
    fprintf(stderr, "%s: %s\n", call, dc_status_text(status));
    exit(1);
}

/* Small random weights. One number fixes them, on every machine. */
static void initialize(uint64_t seed) {
    check(dc_random_normal_f32(seed, 0, INPUTS * HIDDEN, 0, 0.7, hidden_weights), "weights");
    check(dc_random_normal_f32(seed, 1, HIDDEN * OUTPUTS, 0, 0.8, output_weights), "weights");
}

int main(void) {
    initialize(1);
    dc_layer hidden = {.kind = DC_LAYER_LINEAR,
                       .inputs = INPUTS,
                       .outputs = HIDDEN,
                       .parameters = {{INPUTS * HIDDEN, hidden_weights, d_hidden_weights},
                                      {HIDDEN, hidden_bias, d_hidden_bias}}};
    dc_layer activation = {.kind = DC_LAYER_ACTIVATION, .activation = DC_TANH};
    dc_layer output = {.kind = DC_LAYER_LINEAR,
                       .inputs = HIDDEN,
                       .outputs = OUTPUTS,
                       .parameters = {{HIDDEN * OUTPUTS, output_weights, d_output_weights},
                                      {OUTPUTS, output_bias, d_output_bias}}};
    dc_layer *layers[] = {&hidden, &activation, &output};
    dc_network_f32 *network;
    check(dc_network_create_f32(3, layers, &network), "dc_network_create");

    /* What the optimizer updates: each parameter with its gradient. */
    const dc_tensor_f32 tensors[] = {
        {.size = INPUTS * HIDDEN, .gradient = d_hidden_weights, .parameter = hidden_weights},
        {.size = HIDDEN, .gradient = d_hidden_bias, .parameter = hidden_bias},
        {.size = HIDDEN * OUTPUTS, .gradient = d_output_weights, .parameter = output_weights},
        {.size = OUTPUTS, .gradient = d_output_bias, .parameter = output_bias},
    };
    dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1};
    const dc_samples_f32 samples = {.rows = SAMPLES,
                                    .cols = INPUTS,
                                    .x = x[0],
                                    .targets = targets[0],
                                    .batch_size = 1,
                                    .loss = {.kind = DC_SQUARED_ERROR}};

    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        size_t next = 0;
        double loss = 0;
        check(
            dc_network_train_f32(network, &optimizer, 4, tensors, &samples, INFINITY, &next, &loss),
            "dc_network_train");
        if (epoch % 500 == 0 || epoch == EPOCHS - 1) printf("epoch %4d  loss %.3g\n", epoch, loss);
    }

    float predicted[SAMPLES][OUTPUTS];
    check(dc_network_forward_f32(network, SAMPLES, INPUTS, x[0], predicted[0]),
          "dc_network_forward");
    int wrong = 0;
    for (int i = 0; i < SAMPLES; i++) {
        printf("%.0f xor %.0f = %.4f\n", (double)x[i][0], (double)x[i][1], (double)predicted[i][0]);
        wrong += fabsf(predicted[i][0] - targets[i][0]) > 0.1F;
    }
    dc_network_free_f32(network);
    if (wrong) fprintf(stderr, "xor: %d of %d are wrong\n", wrong, SAMPLES);
    return wrong ? 1 : 0;
}
