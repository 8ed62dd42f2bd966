/* What training asks of argmax.c, for sizes and pointers that are known to be good. */
#ifndef DEEPC_ARGMAX_H
#define DEEPC_ARGMAX_H

#include "../deepc.h"
#include "../kernels/real.h"

/* dc_argmax_equals without its checks; equal may be NULL. Returns how many are. */
size_t TYPED(dc_count_equal)(size_t rows, size_t cols, const real *x, const int64_t *places,
                             uint8_t *equal);

#endif
