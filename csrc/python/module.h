/* What the generated wrapper of the Python module begins with. */
#include "deepc.h"

#include "python/arrays_api.h"
#include "python/tape_api.h"
