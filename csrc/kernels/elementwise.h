/* Functions of single elements over arrays: exp, log, scaling, the activations and their backward
 * passes.
 *
 * All of them may work in place, so no pointer here is restrict; what a turn of a loop needs is
 * loaded before it stores.
 *
 * Where `stream`, results go past the caches: an ordinary store first fetches the line that it
 * changes, which for large arrays is a third more traffic. y is then on a cache line. */
#ifndef DEEPC_ELEMENTWISE_H
#define DEEPC_ELEMENTWISE_H

#include "activations.h"
#include "vec.h"
#include "vecmath.h"

/* What a loop computes, a constant at every call, so that the choice is made by the compiler: an
 * activation, by its number, or one of these. */
enum { MAP_EXP = DC_ACTIVATION_COUNT, MAP_LOG, MAP_SCALE };

ALWAYS_INLINE vec map_vec(const int function, vec x, vec p) {
    switch (function) {
#define FORWARD(NAME, name, ...)                                                                   \
    case DC_##NAME: return name##_forward(x, p);
        DC_ACTIVATION_LIST(FORWARD)
#undef FORWARD
    case MAP_EXP: return v_exp(x);
    case MAP_LOG: return v_log(x);
    default: return v_mul(p, x);
    }
}

ALWAYS_INLINE vec backward_vec(const int activation, vec kept, vec d_y, vec p) {
    switch (activation) {
#define BACKWARD(NAME, name, ...)                                                                  \
    case DC_##NAME: return name##_backward(kept, d_y, p);
        DC_ACTIVATION_LIST(BACKWARD)
#undef BACKWARD
    default: return d_y;
    }
}

ALWAYS_INLINE void store_pair(int stream, real *y, vec a, vec b) {
    if (stream) {
        v_stream(y, a);
        v_stream(y + VL, b);
    } else {
        v_store(y, a);
        v_store(y + VL, b);
    }
}

/* y = f(x), n elements. Two vectors at a time: a chain of one polynomial alone cannot fill the
 * pipelines, and the processor overlaps the next turn of the loop as well. */
ALWAYS_INLINE void map(const int function, real parameter, size_t n, const real *x, real *y,
                       int stream) {
    const vec p = v_set(parameter);
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const vec a = v_load(x + i), b = v_load(x + i + VL);
        store_pair(stream, y + i, map_vec(function, a, p), map_vec(function, b, p));
    }
    if (stream) v_stream_end();
    if (i + VL <= n) {
        v_store(y + i, map_vec(function, v_load(x + i), p));
        i += VL;
    }
    if (i < n) v_store_part(y + i, map_vec(function, v_load_part(x + i, n - i), p), n - i);
}

/* d_x = d_y f'(x), n elements, from what the activation keeps. */
ALWAYS_INLINE void map_back(const int activation, real parameter, size_t n, const real *kept,
                            const real *d_y, real *d_x, int stream) {
    const vec p = v_set(parameter);
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const vec a = backward_vec(activation, v_load(kept + i), v_load(d_y + i), p);
        const vec b = backward_vec(activation, v_load(kept + i + VL), v_load(d_y + i + VL), p);
        store_pair(stream, d_x + i, a, b);
    }
    if (stream) v_stream_end();
    if (i + VL <= n) {
        v_store(d_x + i, backward_vec(activation, v_load(kept + i), v_load(d_y + i), p));
        i += VL;
    }
    if (i < n) {
        const vec last = v_load_part(kept + i, n - i), d_last = v_load_part(d_y + i, n - i);
        v_store_part(d_x + i, backward_vec(activation, last, d_last, p), n - i);
    }
}

/* The same one vector at a time, the last one in part: shorter code, for what is used less. Its
 * turns do not depend on each other, so the processor overlaps them. */
ALWAYS_INLINE void map_short(const int function, real parameter, size_t n, const real *x, real *y,
                             int stream) {
    const vec p = v_set(parameter);
    for (size_t i = 0; i < n; i += VL) {
        const int part = n - i < VL;
        const vec a = map_vec(function, part ? v_load_part(x + i, n - i) : v_load(x + i), p);
        if (part)
            v_store_part(y + i, a, n - i);
        else if (stream)
            v_stream(y + i, a);
        else
            v_store(y + i, a);
    }
    if (stream) v_stream_end();
}

ALWAYS_INLINE void map_back_short(const int activation, real parameter, size_t n, const real *kept,
                                  const real *d_y, real *d_x, int stream) {
    const vec p = v_set(parameter);
    for (size_t i = 0; i < n; i += VL) {
        const int part = n - i < VL;
        const vec k = part ? v_load_part(kept + i, n - i) : v_load(kept + i);
        const vec d = part ? v_load_part(d_y + i, n - i) : v_load(d_y + i);
        const vec a = backward_vec(activation, k, d, p);
        if (part)
            v_store_part(d_x + i, a, n - i);
        else if (stream)
            v_stream(d_x + i, a);
        else
            v_store(d_x + i, a);
    }
    if (stream) v_stream_end();
}

/* The activations that most networks spend their time in, for which the longer code pays. */
ALWAYS_INLINE int is_common(const int activation) {
    switch (activation) {
    case DC_IDENTITY:
    case DC_SIGMOID:
    case DC_TANH:
    case DC_RELU: return 1;
    default: return 0;
    }
}

static void exponential(size_t n, const real *x, real *y, int stream) {
    map(MAP_EXP, 1, n, x, y, stream);
}
static void logarithm(size_t n, const real *x, real *y, int stream) {
    map_short(MAP_LOG, 1, n, x, y, stream);
}
static void scale(real factor, size_t n, const real *x, real *y, int stream) {
    map(MAP_SCALE, factor, n, x, y, stream);
}

/* ---- The activations ------------------------------------------------------------------------- */

/* Of each a loop forward and one back. */
#define LOOPS(NAME, name, ...)                                                                     \
    static void name##_map(real p, size_t n, const real *x, real *y, int stream) {                 \
        if (is_common(DC_##NAME))                                                                  \
            map(DC_##NAME, p, n, x, y, stream);                                                    \
        else                                                                                       \
            map_short(DC_##NAME, p, n, x, y, stream);                                              \
    }                                                                                              \
    static void name##_map_back(real p, size_t n, const real *kept, const real *d_y, real *d_x,    \
                                int stream) {                                                      \
        if (is_common(DC_##NAME))                                                                  \
            map_back(DC_##NAME, p, n, kept, d_y, d_x, stream);                                     \
        else                                                                                       \
            map_back_short(DC_##NAME, p, n, kept, d_y, d_x, stream);                               \
    }
DC_ACTIVATION_LIST(LOOPS)
#undef LOOPS

static void (*const forward_loops[])(real p, size_t n, const real *x, real *y, int stream) = {
#define ENTRY(NAME, name, ...) name##_map,
    DC_ACTIVATION_LIST(ENTRY)
#undef ENTRY
};
static void (*const backward_loops[])(real p, size_t n, const real *kept, const real *d_y,
                                      real *d_x, int stream) = {
#define ENTRY(NAME, name, ...) name##_map_back,
    DC_ACTIVATION_LIST(ENTRY)
#undef ENTRY
};

/* The identity has no parameter and is given the 1 that it multiplies by. */
ALWAYS_INLINE real parameter_of(int activation, real parameter) {
    return activation == DC_IDENTITY ? 1 : parameter;
}

/* y = activation(x), n elements. */
static void activation_forward(int activation, real parameter, size_t n, const real *x, real *y,
                               int stream) {
    forward_loops[activation](parameter_of(activation, parameter), n, x, y, stream);
}

/* d_x = d_y activation'(x), given y = activation(x) or x; d_x may be d_y or kept. */
static void activation_backward(int activation, real parameter, size_t n, const real *kept,
                                const real *d_y, real *d_x, int stream) {
    backward_loops[activation](parameter_of(activation, parameter), n, kept, d_y, d_x, stream);
}

#endif
