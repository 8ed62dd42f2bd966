/* The library over NumPy arrays, for the Python module alone; declarations only, like deepc_api.h.
 *
 * For a small network, asking Python for an array's type, shape and address and making the array of
 * the result takes longer than the network itself. These functions do it in C. They are functions
 * of the module, not of cffi's `lib`, which would have to be told everything in numbers:
 *
 *   map(function, x, out)                      function: one of dc_function
 *   activation(activation, parameter, x, out)  activation: a number of dc_activation
 *   matmul(a, b, out, transpose_a, transpose_b)    a and b: rows of elements side by side, or
 *                                              columns, may lie apart; a vector is one row of op(a)
 *                                              or one column of op(b), and then the result has not
 *                                              that dimension
 *   loss(rule, predicted, actual, weights)     a float. rule: kind, reduction, parameter,
 *                                              smoothing; actual: targets, or a label for each row;
 *                                              weights: one a row, or None
 *   loss_gradient(rule, predicted, actual, weights)
 *   loss_and_gradient(rule, predicted, actual, weights)    both, as a tuple
 *   loss_rows(rule, predicted, actual, weights)            the losses of the rows, without a sum
 *   forward_f32(network, x, before)            network: its address; x: one sample or a batch, of
 *                                              int64 where the network takes indices; before: the
 *                                              array of the last call, or None
 *   forward_f64
 *   backward_f32(network, x, d_y, wanted)      the gradient of x if wanted and there is one, else
 *                                              None
 *   backward_f64
 *   step_f32(optimizer, tensors, leaves, params, grads)
 *                                              optimizer, tensors: the addresses of a dc_optimizer
 *   step_f64                                   and of as many dc_tensor as the tuples or lists
 *                                              params and grads have arrays; a status.
 *                                              DC_NOT_TAKEN: an array is not the memory of its
 *                                              tensor (any more). grads None: the arrays are known,
 *                                              only whether a parameter has been made read-only is
 *                                              not. leaves: a list of the tape's over the same
 *                                              arrays, which learn of the step
 *
 * What is taken:
 *
 *   argument       accepted
 *   every array    numpy.ndarray itself, no subclass, of the machine's byte order
 *   numbers        float32 or float64, all of one call alike
 *   labels, whole numbers    int64
 *   memory         C-contiguous (of matmul see above)
 *   shapes         that fit each other
 *   out            None for a new array, or a writable one of the result's shape and dtype that
 *                  overlaps nothing that is read (in map and activation it may be x itself)
 *
 * Of a loss and a network, lists of floats (lists.h) may stand for arrays: of the others' dtype,
 * else of float64. The result is a list where the predictions, x or d_y is one. forward
 * copies the numbers of a list to `before` if that has their form and nobody else holds it, and
 * returns the list alone; else a tuple of a new array with these numbers and the list.
 *
 * A function returns its result, or a status: what the function of deepc_api.h returned, or
 * DC_NOT_TAKEN if an argument is not of these. It has done nothing then, and the caller converts
 * the arrays or says what is wrong. loss, whose result is a number, returns NaN in both cases.
 *
 * The interpreter's lock is free while they compute; a short step keeps it. */

enum { DC_NOT_TAKEN = 64 };

/* What map computes. */
typedef enum dc_function {
    DC_FUNCTION_EXP = 0,
    DC_FUNCTION_LOG = 1,
    DC_FUNCTION_SOFTMAX = 2 /* along the last dimension */
} dc_function;

/* Adds the functions to a module, given by the address of the object. The caller need not hold the
 * interpreter's lock. DC_BAD_STATE with an exception set if NumPy cannot be used. */
int dc_arrays_initialize(uintptr_t module);

/* Whether Python's main thread has got SIGINT and not handled it yet; for dc_samples.interrupted,
 * so called without the interpreter's lock. In other threads, where Python handles no signals:
 * 0. */
int dc_arrays_interrupted(void);
