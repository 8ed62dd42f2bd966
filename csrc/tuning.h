/* Numbers that decide how work is cut: none of them can change a result, only the time it takes.
 *
 * Each was found by measurement; the comment says what it balances. */
#ifndef DEEPC_TUNING_H
#define DEEPC_TUNING_H

/* ---- Elementwise functions, reductions, updates (typed/api.c, typed/optimizer.c) ------------- */

/* Waking another thread and waiting for it costs some 5 to 10 us, in which one thread computes
 * 30,000 elements of exp or moves 100,000 through the caches. Work of fewer elements than this
 * stays on the thread that called. */
#define SPLIT_ELEMENTS ((size_t)1 << 17)
/* Elements of one task: a multiple of SUM_BLOCK; small enough that unequal threads end together. */
#define TASK_ELEMENTS ((size_t)1 << 15)

/* Results of so many bytes and more are written past the caches: no second-level and few
 * third-level caches hold them, and a smaller one may be read again from there. */
#define STREAM_BYTES ((size_t)1 << 25)
#define CACHE_LINE 64

/* Block sums that wait to be added in order, between two rounds of threads. */
#define SUMS_AT_ONCE 256

/* An update is bound by memory as soon as it is large, and in the caches it is short: threads help
 * late. */
#define SPLIT_UPDATE_ELEMENTS ((size_t)1 << 18)
#define TASK_UPDATE_ELEMENTS ((size_t)1 << 16)

/* ---- Matrix products (typed/gemm.c) ---------------------------------------------------------- */

/* Numbers of k in a round of packed panels, about: each round reads and writes c once. */
#define GEMM_DEPTH ((size_t)512)
/* Elements of a block of packed a: 224 KiB of floats, a quarter of a second-level cache of 1 MiB
 * and less than half of 512 KiB, so that the panels of b pass through beside it. */
#define GEMM_A ((size_t)57344)
/* Elements of a block of packed b: 2 MiB of floats, for the third level. */
#define GEMM_B ((size_t)1 << 19)
/* Numbers of k in a round of a product whose operands stay where they are, about. */
#define IN_PLACE_DEPTH ((size_t)1024)
/* Short rounds, for two reasons. Of a transposed a, a tile reads a piece of a cache line for each
 * k: 256 such lines fit the first level, 1024 do not (gradients of weights from 60,000 rows: 26
 * GFLOP/s without rounds, 58 with 1024, 100 with 256, forward 94). And of b, where it has
 * IN_PLACE_BYTES and more, a tile's columns are pieces of as many pages as there are rows, and
 * farther away than a tile waits for: 128 rows times 784 x 512 weights 117 GFLOP/s with 1024, 159
 * with 256 and what the next round reads fetched meanwhile; times 2048 x 1024 46 and 139. Fewer
 * rows than IN_PLACE_ROWS pass over b so quickly that to cut it into rounds only makes them wait
 * more (5 rows times 1024 x 1000: 62 GFLOP/s with 1024, 47 with 256). */
#define IN_PLACE_DEPTH_SHORT ((size_t)256)
#define IN_PLACE_BYTES ((size_t)1 << 19)
#define IN_PLACE_ROWS ((size_t)8)
/* Packing reads and writes each operand once more. Where b's rows are contiguous the tile reads
 * both operands in place as fast as from panels, but for products with many rows, which pass over b
 * so often that the panels pay, as soon as there are some columns and b's rows are some way apart:
 * 1000 rows times 784 x 300 132 GFLOP/s in place, 149 from panels; 384 rows 144 and 152, 155 in
 * short rounds. Where b's rows are a page apart and more, which short rounds do not make good, from
 * PACK_ROWS_SOON on: 256 rows times 1024 x 1024 145 and 155, in double 65 and 75. Beside panels of
 * b the tile reads a in place as long as a's rows are less than a page apart: up to 10 % faster for
 * 64 columns. */
#define PACK_ROWS ((size_t)500)
#define PACK_ROWS_SOON ((size_t)200)
#define PACK_COLS ((size_t)200)
#define PACK_B_ROW_BYTES ((size_t)1200)
#define PACK_A_ROW_BYTES ((size_t)4096)
/* A transposed a is read a column of lines at a time as well, so that both compete sooner, and b is
 * packed from PACK_ROWS_SOON on too (gradient of 784 x 512 weights from 128 rows: 134 GFLOP/s in
 * place, 146 from panels). */
#define PACK_ROW_BYTES_TRANSPOSED ((size_t)2048)
/* Rows of a are zero together at so many steps of k that to skip these pays: a third of them, or a
 * half where fewer rows than SKIP_PACK_ROWS have to pay for the lists of steps. 128 rows times 784
 * x 512: from 10 % on with AVX-512, 28 % with AVX2; 32 rows times 784 x 128: from 47 % and 40 %. It
 * is guessed from SKIP_LOOKS lists of SKIP_ROWS rows, and before from SKIP_SAMPLES elements or
 * fewer of the first row. A product of SKIP_WORK multiply-adds takes so long that to look costs
 * little. */
#define SKIP_PAYS ((size_t)3)
#define SKIP_PAYS_FEW ((size_t)2)
#define SKIP_LOOKS ((size_t)4)
#define SKIP_SAMPLES ((size_t)64)
#define SKIP_WORK ((size_t)1 << 19)
/* Rows of a from which it pays to copy b into panels, whose steps stay in the first level. */
#define SKIP_PACK_ROWS ((size_t)64)
/* Lists made at a time: 16 KiB. */
#define SKIP_LISTS ((size_t)32)
/* With few columns the lanes are rows of a. A group of rows costs as much as so many multiply-adds
 * more, for the way from columns to the rows of c. */
#define FEW_SETUP ((size_t)150)
/* Packing a transposed b costs as much as so many more rows of a. Where c is computed as its
 * transpose, a is packed instead, which costs as much an element. */
#define PACK_COLUMNS ((size_t)6)
/* Multiply-adds below which the time to wake a thread is not worth it: some 15 us of one core at 60
 * per ns. */
#define GEMM_THREAD_WORK 1.0e6

/* ---- Networks (typed/network.c) -------------------------------------------------------------- */

/* Elements of a layer's output up to which its activation is one call after the product: as long as
 * they stay in the caches near the core, that is cheaper than a call for each row of each tile. */
#define ACTIVATION_AFTER 16384

/* A batch whose layers' outputs take more than this is not kept for backward by a network that
 * never came back with one as large: inference of many rows then needs two buffers of RING_BYTES /
 * 2, which stay in the caches, and no more. If backward comes after all, the first one computes the
 * batch once more. */
#define KEEP_BYTES ((size_t)1 << 25)
#define RING_BYTES ((size_t)1 << 22)

/* What a stage costs beside its arithmetic, in multiply-adds. */
#define STAGE_WORK ((size_t)64)

/* Ctrl-C shall end a step within 100 ms. So a step of more multiply-adds than LONG_STEP_WORK (10 ms
 * of a fast core, 100 of a slow one) is cut into parts of about WATCH_SECONDS or less, between
 * which somebody is asked. */
#define LONG_STEP_WORK ((size_t)1 << 28)
#define WATCH_SECONDS 0.02
#define WATCH_FIRST_WORK ((size_t)1 << 26)
#define WATCH_LEAST_WORK ((size_t)1 << 20)
#define WATCH_MOST_WORK ((size_t)1 << 30)

/* Multiply-adds between two looks at the clock while training: some microseconds, so that looking
 * is free and a call ends in time. */
#define TRAIN_CLOCK_WORK ((size_t)1 << 16)

#endif
