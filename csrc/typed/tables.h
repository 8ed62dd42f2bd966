/* The kernel table in force: a load and an index, about 1 ns. */
#ifndef DEEPC_TABLES_H
#define DEEPC_TABLES_H

#include "../kernels/table.h"

const kernel_table *TYPED(dc_kernels)(void);

#endif
