# The target: which instruction sets get a copy of the kernels (DEEPC_ISAS), and each one's compiler flags
# (DEEPC_FLAGS_<ISA>). Adding an instruction set is a line here and a header in csrc/kernels/isa/.
include(CheckCSourceCompiles)

set(DEEPC_CLANG_CL OFF)
if(MSVC)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "deepc needs clang-cl on Windows: CC=clang-cl, generator Ninja")
    endif()
    set(DEEPC_CLANG_CL ON)
endif()

list(LENGTH CMAKE_OSX_ARCHITECTURES architectures)
if(architectures GREATER 1)
    message(FATAL_ERROR "deepc builds for one architecture at a time, not ${CMAKE_OSX_ARCHITECTURES}")
endif()

# The compiler is asked, not CMAKE_SYSTEM_PROCESSOR: that one is wrong in cross builds and under ARCHFLAGS.
function(deepc_check_target macro variable)
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    check_c_source_compiles("
        #ifndef ${macro}
        #error another target
        #endif
        int deepc_target;" ${variable})
endfunction()
deepc_check_target(__x86_64__ DEEPC_TARGET_X86_64)
deepc_check_target(__aarch64__ DEEPC_TARGET_AARCH64)
deepc_check_target(__wasm__ DEEPC_TARGET_WASM)
# WebAssembly has threads only where a build asks for them; csrc/threads.h looks at the same macro.
set(DEEPC_TARGET_THREADS ON)
if(DEEPC_TARGET_WASM)
    deepc_check_target(_REENTRANT DEEPC_TARGET_REENTRANT)
    set(DEEPC_TARGET_THREADS ${DEEPC_TARGET_REENTRANT})
endif()

# Numbers are to be computed in their own width. Some compilers do so only when asked: gcc for s390x, and for x86 of
# 32 bits, whose old registers know no width. csrc/target.h stops a build in which nothing helped.
set(DEEPC_WIDTH_FLAGS "")
if(NOT DEEPC_CLANG_CL)
    foreach(flags IN ITEMS "" "-fexcess-precision=fast" "-msse2 -mfpmath=sse")
        string(MAKE_C_IDENTIFIER "DEEPC_KEEPS_WIDTH${flags}" variable)
        set(CMAKE_REQUIRED_FLAGS "-std=c11 ${flags}")
        set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
        check_c_source_compiles("#include \"${CMAKE_CURRENT_SOURCE_DIR}/csrc/target.h\"
            int deepc_width;" ${variable})
        unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
        unset(CMAKE_REQUIRED_FLAGS)
        if(${variable})
            separate_arguments(DEEPC_WIDTH_FLAGS UNIX_COMMAND "${flags}")
            break()
        endif()
    endforeach()
endif()

# Vector kernels spell out their own unrolling and inlining, so -O3 adds size and no speed. The scalar kernels are
# there to be right, and small: nobody runs them for speed.
set(small)
set(fast)
if(NOT DEEPC_SANITIZE)
    set(small $<$<NOT:$<CONFIG:Debug>>:-Os>)
    set(fast $<$<NOT:$<CONFIG:Debug>>:-O2>)
endif()
if(DEEPC_CLANG_CL)
    list(TRANSFORM small REPLACE "-O" "/clang:-O")
    list(TRANSFORM fast REPLACE "-O" "/clang:-O")
    set(wide /clang:-mprefer-vector-width=512)
else()
    # Nothing is ever thrown through a kernel, and it calls nothing.
    list(APPEND small -fno-asynchronous-unwind-tables)
    list(APPEND fast -fno-asynchronous-unwind-tables)
    set(wide -mprefer-vector-width=512)
endif()

# gcc for x86 clears and copies some words by instructions (rep stos, rep movs) that take 10 ns to begin, wherever size
# counts: a quarter of a tiny product's time. A call of the C library takes 2.
check_c_compiler_flag(-mstringop-strategy=libcall DEEPC_KNOWS_STRINGOP)
set(DEEPC_FLAGS_STRINGS)
if(DEEPC_KNOWS_STRINGOP)
    set(DEEPC_FLAGS_STRINGS -mstringop-strategy=libcall)
endif()

set(DEEPC_FLAGS_CORE ${small} ${DEEPC_FLAGS_STRINGS})   # it only calls kernels
# The vector kernels of double on x86-64: a tenth smaller. Not by gcc's -Os, which leaves out vzeroupper; after a kernel
# without it all code of older instructions is slow, the interpreter's too (a step of a tiny network: 3.2 us, not 1.7).
set(DEEPC_FLAGS_COMPACT)
if(DEEPC_TARGET_X86_64 AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(DEEPC_FLAGS_COMPACT -fno-align-functions -fno-align-jumps -fno-align-loops -fno-align-labels
        -freorder-blocks-algorithm=simple -fno-tree-ch -fno-tree-vectorize)
elseif(DEEPC_TARGET_X86_64)
    set(DEEPC_FLAGS_COMPACT ${small})
endif()
set(DEEPC_ISAS PORTABLE)
set(DEEPC_FLAGS_PORTABLE ${small})
if(DEEPC_TARGET_X86_64)
    if(DEEPC_BUILD_FMA)
        list(APPEND DEEPC_ISAS FMA)
        set(DEEPC_FLAGS_FMA ${small} -mfma)
    endif()
    list(APPEND DEEPC_ISAS AVX2 AVX512)
    # For processors of before 2013 and the cheapest ones of later: two fifths smaller.
    set(DEEPC_FLAGS_PORTABLE ${small} -DDEEPC_SMALL_KERNELS=1)
    if(NOT DEEPC_CLANG_CL)   # clang would make calls of it from loops that are not unrolled
        list(APPEND DEEPC_FLAGS_PORTABLE -fno-builtin-memset)
    endif()
    set(DEEPC_FLAGS_AVX2 ${fast} -mavx2 -mfma)
    set(DEEPC_FLAGS_AVX512 ${fast} ${wide} -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma)
elseif(DEEPC_TARGET_WASM)
    if(DEEPC_BUILD_FMA)   # with the C library's fma: WebAssembly has no such instruction
        list(APPEND DEEPC_ISAS FMA)
        set(DEEPC_FLAGS_FMA ${small})
    endif()
elseif(DEEPC_TARGET_AARCH64)
    # Two copies of the kernels are small enough; and under -Os compilers for AArch64 call memcpy and memset, which
    # a kernel may not.
    list(APPEND DEEPC_ISAS NEON)
    set(DEEPC_FLAGS_NEON ${fast})
    set(DEEPC_FLAGS_PORTABLE ${fast})
endif()
list(JOIN DEEPC_ISAS ", " isas)
message(STATUS "deepc kernels: ${isas}")
