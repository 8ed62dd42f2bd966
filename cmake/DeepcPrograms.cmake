# The programs of tests/c, bench and examples: each .c file there that its pattern matches is one program.

# gcc 12 for AArch64 fails with an internal error (vect_transform_reduction) where it makes vectors of
# sums that depend on a condition, so there programs are compiled without; the library has no such sum.
set(deepc_program_options)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13
        AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(deepc_program_options -fno-tree-vectorize)
endif()

# deepc_add_program(folder source [more sources]): the program <folder>/<source's name> of the build tree.
function(deepc_add_program folder source)
    get_filename_component(name "${source}" NAME_WE)
    add_executable(${name} "${source}" ${ARGN})
    target_link_libraries(${name} PRIVATE deepc_options deepc_static)
    target_compile_options(${name} PRIVATE ${deepc_program_options})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/${folder}")
endfunction()

set(here "${CMAKE_CURRENT_SOURCE_DIR}")

# Seconds that a test may take; an emulator takes several times as many as the machine.
set(deepc_timeout 600)
if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(deepc_timeout 3600)
endif()

if(DEEPC_BUILD_TESTS)
    enable_testing()
    # Tests call inner functions, which the static library holds and the shared one hides.
    file(GLOB tests CONFIGURE_DEPENDS "${here}/tests/c/test_*.c")
    if(NOT DEEPC_TARGET_THREADS)   # of the pool: it starts threads and processes, which there are none of
        list(FILTER tests EXCLUDE REGEX "/test_threads\\.c$")
    endif()
    foreach(source IN LISTS tests)
        deepc_add_program(tests "${source}")
        get_filename_component(name "${source}" NAME_WE)
        add_test(NAME ${name} COMMAND ${name})
        set_tests_properties(${name} PROPERTIES TIMEOUT ${deepc_timeout})
    endforeach()
    # Every float32 takes minutes: `make accuracy`. Here every 100,003rd.
    file(GLOB exhaustive CONFIGURE_DEPENDS "${here}/tests/c/exhaustive_math.c")
    if(exhaustive)
        deepc_add_program(tests "${exhaustive}")
        add_test(NAME exhaustive_math_sample COMMAND exhaustive_math --stride 100003)
        set_tests_properties(exhaustive_math_sample PROPERTIES TIMEOUT ${deepc_timeout})
    endif()
    # Digests of all that is computed, the same on every instruction set of every machine.
    file(GLOB digest CONFIGURE_DEPENDS "${here}/tests/c/digest*.c")
    if(digest)
        list(FILTER digest EXCLUDE REGEX "/digest\\.c$")
        deepc_add_program(tests "${here}/tests/c/digest.c" ${digest})
        add_test(NAME same_bits COMMAND digest --check "${here}/tests/c/digest.expected")
        set_tests_properties(same_bits PROPERTIES TIMEOUT ${deepc_timeout} SKIP_RETURN_CODE 77)
    endif()
    # The longest first, so that tests side by side end together; it shows where they are emulated.
    foreach(name same_bits test_training test_losses test_losses_f64 test_memory test_memory_f64 test_matmul)
        if(TEST ${name})
            set_tests_properties(${name} PROPERTIES COST 100)
        endif()
    endforeach()
    # What is installed serves a project that has nothing else. Windows is left out because a program there finds a
    # DLL by PATH only; builds for another machine or with sanitizers, because they install the same files.
    if(NOT WIN32 AND NOT CMAKE_CROSSCOMPILING AND NOT DEEPC_SANITIZE)
        add_test(NAME installed_library COMMAND "${CMAKE_COMMAND}" "-DBUILD=${CMAKE_CURRENT_BINARY_DIR}"
            -DCONFIG=$<CONFIG> "-DCOMPILER=${CMAKE_C_COMPILER}" "-DGENERATOR=${CMAKE_GENERATOR}"
            -P "${here}/tests/install/run.cmake")
        set_tests_properties(installed_library PROPERTIES TIMEOUT 300)
    endif()
endif()

if(DEEPC_BUILD_BENCHMARKS)
    file(GLOB harness CONFIGURE_DEPENDS "${here}/bench/harness.c")
    file(GLOB benchmarks CONFIGURE_DEPENDS "${here}/bench/bench_*.c")
    foreach(source IN LISTS benchmarks)
        deepc_add_program(bench "${source}" ${harness})
    endforeach()
endif()

if(DEEPC_BUILD_EXAMPLES)
    file(GLOB examples CONFIGURE_DEPENDS "${here}/examples/*.c")
    foreach(source IN LISTS examples)
        deepc_add_program(examples "${source}")
    endforeach()
endif()

# The examples are tests: each exits with 0 only if what it trained is right.
if(DEEPC_BUILD_TESTS AND DEEPC_BUILD_EXAMPLES)
    add_test(NAME example_xor COMMAND xor)
    # It reads the package's digits unpacked, for want of zlib.
    find_program(DEEPC_GZIP NAMES gzip gunzip)
    if(DEEPC_GZIP)
        set(data "${CMAKE_CURRENT_BINARY_DIR}/examples/data")
        add_test(NAME example_digits_unpack COMMAND "${CMAKE_COMMAND}" "-DGZIP=${DEEPC_GZIP}"
            "-DFROM=${here}/python/deepc/datasets/data" "-DTO=${data}" -P "${here}/cmake/unpack.cmake")
        add_test(NAME example_digits
            COMMAND digits "${data}/digits-images-idx3-ubyte" "${data}/digits-labels-idx1-ubyte")
        set_tests_properties(example_digits_unpack PROPERTIES FIXTURES_SETUP digits TIMEOUT 60)
        set_tests_properties(example_digits PROPERTIES FIXTURES_REQUIRED digits)
    else()
        add_test(NAME example_digits COMMAND "${CMAKE_COMMAND}" -E echo "skipped: needs gzip to unpack the digits")
        set_tests_properties(example_digits PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped: ")
    endif()
    set_tests_properties(example_xor example_digits PROPERTIES TIMEOUT 60)
    # Python trains and exports, C runs and trains on; without the package for Python there is nothing to run.
    if(NOT CMAKE_CROSSCOMPILING)
        find_program(DEEPC_PYTHON NAMES python3 python)
        add_test(NAME example_ship COMMAND "${CMAKE_COMMAND}" "-DPYTHON=${DEEPC_PYTHON}" "-DCC=${CMAKE_C_COMPILER}"
            "-DFROM=${here}/examples/ship" "-DTO=${CMAKE_CURRENT_BINARY_DIR}/examples/ship" -P "${here}/cmake/ship.cmake")
        set_tests_properties(example_ship PROPERTIES TIMEOUT 120 SKIP_REGULAR_EXPRESSION "skipped: ")
    endif()
endif()
