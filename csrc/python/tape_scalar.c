/* The operations of Scalars: doubles, as the C library has them. */
#include "tape.h"

#include <math.h>

#include "../deepc.h"

/* ---- Forward --------------------------------------------------------------------------------- */

static double compute(int op, double a, double b) {
    double y;
    switch (op) {
    case OP_ADD: return a + b;
    case OP_SUBTRACT: return a - b;
    case OP_MULTIPLY: return a * b;
    case OP_DIVIDE: return a / b;
    case OP_GATE: return (double)(a > 0) * b;
    case OP_QUOTIENT: return a == 0 ? 0 : a / b;
    case OP_NEGATE: return -a;
    case OP_POWER: return pow(a, b);
    case OP_RELU_PRODUCT: return (double)(a > 0) * a;
    case OP_EXP: return dc_exp_f64(1, &a, &y) ? NAN : y;
    case OP_LOG: return dc_log_f64(1, &a, &y) ? NAN : y;
    case OP_SIGMOID: return dc_activation_forward_f64(DC_SIGMOID, 0, 1, &a, &y) ? NAN : y;
    case OP_TANH: return dc_activation_forward_f64(DC_TANH, 0, 1, &a, &y) ? NAN : y;
    case OP_RELU: return dc_activation_forward_f64(DC_RELU, 0, 1, &a, &y) ? NAN : y;
    default: return NAN;
    }
}

static inline void keep(node *n, int i, node *operand, double number) {
    n->first[i].node = (node *)Py_XNewRef((PyObject *)operand);
    n->first[i].value.number = number;
    if (operand && operand->flags & HAS_HISTORY_OF_CALLABLES) n->flags |= HAS_HISTORY_OF_CALLABLES;
}

/* Whether a result is NaN although no operand is, and that is an error. */
static int is_new_nan(int op, double y, double a, double b) {
    if (!isnan(y) || isnan(a) || isnan(b) || !detects()) return 0;
    PyErr_Format(PyExc_FloatingPointError,
                 "detect_nan: the forward of %s made a NaN from operands without one",
                 dc_tape_names[op]);
    return 1;
}

/* A node for a number of one operand or two, of which either may be a constant. */
static PyObject *result_of(int op, double y, uint32_t count, node *a, double a_number, node *b,
                           double b_number) {
    if (is_new_nan(op, y, a_number, b_number)) return NULL;
    node *n = dc_tape_new(SCALARS, NULL);
    if (!n) return NULL;
    n->data.number = y;
    if (is_silent()) return (PyObject *)n;
    n->flags |= REQUIRES;
    n->op = (uint8_t)op;
    n->count = count;
    keep(n, 0, a, a_number);
    keep(n, 1, b, b_number);
    if (n->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    return (PyObject *)n;
}

/* Whether an operand is a Scalar or a float of no class derived from these; what it is. */
static inline int is_quick(PyObject *object, node **n, double *number) {
    if (Py_TYPE(object) == dc_tape_families[SCALARS]) {
        *n = (node *)object;
        *number = (*n)->data.number;
        return 1;
    }
    if (!PyFloat_CheckExact(object)) return 0;
    *n = NULL;
    *number = PyFloat_AsDouble(object);
    return 1;
}

static inline double quick_compute(int op, double a, double b) {
    return op == OP_ADD ? a + b : op == OP_MULTIPLY ? a * b : op == OP_SUBTRACT ? a - b : a / b;
}

PyObject *dc_tape_quick_binary(int op, PyObject *a, PyObject *b) {
    node *x, *z;
    double x_number, z_number;
    if (!is_quick(a, &x, &x_number) || !is_quick(b, &z, &z_number) || is_set()) return NULL;
    node *const n = take_spare(SCALARS);
    if (!n) return NULL;
    const int flags = (x ? x->flags : 0) | (z ? z->flags : 0);
    n->data.number = quick_compute(op, x_number, z_number);
    n->grad.number = 0;
    n->pass = 0;
    n->count = 2;
    n->flags = (uint16_t)(IS_SCALAR | REQUIRES | (flags & HAS_HISTORY_OF_CALLABLES));
    n->op = (uint8_t)op;
    n->family = SCALARS;
    n->extra = NULL;
    n->version = 0;
    n->code = 0;
    n->first[0] = (operand){(node *)Py_XNewRef((PyObject *)x), {.number = x_number}};
    n->first[1] = (operand){(node *)Py_XNewRef((PyObject *)z), {.number = z_number}};
    if (n->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    return (PyObject *)n;
}

PyObject *dc_tape_scalar_binary(int op, node *a, double a_number, node *b, double b_number) {
    if (a) a_number = a->data.number;
    if (b) b_number = b->data.number;
    const double y = compute(op, a_number, b_number);
    if (a || b) return result_of(op, y, 2, a, a_number, b, b_number);
    return is_new_nan(op, y, a_number, b_number) ? NULL : PyFloat_FromDouble(y);
}

PyObject *dc_tape_scalar_unary(int op, node *x) {
    return result_of(op, compute(op, x->data.number, 0), 1, x, x->data.number, NULL, 0);
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* A slope that is infinite passes no gradient where there is none. */
static double times(double g, double slope) { return g == 0 ? 0 : g * slope; }

/* a^b: by a it is b a^(b - 1), and 0 where b is 0; by b it is a^b log a, and 0 where a is 0 and the
 * power is 0 too. */
static void power(double g, double a, double b, double y, double d[2]) {
    d[0] = b == 0 ? 0 : times(g, b * pow(a, b - 1));
    d[1] = a == 0 && b >= 0 ? 0 : times(g, y * log(a));
}

static inline void give(uint64_t pass, node *to, double d) {
    if (to && to->pass == pass && to->flags & IS_ACTIVE) to->g.number += d;
}

void dc_tape_scalar_rule(const node *n, uint64_t pass) {
    const double a = n->first[0].value.number, b = n->first[1].value.number;
    const double y = n->data.number, g = n->g.number;
    double d[2] = {0, 0};
    switch (n->op) {
    case OP_ADD: d[0] = d[1] = g; break;
    case OP_SUBTRACT: d[0] = g, d[1] = -g; break;
    case OP_MULTIPLY: d[0] = b * g, d[1] = a * g; break;
    case OP_DIVIDE:
    case OP_QUOTIENT: d[0] = g == 0 ? 0 : g / b, d[1] = g == 0 ? 0 : -(g * (y / b)); break;
    case OP_GATE: d[1] = (double)(a > 0) * g; break;
    case OP_NEGATE: d[0] = -g; break;
    case OP_POWER: power(g, a, b, y, d); break;
    case OP_RELU_PRODUCT: d[0] = (double)(a > 0) * g; break;
    case OP_EXP: d[0] = times(g, y); break;
    case OP_LOG: d[0] = g == 0 ? 0 : g / a; break;
    case OP_SIGMOID: d[0] = y * (1 - y) * g; break;
    case OP_TANH: d[0] = (1 - y * y) * g; break;
    case OP_RELU: d[0] = y > 0 ? g : 0; break;
    default: break;
    }
    give(pass, n->first[0].node, d[0]);
    give(pass, n->first[1].node, d[1]);
}

void dc_tape_scalar_walk(node *first, uint64_t pass) {
    for (node *n = first; n; n = n->link) {
        const double g = n->g.number;
        n->grad.number += g;
        if (n->op == OP_ADD) {
            give(pass, n->first[0].node, g);
            give(pass, n->first[1].node, g);
        } else if (n->op == OP_MULTIPLY) {
            give(pass, n->first[0].node, n->first[1].value.number * g);
            give(pass, n->first[1].node, n->first[0].value.number * g);
        } else if (n->op != OP_LEAF) {
            dc_tape_scalar_rule(n, pass);
        }
    }
}
