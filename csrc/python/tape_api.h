/* The tape, automatic differentiation for the Python module: declarations only, like arrays_api.h.
 *
 * The type Node and the functions over nodes are added to the module itself (tape.h says what they
 * are); cffi sees this one. */

/* Adds them to a module, given by the address of the object. NumPy has been imported by
 * dc_arrays_initialize. The caller need not hold the interpreter's lock. DC_BAD_STATE with an
 * exception set if something is missing. */
int dc_tape_initialize(uintptr_t module);
