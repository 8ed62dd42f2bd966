# Toolchain: Debian's cross compiler for AArch64, and qemu's user mode to run what it makes.
#
#   cmake -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake
#
# scripts/test_aarch64 does so. ctest runs each test by the emulator.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

# Where Debian keeps this target's C library.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

find_program(DEEPC_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(DEEPC_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${DEEPC_QEMU} -L ${CMAKE_FIND_ROOT_PATH})
endif()
