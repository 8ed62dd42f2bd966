/* The kernels of one instruction set and one dtype: everything is static but the table at the
 * end.
 *
 * Compiled once per pair, with DEEPC_ISA_<NAME>, DEEPC_REAL_BITS and the instruction set's flags.
 * Nothing here may call or include what is compiled for every CPU, and the object must have no
 * undefined symbol. */
#include "table.h"
#include "vec.h"

#include "add_scaled.h"
#include "combine.h"
#include "dropout.h"
#include "elementwise.h"
#include "gemm_few.h"
#include "gemm_pack.h"
#include "gemm_skip.h"
#include "gemm_tile.h"
#include "gemv.h"
#include "loss_loops.h"
#include "normalize.h"
#include "penalty.h"
#include "product.h"
#include "reduce.h"
#include "softmax.h"
#include "update.h"

#if defined(DEEPC_ISA_AVX512)
#define TABLE_NAME "avx512"
#define TABLE_SYMBOL TYPED(dc_kernels_avx512)
#elif defined(DEEPC_ISA_AVX2)
#define TABLE_NAME "avx2"
#define TABLE_SYMBOL TYPED(dc_kernels_avx2)
#elif defined(DEEPC_ISA_NEON)
#define TABLE_NAME "neon"
#define TABLE_SYMBOL TYPED(dc_kernels_neon)
#elif defined(DEEPC_ISA_FMA)
#define TABLE_NAME "fma"
#define TABLE_SYMBOL TYPED(dc_kernels_fma)
#else
#define TABLE_NAME "portable"
#define TABLE_SYMBOL TYPED(dc_kernels_portable)
#endif

#define KERNEL_ENTRY(result, name, arguments) .name = name,
extern const kernel_table TABLE_SYMBOL;
const kernel_table TABLE_SYMBOL = {.isa = TABLE_NAME,
                                   .lanes = VL,
                                   .tile_rows = TILE_ROWS,
                                   .tile_cols = TILE_COLS,
                                   .skip_cols = SKIP_COLS,
                                   .few_depth = SQUARE,
                                   .few_cost = FEW_PAYS ? FEW_COST : 0,
                                   KERNELS(KERNEL_ENTRY)};
