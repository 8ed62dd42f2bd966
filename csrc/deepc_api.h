/* The public functions of deepc: dense neural networks on the CPU.
 *
 * C and C++ programs include deepc.h, which wraps this file; the Python package reads this file as
 * it stands, so it holds declarations only, no preprocessor lines.
 *
 * Conventions
 *   - Matrices are row-major; sizes and leading dimensions count elements. Sizes come in the order
 *     m, n, k or rows, cols; inputs before outputs; a gradient of the loss with respect to x is
 *     d_x.
 *   - Each function exists for float (_f32) and double (_f64); what is said of the first holds for
 *     both.
 *   - A function that can fail returns a dc_status and has then changed nothing. None exits,
 *     prints, or keeps a pointer after it returns, but where it says so. A null pointer is allowed
 *     for an array of no elements only, and where "or NULL" is said.
 *   - A number that chooses an activation is one of dc_activation (deepc_activations.h). Programs
 *     in other languages learn number and name by dc_activation_name.
 *   - Outputs must not overlap inputs, except that "in place" arguments may be the same pointer.
 *   - Any pointer alignment works.
 *   - Every function may be called from any thread at any time.
 *   - On CPUs with fused multiply-add every result has the same bits whatever the instruction set,
 *     the number of threads or the number of rows. A NaN is a NaN; its sign and payload are open.
 *   - Results do not depend on the rounding or the flushing of subnormal numbers that other code
 *     has set in the processor: a call computes in the mode in which a process starts, and puts
 *     the caller's back. */

/* ---- Status, version, machine ---------------------------------------------------------------- */

typedef enum dc_status {
    DC_OK = 0,
    DC_BAD_POINTER = 1, /* a null pointer where an array is needed */
    DC_BAD_SIZE = 2, /* a size or leading dimension that cannot be */
    DC_BAD_NAME = 3, /* an instruction set, activation, loss or rule that is not known here */
    DC_BAD_VALUE = 4, /* a number out of its range */
    DC_BAD_LABEL = 5, /* a class label outside 0 .. cols - 1 */
    DC_BAD_STATE = 6, /* a call that needs another one first */
    DC_NO_MEMORY = 7,
    DC_INTERRUPTED = 8 /* the caller's own function asked to stop */
} dc_status;

/* A sentence for a status, never NULL. */
const char *dc_status_text(int status);

/* "major.minor.patch", and the compiler that built the library. */
const char *dc_version(void);
const char *dc_compiler(void);

/* The instruction set is chosen at the first call that computes: the best one of this machine, or
 * the one that the environment variable DEEPC_ISA names. dc_initialize chooses now and tells
 * whether that name is good (DC_BAD_NAME: it is unknown or this machine cannot run it; the best one
 * is in force then). */
int dc_initialize(void);
/* The name in force. */
const char *dc_isa(void);
/* The i-th usable name, best first; NULL past the end. */
const char *dc_isa_available(size_t i);
/* Whether the usable one of that name has fused multiply-add, and so gives the bits that all others
 * with it give, on every machine; 0 for an unknown name. Baseline x86-64 is the usual exception. */
int dc_isa_promises_bits(const char *name);
/* Choose another usable one. Not while other threads compute. */
int dc_set_isa(const char *name);

/* Threads that a call may use, 1 to DC_MOST_THREADS. At first DEEPC_NUM_THREADS if it is such a
 * number, else the CPUs that this process may run on (affinity mask and cgroup quota). Any other
 * count is DC_BAD_VALUE. */
enum { DC_MOST_THREADS = 256 };
int dc_num_threads(void);
int dc_set_num_threads(int count);

/* ---- Matrix multiply ------------------------------------------------------------------------- */

/* c = activation(op(a) op(b) + bias), or c + op(a) op(b) in its place where accumulate is not 0.
 * parameter: of the activation, if it has one.
 *
 * op(a) is m x k, op(b) is k x n, c is m x n; op transposes where transpose_x is not 0, and then a
 * is stored k x m (b: n x k). lda, ldb, ldc: elements from one stored row to the next. bias: n
 * elements added to every row, or NULL. k = 0 gives zeros plus the bias. c overlaps nothing. Order
 * of the sum: blocks of 256 consecutive k, each one chain of fused multiply-adds from +0 in
 * increasing k; blocks added in increasing order (to c first where it accumulates), then the bias.
 * DC_BAD_SIZE: a leading dimension smaller than a stored row. What dc_activation_check refuses is
 * refused. */
int dc_matmul_f32(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, const float *a,
                  size_t lda, const float *b, size_t ldb, int accumulate, const float *bias,
                  int activation, double parameter, float *c, size_t ldc);
int dc_matmul_f64(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, const double *a,
                  size_t lda, const double *b, size_t ldb, int accumulate, const double *bias,
                  int activation, double parameter, double *c, size_t ldc);

/* ---- Elementwise functions ------------------------------------------------------------------- */

/* y = exp(x), y = log(x), n elements, in place or not. Largest errors: docs/accuracy.md. */
int dc_exp_f32(size_t n, const float *x, float *y);
int dc_exp_f64(size_t n, const double *x, double *y);
int dc_log_f32(size_t n, const float *x, float *y);
int dc_log_f64(size_t n, const double *x, double *y);

/* ---- Activations ----------------------------------------------------------------------------- */

/* The name of an activation, such as "relu"; NULL past the last one. */
const char *dc_activation_name(int activation);
/* The name of its parameter, "" if it has none; what that is where a user gives none; the least
 * that makes sense. NULL and 0 past the last activation. */
const char *dc_activation_parameter(int activation);
double dc_activation_default(int activation);
double dc_activation_least(int activation);
/* Whether its slope is computed from its input; otherwise it is from its output. */
int dc_activation_needs_input(int activation);
/* DC_OK if the two go together. DC_BAD_NAME: there is no such activation. DC_BAD_VALUE: its
 * parameter is below the least that makes sense, or not a finite float. For an activation without a
 * parameter the number may be anything. */
int dc_activation_check(int activation, double parameter);

/* y = activation(x), n elements, in place or not; NaN gives NaN. Largest errors: docs/accuracy.md.
 * What dc_activation_check refuses is refused. */
int dc_activation_forward_f32(int activation, double parameter, size_t n, const float *x, float *y);
int dc_activation_forward_f64(int activation, double parameter, size_t n, const double *x,
                              double *y);

/* d_x = d_y activation'(x), where kept is x if dc_activation_needs_input says so, otherwise
 * activation(x); d_x may be d_y or kept. relu's slope at 0 is 0. */
int dc_activation_backward_f32(int activation, double parameter, size_t n, const float *kept,
                               const float *d_y, float *d_x);
int dc_activation_backward_f64(int activation, double parameter, size_t n, const double *kept,
                               const double *d_y, double *d_x);

/* How dc_combine makes an element of y from one of a and one of b. */
typedef enum dc_combination {
    DC_ADD = 0,
    DC_SUBTRACT = 1,
    DC_MULTIPLY = 2,
    DC_DIVIDE = 3,
    DC_GATE = 4, /* (a > 0) b, a product: 0 times an infinite b is NaN */
    DC_QUOTIENT =
        5 /* a / b, but 0 where a is 0, whatever b is: a slope that nothing passes through */
} dc_combination;

/* y (rows x cols) = a and b combined. Element (i, j) of a is a[i a_row + j a_col] with a_col 0 or
 * 1, so it may be a matrix, one row for all, one column for all (a_col = 0) or a number (both 0);
 * so may b. y may be an operand that has an element for each of y's. DC_BAD_SIZE: a_col or b_col is
 * above 1. */
int dc_combine_f32(int combination, size_t rows, size_t cols, const float *a, size_t a_row,
                   size_t a_col, const float *b, size_t b_row, size_t b_col, float *y);
int dc_combine_f64(int combination, size_t rows, size_t cols, const double *a, size_t a_row,
                   size_t a_col, const double *b, size_t b_row, size_t b_col, double *y);

/* ---- Reductions, softmax --------------------------------------------------------------------- */

/* The sum of n elements, 0 for none; NaN for a null pointer. Blocks of 4096 elements are summed in
 * 16 interleaved lanes, the blocks are added in order in double. */
double dc_sum_f32(size_t n, const float *x);
double dc_sum_f64(size_t n, const double *x);

/* The sum of the squares of n elements, in the same order; an element is squared and added in one
 * rounding. Infinite where a block's sum is beyond the dtype. */
double dc_sum_squares_f32(size_t n, const float *x);
double dc_sum_squares_f64(size_t n, const double *x);

/* places (rows) = where each row of x (rows x cols, cols at least 1) has its largest element, the
 * first of those that are equal; or its first NaN. */
int dc_argmax_f32(size_t rows, size_t cols, const float *x, int64_t *places);
int dc_argmax_f64(size_t rows, size_t cols, const double *x, int64_t *places);

/* equal (rows) = 1 where dc_argmax would find places[i] for row i, else 0; places[i] may be any
 * number. */
int dc_argmax_equals_f32(size_t rows, size_t cols, const float *x, const int64_t *places,
                         uint8_t *equal);
int dc_argmax_equals_f64(size_t rows, size_t cols, const double *x, const int64_t *places,
                         uint8_t *equal);

/* y (cols) = the sum of the rows of x (rows x cols), or y + that where accumulate is not 0; as a
 * product with ones, so in blocks of 256 rows. No rows: zeros, or y as it is. */
int dc_column_sum_f32(size_t rows, size_t cols, const float *x, int accumulate, float *y);
int dc_column_sum_f64(size_t rows, size_t cols, const double *x, int accumulate, double *y);

/* y (before x after) = the products of x (before x count x after) over the middle, 1 of none. Rows
 * are multiplied in order; where `after` is 1, in 16 interleaved lanes. */
int dc_prod_f32(size_t before, size_t count, size_t after, const float *x, float *y);
int dc_prod_f64(size_t before, size_t count, size_t after, const double *x, double *y);

/* d_x = d_y times the product of the other elements: right also where some are 0. d_x overlaps
 * nothing. */
int dc_prod_backward_f32(size_t before, size_t count, size_t after, const float *x,
                         const float *d_y, float *d_x);
int dc_prod_backward_f64(size_t before, size_t count, size_t after, const double *x,
                         const double *d_y, double *d_x);

/* Each row of y = exp(x - max x) / sum of the same; rows x cols, in place or not. A row that holds
 * NaN or +inf, or nothing but -inf, becomes NaN. */
int dc_softmax_f32(size_t rows, size_t cols, const float *x, float *y);
int dc_softmax_f64(size_t rows, size_t cols, const double *x, double *y);

/* Each row of y = x - max x - log(sum of exp(x - max x)); rows x cols, in place or not. NaN as for
 * softmax. */
int dc_log_softmax_f32(size_t rows, size_t cols, const float *x, float *y);
int dc_log_softmax_f64(size_t rows, size_t cols, const double *x, double *y);

/* d_x = y (d_y - sum over the row of y d_y), given y = softmax(x); d_x may be d_y. */
int dc_softmax_backward_f32(size_t rows, size_t cols, const float *y, const float *d_y, float *d_x);
int dc_softmax_backward_f64(size_t rows, size_t cols, const double *y, const double *d_y,
                            double *d_x);

/* d_x = d_y - exp(y) sum over the row of d_y, given y = log_softmax(x); d_x may be d_y. */
int dc_log_softmax_backward_f32(size_t rows, size_t cols, const float *y, const float *d_y,
                                float *d_x);
int dc_log_softmax_backward_f64(size_t rows, size_t cols, const double *y, const double *d_y,
                                double *d_x);

/* ---- Losses ---------------------------------------------------------------------------------- */

/* What becomes of the losses of the rows, each multiplied by its weight: their sum; that divided by
 * the number of rows, by the number of elements, or by the sum of the weights. */
typedef enum dc_reduction {
    DC_SUM = 0,
    DC_MEAN_OF_ROWS = 1,
    DC_MEAN_OF_ELEMENTS = 2,
    DC_MEAN_BY_WEIGHT = 3
} dc_reduction;

/* Which loss, and what it is told. Formulas are in docs/losses.md. */
typedef struct dc_loss_rule {
    int kind; /* a dc_loss_kind of deepc_losses.h */
    int reduction; /* a dc_reduction */
    double parameter; /* of a loss that has one */
    double smoothing; /* 0 to 1: so much of a target is spread evenly over the classes */
} dc_loss_rule;

/* The name of a loss, such as "huber"; NULL past the last one. */
const char *dc_loss_name(int kind);
/* The name of its parameter, "" if it has none; what that is where a user gives none; the least
 * that makes sense. NULL and 0 past the last loss. */
const char *dc_loss_parameter(int kind);
double dc_loss_default(int kind);
double dc_loss_least(int kind);
/* Whether a row may have a label instead of targets; whether it may smooth its targets; whether a
 * row's loss depends on the whole row, and is no sum over its elements. */
int dc_loss_takes_labels(int kind);
int dc_loss_takes_smoothing(int kind);
int dc_loss_is_rowwise(int kind);
/* DC_OK if the numbers of a rule go together. DC_BAD_NAME: there is no such loss or reduction.
 * DC_BAD_VALUE: its parameter is below the least that makes sense, or no finite float; or a
 * smoothing outside 0 .. 1, or other than 0 where the loss takes none. Without a parameter that
 * number may be anything. */
int dc_loss_check(const dc_loss_rule *rule);

/* Writes the loss to *loss (or NULL) and `scale` times its gradient to d_predicted (rows x cols, or
 * NULL), in one pass.
 *
 * Exactly one of targets (rows x cols) and labels (one a row) is given, the other is NULL (else
 * DC_BAD_POINTER, and for labels where the loss takes none). Labels give the bits of one-hot
 * targets. weights: one a row, or NULL for ones, with the same bits; a row of weight 0 adds
 * nothing, whatever it holds, its label included. Where a target is 0, predicted may be such that
 * the logarithm is infinite: -inf to a softmax. No rows: a sum of 0, a mean of NaN. DC_BAD_LABEL: a
 * label outside 0 .. cols - 1. What dc_loss_check refuses is refused. */
int dc_loss_f32(const dc_loss_rule *rule, size_t rows, size_t cols, const float *predicted,
                const float *targets, const int64_t *labels, const float *weights, double scale,
                double *loss, float *d_predicted);
int dc_loss_f64(const dc_loss_rule *rule, size_t rows, size_t cols, const double *predicted,
                const double *targets, const int64_t *labels, const double *weights, double scale,
                double *loss, double *d_predicted);

/* The same loss alone, by value; NaN where dc_loss would fail. */
double dc_loss_value_f32(const dc_loss_rule *rule, size_t rows, size_t cols, const float *predicted,
                         const float *targets, const int64_t *labels, const float *weights);
double dc_loss_value_f64(const dc_loss_rule *rule, size_t rows, size_t cols,
                         const double *predicted, const double *targets, const int64_t *labels,
                         const double *weights);

/* The loss of each row, multiplied by its weight, to losses (rows); with DC_MEAN_OF_ELEMENTS
 * divided by cols, with any other reduction as it is. Otherwise as dc_loss. */
int dc_loss_rows_f32(const dc_loss_rule *rule, size_t rows, size_t cols, const float *predicted,
                     const float *targets, const int64_t *labels, const float *weights,
                     float *losses);
int dc_loss_rows_f64(const dc_loss_rule *rule, size_t rows, size_t cols, const double *predicted,
                     const double *targets, const int64_t *labels, const double *weights,
                     double *losses);

/* ---- Random numbers -------------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): element i of
 * stream (key, counter) depends on nothing but i, key and counter. */

/* Uniform in [0, 1): 24 random bits (f32), 53 (f64). */
int dc_random_uniform_f32(uint64_t key, uint64_t counter, size_t n, float *y);
int dc_random_uniform_f64(uint64_t key, uint64_t counter, size_t n, double *y);
/* Normal, by the inverse of its distribution function (Wichura, algorithm AS 241, 1988).
 * DC_BAD_VALUE: mean or deviation is not finite, or deviation is below 0. */
int dc_random_normal_f32(uint64_t key, uint64_t counter, size_t n, double mean, double deviation,
                         float *y);
int dc_random_normal_f64(uint64_t key, uint64_t counter, size_t n, double mean, double deviation,
                         double *y);
/* A permutation of 0 .. n - 1 (Fisher and Yates, from the last element down). */
int dc_random_permutation(uint64_t key, uint64_t counter, size_t n, int64_t *order);

/* y = x where element i of stream (key, counter) keeps it, else +0: each is dropped with
 * probability rate, 0 <= rate <= 1. The backward pass is the same call on the gradient. In place or
 * not. */
int dc_dropout_f32(uint64_t key, uint64_t counter, double rate, size_t n, const float *x, float *y);
int dc_dropout_f64(uint64_t key, uint64_t counter, double rate, size_t n, const double *x,
                   double *y);

/* y = a x + b y, rounded once after b y; where b is 0, y is not read. */
int dc_add_scaled_f32(double a, size_t n, const float *x, double b, float *y);
int dc_add_scaled_f64(double a, size_t n, const double *x, double b, double *y);

/* y = factor x, in place or not. */
int dc_scale_f32(double factor, size_t n, const float *x, float *y);
int dc_scale_f64(double factor, size_t n, const double *x, double *y);

/* ---- Penalties ------------------------------------------------------------------------------- */

/* What the sizes of a parameter's elements add to a loss: l1 sum |p| + l2 sum p^2. gradient: that
 * of the parameter, or NULL: it does not train. */
typedef struct dc_penalty_f32 {
    size_t size;
    const float *parameter;
    float *gradient;
    double l1;
    double l2;
} dc_penalty_f32;
typedef struct dc_penalty_f64 {
    size_t size;
    const double *parameter;
    double *gradient;
    double l1;
    double l2;
} dc_penalty_f64;

/* *penalty, or NULL, = the sum of all; where `gradients` is not 0, l1 sign(p) + 2 l2 p is added to
 * each gradient, with sign 0 = 0. DC_BAD_VALUE: l1 or l2 negative or not finite. */
int dc_penalize_f32(size_t count, const dc_penalty_f32 *penalties, int gradients, double *penalty);
int dc_penalize_f64(size_t count, const dc_penalty_f64 *penalties, int gradients, double *penalty);

/* ---- Optimizers ------------------------------------------------------------------------------ */

/* The rules (deepc_rules.h), for a parameter p with gradient g; lr = learning_rate, t = the number
 * of the step from 1; u, s and w are the tensors first, second and third.
 *   DC_GRADIENT_DESCENT  p -= lr g
 *   DC_MOMENTUM          u = momentum u + (1 - momentum) g;  p -= lr u       (a running average)
 *   DC_SGD               u = momentum u + (1 - dampening) g, in the first step u = g;
 *                        p -= lr (nesterov ? g + momentum u : u)
 *                        rate_inside: u = momentum u + lr g;
 *                        p -= nesterov ? lr g + momentum u : u
 *   DC_RMSPROP           s = decay s + (1 - decay) g^2;  d = g / (sqrt(s) + epsilon);
 *                        centered: w = decay w + (1 - decay) g, and s - w^2 for s in d;
 *                        with momentum: u = momentum u + d;  p -= lr u
 *                        epsilon_inside: d = g / sqrt(s + epsilon)
 *                        rate_inside: u = momentum u + lr d;  p -= u
 *   DC_ADAM              u = momentum u + (1 - momentum) g;  s = decay s + (1 - decay) g^2;
 *                        p -= lr (u / (1 - momentum^t)) / (sqrt(s / (1 - decay^t)) + epsilon)
 *                        amsgrad: w = max(w, s), and w for s in p
 *                        epsilon_inside: (sqrt(s) + epsilon) / sqrt(1 - decay^t) is the divisor
 *   DC_ADAMW             Adam with decoupled weight decay
 *   DC_ADAGRAD           s += g^2;  p -= lr g / (sqrt(s) + epsilon)
 *                        epsilon_inside: p -= lr g / sqrt(s + epsilon)
 *   DC_ADADELTA          s = decay s + (1 - decay) g^2;
 *                        d = g sqrt(u + epsilon) / sqrt(s + epsilon);
 *                        u = decay u + (1 - decay) d^2;  p -= lr d
 *   DC_ADAMAX            u = momentum u + (1 - momentum) g;  s = max(decay s, |g|);
 *                        p -= lr (u / (1 - momentum^t)) / (s + epsilon)
 *                        epsilon_inside: s = max(decay s, |g| + epsilon), divided by s
 *   DC_NADAM             as Adam, with m(t) = momentum (1 - 0.96^(momentum_decay t) / 2), M the
 *                        product of m(1) to m(t), m' = m(t + 1):
 *                        p -= lr (m' u / (1 - M m') + (1 - m(t)) g / (1 - M)) /
 *                             (sqrt(s / (1 - decay^t)) + epsilon)
 *   DC_LION              p -= lr sign(momentum u + (1 - momentum) g);  u = decay u + (1 - decay) g
 *
 * What happens in a step, in this order:
 *   1. accumulation above 1: g is added to the tensor accumulated; only each accumulation-th call
 *      goes on, with their mean as g.
 *   2. clip: see dc_clip. maximize: g = -g.
 *   3. weight decay: g += weight_decay p; or, decoupled, p -= lr weight_decay p. Not for a tensor
 *      whose no_decay is not 0.
 *   4. the rule.
 *   5. average: the tensor average becomes p in the first step, then
 *      average_momentum average + (1 - average_momentum) p; each average_period-th step (0: none) p
 *      becomes the average.
 *
 * A rule's momentum may be changed at any time, also to 0: u goes on then as u = g. It keeps no u
 * as long as it never had a momentum above 0. Numbers of u, s and w that would be subnormal become
 * 0: averages of gradients that stay 0 would be so for ever, and slow on most processors. */

/* What clip says of a gradient. VALUE: each element is held between -clip_limit and clip_limit.
 * NORM and GLOBAL_NORM: it is multiplied by min(1, clip_limit / (norm + clip_epsilon)), where norm
 * is the root of the sum of squares of that gradient, or of all gradients. */
typedef enum dc_clip {
    DC_CLIP_NONE = 0,
    DC_CLIP_VALUE = 1,
    DC_CLIP_NORM = 2,
    DC_CLIP_GLOBAL_NORM = 3
} dc_clip;

/* The settings of a rule, and what it knows beside the tensors. Zero is a good start for all that
 * is not used.
 *
 * DC_BAD_NAME: rule or clip. DC_BAD_VALUE: a learning_rate that is not finite; momentum or decay
 * outside 0 .. 1 (or 1 where the list says BELOW_ONE); dampening outside 0 .. 1, or above 0 with
 * nesterov; epsilon, weight_decay or momentum_decay negative or not finite; clip_limit not above 0,
 * or clip_epsilon negative; average_momentum outside 0 .. 1; or numbers whose combination is beyond
 * the dtype, such as learning_rate / (1 - momentum). What a rule does not use may be anything. */
typedef struct dc_optimizer {
    int rule; /* a dc_rule */
    /* Forms of the rule, 0 or 1. */
    int nesterov;
    int rate_inside;
    int epsilon_inside;
    int amsgrad;
    int centered;
    int decoupled;
    int maximize;
    double learning_rate;
    double momentum;
    double dampening;
    double decay;
    double epsilon;
    double weight_decay;
    double momentum_decay;
    /* Around the rule. */
    int clip; /* a dc_clip */
    int average;
    double clip_limit;
    double clip_epsilon;
    double average_momentum;
    uint64_t average_period;
    uint64_t accumulation;
    /* State: the steps taken, the gradients that wait for the next one, Nadam's M, and whether a
     * step had a momentum above 0. */
    uint64_t steps;
    uint64_t waiting;
    double momentum_product;
    int moving;
} dc_optimizer;

/* The name of a rule, such as "adam"; NULL past the last one. */
const char *dc_rule_name(int rule);

/* Which tensors a rule with these settings needs beside gradient and parameter, as a sum: 1 first,
 * 2 second, 4 third, 8 accumulated, 16 average. */
int dc_optimizer_states(const dc_optimizer *optimizer);

/* One tensor to update, all of `size` elements. What the rule does not need may be NULL. */
typedef struct dc_tensor_f32 {
    size_t size;
    const float *gradient;
    float *parameter;
    float *first;
    float *second;
    float *third;
    float *accumulated;
    float *average;
    int no_decay;
} dc_tensor_f32;
typedef struct dc_tensor_f64 {
    size_t size;
    const double *gradient;
    double *parameter;
    double *first;
    double *second;
    double *third;
    double *accumulated;
    double *average;
    int no_decay;
} dc_tensor_f64;

/* One step of the rule over all tensors, one pass over memory each (two with a norm). steps counts
 * it, but where the gradient only accumulated. */
int dc_optimizer_step_f32(dc_optimizer *optimizer, size_t count, const dc_tensor_f32 *tensors);
int dc_optimizer_step_f64(dc_optimizer *optimizer, size_t count, const dc_tensor_f64 *tensors);

/* Clips `count` arrays in place, as one gradient each; sizes: their elements. *norm, or NULL, gets
 * the root of the sum of squares of all of them before. */
int dc_clip_arrays_f32(int clip, double limit, double epsilon, size_t count, const size_t *sizes,
                       float *const *arrays, double *norm);
int dc_clip_arrays_f64(int clip, double limit, double epsilon, size_t count, const size_t *sizes,
                       double *const *arrays, double *norm);

/* ---- Networks -------------------------------------------------------------------------------- */

/* The name of a kind of layer (dc_layer_kind, deepc_layers.h), such as "linear"; NULL past the last
 * one. */
const char *dc_layer_kind_name(int kind);
/* The name of its i-th parameter, such as "weights"; NULL past the last one. */
const char *dc_layer_parameter_name(int kind, int i);

/* One parameter of a layer, of the network's dtype. gradient: where backward puts its gradient;
 * NULL: it does not train. */
typedef struct dc_parameter {
    size_t size; /* elements */
    void *value;
    void *gradient;
} dc_parameter;

enum { DC_LAYER_PARAMETERS = 4 };

/* One layer, for networks of either dtype. The caller owns it and its arrays, which must outlive
 * every network made of it. A network remembers its kind, inputs, outputs and activation, and reads
 * all else anew at each call, so numbers may be changed between calls.
 *   linear      y = x weights + bias. weights: inputs x outputs, element (i, o) at [i outputs + o];
 *               bias: outputs, or of value NULL and size 0: none.
 *   activation  y = activation(x), elementwise, with activation_parameter where it has one.
 *   dropout     while training is not 0: each input is dropped (+0) with probability `rate`, by
 *               stream (key, counter), to which it then adds one; else y = (1 - rate) x, as in
 *               Grus's book.
 *   inverted_dropout   the same, but what is kept is divided by 1 - rate, and y = x outside
 *                      training.
 *   gaussian_dropout   in training y = x (1 + n), n normal of deviation sqrt(rate / (1 - rate)), by
 *               the same stream; else y = x.
 *   gaussian_noise     in training y = x + n, n normal of deviation `rate`; else y = x.
 *   softmax, log_softmax   of each row, as dc_softmax.
 *   batch_norm  y = (x - m) / sqrt(v + epsilon) gamma + beta, all of a column: `inputs` numbers
 *               each. While training is not 0, m and v are mean and variance (divided by the rows)
 *               of the batch, and the parameter mean becomes momentum mean + (1 - momentum) m, and
 *               so variance, with v n / (n - 1) for v where `unbiased` is not 0 and the rows n > 1.
 *               Else m and v are these two parameters, backward as well as forward. gamma and beta
 *               may be missing.
 *   layer_norm  the same with mean and variance of the row, in training and out of it.
 *   slopes      y = x where x > 0, else slope x; one slope for each of `inputs` columns, or one for
 *               all.
 *   embedding   the input of the network, whole numbers below `inputs`
 *               (dc_network_forward_indices): y holds the rows of the table, inputs x outputs, that
 *               they name, side by side.
 * pass_* tell of the last training pass of the dropouts: rate, counter, rows (0: one sample that is
 * no batch) and columns (0: there was none), for dc_dropout to give its mask.
 * What a kind does not use is ignored. */
typedef struct dc_layer {
    int kind; /* a dc_layer_kind */
    int training;
    size_t inputs;
    size_t outputs;
    dc_parameter parameters[DC_LAYER_PARAMETERS];
    int activation; /* a dc_activation */
    int unbiased;
    double activation_parameter;
    double rate;
    double momentum;
    double epsilon;
    uint64_t key;
    uint64_t counter;
    double pass_rate;
    uint64_t pass_counter;
    size_t pass_rows;
    size_t pass_cols;
} dc_layer;

/* A sequence of layers, compiled: it owns the memory between the layers, sized for the largest
 * batch so far. Calls on one network from several threads take turns. */
typedef struct dc_network_f32 dc_network_f32;
typedef struct dc_network_f64 dc_network_f64;

/* Makes a network of 1 or more layers, keeps the pointers to them (not the array of pointers). A
 * layer may occur more than once; its gradients then add up. DC_BAD_NAME: a kind or activation that
 * is unknown. DC_BAD_SIZE: a layer's inputs are not the width before it, or a parameter's size is
 * not the layer's. DC_BAD_POINTER: a parameter that a layer cannot do without. DC_BAD_VALUE: a
 * number out of its range; one that becomes so later is refused by the call that meets it. */
int dc_network_create_f32(size_t count, dc_layer *const *layers, dc_network_f32 **network);
int dc_network_create_f64(size_t count, dc_layer *const *layers, dc_network_f64 **network);
/* Frees it; NULL is allowed. */
void dc_network_free_f32(dc_network_f32 *network);
void dc_network_free_f64(dc_network_f64 *network);

/* How many inputs a network has; 0: any number. */
size_t dc_network_inputs_f32(const dc_network_f32 *network);
size_t dc_network_inputs_f64(const dc_network_f64 *network);
/* How many outputs it has for so many inputs; 0: these are not its inputs. */
size_t dc_network_outputs_f32(const dc_network_f32 *network, size_t cols);
size_t dc_network_outputs_f64(const dc_network_f64 *network, size_t cols);

/* y (rows x outputs) = the network's output for x (rows x cols). What the layers computed is kept
 * for backward; but a batch whose layers' outputs take more than 32 MB, of a network where no layer
 * trains, is computed block by block of rows in a few MB, and once more if backward comes
 * after all. DC_BAD_SIZE: cols is not the first width; what was kept of the last forward stays
 * then. */
int dc_network_forward_f32(dc_network_f32 *network, size_t rows, size_t cols, const float *x,
                           float *y);
int dc_network_forward_f64(dc_network_f64 *network, size_t rows, size_t cols, const double *x,
                           double *y);
/* The same for one sample that is no batch, which differs from a batch of one row in what
 * dc_layer.pass_rows says. */
int dc_network_forward_sample_f32(dc_network_f32 *network, size_t cols, const float *x, float *y);
int dc_network_forward_sample_f64(dc_network_f64 *network, size_t cols, const double *x, double *y);

/* From d_y (rows x outputs) to the gradients of all parameters, summed over the rows, into their
 * places; and to d_x (rows x cols), or NULL where it is not wanted. rows, cols and x are those of
 * the last forward, and the parameters are as they were. DC_BAD_STATE: no forward before, or one of
 * other sizes, or a dropout layer that is not training. */
int dc_network_backward_f32(dc_network_f32 *network, size_t rows, size_t cols, const float *x,
                            const float *d_y, float *d_x);
int dc_network_backward_f64(dc_network_f64 *network, size_t rows, size_t cols, const double *x,
                            const double *d_y, double *d_x);

/* The same two for a network that begins with an embedding, whose input is whole numbers.
 * DC_BAD_LABEL: one of them is not below the rows of the table. DC_BAD_NAME: the network begins
 * with something else; the functions above give it for one that begins with an embedding. */
int dc_network_forward_indices_f32(dc_network_f32 *network, size_t rows, size_t cols,
                                   const int64_t *x, float *y);
int dc_network_forward_indices_f64(dc_network_f64 *network, size_t rows, size_t cols,
                                   const int64_t *x, double *y);
int dc_network_backward_indices_f32(dc_network_f32 *network, size_t rows, size_t cols,
                                    const int64_t *x, const float *d_y);
int dc_network_backward_indices_f64(dc_network_f64 *network, size_t rows, size_t cols,
                                    const int64_t *x, const double *d_y);
/* Whether it does. */
int dc_network_takes_indices_f32(const dc_network_f32 *network);
int dc_network_takes_indices_f64(const dc_network_f64 *network);

/* The rows to train on: x, or for a network that begins with an embedding indices (the other NULL),
 * is rows x cols; targets rows x outputs or labels one a row (the other NULL). weights: one a row,
 * or NULL for ones; a label of a row of weight 0 may be anything. order: the `rows` row numbers in
 * the order of their use, or NULL for 0, 1, 2 ... The last batch may be smaller. loss: its
 * reduction holds within a batch. interrupted, or NULL: is asked about every 20 ms in the midst of
 * a long step; if it returns not 0, the call ends with DC_INTERRUPTED before the update of that
 * step, and the network is as it was before the step. rates: the learning rate of each step from
 * the first batch on, or NULL for that of the optimizer, which is otherwise the one that was used
 * last. predictions (rows x outputs, in the order of their use), or NULL: gets what the network
 * gave for each row before the step that it led to. penalties, penalty_count of them: are part of
 * the loss of each batch, and so of the gradients; of an average over rows each row has it. right,
 * or NULL: is raised by 1 for each row whose largest output, before the step that it led to, is
 * that of its label, or of its largest target. */
typedef struct dc_samples_f32 {
    size_t rows;
    size_t cols;
    const float *x;
    const int64_t *indices;
    const float *targets;
    const int64_t *labels;
    const int64_t *order;
    size_t batch_size;
    dc_loss_rule loss;
    int (*interrupted)(void);
    const double *rates;
    const float *weights;
    float *predictions;
    const dc_penalty_f32 *penalties;
    size_t penalty_count;
    size_t *right;
} dc_samples_f32;
typedef struct dc_samples_f64 {
    size_t rows;
    size_t cols;
    const double *x;
    const int64_t *indices;
    const double *targets;
    const int64_t *labels;
    const int64_t *order;
    size_t batch_size;
    dc_loss_rule loss;
    int (*interrupted)(void);
    const double *rates;
    const double *weights;
    double *predictions;
    const dc_penalty_f64 *penalties;
    size_t penalty_count;
    size_t *right;
} dc_samples_f64;

/* Trains from position *next (a multiple of the batch size) of the order, one step a batch:
 * forward, loss, backward, update. Returns at the end of the samples, or after the first step that
 * ends later than `seconds` from now, or after the one with which *loss becomes infinite or NaN;
 * *next is then where to go on. Adds the rows' weighted losses to *loss: their sum, with
 * DC_MEAN_OF_ELEMENTS divided by the outputs, with DC_MEAN_BY_WEIGHT by the batch's mean weight.
 * tensors: every parameter that trains once, with the gradient that its layer has, as for
 * dc_optimizer_step. With batches of one row the gradients may go straight into the update and are
 * then not written to their places. The results have the bits of the single calls.
 *
 * DC_BAD_SIZE: no rows, no batch size, cols is not the first width, *next is no multiple of the
 * batch size, or a tensor's size is not its parameter's. DC_BAD_VALUE: order holds no row number.
 * DC_BAD_LABEL: a label is not one of the outputs. DC_BAD_NAME: the loss or the rule.
 * DC_BAD_POINTER: both or none of targets and labels, or labels for a loss that takes none; a
 * tensor's gradient is not its parameter's. DC_BAD_STATE: a dropout layer is not training. What
 * dc_loss_check and dc_optimizer_step refuse is refused before the first step. */
int dc_network_train_f32(dc_network_f32 *network, dc_optimizer *optimizer, size_t count,
                         const dc_tensor_f32 *tensors, const dc_samples_f32 *samples,
                         double seconds, size_t *next, double *loss);
int dc_network_train_f64(dc_network_f64 *network, dc_optimizer *optimizer, size_t count,
                         const dc_tensor_f64 *tensors, const dc_samples_f64 *samples,
                         double seconds, size_t *next, double *loss);
