/* The walk back: from a result to all that it was computed from. See tape.h.
 *
 * First every node that a gradient can reach is put on a list, each before its operands, in the
 * order that a depth-first search over operands from first to last leaves them: the order of all
 * additions follows from the graph alone. Then each node's backward formula is applied once, when
 * its own gradient is complete. Only when all went well are gradients added to .grad: an exception
 * half-way, or Ctrl-C, leaves nothing behind. */
#include "tape.h"

/* Nodes between two looks at signals: some 100 us. */
enum { LOOK_AT_SIGNALS = 4096 };
/* Microseconds that a pass waits for another thread's before it looks again. */
enum { LONG_ENOUGH = 50 };

static uint64_t last_number;
static pass *current; /* the pass that runs, in this thread: others wait for the lock */
static _Atomic int taken; /* whether there is one: whoever waits looks again and again, because a
                           * lock of Python's takes a fiftieth of a small step */
static unsigned long owner;

/* ---- One pass at a time ---------------------------------------------------------------------- */

/* Lets others run for a while: on a lock that nobody else knows, held already. */
static void wait_a_while(void) {
    const PyThread_type_lock lock = PyThread_allocate_lock();
    if (!lock) return;
    PyThread_acquire_lock(lock, WAIT_LOCK);
    PyThread_acquire_lock_timed(lock, LONG_ENOUGH, 0);
    PyThread_release_lock(lock);
    PyThread_free_lock(lock);
}

static void enter(pass *p) {
    const unsigned long me = PyThread_get_thread_ident();
    if (!(current && owner == me)) {
        /* Whoever has it may need the interpreter's lock to come to an end. */
        while (atomic_exchange(&taken, 1)) UNLOCKED(wait_a_while());
        owner = me;
    }
    p->outer = current;
    p->number = ++last_number;
    p->first = NULL;
    current = p;
}

static void leave(pass *p) {
    current = p->outer;
    if (!current) atomic_store_explicit(&taken, 0, memory_order_release);
}

void dc_tape_after_fork(void) {
    current = NULL; /* of a thread that the child does not have */
    atomic_store(&taken, 0);
}

/* ---- The order ------------------------------------------------------------------------------- */

static int begin_node(const pass *p, node *n, node *from) {
    for (const pass *outer = p->outer; outer; outer = outer->outer)
        if (n->pass == outer->number) {
            PyErr_Format(PyExc_RuntimeError,
                         "backward: a backward function walks over a node (%s) of the graph that "
                         "is being walked; detach() what it uses",
                         dc_tape_name(n));
            return -1;
        }
    if (n->op == OP_FREED) {
        PyErr_Format(PyExc_RuntimeError,
                     "backward: what %s was computed from is forgotten: an earlier backward was "
                     "asked to free the graph; let that one keep it",
                     dc_tape_name(n));
        return -1;
    }
    n->pass = p->number;
    n->g.object = NULL; /* also 0.0, and the first operand */
    n->link = from;
    n->flags &= (uint16_t)~(IS_ACTIVE | IN_PLACE);
    return 0;
}

static int leads_to_target(const pass *p, const node *n) {
    if (!p->to_targets || n->flags & IS_TARGET) return 1;
    for (uint32_t i = 0; i < n->count; i++)
        if (dc_tape_wants(p, n, i)) return 1;
    return 0;
}

/* Nodes that are still waiting for their operands: where they were is not taken for a gradient. */
static int give_up(node *n) {
    for (; n; n = n->link) n->g.object = NULL;
    return -1;
}

/* A node that leads to a target goes in front of the list. */
static inline void put_first(pass *p, node *n) {
    n->flags |= IS_ACTIVE;
    n->link = p->first;
    p->first = n;
}

/* A leaf waits for nothing. */
static inline void order_leaf(pass *p, node *n) {
    n->pass = p->number;
    n->g.object = NULL;
    n->flags &= (uint16_t)~(IS_ACTIVE | IN_PLACE);
    p->numbers &= is_scalar(n);
    if (!p->to_targets || n->flags & IS_TARGET) put_first(p, n);
}

/* Whether its backward formula is one of those of dc_tape_scalar_rule. */
static inline int is_number(const node *n) {
    return is_scalar(n) && n->op != OP_LENT && n->op != OP_ITEM;
}

/* Puts a node and all before it in front of the list. While a node waits for its operands, link
 * is the node that it was reached from, and g counts the operands that it need not wait for. */
static int order(pass *p, node *root) {
    if (root->pass == p->number || !(root->flags & REQUIRES)) return 0;
    unsigned steps = 0;
    if (begin_node(p, root, NULL) < 0) return -1;
    for (node *n = root; n;) {
        if (n->g.cursor < n->count) {
            node *const o = operands_of(n)[n->g.cursor++].node;
            if (!o || o->pass == p->number || !(o->flags & REQUIRES)) continue;
            if (o->op == OP_LEAF && !p->outer) {
                order_leaf(p, o);
                continue;
            }
            if (begin_node(p, o, n) < 0) return give_up(n);
            n = o;
            if (++steps % LOOK_AT_SIGNALS == 0 && PyErr_CheckSignals() < 0) return give_up(n);
            continue;
        }
        node *const from = n->link;
        n->g.object = NULL;
        p->numbers &= is_number(n);
        if (leads_to_target(p, n)) put_first(p, n);
        n = from;
    }
    return 0;
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static int give_scalar(node *to, PyObject *c) {
    double number;
    int good = 1;
    if (!dc_tape_is_number(c, &number)) {
        PyObject *sum = dc_tape_visible(dc_tape_unary(OP_SUM, c));
        number = sum ? PyFloat_AsDouble(sum) : 0;
        good = sum && !PyErr_Occurred();
        Py_XDECREF(sum);
    }
    Py_DECREF(c);
    to->g.number += number;
    return good ? 0 : -1;
}

/* A gradient for a Scalar in a pass that makes a graph: a Scalar, or of an array a number. */
static PyObject *as_scalar_node(PyObject *c) {
    const node *const n = as_node(c);
    if (n && is_scalar(n)) return c;
    PyObject *sum = dc_tape_visible(dc_tape_unary(OP_SUM, c));
    Py_DECREF(c);
    PyObject *item = !sum ? NULL : is_node(sum) ? dc_tape_item(sum, 0) : PyNumber_Float(sum);
    Py_XDECREF(sum);
    return item;
}

static int complain_of_nan(const node *n) {
    PyErr_Format(PyExc_FloatingPointError,
                 "detect_nan: the backward of %s made a NaN from a gradient without one",
                 dc_tape_name(n));
    return -1;
}

/* A sum of two gradients: of nodes as their class adds. */
static PyObject *add(PyObject *a, PyObject *b) {
    return is_node(a) || is_node(b) ? PyNumber_Add(a, b) : dc_tape_binary(OP_ADD, a, b);
}

int dc_tape_give(pass *p, const node *n, size_t i, PyObject *c) {
    if (!c) return -1;
    node *const to = operands_of(n)[i].node;
    if (!dc_tape_wants(p, n, i)) {
        Py_DECREF(c);
        return 0;
    }
    if (!p->create && is_node(c)) { /* what a user's backward returned */
        PyObject *bare = dc_tape_payload(c);
        Py_DECREF(c);
        c = bare;
        if (!c) return -1;
    }
    if (is_scalar(to)) {
        if (!p->create) return give_scalar(to, c);
        c = dc_tape_is_number(c, &(double){0}) ? c : as_scalar_node(c);
    } else if (is_node(c) || !dc_array_alike(c, to->data.object)) {
        PyObject *fitting = dc_tape_fit(c, to->data.object);
        Py_DECREF(c);
        c = fitting;
    }
    if (!c) return -1;
    if (p->clean && !is_node(c) && dc_array_has_nan(c)) {
        Py_DECREF(c);
        return complain_of_nan(n);
    }
    PyObject *const before = to->g.object;
    if (!before) {
        to->g.object = c;
        return 0;
    }
    if (!p->create && (dc_array_is_exclusive(before) || to->flags & IN_PLACE)) {
        const int added = dc_array_add(before, c);
        if (added) {
            Py_DECREF(c);
            return 0;
        }
    }
    PyObject *sum = add(before, c);
    Py_DECREF(c);
    if (!sum) return -1;
    replace(&to->g.object, sum);
    to->flags &= (uint16_t)~IN_PLACE;
    return 0;
}

PyObject *dc_tape_room(pass *p, const node *n, size_t i, int *accumulate) {
    node *const to = operands_of(n)[i].node;
    if (p->create || is_scalar(to) || p->clean) return NULL;
    if (to->g.object) {
        *accumulate = 1;
        return dc_array_is_exclusive(to->g.object) || to->flags & IN_PLACE ? to->g.object : NULL;
    }
    *accumulate = 0;
    const int is_leaf = to->op == OP_LEAF && !p->to_targets && !(to->extra && to->extra->hooks);
    if (is_leaf && to->grad.object && to->flags & STALE) {
        to->g.object = Py_NewRef(to->grad.object);
        to->flags |= IN_PLACE;
    } else {
        to->g.object = dc_array_like(to->data.object);
    }
    return to->g.object;
}

PyObject *dc_tape_value(const pass *p, const node *n, size_t i) {
    const operand *const o = &operands_of(n)[i];
    if (p->create && o->node) return Py_NewRef((PyObject *)o->node);
    if (is_scalar(n)) return PyFloat_FromDouble(o->value.number);
    return Py_NewRef(o->value.object ? o->value.object : Py_None);
}

/* ---- Each node once -------------------------------------------------------------------------- */

/* Refuses what would be wrong: an operand's array that has been changed in place since forward. */
static int check_versions(const node *n) {
    const operand *o = operands_of(n);
    const uint32_t *const versions = versions_of(n);
    for (uint32_t i = 0; i < n->count; i++, o++) {
        if (!o->node || !o->value.object || versions[i] == o->node->version) continue;
        PyObject *shape = dc_tape_shape(o->value.object);
        if (shape)
            PyErr_Format(PyExc_RuntimeError,
                         "backward: operand %u of %s (shape %R) was changed in place after it was "
                         "used (by .data, an optimizer's step, or loading weights); compute the "
                         "result again before backward",
                         i, dc_tape_name(n), shape);
        Py_XDECREF(shape);
        return -1;
    }
    return 0;
}

static int call_hooks(node *n) {
    PyObject *values = PyDict_Values(n->extra->hooks);
    if (dc_tape_reveal(&n->g.object) < 0) Py_CLEAR(values);
    const Py_ssize_t count = values ? PyList_Size(values) : -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *other =
            PyObject_CallFunctionObjArgs(PyList_GetItem(values, i), n->g.object, NULL);
        if (other && other != Py_None && !is_node(other)) {
            PyObject *fitting = dc_tape_fit(other, n->data.object);
            Py_DECREF(other);
            other = fitting;
        }
        if (!other) {
            Py_DECREF(values);
            return -1;
        }
        if (other == Py_None) {
            Py_DECREF(other);
        } else {
            replace(&n->g.object, other);
            n->flags &= (uint16_t)~IN_PLACE;
        }
    }
    Py_XDECREF(values);
    return count < 0 ? -1 : 0;
}

static int apply_to_scalar(pass *p, node *n) {
    if (n->op == OP_LEAF) return 0;
    if (n->op == OP_LENT) return dc_tape_lend(p, n, NULL);
    if (n->op == OP_ITEM) return dc_tape_rule(p, n, NULL);
    dc_tape_scalar_rule(n, p->number);
    return 0;
}

static int apply(pass *p, node *n) {
    if (is_scalar(n) && !p->create) return apply_to_scalar(p, n);
    if (!n->g.object) return 0;
    if (n->extra && n->extra->hooks && call_hooks(n) < 0) return -1;
    if (n->op == OP_LEAF) return 0;
    if (!is_scalar(n) && check_versions(n) < 0) return -1;
    PyObject *const g = n->g.object;
    const int keeps = n->flags & (RETAINS | IS_TARGET);
    if (keeps)
        Py_INCREF(g);
    else
        n->g.object = NULL;
    p->clean = detects() && !is_node(g) && !dc_array_has_nan(g);
    const int status = n->op == OP_LENT ? dc_tape_lend(p, n, g) : dc_tape_rule(p, n, g);
    Py_DECREF(g);
    return status;
}

static int apply_all(pass *p) {
    unsigned steps = 0;
    for (node *n = p->first; n; n = n->link) {
        if (apply(p, n) < 0) return -1;
        if (++steps % LOOK_AT_SIGNALS == 0 && PyErr_CheckSignals() < 0) return -1;
    }
    return 0;
}

/* ---- The end --------------------------------------------------------------------------------- */

static int commit_tensor(node *n) {
    PyObject *const g = n->g.object;
    if (!g) return 0;
    if (n->flags & IN_PLACE) {
        n->flags &= (uint16_t)~STALE;
        return 0;
    }
    if (!n->grad.object) {
        n->grad.object = dc_array_is_exclusive(g) ? Py_NewRef(g) : dc_array_copy(g);
        return n->grad.object ? 0 : -1;
    }
    if (n->flags & STALE) {
        n->flags &= (uint16_t)~STALE;
        return dc_array_assign(n->grad.object, g);
    }
    if (dc_array_add(n->grad.object, g)) return 0;
    PyObject *const seen = dc_tape_visible(Py_NewRef(g));
    PyObject *sum = seen && dc_tape_reveal(&n->grad.object) == 0
                        ? PyNumber_InPlaceAdd(n->grad.object, seen)
                        : NULL;
    Py_XDECREF(seen);
    Py_XDECREF(sum);
    return sum ? 0 : -1;
}

/* What a pass leaves on a node. */
static void clean_node(const pass *p, node *n) {
    if (!is_scalar(n) || p->create) Py_CLEAR(n->g.object);
}

/* Takes what is left of a pass off its nodes. */
static void clean(const pass *p) {
    for (node *n = p->first, *next; n; n = next) {
        next = n->link;
        clean_node(p, n);
    }
}

/* What was found goes to .grad. */
static int commit(const pass *p) {
    for (node *n = p->first; n; n = n->link) {
        if (is_scalar(n)) {
            n->grad.number += n->g.number;
            continue;
        }
        if ((n->op == OP_LEAF || n->flags & RETAINS) && commit_tensor(n) < 0) return -1;
        clean_node(p, n);
    }
    return 0;
}

/* The gradient to start with: what was given, fitting; else ones. */
static PyObject *seed_of(const pass *p, const node *root, PyObject *given) {
    if (given && given != Py_None) {
        if (is_node(given) && p->create) return Py_NewRef(given);
        PyObject *const payload = dc_tape_payload(given);
        if (payload && dc_array_alike(payload, root->data.object)) return payload;
        PyObject *const arguments[] = {payload, root->data.object};
        PyObject *result = payload ? dc_tape_help(dc_tape_helpers.seed, 2, arguments) : NULL;
        Py_XDECREF(payload);
        return result;
    }
    PyObject *ones = dc_array_like(root->data.object);
    if (ones) dc_array_fill(ones, 1);
    return ones;
}

static int sow(const pass *p, node *root, PyObject *given) {
    if (root->pass != p->number || !(root->flags & IS_ACTIVE)) return 0;
    if (is_scalar(root) && !p->create) {
        const double seed = given && given != Py_None ? PyFloat_AsDouble(given) : 1;
        root->g.number += seed;
        return seed == -1 && PyErr_Occurred() ? -1 : 0;
    }
    PyObject *seed = is_scalar(root)
                         ? given && given != Py_None ? Py_NewRef(given) : PyFloat_FromDouble(1)
                         : seed_of(p, root, given);
    if (seed && root->g.object) {
        PyObject *sum = add(root->g.object, seed);
        Py_DECREF(seed);
        seed = sum;
    }
    if (!seed) return -1;
    replace(&root->g.object, seed);
    return 0;
}

static int refuse_root(const node *root, PyObject *seed) {
    if (!(root->flags & REQUIRES)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "backward: this does not depend on anything that requires a gradient; make "
                        "a leaf with requires_grad=True, and compute outside no_grad()");
        return -1;
    }
    const array x = is_scalar(root) ? (array){0} : look(root->data.object);
    if (seed != Py_None || is_scalar(root) || size_of(&x) == 1) return 0;
    PyObject *shape = dc_tape_shape(root->data.object);
    if (shape)
        PyErr_Format(PyExc_ValueError,
                     "backward: a result of shape %R needs a gradient to start with: "
                     "backward(gradient) of that shape, or backward() of its sum() or mean()",
                     shape);
    Py_XDECREF(shape);
    return -1;
}

PyObject *dc_tape_backward(PyObject *self, PyObject *seed, int free_graph) {
    node *const root = (node *)self;
    if (refuse_root(root, seed) < 0) return NULL;
    pass p = {.numbers = 1};
    enter(&p);
    int status = order(&p, root);
    if (!status) status = sow(&p, root, seed);
    if (!status && p.numbers) {
        /* Nothing can go wrong from here on, so one loop does it. */
        dc_tape_scalar_walk(p.first, p.number);
    } else {
        if (!status) status = apply_all(&p);
        if (!status) status = commit(&p);
    }
    if (!status && free_graph) {
        /* Held until its turn, each node goes alone, after those that were computed from it. */
        for (node *n = p.first; n; n = n->link) Py_INCREF(n);
        for (node *n = p.first, *next; n; n = next) {
            next = n->link;
            if (n->op != OP_LEAF) {
                dc_tape_clear_history(n);
                n->first[0].value.cursor = n->op;
                n->op = OP_FREED;
            }
            Py_DECREF(n);
        }
    }
    if (status) clean(&p);
    leave(&p);
    return status ? NULL : Py_NewRef(Py_None);
}

/* ---- Gradients of chosen nodes --------------------------------------------------------------- */

/* What a target has got: an array that nobody else has, a number, a node; None for nothing. */
static PyObject *harvest(const pass *p, const node *x) {
    if (x->pass != p->number || !(x->flags & IS_ACTIVE)) return Py_NewRef(Py_None);
    if (is_scalar(x) && !p->create) return PyFloat_FromDouble(x->g.number);
    PyObject *const g = x->g.object;
    if (!g) return Py_NewRef(Py_None);
    if (is_node(g)) return Py_NewRef(g);
    if (is_scalar(x)) {
        node *constant = dc_tape_new(SCALARS, NULL);
        if (constant) constant->data.number = PyFloat_AsDouble(g);
        return (PyObject *)constant;
    }
    PyObject *own = dc_array_is_exclusive(g) ? Py_NewRef(g) : dc_array_copy(g);
    /* Of a graph gradients are nodes, also one that depends on nothing. */
    return own && p->create ? (PyObject *)dc_tape_new(x->family, own) : dc_tape_visible(own);
}

/* gradients(ys, seeds, xs, create): tuples of the same length, a tuple; gives a tuple. */
PyObject *dc_tape_gradients(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "gradients: expected 4 arguments");
        return NULL;
    }
    PyObject *const ys = arguments[0], *const seeds = arguments[1], *const xs = arguments[2];
    const Py_ssize_t y_count = PyTuple_Size(ys), x_count = PyTuple_Size(xs);
    const int create = PyObject_IsTrue(arguments[3]);
    PyObject *result = y_count < 0 || x_count < 0 || create < 0 ? NULL : PyTuple_New(x_count);
    pass p = {.create = create, .to_targets = 1};
    if (!result) return NULL;
    enter(&p);
    int status = 0;
    for (Py_ssize_t i = 0; i < x_count; i++) ((node *)PyTuple_GetItem(xs, i))->flags |= IS_TARGET;
    for (Py_ssize_t i = 0; i < y_count && !status; i++)
        status = order(&p, (node *)PyTuple_GetItem(ys, i));
    for (Py_ssize_t i = 0; i < y_count && !status; i++)
        status = sow(&p, (node *)PyTuple_GetItem(ys, i), PyTuple_GetItem(seeds, i));
    if (!status) status = apply_all(&p);
    for (Py_ssize_t i = 0; i < x_count && !status; i++) {
        PyObject *found = harvest(&p, (node *)PyTuple_GetItem(xs, i));
        if (found)
            PyTuple_SetItem(result, i, found);
        else
            status = -1;
    }
    for (Py_ssize_t i = 0; i < x_count; i++)
        ((node *)PyTuple_GetItem(xs, i))->flags &= (uint16_t)~IS_TARGET;
    clean(&p);
    leave(&p);
    if (status) Py_CLEAR(result);
    return result;
}
