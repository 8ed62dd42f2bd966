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

set(DEEPC_ISAS PORTABLE)
set(DEEPC_FLAGS_PORTABLE)
if(DEEPC_TARGET_X86_64)
    list(APPEND DEEPC_ISAS FMA AVX2 AVX512)
    set(DEEPC_FLAGS_FMA -mfma)
    set(DEEPC_FLAGS_AVX2 -mavx2 -mfma)
    set(DEEPC_FLAGS_AVX512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma)
    if(DEEPC_CLANG_CL)
        list(APPEND DEEPC_FLAGS_AVX512 /clang:-mprefer-vector-width=512)
    else()
        list(APPEND DEEPC_FLAGS_AVX512 -mprefer-vector-width=512)
    endif()
elseif(DEEPC_TARGET_AARCH64)
    list(APPEND DEEPC_ISAS NEON)
    set(DEEPC_FLAGS_NEON)
endif()
list(JOIN DEEPC_ISAS ", " isas)
message(STATUS "deepc kernels: ${isas}")
