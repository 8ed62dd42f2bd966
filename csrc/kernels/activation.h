/* Functions of single elements: exp, log, scaling, the activations and their backward passes.
 *
 * All of them may work in place, so no pointer here is restrict; a group of vectors is loaded
 * before it is stored.
 *
 * Where `stream`, results go past the caches: an ordinary store first fetches the line that it
 * changes, which for large arrays is a third more traffic. y is then on a cache line. */
#ifndef DEEPC_ACTIVATION_H
#define DEEPC_ACTIVATION_H

#include "../deepc.h"
#include "vec.h"
#include "vecmath.h"

/* What map computes: a constant at every call, so that the choice is made by the compiler. */
typedef enum map_kind { MAP_EXP, MAP_LOG, MAP_SCALE, MAP_SIGMOID, MAP_TANH, MAP_RELU } map_kind;

ALWAYS_INLINE vec map_vec(const map_kind kind, vec factor, vec x) {
    switch (kind) {
    case MAP_EXP: return v_exp(x);
    case MAP_LOG: return v_log(x);
    case MAP_SIGMOID: return v_sigmoid(x);
    case MAP_TANH: return v_tanh(x);
    case MAP_RELU: return v_select(v_le(x, v_zero()), v_zero(), x); /* -0 becomes +0, NaN stays */
    default: return v_mul(factor, x);
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
ALWAYS_INLINE void map(const map_kind kind, real factor, size_t n, const real *x, real *y,
                       int stream) {
    const vec f = v_set(factor);
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const vec a = v_load(x + i), b = v_load(x + i + VL);
        store_pair(stream, y + i, map_vec(kind, f, a), map_vec(kind, f, b));
    }
    if (stream) v_stream_end();
    if (i + VL <= n) {
        v_store(y + i, map_vec(kind, f, v_load(x + i)));
        i += VL;
    }
    if (i < n) v_store_part(y + i, map_vec(kind, f, v_load_part(x + i, n - i)), n - i);
}

static void exponential(size_t n, const real *x, real *y, int stream) {
    map(MAP_EXP, 1, n, x, y, stream);
}
static void logarithm(size_t n, const real *x, real *y, int stream) {
    map(MAP_LOG, 1, n, x, y, stream);
}
static void scale(real factor, size_t n, const real *x, real *y, int stream) {
    map(MAP_SCALE, factor, n, x, y, stream);
}

/* y = activation(x), n elements; the identity copies. */
static void activation_forward(int activation, size_t n, const real *x, real *y, int stream) {
    switch (activation) {
    case DC_SIGMOID: map(MAP_SIGMOID, 1, n, x, y, stream); break;
    case DC_TANH: map(MAP_TANH, 1, n, x, y, stream); break;
    case DC_RELU: map(MAP_RELU, 1, n, x, y, stream); break;
    default: scale(1, n, x, y, stream); break; /* 1 x is x */
    }
}

/* d_y activation'(x) from y = activation(x). */
ALWAYS_INLINE vec backward_vec(const int activation, vec y, vec d_y) {
    switch (activation) {
    case DC_SIGMOID: return v_mul(v_mul(y, v_sub(v_set(1), y)), d_y);
    case DC_TANH: return v_mul(v_fnma(y, y, v_set(1)), d_y);
    default: return v_select(v_lt(v_zero(), y), d_y, v_zero()); /* DC_RELU */
    }
}

ALWAYS_INLINE void backward(const int activation, size_t n, const real *y, const real *d_y,
                            real *d_x, int stream) {
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const vec a = backward_vec(activation, v_load(y + i), v_load(d_y + i));
        const vec b = backward_vec(activation, v_load(y + i + VL), v_load(d_y + i + VL));
        store_pair(stream, d_x + i, a, b);
    }
    if (stream) v_stream_end();
    if (i + VL <= n) {
        v_store(d_x + i, backward_vec(activation, v_load(y + i), v_load(d_y + i)));
        i += VL;
    }
    if (i < n) {
        const vec a =
            backward_vec(activation, v_load_part(y + i, n - i), v_load_part(d_y + i, n - i));
        v_store_part(d_x + i, a, n - i);
    }
}

/* d_x = d_y activation'(x), given y = activation(x); d_x may be d_y (or y). */
static void activation_backward(int activation, size_t n, const real *y, const real *d_y, real *d_x,
                                int stream) {
    switch (activation) {
    case DC_SIGMOID: backward(DC_SIGMOID, n, y, d_y, d_x, stream); break;
    case DC_TANH: backward(DC_TANH, n, y, d_y, d_x, stream); break;
    case DC_RELU: backward(DC_RELU, n, y, d_y, d_x, stream); break;
    default: scale(1, n, d_y, d_x, stream); break;
    }
}

#endif
