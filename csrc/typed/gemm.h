/* Matrix products over checked arguments: which kernel, which blocks, how many threads. */
#ifndef DEEPC_GEMM_H
#define DEEPC_GEMM_H

#include "../kernels/table.h"

/* A product c (m x n) = op(a) op(b), as dc_matmul describes it; leading dimensions in elements. */
typedef struct product {
    int transpose_a, transpose_b;
    size_t m, n, k;
    const real *a;
    size_t lda;
    const real *b;
    size_t ldb;
    int accumulate;
    epilogue end;
    real *c;
    size_t ldc;
} product;

/* Computes it. Returns a dc_status: DC_OK, or DC_NO_MEMORY where packing needs a buffer that cannot
 * be had. */
int TYPED(dc_multiply)(const product *p);

#endif
