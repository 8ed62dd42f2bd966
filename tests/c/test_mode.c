/* Whatever mode of rounding and of subnormal numbers other code has left the processor in, every
 * public function computes the same bits, with any number of threads, and leaves the mode as it
 * was. */
#include <math.h>
#include <stdlib.h>

#include "mode.h"
#include "rule_cases.h"
#include "small_network.h"

static const uint64_t modes[] = {
    MODE_DEFAULT,
#if defined(__SSE__) || defined(_M_X64)
    MODE_DEFAULT | 0x4000, /* upward */
    MODE_DEFAULT | 0x8040, /* subnormal results and operands are zero */
#elif defined(__aarch64__)
    1 << 22, /* upward */
    1 << 24, /* subnormal numbers are zero */
#elif defined(FE_UPWARD)
    FE_UPWARD,
#endif
};
enum { MODES = sizeof modes / sizeof *modes };

/* Enough for work that is split over threads; a tenth of the numbers subnormal or near that. */
enum { N = 1 << 18, SIDE = 200, RESULTS = 40 };
static float a[N], b[N], c[N];
static double a64[N], c64[N];

/* ---- Results --------------------------------------------------------------------------------- */

/* A checksum of each result, in the order of the calls. */
static uint64_t results[RESULTS];
static int result_count;

static void take(const void *data, size_t bytes) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    if (result_count < RESULTS) results[result_count++] = hash;
}

/* A public function is called in `mode`, and that stands afterwards. */
#define CALL(mode, call)                                                                           \
    do {                                                                                           \
        dc_mode_write(mode);                                                                       \
        const int status = (call);                                                                 \
        const uint64_t after = dc_mode_read();                                                     \
        dc_mode_write(MODE_DEFAULT);                                                               \
        CHECK(status == DC_OK);                                                                    \
        CHECK((after & ~(uint64_t)MODE_FLAGS) == (mode));                                          \
    } while (0)

static void elementwise(uint64_t mode) {
    CALL(mode, dc_exp_f32(N, a, c));
    take(c, sizeof c);
    CALL(mode, dc_log_f32(N, a, c));
    take(c, sizeof c);
    CALL(mode, dc_scale_f32(1.0 / 3, N, a, c));
    take(c, sizeof c);
    memcpy(c, b, sizeof c);
    CALL(mode, dc_add_scaled_f32(1.0 / 3, N, a, 0.7, c));
    take(c, sizeof c);
    CALL(mode, dc_activation_forward_f32(DC_TANH, 0, N, a, c));
    take(c, sizeof c);
    CALL(mode, dc_activation_forward_f32(DC_SIGMOID, 0, 5, a, c));
    take(c, 5 * sizeof *c);
    CALL(mode, dc_activation_backward_f32(DC_TANH, 0, N, a, b, c));
    take(c, sizeof c);
    CALL(mode, dc_softmax_f32(N / 64, 64, a, c));
    take(c, sizeof c);
    CALL(mode, dc_softmax_backward_f32(N / 64, 64, a, b, c));
    take(c, sizeof c);
    CALL(mode, dc_log_softmax_f32(N / 64, 64, a, c));
    take(c, sizeof c);
    CALL(mode, dc_log_softmax_backward_f32(N / 64, 64, a, b, c));
    take(c, sizeof c);
    CALL(mode, dc_dropout_f32(1, 2, 0.3, N, a, c));
    take(c, sizeof c);
    CALL(mode, dc_combine_f32(DC_QUOTIENT, N / 64, 64, a, 64, 1, b, 64, 1, c));
    take(c, sizeof c);
    CALL(mode, dc_combine_f32(DC_MULTIPLY, N / 64, 64, a, 64, 1, b, 0, 1, c));
    take(c, sizeof c);
    CALL(mode, dc_prod_f32(1, N / 64, 64, a, c));
    take(c, 64 * sizeof *c);
    CALL(mode, dc_prod_backward_f32(N / 64, 64, 1, a, b, c));
    take(c, sizeof c);
    CALL(mode, dc_column_sum_f32(N / 64, 64, a, 0, c));
    take(c, 64 * sizeof *c);
    CALL(mode, dc_exp_f64(N, a64, c64));
    take(c64, sizeof c64);
    double sum;
    CALL(mode, (sum = dc_sum_f32(N, a), DC_OK));
    take(&sum, sizeof sum);
    CALL(mode, (sum = dc_sum_squares_f32(N, a), DC_OK));
    take(&sum, sizeof sum);
    memcpy(c, a, sizeof c);
    float *arrays[] = {c};
    CALL(mode, dc_clip_arrays_f32(DC_CLIP_NORM, 0.1, 1e-7, 1, (const size_t[]){N}, arrays, &sum));
    take(c, sizeof c);
    take(&sum, sizeof sum);
    CALL(mode, dc_random_normal_f32(1, 2, N, 0.1, 1.1, c));
    take(c, sizeof c);
    CALL(mode, dc_random_uniform_f64(1, 2, N, c64));
    take(c64, sizeof c64);
    CALL(mode, dc_matmul_f32(0, 1, SIDE, SIDE, SIDE, a, SIDE, b, SIDE, 0, b, DC_TANH, 0, c, SIDE));
    take(c, SIDE * SIDE * sizeof *c);
}

static void training(uint64_t mode) {
    reset();
    dc_network_f32 *net = make();
    dc_tensor_f32 tensors[4];
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    const dc_loss_rule rule = {.kind = DC_SQUARED_ERROR, .reduction = DC_MEAN_OF_ROWS};
    dc_optimizer adam = {.rule = DC_ADAM,
                         .learning_rate = 0.01,
                         .momentum = 0.9,
                         .decay = 0.999,
                         .epsilon = 1e-8};
    double value = 0;
    CALL(mode, dc_network_forward_f32(net, ROWS, IN, x, y));
    take(y, sizeof y);
    CALL(mode, dc_loss_f32(&rule, ROWS, OUT, y, targets, NULL, NULL, 1, &value, d_y));
    take(d_y, sizeof d_y);
    take(&value, sizeof value);
    CALL(mode, dc_network_backward_f32(net, ROWS, IN, x, d_y, NULL));
    take(first.d_w, sizeof first.d_w);
    CALL(mode, dc_optimizer_step_f32(&adam, 4, tensors));
    take(first.w, sizeof first.w);
    const dc_samples_f32 samples =
        {.rows = ROWS, .cols = IN, .x = x, .targets = targets, .batch_size = 7, .loss = rule};
    size_t next = 0;
    CALL(mode, dc_network_train_f32(net, &adam, 4, tensors, &samples, 1e9, &next, &value));
    take(second.w, sizeof second.w);
    take(&value, sizeof value);
    dc_network_free_f32(net);
}

int main(void) {
    dc_mode_write(MODE_DEFAULT);
    dc_random_normal_f32(5, 0, N, 0, 1, a);
    dc_random_normal_f32(6, 0, N, 0, 1, b);
    for (int i = 0; i < N; i++) {
        if (i % 10 == 0) a[i] *= 1e-38f;
        a64[i] = i % 10 ? a[i] : a[i] * 1e-270;
    }
    uint64_t expected[RESULTS] = {0};
    for (int threads = 1; threads <= 2; threads++) {
        dc_set_num_threads(threads);
        for (int m = 0; m < MODES; m++) {
            /* The pool starts anew in this mode only in the first call of this process; its workers
             * keep to the library's. */
            result_count = 0;
            elementwise(modes[m]);
            training(modes[m]);
            if (threads == 1 && m == 0) memcpy(expected, results, sizeof expected);
            for (int i = 0; i < result_count; i++) CHECK(results[i] == expected[i]);
        }
    }
    return check_result();
}
