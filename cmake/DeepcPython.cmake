# The Python module deepc._deepc: cffi's wrapper of csrc/deepc_api.h and csrc/python/*_api.h, with the whole
# library inside. The component is the stable ABI's, or the plain module's where Python has none (free-threaded
# builds). Built with NumPy 2, it runs with NumPy 1 too.
find_package(Python REQUIRED COMPONENTS Interpreter)
if(Python_INTERPRETER_ID STREQUAL "PyPy")
    message(FATAL_ERROR "deepc needs CPython, the usual Python, because it takes NumPy arrays by CPython's C API; "
        "this is ${Python_INTERPRETER_ID} (${Python_EXECUTABLE}).")
endif()
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module NumPy ${SKBUILD_SABI_COMPONENT})

# cffi wants the declarations in one file.
set(declarations "${CMAKE_CURRENT_BINARY_DIR}/declarations.h")
set(prelude "${CMAKE_CURRENT_SOURCE_DIR}/csrc/python/module.h")
set(text "")
foreach(file IN ITEMS csrc/deepc_api.h csrc/python/arrays_api.h csrc/python/tape_api.h)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} part)
    string(APPEND text "${part}")
endforeach()
# What arrays.c calls for Python needs no wrapper of cffi's as well, and the wheel is to stay small. A name here
# is that of one declaration for each dtype: anything else that is found, or nothing, ends the build.
set(served matmul exp log scale softmax activation_forward loss loss_value loss_rows network_forward
    network_forward_sample network_forward_indices network_backward network_backward_indices optimizer_step)
foreach(name IN LISTS served)
    foreach(bits IN ITEMS 32 64)
        string(REGEX MATCHALL "\n(int|double) dc_${name}_f${bits}\\(" start "${text}")
        list(LENGTH start count)
        if(NOT count EQUAL 1)
            message(FATAL_ERROR "deepc_api.h: ${count} declarations of dc_${name}_f${bits}, expected 1")
        endif()
        string(FIND "${text}" "${start}" begin)
        string(SUBSTRING "${text}" ${begin} -1 rest)
        string(FIND "${rest}" ";" end)
        string(SUBSTRING "${rest}" 0 ${end} declaration)
        if(NOT declaration MATCHES "\\)$" OR declaration MATCHES "[{}#]|/\\*")
            message(FATAL_ERROR "deepc_api.h: no declaration of a function:${declaration}")
        endif()
        string(REPLACE "${declaration};" "" text "${text}")
    endforeach()
endforeach()
file(CONFIGURE OUTPUT "${declarations}" CONTENT "${text}" @ONLY)   # touched only where it changes

set(wrapper "${CMAKE_CURRENT_BINARY_DIR}/_deepc.c")
add_custom_command(
    OUTPUT "${wrapper}"
    COMMAND Python::Interpreter -m cffi.gen_src read-sources
            deepc._deepc "${declarations}" "${prelude}" "${wrapper}"
    DEPENDS "${declarations}" "${prelude}"
    COMMENT "Generating the Python wrapper of the library"
    VERBATIM)

file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/python/*.c")
if(SKBUILD_SABI_VERSION)
    python_add_library(_deepc MODULE WITH_SOABI USE_SABI ${SKBUILD_SABI_VERSION}
        "${wrapper}" ${sources} ${deepc_objects})
else()
    python_add_library(_deepc MODULE WITH_SOABI "${wrapper}" ${sources} ${deepc_objects})
    target_compile_definitions(_deepc PRIVATE _CFFI_NO_LIMITED_API)
endif()
# Not deepc_options: the wrapper is generated code, whose warnings nobody can mend here.
target_include_directories(_deepc PRIVATE csrc)
target_include_directories(_deepc SYSTEM PRIVATE ${Python_NumPy_INCLUDE_DIRS})
if(NOT MSVC)
    target_compile_options(_deepc PRIVATE $<$<NOT:$<CONFIG:Debug>>:-Os> ${DEEPC_FLAGS_STRINGS}
        -fno-asynchronous-unwind-tables)
    # An operation on the tape is some 50 ns long: where every one passes, size is paid for with a fifth of the speed.
    # Functions begin on a line of the cache, or any change elsewhere moves an operation of Scalars by up to a twentieth.
    foreach(part IN ITEMS arrays block calls collect linear node record rules scalar type walk)
        list(APPEND tape csrc/python/tape_${part}.c)
    endforeach()
    set_source_files_properties(${tape} PROPERTIES
        COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O2;-falign-functions=64>")
endif()
if(NOT MSVC)   # one call of Python for each number is enough, and each call passes the operands
    set_source_files_properties(csrc/python/lists.c csrc/python/operand.c
        PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O2>")
endif()
target_link_libraries(_deepc PRIVATE ${deepc_link_libraries})
if(DEEPC_SANITIZE)
    target_compile_options(_deepc PRIVATE -g ${deepc_sanitize})
    target_link_options(_deepc PRIVATE ${deepc_sanitize})
endif()

# Beside the module's entry, threadpoolctl and its like need the two functions about threads.
set(exports dc_num_threads dc_set_num_threads)
if(NOT WIN32)   # there cffi's own code exports the entry
    list(PREPEND exports PyInit__deepc)
endif()
deepc_export(_deepc ${exports})

install(TARGETS _deepc DESTINATION deepc COMPONENT python)
