/* The kernel tables that were built, in the order of isa.h. */
#include "tables.h"

#include "../isa.h"

#define DECLARE(name, built, usable) extern const kernel_table TYPED(dc_kernels_##name);
ISAS(DECLARE)
#undef DECLARE

/* What is not built is never in force and has no table to point to. */
static const kernel_table *const tables[ISA_COUNT] = {
#define ENTRY(name, built, usable) [ISA_##name] = (built) ? &TYPED(dc_kernels_##name) : NULL,
    ISAS(ENTRY)
#undef ENTRY
};

const kernel_table *TYPED(dc_kernels)(void) { return tables[dc_isa_current()]; }
