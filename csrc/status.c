/* What the library says of itself and of a status. */
#include "deepc.h"

#ifndef DEEPC_VERSION
#error "the build defines DEEPC_VERSION as \"major.minor.patch\""
#endif

const char *dc_status_text(int status) {
    switch (status) {
    case DC_OK: return "no error";
    case DC_BAD_POINTER: return "a null pointer where an array is needed";
    case DC_BAD_SIZE: return "a size that does not fit";
    case DC_BAD_NAME: return "not known here: an instruction set, activation, loss, rule or kind";
    case DC_BAD_VALUE: return "a number out of its range";
    case DC_BAD_LABEL: return "a class label outside 0 .. classes - 1";
    case DC_BAD_STATE: return "another call is needed first";
    case DC_NO_MEMORY: return "out of memory";
    case DC_INTERRUPTED: return "interrupted";
    default: return "an unknown status";
    }
}

const char *dc_version(void) { return DEEPC_VERSION; }

const char *dc_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown compiler";
#endif
}
