/* The element type of this translation unit.
 *
 * Everything in kernels/ and typed/ is written once against `real` and compiled once per dtype: the
 * build defines DEEPC_REAL_BITS as 32 or 64. TYPED(name) adds the suffix that the public names
 * carry. This header includes nothing but stddef and stdint, because it is compiled for instruction
 * sets that the machine at hand may lack. */
#ifndef DEEPC_REAL_H
#define DEEPC_REAL_H

#include <stddef.h>
#include <stdint.h>

/* Aligned like bytes: the arrays of callers may stand anywhere, and reading them is then no
 * undefined behaviour. */
#if DEEPC_REAL_BITS == 32
typedef float real __attribute__((aligned(1)));
typedef uint32_t real_bits;
#define SMALLEST_NORMAL 0x1p-126f
#define TYPED(name) name##_f32
#elif DEEPC_REAL_BITS == 64
typedef double real __attribute__((aligned(1)));
typedef uint64_t real_bits;
#define SMALLEST_NORMAL 0x1p-1022
#define TYPED(name) name##_f64
#else
#error "define DEEPC_REAL_BITS as 32 or 64"
#endif

/* The same for the labels of rows. */
typedef int64_t label_type __attribute__((aligned(1)));

/* A sum of products over k is a chain of fused multiply-adds within a block of this many
 * consecutive k; blocks are added in increasing order. The number is part of the promise of the
 * same bits (changing it changes results); 256 floats of a packed panel row set fit the first-level
 * cache. */
enum { K_BLOCK = 256 };

/* Other reductions run in this many virtual lanes on every instruction set (element i goes to lane
 * i mod 16), which a fixed tree combines: lanes i and i + 8, then i + 4, i + 2, i + 1. 16 is the
 * widest float vector in use, so every narrower one simulates it with several registers. */
enum { SUM_LANES = 16 };

/* A long sum is cut into blocks of this many elements, each summed as above, and the blocks are
 * added in order (in double where the result is one: dc_sum and the losses; in a row of softmax in
 * `real`); so that the work can be split over threads, and so that the error grows slowly. */
enum { SUM_BLOCK = 4096 };

/* The losses of rows are added in order, in double, within groups of this many rows, and
 * the groups in order. A multiple of SUM_LANES. */
enum { LOSS_ROWS = 256 };

#endif
