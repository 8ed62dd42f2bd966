/* Where rows have their largest elements. No kernels, because rows of a few elements, such as the
 * outputs of a classifier, gain nothing from longer vectors than every machine has. */
#include <string.h>

#include "../deepc.h"
#include "../kernels/real.h"
#include "../mode.h"
#include "argmax.h"

#if DEEPC_REAL_BITS == 32
#define INFINITE_BITS (real_bits)0x7f800000
#define ALL_LANES(x) {x, x, x, x}
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_masks __attribute__((vector_size(16)));
#else
#define INFINITE_BITS (real_bits)0x7ff0000000000000
#define ALL_LANES(x) {x, x}
typedef double lanes __attribute__((vector_size(16)));
typedef int64_t lane_masks __attribute__((vector_size(16)));
#endif
typedef uint64_t halves __attribute__((vector_size(16)));

enum { LANES = (int)(sizeof(lanes) / sizeof(real)) };

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

static inline int64_t row_argmax(size_t cols, const real *x) {
    int64_t largest = order_of(x), at = 0;
    for (size_t j = 1; j < cols; j++) {
        const int64_t order = order_of(x + j);
        at = order > largest ? (int64_t)j : at;
        largest = order > largest ? order : largest;
    }
    return at;
}

int TYPED(dc_argmax)(size_t rows, size_t cols, const real *x, int64_t *places) {
    DEFAULT_MODE;
    if (rows == 0) return DC_OK;
    if (cols == 0 || rows > PTRDIFF_MAX / sizeof(real) / cols) return DC_BAD_SIZE;
    if (!x || !places) return DC_BAD_POINTER;
    for (size_t i = 0; i < rows; i++, x += cols) places[i] = row_argmax(cols, x);
    return DC_OK;
}

/* Whether nothing in a row of `vecs` vectors and `tail` more elements, which a last vector that
 * overlaps the one before ends with, is above the value; counts where it is found. */
static inline int is_largest(size_t vecs, size_t tail, const real *x, real value, lane_masks fresh,
                             lane_masks *found) {
    const lanes there = ALL_LANES(value);
    lane_masks below = ALL_LANES(-1);
    lanes v;
    for (size_t k = 0; k < vecs; k++) {
        memcpy(&v, x + k * LANES, sizeof v);
        below &= v <= there;
        *found -= v == there;
    }
    if (tail) {
        memcpy(&v, x + (vecs - 1) * LANES + tail, sizeof v);
        below &= v <= there;
        *found -= (v == there) & fresh;
    }
    const halves both = (halves)below;
    return (both[0] & both[1]) == UINT64_MAX;
}

/* equal, or NULL = whether nothing in a row is above what stands at its place; adds how many are so
 * to *count. Without searching, in half the time of dc_argmax, for up to ROWS_AT_ONCE rows of at
 * least LANES columns. 0 where that need not be the answer: some rows have their largest element
 * twice, or hold NaN there. */
enum { ROWS_AT_ONCE = 64 };

static int few_equal(size_t rows, size_t cols, const real *x, const int64_t *places, uint8_t *equal,
                     size_t *count) {
    const size_t tail = cols % LANES;
    lane_masks fresh = {0}, found = {0};
    for (size_t j = 0; j < tail; j++) fresh[LANES - 1 - j] = -1;
    size_t good = 0;
    real sum = 0;
    for (size_t i = 0; i < rows; i++, x += cols) {
        /* Read once, because another thread may change it after it was checked. */
        const uint64_t place = (uint64_t)*(const volatile label_type *)(places + i);
        if (place >= cols) return 0;
        const real value = x[place];
        sum += value; /* NaN if one of them is; or where infinities meet */
        const int largest = cols == LANES ? is_largest(1, 0, x, value, fresh, &found)
                                          : is_largest(cols / LANES, tail, x, value, fresh, &found);
        good += (size_t)largest;
        if (equal) equal[i] = (uint8_t)largest;
    }
    for (int l = 0; l < LANES; l++) rows -= (size_t)found[l];
    if (rows > 0 || sum != sum) return 0;
    *count += good;
    return 1;
}

size_t TYPED(dc_count_equal)(size_t rows, size_t cols, const real *x, const int64_t *places,
                             uint8_t *equal) {
    size_t count = 0;
    for (size_t done = 0; done < rows;) {
        const size_t n = rows - done < ROWS_AT_ONCE ? rows - done : ROWS_AT_ONCE;
        uint8_t *some = equal ? equal + done : NULL;
        if (cols < LANES || !few_equal(n, cols, x, places + done, some, &count))
            for (size_t i = 0; i < n; i++) {
                const int same = row_argmax(cols, x + i * cols) == places[done + i];
                count += (size_t)same;
                if (some) some[i] = (uint8_t)same;
            }
        done += n;
        x += n * cols;
    }
    return count;
}

int TYPED(dc_argmax_equals)(size_t rows, size_t cols, const real *x, const int64_t *places,
                            uint8_t *equal) {
    DEFAULT_MODE;
    if (rows == 0) return DC_OK;
    if (cols == 0 || rows > PTRDIFF_MAX / sizeof(real) / cols) return DC_BAD_SIZE;
    if (!x || !places || !equal) return DC_BAD_POINTER;
    TYPED(dc_count_equal)(rows, cols, x, places, equal);
    return DC_OK;
}
