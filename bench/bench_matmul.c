/* Matrix multiply: large, square, skinny and the shapes that small networks use; vectors; fused
 * bias and activation. Every product is checked by Freivalds' method before it is timed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "deepc.h"
#include "harness.h"
#include "reference.h"

typedef struct variant {
    const char *name;
    int transpose_a, transpose_b, accumulate, bias, activation;
} variant;

static const variant plain = {.name = "nn"};
static const variant orientations[] = {{.name = "nn"},
                                       {.name = "nt", .transpose_b = 1},
                                       {.name = "tn", .transpose_a = 1},
                                       {.name = "tt", .transpose_a = 1, .transpose_b = 1}};
static const variant fused[] = {{.name = "nn"},
                                {.name = "+=", .accumulate = 1},
                                {.name = "bias", .bias = 1},
                                {.name = "relu", .bias = 1, .activation = DC_RELU},
                                {.name = "tanh", .bias = 1, .activation = DC_TANH}};

typedef struct product {
    variant v;
    int bits;
    size_t m, n, k, lda, ldb;
    const void *a, *b, *bias;
    void *c;
} product;

static void run(void *context) {
    const product *p = context;
    if (p->bits == 32)
        dc_matmul_f32(p->v.transpose_a, p->v.transpose_b, p->m, p->n, p->k, p->a, p->lda, p->b,
                      p->ldb, p->v.accumulate, p->bias, p->v.activation, 0, p->c, p->n);
    else
        dc_matmul_f64(p->v.transpose_a, p->v.transpose_b, p->m, p->n, p->k, p->a, p->lda, p->b,
                      p->ldb, p->v.accumulate, p->bias, p->v.activation, 0, p->c, p->n);
}

static double at(const void *x, int bits, size_t i) {
    return bits == 32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static double a_at(const product *p, size_t i, size_t l) {
    return at(p->a, p->bits, p->v.transpose_a ? l * p->lda + i : i * p->lda + l);
}

static double b_at(const product *p, size_t l, size_t j) {
    return at(p->b, p->bits, p->v.transpose_b ? j * p->ldb + l : l * p->ldb + j);
}

/* Element by element, for what is not a plain product. */
static double error_each(const product *p) {
    double worst = 0;
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < p->n; j++) {
            double sum = 0;
            for (size_t l = 0; l < p->k; l++) sum += a_at(p, i, l) * b_at(p, l, j);
            if (p->bias) sum += at(p->bias, p->bits, j);
            const double expected = reference_activation(p->v.activation, sum);
            worst = fmax(worst, reference_error(at(p->c, p->bits, i * p->n + j), expected));
        }
    }
    return worst / (((double)p->k + 4) * reference_rounding(p->bits));
}

/* c v = a (b v) for a vector v of which no element is 0: n (m + k) multiplications instead of m
 * n k, and any wrong element of c shows. With |a|, |b|, |v| <= 1 the roundings of an element of
 * c, k of them of sums that grow like sqrt(k), come to about k / 3 roundings of 1; those of n
 * elements to sqrt(n) times that. */
static double error_freivalds(const product *p) {
    double *v = bench_doubles(p->n, 0.5, 1), *b_v = bench_doubles(p->k, 0, 0);
    for (size_t l = 0; l < p->k; l++) {
        for (size_t j = 0; j < p->n; j++) b_v[l] += b_at(p, l, j) * v[j];
    }
    double worst = 0;
    for (size_t i = 0; i < p->m; i++) {
        double got = 0, expected = 0;
        for (size_t j = 0; j < p->n; j++) got += at(p->c, p->bits, i * p->n + j) * v[j];
        for (size_t l = 0; l < p->k; l++) expected += a_at(p, i, l) * b_v[l];
        worst = fmax(worst, fabs(got - expected));
    }
    return worst / (4 * (double)p->k * sqrt((double)p->n) * reference_rounding(p->bits));
}

static double error(void *context) {
    const product *p = context;
    run(context); /* where it accumulates: onto the zeros that c is made of */
    return p->v.bias ? error_each(p) : error_freivalds(p);
}

static void *numbers(int bits, size_t n) {
    return bits == 32 ? (void *)bench_floats(n, -1, 1) : (void *)bench_doubles(n, -1, 1);
}

static void add(int bits, const variant *v, size_t m, size_t k, size_t n) {
    bench_case c = {.bits = bits, .like = LIKE_READ, .run = run};
    snprintf(c.name, sizeof c.name, "f%d %s %zux%zux%zu", bits, v->name, m, k, n);
    if (!bench_wants(c.name)) return;
    product *p = bench_memory(sizeof *p);
    *p = (product){.v = *v, .bits = bits, .m = m, .n = n, .k = k};
    p->lda = v->transpose_a ? m : k;
    p->ldb = v->transpose_b ? k : n;
    p->a = numbers(bits, m * k);
    p->b = numbers(bits, k * n);
    p->bias = v->bias ? numbers(bits, n) : NULL;
    p->c = bench_memory(m * n * (size_t)bits / 8);
    c.flops = 2.0 * (double)m * (double)n * (double)k;
    c.bytes = bits / 8.0 * (double)(m * k + k * n + m * n);
    c.context = p;
    c.error = error;
    bench_add(&c);
}

int main(int argc, char **argv) {
    if (!bench_start(argc, argv, "bench_matmul", "matrix multiply, named f32|f64 kind m x k x n"))
        return bench_finish();
    static const int dtypes[] = {32, 64};

    bench_group("large");
    for (int d = 0; d < 2; d++) {
        for (int v = 0; v < 4; v++) {
            for (size_t size = 512; size <= (bench_is_quick() ? 512 : 1024); size *= 2)
                add(dtypes[d], &orientations[v], size, size, size);
        }
    }
    bench_run_group();

    bench_group("square");
    static const size_t sizes[] = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 2048};
    for (int d = 0; d < 2; d++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes - bench_is_quick(); i++)
            add(dtypes[d], &plain, sizes[i], sizes[i], sizes[i]);
    }
    bench_run_group();

    bench_group("with bias and activation in the same pass");
    for (int d = 0; d < 2; d++) {
        for (int v = 0; v < 5; v++) {
            add(dtypes[d], &fused[v], 1, 784, 30);
            add(dtypes[d], &fused[v], 32, 784, 128);
            add(dtypes[d], &fused[v], 64, 64, 64);
        }
    }
    bench_run_group();

    bench_group("the gradients of a layer: of its weights (tn) and of its input (nt)");
    static const size_t layers[][3] = {{1, 784, 30}, {32, 784, 128}, {64, 64, 64}, {128, 784, 512}};
    for (int d = 0; d < 2; d++) {
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
            const size_t batch = layers[i][0], inputs = layers[i][1], outputs = layers[i][2];
            add(dtypes[d], &orientations[2], inputs, batch, outputs);
            add(dtypes[d], &orientations[1], batch, outputs, inputs);
        }
    }
    bench_run_group();

    bench_group("a vector and a matrix");
    static const size_t shapes[][2] = {{10, 25},   {64, 64},    {784, 30},    {784, 128},
                                       {512, 512}, {784, 512},  {1024, 1024}, {2048, 2048},
                                       {25, 10},   {4096, 4096}};
    for (int d = 0; d < 2; d++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes - bench_is_quick(); i++) {
            add(dtypes[d], &orientations[0], 1, shapes[i][0], shapes[i][1]);
            add(dtypes[d], &orientations[1], 1, shapes[i][0], shapes[i][1]);
        }
    }
    bench_run_group();

    static const size_t rows[] = {1, 2, 7, 16, 32, 64, 128, 256};
    static const size_t widths[] = {2, 4, 10, 25, 30, 64, 128, 512, 784};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char title[64];
        snprintf(title, sizeof title, "the grid of small networks, m = %zu", rows[i]);
        bench_group(title);
        for (size_t k = 0; k < 9; k++) {
            for (size_t n = 0; n < 9; n++) add(32, &plain, rows[i], widths[k], widths[n]);
        }
        bench_run_group();
    }
    return bench_finish();
}
