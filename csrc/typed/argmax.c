/* Where rows have their largest elements. No kernel, because rows of a few elements, such as the
 * outputs of a classifier, gain nothing from vectors. */
#include <string.h>

#include "../deepc.h"
#include "../kernels/real.h"
#include "../mode.h"

#if DEEPC_REAL_BITS == 32
#define INFINITE_BITS (real_bits)0x7f800000
#else
#define INFINITE_BITS (real_bits)0x7ff0000000000000
#endif

/* A whole number that is larger where x is, 0 for both zeros, the largest one for NaN. Comparing
 * these takes no jumps, which the processor would have to guess. */
static inline int64_t order_of(const real *x) {
    real_bits bits;
    memcpy(&bits, x, sizeof bits);
    const int64_t sign = -(int64_t)(bits >> (DEEPC_REAL_BITS - 1));
    const real_bits size = bits & ((real_bits)-1 >> 1);
    const int64_t order = ((int64_t)size ^ sign) - sign;
    return size > INFINITE_BITS ? INT64_MAX : order;
}

int TYPED(dc_argmax)(size_t rows, size_t cols, const real *x, int64_t *places) {
    DEFAULT_MODE;
    if (rows == 0) return DC_OK;
    if (cols == 0 || rows > PTRDIFF_MAX / sizeof(real) / cols) return DC_BAD_SIZE;
    if (!x || !places) return DC_BAD_POINTER;
    for (size_t i = 0; i < rows; i++, x += cols) {
        int64_t largest = order_of(x), at = 0;
        for (size_t j = 1; j < cols; j++) {
            const int64_t order = order_of(x + j);
            at = order > largest ? (int64_t)j : at;
            largest = order > largest ? order : largest;
        }
        places[i] = at;
    }
    return DC_OK;
}
