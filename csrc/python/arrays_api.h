/* The library over NumPy arrays, for the Python module alone; declarations only, like deepc_api.h.
 *
 * An array is handed over as the address of its object, which is what id() gives. Its type, shape,
 * strides and memory are read here: in Python each of them costs as much as a small layer.
 *
 * Arrays must be plain: numpy.ndarray itself, of float32 or float64 (labels: int64) in the
 * machine's byte order, C-contiguous, and writable where they are written. Where one is not, where shapes do not fit each
 * other, or where what is written overlaps what is read, a function returns DC_OTHER_ARRAYS and has
 * done nothing: the caller converts, or says what is wrong. Otherwise it returns what the function
 * of deepc_api.h returned.
 *
 * The caller holds the arrays meanwhile. No function needs the interpreter's lock. */

enum { DC_OTHER_ARRAYS = 64 };

/* Tells numpy.ndarray itself, before any other call. */
void dc_arrays_initialize(uintptr_t ndarray);

/* y = function(x), of one shape; y may be x. */
typedef enum dc_function {
    DC_FUNCTION_EXP = 16, /* below it: the activations of dc_activation */
    DC_FUNCTION_LOG = 17,
    DC_FUNCTION_SOFTMAX = 18 /* along the last dimension */
} dc_function;
int dc_arrays_map(int function, uintptr_t x, uintptr_t y);

/* c = op(a) op(b). A vector is one row of op(a), one column of op(b), and c lacks that dimension.
 * a and b need not be C-contiguous: rows of elements side by side, or columns, may lie apart. */
int dc_arrays_matmul(int transpose_a, int transpose_b, uintptr_t a, uintptr_t b, uintptr_t c);

/* The loss of one sample (1-D) or a batch (2-D), its sum or its mean over the rows; actual holds
 * targets of the shape of predicted, or a label for each row of a batch. NaN for what the library
 * refuses and for other arrays. */
double dc_arrays_loss(int loss_kind, int mean, uintptr_t predicted, uintptr_t actual);
/* Its gradient, of the shape of predicted. */
int dc_arrays_loss_gradient(int loss_kind, int mean, uintptr_t predicted, uintptr_t actual,
                            uintptr_t d_predicted);

/* A network of the dtype of y over one sample or a batch; y is as wide as its output. */
int dc_arrays_forward(void *network, uintptr_t x, uintptr_t y);
/* Back from d_y, which must be `outputs` wide (0: as wide as x). d_x: 0 where it is not wanted. */
int dc_arrays_backward(void *network, size_t outputs, uintptr_t x, uintptr_t d_y, uintptr_t d_x);
