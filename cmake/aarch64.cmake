# Toolchain for 64-bit ARM on another Linux. $TLVK_CROSS_PREFIX is a root folder with Debian's arm64 packages; tests/lanes/arm64.sh makes one. Programs run by
# qemu's emulation of one process, for which that folder is the root too.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
find_program(TLVK_CROSS_CXX aarch64-linux-gnu-g++) # a test of the header, where there is one
set(CMAKE_CXX_COMPILER ${TLVK_CROSS_CXX})

set(TLVK_CROSS_PREFIX "$ENV{TLVK_CROSS_PREFIX}" CACHE PATH "A root folder with what the library needs, made for 64-bit ARM")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TLVK_CROSS_PREFIX)
set(CMAKE_SYSROOT ${TLVK_CROSS_PREFIX})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TLVK_CROSS_PREFIX})
set(ENV{PKG_CONFIG_LIBDIR} ${TLVK_CROSS_PREFIX}/usr/lib/aarch64-linux-gnu/pkgconfig:${TLVK_CROSS_PREFIX}/usr/share/pkgconfig)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64-static;-L;${TLVK_CROSS_PREFIX}")
