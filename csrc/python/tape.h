/* The tape's node: a number or an array, what it was computed from, and its gradient.
 *
 * One type serves both payloads: a Scalar holds a double, a Tensor a NumPy array. An operation
 * makes a new node that refers to its operands; dc_tape_backward walks from a node to all that it
 * was computed from and applies each operation's backward formula. Both walk and deallocation are
 * loops, so a graph may be a million operations deep.
 *
 *   tape_node.c     making, dropping
 *   tape_type.c     the type: what Python makes, operators, families
 *   tape_block.c    what it has instead of arrays that Python never sees
 *   tape_attributes.c   what Python reads and sets
 *   tape_arrays.c   operations on bare arrays, and what Python computes where C cannot
 *   tape_sums.c     their sums and products, and what fits one to another's shape
 *   tape_record.c   an operation on nodes: computes, and writes down what backward needs
 *   tape_scalar.c   the operations of Scalars
 *   tape_rules.c    backward formulas over arrays, which also run on Tensors (create_graph)
 *   tape_functions.c    activations and softmax
 *   tape_linear.c   the fused products and losses
 *   tape_calls.c    those of them that Python calls most
 *   tape_network.c  compiled networks
 *   tape_walk.c     the walk back
 *   tape_collect.c  which parameters a model has
 *   tape_module.c   functions for Python
 *
 * A node is invisible to the garbage collector unless it holds a Python callable or belongs to a
 * user's class: it refers to older nodes only, so it cannot be part of a cycle. All functions need
 * the interpreter's lock. Those that return a pointer return a new reference, or NULL with an
 * exception set; those that return int, -1 with an exception set. */
#ifndef DEEPC_TAPE_H
#define DEEPC_TAPE_H

#include "../of_a_thread.h"
#include "look.h"

#include <stdatomic.h>

/* Puts a new reference in the place of an old one. */
static inline void replace(PyObject **place, PyObject *with) {
    PyObject *const old = *place;
    *place = with;
    Py_XDECREF(old);
}

/* ---- The node -------------------------------------------------------------------------------- */

/* Every operation: O(NAME, name, number of operands whose values backward needs, how). The last two
 * say of which operands the value is kept for the gradient of operand 0, of operand 1 (bits). */
#define OPERATIONS(O)                                                                              \
    O(LEAF, "leaf", 0, 0)                                                                          \
    O(ADD, "+", 0, 0)                                                                              \
    O(SUBTRACT, "-", 0, 0)                                                                         \
    O(MULTIPLY, "*", 2, 1)                                                                         \
    O(DIVIDE, "/", 2, 3)                                                                           \
    O(GATE, "gate", 0, 1)                                                                          \
    O(QUOTIENT, "/", 2, 3)                                                                         \
    O(NEGATE, "neg", 0, 0)                                                                         \
    O(POWER, "**", 3, 3)                                                                           \
    O(RELU_PRODUCT, "relu", 1, 0)                                                                  \
    O(EXP, "exp", 0, 0)                                                                            \
    O(LOG, "log", 1, 0)                                                                            \
    O(SIGMOID, "sigmoid", 0, 0)                                                                    \
    O(TANH, "tanh", 0, 0)                                                                          \
    O(RELU, "relu", 0, 0)                                                                          \
    O(ACTIVATION, "activation", 2, 0)                                                              \
    O(SOFTMAX, "softmax", 2, 0)                                                                    \
    O(LOG_SOFTMAX, "log_softmax", 2, 0)                                                            \
    O(SUM, "sum", 0, 0)                                                                            \
    O(PRODUCT, "prod", 1, 0)                                                                       \
    O(FIT, "fit", 0, 0)                                                                            \
    O(MATMUL, "@", 2, 1)                                                                           \
    O(LINEAR, "linear", 3, 1)                                                                      \
    O(LOSS, "loss", 0, 0)                                                                          \
    O(NETWORK, "network", 0, 0)                                                                    \
    O(ITEM, "item", 0, 0)                                                                          \
    O(GATHER, "gather", 0, 0)                                                                      \
    O(PYTHON, "python", 0, 0)                                                                      \
    O(LENT, "function", 0, 0)                                                                      \
    O(FREED, "freed", 0, 0) /* any of them, after its history was forgotten: first says which */

enum operation {
#define OPERATION(name, text, for_first, for_second) OP_##name,
    OPERATIONS(OPERATION)
#undef OPERATION
        OPERATION_COUNT
};

typedef union value {
    double number;    /* of a Scalar */
    PyObject *object; /* of a Tensor: an array, or a Python number, or NULL */
    size_t cursor; /* of g, while the order is looked for: the next operand to visit; of a FREED
                         node's first operand, which is none any more: the operation it had */
} value;

typedef struct operand {
    struct node *node; /* NULL: a constant */
    value value;       /* as it was when the operation was computed, if backward needs it */
} operand;

/* What few nodes have. All may be NULL. */
typedef struct extra {
    PyObject *rule;    /* PYTHON: rule(g, y, inputs, context); LENT: a callable */
    PyObject *context; /* PYTHON: what the rule wants to see again */
    PyObject *hooks;   /* a dict of callables, in order */
    PyObject *name;    /* PYTHON, LENT: what the operation is called, a str */
    PyObject *label;   /* the user's name for the node, a str */
} extra;

enum flag {
    IS_SCALAR = 1,
    REQUIRES = 2,     /* a gradient with respect to it is wanted */
    RETAINS = 4,      /* an inner Tensor that keeps its gradient */
    STALE = 8,        /* the gradient's array stands for zeros, whatever it holds */
    IS_TARGET = 16,   /* of this pass: its gradient is what the caller wants */
    IS_ACTIVE = 32,   /* of this pass: leads to a target */
    IN_PLACE = 64,    /* of this pass: g is the gradient's own array */
    IS_LENT = 128,    /* grad is whatever a user's backward function makes of it */
    IS_TRACKED = 256, /* the garbage collector sees it */
    HAS_HISTORY_OF_CALLABLES = 512,
    IS_SHARED = 1024, /* the gradient's array belongs to a layer too: it never stands for zeros */
    KEEPS_ARRAY = 2048, /* the gradient's array stays: None is zeros, as optimizers know it */
    HAS_MORE = 4096 /* operands than fit into the node */
};

/* How many operands fit into a Scalar, into a Tensor. */
enum { SCALAR_OPERANDS = 2, TENSOR_OPERANDS = 3 };

/* A lesson's graph is a hundred thousand of these: a Scalar ends after two operands (128 bytes
 * with what the garbage collector puts before it), since memory sets the pace of a long walk. What
 * a walk needs of a leaf comes first: Python's allocator lets that be one line of the cache. */
typedef struct node {
    PyObject_HEAD value data, grad;
    value g;           /* the gradient within a pass */
    struct node *link; /* within a pass, or while being dropped: the next one of a list */
    uint64_t pass;     /* the last one that came here; g and link count in that one only */
    uint32_t count;    /* of operands */
    uint16_t flags;
    uint8_t op, family;
    struct extra *extra;
    uint32_t version; /* how often its array was changed in place */
    int32_t code; /* of the operation: which activation, loss, element */
    union {
        operand first[TENSOR_OPERANDS];
        operand *more; /* HAS_MORE: memory of its own, with the versions after the operands */
    };
    uint32_t versions[TENSOR_OPERANDS]; /* of the operands at the time of the operation */
} node;

/* Where the code of a loss has its reduction, beside its kind. */
enum { REDUCTION_SHIFT = 16 };

/* The operation that computed it, also after its history was forgotten. */
static inline int operation_of(const node *n) {
    return n->op == OP_FREED ? (int)n->first[0].value.cursor : n->op;
}
static inline operand *operands_of(const node *n) {
    return n->flags & HAS_MORE ? n->more : (operand *)n->first;
}
static inline uint32_t *versions_of(const node *n) {
    return n->flags & HAS_MORE ? (uint32_t *)(void *)(n->more + n->count) : (uint32_t *)n->versions;
}

/* Families of Python classes: results of operations on them are of the family's own class, so that
 * a face may have a Tensor of its own. The first is Scalar, the second Tensor. */
enum { SCALARS, TENSORS, MOST_FAMILIES = 8 };
extern PyTypeObject *dc_tape_families[MOST_FAMILIES];
extern PyTypeObject *dc_tape_type;
/* The class derived from them that is asked for most: in a model every other operand is of it. */
extern PyTypeObject *dc_tape_parameter;

static inline int is_node(PyObject *object) {
    PyTypeObject *const type = Py_TYPE(object);
    return type == dc_tape_families[SCALARS] || type == dc_tape_families[TENSORS] ||
           type == dc_tape_parameter ||
           (type != dc_block_type && type != &PyArray_Type && type != &PyFloat_Type &&
            PyObject_TypeCheck(object, dc_tape_type));
}
/* The object as a node, NULL if it is none. */
static inline node *as_node(PyObject *object) { return is_node(object) ? (node *)object : NULL; }
static inline int is_scalar(const node *n) { return n->flags & IS_SCALAR; }

extern const char *const dc_tape_names[OPERATION_COUNT];
/* What a node's operation is called. */
const char *dc_tape_name(const node *n);

/* A new node without operands. Steals `array`, which is NULL for a Scalar. */
node *dc_tape_new(int family, PyObject *array);
/* tape_family(name, scalars, dict): a class of the tape, with what a Python class has. Objects
 * of a class that Python makes itself take twice as long to drop. */
PyObject *dc_tape_family(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
/* Of such a family, dropped nodes are kept for the next ones. */
void dc_tape_keep_spare(int family);
/* Those: they have no reference, and keep that to their class. By pieces of memory, each a list by
 * link: with one list the nodes of a training that makes the same graph again and again would soon
 * lie in no order at all, and a walk through them take three times as long. */
enum { PIECE_SHIFT = 14, PIECES = 4096, WORD = 64 };
typedef struct spare {
    node *first[PIECES];
    uint64_t filled[PIECES / WORD], filled_words; /* bits: which pieces have some, which words */
    unsigned count, current; /* the piece that the last one came from */
    int possible;            /* whether the class is one of tape_family's */
} spare;
extern spare dc_tape_spare[MOST_FAMILIES];
/* One of them; NULL if there is none. */
static inline node *take_spare(int family) {
    spare *const s = &dc_tape_spare[family];
    if (s->count == 0) return NULL;
    unsigned piece = s->current;
    if (!s->first[piece]) {
        const unsigned word = (unsigned)__builtin_ctzll(s->filled_words);
        piece = s->current = word * WORD + (unsigned)__builtin_ctzll(s->filled[word]);
    }
    node *const n = s->first[piece];
    const uintptr_t next = (uintptr_t)n->link;
    s->first[piece] = n->link;
    s->count--;
    if (!next && !(s->filled[piece / WORD] &= ~((uint64_t)1 << piece % WORD)))
        s->filled_words &= ~((uint64_t)1 << piece / WORD);
    /* Of a large graph the next one is in no near cache: asked for now, it is there in time. */
    __builtin_prefetch((const void *)next, 1);        /* NOLINT */
    __builtin_prefetch((const void *)(next + 64), 1); /* NOLINT */
    Py_SET_REFCNT((PyObject *)n, 1);
    return n;
}
/* A Tensor of a class over an array, which is not looked at. */
PyObject *dc_tape_over(PyTypeObject *type, PyObject *array);
/* One of any class of a family. */
node *dc_tape_allocate(PyTypeObject *type, int family, PyObject *array);
/* The size of a family's nodes in bytes. */
Py_ssize_t dc_tape_size(int family);
/* Makes room for so many operands. */
int dc_tape_reserve(node *n, size_t count);
extra *dc_tape_extra(node *n);
/* From now on the garbage collector sees the node. */
void dc_tape_track(node *n);
/* Forgets what a node was computed from. */
void dc_tape_clear_history(node *n);
/* A Tensor's gradient as an array that Python may see: zeros if it is stale. NULL: it has none. */
int dc_tape_settle(node *n);
/* The same of a list, whose arrays an optimizer is about to step by their addresses: what was
 * computed from them so far is out of date. */
int dc_tape_settle_all(PyObject *list);
/* Lets a Tensor's gradient stand for zeros; of a shared one writes them. */
int dc_tape_zero(node *n);

/* ---- Recording ------------------------------------------------------------------------------- */

/* The settings of a thread: whether operations are not written down (no_grad), whether each looks
 * for NaN. */
typedef struct settings {
    int silent, detects;
} settings;
extern OF_A_THREAD settings dc_tape_settings;
/* How many settings of all threads are on. Usually none is, and a number of the process is read
 * in a fraction of the time that a thread's own takes. */
extern _Atomic int dc_tape_set;
static inline int is_set(void) {
    return atomic_load_explicit(&dc_tape_set, memory_order_relaxed) != 0;
}
static inline int is_silent(void) { return is_set() && dc_tape_settings.silent; }
static inline int detects(void) { return is_set() && dc_tape_settings.detects; }
/* Sets one of them; returns what it was. */
int dc_tape_setting(int *setting, int value);

/* An operation of two operands, of one: on nodes a node, on bare arrays an array. Operands may be
 * Scalars, Tensors, arrays and numbers; NotImplemented (a new reference) for anything else. */
PyObject *dc_tape_binary(int op, PyObject *a, PyObject *b);
PyObject *dc_tape_unary(int op, PyObject *x);
/* The same of Scalars and numbers alone. The first takes the least time, and gives NULL without an
 * exception of anything but Scalars and floats proper. */
PyObject *dc_tape_quick_binary(int op, PyObject *a, PyObject *b);
PyObject *dc_tape_scalar_binary(int op, node *a, double a_number, node *b, double b_number);
PyObject *dc_tape_scalar_unary(int op, node *x);
/* Adds a Scalar's gradient, carried back, to those of its operands that a pass came to. */
void dc_tape_scalar_rule(const node *n, uint64_t pass);
/* Does that for a list of Scalars, and adds each one's gradient to its .grad. */
void dc_tape_scalar_walk(node *first, uint64_t pass);

/* A node for a result (stolen) of `count` operands, or the bare result if none of them is a node.
 */
PyObject *dc_tape_record(int op, PyObject *result, PyObject *const *operands, size_t count);
/* a b with either transposed first; matrices only. */
PyObject *dc_tape_matmul(PyObject *a, PyObject *b, int transpose_a, int transpose_b);
/* x, summed or repeated to a shape; of nodes a node. */
PyObject *dc_tape_fit(PyObject *x, PyObject *like);
/* What an operand is as an array or a number, borrowed from the node or a new reference. */
PyObject *dc_tape_payload(PyObject *operand);
/* As in NumPy a number: float, int, NumPy's scalars. */
int dc_tape_is_number(PyObject *object, double *number);

/* ---- Arrays ---------------------------------------------------------------------------------- */

/* Where an array's numbers are. */
static inline void *numbers_of(PyObject *object) {
    return is_block(object) ? ((block *)object)->data : PyArray_DATA((PyArrayObject *)object);
}

/* A new array, not initialized: a block, or NumPy's where that is better. */
PyObject *dc_block_new(dtype dtype, int ndim, const npy_intp *shape);
/* What Python may see of an array (stolen; NULL for NULL): a block as NumPy's over its memory. */
PyObject *dc_tape_visible(PyObject *object);
/* The same where a node keeps it, so that Python sees the same array again. */
int dc_tape_reveal(PyObject **place);
/* The shape of an array as a tuple. */
PyObject *dc_tape_shape(PyObject *array);
int dc_block_make_type(void);

/* Each returns a new array; NULL without an exception if it cannot take the arrays as they are. */
PyObject *dc_array_combine(int combination, PyObject *a, PyObject *b);
PyObject *dc_array_map(int op, PyObject *x);
PyObject *dc_array_slope(int op, PyObject *y, PyObject *g);
PyObject *dc_array_sum(PyObject *x);
/* Summed over axes (bits) to what has that shape then. */
PyObject *dc_array_summed(PyObject *x, uint64_t axes, int ndim, const npy_intp *shape);
PyObject *dc_array_fit(PyObject *x, PyObject *like);
PyObject *dc_array_matmul(PyObject *a, PyObject *b, int transpose_a, int transpose_b);
/* Whether two arrays are of one dtype and shape, their numbers in C's order. */
int dc_array_alike(PyObject *a, PyObject *b);
/* target = a, combined with target; 0 if they are not alike. */
int dc_array_combine_in_place(int combination, PyObject *a, PyObject *target);
/* target += x, of the same shape and dtype; 0 without an exception if it cannot. */
int dc_array_add(PyObject *target, PyObject *x);
/* An array that nothing else can see, of the shape and dtype of another, not initialized. */
PyObject *dc_array_like(PyObject *x);
PyObject *dc_array_copy(PyObject *x);
/* Sets all elements of a new array, in whatever order they lie. */
void dc_array_fill(PyObject *target, double number);
/* x's numbers into a target of the same shape and dtype. */
int dc_array_assign(PyObject *target, PyObject *x);
/* Whether an array is seen from one place only and holds memory of its own. */
int dc_array_is_exclusive(PyObject *object);
/* The array itself if it is C-contiguous, else a copy that is. */
PyObject *dc_array_flat(PyObject *x);
int dc_array_has_nan(PyObject *x);

/* Python's functions for what C cannot take: H(name). The module's `register` sets them. */
#define HELPERS(H)                                                                                 \
    H(convert) /* (what came) -> an array for a Tensor, or an error */                             \
    H(binary) /* (operation, a, b): on arrays and numbers, by NumPy's rules */                     \
    H(unary) /* (operation, x) */                                                                  \
    H(fit) /* (x, array): x summed or repeated to an array's shape, in its dtype */                \
    H(seed) /* (x, array): x as the gradient of a result, of its shape */                          \
    H(function_rule) /* backward of an activation or softmax over Tensors */                       \
    H(product_rule) /* backward of a product over an axis over Tensors */                          \
    H(linear) /* the fused product, whatever the operands are */                                   \
    H(linear_rule) /* its backward over Tensors */                                                 \
    H(loss) /* (kind, reduction, predicted, actual[, parameter]) */                                \
    H(loss_rule)
typedef struct helpers {
#define HELPER(name) PyObject *name;
    HELPERS(HELPER)
#undef HELPER
} helpers;
extern helpers dc_tape_helpers;
/* Calls one; of NULL it says that the Python side is missing. */
PyObject *dc_tape_help(PyObject *helper, size_t count, PyObject *const *arguments);

/* ---- The pass -------------------------------------------------------------------------------- */

typedef struct pass {
    uint64_t number;
    int create; /* gradients are nodes, so that they can be differentiated again */
    int to_targets; /* gradients go to targets; else to .grad */
    int numbers; /* all nodes so far are Scalars whose backward formula is C's own */
    int clean; /* the gradient at hand holds no NaN, and a new one is an error */
    node *first; /* in the order of the walk, by link */
    struct pass *outer;
} pass;

/* Adds a contribution (stolen; NULL is an error already raised) to the gradient of operand i. */
int dc_tape_give(pass *p, const node *n, size_t i, PyObject *contribution);
/* Whether operand i wants a gradient in this pass. */
static inline int dc_tape_wants(const pass *p, const node *n, size_t i) {
    const node *const to = operands_of(n)[i].node;
    return to && to->pass == p->number && (to->flags & IS_ACTIVE);
}
/* An array into which a kernel writes (or, *accumulate, adds) the gradient of operand i: borrowed.
 * NULL without an exception: there is none; give a new array then. */
PyObject *dc_tape_room(pass *p, const node *n, size_t i, int *accumulate);
/* The value of operand i in a backward formula: an array, or in a pass that makes a graph the node;
 * a new reference. */
PyObject *dc_tape_value(const pass *p, const node *n, size_t i);

/* The backward formula of a Tensor's operation, given the gradient of the result. */
int dc_tape_rule(pass *p, node *n, PyObject *g);
int dc_tape_function_rule(pass *p, node *n, PyObject *g);
int dc_tape_product_rule(pass *p, node *n, PyObject *g);
int dc_tape_linear_rule(pass *p, node *n, PyObject *g);
int dc_tape_loss_rule(pass *p, node *n, PyObject *g);
int dc_tape_network_rule(pass *p, node *n, PyObject *g);

/* linear's result for x, w and b, which may be None. A loss; NULL without an exception: Python's
 * helper takes it. */
PyObject *dc_tape_fused_linear(PyObject *const *operands, long activation);
PyObject *dc_tape_fused_loss(int kind, int reduction, double parameter, PyObject *const *operands);

/* The type, and what it consists of. */
void dc_tape_dealloc(PyObject *self);
int dc_tape_clear(PyObject *self);
int dc_tape_traverse(PyObject *self, visitproc visit, void *arg);
int dc_tape_make_type(PyObject *module);
extern PyGetSetDef dc_tape_attributes[];
/* Attributes of Scalars: data and grad, which loops over parameters read and set, are looked for
 * first. */
PyObject *dc_tape_get_attribute(PyObject *self, PyObject *name);
void dc_tape_name_attributes(void);
int dc_tape_set_attribute(PyObject *self, PyObject *name, PyObject *value);

/* The same of a user's backward function: it finds the result's gradient (of a Scalar: NULL, it is
 * in the node) in its .grad and adds to those of the operands, which are lent to it; or returns
 * them. */
int dc_tape_lend(pass *p, node *n, PyObject *g);
/* An element of a Tensor, by its number, as a Scalar. */
PyObject *dc_tape_item(PyObject *tensor, size_t index);

/* Adds the gradients of all that a node was computed from to their .grad. seed: None, or the
 * gradient to start with. free_graph: the graph is forgotten afterwards. */
PyObject *dc_tape_backward(PyObject *self, PyObject *seed, int free_graph);
/* In the child of a fork. */
void dc_tape_after_fork(void);

/* Methods of the module. */
PyObject *dc_tape_gradients(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_linear(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_activation(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_softmax(PyObject *module, PyObject *x);
PyObject *dc_tape_log_softmax(PyObject *module, PyObject *x);
PyObject *dc_tape_summed(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_add_rows(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_product(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_chain(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_network(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_loss(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_quick(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_linears(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_collect(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dc_tape_zero_own(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

#endif
